package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header         { return w.header }
func (w nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w nowhere) WriteHeader(int)             {}

// What stands around every answer: the request's id, the headers, the log line.
func BenchmarkSite(b *testing.B) {
	s := Site{Hosts: []string{"127.0.0.1"}, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	h := s.Around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Of(r.Context()).Route = "GET /oauth2/jwks"
		w.WriteHeader(http.StatusOK)
	}))
	r := httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil)
	r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:40000"
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(nowhere{http.Header{}}, r)
	}
}
