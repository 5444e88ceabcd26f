package grant

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/status"
)

// Family is the chain of refresh tokens that began with one sign-in. It is one
// row: each turn overwrites the one before.
type Family struct {
	ID     string      // public: the claim fam of access tokens
	Handle secret.Hash // the digest of the handle, by which a token finds its family

	User     string
	Client   string
	Session  string   // of the browser that holds it; empty for an app or a script
	Scope    []string // what was granted at sign-in; it never grows
	Roles    []string // that were chosen at sign-in, of those that were given; nil for all
	Audience string
	// Organization is the id of the one that its tokens are for; empty for none.
	Organization string
	AuthTime     time.Time
	AMR          []string // RFC 8176
	Claims       oauth.Claims
	// Where it began. Personal data, and not read back with the family.
	Address, UserAgent string

	Secret     secret.Hash // of the turn that makes the family go on
	Previous   secret.Hash // of the turn before; zero at first
	Generation int64       // 1 at first
	Grace      Grace
	Live       status.Live

	CreatedAt time.Time
	UsedAt    time.Time
	IdleUntil time.Time
	ExpiresAt time.Time
	EndedAt   time.Time // zero while it lives
	EndedWhy  string
}

// Target returns the family as the audit log names it.
func (f Family) Target() string { return "family:" + f.ID }

// Grace is what a retry needs to be given the same successor again. Its zero
// value is strict rotation: nothing is given twice.
type Grace struct {
	Salt   []byte // 16 bytes; wiped when the successor is used or Until has come
	Pepper int64  // the version of the key that derived the successor
	Until  time.Time
}

// Lifetimes bound a family.
type Lifetimes struct {
	Absolute time.Duration // from the sign-in
	Idle     time.Duration // from the last use
	Grace    time.Duration // in which a spent token's retry is answered; 0 is strict
}

// New returns a family, with the token that begins it.
func New(now time.Time, user, client string, life Lifetimes) (Family, RefreshToken) {
	t := NewRefreshToken()
	return Family{
		ID: id.New(now), Handle: t.Handle(), User: user, Client: client,
		Secret: t.Secret(), Generation: 1, AuthTime: now, CreatedAt: now, UsedAt: now,
		ExpiresAt: now.Add(life.Absolute), IdleUntil: now.Add(min(life.Idle, life.Absolute)),
	}, t
}

// Verdict is what a refresh token means to its family.
type Verdict int

// The verdicts. Only Reused has a consequence for the family.
const (
	Dead    Verdict = iota // the family has ended
	Expired                // the family, or this turn, came to its time
	Current                // the token makes the family go on
	Retry                  // its turn has passed, and its successor may be given again
	Reused                 // it was spent: somebody holds a copy
)

// Judge says what a token of this family means at now. The states and the
// verdicts are the table in docs/security.md.
func (f Family) Judge(t RefreshToken, now time.Time) Verdict {
	switch {
	case !f.EndedAt.IsZero():
		return Dead
	case !now.Before(f.ExpiresAt) || !now.Before(f.IdleUntil):
		return Expired
	case t.Secret().Equal(f.Secret):
		return Current
	case t.Secret().Equal(f.Previous) && len(f.Grace.Salt) > 0 && now.Before(f.Grace.Until):
		return Retry
	default:
		return Reused
	}
}

// Rotation is one turn of a family, to be written if its present secret is
// still From.
type Rotation struct {
	Family    string
	From      secret.Hash
	To        secret.Hash
	Grace     Grace
	Now       time.Time
	IdleUntil time.Time
	// The session that is used with it, and until when that may lie unused then.
	Session     string
	SessionIdle time.Time
	Live        status.Live
}

// Rotate returns the turn that t, which is current, brings about, and the token
// that is its successor. Strictly it is random. With a grace it is derived from
// t, so that a retry is given the same one although only its digest is kept.
func (f Family) Rotate(t RefreshToken, now time.Time, life Lifetimes, pepper secret.Pepper) (Rotation, RefreshToken) {
	r := Rotation{Family: f.ID, From: f.Secret, Now: now, IdleUntil: earlier(now.Add(life.Idle), f.ExpiresAt), Live: f.Live}
	var next RefreshToken
	if life.Grace > 0 {
		r.Grace = Grace{Salt: secret.Random(16), Pepper: pepper.Version, Until: now.Add(life.Grace)}
		next = successor(t, f.Generation, r.Grace.Salt, pepper.Key)
	} else {
		next = t.next([secretSize]byte(secret.Random(secretSize)))
	}
	r.To = next.Secret()
	return r, next
}

// errFork is returned where a derived successor is not the one that is kept: a
// damaged row or a wrong pepper. A new token here would fork the family.
var errFork = errors.New("the successor that was derived is not the one that is kept")

// Again returns the successor of t, whose verdict is Retry, once more.
func (f Family) Again(t RefreshToken, pepper secret.Pepper) (RefreshToken, error) {
	next := successor(t, f.Generation-1, f.Grace.Salt, pepper.Key)
	if !next.Secret().Equal(f.Secret) {
		return RefreshToken{}, errFork
	}
	return next, nil
}

func successor(t RefreshToken, generation int64, salt, key []byte) RefreshToken {
	turn := secret.MAC(key, "doorward refresh successor",
		t.handle[:], binary.BigEndian.AppendUint64(nil, uint64(generation)), salt, t.secret[:])
	return t.next(turn)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
