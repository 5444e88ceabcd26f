package seed

import (
	"testing"

	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// What is seeded is as good as what the server made itself: it can sign in,
// refresh, and is shown whole.
func TestSeed(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		active, err := Seed(t.Context(), Options{DSN: dsn, Users: 1003, Active: 10, Audience: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		if len(active) != 10 {
			t.Fatalf("%d are active", len(active))
		}
		for _, a := range active {
			answer := s.Refresh(t, a.Refresh)
			if answer.Status != 200 {
				t.Fatalf("refreshing: %d %s", answer.Status, answer.Body)
			}
			var tokens servertest.Tokens
			answer.JSON(t, &tokens)
			if tokens.Scope != "read write" {
				t.Errorf("the scope is %q", tokens.Scope)
			}
			var me struct{ Username, Email string }
			if answer = s.Call(t, tokens.Access, "GET", "/users/me", nil); answer.Status != 200 {
				t.Fatalf("reading: %d %s", answer.Status, answer.Body)
			}
			if answer.JSON(t, &me); me.Username != a.Username || me.Email != a.Username+"@example.com" {
				t.Errorf("%s is shown as %+v", a.Username, me)
			}
		}
		if answer := s.Form(t, "/auth/login", "username", Name(1002), "password", Password); answer.Status != 200 {
			t.Errorf("signing in as the last: %d %s", answer.Status, answer.Body)
		}
		if answer := s.Form(t, "/auth/login", "username", Name(1003), "password", Password); answer.Status != 401 {
			t.Errorf("one too many can sign in: %d", answer.Status)
		}
	})
}
