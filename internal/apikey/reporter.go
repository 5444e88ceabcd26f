package apikey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// Reporters are who is believed that a key was found in public: the keys that they sign
// reports with.
type Reporters []*ecdsa.PublicKey

// ParseReporters reads public keys in PEM. At least one must be there, and all must be of
// the curve P-256, as those of GitHub are.
func ParseReporters(text []byte) (Reporters, error) {
	var list Reporters
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("it holds a %s, and only a PUBLIC KEY may be there", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, ok := parsed.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() {
			return nil, errors.New("it holds a key that is not of the curve P-256")
		}
		list = append(list, key)
	}
	if len(list) == 0 {
		return nil, errors.New("it holds no PUBLIC KEY in PEM")
	}
	return list, nil
}

// Signed reports whether one of the reporters signed a body: ECDSA with SHA-256 over its
// bytes as they came, in ASN.1 and base64.
func (r Reporters) Signed(body []byte, signature string) bool {
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	digest := sha256.Sum256(body)
	for _, key := range r {
		if ecdsa.VerifyASN1(key, digest[:], sig) {
			return true
		}
	}
	return false
}
