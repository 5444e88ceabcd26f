package issue_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/status"
)

// lateStore has a token that was being written when its account lost something.
type lateStore struct {
	mu     sync.Mutex
	change feed.Change
	tokens []grant.Issued
	seq    map[int64]int64
	set    []status.Slot
}

func (s *lateStore) ChangesAfter(_ context.Context, seq int64, _ int) ([]feed.Change, error) {
	if seq < s.change.Seq {
		return []feed.Change{s.change}, nil
	}
	return nil, nil
}

func (s *lateStore) ClaimMarks(_ context.Context, pass int64, _ string, _ time.Duration) (int64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq[pass], true, nil
}

func (s *lateStore) TokensOf(context.Context, grant.Mark, string) ([]grant.Issued, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tokens), "", nil
}

func (s *lateStore) TokensOfFamilies(context.Context, []string) ([]grant.Issued, error) {
	return nil, nil
}

func (s *lateStore) MarkSlots(_ context.Context, pass, _, to int64, slots []status.Slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq[pass], s.set = to, append(s.set, slots...)
	return nil
}

func (s *lateStore) has() []status.Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.set)
}

// A token that was made under the older policy, and written only after its account's loss
// was followed, has its bit set all the same; one that was made after it has not.
func TestMarksWhatWasWrittenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &lateStore{seq: map[int64]int64{}, change: feed.Change{Seq: 7, Topic: feed.GrantLost, Key: "ann", Version: 5, At: now, Until: now.Add(time.Hour)}}
		m := issue.NewMarker(s, clock.Wall(), slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { m.Run(ctx) })
		defer running.Wait()
		defer stop()
		m.Apply(s.change)
		time.Sleep(time.Second)
		s.mu.Lock()
		at := func(index int64, policy int64) status.Held {
			return status.Held{Slot: status.Slot{List: "l", Index: index}, Policy: policy, Until: now.Unix() + 900}
		}
		s.tokens = []grant.Issued{{Access: grant.Access{Family: "f", Account: "ann"}, Held: []status.Held{at(1, 4), at(2, 5)}}}
		s.mu.Unlock()
		time.Sleep(20 * time.Second)
		if set := s.has(); len(set) > 0 {
			t.Fatalf("the first pass set %v", set)
		}
		time.Sleep(20 * time.Second)
		if set := s.has(); !slices.Equal(set, []status.Slot{{List: "l", Index: 1}}) {
			t.Errorf("the second pass set %v", set)
		}
	})
}
