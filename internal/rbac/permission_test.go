package rbac

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

func TestParsePermission(t *testing.T) {
	for _, tt := range []struct {
		in   string
		says string // part of the refusal; empty if it is a permission
	}{
		{"read", ""},
		{"orders:read", ""},
		{"Orders:READ", ""}, // another word than orders:read
		{"urn:example:a/b?c=d#e", ""},
		{"!#$%&'()+,-./:;<=>?@[]^_`{|}~", ""},
		{strings.Repeat("a", 128), ""},

		{"", "empty"},
		{strings.Repeat("a", 129), "longer than 128"},
		{strings.Repeat("*", 1<<20), "longer than 128"},
		{"orders read", "visible ASCII"},
		{" orders:read", "visible ASCII"},
		{"orders:read ", "visible ASCII"},
		{"orders:read\n", "visible ASCII"},
		{"orders:read\x00", "visible ASCII"},
		{"orders:read\x7f", "visible ASCII"},
		{"orders\tread", "visible ASCII"},
		{`orders"read`, "visible ASCII"},
		{`orders\read`, "visible ASCII"},
		{"órdenes:leer", "visible ASCII"},
		{"orders:r\u0435ad", "visible ASCII"}, // Cyrillic е
		{"orders:read\u200b", "visible ASCII"},
		{"\xff\xfe", "visible ASCII"},
		{"*", "wildcards"},
		{"orders:*", "wildcards"},
		{"*:read", "wildcards"},
		{"ord*rs:read", "wildcards"},
		{"openid", "identity scope"},
		{"profile", "identity scope"},
		{"email", "identity scope"},
		{"phone", "identity scope"},
		{"address", "identity scope"},
		{"offline_access", "identity scope"},
	} {
		got, err := ParsePermission(tt.in)
		if tt.says == "" {
			if got != tt.in || err != nil {
				t.Errorf("ParsePermission(%q) = %q, %v", tt.in, got, err)
			}
			continue
		}
		if got != "" || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParsePermission(%.40q) = %q, %v; want a fault that says %q", tt.in, got, err, tt.says)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("the refusal of %.40q is %d bytes long", tt.in, len(err.Error()))
		}
	}
}

func TestParseRoleName(t *testing.T) {
	good := []string{"a", "0", "viewer", "on-call.eu_1", "a--", strings.Repeat("z", 64)}
	bad := []string{
		"", " ", ".", "..", "-a", "_a", ".a", "A", "Viewer", "vieweR", "viewer ", " viewer", "view er", "viewer\n", "viewer\x00",
		"role:viewer", "a/b", `a\b`, "a%2e", "a*", "ä", "ſupport", "а" /* Cyrillic */, "a\u200b", "\xff", strings.Repeat("z", 65),
	}
	for _, s := range good {
		if got, err := ParseRoleName(s); got != s || err != nil {
			t.Errorf("ParseRoleName(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range bad {
		if got, err := ParseRoleName(s); got != "" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("ParseRoleName(%q) = %q, %v; want an Invalid fault", s, got, err)
		}
	}
}

// FuzzParsePermission holds the grammar to the sentence of the RFC, and what
// is accepted to its use: permissions joined by spaces are parted again.
func FuzzParsePermission(f *testing.F) {
	for _, s := range []string{"orders:read", "*", "openid", "a b", `a"b`, `a\b`, "\x7f", "é", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParsePermission(s)
		ok := len(s) >= 1 && len(s) <= 128 && !IdentityScope(s)
		for _, c := range []byte(s) {
			ok = ok && c != '*' && (c == 0x21 || c >= 0x23 && c <= 0x5B || c >= 0x5D && c <= 0x7E)
		}
		if ok != (err == nil) || ok != isPermission(s) {
			t.Fatalf("ParsePermission(%q) = %q, %v; want ok = %t", s, got, err, ok)
		}
		if err != nil {
			if got != "" || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("ParsePermission(%q) = %q, %v", s, got, err)
			}
			return
		}
		if got != s || !slices.Equal(strings.Fields("read "+got+" write"), []string{"read", s, "write"}) {
			t.Fatalf("%q is not one word of a scope", s)
		}
	})
}

func FuzzParseRoleName(f *testing.F) {
	for _, s := range []string{"viewer", "Viewer", "a.b_c-d", "-", "..", "a/b", "é", ""} {
		f.Add(s)
	}
	grammar := regexp.MustCompile(`\A[a-z0-9][a-z0-9._-]{0,63}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseRoleName(s)
		ok := grammar.MatchString(s)
		if ok != (err == nil) || ok && got != s || !ok && (got != "" || fault.KindOf(err) != fault.Invalid) {
			t.Fatalf("ParseRoleName(%q) = %q, %v; want ok = %t", s, got, err, ok)
		}
	})
}
