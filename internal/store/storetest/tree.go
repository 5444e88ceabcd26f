package storetest

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/store"
)

// Origin is that of the logs of tests.
const Origin = "auth.example.com/audit"

// Witnessed signs the checkpoints of a log with a key that is made for it.
type Witnessed struct {
	*store.Store
	Signer audit.Signer
	epoch  int64
}

// NewWitnessed begins the log of a store.
func NewWitnessed(t testing.TB, s *store.Store) *Witnessed {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginLog(t.Context(), Origin); err != nil {
		t.Fatal(err)
	}
	return &Witnessed{Store: s, Signer: signer}
}

// Sign is an audit.Signing.
func (w *Witnessed) Sign(_ audit.Checkpoint, _ []byte, is audit.Checkpoint) ([]byte, error) {
	return is.Sign(w.Signer)
}

// SequenceAll gives all events their leaves, in pieces.
func (w *Witnessed) SequenceAll(t testing.TB, piece int) {
	t.Helper()
	st, err := w.LogState(t.Context(), "")
	if err == nil && st.Holder != fmt.Sprintf("%p", w) {
		w.epoch, err = w.TakeLog(t.Context(), fmt.Sprintf("%p", w), st)
	}
	for n := piece; n == piece && err == nil; {
		n, err = w.Sequence(t.Context(), w.epoch, "", piece, w.Sign)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Verify holds the log against its checkpoints, and another that was kept.
func (w *Witnessed) Verify(t testing.TB, since []byte) audit.Report {
	t.Helper()
	r, err := audit.Verify(t.Context(), w.AuditLog(), audit.VerifyOptions{Keys: []note.Verifier{w.Signer}, Since: since})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Sequence gives an event that waits a leaf, past the store.
func (w *Witness) Sequence(t testing.TB, event string, leaf int64) {
	t.Helper()
	w.Exec(t, fmt.Sprintf(`INSERT INTO audit_leaves (leaf, id, at, action, outcome, actor, target, data, private)
		SELECT %d, id, at, action, outcome, actor, target, data, private FROM audit_waiting WHERE id = '%s'`, leaf, event))
	w.Exec(t, `DELETE FROM audit_packs WHERE events LIKE '{"v":1,"id":"`+event+`"%'`)
	w.Name(t)
}

// Unsequence returns the statement that gives events that have a leaf back to those that
// wait for one, of which a condition holds.
func (w *Witness) Unsequence(where string) string {
	text := `CAST(data AS TEXT)`
	if w.Postgres() {
		text = `convert_from(data, 'UTF8')`
	}
	return `INSERT INTO audit_packs (id, events) SELECT id, ` + text + " || '\t' || private || '\n' FROM audit_leaves WHERE " + where
}

// Name makes the index of names complete, past the store.
func (w *Witness) Name(t testing.TB) {
	t.Helper()
	for _, column := range []string{"actor", "target", "action", "outcome"} {
		w.Exec(t, `INSERT INTO audit_names (name, moment) SELECT DISTINCT `+column+`, substr(id, 1, 8) FROM audit_leaves WHERE true ON CONFLICT DO NOTHING`)
	}
}
