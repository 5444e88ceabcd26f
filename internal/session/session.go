// Package session keeps signed-in browsers: who is signed in, since when, on
// which device, and until when.
//
// What a browser holds of its session is a random secret in a cookie; the
// database knows its digest alone. Every sign-in makes a new session with a new
// secret: one that a browser brought along is never adopted. Cookies themselves
// are not here (package web), nor the tokens that a session holds (package grant).
package session

import (
	"encoding/base64"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Session is a signed-in browser.
type Session struct {
	ID     string // public: the claim sid, and what it is listed under
	Secret secret.Hash
	User   string
	AMR    []string // RFC 8176
	// Where it began. Personal data.
	Address, UserAgent string

	AuthTime  time.Time
	CreatedAt time.Time
	UsedAt    time.Time
	IdleUntil time.Time
	ExpiresAt time.Time
	EndedAt   time.Time // zero while it lives
}

// Target returns the session as the audit log names it.
func (s Session) Target() string { return "session:" + s.ID }

// Live reports whether the session is good for anything at now.
func (s Session) Live(now time.Time) bool {
	return s.EndedAt.IsZero() && now.Before(s.ExpiresAt) && now.Before(s.IdleUntil)
}

// holder returns by, who brought the session's cookie, as the person that it is of.
func (s Session) holder(by principal.Principal) principal.Principal {
	by.Kind, by.ID, by.Session = principal.User, s.User, s.ID
	return by
}

// Lifetimes bound a session.
type Lifetimes struct {
	Absolute time.Duration // from the sign-in
	Idle     time.Duration // from the last use
}

// IdleUntil returns until when a session that is used at now, and ends at expires,
// may lie unused.
func (l Lifetimes) IdleUntil(now, expires time.Time) time.Time {
	if until := now.Add(l.Idle); until.Before(expires) {
		return until
	}
	return expires
}

// secretSize is how many random bytes a cookie holds.
const secretSize = 32

// New returns a session that begins at now, and the secret that its cookie
// holds: 43 characters of base64url.
func New(now time.Time, user string, amr []string, from principal.Origin, life Lifetimes) (Session, secret.Text) {
	raw := secret.Random(secretSize)
	s := Session{
		ID: id.New(now), Secret: secret.HashOf(raw), User: user, AMR: amr, Address: from.Address, UserAgent: from.UserAgent,
		AuthTime: now, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(life.Absolute),
	}
	s.IdleUntil = life.IdleUntil(now, s.ExpiresAt)
	return s, secret.From(base64.RawURLEncoding.EncodeToString(raw))
}

var strict = base64.RawURLEncoding.Strict()

// ParseCookie returns the digest under which the session of a cookie is kept, or
// false for what New never made.
func ParseCookie(value secret.Text) (secret.Hash, bool) {
	text := value.Reveal()
	if len(text) != strict.EncodedLen(secretSize) {
		return secret.Hash{}, false
	}
	raw, err := strict.DecodeString(text)
	if err != nil || len(raw) != secretSize { // line breaks are skipped, even where it is strict
		return secret.Hash{}, false
	}
	return secret.HashOf(raw), true
}
