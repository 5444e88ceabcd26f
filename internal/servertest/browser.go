package servertest

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Browser keeps the cookies that a site gives it, and says where its requests
// come from as browsers do (Fetch Metadata).
type Browser struct {
	Site *Site
	Jar  http.CookieJar
	From string // Sec-Fetch-Site; same-origin if empty
}

// Browser returns a browser without cookies.
func (s *Site) Browser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{Site: s, Jar: jar}
}

// Send sends a request with the browser's cookies, and keeps those of the answer.
func (b *Browser) Send(t testing.TB, method, path, contentType, body string, headers ...string) Answer {
	t.Helper()
	u, err := url.Parse(b.Site.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, c := range b.Jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) > 0 {
		headers = append(headers, "Cookie", strings.Join(pairs, "; "))
	}
	from := b.From
	if from == "" {
		from = "same-origin"
	}
	a := b.Site.Send(t, method, path, contentType, body, append(headers, "Sec-Fetch-Site", from)...)
	b.Jar.SetCookies(u, (&http.Response{Header: a.Header}).Cookies())
	return a
}

// Form posts a form of names and values.
func (b *Browser) Form(t testing.TB, path string, pairs ...string) Answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return b.Send(t, http.MethodPost, path, "application/x-www-form-urlencoded", v.Encode())
}

// Login signs in with Password, in cookies.
func (b *Browser) Login(t testing.TB, name string) {
	t.Helper()
	if a := b.Form(t, "/auth/login", "username", name, "password", Password, "mode", "cookie"); a.Status != http.StatusOK {
		t.Fatalf("signing in as %s: %d %s", name, a.Status, a.Body)
	}
}

// Cookie returns what a cookie holds, by its short name; empty if there is none.
func (b *Browser) Cookie(t testing.TB, name string) string {
	t.Helper()
	u, err := url.Parse(b.Site.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == "doorward_"+name {
			return c.Value
		}
	}
	return ""
}

// Copy returns another browser with the same cookies: a thief's.
func (b *Browser) Copy(t testing.TB) *Browser {
	t.Helper()
	c := b.Site.Browser(t)
	u, err := url.Parse(b.Site.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Jar.SetCookies(u, b.Jar.Cookies(u))
	return c
}

// Fields returns the hidden fields of the form on a page that is sent to a path.
func (b *Browser) Fields(t testing.TB, page, does string) url.Values {
	t.Helper()
	a := b.Send(t, http.MethodGet, page, "", "")
	_, form, found := strings.Cut(a.Body, `<form method="post" action="`+does+`"`)
	if !found {
		t.Fatalf("%s has no form for %s: %d %s", page, does, a.Status, a.Body)
	}
	form, _, _ = strings.Cut(form, "</form>")
	fields := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(form, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	return fields
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// Submit fills in the form on a page that is sent to a path, and sends it as the
// browser would. pairs are names and values.
func (b *Browser) Submit(t testing.TB, page, does string, pairs ...string) Answer {
	t.Helper()
	fields := b.Fields(t, page, does)
	for i := 0; i < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	return b.Send(t, http.MethodPost, does, "application/x-www-form-urlencoded", fields.Encode())
}
