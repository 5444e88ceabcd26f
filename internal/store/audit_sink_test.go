package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// One holder at a time sends to a place, and what he kept is where the next goes
// on.
func TestSinkPositions(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		now := day
		s := storetest.Open(t, dsn, store.Options{Clock: clock.Func(func() time.Time { return now })})
		take := func(holder string, want bool) audit.Shipped {
			t.Helper()
			at, ok, err := s.TakeSink(t.Context(), "p", holder, now.Add(30*time.Second))
			if err != nil || ok != want {
				t.Fatalf("%s takes it: %t, %v", holder, ok, err)
			}
			return at
		}
		if at, err := s.Sink(t.Context(), "p"); err != nil || at != (audit.Shipped{}) {
			t.Errorf("before: %+v, %v", at, err)
		}
		if at := take("one", true); at.Leaf != 0 || at.Checkpoint != 0 || !at.SentAt.IsZero() {
			t.Errorf("at first: %+v", at)
		}
		take("two", false)
		want := audit.Shipped{Leaf: 7, Checkpoint: 5, SentAt: now, Until: now.Add(30 * time.Second)}
		storetest.Want(t, "saving", s.SaveSink(t.Context(), "p", "one", want), 0)
		storetest.Want(t, "another's saving", s.SaveSink(t.Context(), "p", "two", audit.Shipped{Leaf: 99}), fault.Conflict)
		storetest.Want(t, "saving elsewhere", s.SaveSink(t.Context(), "q", "one", audit.Shipped{Leaf: 99}), fault.Conflict)
		if at, err := s.Sink(t.Context(), "p"); err != nil || at != want {
			t.Errorf("kept is %+v, %v", at, err)
		}
		now = now.Add(31 * time.Second)
		if at := take("two", true); at.Leaf != 7 || at.Checkpoint != 5 || !at.SentAt.Equal(want.SentAt) {
			t.Errorf("the next goes on at %+v", at)
		}
		take("one", false)
		storetest.Want(t, "the first one's saving", s.SaveSink(t.Context(), "p", "one", want), fault.Conflict)

		taken := make(chan bool, 8)
		parallel := func(holder string) {
			_, ok, err := s.TakeSink(t.Context(), "race", holder, now.Add(time.Minute))
			taken <- ok && err == nil
		}
		for _, holder := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			go parallel(holder)
		}
		holders := 0
		for range 8 {
			if <-taken {
				holders++
			}
		}
		if holders != 1 {
			t.Errorf("%d took a place at once", holders)
		}
	})
}
