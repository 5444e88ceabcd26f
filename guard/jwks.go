package guard

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// A key set of an issuer has a handful of keys. What is larger is not one.
const (
	maxDocument = 64 << 10
	maxKeys     = 50
)

// jwk is one key of a JWK Set as it is published (RFC 7517, Section 4;
// RFC 7518, Section 6; RFC 8037, Section 2).
type jwk struct {
	kty, kid, alg, use, crv, x, y, n, e string
	ops                                 []string
	private                             bool
}

// parseKeySet reads a JWK Set (RFC 7517, Section 5). Keys that must not be
// trusted are left out; err says which and why. The set is nil if the document
// is malformed or none of its keys is left.
//
// Of keys with the same id none is taken: which one a token means is the
// attacker's choice.
func parseKeySet(text string) (*KeySet, error) {
	var keys []jwk
	found := false
	err := readObject(text, func(s *scanner, name string) {
		if name != "keys" {
			s.skip()
			return
		}
		found = true
		s.array(func(s *scanner) {
			if len(keys) == maxKeys {
				s.fail(fmt.Errorf("over %d keys", maxKeys))
				return
			}
			keys = append(keys, readJWK(s))
		})
	})
	if err == nil && !found {
		err = errForm
	}
	if err != nil {
		return nil, fmt.Errorf("not a JWK Set: %w", err)
	}
	uses := map[string]int{}
	for _, j := range keys {
		uses[j.kid]++
	}
	set := &KeySet{map[string]*Key{}}
	var errs []error
	for _, j := range keys {
		k, err := j.key()
		if uses[j.kid] > 1 {
			err = errors.New("its id is not the only one")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("the key %.40q: %w", j.kid, err))
			continue
		}
		set.keys[k.ID] = k
	}
	if len(set.keys) == 0 {
		return nil, errors.Join(append(errs, errors.New("no key in the JWK Set is usable"))...)
	}
	return set, errors.Join(errs...)
}

func readJWK(s *scanner) jwk {
	var j jwk
	texts := map[string]*string{
		"kty": &j.kty, "kid": &j.kid, "alg": &j.alg, "use": &j.use,
		"crv": &j.crv, "x": &j.x, "y": &j.y, "n": &j.n, "e": &j.e,
	}
	s.object(func(s *scanner, name string) {
		switch name {
		case "key_ops":
			j.ops = s.strs()
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			j.private = true
			s.skip()
		default:
			if text := texts[name]; text != nil {
				*text = s.str()
			} else {
				s.skip()
			}
		}
	})
	return j
}

// key returns what j publishes, if it may be trusted.
func (j *jwk) key() (*Key, error) {
	switch {
	case j.private:
		return nil, errors.New("it has a private or symmetric part")
	case j.use != "" && j.use != "sig", j.ops != nil && !slices.Contains(j.ops, "verify"):
		return nil, errors.New("it is not for signatures")
	}
	public, err := j.public()
	if err != nil {
		return nil, err
	}
	k := &Key{ID: j.kid, Algorithm: j.alg, Public: public}
	return k, k.settle()
}

func (j *jwk) public() (crypto.PublicKey, error) {
	switch {
	case j.kty == "EC" && j.crv == "P-256":
		return j.ec()
	case j.kty == "OKP" && j.crv == "Ed25519":
		x, err := decode(j.x)
		return ed25519.PublicKey(x), err
	case j.kty == "RSA":
		return j.rsa()
	}
	return nil, fmt.Errorf("keys of the type %.20q %.20q are not taken", j.kty, j.crv)
}

func (j *jwk) ec() (*ecdsa.PublicKey, error) {
	x, err := decode(j.x)
	if err != nil {
		return nil, err
	}
	y, err := decode(j.y)
	if err != nil {
		return nil, err
	}
	// "The length of this octet string MUST be the full size of a coordinate."
	if len(x) != 32 || len(y) != 32 {
		return nil, errors.New("a coordinate has not 32 bytes")
	}
	point := slices.Concat([]byte{4}, x, y)
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := decode(j.n)
	if err != nil {
		return nil, err
	}
	e, err := decode(j.e)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > math.MaxInt32 {
		return nil, errors.New("its exponent is over 31 bits")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}
