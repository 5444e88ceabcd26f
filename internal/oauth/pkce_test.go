package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// The example of RFC 7636, Appendix B.
const (
	exampleVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	exampleChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestParseChallenge(t *testing.T) {
	for _, c := range []struct {
		challenge, method string
		want              Challenge
		ok                bool
	}{
		{"", "", "", true},
		{exampleChallenge, "S256", exampleChallenge, true},
		{exampleChallenge, "", "", false},
		{exampleChallenge, "plain", "", false},
		{exampleChallenge, "s256", "", false},
		{exampleChallenge, "S512", "", false},
		{"", "S256", "", false},
		{"", "plain", "", false},
		{exampleChallenge[:42], "S256", "", false},
		{exampleChallenge + "A", "S256", "", false},
		{exampleChallenge + "=", "S256", "", false},
		{exampleChallenge[:42] + "=", "S256", "", false},
		{exampleChallenge[:42] + "N", "S256", "", false}, // bits that no digest has
		{"+" + exampleChallenge[1:], "S256", "", false},
		{"\n" + exampleChallenge[:42], "S256", "", false},
		{exampleChallenge[:21] + "\n" + exampleChallenge[21:], "S256", "", false},
	} {
		p := Params{"code_challenge": {c.challenge}, "code_challenge_method": {c.method}}
		if got, err := ParseChallenge(p); got != c.want || (err == nil) != c.ok {
			t.Errorf("%q by %q: %q, %v", c.challenge, c.method, got, err)
		}
	}
}

func TestProves(t *testing.T) {
	of := func(v string) Challenge {
		sum := sha256.Sum256([]byte(v))
		return Challenge(base64.RawURLEncoding.EncodeToString(sum[:]))
	}
	if of(exampleVerifier) != exampleChallenge {
		t.Fatal("the example is another")
	}
	all := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	for _, c := range []struct {
		challenge Challenge
		verifier  string
		want      bool
	}{
		{exampleChallenge, exampleVerifier, true},
		{exampleChallenge, exampleChallenge, false},
		{exampleChallenge, "", false},
		{exampleChallenge, exampleVerifier + "A", false},
		{exampleChallenge, strings.ToUpper(exampleVerifier), false},
		{"", "", true},
		{"", exampleVerifier, false},
		{of(all), all, true},
		{of(strings.Repeat("a", 42)), strings.Repeat("a", 42), false},
		{of(strings.Repeat("a", 43)), strings.Repeat("a", 43), true},
		{of(strings.Repeat("a", 128)), strings.Repeat("a", 128), true},
		{of(strings.Repeat("a", 129)), strings.Repeat("a", 129), false},
		{of(all + "+"), all + "+", false},
		{of(all + "é"), all + "é", false},
		{of(all + " "), all + " ", false},
	} {
		if got := c.challenge.Proves(c.verifier); got != c.want {
			t.Errorf("%q of %q: %v", c.verifier, c.challenge, got)
		}
	}
}
