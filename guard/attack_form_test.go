package guard

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAttackJWT007Crit(t *testing.T) {
	g := newGuard(t)
	for _, member := range []string{
		`"crit":["x"],"x":1`, `"crit":[]`, `"crit":"exp"`, `"crit":["alg"]`, `"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`,
		`"crit":["x","x"],"x":1`, `"crit":["x"]`, `"crit":null`, `"\u0063rit":["x"]`, `"crit":["x"],"crit":["x"]`,
	} {
		refused(t, g, es().sign(`{"alg":"ES256","kid":"es","typ":"at+jwt",`+member+`}`, payload(nil)), ErrMalformed)
	}
	// Detached, as RFC 7797 has it.
	token := es().token(nil)
	head, rest, _ := strings.Cut(token, ".")
	_, sig, _ := strings.Cut(rest, ".")
	refused(t, g, head+".."+sig, ErrSignature)
}

func TestAttackJWT008Size(t *testing.T) {
	g := newGuard(t)
	fill := func(n int) string { return es().token(map[string]any{"x": strings.Repeat("A", n)}) }
	n := 0
	for len(fill(n)) < maxToken {
		n += max(1, (maxToken-len(fill(n)))/2)
	}
	for len(fill(n)) > maxToken {
		n--
	}
	if _, err := g.Verify(t.Context(), fill(n)); err != nil {
		t.Errorf("a token of %d bytes: %v", len(fill(n)), err)
	}
	refused(t, g, fill(n+8), ErrMalformed)
	refused(t, g, strings.Repeat(".", maxToken), ErrMalformed)
	refused(t, g, strings.Repeat(".", 100<<20), ErrMalformed)
	refused(t, g, strings.Repeat("A", maxToken), ErrMalformed)

	head := func(n int) string {
		return es().header()[:len(es().header())-1] + `,"x":"` + strings.Repeat("A", n) + `"}`
	}
	most := maxHeader - len(head(0))
	if _, err := g.Verify(t.Context(), es().sign(head(most), payload(nil))); err != nil {
		t.Errorf("a header of %d bytes: %v", len(head(most)), err)
	}
	refused(t, g, es().sign(head(most+1), payload(nil)), ErrMalformed)
}

func TestAttackJWT009Base64(t *testing.T) {
	g := newGuard(t)
	token := es().token(nil)
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	// The signature has 64 bytes, so four bits of its last character are unused.
	last := strings.IndexByte(alphabet, token[len(token)-1])
	for bit := range 4 {
		refused(t, g, token[:len(token)-1]+string(alphabet[last^1<<bit]), ErrMalformed)
	}
	middle := strings.IndexByte(token, '.') + 10
	for _, junk := range []string{"\n", "\r", "\r\n", "=", "+", "/", " ", "\t", "\x00", "․", "％", "\xff"} {
		for _, at := range []int{0, 5, middle, len(token) - 5, len(token)} {
			p, err := g.Verify(t.Context(), token[:at]+junk+token[at:])
			if p != nil || err == nil {
				t.Errorf("%q at %d: %+v, %v", junk, at, p, err)
			}
		}
	}
	refused(t, g, token+"==", ErrMalformed)
	for _, parts := range []string{"", ".", "..", "...", "a", "a.b", ".a.b", "a..", token + ".", "." + token, token + ".a", strings.Replace(token, ".", "..", 1)} {
		if p, err := g.Verify(t.Context(), parts); p != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%.20q: %+v, %v", parts, p, err)
		}
	}
}

// The unused bits of each of the three parts, whatever its length.
func TestAttackJWT009UnusedBits(t *testing.T) {
	for n := range 70 {
		text := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, n))
		if b, err := decode(text); err != nil || len(b) != n {
			t.Errorf("decode(%q) = %d bytes, %v", text, len(b), err)
		}
		if n%3 != 0 {
			if b, err := decode(text[:len(text)-1] + string(text[len(text)-1]+1)); err == nil {
				t.Errorf("%q with a bit too many is %x", text, b)
			}
		}
	}
}

func TestAttackJWT010JSONSerialization(t *testing.T) {
	g := newGuard(t)
	parts := strings.Split(es().token(nil), ".")
	for _, text := range []string{
		`{"payload":"%[2]s","protected":"%[1]s","signature":"%[3]s"}`,
		`{"payload":"%[2]s","signatures":[{"protected":"%[1]s","signature":"%[3]s"},{"protected":"%[1]s","signature":"AAAA"}]}`,
		`{"payload":"%[2]s","header":{"alg":"ES256","kid":"es","typ":"at+jwt"},"signature":"%[3]s"}`,
		`{"a":".","b":".","payload":"%[2]s","protected":"%[1]s","signature":"%[3]s"}`,
	} {
		refused(t, g, fmt.Sprintf(text, parts[0], parts[1], parts[2]), ErrMalformed)
	}
}

func TestAttackJWT011DuplicatesAndCase(t *testing.T) {
	g := newGuard(t)
	good := payload(nil)
	with := func(member string) string { return good[:len(good)-1] + "," + member + "}" }
	for _, member := range []string{
		`"sub":"root"`, `"s\u0075b":"root"`, `"exp":99999999999`, `"x":{"a":1,"a":2}`, `"x":[{"a":1,"\u0061":2}]`,
		`"x":"\ud800"`, `"x":"\udc00"`, `"x":"\ud800\u0041"`, `"\ud800":1`, "\"x\":\"\xff\"", "\"x\":\"\xc0\xaf\"", "\"x\":\"\xed\xa0\x80\"",
	} {
		refused(t, g, es().sign(es().header(), with(member)), ErrClaims)
	}
	// Other spellings are other names, and change nothing.
	p, err := g.Verify(t.Context(), es().sign(es().header(), with(`"Sub":"root","SUB":"root","ſub":"root","Exp":0,"Scope":"admin"`)))
	if err != nil || p.Subject != "u1" || p.Has("admin") {
		t.Errorf("Verify = %+v, %v", p, err)
	}
	// Nor does the one in capitals stand for the one that is missing.
	refused(t, g, es().sign(es().header(), `{"iss":"`+testIssuer+`","aud":"`+testAudience+`","EXP":9999999999,"sub":"u","client_id":"c"}`), ErrClaims)
	for _, header := range []string{
		`{"alg":"none","alg":"ES256","kid":"es","typ":"at+jwt"}`,
		`{"alg":"ES256","alg":"ES256","kid":"es","typ":"at+jwt"}`,
		`{"ALG":"ES256","alg":5,"kid":"es","typ":"at+jwt"}`,
	} {
		refused(t, g, es().sign(header, good), ErrMalformed)
	}
	refused(t, g, es().sign(`{"ALG":"ES256","kid":"es","typ":"at+jwt"}`, good), ErrAlgorithm)
}

func TestAttackJWT012NotOneObject(t *testing.T) {
	g := newGuard(t)
	good := payload(nil)
	deep := strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200)
	for _, text := range []string{
		"", " ", "null", "true", "5", `"x"`, "[" + good + "]", good + good, good + "x", good + "\x00", good[:len(good)-1], "\ufeff" + good,
		good[:len(good)-1] + ",}", good[:len(good)-1] + `,"x":` + deep + "}", strings.ReplaceAll(good, `"`, `'`), good[:len(good)-1] + `,"x":NaN}`,
		good[:len(good)-1] + `,"x":01}`, good[:len(good)-1] + `,"x":.5}`, good[:len(good)-1] + "/**/}", good[:len(good)-1] + ",\"x\":\"\n\"}",
	} {
		refused(t, g, es().sign(es().header(), text), ErrClaims)
		refused(t, g, es().sign(text, good), ErrMalformed)
	}
	if _, err := g.Verify(t.Context(), es().sign(es().header(), " \r\n\t"+good+" \n")); err != nil {
		t.Errorf("white space around the object: %v", err)
	}
}

func TestAttackJWT023JWE(t *testing.T) {
	g := newGuard(t)
	start := time.Now()
	for _, header := range []string{
		`{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rs","typ":"at+jwt"}`,
		`{"alg":"dir","enc":"A256GCM","zip":"DEF","typ":"at+jwt"}`,
		`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483648,"p2s":"AAAA","typ":"at+jwt"}`,
		`{"alg":"RSA1_5","enc":"A128CBC-HS256","kid":"rs","typ":"at+jwt"}`,
		`{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"},"typ":"at+jwt"}`,
	} {
		refused(t, g, b64(header)+"..AAAA.AAAA.AAAA", ErrMalformed)
		refused(t, g, b64(header)+".AAAA.AAAA.AAAA.AAAA", ErrMalformed)
		refused(t, g, es().sign(header, payload(nil)), ErrAlgorithm)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it took %v: something was derived or unpacked", d)
	}
}
