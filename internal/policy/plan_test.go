package policy

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

// crowd is a store with many people in few kinds of roles.
type crowd struct {
	Store
	people int
}

func (c crowd) PolicyState(_ context.Context, begin func(State) (func(Holder) error, error)) error {
	see, err := begin(State{Version: 7, Roles: append(rbac.Builtin(), rbac.Role{Name: "support", Permissions: []string{"orders:read"}})})
	if err != nil {
		return err
	}
	for i := range c.people {
		name := fmt.Sprintf("p%06d", c.people-i)
		role := "support"
		if i%10 == 0 {
			role = "viewer"
		}
		h := Holder{Subject: Subject{principal.User, name}, ID: name, Active: i%100 != 1, Grants: []rbac.Grant{{ID: name, Principal: name, Role: role}}}
		if err := see(h); err != nil {
			return err
		}
	}
	return nil
}

// Of a crowd it is told how many gain and lose what, and the first of them by name;
// who is not active gains nothing.
func TestPlanOfACrowd(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d, err := Read("p.yaml", []byte("version: 1\nroles: {support: {permissions: [orders:close]}}\ngrants: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := NewService(Parts{Store: crowd{people: 10_000}, Clock: clock.Func(func() time.Time { return at })})
	p, err := s.Plan(t.Context(), d, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Effects) != 1 {
		t.Fatalf("%+v", p.Effects)
	}
	e := p.Effects[0]
	if e.Count != 8_900 || len(e.Who) != mostNames || e.Who[0] != "user:p000001" || e.Who[1] != "user:p000002" {
		t.Errorf("%d, of whom %d are named: %s, %s", e.Count, len(e.Who), e.Who[0], e.Who[1])
	}
	if want := []Right{{Permission: "orders:close"}}; !reflect.DeepEqual(e.Gains, want) {
		t.Errorf("they gain %v", e.Gains)
	}
	if want := []Right{{Permission: "orders:read"}}; !reflect.DeepEqual(e.Loses, want) {
		t.Errorf("they lose %v", e.Loses)
	}
	if l := p.Left[0]; l.Kind != "grant" || l.Count != 10_000 || len(l.Names) != mostNames {
		t.Errorf("left alone: %s, %d, of which %d are named", l.Kind, l.Count, len(l.Names))
	}
	if p.Basis.Version != 7 || p.Basis.Digest == "" {
		t.Errorf("%+v", p.Basis)
	}
}
