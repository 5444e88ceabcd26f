package keyring

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Nothing is signed on top of a tree that is not that of its last checkpoint.
func TestSignCheckpointRefuses(t *testing.T) {
	sealer, err := secret.ParseSealer(secret.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	shelf := &shelf{}
	s := NewService(shelf, clock.Func(time.Now), Options{Algorithm: jose.ES256}, func() (*secret.Sealer, error) { return sealer, nil })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	const origin = "auth.example.com/audit"
	was := audit.Checkpoint{Origin: origin, Size: 5, Root: audit.LeafHash([]byte("5"))}
	is := audit.Checkpoint{Origin: origin, Size: 7, Root: audit.LeafHash([]byte("7"))}
	signed := func(c audit.Checkpoint) []byte {
		before, err := s.SignCheckpoint(audit.Checkpoint{Origin: origin}, nil, c)
		if err != nil {
			t.Fatal(err)
		}
		return before
	}
	good := signed(was)
	another := was
	another.Root[0] ^= 1
	longer := was
	longer.Size = 6
	elsewhere := was
	elsewhere.Origin = "evil.example/audit"
	for name, before := range map[string][]byte{
		"none": nil, "no note": []byte("x"), "another root": signed(another), "another size": signed(longer), "another log": signed(elsewhere),
		"not signed": []byte(was.Text() + "\n"), "a flipped bit": []byte(strings.Replace(string(good), "\n5\n", "\n4\n", 1)),
	} {
		if _, err := s.SignCheckpoint(was, before, is); err == nil || !strings.Contains(err.Error(), "the audit log was altered; run doorward audit verify") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.RotateAudit(t.Context(), principal.Principal{}); err != nil {
		t.Fatal(err)
	}
	keys, err := s.AuditVerifiers(origin)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for range 2 {
		next, err := s.SignCheckpoint(was, good, is)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := audit.OpenCheckpoint(next, keys); err != nil || c.Checkpoint != is || len(c.Keys) != 1 || c.Keys[0].Hash != keys[0].KeyHash() {
			t.Errorf("after a rotation: %+v, %v", c, err)
		}
		was, good = is, next
		is.Size++
	}
}
