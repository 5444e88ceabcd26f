package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// Client is an application as the API shows it, by the names of RFC 7591.
type Client struct {
	ID            string   `json:"client_id"`
	Name          string   `json:"client_name"`
	Status        string   `json:"status"`
	Method        string   `json:"token_endpoint_auth_method"`
	Grants        []string `json:"grant_types"`
	Scope         string   `json:"scope" doc:"What it may ask for"`
	Default       string   `json:"default_scope" doc:"What it gets that asks for none; empty stands for all of scope"`
	Audiences     []string `json:"audiences" doc:"The APIs that it is: tokens for these it may introspect"`
	SecretAt      string   `json:"secret_created_at"`
	PreviousUntil string   `json:"previous_secret_until,omitempty" doc:"Until when the secret before works, too"`
	CreatedAt     string   `json:"created_at"`
	UpdatedAt     string   `json:"updated_at"`
	client.Registration
}

// ClientSecret is a client with its secret.
type ClientSecret struct {
	Client
	Secret  string `json:"client_secret,omitempty" doc:"It is shown this once"`
	Expires int64  `json:"client_secret_expires_at" doc:"0: it does not"`
}

// ShowClient returns a client as the API shows it.
func ShowClient(c client.Client, now time.Time) Client {
	v := Client{
		ID: c.ID, Name: c.Name, Status: string(c.Status), Method: string(c.Method), Grants: []string{}, Scope: oauth.FormatScope(c.Scopes),
		Default: oauth.FormatScope(c.Default), Audiences: some(c.Audiences), SecretAt: stamp(c.SecretAt), CreatedAt: stamp(c.CreatedAt), UpdatedAt: stamp(c.UpdatedAt),
		Registration: c.Registration,
	}
	for _, g := range c.Grants {
		v.Grants = append(v.Grants, string(g))
	}
	if now.Before(c.Previous) {
		v.PreviousUntil = stamp(c.Previous)
	}
	return v
}

type clientOut struct {
	ETag string `header:"ETag"`
	Body Client
}

type clientMade struct {
	Made
	ETag string `header:"ETag"`
	Body ClientSecret
}

type listClients struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type clientPage struct {
	Body struct {
		Items []Client `json:"items"`
		Next  *string  `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createClient struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect, and its answer no secret"`
	RawBody        []byte
	Body           struct {
		ID        string   `json:"client_id,omitempty" doc:"a to z, digits, dot, underscore, hyphen; 1 to 64. One is made if it is absent"`
		Name      string   `json:"client_name,omitempty"`
		Method    string   `json:"token_endpoint_auth_method,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt,none" doc:"client_secret_basic if it is absent; private_key_jwt with jwks or jwks_uri; none for an application that cannot keep a secret"`
		Grants    []string `json:"grant_types,omitempty" doc:"authorization_code, refresh_token, client_credentials, urn:ietf:params:oauth:grant-type:jwt-bearer. If it is absent, the first two where there is a redirect URI, the last where there are workloads, else client_credentials"`
		Scope     string   `json:"scope,omitempty"`
		Default   string   `json:"default_scope,omitempty"`
		Audiences []string `json:"audiences,omitempty"`
		client.Registration
	}
}

type changeClient struct {
	ByID
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Name      *string  `json:"client_name,omitempty" nullable:"true"`
		Status    *string  `json:"status,omitempty" enum:"active,disabled"`
		Method    *string  `json:"token_endpoint_auth_method,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt,none"`
		Grants    []string `json:"grant_types,omitempty"`
		Scope     *string  `json:"scope,omitempty" nullable:"true"`
		Default   *string  `json:"default_scope,omitempty" nullable:"true"`
		Audiences []string `json:"audiences,omitempty" nullable:"true"`
		client.Registration
	}
}

type rotateSecret struct {
	ByID
	IfMatch string `header:"If-Match"`
	Body    struct {
		Overlap *int64 `json:"overlap,omitempty" minimum:"0" maximum:"2592000" doc:"For how many seconds the present secret works beside the new one: 86400 if it is absent"`
	}
}

func (a *API) clients() {
	handle(a, operation("list-clients", http.MethodGet, "/clients", "clients", "List clients"), a.listClients)
	handle(a, operation("create-client", http.MethodPost, "/clients", "clients", "Register a client", created), a.createClient)
	handle(a, operation("get-client", http.MethodGet, "/clients/{id}", "clients", "Get a client", one), a.getClient)
	handle(a, operation("update-client", http.MethodPatch, "/clients/{id}", "clients", "Change a client", one, versioned), a.updateClient)
	handle(a, operation("delete-client", http.MethodDelete, "/clients/{id}", "clients", "Delete a client", one, versioned, empty), a.deleteClient)
	handle(a, operation("rotate-client-secret", http.MethodPost, "/clients/{id}/rotate-secret", "clients", "Give a client another secret", one, versioned), a.rotateSecret)
}

func (a *API) listClients(ctx context.Context, in *listClients) (*clientPage, error) {
	after, err := a.after(ctx, in.After, "clients")
	if err != nil {
		return nil, err
	}
	found, err := a.Clients.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &clientPage{}
	page.Body.Items = []Client{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].ID, "clients")
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, c := range found {
		page.Body.Items = append(page.Body.Items, ShowClient(c, a.Clock.Now()))
	}
	return page, nil
}

func (a *API) createClient(ctx context.Context, in *createClient) (*clientMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /clients", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	d := client.Draft{ID: b.ID, Name: b.Name, Method: oauth.AuthMethod(b.Method), Audiences: b.Audiences, Grants: grantTypes(b.Grants), Registration: b.Registration}
	if d.Scopes, err = scopeOf("scope", b.Scope); err != nil {
		return nil, err
	}
	if d.Default, err = scopeOf("default_scope", b.Default); err != nil {
		return nil, err
	}
	c, fresh, err := a.Clients.Create(ctx, by, d)
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		fresh = secret.Text{}
		c, err = a.Clients.Fresh(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return a.clientMade(c, fresh, replayed), nil
}

func (a *API) clientMade(c client.Client, fresh secret.Text, replayed bool) *clientMade {
	made := &clientMade{Made: madeAt(a.URL+"/clients/"+c.ID, replayed), ETag: web.ETag(c.Version)}
	made.Body = ClientSecret{Client: ShowClient(c, a.Clock.Now())}
	if !fresh.IsZero() {
		made.Body.Secret = fresh.Reveal()
	}
	return made
}

func grantTypes(names []string) []oauth.GrantType {
	list := make([]oauth.GrantType, len(names))
	for i, n := range names {
		list[i] = oauth.GrantType(n)
	}
	return list
}

// scopeOf reads a list of scopes, as OAuth writes it.
func scopeOf(field, text string) ([]string, error) {
	list, err := oauth.ParseScope(text)
	if err != nil {
		return nil, fault.At("body."+field, "it is permissions separated by single spaces").Because(err)
	}
	return list, nil
}

func (a *API) clientOut(c client.Client) *clientOut {
	return &clientOut{ETag: web.ETag(c.Version), Body: ShowClient(c, a.Clock.Now())}
}

func (a *API) getClient(ctx context.Context, in *ByID) (*clientOut, error) {
	c, err := a.Clients.Fresh(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.clientOut(c), nil
}

// updateClient applies a JSON merge patch (RFC 7396). Where the caller named no
// version, a change of somebody else's in between is not his conflict.
func (a *API) updateClient(ctx context.Context, in *changeClient) (*clientOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		c, err := a.Clients.Fresh(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if c, err = patchedClient(c, in.RawBody); err != nil {
			return nil, err
		}
		if version != 0 {
			c.Version = version
		}
		c, err = a.Clients.Update(ctx, web.By(ctx), c)
		if fault.KindOf(err) == fault.Stale && version == 0 && tries < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return a.clientOut(c), nil
	}
}

// editableClient is what a merge patch of a client is applied to.
type editableClient struct {
	Name      string   `json:"client_name"`
	Status    string   `json:"status"`
	Method    string   `json:"token_endpoint_auth_method"`
	Grants    []string `json:"grant_types"`
	Scope     string   `json:"scope"`
	Default   string   `json:"default_scope"`
	Audiences []string `json:"audiences"`
	client.Registration
}

func patchedClient(c client.Client, patch []byte) (client.Client, error) {
	v := ShowClient(c, time.Time{})
	text, err := json.Marshal(editableClient{v.Name, v.Status, v.Method, v.Grants, v.Scope, v.Default, v.Audiences, c.Registration})
	if err != nil {
		return c, err
	}
	if text, err = mergePatch(text, patch); err != nil {
		return c, err
	}
	var e editableClient
	err = json.Unmarshal(text, &e)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return c, fault.At("body."+wrong.Field, "it is of a wrong type").Because(err)
	} else if err != nil {
		return c, fault.At("body", "it does not fit a client").Because(err)
	}
	c.Name, c.Status, c.Method, c.Grants, c.Audiences, c.Registration = e.Name, client.Status(e.Status), oauth.AuthMethod(e.Method), grantTypes(e.Grants), e.Audiences, e.Registration
	if c.Name == "" {
		c.Name = c.ID
	}
	if c.Scopes, err = scopeOf("scope", e.Scope); err != nil {
		return c, err
	}
	c.Default, err = scopeOf("default_scope", e.Default)
	return c, err
}

func (a *API) rotateSecret(ctx context.Context, in *rotateSecret) (*clientMade, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	overlap := client.Overlap
	if in.Body.Overlap != nil {
		overlap = time.Duration(*in.Body.Overlap) * time.Second
	}
	c, fresh, err := a.Clients.RotateSecret(ctx, web.By(ctx), in.ID, overlap, version)
	if err != nil {
		return nil, err
	}
	return a.clientMade(c, fresh, false), nil
}

func (a *API) deleteClient(ctx context.Context, in *removeOne) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Clients.Delete(ctx, web.By(ctx), in.ID, version)
}
