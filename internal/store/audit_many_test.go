package store_test

import (
	"flag"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

var manyFlag = flag.Int("events", 20_000, "how many events of the log BenchmarkVerify verifies")

// perCheckpoint is how many events come between two checkpoints in a log of many.
const perCheckpoint = 100

// manyEvents makes a log of n events by 128 persons, each with a private part,
// with a checkpoint each second of a clock of its own.
func manyEvents(t testing.TB, dsn string, n int) *storetest.Witnessed {
	t.Helper()
	var seconds atomic.Int64
	start := time.Now()
	at := func() time.Time { return start.Add(time.Duration(seconds.Load()) * time.Second) }
	w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Clock: clock.Func(at)}))
	for written := 0; written < n; {
		var list []audit.Event
		for ; len(list) < perCheckpoint && written < n; written++ {
			by := principal.Principal{
				Kind: principal.User, ID: fmt.Sprintf("06eadcervsh0om6j6juveo%04d", written%128), Client: "app",
				Origin: principal.Origin{RequestID: "06eadcervsh0om6j6juveoabcd", Address: "192.0.2.77", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
			}
			list = append(list, audit.Now(by, at(), audit.TokenRefreshed, "family:06eadcervsh0om6j6juveoabcd").With("scope", "openid users:read"))
		}
		if err := w.Tell(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		w.SequenceAll(t, perCheckpoint)
		seconds.Add(1)
	}
	return w
}

// A log of many tiles and checkpoints is proved whole, and one event that is not
// as it was is found in it.
func TestVerifyMany(t *testing.T) {
	const n = 20_000
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := manyEvents(t, dsn, n)
		r := w.Verify(t, nil)
		if r.Problem != nil || r.Size != n || r.Events != n || r.Checkpoints != n/perCheckpoint {
			t.Errorf("%+v", r)
		}
		past := storetest.NewWitness(t, dsn)
		past.Exec(t, flipped(past, "audit_leaves", "data", "leaf = 13579"))
		if r := w.Verify(t, nil); r.Problem == nil || r.Problem.Leaf != 13579 {
			t.Errorf("a bit was flipped: %v", r.Problem)
		}
	})
}

// BenchmarkVerify verifies a log of -events events:
//
//	go test ./internal/store -run '^$' -bench Verify -benchtime 3x -events 1000000
func BenchmarkVerify(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			began := time.Now()
			w := manyEvents(b, address(b), *manyFlag)
			b.Logf("%d events were made in %v", *manyFlag, time.Since(began).Round(time.Second))
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // as doorward audit verify does
			var r audit.Report
			for b.Loop() {
				if r = w.Verify(b, nil); r.Problem != nil || r.Events != int64(*manyFlag) {
					b.Fatal(r)
				}
			}
			b.ReportMetric(float64(r.Events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(r.Checkpoints), "checkpoints")
		})
	}
}
