package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// What a set of keys may be, and an RSA key.
const (
	MostKeySet = 64 << 10 // bytes
	MostKeys   = 10
	leastRSA   = 2048 // bits
	mostRSA    = 8192 // bits; a larger one costs who verifies more than who signs
)

// Key is a public key that verifies signatures.
type Key struct {
	ID        string    // "kid"; may be empty
	Algorithm Algorithm // the only one that it verifies; empty for those of its type
	Public    crypto.PublicKey
}

// Thumbprint returns the SHA-256 thumbprint in base64url (RFC 7638, Section 3).
func (k Key) Thumbprint() string {
	j, err := PublicJWK("", k.Algorithm, k.Public)
	if err != nil {
		return ""
	}
	return j.Kid
}

// does reports whether k verifies signatures by an algorithm.
func (k Key) does(alg Algorithm) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch k.Public.(type) {
	case *ecdsa.PublicKey:
		return alg == ES256
	case ed25519.PublicKey:
		return alg == EdDSA
	case *rsa.PublicKey:
		return alg == RS256 || alg == PS256
	}
	return false
}

// ParseKeys reads another's JWK Set (RFC 7517, Section 5), and returns those keys that
// verify signatures here. Those for something else, or of a type that is not known, are
// left out (RFC 7517, Section 5: "SHOULD ignore"). The set as a whole is refused for a
// key that is weak, broken, private or symmetric, for one id of two keys, and if none
// is left (RFC 8725, Sections 3.4 and 3.5): the error says which key and why, and
// repeats nothing of it.
func ParseKeys(text []byte) ([]Key, error) {
	if len(text) > MostKeySet {
		return nil, fmt.Errorf("it is over %d bytes", MostKeySet)
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(o["keys"], &list); err != nil || list == nil {
		return nil, errors.New("it is not a JWK Set: keys is not an array")
	}
	if len(list) > MostKeys {
		return nil, fmt.Errorf("it has more than %d keys", MostKeys)
	}
	var keys []Key
	for i, raw := range list {
		k, err := parseKey(raw)
		switch {
		case err != nil:
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		case k.Public == nil:
			continue
		case slices.ContainsFunc(keys, func(o Key) bool { return o.ID == k.ID }):
			return nil, fmt.Errorf("keys[%d]: its id is that of another key", i)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key that verifies ES256, EdDSA, RS256 or PS256")
	}
	return keys, nil
}

// private are the members of a key that nobody else may have (RFC 7518, Sections 6.2.2,
// 6.3.2 and 6.4; RFC 8037, Section 2).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// parseKey reads a JWK. One that is none of ours is zero.
func parseKey(raw json.RawMessage) (Key, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return Key{}, errors.New("it is not a JSON object")
	}
	for _, name := range private {
		if o[name] != nil {
			return Key{}, errors.New("it has a private or symmetric part, which nobody else may know: make another one, and give its public part alone")
		}
	}
	var k Key
	var kty, use, alg, crv string
	if err := errors.Join(o.text("kid", &k.ID), o.text("kty", &kty), o.text("use", &use), o.text("alg", &alg), o.text("crv", &crv)); err != nil {
		return Key{}, err
	}
	k.Algorithm = Algorithm(alg)
	switch {
	case len(k.ID) > mostKeyID:
		return Key{}, fmt.Errorf("its id is over %d bytes", mostKeyID)
	case kty == "":
		return Key{}, errors.New("it has no kty")
	case use != "" && use != "sig" || !o.verifies():
		return Key{}, nil
	}
	var err error
	switch {
	case kty == "EC" && crv == "P-256":
		k.Public, err = o.ec()
	case kty == "OKP" && crv == "Ed25519":
		k.Public, err = o.ed25519()
	case kty == "RSA":
		k.Public, err = o.rsa()
	default:
		return Key{}, nil
	}
	if err != nil {
		return Key{}, err
	}
	if !slices.ContainsFunc([]Algorithm{ES256, EdDSA, RS256, PS256}, k.does) {
		return Key{}, nil
	}
	return k, nil
}

// verifies reports whether the key's owner means it for verifying (RFC 7517, Section
// 4.3).
func (o object) verifies() bool {
	if o["key_ops"] == nil {
		return true
	}
	var ops []string
	return json.Unmarshal(o["key_ops"], &ops) == nil && slices.Contains(ops, "verify")
}

// bytes returns a member that is base64url.
func (o object) bytes(name string) ([]byte, error) {
	var text string
	if err := o.text(name, &text); err != nil {
		return nil, err
	}
	b, err := decode(text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s is missing, or not base64url", name)
	}
	return b, nil
}

func (o object) ec() (crypto.PublicKey, error) {
	x, errX := o.bytes("x")
	y, errY := o.bytes("y")
	if err := errors.Join(errX, errY); err != nil {
		return nil, err
	}
	if len(x) != 32 || len(y) != 32 { // "the full size of a coordinate" (RFC 7518, Section 6.2.1.2)
		return nil, errors.New("a coordinate has not 32 bytes")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("it is not a point of P-256")
	}
	return key, nil
}

func (o object) rsa() (crypto.PublicKey, error) {
	modulus, errN := o.bytes("n")
	exponent, errE := o.bytes("e")
	if err := errors.Join(errN, errE); err != nil {
		return nil, err
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	switch {
	case n.BitLen() < leastRSA || n.BitLen() > mostRSA:
		return nil, fmt.Errorf("its modulus has not %d to %d bits", leastRSA, mostRSA)
	case n.Bit(0) == 0:
		return nil, errors.New("its modulus is even")
	case e.BitLen() > 31 || e.Bit(0) == 0 || e.Int64() < 3:
		return nil, errors.New("its exponent is even, less than 3, or over 31 bits")
	case roca(n):
		return nil, errors.New("its modulus was made by a library whose keys can be factored (CVE-2017-15361)")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// roca reports whether a modulus has the mark of CVE-2017-15361: modulo every small prime it
// is a power of 65537. By chance that is so for one in 2^27.
func roca(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		prime := big.NewInt(p)
		if !prime.ProbablyPrime(0) { // exact for small numbers
			continue
		}
		rest, power := new(big.Int).Mod(n, prime).Int64(), int64(1)
		for i := int64(0); i < p && power != rest; i++ {
			power = power * 65537 % p
		}
		if power != rest {
			return false
		}
	}
	return true
}

// The field and the constant of edwards25519 (RFC 8032, Section 5.1).
var (
	edP, _ = new(big.Int).SetString("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", 16)
	edD, _ = new(big.Int).SetString("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3", 16)
)

// ed25519 refuses what is no point of the curve -x²+y² = 1+d·x²·y², and the eight points
// whose order divides 8: under such a key one signature is good for many messages, and
// crypto/ed25519 takes it.
func (o object) ed25519() (crypto.PublicKey, error) {
	key, err := o.bytes("x")
	if err != nil {
		return nil, err
	}
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("it has not %d bytes", ed25519.PublicKeySize)
	}
	b := slices.Clone(key)
	slices.Reverse(b)
	b[0] &^= 0x80 // the sign of x
	y := new(big.Int).SetBytes(b)
	if y.Cmp(edP) >= 0 {
		return nil, errors.New("it is not in canonical form")
	}
	one := big.NewInt(1)
	yy := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(yy, one) // x² = u/v
	v := new(big.Int).Mul(yy, edD)
	v.Add(v, one)
	// Of the low points, y is 0, 1 or -1, or doubling gives y = 0: that is where y² =
	// -x², so y²·v + u = 0.
	low := new(big.Int).Mul(yy, v)
	low.Add(low, u)
	for _, zero := range []*big.Int{y, u, low} {
		if new(big.Int).Mod(zero, edP).Sign() == 0 {
			return nil, errors.New("it is a point of low order")
		}
	}
	// A quotient is a square when the product is.
	if square := u.Mul(u, v); big.Jacobi(square.Mod(square, edP), edP) != 1 {
		return nil, errors.New("it is not a point of its curve")
	}
	return ed25519.PublicKey(key), nil
}
