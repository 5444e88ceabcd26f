package issue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// ExchangeStore is what is kept of exchanged tokens.
type ExchangeStore interface {
	// IssueExchanged records that a client was given a token with scopes, if a rule lets
	// it exchange what want says. It returns an Unauthenticated fault if the client is not
	// active any more, or is another of its id; a Denied one if it is not registered for
	// this any more, or without a rule, with the field that no rule fits.
	IssueExchanged(ctx context.Context, c client.Client, want client.Exchange, to Issuance, e audit.Event) error
}

// Source is a credential that was judged good: of whom a new token is to be, or of who
// is to act for him.
type Source struct {
	Holder       principal.Owner
	Client       string // that it was issued to; empty for an API key
	Name         string // as the audit log names it, like "family:01h…" or "key:3xK…"
	From         string // as rules name where it came from
	Scopes       []string
	Roles        []string // effective
	Organization string
	// How the user signed in; zero for who did not.
	AuthTime time.Time
	ACR      string
	AMR      []string
	Actor    *oauth.Actor
	Via      []string  // what it came through before
	Own      []string  // how it would be named there itself
	Expires  time.Time // zero: it does not
}

// Exchange is a request of a client to trade a credential for an access token.
type Exchange struct {
	Client  client.Client // that has proved who it is
	Subject Source
	Actor   *Source  // nil where the client takes the place of the subject
	Scope   []string // sorted; nil for all that the subject's credential carries
	Target  string   // the API that the token is for
	// Known is the version of the policy that was known before the sources were judged:
	// what they lose from there on makes the token void, too.
	Known int64
}

const (
	// longestExchanged bounds an exchanged token. The API key behind it may be revoked,
	// and who neither follows revocations nor reads status lists does not hear of it.
	longestExchanged = 5 * time.Minute
	mostSteps        = 5 // of exchanges, one after the other
)

// errSubject is the one answer to a subject token that is good for nothing, and
// errActor that to an actor's (RFC 8693, Section 2.2.2).
var (
	errSubject = &oauth.Error{Code: oauth.InvalidRequest, Description: "the subject token is not accepted"}
	errActor   = &oauth.Error{Code: oauth.InvalidRequest, Description: "the actor token is not accepted"}
)

// Known returns the version of the policy up to which this process knows all changes.
func (s *Service) Known() int64 { return s.policy.Version() }

// Exchange gives a client an access token that is about the subject of another
// credential (RFC 8693). With an actor it says who acts (delegation), without one the
// client takes the subject's place (impersonation). The token never carries more, nor
// lives longer, than what it was traded for, and ends with it; there is no refresh token.
//
// Errors: oauth.Error; a fault Unauthenticated for a client that is not active any more;
// Unavailable where roles may be out of date.
func (s *Service) Exchange(ctx context.Context, by principal.Principal, x Exchange) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	via, err := x.via()
	if err != nil {
		return Tokens{}, err
	}
	b, err := s.basisOf(ctx, x.Subject.Holder.ID, extent{x.Target, x.Subject.Organization, append([]string{}, x.Subject.Roles...)})
	switch {
	case isOutside(err):
		return Tokens{}, errSubject.Because(err)
	case err != nil:
		return Tokens{}, err
	case b.clash != nil:
		return Tokens{}, errSubject.Because(&fault.Error{Kind: fault.Denied, Message: exclude(b.clash)})
	}
	b.policy, b.client = min(b.policy, x.Known), x.Client
	scope, err := x.scope(b)
	if err != nil {
		return Tokens{}, err
	}
	now := s.clock.Now()
	lasts := x.ends(min(s.lasts(b, now), longestExchanged), now)
	if lasts < time.Second {
		return Tokens{}, errSubject
	}
	by.Kind, by.ID, by.Client, by.Family = principal.Service, x.Client.ID, x.Client.ID, id.New(now)
	c := claims{
		Subject: x.Subject.Holder.ID, Expires: now.Add(lasts).Unix(), IssuedAt: now.Unix(), Client: x.Client.ID, Scope: strings.Join(scope, " "),
		Roles: b.among(x.Subject.Roles), ACR: x.Subject.ACR, AMR: x.Subject.AMR, Family: by.Family, Act: x.acts(), Via: via,
	}
	if !x.Subject.AuthTime.IsZero() {
		c.AuthTime = x.Subject.AuthTime.Unix()
	}
	t, err := s.apart(ctx, b, c, now)
	if err != nil {
		return Tokens{}, err
	}
	err = s.store.IssueExchanged(ctx, x.Client, x.wants(), Issuance{Grant: oauth.TokenExchange, Scopes: scope, Run: t.run}, inside(x.event(by, scope, now), b))
	if t.done(err == nil); err != nil {
		return Tokens{}, forbidden(err)
	}
	return Tokens{Access: t.access, Expires: lasts, Scope: scope}, nil
}

// via returns what the token comes through. No chain of exchanges is long, and none
// leads back to a client that it went through.
func (x Exchange) via() ([]string, error) {
	if slices.Contains(x.Subject.Via, grant.ViaClient(x.Client.ID)) {
		return nil, &oauth.Error{Code: oauth.InvalidRequest, Description: "the subject token came through this client before"}
	}
	via := slices.Concat(x.Subject.Via, x.Subject.Own)
	if grant.Steps(via) > mostSteps {
		return nil, &oauth.Error{Code: oauth.InvalidRequest, Description: "the subject token was exchanged too often"}
	}
	if a := x.Actor; a != nil {
		// He is who acts now: another than the subject, with nobody behind him, and named
		// by the client that he acts through.
		if a.Holder == x.Subject.Holder || len(a.Via) > 0 || a.Client != x.Client.ID || a.Organization != "" && a.Organization != x.Subject.Organization {
			return nil, errActor
		}
		via = append(via, a.Own...)
	}
	slices.Sort(via)
	return slices.Compact(via), nil
}

// acts returns the chain of actors: whoever acts now comes first, then those of the
// subject's token (RFC 8693, Section 4.1). Who takes the place of the subject adds
// nothing, and hides nobody.
func (x Exchange) acts() *oauth.Actor {
	if x.Actor == nil {
		return x.Subject.Actor
	}
	a := &oauth.Actor{Subject: x.Actor.Holder.ID, Before: x.Subject.Actor}
	if x.Actor.Holder.Kind == principal.User {
		a.Client = x.Actor.Client
	}
	return a
}

// scope is the scope rule of an exchange: requested ∩ carried by the subject's
// credential ∩ allowed to the client ∩ allowed by the subject's roles now ∩ known to
// the API.
func (x Exchange) scope(b basis) ([]string, error) {
	asked := x.Scope
	if asked == nil {
		asked = slices.Compact(slices.Sorted(slices.Values(x.Subject.Scopes)))
	} else if len(x.Client.Beyond(asked)) > 0 || slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(x.Subject.Scopes, s) }) {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "the scope is more than the subject token carries, or than the client may ask for"}
	}
	scope := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return !slices.Contains(x.Client.Scopes, s) || !b.permits(s) })
	if len(scope) == 0 {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "nothing is left of the scope: the subject does not hold it any more, the client may not ask for it, or the resource does not know it"}
	}
	return scope, nil
}

// among returns those of some roles that the principal has now.
func (b basis) among(roles []string) []string {
	return slices.DeleteFunc(append([]string{}, b.Roles()...), func(role string) bool { return !slices.Contains(roles, role) })
}

// ends returns how long the token lives: not past either source.
func (x Exchange) ends(d time.Duration, now time.Time) time.Duration {
	for _, source := range []*Source{&x.Subject, x.Actor} {
		if source != nil && !source.Expires.IsZero() {
			d = min(d, source.Expires.Sub(now))
		}
	}
	return d.Truncate(time.Second)
}

// wants returns the rule without which the exchange is forbidden.
func (x Exchange) wants() client.Exchange {
	return client.Exchange{Client: x.Client.ID, From: x.Subject.From, Resource: x.Target, Impersonation: x.Actor == nil}
}

func (x Exchange) event(by principal.Principal, scope []string, now time.Time) audit.Event {
	e := audit.Now(by, now, audit.TokenExchanged, x.Subject.Holder.String()).With("source", x.Subject.Name).With("from", x.Subject.From).
		With("family", by.Family).With("audience", x.Target).With("scope", strings.Join(scope, " "))
	if x.Actor == nil {
		return e.With("mode", "impersonation")
	}
	return e.With("mode", "delegation").With("actor", x.Actor.Holder.String())
}

// forbidden tells what no rule allows (RFC 8693, Section 2.2.2).
func forbidden(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Denied {
		return err
	}
	refusal := &oauth.Error{Code: oauth.InvalidRequest, Description: "no rule lets the client exchange tokens from there"}
	switch f.Field {
	case "actor_token":
		refusal.Description = "no rule lets the client take the place of the subject: show who acts by an actor token"
	case "resource":
		refusal = &oauth.Error{Code: oauth.InvalidTarget, Description: "no rule lets the client exchange such tokens for this resource"}
	case "scope":
		refusal = &oauth.Error{Code: oauth.InvalidScope, Description: "the client may not ask for one of these scopes any more"}
	}
	return refusal.Because(err)
}
