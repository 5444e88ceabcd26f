package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/doorward/doorward/internal/audit"
)

// AuditLog is the log as it is kept, to be verified or exported. It goes on
// growing meanwhile: what is read is the tree of one size, and afterwards what
// came since and excuses what was missing.
type AuditLog struct {
	s     *Store
	notes []audit.Note
}

var (
	_ audit.Source = (*AuditLog)(nil)
	_ audit.Tiles  = (*AuditLog)(nil)
)

// AuditLog returns the log.
func (s *Store) AuditLog() *AuditLog { return &AuditLog{s: s} }

// Head returns how the log stands: its tree is that of its newest checkpoint.
func (l *AuditLog) Head(ctx context.Context) (audit.Head, error) {
	h := audit.Head{Private: true}
	var before, after int64
	err := l.s.one(ctx, `SELECT origin, size FROM audit_log WHERE id = 1`).scan(&h.Origin, &before)
	if errors.Is(err, sql.ErrNoRows) {
		return h, &audit.Problem{Leaf: -1, Why: "the row that says how many leaves the log has is not there"}
	} else if err != nil {
		return h, err
	}
	l.notes = nil
	if err := l.s.all(ctx, func(r scanner) error {
		var n audit.Note
		err := r.Scan(&n.Size, &n.Text)
		l.notes, h.Sizes, h.Size = append(l.notes, n), append(h.Sizes, n.Size), n.Size
		return err
	}, `SELECT size, note FROM audit_checkpoints ORDER BY size`); err != nil {
		return h, err
	}
	var tiles int64
	if err := l.s.one(ctx, `SELECT size, (SELECT COUNT(*) FROM audit_tiles WHERE level = 0) FROM audit_log WHERE id = 1`).scan(&after, &tiles); err != nil {
		return h, err
	}
	if h.Size/audit.TileWidth > 2*tiles+verifyTiles { // to look for each of them one by one may take for ever
		return h, &audit.Problem{Leaf: -1, Why: fmt.Sprintf("the log says that it has %d leaves, and its tree has no more than %d", h.Size, tiles*audit.TileWidth)}
	}
	if h.Size < before || h.Size > after { // it grows meanwhile, and both grow together
		return h, &audit.Problem{Leaf: -1, Why: fmt.Sprintf("the log says that it has %d leaves, and its newest checkpoint is of %d", after, h.Size)}
	}
	return h, nil
}

// Notes returns the checkpoints as Head found them.
func (l *AuditLog) Notes(context.Context) ([]audit.Note, error) { return l.notes, nil }

// verifyTiles is how many whole tiles of leaves are read at once.
const verifyTiles = 16

// Batches passes pieces that are read where they are checked.
func (l *AuditLog) Batches(ctx context.Context, size int64) iter.Seq2[audit.Batch, error] {
	const step = verifyTiles * audit.TileWidth
	return func(yield func(audit.Batch, error) bool) {
		for first := int64(0); first < size; first += step {
			b := audit.Batch{First: first, Count: min(step, size-first), Load: func(b *audit.Batch) error { return l.load(ctx, b) }}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (l *AuditLog) load(ctx context.Context, b *audit.Batch) error {
	if err := l.hashes(ctx, b); err != nil {
		return err
	}
	columns := make([]audit.Columns, 0, b.Count)
	b.Events = make([]audit.Stored, 0, b.Count)
	err := l.s.all(ctx, func(r scanner) error {
		columns = append(columns, audit.Columns{})
		c := &columns[len(columns)-1]
		b.Events = append(b.Events, audit.Stored{Columns: c})
		e := &b.Events[len(b.Events)-1]
		var parts string
		if err := r.Scan(&e.Leaf, &c.ID, &c.At, &c.Action, &c.Outcome, &c.Actor, &c.Target, &e.Data, &parts); err != nil {
			return err
		}
		list, err := audit.DecodeParts(parts)
		e.Parts, e.Garbled = list, err != nil
		return nil
	}, `SELECT leaf, id, at, action, outcome, actor, target, data, private FROM audit_leaves WHERE leaf >= ? AND leaf < ? ORDER BY leaf`, b.First, b.First+b.Count)
	if err != nil {
		return err
	}
	return l.unnamed(ctx, b)
}

// hashes reads the tiles of the leaves, up to the first that is not there whole.
func (l *AuditLog) hashes(ctx context.Context, b *audit.Batch) error {
	next, whole := b.First/audit.TileWidth, true
	return l.s.all(ctx, func(r scanner) error {
		var n int64
		var hashes []byte
		if err := r.Scan(&n, &hashes); err != nil {
			return err
		}
		whole = whole && n == next
		next++
		for i := 0; whole && i+len(audit.Hash{}) <= len(hashes) && int64(len(b.Hashes)) < b.Count; i += len(audit.Hash{}) {
			b.Hashes = append(b.Hashes, audit.Hash(hashes[i:i+len(audit.Hash{})]))
		}
		whole = whole && len(hashes) == audit.TileWidth*len(audit.Hash{})
		return nil
	}, `SELECT n, hashes FROM audit_tiles WHERE level = 0 AND n >= ? AND n < ? ORDER BY n`, next, next+verifyTiles)
}

// AuditTile returns the hashes of a tile.
func (l *AuditLog) AuditTile(ctx context.Context, level int, n int64) ([]byte, error) {
	return l.s.AuditTile(ctx, level, n)
}

// Tail returns the events since that excuse what is missing.
func (l *AuditLog) Tail(ctx context.Context, size int64) (list []audit.Stored, err error) {
	var below string
	var last, grown int64
	if err := l.s.one(ctx, `SELECT id FROM audit_leaves WHERE leaf < 0 LIMIT 1`).scan(&below); err == nil {
		return nil, &audit.Problem{Leaf: -1, Event: below, Why: fmt.Sprintf("there is an event %.40q with a number below that of the first leaf", below)}
	} else if !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err := l.s.one(ctx, `SELECT COALESCE(MAX(leaf), -1) FROM audit_leaves`).scan(&last); err != nil {
		return nil, err
	}
	if err := l.s.one(ctx, `SELECT size FROM audit_log WHERE id = 1`).scan(&grown); err != nil {
		return nil, err
	}
	if last >= max(grown, size) {
		return nil, &audit.Problem{Leaf: last, Why: fmt.Sprintf("there is an event with this number, and the log has %d leaves", grown)}
	}
	for _, since := range []struct {
		from string
		args []any
	}{{`audit_leaves WHERE leaf >= ? AND`, []any{size}}, {`audit_waiting WHERE`, nil}} {
		if err := l.s.all(ctx, func(r scanner) error {
			e := audit.Stored{Leaf: -1}
			err := r.Scan(&e.Data)
			list = append(list, e)
			return err
		}, `SELECT data FROM `+since.from+` action IN (?, ?)`, append(since.args, string(audit.AuditErased), string(audit.AuditRetired))...); err != nil {
			return nil, err
		}
	}
	return list, nil
}
