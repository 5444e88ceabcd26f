package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Whoever holds a role until a time cannot make it last: not by giving it to
// himself or a friend for longer, and not by writing it into another role.
func TestAttackARightThatEndsIsNotPassedOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		operator := principal.Principal{Kind: principal.CLI, ID: "test"}
		accounts, roles := account.NewService(s, clock.Wall()), rbac.NewService(s, clock.Wall())
		if err := roles.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		user := func(name string) principal.Principal {
			u, err := accounts.Create(t.Context(), operator, account.Draft{Username: name})
			if err != nil {
				t.Fatal(err)
			}
			return principal.Principal{Kind: principal.User, ID: u.ID, Scopes: []string{"admin", "read", "write", "roles:grant", "roles:write"}}
		}
		boss, friend := user("boss"), user("friend")
		ends := clock.Wall().Now().Add(time.Hour)
		if _, err := roles.Give(t.Context(), operator, boss.ID, rbac.AdminRole, ends, ""); err != nil {
			t.Fatal(err)
		}
		for name, until := range map[string]time.Time{"for ever": {}, "a little longer": ends.Add(time.Second)} {
			if _, err := roles.Give(t.Context(), boss, friend.ID, rbac.AdminRole, until, ""); fault.KindOf(err) != fault.Denied {
				t.Errorf("giving it %s: %v, want a Denied fault", name, err)
			}
		}
		if _, err := roles.CreateRole(t.Context(), boss, rbac.Role{Name: "shadow", Permissions: []string{"users:write"}}); fault.KindOf(err) != fault.Denied {
			t.Errorf("writing it into a role: %v, want a Denied fault", err)
		}
		if _, err := roles.Give(t.Context(), boss, friend.ID, rbac.AdminRole, ends, ""); err != nil {
			t.Errorf("giving it as long as it is held: %v", err)
		}
	})
}
