package provider

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// Revoke ends a token, and what belongs to it, for the client that it was issued to
// (RFC 7009). For anything else it does nothing, and says the same: 200.
func (p *Provider) Revoke(w http.ResponseWriter, r *http.Request) error {
	params, given, err := form(w, r)
	if err != nil {
		return err
	}
	c, err := p.authenticate(r, given)
	if err != nil {
		return err
	}
	text := params.Get("token")
	if text == "" {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "token is missing"}
	}
	if err := p.revoke(r, text, c.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// revoke tells the two kinds of tokens apart by how they look: what the client says
// of that is a hint, and may be wrong (RFC 7009, Section 2.1).
func (p *Provider) revoke(r *http.Request, text, client string) error {
	by := web.By(r.Context())
	if strings.HasPrefix(text, grant.RefreshPrefix) {
		return p.Issuer.RevokeRefresh(r.Context(), by, secret.From(text), client)
	}
	t, good, err := p.Judge(r.Context(), text)
	if err != nil || !good || t.Client != client {
		return err
	}
	by.Kind, by.ID, by.Family = t.Kind, t.Principal.ID, t.Family
	return p.Issuer.Revoke(r.Context(), by, t.Principal)
}
