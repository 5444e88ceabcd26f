package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Names go with the last event that is found by them, wherever a batch ends.
func TestRetiredNames(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var ahead atomic.Int64
		c := clock.Func(func() time.Time { return day.Add(time.Duration(ahead.Load())) })
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Clock: c}))
		past := storetest.NewWitness(t, dsn)
		var events []audit.Event
		for i := range 1300 { // all in one moment
			e := audit.Now(storetest.Operator, day, audit.UserUpdated, fmt.Sprint("role:", i))
			if i%3 == 0 {
				e = e.About(fmt.Sprint("person", i), map[string]string{"name": "x"})
			}
			events = append(events, e)
		}
		if err := w.Tell(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		w.SequenceAll(t, 1000)
		ahead.Store(int64(3 * time.Hour))
		for range 3 {
			for more, err := true, error(nil); more; {
				if more, err = w.RetireEvents(t.Context(), time.Hour); err != nil {
					t.Fatal(err)
				}
				if r := w.Verify(t, nil); r.Problem != nil {
					t.Fatal(r.Problem)
				}
			}
			w.SequenceAll(t, 100)
		}
		if n := past.Number(t, `SELECT COUNT(*) FROM audit_leaves`); n != 1 {
			t.Errorf("%d events are left", n)
		}
		if n := past.Number(t, `SELECT COUNT(*) FROM audit_names`); n != 4 { // of the event that says that the others went
			t.Errorf("%d names are left of one event", n)
		}
	})
}

// An event that gets its leaf while others of its moment are deleted keeps its names.
func TestRetiredBesideALateEvent(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var ahead atomic.Int64
		c := clock.Func(func() time.Time { return day.Add(time.Duration(ahead.Load())) })
		var f storetest.Faults
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Clock: c}))
		other := storetest.Open(t, dsn, store.Options{Clock: c, Wrap: f.Wrap})
		for range 3 {
			if err := w.Record(t.Context(), audit.Now(storetest.Operator, day, audit.UserUpdated, "role:x")); err != nil {
				t.Fatal(err)
			}
		}
		w.SequenceAll(t, 10)
		ahead.Store(int64(3 * time.Hour))
		if _, err := w.RetireEvents(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		w.SequenceAll(t, 10)
		if err := w.Record(t.Context(), audit.Now(storetest.Operator, day, audit.UserUpdated, "role:x")); err != nil {
			t.Fatal(err)
		}
		st, err := w.LogState(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		epoch, err := other.TakeLog(t.Context(), "other", st)
		if err != nil {
			t.Fatal(err)
		}
		retired := make(chan error, 1)
		f.Use(func(step storetest.Step) storetest.Fault {
			if step.Kind == "commit" { // its names are there, and its leaf nobody sees yet
				go func() {
					_, err := w.RetireEvents(context.Background(), time.Hour)
					retired <- err
				}()
				time.Sleep(300 * time.Millisecond)
			}
			return storetest.Fault{}
		})
		if n, err := other.Sequence(t.Context(), epoch, "", 10, w.Sign); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		f.Use(nil)
		if err := <-retired; err != nil {
			t.Fatal(err)
		}
		if r := w.Verify(t, nil); r.Problem != nil || r.Events != 2 {
			t.Errorf("%v, %d events", r.Problem, r.Events)
		}
	})
}

// What goes because its time is over while the log is verified was not tampered with.
func TestVerifyWhileEventsRetire(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var ahead atomic.Int64
		c := clock.Func(func() time.Time { return day.Add(time.Duration(ahead.Load())) })
		var f storetest.Faults
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Clock: c, Wrap: f.Wrap}))
		other := storetest.Open(t, dsn, store.Options{Clock: c})
		for range 3 {
			if err := w.Record(t.Context(), audit.Now(storetest.Operator, day, audit.UserUpdated, "role:x")); err != nil {
				t.Fatal(err)
			}
		}
		w.SequenceAll(t, 10)
		ahead.Store(int64(3 * time.Hour))
		if _, err := w.RetireEvents(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		w.SequenceAll(t, 10)
		f.Use(func(step storetest.Step) storetest.Fault {
			if step.Kind == "query" && strings.HasPrefix(step.Text, "SELECT name, moment FROM audit_names") { // the events are read
				if _, err := other.RetireEvents(t.Context(), time.Hour); err != nil {
					t.Error(err)
				}
			}
			return storetest.Fault{}
		})
		if r := w.Verify(t, nil); r.Problem != nil || r.Events != 4 {
			t.Errorf("%v, %d events", r.Problem, r.Events)
		}
		f.Use(nil)
		if r := w.Verify(t, nil); r.Problem != nil || r.Events != 1 {
			t.Errorf("%v, %d events", r.Problem, r.Events)
		}
	})
}
