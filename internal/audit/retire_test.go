package audit

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/principal"
)

// retiring is a log whose oldest events are deleted while it is read: what was
// read before is there, and what is read then is not, or its parts are not.
type retiring struct {
	*memory
	whole, until int64
}

func (r *retiring) Batches(ctx context.Context, size int64) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for b := range r.memory.Batches(ctx, size) {
			events := b.Events
			b.Events = nil
			for _, e := range events {
				if e.Leaf == r.whole { // its parts went first
					e.Parts = nil
				}
				if e.Leaf <= r.whole || e.Leaf >= r.until {
					b.Events = append(b.Events, e)
				}
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// A log is verified while its oldest events are deleted, and nothing that was
// announced is called tampering; what was not, is.
func TestVerifyWhileEventsRetire(t *testing.T) {
	a := signer(t, 1)
	for _, test := range []struct {
		whole, until int64
		bad          int64 // -1 for nothing
	}{{-1, 20, -1}, {3, 20, -1}, {9, 20, -1}, {9, 15, -1}, {14, 17, -1}, {9, 21, 20}, {3, 35, 20}, {21, 23, 21}, {-1, 40, 20}} {
		t.Run(fmt.Sprintf("%d to %d", test.whole, test.until), func(t *testing.T) {
			log := (&memory{t: t}).add(40)
			r := Now(principal.Principal{Kind: principal.System, ID: "retention"}, time.Now(), AuditRetired, "audit:events").With("until_leaf", "20").Record()
			log.events = append(log.events, Stored{Leaf: 40, Data: r.Public})
			log.hashes = append(log.hashes, LeafHash(r.Public))
			log.tree.Append(LeafHash(r.Public), func(Tile) {})
			log.sign(a)
			got, err := Verify(t.Context(), &retiring{log, test.whole, test.until}, VerifyOptions{Keys: []note.Verifier{a}})
			if err != nil || (test.bad < 0) != (got.Problem == nil) || got.Problem != nil && got.Problem.Leaf != test.bad {
				t.Errorf("%v, %v", got.Problem, err)
			}
		})
	}
}
