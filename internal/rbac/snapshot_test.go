package rbac

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/fault"
)

func TestNewSnapshotRefuses(t *testing.T) {
	many := make([]Role, MaxRoles+1)
	for i, n := range numbered("r", len(many)) {
		many[i].Name = n
	}
	var wide []Role // more than 100,000 permissions together
	for _, letter := range "abcdefghijk" {
		wide = append(wide, Role{Name: string(letter), Permissions: numbered(string(letter), 10_000)})
	}
	for _, tt := range []struct {
		name  string
		roles []Role
		kind  fault.Kind
		says  string
	}{
		{"unknown parent", roles("a: x + b"), fault.Invalid, `"a" inherits "b", which does not exist`},
		{"parent of another case", []Role{{Name: "a"}, {Name: "b", Inherits: []string{"A"}}}, fault.Invalid, `role "b": inherits[0]`},
		{"name twice", roles("a: x", "a: y"), fault.Conflict, `two roles named "a"`},
		{"not valid", roles("a: x", "b: *"), fault.Invalid, `role "b": permissions[0]`},
		{"self", roles("a: x + a"), fault.Invalid, "a → a"},
		{"two", roles("b: x + a", "a: y + b"), fault.Invalid, "a → b → a"},
		{"three, entered from outside", roles("a: + c", "b: + d", "c: + b", "d: + c"), fault.Invalid, "c → b → d → c"},
		{"beside a good path", roles("a: + b c", "b: ", "c: + d", "d: + b c"), fault.Invalid, "c → d → c"},
		{"too many roles", many, fault.Conflict, "at most 10000 roles"},
		{"too many permissions", wide, fault.Conflict, "at most 100000 different permissions"},
	} {
		s, err := NewSnapshot(1, tt.roles)
		if s != nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, %v; want %v: … %s …", tt.name, s, err, tt.kind, tt.says)
		}
	}
	if _, err := NewSnapshot(1, many[:MaxRoles]); err != nil {
		t.Errorf("%d roles: %v", MaxRoles, err)
	}
	e, _ := errors.AsType[*fault.Error](func() error { _, err := NewSnapshot(1, roles("a: + a")); return err }())
	if e == nil || e.Field != "inherits" {
		t.Errorf("a circle is told at %+v; want the field inherits", e)
	}
}

// TestClosureIsTheModel holds what a snapshot says of inheritance to the
// plainest recursion over the same roles.
func TestClosureIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawAcyclic(t)
		s, err := NewSnapshot(7, m.roles())
		if err != nil {
			t.Fatalf("an acyclic graph was refused: %v", err)
		}
		known := map[string]bool{}
		for name := range m {
			held := m.holds(name)
			if got := s.OfRole(name).Permissions(); !slices.Equal(got, sortedKeys(held)) {
				t.Fatalf("%s holds %v; want %v", name, got, sortedKeys(held))
			}
			reaching := map[string]bool{name: true}
			for other := range m {
				if m.reaches(other, name, map[string]bool{}) {
					reaching[other] = true
				}
			}
			if got := s.RolesReaching(name); !slices.Equal(got, sortedKeys(reaching)) {
				t.Fatalf("roles reaching %s: %v; want %v", name, got, sortedKeys(reaching))
			}
			for p := range held {
				known[p] = true
			}
		}
		for _, p := range somePermissions {
			holding := map[string]bool{}
			for name := range m {
				if m.holds(name)[p] {
					holding[name] = true
				}
			}
			if got := s.RolesHolding(p); !slices.Equal(got, sortedKeys(holding)) || s.Known(p) != known[p] {
				t.Fatalf("roles holding %s: %v, known %t; want %v", p, got, s.Known(p), sortedKeys(holding))
			}
		}
		if got := s.All().Permissions(); !slices.Equal(got, sortedKeys(known)) {
			t.Fatalf("all permissions: %v; want %v", got, sortedKeys(known))
		}
	})
}

// TestCirclesAreRefused draws any graph, with circles and without, shallow and
// deep: it is taken exactly if it has no circle and no chain over MaxDepth.
func TestCirclesAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		m := model{}
		up := rapid.SampledFrom([]int{-1, 1}).Draw(t, "up")
		for i := range n { // a chain, with gaps, in the order of names or against it
			r := Role{Name: roleName(i)}
			if next := i + up; next >= 0 && next < n && rapid.IntRange(0, 40).Draw(t, "gap") > 0 {
				r.Inherits = []string{roleName(next)}
			}
			m[r.Name] = r
		}
		for range rapid.IntRange(0, 3).Draw(t, "more") { // and edges to anywhere
			from, to := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
			if r := m[roleName(from)]; !slices.Contains(r.Inherits, roleName(to)) {
				r.Inherits = append(r.Inherits, roleName(to))
				m[r.Name] = r
			}
		}
		deep := false
		for name := range m {
			deep = deep || !m.cyclic() && m.levels(name, MaxDepth) > MaxDepth
		}
		_, err := NewSnapshot(1, m.roles())
		if refused := m.cyclic() || deep; refused != (err != nil) {
			t.Fatalf("cyclic %t, deep %t: %v", m.cyclic(), deep, err)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("a %v fault: %v", fault.KindOf(err), err)
		}
		if err != nil {
			circleExists(t, m, err.Error())
		}
	})
}

// circleExists fails if a message names a circle that is not one.
func circleExists(t *rapid.T, m model, message string) {
	_, circle, ok := strings.Cut(message, "circle: ")
	if !ok {
		return
	}
	names := strings.Split(circle, " → ")
	if len(names) < 2 || names[0] != names[len(names)-1] {
		t.Fatalf("not closed: %s", circle)
	}
	for i := range names[1:] {
		if !slices.Contains(m[names[i]].Inherits, names[i+1]) {
			t.Fatalf("%s does not inherit %s: %s", names[i], names[i+1], circle)
		}
	}
}

func TestSnapshotKeepsItsOwn(t *testing.T) {
	given := roles("b: x + a", "a: y")
	s := mustSnapshot(t, given...)
	before := s.Roles()
	given[0].Permissions[0], given[0].Inherits[0] = "admin", "b"
	one, _ := s.Role("b")
	one.Permissions[0], one.Inherits[0] = "admin", "b"
	all := s.Roles()
	all[0].Permissions[0] = "admin"
	s.OfRole("b").Permissions()[0] = "admin"
	e := s.Effective([]Grant{{Role: "b"}}, "", noon)
	e.Roles()[0] = "admin"
	s.OfRole("b").Intersect(s.OfRole("a"))
	s.OfRole("b").Minus(s.OfRole("a"))
	if _, err := applyRole(s, role("a: z")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.Roles()); diff != "" || s.Known("admin") || s.Known("z") {
		t.Errorf("somebody changed the snapshot: %s", diff)
	}
	if got := s.OfRole("b").Permissions(); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("b holds %v", got)
	}
	if got := e.Roles(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("effective roles %v", got)
	}
	if got := before[0].Name + before[1].Name; got != "ab" {
		t.Errorf("roles come as %s", got)
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	s := mustSnapshot(t)
	_, ok := s.Role("a")
	e := s.Effective([]Grant{{Role: "a"}}, "", noon)
	if ok || s.Known("") || len(s.Roles()) > 0 || s.RolesReaching("a") != nil || !s.OfRole("a").Empty() || !e.Empty() || len(e.Roles()) > 0 || e.Has("x") {
		t.Error("there is something in nothing")
	}
	if !s.All().Has("x") || s.All().Empty() {
		t.Error("an operator holds nothing")
	}
}

func TestWithVersion(t *testing.T) {
	s := mustSnapshot(t, roles("a: x")...)
	u := s.WithVersion(9)
	if s.Version() != 1 || u.Version() != 9 || !u.OfRole("a").Covers(s.OfRole("a")) || !u.Known("x") {
		t.Errorf("versions %d and %d", s.Version(), u.Version())
	}
}

func TestEffective(t *testing.T) {
	s := mustSnapshot(t, roles("viewer: read", "support: orders:read + viewer", "boss: orders:write + support")...)
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	for _, tt := range []struct {
		name         string
		grants       []Grant
		organization string
		permissions  string
		roles        string
		until        time.Time
	}{
		{"none", nil, "", "", "", time.Time{}},
		{"one", []Grant{{Role: "viewer"}}, "", "read", "viewer", time.Time{}},
		{"inherited", []Grant{{Role: "boss"}}, "", "orders:read orders:write read", "boss support viewer", time.Time{}},
		{"twice", []Grant{{Role: "support"}, {Role: "support"}}, "", "orders:read read", "support viewer", time.Time{}},
		{"ends", []Grant{{Role: "viewer"}, {Role: "support", Until: hour(2)}}, "", "orders:read read", "support viewer", hour(2)},
		{"first end", []Grant{{Role: "viewer", Until: hour(3)}, {Role: "support", Until: hour(1)}, {Role: "boss", Until: hour(2)}}, "", "orders:read orders:write read", "boss support viewer", hour(1)},
		{"end of what is held anyway", []Grant{{Role: "boss"}, {Role: "viewer", Until: hour(1)}}, "", "orders:read orders:write read", "boss support viewer", hour(1)},

		{"ended", []Grant{{Role: "boss", Until: hour(-1)}}, "", "", "", time.Time{}},
		{"ends now", []Grant{{Role: "boss", Until: noon}}, "", "", "", time.Time{}},
		{"ended beside live", []Grant{{Role: "viewer"}, {Role: "boss", Until: hour(-1)}}, "", "read", "viewer", time.Time{}},
		{"role is gone", []Grant{{Role: "root", Until: hour(1)}}, "", "", "", time.Time{}},
		{"no role", []Grant{{}}, "", "", "", time.Time{}},
		{"another case", []Grant{{Role: "Boss"}}, "", "", "", time.Time{}},
		{"organization's grant outside", []Grant{{Role: "boss", Organization: "acme", Until: hour(1)}}, "", "", "", time.Time{}},
		{"another organization", []Grant{{Role: "boss", Organization: "acme"}}, "evil", "", "", time.Time{}},
		{"the server's grant in an organization", []Grant{{Role: "boss"}}, "acme", "", "", time.Time{}},
		{"its own organization", []Grant{{Role: "viewer", Organization: "acme"}, {Role: "boss"}}, "acme", "read", "viewer", time.Time{}},
	} {
		e := s.Effective(tt.grants, tt.organization, noon)
		permissions, names := strings.Join(e.Permissions(), " "), strings.Join(e.Roles(), " ")
		if permissions != tt.permissions || names != tt.roles || !e.ValidUntil.Equal(tt.until) {
			t.Errorf("%s: %q by %q until %v; want %q by %q until %v", tt.name, permissions, names, e.ValidUntil, tt.permissions, tt.roles, tt.until)
		}
	}
}

func TestSnapshotIsShared(t *testing.T) {
	s := mustSnapshot(t, roles("viewer: read", "support: orders:read + viewer")...)
	grants := []Grant{{Role: "support"}}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				e := s.Effective(grants, "", noon)
				d := s.Check("user:ana", grants, nil, "read", "", noon)
				next, err := applyRole(s, role("viewer: read write"))
				if err != nil || !e.Has("read") || !d.Allowed || !next.OfRole("support").Covers(e.Set) {
					t.Errorf("%v %v", d, err)
				}
			}
		})
	}
	group.Wait()
}
