// Package jose signs JSON Web Signatures, verifies those that others made, and
// writes and reads public keys as JWK.
//
// What it verifies is what a client or another issuer signed, and hints: never an
// access token, whose type it refuses. What verifies those is package guard, in the
// server as in every API behind it: there is no second verifier.
package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is a JWS algorithm by its registered name (RFC 7518, Section 3.1;
// RFC 8037, Section 3.1).
type Algorithm string

// The algorithms that sign here.
const (
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
	RS256 Algorithm = "RS256"
	PS256 Algorithm = "PS256"
)

// rsaBits is the size of the RSA keys made here: 3072 bits are as strong as
// P-256 (NIST SP 800-57, Part 1, Section 5.6.1.1).
const rsaBits = 3072

// Generate returns a new private key for alg.
func Generate(alg Algorithm) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RS256, PS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("no such signing algorithm: %q", alg)
}

// MarshalPrivate returns key as PKCS #8 in DER.
func MarshalPrivate(key crypto.Signer) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }

// ParsePrivate reads a key that MarshalPrivate wrote, and checks that it is one
// for alg.
func ParsePrivate(alg Algorithm, der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch key := parsed.(type) {
	case *ecdsa.PrivateKey:
		if alg == ES256 && key.Curve == elliptic.P256() {
			return key, nil
		}
	case ed25519.PrivateKey:
		if alg == EdDSA {
			return key, nil
		}
	case *rsa.PrivateKey:
		if (alg == RS256 || alg == PS256) && key.N.BitLen() >= 2048 {
			return key, nil
		}
	}
	return nil, fmt.Errorf("a %T is no key for %s", parsed, alg)
}

var encoding = base64.RawURLEncoding

// Signer signs tokens of one type with one key. It is safe for concurrent use.
type Signer struct {
	alg    Algorithm
	kid    string
	key    crypto.Signer
	prefix string // the encoded header and its dot, the same for every token
}

// NewSigner returns a signer that writes the header alg, typ and kid, in that
// order (RFC 7515, Section 4.1).
func NewSigner(alg Algorithm, kid, typ string, key crypto.Signer) (*Signer, error) {
	header, err := json.Marshal(struct {
		Alg Algorithm `json:"alg"`
		Typ string    `json:"typ"`
		Kid string    `json:"kid"`
	}{alg, typ, kid})
	if err != nil {
		return nil, err
	}
	return &Signer{alg: alg, kid: kid, key: key, prefix: encoding.EncodeToString(header) + "."}, nil
}

// As returns who signs with the same key what is of another type.
func (s *Signer) As(typ string) (*Signer, error) { return NewSigner(s.alg, s.kid, typ, s.key) }

// Sign returns payload as a JWS in compact serialization (RFC 7515, Section
// 7.1).
func (s *Signer) Sign(payload []byte) (string, error) {
	size := len(s.prefix) + encoding.EncodedLen(len(payload)) + 1 + 86
	token := make([]byte, 0, size)
	token = append(token, s.prefix...)
	token = encoding.AppendEncode(token, payload)
	signature, err := s.sign(token)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	token = append(token, '.')
	return string(encoding.AppendEncode(token, signature)), nil
}

func (s *Signer) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch s.alg {
	case ES256:
		der, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return rawECDSA(der)
	case EdDSA:
		return s.key.Sign(rand.Reader, input, crypto.Hash(0))
	case PS256:
		return s.key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	default:
		return s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
}

// rawECDSA turns an ASN.1 signature into R and S, 32 bytes each (RFC 7518,
// Section 3.4).
func rawECDSA(der []byte) ([]byte, error) {
	input, sequence := cryptobyte.String(der), cryptobyte.String(nil)
	var r, s []byte
	if !input.ReadASN1(&sequence, asn1.SEQUENCE) || !input.Empty() ||
		!sequence.ReadASN1Integer(&r) || !sequence.ReadASN1Integer(&s) || !sequence.Empty() || len(r) > 32 || len(s) > 32 {
		return nil, errors.New("an ECDSA signature is not ASN.1")
	}
	raw := make([]byte, 64)
	copy(raw[32-len(r):], r)
	copy(raw[64-len(s):], s)
	return raw, nil
}
