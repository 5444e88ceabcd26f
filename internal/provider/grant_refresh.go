package provider

import (
	"context"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// refreshToken lets a client go on (RFC 6749, Section 6).
func refreshToken(ctx context.Context, p *Provider, c client.Client, r oauth.TokenRequest) (issue.Tokens, error) {
	text := r.Params.Get("refresh_token")
	if text == "" {
		return issue.Tokens{}, &oauth.Error{Code: oauth.InvalidRequest, Description: "refresh_token is missing"}
	}
	t, err := p.Issuer.Refresh(ctx, web.By(ctx), issue.Renewal{Client: c, Token: secret.From(text), Scope: r.Scope, Resource: r.Resource})
	if fault.KindOf(err) == fault.Unauthenticated {
		return t, (&oauth.Error{Code: oauth.InvalidGrant, Description: "the refresh token is not good any more"}).Because(err)
	}
	return t, err
}
