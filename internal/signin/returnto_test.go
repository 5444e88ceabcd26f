package signin

import (
	"net/url"
	"strings"
	"testing"
)

func TestReturnTo(t *testing.T) {
	for _, place := range []string{
		"/account", "/", "/oauth2/authorize?client_id=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=a.b-c_d~e", "/a?b=//c", "/a?b=%2F%2Fevil.example", "/a.b/c-d_e",
	} {
		if got := returnTo(place); got != place {
			t.Errorf("%q: %q", place, got)
		}
	}
	for _, place := range []string{
		"", "account", "?x", "//evil.example", `/\evil.example`, `\/evil.example`, "/%09/evil.example", "/%5cevil.example", "https://evil.example", "https:evil.example",
		"javascript:alert(1)", "/ok\r\nX: y", "///evil.example", "/.//evil.example", `http:\\evil`, "/\t/evil.example", "@evil.example", ".evil.example",
		"/a?b=c\r\nX: y", "/a?b=c d", "/a?\\evil", "/a#b", "/a?b#//evil.example", "/../evil", "/a/./b", "/a;b", "/a?<script>", `/a?"`, "/ä", "/a?ä", "/a?\x00", "/a\x7f", " /a", "/a?" + strings.Repeat("b", 4096),
	} {
		if got := returnTo(place); got != home {
			t.Errorf("%q: %q", place, got)
		}
	}
}

// Wherever it leads, a browser stays on the site.
func FuzzReturnTo(f *testing.F) {
	for _, place := range []string{"/account", "//evil.example", `/\evil.example`, "/%09/evil.example", "/a?b=c#d", "/a\r\nX: y", "/.//e", "\t//evil.example"} {
		f.Add(place)
	}
	site, err := url.Parse("https://auth.example")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, place string) {
		got := returnTo(place)
		if got != place && got != home {
			t.Fatalf("%q became %q", place, got)
		}
		to, err := site.Parse(got)
		if err != nil || to.Host != site.Host || to.Scheme != site.Scheme || to.User != nil || strings.ContainsAny(got, "\\\r\n\t \x00") || strings.HasPrefix(got, "//") {
			t.Errorf("%q leads to %v, %v", place, to, err)
		}
	})
}
