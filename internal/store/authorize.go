package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
)

// SaveRequest keeps an authorization request that waits for a person.
func (s *Store) SaveRequest(ctx context.Context, r grant.Request) error {
	var pushed []byte
	if r.Pushed != (secret.Hash{}) {
		pushed = r.Pushed[:]
	}
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO authorization_requests (id, browser, query, pushed, begun_at, expires_at, session, decision) VALUES (?, ?, ?, ?, ?, ?, '', '')`,
			r.ID[:], r.Browser[:], r.Query, nullable(pushed), clock.Micro(r.Begun), clock.Micro(r.Expires))
		return err
	})
}

// Request returns an authorization request that waits for a person.
func (s *Store) Request(ctx context.Context, id secret.Hash) (grant.Request, error) {
	r := grant.Request{ID: id}
	var browser, pushed []byte
	var begun, expires int64
	var decision string
	err := s.one(ctx, `SELECT browser, query, pushed, begun_at, expires_at, session, decision FROM authorization_requests WHERE id = ?`, id[:]).
		scan(&browser, &r.Query, &pushed, &begun, &expires, &r.Session, &decision)
	copy(r.Browser[:], browser)
	copy(r.Pushed[:], pushed)
	r.Begun, r.Expires, r.Decision = clock.FromMicro(begun), clock.FromMicro(expires), grant.Decision(decision)
	return r, absent(err, "authorization request")
}

// DecideRequest writes what a person decided, and what he agreed to.
func (s *Store) DecideRequest(ctx context.Context, r grant.Request, agreed *grant.AgreedTo, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE authorization_requests SET session = ?, decision = ? WHERE id = ? AND expires_at > ?`,
			r.Session, string(r.Decision), r.ID[:], clock.Micro(t.now))
		if err != nil {
			return err
		}
		if n == 0 {
			return absent(sql.ErrNoRows, "authorization request")
		}
		if agreed != nil {
			if err := t.agree(*agreed); err != nil {
				return err
			}
		}
		return t.record(events...)
	})
}

// agree writes what a person lets an application do, in the place of what he did
// before.
func (t *tx) agree(a grant.AgreedTo) error {
	_, err := t.exec(`INSERT INTO consents (user_id, client_id, audience, scope, client, granted_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (user_id, client_id, audience) DO UPDATE SET scope = excluded.scope, client = excluded.client, granted_at = excluded.granted_at`,
		a.User, a.Client, a.Audience, strings.Join(a.Scope, " "), a.As, clock.Micro(a.At))
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE registrations SET used = ? WHERE client_id = ? AND used = ?`, true, a.Client, false)
	return err
}

const agreement = `SELECT user_id, client_id, audience, scope, client, granted_at FROM consents WHERE user_id = ?`

func readAgreement(r scanner) (grant.AgreedTo, error) {
	var a grant.AgreedTo
	var scope string
	var at int64
	err := r.Scan(&a.User, &a.Client, &a.Audience, &scope, &a.As, &at)
	a.Scope, a.At = strings.Fields(scope), clock.FromMicro(at)
	return a, err
}

// Agreement returns what a person lets an application do for an audience.
func (s *Store) Agreement(ctx context.Context, user, client, audience string) (grant.AgreedTo, error) {
	var a grant.AgreedTo
	err := s.one(ctx, agreement+` AND client_id = ? AND audience = ?`, user, client, audience).
		read(func(r scanner) (err error) { a, err = readAgreement(r); return err })
	return a, absent(err, "consent")
}

// Agreements returns all that a person lets applications do, the newest first.
func (s *Store) Agreements(ctx context.Context, user string) ([]grant.AgreedTo, error) {
	var list []grant.AgreedTo
	err := s.all(ctx, func(r scanner) error {
		a, err := readAgreement(r)
		list = append(list, a)
		return err
	}, agreement+` ORDER BY granted_at DESC, client_id, audience LIMIT 1000`, user)
	return list, err
}

// Withdraw deletes what a person lets an application do, and ends what came of it.
func (s *Store) Withdraw(ctx context.Context, user, client string, e audit.Event) error {
	if !text(client) {
		return absent(sql.ErrNoRows, "consent")
	}
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM consents WHERE user_id = ? AND client_id = ?`, user, client)
		if err != nil {
			return err
		}
		if n == 0 {
			return absent(sql.ErrNoRows, "consent")
		}
		// A code that was not used yet, or a device that has not asked since, would bring back what is taken away here.
		if _, err := t.exec(`UPDATE codes SET expires_at = 0 WHERE user_id = ? AND client_id = ? AND used_at = 0`, user, client); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE devices SET decision = ? WHERE user_id = ? AND client_id = ? AND used_at = 0`, string(grant.Denied), user, client); err != nil {
			return err
		}
		if _, err := t.end(e.Actor, "consent-withdrawn", `user_id = ? AND client_id = ?`, user, client); err != nil {
			return err
		}
		return t.record(e)
	})
}

// forget deletes what a person or an application, by the column that names it, agreed to
// and has not redeemed: who comes after under the same name finds nothing of it.
func (t *tx) forget(column, id string) error {
	for _, table := range []string{"consents", "codes", "devices"} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE `+column+` = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

// codeColumns are in the order of the row that CreateCode writes.
var codeColumns = []column{
	{"hash", "bytea"},
	{"client_id", "text"},
	{"redirect_uri", "text"},
	{"challenge", "text"},
	{"nonce", "text"},
	{"user_id", "text"},
	{"session", "text"},
	{"scope", "text"},
	{"audience", "text"},
	{"claims", "text"},
	{"amr", "text"},
	{"auth_time", "bigint"},
	{"created_at", "bigint"},
	{"expires_at", "bigint"},
}

// codes keeps codes that answer no request which was kept.
var codes = func() string {
	list := listOf(codeColumns, ``)
	return `WITH made AS (SELECT a.* FROM ` + rowsOf(recorded(codeColumns)) + `),
			kept AS (INSERT INTO codes (` + list + `, failures, used_at, family) SELECT ` + list + `, 0, 0, '' FROM made)` + keepMade + ` SELECT n FROM made`
}()

// CreateCode keeps an authorization code.
func (s *Store) CreateCode(ctx context.Context, c grant.Code, answers grant.Request, e audit.Event) error {
	claims, err := claimsText(c.Claims)
	if err != nil {
		return err
	}
	row := []any{
		c.Hash[:], c.Client, c.RedirectURI, string(c.Challenge), c.Nonce, c.User, c.Session, strings.Join(c.Scope, " "), c.Audience, claims,
		strings.Join(c.AMR, " "), clock.Micro(c.AuthTime), clock.Micro(c.Created), clock.Micro(c.Expires),
	}
	records := recordsOf(e)
	if p := s.batches(records); p != nil && answers.ID == (secret.Hash{}) && answers.Pushed == (secret.Hash{}) {
		_, err := p.codes.do(ctx, append(row, eventArgs(records)...))
		return outage(err)
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.answer(answers); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO codes (`+listOf(codeColumns, ``)+`, failures, used_at, family)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '')`, row...); err != nil {
			return err
		}
		t.keep(records)
		return nil
	})
}

// answer forgets a request that is answered, as it was kept and as it was pushed. It is a
// NotFound if it was answered beside this.
func (t *tx) answer(r grant.Request) error {
	for _, kept := range []struct {
		table string
		id    secret.Hash
	}{{"authorization_requests", r.ID}, {"pushed_requests", r.Pushed}} {
		if kept.id == (secret.Hash{}) {
			continue
		}
		n, err := t.exec(`DELETE FROM `+kept.table+` WHERE id = ?`, kept.id[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return absent(sql.ErrNoRows, "authorization request")
		}
	}
	return nil
}

// Code returns an authorization code.
func (s *Store) Code(ctx context.Context, hash secret.Hash) (grant.Code, error) {
	c := grant.Code{Hash: hash}
	var challenge, scope, claims, amr string
	var auth, created, expires, used int64
	err := s.one(ctx, `SELECT client_id, redirect_uri, challenge, nonce, user_id, session, scope, audience, claims, amr, auth_time, created_at, expires_at,
			failures, used_at, family FROM codes WHERE hash = ?`, hash[:]).
		scan(&c.Client, &c.RedirectURI, &challenge, &c.Nonce, &c.User, &c.Session, &scope, &c.Audience, &claims, &amr, &auth, &created, &expires,
			&c.Failures, &used, &c.Family)
	if err != nil {
		return c, absent(err, "code")
	}
	c.Challenge, c.Scope, c.AMR = oauth.Challenge(challenge), strings.Fields(scope), strings.Fields(amr)
	c.AuthTime, c.Created, c.Expires, c.Used = clock.FromMicro(auth), clock.FromMicro(created), clock.FromMicro(expires), clock.FromMicro(used)
	c.Claims, err = claimsOf(claims)
	return c, err
}

// FailCode counts a wrong verifier.
func (s *Store) FailCode(ctx context.Context, hash secret.Hash) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE codes SET failures = failures + 1 WHERE hash = ?`, hash[:])
		return err
	})
}

// ExpireCode ends a code that was not used.
func (s *Store) ExpireCode(ctx context.Context, hash secret.Hash) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE codes SET expires_at = 0 WHERE hash = ? AND used_at = 0`, hash[:])
		return err
	})
}

// redeemedColumns are those of a code that is used and its session, before those of the
// family that begins.
var redeemedColumns = append([]column{{"code", "bytea"}, {"in_session", "text"}, {"moment", "bigint"}}, familyColumns...)

// redeemed uses up codes for the families that begin with them, where all is as it is
// nearly always: the account is active, its session lives, nobody changes one of them
// just now, the code was not used, and the person has room for a family more.
var redeemed = func() string {
	list := listOf(familyColumns, ``)
	return `WITH a AS MATERIALIZED (SELECT a.* FROM ` + rowsOf(recorded(redeemedColumns)) + `),
			stands AS (SELECT a.n, s.expires_at AS session_ends FROM a
				CROSS JOIN LATERAL (SELECT 1 FROM users AS u WHERE u.id = a.user_id AND u.status = '` + string(account.Active) + `' FOR SHARE SKIP LOCKED) AS u
				CROSS JOIN LATERAL (SELECT expires_at FROM sessions AS s WHERE s.id = a.in_session AND s.user_id = a.user_id
					AND s.ended_at = 0 AND s.expires_at > a.moment AND s.idle_until > a.moment FOR SHARE SKIP LOCKED) AS s
				WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM token_families AS f WHERE f.user_id = a.user_id AND f.client_id = a.client_id AND f.ended_at = 0
					LIMIT ` + strconv.Itoa(mostFamilies) + `) AS f) < ` + strconv.Itoa(mostFamilies) + `),
			used AS (UPDATE codes AS c SET used_at = a.moment, family = a.id FROM a JOIN stands ON stands.n = a.n
				WHERE c.hash = a.code AND c.used_at = 0 AND c.expires_at > a.moment AND c.failures < ` + strconv.Itoa(grant.MostFailures) + ` RETURNING a.n, stands.session_ends),
			made AS (SELECT a.*, used.session_ends FROM a JOIN used ON used.n = a.n),
			joined AS (INSERT INTO session_clients (session, client_id, expires_at) SELECT in_session, client_id, session_ends FROM made ON CONFLICT (session, client_id) DO NOTHING),
			families AS (INSERT INTO token_families (` + list + `) SELECT ` + list + ` FROM made)` + keepMade + ` SELECT n FROM made`
}()

// Redeem uses a code up for a family that begins with it.
func (s *Store) Redeem(ctx context.Context, c grant.Code, f grant.Family, events ...audit.Event) error {
	records := recordsOf(events...)
	if p := s.batches(records); p != nil {
		family, err := familyRow(f)
		if err != nil {
			return err
		}
		row := append([]any{c.Hash[:], c.Session, clock.Micro(s.clock.Now())}, family...)
		if done, err := p.redeemed.do(ctx, append(row, eventArgs(records)...)); done || err != nil {
			return outage(err)
		}
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.stands(c.Given); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE codes SET used_at = ?, family = ? WHERE hash = ? AND used_at = 0 AND expires_at > ? AND failures < ?`,
			clock.Micro(t.now), f.ID, c.Hash[:], clock.Micro(t.now), grant.MostFailures)
		if err != nil {
			return err
		}
		if n == 0 {
			return errUsed
		}
		if err := t.join(c.Session, c.Client); err != nil {
			return err
		}
		return t.beginFamily(f, events...)
	})
}

var errUsed = fault.New(fault.Conflict, "another use of the code was first")

// stands returns an Unauthenticated fault if who gave something is not there any more.
func (t *tx) stands(g grant.Given) error {
	// The account comes first, as at a sign-in: whoever disables it waits for the
	// family, and then ends it. So does who ends the session.
	active, err := t.held(`SELECT 1 FROM users WHERE id = ? AND status = ?`, g.User, string(account.Active))
	if err != nil {
		return err
	}
	if !active {
		return fault.New(fault.Unauthenticated, "the account is not active any more")
	}
	return t.lives(g.Session)
}

// beginFamily writes a family, with events of which the first is its cause.
func (t *tx) beginFamily(f grant.Family, events ...audit.Event) error {
	if err := t.insertFamily(f); err != nil {
		return err
	}
	if err := t.makeRoom(f, events[0]); err != nil {
		return err
	}
	return t.record(events...)
}

// claimsText returns claims that were asked for as they are kept.
func claimsText(c oauth.Claims) (string, error) {
	if c.Userinfo == nil && c.IDToken == nil && c.ACR == nil {
		return "", nil
	}
	text, err := json.Marshal(c)
	return string(text), err
}

func claimsOf(text string) (c oauth.Claims, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &c)
	}
	return c, err
}
