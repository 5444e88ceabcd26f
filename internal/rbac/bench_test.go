package rbac

import (
	"testing"
	"time"

	"github.com/doorward/doorward/bench/decide"
)

const benchUsers, benchPermissions = 10_000, decide.Permissions

func benchPolicy() []Role {
	var all []Role
	for _, r := range decide.Policy() {
		all = append(all, Role{Name: r.Name, Permissions: r.Permissions, Inherits: r.Inherits})
	}
	return all
}

func benchPermission(i int) string { return decide.Permission(i) }

func benchGrants(user int) []Grant {
	roles := decide.RolesOf(user)
	return []Grant{{Role: roles[0]}, {Role: roles[1], Until: noon.Add(time.Hour)}, {Role: roles[2]}}
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
