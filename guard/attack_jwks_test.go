package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostile is an issuer on loopback whose key document can turn bad.
type hostile struct {
	*httptest.Server
	jwks  atomic.Pointer[http.HandlerFunc]
	other atomic.Int32 // requests to places that nobody should be sent to
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, h.URL, h.URL+"/jwks")
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) { (*h.jwks.Load())(w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		h.other.Add(1)
		io.WriteString(w, jwksText(t, jwkText(t, es())))
	})
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

func (h *hostile) serve(f http.HandlerFunc) { h.jwks.Store(&f) }

func (r *remote) inFlight() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running != nil
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *safeBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func TestAttackJWT025HostileServer(t *testing.T) {
	good := jwksText(t, jwkText(t, es()))
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for name, bad := range map[string]http.HandlerFunc{
		"100 MiB": func(w http.ResponseWriter, _ *http.Request) {
			block := bytes.Repeat([]byte(" "), 1<<20)
			for range 100 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"64 KiB and a byte": text(good + strings.Repeat(" ", maxDocument+1-len(good))),
		"gzip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, good)
		},
		"drip": func(w http.ResponseWriter, r *http.Request) {
			for {
				select {
				case <-r.Context().Done():
					return
				case <-time.After(50 * time.Millisecond):
					io.WriteString(w, " ")
					w.(http.Flusher).Flush()
				}
			}
		},
		"html":               text("<!DOCTYPE html><html><body>Sign in to the hotel</body></html>"),
		"redirect elsewhere": redirect("http://169.254.169.254/latest"),
		"redirect here":      redirect("/other"),
		"10,000 keys":        text(`{"keys":[` + strings.Repeat(`{},`, 9999) + `{}]}`),
		"empty":              text(`{"keys":[]}`),
		"nothing":            text(``),
		"oct":                text(`{"keys":[{"kty":"oct","kid":"es","alg":"HS256","k":"AAAA"}]}`),
		"500": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, good)
		},
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			io.WriteString(w, good)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"header bomb": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("A", 10_000))
			}
			io.WriteString(w, good)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t)
			var log safeBuffer
			var shift atomic.Int64
			fresh := func() *Guard {
				g, err := New(h.URL, Audience(testAudience), Logger(slog.New(slog.NewTextHandler(&log, nil))),
					Now(func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }))
				if err != nil {
					t.Fatal(err)
				}
				g.keys.(*remote).patience = time.Second
				return g
			}
			token := es().token(map[string]any{"iss": h.URL, "iat": 0, "nbf": 0, "exp": 1 << 40})

			// Bad from the start: nothing passes.
			h.serve(bad)
			if err := verifies(fresh(), token); !errors.Is(err, ErrUnavailable) {
				t.Errorf("bad from the start: %v", err)
			}
			// Bad later: what was good stays, and somebody is told.
			h.serve(text(good))
			g := fresh()
			if err := verifies(g, token); err != nil {
				t.Fatal(err)
			}
			h.serve(bad)
			log.Reset()
			shift.Store(int64(maxFresh))
			r := g.keys.(*remote)
			r.last.Load().fresh = minFresh
			if err := verifies(g, token); err != nil {
				t.Errorf("bad later: %v", err)
			}
			for r.inFlight() {
				time.Sleep(time.Millisecond)
			}
			if err := verifies(g, token); err != nil {
				t.Errorf("bad later, after the fetch: %v", err)
			}
			if !strings.Contains(log.String(), "cannot be fetched") {
				t.Errorf("nobody was told: %s", log.String())
			}
			if h.other.Load() != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

// A server whose certificate is of another host, or of nobody we know, gives no
// keys.
func TestAttackJWT025BadTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, jwksText(t, jwkText(t, es()))) }))
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	token := es().token(map[string]any{"iss": s.URL, "iat": 0, "nbf": 0, "exp": 1 << 40})
	build := func(jwks string, options ...Option) *Guard {
		g, err := New(s.URL, append([]Option{Audience(testAudience), JWKSURL(jwks), Logger(slog.New(slog.DiscardHandler))}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if err := verifies(build(s.URL), token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an unknown authority: %v", err)
	}
	other := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	if err := verifies(build(other, HTTPClient(s.Client())), token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("another host's certificate: %v", err)
	}
	if err := verifies(build(s.URL, HTTPClient(s.Client())), token); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
}

// Keys that are refused are told, and the others are used.
func TestRefusedKeysAreLogged(t *testing.T) {
	i := newWire(t)
	i.pages["https://as.example/jwks"] = jwksText(t, `{"kty":"oct","kid":"shared","k":"AAAA"}`, jwkText(t, es()))
	var log safeBuffer
	if err := verifies(i.guard(t, Logger(slog.New(slog.NewTextHandler(&log, nil)))), lasting(es())); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "shared") || strings.Contains(log.String(), "AAAA") {
		t.Errorf("log: %s", log.String())
	}
}
