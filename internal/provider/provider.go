// Package provider serves the authorization server's endpoints: tokens, what is known
// of them, and the keys and metadata that APIs verify them by.
package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// KeysMaxAge is how long a verifier may keep the keys. A new key is published
// for longer than this before it signs.
const KeysMaxAge = 5 * time.Minute

// Keys is what this package needs of the keyring.
type Keys interface {
	View() (*keyring.View, error)
}

// Clients is what it needs of the applications.
type Clients interface {
	Prove(context.Context, oauth.Credentials) (client.Client, error)
}

// Issuer is what it needs of the room that makes tokens.
type Issuer interface {
	ClientToken(context.Context, principal.Principal, issue.ClientCredentials) (issue.Tokens, error)
	Revoke(ctx context.Context, by, of principal.Principal) error
	RevokeRefresh(ctx context.Context, by principal.Principal, text secret.Text, client string) error
	ClientRefused(ctx context.Context, by principal.Principal, named client.Client, why error) error
}

// Parts are what the endpoints are made of.
type Parts struct {
	Keys     Keys
	Clients  Clients
	Issuer   Issuer
	Accounts *account.Service
	// Judge returns what an access token says, if it is good now. The error says that
	// this cannot be known.
	Judge func(ctx context.Context, token string) (t Token, good bool, err error)
	// Bearer returns who stands behind an API key. The fault is Unauthenticated whatever
	// is wrong with it.
	Bearer func(ctx context.Context, shown access.Shown) (access.Bearer, error)
	// Count adds to how often a credential did something.
	Count func(credential, action string, o audit.Outcome)
}

// Provider serves the endpoints.
type Provider struct {
	Parts
	issuer   string
	metadata []byte
}

// metadata is the authorization server's description of itself (RFC 8414,
// Section 2). It lists what is served, and nothing else.
type metadata struct {
	Issuer            string             `json:"issuer"`
	Token             string             `json:"token_endpoint"`
	JWKS              string             `json:"jwks_uri"`
	Introspection     string             `json:"introspection_endpoint"`
	Revocation        string             `json:"revocation_endpoint"`
	ResponseTypes     []string           `json:"response_types_supported"`
	GrantTypes        []oauth.GrantType  `json:"grant_types_supported"`
	TokenAuth         []oauth.AuthMethod `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth []oauth.AuthMethod `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth    []oauth.AuthMethod `json:"revocation_endpoint_auth_methods_supported"`
	// What API keys look like, for scanners; of no specification.
	KeyPrefix  string `json:"api_key_prefix"`
	KeyPattern string `json:"api_key_pattern"`
}

// New returns the provider of an issuer.
func New(issuer string, p Parts) (*Provider, error) {
	secrets := []oauth.AuthMethod{oauth.Basic, oauth.Post}
	m, err := json.Marshal(metadata{
		Issuer: issuer, Token: issuer + "/oauth2/token", JWKS: issuer + "/oauth2/jwks",
		Introspection: issuer + "/oauth2/introspect", Revocation: issuer + "/oauth2/revoke",
		ResponseTypes: []string{}, GrantTypes: []oauth.GrantType{oauth.ClientCredentials},
		TokenAuth: secrets, IntrospectionAuth: secrets, RevocationAuth: append(secrets, oauth.NoAuth),
		KeyPrefix: apikey.Prefix, KeyPattern: apikey.Pattern,
	})
	return &Provider{Parts: p, issuer: issuer, metadata: m}, err
}

// JWKS serves the public keys (RFC 7517, Section 5).
func (p *Provider) JWKS(w http.ResponseWriter, r *http.Request) error {
	view, err := p.Keys.View()
	if err != nil {
		return err
	}
	return public(w, r, "application/jwk-set+json", view.ETag, view.JWKS)
}

// Metadata serves the description of the authorization server (RFC 8414,
// Section 3).
func (p *Provider) Metadata(w http.ResponseWriter, r *http.Request) error {
	return public(w, r, "application/json", "", p.metadata)
}

var forAWhile = fmt.Sprintf("public, max-age=%d", KeysMaxAge/time.Second)

// public answers with bytes that anybody may have and keep for a while.
func public(w http.ResponseWriter, r *http.Request, mediaType, etag string, body []byte) error {
	h := w.Header()
	h.Set("Cache-Control", forAWhile)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if etag != "" {
		h.Set("ETag", etag)
		if web.Matches(r.Header.Get("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Type", mediaType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
	return nil
}
