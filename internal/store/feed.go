package store

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/ssf"
)

var _ feed.Source = (*Store)(nil)

// changed notes a change, to be committed with what changes. It is told of
// within this process once that is done, and read by others from the table.
func (t *tx) changed(topic feed.Topic, subject string, version int64) error {
	now := clock.Micro(t.now)
	// What is kept follows from the database, not from this process's settings: a
	// command that knows no lifetime ends tokens of a server that gives long ones.
	var until int64
	err := t.one(`INSERT INTO changes (id, topic, subject, version, at, until) SELECT ?, ?, ?, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT) + keep FROM feed WHERE id = 1 RETURNING until`,
		id.New(t.now), string(topic), subject, version, now, now).scan(&until)
	t.changes = append(t.changes, feed.Change{Topic: topic, Key: subject, Version: version, At: t.now, Until: clock.FromMicro(until)})
	return err
}

// KeepChanges makes every change be kept for at least a time: the lifetime that
// a server gives access tokens. It never shortens it, since tokens are about
// that were given before.
func (s *Store) KeepChanges(ctx context.Context, long time.Duration) error {
	var kept int64
	if err := s.one(ctx, `SELECT keep FROM feed WHERE id = 1`).scan(&kept); err != nil || kept >= long.Microseconds() {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		return t.keepLonger(long)
	})
}

// keepLonger makes every change be kept for at least a time. Whoever knows of keys
// hears of it: those that signed are published for as long.
func (t *tx) keepLonger(long time.Duration) error {
	n, err := t.exec(`UPDATE feed SET keep = ? WHERE id = 1 AND keep < ?`, long.Microseconds(), long.Microseconds())
	if err != nil || n == 0 {
		return err
	}
	return t.changed(feed.Keys, "", 0)
}

// NumberChanges numbers the changes that have no number, and returns the highest
// number. Whoever holds the row of feed numbers alone, so that numbers become
// visible in their order, without one left out.
func (s *Store) NumberChanges(ctx context.Context) (int64, error) {
	var head, waiting int64
	if err := s.one(ctx, `SELECT head, (SELECT COUNT(*) FROM (SELECT 1 AS one FROM changes WHERE seq IS NULL LIMIT 1) AS new) FROM feed WHERE id = 1`).
		scan(&head, &waiting); err != nil || waiting == 0 {
		return head, err
	}
	err := s.write(ctx, func(t *tx) error {
		if err := t.one(`UPDATE feed SET head = head WHERE id = 1 RETURNING head`).scan(&head); err != nil {
			return fmt.Errorf("the row of feed: %w", err)
		}
		n, err := t.exec(`UPDATE changes SET seq = ? + new.place
			FROM (SELECT id AS new_id, ROW_NUMBER() OVER (ORDER BY version, id) AS place FROM changes WHERE seq IS NULL) AS new
			WHERE changes.id = new.new_id AND changes.seq IS NULL`, head)
		if err != nil {
			return err
		}
		return t.one(`UPDATE feed SET head = head + ? WHERE id = 1 RETURNING head`, n).scan(&head)
	})
	return head, err
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

// KeptAfter returns the number after which are all changes that are still needed, and
// some before them: they are kept for equally long, by clocks that may differ a little.
func (s *Store) KeptAfter(ctx context.Context) (int64, error) {
	var seq int64
	err := s.one(ctx, `SELECT COALESCE((SELECT seq FROM changes WHERE until > ? AND seq IS NOT NULL ORDER BY until LIMIT 1), (SELECT head FROM feed WHERE id = 1))`,
		clock.Micro(s.clock.Now().Add(-time.Minute))).scan(&seq)
	return max(seq-1, 0), err
}

// purgeBatch is how many rows one purging transaction deletes at the most, so
// that nobody waits long behind it.
const purgeBatch = 500

// A batch of what has expired is smaller still, and Purge then rests for so many times
// as long as it took, with the wait for others: on SQLite there is one writer, and whoever
// signs in or refreshes waits for it. So it is the slower the more others write.
const (
	expiredBatch = 200
	restFor      = 3
)

// margin is how long what has had its time is kept all the same, and soon is that of what
// anybody can have kept.
const (
	margin = 24 * time.Hour
	soon   = 10 * time.Minute
)

// Purge deletes what nobody needs any more, a batch of each kind, and reports
// whether there may be more. It rests in between.
func (s *Store) Purge(ctx context.Context) (more bool, err error) {
	now := s.clock.Now()
	// A clock that runs ahead must not throw away what others still need.
	past := clock.Micro(now.Add(-margin))
	for _, p := range []struct {
		statement string
		arg       any
	}{
		{`DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE until < ? AND seq IS NOT NULL ORDER BY until LIMIT ?)`, past},
		{`DELETE FROM once WHERE key IN (SELECT key FROM once WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		{`DELETE FROM token_families WHERE id IN (SELECT id FROM token_families WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		{`DELETE FROM codes WHERE hash IN (SELECT hash FROM codes WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		{`DELETE FROM devices WHERE hash IN (SELECT hash FROM devices WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		// Anybody can bring these, so they go soon.
		{`DELETE FROM authorization_requests WHERE id IN (SELECT id FROM authorization_requests WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, clock.Micro(now.Add(-soon))},
		{`DELETE FROM pushed_requests WHERE id IN (SELECT id FROM pushed_requests WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, clock.Micro(now.Add(-grant.RequestLasts - soon))},
		{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		{`DELETE FROM session_clients WHERE (session, client_id) IN (SELECT session, client_id FROM session_clients WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		{`DELETE FROM api_keys WHERE id IN (SELECT id FROM api_keys WHERE expires_at > 0 AND expires_at < ? ORDER BY expires_at LIMIT ?)`, clock.Micro(now.Add(-apikey.Keep))},
		{`DELETE FROM api_key_uses WHERE (id, day) IN (SELECT id, day FROM api_key_uses WHERE day < ? ORDER BY day LIMIT ?)`, clock.Micro(now.Add(-apikey.KeepUses))},
		{`DELETE FROM registration_tokens WHERE id IN (SELECT id FROM registration_tokens WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, past},
		{`DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE at < ? ORDER BY at LIMIT ?)`, clock.Micro(now.Add(-InboxFor))},
		{`DELETE FROM attempts WHERE (subject, device) IN (SELECT subject, device FROM attempts WHERE last_at < ? ORDER BY last_at LIMIT ?)`, clock.Micro(now.Add(-limit.Keep - margin))},
		{`DELETE FROM marks WHERE name IN (SELECT name FROM marks WHERE until < ? ORDER BY until LIMIT ?)`, past},
		{`DELETE FROM status_runs WHERE (owner, id) IN (SELECT owner, id FROM status_runs WHERE until < ? ORDER BY until LIMIT ?)`, past},
		{`DELETE FROM status_pages WHERE (list, page) IN (SELECT p.list, p.page FROM status_lists AS l JOIN status_pages AS p ON p.list = l.id WHERE l.until < ? LIMIT ?)`, past},
		{`DELETE FROM status_lists WHERE id IN (SELECT id FROM status_lists WHERE until < ? AND NOT EXISTS (SELECT 1 FROM status_pages WHERE list = status_lists.id) ORDER BY until LIMIT ?)`, past},
		{`DELETE FROM ssf_events WHERE id IN (SELECT id FROM ssf_events WHERE at < ? ORDER BY at LIMIT ?)`, clock.Micro(now.Add(-ssf.Kept))},
		{`DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE id < ? ORDER BY id LIMIT ?)`, id.Floor(now.Add(-access.Kept))},
		{`UPDATE token_families SET grace_salt = NULL WHERE id IN (SELECT id FROM token_families WHERE grace_salt IS NOT NULL AND grace_until < ? ORDER BY grace_until LIMIT ?)`, clock.Micro(now)},
	} {
		var n int64
		began := time.Now() //nolint:forbidigo // a duration of this process
		err := s.write(ctx, func(t *tx) (err error) {
			n, err = t.exec(p.statement, p.arg, expiredBatch)
			return err
		})
		took := time.Since(began) //nolint:forbidigo // as above
		if err != nil {
			return false, err
		}
		if n == expiredBatch {
			more = true
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(restFor * took):
			}
		}
	}
	return more, nil
}
