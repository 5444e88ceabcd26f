package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/jose"
)

var algorithms = []jose.Algorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256}

// keys are made once: RSA keys take their time.
var keys = sync.OnceValue(func() map[jose.Algorithm]crypto.Signer {
	m := map[jose.Algorithm]crypto.Signer{}
	for _, alg := range algorithms[:3] {
		key, err := jose.Generate(alg)
		if err != nil {
			panic(err)
		}
		m[alg] = key
	}
	m[jose.PS256] = m[jose.RS256]
	return m
})

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify holds a signature against its key with package crypto alone.
func verify(alg jose.Algorithm, key crypto.PublicKey, input, signature []byte) bool {
	digest := sha256.Sum256(input)
	switch key := key.(type) {
	case *ecdsa.PublicKey: // R and S, 32 bytes each (RFC 7518, Section 3.4)
		r, s := new(big.Int), new(big.Int)
		return len(signature) == 64 && ecdsa.Verify(key, digest[:], r.SetBytes(signature[:32]), s.SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, signature)
	case *rsa.PublicKey:
		if alg == jose.PS256 {
			o := &rsa.PSSOptions{SaltLength: sha256.Size} // as long as the hash (RFC 7518, Section 3.5)
			return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, o) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

func TestSign(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := keys()[alg]
			signer, err := jose.NewSigner(alg, `kid"1`, "at+jwt", key)
			if err != nil {
				t.Fatal(err)
			}
			payload := []byte(`{"sub":"ann"}`)
			token, err := signer.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			part := strings.Split(token, ".")
			if len(part) != 3 {
				t.Fatalf("%d parts", len(part))
			}
			if got, want := string(decode(t, part[0])), `{"alg":"`+string(alg)+`","typ":"at+jwt","kid":"kid\"1"}`; got != want {
				t.Errorf("the header is %s, want %s", got, want)
			}
			if got := decode(t, part[1]); !bytes.Equal(got, payload) {
				t.Errorf("the payload is %s", got)
			}
			input, signature := []byte(part[0]+"."+part[1]), decode(t, part[2])
			if !verify(alg, key.Public(), input, signature) {
				t.Error("the signature does not verify")
			}
			if input[len(input)-1] ^= 1; verify(alg, key.Public(), input, signature) {
				t.Error("another payload verifies")
			}
		})
	}
}

// A signer is shared by all requests.
func TestSignAtOnce(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA} {
		signer, err := jose.NewSigner(alg, "kid", "at+jwt", keys()[alg])
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				for n := range 20 {
					token, err := signer.Sign([]byte{byte(i), byte(n)})
					at := strings.LastIndexByte(token, '.')
					signature, _ := base64.RawURLEncoding.DecodeString(token[at+1:])
					if err != nil || !verify(alg, keys()[alg].Public(), []byte(token[:at]), signature) {
						t.Errorf("%s: %s, %v", alg, token, err)
					}
				}
			})
		}
		wait.Wait()
	}
}

// fixed is a key in a device that returns what it was told to.
type fixed struct {
	crypto.Signer
	der []byte
}

func (f fixed) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return f.der, nil }

// R and S are as long as the curve's order, however small they are (RFC 7518,
// Section 3.4).
func TestSignPads(t *testing.T) {
	small, err := asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(1), big.NewInt(0x1234)})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.ES256, "kid", "at+jwt", fixed{keys()[jose.ES256], small})
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 64)
	want[31], want[62], want[63] = 1, 0x12, 0x34
	if got := decode(t, token[strings.LastIndexByte(token, '.')+1:]); !bytes.Equal(got, want) {
		t.Errorf("the signature is %x, want %x", got, want)
	}
	for name, der := range map[string][]byte{"nothing": nil, "raw": want, "more behind it": append(small, 0), "cut short": small[:len(small)-1]} {
		signer, err := jose.NewSigner(jose.ES256, "kid", "at+jwt", fixed{keys()[jose.ES256], der})
		if err != nil {
			t.Fatal(err)
		}
		if token, err := signer.Sign([]byte("{}")); err == nil {
			t.Errorf("%s was taken for a signature: %s", name, token)
		}
	}
}

func TestPrivateKeysAreForOneAlgorithm(t *testing.T) {
	for alg, key := range keys() {
		der, err := jose.MarshalPrivate(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range append(algorithms, "", "none", "HS256", "es256") {
			got, err := jose.ParsePrivate(other, der)
			rsaKey := (alg == jose.RS256 || alg == jose.PS256) && (other == jose.RS256 || other == jose.PS256)
			switch fits := alg == other || rsaKey; {
			case fits && (err != nil || !reflect.DeepEqual(got.Public(), key.Public())):
				t.Errorf("a key for %s, read for %s: %v", alg, other, err)
			case !fits && err == nil:
				t.Errorf("a key for %s was read for %s", alg, other)
			}
		}
		for name, bad := range map[string][]byte{"nothing": nil, "cut short": der[:len(der)-1], "text": []byte("key")} {
			if _, err := jose.ParsePrivate(alg, bad); err == nil {
				t.Errorf("%s was read as a key for %s", name, alg)
			}
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jose.ParsePrivate(jose.ES256, der); err == nil {
		t.Error("a P-384 key was read for ES256")
	}
	for _, alg := range []jose.Algorithm{"", "none", "HS256"} {
		if _, err := jose.Generate(alg); err == nil {
			t.Errorf("a key was made for %q", alg)
		}
	}
}

// The example keys of RFC 7638, Section 3.1, and RFC 8037, Appendix A.3.
func TestThumbprint(t *testing.T) {
	n := new(big.Int).SetBytes(decode(t, "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"))
	for name, c := range map[string]struct {
		alg  jose.Algorithm
		key  crypto.PublicKey
		want string
	}{
		"RFC 7638": {jose.RS256, &rsa.PublicKey{N: n, E: 65537}, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 8037": {jose.EdDSA, ed25519.PublicKey(decode(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		j, err := jose.PublicJWK("", c.alg, c.key)
		if err != nil || j.Kid != c.want || j.Thumbprint() != c.want {
			t.Errorf("%s: %q, %v; want %q", name, j.Kid, err, c.want)
		}
		if j, err := jose.PublicJWK("named", c.alg, c.key); err != nil || j.Kid != "named" || j.Thumbprint() != c.want {
			t.Errorf("%s, named: %+v, %v", name, j, err)
		}
	}
}

// A JWK holds the public key, whole, and no member of a private one.
func TestAttackKM001NoPrivateMembers(t *testing.T) {
	members := map[string][]string{"EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}, "RSA": {"e", "n"}}
	for alg, key := range keys() {
		j, err := jose.PublicJWK("", alg, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		want := append(slices.Clone(members[got["kty"]]), "alg", "kid", "kty", "use")
		slices.Sort(want)
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Errorf("%s: the members are %q, want %q", alg, names, want)
		}
		if got["use"] != "sig" || got["alg"] != string(alg) {
			t.Errorf("%s: %s", alg, text)
		}
		for name, private := range privateParts(t, key) {
			if strings.Contains(string(text), base64.RawURLEncoding.EncodeToString(private)) {
				t.Errorf("%s: the private %s is in %s", alg, name, text)
			}
		}
		if !samePublic(t, key.Public(), got) {
			t.Errorf("%s: %s is another key", alg, text)
		}
	}
	for _, key := range []any{nil, "key", keys()[jose.ES256], []byte("key")} {
		if j, err := jose.PublicJWK("", jose.ES256, key); err == nil {
			t.Errorf("a %T was written as %+v", key, j)
		}
	}
}

func privateParts(t *testing.T, key crypto.Signer) map[string][]byte {
	t.Helper()
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{"d": d}
	case ed25519.PrivateKey:
		return map[string][]byte{"seed": key.Seed()}
	case *rsa.PrivateKey:
		return map[string][]byte{"d": key.D.Bytes(), "p": key.Primes[0].Bytes(), "q": key.Primes[1].Bytes()}
	}
	t.Fatalf("a %T", key)
	return nil
}

// samePublic reads a key from the members of its JWK (RFC 7518, Section 6; RFC
// 8037, Section 2).
func samePublic(t *testing.T, key crypto.PublicKey, j map[string]string) bool {
	t.Helper()
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		read, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, decode(t, j["x"]), decode(t, j["y"])))
		return err == nil && j["crv"] == "P-256" && key.Equal(read)
	case ed25519.PublicKey:
		return j["crv"] == "Ed25519" && bytes.Equal(key, decode(t, j["x"]))
	case *rsa.PublicKey:
		e := new(big.Int).SetBytes(decode(t, j["e"]))
		return key.Equal(&rsa.PublicKey{N: new(big.Int).SetBytes(decode(t, j["n"])), E: int(e.Int64())})
	}
	return false
}
