package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/status"
)

var _ issue.Store = (*Store)(nil)

// mostFamilies is how many families of one user and client live at once. The
// oldest make way.
const mostFamilies = 100

// SignIn begins a family if the account still is what it was when its password
// was verified.
func (s *Store) SignIn(ctx context.Context, in issue.SignIn, events ...audit.Event) error {
	f := in.Family
	return s.write(ctx, func(t *tx) error {
		// The row of the account is changed first: whoever disables the account or
		// changes its password waits for this family, and then ends it.
		password := in.Was
		if in.Rehash != "" {
			password = in.Rehash
		}
		n, err := t.exec(`UPDATE users SET signed_in_at = ?, password = ? WHERE id = ? AND status = ? AND password = ?`,
			clock.Micro(f.CreatedAt), password, f.User, string(account.Active), in.Was)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Unauthenticated, "the account has changed")
		}
		if err := t.enter(f.Organization, f.User); err != nil {
			return err
		}
		if in.Session != nil {
			if err := t.begin(events[0].Actor, *in.Session, in.Replaces); err != nil {
				return err
			}
		}
		if err := t.insertFamily(f); err != nil {
			return err
		}
		if err := t.makeRoom(f, events[0]); err != nil {
			return err
		}
		if err := t.post(in.Letters...); err != nil {
			return err
		}
		return t.record(events...)
	})
}

// familyColumns are in the order of familyRow.
var familyColumns = []column{
	{"id", "text"},
	{"handle", "bytea"},
	{"user_id", "text"},
	{"client_id", "text"},
	{"session", "text"},
	{"address", "text"},
	{"user_agent", "text"},
	{"scope", "text"},
	{"roles", "text"},
	{"audience", "text"},
	{"organization", "text"},
	{"amr", "text"},
	{"auth_time", "bigint"},
	{"claims", "text"},
	{"secret", "bytea"},
	{"generation", "bigint"},
	{"grace_pepper", "bigint"},
	{"grace_until", "bigint"},
	{"created_at", "bigint"},
	{"used_at", "bigint"},
	{"idle_until", "bigint"},
	{"expires_at", "bigint"},
	{"ended_at", "bigint"},
	{"ended_why", "text"},
	{"live", "text"},
}

// familyRow returns a family as it is written when it begins.
func familyRow(f grant.Family) ([]any, error) {
	claims, err := claimsText(f.Claims)
	if err != nil {
		return nil, err
	}
	var roles *string
	if f.Roles != nil {
		list := strings.Join(f.Roles, " ")
		roles = &list
	}
	return []any{
		f.ID, f.Handle[:], f.User, f.Client, f.Session, f.Address, f.UserAgent, strings.Join(f.Scope, " "),
		roles, f.Audience, f.Organization, strings.Join(f.AMR, " "), clock.Micro(f.AuthTime), claims, f.Secret[:], f.Generation,
		int64(0), int64(0), clock.Micro(f.CreatedAt), clock.Micro(f.UsedAt), clock.Micro(f.IdleUntil), clock.Micro(f.ExpiresAt), int64(0), "", f.Live.String(),
	}, nil
}

var insertFamily = `INSERT INTO token_families (` + listOf(familyColumns, ``) + `) VALUES (?` + strings.Repeat(`, ?`, len(familyColumns)-1) + `)`

func (t *tx) insertFamily(f grant.Family) error {
	row, err := familyRow(f)
	if err == nil {
		_, err = t.exec(insertFamily, row...)
	}
	return err
}

// makeRoom ends the oldest families of the same user and client past the cap.
func (t *tx) makeRoom(f grant.Family, cause audit.Event) error {
	ended, err := t.end(cause.Actor, "displaced", `id IN (SELECT id FROM token_families WHERE user_id = ? AND client_id = ? AND ended_at = 0
		ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET ?)`, f.User, f.Client, mostFamilies)
	if err != nil {
		return err
	}
	for _, family := range ended {
		if err := t.record(audit.Now(cause.Actor, t.now, audit.TokenRevoked, "family:"+family).With("why", "displaced")); err != nil {
			return err
		}
	}
	return nil
}

// end ends the living families that a condition chooses, and tells of each. One that is of no
// session is one itself.
func (t *tx) end(by principal.Principal, why, condition string, args ...any) ([]string, error) {
	var ended []string
	var alone []grant.Family
	err := t.all(func(r scanner) error {
		var f grant.Family
		err := r.Scan(&f.ID, &f.User, &f.Client, &f.Session)
		if ended = append(ended, f.ID); f.Session == "" {
			alone = append(alone, f)
		}
		return err
	}, `UPDATE token_families SET ended_at = ?, ended_why = ?, grace_salt = NULL WHERE ended_at = 0 AND `+condition+` RETURNING id, user_id, client_id, session`,
		append([]any{clock.Micro(t.now), why}, args...)...)
	if err != nil {
		return nil, err
	}
	for _, family := range ended {
		if err := t.changed(feed.FamilyEnded, family, 0); err != nil {
			return nil, err
		}
	}
	for _, f := range alone {
		if err := t.revoked(by, f.User, f.ID, f.Client, why); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// FamilyByHandle returns the family that a refresh token belongs to.
func (s *Store) FamilyByHandle(ctx context.Context, handle secret.Hash) (grant.Family, error) {
	f, err := readFamily(s.one(ctx, `SELECT `+readColumns+` FROM token_families WHERE handle = ?`, handle[:]))
	f.Handle = handle
	return f, err
}

// FamilyByID returns a family by its public id.
func (s *Store) FamilyByID(ctx context.Context, id string) (grant.Family, error) {
	if !text(id) {
		return grant.Family{}, absent(sql.ErrNoRows, "token family")
	}
	return readFamily(s.one(ctx, `SELECT `+readColumns+` FROM token_families WHERE id = ?`, id))
}

const readColumns = `id, user_id, client_id, session, scope, roles, audience, organization, amr, auth_time, claims, secret, previous, generation,
			grace_salt, grace_pepper, grace_until, created_at, used_at, idle_until, expires_at, ended_at, ended_why, live`

func readFamily(r row) (grant.Family, error) {
	var f grant.Family
	var scope, amr, claims, live string
	var roles sql.NullString
	var turn, previous []byte
	var auth, grace, created, used, idle, expires, ended int64
	err := r.scan(&f.ID, &f.User, &f.Client, &f.Session, &scope, &roles, &f.Audience, &f.Organization, &amr, &auth, &claims, &turn, &previous, &f.Generation,
		&f.Grace.Salt, &f.Grace.Pepper, &grace, &created, &used, &idle, &expires, &ended, &f.EndedWhy, &live)
	if err != nil {
		return grant.Family{}, absent(err, "token family")
	}
	copy(f.Secret[:], turn)
	copy(f.Previous[:], previous)
	f.Scope, f.AMR = strings.Fields(scope), strings.Fields(amr)
	if roles.Valid {
		f.Roles = strings.Fields(roles.String)
	}
	f.AuthTime, f.Grace.Until, f.CreatedAt, f.UsedAt = clock.FromMicro(auth), clock.FromMicro(grace), clock.FromMicro(created), clock.FromMicro(used)
	f.IdleUntil, f.ExpiresAt, f.EndedAt = clock.FromMicro(idle), clock.FromMicro(expires), clock.FromMicro(ended)
	if f.Live, err = status.ParseLive(live); err != nil {
		return grant.Family{}, err
	}
	f.Claims, err = claimsOf(claims)
	return f, err
}

const rotate = `UPDATE token_families SET secret = ?, previous = ?, generation = generation + 1,
		grace_salt = ?, grace_pepper = ?, grace_until = ?, used_at = ?, idle_until = ?, live = ?
	WHERE id = ? AND secret = ? AND ended_at = 0 AND expires_at > ? AND idle_until > ?`

// RotateFamily writes a turn, by one statement that only one of many parallel
// uses of a token can win.
func (s *Store) RotateFamily(ctx context.Context, r grant.Rotation, e audit.Event) error {
	records := recordsOf(e)
	if p := s.batches(records); p != nil {
		if decided, err := p.turn(ctx, r, turnArgs(r, records)); decided || err != nil {
			return outage(err)
		}
	}
	return s.write(ctx, func(t *tx) error {
		if r.Session != "" {
			if err := t.touch(r.Session, r.Now, r.SessionIdle); err != nil {
				return err
			}
		}
		now := clock.Micro(r.Now)
		n, err := t.exec(rotate, r.To[:], r.From[:], nullable(r.Grace.Salt), r.Grace.Pepper, clock.Micro(r.Grace.Until), now, clock.Micro(r.IdleUntil), r.Live.String(),
			r.Family, r.From[:], now, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNotCurrent
		}
		t.keep(records)
		return nil
	})
}

var errNotCurrent = fault.New(fault.Conflict, "another use of the token was first")

// EndFamily ends a family that lives, and a session of a browser with it.
func (s *Store) EndFamily(ctx context.Context, f issue.Ending, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		ended, err := t.end(e.Actor, f.Why, `id = ?`, f.Family)
		if err != nil {
			return err
		}
		if f.Session != "" {
			if err := t.endSessions(e.Actor, f.Why, `id = ?`, f.Session); err != nil {
				return err
			}
		}
		if len(ended) == 0 {
			return nil
		}
		return t.record(e)
	})
}

// ChangePassword writes a hash, as of the event's time, and ends what was signed in
// with the one before.
func (s *Store) ChangePassword(ctx context.Context, by principal.Principal, user, was, hash string, e audit.Event, letters ...outbox.Letter) error {
	return s.write(ctx, func(t *tx) error {
		var version int64
		err := t.one(`UPDATE users SET password = ?, password_at = ?, updated_at = ?, version = version + 1 WHERE id = ? AND password = ? RETURNING version`,
			hash, clock.Micro(e.At), clock.Micro(t.now), user, was).scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return account.Changed()
		} else if err != nil {
			return err
		}
		if err := t.changed(feed.Account, user, version); err != nil {
			return err
		}
		if err := t.passwordSet(by, user, was); err != nil {
			return err
		}
		if err := t.endAll(by, "password-changed", user); err != nil {
			return err
		}
		if err := t.post(letters...); err != nil {
			return err
		}
		return t.record(e)
	})
}
