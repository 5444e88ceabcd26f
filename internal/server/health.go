package server

import (
	"context"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/web"
)

// healthy says that the process serves.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	return web.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether the process should be sent requests: it is not about to
// stop, the database answers, the keys sign, and changes are followed.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	checks := map[string]string{"database": "ok", "signing_key": "ok", "changes": "ok", "serving": "ok"}
	status := http.StatusOK
	fail := func(check, why string) { checks[check], status = why, http.StatusServiceUnavailable }
	if err := s.Store.Ping(ctx); err != nil {
		fail("database", "it does not answer")
	}
	if _, err := s.Keys.View(); err != nil {
		fail("signing_key", "none is active")
	}
	if s.Feed.Age() > stale {
		fail("changes", "they were not read for 5 s")
	}
	if s.draining.Load() {
		fail("serving", "it is stopping")
	}
	if s.isDoctor(r) {
		checks[SeenAddress] = s.seen(r)
	}
	return web.JSON(w, status, checks)
}

// document serves the OpenAPI document.
func (s *Server) document(w http.ResponseWriter, _ *http.Request) error {
	document, err := s.openapi()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(document) // the client is gone: nobody is left to tell
	return nil
}
