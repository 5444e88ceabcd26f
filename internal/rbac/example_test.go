package rbac_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/rbac"
)

func ExampleSnapshot_Check() {
	s, err := rbac.NewSnapshot(1, []rbac.Role{
		{Name: "viewer", Permissions: []string{"orders:read"}},
		{Name: "support", Permissions: []string{"orders:write"}, Inherits: []string{"viewer"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	grants := []rbac.Grant{{Principal: "ana", Role: "support", Until: now.Add(time.Hour)}}

	fmt.Println(s.Effective(grants, "", now).Has("orders:read"))
	fmt.Println(strings.Join(s.Check("user:ana", grants, nil, "orders:read", "", now).Path, " → "))
	fmt.Println(s.Check("user:ana", grants, nil, "orders:read", "", now.Add(time.Hour)).Reason)
	// Output:
	// true
	// user:ana → role:support → role:viewer → orders:read
	// user:ana had "orders:read" through role "support", but that grant ended at 2026-11-24T13:00:00Z.
}

func ExampleMayGive() {
	s, err := rbac.NewSnapshot(1, rbac.Builtin())
	if err != nil {
		fmt.Println(err)
		return
	}
	helpdesk := s.Set([]string{"users:read", "users:write", "roles:grant", "read"})
	fmt.Println(rbac.MayGive(helpdesk, s.OfRole("viewer")))
	fmt.Println(rbac.MayGive(helpdesk, s.OfRole("editor")))
	// Output:
	// <nil>
	// you cannot give what you do not hold yourself: write
}
