package rbac

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCheck(t *testing.T) {
	s := mustSnapshot(t, roles(
		"viewer: read",
		"support: orders:read + viewer",
		"boss: orders:write + support",
		"clerk: invoices:read + viewer",
		"auditor: invoices:read",
		"lead: + support clerk",
		"twin: + auditor clerk",
		"s1: many", "s2: many", "s3: many", "s4: many", "s5: many", "s6: many", "s7: many",
	)...)
	grant := func(names ...string) (grants []Grant) {
		for _, n := range names {
			grants = append(grants, Grant{Role: n})
		}
		return grants
	}
	ended := func(role string, hours int) Grant {
		return Grant{Role: role, Until: noon.Add(-time.Duration(hours) * time.Hour)}
	}
	for _, tt := range []struct {
		name       string
		grants     []Grant
		scopes     []string
		permission string
		want       Decision // without Permission
	}{
		{"directly", grant("viewer"), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:viewer", "read"}}},
		{"inherited", grant("boss"), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:boss", "role:support", "role:viewer", "read"}}},
		{"the shortest", grant("boss", "support"), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:support", "role:viewer", "read"}}},
		{"the first of the shortest", grant("support", "clerk"), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:clerk", "role:viewer", "read"}}},
		{"the first of the shortest above", grant("lead"), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:lead", "role:clerk", "role:viewer", "read"}}},
		{"by either parent", grant("twin"), nil, "invoices:read", Decision{Allowed: true, Path: []string{"user:ana", "role:twin", "role:auditor", "invoices:read"}}},
		{"within the scope", grant("viewer"), []string{"openid", "read"}, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:viewer", "read"}}},
		{"live beside ended", append(grant("viewer"), ended("viewer", 1)), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:viewer", "read"}}},

		{"by a group", []Grant{{Role: "support", Group: "desk"}}, nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "group:desk", "role:support", "role:viewer", "read"}}},
		{"by the first of two groups", []Grant{{Role: "viewer", Group: "staff"}, {Role: "viewer", Group: "desk"}}, nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "group:desk", "role:viewer", "read"}}},
		{"by itself and a group", []Grant{{Role: "viewer", Group: "desk"}, {Role: "viewer"}}, nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:viewer", "read"}}},
		{"no longer by itself than by a group", append(grant("support"), Grant{Role: "viewer", Group: "desk"}), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "role:support", "role:viewer", "read"}}},
		{"shorter by a group", append(grant("boss"), Grant{Role: "viewer", Group: "desk"}), nil, "read", Decision{Allowed: true, Path: []string{"user:ana", "group:desk", "role:viewer", "read"}}},
		{"by a group until now", []Grant{{Role: "viewer", Group: "desk", Until: noon}}, nil, "read", Decision{Missing: []string{"boss", "clerk", "lead", "support", "twin", "viewer"}, Reason: `user:ana had "read" through group "desk" and role "viewer", but that grant ended at 2026-11-24T12:00:00Z.`}},

		{"narrowed", grant("viewer"), []string{"write"}, "read", Decision{NarrowedBy: "scope", Reason: `user:ana may use "read", but the scope of this credential does not carry it.`}},
		{"narrowed to nothing", grant("viewer"), []string{}, "read", Decision{NarrowedBy: "scope", Reason: `user:ana may use "read", but the scope of this credential does not carry it.`}},
		{"narrowed, part of a word", grant("viewer"), []string{"read:all", "rea", "READ", "read "}, "read", Decision{NarrowedBy: "scope", Reason: `user:ana may use "read", but the scope of this credential does not carry it.`}},
		{"narrowed by a wildcard", grant("viewer"), []string{"*"}, "read", Decision{NarrowedBy: "scope", Reason: `user:ana may use "read", but the scope of this credential does not carry it.`}},
		{"the scope alone gives nothing", nil, []string{"orders:write"}, "orders:write", Decision{Missing: []string{"boss"}, Reason: `user:ana has none of the roles that hold "orders:write": boss.`}},
		{"another role", grant("viewer"), nil, "orders:read", Decision{Missing: []string{"boss", "lead", "support"}, Reason: `user:ana has none of the roles that hold "orders:read": boss, lead, support.`}},
		{"no grants", nil, nil, "many", Decision{Missing: []string{"s1", "s2", "s3", "s4", "s5", "s6", "s7"}, Reason: `user:ana has none of the roles that hold "many": s1, s2, s3, s4, s5 and 2 more.`}},
		{"ended", []Grant{ended("support", 2), ended("boss", 1), ended("lead", 3), ended("auditor", 0)}, nil, "read", Decision{Missing: []string{"boss", "clerk", "lead", "support", "twin", "viewer"}, Reason: `user:ana had "read" through role "boss", but that grant ended at 2026-11-24T11:00:00Z.`}},
		{"ended and narrowed", []Grant{ended("viewer", 1)}, []string{"write"}, "orders:write", Decision{Missing: []string{"boss"}, Reason: `user:ana has none of the roles that hold "orders:write": boss.`}},
		{"a role that is gone", grant("root"), nil, "orders:write", Decision{Missing: []string{"boss"}, Reason: `user:ana has none of the roles that hold "orders:write": boss.`}},
		{"in another organization", []Grant{{Role: "boss", Organization: "acme"}}, nil, "orders:write", Decision{NarrowedBy: "organization", Missing: []string{"boss"}, Reason: `user:ana may use "orders:write" in an organization, but not on the server as a whole.`}},
		{"ended in another organization", []Grant{{Role: "boss", Organization: "acme", Until: noon}}, nil, "orders:write", Decision{Missing: []string{"boss"}, Reason: `user:ana has none of the roles that hold "orders:write": boss.`}},
		{"unknown", grant("boss"), nil, "orders:fly", Decision{Reason: `No role holds "orders:fly".`}},
		{"unknown in this case", grant("boss"), []string{"Orders:write"}, "Orders:write", Decision{Reason: `No role holds "Orders:write".`}},
		{"an identity scope", grant("boss"), []string{"openid"}, "openid", Decision{Reason: `This can never be allowed: "openid" is an identity scope: everybody has it, so no role can give it.`}},
		{"nothing", grant("boss"), []string{""}, "", Decision{Reason: `This can never be allowed: a permission is empty.`}},
	} {
		got := s.Check("user:ana", tt.grants, tt.scopes, tt.permission, "", noon)
		tt.want.Permission = tt.permission
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestCheckAgreesWithEffective holds the two ways to ask to one answer, the
// path to the roles, and every refusal to a reason.
func TestCheckAgreesWithEffective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawAcyclic(t)
		s, err := NewSnapshot(1, m.roles())
		if err != nil {
			t.Fatal(err)
		}
		var grants []Grant
		var live, elsewhere []string
		for range rapid.IntRange(0, 4).Draw(t, "grants") {
			g := Grant{
				Role:         roleName(rapid.IntRange(0, len(m)).Draw(t, "role")), // one past the end is gone
				Organization: rapid.SampledFrom([]string{"", "", "acme"}).Draw(t, "organization"),
				Until:        rapid.SampledFrom([]time.Time{{}, noon, noon.Add(time.Hour)}).Draw(t, "until"),
			}
			grants = append(grants, g)
			switch {
			case g.Until.Equal(noon):
			case g.Organization == "":
				live = append(live, g.Role)
			default:
				elsewhere = append(elsewhere, g.Role)
			}
		}
		var scopes []string
		if rapid.Bool().Draw(t, "narrowed") {
			scopes = rapid.SliceOfN(rapid.SampledFrom(somePermissions), 0, 5).Draw(t, "scopes")
			scopes = append([]string{}, scopes...)
		}
		held, there := m.holds(live...), m.holds(elsewhere...)
		e := s.Effective(grants, "", noon)
		for _, p := range append([]string{"*", "", "openid", "a", "a:*"}, somePermissions...) {
			d := s.Check("user:ana", grants, scopes, p, "", noon)
			carried := scopes == nil || slices.Contains(scopes, p)
			if e.Has(p) != held[p] || d.Allowed != (held[p] && carried) {
				t.Fatalf("%q: Has %t, Check %+v; want held %t, carried %t", p, e.Has(p), d, held[p], carried)
			}
			narrowed := ""
			switch {
			case held[p] && !carried:
				narrowed = "scope"
			case !held[p] && there[p]:
				narrowed = "organization"
			}
			if d.Allowed == (d.Reason != "") || d.Allowed != (d.Path != nil) || d.NarrowedBy != narrowed {
				t.Fatalf("%q: %+v", p, d)
			}
			if d.Allowed {
				pathLeads(t, m, live, d)
			} else if !slices.Equal(d.Missing, rolesWith(m, p, held[p])) {
				t.Fatalf("%q: missing %v", p, d.Missing)
			}
		}
	})
}

func rolesWith(m model, permission string, held bool) []string {
	var names []string
	for name := range m {
		if !held && m.holds(name)[permission] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// pathLeads fails unless a decision's path goes from a live role, parent by
// parent, to a role that holds the permission itself, in the fewest steps.
func pathLeads(t *rapid.T, m model, live []string, d Decision) {
	names := []string{}
	for _, step := range d.Path[1 : len(d.Path)-1] {
		names = append(names, strings.TrimPrefix(step, "role:"))
	}
	if d.Path[0] != "user:ana" || d.Path[len(d.Path)-1] != d.Permission || !slices.Contains(live, names[0]) {
		t.Fatalf("path %v", d.Path)
	}
	for i, parent := range names[1:] {
		if !slices.Contains(m[names[i]].Inherits, parent) {
			t.Fatalf("%s does not inherit %s", names[i], parent)
		}
	}
	if !slices.Contains(m[names[len(names)-1]].Permissions, d.Permission) {
		t.Fatalf("the path %v ends at a role without %s", d.Path, d.Permission)
	}
	shortest := len(m) + 1
	for _, name := range live {
		shortest = min(shortest, m.distance(name, d.Permission))
	}
	if len(names) != shortest {
		t.Fatalf("path %v has %d roles; %d are enough", d.Path, len(names), shortest)
	}
}

// distance returns how many roles stand on the shortest way from a role to a
// permission; more than there are if there is none.
func (m model) distance(name, permission string) int {
	if slices.Contains(m[name].Permissions, permission) {
		return 1
	}
	least := len(m) + 1
	for _, parent := range m[name].Inherits {
		least = min(least, 1+m.distance(parent, permission))
	}
	return least
}
