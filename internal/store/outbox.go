package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/outbox"
)

var _ outbox.Store = (*Store)(nil)

// post posts letters with the transaction's change.
func (t *tx) post(letters ...outbox.Letter) error {
	for _, l := range letters {
		data, err := json.Marshal(l.Data)
		if err != nil {
			return err
		}
		at := clock.Micro(l.At)
		if _, err := t.exec(`INSERT INTO outbox (id, channel, user_id, kind, data, at, due, tries) VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
			l.ID, string(l.Kind.Channel()), l.User, string(l.Kind), string(data), at, clock.Micro(t.now)); err != nil {
			return err
		}
	}
	return nil
}

// unpost deletes what a person was to be told, and what dev's inbox holds of it. What
// applications are to be told of him stays: it says that he is gone.
func (t *tx) unpost(user string) error {
	if _, err := t.exec(`DELETE FROM outbox WHERE user_id = ? AND channel = ?`, user, string(outbox.Mails)); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM inbox WHERE user_id = ?`, user)
	return err
}

// Post posts letters that have no other change.
func (s *Store) Post(ctx context.Context, letters ...outbox.Letter) error {
	return s.write(ctx, func(t *tx) error { return t.post(letters...) })
}

// ClaimLetters takes letters that are due. Of several processes that want one,
// the first moves its due on, and the guard lets the others' statements pass it
// by.
func (s *Store) ClaimLetters(ctx context.Context, by outbox.Channel, n int, lease time.Duration) ([]outbox.Claim, error) {
	now := clock.Micro(s.clock.Now())
	if waiting, err := s.lettersWait(ctx, by, now); err != nil || !waiting {
		return nil, err
	}
	var list []outbox.Claim
	err := s.write(ctx, func(t *tx) error {
		list = nil
		return t.all(func(r scanner) error {
			c, err := readClaim(r)
			list = append(list, c)
			return err
		}, `UPDATE outbox SET due = ?, tries = tries + 1
			WHERE id IN (SELECT id FROM outbox WHERE channel = ? AND due <= ? ORDER BY due, id LIMIT ?) AND due <= ?
			RETURNING id, user_id, kind, data, at, tries`, now+lease.Microseconds(), string(by), now, n, now)
	})
	return list, err
}

// lettersWait reports whether a letter is due, without a transaction that writes.
func (s *Store) lettersWait(ctx context.Context, by outbox.Channel, now int64) (bool, error) {
	n := 0
	err := s.one(ctx, `SELECT COUNT(*) FROM (SELECT 1 AS one FROM outbox WHERE channel = ? AND due <= ? LIMIT 1) AS due`, string(by), now).scan(&n)
	return n > 0, err
}

func readClaim(r scanner) (outbox.Claim, error) {
	var c outbox.Claim
	var kind, data string
	var at int64
	if err := r.Scan(&c.ID, &c.User, &kind, &data, &at, &c.Try); err != nil {
		return c, err
	}
	c.Kind, c.At = outbox.Kind(kind), clock.FromMicro(at)
	return c, json.Unmarshal([]byte(data), &c.Data)
}

// Recipient returns where a user's letters go now: the local part as he wrote it,
// for what it means is up to his mail server (RFC 5321, Section 2.4), and the
// domain in A-labels.
func (s *Store) Recipient(ctx context.Context, user string) (outbox.Recipient, error) {
	var r outbox.Recipient
	if !text(user) {
		return r, absent(sql.ErrNoRows, "user")
	}
	var email string
	var key []byte
	if err := s.one(ctx, `SELECT username, email, email_key, email_verified FROM users WHERE id = ?`, user).
		scan(&r.Username, &email, &key, &r.Proved); err != nil {
		return r, absent(err, "user")
	}
	local, _, written := strings.Cut(email, "@")
	if _, domain, kept := strings.Cut(string(key), "@"); written && kept {
		r.Address = local + "@" + domain
	}
	return r, nil
}

// PostponeLetter gives a letter back, unless its lease ended and another has it.
func (s *Store) PostponeLetter(ctx context.Context, c outbox.Claim, due time.Time, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE outbox SET due = ? WHERE id = ? AND tries = ?`, clock.Micro(due), c.ID, c.Try)
		if err != nil || n == 0 {
			return err
		}
		return t.record(events...)
	})
}

// DeleteLetter deletes a letter.
func (s *Store) DeleteLetter(ctx context.Context, id string, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM outbox WHERE id = ?`, id)
		if err != nil || n == 0 {
			return err
		}
		return t.record(events...)
	})
}

// DropLetters deletes a batch of the letters to people that are due.
func (s *Store) DropLetters(ctx context.Context) (int, error) {
	now := clock.Micro(s.clock.Now())
	if waiting, err := s.lettersWait(ctx, outbox.Mails, now); err != nil || !waiting {
		return 0, err
	}
	var n int64
	err := s.write(ctx, func(t *tx) (err error) {
		n, err = t.exec(`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE channel = ? AND due <= ? ORDER BY due LIMIT ?)`, string(outbox.Mails), now, purgeBatch)
		return err
	})
	return int(n), err
}
