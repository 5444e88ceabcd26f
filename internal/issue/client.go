package issue

import (
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// ClientStore is what is kept of the tokens of clients that act for themselves.
type ClientStore interface {
	// IssueToClient records that a client was given a token. It returns an
	// Unauthenticated fault if the client is not active any more, or is another of its
	// id; a Denied one if it is not registered for this any more; and a NotFound if it is
	// no member any more.
	IssueToClient(ctx context.Context, c client.Client, to Issuance, e audit.Event) error
	// RevokeToken ends a token that is no family's, by its public handle and its bit, if it has one.
	RevokeToken(ctx context.Context, handle, slot string, e audit.Event) error
}

// Issuance is what a token of a client for itself is of.
type Issuance struct {
	Grant        oauth.GrantType
	Organization string // the id of the one that it is for; empty for none
	Scopes       []string
	Run          *grant.Run // of bits, to be kept with it; nil for none
}

// ClientCredentials is a request of a client that acts for itself.
type ClientCredentials struct {
	Client   client.Client // that has proved who it is, or for which its platform did
	Grant    oauth.GrantType
	Workload string // what acts as the client, as its platform calls it; empty for the client
	Scope    []string
	Resource []string
	Roles    []string // of those that were given, which to use; nil for all
	// Organization is the name of the one that the token is to be for; empty for none.
	Organization string
}

// ClientToken gives a client an access token for itself (RFC 6749, Section 4.4).
// It carries what was asked for, or else what the client gets by default, as far
// as both its registration and its roles allow that. There is no refresh token. The
// fault is Unauthenticated for a client that is not active any more.
func (s *Service) ClientToken(ctx context.Context, by principal.Principal, r ClientCredentials) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	audience, err := s.audience(ctx, r.Resource)
	if err != nil {
		return Tokens{}, err
	}
	c := r.Client
	asked := c.Asks(r.Scope)
	if len(c.Beyond(asked)) > 0 {
		return Tokens{}, &oauth.Error{Code: oauth.InvalidScope, Description: "the client may not ask for one of these scopes"}
	}
	organization, err := s.organization(ctx, r.Organization, c.ID)
	if err != nil {
		return Tokens{}, err
	}
	b, err := s.basisOf(ctx, c.ID, extent{audience, organization, r.Roles})
	if err == nil {
		err = b.chosen()
	}
	if err != nil {
		return Tokens{}, outside(err)
	}
	scope, err := holds(c, asked, b)
	if err != nil {
		return Tokens{}, err
	}
	now := s.clock.Now()
	by.Kind, by.ID, by.Client, by.Family = principal.Service, c.ID, c.ID, id.New(now)
	t, err := s.apart(ctx, b, claims{
		Subject: c.ID, Expires: now.Add(s.lasts(b, now)).Unix(), IssuedAt: now.Unix(), Client: c.ID, Scope: strings.Join(scope, " "), Family: by.Family,
	}, now)
	if err != nil {
		return Tokens{}, err
	}
	e := audit.Now(by, now, audit.TokenIssued, "family:"+by.Family).With("scope", strings.Join(scope, " ")).With("audience", audience)
	if r.Workload != "" {
		e = e.With("workload", r.Workload)
	}
	e = chose(inside(e, b), r.Roles)
	err = s.store.IssueToClient(ctx, c, Issuance{r.Grant, organization, scope, t.run}, e)
	t.done(err == nil)
	switch {
	case fault.KindOf(err) == fault.Denied:
		return Tokens{}, (&oauth.Error{Code: oauth.InvalidScope, Description: "the client may not ask for one of these scopes any more"}).Because(err)
	case err != nil:
		return Tokens{}, outside(err)
	}
	return Tokens{Access: t.access, Expires: s.lasts(b, now), Scope: scope}, nil
}

// holds returns those of some scopes that a token of a client for itself may carry. A
// client that is registered for none is given one that says who it is and no more; but
// for an API that is registered only a client that may ask for something there.
func holds(c client.Client, asked []string, b basis) ([]string, error) {
	if b.api != nil && !slices.ContainsFunc(c.Scopes, b.api.Registers) {
		return nil, &oauth.Error{Code: oauth.InvalidTarget, Description: "the client is not registered for any permission of this resource"}
	}
	scope := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return !b.permits(s) })
	if len(scope) == 0 && len(asked) > 0 {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "the client holds none of these scopes, or the resource does not know them"}
	}
	return scope, nil
}

// Revoke ends what an access token belongs to, for who holds it or the client that it
// was issued to: the family of a user's with the session that holds it, or the token
// alone if it is a client's own or was exchanged: whom it was exchanged from signs out
// himself.
func (s *Service) Revoke(ctx context.Context, by, of principal.Principal) error {
	if of.Kind != principal.Service && !of.Exchanged {
		return s.signOutFamily(ctx, by, of.Family, carrier(of.Client, of.Session))
	}
	e := audit.Now(by, s.clock.Now(), audit.TokenRevoked, "family:"+of.Family).With("why", "revoked")
	return s.store.RevokeToken(ctx, of.Family, of.Slot, e)
}

// ClientRefused counts and records that a client did not prove who it is. It returns
// a fault of kind Limited where too much failed from there already: then nothing is
// recorded, so that nobody fills the log. No client is locked: strangers could lock
// it, and its secret cannot be guessed. Who says that he is a client need not be, so
// the event's actor is nobody. What names no client, which is zero then, is not
// repeated: it may be a person's name, or a secret in the wrong place.
func (s *Service) ClientRefused(ctx context.Context, by principal.Principal, named client.Client, why error) error {
	target := "client"
	if named.ID != "" {
		target = named.Target()
	}
	return s.unproved(ctx, by, audit.ClientRefused, target, why)
}

// RegistrationRefused is ClientRefused for a token that registers no client, or does not
// change the one that was named, which is zero for none.
func (s *Service) RegistrationRefused(ctx context.Context, by principal.Principal, named client.Client, why error) error {
	target := "registration"
	if named.ID != "" {
		target = named.Target()
	}
	return s.unproved(ctx, by, audit.RegistrationRefused, target, why)
}

// reasonOf returns what a fault says after its colon, for the log alone.
func reasonOf(err error) string {
	_, why, _ := strings.Cut(err.Error(), ": ")
	return why
}
