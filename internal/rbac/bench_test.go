package rbac

import (
	"fmt"
	"testing"
	"time"
)

// The size of the target: 10,000 users, 1,000 roles, 10,000 permissions. Each
// role holds ten of its own and inherits the two roles that stand at half and
// at a third of its number, so that the longest chain has ten.
const benchUsers, benchRoles, benchPermissions = 10_000, 1_000, 10_000

func benchPolicy() []Role {
	all := make([]Role, benchRoles)
	for i := range all {
		all[i].Name = fmt.Sprintf("role-%04d", i)
		for j := range benchPermissions / benchRoles {
			all[i].Permissions = append(all[i].Permissions, benchPermission(i*10+j))
		}
		if i > 3 {
			all[i].Inherits = []string{all[i/2].Name, all[i/3].Name}
		}
	}
	return all
}

func benchPermission(i int) string {
	return fmt.Sprintf("resource-%03d:action-%02d", i%benchPermissions/100, i%100)
}

func benchGrants(user int) []Grant {
	return []Grant{
		{Role: fmt.Sprintf("role-%04d", user%benchRoles)},
		{Role: fmt.Sprintf("role-%04d", user*7%benchRoles), Until: noon.Add(time.Hour)},
		{Role: fmt.Sprintf("role-%04d", user*13%benchRoles)},
	}
}

var sink bool

func TestHasDoesNotAllocate(t *testing.T) {
	s := mustSnapshot(t, benchPolicy()...)
	e, p := s.Effective(benchGrants(900), "", noon), benchPermission(9000)
	if !e.Has(p) || s.Set([]string{"new:word"}).Has(p) {
		t.Fatal("it does not hold what it should")
	}
	given, all := s.Set([]string{"new:word"}), s.All()
	if n := testing.AllocsPerRun(100, func() {
		for _, a := range []Set{e.Set, given, all} {
			sink = a.Has(p)
			sink = a.Has("new:word")
			sink = a.Covers(given)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHas(b *testing.B) {
	s := mustSnapshot(b, benchPolicy()...)
	e, p := s.Effective(benchGrants(900), "", noon), benchPermission(9000)
	b.ReportAllocs()
	for b.Loop() {
		sink = e.Has(p)
	}
}

// BenchmarkHasAnyUser asks for another user and another permission each time,
// so that neither is in the processor's nearest cache.
func BenchmarkHasAnyUser(b *testing.B) {
	s := mustSnapshot(b, benchPolicy()...)
	users, permissions := make([]Effective, benchUsers), make([]string, benchPermissions)
	for i := range users {
		users[i] = s.Effective(benchGrants(i), "", noon)
		permissions[i] = benchPermission(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		sink = users[i*7919%benchUsers].Has(permissions[i*104729%benchPermissions])
	}
}

func BenchmarkEffective(b *testing.B) {
	s := mustSnapshot(b, benchPolicy()...)
	grants := benchGrants(900)
	b.ReportAllocs()
	for b.Loop() {
		sink = s.Effective(grants, "", noon).Empty()
	}
}

func BenchmarkCheck(b *testing.B) {
	s := mustSnapshot(b, benchPolicy()...)
	grants := benchGrants(900)
	for name, permission := range map[string]string{"allowed": benchPermission(10), "denied": benchPermission(9995)} {
		if s.Check("user:ana", grants, nil, permission, "", noon).Allowed != (name == "allowed") {
			b.Fatal(name)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = s.Check("user:ana", grants, nil, permission, "", noon).Allowed
			}
		})
	}
}

func BenchmarkMayGive(b *testing.B) {
	s := mustSnapshot(b, benchPolicy()...)
	actor, given := s.All(), s.OfRole("role-0900")
	b.ReportAllocs()
	for b.Loop() {
		sink = MayGive(actor, given) == nil
	}
}

func BenchmarkNewSnapshot(b *testing.B) {
	policy := benchPolicy()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewSnapshot(1, policy); err != nil {
			b.Fatal(err)
		}
	}
}
