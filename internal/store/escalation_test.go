package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
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

// Nor is a client a way around the end of a right: a secret that is made in time
// works after it, and so does what a client may ask for.
func TestAttackARightThatEndsIsNotPassedOnByAClient(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		boss := v.User(t, "boss")
		by := principal.Principal{Kind: principal.User, ID: boss.ID, Scopes: []string{"admin", "clients:write"}, Needs: "clients:write"}
		if _, err := v.Roles.Give(t.Context(), storetest.Operator, boss.ID, rbac.AdminRole, clock.Wall().Now().Add(time.Hour), ""); err != nil {
			t.Fatal(err)
		}
		c, first := v.Client(t, "deploy", []string{"admin", "users:write"}, rbac.AdminRole)
		_, _, err := v.Clients.RotateSecret(t.Context(), by, c.ID, time.Hour, 0)
		expect(t, "making a secret of what outlasts him", err, fault.Denied)
		_, _, err = v.Clients.Create(t.Context(), by, client.Draft{ID: "shadow", Scopes: []string{"users:write"}})
		expect(t, "registering one that outlasts him", err, fault.Denied)
		if _, err := proves(t, v, c.ID, first); err != nil {
			t.Errorf("the secret as it was: %v", err)
		}
		_, _, err = v.Clients.Create(t.Context(), by, client.Draft{ID: "plain"})
		expect(t, "registering one that may nothing", err, 0)
		_, _, err = v.Clients.RotateSecret(t.Context(), by, "plain", 0, 0)
		expect(t, "making a secret of one that may nothing", err, 0)
		// And whoever has clients:write alone gains nothing by a secret.
		keeper := v.User(t, "keeper")
		if _, err := v.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: "keeper", Permissions: []string{"clients:write"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Roles.Give(t.Context(), storetest.Operator, keeper.ID, "keeper", time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
		by.ID = keeper.ID
		_, _, err = v.Clients.RotateSecret(t.Context(), by, c.ID, 0, 0)
		expect(t, "making a secret of one above", err, fault.Denied)
		expect(t, "deleting one above", v.Clients.Delete(t.Context(), by, c.ID, 0), fault.Denied)
	})
}
