package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/outbox"
)

// record writes events with the transaction's change, before it ends. It returns nil: a
// verb can end with it.
func (t *tx) record(events ...audit.Event) error {
	t.keep(recordsOf(events...))
	return nil
}

// recordsOf works out what is kept of events. Verbs that are called often do so
// before their transaction: on SQLite all others wait for it.
func recordsOf(events ...audit.Event) []audit.Record {
	if !audited {
		return nil
	}
	records := make([]audit.Record, len(events))
	for i, e := range events {
		records[i] = e.Record()
	}
	return records
}

// keep is record for what recordsOf worked out.
func (t *tx) keep(records []audit.Record) {
	p := t.run.unpacked()
	p.records = append(p.records, records...)
}

// Record writes an event that has no other change. Events that come together
// share a commit, and each waits for it.
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	records := recordsOf(e)
	return s.through(ctx, s.db.record, func(t *tx) error {
		t.keep(records)
		return nil
	})
}

// Tell writes events that have no other change, and letters about them.
func (s *Store) Tell(ctx context.Context, events []audit.Event, letters ...outbox.Letter) error {
	if len(events) == 1 && len(letters) == 0 {
		return s.Record(ctx, events[0])
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.post(letters...); err != nil {
			return err
		}
		return t.record(events...)
	})
}

// AddCounts adds to how often credentials did what in a minute.
func (s *Store) AddCounts(ctx context.Context, counts []audit.Count) error {
	return s.write(ctx, func(t *tx) error {
		for _, c := range counts {
			if _, err := t.exec(`INSERT INTO audit_counts (minute, credential, action, outcome, times) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (minute, credential, action, outcome) DO UPDATE SET times = audit_counts.times + excluded.times`,
				clock.Micro(c.Minute), c.Credential, c.Action, string(c.Outcome), c.Times); err != nil {
				return err
			}
		}
		return nil
	})
}

// onceFor is how long a caller's name for a change is remembered.
const onceFor = 24 * time.Hour

// once lets the change of e happen if it is not the repetition of one. It
// stands before everything else that the transaction does.
func (t *tx) once(e audit.Event) error {
	o := e.Actor.Origin.Once
	if o.Key == "" {
		return nil
	}
	n, err := t.exec(`INSERT INTO once (key, request, target, expires_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET request = excluded.request, target = excluded.target, expires_at = excluded.expires_at
		WHERE once.expires_at < ?`,
		o.Key, o.Request, e.Target, clock.Micro(t.now.Add(onceFor)), clock.Micro(t.now))
	if err != nil || n > 0 {
		return err
	}
	var request, target string
	if err := t.one(`SELECT request, target FROM once WHERE key = ?`, o.Key).scan(&request, &target); errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.Unavailable, "the first request with this Idempotency-Key is not finished; repeat this one")
	} else if err != nil {
		return err
	}
	if request != o.Request {
		return fault.At("Idempotency-Key", "it was used for another request")
	}
	return &fault.Error{Kind: fault.Replayed, ID: target, Message: "this was done before"}
}
