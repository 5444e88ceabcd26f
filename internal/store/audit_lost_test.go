package store_test

import (
	"context"
	"database/sql/driver"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// A commit whose answer is lost was done or not: to write its events again would
// leave those that have their leaf already waiting for a second one.
func TestLostCommitWritesNothingTwice(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var f storetest.Faults
		s := storetest.Open(t, dsn, store.Options{Wrap: f.Wrap})
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		var lost atomic.Bool
		for _, err := range []error{io.ErrUnexpectedEOF, driver.ErrBadConn, context.DeadlineExceeded} {
			lost.Store(false)
			f.Use(func(step storetest.Step) storetest.Fault {
				switch {
				case step.Kind == "commit" && lost.CompareAndSwap(false, true):
					return storetest.Fault{Err: err, Done: true}
				case step.Kind == "begin" && lost.Load(): // it takes a while to connect again
					w.SequenceAll(t, 10)
				}
				return storetest.Fault{}
			})
			told := s.Record(t.Context(), audit.Now(storetest.Operator, time.Now(), audit.UserUpdated, "role:x"))
			f.Use(nil)
			if told == nil {
				t.Errorf("%v: nobody says that it is not known", err)
			}
			st, err2 := w.LogState(t.Context(), "")
			if err2 != nil {
				t.Fatal(err2)
			}
			w.SequenceAll(t, 10)
			if n, err := w.EventsWaiting(t.Context()); n != 0 || err != nil {
				t.Errorf("%d wait, %v: %+v", n, err, st)
			}
		}
		if r := w.Verify(t, nil); r.Problem != nil {
			t.Error(r.Problem)
		}
	})
}
