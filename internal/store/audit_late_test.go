package store_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// A transaction that began before others and ends after them loses nothing: its
// event gets the next leaf, although its id and its time are earlier. SQLite has
// one writer at a time, so it can happen on PostgreSQL alone.
func TestLateCommitsGetTheirLeaf(t *testing.T) {
	dsn := storetest.Postgres(t)
	w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	late, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback()
	r := audit.Now(principal.Principal{Kind: principal.CLI, ID: "ops"}, time.Now().Add(-time.Minute), audit.UserUpdated, "user:late").Record()
	if _, err := late.ExecContext(t.Context(), `INSERT INTO audit_packs (id, events) VALUES ($1, $2)`, r.ID, string(r.AppendLine(nil))); err != nil {
		t.Fatal(err)
	}
	record := func() {
		t.Helper()
		if err := w.Record(t.Context(), audit.Now(storetest.Operator, time.Now(), audit.UserUpdated, "user:x")); err != nil {
			t.Fatal(err)
		}
		w.SequenceAll(t, 10)
	}
	record()
	record()
	if r := w.Verify(t, nil); r.Problem != nil || r.Size != 2 {
		t.Fatalf("before it ends: %+v", r)
	}
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	record()
	leaf, err := w.LeafOf(t.Context(), r.ID)
	if v := w.Verify(t, nil); err != nil || leaf < 2 || v.Problem != nil || v.Events != 4 {
		t.Errorf("it has leaf %d, %v; %+v", leaf, err, v)
	}
}

// Checkpoints thin out with time: the last of each hour stays. What is
// left verifies.
func TestCheckpointsThinOut(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Clock: clock.Func(func() time.Time { return now })}))
		for range 40 { // two an hour
			if err := w.Record(t.Context(), audit.Now(storetest.Operator, now, audit.UserUpdated, "user:x")); err != nil {
				t.Fatal(err)
			}
			w.SequenceAll(t, 10)
			now = now.Add(30 * time.Minute)
		}
		w2 := storetest.NewWitness(t, dsn)
		count := func() int64 { return w2.Number(t, `SELECT COUNT(*) FROM audit_checkpoints`) }
		thin := func() {
			t.Helper()
			if more, err := w.ThinCheckpoints(t.Context()); err != nil || more {
				t.Fatalf("%t, %v", more, err)
			}
		}
		if thin(); count() != 40 {
			t.Errorf("%d of 40 checkpoints of a day are left", count())
		}
		now = now.Add(24 * time.Hour)
		if thin(); count() != 20 {
			t.Errorf("%d checkpoints of 20 hours are left", count())
		}
		if r := w.Verify(t, nil); r.Problem != nil || r.Checkpoints != 20 {
			t.Errorf("%+v", r)
		}
	})
}
