package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
)

// erase deletes what the log tells of a person: an account's id. The events
// stay, with digests that nobody can connect to the person any more, and one
// more says that this was done. It is the last thing that its transaction does,
// so that it reaches that event too.
func (t *tx) erase(by principal.Principal, person string) error {
	if err := t.record(audit.Now(by, t.now, audit.AuditErased, "user:"+person)); err != nil {
		return err
	}
	if err := t.unpost(person); err != nil { // a letter tells where somebody came from, too
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.holdLeaves(); err != nil { // so that none is missed on its way
		return err
	}
	var found []telling
	if err := tellings(t.all, person, func(e telling) { found = append(found, e) }); err != nil {
		return err
	}
	for _, e := range found {
		left, n := e.forget(e.text, person)
		if n == 0 {
			continue
		}
		if _, err := t.exec(e.update, left, e.id); err != nil {
			return err
		}
	}
	return nil
}

// holdLeaves lets no event get its leaf while the transaction lasts.
func (t *tx) holdLeaves() error {
	_, err := t.exec(`UPDATE audit_log SET epoch = epoch WHERE id = 1`)
	return err
}

// telling is a row that may tell of a person, and how he is forgotten in it.
type telling struct {
	id, text string
	forget   func(text, person string) (left string, forgotten int)
	update   string
}

// passed passes the rows that a statement selects.
func (e telling) passed(f func(telling)) func(scanner) error {
	return func(r scanner) error {
		err := r.Scan(&e.id, &e.text)
		f(e)
		return err
	}
}

// tellings passes the rows that may tell of a person: those in which his id stands. The
// packs that wait are looked through; leaves are found by the names that he can have in
// them. all is tx.all or Store.all.
func tellings(all func(func(scanner) error, string, ...any) error, person string, f func(telling)) error {
	quoted, err := json.Marshal(person)
	if err != nil {
		return err
	}
	like := `%` + strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(string(quoted)) + `%`
	pack := telling{forget: audit.ForgetPacked, update: `UPDATE audit_packs SET events = ? WHERE id = ?`}
	if err := all(pack.passed(f), `SELECT id, events FROM audit_packs WHERE events LIKE ? ESCAPE '!'`, like); err != nil {
		return err
	}
	names := audit.NamesOf(person)
	args := make([]any, 0, len(names))
	for _, n := range names {
		args = append(args, n)
	}
	var moments []string
	if err := all(texts(&moments), `SELECT DISTINCT moment FROM audit_names WHERE name IN (?`+strings.Repeat(", ?", len(names)-1)+`)`, args...); err != nil {
		return err
	}
	leaf := telling{forget: audit.Forget, update: `UPDATE audit_leaves SET private = ? WHERE id = ?`}
	for chunk := range slices.Chunk(moments, momentsAtOnce) {
		statement, args := inMoments(`l.id, l.private`, chunk, ` AND l.private LIKE ? ESCAPE '!'`, []any{like})
		if err := all(leaf.passed(f), statement, args...); err != nil {
			return err
		}
	}
	return nil
}

// Erase deletes what the log tells of accounts, one transaction for each.
func (s *Store) Erase(ctx context.Context, by principal.Principal, persons ...string) error {
	for _, person := range persons {
		if err := s.write(ctx, func(t *tx) error { return t.erase(by, person) }); err != nil {
			return err
		}
	}
	return nil
}

// Tells returns how many private parts the log has of a person.
func (s *Store) Tells(ctx context.Context, person string) (n int64, err error) {
	all := func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	}
	err = tellings(all, person, func(e telling) {
		_, parts := e.forget(e.text, person)
		n += int64(parts)
	})
	return n, err
}

// Each time that events are retired leaves an event. So they are when there are
// enough of them, or when the oldest has been due for a while.
const (
	retireAtLeast = 1_000
	retireAtMost  = 10_000
	retireLate    = time.Hour
)

// RetireEvents deletes events that are older than keep, with their private
// parts, from the front of the log, and the counts of that time. First it records
// up to which leaf it will; then it deletes in batches, and reports whether there
// may be more to do.
func (s *Store) RetireEvents(ctx context.Context, keep time.Duration) (more bool, err error) {
	before := clock.Micro(s.clock.Now().Add(-keep))
	err = s.write(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM audit_counts WHERE minute IN (SELECT DISTINCT minute FROM audit_counts WHERE minute < ? ORDER BY minute LIMIT 1)`, before)
		more = n > 0
		return err
	})
	if err != nil {
		return false, err
	}
	err = s.write(ctx, func(t *tx) error {
		first, until, err := t.retiring(before)
		if err != nil || first >= until {
			return err
		}
		more = true
		return t.retire(first, min(until, first+purgeBatch))
	})
	return more, err
}

// retiring returns the first leaf that is there and the one up to which events
// may go: as an event says already, or as one says now because enough is due.
func (t *tx) retiring(before int64) (first, until int64, err error) {
	var oldest int64
	err = t.one(`SELECT leaf, at FROM audit_leaves ORDER BY leaf LIMIT 1`).scan(&first, &oldest)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, err
	}
	var moment string
	var data []byte
	err = t.one(`SELECT moment FROM audit_names WHERE name = ? ORDER BY moment DESC LIMIT 1`, string(audit.AuditRetired)).scan(&moment)
	if err == nil {
		err = t.one(`SELECT data FROM audit_leaves WHERE id >= ? AND id < ? AND action = ? ORDER BY id DESC LIMIT 1`, moment, moment+"w", string(audit.AuditRetired)).scan(&data)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, 0, err
	}
	if until, _ = audit.RetiredUntil(data); until > first {
		return first, until, nil
	}
	// The first event that is young enough stays, and all behind it.
	var young sql.NullInt64
	if err := t.one(`SELECT (SELECT size FROM audit_log WHERE id = 1), (SELECT MIN(leaf) FROM audit_leaves WHERE leaf < ? AND at >= ?)`,
		first+retireAtMost, before).scan(&until, &young); err != nil {
		return 0, 0, err
	}
	until = min(until, first+retireAtMost)
	if young.Valid {
		until = young.Int64
	}
	if until == first || until-first < retireAtLeast && oldest > before-retireLate.Microseconds() {
		return first, 0, nil
	}
	return first, 0, t.announce(until)
}

// announce records that the events up to a leaf will be deleted. That waits
// until the event has its own place in the tree.
func (t *tx) announce(until int64) error {
	var waiting int64
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.one(`SELECT COUNT(*) FROM audit_waiting WHERE action = ?`, string(audit.AuditRetired)).scan(&waiting); err != nil || waiting > 0 {
		return err
	}
	by := principal.Principal{Kind: principal.System, ID: "retention"}
	return t.record(audit.Now(by, t.now, audit.AuditRetired, "audit:events").With("until_leaf", strconv.FormatInt(until, 10)))
}

// retire deletes the events of some leaves. Their hashes stay in the tiles.
func (t *tx) retire(first, until int64) error {
	// Else one of the same moment could get its leaf, see that its names are there,
	// and lose them.
	if err := t.holdLeaves(); err != nil {
		return err
	}
	gone := names{}
	if err := t.all(gone.read, `DELETE FROM audit_leaves WHERE leaf >= ? AND leaf < ? RETURNING id, action, outcome, actor, target, data`, first, until); err != nil {
		return err
	}
	return t.forgetNames(gone)
}
