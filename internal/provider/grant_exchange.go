package provider

import (
	"context"
	"encoding/json"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// tokenExchange trades a token or an API key for an access token about its subject
// (RFC 8693). What makes a token invalid is not told apart (Section 2.2.2).
func tokenExchange(ctx context.Context, p *Provider, c client.Client, r oauth.TokenRequest) (issue.Tokens, error) {
	if c.Method == oauth.NoAuth { // anybody can be it
		return issue.Tokens{}, &oauth.Error{Code: oauth.UnauthorizedClient, Description: "a client without a secret exchanges nothing"}
	}
	ask, err := oauth.ParseExchange(r)
	if err != nil {
		return issue.Tokens{}, err
	}
	x := issue.Exchange{Client: c, Scope: r.Scope, Target: ask.Target, Known: p.Issuer.Known()}
	var mayAct json.RawMessage
	if ask.SubjectType == oauth.APIKey {
		x.Subject, err = p.keySource(ctx, ask)
	} else {
		x.Subject, mayAct, err = p.tokenSource(ctx, c, ask.Subject, "the subject token is not accepted")
	}
	if err != nil {
		return issue.Tokens{}, err
	}
	if ask.Actor != "" {
		actor, _, err := p.tokenSource(ctx, c, ask.Actor, "the actor token is not accepted")
		if err != nil {
			return issue.Tokens{}, err
		}
		x.Actor = &actor
	}
	if !mayActs(mayAct, x.Actor, c) {
		return issue.Tokens{}, refuse("the subject token says that another may act")
	}
	t, err := p.Issuer.Exchange(ctx, web.By(ctx), x)
	if fault.KindOf(err) == fault.Unauthenticated { // it was disabled, and the news has not come yet
		return t, r.Client.Unproved().Because(err)
	}
	t.Issued = ask.Requested
	return t, err
}

func refuse(description string) *oauth.Error {
	return &oauth.Error{Code: oauth.InvalidRequest, Description: description}
}

// tokenSource judges an access token of this server, as introspection does: a client
// exchanges what it may know, which was issued to it, or is for an API that it is.
func (p *Provider) tokenSource(ctx context.Context, c client.Client, text, refusal string) (issue.Source, json.RawMessage, error) {
	t, good, err := p.Judge(ctx, text)
	if err != nil {
		return issue.Source{}, nil, err
	}
	if !good || !mayKnow(c, t) {
		return issue.Source{}, nil, refuse(refusal)
	}
	own := []string{grant.ViaClient(t.Client), grant.ViaFamily(t.Family)}
	for _, audience := range t.Audience {
		own = append(own, grant.ViaAPI(audience))
	}
	return issue.Source{
		Holder: principal.Owner{Kind: t.Kind, ID: t.Principal.ID}, Client: t.Client, Name: "family:" + t.Family, From: client.OfClient(t.Client),
		Scopes: t.Scopes, Roles: t.Roles, Organization: t.Organization, AuthTime: t.AuthTime, ACR: t.ACR, AMR: t.AMR,
		Actor: t.Actor, Via: t.Via, Own: own, Expires: t.Expires,
	}, t.MayAct, nil
}

// keySource judges an API key, which counts as its use at the API that the new token is
// to be for. A client that is the owner is named among what the token came through, which
// tells it from a person.
func (p *Provider) keySource(ctx context.Context, ask oauth.Exchange) (issue.Source, error) {
	b, err := p.Bearer(ctx, access.Shown{Text: ask.Subject, By: web.By(ctx), Address: ask.Address, At: []string{ask.Target}})
	if fault.KindOf(err) == fault.Unauthenticated {
		return issue.Source{}, refuse("the subject token is not accepted").Because(err)
	} else if err != nil {
		return issue.Source{}, err
	}
	own := []string{grant.ViaKey(b.ID, b.Version)}
	if b.Owner.Kind == principal.Service {
		own = append(own, grant.ViaClient(b.Owner.ID))
	}
	return issue.Source{
		Holder: b.Owner, Name: b.Target(), From: client.APIKeys, Scopes: b.Scopes, Roles: b.Roles, Own: own, Expires: b.ExpiresAt,
	}, nil
}

// mayActs reports whether who is to act is whom a subject token names for that, if it
// names anybody (RFC 8693, Section 4.4). This server names nobody.
func mayActs(named json.RawMessage, a *issue.Source, c client.Client) bool {
	if named == nil {
		return true
	}
	var one struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(named, &one); err != nil {
		return false
	}
	if a != nil {
		return one.Subject == a.Holder.ID
	}
	return one.Subject == c.ID
}
