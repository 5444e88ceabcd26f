package server

import (
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/web"
)

// decisions are the routes of the AuthZEN Authorization API.
func decisions(a *admin.API) []route {
	f := func(h web.Handler) http.Handler { return web.Serve(h, a.Fail) }
	return []route{
		{"GET /.well-known/authzen-configuration", anybody, a.Fail, f(a.AuthZEN)},
		{"POST /access/v1/evaluation", pdp, a.Fail, f(a.Evaluation)},
		{"POST /access/v1/evaluations", pdp, a.Fail, f(a.Evaluations)},
		{"POST /access/v1/search/subject", pdp, a.Fail, f(a.SearchSubject)},
		{"POST /access/v1/search/resource", pdp, a.Fail, f(a.SearchResource)},
		{"POST /access/v1/search/action", pdp, a.Fail, f(a.SearchAction)},
	}
}

// orClient lets a client pass by its secret where others bring an access token: its
// roles must allow what theirs must, and it must be registered for it.
func (s *Server) orClient(r route, clients *provider.Provider, next http.Handler) http.Handler {
	protected := s.protect(r, next)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !basic(req) {
			protected.ServeHTTP(w, req)
			return
		}
		if err := s.byClient(w, req, clients, r.who.permission()); err != nil {
			web.Of(req.Context()).Cause = err
			r.fail(w, req, err)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// basic reports whether a request brings an id and a secret, and nothing beside.
func basic(r *http.Request) bool {
	given := r.Header.Values("Authorization")
	if len(given) != 1 || len(r.Header.Values("X-API-Key")) > 0 {
		return false
	}
	scheme, _, _ := strings.Cut(given[0], " ")
	return strings.EqualFold(scheme, "Basic")
}

func (s *Server) byClient(w http.ResponseWriter, r *http.Request, clients *provider.Provider, permission string) error {
	if err := web.Buffer(w, r, admin.BodyLimit); err != nil {
		return err
	}
	if err := s.Fresh(); err != nil {
		return err
	}
	c, err := clients.Client(r)
	if err != nil {
		return err
	}
	known := web.Of(r.Context())
	known.By.Scopes, known.By.Needs = append([]string{}, c.Scopes...), permission
	allowed, err := s.Roles.Allows(r.Context(), &known.By, permission)
	if err == nil && !allowed {
		return s.deny(r.Context(), permission)
	}
	return err
}

// requestID is a name that somebody may give his request.
var requestID = regexp.MustCompile(`^[0-9A-Za-z._~:/+=@-]{1,128}$`)

// echo answers questions about decisions under the name that they came with (AuthZEN
// Authorization API 1.0, "Request Identification in a Response"). This server goes on
// by its own: it notes the other beside it.
func echo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if given := r.Header.Values("X-Request-Id"); len(given) == 1 && strings.HasPrefix(r.URL.Path, "/access/v1/") && requestID.MatchString(given[0]) {
			w.Header().Set("X-Request-Id", given[0])
			web.Note(r.Context(), slog.String("called", given[0]))
		}
		next.ServeHTTP(w, r)
	})
}
