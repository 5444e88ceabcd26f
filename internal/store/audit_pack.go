package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/doorward/doorward/internal/audit"
)

// unpacked are the events of a transaction that are not written yet. They are written
// together, as packs: so that what many events share, a row and its place in an index, is
// paid once.
type unpacked struct{ records []audit.Record }

// inPack is how many events a pack has at the most: those that give events their leaves
// take whole packs.
const inPack = 256

// flush writes the events so far. A transaction ends with it, and so does what looks for
// the events of its own transaction begin.
func (p *unpacked) flush(ctx context.Context, run runner) error {
	for chunk := range slices.Chunk(p.records, inPack) {
		var size int
		for _, r := range chunk {
			size += len(r.Public) + len(r.Parts) + 2
		}
		pack := make([]byte, 0, size)
		for _, r := range chunk {
			pack = r.AppendLine(pack)
		}
		const insert = `INSERT INTO audit_packs (id, events) VALUES (?, ?)`
		if _, err := run.exec(ctx, insert, chunk[0].ID, string(pack)); err != nil {
			return fmt.Errorf("%s: %w", first(insert), err)
		}
	}
	p.cut(0)
	return nil
}

// cut forgets the events past the first n.
func (p *unpacked) cut(n int) {
	clear(p.records[n:])
	p.records = p.records[:n]
}

// flush writes the events that were recorded so far.
func (t *tx) flush() error { return t.run.unpacked().flush(t.ctx, t.run) }
