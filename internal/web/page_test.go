package web

import (
	"encoding/base64"
	"html/template"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

var plain = template.Must(template.New("plain").Parse(`<!doctype html><title>t</title><style nonce="{{.Nonce}}">p{color:red}</style><p>{{.Data}}</p>`))

// directives splits a policy.
func directives(policy string) map[string]string {
	all := map[string]string{}
	for d := range strings.SplitSeq(policy, "; ") {
		name, value, _ := strings.Cut(d, " ")
		all[name] = value
	}
	return all
}

func TestAttackWEB006Nonces(t *testing.T) {
	nonces := map[string]bool{}
	for range 200 {
		w := httptest.NewRecorder()
		if err := (Page{Template: plain, Data: "<script>"}).Write(w); err != nil {
			t.Fatal(err)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, evil := range []string{"unsafe", "*", "data:", "http", "strict-dynamic", "blob:"} {
			if strings.Contains(policy, evil) {
				t.Fatalf("the policy has %s: %s", evil, policy)
			}
		}
		d := directives(policy)
		for name, want := range map[string]string{
			"default-src": "'none'", "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'", "connect-src": "'self'",
			"require-trusted-types-for": "'script'", "trusted-types": "'none'", "style-src": d["script-src"],
		} {
			if d[name] != want {
				t.Errorf("%s %s, want %s", name, d[name], want)
			}
		}
		nonce := regexp.MustCompile(`^'nonce-(.*)'$`).FindStringSubmatch(d["script-src"])
		if nonce == nil || nonces[nonce[1]] {
			t.Fatalf("script-src %s is not fresh", d["script-src"])
		}
		if raw, err := base64.RawURLEncoding.DecodeString(nonce[1]); err != nil || len(raw) < 16 {
			t.Fatalf("the nonce %s has %d bytes", nonce[1], len(raw))
		}
		nonces[nonce[1]] = true
		if body := w.Body.String(); !strings.Contains(body, `nonce="`+nonce[1]+`"`) || strings.Contains(body, "<script>") {
			t.Error(body)
		}
	}
}

func TestPageHeaders(t *testing.T) {
	for _, popUp := range []bool{false, true} {
		w := httptest.NewRecorder()
		if err := (Page{Template: plain, Status: 400, PopUp: popUp}).Write(w); err != nil {
			t.Fatal(err)
		}
		coop := map[bool]string{false: "same-origin", true: ""}[popUp]
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": coop,
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if p := w.Header().Get("Permissions-Policy"); w.Code != 400 || !strings.Contains(p, "camera=()") || !strings.Contains(p, "publickey-credentials-get=(self)") {
			t.Errorf("%d %s", w.Code, p)
		}
	}
}

// What a form may lead to is named exactly, or the page is not written.
func TestAttackWEB006FormTargets(t *testing.T) {
	for _, source := range []string{"https://app.example", "https://app.example:8443", "http://localhost:3000", "http://127.0.0.1:1", "com.example.app:", "https://a_b.example"} {
		w := httptest.NewRecorder()
		if err := (Page{Template: plain, FormTo: []string{source, "https://two.example"}}).Write(w); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		if got, want := directives(w.Header().Get("Content-Security-Policy"))["form-action"], "'self' "+source+" https://two.example"; got != want {
			t.Errorf("form-action %s, want %s", got, want)
		}
	}
	for _, source := range []string{
		"", "*", "https:", "http:", "data:", "javascript:", "blob:", "about:", "https://*", "https://*.example", "https://app.example/", "https://app.example/path", "https://app.example;", "https://app.example; script-src *",
		"https://app.example, default-src *", "https://a.example https://b.example", "https://app.example:*", "https://app.example:0", "https://user@app.example", "https://App.example", "ftp://app.example", "//app.example", "app.example",
		"'unsafe-inline'", "'none'", "https://app.example\n", "https://[::1]:3000", "null",
	} {
		w := httptest.NewRecorder()
		if err := (Page{Template: plain, FormTo: []string{source}}).Write(w); err == nil || len(w.Header()) > 0 || w.Body.Len() > 0 {
			t.Errorf("%q was named: %s", source, w.Header().Get("Content-Security-Policy"))
		}
	}
}

// A page frames nothing, or what is named exactly (SES-008).
func TestAttackSES008FramesAreNamed(t *testing.T) {
	w := httptest.NewRecorder()
	if err := (Page{Template: plain, Frames: []string{"https://app.example", "http://127.0.0.1:3000"}}).Write(w); err != nil {
		t.Fatal(err)
	}
	if got, want := directives(w.Header().Get("Content-Security-Policy"))["frame-src"], "https://app.example http://127.0.0.1:3000"; got != want {
		t.Errorf("frame-src %s, want %s", got, want)
	}
	w = httptest.NewRecorder()
	if err := (Page{Template: plain}).Write(w); err != nil || strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-src") {
		t.Errorf("%v, %s", err, w.Header().Get("Content-Security-Policy"))
	}
	for _, origin := range []string{"", "*", "https:", "com.example.app:", "data:", "javascript:", "https://*.example", "https://app.example/", "https://app.example; script-src *", "https://app.example,", "https://[::1]", "'self'"} {
		w := httptest.NewRecorder()
		if err := (Page{Template: plain, Frames: []string{"https://app.example", origin}}).Write(w); err == nil || len(w.Header()) > 0 {
			t.Errorf("%q was named: %s", origin, w.Header().Get("Content-Security-Policy"))
		}
	}
}

// A template that fails writes nothing: what became of it is no page.
func TestPageThatFails(t *testing.T) {
	bad := template.Must(template.New("bad").Parse(`<p>{{.Data.Nothing}}`))
	w := httptest.NewRecorder()
	if err := (Page{Template: bad, Data: struct{}{}}).Write(w); err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("%v, %q, %v", err, w.Body, w.Header())
	}
}
