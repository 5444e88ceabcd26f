package guard

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"time"
)

// apiKeyPrefix begins the API keys of Doorward.
const apiKeyPrefix = "dwk_"

// An API key is dwk_, its public id, _, its secret and a checksum, all of letters
// and digits.
const (
	apiKeyID       = 16
	apiKeySecret   = 43
	apiKeyChecksum = 6
	apiKeySize     = len(apiKeyPrefix) + apiKeyID + len("_") + apiKeySecret + apiKeyChecksum
)

// keyVerifier says whose an API key is.
type keyVerifier interface {
	// verify returns the holder of a key that is formed like one, which came with
	// a request. The error is one of ErrAPIKey, ErrLimited and ErrUnavailable, or
	// stands for ErrAPIKey.
	verify(r *http.Request, key string) (*Principal, error)
}

// keysInProcess are keys that this process knows.
type keysInProcess func(context.Context, string) (*Principal, error)

func (f keysInProcess) verify(r *http.Request, key string) (*Principal, error) {
	return f(r.Context(), key)
}

// verifyAPIKey checks the API key that a request came with. What was never a key
// costs nobody a question.
func (g *Guard) verifyAPIKey(r *http.Request, key string) (*Principal, error) {
	if g.apiKeys == nil || !isAPIKey(key) {
		return nil, ErrAPIKey
	}
	p, err := g.apiKeys.verify(r, key)
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrLimited):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAPIKey, err)
	case p == nil:
		return nil, ErrAPIKey
	}
	if err := g.notRevoked(r.Context(), p); err != nil {
		return nil, err
	}
	return p, nil
}

// isAPIKey reports whether text has the form of an API key and its checksum.
func isAPIKey(text string) bool {
	if len(text) != apiKeySize || !strings.HasPrefix(text, apiKeyPrefix) {
		return false
	}
	const middle = len(apiKeyPrefix) + apiKeyID
	for i := len(apiKeyPrefix); i < len(text); i++ {
		if i == middle {
			if text[i] != '_' {
				return false
			}
		} else if strings.IndexByte(base62, text[i]) < 0 {
			return false
		}
	}
	end := apiKeySize - apiKeyChecksum
	return text[end:] == checksum(text[:end])
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checksum returns the CRC-32 of a text in letters and digits.
func checksum(text string) string {
	var out [apiKeyChecksum]byte
	sum := crc32.ChecksumIEEE([]byte(text))
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// Limited refuses a request with 429, because its key was used more often than it
// may be: the error for a function given to APIKeys. Retry-After tells the caller
// when to come again, in whole seconds, one at the least.
type Limited struct{ After time.Duration }

// Error returns the reason in words.
func (l *Limited) Error() string { return ErrLimited.Error() }

// Unwrap returns ErrLimited.
func (l *Limited) Unwrap() error { return ErrLimited }
