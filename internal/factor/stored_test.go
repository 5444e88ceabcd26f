package factor

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

const (
	salt22 = "MDEyMzQ1Njc4OWFiY2RlZg"                      // 16 bytes
	tag43  = "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc" // 32 bytes
	crypt  = "abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"
)

var friendly = []string{
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=65536,t=3,p=4$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=262144,t=4,p=16$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + tag43,
	"$2a$04$" + crypt,
	"$2b$12$" + crypt,
	"$2y$16$" + crypt,
}

// hostile hashes never match, and are never computed.
var hostile = []string{
	// Too dear.
	"$argon2id$v=19$m=4194304,t=1000,p=255$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=262145,t=1,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=262144,t=5,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=17,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=2,p=17$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=4294967296,t=1,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=18446744073709551624,t=1,p=1$" + salt22 + "$" + tag43,
	"$2a$17$" + crypt,
	"$2a$31$" + crypt,
	"$2a$99$" + crypt,
	// Too cheap, or nothing.
	"$argon2id$v=19$m=0,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=7,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=0,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=2,p=0$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=-8,t=-2,p=-1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=2,p=1$$",
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22 + "$",
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22 + "$AAAA",
	"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$" + tag43,
	"$2a$03$" + crypt,
	"$2a$00$" + crypt,
	// Not quite the form.
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22,
	"$argon2id$v=19$m=19456,t=2$" + salt22 + "$" + tag43,
	"$argon2id$v=19$t=2,m=19456,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=2,p=1,keyid=a$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=019456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=+19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m= 19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22 + "$" + tag43 + "=",
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22 + "$" + tag43 + "\n",
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22[:21] + "h$" + tag43,
	"$argon2id$v=19$m=19456,t=2,p=1$" + salt22 + "$" + tag43 + "$",
	"$argon2id$v=16$m=19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$m=19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2id$",
	"$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("A", 1<<20) + "$" + tag43,
	"$2a$12$" + crypt[:52],
	"$2a$12$" + crypt + "a",
	"$2a$12$" + crypt[:30] + "$" + crypt[31:],
	"$2a$12$" + crypt[:30] + "\n" + crypt[31:],
	"$2a$1$" + crypt + "a",
	"$2a$+4$" + crypt,
	"$2a$ 4$" + crypt,
	"$2a$12a" + crypt,
	"$2a$",
	// Unknown.
	"$2$12$" + crypt,
	"$2x$12$" + crypt,
	"$argon2i$v=19$m=19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$argon2d$v=19$m=19456,t=2,p=1$" + salt22 + "$" + tag43,
	"$pbkdf2-sha256$i=1000000000$" + salt22 + "$" + tag43,
	"$1$etNnh7FA$OlM7eljE/B7F1J4XYNnk81",
	"{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3",
	"5f4dcc3b5aa765d61d8327deb882cf99",
	"plaintext",
	"$plaintext$password",
	" ",
	"$",
	"*",
	"!",
	strings.Repeat("$", 1<<16),
}

func TestParseStored(t *testing.T) {
	for _, text := range friendly {
		s, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := printed(s); got != text {
			t.Errorf("%s is read as %s", text, got)
		}
		if err := CheckStored(text); err != nil {
			t.Errorf("CheckStored(%s): %v", text, err)
		}
	}
	for _, text := range hostile {
		if s, err := parse(text); err == nil {
			t.Errorf("%.100q is read as %v", text, s.scheme)
		}
	}
	if _, err := parse("$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("A", 1<<20) + "$" + tag43); err != errMalformed {
		t.Errorf("a salt of a megabyte is decoded: %v", err)
	}
}

// printed writes what was parsed.
func printed(s stored) string {
	if s.algorithm == Bcrypt {
		return s.text
	}
	return phc(s.scheme, s.salt, s.tag)
}

// FuzzStored holds: what is read is written alike, is within the bounds, and is
// what the library takes.
func FuzzStored(f *testing.F) {
	for _, text := range friendly {
		f.Add(text)
	}
	for _, text := range hostile {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			if s.algorithm != "" || s.text != "" || s.tag != nil {
				t.Errorf("%q: an error and a hash", text)
			}
			return
		}
		if got := printed(s); got != text {
			t.Errorf("%q is read as %q", text, got)
		}
		switch s.algorithm {
		case Bcrypt:
			if cost, err := bcrypt.Cost([]byte(text)); err != nil || cost != s.cost || cost < 4 || cost > 16 {
				t.Errorf("%q: cost %d: %v", text, cost, err)
			}
		case Argon2id:
			if n := s.blocks(); n < 8*s.lanes || n > 256<<10 || n*s.passes > 1<<20 || n%(4*s.lanes) != 0 {
				t.Errorf("%q: %d blocks", text, n)
			}
			if len(s.tag) < 16 || len(s.salt) < 8 {
				t.Errorf("%q: salt of %d, tag of %d", text, len(s.salt), len(s.tag))
			}
		default:
			t.Errorf("%q: %q", text, s.algorithm)
		}
	})
}
