package decide_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/doorward/doorward/bench/decide"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

// store keeps the roles and grants of the measurement.
type store struct{ rbac.Store }

func (store) Policy(context.Context) ([]rbac.Role, int64, int64, error) {
	var roles []rbac.Role
	for _, r := range decide.Policy() {
		roles = append(roles, rbac.Role{Name: r.Name, Permissions: r.Permissions, Inherits: r.Inherits})
	}
	return roles, 1, 1, nil
}

func (store) Separations(context.Context) ([]rbac.Separation, error) { return nil, nil }

func (store) GrantsOf(_ context.Context, id string) ([]rbac.Grant, error) {
	var user int
	if _, err := fmt.Sscanf(id, "user-%d", &user); err != nil {
		return nil, err
	}
	var grants []rbac.Grant
	for _, role := range decide.RolesOf(user) {
		grants = append(grants, rbac.Grant{Role: role})
	}
	return grants, nil
}

type question struct {
	by         principal.Principal
	permission string
}

// asked returns a policy whose memory holds everybody that the questions are about.
func asked(t testing.TB, questions, users int) (*rbac.Policy, []question) {
	t.Helper()
	p := rbac.NewPolicy(store{}, clock.Wall())
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, yes := make([]question, questions), 0
	for i, q := range decide.Questions(questions, users) {
		list[i] = question{principal.Principal{Kind: principal.User, ID: decide.User(q.User), Scopes: []string{"openid", q.Permission}}, q.Permission}
		allowed, err := p.Allows(t.Context(), &list[i].by, q.Permission)
		if err != nil {
			t.Fatal(err)
		}
		if allowed {
			yes++
		} else if i%2 == 0 {
			t.Fatalf("%s lacks %s", decide.User(q.User), q.Permission)
		}
	}
	if yes < questions/2 || questions > 1 && yes == questions {
		t.Fatalf("%d of %d are allowed", yes, questions)
	}
	return p, list
}

var sink bool

func TestAllowsDoesNotAllocate(t *testing.T) {
	p, list := asked(t, 100, 10_000)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		q := &list[i%len(list)]
		i++
		sink, _ = p.Allows(t.Context(), &q.by, q.permission)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkAllows is a decision of the door that the server uses. "one" asks the same
// again, so that the processor has all of it at hand; "many" asks about 4,096 different
// principals in turn, so that it has not.
func BenchmarkAllows(b *testing.B) {
	for _, users := range []int{10_000, 1_000_000} {
		for name, questions := range map[string]int{"one": 1, "many": 4096} {
			b.Run(fmt.Sprintf("users=%d/%s", users, name), func(b *testing.B) {
				p, list := asked(b, questions, users)
				b.ReportAllocs()
				ctx, i := b.Context(), 0
				for b.Loop() {
					q := &list[i&(len(list)-1)]
					i++
					sink, _ = p.Allows(ctx, &q.by, q.permission)
				}
			})
		}
	}
}
