package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// protect lets a request pass that brings an access token with the route's
// permission, if the roles of its principal allow it now: the token says what
// was granted, the policy what still is.
func (s *Server) protect(r route, next http.Handler) http.Handler {
	permission := r.who.permission()
	var checks []guard.Requirement
	if permission != "" {
		checks = append(checks, guard.Permission(permission))
	}
	read := strings.HasPrefix(r.pattern, http.MethodGet+" ")
	guarded := s.guard.Require(checks...)(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		known := web.Of(req.Context())
		identify(known, guard.PrincipalFrom(req.Context()))
		known.By.Needs = permission
		if known.By.Lent() && !r.forKeys() {
			known.Cause = s.forbid(req.Context(), "an API key, or a token that was exchanged, is not for this: it makes and changes no credentials, and does what a permission of its own allows")
			r.fail(w, req, known.Cause)
			return
		}
		if !r.forApps(known.By) {
			known.Cause = s.forbid(req.Context(), "an application is not the person: it does what a permission allows, and learns at /oauth2/userinfo who it is")
			r.fail(w, req, known.Cause)
			return
		}
		if permission != "" {
			allowed, err := s.Roles.Allows(req.Context(), &known.By, permission)
			if err == nil && !allowed {
				err = s.deny(req.Context(), permission)
			}
			if err != nil {
				known.Cause = err
				r.fail(w, req, err)
				return
			}
		}
		if read {
			s.counter.Add(s.Clock.Now(), known.By.Credential(), r.pattern, audit.Success)
		}
		next.ServeHTTP(w, req)
	}))
	if read {
		return s.withCookie(r, guarded)
	}
	return s.withCookie(r, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := web.Buffer(w, req, admin.BodyLimit); err != nil {
			web.Of(req.Context()).Cause = err
			r.fail(w, req, err)
			return
		}
		guarded.ServeHTTP(w, req)
	}))
}

// withCookie lets a browser's access cookie stand for the access token, where a
// request brings no credential in a header: beside one, cookies are ignored. What
// another site makes a browser send is refused before the cookie is looked at.
func (s *Server) withCookie(r route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if len(req.Header["Cookie"]) > 0 && !web.Beside(req) {
			value, twice := s.cookies.Get(req, web.AccessCookie)
			if twice {
				s.duplicate(req)
			}
			if !value.IsZero() {
				if err := s.origins.Check(req); err != nil {
					web.Of(req.Context()).Cause = err
					r.fail(w, req, err)
					return
				}
				req.Header["Authorization"] = []string{"Bearer " + value.Reveal()}
			}
		}
		next.ServeHTTP(w, req)
	})
}

// duplicate notes a request with two cookies of one name: one of them was put
// there by another host or by whoever sits on the line.
func (s *Server) duplicate(req *http.Request) {
	web.Note(req.Context(), slog.Bool("duplicate_cookie", true))
	s.counter.Add(s.Clock.Now(), "", web.Of(req.Context()).Route, audit.Denied)
}

// identify makes the request that of the principal whose token was verified.
func identify(known *web.Request, p *guard.Principal) {
	origin := known.By.Origin
	known.By = holder(p)
	known.By.Origin = origin
}

// deny is the refusal of a request whose principal lacks a permission.
func (s *Server) deny(ctx context.Context, permission string) *web.Problem {
	known := web.Of(ctx)
	return s.keep(ctx, s.Access.Denied(ctx, known.By, permission, ""), "this needs the permission "+permission)
}

// forbid is a refusal for another reason than a permission that lacks.
func (s *Server) forbid(ctx context.Context, why string) *web.Problem {
	return s.keep(ctx, s.Access.Denied(ctx, web.Of(ctx).By, web.Of(ctx).By.Needs, why), why)
}

// keep tells of a refusal, and keeps it for who looks it up.
func (s *Server) keep(ctx context.Context, d access.Decision, why string) *web.Problem {
	known := web.Of(ctx)
	s.Access.Keep(known.By, known.Route, d)
	p := web.NewProblem(http.StatusForbidden, why)
	p.DecisionID = d.ID
	web.Note(ctx, slog.String("decision", p.DecisionID))
	return p
}

// refused tells why the guard let a request not pass; it has set the headers.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, refusal guard.Refusal) {
	known := web.Of(r.Context())
	err := web.NewProblem(refusal.Status, refusal.Description)
	if refusal.Status == http.StatusForbidden {
		identify(known, refusal.Principal)
		err = s.deny(r.Context(), refusal.Scope)
	}
	web.Note(r.Context(), slog.String("refused", refusal.Code))
	known.Cause = errors.Join(err, refusal.Err)
	web.FailProblem(w, r, err)
}

// stale is how long this process trusts what it knows of roles and revocations
// without hearing from the database.
const stale = 5 * time.Second

// Fresh returns an Unavailable fault where what this process knows may be out of
// date: it then neither lets requests pass nor issues tokens.
func (k *Core) Fresh() error {
	if k.Feed.Age() > stale {
		return fault.New(fault.Unavailable, "the server has lost touch with its database; try again later")
	}
	return nil
}

// revoked is asked at every request, whether the token was seen before or not.
func (s *Server) revoked(_ context.Context, p *guard.Principal) error {
	if s.Fresh() != nil {
		return guard.ErrUnavailable
	}
	if p.KeyID != "" { // it was looked up for this request
		return nil
	}
	if s.Revoked.Has(grant.Access{Family: p.Family, Account: p.Subject, Client: p.ClientID, Roles: p.Roles, Audience: p.Audience, Organization: p.Organization, Via: p.Via, Policy: p.PolicyVersion}) {
		return &issue.Dead{Family: p.Family}
	}
	return nil
}

// bearer returns whose good access token a request brings in its header, or
// nobody. The error says that it could not be judged, or which of two was meant.
func (s *Server) bearer(r *http.Request) (principal.Principal, error) {
	var nobody principal.Principal
	given := r.Header.Values("Authorization")
	switch {
	case len(given) == 0:
		return nobody, nil
	case len(given) > 1:
		return nobody, &web.Refused{Status: http.StatusBadRequest, Message: "the request carries more than one credential"}
	}
	scheme, token, ok := strings.Cut(given[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nobody, nil
	}
	p, err := s.guard.Verify(r.Context(), token)
	if errors.Is(err, guard.ErrUnavailable) {
		return nobody, fault.New(fault.Unavailable, "the access token cannot be checked at the moment; try again later")
	} else if err != nil {
		return nobody, nil //nolint:nilerr // a token that is refused signs nobody out
	}
	return holder(p), nil
}
