package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
)

// JWK is a public signing key (RFC 7517, Section 4). It has no member that a
// private key could get into.
type JWK struct {
	Kty string    `json:"kty"`
	Use string    `json:"use"`
	Alg Algorithm `json:"alg"`
	Kid string    `json:"kid"`
	Crv string    `json:"crv,omitempty"`
	X   string    `json:"x,omitempty"`
	Y   string    `json:"y,omitempty"`
	N   string    `json:"n,omitempty"`
	E   string    `json:"e,omitempty"`
}

// PublicJWK returns a public key as a JWK for signatures by alg. An empty kid
// stands for the key's thumbprint.
func PublicJWK(kid string, alg Algorithm, key crypto.PublicKey) (JWK, error) {
	j := JWK{Use: "sig", Alg: alg}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 0x04, X, Y (SEC 1, Section 2.3.3)
		if err != nil {
			return JWK{}, err
		}
		half := (len(point) - 1) / 2
		j.Kty, j.Crv = "EC", key.Curve.Params().Name
		j.X, j.Y = encoding.EncodeToString(point[1:1+half]), encoding.EncodeToString(point[1+half:])
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", encoding.EncodeToString(key)
	case *rsa.PublicKey:
		j.Kty, j.N = "RSA", encoding.EncodeToString(key.N.Bytes())
		j.E = encoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	default:
		return JWK{}, fmt.Errorf("a %T cannot be written as a JWK", key)
	}
	j.Kid = kid
	if kid == "" {
		j.Kid = j.Thumbprint()
	}
	return j, nil
}

// Thumbprint returns the SHA-256 thumbprint in base64url (RFC 7638, Section 3).
func (j JWK) Thumbprint() string {
	var members any // the required ones alone, in the order of their names
	switch j.Kty {
	case "EC":
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		}{j.Crv, j.Kty, j.X, j.Y}
	case "OKP":
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
		}{j.Crv, j.Kty, j.X}
	default:
		members = struct {
			E   string `json:"e"`
			Kty string `json:"kty"`
			N   string `json:"n"`
		}{j.E, j.Kty, j.N}
	}
	text, _ := json.Marshal(members) // strings alone cannot fail
	digest := sha256.Sum256(text)
	return encoding.EncodeToString(digest[:])
}
