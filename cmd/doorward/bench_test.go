package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

// benchArgs are those of a benchmark with a token.
func benchArgs(t *testing.T, url, token string, more ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"bench", url, "--token-file", file}, more...)
}

// Interrupted, it leaves no client behind, and says so by its exit code.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, told strings.Builder
	p := &program{env: cleanEnv(), stdin: strings.NewReader(""), stdout: &out, stderr: &told, began: time.Now()}
	ended := make(chan int, 1)
	go func() {
		ended <- p.run(ctx, benchArgs(t, s.URL, s.Login(t, servertest.Admin).Access, "--for", "1m", "--connections", "2"))
	}()
	clients := func() int {
		list, err := s.Core.Clients.List(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for began := time.Now(); clients() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("no client was registered: %s", told.String())
		}
	}
	cancel()
	if code := <-ended; code != 1 || out.Len() > 0 || !strings.Contains(told.String(), "interrupted") && !strings.Contains(told.String(), "canceled") {
		t.Errorf("%d %s %s", code, out.String(), told.String())
	}
	if n := clients(); n != 0 {
		t.Errorf("%d clients are left behind", n)
	}
}

// A server that says that it is another is sent no token, nor is one that the token is
// not of.
func TestBenchOfAnother(t *testing.T) {
	t.Parallel()
	var shown []string
	var issuer string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.URL.Path+" "+r.Header.Get("Authorization"))
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer})
	}))
	defer s.Close()
	forged := func(iss string, left time.Duration) string {
		claims, err := json.Marshal(map[string]any{"iss": iss, "exp": time.Now().Add(left).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		part := base64.RawURLEncoding.EncodeToString
		return part([]byte(`{"alg":"ES256"}`)) + "." + part(claims) + "." + part(make([]byte, 64))
	}
	for _, tt := range []struct {
		name, issuer, token, want string
		asked                     int
	}{
		{"a token of another", s.URL, forged("https://auth.example.com", time.Hour), "the token is of https://auth.example.com", 0},
		{"a token that ends", s.URL, forged(s.URL, time.Minute), "get another, or measure less", 0},
		{"no token", s.URL, "dwk_x", "no API key may", 0},
		{"another server", "https://auth.example.com", forged(s.URL, time.Hour), "the server says that it is https://auth.example.com", 1},
		{"no administrator", s.URL, forged(s.URL, time.Hour), "the token lacks read", 2},
	} {
		shown, issuer = nil, tt.issuer
		code, out, told := runHere(t, "", benchArgs(t, s.URL, tt.token)...)
		if code != 1 || out != "" || !strings.Contains(told, tt.want) || len(shown) != tt.asked {
			t.Errorf("%s: %d %s %s, asked for %q", tt.name, code, out, told, shown)
		}
		if tt.asked == 1 && strings.Contains(strings.Join(shown, ""), "Bearer") {
			t.Errorf("%s: it was shown the token: %q", tt.name, shown)
		}
	}
}
