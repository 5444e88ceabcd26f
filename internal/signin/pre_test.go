package signin

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/secret"
)

var (
	oldKey = secret.Pepper{Version: 1, Key: []byte("0123456789abcdef0123456789abcdef")}
	newKey = secret.Pepper{Version: 2, Key: []byte("fedcba9876543210fedcba9876543210")}
)

var keys = secret.Versions{newKey, oldKey}

// A form is good in the browser, for the deed and in the session that it was made
// for, and nowhere else.
func TestFormToken(t *testing.T) {
	mine, other := secret.HashOf([]byte("mine")), secret.HashOf([]byte("other"))
	token := formToken(newKey, mine, "/signin", "s1")
	for _, tt := range []struct {
		name, token   string
		pre           secret.Hash
		does, session string
		ok            bool
	}{
		{"itself", token, mine, "/signin", "s1", true},
		{"of the key before", formToken(oldKey, mine, "/signin", "s1"), mine, "/signin", "s1", true},

		{"another browser", token, other, "/signin", "s1", false},
		{"no browser", token, secret.Hash{}, "/signin", "s1", false},
		{"another deed", token, mine, "/account/signout", "s1", false},
		{"another session", token, mine, "/signin", "s2", false},
		{"no session", token, mine, "/signin", "", false},
		{"the session in the deed", token, mine, "/signins1", "", false},
		{"empty", "", mine, "/signin", "s1", false},
		{"no MAC", "2.", mine, "/signin", "s1", false},
		{"no version", token[1:], mine, "/signin", "s1", false},
		{"another version", "1" + token[1:], mine, "/signin", "s1", false},
		{"an unknown version", "3" + token[1:], mine, "/signin", "s1", false},
		{"a version of other digits", "02" + token[1:], mine, "/signin", "s1", false},
		{"a plus", "+" + token, mine, "/signin", "s1", false},
		{"a huge version", strings.Repeat("9", 30) + token[1:], mine, "/signin", "s1", false},
		{"cut", token[:len(token)-1], mine, "/signin", "s1", false},
		{"longer", token + "A", mine, "/signin", "s1", false},
		{"a bit", token[:len(token)-5] + flip(token[len(token)-5:]), mine, "/signin", "s1", false},
		{"a space", token + " ", mine, "/signin", "s1", false},
	} {
		if got := isFormToken(tt.token, keys, tt.pre, tt.does, tt.session); got != tt.ok {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

// Of all texts one alone is the token of a form.
func FuzzFormToken(f *testing.F) {
	pre := secret.HashOf([]byte("mine"))
	for _, does := range []string{"/signin", "/account/signout", ""} {
		f.Add(formToken(newKey, pre, does, ""), does, "")
		f.Add(formToken(oldKey, pre, does, "s1"), does, "s1")
	}
	f.Add("1.", "/signin", "")
	f.Add("-1.x", "/signin", "\x00")
	f.Fuzz(func(t *testing.T, token, does, session string) {
		want := token == formToken(oldKey, pre, does, session) || token == formToken(newKey, pre, does, session)
		if got := isFormToken(token, keys, pre, does, session); got != want {
			t.Errorf("%q for %q in %q: %t", token, does, session, got)
		}
	})
}
