package store_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// While events are written and get their leaves, each person is forgotten wherever
// there is something of him, whatever his name is made of, and nobody else is.
func TestErasedWhileEventsMove(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		other := storetest.Open(t, dsn, store.Options{})
		stay, gone := []string{`a%`, `a_b!`, "é", `x`, id.New(day)}, []string{`a`, `%`, `_`, `!`, `"`, `a"b`, `\`, `<x>`, "ü\u2028", `a_b`, `'`, id.New(day)}
		all := slices.Concat(stay, gone)
		told := map[string]int64{}
		var events []audit.Event
		for i := range 600 {
			e := audit.Now(principal.Principal{Kind: pick(principal.Kinds()...), ID: pick(all...)}, day.Add(time.Duration(i)*50*time.Millisecond), audit.UserUpdated, "user:"+pick(all...))
			about := map[string]bool{}
			for range pick(0, 1, 2, 3) {
				person := pick(all...)
				e, about[person] = e.About(person, map[string]string{"name": pick(all...)}), true
			}
			for person := range about {
				told[person]++
			}
			events = append(events, e)
		}
		var work sync.WaitGroup
		for i, half := range [][]audit.Event{events[:300], events[300:]} {
			if err := w.Tell(t.Context(), half); err != nil {
				t.Fatal(err)
			}
			if i == 0 { // the others wait
				w.SequenceAll(t, 100)
			}
		}
		work.Go(func() { w.SequenceAll(t, 7) })
		work.Go(func() {
			for _, person := range gone {
				if err := other.Erase(context.WithoutCancel(t.Context()), storetest.Operator, person); err != nil {
					t.Error(err)
				}
			}
		})
		work.Wait()
		for range 2 {
			dump := storetest.NewWitness(t, dsn).Dump(t)
			for _, person := range gone {
				if n, err := w.Tells(t.Context(), person); n != 0 || err != nil || dump.Parts(t, person) != 0 {
					t.Errorf("%d parts tell of %q, %d are there: %v", n, person, dump.Parts(t, person), err)
				}
			}
			for _, person := range stay {
				if n, err := w.Tells(t.Context(), person); n != told[person] || err != nil || dump.Parts(t, person) != n {
					t.Errorf("%d parts tell of %q, want %d: %v", n, person, told[person], err)
				}
			}
			w.SequenceAll(t, 100)
		}
		if r := w.Verify(t, nil); r.Problem != nil {
			t.Error(r.Problem)
		}
	})
}
