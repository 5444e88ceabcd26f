package server

import (
	"context"
	"errors"
	"path"
	"slices"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/status"
)

// judge returns what an access token says, if it is good now: by the same checks that
// this server's own API is behind, for whichever API that is registered.
func (s *Server) judge(ctx context.Context, token string) (provider.Token, bool, error) {
	p, err := s.judging.Verify(ctx, token)
	if errors.Is(err, guard.ErrUnavailable) {
		return provider.Token{}, false, fault.New(fault.Unavailable, "the token cannot be checked at the moment; try again later")
	} else if err != nil {
		return provider.Token{}, false, nil //nolint:nilerr // whatever is wrong with it, it is not good
	}
	for _, audience := range p.Audience {
		if slices.Contains(audiences(s.Config), audience) {
			continue
		}
		if _, err := s.Resources.ByIdentifier(ctx, audience); fault.KindOf(err) == fault.NotFound {
			return provider.Token{}, false, nil
		} else if err != nil {
			return provider.Token{}, false, err
		}
	}
	var organization org.Organization
	if p.Organization != "" {
		if organization, err = s.Orgs.ByID(ctx, p.Organization); fault.KindOf(err) == fault.NotFound {
			return provider.Token{}, false, nil
		} else if err != nil {
			return provider.Token{}, false, err
		}
	}
	t := provider.Token{
		OrganizationName: organization.Name, Principal: holder(p), ID: p.ID, Audience: p.Audience, Issued: p.Issued, Expires: p.Expires,
		Roles: p.Roles, AuthTime: p.AuthTime, ACR: p.ACR, AMR: p.AMR, Actor: actor(p.Actor), Via: p.Via,
	}
	t.MayAct, _ = p.Claim("may_act")
	return t, true, nil
}

// holder returns whom a token is about, or an API key. A client that acts for itself is its own
// subject (RFC 9068, Section 2.2), and what it came through tells of it where a token was
// exchanged; no account has the id of a client.
func holder(p *guard.Principal) principal.Principal {
	kind := principal.User
	if p.Subject == p.ClientID || slices.Contains(p.Via, grant.ViaClient(p.Subject)) {
		kind = principal.Service
	}
	if p.KeyID != "" {
		return principal.Principal{Kind: principal.Key, ID: p.KeyID, Owner: principal.Owner{Kind: kind, ID: p.Subject}, Client: p.ClientID, Scopes: p.Scopes}
	}
	return principal.Principal{
		Kind: kind, ID: p.Subject, Client: p.ClientID, Organization: p.Organization, Family: p.Family, Session: p.Session, Scopes: p.Scopes, Exchanged: len(p.Via) > 0, Slot: slotOf(p.Status),
	}
}

// slotOf returns where one of our lists says whether a token was revoked.
func slotOf(at *guard.Status) string {
	if at == nil {
		return ""
	}
	return status.Slot{List: path.Base(at.URI), Index: at.Index}.String()
}

// actor returns who acts for the subject of a token.
func actor(a *guard.Actor) *oauth.Actor {
	if a == nil {
		return nil
	}
	return &oauth.Actor{Subject: a.Subject, Client: a.ClientID, Before: actor(a.Before)}
}
