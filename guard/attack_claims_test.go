package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestAttackJWT013Times(t *testing.T) {
	g := newGuard(t)
	sec := now.Unix()
	for _, c := range []struct {
		claim, value string
		want         Reason
	}{
		{"exp", `"` + fmt.Sprint(sec+100) + `"`, ErrClaims},
		{"exp", "null", ErrClaims},
		{"exp", "true", ErrClaims},
		{"exp", "-1", ErrClaims},
		{"exp", "1e30", ErrClaims},
		{"exp", "1e400", ErrClaims},
		{"exp", "1099511627777", ErrClaims},
		{"exp", "9223372036854775807", ErrClaims},
		{"exp", "18446744073709551616", ErrClaims},
		{"exp", "NaN", ErrClaims},
		{"exp", "Infinity", ErrClaims},
		{"exp", "0x7fffffff", ErrClaims},
		{"exp", "[1]", ErrClaims},
		{"exp", "0", ErrExpired},
		{"exp", fmt.Sprint(sec - 30), ErrExpired},
		{"exp", fmt.Sprint(sec-30) + ".9", ErrExpired},
		{"nbf", fmt.Sprint(sec + 31), ErrNotYetValid},
		{"nbf", "1e30", ErrClaims},
		{"nbf", `"0"`, ErrClaims},
		{"iat", fmt.Sprint(sec + 31), ErrNotYetValid},
		{"iat", fmt.Sprint(sec + 31536000), ErrNotYetValid},
		{"iat", "-5", ErrClaims},
		{"auth_time", "1e20", ErrClaims},
	} {
		t.Run(c.claim+" "+c.value, func(t *testing.T) {
			text := payload(map[string]any{c.claim: nil})
			refused(t, g, es().sign(es().header(), text[:len(text)-1]+`,"`+c.claim+`":`+c.value+"}"), c.want)
		})
	}
	for _, claim := range []map[string]any{
		{"exp": sec - 29},
		{"nbf": sec + 30},
		{"iat": sec + 30},
		{"exp": 1 << 40},
		{"exp": float64(sec) + 0.5},
		{"exp": json.RawMessage(fmt.Sprintf("%d.0e0", sec+60))},
		{"nbf": 0},
		{"iat": 0},
	} {
		if _, err := g.Verify(t.Context(), es().token(claim)); err != nil {
			t.Errorf("%v: %v", claim, err)
		}
	}
}

func TestAttackJWT014Audience(t *testing.T) {
	g := newGuard(t)
	for _, aud := range []any{
		"https://other.example", testAudience + "/", strings.ToUpper(testAudience), "http://api.example", testAudience + ".evil.example",
		"*",
		[]string{"a", "b"},
		[]string{testAudience + "x"},
		testAudience + " https://other.example", "api.example",
		[]string{testIssuer},
	} {
		refused(t, g, es().token(map[string]any{"aud": aud}), ErrAudience)
	}
	for _, aud := range []any{nil, []string{}, []any{testAudience, 5}, []any{5, testAudience}, []any{[]string{testAudience}}, map[string]any{testAudience: 1}, 5, json.RawMessage("null")} {
		refused(t, g, es().token(map[string]any{"aud": aud}), ErrClaims)
	}
	for _, aud := range []any{testAudience, []string{testAudience}, []string{"other", testAudience}} {
		if _, err := g.Verify(t.Context(), es().token(map[string]any{"aud": aud})); err != nil {
			t.Errorf("aud %v: %v", aud, err)
		}
	}
	if _, err := New(testIssuer); err == nil {
		t.Error("a guard without an audience takes everybody's tokens")
	}
	if _, err := New(testIssuer, Audience("")); err == nil {
		t.Error("an empty audience is taken")
	}
}

func TestAttackJWT015Issuer(t *testing.T) {
	g := newGuard(t)
	for _, iss := range []any{
		"https://as.example/", "https://AS.example", "http://as.example", "https://as.example:443", "https://as.example/evil", "https://as.exampl",
		"https://other-tenant.example", "as.example", "https://as.example\u0000", " https://as.example", "",
	} {
		refused(t, g, es().token(map[string]any{"iss": iss}), ErrIssuer)
	}
	refused(t, g, es().token(map[string]any{"iss": []string{testIssuer}}), ErrClaims)
	refused(t, g, es().token(map[string]any{"iss": nil}), ErrIssuer)
	// Another tenant's key, under an id that this issuer uses too.
	own, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	refused(t, g, signer{"es", "ES256", own}.token(nil), ErrSignature)
}

func TestAttackJWT016TypeConfusion(t *testing.T) {
	g := newGuard(t)
	for _, typ := range []string{
		`"id_token"`, `"JWT"`, `"jwt"`, `"logout+jwt"`, `"rt+jwt"`, `"dpop+jwt"`, `"client-authentication+jwt"`, `"token-introspection+jwt"`, `"statuslist+jwt"`,
		`"oauth-authz-req+jwt"`, `"secevent+jwt"`, `"evt+jwt"`, `""`, `"at+jwt "`, `"at jwt"`, `"at+jwt;x=1"`, `"application/jwt"`, `"text/at+jwt"`, `"application/application/at+jwt"`, `"xat+jwt"`,
	} {
		refused(t, g, es().sign(`{"alg":"ES256","kid":"es","typ":`+typ+`}`, payload(nil)), ErrType)
	}
	refused(t, g, es().sign(`{"alg":"ES256","kid":"es"}`, payload(nil)), ErrType)
	refused(t, g, es().sign(`{"alg":"ES256","kid":"es","cty":"at+jwt"}`, payload(nil)), ErrType)
	for _, typ := range []string{`null`, `["at+jwt"]`} {
		refused(t, g, es().sign(`{"alg":"ES256","kid":"es","typ":`+typ+`}`, payload(nil)), ErrMalformed)
	}
	for _, typ := range []string{"at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "Application/AT+JWT"} {
		if _, err := g.Verify(t.Context(), es().sign(`{"alg":"ES256","kid":"es","typ":"`+typ+`"}`, payload(nil))); err != nil {
			t.Errorf("typ %s: %v", typ, err)
		}
	}
	// An ID token that claims to be an access token is meant for a client, and
	// says nothing of one.
	refused(t, g, es().token(map[string]any{"aud": "app", "client_id": nil, "nonce": "n"}), ErrClaims)
	refused(t, g, es().token(map[string]any{"aud": "app", "nonce": "n"}), ErrAudience)
}

func TestAttackJWT020ErrorsShowNothing(t *testing.T) {
	g := newGuard(t)
	bad := map[string]any{"exp": now.Unix() - 3600, "aud": "https://other.example", "iss": "https://other.example", "sub": "victim-name"}
	token := es().token(bad)
	forged := token[:strings.LastIndexByte(token, '.')+1] + b64(string(make([]byte, 64)))
	p, err := g.Verify(t.Context(), forged)
	if p != nil || !errors.Is(err, ErrSignature) || errors.Is(err, ErrExpired) || errors.Is(err, ErrAudience) {
		t.Errorf("expired, for others and forged: %+v, %v", p, err)
	}
	p, err = g.Verify(t.Context(), token)
	if p != nil || err == nil || strings.Contains(err.Error(), "victim-name") || strings.Contains(err.Error(), "other.example") {
		t.Errorf("expired and for others: %+v, %v", p, err)
	}
	// An error never quotes the token.
	for _, token := range []string{forged, token, "aaaa.bbbb.cccc", token + "x"} {
		if _, err := g.Verify(t.Context(), token); strings.Contains(err.Error(), token[:10]) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

func TestAttackDPOP003BoundTokenAsBearer(t *testing.T) {
	g := newGuard(t)
	// A token that only the holder of a key may show is no bearer token.
	for _, cnf := range []string{`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`, `{"x5t#S256":"abc"}`, `{}`, `null`} {
		refused(t, g, es().token(map[string]any{"cnf": json.RawMessage(cnf)}), ErrBound)
	}
}
