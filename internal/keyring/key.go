// Package keyring keeps the keys that sign tokens and the peppers that MACs are
// made with, and knows when each of them may be used.
//
// A signing key is published before it signs and stays published until the last
// token that it signed has expired, so that a rotation fails no verification.
// Its state is not kept: it follows from the times of the keys and the clock, so
// that every replica agrees on it without talking.
package keyring

import (
	"cmp"
	"crypto"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/jose"
)

// State is what a signing key is for at a moment.
type State string

// The states, in the order in which a key passes through them.
const (
	Next     State = "next"     // published, does not sign yet
	Active   State = "active"   // signs
	Retiring State = "retiring" // signs no more, still verifies
	Gone     State = "gone"     // not published: what it signed is refused
)

// The purposes of signing keys. One key serves one purpose, and those of one purpose
// follow one another.
const (
	Access = "access" // signs access tokens
	Audit  = "audit"  // signs the checkpoints of the audit log
)

// accessBy is the purpose of keys that sign the access tokens of those APIs that
// chose an algorithm for themselves.
func accessBy(alg jose.Algorithm) string { return Access + "/" + string(alg) }

// Key is a signing key.
type Key struct {
	ID         string // its thumbprint (RFC 7638), the kid of tokens
	Purpose    string
	Alg        jose.Algorithm
	Ordinal    int64 // its place in the chain: 1 for the first key of its purpose
	CreatedAt  time.Time
	ActiveFrom time.Time
	RetiredAt  time.Time // when an operator withdrew it at once; zero if nobody did
	Private    crypto.Signer
}

// Sealed is a key as it is kept.
type Sealed struct {
	Key         // without Private
	Blob []byte // PKCS #8, sealed for place
}

func (k Key) place() string { return "signing_keys/" + k.ID + "/private" }

// StateOf returns the state of k among all keys at now. keep is how long a key
// is published after it has stopped to sign: the longest lifetime of a token.
func StateOf(k Key, all []Key, now time.Time, keep time.Duration) State {
	if !k.RetiredAt.IsZero() {
		return Gone
	}
	if now.Before(k.ActiveFrom) {
		return Next
	}
	stops, replaced := replacedAt(k, all)
	switch {
	case !replaced || now.Before(stops):
		return Active
	case now.Before(stops.Add(keep)):
		return Retiring
	default:
		return Gone
	}
}

// replacedAt returns when the first successor of k begins to sign, of the same purpose
// and whichever algorithm it is. One that was withdrawn later did sign: what it replaced does
// not come back. One that was withdrawn before it signed replaces nothing.
func replacedAt(k Key, all []Key) (time.Time, bool) {
	var at time.Time
	for _, o := range all {
		signs := o.RetiredAt.IsZero() || o.RetiredAt.After(o.ActiveFrom)
		if signs && o.Purpose == k.Purpose && o.Ordinal > k.Ordinal && (at.IsZero() || o.ActiveFrom.Before(at)) {
			at = o.ActiveFrom
		}
	}
	return at, !at.IsZero()
}

// changes returns when the next state of any key begins after now, or zero.
func changes(all []Key, now time.Time, keep time.Duration) time.Time {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, k := range all {
		consider(k.ActiveFrom)
		if stops, ok := replacedAt(k, all); ok {
			consider(stops.Add(keep))
		}
	}
	return next
}

// newest sorts keys so that the one to sign with comes first.
func newest(a, b Key) int {
	return cmp.Or(b.ActiveFrom.Compare(a.ActiveFrom), cmp.Compare(b.Ordinal, a.Ordinal))
}

func pick(keys []Key, ok func(Key) bool) (Key, bool) {
	sorted := slices.SortedFunc(slices.Values(keys), newest)
	if i := slices.IndexFunc(sorted, ok); i >= 0 {
		return sorted[i], true
	}
	return Key{}, false
}
