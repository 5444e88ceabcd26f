package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

// Whoever may change an account may unlock it, and it is known who did.
func TestUnlock(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann")
		root := s.Login(t, servertest.Admin).Access
		made(t, s, root, "clerk", []string{"users:read", "users:write"}, nil)
		s.User(t, "clerk", "clerk")
		s.User(t, "boss", "admin")
		clerk := s.Login(t, "clerk").Access
		try := func(name, password string) servertest.Answer {
			t.Helper()
			return s.Form(t, "/auth/login", "username", name, "password", password)
		}
		shown := func() map[string]any {
			t.Helper()
			var u map[string]any
			s.Call(t, http.MethodGet, "/users/"+ann.ID, root, nil).JSON(t, &u)
			return u
		}
		if u := shown(); u["locked_until"] != nil {
			t.Errorf("before any failure: %v", u)
		}
		for range 5 {
			if a := try("ann", "wrong"); a.Status != http.StatusUnauthorized {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		if a := try("ann", servertest.Password); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
			t.Fatalf("after five failures: %d %s", a.Status, a.Body)
		}
		until, err := time.Parse(time.RFC3339, shown()["locked_until"].(string))
		if err != nil || time.Until(until) > time.Minute || time.Until(until) < 30*time.Second {
			t.Errorf("locked until %v, %v", until, err)
		}
		for path, want := range map[string]int{
			"/users/" + subject(t, s, s.Login(t, "boss").Access) + "/unlock": http.StatusForbidden, // who may do more than the clerk
			"/users/nosuch/unlock":         http.StatusNotFound,
			"/users/" + ann.ID + "/unlock": http.StatusNoContent,
		} {
			if a := s.Call(t, http.MethodPost, path, clerk, nil); a.Status != want {
				t.Errorf("POST %s: %d %s, want %d", path, a.Status, a.Body, want)
			}
		}
		if a := try("ann", servertest.Password); a.Status != http.StatusOK {
			t.Errorf("unlocked: %d %s", a.Status, a.Body)
		}
		if u := shown(); u["locked_until"] != nil {
			t.Errorf("unlocked: %v", u)
		}
		events := s.Call(t, http.MethodGet, "/audit/events?action=user.unlocked", root, nil)
		if n := strings.Count(events.Body, `"user.unlocked"`); n != 1 || !strings.Contains(events.Body, ann.ID) {
			t.Errorf("%d events of an unlocked account: %s", n, events.Body)
		}
	})
}
