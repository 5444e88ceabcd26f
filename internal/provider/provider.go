// Package provider serves the authorization server's endpoints: for now the
// keys and the metadata that APIs verify access tokens by.
package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/web"
)

// KeysMaxAge is how long a verifier may keep the keys. A new key is published
// for longer than this before it signs.
const KeysMaxAge = 5 * time.Minute

// Keys is what this package needs of the keyring.
type Keys interface {
	View() (*keyring.View, error)
}

// Provider serves the endpoints.
type Provider struct {
	keys     Keys
	metadata []byte
}

// metadata is the authorization server's description of itself (RFC 8414,
// Section 2). It lists what is served, and nothing else.
type metadata struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
}

// New returns the provider of an issuer.
func New(issuer string, keys Keys) (*Provider, error) {
	m, err := json.Marshal(metadata{Issuer: issuer, JWKS: issuer + "/oauth2/jwks", ResponseTypes: []string{}, GrantTypes: []string{}})
	return &Provider{keys, m}, err
}

// JWKS serves the public keys (RFC 7517, Section 5).
func (p *Provider) JWKS(w http.ResponseWriter, r *http.Request) error {
	view, err := p.keys.View()
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
