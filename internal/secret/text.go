// Package secret keeps secrets from being seen: in logs, in the database, and
// by their timing.
//
// A secret in the clear is a Text, which prints as "[secret]". A random secret
// is kept as its Hash; a secret that must be had again is kept sealed. Only
// Reveal gives a Text away, and a test counts who calls it.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
)

// Text is a secret in the clear. It prints as "[secret]" wherever a formatter,
// a logger or an encoder meets it; only Reveal gives the value away.
//
// The value is behind a pointer because fmt cannot call String on a Text that
// sits in an unexported field: it prints the address instead.
type Text struct{ value *string }

const hidden = "[secret]"

// From returns s as a Text.
func From(s string) Text { return Text{&s} }

// Reveal returns the secret.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether there is no secret, or an empty one.
func (t Text) IsZero() bool { return t.value == nil || *t.value == "" }

// Equal compares two secrets in a time that depends on their lengths alone.
func (t Text) Equal(u Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(u.Reveal())) == 1
}

// String hides the secret.
func (t Text) String() string { return hidden }

// GoString hides the secret.
func (t Text) GoString() string { return hidden }

// LogValue hides the secret.
func (t Text) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret.
func (t Text) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Hash is the SHA-256 digest of a secret of at least 128 random bits, which is
// all that the database knows of it. A password is never hashed like this.
type Hash [sha256.Size]byte

// HashOf returns the digest of b.
func HashOf(b []byte) Hash { return sha256.Sum256(b) }

// Equal compares two hashes in constant time.
func (h Hash) Equal(g Hash) bool { return subtle.ConstantTimeCompare(h[:], g[:]) == 1 }

// Random returns n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // it never fails: the program ends before
	return b
}
