package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/limit"
)

var _ limit.Store = (*Store)(nil)

// deviceOf is how a row names a device: empty for all that are not known.
func deviceOf(k limit.Key) []byte {
	if k.Device == (limit.Name{}) {
		return []byte{}
	}
	return k.Device[:]
}

// Bucket returns the attempts that are counted under a key.
func (s *Store) Bucket(ctx context.Context, k limit.Key) (limit.Bucket, error) {
	var b limit.Bucket
	var last, until int64
	err := s.one(ctx, `SELECT stamp, round, tries, failed, total, locks, last_at, until FROM attempts WHERE subject = ? AND device = ?`, k.Subject[:], deviceOf(k)).
		scan(&b.Stamp, &b.Round, &b.Tries, &b.Failed, &b.Total, &b.Locks, &last, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return limit.Bucket{}, nil
	}
	b.Last, b.Until = clock.FromMicro(last), clock.FromMicro(until)
	return b, err
}

// SwapBucket replaces the row if it still is the one that the caller read.
func (s *Store) SwapBucket(ctx context.Context, k limit.Key, was int64, b limit.Bucket) (bool, error) {
	if b == (limit.Bucket{}) {
		n, err := s.single(ctx, `DELETE FROM attempts WHERE subject = ? AND device = ? AND stamp = ?`, k.Subject[:], deviceOf(k), was)
		return n == 1, err
	}
	values := []any{b.Stamp, b.Round, b.Tries, b.Failed, b.Total, b.Locks, clock.Micro(b.Last), clock.Micro(b.Until), k.Subject[:], deviceOf(k)}
	if was == 0 {
		n, err := s.single(ctx, `INSERT INTO attempts (stamp, round, tries, failed, total, locks, last_at, until, subject, device)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (subject, device) DO NOTHING`, values...)
		return n == 1, err
	}
	n, err := s.single(ctx, `UPDATE attempts SET stamp = ?, round = ?, tries = ?, failed = ?, total = ?, locks = ?, last_at = ?, until = ?
		WHERE subject = ? AND device = ? AND stamp = ?`, append(values, was)...)
	return n == 1, err
}

// ClearBucket deletes the row of a key.
func (s *Store) ClearBucket(ctx context.Context, k limit.Key) error {
	_, err := s.single(ctx, `DELETE FROM attempts WHERE subject = ? AND device = ?`, k.Subject[:], deviceOf(k))
	return err
}

// ClearBuckets deletes all rows of a subject.
func (s *Store) ClearBuckets(ctx context.Context, subject limit.Name) error {
	_, err := s.single(ctx, `DELETE FROM attempts WHERE subject = ?`, subject[:])
	return err
}

// Marks returns the times of names.
func (s *Store) Marks(ctx context.Context, names ...limit.Name) ([]time.Time, error) {
	args := make([]any, len(names))
	for i := range names {
		args[i] = names[i][:]
	}
	kept := map[limit.Name]time.Time{}
	err := s.all(ctx, func(r scanner) error {
		var name []byte
		var until int64
		if err := r.Scan(&name, &until); err != nil {
			return err
		}
		kept[limit.Name(name)] = clock.FromMicro(until)
		return nil
	}, `SELECT name, until FROM marks WHERE name IN (?`+strings.Repeat(`, ?`, len(names)-1)+`)`, args...)
	marks := make([]time.Time, len(names))
	for i, name := range names {
		marks[i] = kept[name]
	}
	return marks, err
}

// PushMark moves a meter.
func (s *Store) PushMark(ctx context.Context, name limit.Name, p limit.Push) (time.Time, error) {
	const statement = `INSERT INTO marks (name, until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = CASE
			WHEN marks.until < CAST(? AS BIGINT) OR marks.until > CAST(? AS BIGINT) THEN excluded.until
			WHEN marks.until > CAST(? AS BIGINT) - CAST(? AS BIGINT) THEN CAST(? AS BIGINT)
			ELSE marks.until + CAST(? AS BIGINT) END
		RETURNING until`
	step, last := p.Step.Microseconds(), clock.Micro(p.Until)
	args := []any{name[:], clock.Micro(p.Now.Add(p.Step)), clock.Micro(p.Now), clock.Micro(p.Horizon()), last, step, last, step}
	var until int64
	var err error
	if _, ok := s.db.(*postgresDB); ok && !s.portable {
		err = s.one(ctx, statement, args...).scan(&until)
	} else {
		err = s.write(ctx, func(t *tx) error { return t.one(statement, args...).scan(&until) })
	}
	return clock.FromMicro(until), err
}

// FirstMark remembers a name. One that is remembered for long enough is read and
// not written.
func (s *Store) FirstMark(ctx context.Context, name limit.Name, p limit.Span) (bool, error) {
	kept, err := s.Marks(ctx, name)
	if err != nil {
		return false, err
	}
	if kept[0].After(p.Stale()) && !kept[0].After(p.Horizon()) {
		return false, nil
	}
	n, err := s.single(ctx, `INSERT INTO marks (name, until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = excluded.until
		WHERE marks.until <= ? OR marks.until > ?`, name[:], clock.Micro(p.Until), clock.Micro(p.Now), clock.Micro(p.Horizon()))
	if err != nil || n == 1 {
		return n == 1, err
	}
	_, err = s.single(ctx, `UPDATE marks SET until = ? WHERE name = ? AND until < ?`, clock.Micro(p.Until), name[:], clock.Micro(p.Until))
	return false, err
}

// single runs one statement that is a transaction of its own, and returns how
// many rows it changed. PostgreSQL does that in one round trip; on SQLite it
// shares a commit.
func (s *Store) single(ctx context.Context, statement string, args ...any) (n int64, err error) {
	if p, ok := s.db.(*postgresDB); ok && !s.portable {
		return p.single(ctx, statement, args...)
	}
	err = s.write(ctx, func(t *tx) error {
		var err error
		n, err = t.exec(statement, args...)
		return err
	})
	return n, err
}

func (p *postgresDB) single(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := p.db.ExecContext(ctx, p.bind(statement), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
