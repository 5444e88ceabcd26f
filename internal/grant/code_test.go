package grant

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

func TestParseCode(t *testing.T) {
	made, kept := NewCode()
	text := made.Reveal()
	hash, ok := ParseCode(text)
	if other, _ := NewCode(); !ok || hash != kept || hash == (secret.Hash{}) || other.Reveal() == text {
		t.Errorf("%s: %v, %v", text, hash, ok)
	}
	summed := func(body string) string { return body + secret.Checksum(body) }
	for _, bad := range []string{
		"", "dwc_", text[:len(text)-1], text + "0", " " + text, text + "\n", strings.ToUpper(text), strings.TrimPrefix(text, "dwc_"), "dwr_" + text[4:],
		text[:len(text)-1] + "!", text[:10] + "\x00" + text[11:], summed("dwr_" + text[4:47]), summed("dwc_" + strings.Repeat("z", 43)), summed("dwc_" + strings.Repeat("!", 43)),
		text + text, summed(text[:46]),
	} {
		if _, ok := ParseCode(bad); ok {
			t.Errorf("%q is a code", bad)
		}
	}
}

func TestCodeLives(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := Code{Created: made, Expires: made.Add(CodeLasts)}
	for after, want := range map[time.Duration]bool{
		0: true, CodeLasts - time.Microsecond: true, CodeLasts: false, time.Hour: false,
		-time.Second: true, -CodeLasts: false, -time.Hour: false, // the clock of another process, and one that was set back
	} {
		if c.Lives(made.Add(after)) != want {
			t.Errorf("after %v: %v", after, !want)
		}
	}
	c.Expires = time.Time{}
	if c.Lives(made) {
		t.Error("one that was ended lives")
	}
}

func TestCovers(t *testing.T) {
	a := AgreedTo{Scope: []string{"openid", "read"}, As: "x"}
	for _, c := range []struct {
		scope []string
		as    string
		want  bool
	}{
		{nil, "x", true},
		{[]string{"read"}, "x", true},
		{[]string{"read", "openid"}, "x", true},
		{[]string{"read", "write"}, "x", false},
		{[]string{"rea"}, "x", false},
		{[]string{"read"}, "y", false},
		{nil, "", false},
	} {
		if a.Covers(c.scope, c.as) != c.want {
			t.Errorf("%q as %q: %v", c.scope, c.as, !c.want)
		}
	}
}

// FuzzParseCode: there is one way to write a code.
func FuzzParseCode(f *testing.F) {
	text := "dwc_" + secret.Base62(make([]byte, 32))
	for _, s := range []string{text + secret.Checksum(text), "", "dwc_", text, strings.ToUpper(text)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bodies := []string{s}
		if n := len(codePrefix) + secret.Width62(32); len(s) >= n { // with the right checksum more of them come through
			bodies = append(bodies, s[:n]+secret.Checksum(s[:n]))
		}
		for _, s := range bodies {
			hash, ok := ParseCode(s)
			if !ok {
				continue
			}
			raw, err := secret.ParseBase62(s[len(codePrefix):len(s)-secret.ChecksumWidth], 32)
			if body := codePrefix + secret.Base62(raw); err != nil || body+secret.Checksum(body) != s || hash != secret.HashOf(raw) || slices.Max([]byte(s)) > 'z' {
				t.Errorf("%q is read, and written %q, %v", s, body, err)
			}
		}
	})
}
