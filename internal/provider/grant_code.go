package provider

import (
	"context"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

// authorizationCode gives a client what a person let it do (RFC 6749, Section 4.1.3; RFC
// 7636, Section 4.5).
func authorizationCode(ctx context.Context, p *Provider, c client.Client, r oauth.TokenRequest) (issue.Tokens, error) {
	code := r.Params.Get("code")
	if code == "" {
		return issue.Tokens{}, &oauth.Error{Code: oauth.InvalidRequest, Description: "code is missing"}
	}
	return p.Issuer.Redeem(ctx, web.By(ctx), issue.Redemption{
		Client: c, Code: code, RedirectURI: r.Params.Get("redirect_uri"), Verifier: r.Params.Get("code_verifier"), Resource: r.Resource,
	})
}
