package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// around serves one request by a site, and returns the answer and the log.
func around(s Site, r *http.Request, h http.HandlerFunc) (*httptest.ResponseRecorder, string) {
	var log bytes.Buffer
	s.Log = slog.New(slog.NewJSONHandler(&log, nil))
	if s.Fail == nil {
		s.Fail = FailProblem
	}
	w := httptest.NewRecorder()
	s.Around(h).ServeHTTP(w, r)
	return w, log.String()
}

func request(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "auth.example"
	return r
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

var site = Site{Hosts: []string{"auth.example", "127.0.0.1", "[::1]"}}

func TestAttackWEB007Hosts(t *testing.T) {
	for host, want := range map[string]int{
		"auth.example": 200, "auth.example:443": 200, "AUTH.example": 200, "127.0.0.1:8080": 200, "[::1]": 200, "[::1]:8080": 200,
		"": 421, "evil.example": 421, "auth.example.evil.example": 421, "evilauth.example": 421, "auth.example.": 421,
		"auth.example:99999": 421, "auth.example:-1": 421, "auth.example:": 421, "auth.example:80:80": 421, "auth.example:evil": 421,
		"a@auth.example": 421, "auth.example@evil.example": 421, "auth.example/evil": 421, "auth.example, evil.example": 421, " auth.example": 421,
		"[auth.example]": 421, "]auth.example[": 421, "[[::1]]": 421, "::1": 421, "[::1": 421, "::1]": 421, "[::1]evil": 421,
		"127.1": 421, "2130706433": 421, "localhost": 421,
	} {
		r := request("/x")
		r.Host = host
		if w, _ := around(site, r, ok); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} { // probes know no name
		r := request(path)
		r.Host = "10.1.2.3:8080"
		if w, _ := around(site, r, ok); w.Code != 200 {
			t.Errorf("%s for another host: %d", path, w.Code)
		}
	}
}

func TestAttackRBAC009OnePathOneSpelling(t *testing.T) {
	good := []string{"/", "/users", "/users/a.b-c_d~e", "/.well-known/x", "/users/..x", "/a:b@c"}
	bad := []string{
		"//users", "/users//x", "/./users", "/users/.", "/users/./x", "/users/..", "/x/../users", "/%75sers", "/users%2fx", "/x/..%2fusers",
		"/users;x", `/users\x`, "/users%00", "/" + strings.Repeat("a", 512),
	}
	for _, p := range good {
		if w, _ := around(site, request(p), ok); w.Code != 200 {
			t.Errorf("%s: %d", p, w.Code)
		}
	}
	for _, p := range bad {
		if w, _ := around(site, request(p), ok); w.Code != 404 {
			t.Errorf("%s: %d, want 404", p, w.Code)
		}
	}
}

func TestAttackWEB003PlainHTTP(t *testing.T) {
	s := site
	s.NeedsHTTPS, s.HSTS = true, true
	s.Proxies = Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	const trusted, stranger = "10.1.2.3:4000", "203.0.113.9:4000"
	for _, tt := range []struct {
		name, peer, path string
		tls              bool
		proto            []string
		want             int
		hsts             bool
	}{
		{name: "TLS", peer: stranger, path: "/auth/login", tls: true, want: 200, hsts: true},
		{name: "a proxy that speaks TLS", peer: trusted, path: "/auth/login", proto: []string{"https"}, want: 200, hsts: true},
		{name: "plain", peer: stranger, path: "/auth/login", want: 403},
		{name: "a stranger's word", peer: stranger, path: "/auth/login", proto: []string{"https"}, want: 403},
		{name: "a proxy that says http", peer: trusted, path: "/auth/login", proto: []string{"http"}, want: 403},
		{name: "a proxy that says nothing", peer: trusted, path: "/auth/login", want: 403},
		{name: "TLS of a proxy that says https", peer: trusted, path: "/auth/login", tls: true, proto: []string{"https"}, want: 200, hsts: true},
		{name: "TLS of a proxy that says http", peer: trusted, path: "/auth/login", tls: true, proto: []string{"http"}, want: 403},
		{name: "TLS of a proxy that says nothing", peer: trusted, path: "/auth/login", tls: true, want: 200, hsts: true},
		{name: "TLS, and a stranger's word", peer: stranger, path: "/auth/login", tls: true, proto: []string{"http"}, want: 200, hsts: true},
		{name: "said twice", peer: trusted, path: "/auth/login", proto: []string{"http", "https"}, want: 403},
		{name: "two in one", peer: trusted, path: "/auth/login", proto: []string{"https, http"}, want: 403},
		{name: "a health check", peer: stranger, path: "/healthz", want: 200},
	} {
		r := request(tt.path)
		r.RemoteAddr = tt.peer
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		r.Header["X-Forwarded-Proto"] = tt.proto
		w, _ := around(s, r, ok)
		if got := w.Header().Get("Strict-Transport-Security") != ""; w.Code != tt.want || got != tt.hsts || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d, HSTS %t, Location %q; want %d, %t, none", tt.name, w.Code, got, w.Header().Get("Location"), tt.want, tt.hsts)
		}
	}
}

// A page is found again where it is safe. Nothing else is redirected, and nobody
// chooses where to.
func TestAttackWEB003PagesByPlainHTTP(t *testing.T) {
	s := site
	s.NeedsHTTPS, s.URL = true, "https://auth.example:8443"
	s.Pages = func(path string) bool { return path == "/" || path == "/signin" }
	for _, tt := range []struct {
		method, target, host string
		header               http.Header
		want                 int
		location             string
	}{
		{"GET", "/", "auth.example", nil, 308, "https://auth.example:8443/"},
		{"HEAD", "/signin?a=b%0d%0aX-Evil:1", "auth.example:80", nil, 308, "https://auth.example:8443/signin?a=b%0d%0aX-Evil:1"},
		{"GET", "/", "127.0.0.1", http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}}, 308, "https://auth.example:8443/"},
		{"POST", "/signin", "auth.example", nil, 403, ""},
		{"PUT", "/", "auth.example", nil, 403, ""},
		{"OPTIONS", "/", "auth.example", nil, 403, ""},
		{"GET", "/users", "auth.example", nil, 403, ""},
		{"GET", "/auth/login", "auth.example", nil, 403, ""},
		{"GET", "/", "auth.example", http.Header{"Authorization": {"Bearer x"}}, 403, ""},
		{"GET", "/", "auth.example", http.Header{"X-Api-Key": {"x"}}, 403, ""},
		{"GET", "/signin", "auth.example", http.Header{"Cookie": {"doorward_session=x"}}, 403, ""},
		{"GET", "/", "evil.example", nil, 421, ""},
		{"GET", "//evil.example/", "auth.example", nil, 403, ""},
		{"GET", "/%2fevil.example", "auth.example", nil, 403, ""},
	} {
		r := request("/x")
		r.Method, r.Host = tt.method, tt.host
		var err error
		if r.URL, err = r.URL.Parse("http://ignored.example" + tt.target); err != nil {
			t.Fatal(err)
		}
		r.URL.Scheme, r.URL.Host = "", ""
		if tt.header != nil {
			r.Header = tt.header
		}
		w, log := around(s, r, ok)
		if w.Code != tt.want || w.Header().Get("Location") != tt.location {
			t.Errorf("%s %s for %s, %v: %d, Location %q", tt.method, tt.target, tt.host, tt.header, w.Code, w.Header().Get("Location"))
		}
		if flagged := strings.Contains(log, "sent_in_the_clear"); flagged != (w.Code == 403 && (tt.method == "POST" || bearsCredential(r))) {
			t.Errorf("%s %s, %v: the log says %s", tt.method, tt.target, tt.header, log)
		}
	}
}

// A loopback issuer must not pin the whole of localhost to https.
func TestNoHSTSUnasked(t *testing.T) {
	r := request("/x")
	r.TLS = &tls.ConnectionState{}
	if w, _ := around(site, r, ok); w.Header().Get("Strict-Transport-Security") != "" {
		t.Error("Strict-Transport-Security was sent")
	}
}

// Whose address counts: the peer's, unless it is a proxy of ours, and then the
// last one that is not.
func TestAttackLOG005ForwardedAddresses(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	const proxy, stranger = "10.0.0.1:1", "203.0.113.9:1"
	for _, tt := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{stranger, nil, "203.0.113.9"},
		{stranger, []string{"198.51.100.1"}, "203.0.113.9"},
		{proxy, []string{"198.51.100.1"}, "198.51.100.1"},
		{proxy, []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},          // what the client wrote stands first
		{proxy, []string{"127.0.0.1", "198.51.100.1"}, "198.51.100.1"},        // in a line of its own too
		{proxy, []string{"198.51.100.1, 10.0.0.7"}, "198.51.100.1"},           // two proxies
		{proxy, []string{"10.0.0.9, 10.0.0.7"}, "10.0.0.9"},                   // from within
		{proxy, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},              // the same address in IPv6
		{"[2001:db8::1]:1", []string{"2001:db8:ffff::1, fe80::1"}, "fe80::1"}, // IPv6
		{"[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},     // a proxy over IPv6
		{proxy, []string{"a"}, "10.0.0.1"},                                    // what cannot be read names nobody
		{proxy, []string{"198.51.100.1:80"}, "10.0.0.1"},
		{proxy, []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{proxy, []string{""}, "10.0.0.1"},
		{proxy, []string{strings.Repeat("10.0.0.7,", 500) + "a"}, "10.0.0.1"},
		{"not an address", []string{"198.51.100.1"}, "invalid IP"},
	} {
		r := request("/x")
		r.RemoteAddr = tt.peer
		r.Header["X-Forwarded-For"] = tt.forwarded
		for _, other := range []string{"Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X_Forwarded_For"} {
			r.Header.Set(other, "192.0.2.66")
		}
		if got := proxies.Client(r).String(); got != tt.want {
			t.Errorf("from %s, forwarded for %q: %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}

func TestAttackDOS009Panics(t *testing.T) {
	const canary = "canary-0123456789abcdef" // in a variable of the handler, not in the panic
	handlers := map[string]http.HandlerFunc{
		"before anything": func(http.ResponseWriter, *http.Request) { panic("the reason") },
		"an error":        func(http.ResponseWriter, *http.Request) { panic(errors.New("the reason")) },
		"a runtime error": func(_ http.ResponseWriter, r *http.Request) { _ = *r.Response },
		"with headers": func(w http.ResponseWriter, _ *http.Request) {
			password := canary
			w.Header().Set("Content-Length", "3")
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Set-Cookie", "a=b")
			panic("the reason" + password[:0])
		},
	}
	for name, h := range handlers {
		w, log := around(site, request("/x"), h)
		if w.Code != 500 || w.Header().Get("ETag") != "" || w.Header().Get("Set-Cookie") != "" || w.Header().Get("Content-Length") == "3" ||
			w.Header().Get("X-Request-Id") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		if strings.Contains(w.Body.String(), "reason") || strings.Contains(w.Body.String(), "site_test.go") {
			t.Errorf("%s: the caller was told: %s", name, w.Body)
		}
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, "site_test.go") || strings.Contains(log, canary) {
			t.Errorf("%s: the log says %s", name, log)
		}
	}
}

// A part of an answer must not be taken for the whole, so the connection ends.
func TestAttackDOS009PanicInTheMiddle(t *testing.T) {
	var log bytes.Buffer
	s := site
	s.Log, s.Fail = slog.New(slog.NewJSONHandler(&log, nil)), FailProblem
	srv := httptest.NewServer(s.Around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/good" {
			return
		}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(`{"half":`))
		panic("the reason")
	})))
	defer srv.Close()
	res, err := http.Get(srv.URL + "/x")
	if err == nil {
		var body bytes.Buffer
		_, err = body.ReadFrom(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer was taken for the whole")
	}
	if res, err := http.Get(srv.URL + "/good"); err != nil || res.StatusCode != 200 {
		t.Errorf("the next request: %v", err)
	} else {
		res.Body.Close()
	}
	srv.Close() // what it logs is read once it has ended
	if !strings.Contains(log.String(), "the reason") || !strings.Contains(log.String(), `"level":"ERROR"`) {
		t.Errorf("the log says %s", log.String())
	}
}

// A token that was put into a path is not logged with it.
func TestPathInTheLog(t *testing.T) {
	token := "dwr_" + strings.Repeat("x", 71)
	_, log := around(site, request("/auth/refresh/"+token+"/.well-known/oauth-authorization-server"), ok)
	if strings.Contains(log, "xxx") || !strings.Contains(log, "/auth/refresh/…/.well-known/oauth-authorization-server") {
		t.Error(log)
	}
}

func TestAttackDOS006MediaTypes(t *testing.T) {
	for _, tt := range []struct {
		header http.Header
		ok     bool
	}{
		{http.Header{"Content-Type": {"application/json"}}, true},
		{http.Header{"Content-Type": {"Application/JSON; charset=UTF-8"}}, true},
		{http.Header{}, false},
		{http.Header{"Content-Type": {""}}, false},
		{http.Header{"Content-Type": {"text/plain"}}, false},
		{http.Header{"Content-Type": {"image/svg+json"}}, false},
		{http.Header{"Content-Type": {"application/json; charset=utf-7"}}, false},
		{http.Header{"Content-Type": {"application/json; boundary=x"}}, false},
		{http.Header{"Content-Type": {"application/json, text/html"}}, false},
		{http.Header{"Content-Type": {"application/json", "text/html"}}, false},
		{http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, false},
		{http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, false},
		{http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"", "gzip"}}, false},
	} {
		r := request("/x")
		r.Header = tt.header
		_, err := MediaType(r, JSONType)
		refused, _ := errors.AsType[*Refused](err)
		if (err == nil) != tt.ok || err != nil && (refused == nil || refused.Status != http.StatusUnsupportedMediaType) {
			t.Errorf("%v: %v", tt.header, err)
		}
	}
}

func TestPreconditions(t *testing.T) {
	for header, want := range map[string]int64{"": 0, "*": 0, `"v1"`: 1, ` "v42" `: 42} {
		if got, err := IfMatch(header); got != want || err != nil {
			t.Errorf("If-Match %s: %d, %v", header, got, err)
		}
	}
	for _, header := range []string{`v1`, `"1"`, `"v"`, `"v0"`, `"v-1"`, `"v01"`, `"v1`, `W/"v1"`, `"v1", "v2"`, `"v99999999999999999999"`, `"v1 "`, "x"} {
		if _, err := IfMatch(header); ProblemOf(err).Status != http.StatusPreconditionFailed {
			t.Errorf("If-Match %s: %v, want 412", header, err)
		}
	}
	for header, want := range map[string]bool{`"v1"`: true, `W/"v1"`: true, `"v2", "v1"`: true, "*": true, "": false, `"v2"`: false, `v1`: false, `"v11"`: false} {
		if got := Matches(header, `"v1"`); got != want {
			t.Errorf("If-None-Match %s: %t", header, got)
		}
	}
}

// Whoever hangs up makes no error of ours in the log. A failure of ours stays one.
func TestWhoLeavesIsNoError(t *testing.T) {
	for name, tt := range map[string]struct {
		leaves bool
		cause  error
		level  string
	}{
		"he left":                 {true, fmt.Errorf("asking: %w", context.Canceled), "INFO"},
		"he left after a failure": {true, errors.New("the disk is full"), "ERROR"},
		"something was given up":  {false, context.Canceled, "ERROR"},
		"it took the server long": {false, context.DeadlineExceeded, "ERROR"},
	} {
		ctx, leave := context.WithCancel(t.Context())
		_, log := around(Site{Hosts: []string{"auth.example"}}, request("/").WithContext(ctx), Serve(func(http.ResponseWriter, *http.Request) error {
			if tt.leaves {
				leave()
			}
			return tt.cause
		}, FailProblem).ServeHTTP)
		leave()
		if !strings.Contains(log, `"level":"`+tt.level+`"`) || strings.Contains(log, `"left":true`) != (tt.level == "INFO") {
			t.Errorf("%s: %s", name, log)
		}
	}
}
