package rbac

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
)

// Store is what this package needs to have kept for it. Each verb that writes
// begins by taking the next version of the policy, which serialises them; it
// reads what the rules need in the same transaction and holds the rules of this
// package against it: MayGive, MayTouch, MayChangeRoles, and that an active
// administrator stays.
type Store interface {
	PolicyStore
	GroupStore
	MemberStore
	SeparationStore
}

// PolicyStore is what is kept of roles and grants.
type PolicyStore interface {
	// Policy returns, as of one moment, all roles, the version under which they
	// changed last, and the version of roles and grants together.
	Policy(context.Context) (all []Role, roles, policy int64, err error)
	// GrantsOf returns what a principal was given itself and, as long as it is in
	// them, what the groups were that it is in.
	GrantsOf(ctx context.Context, principalID string) ([]Grant, error)
	CreateRole(ctx context.Context, by principal.Principal, r Role, e audit.Event) error
	// ReplaceRole writes r if its version is still r.Version (0 for any), or
	// returns a Stale fault. It returns the role with its new version.
	ReplaceRole(ctx context.Context, by principal.Principal, r Role, e audit.Event) (Role, error)
	// DeleteRole deletes a role and all grants of it.
	DeleteRole(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error
	// CreateGrant returns a Conflict if the principal has the role already, or is no
	// member of g.Organization, and a NotFound for an unknown role or account.
	CreateGrant(ctx context.Context, by principal.Principal, g Grant, e audit.Event) error
	// DeleteGrant takes g.Role, in g.Organization, from g.Principal. If g.ID is not empty and another
	// grant has come in its place, it returns a Stale fault.
	DeleteGrant(ctx context.Context, by principal.Principal, g Grant, e audit.Event) error
}

// Service changes roles and grants.
type Service struct {
	*Policy
	store Store
	clock clock.Clock
}

// NewService returns a service over a store; the policy's Load makes it ready.
func NewService(store Store, c clock.Clock) *Service {
	return &Service{Policy: NewPolicy(store, c), store: store, clock: c}
}

// CreateRole makes a role. Faults: Invalid with the field, Conflict for a name
// that is taken, Denied by the grant rule.
func (s *Service) CreateRole(ctx context.Context, by principal.Principal, r Role) (Role, error) {
	c, err := s.Creating(by, r)
	if err != nil {
		return Role{}, err
	}
	return *c.After, s.store.CreateRole(ctx, by, *c.After, c.Event)
}

// ReplaceRole gives a role another content. r.Version is the version that the
// caller read, or 0 for any.
func (s *Service) ReplaceRole(ctx context.Context, by principal.Principal, r Role) (Role, error) {
	c, err := s.Replacing(by, r)
	if err != nil {
		return Role{}, err
	}
	return s.store.ReplaceRole(ctx, by, *c.After, c.Event)
}

// DeleteRole deletes a role and takes it away from everybody who has it.
func (s *Service) DeleteRole(ctx context.Context, by principal.Principal, name string, version int64) error {
	return s.store.DeleteRole(ctx, by, name, version, s.Deleting(by, name, version).Event)
}

// Give grants a role to an account, until a time if that is not zero.
func (s *Service) Give(ctx context.Context, by principal.Principal, principalID, role string, until time.Time, reason string) (Grant, error) {
	return s.GiveGrant(ctx, by, Grant{Principal: principalID, Role: role, Until: until, Reason: reason})
}

// GiveGrant makes a grant of what g says: the role, to whom, until when and why.
func (s *Service) GiveGrant(ctx context.Context, by principal.Principal, g Grant) (Grant, error) {
	c, err := s.Giving(by, g)
	if err != nil {
		return Grant{}, err
	}
	return c.Grant, s.store.CreateGrant(ctx, by, c.Grant, c.Event)
}

// Take takes a role away from an account.
func (s *Service) Take(ctx context.Context, by principal.Principal, principalID, role string) error {
	return s.TakeGrant(ctx, by, Grant{Principal: principalID, Role: role})
}

// TakeGrant takes away the one grant that g names by its ID, or with an empty ID
// whichever gives the role.
func (s *Service) TakeGrant(ctx context.Context, by principal.Principal, g Grant) error {
	c := s.Taking(by, g)
	return s.store.DeleteGrant(ctx, by, c.Grant, c.Event)
}

// inside returns the event of a grant with the organization that it counts in.
func (g Grant) inside(e audit.Event) audit.Event {
	if g.Organization == "" {
		return e
	}
	return e.With("organization", g.Organization)
}

// target returns whom a grant is for, as the audit log names him.
func (g Grant) target() string {
	switch {
	case g.Group != "":
		return OfGroup(g.Group)
	case g.Kind == principal.Service:
		return "client:" + g.Principal
	}
	return "user:" + g.Principal
}
