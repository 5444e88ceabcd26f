package admin

import (
	"context"
	"net/netip"
	"slices"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

type verifyAPIKey struct {
	Body struct {
		Key        string `json:"key" maxLength:"512"`
		Permission string `json:"permission,omitempty" maxLength:"300" doc:"What its holder wants to do: a key that may not is not active"`
		Address    string `json:"address,omitempty" maxLength:"64" doc:"Where its holder is, an IP address: a key for certain networks is not active without"`
		Resource   string `json:"resource,omitempty" maxLength:"512" doc:"The API that it is for: a key for certain APIs is not active without, unless a client asks that has it among its audiences"`
	}
}

// VerifiedKey is what there is to say of an API key, in the manner of introspection
// (RFC 7662, Section 2.2). Of one that is not good it says no more than that.
type VerifiedKey struct {
	Active   bool     `json:"active"`
	Allowed  *bool    `json:"allowed,omitempty" doc:"Where a permission was named: whether the key has it now. It is not active if it has not"`
	Scope    string   `json:"scope,omitempty" doc:"What it may do now"`
	Subject  string   `json:"sub,omitempty" doc:"The id of its owner"`
	Client   string   `json:"client_id,omitempty" doc:"The same, of an owner who is a client"`
	Username string   `json:"username,omitempty" doc:"The name of an owner who is a user"`
	Type     string   `json:"token_type,omitempty" enum:"api_key"`
	Issued   int64    `json:"iat,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Audience []string `json:"aud,omitempty" doc:"The APIs that it is for; none: all"`
	Issuer   string   `json:"iss,omitempty"`
	KeyID    string   `json:"key_id,omitempty"`
	Name     string   `json:"name,omitempty"`
}

type verified struct {
	Body VerifiedKey
}

// verifyAPIKey says whether a key is good, to whoever has a credential of his own: who
// has the key knows as much by using it.
func (a *API) verifyAPIKey(ctx context.Context, in *verifyAPIKey) (*verified, error) {
	by := web.By(ctx)
	shown := access.Shown{Text: in.Body.Key, By: by, Address: in.Body.Address}
	if shown.Address != "" {
		if _, err := netip.ParseAddr(shown.Address); err != nil {
			return nil, fault.At("body.address", "it is an IP address")
		}
	}
	switch who := by.Holder(); {
	case in.Body.Resource != "":
		shown.At = []string{in.Body.Resource}
	case who.Kind == principal.Service:
		c, err := a.Clients.Known(ctx, who.ID)
		if err != nil {
			return nil, err
		}
		shown.At = c.Audiences
	}
	out := &verified{}
	b, err := a.Bearer(ctx, shown)
	switch {
	case fault.KindOf(err) == fault.Unauthenticated:
	case err != nil:
		return nil, err
	default:
		out.Body = ShowVerified(b, a.URL)
	}
	if in.Body.Permission != "" {
		allowed := slices.Contains(b.Scopes, in.Body.Permission) && out.Body.Active
		if !allowed {
			out.Body = VerifiedKey{}
		}
		out.Body.Allowed = &allowed
	}
	outcome := audit.Failure
	if out.Body.Active {
		outcome = audit.Success
	}
	a.Count(by.Credential(), "POST /api-keys/verify", outcome)
	return out, nil
}

// ShowVerified returns what there is to say of a key that is good.
func ShowVerified(b access.Bearer, issuer string) VerifiedKey {
	v := VerifiedKey{
		Active: true, Scope: oauth.FormatScope(b.Scopes), Subject: b.Owner.ID, Username: b.Username, Type: "api_key", Issued: b.SecretAt.Unix(),
		Audience: b.Resources, Issuer: issuer, KeyID: b.ID, Name: b.Name,
	}
	if b.Owner.Kind == principal.Service {
		v.Client = b.Owner.ID
	}
	if !b.ExpiresAt.IsZero() {
		v.Expires = b.ExpiresAt.Unix()
	}
	return v
}
