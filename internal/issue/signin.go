package issue

import (
	"context"
	"errors"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Password is a request to sign in with a name and a password.
type Password struct {
	Name     string
	Password secret.Text
	Client   client.Client
	Scope    []string // sorted; nil for the client's default
	Resource []string // RFC 8707
}

// errNobody is the one answer to a sign-in that fails, whatever was wrong: the
// name, the password, or the state of the account.
var errNobody = fault.New(fault.Unauthenticated, "the username or the password is wrong")

// SignIn proves who somebody is by a password and begins a token family. by is
// nobody yet; its origin is where the request came from.
//
// Errors: a fault Unauthenticated, the same for every reason; Limited when the
// hashing queue is full; Unavailable where roles may be out of date; Invalid for a password that is too long for anybody;
// oauth.Error for the scope and the resource.
func (s *Service) SignIn(ctx context.Context, by principal.Principal, p Password) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	audience, err := s.audience(p.Resource)
	if err != nil {
		return Tokens{}, err
	}
	// The hash may be replaced once it is verified: by a sign-in beside this one
	// that renews it, or by a change of the password. Which of them it was, the new
	// hash tells.
	for range 2 {
		t, err := s.attempt(ctx, by, p, audience)
		if !errors.Is(err, errChanged) {
			return t, err
		}
	}
	return Tokens{}, s.refused(ctx, by, p.Name, "changed-meanwhile", errNobody)
}

var errChanged = errors.New("the account has changed since its password was verified")

// attempt is a sign-in on the account as it is now. It returns errChanged if it
// is not the same any more at the end.
func (s *Service) attempt(ctx context.Context, by principal.Principal, p Password, audience string) (Tokens, error) {
	now := s.clock.Now()
	found, err := s.find(ctx, p.Name)
	if err != nil {
		return Tokens{}, err
	}
	result, err := s.hasher.Verify(ctx, by.Origin.Network, p.Password, found.Password)
	if err != nil {
		return Tokens{}, err
	}
	user := found.User
	switch {
	case user.ID == "":
		return Tokens{}, s.refused(ctx, by, p.Name, "unknown-name", errNobody)
	case !result.OK:
		by.ID, by.Kind = user.ID, principal.User
		reason := "wrong-password"
		if result.Damaged != nil { // it can match nothing; an operator must know, a guesser must not
			reason = "damaged-hash"
		}
		return Tokens{}, s.refused(ctx, by, p.Name, reason, errNobody)
	case user.Status != account.Active:
		by.ID, by.Kind = user.ID, principal.User
		return Tokens{}, s.refused(ctx, by, p.Name, "disabled", errNobody)
	}

	by.Kind, by.ID, by.Client = principal.User, user.ID, p.Client.ID
	held, policy, err := s.policy.Of(ctx, user.ID)
	if err != nil {
		return Tokens{}, err
	}
	scope, err := narrow(p.Client, p.Scope, s.policy.Snapshot(), held)
	if err != nil { // the answer tells that the password was right: it is not told without a trace
		return Tokens{}, s.refused(ctx, by, p.Name, "scope", err)
	}
	family, refresh := grant.New(now, user.ID, p.Client.ID, s.options.Family)
	family.Scope, family.Audience, family.AMR = scope, audience, []string{"pwd"}
	access, err := s.access(family, scope, held, policy, now)
	if fault.KindOf(err) == fault.Invalid {
		return Tokens{}, s.refused(ctx, by, p.Name, "scope", err)
	} else if err != nil {
		return Tokens{}, err
	}
	write := SignIn{Family: family, Was: found.Password}
	if result.Outdated {
		write.Rehash = s.rehash(ctx, by, p.Password)
	}
	signedIn := audit.Now(by, now, audit.LoginSucceeded, user.Target()).With("method", "password")
	issued := audit.Now(by, now, audit.TokenIssued, family.Target()).With("scope", strings.Join(scope, " "))
	if err := s.store.SignIn(ctx, write, signedIn, issued); fault.KindOf(err) == fault.Unauthenticated {
		return Tokens{}, errChanged
	} else if err != nil {
		return Tokens{}, err
	}
	return Tokens{Access: access, Refresh: refresh.Text(), Expires: s.lifetime(held, now), Scope: scope}, nil
}

// find returns the account that a name belongs to; for a name that is nobody's,
// one without an id, whose password nothing matches.
func (s *Service) find(ctx context.Context, name string) (account.Credential, error) {
	login, ok := account.ParseLogin(name)
	if !ok {
		return account.Credential{}, nil
	}
	c, err := s.store.CredentialOf(ctx, login)
	if fault.KindOf(err) == fault.NotFound {
		return account.Credential{}, nil
	}
	return c, err
}

// rehash returns the hash that replaces an outdated one, or "" where there is no
// room to make it now: the next sign-in will.
func (s *Service) rehash(ctx context.Context, by principal.Principal, p secret.Text) string {
	hash, err := s.hasher.Hash(ctx, by.Origin.Network, p)
	if err != nil {
		return ""
	}
	return hash
}

// refused records a sign-in that failed, and returns why. The name that was
// typed is a person's, or a password typed into the wrong field: it is kept in
// the private part, and only if it is the name of an account.
func (s *Service) refused(ctx context.Context, by principal.Principal, name, reason string, why error) error {
	target := "user"
	if by.ID != "" {
		target = "user:" + by.ID
	}
	e := audit.Now(by, s.clock.Now(), audit.LoginFailed, target).Because(audit.Failure, reason)
	if by.ID != "" {
		e = e.About(by.ID, map[string]string{"name": name})
	}
	if err := s.store.Record(ctx, e); err != nil {
		return err
	}
	return why
}

// audience returns whom the token is for. Until APIs can be registered, there
// is one: what the configuration says.
func (s *Service) audience(resource []string) (string, error) {
	for _, r := range resource {
		if r != s.options.Audience && r != s.options.Issuer {
			return "", &oauth.Error{Code: oauth.InvalidTarget, Description: "the resource is not known here"}
		}
	}
	if len(resource) > 1 {
		return "", &oauth.Error{Code: oauth.InvalidTarget, Description: "a token is for one resource"}
	}
	if len(resource) == 1 {
		return resource[0], nil
	}
	return s.options.Audience, nil
}
