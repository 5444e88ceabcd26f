package issue

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

// CodeStore is what is kept of authorization codes.
type CodeStore interface {
	// CreateCode keeps a code, and forgets the request that it answers, if that was kept or
	// pushed. It returns a NotFound if another code answered it.
	CreateCode(ctx context.Context, c grant.Code, answers grant.Request, e audit.Event) error
	// Code returns a code that was not forgotten yet, or a NotFound.
	Code(ctx context.Context, hash secret.Hash) (grant.Code, error)
	// FailCode counts a wrong verifier.
	FailCode(ctx context.Context, hash secret.Hash) error
	// ExpireCode ends a code that was not used, for good.
	ExpireCode(ctx context.Context, hash secret.Hash) error
	// Redeem uses a code up for a family that begins with it, by one statement that only
	// one of many uses can win: the others are a Conflict. It returns an Unauthenticated
	// fault if the account is not active any more, or its session is over.
	Redeem(ctx context.Context, c grant.Code, f grant.Family, events ...audit.Event) error
	// FamilyByID returns a family by its public id, or a NotFound.
	FamilyByID(ctx context.Context, id string) (grant.Family, error)
}

// Authorize gives an application a code for a person who is signed in and agreed, or
// need not be asked. answers is the request that it answers.
func (s *Service) Authorize(ctx context.Context, by principal.Principal, a Asked, o Offer, in session.Session, answers grant.Request) (secret.Text, error) {
	if err := s.fresh(); err != nil {
		return secret.Text{}, err
	}
	text, hash := grant.NewCode()
	now := s.clock.Now()
	c := grant.Code{
		Hash: hash, RedirectURI: a.RedirectURI, Challenge: a.Challenge, Nonce: a.Nonce, Created: now, Expires: now.Add(grant.CodeLasts),
		Given: given(a, o, in),
	}
	by.Kind, by.ID, by.Client, by.Session = principal.User, in.User, a.Client.ID, in.ID
	e := audit.Now(by, now, audit.CodeIssued, a.Client.Target()).With("scope", strings.Join(o.Scope, " ")).With("audience", o.Audience)
	return text, s.store.CreateCode(ctx, c, answers, e)
}

// Redemption is a client's use of a code (RFC 6749, Section 4.1.3).
type Redemption struct {
	Client      client.Client // that has proved who it is, or has nothing to prove it by
	Code        string
	RedirectURI string
	Verifier    string
	Resource    []string
}

// errCode is the one answer to a code that is good for nothing, whatever is wrong with it.
var errCode = &oauth.Error{Code: oauth.InvalidGrant, Description: "the code is not good any more, or not for this request"}

// Redeem gives the tokens that a code stands for. What is wrong with the request is found
// before it is asked whether the code was used: only who could have used it ends what came
// of it, by using it again (RFC 9700, Section 4.5; OAuth 2.1, Section 7.5.2).
func (s *Service) Redeem(ctx context.Context, by principal.Principal, r Redemption) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	hash, ok := grant.ParseCode(r.Code)
	if !ok {
		return Tokens{}, errCode
	}
	c, err := s.store.Code(ctx, hash)
	if fault.KindOf(err) == fault.NotFound {
		return Tokens{}, errCode.Because(err)
	} else if err != nil {
		return Tokens{}, err
	}
	if err := s.mayRedeem(ctx, c, r); err != nil {
		return Tokens{}, err
	}
	by.Kind, by.ID, by.Client = principal.User, c.User, c.Client
	for range 2 {
		if !c.Used.IsZero() {
			return Tokens{}, s.replayed(context.WithoutCancel(ctx), by, c)
		}
		if !c.Lives(s.clock.Now()) {
			// It is ended, not only left: a clock that is set back does not revive it.
			if err := s.store.ExpireCode(ctx, hash); err != nil {
				return Tokens{}, err
			}
			return Tokens{}, errCode.Because(errors.New("its time is over"))
		}
		t, err := s.redeem(ctx, by, c, r)
		if fault.KindOf(err) != fault.Conflict {
			return t, err
		}
		if c, err = s.store.Code(ctx, hash); err != nil { // it was used beside this
			return Tokens{}, err
		}
	}
	return Tokens{}, errCode
}

// mayRedeem holds a use of a code against the request that the code answers.
func (s *Service) mayRedeem(ctx context.Context, c grant.Code, r Redemption) error {
	switch {
	case c.Client != r.Client.ID:
		return errCode.Because(errors.New("it is another client's"))
	case c.Failures >= grant.MostFailures:
		return errCode.Because(errors.New("too many verifiers were wrong"))
	// Who proves by a verifier that the request was his need not name the URI again.
	case r.RedirectURI != c.RedirectURI && (r.RedirectURI != "" || c.Challenge == ""):
		return errCode.Because(errors.New("the redirect URI is another"))
	case !c.Challenge.Proves(r.Verifier):
		if err := s.store.FailCode(ctx, c.Hash); err != nil {
			return err
		}
		return errCode.Because(errors.New("the verifier is wrong"))
	}
	if slices.ContainsFunc(r.Resource, func(asked string) bool { return asked != c.Audience }) {
		return &oauth.Error{Code: oauth.InvalidTarget, Description: "the code is for another resource"}
	}
	return nil
}

// replayed ends what came of a code that is used again.
func (s *Service) replayed(ctx context.Context, by principal.Principal, c grant.Code) error {
	by.Family = c.Family
	e := audit.Now(by, s.clock.Now(), audit.CodeReused, "family:"+c.Family).Because(audit.Failure, "spent-code")
	if err := s.store.EndFamily(ctx, Ending{Family: c.Family, Why: "code-reused"}, e); err != nil {
		return err
	}
	return errCode.Because(errors.New("it was used before"))
}

func (s *Service) redeem(ctx context.Context, by principal.Principal, c grant.Code, r Redemption) (Tokens, error) {
	e, err := s.earn(ctx, by, r.Client, c.Given, c.Nonce)
	if err != nil {
		return Tokens{}, err
	}
	err = s.store.Redeem(ctx, c, e.Family, e.Event)
	if fault.KindOf(err) == fault.Unauthenticated {
		return Tokens{}, errCode.Because(err)
	}
	return e.Tokens, err
}

// given returns what a person who is signed in gives with an offer.
func given(a Asked, o Offer, in session.Session) grant.Given {
	return grant.Given{
		Client: a.Client.ID, User: in.User, Session: in.ID, Scope: o.Scope, Audience: o.Audience, Claims: a.Claims, AMR: in.AMR, AuthTime: in.AuthTime,
	}
}

// earned is what comes of what a person gave. Nothing of it is written yet.
type earned struct {
	Tokens Tokens
	Family grant.Family
	Event  audit.Event
}

// earn makes the tokens that what a person gave stands for now, and the family that they
// begin. Without a session they end with none, and the ID token names none.
func (s *Service) earn(ctx context.Context, by principal.Principal, c client.Client, g grant.Given, nonce string) (earned, error) {
	now := s.clock.Now()
	b, err := s.basisOf(ctx, g.User, extent{audience: g.Audience})
	if err == nil {
		err = b.chosen()
	}
	if err != nil {
		return earned{}, err
	}
	b.client = c
	scope := slices.DeleteFunc(slices.Clone(g.Scope), func(s string) bool { return !b.gives(s) })
	if len(scope) == 0 && len(g.Scope) > 0 {
		return earned{}, errCode.Because(errors.New("the person holds nothing of it any more"))
	}
	life := s.options.Family
	life.Absolute = c.RefreshLasts(life.Absolute)
	f, refresh := grant.New(now, g.User, g.Client, life)
	f.Scope, f.Audience, f.AMR, f.AuthTime, f.Claims = scope, g.Audience, g.AMR, g.AuthTime, g.Claims
	f.Address, f.UserAgent = by.Origin.Address, by.Origin.UserAgent
	if !slices.Contains(scope, "offline_access") {
		f.Session = g.Session
	}
	t := Tokens{Scope: scope, Expires: s.lifetime(f, b, now)}
	if c.May(oauth.RefreshToken) {
		t.Refresh = refresh.Text()
	}
	if t.Access, err = s.access(ctx, &f, scope, b, now); err != nil {
		return earned{}, err
	}
	if slices.Contains(scope, "openid") {
		if t.ID, err = s.idToken(ctx, identity{Client: c, Family: f, Scope: scope, Session: g.Session, Nonce: nonce, Access: t.Access, Now: now}); err != nil {
			return earned{}, err
		}
	}
	by.Family = f.ID
	e := audit.Now(by, now, audit.TokenIssued, f.Target()).With("scope", strings.Join(scope, " ")).With("audience", g.Audience)
	return earned{t, f, e}, nil
}

// held reports whether a family's tokens are held in a browser's cookies.
func held(f grant.Family) bool { return f.Session != "" && f.Client == client.Builtin.ID }
