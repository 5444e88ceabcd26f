package server_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// Nobody but the listed origins may read an answer, and no answer names another.
func TestAttackWEB001Origins(t *testing.T) {
	const spa, local = "https://spa.example", "http://localhost:3000"
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"cors.origins": spa + "," + local}})
	token := s.Login(t, servertest.Admin).Access
	origins := map[string]bool{spa: true, local: true}
	for _, evil := range []string{
		"http://spa.example", "https://spa.example.evil.com", "https://evilspa.example", "https://sub.spa.example", "https://spa.example:444", "https://spa.example:443",
		"null", "https://SPA.example", "HTTPS://spa.example", "https://spa.example/", "https://spa_example", "https://spa.example%60.evil.com", "*",
		"https://spa.example, https://evil.example", "https://spa.example https://evil.example", "https://spa.example,", "spa.example", "http://localhost", "http://127.0.0.1:3000", "https://localhost:3000",
		"https://evil.example", "file://", s.URL, "https://spa.example\t", "https://user@spa.example",
	} {
		origins[strings.TrimSpace(evil)] = strings.TrimSpace(evil) == spa // a field value has no space around it (RFC 9110, Section 5.5)
	}
	allowed := func(a servertest.Answer) []string { return a.Header.Values("Access-Control-Allow-Origin") }
	for origin, listed := range origins {
		var want []string
		if listed {
			want = []string{origin}
		}
		for what, a := range map[string]servertest.Answer{
			"an answer":    s.Call(t, token, "GET", "/users/me", nil, "Origin", origin),
			"a refusal":    s.Send(t, "GET", "/users/me", "", "", "Origin", origin),
			"a sign-in":    s.Send(t, "POST", "/auth/login", "text/plain", "x", "Origin", origin),
			"the metadata": s.Send(t, "GET", "/.well-known/oauth-authorization-server", "", "", "Origin", origin),
			"the keys":     s.Send(t, "GET", "/oauth2/jwks", "", "", "Origin", origin),
			"a preflight":  s.Send(t, "OPTIONS", "/users", "", "", "Origin", origin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "x-evil"),
		} {
			if got := allowed(a); !slices.Equal(got, want) {
				t.Errorf("%q, %s: allowed %q", origin, what, got)
			}
			if credentials := a.Header.Get("Access-Control-Allow-Credentials"); (credentials == "true") != listed || !listed && credentials != "" {
				t.Errorf("%q, %s: credentials %q", origin, what, credentials)
			}
			if vary := a.Header.Values("Vary"); !slices.Contains(vary, "Origin") {
				t.Errorf("%q, %s: Vary %q", origin, what, vary)
			}
			if what == "a preflight" && (a.Status == http.StatusNoContent) != listed || strings.Contains(strings.ToLower(a.Header.Get("Access-Control-Allow-Headers")), "evil") {
				t.Errorf("%q, %s: %d %v", origin, what, a.Status, a.Header)
			}
		}
	}
	if a := s.Send(t, "GET", "/oauth2/jwks", "", ""); !slices.Contains(a.Header.Values("Vary"), "Origin") || len(allowed(a)) > 0 {
		t.Errorf("without an origin: %v", a.Header)
	}
	// Two origins are none.
	if a := s.Send(t, "GET", "/oauth2/jwks", "", "", "Origin", spa, "Origin", spa); len(allowed(a)) > 0 {
		t.Errorf("two origins: %v", a.Header)
	}
	a := s.Send(t, "GET", "/oauth2/jwks", "", "", "Origin", spa)
	for _, name := range []string{"ETag", "X-Request-Id", "Retry-After", "WWW-Authenticate"} {
		if !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("a script cannot read %s: %v", name, a.Header)
		}
	}
}

// Pages are for people. No script of another origin reads one, whatever is listed.
func TestAttackWEB001Pages(t *testing.T) {
	const spa = "https://spa.example"
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"cors.origins": spa}})
	shared := 0
	for _, line := range s.Server.SiteMap() {
		method, path := address(line.Pattern)
		a := s.Send(t, method, path, "", "", "Origin", spa)
		html := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html")
		given := a.Header.Get("Access-Control-Allow-Origin") != ""
		if html && given {
			t.Errorf("%s is a page, and %s may read it", line.Pattern, spa)
		}
		if given {
			shared++
		} else if !line.Open && !line.Person {
			t.Errorf("%s is the API, and %s may not call it", line.Pattern, spa)
		}
	}
	for _, path := range []string{"/", "/favicon.ico", "/healthz", "/readyz", "/oauth2/authorize", "/oauth2/authorize/x", "/oauth2/device", "/oauth2/logout", "/signin", "/account", "/admin", "/docs", "/inbox", "/nosuch", "/usersx", "/auth", "/sessionsx"} {
		for _, a := range []servertest.Answer{
			s.Send(t, "GET", path, "", "", "Origin", spa), s.Send(t, "OPTIONS", path, "", "", "Origin", spa, "Access-Control-Request-Method", "GET"),
		} {
			if a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v", path, a.Header)
			}
		}
	}
	if shared < 10 {
		t.Errorf("only %d routes are shared", shared)
	}
}

// A preflight costs what its bytes cost to read, and reaches no handler.
func TestAttackWEB002Preflights(t *testing.T) {
	const spa = "https://spa.example"
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"cors.origins": spa}})
	ask := func(method, headers string) servertest.Answer {
		return s.Send(t, "OPTIONS", "/users", "", "", "Origin", spa, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
	}
	good := ask("GET", "authorization")
	// What clients that others wrote send, Swagger UI among them.
	for _, name := range []string{"Authorization", "Content-Type", "X-Requested-With"} {
		if !slices.Contains(strings.Split(good.Header.Get("Access-Control-Allow-Headers"), ", "), name) {
			t.Errorf("a script cannot send %s: %v", name, good.Header)
		}
	}
	if good.Status != http.StatusNoContent || good.Header.Get("Access-Control-Max-Age") != "600" || good.Body != "" {
		t.Errorf("%d %v", good.Status, good.Header)
	}
	for what, want := range map[string]int{
		"x":                           204,
		strings.Repeat("a,", 512):     204,
		strings.Repeat(",", 1025):     400,
		strings.Repeat("a, ", 1000):   400,
		strings.Repeat(",", 12<<10):   400,
		strings.Repeat(",", 1<<20):    431, // more than any header of ours may be
		"x-evil\tx, (comment), \"q\"": 204,
	} {
		a := ask("GET", what)
		if a.Status != want {
			t.Errorf("%.20q, %d bytes: %d", what, len(what), a.Status)
		}
		if want == 204 && a.Header.Get("Access-Control-Allow-Headers") != good.Header.Get("Access-Control-Allow-Headers") {
			t.Errorf("%.20q is repeated: %v", what, a.Header)
		}
	}
	if a := ask("EVIL\tMETHOD", "x"); strings.Contains(strings.Join(slices.Concat(slices.Collect(maps.Values(a.Header))...), " "), "EVIL") {
		t.Errorf("%v", a.Header)
	}
	huge := strings.Repeat("a,", 6<<10)
	r := httptest.NewRequest("OPTIONS", s.URL+"/users", nil)
	r.Header = http.Header{"Origin": {spa}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {huge}}
	if n := testing.AllocsPerRun(100, func() { s.Server.ServeHTTP(httptest.NewRecorder(), r) }); n > 500 {
		t.Errorf("a huge preflight allocates %.0f times", n)
	}
}
