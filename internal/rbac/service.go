package rbac

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
)

// Store is what this package needs to have kept for it. Each verb that writes
// begins by taking the next version of the policy, which serialises them; it
// reads what the rules need in the same transaction and holds the rules of this
// package against it: MayGive, MayTouch, MayChangeRole, and that an active
// administrator stays.
type Store interface {
	PolicyStore
	GroupStore
	MemberStore
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
	// CreateGrant returns a Conflict if the principal has the role already, and
	// a NotFound for an unknown role or account.
	CreateGrant(ctx context.Context, by principal.Principal, g Grant, e audit.Event) error
	// DeleteGrant takes g.Role from g.Principal. If g.ID is not empty and another
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
	if err := r.Validate(); err != nil {
		return Role{}, err
	}
	now := s.clock.Now()
	r.Builtin, r.CreatedAt, r.UpdatedAt, r.Version = false, now, now, 1
	return r, s.store.CreateRole(ctx, by, r, audit.Now(by, now, audit.RoleCreated, "role:"+r.Name))
}

// ReplaceRole gives a role another content. r.Version is the version that the
// caller read, or 0 for any.
func (s *Service) ReplaceRole(ctx context.Context, by principal.Principal, r Role) (Role, error) {
	if err := r.Validate(); err != nil {
		return Role{}, err
	}
	r.UpdatedAt = s.clock.Now()
	return s.store.ReplaceRole(ctx, by, r, audit.Now(by, r.UpdatedAt, audit.RoleUpdated, "role:"+r.Name))
}

// DeleteRole deletes a role and takes it away from everybody who has it.
func (s *Service) DeleteRole(ctx context.Context, by principal.Principal, name string, version int64) error {
	return s.store.DeleteRole(ctx, by, name, version, audit.Now(by, s.clock.Now(), audit.RoleDeleted, "role:"+name))
}

// Give grants a role to an account, until a time if that is not zero.
func (s *Service) Give(ctx context.Context, by principal.Principal, principalID, role string, until time.Time, reason string) (Grant, error) {
	return s.GiveGrant(ctx, by, Grant{Principal: principalID, Role: role, Until: until, Reason: reason})
}

// GiveGrant makes a grant of what g says: the role, to whom, until when and why.
func (s *Service) GiveGrant(ctx context.Context, by principal.Principal, g Grant) (Grant, error) {
	now := s.clock.Now()
	role, until, reason := g.Role, g.Until, g.Reason
	if _, err := ParseRoleName(role); err != nil {
		return Grant{}, err
	}
	if err := checkEnd(until, reason, now); err != nil {
		return Grant{}, err
	}
	if g.Group != "" {
		g.Principal = OfGroup(g.Group)
	}
	g.ID, g.By, g.At = id.New(now), by.String(), now
	e := audit.Now(by, now, audit.GrantCreated, g.target()).With("role", role)
	if !until.IsZero() {
		e = e.With("until", until.UTC().Format(audit.TimeFormat))
	}
	return g, s.store.CreateGrant(ctx, by, g, e)
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

// Take takes a role away from an account.
func (s *Service) Take(ctx context.Context, by principal.Principal, principalID, role string) error {
	return s.TakeGrant(ctx, by, Grant{Principal: principalID, Role: role})
}

// TakeGrant takes away the one grant that g names by its ID, or with an empty ID
// whichever gives the role.
func (s *Service) TakeGrant(ctx context.Context, by principal.Principal, g Grant) error {
	if g.Group != "" {
		g.Principal = OfGroup(g.Group)
	}
	e := audit.Now(by, s.clock.Now(), audit.GrantRevoked, g.target()).With("role", g.Role)
	return s.store.DeleteGrant(ctx, by, g, e)
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
