package web

import (
	"net/http"
	"slices"
)

// CORS lets scripts of other origins call a site (Fetch, Section 3.3). An origin is
// one of Origins, byte for byte, or it is nobody: there are no patterns, and what a
// request asks for is never repeated.
type CORS struct {
	Origins []string               // as browsers send them: scheme, host and port if it is not the usual one
	Shares  func(path string) bool // whether scripts may call a path at all
	Fail    Fail                   // for preflights that are refused
}

// preflightLimit is how long the list of headers in a preflight may be. What is
// in it does not matter: the answer is the same for all.
const preflightLimit = 1 << 10

// Around returns a handler that answers preflights by itself, and lets the origins
// read what next answers.
func (c CORS) Around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.Shares(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h["Vary"] = varyOrigin // also for who sends none: a cache may keep that answer
		origin := r.Header["Origin"]
		listed := len(origin) == 1 && slices.Contains(c.Origins, origin[0])
		if listed {
			h["Access-Control-Allow-Origin"] = []string{origin[0]}
			h["Access-Control-Allow-Credentials"] = allowCredentials
		}
		if r.Method != http.MethodOptions || len(origin) == 0 || len(r.Header["Access-Control-Request-Method"]) == 0 {
			if listed {
				h["Access-Control-Expose-Headers"] = exposed
			}
			next.ServeHTTP(w, r)
			return
		}
		if err := preflight(r, listed); err != nil {
			Of(r.Context()).Cause = err
			c.Fail(w, r, err)
			return
		}
		h["Access-Control-Allow-Methods"] = allowMethods
		h["Access-Control-Allow-Headers"] = allowHeaders
		h["Access-Control-Max-Age"] = maxAge
		w.WriteHeader(http.StatusNoContent)
	})
}

// preflight says why a preflight is refused, if it is.
func preflight(r *http.Request, listed bool) error {
	size := 0
	for _, line := range r.Header["Access-Control-Request-Headers"] {
		size += len(line)
	}
	switch {
	case size > preflightLimit || len(r.Header["Access-Control-Request-Method"]) > 1:
		return &Refused{Status: http.StatusBadRequest, Message: "the preflight asks for more than any browser does"}
	case !listed:
		return &Refused{Status: http.StatusForbidden, Message: "scripts of this origin may not call this server: cors.origins does not list it"}
	}
	return nil
}

var (
	varyOrigin       = []string{"Origin"}
	allowCredentials = []string{"true"}
	allowMethods     = []string{"GET, POST, PUT, PATCH, DELETE"}
	allowHeaders     = []string{"Authorization, Content-Type, X-API-Key, If-Match, If-None-Match, Idempotency-Key, X-Requested-With"}
	exposed          = []string{"ETag, X-Request-Id, Retry-After, WWW-Authenticate, Link"}
	maxAge           = []string{"600"}
)
