package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

const docsClient = "doorward-docs"

// The reference is an application as any other: it is let do what its person lets it do of
// what the API asks for, comes back to its own page alone, and is not there for its person's
// own rights, nor past the access token.
func TestReferenceIsAnApplication(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	b := s.Browser(t)
	b.Login(t, servertest.Admin)
	back := s.URL + "/docs/oauth2-redirect.html"
	ask := func(scope, redirect string) servertest.Answer {
		return b.Send(t, http.MethodGet, authorizing(docsClient, "redirect_uri", redirect, "scope", scope), "", "")
	}
	for _, foreign := range []string{callback, back + "/", s.URL + "/docs", strings.Replace(back, "127.0.0.1", "localhost", 1)} {
		if a := ask("users:read", foreign); a.Status != http.StatusBadRequest {
			t.Errorf("to %s: %d %s", foreign, a.Status, a.Header.Get("Location"))
		}
	}
	for _, scope := range []string{"orders:read", "write", "users:read nosuch"} {
		if a := ask(scope, back); !strings.Contains(a.Header.Get("Location"), "error=invalid_scope") {
			t.Errorf("for %s: %d %s", scope, a.Status, a.Header.Get("Location"))
		}
	}
	place := ask("users:read openid", back).Header.Get("Location")
	if !strings.HasPrefix(place, "/consent/") {
		t.Fatalf("nobody is asked: %s", place)
	}
	a := follow(t, b, b.Submit(t, place, place, "decision", "allow"))
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(u.String(), back+"?") {
		t.Fatalf("it comes back to %s, %v", a.Header.Get("Location"), err)
	}
	var g granted
	a = s.Form(t, "/oauth2/token", "grant_type", "authorization_code", "code", u.Query().Get("code"), "redirect_uri", back, "code_verifier", verifier, "client_id", docsClient)
	if a.JSON(t, &g); g.Access == "" || g.Refresh != "" || g.ID == "" || g.Scope != "openid users:read" {
		t.Fatalf("the tokens: %s", a.Body)
	}
	for path, want := range map[string]int{"/users": 200, "/oauth2/userinfo": 200, "/clients": 403, "/sessions": 403} {
		if a := s.Call(t, g.Access, http.MethodGet, path, nil); a.Status != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := b.Send(t, http.MethodGet, "/account", "", ""); !strings.Contains(a.Body, "Doorward API reference") {
		t.Error("its person is not told that he lets it")
	}

	admin := s.Login(t, servertest.Admin).Access
	if a := s.Call(t, admin, http.MethodPost, "/clients", map[string]any{"client_id": docsClient}); a.Status != http.StatusConflict {
		t.Errorf("another of its name: %d %s", a.Status, a.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodDelete} {
		var body any
		if method == http.MethodPatch {
			body = map[string]any{"redirect_uris": []string{callback}}
		}
		if a := s.Call(t, admin, method, "/clients/"+docsClient, body); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", method, a.Status, a.Body)
		}
	}
}

// Where the reference is switched off, there is neither its page nor its client.
func TestReferenceIsOff(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"docs": "false"}})
	b := s.Browser(t)
	for path, want := range map[string]int{
		"/docs": 404, "/docs/docs.js": 404, "/docs/oauth2-redirect.html": 404, "/openapi.json": 200,
		authorizing(docsClient, "redirect_uri", s.URL+"/docs/oauth2-redirect.html", "scope", "users:read"): 400,
	} {
		if a := b.Send(t, http.MethodGet, path, "", ""); a.Status != want {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if a := b.Send(t, http.MethodGet, "/", "", ""); strings.Contains(a.Body, "/docs") {
		t.Error("the front page leads to it")
	}
	if a := s.Call(t, s.Login(t, servertest.Admin).Access, http.MethodPost, "/clients", map[string]any{"client_id": docsClient}); a.Status != http.StatusConflict {
		t.Errorf("its name is taken by another: %d %s", a.Status, a.Body)
	}
}
