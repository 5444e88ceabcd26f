package rbac

import (
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
)

// RoleChange is a role that comes (Before is nil), one that changes, or one that
// goes (After is nil), with its event.
type RoleChange struct {
	Before, After *Role
	Event         audit.Event
}

// name returns the role that c is about.
func (c RoleChange) name() string {
	if c.Before != nil {
		return c.Before.Name
	}
	return c.After.Name
}

// GrantChange is a role that is given, or taken away, with its event.
type GrantChange struct {
	Grant Grant
	Taken bool
	Event audit.Event
}

// Creating returns the change that makes a role. Faults: Invalid with the field.
func (s *Service) Creating(by principal.Principal, r Role) (RoleChange, error) {
	if err := r.Validate(); err != nil {
		return RoleChange{}, err
	}
	now := s.clock.Now()
	r.Builtin, r.CreatedAt, r.UpdatedAt, r.Version = false, now, now, 1
	return RoleChange{After: &r, Event: audit.Now(by, now, audit.RoleCreated, "role:"+r.Name)}, nil
}

// Replacing returns the change that gives a role another content. r.Version is the
// version that the caller read, or 0 for any. Faults: Invalid with the field.
func (s *Service) Replacing(by principal.Principal, r Role) (RoleChange, error) {
	if err := r.Validate(); err != nil {
		return RoleChange{}, err
	}
	r.UpdatedAt = s.clock.Now()
	return RoleChange{Before: &Role{Name: r.Name, Version: r.Version}, After: &r, Event: audit.Now(by, r.UpdatedAt, audit.RoleUpdated, "role:"+r.Name)}, nil
}

// Deleting returns the change that deletes a role; version is as in Replacing.
func (s *Service) Deleting(by principal.Principal, name string, version int64) RoleChange {
	return RoleChange{Before: &Role{Name: name, Version: version}, Event: audit.Now(by, s.clock.Now(), audit.RoleDeleted, "role:"+name)}
}

// Giving returns the change that makes a grant of what g says: the role, to whom,
// until when and why. Faults: Invalid with the field.
func (s *Service) Giving(by principal.Principal, g Grant) (GrantChange, error) {
	now := s.clock.Now()
	if _, err := ParseRoleName(g.Role); err != nil {
		return GrantChange{}, err
	}
	if err := checkEnd(g.Until, g.Reason, now); err != nil {
		return GrantChange{}, err
	}
	if g.Group != "" {
		g.Principal = OfGroup(g.Group)
	}
	g.ID, g.By, g.At = id.New(now), by.String(), now
	e := g.inside(audit.Now(by, now, audit.GrantCreated, g.target()).With("role", g.Role))
	if !g.Until.IsZero() {
		e = e.With("until", g.Until.UTC().Format(audit.TimeFormat))
	}
	return GrantChange{Grant: g, Event: e}, nil
}

// checkEnd says what is wrong with when something is to end, and why it was given.
func checkEnd(until time.Time, reason string, now time.Time) error {
	if !until.IsZero() && !until.After(now) {
		return fault.At("until", "it lies in the past")
	}
	if err := checkDescription(reason); err != nil {
		return within("reason", err)
	}
	return nil
}

// Taking returns the change that takes away the one grant that g names by its ID,
// or with an empty ID whichever gives the role.
func (s *Service) Taking(by principal.Principal, g Grant) GrantChange {
	if g.Group != "" {
		g.Principal = OfGroup(g.Group)
	}
	return GrantChange{Grant: g, Taken: true, Event: g.inside(audit.Now(by, s.clock.Now(), audit.GrantRevoked, g.target()).With("role", g.Role))}
}

// GroupChange is a group that comes (Before is nil), one that changes, or one that
// goes (After is nil), with its event.
type GroupChange struct {
	Before, After *Group
	Event         audit.Event
}

// CreatingGroup returns the change that makes a group. Faults: Invalid with the
// field.
func (s *Service) CreatingGroup(by principal.Principal, g Group) (GroupChange, error) {
	if err := g.Validate(); err != nil {
		return GroupChange{}, err
	}
	now := s.clock.Now()
	g.CreatedAt, g.UpdatedAt, g.Version = now, now, 1
	return GroupChange{After: &g, Event: audit.Now(by, now, audit.GroupCreated, OfGroup(g.Name))}, nil
}

// UpdatingGroup returns the change that gives a group another description. g.Version
// is the version that the caller read, or 0 for any. Faults: Invalid with the field.
func (s *Service) UpdatingGroup(by principal.Principal, g Group) (GroupChange, error) {
	if err := g.Validate(); err != nil {
		return GroupChange{}, err
	}
	g.UpdatedAt = s.clock.Now()
	return GroupChange{Before: &Group{Name: g.Name, Version: g.Version}, After: &g, Event: audit.Now(by, g.UpdatedAt, audit.GroupUpdated, OfGroup(g.Name))}, nil
}

// DeletingGroup returns the change that deletes a group; version is as in
// UpdatingGroup.
func (s *Service) DeletingGroup(by principal.Principal, name string, version int64) GroupChange {
	return GroupChange{Before: &Group{Name: name, Version: version}, Event: audit.Now(by, s.clock.Now(), audit.GroupDeleted, OfGroup(name))}
}

// MemberChange is a principal that is brought into a group, or taken out of it, with
// its event.
type MemberChange struct {
	Member Member
	Gone   bool
	Event  audit.Event
}

// Joining returns the change that brings a principal into a group. Faults: Invalid
// with the field.
func (s *Service) Joining(by principal.Principal, m Member) (MemberChange, error) {
	now := s.clock.Now()
	if m.Kind != principal.Service {
		m.Kind = principal.User
	}
	if err := checkEnd(m.Until, m.Reason, now); err != nil {
		return MemberChange{}, err
	}
	m.By, m.At = by.String(), now
	e := audit.Now(by, now, audit.MemberAdded, m.target()).With("group", m.Group)
	if !m.Until.IsZero() {
		e = e.With("until", m.Until.UTC().Format(audit.TimeFormat))
	}
	return MemberChange{Member: m, Event: e}, nil
}

// Leaving returns the change that takes a principal out of a group.
func (s *Service) Leaving(by principal.Principal, m Member) MemberChange {
	return MemberChange{Member: m, Gone: true, Event: audit.Now(by, s.clock.Now(), audit.MemberRemoved, m.target()).With("group", m.Group)}
}
