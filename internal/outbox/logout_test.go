package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
)

// telling tells clients in a bubble until the test ends, and returns the log.
func telling(t *testing.T, s Store, tell func(context.Context, Logout) error) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	l := Logouts{Store: s, Clock: clock.Wall(), Log: slog.New(slog.NewTextHandler(&log, nil)), Tell: tell}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return &log
}

func over(client string) Letter {
	return Logout{User: "u", Session: "s", Client: client}.Letter(clock.Wall().Now())
}

// A client that is down is told once it is back; one that refuses is not asked again; one
// that stays away is given up after a day. Each failure is recorded once, and the end of it.
func TestLogouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newShelf(over("back"), over("refuses"), over("away"), over("good"), letter("u")), time.Now()
		var mu sync.Mutex
		at := map[string][]time.Duration{}
		telling(t, s, func(_ context.Context, l Logout) error {
			mu.Lock()
			defer mu.Unlock()
			if l.User != "u" || l.Session != "s" {
				t.Errorf("told is %+v", l)
			}
			at[l.Client] = append(at[l.Client], time.Since(start).Round(time.Second))
			switch {
			case l.Client == "refuses":
				return fmt.Errorf("400: %w", ErrRefused)
			case l.Client == "away", l.Client == "back" && len(at[l.Client]) < 3:
				return errors.New("connection refused")
			}
			return nil
		})
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if s.left() != 1 { // the mail
			t.Errorf("%d are left", s.left())
		}
		if want := []time.Duration{0, 10 * time.Second, 30 * time.Second}; !slices.Equal(at["back"], want) || len(at["refuses"]) != 1 || len(at["good"]) != 1 {
			t.Errorf("told at %v", at)
		}
		if n := len(at["away"]); n < 10 || n > 40 || at["away"][n-1] > logouts.giveUp {
			t.Errorf("who stayed away was tried at %v", at["away"])
		}
		var told []string
		for _, e := range s.events {
			if e.Action != audit.ClientNotTold || e.Outcome != audit.Failure || e.Detail.Get("session") != "s" || e.Detail.Get("user") != "u" {
				t.Errorf("recorded is %+v", e)
			}
			told = append(told, e.Target+" "+e.Reason)
		}
		slices.Sort(told)
		if want := []string{"client:away given-up", "client:away not-delivered", "client:back not-delivered", "client:refuses refused"}; !slices.Equal(told, want) {
			t.Errorf("recorded is %q", told)
		}
	})
}

// Those that hang hold up nobody but themselves, up to the cap; and no more than that are
// asked at once.
func TestLogoutsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var letters []Letter
		for i := range 100 {
			letters = append(letters, over(fmt.Sprint("hangs", i)))
		}
		s := newShelf(letters...)
		var mu sync.Mutex
		now, most := 0, 0
		telling(t, s, func(context.Context, Logout) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(5 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			now--
			return nil
		})
		time.Sleep(40 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if s.left() != 0 || most != logouts.atOnce {
			t.Errorf("%d are left, and %d were asked at once", s.left(), most)
		}
	})
}

// What a client is told is in no mail, and no mail goes to a client.
func TestLogoutIsNoMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(over("shop"))
		log := run(t, s, CarrierFunc(func(context.Context, Mail) error { t.Error("it was mailed"); return nil }))
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.left() != 1 || strings.Contains(log.String(), "letter=") {
			t.Errorf("%d left; the log says\n%s", s.left(), log)
		}
	})
}
