package grant

import (
	"time"

	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
)

// Given is what a person gave an application in his session, until the application comes
// for it.
type Given struct {
	Client   string
	User     string
	Session  string // in which it was given
	Scope    []string
	Audience string
	Claims   oauth.Claims
	AMR      []string
	AuthTime time.Time
}

// Code is an authorization code, as it is kept.
type Code struct {
	Hash        secret.Hash
	RedirectURI string // that the request named; empty for none
	Challenge   oauth.Challenge
	Nonce       string
	Given
	Created  time.Time
	Expires  time.Time
	Failures int64     // how often a verifier was wrong
	Used     time.Time // zero: it was not
	Family   string    // what came of it
}

const (
	// CodeLasts is how long a code may be used (FAPI 2.0 Security Profile, Section
	// 5.3.2.1).
	CodeLasts = time.Minute
	// MostFailures is how many wrong verifiers a code survives.
	MostFailures = 5

	codePrefix = "dwc_"
)

// Lives reports whether the time of a code is not over. One that was made later than now
// is of a time that the clock was set back to; clocks of two processes differ by less.
func (c Code) Lives(now time.Time) bool {
	return now.Before(c.Expires) && now.After(c.Created.Add(-CodeLasts))
}

// NewCode returns a code as its holder has it, "dwc_" base62(256 random bits)
// base62(CRC-32 of all before), and the digest that it is kept under.
func NewCode() (secret.Text, secret.Hash) { return secret.NewToken(codePrefix) }

// ParseCode returns the digest that a code is kept under, or false for what was never
// one.
func ParseCode(text string) (secret.Hash, bool) { return secret.ParseToken(codePrefix, text) }
