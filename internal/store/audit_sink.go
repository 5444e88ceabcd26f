package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// TakeSink makes holder the one that sends the log to a place until a time, and
// returns how far it got. It returns false while another is that.
func (s *Store) TakeSink(ctx context.Context, place, holder string, until time.Time) (at audit.Shipped, taken bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO audit_sinks (name, leaf, checkpoint, sent_at, holder, until) VALUES (?, 0, 0, 0, '', 0) ON CONFLICT (name) DO NOTHING`, place); err != nil {
			return err
		}
		var sent int64
		err := t.one(`UPDATE audit_sinks SET holder = ?, until = ? WHERE name = ? AND (holder = ? OR until < ?) RETURNING leaf, checkpoint, sent_at`,
			holder, clock.Micro(until), place, holder, clock.Micro(t.now)).scan(&at.Leaf, &at.Checkpoint, &sent)
		taken = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		at.SentAt, at.Until = clock.FromMicro(sent), until
		return err
	})
	return at, taken, err
}

// SaveSink keeps how far a place got. It returns a fault of kind Conflict to who
// is not its holder any more.
func (s *Store) SaveSink(ctx context.Context, place, holder string, at audit.Shipped) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE audit_sinks SET leaf = ?, checkpoint = ?, sent_at = ?, until = ? WHERE name = ? AND holder = ?`,
			at.Leaf, at.Checkpoint, clock.Micro(at.SentAt), clock.Micro(at.Until), place, holder)
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "another server sends to it")
		}
		return err
	})
}

// Sink returns how far the log was sent to a place, for who looks at it; the zero
// Shipped if it never was.
func (s *Store) Sink(ctx context.Context, place string) (at audit.Shipped, err error) {
	var sent, until int64
	err = s.one(ctx, `SELECT leaf, checkpoint, sent_at, until FROM audit_sinks WHERE name = ?`, place).scan(&at.Leaf, &at.Checkpoint, &sent, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Shipped{}, nil
	}
	at.SentAt, at.Until = clock.FromMicro(sent), clock.FromMicro(until)
	return at, err
}
