package reference

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/web"
)

func serve(t *testing.T, r *Reference, name string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, Path+"/"+name, nil)
	req.SetPathValue("file", name)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	if err := r.Asset(w, req); err != nil {
		web.FailProblem(w, req, err)
	}
	return w
}

// What is served of Swagger UI is what was looked at, and nothing else of it.
func TestSwaggerIsWhatTheRecordSays(t *testing.T) {
	text, err := os.ReadFile("swagger/record.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if !regexp.MustCompile(`^swagger-ui-dist \d+\.\d+\.\d+ sha512-`).MatchString(lines[0]) || len(lines) != 4 {
		t.Errorf("the record is\n%s", text)
	}
	r := New(Options{})
	for _, line := range lines[1:] {
		name, sum, _ := strings.Cut(line, " ")
		w := serve(t, r, name)
		if got := fmt.Sprintf("%x", sha256.Sum256(w.Body.Bytes())); w.Code != http.StatusOK || got != sum {
			t.Errorf("%s: %d, %s, want %s", name, w.Code, got, sum)
		}
	}
}

// Files are sent packed to who can unpack them, and not again to who has them.
func TestAssets(t *testing.T) {
	r := New(Options{})
	plain := serve(t, r, "docs.js")
	packed := serve(t, r, "docs.js", "Accept-Encoding", "br, gzip")
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(text, plain.Body.Bytes()) || len(text) == 0 {
		t.Errorf("packed it is another: %v", err)
	}
	h := packed.Header()
	if h.Get("Content-Encoding") != "gzip" || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Type") != "text/javascript; charset=utf-8" || plain.Header().Get("Content-Encoding") != "" {
		t.Errorf("%v and %v", h, plain.Header())
	}
	if w := serve(t, r, "docs.js", "If-None-Match", h.Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("what is there already: %d", w.Code)
	}
	if w := serve(t, r, "docs.js", "Accept-Encoding", "gzip;q=0"); w.Header().Get("Content-Encoding") != "" {
		t.Error("it is packed for who does not want it")
	}
	for _, name := range []string{"", "docs.html", "redirect.html", "record.txt", "../reference.go", "swagger-ui.css.gz"} {
		if w := serve(t, r, name); w.Code != http.StatusNotFound {
			t.Errorf("%q: %d", name, w.Code)
		}
	}
}

// Scripts of the page make no HTML and run no text, or the browser would refuse it: the
// policy allows neither.
func TestPolicy(t *testing.T) {
	r := New(Options{Issuer: "https://auth.example.com", Client: "doorward-docs"})
	w := httptest.NewRecorder()
	if err := r.Page(w, nil); err != nil {
		t.Fatal(err)
	}
	back := serve(t, r, "oauth2-redirect.html", "Accept-Encoding", "gzip")
	for name, w := range map[string]*httptest.ResponseRecorder{"the page": w, "the way back": back} {
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'", "connect-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: its policy lacks %s: %s", name, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("Cross-Origin-Opener-Policy") != "same-origin" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, w.Header())
		}
		if scripts := regexp.MustCompile(`<script([^>]*)>([^<]*)`).FindAllStringSubmatch(w.Body.String(), -1); len(scripts) == 0 {
			t.Errorf("%s has no script", name)
		} else {
			for _, s := range scripts {
				if !strings.Contains(s[1], `nonce="`) || !strings.Contains(s[1], `src="/docs/`) || s[2] != "" {
					t.Errorf("%s: the script %s", name, s[0])
				}
			}
		}
	}
	if images := "img-src 'self' data:"; !strings.Contains(w.Header().Get("Content-Security-Policy"), images) || strings.Contains(back.Header().Get("Content-Security-Policy"), "data:") {
		t.Error("pictures are to be in the stylesheet of the page alone")
	}
}
