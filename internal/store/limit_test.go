package store_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestLimits(t *testing.T) {
	contract := func(t *testing.T, dsn func(testing.TB) string, o store.Options) {
		t.Parallel()
		storetest.Limits(t, func(t testing.TB) [2]limit.Store {
			at := dsn(t)
			return [2]limit.Store{storetest.Open(t, at, o), storetest.Open(t, at, o)}
		})
	}
	t.Run("sqlite", func(t *testing.T) { contract(t, storetest.SQLite, store.Options{}) })
	t.Run("postgres", func(t *testing.T) { contract(t, storetest.Postgres, store.Options{}) })
	t.Run("postgres-portable", func(t *testing.T) { contract(t, storetest.Postgres, store.Options{Portable: true}) })
}

// Whatever statement fails, and however: no more guesses are judged than may
// fail, nobody is told that nothing was counted, and what could not be settled
// stays counted (LOG-020).
func TestAttackLOG020FailingStatements(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		h := storetest.NewHands()
		s := limit.NewService(storetest.Open(t, dsn, store.Options{Clock: h, Wrap: f.Wrap}), h, slog.New(slog.DiscardHandler), limit.Options{Patience: time.Millisecond})
		for n, broken := range []storetest.Fault{
			{Err: errors.New("injected")}, {Err: driver.ErrBadConn}, {Err: io.ErrUnexpectedEOF, Done: true}, {Err: &pgconn.PgError{Code: "40001"}},
		} {
			for every := 1; every <= 7; every++ {
				a := limit.Attempt{Subject: fmt.Sprint("user:", n, every), Network: fmt.Sprint(n, every)}
				f.Use(everyNth(every, broken))
				judged := 0
				for range 40 {
					try, err := s.Begin(t.Context(), a)
					if err != nil {
						told(t, err)
						continue
					}
					judged++
					if _, err := try.Failed(t.Context()); err != nil {
						told(t, err)
					}
				}
				f.Use(nil)
				if judged > 5 {
					t.Errorf("%+v at every step %d: %d were judged", broken, every, judged)
				}
				state, err := s.Locked(t.Context(), a.Subject)
				if err != nil || state.Total < judged {
					t.Errorf("%+v at every step %d: %d were judged, and %+v is counted, %v", broken, every, judged, state, err)
				}
				for range 6 - judged { // whatever is free is free, and no more
					if try, err := s.Begin(t.Context(), a); err == nil {
						judged++
						if _, err := try.Failed(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
				if judged > 5 {
					t.Errorf("%+v at every step %d, and then none: %d were judged", broken, every, judged)
				}
			}
		}
	})
}

// everyNth makes every n-th step that could change something fail.
func everyNth(n int, f storetest.Fault) func(storetest.Step) storetest.Fault {
	var mu sync.Mutex
	seen := 0
	return func(s storetest.Step) storetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if s.Kind == "rollback" || s.Kind == "connect" {
			return storetest.Fault{}
		}
		if seen++; seen%n == 0 {
			return f
		}
		return storetest.Fault{}
	}
}

// told fails the test unless it is one of the two refusals.
func told(t *testing.T, err error) {
	t.Helper()
	if k := fault.KindOf(err); k != fault.Limited && k != fault.Unavailable {
		t.Errorf("told %v", err)
	}
}

// What an attack leaves behind is purged a week later, and not what is younger
// (LOG-021).
func TestAttackLOG021RowsHaveAnEnd(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		h := storetest.NewHands()
		kept := storetest.Open(t, dsn, store.Options{Clock: h})
		w := storetest.NewWitness(t, dsn)
		s := limit.NewService(kept, h, slog.New(slog.DiscardHandler), limit.Options{})
		fail := func(subject string) {
			t.Helper()
			try, err := s.Begin(t.Context(), limit.Attempt{Subject: subject, Network: subject})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := try.Failed(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		purge := func(attempts, marks int64) {
			t.Helper()
			for more := true; more; {
				var err error
				if more, err = kept.Purge(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if a, m := w.Number(t, `SELECT COUNT(*) FROM attempts`), w.Number(t, `SELECT COUNT(*) FROM marks`); a != attempts || m != marks {
				t.Errorf("%d buckets and %d marks are left, want %d and %d", a, m, attempts, marks)
			}
		}
		for n := range 520 { // more than one batch
			fail(fmt.Sprint("name:", n))
		}
		h.Move(6 * 24 * time.Hour)
		fail("user:victim")
		purge(521, 2)
		h.Move(2*24*time.Hour + time.Minute)
		purge(1, 0)
		if state, err := s.Locked(t.Context(), "user:victim"); state.Failures != 1 || err != nil {
			t.Errorf("the attacked: %+v, %v", state, err)
		}
	})
}

// What a successful sign-in costs here: a reservation and its settlement.
func BenchmarkAttempt(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := limit.NewService(storetest.Open(b, dsn(b), store.Options{}), clock.Wall(), slog.New(slog.DiscardHandler), limit.Options{})
			n := 0
			for b.Loop() {
				n++
				try, err := s.Begin(b.Context(), limit.Attempt{Subject: fmt.Sprint("user:", n), Network: "192.0.2.1"})
				if err != nil {
					b.Fatal(err)
				}
				if err := try.Succeeded(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
