package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/reference"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/ssf"
	"github.com/doorward/doorward/internal/web"
)

// route is one line of the site map.
type route struct {
	pattern string
	who     who      // may call it
	fail    web.Fail // how its errors are told
	serve   http.Handler
}

// who may call a route: anybody, whoever is signed in in this browser, whoever
// brings an access token, or whoever has a permission, in the token and by his
// roles now.
type who string

const (
	anybody who = ""
	person  who = "person"
	token   who = "token"
	pdp     who = "pdp" // as roles:read, and a client by its secret too
)

func (w who) permission() string {
	switch w {
	case anybody, person, token:
		return ""
	case pdp:
		return "roles:read"
	}
	return string(w)
}

type surfaces struct {
	admin    *admin.API
	provider *provider.Provider
	signin   *signin.Surface
	docs     *reference.Reference // nil where the setting docs says so
}

// routes is the site map: every path of this server, who may call it, how its
// failures are told, and who answers. What is not here is 404.
func (s *Server) routes(p surfaces) []route {
	problem := web.FailProblem
	f := web.Serve
	table := []route{
		{"GET /{$}", anybody, problem, f(s.home, problem)},
		{"GET /favicon.ico", anybody, problem, f(s.favicon, problem)},
		{"GET /theme/style.css", anybody, problem, f(s.themeStyle, problem)},
		{"GET /theme/logo", anybody, problem, f(s.themeLogo, problem)},
		{"GET /healthz", anybody, problem, f(s.healthy, problem)},
		{"GET /readyz", anybody, problem, f(s.ready, problem)},
		{"GET /openapi.json", anybody, problem, f(s.document, problem)},

		{"POST /auth/login", anybody, signin.Fail, f(p.signin.Login, signin.Fail)},
		{"POST /auth/refresh", anybody, signin.Fail, f(p.signin.Refresh, signin.Fail)},
		{"POST /auth/logout", anybody, signin.Fail, f(p.signin.Logout, signin.Fail)},

		{"POST /oauth2/token", anybody, signin.Fail, f(p.provider.Token, signin.Fail)},
		{"GET /oauth2/authorize", anybody, signin.FailPage, f(p.provider.Authorize, signin.FailPage)},
		{"POST /oauth2/authorize", anybody, signin.FailPage, f(p.provider.AuthorizePost, signin.FailPage)},
		{"GET /oauth2/authorize/{id}", anybody, signin.FailPage, f(p.provider.ResumeAuthorization, signin.FailPage)},
		{"POST /oauth2/par", anybody, signin.Fail, f(p.provider.Push, signin.Fail)},
		{"POST /oauth2/device_authorization", anybody, signin.Fail, f(p.provider.DeviceAuthorization, signin.Fail)},
		{"GET /oauth2/userinfo", token, problem, f(p.provider.Userinfo, problem)},
		{"POST /oauth2/userinfo", token, problem, f(p.provider.Userinfo, problem)},
		{"POST /oauth2/introspect", anybody, signin.Fail, f(p.provider.Introspect, signin.Fail)},
		{"POST /oauth2/revoke", anybody, signin.Fail, f(p.provider.Revoke, signin.Fail)},
		{"POST /oauth2/register", anybody, signin.Fail, f(p.provider.Register, signin.Fail)}, // who has a token for that, unless it is open
		{"GET /oauth2/register/{id}", anybody, signin.Fail, f(p.provider.Registration, signin.Fail)},
		{"PUT /oauth2/register/{id}", anybody, signin.Fail, f(p.provider.Reregister, signin.Fail)},
		{"DELETE /oauth2/register/{id}", anybody, signin.Fail, f(p.provider.Unregister, signin.Fail)},
		{"POST /api-keys/leaks", anybody, problem, f(p.admin.ReportLeaks, problem)}, // who signs proves himself

		{"GET /oauth2/status-lists/{id}", anybody, problem, f(p.provider.StatusList, problem)},
		{"GET /oauth2/status-lists/events", anybody, problem, f(p.provider.StatusEvents, problem)},
		{"GET /oauth2/jwks", anybody, signin.Fail, f(p.provider.JWKS, signin.Fail)},
		{"GET /.well-known/oauth-authorization-server", anybody, problem, f(p.provider.Metadata, problem)},
		{"GET /.well-known/openid-configuration", anybody, problem, f(p.provider.Metadata, problem)},
		{"GET /.well-known/oauth-protected-resource", anybody, problem, s.guard.Metadata()},
	}
	if s.Config.SharedSignals.Enabled {
		table = append(table, signaling(p.provider, s.Config.SharedSignals.Subjects == "all")...)
	}
	table = append(append(append(table, managed(p.admin.Handler())...), decisions(p.admin)...), pages(p.signin)...)
	if s.Config.Docs {
		table = append(table,
			route{"GET " + reference.Path, anybody, problem, f(p.docs.Page, problem)},
			route{"GET " + reference.Path + "/{file}", anybody, problem, f(p.docs.Asset, problem)},
		)
	}
	if s.inbox { // dev, which this machine alone can reach
		table = append(table,
			route{"GET /inbox", anybody, problem, f(s.letters, problem)},
			route{"GET /inbox/{id}", anybody, problem, f(s.letter, problem)},
			route{"GET /inbox/{id}/html", anybody, problem, f(s.letterHTML, problem)},
		)
	}
	return table
}

// signaling are the routes of the transmitter of the OpenID Shared Signals Framework.
func signaling(p *provider.Provider, all bool) []route {
	problem, f := web.FailProblem, web.Serve
	return []route{
		{"GET /.well-known/ssf-configuration", anybody, problem, f(p.SignalMetadata(all), problem)},
		{"GET /ssf/streams", ssf.Read, problem, f(p.Streams, problem)},
		{"POST /ssf/streams", ssf.Manage, problem, f(p.CreateStream, problem)},
		{"PATCH /ssf/streams", ssf.Manage, problem, f(p.PatchStream, problem)},
		{"PUT /ssf/streams", ssf.Manage, problem, f(p.ReplaceStream, problem)},
		{"DELETE /ssf/streams", ssf.Manage, problem, f(p.DeleteStream, problem)},
		{"GET /ssf/status", ssf.Read, problem, f(p.StreamStatus, problem)},
		{"POST /ssf/status", ssf.Manage, problem, f(p.SetStreamStatus, problem)},
		{"POST /ssf/subjects:add", ssf.Manage, problem, f(p.AddSubject, problem)},
		{"POST /ssf/subjects:remove", ssf.Manage, problem, f(p.RemoveSubject, problem)},
		{"POST /ssf/verification", ssf.Manage, problem, f(p.VerifyStream, problem)},
		{"POST /ssf/streams/{id}/poll", ssf.Read, problem, f(p.PollStream, problem)},
	}
}

// managed are the routes of the management API.
func managed(api http.Handler) []route {
	return slices.Concat(ofPeople(api), ofRoles(api), ofPrograms(api), ofAudit(api))
}

// ofPeople are those of who has an account, and what he is signed in with.
func ofPeople(api http.Handler) []route {
	problem := web.FailProblem
	return []route{
		{"GET /users/me", token, problem, api},
		{"PATCH /users/me", token, problem, api},
		{"POST /users/me/password", token, problem, api},

		{"GET /sessions", token, problem, api},         // another's: sessions:read
		{"DELETE /sessions/{id}", token, problem, api}, // another's: sessions:write

		{"GET /users", "users:read", problem, api},
		{"POST /users", "users:write", problem, api},
		{"GET /users/{id}", "users:read", problem, api},
		{"PATCH /users/{id}", "users:write", problem, api},
		{"DELETE /users/{id}", "users:write", problem, api},
		{"POST /users/{id}/unlock", "users:write", problem, api},

		{"GET /users/{id}/roles", "roles:read", problem, api},
		{"POST /users/{id}/roles", "roles:grant", problem, api},
		{"DELETE /users/{id}/roles/{role}", "roles:grant", problem, api},
	}
}

// ofRoles are those of what decides who may do what.
func ofRoles(api http.Handler) []route {
	problem := web.FailProblem
	return []route{
		{"GET /roles", "roles:read", problem, api},
		{"POST /roles", "roles:write", problem, api},
		{"GET /roles/{name}", "roles:read", problem, api},
		{"PUT /roles/{name}", "roles:write", problem, api},
		{"DELETE /roles/{name}", "roles:write", problem, api},

		{"GET /groups", "roles:read", problem, api},
		{"POST /groups", "roles:write", problem, api},
		{"GET /groups/{name}", "roles:read", problem, api},
		{"PATCH /groups/{name}", "roles:write", problem, api},
		{"DELETE /groups/{name}", "roles:write", problem, api},
		{"GET /groups/{name}/members", "roles:read", problem, api},
		{"POST /groups/{name}/members", "roles:grant", problem, api},
		{"DELETE /groups/{name}/members/{id}", "roles:grant", problem, api},

		{"GET /groups/{name}/roles", "roles:read", problem, api},
		{"POST /groups/{name}/roles", "roles:grant", problem, api},
		{"DELETE /groups/{name}/roles/{role}", "roles:grant", problem, api},

		{"GET /separations", "roles:read", problem, api},
		{"POST /separations", "roles:write", problem, api},
		{"GET /separations/{name}", "roles:read", problem, api},
		{"PUT /separations/{name}", "roles:write", problem, api},
		{"DELETE /separations/{name}", "roles:write", problem, api},

		{"POST /access/check", token, problem, api},   // about others: roles:read
		{"POST /access/explain", token, problem, api}, // about others: roles:read
		{"GET /access/decisions/{id}", "audit:read", problem, api},

		{"GET /conditions", "roles:read", problem, api},
		{"POST /conditions", "roles:write", problem, api}, // and everything
		{"GET /conditions/{name}", "roles:read", problem, api},
		{"PUT /conditions/{name}", "roles:write", problem, api},    // and everything
		{"DELETE /conditions/{name}", "roles:write", problem, api}, // and everything

		{"GET /organizations", "organizations:read", problem, api},
		{"POST /organizations", "organizations:write", problem, api},
		{"GET /organizations/{name}", "organizations:read", problem, api},
		{"PATCH /organizations/{name}", "organizations:write", problem, api},
		{"DELETE /organizations/{name}", "organizations:write", problem, api},
		{"GET /organizations/{name}/members", "organizations:read", problem, api},
		{"POST /organizations/{name}/members", "organizations:write", problem, api},
		{"DELETE /organizations/{name}/members/{id}", "organizations:write", problem, api},
	}
}

// ofPrograms are those of applications, APIs and keys.
func ofPrograms(api http.Handler) []route {
	problem := web.FailProblem
	return []route{
		{"GET /clients", "clients:read", problem, api},
		{"POST /clients", "clients:write", problem, api},
		{"GET /clients/{id}", "clients:read", problem, api},
		{"PATCH /clients/{id}", "clients:write", problem, api},
		{"DELETE /clients/{id}", "clients:write", problem, api},
		{"POST /clients/{id}/rotate-secret", "clients:write", problem, api},

		{"GET /registration-tokens", "clients:read", problem, api},
		{"POST /registration-tokens", "clients:write", problem, api},
		{"GET /registration-tokens/{id}", "clients:read", problem, api},
		{"DELETE /registration-tokens/{id}", "clients:write", problem, api},

		{"GET /streams", "clients:read", problem, api},
		{"GET /streams/{id}", "clients:read", problem, api},
		{"PATCH /streams/{id}", "clients:write", problem, api},
		{"DELETE /streams/{id}", "clients:write", problem, api},

		{"GET /clients/{id}/exchanges", "clients:read", problem, api},
		{"POST /clients/{id}/exchanges", "clients:write", problem, api},
		{"DELETE /clients/{id}/exchanges/{rule}", "clients:write", problem, api},

		{"GET /clients/{id}/roles", "roles:read", problem, api},
		{"POST /clients/{id}/roles", "roles:grant", problem, api},
		{"DELETE /clients/{id}/roles/{role}", "roles:grant", problem, api},

		{"GET /resources", "resources:read", problem, api},
		{"POST /resources", "resources:write", problem, api},
		{"GET /resources/{id}", "resources:read", problem, api},
		{"PATCH /resources/{id}", "resources:write", problem, api},
		{"DELETE /resources/{id}", "resources:write", problem, api},

		{"GET /api-keys", token, problem, api},              // another's: keys:read
		{"POST /api-keys", token, problem, api},             // another's: keys:write
		{"GET /api-keys/{id}", token, problem, api},         // another's: keys:read
		{"PATCH /api-keys/{id}", token, problem, api},       // another's: keys:write
		{"DELETE /api-keys/{id}", token, problem, api},      // another's: keys:write
		{"POST /api-keys/{id}/rotate", token, problem, api}, // another's: keys:write
		{"POST /api-keys/verify", token, problem, api},
	}
}

// ofAudit are those of the audit log.
func ofAudit(api http.Handler) []route {
	problem := web.FailProblem
	return []route{
		{"GET /audit/events", "audit:read", problem, api},
		{"GET /audit/counts", "audit:read", problem, api},
		{"GET /audit/checkpoint", "audit:read", problem, api},
		{"GET /audit/proof", "audit:read", problem, api},
	}
}

// What an API key may call. It makes no keys, sessions or other credentials and changes
// none, so that nothing outlives it and nobody makes more of it than it is; and it does
// nothing for which its owner needs no permission, but what stands here: such rights are
// the person's, and no scope of a key carries them.
var (
	forKeys = []string{
		"GET /users/me", "GET /api-keys", "GET /api-keys/{id}", "POST /api-keys/verify", "POST /access/check", "POST /access/explain",
	}
	notForKeys = []string{"POST /clients", "POST /clients/{id}/rotate-secret", "POST /clients/{id}/exchanges", "POST /registration-tokens"}
)

// forKeys reports whether an API key may call a route that asks for a credential, if it
// carries the route's permission.
func (r route) forKeys() bool {
	if r.who.permission() == "" {
		return slices.Contains(forKeys, r.pattern)
	}
	return !slices.Contains(notForKeys, r.pattern)
}

// forApps are the routes that ask for no permission and that an application may call with
// the token that a person let it have, each with the scopes that what it tells is of: all
// others are the person's rights over his own account, and no scope stands for them.
var forApps = map[string][]string{
	"GET /oauth2/userinfo": nil, "POST /oauth2/userinfo": nil, "GET /users/me": {"profile", "email"},
	"POST /api-keys/verify": nil, "POST /access/check": nil, "POST /access/explain": nil,
}

// forApps reports whether whoever asks may call a route, if he is an application that
// brings a person's token.
func (r route) forApps(by principal.Principal) bool {
	if by.Kind != principal.User || by.Client == client.Builtin.ID || r.who.permission() != "" {
		return true
	}
	scopes, ok := forApps[r.pattern]
	return ok && !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(by.Scopes, s) })
}

// pages are the routes that people open in a browser.
func pages(p *signin.Surface) []route {
	page, f := signin.FailPage, web.Serve
	return []route{
		{"GET /signin", anybody, page, f(p.SignInPage, page)},
		{"POST /signin", anybody, page, f(p.SignIn, page)},
		{"GET /consent/{id}", anybody, page, f(p.Consent, page)},
		{"POST /consent/{id}", anybody, page, f(p.Decide, page)},
		{"GET /oauth2/device", anybody, page, f(p.DevicePage, page)},
		{"POST /oauth2/device", anybody, page, f(p.Device, page)},
		{"GET /oauth2/logout", anybody, page, f(p.PartFrom, page)},
		{"POST /oauth2/logout", anybody, page, f(p.PartFromPost, page)},
		{"POST /oauth2/logout/confirm", anybody, page, f(p.ConfirmParting, page)},
		{"POST /account/apps/{id}/withdraw", person, page, f(p.WithdrawConsent, page)},
		{"GET /account", person, page, f(p.Account, page)},
		{"POST /account/signout", person, page, f(p.SignOut, page)},
		{"POST /account/forget", person, page, f(p.Forget, page)},
		{"POST /account/sessions/{id}/end", person, page, f(p.EndSession, page)},
		{"POST /account/sessions/end", person, page, f(p.EndOthers, page)},
		{"POST /account/password", person, page, f(p.ChangePassword, page)},
	}
}

// shared are the beginnings of the paths that scripts of other origins may call:
// what gives tokens, the API and what this server says of itself. Pages are not
// among them.
var shared = []string{
	"/auth/", "/oauth2/", "/.well-known/", "/users", "/roles", "/conditions", "/groups", "/separations", "/access/", "/api-keys", "/clients", "/registration-tokens", "/streams", "/ssf/", "/resources", "/organizations", "/sessions", "/audit/", "/openapi.json",
}

// forPeople are the paths under those that a person opens in a browser.
var forPeople = []string{"/oauth2/authorize", "/oauth2/logout", "/oauth2/device"}

func shares(path string) bool { return beginsAs(path, shared) && !beginsAs(path, forPeople) }

// isPage reports whether a path is for browsers.
func isPage(path string) bool {
	return path == "/" || beginsAs(path, []string{"/signin", "/consent", "/account", "/admin", "/docs"}) || beginsAs(path, forPeople)
}

// beginsAs reports whether a path begins with one of some, segment by segment.
func beginsAs(path string, some []string) bool {
	return slices.ContainsFunc(some, func(prefix string) bool {
		return strings.HasPrefix(path, prefix) && (strings.HasSuffix(prefix, "/") || len(path) == len(prefix) || path[len(prefix)] == '/')
	})
}

// callers reads the site map for the API's document.
func callers(table []route) func(string) admin.Callers {
	return func(operation string) admin.Callers {
		for _, r := range table {
			if r.pattern == operation {
				c := admin.Callers{Token: r.who != anybody, Permission: r.who.permission()}
				c.AppScopes, c.Apps = forApps[r.pattern]
				c.Apps = c.Apps || c.Permission != ""
				return c
			}
		}
		return admin.Callers{}
	}
}

// permissions returns what the routes ask for.
func permissions(table []route) (all []string) {
	for _, r := range table {
		if p := r.who.permission(); p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// mux serves the site map.
func (s *Server) mux(table []route, p surfaces) http.Handler {
	mux := http.NewServeMux()
	for _, r := range table {
		h := r.serve
		switch r.who {
		case anybody:
		case person:
			h = p.signin.Person(h, r.fail)
		case pdp:
			h = s.orClient(r, p.provider, h)
		default:
			h = s.protect(r, h)
		}
		mux.Handle(r.pattern, s.named(r.pattern, h))
	}
	mux.Handle("/", web.Serve(func(_ http.ResponseWriter, r *http.Request) error { return nowhere(mux, r) }, s.failNowhere))
	return mux
}

// named notes the route that serves a request, and counts it if it is refused.
func (s *Server) named(pattern string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known, now := web.Of(r.Context()), s.Clock.Now()
		known.Route = pattern
		h.ServeHTTP(w, r)
		s.countRefusal(now, known)
	})
}

// nowhere says why no route serves a request: its path is not there, or not for
// its method.
func nowhere(mux *http.ServeMux, r *http.Request) error {
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "/" && pattern != "" {
			allow = append(allow, method)
		}
	}
	if len(allow) > 0 && !slices.Contains(allow, r.Method) {
		return &web.Refused{Status: http.StatusMethodNotAllowed, Message: "the path is not for this method", Allow: strings.Join(allow, ", ")}
	}
	return &web.Refused{Status: http.StatusNotFound, Message: "there is nothing here"}
}

// failNowhere tells an error outside any route, in the manner of the path.
func (s *Server) failNowhere(w http.ResponseWriter, r *http.Request, err error) {
	if strings.HasPrefix(r.URL.Path, "/auth/") || strings.HasPrefix(r.URL.Path, "/oauth2/") {
		signin.Fail(w, r, err)
		return
	}
	if beginsAs(r.URL.Path, []string{"/signin", "/consent", "/account"}) {
		signin.FailPage(w, r, err)
		return
	}
	web.FailProblem(w, r, err)
}
