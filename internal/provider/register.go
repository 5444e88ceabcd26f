package provider

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// Registrar is what this package needs to let people without an account register clients.
type Registrar interface {
	Register(ctx context.Context, by principal.Principal, shown secret.Text, body []byte) (client.Registered, error)
	Managed(ctx context.Context, id string, shown secret.Text) (client.Enrolled, error)
	Reregister(ctx context.Context, by principal.Principal, id string, shown secret.Text, body []byte) (client.Registered, error)
	Unregister(ctx context.Context, by principal.Principal, id string, shown secret.Text) error
	Invites(ctx context.Context) (bool, error)
}

const registration = "/oauth2/register"

// information is what whoever registered a client is told of it (RFC 7591, Section 3.2.1;
// RFC 7592, Section 3). What a Registration has, it has by the same names.
type information struct {
	ID            string            `json:"client_id"`
	Secret        string            `json:"client_secret,omitempty"`
	Expires       *int64            `json:"client_secret_expires_at,omitempty"` // 0 for never; with a secret alone
	IssuedAt      int64             `json:"client_id_issued_at"`
	Token         string            `json:"registration_access_token"`
	URI           string            `json:"registration_client_uri"`
	Name          string            `json:"client_name"`
	Method        oauth.AuthMethod  `json:"token_endpoint_auth_method"`
	Grants        []oauth.GrantType `json:"grant_types"`
	ResponseTypes []string          `json:"response_types"`
	Scope         string            `json:"scope"`
	client.Registration
}

func (p *Provider) information(r client.Registered) information {
	c := r.Client
	i := information{
		ID: c.ID, Secret: shown(r.Secret), IssuedAt: c.CreatedAt.Unix(), Token: shown(r.Token), URI: p.issuer + registration + "/" + c.ID,
		Name: c.Name, Method: c.Method, Grants: c.Grants, ResponseTypes: []string{}, Scope: oauth.FormatScope(c.Scopes), Registration: c.Registration,
	}
	if c.May(oauth.AuthorizationCode) {
		i.ResponseTypes = []string{"code"}
	}
	if !r.Secret.IsZero() {
		i.Expires = new(int64)
	}
	// What stands where nothing was said (OpenID Connect Dynamic Client Registration 1.0,
	// Section 2).
	if i.ApplicationType == "" {
		i.ApplicationType = client.Web
	}
	if i.SubjectType == "" {
		i.SubjectType = client.PublicSubjects
	}
	i.IDTokenAlg = c.SignsIDTokensWith()
	return i
}

// Register lets somebody without an account register a client (RFC 7591, Section 3).
func (p *Provider) Register(w http.ResponseWriter, r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	_, body, err := web.Body(w, r, "application/json")
	if err != nil {
		return err
	}
	made, err := p.Registrar.Register(r.Context(), web.By(r.Context()), token, body)
	if err != nil {
		return p.unregistered(r, client.Client{}, token, err)
	}
	return web.JSON(w, http.StatusCreated, p.information(made))
}

// Registration tells a client what it is registered as (RFC 7592, Section 2.1). Its secret
// nobody knows but itself.
func (p *Provider) Registration(w http.ResponseWriter, r *http.Request) error {
	token, found, err := p.managed(r)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, p.information(client.Registered{Client: found, Token: token}))
}

// Reregister replaces what a client is registered as (RFC 7592, Section 2.2).
func (p *Provider) Reregister(w http.ResponseWriter, r *http.Request) error {
	if err := web.Buffer(w, r, web.BodyLimit); err != nil {
		return err
	}
	token, found, err := p.managed(r)
	if err != nil {
		return err
	}
	_, body, err := web.Body(w, r, "application/json")
	if err != nil {
		return err
	}
	now, err := p.Registrar.Reregister(r.Context(), web.By(r.Context()), found.ID, token, body)
	if err != nil {
		return p.unregistered(r, found, token, err)
	}
	return web.JSON(w, http.StatusOK, p.information(now))
}

// Unregister deletes a client (RFC 7592, Section 2.3).
func (p *Provider) Unregister(w http.ResponseWriter, r *http.Request) error {
	token, found, err := p.managed(r)
	if err != nil {
		return err
	}
	if err := p.Registrar.Unregister(r.Context(), web.By(r.Context()), found.ID, token); err != nil {
		return p.unregistered(r, found, token, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// managed returns the client of a request to its own address, with the token that proves
// that it is its own.
func (p *Provider) managed(r *http.Request) (secret.Text, client.Client, error) {
	token, err := bearer(r)
	if err != nil {
		return token, client.Client{}, err
	}
	found, err := p.Registrar.Managed(r.Context(), r.PathValue("id"), token)
	c := found.Credential.Client
	if err != nil {
		return token, c, p.unregistered(r, c, token, err)
	}
	return token, c, nil
}

// unregistered counts and records a token that is not good, and tells the one thing that
// there is to tell of it (RFC 7592, Section 2.1). Of one that is missing there is nothing
// to record.
func (p *Provider) unregistered(r *http.Request, named client.Client, token secret.Text, why error) error {
	if fault.KindOf(why) != fault.Unauthenticated {
		return why
	}
	if !token.IsZero() {
		if err := p.Issuer.RegistrationRefused(r.Context(), web.Of(r.Context()).By, named, why); err != nil {
			return err
		}
	}
	return (&oauth.Error{Code: oauth.InvalidToken, Description: "this needs a token that is good for it"}).Because(why)
}

// bearer returns the token of a request's header (RFC 6750, Section 2.1), or nothing.
func bearer(r *http.Request) (secret.Text, error) {
	given := r.Header.Values("Authorization")
	switch {
	case len(given) == 0:
		return secret.Text{}, nil
	case len(given) > 1 || len(r.Header.Values("X-API-Key")) > 0:
		return secret.Text{}, &oauth.Error{Code: oauth.InvalidRequest, Description: "the request carries more than one credential"}
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return secret.From(given[0]), nil // it is no token, and is refused as one
	}
	return secret.From(token), nil
}

// invitation is whether anybody without an account may register a client, as it was a
// moment ago.
type invitation struct {
	mu    sync.Mutex
	stale time.Time
	open  bool
}

// invited is for how long that is kept: nobody reads the metadata to have the database asked
// more often.
const invited = time.Second

// now returns it, and asks for it if that was not done a moment ago. Where it cannot be
// known, it is as it was.
func (i *invitation) now(ctx context.Context, p *Provider) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := p.Clock.Now(); !now.Before(i.stale) || i.stale.Sub(now) > invited {
		i.stale = now.Add(invited)
		if open, err := p.Registrar.Invites(ctx); err == nil {
			i.open = open
		}
	}
	return i.open
}
