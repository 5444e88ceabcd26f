// Package grant keeps what was granted: authorization requests and their codes, what
// people agreed to, and token families, the chains of refresh tokens that begin with
// one sign-in.
//
// The one invariant: a family never forks. At any moment one refresh token, or
// none, makes it go on.
package grant

import (
	"bytes"
	"errors"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// RefreshPrefix begins every refresh token, so that people and scanners know one
// when they see it.
const RefreshPrefix = "dwr_"

const (
	handleSize = 16
	secretSize = 32
)

var bodyWidth = secret.Width62(handleSize + secretSize)

// RefreshToken is a refresh token, parsed: the handle of its family, which
// never changes, and the secret of its turn.
type RefreshToken struct {
	handle [handleSize]byte
	secret [secretSize]byte
}

// NewRefreshToken returns the first token of a new family.
func NewRefreshToken() RefreshToken {
	var t RefreshToken
	copy(t.handle[:], secret.Random(handleSize))
	copy(t.secret[:], secret.Random(secretSize))
	return t
}

// next returns the token of the family's next turn.
func (t RefreshToken) next(turn [secretSize]byte) RefreshToken {
	return RefreshToken{handle: t.handle, secret: turn}
}

// Handle returns the digest under which the family is kept.
func (t RefreshToken) Handle() secret.Hash { return secret.HashOf(t.handle[:]) }

// Secret returns the digest by which the turn is known.
func (t RefreshToken) Secret() secret.Hash { return secret.HashOf(t.secret[:]) }

// Text returns the token as its holder keeps it:
// "dwr_" base62(handle ‖ secret) base62(CRC-32 of all before).
func (t RefreshToken) Text() secret.Text {
	body := RefreshPrefix + secret.Base62(append(t.handle[:len(t.handle):len(t.handle)], t.secret[:]...))
	return secret.From(body + secret.Checksum(body))
}

// ErrMalformed is returned for what was never a refresh token. A token with a
// letter missing or changed is one of these: its family is not touched.
var ErrMalformed = errors.New("not a refresh token")

// ParseRefreshToken reads exactly what Text writes.
func ParseRefreshToken(s string) (RefreshToken, error) {
	var t RefreshToken
	end := len(RefreshPrefix) + bodyWidth
	if len(s) != end+secret.ChecksumWidth || !strings.HasPrefix(s, RefreshPrefix) || s[end:] != secret.Checksum(s[:end]) {
		return t, ErrMalformed
	}
	body, err := secret.ParseBase62(s[len(RefreshPrefix):end], handleSize+secretSize)
	if err != nil {
		return t, ErrMalformed
	}
	r := bytes.NewReader(body)
	_, _ = r.Read(t.handle[:]) // the length was checked
	_, _ = r.Read(t.secret[:])
	return t, nil
}
