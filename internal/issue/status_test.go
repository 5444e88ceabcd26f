package issue

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/status"
)

// lists is a SlotStore.
type lists struct{ made int }

func (l *lists) ReserveSlots(_ context.Context, n int64, expires time.Time) (status.Block, error) {
	l.made++
	return status.Block{List: fmt.Sprint(l.made), Key: []byte("0123456789abcdef"), N: n, Until: expires.Add(24 * time.Hour)}, nil
}

// Many who ask at once for tokens that say the same each have a bit of their own, and what
// is kept for them is about as much as there are tokens: while one reserves more, the
// others take what is left.
func TestBitsOfTokensThatAreMadeAtOnce(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := newSlots(&lists{}, clock.Func(func() time.Time { return now }), "https://as.example")
	a := grant.Access{Account: "c", Client: "c", Roles: []string{"r"}, Audience: []string{"api"}, Policy: 7}
	const workers, each = 16, 200
	var mu sync.Mutex
	given, kept := map[listed]bool{}, 0
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for range each {
				at, run, done, err := s.ofRun(t.Context(), a, now.Add(time.Hour), now)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond) // it is being written
				mu.Lock()
				if given[*at] {
					t.Errorf("the bit %+v was given twice", *at)
				}
				given[*at] = true
				if run != nil {
					kept += len(run.Held)
				}
				mu.Unlock()
				done(true)
			}
		})
	}
	running.Wait()
	if kept < workers*each || kept > workers*each+2*mostRun {
		t.Errorf("%d bits were kept for %d tokens", kept, workers*each)
	}
}

// What was reserved is not used if it was not kept, nor once it is too old; who could not
// keep it holds up nobody.
func TestBitsThatWereNotKept(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := newSlots(&lists{}, clock.Func(func() time.Time { return now }), "https://as.example")
	a := grant.Access{Account: "c", Client: "c"}
	reserved := func(kept bool) int {
		t.Helper()
		_, run, done, err := s.ofRun(t.Context(), a, now.Add(time.Hour), now)
		if err != nil {
			t.Fatal(err)
		}
		done(kept)
		if run == nil {
			return 0
		}
		return len(run.Held)
	}
	for n, step := range []struct {
		kept  bool
		after time.Duration
		want  int
	}{
		{true, 0, 1}, {false, 0, 4}, {true, 0, 4}, {true, 0, 0}, {true, 0, 0}, {true, time.Hour + time.Second, 1}, {true, 0, 4},
	} {
		now = now.Add(step.after)
		if got := reserved(step.kept); got != step.want {
			t.Errorf("step %d reserves %d bits, want %d", n, got, step.want)
		}
	}
	a.Roles = []string{"another"}
	if got := reserved(true); got != 1 {
		t.Errorf("tokens that say something else have %d bits of these", got)
	}
}
