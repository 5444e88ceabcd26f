package guard

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestAttackJWT001AlgNone(t *testing.T) {
	g := newGuard(t)
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `"\u0000none"`, `""`, `null`, `["none"]`} {
		head := b64(`{"alg":` + alg + `,"kid":"es","typ":"at+jwt"}`)
		for _, sig := range []string{"", b64("garbage"), b64(string(make([]byte, 64)))} {
			p, err := g.Verify(t.Context(), head+"."+b64(payload(nil))+"."+sig)
			if p != nil || err == nil {
				t.Errorf("alg %s, signature %q: %+v, %v", alg, sig, p, err)
			}
		}
		// Signed well, but under the other name.
		if p, err := g.Verify(t.Context(), es().sign(`{"alg":`+alg+`,"kid":"es","typ":"at+jwt"}`, payload(nil))); p != nil || err == nil {
			t.Errorf("alg %s, signed: %+v, %v", alg, p, err)
		}
	}
	refused(t, g, es().sign(`{"kid":"es","typ":"at+jwt"}`, payload(nil)), ErrAlgorithm)
	refused(t, g, b64(es().header())+"."+b64(payload(nil))+".", ErrSignature)
}

func TestAttackJWT002KeyConfusion(t *testing.T) {
	g := newGuard(t)
	hashes := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	for _, s := range newSigners() {
		der, err := x509.MarshalPKIXPublicKey(s.private.Public())
		if err != nil {
			t.Fatal(err)
		}
		spki := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		secrets := []string{spki, strings.TrimSpace(spki), strings.ReplaceAll(spki, "\n", "\r\n"), " " + spki, string(der), "", s.id, jwkText(t, s)}
		if k, ok := s.private.Public().(*rsa.PublicKey); ok {
			pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(k)})
			secrets = append(secrets, string(pkcs1), b64(string(k.N.Bytes())))
		}
		for alg, h := range hashes {
			for _, secret := range secrets {
				signed := b64(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, s.id)) + "." + b64(payload(nil))
				m := hmac.New(h, []byte(secret))
				m.Write([]byte(signed))
				refused(t, g, signed+"."+b64(string(m.Sum(nil))), ErrAlgorithm)
			}
		}
	}
}

// jwkText returns the JWK of a signer's public key.
func jwkText(t testing.TB, s signer) string {
	t.Helper()
	m := map[string]string{"kid": s.id, "alg": s.alg, "use": "sig"}
	switch k := s.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(string(point[1:33])), b64(string(point[33:]))
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(string(k.N.Bytes())), b64(string(big.NewInt(int64(k.E)).Bytes()))
	default:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(fmt.Sprintf("%s", k))
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAttackJWT003OtherAlgorithmOfTheSameKey(t *testing.T) {
	g := newGuard(t)
	all := newSigners()
	rs, ps := all["RS256"], all["PS256"]
	// A good signature of the other algorithm, with the key that is pinned to one.
	rsAsPS := signer{ps.id, "RS256", ps.private}
	psAsRS := signer{rs.id, "PS256", rs.private}
	refused(t, g, rsAsPS.token(nil), ErrAlgorithm)
	refused(t, g, psAsRS.token(nil), ErrAlgorithm)
	// The header names the pinned one, the signature is of the other.
	refused(t, g, rsAsPS.sign(ps.header(), payload(nil)), ErrSignature)
	refused(t, g, psAsRS.sign(rs.header(), payload(nil)), ErrSignature)

	for _, s := range all {
		for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed448", "Ed25519", "es256", "HS256", "RSA-OAEP"} {
			if alg != s.alg {
				refused(t, g, s.sign(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, s.id), payload(nil)), ErrAlgorithm)
			}
		}
	}
	// What the guard is told not to take, it does not take.
	refused(t, newGuard(t, Algorithms("EdDSA")), es().token(nil), ErrAlgorithm)

	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if _, err := NewKeySet(Key{"p384", "ES256", p384.Public()}); err == nil {
		t.Error("a key on P-384 is taken for ES256")
	}
	if _, err := NewKeySet(Key{"es", "RS256", es().private.Public()}); err == nil {
		t.Error("a key on P-256 is taken for RS256")
	}
}

// A PS256 signature has a salt as long as the hash, no other.
func TestAttackJWT003SaltLength(t *testing.T) {
	g := newGuard(t)
	ps := newSigners()["PS256"]
	signed := b64(ps.header()) + "." + b64(payload(nil))
	digest := sha256.Sum256([]byte(signed))
	for _, salt := range []int{rsa.PSSSaltLengthAuto, 20, 31, 33, 64} {
		sig, err := rsa.SignPSS(rand.Reader, ps.private.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatalf("salt of %d bytes: %v", salt, err)
		}
		refused(t, g, signed+"."+b64(string(sig)), ErrSignature)
	}
}

func TestAttackJWT004EmbeddedKeys(t *testing.T) {
	g := newGuard(t)
	own, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	evil := signer{"evil", "ES256", own}
	for _, member := range []string{
		`"jwk":` + jwkText(t, evil),
		`"jku":"http://127.0.0.1:1/jwks"`,
		`"x5u":"http://127.0.0.1:1/cert"`,
		`"x5c":["MIIB"]`,
		`"jwk":null`,
	} {
		for _, kid := range []string{"evil", "es"} {
			refused(t, g, evil.sign(fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt",%s}`, kid, member), payload(nil)), ErrMalformed)
		}
		// Even where our own key signed.
		refused(t, g, es().sign(`{"alg":"ES256","kid":"es","typ":"at+jwt",`+member+`}`, payload(nil)), ErrMalformed)
	}
	// A thumbprint selects nothing.
	refused(t, g, evil.sign(`{"alg":"ES256","kid":"es","typ":"at+jwt","x5t":"AAAA"}`, payload(nil)), ErrSignature)
}

func TestAttackJWT005KeyID(t *testing.T) {
	g := newGuard(t)
	for _, kid := range []string{
		`"../../../../dev/null"`, `"/dev/null"`, `"' OR '1'='1"`, `"k1' UNION SELECT 'AA"`, `"|id"`, `"\u0000"`, `"0"`, `""`,
		`"http://127.0.0.1/k"`, `"ES"`, `"es "`, `"es\u0000"`, `"` + strings.Repeat("A", 256) + `"`,
	} {
		refused(t, g, es().sign(`{"alg":"ES256","kid":`+kid+`,"typ":"at+jwt"}`, payload(nil)), ErrUnknownKey)
	}
	for _, kid := range []string{`["es"]`, `null`, `5`, `{"es":1}`, `"` + strings.Repeat("A", 257) + `"`, `"` + strings.Repeat("A", 65536) + `"`} {
		refused(t, g, es().sign(`{"alg":"ES256","kid":`+kid+`,"typ":"at+jwt"}`, payload(nil)), ErrMalformed)
	}
	refused(t, g, es().sign(`{"alg":"ES256","typ":"at+jwt"}`, payload(nil)), ErrUnknownKey)
}

func TestAttackJWT018ECDSADegenerate(t *testing.T) {
	g := newGuard(t)
	signed := b64(es().header()) + "." + b64(payload(nil))
	good := es().signature(signed)
	if _, err := g.Verify(t.Context(), signed+"."+b64(string(good))); err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	zero, one := new(big.Int), big.NewInt(1)
	most := new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)
	pair := func(r, s *big.Int) []byte {
		return slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	}
	digest := sha256.Sum256([]byte(signed))
	der, err := ecdsa.SignASN1(rand.Reader, es().private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string][]byte{
		"0,0": pair(zero, zero), "0,s": pair(zero, s), "r,0": pair(r, zero), "n,s": pair(n, s), "r,n": pair(r, n), "n,n": pair(n, n),
		"1,1": pair(one, one), "max,max": pair(most, most), "swapped": pair(s, r),
		"63 bytes": good[:63], "65 bytes": append(slices.Clone(good), 0), "65 bytes, 0 first": append([]byte{0}, good...),
		"65 bytes, 0 between": slices.Concat(good[:32], []byte{0}, good[32:]), "66 bytes": slices.Concat([]byte{0}, good[:32], []byte{0}, good[32:]), "DER": der, "empty": {}, "r only": good[:32],
	} {
		t.Run(name, func(t *testing.T) { refused(t, g, signed+"."+b64(string(sig)), ErrSignature) })
	}
	// n-s verifies as well: that is ECDSA. It is another token string with the
	// same jti, which is what revocation goes by.
	p, err := g.Verify(t.Context(), signed+"."+b64(string(pair(r, new(big.Int).Sub(n, s)))))
	if err != nil || p.ID != "t1" {
		t.Errorf("the other half of the curve: %+v, %v", p, err)
	}
}

func TestAttackJWT022RSAParameters(t *testing.T) {
	good := newSigners()["RS256"].private.Public().(*rsa.PublicKey)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(1))
	}
	for name, k := range map[string]*rsa.PublicKey{
		"1024":     &weak.PublicKey,
		"2047":     {N: odd(2047), E: 65537},
		"16385":    {N: odd(16385), E: 65537},
		"e=0":      {N: good.N, E: 0},
		"e=1":      {N: good.N, E: 1},
		"e=2":      {N: good.N, E: 2},
		"e even":   {N: good.N, E: 65536},
		"e=-3":     {N: good.N, E: -3},
		"even n":   {N: new(big.Int).Sub(good.N, big.NewInt(1)), E: 65537},
		"no n":     {E: 65537},
		"negative": {N: new(big.Int).Neg(good.N), E: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewKeySet(Key{"k", "RS256", k}); err == nil {
				t.Error("the key is taken")
			}
			if k.N == nil || k.N.Sign() < 0 || k.E < 0 {
				return // no JWK can say so
			}
			set, err := parseKeySet(`{"keys":[` + jwkText(t, signer{"k", "RS256", publicOnly{k}}) + `]}`)
			if set != nil || err == nil {
				t.Errorf("the JWK is taken: %v", err)
			}
		})
	}
	if _, err := NewKeySet(Key{"k", "", good}); err != nil {
		t.Errorf("a good key: %v", err)
	}
}

// publicOnly is a signer that cannot sign.
type publicOnly struct{ crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.PublicKey }

func (publicOnly) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("cannot")
}
