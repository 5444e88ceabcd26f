package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Four servers on one PostgreSQL are one: what is spent, counted, revoked or taken at any
// of them is so at all others, at once where the database decides, and else within a
// second.
func TestFourServers(t *testing.T) {
	t.Parallel()
	key := secret.NewMaster()
	sites := []*servertest.Site{servertest.Start(t, servertest.Options{DSN: storetest.Postgres(t), Master: key, Set: strict})}
	for range 3 {
		sites = append(sites, replica(t, sites[0], key, strict))
	}
	users := map[string]string{}
	for _, name := range []string{"ann", "bob", "cleo", "dora"} {
		users[name] = sites[0].User(t, name, "editor").ID
	}
	everywhere := func(t *testing.T, what string, ok func(s *servertest.Site) bool) {
		t.Helper()
		for i, s := range sites {
			within(t, time.Second, fmt.Sprintf("%s: server %d", what, i), func() bool { return ok(s) })
		}
	}

	t.Run("a chain goes over all", func(t *testing.T) {
		tokens := sites[0].Login(t, "ann")
		spent := tokens.Refresh
		for i := range 2 * len(sites) {
			tokens = pair(t, sites[i%len(sites)].Refresh(t, tokens.Refresh))
		}
		// The spent token is shown to a server that has not seen it: the family ends at once, wherever its present one is shown.
		if a := sites[3].Refresh(t, spent); !deadGrant(a) {
			t.Errorf("a spent token: %d %s", a.Status, a.Body)
		}
		for i, s := range sites {
			if a := s.Refresh(t, tokens.Refresh); !deadGrant(a) {
				t.Errorf("the present token at server %d: %d %s", i, a.Status, a.Body)
			}
		}
		everywhere(t, "the access token is refused", func(s *servertest.Site) bool { return me(t, s, tokens.Access) == http.StatusUnauthorized })
	})
	t.Run("five failures lock, wherever they were", func(t *testing.T) {
		for i := range 5 {
			if a := sites[i%len(sites)].Form(t, "/auth/login", "username", "bob", "password", "wrong"); a.Status != http.StatusUnauthorized {
				t.Errorf("failure %d: %d %s", i, a.Status, a.Body)
			}
		}
		for i, s := range sites {
			if a := s.Form(t, "/auth/login", "username", "bob", "password", servertest.Password); a.Status != http.StatusTooManyRequests {
				t.Errorf("server %d, the right password: %d %s", i, a.Status, a.Body)
			}
		}
	})
	t.Run("signing out", func(t *testing.T) {
		tokens := sites[1].Login(t, "cleo")
		everywhere(t, "the token is good", func(s *servertest.Site) bool { return me(t, s, tokens.Access) == http.StatusOK })
		if a := sites[2].Form(t, "/auth/logout", "refresh_token", tokens.Refresh); a.Status/100 != 2 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		everywhere(t, "the token is refused", func(s *servertest.Site) bool { return me(t, s, tokens.Access) == http.StatusUnauthorized })
		everywhere(t, "its bit is set", func(s *servertest.Site) bool { return revokedAt(t, s, tokens.Access) })
	})
	t.Run("a role is taken", func(t *testing.T) {
		makeRole(t, sites[0], "lister", "users:read")
		within(t, time.Second, "another server knows the role", func() bool {
			_, err := sites[1].Core.Roles.Give(t.Context(), servertest.Operator, users["dora"], "lister", time.Time{}, "")
			return err == nil
		})
		allowed := func(s *servertest.Site) bool {
			return s.Call(t, s.Login(t, "dora").Access, http.MethodGet, "/users?limit=1", nil).Status == http.StatusOK
		}
		everywhere(t, "she may", allowed)
		if err := sites[2].Core.Roles.TakeGrant(t.Context(), servertest.Operator, rbac.Grant{Principal: users["dora"], Role: "lister"}); err != nil {
			t.Fatal(err)
		}
		everywhere(t, "she may no more", func(s *servertest.Site) bool { return !allowed(s) })
	})
}
