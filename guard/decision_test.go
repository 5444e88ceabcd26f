package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// decide sends a request to a route behind a guard that logs, and returns the
// lines.
func decide(t *testing.T, headers map[string]string, options ...Option) string {
	t.Helper()
	var log bytes.Buffer
	g := newGuard(t, append(options, OnDecision(DecisionLog(&log)))...)
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", g.Require(Permission("orders:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		PrincipalFrom(r.Context()).Subject = "changed"
		w.WriteHeader(http.StatusNoContent)
	})))
	r := httptest.NewRequest(http.MethodGet, "/orders/secret-7?q=secret", nil)
	for name, value := range headers {
		r.Header[name] = []string{value}
	}
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return log.String()
}

// parsed reads the one event that must have been logged.
func parsed(t *testing.T, line string) event {
	t.Helper()
	var e event
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Fatalf("no single line: %q", line)
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return e
}

func TestDecisions(t *testing.T) {
	good := es().token(map[string]any{"jti": "t1", "sid": "s1", "fam": "f1"})
	for name, c := range map[string]struct {
		authorization                           string
		action, outcome, actor, reason, session string
		revoked                                 error
	}{
		"allowed":     {"Bearer " + good, "request.allowed", "success", "user:u1", "", "s1", nil},
		"lacking":     {"Bearer " + es().token(map[string]any{"scope": "read"}), "request.refused", "denied", "user:u1", "permission", "s1", nil},
		"no token":    {"", "request.refused", "failure", "anonymous", "no-credential", "", nil},
		"expired":     {"Bearer " + es().token(map[string]any{"exp": 1, "iat": 0, "nbf": 0}), "request.refused", "failure", "anonymous", "expired", "", nil},
		"forged":      {"Bearer " + good[:len(good)-8] + "AAAAAAAA", "request.refused", "failure", "anonymous", "signature", "", nil},
		"revoked":     {"Bearer " + good, "request.refused", "failure", "anonymous", "revoked", "", errors.New("gone")},
		"unavailable": {"Bearer " + good, "request.refused", "failure", "anonymous", "unavailable", "", ErrUnavailable},
		"a client": {
			"Bearer " + es().token(map[string]any{"sub": "robot", "client_id": "robot", "scope": "orders:read"}),
			"request.allowed", "success", "client:robot", "", "s1", nil,
		},
	} {
		headers := map[string]string{"User-Agent": "curl/8", "X-Request-Id": "r1"}
		if c.authorization != "" {
			headers["Authorization"] = c.authorization
		}
		line := decide(t, headers, Revocation(func(context.Context, *Principal) error { return c.revoked }))
		e := parsed(t, line)
		if e.V != 1 || len(e.ID) != 26 || e.At != now.UTC().Format("2006-01-02T15:04:05.000000Z") || e.Action != c.action || e.Outcome != c.outcome ||
			e.Actor != c.actor || e.Reason != c.reason || e.Target != "route:GET /orders/{id}" || e.Request != "r1" ||
			e.Detail["needs"] != "orders:read" || e.Detail["session"] != c.session || len(e.Parts) != 1 ||
			(e.Parts[0].Person != "") != strings.HasPrefix(e.Actor, "user:") || e.Parts[0].Facts["address"] != "192.0.2.1" || e.Parts[0].Facts["user_agent"] != "curl/8" {
			t.Errorf("%s: %s", name, line)
		}
		for _, secret := range []string{good, "secret", strings.Split(good, ".")[2]} {
			if strings.Contains(line, secret) {
				t.Errorf("%s: the line tells %.20s…: %s", name, secret, line)
			}
		}
	}
}

// Whatever a request says, it is one line and cannot be taken for another.
func TestAttackAUD001DecisionsAreOneLine(t *testing.T) {
	for name, hostile := range map[string]string{
		"lines": "x\n{\"action\":\"request.allowed\"}\r\n", "an escape": "\x1b[2J", "not UTF-8": "\xff\xfe", "reordered": "a\u202eb", "long": strings.Repeat("é", 10_000),
		"a separator": "a\u2028b", "quotes": `","outcome":"success`,
	} {
		line := decide(t, map[string]string{"User-Agent": hostile, "X-Request-Id": hostile})
		e := parsed(t, line)
		if e.Outcome != "failure" || len(line) > 2000 || strings.ContainsAny(line, "\x1b\u202e\u2028\r") {
			t.Errorf("%s: %q", name, line)
		}
	}
}

func TestDecisionWords(t *testing.T) {
	seen := map[string]bool{}
	for reason, word := range words {
		if d := (Decision{Err: reason}); d.Reason() != word || d.Allowed() || seen[word] || strings.ContainsAny(word, " \"") {
			t.Errorf("%s: %q", reason, d.Reason())
		}
		seen[word] = true
	}
	if d := (Decision{Err: context.Canceled}); d.Reason() != "unavailable" {
		t.Errorf("an error of no reason: %q", d.Reason())
	}
	for d, want := range map[*Decision]string{
		{Method: "GET", Route: "GET /x"}: "GET /x", {Method: "GET", Route: "/x"}: "GET /x", {Method: "HEAD", Route: "GET /x"}: "HEAD GET /x", {Method: "GET"}: "GET",
	} {
		if d.route() != want {
			t.Errorf("%+v: %q, want %q", d, d.route(), want)
		}
	}
}

// Many requests write whole lines; without a hook nothing is made.
func TestDecisionLogIsWhole(t *testing.T) {
	var log bytes.Buffer
	write := DecisionLog(&log)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { write(t.Context(), Decision{At: time.Now(), Method: "GET", Route: "/"}) })
	}
	all.Wait()
	for line := range strings.Lines(log.String()) {
		parsed(t, line)
	}
	if n := strings.Count(log.String(), "\n"); n != 50 {
		t.Errorf("%d lines", n)
	}
	if _, err := New(testIssuer, Audience("a"), OnDecision(nil)); err == nil {
		t.Error("a hook that is nil was taken")
	}
}
