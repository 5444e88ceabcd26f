package oauth

import (
	"net/url"
	"strings"
	"testing"
)

func TestCheckRedirectURI(t *testing.T) {
	for _, c := range []struct {
		uri         string
		web, native bool
	}{
		{"https://client.example/cb", true, true},
		{"https://client.example", true, true},
		{"https://client.example:8443/cb?tenant=a%26b", true, true},
		{"https://xn--bcher-kva.example/cb", true, true},
		{"https://client_dev.example/cb", true, true},
		{"http://127.0.0.1/cb", true, true},
		{"http://127.0.0.1:8080/cb", true, true},
		{"http://[::1]/cb", true, true},
		{"http://localhost:3000/cb", true, true},
		{"com.example.app:/cb", false, true},
		{"com.example.app://cb", false, true},
		{"com.example-1.app:/", false, true},

		{"", false, false},
		{"/cb", false, false},
		{"//client.example/cb", false, false},
		{"client.example/cb", false, false},
		{"https:/cb", false, false},
		{"https:cb", false, false},
		{"https:///cb", false, false},
		{"https://:443/cb", false, false},
		{"https://client.example:/cb", false, false},
		{"https://client.example/cb#", false, false},
		{"https://client.example/cb#x", false, false},
		{"https://user@client.example/cb", false, false},
		{"https://user:pw@client.example/cb", false, false},
		{"https://@client.example/cb", false, false},
		{"https://*.client.example/cb", false, false},
		{"https://client.example/*", false, false},
		{"https://CLIENT.example/cb", false, false},
		{"HTTPS://client.example/cb", false, false},
		{"https://client.example/cb ", false, false},
		{" https://client.example/cb", false, false},
		{"https://client.example/c b", false, false},
		{"https://client.example/cb\n", false, false},
		{"https://client.example/cb\x00", false, false},
		{"https://client.example/cé", false, false},
		{"https://clíent.example/cb", false, false},
		{`https://client.example\@evil.example/cb`, false, false},
		{"https://client.example/cb<script>", false, false},
		{"https://client.example/%zz", false, false},
		{"https://client.example;sandbox/cb", false, false}, // it would end a directive of a page's policy
		{"https://client.example,x/cb", false, false},
		{"https://client.example'x/cb", false, false},
		{"https://[::1%25lo]/cb", false, false},
		{"http://client.example/cb", false, false},
		{"http://127.0.0.2/cb", false, false},
		{"http://127.1/cb", false, false},
		{"http://0.0.0.0/cb", false, false},
		{"http://[::ffff:127.0.0.1]/cb", false, false},
		{"http://localhost.evil.example/cb", false, false},
		{"http://127.0.0.1.evil.example/cb", false, false},
		{"javascript:alert(1)", false, false},
		{"data:text/html,x", false, false},
		{"file:///etc/passwd", false, false},
		{"myapp:/cb", false, false},
		{"myapp://cb", false, false},
		{"com.example.app:cb", false, false},
		{"com.example.app:javascript:alert(1)", false, false},
		{"COM.example.app:/cb", false, false},
		{"urn:ietf:wg:oauth:2.0:oob", false, false},
		{"about:blank", false, false},
		{"https://client.example/" + strings.Repeat("a", 2048), false, false},
	} {
		for native, want := range map[bool]bool{false: c.web, true: c.native} {
			if err := CheckRedirectURI(c.uri, native); (err == nil) != want {
				t.Errorf("%.80q, native %v: %v", c.uri, native, err)
			}
		}
	}
	for _, name := range reserved {
		for _, query := range []string{name + "=x", name, "a=1&" + name + "=x", strings.Replace(url.QueryEscape(name), name[:1], "%"+hex(name[0]), 1) + "=x"} {
			if CheckRedirectURI("https://client.example/cb?"+query, false) == nil {
				t.Errorf("?%s is taken", query)
			}
		}
	}
}

func hex(c byte) string { return string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]) }

func TestMatchRedirectURI(t *testing.T) {
	one := []string{"https://client.example/cb"}
	two := []string{one[0], "https://client.example/other?a=1"}
	desk := []string{"http://127.0.0.1/cb", "http://[::1]:9/cb", "com.example.app:/cb", "http://localhost/cb"}
	for _, c := range []struct {
		registered []string
		asked      string
		native     bool
		want       string // empty: refused
	}{
		{one, "https://client.example/cb", false, "https://client.example/cb"},
		{two, "https://client.example/other?a=1", false, "https://client.example/other?a=1"},
		{one, "", false, "https://client.example/cb"},
		{two, "", false, ""},
		{nil, "", false, ""},
		{nil, "https://client.example/cb", false, ""},
		{one, "https://client.example/cb/", false, ""},
		{one, "https://client.example/cb?", false, ""},
		{one, "https://client.example:443/cb", true, ""},
		{two, "https://client.example/other?a=2", false, ""},

		{desk, "http://127.0.0.1:51004/cb", true, "http://127.0.0.1:51004/cb"},
		{desk, "http://127.0.0.1/cb", false, "http://127.0.0.1/cb"},
		{desk, "http://127.0.0.1:51004/cb", false, ""},
		{desk, "http://[::1]:51004/cb", true, "http://[::1]:51004/cb"},
		{desk, "http://[::1]/cb", true, "http://[::1]/cb"},
		{desk, "com.example.app:/cb", true, "com.example.app:/cb"},
		{desk, "com.example.app:/cb2", true, ""},
		{desk, "http://127.0.0.1:51004/cb/", true, ""},
		{desk, "http://127.0.0.1:51004/cb?x", true, ""},
		{desk, "http://127.0.0.1:51004/%63b", true, ""},
		{desk, "http://127.0.0.1:/cb", true, ""},
		{desk, "http://127.0.0.1:65536/cb", true, ""},
		{desk, "http://127.0.0.1:-1/cb", true, ""},
		{desk, "http://localhost:51004/cb", true, ""},
		{desk, "https://127.0.0.1:51004/cb", true, ""},
		{desk, "http://127.0.0.1:80@evil.example/cb", true, ""},
		{desk, "http://127.0.0.1.evil.example/cb", true, ""},
		{desk, "http://127.0.0.1:51004/cb#", true, ""},
		{desk, "http://[::ffff:127.0.0.1]:80/cb", true, ""},
	} {
		got, ok := MatchRedirectURI(c.registered, c.asked, c.native)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q, native %v, of %q: %q, %v; want %q", c.asked, c.native, c.registered, got, ok, c.want)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct{ uri, origin, source, location string }{
		{"https://client.example/cb", "https://client.example", "https://client.example", "https://client.example/cb?code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
		{"https://client.example:8443/cb?a=1", "https://client.example:8443", "https://client.example:8443", "https://client.example:8443/cb?a=1&code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
		{"https://client.example/cb?", "https://client.example", "https://client.example", "https://client.example/cb?code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
		{"https://client.example/cb?a&", "https://client.example", "https://client.example", "https://client.example/cb?a&code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
		{"https://client.example/cb?a?", "https://client.example", "https://client.example", "https://client.example/cb?a?&code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
		{"http://[::1]:9/cb", "http://[::1]:9", "http:", "http://[::1]:9/cb?code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
		{"com.example.app:/cb", "com.example.app:", "com.example.app:", "com.example.app:/cb?code=c%26&state=a%0D%0Ab&iss=https%3A%2F%2Fauth.example"},
	} {
		target := NewTarget(c.uri, Query, "a\r\nb", "https://auth.example")
		if got := target.Location(target.Code("c&")); got != c.location || target.Origin() != c.origin || target.Source() != c.source {
			t.Errorf("%s: %s %s %s", c.uri, got, target.Origin(), target.Source())
		}
	}
	bare := NewTarget("https://client.example/cb", Query, "", "https://auth.example")
	if got := bare.Location(bare.Refuse(&Error{Code: AccessDenied, Description: "no & no"})); got != "https://client.example/cb?error=access_denied&error_description=no+%26+no&iss=https%3A%2F%2Fauth.example" {
		t.Errorf("a refusal: %s", got)
	}
}

// FuzzRedirectURI: what can be registered is found again byte by byte and by nothing
// else, and takes no parameter or header along.
func FuzzRedirectURI(f *testing.F) {
	for _, s := range []string{"https://client.example/cb?a=1", "http://127.0.0.1:80/cb", "com.example.app:/cb", "http://[::1]/"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, uri, asked string) {
		for _, native := range []bool{false, true} {
			if CheckRedirectURI(uri, native) != nil {
				continue
			}
			if got, ok := MatchRedirectURI([]string{uri}, uri, native); !ok || got != uri {
				t.Errorf("%q does not match itself", uri)
			}
			if got, ok := MatchRedirectURI([]string{uri}, asked, native); ok && asked != "" && asked != uri {
				a, errA := url.Parse(asked)
				r, errR := url.Parse(uri)
				if errA != nil || errR != nil || !native || got != asked || a.Scheme != "http" || a.Hostname() != r.Hostname() || !loopback(a.Hostname()) || a.RequestURI() != r.RequestURI() {
					t.Errorf("%q is taken for %q", asked, uri)
				}
			}
			target := NewTarget(uri, Query, "s\r\n&code=evil#", "https://auth.example")
			place := target.Location(target.Code("c"))
			u, err := url.Parse(place)
			if err != nil || strings.ContainsAny(place, "\r\n #") || !strings.HasPrefix(place, uri) {
				t.Fatalf("%q leads to %q, %v", uri, place, err)
			}
			if v := u.Query(); len(v["code"]) != 1 || v.Get("code") != "c" || v.Get("state") != "s\r\n&code=evil#" || len(v["iss"]) != 1 {
				t.Errorf("%q leads to %q", uri, place)
			}
			if strings.ContainsAny(target.Source(), ";, '\"") {
				t.Errorf("%q in a policy is %q", uri, target.Source())
			}
		}
	})
}
