package provider

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// exchange earns tokens by a grant, for a client that has proved who it is.
type exchange func(context.Context, *Provider, client.Client, oauth.TokenRequest) (issue.Tokens, error)

// grants is the table of the token endpoint: what all grants share is in Token.
var grants = map[oauth.GrantType]exchange{
	oauth.AuthorizationCode: authorizationCode,
	oauth.ClientCredentials: clientCredentials,
	oauth.DeviceCode:        deviceCode,
	oauth.JWTBearer:         jwtBearer,
	oauth.RefreshToken:      refreshToken,
	oauth.TokenExchange:     tokenExchange,
}

// Token serves the token endpoint (RFC 6749, Section 3.2).
func (p *Provider) Token(w http.ResponseWriter, r *http.Request) error {
	params, err := parameters(w, r)
	if err != nil {
		return err
	}
	// 1. What is asked for?
	request, err := oauth.ParseTokenRequest(r.Header.Values("Authorization"), params)
	// 2. Is there such a grant? Who asks for one that there is not hears of that first,
	// and nobody's secret is looked at.
	earn, ok := grants[request.Grant]
	if request.Grant != "" && !ok {
		return &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "this grant is not supported"}
	}
	if err != nil {
		return err
	}
	web.Note(r.Context(), slog.String("grant", string(request.Grant)))
	// 3. Who asks?
	c, err := p.authenticate(r, request.Client)
	if err != nil {
		return err
	}
	// 4. May he use this grant?
	if !c.May(request.Grant) {
		return &oauth.Error{Code: oauth.UnauthorizedClient, Description: "the client may not use this grant"}
	}
	// 5. What does it earn?
	t, err := earn(r.Context(), p, c, request)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, tokens{
		Access: shown(t.Access), Issued: t.Issued, Type: "Bearer", Expires: int64(t.Expires / time.Second), Scope: oauth.FormatScope(t.Scope),
		Refresh: shown(t.Refresh), ID: shown(t.ID),
	})
}

// tokens is the answer of the token endpoint (RFC 6749, Section 5.1).
type tokens struct {
	Access  string          `json:"access_token"`
	Issued  oauth.TokenType `json:"issued_token_type,omitempty"` // RFC 8693, Section 2.2.1
	Type    string          `json:"token_type"`
	Expires int64           `json:"expires_in"`
	Scope   string          `json:"scope,omitempty"`
	Refresh string          `json:"refresh_token,omitempty"`
	ID      string          `json:"id_token,omitempty"` // OpenID Connect Core 1.0, Section 3.1.3.3
}

// shown returns a token for its answer, or nothing for none.
func shown(t secret.Text) string {
	if t.IsZero() {
		return ""
	}
	return t.Reveal()
}

// clientCredentials lets a client act for itself (RFC 6749, Section 4.4).
func clientCredentials(ctx context.Context, p *Provider, c client.Client, r oauth.TokenRequest) (issue.Tokens, error) {
	return p.forItself(ctx, c, r, "")
}

// forItself gives a client a token for itself; workload is what acts as it, or empty.
func (p *Provider) forItself(ctx context.Context, c client.Client, r oauth.TokenRequest, workload string) (issue.Tokens, error) {
	roles, err := issue.ParseRoles(r.Params.Get("roles"))
	if err != nil {
		return issue.Tokens{}, err
	}
	t, err := p.Issuer.ClientToken(ctx, web.By(ctx), issue.ClientCredentials{
		Client: c, Grant: r.Grant, Workload: workload, Scope: r.Scope, Resource: r.Resource, Organization: r.Params.Get("organization"), Roles: roles,
	})
	if fault.KindOf(err) == fault.Unauthenticated { // it was disabled, and the news has not come yet
		return t, r.Client.Unproved().Because(err)
	}
	return t, err
}
