package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// Who may change roles may narrow or delete a role of which he holds all, though
// somebody who may do more holds it too: by it nobody gains. What he may not is act
// on that person, by taking the grant away, nor change a role that itself holds more
// than he does. (docs/security.md, "Who may do what".)
func TestNarrowingARoleOfSomebodyAbove(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		for _, r := range []rbac.Role{
			{Name: "clerk", Permissions: []string{"roles:read", "roles:write", "roles:grant", "orders:pay", "orders:read", "orders:ship"}},
			{Name: "shipper", Permissions: []string{"orders:ship"}},
			{Name: "payer", Permissions: []string{"orders:pay", "orders:read"}},
			{Name: "chief", Permissions: []string{"orders:pay", "orders:refund"}, Inherits: []string{"shipper"}},
		} {
			if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, r); err != nil {
				t.Fatal(err)
			}
		}
		boss := s.User(t, "boss", "admin", "payer", "chief")
		s.User(t, "low", "clerk")
		low, old := s.Login(t, "low").Access, s.Login(t, "boss")
		holds := func(permission string) bool {
			return slices.Contains(strings.Fields(s.Login(t, "boss").Scope), permission)
		}
		for _, tt := range []struct {
			what, method, path string
			body               any
			want               int
		}{
			{"takes the grant", "DELETE", "/users/" + boss.ID + "/roles/payer", nil, 403},
			{"gives another", "POST", "/users/" + boss.ID + "/roles", map[string]any{"role": "clerk"}, 403},
			{"changes what holds more", "PUT", "/roles/chief", map[string]any{"permissions": []string{"orders:pay"}}, 403},
			{"deletes what holds more", "DELETE", "/roles/chief", nil, 403},
			{"changes what is built in", "PUT", "/roles/admin", map[string]any{}, 409},
			{"widens it past himself", "PUT", "/roles/payer", map[string]any{"permissions": []string{"orders:pay", "orders:refund"}}, 403},
		} {
			if a := s.Call(t, low, tt.method, tt.path, tt.body); a.Status != tt.want {
				t.Errorf("%s: %d %s, want %d", tt.what, a.Status, a.Body, tt.want)
			}
		}
		if !holds("orders:pay") || !holds("orders:read") || !holds("orders:refund") || !holds("orders:ship") || me(t, s, old.Access) != http.StatusOK {
			t.Error("the boss lost something before anything was allowed")
		}
		if a := s.Call(t, low, "PUT", "/roles/payer", map[string]any{"permissions": []string{"orders:pay"}}); a.Status != http.StatusOK {
			t.Errorf("narrowing it: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, low, "PUT", "/roles/shipper", map[string]any{}); a.Status != http.StatusOK {
			t.Errorf("narrowing what a role that holds more inherits: %d %s", a.Status, a.Body)
		}
		if holds("orders:read") || holds("orders:ship") || me(t, s, old.Access) != http.StatusUnauthorized {
			t.Error("the boss holds what his role lost")
		}
		if a := s.Call(t, low, "DELETE", "/roles/payer", nil); a.Status != http.StatusNoContent {
			t.Errorf("deleting it: %d %s", a.Status, a.Body)
		}
		if !holds("orders:pay") || !holds("admin") { // by his other roles
			t.Error("the boss lost more than the role")
		}
		// It is written who did it, and what went.
		for action, went := range map[string]string{"role.updated": "orders:read", "role.deleted": "orders:pay"} {
			list := slices.DeleteFunc(events(t, s, action), func(e written) bool { return e.Target != "role:payer" })
			if len(list) != 1 || !strings.HasPrefix(list[0].Actor, "user:") || !slices.Equal(list[0].Lists["permissions_removed"], []string{went}) {
				t.Errorf("%s: the log says %+v", action, list)
			}
		}
	})
}
