package client

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestSecret(t *testing.T) {
	form, seen := regexp.MustCompile(`^dws_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$`), map[string]bool{}
	for range 100 {
		text := NewSecret().Text().Reveal()
		if _, ok := ParseSecret(text); !ok || !form.MatchString(text) || seen[text] {
			t.Fatalf("%q is made", text)
		}
		seen[text] = true
	}
	for _, verb := range []string{"%v", "%+v", "%s", "%q"} {
		s := NewSecret()
		if said := fmt.Sprintf(verb, s.Text()); strings.Contains(said, s.Text().Reveal()) {
			t.Errorf("%s prints it", verb)
		}
	}
}

// What is not made by NewSecret is not read, however little is wrong with it.
func TestParseSecretIsExact(t *testing.T) {
	good := NewSecret().Text().Reveal()
	body := good[:len(good)-6]
	bad := map[string]string{
		"empty": "", "the prefix": SecretPrefix, "cut": good[:len(good)-1], "longer": good + "0", "without its checksum": body, "upper case": strings.ToUpper(good),
		"a space before": " " + good, "a space after": good + " ", "a line break": good + "\n", "twice": good + good, "NUL": good[:len(good)-1] + "\x00",
		"another prefix, with its checksum": sealed("dwr_" + body[4:]), "a sign, with its checksum": sealed(body[:20] + "-" + body[21:]),
		"NUL, with its checksum": sealed(body[:20] + "\x00" + body[21:]), "not UTF-8, with its checksum": sealed(body[:20] + "\xff" + body[21:]),
		"more than 256 bits, with its checksum": sealed(SecretPrefix + strings.Repeat("z", 43)), "short, with its checksum": sealed(body[:len(body)-1]),
	}
	for i := range good { // a single character that is another
		other := byte('x')
		if good[i] == other {
			other = 'y'
		}
		bad[fmt.Sprint("another character at ", i)] = good[:i] + string(other) + good[i+1:]
	}
	for what, text := range bad {
		if _, ok := ParseSecret(text); ok {
			t.Errorf("%s: %q is read", what, text)
		}
	}
}

func sealed(body string) string { return body + secret.Checksum(body) }

// FuzzParseSecret: what is read is what NewSecret writes for some 256 bits.
func FuzzParseSecret(f *testing.F) {
	for _, s := range []string{sealed(SecretPrefix + strings.Repeat("0", 43)), "", SecretPrefix} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		read(t, s)
		if end := len(SecretPrefix) + secret.Width62(secretSize); len(s) >= end {
			read(t, sealed(s[:end])) // with the right checksum more of them come through
		}
	})
}

func read(t *testing.T, s string) {
	t.Helper()
	got, ok := ParseSecret(s)
	if got.Text().Reveal() != s {
		t.Errorf("%q is written %q", s, got.Text().Reveal())
	}
	if !ok {
		return
	}
	end := len(SecretPrefix) + secret.Width62(secretSize)
	bits, err := secret.ParseBase62(s[len(SecretPrefix):end], secretSize)
	if err != nil || sealed(SecretPrefix+secret.Base62(bits)) != s {
		t.Errorf("%q is read, and is of %x, %v", s, bits, err)
	}
}

var pepper = secret.Pepper{Version: 1, Key: bytes.Repeat([]byte{1}, 32)}

// A secret proves the client that it was made for, the one before it until its time is
// over, and nothing else does.
func TestProves(t *testing.T) {
	now, before, other := NewSecret(), NewSecret(), NewSecret()
	c := Credential{Client: Client{ID: "a", Previous: noon}, Present: now.Keep("a", pepper), Previous: before.Keep("a", pepper)}
	of := func(change func(*Credential)) Credential { d := c; change(&d); return d }
	for name, tt := range map[string]struct {
		c    Credential
		s    Secret
		at   time.Time
		want bool
	}{
		"the secret":                       {c, now, noon.Add(-time.Hour), true},
		"the secret after the overlap":     {c, now, noon.Add(time.Hour), true},
		"the one before":                   {c, before, noon.Add(-time.Microsecond), true},
		"the one before, as its time ends": {c, before, noon, false},
		"another":                          {c, other, noon.Add(-time.Hour), false},
		"an empty one":                     {c, Secret{}, noon.Add(-time.Hour), false},
		"of another client":                {of(func(d *Credential) { d.Client.ID = "b" }), now, noon, false},
		"nothing kept":                     {Credential{Client: Client{ID: "a", Previous: noon.Add(time.Hour)}}, Secret{}, noon, false},
		"swapped":                          {of(func(d *Credential) { d.Present, d.Previous = d.Previous, d.Present }), before, noon, true},
	} {
		if got := tt.c.Proves(tt.s, secret.Versions{pepper}, tt.at); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
