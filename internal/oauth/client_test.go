package oauth

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func header(plain string) []string {
	return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(plain))}
}

func TestParseCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		header []string
		body   string
		want   Credentials // without its secret
		secret string
	}{
		"in the header":              {header("a:s"), "", Credentials{ID: "a", Method: Basic}, "s"},
		"encoded":                    {header("a%3Ab:s%25+%3A"), "", Credentials{ID: "a:b", Method: Basic}, "s% :"},
		"a colon in the secret":      {header("a:s:t"), "", Credentials{ID: "a", Method: Basic}, "s:t"},
		"any case of the scheme":     {[]string{"bASIC " + header("a:s")[0][6:]}, "", Credentials{ID: "a", Method: Basic}, "s"},
		"the same client in both":    {header("a:s"), "client_id=a", Credentials{ID: "a", Method: Basic}, "s"},
		"in the body":                {nil, "client_id=a&client_secret=s", Credentials{ID: "a", Method: Post}, "s"},
		"nobody's secret":            {nil, "client_id=a", Credentials{ID: "a", Method: NoAuth}, ""},
		"an empty secret is omitted": {nil, "client_id=a&client_secret=", Credentials{ID: "a", Method: NoAuth}, ""},
	} {
		p, err := ParseForm(tt.body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCredentials(tt.header, p)
		if err != nil || got.ID != tt.want.ID || got.Method != tt.want.Method || got.Secret.Reveal() != tt.secret {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, tt := range map[string]struct {
		header []string
		body   string
		code   Code
		basic  bool // it is answered with the scheme
	}{
		"nothing":                 {nil, "", InvalidClient, false},
		"a secret of nobody":      {nil, "client_secret=s", InvalidClient, false},
		"an assertion":            {nil, "client_id=a&client_assertion=x&client_assertion_type=y", InvalidClient, false},
		"a bearer token":          {[]string{"Bearer x"}, "", InvalidClient, true},
		"no scheme":               {[]string{"YTpz"}, "", InvalidClient, true},
		"an empty header":         {[]string{""}, "client_id=a", InvalidClient, true},
		"no base64":               {[]string{"Basic a:s"}, "", InvalidClient, true},
		"base64 for addresses":    {[]string{"Basic " + base64.URLEncoding.EncodeToString([]byte("a:\xff\xfe\xfb"))}, "", InvalidClient, true},
		"base64 without its end":  {[]string{strings.TrimRight(header("ab:s")[0], "=")}, "", InvalidClient, true},
		"bits that say nothing":   {[]string{"Basic YTpzc3Q="[:len("Basic YTpzc3Q=")-2] + "R="}, "", InvalidClient, true},
		"no colon":                {header("as"), "", InvalidClient, true},
		"no id":                   {header(":s"), "", InvalidClient, true},
		"no secret":               {header("a:"), "", InvalidClient, true},
		"a bad escape":            {header("a:%zz"), "", InvalidClient, true},
		"a bad escape in the id":  {header("%2:s"), "", InvalidClient, true},
		"NUL":                     {header("a:%00"), "", InvalidClient, true},
		"NUL in the id":           {header("a\x00:s"), "", InvalidClient, true},
		"not UTF-8":               {header("a:%ff"), "", InvalidClient, true},
		"two headers":             {[]string{header("a:s")[0], header("a:s")[0]}, "", InvalidRequest, false},
		"header and body":         {header("a:s"), "client_secret=s", InvalidRequest, false},
		"header and another's id": {header("a:s"), "client_id=b", InvalidRequest, false},
		"header and assertion":    {header("a:s"), "client_assertion=x", InvalidRequest, false},
		"secret and assertion":    {nil, "client_id=a&client_secret=s&client_assertion=x", InvalidRequest, false},
		"secret and its type":     {nil, "client_id=a&client_secret=s&client_assertion_type=x", InvalidRequest, false},
	} {
		p, err := ParseForm(tt.body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCredentials(tt.header, p)
		var e *Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Basic != tt.basic || got.ID != "" || !got.Secret.IsZero() {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, tt.code)
		}
	}
}

// FuzzParseCredentials: what is read of a header is what a client would write there,
// and beside it there is no second credential.
func FuzzParseCredentials(f *testing.F) {
	f.Add(header("a:s")[0], "")
	f.Add("Basic", "client_id=a&client_secret=s")
	f.Fuzz(func(t *testing.T, value, body string) {
		p, err := ParseForm(body)
		if err != nil {
			return
		}
		for _, headers := range [][]string{nil, {value}, {value, value}, header(value)} {
			c, err := ParseCredentials(headers, p)
			var e *Error
			if err != nil {
				if !errors.As(err, &e) || e.Code != InvalidClient && e.Code != InvalidRequest || c.ID != "" || !c.Secret.IsZero() {
					t.Fatalf("%q: %+v, %v", headers, c, err)
				}
				continue
			}
			hidden := c.Secret.Reveal()
			given := p.Get("client_secret") != "" || p.Get("client_assertion")+p.Get("client_assertion_type") != ""
			switch {
			case c.ID == "" || (hidden == "") != (c.Method == NoAuth) || len(headers) > 1 || (len(headers) == 1) != (c.Method == Basic):
				t.Fatalf("%q: %+v is read", headers, c)
			case c.Method == Basic && (given || p.Get("client_id") != "" && p.Get("client_id") != c.ID):
				t.Fatalf("%q: %+v is read beside %q", headers, c, body)
			case c.Method != Basic:
				continue
			}
			again, err := ParseCredentials(header(url.QueryEscape(c.ID)+":"+url.QueryEscape(hidden)), p)
			if err != nil || again.ID != c.ID || again.Secret.Reveal() != hidden || !utf8.ValidString(c.ID+hidden) || strings.Contains(c.ID+hidden, "\x00") {
				t.Fatalf("%q is read as %q, %q, and that as %q, %q, %v", headers, c.ID, hidden, again.ID, again.Secret.Reveal(), err)
			}
		}
	})
}

func TestCheckResource(t *testing.T) {
	for _, good := range []string{
		"https://api.example", "https://api.example/", "https://api.example:8443/v1?x=y", "http://127.0.0.1:8080", "http://[::1]:1", "urn:example:api", "https://api.example/a/b..c",
		"https://api.example/" + strings.Repeat("a", longestResource-len("https://api.example/")),
	} {
		if err := CheckResource(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "api", "/api", "//api.example", "https:", "https://", "https:///x", "https:api.example", "https://api.example#", "https://api.example/#x", "https://user@api.example", "https://u:p@api.example",
		"https://API.example", "HTTPS://api.example", "Urn:example", "ftp://api.example", "javascript:alert(1)", "data:text/plain,x", "https://api.example/../x", "https://api.example/./x", "https://api.example/%2e%2E/x",
		"https://api.example/..", "https://api.example/a b", "https://api.example/\n", "https://api.example/\x00", "https://api.example/é", "https://é.example", "https://api.example:x", "https://api.example/%zz",
		`https://api.example\x`, "https://api.example/\x7f", " https://api.example", "https://api.example ", `urn:"`, "urn:a%zz", "https://api.example/?%", "https://api.example/?{x}", "urn:a|b", "https://" + strings.Repeat("a", longestResource),
	} {
		var e *Error
		if err := CheckResource(bad); !errors.As(err, &e) || e.Code != InvalidTarget {
			t.Errorf("%.60q: %v, want invalid_target", bad, err)
		}
	}
}

// FuzzCheckResource: what passes is an absolute URI as it would be written, and names
// neither a user nor a place within a document.
func FuzzCheckResource(f *testing.F) {
	f.Add("https://api.example/v1")
	f.Fuzz(func(t *testing.T, s string) {
		if err := CheckResource(s); err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Code != InvalidTarget {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.String() != s || !u.IsAbs() || u.User != nil || u.Host != strings.ToLower(u.Host) || strings.ContainsAny(s, "#\r\n\t \"\\") || len(s) > longestResource {
			t.Errorf("%q passed: %+v, %v", s, u, err)
			return
		}
		for segment := range strings.SplitSeq(u.Path, "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q passed, and leads elsewhere", s)
			}
		}
	})
}
