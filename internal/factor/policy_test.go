package factor

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

func TestCheck(t *testing.T) {
	b, a := open(t, Options{MinLength: 3}), open(t, Options{Algorithm: Argon2id, MinLength: 12})
	context := []string{"jo", "Müller", "zoe\u0308ann", "bob42", "", "j.appleseed+test@orchard.example", "https://id.acme-tools.example:8443/auth"}
	for _, c := range []struct {
		name     string
		h        *Hasher
		password string
		want     string // a part of the message; "" = accepted
	}{
		{"8 characters", b, "kq3 wzxv", ""},
		{"8 characters of 24 bytes", b, "密码安全非常重要", ""},
		{"spaces around", b, "  kq3wzxv ", ""},
		{"no letters", b, "93847561029384", ""},
		{"a sentence", b, "The brown fox was not at home that day.", ""},
		{"72 bytes", b, strings.Repeat("kq", 36), ""},
		{"a word and other words", b, "appleseed grows nowhere", ""},
		{"a word and nine digits", b, "bob42918273645", ""},
		{"a context word within", b, "mybob42word", ""},
		{"512 bytes", a, strings.Repeat("kq", 256), ""},
		{"U+0000, argon2id", a, "kq3wzxv\x00kq3wzxv", ""},
		{"12 characters", a, "kq3 wzxv pd7", ""},

		{"empty", b, "", "at least 8"},
		{"7 characters, and the setting 3", b, "kq3 wzx", "at least 8"},
		{"7 characters of 21 bytes", b, "密码安全非常重", "at least 8"},
		{"7 characters, decomposed", b, "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", "at least 8"},
		{"11 characters", a, "kq3 wzxv pd", "at least 12"},
		{"73 bytes", b, strings.Repeat("kq", 36) + "z", "at most 72 bytes"},
		{"74 bytes in 37 characters", b, strings.Repeat("é", 37), "at most 72 bytes"},
		{"513 bytes", b, strings.Repeat("k", 513), "at most 512 bytes"},
		{"513 bytes, argon2id", a, strings.Repeat("k", 513), "at most 512 bytes"},
		{"U+0000", b, "kq3wzxv\x00kq3wzxv", "U+0000"},
		{"not UTF-8", b, "kq3wzxv\xffkq", "UTF-8"},
		{"common", b, "password1", "guessed first"},
		{"common, in upper case", b, "PASSWORD1", "guessed first"},
		{"common, in both", b, "iLoveYou1", "guessed first"},
		{"common, argon2id", a, "qwertyuiop123", "guessed first"},
		{"our name", b, "Doorward", "a name"},
		{"our name and a year", b, "Doorward2026", "a name"},
		{"a short name and a number", b, "jo123456", "a name"},
		{"a date and a short name", b, "19991231Jo", "a name"},
		{"a name, decomposed", b, "Mu\u0308ller99", "a name"},
		{"a name that was given decomposed", b, "ZoËann99", "a name"},
		{"a name that ends in digits", b, "bob429876", "a name"},
		{"the mailbox", b, "j.appleseed+test", "a name"},
		{"the mailbox and a number", b, "J.Appleseed+Test1", "a name"},
		{"the mailbox before the plus sign, its last part", b, "appleseed77", "a name"},
		{"the address", b, "j.appleseed+test@orchard.example", "a name"},
		{"the mail domain's name", b, "orchard77", "a name"},
		{"the host's name", b, "acme-tools1", "a name"},
	} {
		err := c.h.Check(secret.From(c.password), context...)
		f, _ := errors.AsType[*fault.Error](err)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (f == nil || f.Kind != fault.Invalid || f.Field != "password" || !strings.Contains(f.Message, c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		case f != nil && c.password != "" && strings.Contains(f.Message, c.password):
			t.Errorf("%s: the message quotes the password: %v", c.name, err)
		}
	}
}

// Check must not write behind the end of the caller's words.
func TestCheckLeavesTheContextAlone(t *testing.T) {
	words := []string{"alice", "next"}
	if err := open(t, Options{}).Check(secret.From("kq3 wzxv"), words[:1]...); err != nil || words[1] != "next" {
		t.Errorf("%v, %v", words, err)
	}
}

func TestCommonList(t *testing.T) {
	entries := commonOffset(buckets)
	if entries != 474_743 || len(commonList) != suffixes+suffixSize*entries {
		t.Errorf("%d entries in %d bytes", entries, len(commonList))
	}
	for i := range buckets {
		from, to := commonOffset(i), commonOffset(i+1)
		if from > to || to > entries {
			t.Fatalf("bucket %d goes from %d to %d", i, from, to)
		}
	}
	for _, p := range []string{
		"password1", "12345678", "iloveyou1", "password", "qwertyuiop", "trustno1", "football", "letmein1", "princess1", "passw0rd", "p@ssw0rd",
		"changeme", "admin123", "PassWord", "aaaaaaaa", "11111111",
	} {
		if !isCommon(p) {
			t.Errorf("%s is not on the list", p)
		}
	}
	for _, p := range []string{"", "x", "doorward", "correct horse battery staple", "password1 ", " password1"} {
		if isCommon(p) {
			t.Errorf("%q is on the list", p)
		}
	}
}

// A random password is taken for common with the chance of meeting, in its
// bucket, one of its entries. The strings are as good as random, and the same
// in every run.
func TestCommonListKnowsNoRandomPassword(t *testing.T) {
	if chance := float64(commonOffset(buckets)) / buckets / (1 << (8 * suffixSize)); chance > 1e-6 {
		t.Errorf("one in %.0f random passwords is taken for common", 1/chance)
	}
	for i := range 10_000 {
		if p := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i)))[:20]; isCommon(p) {
			t.Errorf("%s is taken for common", p)
		}
	}
}

func BenchmarkIsCommon(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		isCommon("correct horse battery staple")
	}
}
