// Package signin is where people prove who they are: the password form and what
// follows it, under /auth/ for programs and as pages for people. Its tokens are
// answered in the body, or held by a browser in cookies that scripts cannot read.
package signin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// Issuer is what this package needs of the room that makes tokens.
type Issuer interface {
	SignIn(context.Context, principal.Principal, issue.Password) (issue.Tokens, error)
	Refresh(context.Context, principal.Principal, issue.Renewal) (issue.Tokens, error)
	SignOut(context.Context, principal.Principal, secret.Text) error
	Revoke(ctx context.Context, by, of principal.Principal) error
	ChangePassword(ctx context.Context, by principal.Principal, current, next secret.Text) (device secret.Text, err error)
}

// Parts are what the surface is made of.
type Parts struct {
	Issuer   Issuer
	Sessions *session.Service
	// Bearer returns whose good access token a request brings, or nobody. Its error
	// is one of ours.
	Bearer  func(*http.Request) (principal.Principal, error)
	Cookies web.Cookies
	Origins *web.CrossOrigin    // for /auth/
	Twice   func(*http.Request) // notes a request with two cookies of one name
	// What follows is for the pages.
	Flow Flow
	URL  string // of the issuer
	// Hint reads an ID token that comes back; false for what this server did not sign.
	Hint func(token string) (issue.Hint, bool)
	// Meant reports whether it is about a person.
	Meant func(ctx context.Context, h issue.Hint, user string) bool
	// Frames returns what signs a browser out of the applications of a session.
	Frames   func(ctx context.Context, session string) ([]oauth.Frame, error)
	Clients  *client.Service
	Forms    *web.CrossOrigin // with no origin but the site's own
	Accounts *account.Service
	Keys     *keyring.Service
	Clock    clock.Clock
	Idle     time.Duration // how long a session may lie unused
}

// Surface serves /auth/ and the pages.
type Surface struct{ Parts }

// New returns the surface.
func New(p Parts) *Surface { return &Surface{p} }

// tokens is the answer of a sign-in and of a refresh (RFC 6749, Section 5.1).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
}

func answer(w http.ResponseWriter, t issue.Tokens) error {
	return web.JSON(w, http.StatusOK, tokens{
		Access: t.Access.Reveal(), Type: "Bearer", Expires: int64(t.Expires / time.Second),
		Refresh: t.Refresh.Reveal(), Scope: oauth.FormatScope(t.Scope),
	})
}

// params reads the parameters of a body, as a form or as JSON. A query string is
// never read (RFC 6749, Section 2.3.1).
func params(w http.ResponseWriter, r *http.Request, known ...string) (oauth.Params, error) {
	mediaType, body, err := web.Body(w, r, web.Form, web.JSONType)
	if err != nil {
		return nil, err
	}
	if mediaType == web.JSONType {
		return oauth.ParseJSON(body, known...)
	}
	return oauth.ParseForm(string(body))
}

// optional reads the parameters of a body that may be absent, where what it would
// say is held in cookies.
func optional(w http.ResponseWriter, r *http.Request, known ...string) (oauth.Params, error) {
	if r.ContentLength == 0 {
		return oauth.Params{}, nil
	}
	return params(w, r, known...)
}

// Login proves a person by a password and begins a token family. It takes the
// fields of the password form of OAuth 2.0 (RFC 6749, Section 4.3.2), which is
// no grant here: only first-party applications may show it.
func (s *Surface) Login(w http.ResponseWriter, r *http.Request) error {
	p, err := params(w, r, "grant_type", "username", "password", "scope", "resource", "organization", "client_id", "client_secret", "mode", "roles")
	if err != nil {
		return err
	}
	if t := p.Get("grant_type"); t != "" && t != "password" {
		return &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "this is the password form"}
	}
	browser, err := s.mode(r, p)
	if err != nil {
		return err
	}
	name, password := p.Get("username"), p.Get("password")
	if name == "" || password == "" {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "username and password are required"}
	}
	request := issue.Password{Name: name, Password: secret.From(password), Resource: p["resource"], Organization: p.Get("organization"), Browser: browser}
	if request.Client, err = application(p); err != nil {
		return err
	}
	if request.Scope, err = oauth.ParseScope(p.Get("scope")); err != nil {
		return err
	}
	if request.Roles, err = issue.ParseRoles(p.Get("roles")); err != nil {
		return err
	}
	if browser {
		request.Replaces, _ = s.Cookies.Get(r, web.SessionCookie)
	}
	t, err := s.Issuer.SignIn(r.Context(), web.By(r.Context()), request)
	if err != nil {
		return err
	}
	if browser {
		return s.hold(w, t)
	}
	// Another site's form signs in to an account of its own: it must not take from
	// this browser what makes it known to others.
	if s.Origins.Check(r) == nil {
		s.Cookies.Set(w, web.DeviceCookie, t.Device, web.DeviceLasts)
	}
	return answer(w, t)
}

// Refresh spends a refresh token and answers with the next pair (RFC 6749,
// Section 6).
func (s *Surface) Refresh(w http.ResponseWriter, r *http.Request) error {
	p, err := optional(w, r, "grant_type", "refresh_token", "scope", "resource", "client_id", "client_secret")
	if err != nil {
		return err
	}
	if t := p.Get("grant_type"); t != "" && t != "refresh_token" {
		return &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "this is for refresh tokens"}
	}
	request := issue.Renewal{Token: secret.From(p.Get("refresh_token")), Resource: p["resource"]}
	if request.Token.IsZero() && !web.Beside(r) {
		if request.Token, err = s.held(r, web.RefreshCookie); err != nil {
			return err
		}
		request.Browser = true
	}
	if request.Token.IsZero() {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "refresh_token is required"}
	}
	if request.Client, err = application(p); err != nil {
		return err
	}
	if request.Scope, err = oauth.ParseScope(p.Get("scope")); err != nil {
		return err
	}
	t, err := s.Issuer.Refresh(r.Context(), web.By(r.Context()), request)
	if err != nil {
		return err
	}
	if request.Browser {
		return s.hold(w, t)
	}
	return answer(w, t)
}

// application returns the first-party application that a request names.
func application(p oauth.Params) (client.Client, error) {
	c, err := client.FirstParty(p.Get("client_id"))
	if err != nil {
		return client.Client{}, (&oauth.Error{Code: oauth.InvalidClient, Description: "no first-party client has this client_id"}).Because(err)
	}
	return c, nil
}

// Fail is the one place where an error of /auth/ and /oauth2/ is told (RFC 6749, Section
// 5.2).
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	status, e := told(err)
	if status == http.StatusUnauthorized {
		// The status must come with a challenge (RFC 9110, Section 15.5.2).
		scheme := "Bearer"
		if e.Basic {
			scheme = "Basic" // which it tried (RFC 6749, Section 5.2)
		}
		challenge := scheme + ` realm="doorward"`
		if e.Code == oauth.InvalidToken && len(r.Header["Authorization"]) > 0 { // who brings nothing is told no error (RFC 6750, Section 3.1)
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if refused, ok := errors.AsType[*web.Refused](err); ok && refused.Allow != "" {
		w.Header().Set("Allow", refused.Allow)
	}
	if e.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.After+time.Second-1)/time.Second)))
	}
	_ = web.JSON(w, status, struct { // strings alone cannot fail
		Error       oauth.Code `json:"error"`
		Description string     `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

func told(err error) (int, *oauth.Error) {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		switch e.Code {
		case oauth.InvalidClient, oauth.InvalidToken:
			return http.StatusUnauthorized, e
		case oauth.ServerError:
			return http.StatusInternalServerError, e
		}
		return http.StatusBadRequest, e
	}
	if e, ok := errors.AsType[*web.Refused](err); ok {
		return e.Status, &oauth.Error{Code: oauth.InvalidRequest, Description: e.Message}
	}
	f, _ := errors.AsType[*fault.Error](err)
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return http.StatusUnauthorized, &oauth.Error{Code: oauth.InvalidGrant, Description: f.Message}
	case fault.Invalid:
		return http.StatusBadRequest, &oauth.Error{Code: oauth.InvalidRequest, Description: f.Message}
	case fault.Limited:
		return http.StatusTooManyRequests, &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "too many sign-ins at once; try again later", After: max(f.After, time.Second)}
	case fault.Unavailable:
		return http.StatusServiceUnavailable, &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: f.Message, After: max(f.After, time.Second)}
	}
	return http.StatusInternalServerError, &oauth.Error{Code: oauth.ServerError, Description: "the server met a problem that is not yours"}
}
