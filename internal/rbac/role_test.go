package rbac

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return names
}

func TestRoleValidate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		role  Role
		field string // where the fault is; empty if there is none
	}{
		{"least", Role{Name: "a"}, ""},
		{"full", Role{Name: "support", Description: "Liest Aufträge 👀", Permissions: []string{"orders:read", "orders:Read"}, Inherits: []string{"viewer"}}, ""},
		{"at the bounds", Role{Name: "a", Description: strings.Repeat("x", 1000), Permissions: numbered("p", 10_000), Inherits: numbered("r", 100)}, ""},

		{"no name", Role{}, "name"},
		{"bad name", Role{Name: "Admin"}, "name"},
		{"long description", Role{Name: "a", Description: strings.Repeat("x", 1001)}, "description"},
		{"long in bytes", Role{Name: "a", Description: strings.Repeat("é", 501)}, "description"},
		{"line break", Role{Name: "a", Description: "one\ntwo"}, "description"},
		{"escape", Role{Name: "a", Description: "\x1b[31mred"}, "description"},
		{"nul", Role{Name: "a", Description: "a\x00b"}, "description"},
		{"C1 control", Role{Name: "a", Description: "a\u009bb"}, "description"},
		{"not UTF-8", Role{Name: "a", Description: "\xff"}, "description"},
		{"too many permissions", Role{Name: "a", Permissions: numbered("p", 10_001)}, "permissions"},
		{"too many parents", Role{Name: "a", Inherits: numbered("r", 101)}, "inherits"},
		{"permission twice", Role{Name: "a", Permissions: []string{"x", "y", "x"}}, "permissions[2]"},
		{"parent twice", Role{Name: "a", Inherits: []string{"b", "b"}}, "inherits[1]"},
		{"wildcard", Role{Name: "a", Permissions: []string{"x", "*"}}, "permissions[1]"},
		{"two words", Role{Name: "a", Permissions: []string{"x admin"}}, "permissions[0]"},
		{"identity scope", Role{Name: "a", Permissions: []string{"openid"}}, "permissions[0]"},
		{"empty permission", Role{Name: "a", Permissions: []string{""}}, "permissions[0]"},
		{"bad parent", Role{Name: "a", Inherits: []string{"../admin"}}, "inherits[0]"},
		{"empty parent", Role{Name: "a", Inherits: []string{""}}, "inherits[0]"},
	} {
		err := tt.role.Validate()
		if tt.field == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.Invalid || e.Field != tt.field {
			t.Errorf("%s: %v; want an Invalid fault at %s", tt.name, err, tt.field)
		}
	}
}

func TestBuiltin(t *testing.T) {
	s, err := NewSnapshot(1, Builtin())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ role, holds string }{
		{"viewer", "read"},
		{"editor", "read write"},
		{AdminRole, "admin audit:read clients:read clients:write keys:read keys:write organizations:read organizations:write read resources:read resources:write roles:grant roles:read roles:write sessions:read sessions:write users:read users:write write"},
	} {
		if got := strings.Join(s.OfRole(tt.role).Permissions(), " "); got != tt.holds {
			t.Errorf("%s holds %s; want %s", tt.role, got, tt.holds)
		}
		if r, ok := s.Role(tt.role); !ok || !r.Builtin || !builtinName(tt.role) {
			t.Errorf("%s is not built-in", tt.role)
		}
	}
	if n := len(s.Roles()); n != 3 {
		t.Errorf("there are %d built-in roles", n)
	}
	Builtin()[0].Permissions[0] = "admin"
	if !slices.Equal(Builtin()[0].Permissions, []string{"read"}) {
		t.Error("a caller changed the built-in roles")
	}
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestGrantLive(t *testing.T) {
	for _, tt := range []struct {
		until time.Time
		live  bool
	}{
		{time.Time{}, true},
		{noon.Add(time.Microsecond), true},
		{noon, false}, // the end is the first moment without it
		{noon.Add(-time.Microsecond), false},
		{noon.In(time.FixedZone("", 3600)), false},
		{time.Unix(0, 0), false}, // the epoch is not "no end"
	} {
		if got := (Grant{Until: tt.until}).Live(noon); got != tt.live {
			t.Errorf("until %v: live = %t at %v", tt.until, got, noon)
		}
	}
}
