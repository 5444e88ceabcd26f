package apikey

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

// fixed is a key whose parts are known.
var fixed = sealed(Prefix + "0123456789ABCDEF_" + secret.Base62(bytes.Repeat([]byte{7}, secretSize)))

func sealed(body string) string { return body + secret.Checksum(body) }

func TestNewSecret(t *testing.T) {
	form, seen := regexp.MustCompile(`^dwk_[0-9A-Za-z]{16}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$`), map[string]bool{}
	published := regexp.MustCompile(`^` + Pattern + `$`)
	for range 200 {
		id := newID()
		s := newSecret(id)
		text := s.Text().Reveal()
		if _, ok := Parse(text); !ok || !form.MatchString(text) || !published.MatchString(text) || s.ID() != id || seen[id] || seen[text] {
			t.Fatalf("%q is made for %q", text, id)
		}
		seen[id], seen[text] = true, true
	}
	for _, verb := range []string{"%v", "%+v", "%s", "%q"} {
		if said := fmt.Sprintf(verb, newSecret(newID()).Text()); strings.Contains(said, Prefix) {
			t.Errorf("%s prints it", verb)
		}
	}
}

// What newSecret does not make is not read, however little is wrong with it.
func TestParseIsExact(t *testing.T) {
	body := fixed[:len(fixed)-6]
	bad := map[string]string{
		"empty": "", "the prefix": Prefix, "cut": fixed[:len(fixed)-1], "longer": fixed + "0", "without its checksum": body, "upper case": strings.ToUpper(fixed),
		"a space before": " " + fixed, "a space after": fixed + " ", "a line break": fixed[:len(fixed)-1] + "\n", "twice": fixed + fixed, "NUL": fixed[:len(fixed)-1] + "\x00",
		"another prefix, with its checksum": sealed("dws_" + body[4:]), "another sign between, with its checksum": sealed(body[:20] + "-" + body[21:]),
		"a sign in the id, with its checksum": sealed(body[:8] + "_" + body[9:]), "a sign in the secret, with its checksum": sealed(body[:30] + "-" + body[31:]),
		"NUL in the id, with its checksum": sealed(body[:8] + "\x00" + body[9:]), "not UTF-8, with its checksum": sealed(body[:30] + "\xff" + body[31:]),
		"more than 256 bits, with its checksum": sealed(body[:21] + strings.Repeat("z", 43)), "short, with its checksum": sealed(body[:len(body)-1]),
	}
	for i := range fixed { // a single character that is another
		other := byte('x')
		if fixed[i] == other {
			other = 'y'
		}
		bad[fmt.Sprint("another character at ", i)] = fixed[:i] + string(other) + fixed[i+1:]
	}
	for what, text := range bad {
		if _, ok := Parse(text); ok {
			t.Errorf("%s: %q is read", what, text)
		}
	}
	if s, ok := Parse(fixed); !ok || s.ID() != "0123456789ABCDEF" || s.Text().Reveal() != fixed {
		t.Errorf("%q is read as %v, %t", fixed, s, ok)
	}
}

// FuzzParse: what is read is what newSecret writes for some id and some 256 bits.
func FuzzParse(f *testing.F) {
	for _, s := range []string{fixed, "", Prefix, sealed(Prefix + strings.Repeat("0", 16) + "_" + strings.Repeat("0", 43))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		read(t, s)
		if len(s) >= secretEnd {
			read(t, sealed(s[:secretEnd])) // with the right checksum more of them come through
		}
	})
}

func read(t *testing.T, s string) {
	t.Helper()
	got, ok := Parse(s)
	if !ok {
		if got != (Secret{}) {
			t.Errorf("%q is not read, and something is returned", s)
		}
		return
	}
	bits, err := secret.ParseBase62(s[secretStart:secretEnd], secretSize)
	if err != nil || sealed(Prefix+got.ID()+"_"+secret.Base62(bits)) != s || !known(got.ID()) || got.Text().Reveal() != s {
		t.Errorf("%q is read, and is of %x, %v", s, bits, err)
	}
}

var pepper = secret.Pepper{Version: 1, Key: bytes.Repeat([]byte{1}, 32)}

// A secret proves the key that it was made for, the one before it until its time is
// over, and nothing else does.
func TestProves(t *testing.T) {
	id := newID()
	now, before, other := newSecret(id), newSecret(id), newSecret(id)
	c := Credential{Key: Key{ID: id, Previous: noon}, Present: now.Keep(pepper), Previous: before.Keep(pepper)}
	for _, tt := range []struct {
		name string
		c    Credential
		s    Secret
		at   time.Time
		want bool
	}{
		{"the secret", c, now, noon.Add(-time.Hour), true},
		{"the secret after the overlap", c, now, noon.Add(time.Hour), true},
		{"the one before", c, before, noon.Add(-time.Microsecond), true},
		{"the one before, as its time ends", c, before, noon, false},
		{"another of its id", c, other, noon.Add(-time.Hour), false},
		{"one of another id", c, newSecret(newID()), noon.Add(-time.Hour), false},
		{"nothing kept", Credential{Key: Key{Previous: noon.Add(time.Hour)}}, now, noon, false},
	} {
		if got := tt.c.Proves(tt.s, secret.Versions{pepper}, tt.at); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
