package limit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
)

func TestLocksGrow(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Failures: 2, Durations: []time.Duration{time.Second, 90 * time.Second}})
	for n, want := range []time.Duration{time.Second, 90 * time.Second, 90 * time.Second} {
		h.guess(t, victim)
		if v, ok := h.guess(t, victim); !ok || !v.Locked || v.Locks != n+1 || v.Until.Sub(h.Now()) != want {
			t.Fatalf("lock %d: %v, %+v", n+1, ok, v)
		}
		if s, err := h.Locked(t.Context(), victim.Subject); s.Failures != 2 || s.Total != 2*n+2 || s.Until.Sub(h.Now()) != want || err != nil {
			t.Errorf("Locked = %+v, %v", s, err)
		}
		h.Move(want - time.Microsecond)
		if _, err := h.Begin(t.Context(), victim); after(t, err) != time.Second {
			t.Errorf("a microsecond before its end: %v", err)
		}
		h.Move(time.Microsecond)
	}
	if !h.enters(t, victim) {
		t.Fatal("after the lock the right password is refused")
	}
	h.guess(t, victim)
	if v, _ := h.guess(t, victim); v.Locks != 1 {
		t.Errorf("after a success the locks begin anew: %+v", v)
	}
	if err := h.Unlock(t.Context(), victim.Subject); err != nil {
		t.Error(err)
	}
	if s, err := h.Locked(t.Context(), victim.Subject); s != (limit.State{}) || err != nil {
		t.Errorf("unlocked: %+v, %v", s, err)
	}
}

// Whoever hangs up does not get his guess back; whoever was not judged does, also
// when he has hung up.
func TestSettlingOutlivesTheRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Failures: 1})
	ctx, hangUp := context.WithCancel(t.Context())
	begin := func() *limit.Try {
		t.Helper()
		try, err := h.Begin(ctx, victim)
		if err != nil {
			t.Fatal(err)
		}
		return try
	}
	a := begin()
	hangUp()
	a.Abandon(ctx)
	ctx, hangUp = context.WithCancel(t.Context())
	b := begin()
	hangUp()
	if v, err := b.Failed(ctx); !v.Locked || err != nil {
		t.Errorf("Failed = %+v, %v", v, err)
	}
	b.Abandon(ctx) // the usual defer
	if _, ok := h.guess(t, victim); ok {
		t.Error("the lock is gone")
	}
	if _, err := h.Begin(ctx, victim); fault.KindOf(err) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the request's end: %v", err)
	}
	if h.Lanes() != 0 {
		t.Errorf("%d lanes are left", h.Lanes())
	}
}

// A success that comes while guesses are judged does not wipe them out.
func TestGuessesBesideASuccess(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Failures: 5})
	var wrong []*limit.Try
	for range 2 {
		try, err := h.Begin(t.Context(), victim)
		if err != nil {
			t.Fatal(err)
		}
		wrong = append(wrong, try)
	}
	if !h.enters(t, victim) {
		t.Fatal("refused")
	}
	for _, try := range wrong {
		if _, err := try.Failed(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if s, err := h.Locked(t.Context(), victim.Subject); s.Failures != 2 || s.Total != 2 || err != nil {
		t.Errorf("Locked = %+v, %v; want the two", s, err)
	}
}

// Attempts wait for one another a while, not more than so many, and leave when
// their request does.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(limit.Options{Patience: 10 * time.Second})
		var holding []*limit.Try
		for range 3 {
			try, err := h.Begin(t.Context(), victim)
			if err != nil {
				t.Fatal(err)
			}
			holding = append(holding, try)
		}
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		outcomes := make(chan error, limit.Waiting)
		for range limit.Waiting {
			all.Go(func() {
				_, err := h.Begin(ctx, victim)
				outcomes <- err
			})
		}
		synctest.Wait()
		if _, err := h.Begin(t.Context(), victim); after(t, err) != time.Second {
			t.Errorf("one more than may wait: %v", err)
		}
		if !h.enters(t, limit.Attempt{Subject: "user:other"}) {
			t.Error("another bucket waits for this one")
		}
		leave()
		synctest.Wait()
		for range limit.Waiting {
			if err := <-outcomes; !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		}
		began := time.Now()
		if _, err := h.Begin(t.Context(), victim); after(t, err) != time.Second || time.Since(began) != 10*time.Second {
			t.Errorf("who waited in vain: %v after %v", err, time.Since(began))
		}
		go func() { // the first is settled a second later
			time.Sleep(time.Second)
			if err := holding[0].Succeeded(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		try, err := h.Begin(t.Context(), victim)
		if err != nil {
			t.Errorf("when one is done: %v", err)
		}
		for _, try := range append(holding, try) {
			try.Abandon(t.Context())
		}
		all.Wait()
		if h.Lanes() != 0 {
			t.Errorf("%d lanes are left", h.Lanes())
		}
	})
}

// Whatever a clock does, within an hour: no more are judged between successes
// than may be, no lock lasts longer than it was meant to once somebody tried,
// and what is counted goes down by nothing else than a success, an abandoned
// attempt or a week.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	const hard = 20
	durations := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
	rapid.Check(t, func(r *rapid.T) {
		h := newHouse(limit.Options{Durations: durations, Hard: hard})
		judged, round := 0, 0
		total := 0
		for range rapid.IntRange(50, 300).Draw(r, "steps") {
			switch rapid.IntRange(0, 3).Draw(r, "step") {
			case 0: // the clock is set
				h.Move(time.Duration(rapid.Int64Range(-3600, 3600).Draw(r, "seconds")) * time.Second)
			case 1: // time passes
				h.Move(time.Duration(rapid.Int64Range(0, 600).Draw(r, "seconds")) * time.Second)
			default:
				try, err := h.Begin(r.Context(), victim)
				if err != nil {
					if wait := after(t, err); wait > durations[2]+limit.Skew {
						r.Fatalf("told to come again after %v", wait)
					}
					break
				}
				if judged++; judged > hard {
					r.Fatalf("%d were judged", judged)
				}
				v, err := try.Failed(r.Context())
				if err != nil {
					r.Fatal(err)
				}
				if round++; v.Locked != (round == 5) {
					r.Fatalf("failure %d of the round: %+v", round, v)
				}
				round %= 5
			}
			s, err := h.Locked(r.Context(), victim.Subject)
			if err != nil || s.Total < total {
				r.Fatalf("%d were counted, and now %+v, %v", total, s, err)
			}
			total = s.Total
		}
		// In the end the clock stands wherever it does. Somebody tries, and waits.
		if judged < hard {
			if _, ok := h.guess(t, victim); !ok {
				h.Move(durations[2] + limit.Skew)
				if _, ok := h.guess(t, victim); !ok {
					r.Fatal("the lock outlived its time")
				}
			}
		}
		if err := h.Unlock(r.Context(), victim.Subject); err != nil {
			r.Fatal(err)
		}
		if !h.enters(t, victim) {
			r.Fatal("unlocked, and closed")
		}
	})
}

// A clock that was a year ahead, and was set right, keeps nobody out and lets
// nobody in twice.
func TestClockWasAYearAhead(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	const year = 365 * 24 * time.Hour
	h.Move(year)
	stranger := limit.Attempt{Subject: "user:ann", Network: "192.0.2.1"}
	for range 5 {
		h.guess(t, stranger)
	}
	for n := range 5 {
		h.guess(t, limit.Attempt{Subject: "user:" + string(rune('a'+n)), Network: "192.0.2.1"})
	}
	h.Move(-year)
	if _, err := h.Begin(t.Context(), stranger); after(t, err) != time.Minute {
		t.Errorf("the lock that was made in a year: %v", err)
	}
	h.Move(time.Minute)
	if !h.enters(t, stranger) {
		t.Error("it did not end a minute after it was found")
	}

	// What was closed for good opens a week after somebody has tried.
	h = newHouse(limit.Options{Hard: 5})
	h.Move(year)
	for range 5 {
		h.guess(t, victim)
	}
	h.Move(-year)
	if _, ok := h.guess(t, victim); ok {
		t.Error("it is open")
	}
	if s, err := h.Locked(t.Context(), victim.Subject); s.Until != h.Now().Add(limit.Keep) || err != nil {
		t.Errorf("Locked = %+v, %v", s, err)
	}
	h.Move(limit.Keep + time.Second)
	if _, ok := h.guess(t, victim); !ok {
		t.Error("a week later it is closed")
	}
}

// An alarm that a clock raised which was ahead is none.
func TestAlarmOfTomorrow(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Global: limit.Rate{Times: 1, Per: time.Minute}})
	spray := func() (judged int) {
		for n := range 20 {
			if _, ok := h.guess(t, limit.Attempt{Subject: "user:" + string(rune('a'+n)), Network: "192.0.2.1"}); ok {
				judged++
			}
		}
		return judged
	}
	h.Move(24 * time.Hour)
	if n := spray(); n != 2 { // the second raises it
		t.Errorf("%d were judged under the alarm", n)
	}
	h.Move(-24 * time.Hour)
	if _, ok := h.guess(t, limit.Attempt{Subject: "user:x", Network: "192.0.2.1"}); !ok {
		t.Error("the address is still at its end")
	}
	h.Move(2 * time.Minute)
	h.Service = limit.NewService(h.store, h.Hands, slog.New(slog.DiscardHandler), limit.Options{})
	if n := spray(); n != 10 {
		t.Errorf("%d were judged after it, want 10", n)
	}
}

// Attempts that were under way together, more than an address may have, are owed:
// however often they come in bursts, in the long run there is one each six seconds.
// A debt ends after an hour.
func TestAttackOvershootIsOwed(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	judged := 0
	burst := func(size int) (refusal error) {
		var tries []*limit.Try
		for range size {
			judged++
			try, err := h.Begin(t.Context(), limit.Attempt{Subject: fmt.Sprint("user:", judged), Network: "192.0.2.1"})
			if err != nil {
				judged--
				return err
			}
			tries = append(tries, try)
		}
		for _, try := range tries {
			if _, err := try.Failed(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return nil
	}
	for passed := time.Duration(0); passed < 2*time.Hour; passed += time.Second {
		_ = burst(60)
		h.Move(time.Second)
	}
	if most := 10 + 60 + 2*60*10; judged > most || judged < most-100 {
		t.Errorf("%d were judged in two hours, want up to %d", judged, most)
	}
	h.Move(3 * time.Hour)
	_ = burst(5000)
	err := burst(1)
	if wait := after(t, err); wait > time.Hour+30*time.Second || wait < time.Hour {
		t.Errorf("after 5,000 at once: %v", wait)
	}
}

// The last failure that is allowed closes the bucket, also in the midst of a round.
func TestHardWithinARound(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Failures: 3, Hard: 7})
	for n := range 7 {
		v, ok := h.guess(t, victim)
		if !ok || v.Hard != (n == 6) || v.Locked != (n == 2 || n == 5 || n == 6) {
			t.Errorf("failure %d: %v, %+v", n+1, ok, v)
		}
		if v.Locked {
			h.Move(v.Until.Sub(h.Now()))
		}
	}
	if s, err := h.Locked(t.Context(), victim.Subject); s.Total != 7 || s.Until.Sub(h.Now()) < limit.Keep-time.Hour || err != nil {
		t.Errorf("Locked = %+v, %v", s, err)
	}
	if _, err := h.Begin(t.Context(), victim); after(t, err) != time.Hour {
		t.Error("after a time of another length")
	}
	if !h.enters(t, limit.Attempt{Subject: victim.Subject, Device: "laptop"}) {
		t.Error("the owner's device is out")
	}
}
