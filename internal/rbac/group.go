package rbac

import (
	"context"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
)

// Group is a named set of principals: what it is given, each of them holds. A
// group is in no other group.
type Group struct {
	Name        string // as ParseRoleName allows; it never changes
	Description string // as that of a role
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Member is the place of a principal in a group.
type Member struct {
	Group     string
	Kind      principal.Kind // User or Service
	Principal string         // its id
	Until     time.Time      // the first moment at which it is in it no longer; zero for no end
	By        string         // who added it, as principal.Principal prints itself
	Reason    string
	At        time.Time // when it was added
}

// Live reports whether m has not ended at now.
func (m Member) Live(now time.Time) bool { return m.Until.IsZero() || now.Before(m.Until) }

// groupPrefix begins the principals that groups are. No id of an account or a
// client holds a colon.
const groupPrefix = "group:"

// OfGroup returns the principal that a group's grants are made to.
func OfGroup(name string) string { return groupPrefix + name }

// GroupOf returns the name of the group that a principal is; empty for one that is
// none.
func GroupOf(principalID string) string {
	name, ok := strings.CutPrefix(principalID, groupPrefix)
	if !ok {
		return ""
	}
	return name
}

// Earlier returns the earlier one of two ends, of which zero is none.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// GroupStore is what is kept of groups. Its verbs that write are like those of
// PolicyStore.
type GroupStore interface {
	// CreateGroup returns a Conflict for a name that is taken.
	CreateGroup(ctx context.Context, by principal.Principal, g Group, e audit.Event) error
	// UpdateGroup writes g if its version is still g.Version (0 for any), or returns a
	// Stale fault. It returns the group with its new version.
	UpdateGroup(ctx context.Context, by principal.Principal, g Group, e audit.Event) (Group, error)
	// DeleteGroup deletes a group with its grants and its members' places.
	DeleteGroup(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error
	Group(ctx context.Context, name string) (Group, error)
	// Groups returns up to limit groups after a name, in their order.
	Groups(ctx context.Context, after string, limit int) ([]Group, error)
}

// MemberStore is what is kept of who is in groups.
type MemberStore interface {
	// AddMember gives the principal all that the group has. It returns a Conflict if it
	// is in it already, and a NotFound for an unknown group, account or client.
	AddMember(ctx context.Context, by principal.Principal, m Member, e audit.Event) error
	// RemoveMember takes the principal out of the group.
	RemoveMember(ctx context.Context, by principal.Principal, m Member, e audit.Event) error
	Member(ctx context.Context, group, principalID string) (Member, error)
	// Members returns up to limit members of a group after an id, in the order of ids.
	Members(ctx context.Context, group, after string, limit int) ([]Member, error)
}

// ParseGroupName returns s if it is the name of a group: it is made as a role's.
// Anything else is a fault of kind Invalid.
func ParseGroupName(s string) (string, error) {
	if !isRoleName(s) {
		return "", fault.New(fault.Invalid, "a group's name is 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", and begins with a letter or a digit")
	}
	return s, nil
}

// Validate reports the first thing about g that can never be accepted, as a fault of
// kind Invalid with the field.
func (g Group) Validate() error {
	if _, err := ParseGroupName(g.Name); err != nil {
		return within("name", err)
	}
	if err := checkDescription(g.Description); err != nil {
		return within("description", err)
	}
	return nil
}

// CreateGroup makes a group, of nobody and with no roles. Faults: Invalid with the
// field, Conflict for a name that is taken.
func (s *Service) CreateGroup(ctx context.Context, by principal.Principal, g Group) (Group, error) {
	c, err := s.CreatingGroup(by, g)
	if err != nil {
		return Group{}, err
	}
	return *c.After, s.store.CreateGroup(ctx, by, *c.After, c.Event)
}

// UpdateGroup gives a group another description. g.Version is the version that the
// caller read, or 0 for any.
func (s *Service) UpdateGroup(ctx context.Context, by principal.Principal, g Group) (Group, error) {
	c, err := s.UpdatingGroup(by, g)
	if err != nil {
		return Group{}, err
	}
	return s.store.UpdateGroup(ctx, by, *c.After, c.Event)
}

// DeleteGroup deletes a group: its members lose what they hold through it.
func (s *Service) DeleteGroup(ctx context.Context, by principal.Principal, name string, version int64) error {
	return s.store.DeleteGroup(ctx, by, name, version, s.DeletingGroup(by, name, version).Event)
}

// Group returns a group, or a NotFound.
func (s *Service) Group(ctx context.Context, name string) (Group, error) {
	return s.store.Group(ctx, name)
}

// Groups returns up to limit groups after a name, in their order.
func (s *Service) Groups(ctx context.Context, after string, limit int) ([]Group, error) {
	return s.store.Groups(ctx, after, limit)
}

// AddMember brings a principal into a group, until a time if that is not zero. To do
// so is to give it all that the group has.
func (s *Service) AddMember(ctx context.Context, by principal.Principal, m Member) (Member, error) {
	c, err := s.Joining(by, m)
	if err != nil {
		return Member{}, err
	}
	return c.Member, s.store.AddMember(ctx, by, c.Member, c.Event)
}

// RemoveMember takes a principal out of a group.
func (s *Service) RemoveMember(ctx context.Context, by principal.Principal, group, principalID string) error {
	m, err := s.store.Member(ctx, group, principalID)
	if err != nil {
		return err
	}
	return s.store.RemoveMember(ctx, by, m, s.Leaving(by, m).Event)
}

// Member returns the place of a principal in a group, or a NotFound.
func (s *Service) Member(ctx context.Context, group, principalID string) (Member, error) {
	return s.store.Member(ctx, group, principalID)
}

// Members returns up to limit members of a group after an id, in the order of ids.
func (s *Service) Members(ctx context.Context, group, after string, limit int) ([]Member, error) {
	return s.store.Members(ctx, group, after, limit)
}

// target returns whom m is about, as the audit log names him.
func (m Member) target() string { return Grant{Kind: m.Kind, Principal: m.Principal}.target() }
