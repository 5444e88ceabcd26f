// Package signin is where people prove who they are: for now the password form
// and what follows it, under /auth/. Pages come with browser sessions.
package signin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// Issuer is what this package needs of the room that makes tokens.
type Issuer interface {
	SignIn(context.Context, principal.Principal, issue.Password) (issue.Tokens, error)
	Refresh(context.Context, principal.Principal, issue.Renewal) (issue.Tokens, error)
	SignOut(context.Context, principal.Principal, secret.Text) error
	SignOutFamily(ctx context.Context, by principal.Principal, family string) error
}

// Surface serves /auth/.
type Surface struct {
	issuer Issuer
	// bearer returns whose good access token a request brings, or nobody's.
	bearer func(*http.Request) (family, user string, err error)
}

// New returns the surface. bearer says whose good access token a request brings,
// if it does; its error is one of ours.
func New(issuer Issuer, bearer func(*http.Request) (family, user string, err error)) *Surface {
	return &Surface{issuer, bearer}
}

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

// Login proves a person by a password and begins a token family. It takes the
// fields of the password form of OAuth 2.0 (RFC 6749, Section 4.3.2), which is
// no grant here: only first-party applications may show it.
func (s *Surface) Login(w http.ResponseWriter, r *http.Request) error {
	p, err := params(w, r, "grant_type", "username", "password", "scope", "resource", "client_id", "client_secret", "mode")
	if err != nil {
		return err
	}
	if t := p.Get("grant_type"); t != "" && t != "password" {
		return &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "this is the password form"}
	}
	if p.Get("mode") != "" {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "this version has no mode but tokens in the body"}
	}
	name, password := p.Get("username"), p.Get("password")
	if name == "" || password == "" {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "username and password are required"}
	}
	request := issue.Password{Name: name, Password: secret.From(password), Resource: p["resource"]}
	if request.Client, err = application(p); err != nil {
		return err
	}
	if request.Scope, err = oauth.ParseScope(p.Get("scope")); err != nil {
		return err
	}
	t, err := s.issuer.SignIn(r.Context(), web.By(r.Context()), request)
	if err != nil {
		return err
	}
	return answer(w, t)
}

// Refresh spends a refresh token and answers with the next pair (RFC 6749,
// Section 6).
func (s *Surface) Refresh(w http.ResponseWriter, r *http.Request) error {
	p, err := params(w, r, "grant_type", "refresh_token", "scope", "client_id", "client_secret")
	if err != nil {
		return err
	}
	if t := p.Get("grant_type"); t != "" && t != "refresh_token" {
		return &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "this is for refresh tokens"}
	}
	if p.Get("refresh_token") == "" {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "refresh_token is required"}
	}
	request := issue.Renewal{Token: secret.From(p.Get("refresh_token"))}
	if request.Client, err = application(p); err != nil {
		return err
	}
	if request.Scope, err = oauth.ParseScope(p.Get("scope")); err != nil {
		return err
	}
	t, err := s.issuer.Refresh(r.Context(), web.By(r.Context()), request)
	if err != nil {
		return err
	}
	return answer(w, t)
}

// application returns the first-party application that a request names.
func application(p oauth.Params) (client.Client, error) {
	c, err := client.ByID(p.Get("client_id"))
	if err != nil || !c.FirstParty {
		return client.Client{}, (&oauth.Error{Code: oauth.InvalidClient, Description: "no first-party client has this client_id"}).Because(err)
	}
	return c, nil
}

// Logout ends the token family of the refresh token in the body, or of the
// access token in the header. It answers 204 for every token: there is nothing
// that the client could do about one that is not known (RFC 7009, Section 2.2).
// What is told is a body that cannot be read and a failure of ours, since then
// the family may still live.
func (s *Surface) Logout(w http.ResponseWriter, r *http.Request) error {
	by := web.By(r.Context())
	if r.ContentLength != 0 {
		p, err := params(w, r, "refresh_token", "client_id", "client_secret", "token_type_hint")
		if err != nil {
			return err
		}
		if err := s.issuer.SignOut(r.Context(), by, secret.From(p.Get("refresh_token"))); err != nil {
			return err
		}
	}
	family, user, err := s.bearer(r)
	if err != nil {
		return err
	}
	if family != "" {
		by.Kind, by.ID, by.Family = principal.User, user, family
		if err := s.issuer.SignOutFamily(r.Context(), by, family); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Fail is the one place where an error of /auth/ is told (RFC 6749, Section
// 5.2).
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	status, e := told(err)
	if status == http.StatusUnauthorized {
		// The status must come with a challenge (RFC 9110, Section 15.5.2).
		w.Header().Set("WWW-Authenticate", `Bearer realm="doorward"`)
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
		case oauth.InvalidClient:
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
