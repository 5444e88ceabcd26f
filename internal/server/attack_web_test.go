package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// Plain HTTP stays HTTP/1: nobody upgrades it into something that is not looked
// into.
func TestAttackWEB003NoUpgrade(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	for name, request := range map[string]string{
		"h2c":             "GET /healthz HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"websocket":       "GET /healthz HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
		"prior knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		text := raw(t, s, request)
		if strings.Contains(text, " 101 ") || strings.HasPrefix(text, "\x00") || len(answers(text)) > 1 {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// Every answer carries the headers that keep it from being taken for something
// else, whoever answers.
func TestAttackWEB005Headers(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	token := s.Login(t, servertest.Admin).Access
	check := func(what string, h http.Header) {
		t.Helper()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		} {
			if got := h.Values(name); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %s: %q", what, name, got)
			}
		}
		for _, name := range []string{"X-Request-Id", "Cache-Control", "Cross-Origin-Resource-Policy", "Content-Security-Policy"} {
			if len(h.Values(name)) != 1 {
				t.Errorf("%s: %s: %q", what, name, h.Values(name))
			}
		}
		for _, name := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Set-Cookie", "Strict-Transport-Security"} {
			if name == "Set-Cookie" && (what == "GET /signin" || what == "GET /oauth2/device") && strings.HasPrefix(h.Get(name), "doorward_pre=") {
				continue // what ties the form to the browser
			}
			if h.Get(name) != "" {
				t.Errorf("%s: %s: %s", what, name, h.Get(name))
			}
		}
		csp := h.Get("Content-Security-Policy")
		forms := "form-action 'none'"
		if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			forms = "form-action 'self'"
		}
		for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", forms} {
			if !strings.Contains(csp, directive) {
				t.Errorf("%s: the policy has no %s: %s", what, directive, csp)
			}
		}
		public := strings.Contains(h.Get("Cache-Control"), "public")
		if !public && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control: %s", what, h.Get("Cache-Control"))
		}
	}
	ids := map[string]bool{}
	for _, line := range s.Server.SiteMap() {
		method, path := address(line.Pattern)
		for _, a := range []servertest.Answer{s.Send(t, method, path, "", ""), s.Call(t, token, method, path, nil), s.Send(t, "FOO", path, "", "")} {
			check(line.Pattern, a.Header)
			if id := a.Header.Get("X-Request-Id"); ids[id] || len(id) < 20 {
				t.Errorf("%s: the request id %q is not its own", line.Pattern, id)
			} else {
				ids[id] = true
			}
		}
	}
	check("no path", s.Send(t, "GET", "/nosuch", "", "").Header)
	check("a strange path", s.Send(t, "GET", "/%75sers", "", "").Header)
	if a := s.Send(t, "GET", "/healthz", "", "", "X-Request-Id", "mine"); a.Header.Get("X-Request-Id") == "mine" {
		t.Error("the caller chose the request's id")
	}
	if got := answers(raw(t, s, "OPTIONS * HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")); !slices.Equal(got, []int{404}) {
		t.Errorf("OPTIONS *: %v", got)
	}
}

// What the front page has carries the nonce of its answer, and nothing else is run
// or shown.
func TestAttackWEB006Policy(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	seen := map[string]bool{}
	for range 3 {
		a := s.Send(t, "GET", "/", "", "")
		csp := a.Header.Get("Content-Security-Policy")
		for _, evil := range []string{"unsafe", "*", "data:", "http:", "https:", "strict-dynamic"} {
			if strings.Contains(csp, evil) {
				t.Errorf("the policy has %s: %s", evil, csp)
			}
		}
		styles := regexp.MustCompile(`<style nonce="([^"]{22,})">`).FindAllStringSubmatch(a.Body, -1)
		if len(styles) != 1 || strings.Count(a.Body, "<style") != 1 || seen[styles[0][1]] {
			t.Fatalf("the styles %v are not one with a fresh nonce", styles)
		}
		seen[styles[0][1]] = true
		if !strings.Contains(csp, "style-src 'nonce-"+styles[0][1]+"';") {
			t.Errorf("the policy names another style: %s", csp)
		}
		for _, evil := range []string{"<script", " style=", " onload", " onclick", "javascript:", "http://", "https://"} {
			if strings.Contains(strings.ToLower(a.Body), evil) {
				t.Errorf("the page has %s", evil)
			}
		}
	}
}

func TestAttackWEB007HostHeader(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	const rest = "\r\nConnection: close\r\n\r\n"
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: HOST":                                                  200,
		"GET / HTTP/1.1\r\nHost: LocalHost:80":                                          200,
		"GET / HTTP/1.1\r\nHost: [::1]":                                                 200,
		"GET http://HOST/ HTTP/1.1\r\nHost: evil.example":                               200, // the target counts (RFC 9112, Section 3.2.2)
		"GET http://evil.example/ HTTP/1.1\r\nHost: HOST":                               421,
		"GET / HTTP/1.1\r\nHost: evil.example":                                          421,
		"GET / HTTP/1.1\r\nHost:":                                                       421,
		"GET / HTTP/1.1\r\nHost: localhost:99999":                                       421,
		"GET / HTTP/1.1\r\nHost: localhost:evil":                                        421,
		"GET / HTTP/1.1\r\nHost: [localhost]":                                           421,
		"GET / HTTP/1.1\r\nHost: localhost.":                                            421,
		"GET / HTTP/1.1\r\nHost: localhost.evil.example":                                421,
		"GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]":                                    421,
		"GET / HTTP/1.0":                                                                421,
		"GET / HTTP/1.1":                                                                400,
		"GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil.example":                            400,
		"GET / HTTP/1.1\r\nHost: a@HOST":                                                400,
		"GET / HTTP/1.1\r\nHost: HOST/evil":                                             400,
		"GET / HTTP/1.1\r\nHost: HOST, evil.example":                                    400,
		"GET /users HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: HOST":           421,
		"GET /users HTTP/1.1\r\nHost: evil.example\r\nX-Original-Host: HOST":            421,
		"GET /users HTTP/1.1\r\nHost: evil.example\r\nForwarded: host=HOST;proto=https": 421,
		"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example":                       421,
	} {
		if got := answers(raw(t, s, request+rest)); !slices.Equal(got, []int{want}) {
			t.Errorf("%q: %v, want %d", request, got, want)
		}
	}
	// What the server says of itself comes from its configuration.
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource", "/openapi.json", "/users"} {
		a := s.Send(t, "GET", path, "", "", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "1", "X-Forwarded-Prefix", "/evil")
		if text := a.Body + without(a.Header); strings.Contains(text, "evil") || strings.Contains(text, "https://127") || !strings.Contains(text, s.URL) {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// What is stored is data: it is told as JSON, and nothing of it becomes a header.
func TestAttackWEB009StoredText(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		token := s.Login(t, servertest.Admin).Access
		for _, text := range []string{"<svg onload=1>", "</script><script>", "{{.}}", "`${1}`", "a\u2028b", `"};alert(1)//`} {
			a := s.Call(t, token, "PATCH", "/users/me", map[string]any{"name": text})
			var got struct{ Name string }
			a.JSON(t, &got)
			if a.Status != http.StatusOK || got.Name != text || a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%q: %d %s", text, a.Status, a.Body)
			}
		}
		for _, text := range []string{"a\r\nX-Evil: 1", "a\nb", "a\x00b", "a\x1b[31mb", "a\u0085b"} {
			if a := s.Call(t, token, "PATCH", "/users/me", map[string]any{"name": text}); a.Status != http.StatusBadRequest || a.Header.Get("X-Evil") != "" {
				t.Errorf("%q: %d %s", text, a.Status, a.Body)
			}
		}
		for _, path := range []string{"/roles/a%0d%0aX-Evil:1", "/users/a%0aX-Evil:1"} {
			if a := s.Call(t, token, "GET", path, nil); a.Status != http.StatusNotFound || a.Header.Get("X-Evil") != "" {
				t.Errorf("%s: %d", path, a.Status)
			}
		}
	})
}

// No header says who somebody is.
func TestAttackWEB010HeaderIdentity(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "viewer")
	admin, err := s.Core.Accounts.ByLogin(t.Context(), servertest.Admin)
	if err != nil {
		t.Fatal(err)
	}
	token := s.Login(t, "ann").Access
	for _, header := range []string{
		"X-Forwarded-User", "X-Webauthn-User", "X-WEBAUTH-USER", "X_WEBAUTH_USER", "X.WEBAUTH.USER", "Remote-User", "Remote_User", "X-Remote-User", "X-Auth-User", "X-Auth-Request-User", "X-Auth-Request-Email",
		"X-Forwarded-Email", "X-Forwarded-Groups", "X-User-Id", "X-Ssl-Client-S-Dn", "Client-Cert", "X-Forwarded-Client-Cert", "X-Doorward-User", "Authorization_", "X-Original-Authorization",
	} {
		for _, value := range []string{servertest.Admin, admin.ID, "user:" + admin.ID, "admin@example.com", "admin"} {
			if a := s.Send(t, "GET", "/users/me", "", "", header, value); a.Status != http.StatusUnauthorized {
				t.Errorf("%s: %s by nobody: %d %s", header, value, a.Status, a.Body)
			}
		}
		a := s.Call(t, token, "GET", "/users/me", nil, header, admin.ID)
		if !strings.Contains(a.Body, ann.ID) || s.Call(t, token, "GET", "/users", nil, header, admin.ID).Status != http.StatusForbidden {
			t.Errorf("%s: ann is %s", header, a.Body)
		}
	}
	// A header that a proxy is told to drop is not trusted less or more for that.
	for _, drop := range []string{"X-Forwarded-For", "Authorization", "X-Real-IP", "Host"} {
		request := "GET /users/me HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer " + token + "\r\nConnection: close, " + drop + "\r\nX-Forwarded-For: 198.51.100.66\r\n\r\n"
		if got := answers(raw(t, s, request)); !slices.Equal(got, []int{200}) {
			t.Errorf("Connection: %s: %v", drop, got)
		}
	}
}
