// Package web is what all surfaces share of HTTP: handlers that return errors,
// what is known of a request, the one log line, headers, and bodies read with
// bounds. What a path means is not here, nor how an error is told: each surface
// has its own Fail.
package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/principal"
)

// Handler answers a request or returns why it did not. One that returns an error
// has written nothing.
type Handler func(http.ResponseWriter, *http.Request) error

// Fail tells an error to whom a surface serves.
type Fail func(http.ResponseWriter, *http.Request, error)

// Request is what is known of a request while it is served. It belongs to the
// goroutine that serves it.
type Request struct {
	By       principal.Principal // nobody, until the credential is verified
	Route    string              // the pattern of the site map; empty while none is found
	Cause    error               // why it failed, for the log; the client is told less
	notes    []slog.Attr
	Theme    Theme
	began    time.Time
	panicked bool
}

type requestKey struct{}

// Of returns what is known of the request that ctx belongs to.
func Of(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// By returns who is asking.
func By(ctx context.Context) principal.Principal { return Of(ctx).By }

// Note adds to the request's log line. Never a secret, never a person's data.
func Note(ctx context.Context, attrs ...slog.Attr) {
	r := Of(ctx)
	r.notes = append(r.notes, attrs...)
}

// JSON writes v as the answer.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone: nobody is left to tell
	return nil
}

// Serve makes a handler of h whose errors are told by fail.
func Serve(h Handler, fail Fail) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			Of(r.Context()).Cause = err
			fail(w, r, err)
		}
	})
}

// Prefetched reports whether a browser asks for a page that nobody wants to see yet.
func Prefetched(r *http.Request) bool {
	return r.Method == http.MethodHead || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || r.Header.Get("Purpose") == "prefetch"
}
