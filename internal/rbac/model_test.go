package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is roles by name, and the plainest way to say what they hold.
type model map[string]Role

// closure adds to held what a role holds, itself and by inheritance.
func (m model) closure(name string, held map[string]bool) {
	r, ok := m[name]
	if !ok {
		return
	}
	for _, p := range r.Permissions {
		held[p] = true
	}
	for _, parent := range r.Inherits {
		m.closure(parent, held)
	}
}

func (m model) holds(names ...string) map[string]bool {
	held := map[string]bool{}
	for _, n := range names {
		m.closure(n, held)
	}
	return held
}

// levels returns how many roles stand in the longest chain from name up, and
// more than limit for a chain that is longer or has no end.
func (m model) levels(name string, limit int) int {
	if limit == 0 {
		return 1
	}
	deepest := 0
	for _, parent := range m[name].Inherits {
		deepest = max(deepest, m.levels(parent, limit-1))
	}
	return deepest + 1
}

// reaches reports whether from inherits to in one step or more.
func (m model) reaches(from, to string, seen map[string]bool) bool {
	for _, parent := range m[from].Inherits {
		if parent == to {
			return true
		}
		if !seen[parent] {
			seen[parent] = true
			if m.reaches(parent, to, seen) {
				return true
			}
		}
	}
	return false
}

func (m model) cyclic() bool {
	for name := range m {
		if m.reaches(name, name, map[string]bool{}) {
			return true
		}
	}
	return false
}

func (m model) roles() []Role {
	var roles []Role
	for _, r := range m {
		roles = append(roles, r) // in any order
	}
	return roles
}

func sortedKeys(m map[string]bool) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

var somePermissions = []string{"a:read", "a:write", "b:read", "b:write", "c:read", "read", "write"}

// drawRoles draws up to n roles named r00, r01, …; a role inherits others from
// among those that candidates returns for its number.
func drawRoles(t *rapid.T, n int, candidates func(i int) []int) model {
	m := model{}
	for i := range n {
		r := Role{
			Name:        roleName(i),
			Permissions: rapid.SliceOfNDistinct(rapid.SampledFrom(somePermissions), 0, 3, rapid.ID[string]).Draw(t, "permissions"),
		}
		if from := candidates(i); len(from) > 0 {
			for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, min(3, len(from)), rapid.ID[int]).Draw(t, "parents") {
				r.Inherits = append(r.Inherits, roleName(p))
			}
		}
		m[r.Name] = r
	}
	return m
}

func roleName(i int) string { return fmt.Sprintf("r%02d", i) }

// upTo returns the numbers from 0 to n-1.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// drawAcyclic draws roles that inherit only roles of a smaller number.
func drawAcyclic(t *rapid.T) model {
	return drawRoles(t, rapid.IntRange(1, 8).Draw(t, "roles"), upTo)
}

func mustSnapshot(t testing.TB, roles ...Role) *Snapshot {
	t.Helper()
	s, err := NewSnapshot(1, roles)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// role reads "support: orders:read + viewer": name, permissions and, after the
// plus, parents.
func role(text string) Role {
	name, rest, _ := strings.Cut(text, ":")
	permissions, parents, _ := strings.Cut(rest, "+")
	return Role{Name: name, Permissions: strings.Fields(permissions), Inherits: strings.Fields(parents)}
}

func roles(lines ...string) []Role {
	var all []Role
	for _, l := range lines {
		all = append(all, role(l))
	}
	return all
}
