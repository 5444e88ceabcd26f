package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

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
		return r.Scan(&e.Leaf, &c.ID, &c.At, &c.Action, &c.Outcome, &c.Actor, &c.Target, &e.Data)
	}, `SELECT leaf, id, at, action, outcome, actor, target, data FROM audit_events WHERE leaf >= ? AND leaf < ? ORDER BY leaf`, b.First, b.First+b.Count)
	if err != nil {
		return err
	}
	return l.parts(ctx, b)
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

// personsAtOnce is how many persons one statement asks about.
const personsAtOnce = 200

var selectParts = `SELECT event, part, person, salt, data FROM audit_private WHERE person IN (?` + strings.Repeat(", ?", personsAtOnce-1) + `) AND event >= ? AND event <= ?`

// parts reads the private parts of the events of a batch: they are found by their
// persons, and within each by the event.
func (l *AuditLog) parts(ctx context.Context, b *audit.Batch) error {
	place := make(map[string]int, len(b.Events))
	persons := map[string]bool{}
	from, to := "", ""
	for i := range b.Events {
		leaf, err := b.Events[i].Read()
		if err != nil || len(leaf.Private) == 0 || !text(leaf.ID) {
			continue // what cannot be read is told of when it is checked
		}
		place[leaf.ID] = i
		if from == "" || leaf.ID < from {
			from = leaf.ID
		}
		to = max(to, leaf.ID)
		for _, person := range leaf.Persons {
			persons[person] = persons[person] || text(person)
		}
	}
	var list []string
	for person, ok := range persons {
		if ok {
			list = append(list, person)
		}
	}
	slices.Sort(list)
	for chunk := range slices.Chunk(list, personsAtOnce) {
		args := make([]any, personsAtOnce, personsAtOnce+2)
		for i := range args {
			args[i] = chunk[min(i, len(chunk)-1)]
		}
		if err := l.s.all(ctx, func(r scanner) error {
			var event string
			var p audit.StoredPart
			err := r.Scan(&event, &p.Number, &p.Person, &p.Salt, &p.Data)
			if i, ok := place[event]; ok {
				b.Events[i].Parts = append(b.Events[i].Parts, p)
			}
			return err
		}, selectParts, append(args, from, to)...); err != nil {
			return err
		}
	}
	return nil
}

// AuditTile returns the hashes of a tile.
func (l *AuditLog) AuditTile(ctx context.Context, level int, n int64) ([]byte, error) {
	return l.s.AuditTile(ctx, level, n)
}

// Tail returns the events since that excuse what is missing.
func (l *AuditLog) Tail(ctx context.Context, size int64) (list []audit.Stored, err error) {
	var below string
	var last, grown int64
	if err := l.s.one(ctx, `SELECT id FROM audit_events WHERE leaf < 0 LIMIT 1`).scan(&below); err == nil {
		return nil, &audit.Problem{Leaf: -1, Event: below, Why: fmt.Sprintf("there is an event %.40q with a number below that of the first leaf", below)}
	} else if !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err := l.s.one(ctx, `SELECT COALESCE(MAX(leaf), -1) FROM audit_events WHERE leaf IS NOT NULL`).scan(&last); err != nil {
		return nil, err
	}
	if err := l.s.one(ctx, `SELECT size FROM audit_log WHERE id = 1`).scan(&grown); err != nil {
		return nil, err
	}
	if last >= max(grown, size) {
		return nil, &audit.Problem{Leaf: last, Why: fmt.Sprintf("there is an event with this number, and the log has %d leaves", grown)}
	}
	for _, since := range []struct {
		condition string
		args      []any
	}{{` AND leaf >= ?`, []any{size}}, {` AND leaf IS NULL`, nil}} {
		if err := l.s.all(ctx, func(r scanner) error {
			e := audit.Stored{Leaf: -1}
			err := r.Scan(&e.Data)
			list = append(list, e)
			return err
		}, `SELECT data FROM audit_events WHERE action IN (?, ?)`+since.condition, append([]any{string(audit.AuditErased), string(audit.AuditRetired)}, since.args...)...); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Strays returns an event that is not there and has private parts.
func (l *AuditLog) Strays(ctx context.Context) (event string, err error) {
	err = l.s.one(ctx, `SELECT event FROM audit_private AS p WHERE NOT EXISTS (SELECT 1 FROM audit_events AS e WHERE e.id = p.event) LIMIT 1`).scan(&event)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return event, err
}
