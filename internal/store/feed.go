package store

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
)

var _ feed.Source = (*Store)(nil)

// changed notes a change, to be committed with what changes. It is told of
// within this process once that is done, and read by others from the table.
func (t *tx) changed(topic feed.Topic, subject string, version int64) error {
	c := feed.Change{Topic: topic, Key: subject, Version: version, At: t.now, Until: t.now.Add(t.keep)}
	_, err := t.exec(`INSERT INTO changes (id, topic, subject, version, at, until) VALUES (?, ?, ?, ?, ?, ?)`,
		id.New(t.now), string(topic), subject, version, clock.Micro(c.At), clock.Micro(c.Until))
	t.changes = append(t.changes, c)
	return err
}

// NumberChanges numbers the changes that have no number. Whoever holds the row
// of feed numbers alone, so that numbers become visible in their order.
func (s *Store) NumberChanges(ctx context.Context) error {
	var waiting int64
	if err := s.one(ctx, `SELECT COUNT(*) FROM (SELECT 1 AS one FROM changes WHERE seq IS NULL LIMIT 1) AS new`).scan(&waiting); err != nil || waiting == 0 {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		var head int64
		if err := t.one(`UPDATE feed SET head = head WHERE id = 1 RETURNING head`).scan(&head); err != nil {
			return fmt.Errorf("the row of feed: %w", err)
		}
		n, err := t.exec(`UPDATE changes SET seq = ? + new.place
			FROM (SELECT id AS new_id, ROW_NUMBER() OVER (ORDER BY version, id) AS place FROM changes WHERE seq IS NULL) AS new
			WHERE changes.id = new.new_id AND changes.seq IS NULL`, head)
		if err != nil {
			return err
		}
		_, err = t.exec(`UPDATE feed SET head = head + ? WHERE id = 1`, n)
		return err
	})
}

// ChangesAfter returns up to limit changes after seq, in order.
func (s *Store) ChangesAfter(ctx context.Context, seq int64, limit int) ([]feed.Change, error) {
	var list []feed.Change
	err := s.all(ctx, func(r scanner) error {
		var c feed.Change
		var topic string
		var at, until int64
		err := r.Scan(&c.Seq, &topic, &c.Key, &c.Version, &at, &until)
		c.Topic, c.At, c.Until = feed.Topic(topic), clock.FromMicro(at), clock.FromMicro(until)
		list = append(list, c)
		return err
	}, `SELECT seq, topic, subject, version, at, until FROM changes WHERE seq > ? ORDER BY seq LIMIT ?`, seq, limit)
	return list, err
}

// purgeBatch is how many rows one purging transaction deletes at the most, so
// that nobody waits long behind it.
const purgeBatch = 500

// Purge deletes what nobody needs any more, a batch of each kind, and reports
// whether there may be more.
func (s *Store) Purge(ctx context.Context) (more bool, err error) {
	now := s.clock.Now()
	// A family that has ended is kept until no access token of it can be alive,
	// then it is as good as unknown.
	gone := clock.Micro(now.Add(-s.keep - 24*time.Hour))
	for _, p := range []struct {
		statement string
		arg       int64
	}{
		{`DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE until < ? AND seq IS NOT NULL ORDER BY until LIMIT ?)`, clock.Micro(now)},
		{`DELETE FROM once WHERE key IN (SELECT key FROM once WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, clock.Micro(now)},
		{`DELETE FROM token_families WHERE id IN (SELECT id FROM token_families WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, gone},
		{`UPDATE token_families SET grace_salt = NULL WHERE id IN (SELECT id FROM token_families WHERE grace_salt IS NOT NULL AND grace_until < ? ORDER BY grace_until LIMIT ?)`, clock.Micro(now)},
	} {
		err := s.write(ctx, func(t *tx) error {
			n, err := t.exec(p.statement, p.arg, purgeBatch)
			more = more || n == purgeBatch
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return more, nil
}
