package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzVerify looks for a token that panics, that is judged differently the
// second time, or that passes though it is not one of the genuine tokens that
// the corpus begins with. Only the signature of those may be found in another
// form: ECDSA has two.
func FuzzVerify(f *testing.F) {
	g := newGuard(f)
	s, ed := es(), newSigners()["EdDSA"]
	fixed := payload(nil)
	signed := map[string]bool{b64(s.header()) + "." + b64(fixed): true, b64(ed.header()) + "." + b64(fixed): true}
	genuine := s.sign(s.header(), fixed)
	head, rest, _ := strings.Cut(genuine, ".")
	for _, token := range []string{
		genuine, ed.sign(ed.header(), fixed), "", "..", "a.b.c", head + "." + rest[:40], genuine + "A", head + "..", strings.Repeat("A.", 100),
		s.sign(`{"alg":"none","kid":"es","typ":"at+jwt"}`, fixed),
		s.sign(`{"alg":"ES256","kid":"es","typ":"at+jwt","crit":["x"]}`, fixed),
		s.sign(s.header(), `{"iss":"https://as.example","iss":"x"}`),
		s.sign(s.header(), `{"exp":1e400}`),
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := g.Verify(context.Background(), token)
		again, err2 := g.Verify(context.Background(), token)
		if (err == nil) != (err2 == nil) || (p == nil) != (err != nil) || (again == nil) != (err2 != nil) {
			t.Fatalf("%+v, %v; then %+v, %v", p, err, again, err2)
		}
		if err == nil && !signed[token[:strings.LastIndexByte(token, '.')]] {
			t.Fatalf("a token that nobody signed passes: %+v", p)
		}
	})
}

// FuzzClaims gives the payload reader what a signature would otherwise keep
// from it.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		payload(nil), `{}`, `{"exp":1e400}`, `{"exp":5,"sub":"a","client_id":"b","aud":["x",1]}`, `{"scope":"  a  b\t"}`, `{"cnf":{"jkt":"x"}}`,
		`{"exp":1099511627776,"sub":"\u0061","client_id":"b","aud":"x","pv":-9223372036854775808}`,
	} {
		f.Add(text)
	}
	g := newGuard(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaims(text)
		if (c == nil) != (err != nil) {
			t.Fatalf("%+v, %v", c, err)
		}
		if err != nil {
			return
		}
		if c.Subject == "" || c.ClientID == "" || len(c.Audience) == 0 || c.expires < 0 || c.expires > 1<<40 {
			t.Fatalf("%+v lacks what is mandatory", c)
		}
		for _, s := range c.Scopes {
			if s == "" || strings.Contains(s, " ") {
				t.Fatalf("a scope %q", s)
			}
		}
		if g.checkClaims(c, now) == nil && (c.issuer != testIssuer || c.bound) {
			t.Fatalf("%+v passes", c)
		}
		if raw, ok := c.Claim("sub"); !ok || len(raw) < 3 {
			t.Fatalf("Claim(sub) = %s, %v", raw, ok)
		}
	})
}

// FuzzIntrospection looks for an answer that makes a key good though it does not say
// so, or that two readers understand in two ways.
func FuzzIntrospection(f *testing.F) {
	key := testKey(1)
	for _, a := range answers(key) {
		f.Add(a.text)
	}
	i := newGuard(f, Credentials("api", "hush")).apiKeys.(*introspector)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseIntrospection(text)
		if (got == nil) != (err != nil) {
			t.Fatalf("%+v, %v", got, err)
		}
		if err != nil {
			return
		}
		p, err := i.holder(key, got, now)
		if (p == nil) != (err != nil) {
			t.Fatalf("%+v, %v", p, err)
		}
		if err != nil {
			return
		}
		var other map[string]any
		reader := json.NewDecoder(strings.NewReader(text))
		reader.UseNumber() // one that nobody asks for may be larger than any that a computer knows
		if err := reader.Decode(&other); err != nil || reader.More() {
			t.Fatalf("encoding/json: %v", err)
		}
		number, ends := other["exp"].(json.Number)
		exp, _ := number.Float64() // beyond all is infinity
		iss, told := other["iss"]
		aud, meant := other["aud"]
		_, bound := other["cnf"]
		if other["active"] != true || other["token_type"] != "api_key" || other["key_id"] != key[4:20] || other["sub"] != p.Subject || p.Subject == "" ||
			ends && exp < float64(now.Unix()) || told && iss != testIssuer || bound || meant && !strings.Contains(fmt.Sprint(aud), testAudience) {
			t.Fatalf("passes: %s", text)
		}
	})
}

// FuzzAuthorization looks for a header that gives a token which is not in it
// whole, after the scheme and one space.
func FuzzAuthorization(f *testing.F) {
	for _, v := range []string{"", "Bearer", "Bearer ", "Bearer a", "bearer a.b.c", "Bearer  a", "Bearer a,b", "Basic a", "Bearer\ta", "BEARER dwk_x", "Bearer a b", "Bearer a\x00"} {
		f.Add(v, "")
	}
	f.Add("Bearer a", "access_token=x")
	f.Add("", "a=b;access%5ftoken=x")
	f.Fuzz(func(t *testing.T, value, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{value}
		c, err := credentialOf(r)
		if err != nil {
			if c != (credential{}) {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
		if len(value) != len("Bearer ")+len(c.text) || !strings.EqualFold(value[:7], "Bearer ") || value[7:] != c.text || c.text == "" {
			t.Fatalf("%q gives %q", value, c.text)
		}
		if strings.ContainsAny(c.text, " ,\t") || c.apiKey != strings.HasPrefix(c.text, "dwk_") {
			t.Fatalf("%q gives %+v", value, c)
		}
		if r.URL.Query().Has("access_token") {
			t.Fatalf("the query %q passes", query)
		}
	})
}
