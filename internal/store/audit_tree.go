package store

import (
	"cmp"
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
	err := s.one(ctx, `SELECT origin, size, holder, epoch, (SELECT id FROM audit_waiting WHERE id > ? ORDER BY id LIMIT 1) FROM audit_log WHERE id = 1`, from).
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

// giveLeaves numbers the events that have no leaf, whenever they were written: a
// transaction that began earlier may commit later.
const giveLeaves = `INSERT INTO audit_leaves (leaf, id, at, action, outcome, actor, target, data, private)
	SELECT ? + ROW_NUMBER() OVER (ORDER BY id), id, at, action, outcome, actor, target, data, private
	FROM (SELECT * FROM audit_waiting WHERE id > ? ORDER BY id LIMIT ?) AS new
	RETURNING leaf, id, action, outcome, actor, target, data`

// Sequence appends up to limit events to the tree, of those whose ids are past from:
// it writes their leaves, the tiles that change and the checkpoint that sign makes,
// all or nothing, and returns how many events there were. Only the holder of the present epoch does;
// others get a fault of kind Conflict.
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
		leaves, err := t.giveLeaves(now.Size, from, limit)
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
		n = len(leaves)
		return t.checkpoint(now, audit.Checkpoint{Origin: now.Origin, Size: tree.Size(), Root: tree.Root()}, sign)
	})
	return n, err
}

// SequencesAtOnce returns how many events Sequence should append in one
// transaction: few where requests wait behind it, on SQLite, and many where each
// transaction has a cost of its own.
func (s *Store) SequencesAtOnce() int {
	if _, ok := s.db.(*sqliteDB); ok {
		return 100
	}
	return 1000
}

// leavesAtOnce is how many events one statement takes from those that wait.
const leavesAtOnce = 100

var forgetWaiting = `DELETE FROM audit_waiting WHERE id IN (?` + strings.Repeat(`, ?`, leavesAtOnce-1) + `)`

func (t *tx) giveLeaves(size int64, from string, limit int) ([]audit.Hash, error) {
	type leaf struct {
		n    int64
		id   string
		hash audit.Hash
	}
	var list []leaf
	found := names{}
	err := t.all(func(r scanner) error {
		var l leaf
		var c audit.Columns
		var data sql.RawBytes
		err := r.Scan(&l.n, &c.ID, &c.Action, &c.Outcome, &c.Actor, &c.Target, &data)
		l.id, l.hash = c.ID, audit.LeafHash(data)
		list = append(list, l)
		found.add(&c, data)
		return err
	}, giveLeaves, size-1, from, limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	// By their keys: of a table whose rows come and go PostgreSQL does not know how
	// many there are, and would look through it.
	for chunk := range slices.Chunk(list, leavesAtOnce) {
		args := make([]any, leavesAtOnce)
		for i := range args {
			args[i] = chunk[min(i, len(chunk)-1)].id
		}
		if _, err := t.exec(forgetWaiting, args...); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b leaf) int { return cmp.Compare(a.n, b.n) })
	hashes := make([]audit.Hash, len(list))
	for i, l := range list {
		if l.n != size+int64(i) {
			return nil, fmt.Errorf("leaf %d was given where %d was to be", l.n, size+int64(i))
		}
		hashes[i] = l.hash
	}
	return hashes, t.keepNames(found)
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
	err = s.write(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM audit_checkpoints WHERE size IN (SELECT c.size FROM audit_checkpoints AS c WHERE c.at < ?
				AND c.at / ? = (SELECT d.at / ? FROM audit_checkpoints AS d WHERE d.size > c.size ORDER BY d.size LIMIT 1) ORDER BY c.size LIMIT ?)`,
			clock.Micro(t.now.Add(-thinned)), hour, hour, purgeBatch)
		more = n == purgeBatch
		return err
	})
	return more, err
}
