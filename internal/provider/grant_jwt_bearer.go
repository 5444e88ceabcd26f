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

// jwtBearer lets a workload act as a client, by what the platform signed that runs it (RFC
// 7523, Section 2.1). A wrong assertion counts like a wrong secret.
func jwtBearer(ctx context.Context, p *Provider, c client.Client, r oauth.TokenRequest) (issue.Tokens, error) {
	text := r.Params.Get("assertion")
	if text == "" {
		return issue.Tokens{}, &oauth.Error{Code: oauth.InvalidRequest, Description: "assertion is missing"}
	}
	w, err := p.Clients.ProveWorkload(ctx, c, secret.From(text))
	if fault.KindOf(err) == fault.Unauthenticated {
		if err := p.Issuer.ClientRefused(ctx, web.By(ctx), c, err); err != nil {
			return issue.Tokens{}, err
		}
		return issue.Tokens{}, (&oauth.Error{Code: oauth.InvalidGrant, Description: "the assertion is not good"}).Because(err)
	} else if err != nil {
		return issue.Tokens{}, err
	}
	return p.forItself(ctx, c, r, w.String())
}
