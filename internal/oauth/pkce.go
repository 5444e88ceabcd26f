package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// Challenge is a code challenge of the method S256 (RFC 7636, Section 4.2). The zero
// Challenge is none.
type Challenge string

// ParseChallenge reads the parameters of an authorization request. S256 is the only
// method, and it is named: plain proves nothing to who reads the request (RFC 9700,
// Section 2.1.1).
func ParseChallenge(p Params) (Challenge, error) {
	text, method := p.Get("code_challenge"), p.Get("code_challenge_method")
	switch {
	case text == "" && method == "":
		return "", nil
	case text == "":
		return "", invalid("code_challenge is missing")
	case method != "S256":
		return "", invalid("code_challenge_method is S256")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != sha256.Size || len(text) != 43 {
		return "", invalid("code_challenge is the SHA-256 of the verifier in base64url")
	}
	return Challenge(text), nil
}

// Proves reports whether a verifier is the one that a challenge was made of. Where there
// was no challenge, there must be no verifier (RFC 9700, Section 4.8.2).
func (c Challenge) Proves(verifier string) bool {
	if c == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 || !unreserved(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c)) == 1
}

// unreserved reports whether a text has unreserved characters alone (RFC 3986, Section
// 2.3).
func unreserved(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}
