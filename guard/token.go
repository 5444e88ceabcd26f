package guard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What is longer is refused before any work is done on it.
const (
	maxToken  = 8 << 10
	maxHeader = 2 << 10
	maxKeyID  = 256
)

// jws is a JSON Web Signature in compact serialization, taken apart
// (RFC 7515, Section 7.1). Nothing of it is to be believed before verify.
type jws struct {
	header    header
	signed    string // header and payload as they were signed
	payload   string // still encoded
	signature []byte
}

// header is what guard reads of a JOSE header.
type header struct{ alg, kid, typ string }

// parseJWS takes a token apart. The JSON serialization and encrypted tokens,
// which have five parts, are not known here.
func parseJWS(token string) (*jws, error) {
	dot := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if dot <= 0 || last == dot || strings.IndexByte(token[dot+1:], '.')+dot+1 != last {
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	if base64.RawURLEncoding.DecodedLen(dot) > maxHeader {
		return nil, fmt.Errorf("%w: a header over %d bytes", ErrMalformed, maxHeader)
	}
	text, err := decode(token[:dot])
	if err != nil {
		return nil, fmt.Errorf("%w: its header: %w", ErrMalformed, err)
	}
	j := &jws{signed: token[:last], payload: token[dot+1 : last]}
	if j.header, err = parseHeader(string(text)); err != nil {
		return nil, err
	}
	if j.signature, err = decode(token[last+1:]); err != nil {
		return nil, fmt.Errorf("%w: its signature: %w", ErrMalformed, err)
	}
	return j, nil
}

// parseHeader reads a JOSE header. Headers that bring their own key are refused
// whole, and so are extensions that must be understood (RFC 7515,
// Section 4.1.11; RFC 7797): none is.
func parseHeader(text string) (header, error) {
	var h header
	refused := ""
	err := readObject(text, func(s *scanner, name string) {
		switch name {
		case "alg":
			h.alg = s.str()
		case "kid":
			h.kid = s.str()
		case "typ":
			h.typ = s.str()
		case "crit", "b64", "jwk", "jku", "x5u", "x5c":
			refused = name
			s.skip()
		default:
			s.skip()
		}
	})
	switch {
	case err != nil:
		return header{}, fmt.Errorf("%w: its header: %w", ErrMalformed, err)
	case refused != "":
		return header{}, fmt.Errorf("%w: its header has %q", ErrMalformed, refused)
	case len(h.kid) > maxKeyID:
		return header{}, fmt.Errorf("%w: a key id over %d bytes", ErrMalformed, maxKeyID)
	}
	return h, nil
}

// checkHeader refuses what is no access token (RFC 9068, Sections 2.1 and 4),
// and algorithms that this guard does not take.
func (g *Guard) checkHeader(h header) error {
	if !slices.Contains(g.algorithms, h.alg) {
		return fmt.Errorf("%w: %.20q is not taken", ErrAlgorithm, h.alg)
	}
	// EqualFold folds non-ASCII letters to k and s alone: neither is in these.
	if !strings.EqualFold(h.typ, "at+jwt") && !strings.EqualFold(h.typ, "application/at+jwt") {
		return fmt.Errorf("%w: its type is %.40q", ErrType, h.typ)
	}
	return nil
}

// verify checks the signature with key, whose algorithm is the only one that
// counts.
func (j *jws) verify(key *Key) error {
	if j.header.alg != key.Algorithm {
		return fmt.Errorf("%w: %.20q with a key for %s", ErrAlgorithm, j.header.alg, key.Algorithm)
	}
	if !key.verify([]byte(j.signed), j.signature) {
		return ErrSignature
	}
	return nil
}

// strict refuses unused bits that are not zero: two spellings of one token
// would be two tokens to whoever compares them.
var strict = base64.RawURLEncoding.Strict()

var errBase64 = errors.New("not base64url")

// decode reads base64url without padding (RFC 7515, Section 2). The library
// skips line breaks, even when it is strict.
func decode(text string) ([]byte, error) {
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errBase64
	}
	b, err := strict.DecodeString(text)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}
