package guard

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// supported lists the algorithms that guard verifies (RFC 7518, Section 3.1;
// RFC 8037, Section 3.1).
var supported = []string{"ES256", "EdDSA", "RS256", "PS256"}

// Key is a public key of the issuer. It verifies one algorithm: a token's
// header does not choose another.
type Key struct {
	ID        string           // "kid", 1 to 256 bytes
	Algorithm string           // ES256, EdDSA, RS256 or PS256; if empty, what Public is for (RS256 for RSA)
	Public    crypto.PublicKey // *ecdsa.PublicKey on P-256, ed25519.PublicKey, or *rsa.PublicKey of 2048 to 16384 bits
}

// KeySet is a set of keys with different ids. It does not change.
type KeySet struct{ keys map[string]*Key }

// NewKeySet returns a set of keys, or an error that names every key that is
// weak, damaged, of the wrong type for its algorithm, or has the id of another.
func NewKeySet(keys ...Key) (*KeySet, error) {
	set := &KeySet{make(map[string]*Key, len(keys))}
	var errs []error
	for _, k := range keys {
		if _, ok := set.keys[k.ID]; ok {
			errs = append(errs, fmt.Errorf("guard: the key %.40q is there twice", k.ID))
			continue
		}
		if err := k.settle(); err != nil {
			errs = append(errs, fmt.Errorf("guard: the key %.40q: %w", k.ID, err))
			continue
		}
		set.keys[k.ID] = &k
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return set, nil
}

// key returns the key with an id, or nil.
func (s *KeySet) key(id string) *Key { return s.keys[id] }

// holds reports whether k, which may come from an older set, is still trusted.
func (s *KeySet) holds(k *Key) bool {
	now := s.keys[k.ID]
	return now == k || now != nil && now.Algorithm == k.Algorithm && now.equal(k)
}

func (k *Key) equal(other *Key) bool {
	p, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(other.Public)
}

// settle fills the algorithm in and refuses keys that must not be trusted
// (RFC 8725, Section 3.5).
func (k *Key) settle() error {
	if k.ID == "" || len(k.ID) > maxKeyID {
		return fmt.Errorf("its id is not 1 to %d bytes", maxKeyID)
	}
	var fit []string
	var err error
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		fit, err = []string{"ES256"}, checkEC(p)
	case ed25519.PublicKey:
		fit, err = []string{"EdDSA"}, checkEd25519(p)
	case *rsa.PublicKey:
		fit, err = []string{"RS256", "PS256"}, checkRSA(p)
	default:
		return fmt.Errorf("keys of type %T are not taken", k.Public)
	}
	if err != nil {
		return err
	}
	if k.Algorithm == "" {
		k.Algorithm = fit[0]
	}
	if !slices.Contains(fit, k.Algorithm) {
		return fmt.Errorf("it is not for the algorithm %.20q", k.Algorithm)
	}
	return nil
}

func checkEC(p *ecdsa.PublicKey) error {
	if p == nil || p.Curve != elliptic.P256() || p.X == nil || p.Y == nil { //nolint:staticcheck // Bytes panics at a key without coordinates
		return errors.New("its curve is not P-256")
	}
	if _, err := p.Bytes(); err != nil {
		return errors.New("it is not a point of its curve")
	}
	return nil
}

func checkRSA(p *rsa.PublicKey) error {
	switch {
	case p == nil || p.N == nil:
		return errors.New("it has no modulus")
	case p.N.BitLen() < 2048 || p.N.BitLen() > 16384:
		return fmt.Errorf("its %d bits are not 2048 to 16384", p.N.BitLen())
	case p.N.Bit(0) == 0:
		return errors.New("its modulus is even")
	case p.E < 3 || p.E%2 == 0:
		return errors.New("its exponent is even or under 3")
	case roca(p.N):
		return errors.New("its modulus was made by a library whose keys can be factored (CVE-2017-15361)")
	}
	return nil
}

// roca reports whether a modulus has the mark of CVE-2017-15361: modulo every
// small prime it is a power of 65537. By chance that is so for one in 2^27.
func roca(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		prime := big.NewInt(p)
		if !prime.ProbablyPrime(0) { // exact for small numbers
			continue
		}
		rest := new(big.Int).Mod(n, prime).Int64()
		power := int64(1)
		for range p {
			if power == rest {
				break
			}
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

// checkEd25519 refuses what is no point of the curve -x²+y² = 1+d·x²·y², and the
// eight points whose order divides 8: under such a key one signature verifies
// for many messages, and crypto/ed25519 lets it.
func checkEd25519(p ed25519.PublicKey) error {
	if len(p) != ed25519.PublicKeySize {
		return fmt.Errorf("it has not %d bytes", ed25519.PublicKeySize)
	}
	b := slices.Clone(p)
	slices.Reverse(b)
	b[0] &^= 0x80 // the sign of x
	y := new(big.Int).SetBytes(b)
	if y.Cmp(edP) >= 0 {
		return errors.New("it is not in canonical form")
	}
	one := big.NewInt(1)
	yy := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(yy, one)
	v := new(big.Int).Mul(yy, edD)
	v.Add(v, one)

	// x² = u/v. Of the low points, y is 0, 1 or -1, or doubling gives y = 0:
	// that is where y² = -x², so y²·v + u = 0.
	low := new(big.Int).Mul(yy, v)
	low.Add(low, u)
	for _, zero := range []*big.Int{y, u, low} {
		if zero.Mod(zero, edP).Sign() == 0 {
			return errors.New("it is a point of low order")
		}
	}
	// A quotient is a square when the product is.
	if v.Mul(u, v); big.Jacobi(v.Mod(v, edP), edP) != 1 {
		return errors.New("it is not a point of its curve")
	}
	return nil
}

// verify reports whether signature is k's over message.
func (k *Key) verify(message, signature []byte) bool {
	if p, ok := k.Public.(ed25519.PublicKey); ok {
		return ed25519.Verify(p, message, signature)
	}
	digest := sha256.Sum256(message)
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		// Two numbers of 32 bytes, not DER (RFC 7518, Section 3.4).
		if len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(p, digest[:], r, s)
	case *rsa.PublicKey:
		if k.Algorithm == "PS256" {
			// "The size of the salt value is the same size as the hash function output."
			return rsa.VerifyPSS(p, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}
