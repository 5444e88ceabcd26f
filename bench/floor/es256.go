package floor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// key signs and verifies tokens with ES256, and checks nothing else.
type key struct{ *ecdsa.PrivateKey }

func newKey() *key {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the curve is one that there is
	}
	return &key{k}
}

var encoding = base64.RawURLEncoding

// Claims as long as those of Doorward's access tokens.
const (
	header = `{"alg":"ES256","typ":"at+jwt","kid":"0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"}`
	claims = `{"iss":"http://127.0.0.1:8080","sub":"0123456789abcdefghijklmnop","aud":"http://127.0.0.1:8080","exp":1800000900,"iat":1800000000,` +
		`"nbf":1800000000,"jti":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","client_id":"doorward","scope":"read write","roles":["editor","viewer"],` +
		`"auth_time":1800000000,"acr":"urn:doorward:acr:1","amr":["pwd"],"fam":"0123456789abcdefghijklmnop","pv":2}`
)

var prefix = encoding.EncodeToString([]byte(header)) + "."

// sign appends a token to b.
func (k *key) sign(b []byte) []byte {
	start := len(b)
	b = append(b, prefix...)
	b = encoding.AppendEncode(b, []byte(claims))
	digest := sha256.Sum256(b[start:])
	der, err := ecdsa.SignASN1(rand.Reader, k.PrivateKey, digest[:])
	if err != nil {
		panic(err) // with a key and a random source that work it cannot fail
	}
	raw := rawSignature(der)
	return encoding.AppendEncode(append(b, '.'), raw[:])
}

// rawSignature writes R and S in 32 bytes each (RFC 7518, Section 3.4).
func rawSignature(der []byte) (raw [64]byte) {
	input := cryptobyte.String(der)
	var inner, r, s cryptobyte.String
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1(&r, asn1.INTEGER) || !inner.ReadASN1(&s, asn1.INTEGER) {
		panic("crypto/ecdsa made no signature")
	}
	r, s = r[max(0, len(r)-32):], s[max(0, len(s)-32):]
	copy(raw[32-len(r):32], r)
	copy(raw[64-len(s):], s)
	return raw
}

// verify checks the signature of a token, and nothing else.
func (k *key) verify(token string) bool {
	end := strings.LastIndexByte(token, '.')
	if end < 0 {
		return false
	}
	raw, err := encoding.DecodeString(token[end+1:])
	if err != nil || len(raw) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(token[:end]))
	return ecdsa.Verify(&k.PublicKey, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
}
