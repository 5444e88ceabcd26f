package issue

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

// RequestStore is what is kept of authorization requests and of what people agreed to.
type RequestStore interface {
	// SaveRequest keeps a request until its time is over.
	SaveRequest(ctx context.Context, r grant.Request) error
	// Request returns a request that is kept, or a NotFound.
	Request(ctx context.Context, id secret.Hash) (grant.Request, error)
	// DecideRequest writes what the person decided in a session, with what he agreed to,
	// if anything. It returns a NotFound for a request that is not kept any more.
	DecideRequest(ctx context.Context, r grant.Request, agreed *grant.AgreedTo, events ...audit.Event) error
	// Agreement returns what a person lets an application do for an audience, or a
	// NotFound.
	Agreement(ctx context.Context, user, client, audience string) (grant.AgreedTo, error)
	// Agreements returns all that a person lets applications do, the newest first.
	Agreements(ctx context.Context, user string) ([]grant.AgreedTo, error)
	// Withdraw deletes what a person lets an application do, and ends the families of
	// tokens that came of it. It returns a NotFound if there is nothing.
	Withdraw(ctx context.Context, user, client string, e audit.Event) error
}

// Asked is an authorization request that may be answered: who asks, for what, and where
// the answer goes.
type Asked struct {
	oauth.AuthorizationRequest
	Client client.Client
	Target oauth.Target
	// Wrong is what the client is told where the request cannot be granted to anybody;
	// nil if it can.
	Wrong error
}

// errRedirect is told to the person alone: who made the link cannot be told anything
// (RFC 6749, Section 4.1.2.1).
var (
	errNoClient   = &oauth.Error{Code: oauth.InvalidRequest, Description: "the application is not known here"}
	errNoRedirect = &oauth.Error{Code: oauth.InvalidRequest, Description: "the application is not registered for this redirect_uri"}
)

// Asked reads an authorization request that a browser brings: its query, or the form of a
// POST. The error is for who cannot be sent back: the client is not known, or the redirect
// URI is not its own, or what it pushed is not known any more.
func (s *Service) Asked(ctx context.Context, query string) (grant.Request, Asked, error) {
	r := grant.Request{Query: query}
	asked, err := oauth.BeginAuthorization(query)
	if name, ok := asked.Pushed(); err == nil && ok {
		if r, err = s.pushed(ctx, asked.Client, name); err == nil {
			asked, err = oauth.BeginAuthorization(r.Query)
		}
	}
	if err != nil {
		return r, Asked{}, err
	}
	a, err := s.judge(ctx, asked, r.Pushed != (secret.Hash{}))
	return r, a, err
}

// judge says who asks, where the answer goes, and what is wrong with a request.
func (s *Service) judge(ctx context.Context, r oauth.AuthorizationRequest, pushed bool) (Asked, error) {
	a := Asked{AuthorizationRequest: r}
	var err error
	a.Client, err = s.clients.Known(ctx, a.AuthorizationRequest.Client)
	if fault.KindOf(err) == fault.NotFound || err == nil && a.Client.Status != client.Active {
		return a, errNoClient.Because(err)
	} else if err != nil {
		return a, err
	}
	matched, ok := oauth.MatchRedirectURI(a.Client.RedirectURIs, a.RedirectURI, a.Client.Native())
	if !ok {
		return a, errNoRedirect
	}
	a.Target = oauth.NewTarget(matched, a.Mode, a.State, s.options.Issuer)
	if a.Wrong = a.Read(); a.Wrong == nil && a.Client.RequirePushed && !pushed {
		a.Wrong = &oauth.Error{Code: oauth.InvalidRequest, Description: "the client pushes its requests"}
	}
	if a.Wrong == nil {
		a.Wrong = s.conceives(ctx, &a)
	}
	return a, nil
}

// conceives returns why a request can be granted to nobody.
func (s *Service) conceives(ctx context.Context, a *Asked) error {
	c := a.Client
	switch {
	case !c.May(oauth.AuthorizationCode):
		return &oauth.Error{Code: oauth.UnauthorizedClient, Description: "the client may not use this grant"}
	case a.Challenge == "" && c.NeedsPKCE():
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "code_challenge is missing"}
	case len(c.Beyond(permissions(a.Scope))) > 0:
		return &oauth.Error{Code: oauth.InvalidScope, Description: "the client may not ask for one of these scopes"}
	case len(a.Claims.ACR) > 0 && !slices.Contains(a.Claims.ACR, onePassword):
		return &oauth.Error{Code: oauth.UnmetAuthentication, Description: "nobody signs in here in one of these ways"}
	}
	if len(a.ACR) == 0 {
		a.ACR = c.DefaultACR
	}
	if c.DefaultMaxAge != nil && a.MaxAge == nil {
		age := time.Duration(*c.DefaultMaxAge) * time.Second
		a.MaxAge = &age
	}
	_, err := s.audience(ctx, a.Resource)
	return err
}

// permissions returns those of some scopes that are permissions.
func permissions(scope []string) []string {
	return slices.DeleteFunc(slices.Clone(scope), rbac.IdentityScope)
}

// Offer is what a request would give, if the person agreed.
type Offer struct {
	Scope    []string
	Tells    []string // the scopes, past these, whose claims are asked for one by one
	Audience string
	API      *resource.Resource // nil for this server's own
	Agreed   bool               // before, or by who runs the server
}

// Asks returns all that a person is asked for: what the application may do, and what it
// is told of him without a scope (OpenID Connect Core 1.0, Section 5.5).
func (o Offer) Asks() []string {
	all := append(slices.Clone(o.Scope), o.Tells...)
	slices.Sort(all)
	return all
}

// Offer returns what a request would give for a person. The error is an oauth.Error if
// he has nothing of what is asked for.
func (s *Service) Offer(ctx context.Context, a Asked, user string) (Offer, error) {
	var o Offer
	var err error
	if o.Audience, err = s.audience(ctx, a.Resource); err != nil {
		return o, err
	}
	b, err := s.basisOf(ctx, user, extent{audience: o.Audience})
	if err == nil {
		err = b.chosen()
	}
	if err != nil {
		return o, err
	}
	o.API, b.client = b.api, a.Client
	if asked := a.Client.Asks(a.Scope); len(asked) > 0 {
		if o.Scope, err = narrow(asked, b); err != nil {
			if len(a.Scope) > 0 {
				return o, err
			}
			o.Scope = nil // nothing was asked for
		}
	}
	if !a.Client.May(oauth.RefreshToken) {
		o.Scope = slices.DeleteFunc(o.Scope, func(s string) bool { return s == "offline_access" })
	}
	for scope, names := range claimsOf {
		told := func(name string) bool {
			return slices.Contains(a.Claims.Userinfo, name) || slices.Contains(a.Claims.IDToken, name)
		}
		if !slices.Contains(o.Scope, scope) && slices.ContainsFunc(names, told) {
			o.Tells = append(o.Tells, scope)
		}
	}
	o.Agreed, err = s.agreed(ctx, a, user, o)
	return o, err
}

// agreed reports whether a person need not be asked. An application on people's devices
// that anybody can pretend to be is asked for each time (RFC 8252, Section 8.6).
func (s *Service) agreed(ctx context.Context, a Asked, user string, o Offer) (bool, error) {
	c := a.Client
	if c.SkipConsent {
		return true, nil
	}
	if c.Public() && !strings.HasPrefix(a.Target.URI(), "https://") {
		return false, nil
	}
	before, err := s.store.Agreement(ctx, user, c.ID, o.Audience)
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && before.Covers(o.Asks(), as(c)), err
}

// as returns the digest of what a client was registered as when somebody agreed: another
// name or another place to go is another application to him.
func as(c client.Client) string {
	text, err := json.Marshal(struct {
		Name      string
		Redirects []string
	}{c.Name, c.RedirectURIs})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return secret.Base62(sum[:])
}

// Pending returns a request that was saved, for the browser that began it. It is a
// NotFound for any other.
func (s *Service) Pending(ctx context.Context, id string, browser secret.Hash) (grant.Request, Asked, error) {
	raw, err := secret.ParseBase62(id, pendingSize)
	if err != nil {
		return grant.Request{}, Asked{}, errNotPending.Because(err)
	}
	r, err := s.store.Request(ctx, secret.HashOf(raw))
	if fault.KindOf(err) == fault.NotFound || err == nil && (!s.clock.Now().Before(r.Expires) || !r.Browser.Equal(browser)) {
		return grant.Request{}, Asked{}, errNotPending.Because(err)
	} else if err != nil {
		return grant.Request{}, Asked{}, err
	}
	asked, err := oauth.BeginAuthorization(r.Query)
	if err != nil {
		return r, Asked{}, err
	}
	a, err := s.judge(ctx, asked, r.Pushed != (secret.Hash{}))
	return r, a, err
}

var errNotPending = fault.New(fault.NotFound, "this sign-in is over, or it began in another browser; go back to the application and begin again")

const pendingSize = 16

// requestsSaved is how many requests may begin to wait from one network: anybody can send
// one, and each is kept. A large office that comes to work behind one address is let in.
var requestsSaved = limit.Rate{Times: 3000, Per: time.Minute}

// Save keeps a request for the browser that began it, and returns by what its address
// names it. The fault is Limited where too many began from there.
func (s *Service) Save(ctx context.Context, by principal.Principal, r grant.Request, browser secret.Hash) (string, error) {
	if err := s.limits.Take(ctx, "authorization requests "+by.Origin.Network, requestsSaved); err != nil {
		return "", err
	}
	raw, now := secret.Random(pendingSize), s.clock.Now()
	r.ID, r.Browser, r.Begun, r.Expires = secret.HashOf(raw), browser, now, now.Add(grant.RequestLasts)
	return secret.Base62(raw), s.store.SaveRequest(ctx, r)
}

// Decide records what a person said to a request, in his session.
func (s *Service) Decide(ctx context.Context, by principal.Principal, r grant.Request, a Asked, in session.Session, said grant.Decision) error {
	now := s.clock.Now()
	r.Decision, r.Session = said, in.ID
	by.Kind, by.ID, by.Client, by.Session = principal.User, in.User, a.Client.ID, in.ID
	if said != grant.Allowed {
		var events []audit.Event
		if said == grant.Denied {
			events = append(events, audit.Now(by, now, audit.ConsentDenied, a.Client.Target()).Because(audit.Failure, "denied"))
		}
		return s.store.DecideRequest(ctx, r, nil, events...)
	}
	o, err := s.Offer(ctx, a, in.User)
	if err != nil {
		return err
	}
	agreed := grant.AgreedTo{User: in.User, Client: a.Client.ID, Audience: o.Audience, Scope: o.Asks(), As: as(a.Client), At: now}
	return s.store.DecideRequest(ctx, r, &agreed, audit.Now(by, now, audit.ConsentGiven, a.Client.Target()).
		With("scope", strings.Join(o.Asks(), " ")).With("audience", o.Audience))
}

// Agreements returns all that a person lets applications do.
func (s *Service) Agreements(ctx context.Context, user string) ([]grant.AgreedTo, error) {
	return s.store.Agreements(ctx, user)
}

// Withdraw takes back what a person lets an application do: its tokens are refused from
// then on.
func (s *Service) Withdraw(ctx context.Context, by principal.Principal, client string) error {
	return s.store.Withdraw(ctx, by.ID, client, audit.Now(by, s.clock.Now(), audit.ConsentWithdrawn, "client:"+client))
}
