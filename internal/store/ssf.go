package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/ssf"
)

var (
	_ issue.StreamStore = (*Store)(nil)
	_ issue.SignalStore = (*Store)(nil)
)

const streamColumns = `id, client_id, status, reason, stopped, method, endpoint, sealed, requested, description, all_subjects, status_at, created_at, updated_at, version`

func readStream(r scanner, more ...any) (ssf.Stream, error) {
	var s ssf.Stream
	var status, method, requested string
	var at, created, updated int64
	into := []any{
		&s.ID, &s.Client, &status, &s.Reason, &s.Stopped, &method, &s.Endpoint, &s.Authorization, &requested, &s.Description, &s.All, &at, &created, &updated, &s.Version,
	}
	if err := r.Scan(append(into, more...)...); err != nil {
		return s, err
	}
	s.Status, s.Method = ssf.Status(status), ssf.Method(method)
	s.StatusAt, s.CreatedAt, s.UpdatedAt = clock.FromMicro(at), clock.FromMicro(created), clock.FromMicro(updated)
	return s, json.Unmarshal([]byte(requested), &s.Requested)
}

func (r row) stream() (ssf.Stream, error) {
	var s ssf.Stream
	err := r.read(func(from scanner) (err error) { s, err = readStream(from); return err })
	return s, absent(err, "stream")
}

// CreateStream writes a new stream of an active client.
func (s *Store) CreateStream(ctx context.Context, by principal.Principal, st ssf.Stream, e audit.Event) error {
	requested, err := listText(st.Requested)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.still(by); err != nil {
			return err
		}
		// The row of the client is changed first: of two streams that are made at once the
		// second counts the first, and whoever deletes the client deletes them.
		n, err := t.exec(`UPDATE clients SET version = version WHERE id = ? AND status = ?`, st.Client, string(client.Active))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Denied, "the client is not active any more")
		}
		var has int64
		if err := t.one(`SELECT COUNT(*) FROM ssf_streams WHERE client_id = ?`, st.Client).scan(&has); err != nil {
			return err
		}
		if has >= ssf.MostStreams {
			return fault.New(fault.Conflict, "a client has at most %d streams; delete one that is not needed", ssf.MostStreams)
		}
		if _, err := t.exec(`INSERT INTO ssf_streams (`+streamColumns+`, subjects, verified_at, due, tries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)`,
			st.ID, st.Client, string(st.Status), st.Reason, st.Stopped, string(st.Method), st.Endpoint, nullable(st.Authorization), requested, st.Description, st.All,
			clock.Micro(st.StatusAt), clock.Micro(st.CreatedAt), clock.Micro(st.UpdatedAt), st.Version); err != nil {
			return err
		}
		return t.record(e)
	})
}

// Stream returns a stream of a client; an empty client stands for any.
func (s *Store) Stream(ctx context.Context, client, id string) (ssf.Stream, error) {
	if !text(id) {
		return ssf.Stream{}, absent(sql.ErrNoRows, "stream")
	}
	return s.one(ctx, `SELECT `+streamColumns+` FROM ssf_streams WHERE id = ? AND (client_id = ? OR ? = '')`, id, client, client).stream()
}

// Streams returns a page of the streams of a client, or of all, in the order of their ids.
func (s *Store) Streams(ctx context.Context, client, after string, limit int) ([]ssf.Stream, error) {
	if !text(client) {
		return nil, nil
	}
	var list []ssf.Stream
	err := s.all(ctx, func(r scanner) error {
		st, err := readStream(r)
		list = append(list, st)
		return err
	}, `SELECT `+streamColumns+` FROM ssf_streams WHERE id > ? AND (client_id = ? OR ? = '') ORDER BY id LIMIT ?`, after, client, client, limit)
	return list, err
}

// mayStream holds the rule of who changes a stream: the client whose it is, and who may act
// on that.
func (t *tx) mayStream(by principal.Principal, st ssf.Stream) error {
	if by.Holder() == (principal.Owner{Kind: principal.Service, ID: st.Client}) {
		return t.still(by)
	}
	if err := t.lockPolicy(); err != nil {
		return err
	}
	return t.mayTouch(by, st.Client, principal.Service)
}

// UpdateStream writes a stream if nobody else did since it was read. A stream that is
// disabled holds nothing, and one that was changed is tried at once. tells is what its
// receiver is to hear of it; nil for nothing.
func (s *Store) UpdateStream(ctx context.Context, by principal.Principal, st ssf.Stream, tells *ssf.Event, e audit.Event) (ssf.Stream, error) {
	requested, err := listText(st.Requested)
	if err != nil {
		return st, err
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.mayStream(by, st); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE ssf_streams SET status = ?, reason = ?, stopped = ?, method = ?, endpoint = ?, sealed = ?, requested = ?, description = ?, status_at = ?, updated_at = ?,
				version = version + 1, due = 0, tries = 0 WHERE id = ? AND version = ?`,
			string(st.Status), st.Reason, st.Stopped, string(st.Method), st.Endpoint, nullable(st.Authorization), requested, st.Description, clock.Micro(st.StatusAt),
			clock.Micro(st.UpdatedAt), st.ID, st.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			return account.Changed()
		}
		if st.Status == ssf.Disabled {
			if _, err := t.exec(`DELETE FROM ssf_events WHERE stream = ?`, st.ID); err != nil {
				return err
			}
		}
		if tells != nil {
			if err := t.insertSignal(*tells); err != nil {
				return err
			}
		}
		return t.record(e)
	})
	st.Version++
	return st, err
}

// DeleteStream deletes a stream with all that waits on it.
func (s *Store) DeleteStream(ctx context.Context, by principal.Principal, st ssf.Stream, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.mayStream(by, st); err != nil {
			return err
		}
		var version int64
		if err := t.one(`UPDATE ssf_streams SET version = version WHERE id = ? RETURNING version`, st.ID).scan(&version); err != nil {
			return absent(err, "stream")
		}
		if st.Version != 0 && st.Version != version {
			return account.Changed()
		}
		if err := t.deleteStreams(`id = ?`, st.ID); err != nil {
			return err
		}
		return t.record(e)
	})
}

// deleteStreams deletes the streams that a condition chooses.
func (t *tx) deleteStreams(condition string, args ...any) error {
	for _, table := range []string{"ssf_events", "ssf_subjects"} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE stream IN (SELECT id FROM ssf_streams WHERE `+condition+`)`, args...); err != nil {
			return err
		}
	}
	_, err := t.exec(`DELETE FROM ssf_streams WHERE `+condition, args...)
	return err
}

// WantSubject puts somebody on a stream, or takes him off. That he was never on it, or is
// already, is no error.
func (s *Store) WantSubject(ctx context.Context, st ssf.Stream, key [sha256.Size]byte, wanted bool, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		// The row of the stream is changed first: who deletes it deletes this, too.
		var has int64
		if err := t.one(`UPDATE ssf_streams SET subjects = subjects WHERE id = ? RETURNING subjects`, st.ID).scan(&has); err != nil {
			return absent(err, "stream")
		}
		more := int64(0)
		if wanted == st.All { // as if nothing had ever been said of him
			n, err := t.exec(`DELETE FROM ssf_subjects WHERE stream = ? AND key = ?`, st.ID, key[:])
			if err != nil {
				return err
			}
			more = -n
		} else {
			n, err := t.exec(`INSERT INTO ssf_subjects (stream, key, wanted) VALUES (?, ?, ?) ON CONFLICT (stream, key) DO NOTHING`, st.ID, key[:], wanted)
			if err != nil {
				return err
			}
			if more = n; has+n > ssf.MostSubjects {
				return fault.New(fault.Denied, "a stream lists at most %d subjects", ssf.MostSubjects)
			}
		}
		if more == 0 {
			return nil
		}
		if _, err := t.exec(`UPDATE ssf_streams SET subjects = subjects + ? WHERE id = ?`, more, st.ID); err != nil {
			return err
		}
		return t.record(e)
	})
}

// Listed returns which of some subjects a stream lists: those that it wants beyond what it
// tells by default, or those that it does not want.
func (s *Store) Listed(ctx context.Context, stream string, keys ...[sha256.Size]byte) ([]bool, error) {
	list := make([]bool, len(keys))
	for i, key := range keys {
		var n int64
		if err := s.one(ctx, `SELECT COUNT(*) FROM ssf_subjects WHERE stream = ? AND key = ?`, stream, key[:]).scan(&n); err != nil {
			return nil, err
		}
		list[i] = n > 0
	}
	return list, nil
}

// KnownEmail returns the proved address of somebody, as he wrote it and as it is compared,
// if a client was let know it by him. It is empty where there is none, or he did not.
func (s *Store) KnownEmail(ctx context.Context, user, client string) (written string, key []byte, err error) {
	err = s.all(ctx, func(r scanner) error { return r.Scan(&written, &key) },
		`SELECT email, email_key FROM users WHERE id = ? AND email_verified AND email_key IS NOT NULL AND (
			EXISTS (SELECT 1 FROM consents WHERE user_id = users.id AND client_id = ? AND ' ' || scope || ' ' LIKE '% email %')
			OR EXISTS (SELECT 1 FROM token_families WHERE user_id = users.id AND client_id = ? AND ended_at = 0 AND ' ' || scope || ' ' LIKE '% email %'))`,
		user, client, client)
	return written, key, err
}

// VerifyStream queues an event that shows that a stream works, unless one was asked for a
// moment ago.
func (s *Store) VerifyStream(ctx context.Context, st ssf.Stream, ev ssf.Event, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE ssf_streams SET verified_at = ? WHERE id = ? AND verified_at <= ?`,
			clock.Micro(t.now), st.ID, clock.Micro(t.now.Add(-ssf.VerifyEvery)))
		if err != nil {
			return err
		}
		if n == 0 {
			return &fault.Error{Kind: fault.Limited, Message: "a verification was asked for a moment ago; see min_verification_interval", After: ssf.VerifyEvery}
		}
		if err := t.insertSignal(ev); err != nil {
			return err
		}
		return t.record(e)
	})
}

// ClaimStreams takes streams on which there is something to do, until a lease ends: events
// of which nobody has looked whom they are about, events to push, or a receiver that does
// not poll. Nothing is sent to a client that is disabled.
func (s *Store) ClaimStreams(ctx context.Context, n int, lease time.Duration) ([]ssf.Claim, error) {
	now := s.clock.Now()
	at, away := clock.Micro(now), clock.Micro(now.Add(-ssf.Patience))
	var ids []string
	if err := s.all(ctx, func(r scanner) error {
		var id string
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT s.id FROM ssf_streams s JOIN clients c ON c.id = s.client_id WHERE s.due <= ? AND c.status = ? AND (
			EXISTS (SELECT 1 FROM ssf_events e WHERE e.stream = s.id AND e.subject = '')
			OR s.method = ? AND s.status = ? AND EXISTS (SELECT 1 FROM ssf_events e WHERE e.stream = s.id)
			OR s.method = ? AND s.status <> ? AND EXISTS (SELECT 1 FROM ssf_events e WHERE e.stream = s.id AND e.kind = ?)
			OR s.method = ? AND s.status = ? AND s.status_at < ? AND EXISTS (SELECT 1 FROM ssf_events e WHERE e.stream = s.id AND e.at < ?))
		ORDER BY s.due, s.id LIMIT ?`,
		at, string(client.Active), string(ssf.Push), string(ssf.Enabled), string(ssf.Push), string(ssf.Enabled), string(ssf.StreamUpdated),
		string(ssf.Poll), string(ssf.Enabled), away, away, n); err != nil || len(ids) == 0 {
		return nil, err
	}
	var list []ssf.Claim
	err := s.write(ctx, func(t *tx) error {
		list = nil
		for _, id := range ids {
			var c ssf.Claim
			err := t.all(func(r scanner) (err error) {
				c.Stream, err = readStream(r, &c.Try)
				return err
			}, `UPDATE ssf_streams SET due = ?, tries = tries + 1 WHERE id = ? AND due <= ? RETURNING `+streamColumns+`, tries`, at+lease.Microseconds(), id, at)
			if err != nil {
				return err
			}
			if c.ID == "" {
				continue
			}
			var since int64
			if err := t.one(`SELECT COALESCE(MIN(at), 0) FROM ssf_events WHERE stream = ?`, id).scan(&since); err != nil {
				return err
			}
			if c.Since = clock.FromMicro(since); c.Since.Before(c.StatusAt) { // what waited for it to go on is no delay of the receiver's
				c.Since = c.StatusAt
			}
			list = append(list, c)
		}
		return nil
	})
	return list, err
}

// ReleaseStream gives a stream back whose work is done.
func (s *Store) ReleaseStream(ctx context.Context, c ssf.Claim) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE ssf_streams SET due = 0, tries = 0 WHERE id = ? AND tries = ?`, c.ID, c.Try)
		return err
	})
}

// PostponeStream gives a stream back until due, unless its lease ended and another has it.
func (s *Store) PostponeStream(ctx context.Context, c ssf.Claim, due time.Time, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE ssf_streams SET due = ? WHERE id = ? AND tries = ?`, clock.Micro(due), c.ID, c.Try)
		if err != nil || n == 0 {
			return err
		}
		return t.record(events...)
	})
}

// PauseStream pauses a stream whose receiver is away, and queues that it was.
func (s *Store) PauseStream(ctx context.Context, id, reason string, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error { return t.pause(id, reason, events...) })
}

func (t *tx) pause(id, reason string, events ...audit.Event) error {
	n, err := t.exec(`UPDATE ssf_streams SET status = ?, reason = ?, status_at = ?, updated_at = ?, version = version + 1, due = 0, tries = 0 WHERE id = ? AND status = ?`,
		string(ssf.Paused), reason, clock.Micro(t.now), clock.Micro(t.now), id, string(ssf.Enabled))
	if err != nil || n == 0 {
		return err
	}
	if err := t.insertSignal(ssf.Updated(id, ssf.Paused, reason, t.now)); err != nil {
		return err
	}
	return t.record(events...)
}
