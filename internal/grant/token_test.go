package grant

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

func parse(t testing.TB, s string) RefreshToken {
	t.Helper()
	token, err := ParseRefreshToken(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return token
}

func TestRefreshTokenReadsAsItWasWritten(t *testing.T) {
	seen := map[secret.Hash]bool{}
	for range 200 {
		token := NewRefreshToken()
		text := token.Text().Reveal()
		if parse(t, text) != token {
			t.Fatalf("%s reads as another token", text)
		}
		if !strings.HasPrefix(text, "dwr_") || len(text) != 75 || strings.Trim(text[4:], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("a token of %d characters, %s", len(text), text)
		}
		if token.Handle() == token.Secret() || seen[token.Handle()] || seen[token.Secret()] {
			t.Error("a digest came twice")
		}
		seen[token.Handle()], seen[token.Secret()] = true, true
		if next := token.next([secretSize]byte(secret.Random(secretSize))); next.Handle() != token.Handle() || next.Secret() == token.Secret() {
			t.Error("the next turn has another handle, or the same secret")
		}
	}
	// The smallest and the largest number have the same length as all others.
	for _, b := range []byte{0, 0xff} {
		var token RefreshToken
		for i := range token.handle {
			token.handle[i] = b
		}
		for i := range token.secret {
			token.secret[i] = b
		}
		if text := token.Text().Reveal(); parse(t, text) != token || len(text) != 75 {
			t.Errorf("%s", text)
		}
	}
}

// A token that is not exactly what was given out is no token: it finds no
// family, and so ends none (RT-007).
func TestAttackRT007Malleability(t *testing.T) {
	token := NewRefreshToken()
	text := token.Text().Reveal()
	other := NewRefreshToken().Text().Reveal()
	again := func(body string) string { return body + secret.Checksum(body) } // as somebody who knows how they are made
	hostile := map[string]string{
		"empty": "", "prefix": "dwr_", "upper-case": strings.ToUpper(text), "lower-case": strings.ToLower(text), "swapped case": "DWR_" + text[4:],
		"+A": text + "A", "newline": text + "\n", "before it": " " + text, "%00": text + "%00", "NUL": text + "\x00", "escaped twice": url.QueryEscape(url.QueryEscape(text + " ")),
		"twice": text + text, "an API key": "dwk_" + text[4:], "another checksum": text[:69] + other[69:], "without a checksum": text[:69],
		"a hyphen": again("dwr_-" + text[5:69]), "a wide letter": again("dwr_" + "Ａ" + text[7:69]), "base64": again("dwr_" + strings.Repeat("+/", 32) + "="),
		"too large a number": again("dwr_" + strings.Repeat("z", 65)), "one shorter": again(text[:68]), "one longer": again(text[:69] + "0"),
		"a zero before it": again("dwr_0" + text[4:69]), "another prefix": again("dwx_" + text[4:69]), "not UTF-8": again("dwr_\xff" + text[5:69]),
	}
	for n := 1; n < len(text); n++ {
		hostile[fmt.Sprint("-", n)] = text[:len(text)-n]
	}
	for i := range text { // every character, changed to others
		for _, c := range "0Az_-. \x00" {
			if changed := text[:i] + string(c) + text[i+1:]; changed != text {
				hostile[fmt.Sprintf("%d: %c", i, c)] = changed
			}
		}
	}
	for name, bad := range hostile {
		if got, err := ParseRefreshToken(bad); err == nil {
			t.Errorf("%s: %q was read, with the handle of the token: %v", name, bad, got.Handle() == token.Handle())
		} else if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// With a right checksum, another secret is another turn of the same family.
	forged := token.next([secretSize]byte(secret.Random(secretSize)))
	if got := parse(t, forged.Text().Reveal()); got.Handle() != token.Handle() || got.Secret() == token.Secret() {
		t.Error("a forged secret")
	}
}

// What is far too long is refused before it is looked at (DOS-008).
func TestAttackDOS008LongToken(t *testing.T) {
	long := "dwr_" + strings.Repeat("z", 10<<20)
	began := time.Now()
	if _, err := ParseRefreshToken(long); err == nil {
		t.Error("it was read")
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("10 MiB took %v", took)
	}
}

// FuzzParseRefreshToken: what is read is written the same.
func FuzzParseRefreshToken(f *testing.F) {
	text := RefreshToken{handle: [16]byte{1, 2, 3}, secret: [32]byte{4, 5, 6}}.Text().Reveal()
	for _, s := range []string{text, "", "dwr_", text[:70], text + "0", strings.ToUpper(text)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseRefreshToken(s)
		if err == nil && token.Text().Reveal() != s {
			t.Errorf("%q was read, and is written %q", s, token.Text().Reveal())
		}
		// With the right checksum more of them come through.
		if len(s) >= 69 {
			body := s[:69]
			if token, err := ParseRefreshToken(body + secret.Checksum(body)); err == nil && token.Text().Reveal() != body+secret.Checksum(body) {
				t.Errorf("%q was read, and is written %q", body, token.Text().Reveal())
			}
		}
	})
}
