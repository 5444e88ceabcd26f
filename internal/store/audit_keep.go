package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
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
	_, err := t.exec(`DELETE FROM audit_private WHERE person = ?`, person)
	return err
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
	err = s.one(ctx, `SELECT COUNT(*) FROM audit_private WHERE person = ?`, person).scan(&n)
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
	err = t.one(`SELECT leaf, at FROM audit_events WHERE leaf IS NOT NULL ORDER BY leaf LIMIT 1`).scan(&first, &oldest)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, err
	}
	var data []byte
	err = t.one(`SELECT data FROM audit_events WHERE action = ? AND leaf IS NOT NULL ORDER BY id DESC LIMIT 1`, string(audit.AuditRetired)).scan(&data)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, 0, err
	}
	if until, _ = audit.RetiredUntil(data); until > first {
		return first, until, nil
	}
	// The first event that is young enough stays, and all behind it.
	var young sql.NullInt64
	if err := t.one(`SELECT (SELECT size FROM audit_log WHERE id = 1), (SELECT MIN(leaf) FROM audit_events WHERE leaf IS NOT NULL AND leaf < ? AND at >= ?)`,
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
	if err := t.one(`SELECT COUNT(*) FROM audit_events WHERE leaf IS NULL AND action = ?`, string(audit.AuditRetired)).scan(&waiting); err != nil || waiting > 0 {
		return err
	}
	by := principal.Principal{Kind: principal.System, ID: "retention"}
	return t.record(audit.Now(by, t.now, audit.AuditRetired, "audit:events").With("until_leaf", strconv.FormatInt(until, 10)))
}

// retire deletes the events of some leaves. Their hashes stay in the tiles.
func (t *tx) retire(first, until int64) error {
	persons := map[string][]string{}
	if err := t.all(func(r scanner) error {
		var event string
		var data []byte
		if err := r.Scan(&event, &data); err != nil {
			return err
		}
		leaf, _ := audit.ReadLeaf(data) // one that cannot be read names nobody
		for _, person := range leaf.Persons {
			persons[person] = append(persons[person], event)
		}
		return nil
	}, `DELETE FROM audit_events WHERE leaf >= ? AND leaf < ? RETURNING id, data`, first, until); err != nil {
		return err
	}
	for person, events := range persons {
		for _, event := range events {
			if _, err := t.exec(`DELETE FROM audit_private WHERE person = ? AND event = ?`, person, event); err != nil {
				return err
			}
		}
	}
	return nil
}
