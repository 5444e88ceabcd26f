package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
)

// Apart says when the roles of a separation exclude each other.
type Apart string

// The kinds of separation of duty (INCITS 359, Constrained RBAC).
const (
	Static  Apart = "static"  // nobody holds two of them
	Dynamic Apart = "dynamic" // nobody uses two of them in one session or token
)

// The bounds of separations.
const (
	MaxSeparations = 200
	maxApart       = 50 // roles of one
)

// Separation is a set of roles that are kept apart: of which nobody has two. Who has
// a role that inherits one of them has that one, too.
type Separation struct {
	Name        string // as ParseRoleName allows; it never changes
	Description string // as that of a role
	Kind        Apart
	Roles       []string // 2 to 50, none of which inherits another
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Validate reports the first thing about p that can never be accepted, as a fault of
// kind Invalid with the field's name.
func (p Separation) Validate() error {
	if !isRoleName(p.Name) {
		return fault.At("name", "a separation's name is 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", and begins with a letter or a digit")
	}
	if err := checkDescription(p.Description); err != nil {
		return within("description", err)
	}
	if p.Kind != Static && p.Kind != Dynamic {
		return fault.At("kind", "it is static or dynamic")
	}
	if n := len(p.Roles); n < 2 || n > maxApart {
		return fault.At("roles", "2 to %d roles are kept apart; these are %d", maxApart, n)
	}
	return checkList("roles", p.Roles, ParseRoleName)
}

// WithSeparations returns the same roles, of which some are kept apart.
func (s *Snapshot) WithSeparations(list []Separation) *Snapshot {
	c := *s
	c.apart = slices.Clone(list)
	slices.SortFunc(c.apart, func(a, b Separation) int { return strings.Compare(a.Name, b.Name) })
	return &c
}

// Separations returns what is kept apart, sorted by name.
func (s *Snapshot) Separations() []Separation { return slices.Clone(s.apart) }

// ApplySeparation returns the snapshot as it would be with a separation made, or
// changed if there is one of its name. It checks no rights. Faults: those of
// Validate; Invalid for a role that is not there; Conflict where a role is, or
// inherits, two of them, or there are too many separations.
func ApplySeparation(s *Snapshot, after Separation) (*Snapshot, error) {
	if err := after.Validate(); err != nil {
		return nil, err
	}
	for i, name := range after.Roles {
		if _, ok := s.index[name]; !ok {
			return nil, fault.At(fmt.Sprintf("roles[%d]", i), "there is no role %q", name)
		}
	}
	list := append(s.unseparated(after.Name), after)
	if len(list) > MaxSeparations {
		return nil, fault.New(fault.Conflict, "there are at most %d separations", MaxSeparations)
	}
	next := s.WithSeparations(list)
	return next, next.checkApart(after)
}

// unseparated returns all separations but one.
func (s *Snapshot) unseparated(name string) []Separation {
	return slices.DeleteFunc(slices.Clone(s.apart), func(p Separation) bool { return p.Name == name })
}

// DeleteSeparation returns the snapshot as it would be without a separation.
func DeleteSeparation(s *Snapshot, name string) *Snapshot {
	return s.WithSeparations(s.unseparated(name))
}

// Separation returns what is kept apart under a name.
func (s *Snapshot) Separation(name string) (Separation, bool) {
	i := slices.IndexFunc(s.apart, func(p Separation) bool { return p.Name == name })
	if i < 0 {
		return Separation{}, false
	}
	return s.apart[i], true
}

// checkApart refuses a role that holds two of what p keeps apart: nobody could have
// it.
func (s *Snapshot) checkApart(p Separation) error {
	for _, name := range p.Roles { // of these first: that is the clearer reason
		if two := s.ofApart(p, s.nodes[s.index[name]].reach); len(two) > 1 {
			two = slices.DeleteFunc(two, func(other string) bool { return other == name })
			return fault.New(fault.Conflict, "the role %q inherits %q: the separation %q cannot keep them apart", name, two[0], p.Name)
		}
	}
	for i := range s.nodes {
		if two := s.ofApart(p, s.nodes[i].reach); len(two) > 1 {
			return fault.New(fault.Conflict, "the role %q holds %q and %q, which the separation %q keeps apart", s.nodes[i].role.Name, two[0], two[1], p.Name)
		}
	}
	return nil
}

// ofApart returns those roles of a separation that are reached, sorted.
func (s *Snapshot) ofApart(p Separation, reached bitmap) []string {
	var found []string
	for _, name := range p.Roles {
		if i, ok := s.index[name]; ok && reached.has(i) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// keepApart takes over the separations of another snapshot, and refuses what they
// forbid of the roles as they are here.
func (s *Snapshot) keepApart(before *Snapshot) (*Snapshot, error) {
	if len(before.apart) == 0 {
		return s, nil
	}
	next := s.WithSeparations(before.apart)
	for _, p := range next.apart {
		if i := slices.IndexFunc(p.Roles, func(name string) bool { _, ok := next.index[name]; return !ok }); i >= 0 {
			return nil, fault.New(fault.Conflict, "the separation %q names the role %q: change it first", p.Name, p.Roles[i])
		}
		if err := next.checkApart(p); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// Clash is two roles that a principal has, and what keeps them apart.
type Clash struct {
	Separation string
	Roles      []string // two or more, sorted
}

// Clash returns the first separation of a kind that forbids what grants add up to at a
// time, wherever each of them counts; nil if none does.
func (s *Snapshot) Clash(kind Apart, grants []Grant, now time.Time) *Clash {
	if !s.keepsApart(kind) {
		return nil
	}
	reached := newBitmap(len(s.nodes))
	for _, g := range grants {
		if i, ok := s.index[g.Role]; ok && g.Live(now) {
			reached.or(s.nodes[i].reach)
		}
	}
	for _, p := range s.apart {
		if p.Kind != kind {
			continue
		}
		if two := s.ofApart(p, reached); len(two) > 1 {
			return &Clash{p.Name, two}
		}
	}
	return nil
}

// keepsApart reports whether there is a separation of a kind.
func (s *Snapshot) keepsApart(kind Apart) bool {
	return slices.ContainsFunc(s.apart, func(p Separation) bool { return p.Kind == kind })
}

// Gaining returns the separations of which somebody who has a role has more in after
// than in before.
func Gaining(before, after *Snapshot, kind Apart) []Separation {
	var gaining []Separation
	for _, p := range after.apart {
		if p.Kind == kind && slices.ContainsFunc(p.Roles, func(role string) bool {
			had := before.RolesReaching(role)
			return slices.ContainsFunc(after.RolesReaching(role), func(has string) bool { return !slices.Contains(had, has) })
		}) {
			gaining = append(gaining, p)
		}
	}
	return gaining
}

// SeparationStore is what is kept of separations. Its verbs that write are like those
// of PolicyStore; each refuses, as a Conflict that names some of them, what somebody
// violates already.
type SeparationStore interface {
	// Separations returns all of them, sorted by name.
	Separations(context.Context) ([]Separation, error)
	CreateSeparation(ctx context.Context, by principal.Principal, p Separation, e audit.Event) error
	// ReplaceSeparation writes p if its version is still p.Version (0 for any), or
	// returns a Stale fault. It returns it with its new version.
	ReplaceSeparation(ctx context.Context, by principal.Principal, p Separation, e audit.Event) (Separation, error)
	DeleteSeparation(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error
}

// CreateSeparation keeps roles apart from now on. Faults: Invalid with the field;
// Conflict for a name that is taken, for roles that inherit one another, and where
// somebody has two of them; Denied by the grant rule.
func (s *Service) CreateSeparation(ctx context.Context, by principal.Principal, p Separation) (Separation, error) {
	if err := p.Validate(); err != nil {
		return Separation{}, err
	}
	now := s.clock.Now()
	p.CreatedAt, p.UpdatedAt, p.Version = now, now, 1
	return p, s.store.CreateSeparation(ctx, by, p, p.event(by, now, audit.SeparationCreated))
}

// ReplaceSeparation gives a separation another content. p.Version is the version that
// the caller read, or 0 for any.
func (s *Service) ReplaceSeparation(ctx context.Context, by principal.Principal, p Separation) (Separation, error) {
	if err := p.Validate(); err != nil {
		return Separation{}, err
	}
	p.UpdatedAt = s.clock.Now()
	return s.store.ReplaceSeparation(ctx, by, p, p.event(by, p.UpdatedAt, audit.SeparationUpdated))
}

// DeleteSeparation lets its roles be held together again.
func (s *Service) DeleteSeparation(ctx context.Context, by principal.Principal, name string, version int64) error {
	p := Separation{Name: name}
	return s.store.DeleteSeparation(ctx, by, name, version, audit.Now(by, s.clock.Now(), audit.SeparationDeleted, p.target()))
}

// Separations returns all separations, sorted by name.
func (s *Service) Separations(ctx context.Context) ([]Separation, error) {
	return s.store.Separations(ctx)
}

// Separation returns a separation, or a NotFound.
func (s *Service) Separation(ctx context.Context, name string) (Separation, error) {
	all, err := s.store.Separations(ctx)
	if err != nil {
		return Separation{}, err
	}
	i := slices.IndexFunc(all, func(p Separation) bool { return p.Name == name })
	if i < 0 {
		return Separation{}, fault.New(fault.NotFound, "there is no such separation")
	}
	return all[i], nil
}

func (p Separation) target() string { return "separation:" + p.Name }

func (p Separation) event(by principal.Principal, now time.Time, a audit.Action) audit.Event {
	return audit.Now(by, now, a, p.target()).With("kind", string(p.Kind)).With("roles", strings.Join(p.Roles, " "))
}
