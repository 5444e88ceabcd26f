package main

import (
	"bytes"
	"testing"
	"time"
	"unicode"

	"github.com/doorward/doorward/guard"
)

// Whatever a token says, what is printed of it moves no cursor, and the part
// that proves it is not among it.
func FuzzDecoded(f *testing.F) {
	for _, seed := range []string{
		"", "..", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",
		"eyJraWQiOiJcdTAwMWJbMkoifQ.eyJhdWQiOlsxLCJhIl0sImV4cCI6MWU5OTksIm5iZiI6Ii0ifQ.c2ln", "bnVsbA.W10.", "e30.e30.e30",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, format := range []format{asTable, asJSON} {
			v := decoded(token)
			for _, reason := range []error{guard.ErrExpired, guard.ErrNotYetValid, guard.ErrIssuer, guard.ErrAudience, guard.ErrUnknownKey, nil} {
				v.conclude(reason, "https://auth.example.com", []string{"a"}, []string{"k (active)"}, time.Unix(1_800_000_000, 0))
			}
			var out bytes.Buffer
			p := &program{stdout: &out, output: format}
			if err := p.print(v, v.table()); err != nil {
				t.Fatal(err)
			}
			for _, r := range out.String() {
				if format == asTable && r != '\n' && (!unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Fatalf("%U is printed", r)
				}
			}
		}
	})
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"ana":                "ana",
		"José 日本":            "José 日本",
		"a\x1b[2Jb":          "a\uFFFD[2Jb",
		"a\nb\tc\rd":         "a\uFFFDb\uFFFDc\uFFFDd",
		"a\u202eb":           "a\uFFFDb",
		"a\u009b2Jb":         "a\uFFFD2Jb",
		"a\u2066b":           "a\uFFFDb",
		"bad \xff utf8":      "bad \uFFFD utf8",
		"zero\u200bwidth":    "zero\uFFFDwidth",
		"line\u2028separate": "line\uFFFDseparate",
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) = %q, want %q", in, got, want)
		}
	}
}
