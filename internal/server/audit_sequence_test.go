package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// sequenced waits until no event is without its leaf, and returns how long.
func sequenced(t *testing.T, s *servertest.Site) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		st, err := s.Core.Store.LogState(t.Context(), "")
		if took := time.Since(began); err != nil || took > 10*time.Second {
			t.Fatalf("after %v events wait: %v", took, err)
		} else if !st.Waiting {
			return took
		}
	}
}

// An event has its leaf and its checkpoint within a fifth of a second. A machine
// that is busy may take longer, but not each time.
func TestCheckpointsComeWithinASecond(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		fastest := time.Hour
		for range 10 {
			if err := s.Core.Store.Record(t.Context(), audit.Now(servertest.Operator, time.Now(), audit.UserUpdated, "user:x")); err != nil {
				t.Fatal(err)
			}
			fastest = min(fastest, sequenced(t, s))
			note, err := s.Core.Store.AuditCheckpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st, err := s.Core.Store.LogState(t.Context(), "")
			if c, bad := audit.ReadCheckpoint(note); err != nil || bad != nil || c.Size != st.Size {
				t.Errorf("the newest checkpoint is of %d leaves, the log has %d: %v, %v", c.Size, st.Size, err, bad)
			}
		}
		if fastest > 300*time.Millisecond {
			t.Errorf("the fastest of ten events had its leaf after %v", fastest)
		}
	})
}

// A server that holds the tree and does nothing loses it to another, which holds
// it under a new epoch; what the first still tries is refused.
func TestSequencerTakesOver(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		token := s.Login(t, servertest.Admin).Access
		checkpoint(t, s, token)
		var epoch int64
		for { // the server itself may be at it
			st, err := s.Core.Store.LogState(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if epoch, err = s.Core.Store.TakeLog(t.Context(), "a server that hangs", st); err == nil {
				break
			} else if fault.KindOf(err) != fault.Conflict {
				t.Fatal(err)
			}
		}
		s.User(t, "ana")
		if took := sequenced(t, s); took < time.Second {
			t.Errorf("it was taken away after %v", took)
		}
		st, err := s.Core.Store.LogState(t.Context(), "")
		if err != nil || st.Epoch <= epoch || st.Holder == "a server that hangs" {
			t.Errorf("%+v, %v; the epoch was %d", st, err, epoch)
		}
		if _, err := s.Core.Store.Sequence(t.Context(), epoch, "", 10, s.Core.Keys.SignCheckpoint); fault.KindOf(err) != fault.Conflict {
			t.Errorf("who has lost it gives leaves: %v", err)
		}
		keys, err := s.Core.Keys.AuditVerifiers(st.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := audit.Verify(t.Context(), s.Core.Store.AuditLog(), audit.VerifyOptions{Keys: keys}); err != nil || r.Problem != nil {
			t.Errorf("%v, %v", err, r.Problem)
		}
	})
}

// A tree that was altered is not grown and not signed; requests go on, and the
// log of the server says what to do. When it is as it was, it goes on.
func TestAttackAUD004NothingIsSignedOnTop(t *testing.T) {
	out := logged(t, func() {
		s := servertest.Start(t, servertest.Options{})
		defer s.Stop()
		token := s.Login(t, servertest.Admin).Access
		was, _ := checkpoint(t, s, token)
		db := database(t, s)
		change := func(statement string) {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		change(`CREATE TABLE kept AS SELECT * FROM audit_tiles`)
		change(`UPDATE audit_tiles SET hashes = zeroblob(length(hashes))`)
		s.User(t, "ana")
		time.Sleep(500 * time.Millisecond)
		st, err := s.Core.Store.LogState(t.Context(), "")
		if err != nil || st.Size != was.Size || !st.Waiting {
			t.Errorf("it was grown: %+v, %v", st, err)
		}
		if a := s.Call(t, token, http.MethodGet, "/users/me", nil); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		change(`UPDATE audit_tiles SET hashes = (SELECT hashes FROM kept WHERE kept.level = audit_tiles.level AND kept.n = audit_tiles.n)`)
		if now, _ := checkpoint(t, s, token); now.Size <= was.Size {
			t.Errorf("put back as it was, it has %d leaves", now.Size)
		}
	})
	if !strings.Contains(out, "the audit log was altered; run doorward audit verify") {
		t.Errorf("the log does not say it: %s", out)
	}
}

// A server that runs writes no other past for who can write into the database: a
// log that became shorter gets no leaf any more, until it is as it was (AUD-004).
func TestAttackAUD004ShorterLog(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		past := storetest.NewWitness(t, dsn)
		sequenced(t, s)
		time.Sleep(500 * time.Millisecond) // it has looked since
		tables := []string{"audit_tiles", "audit_checkpoints", "audit_log", "audit_leaves", "audit_packs", "audit_names"}
		for _, table := range tables {
			past.Exec(t, `CREATE TABLE kept_`+table+` AS SELECT * FROM `+table)
		}
		for _, statement := range []string{`DELETE FROM audit_tiles`, `DELETE FROM audit_checkpoints`, `UPDATE audit_log SET size = 0`, past.Unsequence(`true`), `DELETE FROM audit_leaves`} {
			past.Exec(t, statement)
		}
		time.Sleep(time.Second)
		if st, err := s.Core.Store.LogState(t.Context(), ""); err != nil || st.Size != 0 || !st.Waiting {
			t.Errorf("it began anew: %+v, %v", st, err)
		}
		for _, table := range tables {
			past.Exec(t, `DELETE FROM `+table)
			past.Exec(t, `INSERT INTO `+table+` SELECT * FROM kept_`+table)
		}
		if err := s.Core.Store.Record(t.Context(), audit.Now(servertest.Operator, time.Now(), audit.UserUpdated, "user:x")); err != nil {
			t.Fatal(err)
		}
		sequenced(t, s)
	})
}

// An event whose id is old, of who commits late or whose clock is behind, gets its leaf
// too, though mostly only the last seconds are looked through.
func TestOldEventsGetTheirLeaf(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	sequenced(t, s)
	e := audit.Now(servertest.Operator, time.Now().Add(-time.Hour), audit.UserUpdated, "user:x")
	if err := s.Core.Store.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.Core.Store.LeafOf(t.Context(), e.ID); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
