package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

var _ session.Store = (*Store)(nil)

// mostSessions is how many browsers one person is signed in with at once. The
// oldest make way.
const mostSessions = 100

// begin writes a new session, and ends the one that the browser brought along.
func (t *tx) begin(by principal.Principal, in session.Session, replaces secret.Hash) error {
	if replaces != (secret.Hash{}) {
		if err := t.endSessions(by, "replaced", `secret = ?`, replaces[:]); err != nil {
			return err
		}
	}
	if _, err := t.exec(`INSERT INTO sessions (id, secret, user_id, amr, address, user_agent, auth_time, created_at, used_at, idle_until, expires_at, ended_at, ended_why)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')`,
		in.ID, in.Secret[:], in.User, strings.Join(in.AMR, " "), in.Address, in.UserAgent,
		clock.Micro(in.AuthTime), clock.Micro(in.CreatedAt), clock.Micro(in.UsedAt), clock.Micro(in.IdleUntil), clock.Micro(in.ExpiresAt)); err != nil {
		return err
	}
	return t.endSessions(by, "displaced", `id IN (SELECT id FROM sessions WHERE user_id = ? AND ended_at = 0
		ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET ?)`, in.User, mostSessions)
}

// endSessions ends the living sessions that a condition chooses, each with its
// token families, and records each.
func (t *tx) endSessions(by principal.Principal, why, condition string, args ...any) error {
	ended, err := t.closeSessions(by, why, condition, args...)
	if err != nil {
		return err
	}
	for _, id := range ended {
		if err := t.record(audit.Now(by, t.now, audit.SessionEnded, "session:"+id).With("why", why)); err != nil {
			return err
		}
	}
	return nil
}

// closeSessions ends the living sessions that a condition chooses, each with its
// token families, and tells the clients that were signed in to. It returns their ids.
func (t *tx) closeSessions(by principal.Principal, why, condition string, args ...any) ([]string, error) {
	var ended, users []string
	err := t.all(func(r scanner) error {
		var id, user string
		err := r.Scan(&id, &user)
		ended, users = append(ended, id), append(users, user)
		return err
	}, `UPDATE sessions SET ended_at = ?, ended_why = ? WHERE ended_at = 0 AND `+condition+` RETURNING id, user_id`,
		append([]any{clock.Micro(t.now), why}, args...)...)
	if err != nil {
		return nil, err
	}
	for _, id := range ended {
		// The index is of those that have a session, which SQLite does not see in a value.
		if _, err := t.end(by, why, `session = ? AND session <> ''`, id); err != nil {
			return nil, err
		}
	}
	for i, id := range ended { // once all families have ended: who deletes a client takes them in this order, too
		if err := t.part(by, id, users[i], why); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// endAll ends everything that an account is signed in with.
func (t *tx) endAll(by principal.Principal, why, user string) error {
	if _, err := t.closeSessions(by, why, `user_id = ?`, user); err != nil {
		return err
	}
	_, err := t.end(by, why, `user_id = ?`, user)
	return err
}

// forgetPlaces deletes from where an account was signed in.
func (t *tx) forgetPlaces(user string) error {
	for _, statement := range []string{
		`UPDATE sessions SET address = '', user_agent = '' WHERE user_id = ?`,
		`UPDATE token_families SET address = '', user_agent = '' WHERE user_id = ? AND (address <> '' OR user_agent <> '')`,
	} {
		if _, err := t.exec(statement, user); err != nil {
			return err
		}
	}
	return nil
}

// touch notes that a session was used, if it still lives.
func (t *tx) touch(id string, now, idle time.Time) error {
	at := clock.Micro(now)
	n, err := t.exec(`UPDATE sessions SET used_at = ?, idle_until = CASE WHEN expires_at < ? THEN expires_at ELSE ? END
		WHERE id = ? AND ended_at = 0 AND expires_at > ? AND idle_until > ?`, at, clock.Micro(idle), clock.Micro(idle), id, at, at)
	if err == nil && n == 0 {
		err = errSessionOver
	}
	return err
}

// lives returns an error if a session is over, and makes who ends it wait.
func (t *tx) lives(id string) error {
	at := clock.Micro(t.now)
	found, err := t.held(`SELECT 1 FROM sessions WHERE id = ? AND ended_at = 0 AND expires_at > ? AND idle_until > ?`, id, at, at)
	if err == nil && !found {
		err = errSessionOver
	}
	return err
}

// TouchSession notes that a session is used.
func (s *Store) TouchSession(ctx context.Context, id string, now, idle time.Time) error {
	return s.write(ctx, func(t *tx) error { return t.touch(id, now, idle) })
}

var errSessionOver = fault.New(fault.Unauthenticated, "the session is over")

// SessionBySecret returns the session that a cookie belongs to.
func (s *Store) SessionBySecret(ctx context.Context, hash secret.Hash) (session.Session, error) {
	in := session.Session{Secret: hash}
	var amr string
	var auth, created, used, idle, expires, ended int64
	err := s.one(ctx, `SELECT id, user_id, amr, address, user_agent, auth_time, created_at, used_at, idle_until, expires_at, ended_at
		FROM sessions WHERE secret = ?`, hash[:]).
		scan(&in.ID, &in.User, &amr, &in.Address, &in.UserAgent, &auth, &created, &used, &idle, &expires, &ended)
	in.AMR = strings.Fields(amr)
	in.AuthTime, in.CreatedAt, in.UsedAt = clock.FromMicro(auth), clock.FromMicro(created), clock.FromMicro(used)
	in.IdleUntil, in.ExpiresAt, in.EndedAt = clock.FromMicro(idle), clock.FromMicro(expires), clock.FromMicro(ended)
	return in, absent(err, "session")
}

// EndSession ends the session that a cookie belongs to, if it lives.
func (s *Store) EndSession(ctx context.Context, by principal.Principal, hash secret.Hash, why string) error {
	return s.write(ctx, func(t *tx) error { return t.endSessions(by, why, `secret = ?`, hash[:]) })
}

// signedIn are the living sessions, and the living families that belong to none.
// Its arguments are three times the time.
const signedIn = `(SELECT id, 'browser' AS kind, user_id, '' AS client_id, address, user_agent, amr, created_at, used_at, expires_at
		FROM sessions WHERE ended_at = 0 AND expires_at > ? AND idle_until > ?
	UNION ALL SELECT id, 'tokens' AS kind, user_id, client_id, address, user_agent, amr, created_at, used_at, expires_at
		FROM token_families WHERE ended_at = 0 AND session = '' AND expires_at > ? AND idle_until > ?) AS signed_in`

// SignedIn returns what a person is signed in with, the newest first.
func (s *Store) SignedIn(ctx context.Context, f session.Filter, now time.Time) ([]session.SignedIn, error) {
	at := clock.Micro(now)
	query, args := `SELECT id, kind, user_id, client_id, address, user_agent, amr, created_at, used_at, expires_at FROM `+signedIn+` WHERE user_id = ?`,
		[]any{at, at, at, at, f.User}
	if f.After != "" {
		query, args = query+` AND id < ?`, append(args, f.After)
	}
	if !text(f.User) {
		return nil, nil
	}
	var list []session.SignedIn
	err := s.all(ctx, func(r scanner) error {
		var in session.SignedIn
		var kind, amr string
		var created, used, expires int64
		err := r.Scan(&in.ID, &kind, &in.User, &in.Client, &in.Address, &in.UserAgent, &amr, &created, &used, &expires)
		in.Kind, in.AMR = session.Kind(kind), strings.Fields(amr)
		in.CreatedAt, in.UsedAt, in.ExpiresAt = clock.FromMicro(created), clock.FromMicro(used), clock.FromMicro(expires)
		list = append(list, in)
		return err
	}, query+` ORDER BY id DESC LIMIT ?`, append(args, f.Limit)...)
	return list, err
}

// SignedInUser returns whose a living session or family is.
func (s *Store) SignedInUser(ctx context.Context, id string) (string, error) {
	if !text(id) {
		return "", absent(sql.ErrNoRows, "session")
	}
	at := clock.Micro(s.clock.Now())
	var user string
	err := s.one(ctx, `SELECT user_id FROM `+signedIn+` WHERE id = ?`, at, at, at, at, id).scan(&user)
	return user, absent(err, "session")
}

// EndSignedIn ends a session or a family of a user.
func (s *Store) EndSignedIn(ctx context.Context, by principal.Principal, user, id string, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		return t.upon(by, user, false, func() error {
			ended, err := t.closeSessions(by, "ended", `id = ? AND user_id = ?`, id, user)
			if err == nil && len(ended) == 0 {
				ended, err = t.end(by, "ended", `id = ? AND user_id = ? AND session = ''`, id, user)
			}
			if err != nil {
				return err
			}
			if len(ended) == 0 {
				return fault.New(fault.NotFound, "there is no such session")
			}
			return t.record(e)
		})
	})
}

// EndOthers ends all that by is signed in with but a session.
func (s *Store) EndOthers(ctx context.Context, by principal.Principal, keep string) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.endSessions(by, "ended", `user_id = ? AND id <> ?`, by.ID, keep); err != nil {
			return err
		}
		families, err := t.end(by, "ended", `user_id = ? AND session = ''`, by.ID)
		if err != nil {
			return err
		}
		for _, id := range families {
			if err := t.record(audit.Now(by, t.now, audit.SessionEnded, "session:"+id).With("why", "ended")); err != nil {
				return err
			}
		}
		return nil
	})
}
