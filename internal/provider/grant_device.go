package provider

import (
	"context"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

// deviceCode gives a device what a person let it do, or tells it to ask again (RFC 8628,
// Section 3.4).
func deviceCode(ctx context.Context, p *Provider, c client.Client, r oauth.TokenRequest) (issue.Tokens, error) {
	code := r.Params.Get("device_code")
	if code == "" {
		return issue.Tokens{}, &oauth.Error{Code: oauth.InvalidRequest, Description: "device_code is missing"}
	}
	return p.Issuer.RedeemDevice(ctx, web.By(ctx), c, code)
}
