package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

const svg = `<?xml version="1.0"?><!-- ours --><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>alert(1)</script><path d="M0 0h1v1H0z"/></svg>`

func picture(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Pages have the name, the colours and the sign of a theme, all from this origin, and the
// sign runs nothing even where it is opened by itself.
func TestTheme(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{
		"theme.name": "Acme <Söhne>", "theme.logo": picture(t, "logo.png", svg), "theme.accent": "#005A9C", "theme.accent_dark": "#8cf", "theme.radius": "3",
	}})
	style := s.Send(t, http.MethodGet, "/theme/style.css", "", "")
	for _, want := range []string{
		":root{--mark:#005a9c;--on-mark:#ffffff;--paper:#fbfaf7;", "--round:3px}", "@media(prefers-color-scheme:dark){:root{--mark:#88ccff;--on-mark:#000000;--paper:#16181c;",
	} {
		if !strings.Contains(style.Body, want) || style.Header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("the stylesheet lacks %s: %v %s", want, style.Header, style.Body)
		}
	}
	logo := s.Send(t, http.MethodGet, "/theme/logo", "", "")
	if policy := logo.Header.Get("Content-Security-Policy"); logo.Body != svg || logo.Header.Get("Content-Type") != "image/svg+xml" ||
		!strings.HasPrefix(policy, "default-src 'none'; ") || !strings.HasSuffix(policy, "; sandbox") || logo.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the sign: %v %s", logo.Header, logo.Body)
	}
	if a := s.Send(t, http.MethodGet, "/theme/logo", "", "", "If-None-Match", logo.Header.Get("ETag")); a.Status != http.StatusNotModified {
		t.Errorf("the sign that is there: %d", a.Status)
	}
	for _, path := range []string{"/", "/signin", "/docs", "/oauth2/authorize", "/oauth2/logout"} {
		a := s.Send(t, http.MethodGet, path, "", "")
		for _, want := range []string{`Acme &lt;Söhne&gt;</title>`, `href="/theme/style.css"`, `<img src="/theme/logo" alt="">`} {
			if !strings.Contains(a.Body, want) {
				t.Errorf("%s lacks %s:\n%s", path, want, a.Body)
			}
		}
		if strings.Contains(a.Body, "005a9c") || strings.Contains(a.Body, "Doorward</") {
			t.Errorf("%s:\n%s", path, a.Body)
		}
	}
}

// As it comes, no page asks for what it does not need.
func TestNoTheme(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	for _, path := range []string{"/", "/signin", "/docs"} {
		if a := s.Send(t, http.MethodGet, path, "", ""); strings.Contains(a.Body, "/theme/") || !strings.Contains(a.Body, "Doorward</title>") {
			t.Errorf("%s:\n%s", path, a.Body)
		}
	}
	if a := s.Send(t, http.MethodGet, "/theme/logo", "", ""); a.Status != http.StatusNotFound {
		t.Errorf("no sign: %d", a.Status)
	}
	// What the configuration holds colours against is what the pages have.
	page := s.Send(t, http.MethodGet, "/signin", "", "").Body
	for _, want := range []string{"--soft:#5b616b;--paper:#fbfaf7;--card:#fff;", "--mark:#7a4b12;", "--soft:#a3a8b0;--paper:#16181c;--card:#1d2025;", "--mark:#e0b070;", "--round:.5rem"} {
		if !strings.Contains(page, want) {
			t.Errorf("the pages' stylesheet has another %s", want)
		}
	}
}

// A picture is one by what it holds, and not a large one.
func TestLogos(t *testing.T) {
	t.Parallel()
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100)
	for name, tt := range map[string]struct{ text, want string }{
		"logo.svg":  {svg, "image/svg+xml"},
		"logo.txt":  {png, "image/png"},
		"html.svg":  {"<!doctype html><script>alert(1)</script>", ""},
		"html.png":  {"<html xmlns='http://www.w3.org/1999/xhtml'><svg xmlns='http://www.w3.org/2000/svg'/></html>", ""},
		"no.svg":    {"<svg/>", ""},
		"gif.gif":   {"GIF89a", ""},
		"empty.png": {"", ""},
		"large.png": {png + strings.Repeat("x", 256<<10), ""},
	} {
		text, mediaType, err := server.ReadLogo(picture(t, name, tt.text))
		if mediaType != tt.want || (err == nil) != (tt.want != "") || err == nil && string(text) != tt.text {
			t.Errorf("%s: %s, %v", name, mediaType, err)
		}
	}
	if _, _, err := server.ReadLogo(filepath.Join(t.TempDir(), "none.svg")); err == nil {
		t.Error("one that is not there")
	}
}
