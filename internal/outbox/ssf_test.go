package outbox

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/ssf"
)

// channels keeps streams with work in memory, as store keeps them.
type channels struct {
	mu     sync.Mutex
	claims map[string]*ssf.Claim
	due    map[string]time.Time
	paused []string
	events []audit.Event
}

func (s *channels) ClaimStreams(_ context.Context, n int, lease time.Duration) (list []ssf.Claim, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := clock.Wall().Now()
	for id, c := range s.claims {
		if len(list) < n && !s.due[id].After(now) {
			c.Try++
			s.due[id] = now.Add(lease)
			list = append(list, *c)
		}
	}
	return list, nil
}

func (s *channels) ReleaseStream(_ context.Context, c ssf.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claims, c.ID) // it has nothing to do any more
	return nil
}

func (s *channels) PostponeStream(_ context.Context, c ssf.Claim, due time.Time, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due[c.ID] = due
	s.events = append(s.events, events...)
	return nil
}

func (s *channels) PauseStream(_ context.Context, id, reason string, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claims, id)
	s.paused = append(s.paused, id+": "+reason)
	s.events = append(s.events, events...)
	return nil
}

// A receiver that is down is tried until it is back; one that stays away is paused after
// three days, which is recorded as its first failure is.
func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &channels{due: map[string]time.Time{}, claims: map[string]*ssf.Claim{}}
		for _, id := range []string{"good", "back", "away", "panics"} {
			s.claims[id] = &ssf.Claim{Stream: ssf.Stream{ID: id, Client: "shop"}, Since: start}
		}
		var mu sync.Mutex
		at := map[string][]time.Duration{}
		signals := Signals{Store: s, Clock: clock.Wall(), Log: slog.New(slog.DiscardHandler), Serve: func(_ context.Context, c ssf.Claim) error {
			mu.Lock()
			defer mu.Unlock()
			at[c.ID] = append(at[c.ID], time.Since(start).Round(time.Second))
			switch n := len(at[c.ID]); {
			case c.ID == "panics" && n == 1:
				panic("in the middle")
			case c.ID == "away", c.ID == "back" && n < 3:
				return errors.New("connection refused")
			}
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { signals.Run(ctx); close(done) }()
		time.Sleep(4 * 24 * time.Hour)
		cancel()
		<-done
		if want := []time.Duration{0, 10 * time.Second, 30 * time.Second}; !slices.Equal(at["back"], want) || len(at["good"]) != 1 || len(at["panics"]) != 2 {
			t.Errorf("served at %v", at)
		}
		if n := len(at["away"]); n < 70 || n > 90 || at["away"][n-1] > ssf.Patience {
			t.Errorf("who stayed away was tried at %v", at["away"])
		}
		if !slices.Equal(s.paused, []string{"away: " + ssf.Away}) || len(s.claims) != 0 {
			t.Errorf("paused are %q, and %d are left", s.paused, len(s.claims))
		}
		var told []string
		for _, e := range s.events {
			told = append(told, e.Target+" "+string(e.Action)+" "+e.Reason)
		}
		slices.Sort(told)
		if want := []string{
			"stream:away stream.not-told given-up", "stream:away stream.not-told not-delivered", "stream:away stream.updated ", "stream:back stream.not-told not-delivered", "stream:panics stream.not-told not-delivered",
		}; !slices.Equal(told, want) {
			t.Errorf("recorded is %q", told)
		}
	})
}
