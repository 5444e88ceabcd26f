package servertest

import (
	"net/http"
	"testing"
)

// The main job: sign in, call a protected API, refresh, sign out.
func TestMainJob(t *testing.T) {
	Each(t, func(t *testing.T, s *Site) {
		first := s.Login(t, Admin)
		me := s.Call(t, first.Access, http.MethodGet, "/users/me", nil)
		if me.Status != http.StatusOK {
			t.Fatalf("GET /users/me: %d %s", me.Status, me.Body)
		}
		t.Log(me.Body)
		var second Tokens
		answer := s.Refresh(t, first.Refresh)
		answer.JSON(t, &second)
		if answer.Status != http.StatusOK || second.Refresh == first.Refresh || second.Access == first.Access {
			t.Fatalf("refresh: %d %s", answer.Status, answer.Body)
		}
		if a := s.Form(t, "/auth/logout", "refresh_token", second.Refresh); a.Status != http.StatusNoContent {
			t.Errorf("logout: %d %s", a.Status, a.Body)
		}
		for _, token := range []string{first.Access, second.Access} {
			if a := s.Call(t, token, http.MethodGet, "/users/me", nil); a.Status != http.StatusUnauthorized {
				t.Errorf("after the logout: %d %s", a.Status, a.Body)
			}
		}
		if a := s.Refresh(t, second.Refresh); a.Status != http.StatusBadRequest || a.Error() != "invalid_grant" {
			t.Errorf("refresh after the logout: %d %s", a.Status, a.Body)
		}
	})
}
