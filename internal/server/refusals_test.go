package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/servertest"
)

// What was refused is counted: by the family of a token that is genuine and ended,
// by nobody where a credential is made up, however many there are of them.
func TestRefusalsAreCounted(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"lockout.failures": "5"}})
	s.User(t, "ana", "viewer")
	gone, here := s.Login(t, "ana"), s.Login(t, "ana")
	family := func(tokens servertest.Tokens) string { return "family:" + claims(t, tokens.Access)["sid"].(string) }
	flush := func() (list []string) {
		t.Helper()
		if err := s.Server.Flush(t.Context(), func(_ context.Context, counts []audit.Count) error {
			for _, c := range counts {
				list = append(list, fmt.Sprint(c.Credential, " ", c.Action, " ", c.Outcome, " ", c.Times))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(list)
		return list
	}
	s.Form(t, "/auth/logout", "refresh_token", gone.Refresh)
	flush()
	wrong := map[string]any{"current_password": "not the present one", "new_password": "another one of mine"}
	times := func(n int, f func(i int) servertest.Answer, status int) {
		t.Helper()
		for i := range n {
			if a := f(i); a.Status != status {
				t.Fatalf("%d %s, want %d", a.Status, a.Body, status)
			}
		}
	}
	times(2, func(int) servertest.Answer { return s.Call(t, gone.Access, "GET", "/users/me", nil) }, 401)
	times(3, func(int) servertest.Answer { return s.Refresh(t, gone.Refresh) }, 400)
	times(5, func(i int) servertest.Answer { return s.Call(t, fmt.Sprint("made.up.", i), "GET", "/users/me", nil) }, 401)
	times(2, func(i int) servertest.Answer { return s.Refresh(t, fmt.Sprint("dwr_madeup", i)) }, 400)
	times(1, func(int) servertest.Answer { return s.Call(t, here.Access, "GET", "/users", nil) }, 403)
	times(5, func(int) servertest.Answer { return s.Call(t, here.Access, "POST", "/users/me/password", wrong) }, 403)
	times(2, func(int) servertest.Answer { return s.Call(t, here.Access, "POST", "/users/me/password", wrong) }, 429)
	times(1, func(int) servertest.Answer {
		return s.Send(t, "POST", "/users/me/password", "application/json", "{}", "Cookie", "doorward_access="+here.Access, "Sec-Fetch-Site", "cross-site")
	}, 403)
	times(1, func(int) servertest.Answer { return s.Send(t, "GET", "/nosuch", "", "") }, 404)
	times(1, func(int) servertest.Answer { return s.Call(t, here.Access, "GET", "/users/me", nil) }, http.StatusOK)
	want := []string{
		" GET /users/me failure 5", " POST /auth/refresh failure 2", " POST /users/me/password denied 1",
		family(gone) + " GET /users/me failure 2", family(gone) + " POST /auth/refresh failure 3",
		family(here) + " GET /users denied 1", family(here) + " GET /users/me success 1", family(here) + " POST /users/me/password denied 7",
	}
	slices.Sort(want)
	if got := flush(); !slices.Equal(got, want) {
		t.Errorf("counted\n%q, want\n%q", got, want)
	}
}
