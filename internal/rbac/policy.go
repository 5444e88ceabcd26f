package rbac

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/memo"
	"github.com/doorward/doorward/internal/principal"
)

// Admin is the permission to bring about any permission: who holds it is
// covered by no one, and new permissions begin with him.
const Admin = "admin"

// Actor returns the permissions that the grant rule reads for somebody who
// holds e through a credential with scopes: both together, or everything where
// both hold Admin.
func (s *Snapshot) Actor(e Effective, scopes []string) Set {
	held := e.Intersect(s.Set(scopes))
	if held.Has(Admin) {
		return s.All()
	}
	return held
}

// Policy is what this process knows of roles and grants: all roles in a
// snapshot, and the grants of principals as they are asked for. It follows the
// change feed.
type Policy struct {
	store    Store
	clock    clock.Clock
	snapshot atomic.Pointer[Snapshot]
	version  atomic.Int64 // up to which version of the policy the feed was applied
	reload   sync.Mutex
	grants   *memo.Map[*Holding]
}

// Holding is what one principal holds.
type Holding struct {
	Grants []Grant

	effective atomic.Pointer[effectiveAt]
}

// effectiveAt is what follows from the grants under one snapshot.
type effectiveAt struct {
	snapshot *Snapshot
	Effective
}

// NewPolicy returns a policy over a store; Load makes it ready.
func NewPolicy(store Store, c clock.Clock) *Policy {
	return &Policy{store: store, clock: c, grants: memo.New[*Holding](50_000)}
}

// Load reads all roles.
func (p *Policy) Load(ctx context.Context) error {
	first := p.snapshot.Load() == nil
	version, err := p.load(ctx)
	if err == nil && first { // no grants are kept yet: all that will be are as new
		p.version.Store(version)
	}
	return err
}

func (p *Policy) load(ctx context.Context) (version int64, err error) {
	p.reload.Lock()
	defer p.reload.Unlock()
	roles, of, version, err := p.store.Policy(ctx)
	if err != nil {
		return 0, err
	}
	s, err := NewSnapshot(of, roles)
	if err != nil {
		return 0, err
	}
	apart, err := p.store.Separations(ctx)
	if err != nil {
		return 0, err
	}
	p.snapshot.Store(s.WithSeparations(apart))
	return version, nil
}

// Apply follows a change. A change of roles reads them again; the error is of
// that read, and the snapshot stays as it was.
func (p *Policy) Apply(ctx context.Context, c feed.Change) error {
	switch c.Topic {
	case feed.Roles:
		if p.snapshot.Load().Version() < c.Version {
			if err := p.Load(ctx); err != nil {
				return err
			}
		}
		p.advance(c)
	case feed.Grants, feed.GrantLost:
		p.grants.Drop(c.Key)
		p.advance(c)
	case feed.Groups, feed.OrganizationEnded: // whose members are not known here
		p.grants.Clear()
		p.advance(c)
	case feed.Resource: // whoever keeps APIs has followed it before
		p.advance(c)
	case feed.Gap: // as at the start; the version may even have gone back
		version, err := p.load(ctx)
		if err != nil {
			return err
		}
		p.grants.Clear()
		p.version.Store(version)
	}
	return nil
}

// advance notes up to where changes are known. One that has no number yet came
// past the feed: there may be others before it.
func (p *Policy) advance(c feed.Change) {
	for c.Seq > 0 {
		known := p.version.Load()
		if c.Version <= known || p.version.CompareAndSwap(known, c.Version) {
			return
		}
	}
}

// Version returns the version of the policy up to which this process knows all
// changes.
func (p *Policy) Version() int64 { return p.version.Load() }

// Snapshot returns the roles.
func (p *Policy) Snapshot() *Snapshot { return p.snapshot.Load() }

// Holding returns what a principal holds, as this process knows it.
func (p *Policy) Holding(ctx context.Context, principalID string) (*Holding, error) {
	return p.grants.Get(ctx, principalID, func(ctx context.Context, id string) (*Holding, error) {
		grants, err := p.store.GrantsOf(ctx, id)
		return &Holding{Grants: grants}, err
	})
}

// Effective returns what follows from the grants under the present roles.
func (p *Policy) effective(h *Holding, now time.Time) Effective {
	s := p.snapshot.Load()
	if e := h.effective.Load(); e != nil && e.snapshot == s && (e.ValidUntil.IsZero() || now.Before(e.ValidUntil)) {
		return e.Effective
	}
	e := &effectiveAt{s, s.Effective(h.Grants, "", now)}
	h.effective.Store(e)
	return e.Effective
}

// Of returns what a principal may do now, and the version of the policy that
// this was worked out under.
func (p *Policy) Of(ctx context.Context, principalID string) (Effective, int64, error) {
	version := p.version.Load() // before anything is read: it may say too little, never too much
	now := p.clock.Now()
	h, err := p.known(ctx, principalID, now)
	if err != nil {
		return Effective{}, 0, err
	}
	return p.effective(h, now), version, nil
}

// Use is what a session or a token may use of what a principal holds.
type Use struct {
	Effective
	Policy int64    // the version of the policy that this was worked out under
	Absent []string // the chosen roles that the principal was not given
	Clash  *Clash   // the roles that may not be used together; nil if there are none
}

// Using returns what a principal may use now, within an organization by its id or, if
// that is empty, on the server as a whole: what he may do on one does not count in the
// other. chosen are some of the roles that he was given there; nil stands for all.
func (p *Policy) Using(ctx context.Context, principalID, organization string, chosen []string) (Use, error) {
	u := Use{Policy: p.version.Load()} // as in Of
	now := p.clock.Now()
	h, err := p.known(ctx, principalID, now)
	if err != nil {
		return Use{}, err
	}
	s := p.snapshot.Load()
	if organization == "" && chosen == nil && !s.keepsApart(Dynamic) {
		u.Effective = p.effective(h, now) // what nearly all sessions use, without a copy of the grants
		return u, nil
	}
	grants := slices.DeleteFunc(slices.Clone(h.Grants), func(g Grant) bool {
		return g.Organization != organization || chosen != nil && !slices.Contains(chosen, g.Role)
	})
	for _, role := range chosen {
		if !slices.ContainsFunc(grants, func(g Grant) bool { return g.Role == role && g.Live(now) }) {
			u.Absent = append(u.Absent, role)
		}
	}
	if u.Clash = s.Clash(Dynamic, grants, now); organization == "" && chosen == nil {
		u.Effective = p.effective(h, now)
	} else {
		u.Effective = s.Effective(grants, organization, now)
	}
	return u, nil
}

// known returns what a principal holds, of roles that this process knows. Who was
// given one that another process made a moment ago need not wait until the feed tells
// of it.
func (p *Policy) known(ctx context.Context, principalID string, now time.Time) (*Holding, error) {
	h, err := p.Holding(ctx, principalID)
	if err == nil && !p.knows(h, now) {
		err = p.Load(ctx)
	}
	return h, err
}

func (p *Policy) knows(h *Holding, now time.Time) bool {
	s := p.snapshot.Load()
	if e := h.effective.Load(); e != nil && e.snapshot == s {
		return true
	}
	return !slices.ContainsFunc(h.Grants, func(g Grant) bool { _, known := s.index[g.Role]; return g.Live(now) && !known })
}

// Allows answers the one question for a principal: may it use permission now,
// with the roles it has now and the credential it came with. On this server a
// credential for an organization allows nothing: what it carries holds there alone.
func (p *Policy) Allows(ctx context.Context, by *principal.Principal, permission string) (bool, error) {
	if by.Trusted() {
		return true, nil
	}
	if by.Organization != "" || !slices.Contains(by.Scopes, permission) {
		return false, nil
	}
	id := by.Holder().ID
	if h, ok := p.grants.Find(id); ok {
		if e := h.effective.Load(); e != nil && e.snapshot == p.snapshot.Load() && e.ValidUntil.IsZero() {
			return e.Has(permission), nil // as below, without a look at the clock, which costs as much again
		}
	}
	e, _, err := p.Of(ctx, id)
	return err == nil && e.Has(permission), err
}

// Explain answers the question with its why, within an organization or, if that is
// empty, on the server as a whole. subject is what the answer calls the principal.
func (p *Policy) Explain(ctx context.Context, subject, principalID string, scopes []string, permission, organization string) (Decision, error) {
	now := p.clock.Now()
	h, err := p.known(ctx, principalID, now)
	if err != nil {
		return Decision{}, err
	}
	return p.snapshot.Load().Check(subject, h.Grants, scopes, permission, organization, now), nil
}

// Same reports whether two roles say the same; when and how often they were
// written does not count.
func (r Role) Same(o Role) bool {
	return r.Name == o.Name && r.Description == o.Description && r.Builtin == o.Builtin &&
		slices.Equal(r.Permissions, o.Permissions) && slices.Equal(r.Inherits, o.Inherits)
}
