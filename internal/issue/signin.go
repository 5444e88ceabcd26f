package issue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

// Password is a request to sign in with a name and a password.
type Password struct {
	Name     string
	Password secret.Text
	Client   client.Client
	Scope    []string // sorted; nil for the client's default
	Resource []string // RFC 8707
	Roles    []string // of those that were given, which to use; nil for all
	// Organization is the name of the one that the tokens are to be for; empty for none.
	Organization string
	// Browser makes the tokens those of a browser's session, which begins with
	// them and in the place of the one whose cookie is Replaces.
	Browser  bool
	Replaces secret.Text
	// Trim lets a token that is too large for a cookie go without its scope, and one
	// of roles that exclude each other without any: on a page nobody can ask for less,
	// and the session alone opens the pages.
	Trim bool
}

// errNobody is the one answer to a sign-in that fails, whatever was wrong: the
// name, the password, or the state of the account.
var errNobody = fault.New(fault.Unauthenticated, "the username or the password is wrong")

// SignIn proves who somebody is by a password and begins a token family. by is
// nobody yet; its origin is where the request came from.
//
// Errors: a fault Unauthenticated, the same for every reason; Limited where too
// much was guessed, and when the hashing queue is full; Unavailable where roles
// may be out of date or attempts cannot be counted; Invalid for a password that
// is too long for anybody; oauth.Error for the scope and the resource.
func (s *Service) SignIn(ctx context.Context, by principal.Principal, p Password) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	audience, err := s.audience(ctx, p.Resource)
	if err != nil {
		return Tokens{}, err
	}
	if err := conceivable(p.Client, p.Scope, s.policy.Snapshot()); err != nil {
		return Tokens{}, err
	}
	found, err := s.find(ctx, p.Name)
	if err != nil {
		return Tokens{}, err
	}
	g, err := s.begin(ctx, by, found.User, p.Name)
	if err != nil {
		return Tokens{}, err
	}
	defer g.Abandon(ctx) // a guess that was settled stays so
	// The hash may be replaced once it is verified: by a sign-in beside this one
	// that renews it, or by a change of the password. Which of them it was, the new
	// hash tells.
	for range 2 {
		t, err := s.attempt(ctx, by, p, audience, g, found)
		if !errors.Is(err, errChanged) {
			return t, err
		}
		if found, err = s.find(ctx, p.Name); err != nil {
			return Tokens{}, err
		}
	}
	return Tokens{}, s.refused(ctx, by, p.Name, "changed-meanwhile", g)
}

var errChanged = errors.New("the account has changed since its password was verified")

// attempt is a sign-in on the account as it was found. It returns errChanged if
// it is not the same any more at the end.
func (s *Service) attempt(ctx context.Context, by principal.Principal, p Password, audience string, g *guess, found account.Credential) (Tokens, error) {
	user := found.User
	if user.ID != g.user { // the name went to somebody else meanwhile
		return Tokens{}, s.refused(ctx, by, p.Name, "changed-meanwhile", g)
	}
	if user.ID != "" {
		by.Kind, by.ID = principal.User, user.ID
	}
	result, err := s.verify(ctx, by, g, p.Password, found.Password, s.failure(by, p.Name, ""))
	if err != nil {
		return Tokens{}, err
	}
	switch {
	case user.ID == "":
		return Tokens{}, s.refused(ctx, by, p.Name, "unknown-name", g)
	case result.Damaged != nil: // it can match nothing; an operator must know, a guesser must not
		return Tokens{}, s.refused(ctx, by, p.Name, "damaged-hash", g)
	case !result.OK:
		return Tokens{}, s.refused(ctx, by, p.Name, "wrong-password", g)
	case user.Status != account.Active:
		return Tokens{}, s.refused(ctx, by, p.Name, "disabled", g)
	}
	// The password was right. Who hangs up now is signed in all the same: or he
	// would learn that it was, unseen.
	ctx = context.WithoutCancel(ctx)
	by.Client = p.Client.ID
	write := SignIn{Was: found.Password}
	if result.Outdated {
		write.Rehash = s.rehash(ctx, by, p.Password)
	}
	t, err := s.admit(ctx, by, p, g, user, audience, write)
	if err == nil {
		// The sign-in is committed: that it cannot be counted as a success leaves it
		// counted as a failure, which the next one clears.
		if err := errors.Join(g.Succeeded(ctx), s.arrived(ctx, g)); err != nil {
			s.log.Error("a sign-in could not be counted as a success", "error", err)
		}
	}
	return t, err
}

// admit begins the family, and the session, of a person whose password was right.
func (s *Service) admit(ctx context.Context, by principal.Principal, p Password, g *guess, user account.User, audience string, write SignIn) (Tokens, error) {
	now := s.clock.Now()
	var err error
	if write.Letters, err = s.arrival(ctx, by, g, user, now); err != nil {
		return Tokens{}, err
	}
	b, err := s.basisFor(ctx, &p, user.ID, audience)
	if _, refused := errors.AsType[*oauth.Error](err); refused { // also where he is no member, or the API was deleted meanwhile
		return Tokens{}, s.misasked(ctx, by, p.Name, g, write.Letters, err)
	} else if err != nil {
		return Tokens{}, err
	}
	scope, err := narrow(p.Scope, b)
	if err != nil { // the answer tells that the password was right: it is not told without a trace
		return Tokens{}, s.misasked(ctx, by, p.Name, g, write.Letters, err)
	}
	family, refresh := grant.New(now, user.ID, p.Client.ID, s.options.Family)
	family.Scope, family.Roles, family.Audience, family.Organization, family.AMR = scope, p.Roles, audience, b.org.ID, []string{"pwd"}
	family.Address, family.UserAgent = by.Origin.Address, by.Origin.UserAgent
	tokens := Tokens{Refresh: refresh.Text(), Scope: scope, Device: g.device.With(owner(user), g.pepper).Cookie(g.pepper)}
	events := []audit.Event{audit.Now(by, now, audit.LoginSucceeded, user.Target()).With("method", "password").With("device", deviceWord(g.known))}
	if p.Browser {
		started, cookie := session.New(now, user.ID, family.AMR, by.Origin, s.options.Session)
		family.Session, family.ExpiresAt = started.ID, earlier(family.ExpiresAt, started.ExpiresAt)
		write.Session, tokens.Session, tokens.Lasts = &started, cookie, s.options.Session.Absolute
		write.Replaces, _ = session.ParseCookie(p.Replaces)
		events = append(events, audit.Now(by, now, audit.SessionStarted, started.Target()))
	}
	tokens.Expires = s.lifetime(family, b, now)
	tokens.Access, err = s.access(ctx, &family, scope, b, now)
	if p.Trim && fault.KindOf(err) == fault.Invalid {
		scope, family.Scope, tokens.Scope = nil, nil, nil
		tokens.Access, err = s.access(ctx, &family, scope, b, now)
	}
	if fault.KindOf(err) == fault.Invalid {
		return Tokens{}, s.misasked(ctx, by, p.Name, g, write.Letters, err)
	} else if err != nil {
		return Tokens{}, err
	}
	write.Family = family
	events = append(events, chose(inside(audit.Now(by, now, audit.TokenIssued, family.Target()).With("scope", strings.Join(scope, " ")), b), p.Roles))
	switch err := s.store.SignIn(ctx, write, events...); {
	case fault.KindOf(err) == fault.Unauthenticated:
		return Tokens{}, errChanged
	case fault.KindOf(err) == fault.NotFound:
		return Tokens{}, s.misasked(ctx, by, p.Name, g, write.Letters, outside(err))
	case err != nil:
		return Tokens{}, err
	}
	return tokens, nil
}

// basisFor is basisOf for what a sign-in asks for. Who cannot choose, and would use
// roles that exclude each other, uses none.
func (s *Service) basisFor(ctx context.Context, p *Password, user, audience string) (basis, error) {
	organization, err := s.organization(ctx, p.Organization, user)
	if err != nil {
		return basis{}, err
	}
	b, err := s.basisOf(ctx, user, extent{audience, organization, p.Roles})
	if err == nil && p.Trim && b.clash != nil {
		p.Roles = []string{}
		b, err = s.basisOf(ctx, user, extent{audience, organization, p.Roles})
	}
	if err == nil {
		err = b.chosen()
	}
	return b, outside(err)
}

// inside returns the event of tokens with the organization that they are for.
func inside(e audit.Event, b basis) audit.Event {
	if b.org.ID == "" {
		return e
	}
	return e.With("organization", b.org.ID)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
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

// refused settles a sign-in that failed and records why; its answer is the same
// for every reason. The name that was typed is a person's, or a password typed
// into the wrong field: it is kept in the private part, and only if it is the
// name of an account.
func (s *Service) refused(ctx context.Context, by principal.Principal, name, reason string, g *guess) error {
	if err := s.failed(ctx, by, g, s.failure(by, name, reason)); err != nil {
		return err
	}
	return errNobody
}

// misasked records a sign-in whose password was right, and that asked for what it
// cannot be given; why is told, and so is the owner. It is no success.
func (s *Service) misasked(ctx context.Context, by principal.Principal, name string, g *guess, letters []outbox.Letter, why error) error {
	if err := s.store.Tell(ctx, []audit.Event{s.failure(by, name, "scope")}, letters...); err != nil {
		return err
	}
	if err := s.arrived(ctx, g); err != nil {
		return err
	}
	return why
}

func (s *Service) failure(by principal.Principal, name, reason string) audit.Event {
	target := "user"
	if by.ID != "" {
		target = "user:" + by.ID
	}
	e := audit.Now(by, s.clock.Now(), audit.LoginFailed, target).Because(audit.Failure, reason)
	if by.ID != "" {
		e = e.About(by.ID, map[string]string{"name": name})
	}
	if reason != "disabled" && reason != "scope" { // whoever did not prove it is not whom he names
		e.Actor.Kind, e.Actor.ID = principal.Anonymous, ""
	}
	return e
}
