package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// proofView is the answer of /audit/proof.
type proofView struct {
	Origin string
	Leaf   int64
	Hash   string `json:"leaf_hash"`
	From   *treeView
	Tree   treeView
	Proof  []audit.Hash
}

type treeView struct {
	Size int64
	Root audit.Hash
}

// checkpoint waits until every event has its leaf, and opens the newest checkpoint.
func checkpoint(t *testing.T, s *servertest.Site, token string) (audit.Signed, string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		st, err := s.Core.Store.LogState(t.Context(), "")
		if err != nil || time.Since(began) > 10*time.Second {
			t.Fatalf("after %v events wait: %v", time.Since(began), err)
		}
		if !st.Waiting {
			break
		}
	}
	a := s.Call(t, token, http.MethodGet, "/audit/checkpoint", nil)
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatalf("the checkpoint: %d %v %s", a.Status, a.Header, a.Body)
	}
	keys, err := s.Core.Keys.AuditVerifiers(strings.TrimPrefix(s.URL, "http://") + "/audit")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := audit.OpenCheckpoint([]byte(a.Body+"\n"), keys)
	if err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return signed, a.Body + "\n"
}

func prove(t *testing.T, s *servertest.Site, token, query string) (v proofView) {
	t.Helper()
	a := s.Call(t, token, http.MethodGet, "/audit/proof?"+query, nil)
	if a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, a.Status, a.Body)
	}
	a.JSON(t, &v)
	return v
}

// Each event is proved to be in the log, and each checkpoint to lead to the next.
func TestAuditProofs(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		token := s.Login(t, servertest.Admin).Access
		old, kept := checkpoint(t, s, token)
		s.User(t, "ana")
		now, _ := checkpoint(t, s, token)
		if now.Size <= old.Size {
			t.Fatalf("%d leaves grew to %d", old.Size, now.Size)
		}
		v := prove(t, s, token, fmt.Sprintf("from=%d&to=%d", old.Size, now.Size))
		if err := audit.CheckConsistency(v.Proof, old.Checkpoint, now.Checkpoint); err != nil || v.From.Root != old.Root || v.Tree.Root != now.Root {
			t.Errorf("consistency: %v, %+v", err, v)
		}
		for n := range now.Size {
			v := prove(t, s, token, fmt.Sprintf("leaf=%d&size=%d", n, now.Size))
			hash, err := base64.StdEncoding.DecodeString(v.Hash)
			if err != nil || v.Leaf != n {
				t.Fatalf("leaf %d: %v", n, v)
			}
			if err := audit.CheckInclusion(v.Proof, now.Checkpoint, n, audit.Hash(hash)); err != nil {
				t.Errorf("leaf %d: %v", n, err)
			}
		}
		keys, err := s.Core.Keys.AuditVerifiers(now.Origin)
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(t.Context(), s.Core.Store.AuditLog(), audit.VerifyOptions{Keys: keys, Since: []byte(kept)})
		if err != nil || r.Problem != nil {
			t.Errorf("verifying: %v, %v", err, r.Problem)
		}
		for query, status := range map[string]int{
			"": 400, "leaf=-2": 400, "leaf=99999999": 400, "leaf=0&size=99999999": 400, "leaf=x": 400, "leaf=0&event=00000000000000000000000000": 400,
			"event=00000000000000000000000000": 404, "event=%00": 400, "from=0": 400, "from=5&to=2": 400, "from=1&to=99999999": 400, "leaf=0&from=1": 400,
			"from=9223372036854775808": 400, "leaf=0&size=1&from=1&to=1": 400, "from=1&size=1": 400, "more=1": 400,
		} {
			if a := s.Call(t, token, http.MethodGet, "/audit/proof?"+query, nil); a.Status != status {
				t.Errorf("%q: %d %s, want %d", query, a.Status, a.Body, status)
			}
		}
		low := s.Login(t, "ana").Access
		for _, path := range []string{"/audit/checkpoint", "/audit/proof?leaf=0"} {
			if a := s.Call(t, low, http.MethodGet, path, nil); a.Status != http.StatusForbidden {
				t.Errorf("%s for ana: %d", path, a.Status)
			}
		}
	})
}

// A server that ends leaves nothing without its place in the tree, and a new key
// is vouched for by the one before, never the other way round.
func TestAuditKeyRotates(t *testing.T) {
	dsn := storetest.SQLite(t)
	var c steered
	s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak})
	token := s.Login(t, servertest.Admin).Access
	first, kept := checkpoint(t, s, token)
	c.pass(2 * time.Second) // of one second only the last checkpoint is kept
	before, err := s.Core.Keys.AuditVerifiers(first.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Core.Keys.RotateAudit(t.Context(), servertest.Operator); err != nil {
		t.Fatal(err)
	}
	s.User(t, "ana")
	now, text := checkpoint(t, s, token)
	if _, err := audit.OpenCheckpoint([]byte(text), before); err == nil || len(now.Keys) != 1 {
		t.Errorf("the old key still signs: %v", now.Keys)
	}
	keys, err := s.Core.Keys.AuditVerifiers(now.Origin)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	log := storetest.Open(t, dsn, store.Options{})
	st, err := log.LogState(t.Context(), "")
	if err != nil || st.Waiting || st.Holder != "" {
		t.Errorf("after the end: %+v, %v", st, err)
	}
	var export strings.Builder
	if _, err := audit.Export(t.Context(), &export, log.AuditLog(), true); err != nil {
		t.Fatal(err)
	}
	for name, trusted := range map[string][]note.Verifier{"both keys": keys, "the old key alone": before} {
		for what, source := range map[string]audit.Source{"database": log.AuditLog(), "export": audit.NewExported(strings.NewReader(export.String()))} {
			if r, err := audit.Verify(t.Context(), source, audit.VerifyOptions{Keys: trusted, Since: []byte(kept)}); err != nil || r.Problem != nil {
				t.Errorf("by %s, the %s: %v, %v", name, what, err, r.Problem)
			}
		}
	}
	if _, err := audit.Verify(t.Context(), log.AuditLog(), audit.VerifyOptions{Keys: keys[:1], Since: []byte(kept)}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("the new key alone opens what the old one signed: %v", err)
	}
	if r, err := audit.Verify(t.Context(), log.AuditLog(), audit.VerifyOptions{Keys: []note.Verifier{keys[0]}}); err != nil || r.Problem == nil {
		t.Errorf("the new key alone verifies what the old one signed: %v", err)
	}
}
