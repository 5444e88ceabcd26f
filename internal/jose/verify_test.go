package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/jose"
)

// public returns the key that verifies what keys()[alg] signs.
func public(alg jose.Algorithm) jose.Key {
	return jose.Key{ID: "kid", Algorithm: alg, Public: keys()[alg].Public()}
}

// sign returns a token with a header as it is given, signed by an algorithm.
func sign(t testing.TB, alg jose.Algorithm, header, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(alg, "kid", "JWT", keys()[alg])
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.SignInput([]byte(b64(header) + "." + b64(payload)))
	if err != nil {
		t.Fatal(err)
	}
	return b64(header) + "." + b64(payload) + "." + b64(string(signature))
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func headerOf(alg jose.Algorithm, more string) string {
	return `{"alg":"` + string(alg) + `","kid":"kid","typ":"JWT"` + more + `}`
}

// refused fails the test if anything comes of a token.
func refused(t *testing.T, what, token string, keys []jose.Key, want error, allowed ...jose.Algorithm) {
	t.Helper()
	got, err := jose.Verify(token, keys, allowed...)
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if got.Payload != nil || got.KeyID != "" || got.Type != "" || got.Algorithm != "" {
		t.Errorf("%s: of a token that is refused, %+v is returned", what, got)
	}
}

func TestVerify(t *testing.T) {
	var all []jose.Key
	for _, alg := range algorithms {
		k := public(alg)
		k.ID = string(alg)
		all = append(all, k)
	}
	for _, alg := range algorithms {
		signer, err := jose.NewSigner(alg, string(alg), "JWT", keys()[alg])
		if err != nil {
			t.Fatal(err)
		}
		token, err := signer.Sign([]byte(`{"sub":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := jose.Verify(token, all, algorithms...)
		if err != nil || string(got.Payload) != `{"sub":"a"}` || got.KeyID != string(alg) || got.Algorithm != alg || !got.Is("jwt") {
			t.Errorf("%s: %+v, %v", alg, got, err)
		}
		if claims, err := jose.Peek(token); err != nil || claims.Subject != "a" {
			t.Errorf("%s: %+v, %v", alg, claims, err)
		}
		refused(t, "of no key", token, nil, jose.ErrUnknownKey, algorithms...)
		refused(t, "without an algorithm", token, all, jose.ErrAlgorithm)
		refused(t, "with others alone", token, all, jose.ErrAlgorithm, slices.DeleteFunc(slices.Clone(algorithms), func(a jose.Algorithm) bool { return a == alg })...)
	}
}

func TestWhichKey(t *testing.T) {
	key, other := public(jose.ES256), public(jose.RS256)
	named := func(id string) jose.Key { k := key; k.ID = id; return k }
	token := sign(t, jose.ES256, headerOf(jose.ES256, ""), `{}`)
	bare := sign(t, jose.ES256, `{"alg":"ES256"}`, `{}`)
	wrong := public(jose.EdDSA)
	stranger, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		token string
		keys  []jose.Key
		want  error
	}{
		"its name":                        {token, []jose.Key{other, named("kid")}, nil},
		"a key without a name":            {token, []jose.Key{named("")}, nil},
		"its name before one without":     {token, []jose.Key{{Public: stranger.Public()}, named("kid")}, nil},
		"another name":                    {token, []jose.Key{named("Kid")}, jose.ErrUnknownKey},
		"its name, of another type":       {token, []jose.Key{wrong}, jose.ErrUnknownKey},
		"without a name, the only one":    {bare, []jose.Key{named("any"), other}, nil},
		"without a name, one of two":      {bare, []jose.Key{named("a"), named("b")}, jose.ErrUnknownKey},
		"without a name, the one without": {bare, []jose.Key{named("a"), named("")}, nil},
		"another's key of the name":       {token, []jose.Key{{ID: "kid", Public: stranger.Public()}}, jose.ErrSignature},
	} {
		if _, err := jose.Verify(c.token, c.keys, algorithms...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestIs(t *testing.T) {
	for typ, want := range map[string]bool{"logout+jwt": true, "LOGOUT+JWT": true, "application/logout+jwt": true, "Application/Logout+JWT": true, "logout+jwt ": false, "": false, "jwt": false, "text/logout+jwt": false} {
		if got := (jose.Token{Type: typ}).Is("logout+jwt", "other"); got != want {
			t.Errorf("%q: %t", typ, got)
		}
	}
}

// There is one verifier of access tokens, and this is not it.
func TestAttackJWT016AccessToken(t *testing.T) {
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"} {
		token := sign(t, jose.ES256, `{"alg":"ES256","kid":"kid","typ":"`+typ+`"}`, `{}`)
		refused(t, typ, token, []jose.Key{public(jose.ES256)}, jose.ErrType, algorithms...)
	}
}

func TestAttackJWT001None(t *testing.T) {
	key := []jose.Key{public(jose.ES256)}
	good := sign(t, jose.ES256, headerOf(jose.ES256, ""), `{}`)
	signature := good[strings.LastIndexByte(good, '.'):]
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `"\u0000none"`, `""`, `null`, `["none"]`, `0`, `"es256"`, `"ES256\u0000"`} {
		for _, end := range []string{".", signature} {
			refused(t, alg, b64(`{"alg":`+alg+`,"kid":"kid"}`)+"."+b64(`{}`)+end, key, nil, append(slices.Clone(algorithms), "none")...)
		}
	}
	refused(t, "without alg", b64(`{"kid":"kid"}`)+"."+b64(`{}`)+signature, key, nil, append(slices.Clone(algorithms), "")...)
}

// No text that stands for a public key is a secret (CVE-2026-34950 and its like).
func TestAttackJWT002PublicKeyAsSecret(t *testing.T) {
	for _, alg := range algorithms {
		key := public(alg)
		der, err := x509.MarshalPKIXPublicKey(key.Public)
		if err != nil {
			t.Fatal(err)
		}
		text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		jwk, err := jose.PublicJWK("kid", alg, key.Public)
		if err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(jwk)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{text, strings.TrimSpace(text), strings.ReplaceAll(text, "\n", "\r\n"), " " + text, string(der), string(written), jwk.N, jwk.X, "", "kid"} {
			for _, hs := range []jose.Algorithm{"HS256", "HS384", "HS512"} {
				input := b64(`{"alg":"`+string(hs)+`","kid":"kid"}`) + "." + b64(`{}`)
				mac := hmac.New(sha256.New, []byte(secret))
				mac.Write([]byte(input))
				token := input + "." + b64(string(mac.Sum(nil)))
				refused(t, string(hs), token, []jose.Key{key}, jose.ErrAlgorithm, algorithms...)
				refused(t, string(hs)+", allowed", token, []jose.Key{key, {ID: "kid", Algorithm: hs, Public: []byte(secret)}}, jose.ErrUnknownKey, hs)
			}
		}
	}
}

func TestAttackJWT003AnotherAlgorithm(t *testing.T) {
	ps := []jose.Key{public(jose.PS256)}
	rs := []jose.Key{public(jose.RS256)}
	refused(t, "RS256 by a key for PS256", sign(t, jose.RS256, headerOf(jose.RS256, ""), `{}`), ps, jose.ErrUnknownKey, algorithms...)
	refused(t, "PS256 by a key for RS256", sign(t, jose.PS256, headerOf(jose.PS256, ""), `{}`), rs, jose.ErrUnknownKey, algorithms...)
	refused(t, "PS256 that says RS256", sign(t, jose.PS256, headerOf(jose.RS256, ""), `{}`), rs, jose.ErrSignature, algorithms...)
	any := []jose.Key{{ID: "kid", Public: rs[0].Public}}
	if _, err := jose.Verify(sign(t, jose.PS256, headerOf(jose.PS256, ""), `{}`), any, jose.PS256); err != nil {
		t.Errorf("a key for both: %v", err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []jose.Algorithm{"PS384", "ES384", "ES256K", "Ed448", "Ed25519", "RS1", "ES256"} {
		token := b64(`{"alg":"`+string(alg)+`","kid":"kid"}`) + "." + b64(`{}`) + "." + b64(strings.Repeat("x", 96))
		refused(t, string(alg), token, []jose.Key{{ID: "kid", Public: p384.Public()}, rs[0]}, nil, "PS384", "ES384", "ES256K", "Ed448", "Ed25519", "RS1", "ES256")
	}
}

// No header brings its own key, and none is extended.
func TestAttackJWT004And007Headers(t *testing.T) {
	key := []jose.Key{public(jose.ES256)}
	jwk, err := jose.PublicJWK("kid", jose.ES256, key[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	own, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{
		`,"jwk":` + string(own), `,"jku":"https://keys.example/"`, `,"x5u":"https://keys.example/"`, `,"x5c":["MIIB"]`,
		`,"crit":["x"]`, `,"crit":[]`, `,"crit":"exp"`, `,"crit":["alg"]`, `,"crit":["b64"],"b64":false`, `,"b64":false`, `,"b64":true`, `,"crit":["x","x"]`, `,"crit":null`,
		`,"enc":"A128GCM"`, `,"zip":"DEF"`, `,"alg":"ES256"`, `,"kid":"kid"`, `,"\u0061lg":"ES256"`, `,"a":{"b":1,"b":2}`, `,"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40),
		`,"a":"` + strings.Repeat("a", 2048) + `"`, `,"a":"\ud800"`, "}{", "}x",
	} {
		refused(t, fmt.Sprintf("%.40s", more), sign(t, jose.ES256, headerOf(jose.ES256, more), `{}`), key, jose.ErrForm, algorithms...)
	}
	for _, header := range []string{"", "null", "[]", `"x"`, `{"alg":"ES256","kid":5}`, `{"alg":"ES256","kid":["kid"]}`, `{"alg":"ES256","kid":null}`, `{"alg":"ES256","typ":1}`, "\ufeff{}", `{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`} {
		refused(t, header, sign(t, jose.ES256, header, `{}`), key, jose.ErrForm, algorithms...)
	}
	// A name in another case is another name.
	refused(t, "ALG", sign(t, jose.ES256, `{"ALG":"ES256","kid":"kid"}`, `{}`), key, jose.ErrAlgorithm, algorithms...)
	if _, err := jose.Verify(sign(t, jose.ES256, headerOf(jose.ES256, `,"ALG":"none","Crit":["x"],"x5t":"x"`), `{}`), key, jose.ES256); err != nil {
		t.Errorf("other names: %v", err)
	}
}

func TestAttackJWT005KeyIDs(t *testing.T) {
	for _, kid := range []string{`../../../../dev/null`, `' OR '1'='1`, `|id`, `\u0000`, `0`, `http://127.0.0.1/k`, `KID`, `kid `} {
		refused(t, kid, sign(t, jose.ES256, `{"alg":"ES256","kid":"`+kid+`"}`, `{}`), []jose.Key{public(jose.ES256)}, jose.ErrUnknownKey, algorithms...)
	}
}

func TestAttackJWT008To010Form(t *testing.T) {
	key := []jose.Key{public(jose.ES256)}
	good := sign(t, jose.ES256, headerOf(jose.ES256, ""), `{"a":1}`)
	part := strings.Split(good, ".")
	if _, err := jose.Verify(good, key, jose.ES256); err != nil {
		t.Fatal(err)
	}
	flipped := []byte(good) // a signature of 64 bytes ends in two letters of which four bits are unused
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, flipped[len(flipped)-1])
	flipped[len(flipped)-1] = letters[last^1]
	for what, token := range map[string]string{
		"trailing bits": string(flipped), "a line break": part[0] + "." + part[1] + "\n." + part[2], "CR LF": good + "\r\n", "a break in the signature": good[:len(good)-4] + "\n" + good[len(good)-4:],
		"padding": good + "==", "+": strings.Replace(good, good[len(good)-1:], "+", 1), "a space": " " + good, "a space behind": good + " ",
		"dot leader": strings.Replace(good, ".", "\u2024", 1), "dots": strings.Repeat(".", 16<<10), "a huge one": good + strings.Repeat("A", 16<<10),
		"two parts": part[0] + "." + part[1], "four parts": good + ".x", "five parts": good + ".x.x", "nothing": "", "no header": "." + part[1] + "." + part[2],
		"flattened": `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`,
		"general":   `{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` + part[2] + `"}]}`,
	} {
		refused(t, what, token, key, jose.ErrForm, algorithms...)
	}
	for i := range part {
		broken := slices.Clone(part)
		broken[i] = b64("x")
		refused(t, fmt.Sprint("another part ", i), strings.Join(broken, "."), key, nil, algorithms...)
	}
}

func TestAttackJWT018Signatures(t *testing.T) {
	key := []jose.Key{public(jose.ES256)}
	good := sign(t, jose.ES256, headerOf(jose.ES256, ""), `{}`)
	input := good[:strings.LastIndexByte(good, '.')]
	raw := decode(t, good[len(input)+1:])
	n := elliptic.P256().Params().N.Bytes()
	der, err := keys()[jose.ES256].(*ecdsa.PrivateKey).Sign(rand.Reader, make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	zero := make([]byte, 32)
	for what, signature := range map[string][]byte{
		"zeros": make([]byte, 64), "r is zero": slices.Concat(zero, raw[32:]), "s is zero": slices.Concat(raw[:32], zero), "r is n": slices.Concat(n, raw[32:]), "s is n": slices.Concat(raw[:32], n),
		"63 bytes": raw[:63], "65 bytes": append(slices.Clone(raw), 0), "65 bytes, led by zero": append([]byte{0}, raw...), "DER": der, "swapped": slices.Concat(raw[32:], raw[:32]), "none": {},
	} {
		refused(t, what, input+"."+b64(string(signature)), key, jose.ErrSignature, algorithms...)
	}
}

// Who looks for one failure alone cannot take a token with another.
func TestAttackJWT020NothingOfWhatIsRefused(t *testing.T) {
	key := []jose.Key{public(jose.ES256)}
	good := sign(t, jose.ES256, headerOf(jose.ES256, ""), `{"exp":1}`)
	refused(t, "a wrong signature", good[:len(good)-86]+b64(string(make([]byte, 64))), key, jose.ErrSignature, algorithms...)
	if c, err := jose.ParseClaims([]byte(`{"sub":"a","exp":"never"}`)); err == nil || c.Subject != "" || c.All != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestParseClaims(t *testing.T) {
	c, err := jose.ParseClaims([]byte(`{"iss":"i","sub":"s","jti":"j","aud":"a","exp":1700000000.9,"nbf":0,"iat":1699999999,"more":[1]}`))
	if err != nil || c.Issuer != "i" || c.Subject != "s" || c.ID != "j" || !slices.Equal(c.Audience, []string{"a"}) || !c.Sole ||
		c.Expires.Unix() != 1700000000 || c.NotBefore.IsZero() || c.NotBefore.Unix() != 0 || c.IssuedAt.Unix() != 1699999999 || string(c.All["more"]) != "[1]" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = jose.ParseClaims([]byte(`{"aud":["a","b"]}`))
	if err != nil || c.Sole || !slices.Equal(c.Audience, []string{"a", "b"}) || !c.Expires.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{
		``, `null`, `[]`, `"x"`, `{}x`, `{"sub":"a","sub":"b"}`, `{"sub":1}`, `{"sub":null}`, `{"iss":["i"]}`, `{"jti":{}}`, `{"aud":1}`, `{"aud":null}`, `{"aud":["a",1]}`, `{"aud":["a",null]}`, `{"aud":{}}`,
		`{"exp":"1700000000"}`, `{"exp":null}`, `{"exp":true}`, `{"exp":-1}`, `{"exp":1e30}`, `{"exp":1e999}`, `{"nbf":[1]}`, `{"iat":{}}`, `{"exp":1099511627777}`, `{"sub":"\ud800"}`, "{\"sub\":\"\xff\"}", "\ufeff{}",
	} {
		if c, err := jose.ParseClaims([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", text, c)
		}
	}
	// A name in another case, or with another letter that folds to it, is another name.
	if c, err := jose.ParseClaims([]byte(`{"SUB":"a","ſub":"b"}`)); err != nil || c.Subject != "" {
		t.Errorf("%+v, %v", c, err)
	}
}

// jwkOf returns the JWK of keys()[alg], with members changed: a value that is empty
// takes the member away.
func jwkOf(t testing.TB, alg jose.Algorithm, changes ...string) string {
	t.Helper()
	j, err := jose.PublicJWK("kid-"+string(alg), alg, keys()[alg].Public())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		delete(members, changes[i])
		if changes[i+1] != "" {
			members[changes[i]] = json.RawMessage(changes[i+1])
		}
	}
	if text, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

func TestParseKeys(t *testing.T) {
	got, err := jose.ParseKeys(set(jwkOf(t, jose.ES256), jwkOf(t, jose.EdDSA), jwkOf(t, jose.RS256), jwkOf(t, jose.PS256, "alg", "", "kid", `"any"`, "x5c", `["MIIB"]`, "key_ops", `["verify"]`)))
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, alg := range algorithms {
		want := public(alg)
		if !got[i].Public.(interface{ Equal(x crypto.PublicKey) bool }).Equal(want.Public) || i < 3 && got[i].Algorithm != alg || i == 3 && (got[i].Algorithm != "" || got[i].ID != "any") {
			t.Errorf("%s: %+v", alg, got[i])
		}
	}
	// What is for something else, or of no type that is known here, is left out.
	for _, other := range []string{
		jwkOf(t, jose.RS256, "use", `"enc"`, "alg", `"RSA-OAEP"`), jwkOf(t, jose.RS256, "use", "", "alg", `"RSA-OAEP"`), jwkOf(t, jose.ES256, "key_ops", `["encrypt"]`), jwkOf(t, jose.ES256, "key_ops", `[]`), jwkOf(t, jose.ES256, "crv", `"P-384"`),
		`{"kty":"OKP","crv":"X25519","x":"AAAA"}`, `{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`, jwkOf(t, jose.ES256, "alg", `"ES384"`), jwkOf(t, jose.RS256, "alg", `"HS256"`), jwkOf(t, jose.RS256, "alg", `"none"`),
	} {
		if got, err := jose.ParseKeys(set(other, jwkOf(t, jose.EdDSA))); err != nil || len(got) != 1 {
			t.Errorf("%.60s: %+v, %v", other, got, err)
		}
		if got, err := jose.ParseKeys(set(other)); err == nil {
			t.Errorf("%.60s, alone: %+v", other, got)
		}
	}
	if got, err := jose.ParseKeys(set(jwkOf(t, jose.ES256, "kid", ""))); err != nil || got[0].ID != "" {
		t.Errorf("a key without an id: %+v, %v", got, err)
	}
}

// lowOrder are the points whose order divides 8, each as it is encoded, and encodings
// that are not canonical.
var lowOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func TestAttackCA016LowOrder(t *testing.T) {
	for _, text := range lowOrder {
		var point []byte
		if _, err := fmt.Sscanf(text, "%x", &point); err != nil {
			t.Fatal(err)
		}
		if got, err := jose.ParseKeys(set(`{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + b64(string(point)) + `"}`)); err == nil {
			t.Errorf("%s is taken: %+v", text, got)
		}
	}
	for range 50 { // every real key is taken, and half of what is no key is not
		p, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jose.ParseKeys(set(`{"kty":"OKP","crv":"Ed25519","x":"` + b64(string(p)) + `"}`)); err != nil {
			t.Errorf("%x: %v", p, err)
		}
	}
	off := bytes.Repeat([]byte{0}, 32)
	off[0] = 2
	if got, err := jose.ParseKeys(set(`{"kty":"OKP","crv":"Ed25519","x":"` + b64(string(off)) + `"}`)); err == nil {
		t.Errorf("a point off the curve is taken: %+v", got)
	}
}

func TestAttackCA017WeakKeys(t *testing.T) {
	good := jwkOf(t, jose.EdDSA)
	n := keys()[jose.RS256].Public().(*rsa.PublicKey).N
	rsaOf := func(n *big.Int, e string) string {
		return `{"kty":"RSA","kid":"k","n":"` + b64(string(n.Bytes())) + `","e":"` + e + `"}`
	}
	of := func(bits uint) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
	}
	for what, key := range map[string]string{
		"RSA of 512 bits": rsaOf(of(512), "AQAB"), "of 1024": rsaOf(of(1024), "AQAB"), "of 2047": rsaOf(of(2047), "AQAB"), "of 8193": rsaOf(of(8193), "AQAB"), "of 65536": rsaOf(of(65536), "AQAB"),
		"e=1": rsaOf(n, "AQ"), "e=2": rsaOf(n, "Ag"), "e=65536": rsaOf(n, "AQAA"), "e=0": rsaOf(n, "AA"), "e of 33 bits": rsaOf(n, "AQAAAAE"), "e of 2048 bits": rsaOf(n, b64(string(n.Bytes()))),
		"no e": rsaOf(n, ""), "an even modulus": rsaOf(new(big.Int).Sub(n, big.NewInt(1)), "AQAB"), "no modulus": `{"kty":"RSA","kid":"k","e":"AQAB"}`,
		"off the curve": jwkOf(t, jose.ES256, "x", `"`+b64(strings.Repeat("A", 32))+`"`), "zero": jwkOf(t, jose.ES256, "x", `"`+b64(string(make([]byte, 32)))+`"`, "y", `"`+b64(string(make([]byte, 32)))+`"`),
		"short coordinates": jwkOf(t, jose.ES256, "x", `"AAAA"`), "no coordinates": jwkOf(t, jose.ES256, "x", "", "y", ""), "padded": jwkOf(t, jose.ES256, "x", `"`+b64(strings.Repeat("A", 32))+`="`),
		"oct": `{"kty":"oct","kid":"k","alg":"HS256","k":"AAAA"}`, "EC with k": jwkOf(t, jose.ES256, "k", `"AAAA"`), "private EC": jwkOf(t, jose.ES256, "d", `"AAAA"`), "private, and null": jwkOf(t, jose.ES256, "d", "null"),
		"private RSA": jwkOf(t, jose.RS256, "d", `"AQ"`, "p", `"AQ"`, "q", `"AQ"`), "a factor": jwkOf(t, jose.RS256, "p", `"AQ"`), "private, for encryption": jwkOf(t, jose.RS256, "d", `"AQ"`, "use", `"enc"`),
		"one id twice": jwkOf(t, jose.RS256, "kid", `"kid-EdDSA"`), "a long id": jwkOf(t, jose.ES256, "kid", `"`+strings.Repeat("k", 257)+`"`), "no kty": `{"kid":"k","crv":"P-256"}`, "empty": `{}`, "a number": `1`, "null": `null`,
		"kid a number": jwkOf(t, jose.ES256, "kid", "5"), "a member twice": `{"kty":"EC","kty":"EC"}`, "an Ed25519 of 31 bytes": `{"kty":"OKP","crv":"Ed25519","x":"` + b64(strings.Repeat("A", 31)) + `"}`,
	} {
		for _, document := range [][]byte{set(good, key), set(key, good)} {
			if got, err := jose.ParseKeys(document); err == nil {
				t.Errorf("%s is taken: %+v", what, got)
			}
		}
	}
	var many []string
	for i := range 1000 {
		many = append(many, jwkOf(t, jose.EdDSA, "kid", fmt.Sprintf(`"%d"`, i)))
	}
	if _, err := jose.ParseKeys(set(many[:10]...)); err != nil {
		t.Errorf("10 keys: %v", err)
	}
	for what, document := range map[string][]byte{
		"11 keys": set(many[:11]...), "1000 keys": set(many...), "none": set(), "nothing": nil, "html": []byte("<!DOCTYPE html>"), "an array": []byte(`[` + good + `]`), "a key": []byte(good), "null": []byte(`{"keys":null}`),
		"KEYS": []byte(`{"KEYS":[` + good + `]}`), "an object": []byte(`{"keys":` + good + `}`), "twice": []byte(`{"keys":[],"keys":[` + good + `]}`), "more behind": append(set(good), 'x'),
		"64 KiB": append(set(good), bytes.Repeat([]byte(" "), 64<<10)...), "two without an id": set(jwkOf(t, jose.ES256, "kid", ""), jwkOf(t, jose.EdDSA, "kid", "")),
	} {
		if got, err := jose.ParseKeys(document); err == nil {
			t.Errorf("%s is taken: %+v", what, got)
		}
	}
	if _, err := jose.ParseKeys(set(jwkOf(t, jose.ES256, "d", `"c2VjcmV0"`))); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("a private key: %v", err)
	}
}

func FuzzVerifyJWS(f *testing.F) {
	key := []jose.Key{public(jose.ES256), public(jose.EdDSA)}
	f.Add(sign(f, jose.ES256, headerOf(jose.ES256, ""), `{"iss":"a","aud":["b"],"exp":1}`))
	f.Add(sign(f, jose.ES256, headerOf(jose.ES256, `,"crit":["x"]`), `{}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := jose.Verify(token, key, algorithms...)
		if err != nil && (got.Payload != nil || got.KeyID != "") {
			t.Fatalf("of a token that is refused, %+v is returned", got)
		}
		if claims, err := jose.Peek(token); err == nil && claims.All == nil {
			t.Fatal("claims without claims")
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add(set(jwkOf(f, jose.ES256), jwkOf(f, jose.EdDSA), jwkOf(f, jose.RS256)))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := jose.ParseKeys(text)
		if (err == nil) == (len(got) == 0) || len(got) > jose.MostKeys {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, k := range got {
			for _, alg := range algorithms { // no key makes the library panic
				_, _ = jose.Verify(b64(`{"alg":"`+string(alg)+`"}`)+"."+b64(`{}`)+"."+b64(strings.Repeat("x", 64)), []jose.Key{k}, alg)
			}
		}
	})
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"a","sub":"b","aud":["c","d"],"exp":1700000000.5,"nbf":0,"iat":1,"jti":"e"}`))
	f.Add([]byte(`{"exp":1e400}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := jose.ParseClaims(text)
		if err == nil && (!json.Valid(text) || c.Expires.Unix() > 1<<40) {
			t.Fatalf("%q is read as %+v", text, c)
		}
	})
}
