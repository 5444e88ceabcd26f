// Package admin is the management API: accounts, roles and grants over HTTP,
// described by an OpenAPI document that is made from the same code.
//
// Who may call an operation is not decided here but in the server's site map;
// what an operation may do to whom is decided by the domain, in the transaction
// that does it.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/strictjson"
	"github.com/doorward/doorward/internal/web"
)

// Parts are what the management API is made of.
type Parts struct {
	Accounts    *account.Service
	Clients     *client.Service
	APIKeys     *apikey.Service
	Access      *access.Service
	Roles       *rbac.Service
	Resources   *resource.Service
	Orgs        *org.Service
	Issuer      *issue.Service
	Transmitter *issue.Transmitter
	Sessions    *session.Service
	Limits      *limit.Service
	Keys        *keyring.Service
	Audit       *audit.Reader
	Tree        LogTree
	Clock       clock.Clock
	Cookies     web.Cookies
	URL         string // of this server, for the document
	Version     string
	// Bearer returns who stands behind an API key that somebody showed. The fault is
	// Unauthenticated whatever is wrong with it, and Limited for one that is used too
	// often.
	Bearer    func(ctx context.Context, shown access.Shown) (access.Bearer, error)
	Reporters string // the file of who is believed that a key is public; empty: nobody
	// Count adds to how often a credential did something.
	Count func(credential, action string, o audit.Outcome)
}

// API is the management API.
type API struct {
	Parts
	huma huma.API
	mux  *http.ServeMux
	// make makes the operations, once: to work out their schemas takes as long as a third of
	// the rest of a start and 6 MiB, and many servers are asked for other things alone.
	make func()
}

// New returns the API. It serves once Document was called.
func New(p Parts) *API { return &API{Parts: p} }

// operations makes the operations.
func (a *API) operations() {
	p := a.Parts
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	a.mux = http.NewServeMux()
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Doorward", Version: p.Version,
				Description: "Authentication and authorization: sign in, manage accounts, roles and grants.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers:    []*huma.Server{{URL: p.URL}},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: schemes(p.URL)},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json", RejectUnknownQueryParameters: true,
	})
	a.me()
	a.users()
	a.locks()
	a.roles()
	a.grants()
	a.groups()
	a.separations()
	a.clients()
	a.exchanges()
	a.initialTokens()
	a.streams()
	a.clientGrants()
	a.resources()
	a.apiKeys()
	a.organizations()
	a.access()
	a.conditions()
	a.sessions()
	a.audit()
	a.auditProofs()
}

// settle makes the settings that huma keeps for a whole program. Strict casing:
// "Roles" is not "roles" (encoding/json would take one for the other). An array is
// never null.
var settle = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	huma.NewError = newError
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := newProblem(status, message, errs)
		web.Of(ctx.Context()).Cause = p
		p.RequestID = web.By(ctx.Context()).Origin.RequestID
		return p
	}
})

// BodyLimit is how large a body may be: a role may name many permissions.
const BodyLimit = 64 << 10

// schemes are the ways to prove who asks.
func schemes(url string) map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		"password": {
			Type: "oauth2", Description: "An access token from the password form, for first-party applications.",
			Flows: &huma.OAuthFlows{Password: &huma.OAuthFlow{TokenURL: url + "/auth/login", RefreshURL: url + "/auth/refresh", Scopes: map[string]string{}}},
		},
		"code": {
			Type: "oauth2", Description: "An access token that a person lets an application have: the authorization code with PKCE (RFC 6749, Section 4.1; RFC 7636).",
			Flows: &huma.OAuthFlows{AuthorizationCode: &huma.OAuthFlow{
				AuthorizationURL: url + "/oauth2/authorize", TokenURL: url + "/oauth2/token", RefreshURL: url + "/oauth2/token",
				Scopes: map[string]string{
					"openid": "Who somebody is: an ID token, and the userinfo endpoint", "profile": "Name and the like", "email": "The email address",
					"phone": "The telephone number", "address": "The postal address", "offline_access": "A refresh token that outlives the session",
				},
			}},
		},
		"cookie": {
			Type: "apiKey", In: "cookie", Name: "__Host-doorward_access",
			Description: "An access token in a browser's cookie, after a sign-in with mode=cookie. It is ignored beside a credential in a header, and for what another site makes the browser send.",
		},
		"bearer":  {Type: "http", Scheme: "bearer", BearerFormat: "at+jwt", Description: "An access token (RFC 9068) in the header (RFC 6750, Section 2.1), or an API key."},
		"api_key": {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "An API key. It may not make or change credentials, nor do what needs no permission of its own."},
	}
}

// Handler serves the operations. It checks no permission.
func (a *API) Handler() http.Handler {
	return web.Serve(func(w http.ResponseWriter, r *http.Request) error {
		if err := strict(r); err != nil {
			return err
		}
		a.make()
		a.mux.ServeHTTP(w, r)
		return nil
	}, web.FailProblem)
}

func marshal(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// unmarshal refuses what two parsers could read differently.
func unmarshal(data []byte, v any) error {
	if err := strictjson.Check(data); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// operation describes an operation.
func operation(id, method, path, tag, summary string, more ...func(*huma.Operation)) huma.Operation {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary,
		MaxBodyBytes: BodyLimit, Errors: []int{400, 401, 403},
	}
	for _, f := range more {
		f(&op)
	}
	return op
}

func created(op *huma.Operation) {
	op.DefaultStatus = http.StatusCreated
	op.Errors = append(op.Errors, http.StatusConflict)
}

// conditional is for an operation that may find that the client has it already.
func conditional(op *huma.Operation) {
	op.Responses = map[string]*huma.Response{"304": {
		Description: http.StatusText(http.StatusNotModified), Headers: map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
}

// hashing is for an operation that waits for a password to be hashed.
func hashing(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusTooManyRequests) }

func empty(op *huma.Operation)     { op.DefaultStatus = http.StatusNoContent }
func one(op *huma.Operation)       { op.Errors = append(op.Errors, http.StatusNotFound) }
func versioned(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusPreconditionFailed) }

// handle registers an operation whose errors are told as problems.
func handle[I, O any](a *API, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err == nil {
			return out, nil
		}
		if _, ok := errors.AsType[huma.StatusError](err); !ok || web.ProblemOf(err).Status != http.StatusInternalServerError {
			web.Of(ctx).Cause = err
		}
		if s, ok := errors.AsType[*notModified](err); ok {
			return nil, s
		}
		return nil, a.problem(ctx, err)
	})
}

func (a *API) problem(ctx context.Context, err error) error {
	p := web.ProblemOf(err)
	p.RequestID = web.By(ctx).Origin.RequestID
	for i := range p.Errors {
		p.Errors[i].Location = place(p.Errors[i].Location)
	}
	a.denied(ctx, p, err)
	return withHeaders(p, err)
}

// denied gives a refusal the id of its decision, under which it can be looked up.
func (a *API) denied(ctx context.Context, p *web.Problem, err error) {
	if p.Status != http.StatusForbidden {
		return
	}
	known := web.Of(ctx)
	permission, why := known.By.Needs, p.Detail
	if l, ok := errors.AsType[*lacks](err); ok {
		permission, why = l.permission, ""
	}
	d := a.Access.Denied(ctx, known.By, permission, why)
	a.Access.Keep(known.By, known.Route, d)
	p.DecisionID = d.ID
	web.Note(ctx, slog.String("decision", p.DecisionID))
}

// lacks is the fault of whoever lacks a permission that an operation itself asks for.
type lacks struct {
	permission string
	fault      error
}

func (l *lacks) Error() string { return l.fault.Error() }
func (l *lacks) Unwrap() error { return l.fault }
