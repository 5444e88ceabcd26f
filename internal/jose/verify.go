package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/strictjson"
)

// What is longer is refused before any work is done on it.
const (
	mostToken  = 16 << 10
	mostHeader = 2 << 10
	mostKeyID  = 256
)

// Why a token is not verified. Nothing of it is returned then.
var (
	ErrForm       = errors.New("it is not a JWS in compact form")
	ErrType       = errors.New("it is a token of another type")
	ErrAlgorithm  = errors.New("its algorithm is not allowed")
	ErrUnknownKey = errors.New("it names no key that is known")
	ErrSignature  = errors.New("its signature is wrong")
)

// Token is what was signed.
type Token struct {
	Algorithm Algorithm
	KeyID     string // as the header names it, which may be not at all
	Type      string // "typ", as it is written
	Payload   []byte
}

// Is reports whether a token is of one of some types. Case does not count, nor the
// prefix "application/" (RFC 7515, Section 4.1.9).
func (t Token) Is(types ...string) bool {
	typ := strings.TrimPrefix(strings.ToLower(t.Type), "application/")
	return slices.Contains(types, typ)
}

// accessToken is the type that guard verifies (RFC 9068, Section 2.1).
const accessToken = "at+jwt"

// Verify returns what a token holds if it was signed with one of keys, by an algorithm
// that is both allowed and the key's: a header chooses neither (RFC 8725, Section
// 3.1). The error is one of those above.
func Verify(token string, keys []Key, allowed ...Algorithm) (Token, error) {
	j, err := parse(token)
	if err != nil {
		return Token{}, err
	}
	switch {
	case j.Is(accessToken):
		return Token{}, ErrType
	case !slices.Contains(allowed, j.Algorithm):
		return Token{}, ErrAlgorithm
	}
	key, err := j.key(keys)
	if err != nil {
		return Token{}, err
	}
	if !key.verifies(j.Algorithm, []byte(j.input), j.signature) {
		return Token{}, ErrSignature
	}
	return j.Token, nil
}

// Peek returns the claims of a token of which nothing is proved. They are good for one
// thing: to find the keys that Verify wants.
func Peek(token string) (Claims, error) {
	j, err := parse(token)
	if err != nil {
		return Claims{}, err
	}
	return ParseClaims(j.Payload)
}

// parsed is a JWS taken apart (RFC 7515, Section 7.1).
type parsed struct {
	Token
	input     string // header and payload, as they were signed
	signature []byte
}

// parse takes a token apart. The JSON serialization is not known here, nor are
// encrypted tokens, which have five parts.
func parse(token string) (j parsed, err error) {
	if len(token) > mostToken {
		return j, fmt.Errorf("%w: it is over %d bytes", ErrForm, mostToken)
	}
	head, rest, one := strings.Cut(token, ".")
	body, signature, two := strings.Cut(rest, ".")
	if !one || !two || strings.Contains(signature, ".") {
		return j, fmt.Errorf("%w: it has not three parts", ErrForm)
	}
	header, err := decode(head)
	if err != nil {
		return j, err
	}
	if j.Token, err = parseHeader(header); err != nil {
		return j, err
	}
	if j.Payload, err = decode(body); err != nil {
		return j, err
	}
	j.input = token[:len(head)+1+len(body)]
	j.signature, err = decode(signature)
	return j, err
}

// parseHeader reads a JOSE header. One that brings its own key is refused, and so is
// one with an extension that must be understood: none is (RFC 7515, Section 4.1.11;
// RFC 7797, Section 6).
func parseHeader(text []byte) (t Token, err error) {
	if len(text) > mostHeader {
		return t, fmt.Errorf("%w: its header is over %d bytes", ErrForm, mostHeader)
	}
	h, err := parseObject(text)
	if err != nil {
		return t, fmt.Errorf("%w: its header: %w", ErrForm, err)
	}
	for _, name := range []string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"} {
		if h[name] != nil {
			return t, fmt.Errorf("%w: its header has %s", ErrForm, name)
		}
	}
	var alg string
	switch err := errors.Join(h.text("alg", &alg), h.text("kid", &t.KeyID), h.text("typ", &t.Type)); {
	case err != nil:
		return Token{}, fmt.Errorf("%w: its header: %w", ErrForm, err)
	case len(t.KeyID) > mostKeyID:
		return Token{}, fmt.Errorf("%w: its key id is over %d bytes", ErrForm, mostKeyID)
	}
	t.Algorithm = Algorithm(alg)
	return t, nil
}

// key returns the one of some keys that a token was signed with if it is genuine: the
// one that it names. A key without an id goes by every name. A token that names none
// fits if one key alone can have made it (OpenID Connect Core 1.0, Section 10.1).
func (j parsed) key(keys []Key) (Key, error) {
	fit := func(k Key) bool { return k.does(j.Algorithm) && (j.KeyID == "" || k.ID == j.KeyID || k.ID == "") }
	named := slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return !fit(k) })
	exact := slices.DeleteFunc(slices.Clone(named), func(k Key) bool { return k.ID != j.KeyID })
	switch {
	case len(exact) == 1:
		return exact[0], nil
	case len(named) == 1:
		return named[0], nil
	}
	return Key{}, ErrUnknownKey
}

// verifies reports whether a signature by an algorithm is k's over input.
func (k Key) verifies(alg Algorithm, input, signature []byte) bool {
	digest := sha256.Sum256(input)
	switch p := k.Public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(p, input, signature)
	case *ecdsa.PublicKey: // R and S, 32 bytes each (RFC 7518, Section 3.4)
		if len(signature) != 64 {
			return false
		}
		return ecdsa.Verify(p, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case *rsa.PublicKey:
		if alg == PS256 { // the salt is as long as the hash (RFC 7518, Section 3.5)
			return rsa.VerifyPSS(p, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// strict refuses unused bits that are not zero: two spellings of one token would be two
// tokens to whoever compares them.
var strict = encoding.Strict()

// decode reads base64url without padding (RFC 7515, Section 2). The library skips line
// breaks, even when it is strict.
func decode(text string) ([]byte, error) {
	b, err := strict.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("%w: a part is not base64url", ErrForm)
	}
	return b, nil
}

// object is a JSON object, its members by their exact names.
type object map[string]json.RawMessage

// parseObject reads text that is one object and nothing else, in which no name comes
// twice.
func parseObject(text []byte) (object, error) {
	if err := strictjson.Check(text); err != nil {
		return nil, err
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil || o == nil {
		return nil, errors.New("it is not a JSON object")
	}
	return o, nil
}

// text sets into to the member of a name, if there is one. It must be a string.
func (o object) text(name string, into *string) error {
	raw := o[name]
	if raw == nil {
		return nil
	}
	if raw[0] != '"' || json.Unmarshal(raw, into) != nil {
		return fmt.Errorf("%s is not a string", name)
	}
	return nil
}
