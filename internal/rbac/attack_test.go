package rbac

import (
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

// The cases of attacks.jsonl that concern this package alone. Each has its
// other half where requests are answered.

func TestAttackRBAC001GrantAboveOneself(t *testing.T) {
	s := mustSnapshot(t, append(Builtin(), roles("helpdesk: users:read users:write roles:grant")...)...)
	actor := s.OfRole("helpdesk")
	admin := s.OfRole(AdminRole)
	for _, role := range []string{AdminRole, "editor", "viewer"} {
		// Self, another, a new user, a service account: who receives it makes no difference.
		if err := MayGive(actor, s.OfRole(role)); fault.KindOf(err) != fault.Denied {
			t.Errorf("helpdesk gives %s: %v", role, err)
		}
	}
	if err := MayGive(actor, s.Set([]string{"users:write", "keys:write"})); fault.KindOf(err) != fault.Denied {
		t.Errorf("helpdesk makes a key above itself: %v", err)
	}
	if err := MayTouch(actor, admin); fault.KindOf(err) != fault.Denied {
		t.Errorf("helpdesk touches an admin: %v", err)
	}
	if err := MayGive(actor, actor); err != nil {
		t.Errorf("helpdesk gives helpdesk: %v", err)
	}
	if err := MayTouch(admin, actor); err != nil {
		t.Errorf("an admin touches helpdesk: %v", err)
	}
	// A token narrowed to part of its principal's rights gives that part alone.
	narrowed := admin.Intersect(s.Set([]string{"users:write"}))
	if err := MayGive(narrowed, actor); fault.KindOf(err) != fault.Denied {
		t.Errorf("an admin's narrowed token gives helpdesk: %v", err)
	}
}

func TestAttackRBAC002IndirectGrant(t *testing.T) {
	s := mustSnapshot(t, append(Builtin(), roles("helpdesk: users:write roles:write", "mine: users:write", "boss: x + mine")...)...)
	actor := s.OfRole("helpdesk")
	mine, _ := s.Role("mine")
	for _, text := range []string{"mine: users:write + admin", "mine: users:write + boss2", "mine: + boss", "mine: users:write admin", "mine: users:write sessions:read"} {
		after := role(text)
		if err := mayChangeRole(s, actor, &mine, &after); err == nil {
			t.Errorf("helpdesk changes its role to %s", text)
		}
	}
	for _, text := range []string{"new: + admin", "new: + editor", "new: x"} {
		after := role(text)
		if err := mayChangeRole(s, actor, nil, &after); fault.KindOf(err) != fault.Denied {
			t.Errorf("helpdesk creates %s: %v", text, err)
		}
	}
}

func TestAttackRBAC003RoleAsToldByTheCaller(t *testing.T) {
	s := mustSnapshot(t, append(Builtin(), roles("boss: x")...)...)
	actor := s.Set([]string{"a"})
	harmless := Role{Name: "boss", Permissions: []string{"a"}}
	if err := mayChangeRole(s, actor, &harmless, &harmless); fault.KindOf(err) != fault.Denied {
		t.Errorf("the caller's word for what the role holds was taken: %v", err)
	}
	plain := Role{Name: AdminRole}
	if err := mayChangeRole(s, s.All(), &plain, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the caller's word for what is built-in was taken: %v", err)
	}
}

func TestAttackRBAC004CyclesAndDepth(t *testing.T) {
	chain := func(n int) []Role {
		all := make([]Role, n)
		for i, name := range numbered("r", n) {
			all[i] = Role{Name: name, Permissions: []string{name}}
			if i > 0 {
				all[i].Inherits = []string{all[i-1].Name}
			}
		}
		return all
	}
	ring := chain(MaxRoles)
	ring[0].Inherits = []string{ring[MaxRoles-1].Name}
	small := chain(MaxDepth)
	small[0].Inherits = []string{small[MaxDepth-1].Name}
	for name, roles := range map[string][]Role{
		"2-cycle":              roles("a: + b", "b: + a"),
		"self":                 roles("a: + a"),
		"deep":                 chain(MaxDepth + 1),
		"chain of 10,000":      chain(MaxRoles),
		"ring of 10,000":       ring,
		"ring of the depth":    small,
		"deep, a branch of it": append(chain(MaxDepth), role("zz: + r00031")),
	} {
		if s, err := NewSnapshot(1, roles); s != nil || fault.KindOf(err) != fault.Invalid || len(err.Error()) > 4096 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := NewSnapshot(1, chain(MaxDepth)); err != nil || len(s.OfRole("r00031").Permissions()) != MaxDepth {
		t.Errorf("a chain of %d: %v", MaxDepth, err)
	}
	down := chain(MaxDepth) // the same, from the first name to the last
	for i := range down {
		down[i].Inherits = nil
		if i+1 < len(down) {
			down[i].Inherits = []string{down[i+1].Name}
		}
	}
	if s, err := NewSnapshot(1, down); err != nil || len(s.OfRole("r00000").Permissions()) != MaxDepth {
		t.Errorf("a chain of %d: %v", MaxDepth, err)
	}
	t.Run("parallel", func(t *testing.T) {
		s := mustSnapshot(t, roles("a: ", "b: ")...)
		// Each alone is good; the second, held against what the first made, is not.
		first, err := applyRole(s, role("a: + b"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := applyRole(s, role("b: + a")); err != nil {
			t.Fatal(err)
		}
		if _, err := applyRole(first, role("b: + a")); fault.KindOf(err) != fault.Invalid {
			t.Errorf("both together: %v", err)
		}
	})
	t.Run("2^31 ways up", func(t *testing.T) {
		all := roles("l00: deep", "r00: deep")
		for i := 1; i < MaxDepth; i++ {
			for _, side := range "lr" {
				all = append(all, role(fmt.Sprintf("%c%02d: + l%02d r%02d", side, i, i-1, i-1)))
			}
		}
		s := mustSnapshot(t, all...)
		d := s.Check("user:ana", []Grant{{Role: "r31"}}, nil, "deep", "", noon)
		if !d.Allowed || len(d.Path) != MaxDepth+2 || d.Path[2] != "role:l30" {
			t.Errorf("%+v", d)
		}
	})
	t.Run("100,000 grants", func(t *testing.T) {
		s := mustSnapshot(t, append(chain(MaxDepth), role("x: x"))...)
		grants := make([]Grant, 100_000)
		for i := range grants {
			grants[i].Role = s.nodes[i%MaxDepth].role.Name
		}
		e := s.Effective(grants, "", noon)
		if len(e.Roles()) != MaxDepth || e.Has("x") || s.Check("user:ana", grants, nil, "x", "", noon).Allowed {
			t.Errorf("%d roles", len(e.Roles()))
		}
	})
}

// TestAttackRBAC012Wildcards is the table of what a permission matches: itself,
// byte by byte, and nothing else.
func TestAttackRBAC012Wildcards(t *testing.T) {
	held := []string{"users:read", "users", "orders:read:own", "..", "A:b"}
	s := mustSnapshot(t, Role{Name: "r", Permissions: held})
	grants := []Grant{{Role: "r"}}
	e := s.Effective(grants, "", noon)
	for _, tt := range []struct {
		asked string
		held  bool
	}{
		{"users:read", true},
		{"users", true},
		{"orders:read:own", true},
		{"..", true},
		{"A:b", true},
		{"users:*", false},
		{"*", false},
		{"**", false},
		{"*:*", false},
		{"", false},
		{":", false},
		{"users:read:secret", false},
		{"users:rea", false},
		{"users:reads", false},
		{"users:", false},
		{"user", false},
		{"users:write", false},
		{"orders:read", false},
		{"orders", false},
		{"orders:read:*", false},
		{"orders:read:owner", false},
		{"users:read ", false},
		{" users:read", false},
		{"users:read\n", false},
		{"users:read\x00", false},
		{"users:read,users", false},
		{"users:read users", false},
		{"Users:read", false},
		{"USERS:READ", false},
		{"a:b", false},
		{"A:B", false},
		{"uſers:read", false},
		{"users：read", false},
		{"usеrs:read", false},
		{"users:read\u200b", false},
		{"users%3Aread", false},
		{".", false},
		{"...", false},
		{"../users", false},
		{"users:read/..", false},
		{"us?rs:read", false},
		{"users:[a-z]ead", false},
		{"users:.*", false},
	} {
		if got := e.Has(tt.asked); got != tt.held {
			t.Errorf("Has(%q) = %t", tt.asked, got)
		}
		if d := s.Check("user:ana", grants, []string{tt.asked}, tt.asked, "", noon); d.Allowed != tt.held {
			t.Errorf("Check(%q) = %+v", tt.asked, d)
		}
	}
	for _, wild := range []string{"*", "users:*", "*:read", "users:**", "users:r*d"} {
		if _, err := ParsePermission(wild); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "no wildcards") {
			t.Errorf("ParsePermission(%q): %v", wild, err)
		}
		if _, err := applyRole(s, Role{Name: "w", Permissions: []string{wild}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a role that holds %q: %v", wild, err)
		}
		// Should one come from elsewhere, it means nothing: not even to an operator.
		if set := s.Set([]string{wild}); set.Has("users:read") || s.All().Covers(set) || !e.Intersect(set).Empty() {
			t.Errorf("%q in a set means something", wild)
		}
	}
}
