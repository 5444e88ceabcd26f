package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

// stage is a site with an application, and a browser whose person agreed to it: who
// finds a hole there gets a code at once.
type stage struct {
	*servertest.Site
	b      *servertest.Browser
	secret string // of the application shop
}

func set(t *testing.T) stage {
	t.Helper()
	return setAt(t, new(steered))
}

// setAt is set for a test that moves the clock.
func setAt(t *testing.T, c *steered) stage {
	t.Helper()
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ana", "editor")
	g := stage{s, s.Browser(t), app(t, s, "shop", nil)}
	g.b.Login(t, "ana")
	code(t, g.b, authorizing("shop"))
	return g
}

// asks sends an authorization request of the person's browser.
func (g stage) asks(t *testing.T, pairs ...string) servertest.Answer {
	t.Helper()
	return g.b.Send(t, http.MethodGet, authorizing("shop", pairs...), "", "")
}

// stays fails the test unless the answer is a page of this server's own: nobody is
// sent anywhere.
func stays(t *testing.T, what string, a servertest.Answer, status int) {
	t.Helper()
	if a.Status != status || a.Header.Get("Location") != "" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%.100s: %d %q %s", what, a.Status, a.Header.Get("Location"), a.Body)
	}
	if h := a.Header; h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%.100s: the page's headers are %v", what, h)
	}
}

// tells fails the test unless the client is told an error, and by whom.
func (g stage) tells(t *testing.T, what string, a servertest.Answer, code string) {
	t.Helper()
	v := answered(t, a)
	if v.Get("error") != code || v.Has("code") || v.Get("iss") != g.URL || v.Get("state") != "xyz" || strings.Contains(a.Header.Get("Location"), "#") {
		t.Errorf("%.100s: %v, want %s", what, v, code)
	}
	for name, values := range v {
		if len(values) > 1 {
			t.Errorf("%.100s: %s comes %d times", what, name, len(values))
		}
	}
}

func TestAttackAZ001NearlyTheRedirectURI(t *testing.T) {
	g := set(t)
	for _, uri := range []string{
		"https://client.example/cb/", "https://client.example/CB", "https://CLIENT.example/cb", "HTTPS://client.example/cb", "https://client.example:443/cb",
		"https://client.example/cb?", "https://client.example/cb?x=1", "https://client.example/cb#", "https://client.example/cb%2f",
		"https://client.example/%63b", "https://client.example/cb/../cb", "https://client.example/cb/..;/evil", "https://client.example/./cb",
		"https://client.example//cb", "https://client.example/cb%00", "https://client.example/cb%0d%0aX:1", "https://client.example/cb\x00", "https://client.example/cb\r\nX: 1",
		" https://client.example/cb", "https://client.example/cb ", "https://client.example.evil.example/cb", "https://client.example@evil.example/cb",
		"https://evil.example/?https://client.example/cb", "//client.example/cb", "/cb", "https:/client.example/cb", `https:\\client.example\cb`,
		"https://client.example/cb\"><script>alert(1)</script>", "https://client。example/cb", callback + "," + callback,
	} {
		a := g.asks(t, "redirect_uri", uri)
		stays(t, uri, a, http.StatusBadRequest)
		if strings.Contains(a.Body, "<script>alert") {
			t.Errorf("%q is on the page: %s", uri, a.Body)
		}
	}
	// Nor is anybody sent there with an error.
	stays(t, "with another error", g.asks(t, "redirect_uri", "https://evil.example/", "response_type", "token"), http.StatusBadRequest)
}

func TestAttackAZ003DangerousSchemes(t *testing.T) {
	g := set(t)
	for _, uri := range []string{
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://x/y",
		"http://client.example/cb", "ftp://client.example/", "about:blank", "intent://x#Intent;end", "urn:ietf:wg:oauth:2.0:oob",
	} {
		for _, kind := range []client.ApplicationType{client.Web, client.Native} {
			d := client.Draft{ID: "bad"}
			d.RedirectURIs, d.ApplicationType = []string{uri}, kind
			if _, _, err := g.Core.Clients.Create(t.Context(), servertest.Operator, d); err == nil {
				t.Fatalf("a %s application is registered with %q", kind, uri)
			}
		}
		stays(t, uri, g.asks(t, "redirect_uri", uri), http.StatusBadRequest)
	}
}

func TestAttackAZ005Loopback(t *testing.T) {
	g := set(t)
	native := func(d *client.Draft) {
		d.Method, d.ApplicationType = oauth.NoAuth, client.Native
		d.RedirectURIs = []string{"http://127.0.0.1/cb", "http://[::1]:7/cb"}
	}
	app(t, g.Site, "desk", native)
	app(t, g.Site, "site", func(d *client.Draft) { native(d); d.ApplicationType = client.Web })
	for _, uri := range []string{"http://127.0.0.1:51004/cb", "http://127.0.0.1/cb", "http://[::1]:51004/cb"} {
		if a := g.b.Send(t, http.MethodGet, authorizing("desk", "redirect_uri", uri), "", ""); !strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
			t.Errorf("%s: %d %s", uri, a.Status, a.Header.Get("Location"))
		}
		if strings.Contains(uri, "51004") {
			stays(t, "a web application at "+uri, g.b.Send(t, http.MethodGet, authorizing("site", "redirect_uri", uri), "", ""), http.StatusBadRequest)
		}
	}
	for _, uri := range []string{
		"http://127.0.0.1:51004/other", "http://localhost:51004/cb", "http://127.1:51004/cb", "http://127.0.0.2:80/cb", "http://0.0.0.0:80/cb",
		"http://[::ffff:127.0.0.1]:80/cb", "https://127.0.0.1:51004/cb", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1:80@evil.example/cb",
		"http://127.0.0.1:51004/cb?x=1", "http://127.0.0.1:51004/cb#", "http://127.0.0.1:/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.1:51004/CB",
		"http://127.0.0.1:51004\\@evil.example/cb", "http://[::1%25lo]:80/cb", "http://2130706433/cb", "http://0177.0.0.1/cb",
	} {
		stays(t, uri, g.b.Send(t, http.MethodGet, authorizing("desk", "redirect_uri", uri), "", ""), http.StatusBadRequest)
	}
}

func TestAttackAZ006ClientIDs(t *testing.T) {
	g := set(t)
	for _, id := range []string{"", "unknown", "' OR 1=1--", "<img src=x>", "https://evil.example/c.json", "shop\x00", "SHOP", " shop", "doorward", strings.Repeat("a", 100<<10)} {
		a := g.asks(t, "client_id", id)
		if a.Status == http.StatusRequestURITooLong || a.Status == http.StatusRequestHeaderFieldsTooLarge {
			continue // it does not come so far
		}
		stays(t, id, a, http.StatusBadRequest)
		if strings.Contains(a.Body, "<img") {
			t.Errorf("%q is on the page: %s", id, a.Body)
		}
	}
	stays(t, "two", g.b.Send(t, http.MethodGet, authorizing("shop")+"&client_id=shop", "", ""), http.StatusBadRequest)
	// What is wrong is said to the person, who can tell the application's owner.
	if a := g.asks(t, "client_id", "unknown"); !strings.Contains(a.Body, "is not known to this server") {
		t.Errorf("the page says: %s", a.Body)
	}
	switchOff(t, g.Site, "shop")
	stays(t, "one that is disabled", g.asks(t), http.StatusBadRequest)
}

func TestAttackAZ009ResponseTypes(t *testing.T) {
	g := set(t)
	for _, kind := range []string{"token", "id_token", "id_token token", "code token", "code id_token", "none", "code code", "CODE", " code"} {
		g.tells(t, kind, g.asks(t, "response_type", kind), "unsupported_response_type")
	}
	g.tells(t, "none at all", g.asks(t, "response_type", ""), "invalid_request")
}

func TestAttackAZ010ResponseModes(t *testing.T) {
	g := set(t)
	for _, mode := range []string{"fragment", "web_message", "query.jwt", "form_post.jwt", "bogus", "QUERY", "query form_post"} {
		g.tells(t, mode, g.asks(t, "response_mode", mode), "invalid_request")
	}
}

// posted returns where a form on a page is sent, and its fields.
func posted(t *testing.T, a servertest.Answer) (place string, v url.Values) {
	t.Helper()
	m := regexp.MustCompile(`<form method="post" action="([^"]*)" id="answer">`).FindStringSubmatch(a.Body)
	if a.Status != http.StatusOK || m == nil {
		t.Fatalf("no form: %d %s", a.Status, a.Body)
	}
	v = url.Values{}
	for _, f := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(a.Body, -1) {
		v.Add(html.UnescapeString(f[1]), html.UnescapeString(f[2]))
	}
	return html.UnescapeString(m[1]), v
}

func TestAttackAZ011FormPost(t *testing.T) {
	g := set(t)
	for _, state := range []string{
		`"><script>alert(1)</script>`, `' onfocus=alert(1) x='`, `</form><form action=//evil>`, "\u2028", strings.Repeat("A", 4096), "{{.}}", "&amp;&#34;", "`${1}`",
	} {
		a := g.asks(t, "response_mode", "form_post", "state", state)
		place, v := posted(t, a)
		if place != callback || v.Get("state") != state || v.Get("code") == "" || v.Get("iss") != g.URL || len(v) != 3 {
			t.Errorf("%q: %s %v", state, place, v)
		}
		if strings.Count(a.Body, "<script") != 1 || strings.Count(a.Body, "<form") != 1 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %s", state, a.Body)
		}
		csp := a.Header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`script-src 'nonce-([^']{16,})'`).FindStringSubmatch(csp)
		if nonce == nil || !strings.Contains(a.Body, `<script nonce="`+html.EscapeString(nonce[1])+`"`) || !strings.Contains(csp, "form-action 'self' https://client.example;") || strings.Contains(csp, "unsafe") {
			t.Errorf("the policy: %s", csp)
		}
	}
	// An error travels the same way.
	if place, v := posted(t, g.asks(t, "response_mode", "form_post", "response_type", "token")); place != callback || v.Get("error") != "unsupported_response_type" || v.Get("iss") != g.URL {
		t.Errorf("an error: %s %v", place, v)
	}
}

func TestAttackAZ012Duplicates(t *testing.T) {
	g := set(t)
	place := authorizing("shop", "nonce", "n", "prompt", "none")
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method", "nonce", "prompt", "request_uri", "request"} {
		first := place
		if !strings.Contains(place, name+"=") {
			first += "&" + name + "=x"
		}
		for _, again := range []string{first + "&" + name + "=evil", first + "&" + name + "=", strings.Replace(first, "?", "?"+name+"=evil&", 1)} {
			a := g.b.Send(t, http.MethodGet, again, "", "")
			if name == "client_id" || name == "redirect_uri" {
				stays(t, again, a, http.StatusBadRequest)
				continue
			}
			if v := answered(t, a); v.Get("error") != "invalid_request" || v.Has("code") || len(v["state"]) > 1 {
				t.Errorf("%s: %v", again, v)
			}
		}
	}
}

func TestAttackAZ013ParametersOfTheAnswer(t *testing.T) {
	g := set(t)
	for _, query := range []string{"code=x", "state=x", "iss=x", "error=x", "response=x", "error_description=x", "%63ode=x", "a=1&code=x", "id_token", "code", "a;code=x"} {
		d := client.Draft{ID: "bad"}
		d.RedirectURIs = []string{callback + "?" + query}
		if _, _, err := g.Core.Clients.Create(t.Context(), servertest.Operator, d); err == nil {
			t.Fatalf("it is registered with %s", query)
		}
	}
	app(t, g.Site, "tenants", func(d *client.Draft) { d.RedirectURIs, d.SkipConsent = []string{callback + "?tenant=a%26b"}, true })
	a := g.b.Send(t, http.MethodGet, authorizing("tenants", "redirect_uri", callback+"?tenant=a%26b"), "", "")
	if v := answered(t, a); v.Get("tenant") != "a&b" || v.Get("code") == "" || len(v) != 4 {
		t.Errorf("a query of its own: %v", v)
	}
}

func TestAttackAZ014State(t *testing.T) {
	g := set(t)
	for _, state := range []string{
		"a&b=c", "a#b", "a+b", "a b", "%0d%0aSet-Cookie:x=1", "\r\nSet-Cookie: x=1", "😀", strings.Repeat("A", 2048), "\x00", "=", "&code=evil&iss=evil", "?", "%", "<script>",
	} {
		a := g.asks(t, "state", state)
		v := answered(t, a)
		if v.Get("state") != state || len(v["code"]) != 1 || v.Get("iss") != g.URL || a.Header.Get("Set-Cookie") != "" || len(v) != 3 {
			t.Errorf("%.60q: %v %v", state, v, a.Header)
		}
	}
	if v := answered(t, g.asks(t, "state", "")); v.Has("state") {
		t.Errorf("none: %v", v)
	}
	stays(t, "one that is no text", g.b.Send(t, http.MethodGet, authorizing("shop", "state", "")+"&state=%ff%fe", "", ""), http.StatusBadRequest)
	stays(t, "one that is too long", g.asks(t, "state", strings.Repeat("A", 17<<10)), http.StatusBadRequest)
}

func TestAttackAZ015WhoAnswers(t *testing.T) {
	g := set(t)
	if v := answered(t, g.asks(t)); v.Get("iss") != g.URL || v.Get("code") == "" {
		t.Errorf("a code: %v", v)
	}
	g.tells(t, "a scope that is not its own", g.asks(t, "scope", "openid users:write"), "invalid_scope")
	g.tells(t, "nothing that the person holds", g.asks(t, "scope", "nothing"), "invalid_scope")
	g.tells(t, "a resource that is not there", g.asks(t, "resource", "https://nowhere.example"), "invalid_target")
	g.tells(t, "a request object", g.asks(t, "request", "x"), "request_not_supported")
	g.tells(t, "a class that there is not", g.asks(t, "claims", `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`), "unmet_authentication_requirements")
	g.tells(t, "claims that are no JSON", g.asks(t, "claims", `{`), "invalid_request")
	g.tells(t, "a refusal", consent(t, g.b, g.asks(t, "prompt", "consent"), "deny"), "access_denied")
	other := g.Browser(t)
	g.tells(t, "nobody", other.Send(t, http.MethodGet, authorizing("shop", "prompt", "none"), "", ""), "login_required")
	var meta map[string]any
	g.Send(t, http.MethodGet, "/.well-known/oauth-authorization-server", "", "").JSON(t, &meta)
	if meta["authorization_response_iss_parameter_supported"] != true || meta["issuer"] != g.URL {
		t.Errorf("the metadata: %v", meta)
	}
}

func TestAttackAZ016Challenges(t *testing.T) {
	g := set(t)
	good := challenge(verifier)
	for _, c := range [][2]string{
		{good, "plain"},
		{good, "S512"},
		{good, "s256"},
		{good, ""},
		{good[:42], "S256"},
		{good + "A", "S256"},
		{good + "=", "S256"},
		{strings.Repeat("A", 129), "S256"},
		{strings.Repeat("!", 43), "S256"},
		{"", "S256"},
		{strings.NewReplacer("-", "+", "_", "/").Replace("-_" + good[2:]), "S256"},
		{"", ""},
	} {
		g.tells(t, c[0]+" by "+c[1], g.asks(t, "code_challenge", c[0], "code_challenge_method", c[1]), "invalid_request")
	}
}

// A browser never sends a password on to another place (RFC 9700, Section 4.12).
func TestAttackAZ017SeeOther(t *testing.T) {
	g := set(t)
	b := g.Browser(t)
	door := b.Send(t, http.MethodGet, authorizing("shop", "prompt", "consent"), "", "").Header.Get("Location")
	a := b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password)
	if place := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !strings.HasPrefix(place, "/oauth2/authorize/") {
		t.Fatalf("after the password: %d %s", a.Status, place)
	}
	page := b.Send(t, http.MethodGet, a.Header.Get("Location"), "", "").Header.Get("Location")
	a = b.Submit(t, page, page, "decision", "allow")
	if a.Status != http.StatusSeeOther {
		t.Errorf("after the consent: %d", a.Status)
	}
	_, query, _ := strings.Cut(authorizing("shop"), "?")
	a = g.Send(t, http.MethodPost, "/oauth2/authorize", formType, query, "Sec-Fetch-Site", "cross-site", "Origin", "https://client.example")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/oauth2/authorize/") {
		t.Errorf("a request by POST: %d %s %s", a.Status, a.Header.Get("Location"), a.Body)
	}
}

// Who signs in with another's link signs nobody else in.
func TestAttackAZ020Fixation(t *testing.T) {
	g := set(t)
	evil := g.Browser(t)
	door := evil.Send(t, http.MethodGet, authorizing("shop"), "", "").Header.Get("Location")
	resume := strings.TrimPrefix(door, "/signin?return_to=")
	victim := g.Browser(t)
	if page := victim.Send(t, http.MethodGet, door, "", ""); strings.Contains(page.Body, "The shop") {
		t.Errorf("another browser is told of it: %s", page.Body)
	}
	a := victim.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password)
	stays(t, "the victim", follow(t, victim, a), http.StatusNotFound)
	stays(t, "the victim at the consent", victim.Send(t, http.MethodGet, strings.Replace(resume, "/oauth2/authorize/", "/consent/", 1), "", ""), http.StatusNotFound)
	if a := evil.Send(t, http.MethodGet, resume, "", ""); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/signin?") {
		t.Errorf("who began: %d %s", a.Status, a.Header.Get("Location"))
	}
	for _, id := range []string{"", "x", strings.Repeat("0", 22), "..%2f", strings.Repeat("9", 5000)} {
		if a := evil.Send(t, http.MethodGet, "/oauth2/authorize/"+id, "", ""); a.Status != http.StatusNotFound {
			t.Errorf("%.30s: %d", id, a.Status)
		}
	}
}

func TestAttackAZ023NamesOnTheConsentPage(t *testing.T) {
	g := set(t)
	for id, name := range map[string]string{"tag": "<b>x</b>", "turned": "\u202etxt.exe", "zero": "Goo\u200bgle", "google": "Google", "template": "{{.}}", "amp": `&quot;"'`} {
		d := client.Draft{ID: id, Name: name, Scopes: []string{"read"}}
		d.RedirectURIs = []string{callback}
		if _, _, err := g.Core.Clients.Create(t.Context(), servertest.Operator, d); err != nil {
			continue // such a name cannot be registered
		}
		page := g.b.Send(t, http.MethodGet, g.b.Send(t, http.MethodGet, authorizing(id), "", "").Header.Get("Location"), "", "")
		if page.Status != http.StatusOK || strings.Contains(page.Body, "<b>x") || strings.ContainsAny(page.Body, "\u202e\u200b") {
			t.Errorf("%q: %d %s", name, page.Status, page.Body)
		}
		if !strings.Contains(page.Body, `<b id="host">client.example</b>`) || !strings.Contains(page.Body, "Nobody here has checked") {
			t.Errorf("%q: neither where it goes nor that nobody vouches: %s", name, page.Body)
		}
		stays(t, name, page, http.StatusOK)
	}
	d := client.Draft{ID: "long", Name: strings.Repeat("A", 10240)}
	d.RedirectURIs = []string{callback}
	if _, _, err := g.Core.Clients.Create(t.Context(), servertest.Operator, d); err == nil {
		t.Error("a name of 10 KiB is registered")
	}
}

func TestAttackAZ024PromptNone(t *testing.T) {
	g := set(t)
	b := g.Browser(t)
	silently := func(pairs ...string) servertest.Answer {
		return b.Send(t, http.MethodGet, authorizing("shop", append([]string{"prompt", "none"}, pairs...)...), "", "")
	}
	a := silently()
	g.tells(t, "nobody", a, "login_required")
	if len(a.Header["Set-Cookie"]) > 0 {
		t.Errorf("cookies changed: %v", a.Header["Set-Cookie"])
	}
	g.User(t, "bob", "editor")
	b.Login(t, "bob")
	g.tells(t, "who did not agree", silently(), "consent_required")
	g.tells(t, "too old a sign-in", silently("max_age", "0"), "login_required")
	for _, mixed := range []string{"none login", "none consent", "none none", "none select_account", "bogus", "NONE"} {
		g.tells(t, mixed, silently("prompt", mixed), "invalid_request")
	}
	// By POST it is the same, once the browser is there with its cookies.
	_, query, _ := strings.Cut(authorizing("shop", "prompt", "none"), "?")
	g.tells(t, "by POST", follow(t, b, b.Send(t, http.MethodPost, "/oauth2/authorize", formType, query)), "consent_required")
}

func TestAttackAZ026MaxAge(t *testing.T) {
	t.Parallel()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ana", "editor")
	g := stage{s, s.Browser(t), app(t, s, "shop", nil)}
	g.b.Login(t, "ana")
	code(t, g.b, authorizing("shop"))
	for _, age := range []string{"-1", "abc", "1e30", "+1", "0x1", " 1", "1.5"} {
		g.tells(t, age, g.asks(t, "max_age", age), "invalid_request")
	}
	if v := answered(t, g.asks(t, "max_age", "99999999999999999999")); v.Get("code") == "" {
		t.Errorf("no age at all: %v", v)
	}
	c.pass(61e9)
	if v := answered(t, g.asks(t, "max_age", "3600")); v.Get("code") == "" {
		t.Errorf("an hour: %v", v)
	}
	for _, pairs := range [][]string{{"max_age", "60"}, {"max_age", "0"}, {"prompt", "login"}} {
		a := g.asks(t, pairs...)
		door := a.Header.Get("Location")
		if !strings.HasPrefix(door, "/signin?return_to=") {
			t.Fatalf("%v: %d %s", pairs, a.Status, door)
		}
		// To come back without a sign-in leads to it again.
		resume := strings.TrimPrefix(door, "/signin?return_to=")
		if a = g.b.Send(t, http.MethodGet, resume, "", ""); a.Header.Get("Location") != door {
			t.Errorf("%v, without a sign-in: %d %s", pairs, a.Status, a.Header.Get("Location"))
		}
		page := strings.Replace(resume, "/oauth2/authorize/", "/consent/", 1)
		if a = g.b.Submit(t, page, page, "decision", "allow"); a.Header.Get("Location") != resume {
			t.Errorf("%v, with a consent in the place of a sign-in: %d %s", pairs, a.Status, a.Header.Get("Location"))
		}
		if a = g.b.Send(t, http.MethodGet, resume, "", ""); a.Header.Get("Location") != door {
			t.Errorf("%v, after that consent: %d %s", pairs, a.Status, a.Header.Get("Location"))
		}
		v := answered(t, follow(t, g.b, g.b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password)))
		var tokens granted
		redeem(t, s, "shop", g.secret, v.Get("code")).JSON(t, &tokens)
		first := payload(t, tokens.ID)["auth_time"]
		c.pass(61e9)
		a = s.Send(t, http.MethodPost, "/oauth2/token", formType, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}}.Encode(), basicOf("shop:"+g.secret)...)
		a.JSON(t, &tokens)
		if then := payload(t, tokens.ID)["auth_time"]; then != first || first == nil {
			t.Errorf("a refresh was taken for a sign-in: %v, then %v", first, then)
		}
	}
}

// No script of another origin reads what is answered here.
func TestAttackAZ035CORS(t *testing.T) {
	g := set(t)
	for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost} {
		for _, path := range []string{authorizing("shop"), "/oauth2/authorize/x", "/consent/x"} {
			a := g.Send(t, method, path, "", "", "Origin", "https://client.example", "Access-Control-Request-Method", "GET")
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s", method, path, name)
				}
			}
		}
	}
}

func TestAttackAZ037Steps(t *testing.T) {
	g := set(t)
	b := g.Browser(t)
	door := b.Send(t, http.MethodGet, authorizing("shop", "prompt", "login consent"), "", "").Header.Get("Location")
	resume := strings.TrimPrefix(door, "/signin?return_to=")
	page := strings.Replace(resume, "/oauth2/authorize/", "/consent/", 1)
	// To consent before a sign-in.
	if a := b.Send(t, http.MethodGet, page, "", ""); a.Header.Get("Location") != resume {
		t.Errorf("the page without a sign-in: %d %s", a.Status, a.Header.Get("Location"))
	}
	b.Send(t, http.MethodGet, "/signin", "", "")
	if a := b.Form(t, page, "decision", "allow", "form", "1.x"); a.Header.Get("Location") != resume {
		t.Errorf("a consent without a sign-in: %d %s", a.Status, a.Header.Get("Location"))
	}
	// A consent that nobody was shown, and one that another site sends.
	a := b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password)
	if a = b.Send(t, http.MethodGet, a.Header.Get("Location"), "", ""); a.Header.Get("Location") != page {
		t.Fatalf("after the sign-in: %d %s", a.Status, a.Header.Get("Location"))
	}
	stays(t, "a form without its token", b.Form(t, page, "decision", "allow"), http.StatusForbidden)
	fields := b.Fields(t, page, page)
	fields.Set("decision", "allow")
	cross := *b
	cross.From = "cross-site"
	stays(t, "another site's form", cross.Send(t, http.MethodPost, page, formType, fields.Encode()), http.StatusForbidden)
	for _, decision := range []string{"", "ALLOW", "yes"} {
		fields.Set("decision", decision)
		stays(t, "the decision "+decision, b.Send(t, http.MethodPost, page, formType, fields.Encode()), http.StatusBadRequest)
	}
	// What is not asked yet is not answered.
	fields.Set("decision", "chosen")
	if a = b.Send(t, http.MethodPost, page, formType, fields.Encode()); a.Header.Get("Location") != resume {
		t.Errorf("a choice that was not offered: %d %s", a.Status, a.Header.Get("Location"))
	}
	if a = b.Send(t, http.MethodGet, resume, "", ""); a.Header.Get("Location") != page {
		t.Errorf("after all that: %d %s", a.Status, a.Header.Get("Location"))
	}
	fields.Set("decision", "allow")
	if v := answered(t, follow(t, b, b.Send(t, http.MethodPost, page, formType, fields.Encode()))); v.Get("code") == "" {
		t.Errorf("the good one: %v", v)
	}
	// Once more: it is answered, and over.
	stays(t, "a second submit", b.Send(t, http.MethodPost, page, formType, fields.Encode()), http.StatusNotFound)
	stays(t, "going on again", b.Send(t, http.MethodGet, resume, "", ""), http.StatusNotFound)
}

func TestAttackAZ038RememberedConsent(t *testing.T) {
	g := set(t)
	asked := func(what string, a servertest.Answer) {
		t.Helper()
		if !strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
			t.Errorf("%s: %d %s", what, a.Status, a.Header.Get("Location"))
		}
	}
	asked("a scope more", g.asks(t, "scope", "openid read write"))
	asked("an identity scope more", g.asks(t, "scope", "openid read email"))
	asked("a stay past the session", g.asks(t, "scope", "openid read offline_access"))
	if v := answered(t, g.asks(t, "scope", "openid")); v.Get("code") == "" {
		t.Errorf("a scope less: %v", v)
	}
	for what, change := range map[string]func(*client.Client){
		"another name":          func(c *client.Client) { c.Name = "Your bank" },
		"another place to go":   func(c *client.Client) { c.RedirectURIs = append(c.RedirectURIs, "https://evil.example/cb") },
		"the first place again": func(c *client.Client) { c.Name, c.RedirectURIs = "The shop", []string{callback} },
	} {
		if what == "the first place again" {
			continue
		}
		before, err := g.Core.Clients.Fresh(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		c := before
		c.RedirectURIs = slices.Clone(c.RedirectURIs)
		change(&c)
		if c, err = g.Core.Clients.Update(t.Context(), servertest.Operator, c); err != nil {
			t.Fatal(err)
		}
		asked(what, g.asks(t))
		before.Version = c.Version
		if _, err = g.Core.Clients.Update(t.Context(), servertest.Operator, before); err != nil {
			t.Fatal(err)
		}
	}
	// Anybody's program can say that it is one on somebody's device.
	for id, uri := range map[string]string{"own-scheme": "com.example.app:/cb", "loopback": "http://127.0.0.1/cb"} {
		app(t, g.Site, id, func(d *client.Draft) {
			d.Method, d.ApplicationType, d.RedirectURIs = oauth.NoAuth, client.Native, []string{uri}
		})
		place := authorizing(id, "redirect_uri", uri)
		a := g.b.Send(t, http.MethodGet, place, "", "")
		asked(id, a)
		page := a.Header.Get("Location")
		if a = g.b.Send(t, http.MethodGet, g.b.Submit(t, page, page, "decision", "allow").Header.Get("Location"), "", ""); !strings.HasPrefix(a.Header.Get("Location"), uri) {
			t.Errorf("%s: %d %s", id, a.Status, a.Header.Get("Location"))
		}
		asked(id+" again", g.b.Send(t, http.MethodGet, place, "", ""))
	}
	// Who is deleted and comes again under the same name starts with nothing.
	if err := g.Core.Clients.Delete(t.Context(), servertest.Operator, "shop", 0); err != nil {
		t.Fatal(err)
	}
	app(t, g.Site, "shop", nil)
	asked("another application of the same name", g.asks(t))
}

// What is asked for without a scope is asked of the person, too.
func TestAttackClaimsWithoutConsent(t *testing.T) {
	g := set(t)
	a := g.asks(t, "claims", `{"userinfo":{"email":null},"id_token":{"name":null,"nonsense":null}}`)
	page := a.Header.Get("Location")
	if !strings.HasPrefix(page, "/consent/") {
		t.Fatalf("nobody was asked: %d %s", a.Status, page)
	}
	if a = g.b.Send(t, http.MethodGet, page, "", ""); !strings.Contains(a.Body, "<li>read your email address</li>") || !strings.Contains(a.Body, "<li>read your name and profile</li>") {
		t.Errorf("the page does not say it: %s", a.Body)
	}
	if v := answered(t, follow(t, g.b, g.b.Submit(t, page, page, "decision", "allow"))); v.Get("code") == "" {
		t.Errorf("%v", v)
	}
	if v := answered(t, g.asks(t, "claims", `{"userinfo":{"email":null}}`)); v.Get("code") == "" {
		t.Errorf("it is asked again for less: %v", v)
	}
}

// A consent is the session's that was asked.
func TestAttackAZ039AccountSwitch(t *testing.T) {
	g := set(t)
	g.User(t, "bob", "editor")
	page := g.asks(t, "prompt", "consent").Header.Get("Location")
	fields := g.b.Fields(t, page, page)
	fields.Set("decision", "allow")
	signIn(t, g.b, "bob")
	stays(t, "the form of the account before", g.b.Send(t, http.MethodPost, page, formType, fields.Encode()), http.StatusForbidden)
	if a := g.b.Send(t, http.MethodGet, strings.Replace(page, "/consent/", "/oauth2/authorize/", 1), "", ""); a.Header.Get("Location") != page {
		t.Errorf("bob was not asked: %d %s", a.Status, a.Header.Get("Location"))
	}
	// What bob decided does not count for ana, who is back before it is answered.
	if a := g.b.Submit(t, page, page, "decision", "allow"); a.Status != http.StatusSeeOther {
		t.Fatalf("bob: %d %s", a.Status, a.Body)
	}
	signIn(t, g.b, "ana")
	if a := g.b.Send(t, http.MethodGet, strings.Replace(page, "/consent/", "/oauth2/authorize/", 1), "", ""); a.Header.Get("Location") != page {
		t.Errorf("ana was not asked: %d %s", a.Status, a.Header.Get("Location"))
	}
	// Without a session there is nothing to decide.
	fields = g.b.Fields(t, page, page)
	fields.Set("decision", "allow")
	if a := g.b.Form(t, "/auth/logout"); a.Status >= 400 {
		t.Fatalf("signing out: %d %s", a.Status, a.Body)
	}
	a := follow(t, g.b, g.b.Send(t, http.MethodPost, page, formType, fields.Encode()))
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `action="/signin"`) {
		t.Errorf("signed out: %d %s", a.Status, a.Body)
	}
}

func TestAttackAZ040Prefetch(t *testing.T) {
	g := set(t)
	codes := func() (n int) {
		t.Helper()
		if err := database(t, g.Site).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM codes").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := codes()
	for _, headers := range [][]string{{"Sec-Purpose", "prefetch"}, {"Sec-Purpose", "prefetch;prerender"}, {"Sec-Purpose", "prefetch;anonymous-client-ip"}, {"Purpose", "prefetch"}, nil} {
		method := http.MethodGet
		if headers == nil {
			method = http.MethodHead
		}
		if a := g.b.Send(t, method, authorizing("shop"), "", "", headers...); a.Status != http.StatusForbidden || a.Header.Get("Location") != "" {
			t.Errorf("%s %v: %d %v", method, headers, a.Status, a.Header)
		}
	}
	if n := codes() - before; n != 0 {
		t.Errorf("there are %d codes for it", n)
	}
}

// Anybody can begin a sign-in, and each waits for its person: so many from one network, and
// those who need not wait are served all the same.
func TestAttackRequestsThatWait(t *testing.T) {
	var c steered
	g := setAt(t, &c)
	// A use that takes as much room as a minute's.
	if err := g.Core.Limits.Take(t.Context(), "authorization requests 127.0.0.1", limit.Rate{Times: 2, Per: 2 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	stranger := g.Browser(t)
	for n := 0; ; n++ {
		a := stranger.Send(t, http.MethodGet, authorizing("shop"), "", "")
		if a.Status == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "" && a.Header.Get("Location") == "" {
			break
		}
		if !strings.HasPrefix(a.Header.Get("Location"), "/signin?") || n == 100 {
			t.Fatalf("number %d: %d %q %s", n, a.Status, a.Header.Get("Location"), a.Body)
		}
	}
	if answered(t, g.asks(t)).Get("code") == "" {
		t.Error("who is signed in waits with them")
	}
	c.pass(time.Hour)
	for more := true; more; {
		var err error
		if more, err = g.Core.Store.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, database(t, g.Site), "SELECT COUNT(*) FROM authorization_requests"); n != 0 {
		t.Errorf("%d wait after their time", n)
	}
}
