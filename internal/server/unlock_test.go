package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/testredis"
)

// Whoever may change an account may unlock it, and it is known who did, wherever
// attempts are counted.
func TestUnlock(t *testing.T) {
	t.Parallel()
	set := map[string]string{"lockout.failures": "5"}
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		unlocks(t, servertest.Start(t, servertest.Options{DSN: dsn, Set: set}))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		redis, err := testredis.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stop := sync.OnceFunc(func() {
			if err := redis.Stop(); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(stop)
		s := servertest.Start(t, servertest.Options{Set: map[string]string{"lockout.failures": "5", "counters": redis.URL()}})
		unlocks(t, s)
		stop()
		a := s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password)
		if a.Status != http.StatusServiceUnavailable {
			t.Errorf("without Redis: %d %s", a.Status, a.Body)
		}
	})
}

func unlocks(t *testing.T, s *servertest.Site) {
	t.Helper()
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
		s.Call(t, root, http.MethodGet, "/users/"+ann.ID, nil).JSON(t, &u)
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
		if a := s.Call(t, clerk, http.MethodPost, path, nil); a.Status != want {
			t.Errorf("POST %s: %d %s, want %d", path, a.Status, a.Body, want)
		}
	}
	if a := try("ann", servertest.Password); a.Status != http.StatusOK {
		t.Errorf("unlocked: %d %s", a.Status, a.Body)
	}
	if u := shown(); u["locked_until"] != nil {
		t.Errorf("unlocked: %v", u)
	}
	events := s.Call(t, root, http.MethodGet, "/audit/events?action=user.unlocked", nil)
	if n := strings.Count(events.Body, `"user.unlocked"`); n != 1 || !strings.Contains(events.Body, ann.ID) {
		t.Errorf("%d events of an unlocked account: %s", n, events.Body)
	}
}

// Whoever is given another password comes in with it, however many guessed at the
// one before: his devices are strangers, too, and there is no other way in.
func TestResetLetsIn(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: strict})
		ann := s.User(t, "ann", "viewer")
		for range 5 {
			login(t, s, "ann", "wrong")
		}
		const next = "another good one"
		if err := s.Core.Issuer.ResetPassword(t.Context(), servertest.Operator, ann, secret.From(next)); err != nil {
			t.Fatal(err)
		}
		if a := login(t, s, "ann", next); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if n := len(events(t, s, string(audit.UserUnlocked))); n != 1 {
			t.Errorf("%d events say that it was unlocked", n)
		}
	})
}

// A letter that could not be posted is not taken for one that was: of the next lock
// the owner is told.
func TestLetterOfALockIsNotLost(t *testing.T) {
	t.Parallel()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Set: strict, Tweak: func(o *server.Options) {
		c.tweak(o)
		o.Carrier = outbox.CarrierFunc(func(context.Context, outbox.Mail) error { return errors.New("later") })
	}})
	s.User(t, "ann", "viewer")
	db := database(t, s)
	locks := func() {
		t.Helper()
		for n := range 5 {
			if a := login(t, s, "ann", "wrong"); a.Status != http.StatusUnauthorized && n < 4 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		c.pass(time.Minute)
	}
	posted := func() int { return number(t, db, "SELECT COUNT(*) FROM outbox WHERE kind = 'account.locked'") }
	for _, step := range []struct {
		statement string
		want      int
	}{
		{"CREATE TRIGGER fails BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END", 0},
		{"DROP TRIGGER fails", 1},
		{"SELECT 1", 1}, // one a day
	} {
		if _, err := db.Exec(step.statement); err != nil {
			t.Fatal(err)
		}
		locks()
		c.pass(5 * time.Minute)
		if n := posted(); n != step.want {
			t.Errorf("after %s: %d letters, want %d", step.statement, n, step.want)
		}
	}
}
