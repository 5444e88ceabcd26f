package storetest

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
)

func services(both [2]limit.Store, h *Hands, o limit.Options) [2]*limit.Service {
	log := slog.New(slog.DiscardHandler)
	return [2]*limit.Service{limit.NewService(both[0], h, log, o), limit.NewService(both[1], h, log, o)}
}

// Two hundred wrong passwords at once, at two servers, are judged five times,
// whether the lock is new or has run out (LOG-001). A server that dies before it
// judges takes its attempts with it.
func parallelWrong(t *testing.T, both [2]limit.Store) {
	h := NewHands()
	two := services(both, h, limit.Options{Address: limit.Rate{Times: 10_000, Per: time.Minute}, Global: limit.Rate{Times: 10_000, Per: time.Minute}, Patience: 20 * time.Second})
	a := limit.Attempt{Subject: "user:victim", Network: "198.51.100.7"}
	for round, lock := range []time.Duration{time.Minute, 5 * time.Minute} {
		var judged, locks, limited atomic.Int64
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				try, err := two[n%2].Begin(t.Context(), a)
				if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind == fault.Limited {
					limited.Add(1)
					if e.After < time.Second || e.After > lock {
						t.Errorf("told to come again after %v, and the lock lasts %v", e.After, lock)
					}
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				judged.Add(1)
				time.Sleep(20 * time.Millisecond) // the hash
				v, err := try.Failed(t.Context())
				if err != nil {
					t.Error(err)
				}
				if v.Locked {
					locks.Add(1)
					if want := h.Now().Add(lock); v.Locks != round+1 || !v.Until.Equal(want) {
						t.Errorf("lock %d until %v, want %d until %v", v.Locks, v.Until, round+1, want)
					}
				}
			})
		}
		all.Wait()
		if judged.Load() != 5 || locks.Load() != 1 || limited.Load() != 195 {
			t.Errorf("round %d: %d were judged, %d locked the bucket, %d were refused; want 5, 1, 195", round, judged.Load(), locks.Load(), limited.Load())
		}
		h.Move(lock)
	}
	for range 5 {
		try, err := two[0].Begin(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer try.Abandon(t.Context())
		two[0] = limit.NewService(both[0], h, slog.New(slog.DiscardHandler), limit.Options{Patience: time.Millisecond}) // it died, and was started again
	}
	h.Move(time.Second)
	for _, s := range services(both, h, limit.Options{Patience: time.Millisecond}) {
		_, err := s.Begin(t.Context(), a)
		Want(t, "a sixth after five that a crash left", err, fault.Limited)
	}
}

// Right passwords for one account at once all get in, at two servers.
func parallelRight(t *testing.T, both [2]limit.Store) {
	two := services(both, NewHands(), limit.Options{Patience: time.Minute})
	a := limit.Attempt{Subject: "user:busy", Network: "198.51.100.7"}
	var all sync.WaitGroup
	for n := range 48 {
		all.Go(func() {
			try, err := two[n%2].Begin(t.Context(), a)
			if err != nil {
				t.Errorf("a right password is refused: %v", err)
				return
			}
			time.Sleep(5 * time.Millisecond)
			if n%5 == 0 {
				try.Abandon(t.Context())
			} else if err := try.Succeeded(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s, err := two[0].Locked(t.Context(), a.Subject); s != (limit.State{}) || err != nil {
		t.Errorf("what is left: %+v, %v", s, err)
	}
}

func parallelFirst(t *testing.T, both [2]limit.Store) {
	two := services(both, NewHands(), limit.Options{})
	var first atomic.Int64
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			ok, err := two[n%2].First(t.Context(), "notice", time.Hour)
			if err != nil {
				t.Error(err)
			}
			if ok {
				first.Add(1)
			}
		})
	}
	all.Wait()
	if first.Load() != 1 {
		t.Errorf("%d were the first", first.Load())
	}
}

// meters holds the limits of an address and of everybody over a store.
func meters(t *testing.T, both [2]limit.Store) {
	h := NewHands()
	two := services(both, h, limit.Options{Address: limit.Rate{Times: 10, Per: time.Minute}, Global: limit.Rate{Times: 30, Per: time.Minute}})
	n := 0
	// spray fails at a name of its own each time, until it is told to wait.
	spray := func(network string) (failed, floods int, after time.Duration) {
		for {
			n++
			try, err := two[n%2].Begin(t.Context(), limit.Attempt{Subject: "user:" + string(rune('a'+n)), Network: network})
			if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind == fault.Limited {
				return failed, floods, e.After
			} else if err != nil {
				t.Fatal(err)
			}
			v, err := try.Failed(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			failed++
			if v.Flood {
				floods++
			}
		}
	}
	want := func(what string, network string, failed, floods int, after time.Duration) {
		t.Helper()
		f, fl, a := spray(network)
		if f != failed || fl != floods || a != after {
			t.Errorf("%s: %d failed, %d floods, come again after %v; want %d, %d, %v", what, f, fl, a, failed, floods, after)
		}
	}
	want("a burst", "203.0.113.1", 10, 0, 6*time.Second)
	h.Move(6 * time.Second)
	want("one comes back", "203.0.113.1", 1, 0, 6*time.Second)
	want("another address", "203.0.113.2", 10, 0, 6*time.Second)
	h.Move(time.Minute)
	want("both are empty again", "203.0.113.1", 10, 0, 6*time.Second)
	want("both are empty again", "203.0.113.2", 10, 0, 6*time.Second)
	want("the thirtieth is no flood", "203.0.113.3", 10, 0, 6*time.Second)
	want("the next one is, and the address is at its end sooner", "203.0.113.4", 2, 1, 30*time.Second)
	want("and then two", "203.0.113.5", 2, 0, 30*time.Second)
	want("who had failed before is out for long", "203.0.113.3", 0, 0, 30*time.Second)
	known, err := two[0].Begin(t.Context(), limit.Attempt{Subject: "user:ann", Device: "d", Network: "203.0.113.3"})
	if err != nil {
		t.Fatalf("a known device at an address that is at its end: %v", err)
	}
	if _, err := known.Failed(t.Context()); err != nil {
		t.Error(err)
	}
	h.Move(2 * time.Minute)
	want("the alarm is over", "203.0.113.5", 10, 0, 6*time.Second)
	for _, a := range []limit.Attempt{{Subject: "user:command"}, {Subject: "user:known", Device: "d", Network: "203.0.113.5"}} {
		try, err := two[1].Begin(t.Context(), a)
		if err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
		if v, err := try.Failed(t.Context()); v != (limit.Verdict{}) || err != nil {
			t.Errorf("%+v, %v", v, err)
		}
	}
}
