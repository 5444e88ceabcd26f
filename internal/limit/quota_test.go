package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
)

// takes uses something so often, and returns how often that was let pass.
func (h house) takes(t testing.TB, what string, r limit.Rate, n int) (passed int) {
	t.Helper()
	for range n {
		switch err := h.Take(t.Context(), what, r); fault.KindOf(err) {
		case fault.Limited:
			after(t, err)
		default:
			if err != nil {
				t.Fatal(err)
			}
			passed++
		}
	}
	return passed
}

// So many pass at once, and then one at each step, whatever is asked in between; each
// thing has room of its own.
func TestTake(t *testing.T) {
	t.Parallel()
	h, rate := newHouse(limit.Options{}), limit.Rate{Times: 60, Per: time.Minute}
	if n := h.takes(t, "key:a", rate, 200); n != 60 {
		t.Errorf("of 200 at once %d passed, want 60", n)
	}
	if n := h.takes(t, "key:b", rate, 1); n != 1 {
		t.Error("another has no room")
	}
	for range 5 {
		h.Move(time.Second)
		if n := h.takes(t, "key:a", rate, 10); n != 1 {
			t.Errorf("a second later %d passed", n)
		}
	}
	h.Move(10 * time.Minute)
	if n := h.takes(t, "key:a", rate, 100); n != 60 {
		t.Errorf("after a rest %d passed", n)
	}
}

// Of many at the same moment no more pass than may.
func TestTakeAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { passed.Add(int64(h.takes(t, "key:a", limit.Rate{Times: 5, Per: time.Minute}, 1))) })
	}
	if all.Wait(); passed.Load() > 5 || passed.Load() == 0 {
		t.Errorf("%d passed, want 5 at the most", passed.Load())
	}
}
