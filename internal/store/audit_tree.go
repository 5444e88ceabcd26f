package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// BeginLog gives the log its origin, unless it has one, and returns that.
func (s *Store) BeginLog(ctx context.Context, origin string) (string, error) {
	var kept string
	if err := s.one(ctx, `SELECT origin FROM audit_log WHERE id = 1`).scan(&kept); err != nil || kept != "" || origin == "" {
		return kept, absent(err, "audit log")
	}
	err := s.write(ctx, func(t *tx) error {
		if _, err := t.exec(`UPDATE audit_log SET origin = ? WHERE id = 1 AND origin = ''`, origin); err != nil {
			return err
		}
		return t.one(`SELECT origin FROM audit_log WHERE id = 1`).scan(&kept)
	})
	return kept, err
}

// LogState returns how the tree stands, and whether events wait among those whose ids
// are past from: all for an empty one.
func (s *Store) LogState(ctx context.Context, from string) (audit.State, error) {
	var st audit.State
	var oldest sql.NullString
	err := s.one(ctx, `SELECT origin, size, holder, epoch, (SELECT id FROM audit_packs WHERE id > ? ORDER BY id LIMIT 1) FROM audit_log WHERE id = 1`, from).
		scan(&st.Origin, &st.Size, &st.Holder, &st.Epoch, &oldest)
	if oldest.Valid {
		st.Waiting, st.Since = true, id.Time(oldest.String)
	}
	return st, err
}

// EventsWaiting returns how many events have no leaf yet.
func (s *Store) EventsWaiting(ctx context.Context) (n int64, err error) {
	err = s.one(ctx, `SELECT COUNT(*) FROM audit_waiting`).scan(&n)
	return n, err
}

// TakeLog makes holder the one that gives events their leaves, if nobody else
// has become that since was was read, and returns his epoch. An empty holder
// gives it back. It returns a fault of kind Conflict to who comes too late.
func (s *Store) TakeLog(ctx context.Context, holder string, was audit.State) (epoch int64, err error) {
	err = s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE audit_log SET holder = ?, epoch = epoch + 1 WHERE id = 1 AND epoch = ?`, holder, was.Epoch)
		if err == nil && n == 0 {
			return errNotHolder
		}
		return err
	})
	return was.Epoch + 1, err
}

var errNotHolder = fault.New(fault.Conflict, "another server gives events their leaves now")

// Sequence appends the events of up to limit packs to the tree, of those whose ids are
// past from: it writes their leaves, the tiles that change and the checkpoint that sign
// makes, all or nothing, and returns how many packs there were. Only the holder of the
// present epoch does; others get a fault of kind Conflict.
func (s *Store) Sequence(ctx context.Context, epoch int64, from string, limit int, sign audit.Signing) (int, error) {
	n := 0
	err := s.write(ctx, func(t *tx) error {
		n = 0
		now := audit.Checkpoint{}
		err := t.one(`UPDATE audit_log SET epoch = epoch WHERE id = 1 AND epoch = ? RETURNING origin, size`, epoch).scan(&now.Origin, &now.Size)
		if errors.Is(err, sql.ErrNoRows) {
			return errNotHolder
		} else if err != nil {
			return err
		}
		packs, leaves, err := t.giveLeaves(now.Size, from, limit)
		if err != nil || len(leaves) == 0 {
			return err
		}
		tree, err := t.tree(now.Size)
		if err != nil {
			return err
		}
		now.Root = tree.Root()
		if err := t.grow(tree, leaves); err != nil {
			return err
		}
		n = packs
		return t.checkpoint(now, audit.Checkpoint{Origin: now.Origin, Size: tree.Size(), Root: tree.Root()}, sign)
	})
	return n, err
}

// SequencesAtOnce returns the packs of how many Sequence should append in one
// transaction: few where requests wait behind it, on SQLite, and many where each
// transaction has a cost of its own.
func (s *Store) SequencesAtOnce() int {
	if _, ok := s.db.(*sqliteDB); ok {
		return 32
	}
	return 200
}

const (
	waitingPacks = `SELECT id, events FROM audit_packs WHERE id > ? ORDER BY id LIMIT ?`
	leafColumns  = `leaf, id, at, action, outcome, actor, target, data, private`
)

// leavesAtOnce is how many events get their leaves by one statement, the most first: each
// is prepared once, so there are not too many of them.
var leavesAtOnce = []int{64, 16, 4, 1}

var insertLeaves, forgetPacks = func() (insert, forget map[int]string) {
	insert, forget = map[int]string{}, map[int]string{}
	for _, n := range leavesAtOnce {
		const row = `(?, ?, ?, ?, ?, ?, ?, ?, ?)`
		insert[n] = `INSERT INTO audit_leaves (` + leafColumns + `) VALUES ` + row + strings.Repeat(`, `+row, n-1)
		forget[n] = `DELETE FROM audit_packs WHERE id IN (?` + strings.Repeat(`, ?`, n-1) + `)`
	}
	return insert, forget
}()

// giveLeaves numbers the events of packs that have no leaf, whenever they were written: a
// transaction that began earlier may commit later. It returns how many packs there were
// and the hashes of the leaves.
func (t *tx) giveLeaves(size int64, from string, limit int) (int, []audit.Hash, error) {
	var packs []string
	var events []audit.Packed
	if err := t.all(func(r scanner) error {
		var id, pack string
		if err := r.Scan(&id, &pack); err != nil {
			return err
		}
		more, err := audit.Unpack(pack)
		packs, events = append(packs, id), append(events, more...)
		return err
	}, waitingPacks, from, limit); err != nil || len(packs) == 0 {
		return 0, nil, err
	}
	slices.SortFunc(events, func(a, b audit.Packed) int { return strings.Compare(a.ID, b.ID) })
	events = slices.CompactFunc(events, audit.Packed.Same) // what was recorded twice has one leaf
	hashes, found := make([]audit.Hash, len(events)), names{}
	leaves := make([][]any, len(events))
	for i := range events {
		e := &events[i]
		hashes[i] = audit.LeafHash(e.Data)
		found.add(&e.Columns, e.Data)
		leaves[i] = []any{size + int64(i), e.ID, e.At, e.Action, e.Outcome, e.Actor, e.Target, e.Data, e.Parts}
	}
	gone := make([][]any, len(packs))
	for i, id := range packs {
		gone[i] = []any{id}
	}
	if err := t.many(insertLeaves, leaves); err != nil {
		return 0, nil, err
	}
	if err := t.many(forgetPacks, gone); err != nil {
		return 0, nil, err
	}
	return len(packs), hashes, t.keepNames(found)
}

// many runs a statement for rows, as many of them at once as it has a form for.
func (t *tx) many(statements map[int]string, rows [][]any) error {
	for _, n := range leavesAtOnce {
		for ; len(rows) >= n; rows = rows[n:] {
			if _, err := t.exec(statements[n], slices.Concat(rows[:n]...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// tree reads the right edge of the tree.
func (t *tx) tree(size int64) (*audit.Tree, error) {
	edge := audit.EdgeOf(size)
	for i := range edge {
		if err := t.one(`SELECT hashes FROM audit_tiles WHERE level = ? AND n = ?`, edge[i].Level, edge[i].N).scan(&edge[i].Hashes); err != nil {
			return nil, fmt.Errorf("tile %d/%d of the audit log: %w", edge[i].Level, edge[i].N, err)
		}
	}
	return audit.NewTree(size, edge)
}

// grow appends leaves and writes the tiles that change.
func (t *tx) grow(tree *audit.Tree, leaves []audit.Hash) error {
	before := tree.Size()
	var tiles []audit.Tile
	for _, hash := range leaves {
		tree.Append(hash, func(full audit.Tile) { tiles = append(tiles, full) })
	}
	for _, e := range tree.Edge() {
		if changed(e, before) {
			tiles = append(tiles, e)
		}
	}
	for _, tile := range tiles {
		if _, err := t.exec(`INSERT INTO audit_tiles (level, n, hashes) VALUES (?, ?, ?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`,
			tile.Level, tile.N, tile.Hashes); err != nil {
			return err
		}
	}
	return nil
}

// changed reports whether a tile at the edge has more in it than when the tree
// had a size.
func changed(e audit.Tile, size int64) bool {
	had := size>>(audit.TileHeight*e.Level) - e.N*audit.TileWidth
	return int64(e.Width()) > max(had, 0)
}

// checkpoint writes the checkpoint of a tree that has grown. Of those of one
// second the last stays.
func (t *tx) checkpoint(was, is audit.Checkpoint, sign audit.Signing) error {
	var before []byte
	var at int64
	if err := t.one(`SELECT note, at FROM audit_checkpoints WHERE size = ?`, was.Size).scan(&before, &at); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	note, err := sign(was, before, is)
	if err != nil {
		return err
	}
	const second = int64(time.Second / time.Microsecond)
	if at/second == clock.Micro(t.now)/second {
		if _, err := t.exec(`DELETE FROM audit_checkpoints WHERE size = ?`, was.Size); err != nil {
			return err
		}
	}
	if _, err := t.exec(`INSERT INTO audit_checkpoints (size, at, note) VALUES (?, ?, ?)`, is.Size, clock.Micro(t.now), note); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE audit_log SET size = ? WHERE id = 1`, is.Size)
	return err
}

// AuditTile returns the hashes of a tile.
func (s *Store) AuditTile(ctx context.Context, level int, n int64) ([]byte, error) {
	var hashes []byte
	err := s.one(ctx, `SELECT hashes FROM audit_tiles WHERE level = ? AND n = ?`, level, n).scan(&hashes)
	return hashes, absent(err, "tile of the audit log")
}

// AuditCheckpoint returns the newest signed checkpoint, or a fault of kind
// NotFound where there is none yet.
func (s *Store) AuditCheckpoint(ctx context.Context) ([]byte, error) {
	var note []byte
	err := s.one(ctx, `SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1`).scan(&note)
	return note, absent(err, "checkpoint of the audit log yet")
}

// LeafOf returns the place of an event in the tree.
func (s *Store) LeafOf(ctx context.Context, event string) (int64, error) {
	if !text(event) {
		return 0, absent(sql.ErrNoRows, "event")
	}
	var leaf int64
	err := s.one(ctx, `SELECT leaf FROM audit_leaves WHERE id = ?`, event).scan(&leaf)
	if !errors.Is(err, sql.ErrNoRows) {
		return leaf, err
	}
	err = s.one(ctx, `SELECT 0 FROM audit_waiting WHERE id = ?`, event).scan(&leaf)
	if err == nil {
		return 0, fault.New(fault.NotFound, "the event has no place in the tree yet; ask again in a second")
	}
	return 0, absent(err, "event")
}

// thinned is how long every checkpoint is kept; of those before, the last of
// each hour stays.
const thinned = 24 * time.Hour

// ThinCheckpoints deletes checkpoints that are no longer kept, a batch, and
// reports whether there may be more.
func (s *Store) ThinCheckpoints(ctx context.Context) (more bool, err error) {
	hour := time.Hour.Microseconds()
	var dense []int64
	err = s.all(ctx, func(r scanner) error { // nobody else deletes them, and none comes among them: so no writer waits meanwhile
		var size int64
		err := r.Scan(&size)
		dense = append(dense, size)
		return err
	}, `SELECT c.size FROM audit_checkpoints AS c WHERE c.at < ? AND c.at / ? = (SELECT d.at / ? FROM audit_checkpoints AS d WHERE d.size > c.size ORDER BY d.size LIMIT 1)
		ORDER BY c.at LIMIT ?`, clock.Micro(s.clock.Now().Add(-thinned)), hour, hour, purgeBatch)
	if err != nil || len(dense) == 0 {
		return false, err
	}
	return len(dense) == purgeBatch, s.write(ctx, func(t *tx) error {
		for _, size := range dense {
			if _, err := t.exec(`DELETE FROM audit_checkpoints WHERE size = ?`, size); err != nil {
				return err
			}
		}
		return nil
	})
}
