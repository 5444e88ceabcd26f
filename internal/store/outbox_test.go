package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestLetters(t *testing.T) { storetest.Portable(t, storetest.Letters) }

func TestRecipients(t *testing.T) { storetest.Portable(t, storetest.Recipients) }

// Of several servers that look for letters at once, each letter has one; when one
// dies with a letter, another has it once the lease has ended.
func TestLettersAreClaimedOnce(t *testing.T) {
	const letters, servers = 60, 4
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var mu sync.Mutex
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		tell := clock.Func(func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
		all := make([]*store.Store, servers)
		for i := range all {
			all[i] = storetest.Open(t, dsn, store.Options{Clock: tell})
		}
		for i := range letters {
			if err := all[i%servers].Post(t.Context(), outbox.New("u", outbox.DeviceNew, now, map[string]string{"count": fmt.Sprint(i)})); err != nil {
				t.Fatal(err)
			}
		}
		take := func() map[string]int {
			claimed := map[string]int{}
			var wait sync.WaitGroup
			for _, s := range all {
				wait.Go(func() {
					for {
						claims, err := s.ClaimLetters(t.Context(), outbox.Mails, 3, time.Minute)
						if err != nil || len(claims) == 0 {
							if err != nil {
								t.Error(err)
							}
							return
						}
						mu.Lock()
						for _, c := range claims {
							claimed[c.ID]++
						}
						mu.Unlock()
					}
				})
			}
			wait.Wait()
			return claimed
		}
		for round := range 2 {
			claimed := take()
			// A server that finds nothing may have met another's claim: what is left
			// is claimed by a later look.
			for id, n := range take() {
				claimed[id] += n
			}
			if len(claimed) != letters {
				t.Errorf("round %d: %d letters were claimed, want %d", round, len(claimed), letters)
			}
			for id, n := range claimed {
				if n != 1 {
					t.Errorf("round %d: %s was claimed %d times", round, id, n)
				}
			}
			mu.Lock()
			now = now.Add(time.Minute)
			mu.Unlock()
		}
	})
}

// The inbox of dev is kept for a week.
func TestInboxIsPurged(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		s := storetest.Open(t, dsn, store.Options{Clock: clock.Func(func() time.Time { return now })})
		for i, age := range []time.Duration{0, 6 * 24 * time.Hour, 8 * 24 * time.Hour} {
			if err := s.KeepMail(t.Context(), outbox.Mail{ID: fmt.Sprint(i), At: now.Add(-age)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, err := s.ListMail(t.Context(), 10); err != nil || len(list) != 2 {
			t.Errorf("%d are left, %v", len(list), err)
		}
	})
}
