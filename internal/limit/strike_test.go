package limit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
)

// strikes makes so many from a network, and returns how many were counted.
func (h house) strikes(t testing.TB, network string, n int) (counted int, flood bool) {
	t.Helper()
	for range n {
		began, err := h.Strike(t.Context(), network)
		if fault.KindOf(err) == fault.Limited {
			after(t, err)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		flood = flood || began
		counted++
	}
	return counted, flood
}

func TestStrikesOfOneNetwork(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	const here, there = "192.0.2.1", "192.0.2.2"
	if n, flood := h.strikes(t, here, 30); n != 10 || flood {
		t.Errorf("of 30 from one network %d were counted, want 10; the alarm: %t", n, flood)
	}
	if n, _ := h.strikes(t, there, 10); n != 10 {
		t.Errorf("another network had room for %d", n)
	}
	if n, _ := h.strikes(t, "", 50); n != 50 {
		t.Errorf("from nowhere %d of 50 were counted", n)
	}
	// It is the same room that wrong passwords take, and nobody's bucket.
	if _, ok := h.guess(t, limit.Attempt{Subject: "user:ann", Network: here}); ok {
		t.Error("a guess from there is judged")
	}
	if len(h.store.buckets) > 0 {
		t.Errorf("buckets were written: %v", h.store.buckets)
	}
	h.Move(6 * time.Second) // one of ten a minute
	if n, _ := h.strikes(t, here, 5); n != 1 {
		t.Errorf("after six seconds %d more were counted, want 1", n)
	}
}

// The addresses of one site share what ten networks have.
func TestStrikesOfOneSite(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	counted := 0
	for i := range 200 {
		n, _ := h.strikes(t, fmt.Sprintf("2001:db8:1:%x::/64", i), 10)
		counted += n
	}
	if counted != 100 {
		t.Errorf("%d were counted, want 100", counted)
	}
	if n, _ := h.strikes(t, "2001:db8:2::/64", 20); n != 10 {
		t.Errorf("another site had room for %d", n)
	}
}

// Failures of everybody raise the alarm, once; then a network has room for two.
func TestStrikesRaiseTheAlarm(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Global: limit.Rate{Times: 20, Per: time.Minute}})
	alarms := 0
	for i := range 40 {
		if _, flood := h.strikes(t, fmt.Sprintf("192.0.2.%d", i), 1); flood {
			alarms++
		}
	}
	if n, flood := h.strikes(t, "198.51.100.1", 10); alarms != 1 || n != 2 || flood {
		t.Errorf("%d alarms; then %d from one network, and another alarm: %t", alarms, n, flood)
	}
	h.Move(10 * time.Minute)
	if n, flood := h.strikes(t, "198.51.100.1", 12); n != 10 || flood {
		t.Errorf("after it was over: %d, and another alarm: %t", n, flood)
	}
}

// However many come at once, no more get past the limit than it leaves unsettled
// in one moment; and then it is closed.
func TestStrikesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	var counted atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := h.Strike(t.Context(), "192.0.2.1"); err == nil {
				counted.Add(1)
			} else if fault.KindOf(err) != fault.Limited {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, _ := h.strikes(t, "192.0.2.1", 1); n != 0 || counted.Load() < 10 {
		t.Errorf("after %d at once %d more", counted.Load(), n)
	}
}

func TestStrikesThatCannotBeCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	down := errors.New("down")
	h.store.breaks(down)
	if _, err := h.Strike(t.Context(), "192.0.2.1"); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, down) {
		t.Errorf("while the database is down: %v", err)
	}
	h.store.breaks(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Strike(ctx, "192.0.2.1"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller is gone: %v", err)
	}
}
