package rbac

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// The bounds of all roles together.
const (
	MaxRoles    = 10_000
	MaxDepth    = 32      // roles in a chain of inheritance, both ends counted
	maxDistinct = 100_000 // permissions that any role holds
)

// Snapshot is all roles at one version of the policy, with what each of them
// holds worked out. It never changes and is safe for concurrent use. Every role
// in it is valid, so that its permissions can be written into a scope.
type Snapshot struct {
	version int64
	words   *vocabulary
	nodes   []node // sorted by the roles' names
	index   map[string]int
	apart   []Separation // sorted by name
}

type node struct {
	role    Role
	parents []int  // sorted
	closure bitmap // of permissions: its own and all that it inherits
	reach   bitmap // of nodes: itself and all that it inherits, however far
}

// NewSnapshot returns the snapshot of roles. It is a fault of kind Invalid if a
// role is not valid, inherits a role that is not there, inherits itself through
// others (the message names the circle), or stands on more than 32 levels; and
// of kind Conflict if two roles have one name or there are more than 10,000
// roles or 100,000 permissions.
func NewSnapshot(version int64, roles []Role) (*Snapshot, error) {
	if len(roles) > MaxRoles {
		return nil, fault.New(fault.Conflict, "there are at most %d roles", MaxRoles)
	}
	for _, r := range roles {
		if err := r.Validate(); err != nil {
			return nil, fault.New(fault.Invalid, "role %q: %s", r.Name, err.Error())
		}
	}
	s := &Snapshot{version: version, words: newVocabulary(roles), nodes: make([]node, len(roles)), index: make(map[string]int, len(roles))}
	if s.words.size() > maxDistinct {
		return nil, fault.New(fault.Conflict, "the roles hold at most %d different permissions together", maxDistinct)
	}
	for i, r := range roles {
		s.nodes[i].role = r.clone()
	}
	slices.SortFunc(s.nodes, func(a, b node) int { return cmp.Compare(a.role.Name, b.role.Name) })
	for i := range s.nodes {
		name := s.nodes[i].role.Name
		if _, twice := s.index[name]; twice {
			return nil, fault.New(fault.Conflict, "there are two roles named %q", name)
		}
		s.index[name] = i
	}
	if err := s.link(); err != nil {
		return nil, err
	}
	return s, nil
}

// link works out what each role inherits.
func (s *Snapshot) link() error {
	// One allocation each for all bitmaps: they live and die together.
	wide, long := bitmapWords(s.words.size()), bitmapWords(len(s.nodes))
	closures, reaches := make(bitmap, wide*len(s.nodes)), make(bitmap, long*len(s.nodes))
	for i := range s.nodes {
		n := &s.nodes[i]
		n.closure = closures[i*wide : (i+1)*wide : (i+1)*wide]
		n.reach = reaches[i*long : (i+1)*long : (i+1)*long]
		n.reach.set(i)
		for _, p := range n.role.Permissions {
			n.closure.set(s.words.index[p])
		}
		for _, name := range n.role.Inherits {
			p, ok := s.index[name]
			if !ok {
				return fault.At("inherits", "role %q inherits %q, which does not exist", n.role.Name, name)
			}
			n.parents = append(n.parents, p)
		}
		slices.Sort(n.parents)
	}
	w := walk{nodes: s.nodes, depth: make([]int, len(s.nodes))}
	for i := range s.nodes {
		if err := w.visit(i); err != nil {
			return err
		}
	}
	return nil
}

// walk goes up from each role to all that it inherits, once.
type walk struct {
	nodes []node
	depth []int // 0: not seen yet; -1: on the path; else how many levels it has
	path  []int
}

func (w *walk) visit(i int) error {
	n := &w.nodes[i]
	switch {
	case w.depth[i] > 0:
		return nil
	case w.depth[i] < 0:
		return fault.At("inherits", "roles would inherit in a circle: %s", w.circle(i))
	case len(w.path) == MaxDepth:
		return tooDeep(w.nodes[w.path[0]].role)
	}
	w.depth[i] = -1
	w.path = append(w.path, i)
	levels := 1
	for _, p := range n.parents {
		if err := w.visit(p); err != nil {
			return err
		}
		n.closure.or(w.nodes[p].closure)
		n.reach.or(w.nodes[p].reach)
		levels = max(levels, w.depth[p]+1)
	}
	if levels > MaxDepth {
		return tooDeep(n.role)
	}
	w.path = w.path[:len(w.path)-1]
	w.depth[i] = levels
	return nil
}

// circle returns the part of the path from role i on, closed: "a → b → a".
func (w *walk) circle(i int) string {
	var b strings.Builder
	for _, j := range w.path[slices.Index(w.path, i):] {
		b.WriteString(w.nodes[j].role.Name + " → ")
	}
	return b.String() + w.nodes[i].role.Name
}

func tooDeep(r Role) error {
	return fault.At("inherits", "role %q would stand on more than %d levels of roles", r.Name, MaxDepth)
}

// Version returns the version of the policy.
func (s *Snapshot) Version() int64 { return s.version }

// WithVersion returns the same roles at another version.
func (s *Snapshot) WithVersion(v int64) *Snapshot {
	c := *s
	c.version = v
	return &c
}

// Role returns a copy of the role with that name.
func (s *Snapshot) Role(name string) (Role, bool) {
	i, ok := s.index[name]
	if !ok {
		return Role{}, false
	}
	return s.nodes[i].role.clone(), true
}

// Roles returns copies of all roles, sorted by name.
func (s *Snapshot) Roles() []Role {
	roles := make([]Role, len(s.nodes))
	for i := range s.nodes {
		roles[i] = s.nodes[i].role.clone()
	}
	return roles
}

// Known reports whether some role holds the permission.
func (s *Snapshot) Known(permission string) bool {
	_, ok := s.words.bit(permission)
	return ok
}

// RolesReaching returns the names of all roles that hold what role holds: the
// role itself and those that inherit it, however far. It is empty for a role
// that does not exist, and sorted.
func (s *Snapshot) RolesReaching(role string) []string {
	i, ok := s.index[role]
	if !ok {
		return nil
	}
	return s.names(func(n *node) bool { return n.reach.has(i) })
}

// RolesHolding returns the names of all roles that hold every one of the
// permissions, themselves or by inheritance, sorted.
func (s *Snapshot) RolesHolding(permissions ...string) []string {
	wanted := s.Set(permissions)
	return s.names(func(n *node) bool { return s.set(n.closure).Covers(wanted) })
}

func (s *Snapshot) names(keep func(*node) bool) []string {
	var names []string
	for i := range s.nodes {
		if keep(&s.nodes[i]) {
			names = append(names, s.nodes[i].role.Name)
		}
	}
	return names
}

// Set returns the set of the permissions. Those that no role holds are in it
// too, so that only a Set that has them covers it; identity scopes are left
// out, since they need no permission.
func (s *Snapshot) Set(permissions []string) Set {
	return setOf(s.words, only(permissions, func(p string) bool { return !IdentityScope(p) }))
}

// All returns the set of everything, for operators at the machine: it has
// permissions that no role holds yet, and only itself covers it.
func (s *Snapshot) All() Set { return everything(s.words) }

// OfRole returns what the role holds, itself and by inheritance. It is empty
// for a role that does not exist.
func (s *Snapshot) OfRole(name string) Set {
	i, ok := s.index[name]
	if !ok {
		return Set{words: s.words, bits: newBitmap(s.words.size())}
	}
	return s.set(s.nodes[i].closure)
}

func (s *Snapshot) set(m bitmap) Set { return Set{words: s.words, bits: m} }

// Everywhere returns what grants add up to on the server and in all organizations
// together: what whoever touches their principal is held against.
func (s *Snapshot) Everywhere(grants []Grant, now time.Time) Set {
	held := newBitmap(s.words.size())
	for _, g := range grants {
		if i, ok := s.index[g.Role]; ok && g.Live(now) {
			held.or(s.nodes[i].closure)
		}
	}
	return s.set(held)
}

// Effective is what a principal may do at one moment.
type Effective struct {
	Set
	// ValidUntil is when the first of the grants that count ends, and with it
	// this answer; zero if none of them ends.
	ValidUntil time.Time

	roles []string
}

// Roles returns the names of the roles that count, inherited ones included,
// sorted.
func (e Effective) Roles() []string { return slices.Clone(e.roles) }

// Effective returns what the grants of one principal add up to in an
// organization, "" being the server as a whole. A grant counts in its own
// organization alone; one that has ended, or whose role is gone, counts
// nowhere.
func (s *Snapshot) Effective(grants []Grant, organization string, now time.Time) Effective {
	held, reached := newBitmap(s.words.size()), newBitmap(len(s.nodes))
	e := Effective{Set: s.set(held)}
	for _, g := range grants {
		i, ok := s.index[g.Role]
		if !ok || g.Organization != organization || !g.Live(now) {
			continue
		}
		if !g.Until.IsZero() && (e.ValidUntil.IsZero() || g.Until.Before(e.ValidUntil)) {
			e.ValidUntil = g.Until
		}
		if !reached.has(i) { // else all that it holds is there already
			held.or(s.nodes[i].closure)
			reached.or(s.nodes[i].reach)
		}
	}
	e.roles = make([]string, 0, reached.count())
	for i := range reached.all() {
		e.roles = append(e.roles, s.nodes[i].role.Name)
	}
	return e
}
