package issue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Renewal is a request to go on with a family.
type Renewal struct {
	Token  secret.Text
	Client client.Client
	Scope  []string // sorted; nil for all that was granted
	// Resource are what the next token is to be for (RFC 8707, Section 2.2): what the
	// sign-in was for, or nothing.
	Resource []string
	// Browser is a renewal whose token came in a cookie: it must be a session's.
	Browser bool
}

// errDead is the one answer to a refresh token that is good for nothing.
var errDead = &oauth.Error{Code: oauth.InvalidGrant, Description: "the refresh token is invalid, expired or was used before"}

// Dead says whose token was refused: it is good, but its family has ended, or its
// user, or what he held.
type Dead struct{ Family string }

// Error returns why.
func (d *Dead) Error() string { return "what the token stands for has ended: family " + d.Family }

// Refresh spends a refresh token and returns the tokens of the next turn (RFC
// 6749, Section 6). Strictly, a token that was spent ends its family (RFC 9700,
// Section 4.14.2); with a grace, it is answered with the same successor until
// that is used.
//
// Errors: oauth.Error of code invalid_grant, the same for every reason, or
// invalid_scope and invalid_target, which spend nothing; a fault Unavailable where roles may be out
// of date.
func (s *Service) Refresh(ctx context.Context, by principal.Principal, r Renewal) (Tokens, error) {
	if err := s.fresh(); err != nil {
		return Tokens{}, err
	}
	now := s.clock.Now()
	token, err := grant.ParseRefreshToken(r.Token.Reveal())
	if err != nil {
		return Tokens{}, errDead.Because(err)
	}
	// Of parallel uses of one token the database lets one rotate. The others
	// read again and find it spent, so two rounds are enough.
	for range 2 {
		f, err := s.store.FamilyByHandle(ctx, token.Handle())
		if fault.KindOf(err) == fault.NotFound {
			return Tokens{}, errDead.Because(err)
		} else if err != nil {
			return Tokens{}, err
		}
		if f.Client != r.Client.ID {
			return Tokens{}, errDead.Because(errors.New("the family belongs to another client"))
		}
		by.Kind, by.ID, by.Client, by.Family = principal.User, f.User, f.Client, f.ID
		if r.Browser && f.Session == "" {
			return Tokens{}, errDead.Because(errors.New("the family belongs to no session"))
		}
		tokens, err := s.turn(ctx, by, f, token, r, now)
		if fault.KindOf(err) != fault.Conflict {
			return tokens, err
		}
		ctx = context.WithoutCancel(ctx) // it was used beside this: what follows from that follows though the client hangs up
	}
	return Tokens{}, errDead
}

// turn does what a token means to its family.
func (s *Service) turn(ctx context.Context, by principal.Principal, f grant.Family, token grant.RefreshToken, r Renewal, now time.Time) (Tokens, error) {
	switch f.Judge(token, now) {
	case grant.Current, grant.Retry:
		return s.next(ctx, by, f, token, r, now)
	case grant.Reused:
		e := audit.Now(by, now, audit.TokenReused, f.Target()).Because(audit.Failure, "spent-token")
		// Nobody is spared by hanging up.
		if err := s.store.EndFamily(context.WithoutCancel(ctx), Ending{f.ID, carrier(f.Client, f.Session), "reused"}, e); err != nil {
			return Tokens{}, err
		}
		return Tokens{}, errDead.Because(fmt.Errorf("a spent token came again: %w", &Dead{f.ID}))
	case grant.Expired:
		// It is ended, not only left: a clock that is set back does not revive it.
		e := audit.Now(by, now, audit.TokenRefused, f.Target()).Because(audit.Failure, "expired")
		if err := s.store.EndFamily(ctx, Ending{Family: f.ID, Why: "expired"}, e); err != nil {
			return Tokens{}, err
		}
	}
	return Tokens{}, errDead.Because(&Dead{f.ID})
}

// next gives the tokens of the next turn: a new one, or for a retry within the
// grace the one that was given before.
func (s *Service) next(ctx context.Context, by principal.Principal, f grant.Family, token grant.RefreshToken, r Renewal, now time.Time) (Tokens, error) {
	if slices.ContainsFunc(r.Resource, func(asked string) bool { return asked != f.Audience }) {
		return Tokens{}, &oauth.Error{Code: oauth.InvalidTarget, Description: "the sign-in was for another resource"}
	}
	// What was chosen and taken away since is used no more.
	b, err := s.basisOf(ctx, f.User, extent{f.Audience, f.Organization, f.Roles})
	if isOutside(err) {
		return Tokens{}, errDead.Because(errors.Join(err, &Dead{f.ID}))
	} else if err != nil {
		return Tokens{}, err
	}
	b.client = r.Client
	if b.clash != nil {
		return Tokens{}, &oauth.Error{Code: oauth.InvalidGrant, Description: exclude(b.clash) + " by now: sign in again and choose with roles"}
	}
	scope, err := renew(f.Scope, r.Scope, b)
	if err != nil {
		return Tokens{}, err
	}
	retry := f.Judge(token, now) == grant.Retry
	access, err := s.renewed(ctx, &f, scope, b, now, retry)
	if err != nil {
		return Tokens{}, err
	}
	var id secret.Text
	if slices.Contains(scope, "openid") && !held(f) {
		if id, err = s.idToken(ctx, identity{Client: r.Client, Family: f, Scope: scope, Session: f.Session, Access: access, Now: now}); err != nil {
			return Tokens{}, err
		}
	}
	refreshed := audit.Now(by, now, audit.TokenRefreshed, f.Target()).With("scope", strings.Join(scope, " "))
	var successor grant.RefreshToken
	if retry {
		if successor, err = s.again(ctx, f, token, refreshed); err != nil {
			return Tokens{}, err
		}
	} else {
		pepper, err := s.pepper(0)
		if err != nil {
			return Tokens{}, err
		}
		var rotation grant.Rotation
		rotation, successor = f.Rotate(token, now, s.lifetimes(f, r.Client), pepper)
		if r.Client.Rotation == client.Bound {
			rotation.To, rotation.Grace, successor = rotation.From, grant.Grace{}, token
		}
		if f.Session != "" {
			rotation.Session, rotation.SessionIdle = f.Session, now.Add(s.options.Session.Idle)
		}
		if err := s.store.RotateFamily(ctx, rotation, refreshed); fault.KindOf(err) == fault.Unauthenticated {
			return Tokens{}, s.over(ctx, by, f, now, err)
		} else if err != nil {
			return Tokens{}, err
		}
	}
	t := Tokens{Access: access, Refresh: successor.Text(), ID: id, Expires: s.lifetime(f, b, now), Scope: scope, Lasts: f.ExpiresAt.Sub(now)}
	return t, nil
}

// renewed returns the next access token. That of a retry shares the bit of the one that
// was given before: nothing is written of it but the event.
func (s *Service) renewed(ctx context.Context, f *grant.Family, scope []string, b basis, now time.Time, retry bool) (secret.Text, error) {
	if retry {
		return s.accessAt(*f, scope, b, now, s.slots.retried(*f))
	}
	return s.access(ctx, f, scope, b, now)
}

// again returns what a retry within the grace was given before.
func (s *Service) again(ctx context.Context, f grant.Family, token grant.RefreshToken, refreshed audit.Event) (grant.RefreshToken, error) {
	pepper, err := s.pepper(f.Grace.Pepper)
	if err != nil {
		return grant.RefreshToken{}, err
	}
	successor, err := f.Again(token, pepper)
	if err != nil {
		return grant.RefreshToken{}, err
	}
	return successor, s.store.Tell(ctx, []audit.Event{refreshed.With("retry", "true")})
}

// over ends a family whose session came to its time.
func (s *Service) over(ctx context.Context, by principal.Principal, f grant.Family, now time.Time, why error) error {
	e := audit.Now(by, now, audit.TokenRefused, f.Target()).Because(audit.Failure, "session-over")
	if err := s.store.EndFamily(ctx, Ending{f.ID, f.Session, "expired"}, e); err != nil {
		return err
	}
	return errDead.Because(errors.Join(why, &Dead{f.ID}))
}

// browserGrace is the least grace of a session's family: the tabs of a browser
// share its cookies, and may refresh at once.
const browserGrace = 10 * time.Second

func (s *Service) lifetimes(f grant.Family, c client.Client) grant.Lifetimes {
	life := s.options.Family
	life.Grace = max(life.Grace, time.Duration(c.RotationGrace)*time.Second)
	if held(f) {
		life.Grace = max(life.Grace, browserGrace)
	}
	return life
}

// SignOut ends the family that a refresh token belongs to, whichever turn it is
// of. A token that belongs to none is not an error (RFC 7009, Section 2.2).
func (s *Service) SignOut(ctx context.Context, by principal.Principal, text secret.Text) error {
	return s.signOut(ctx, by, text, "")
}

// RevokeRefresh is SignOut by a client. What belongs to another client stays as it is,
// and he is not told (RFC 7009, Section 2.1).
func (s *Service) RevokeRefresh(ctx context.Context, by principal.Principal, text secret.Text, client string) error {
	return s.signOut(ctx, by, text, client)
}

func (s *Service) signOut(ctx context.Context, by principal.Principal, text secret.Text, client string) error {
	token, err := grant.ParseRefreshToken(text.Reveal())
	if err != nil {
		return nil //nolint:nilerr // what was never a token needs no ending
	}
	f, err := s.store.FamilyByHandle(ctx, token.Handle())
	if fault.KindOf(err) == fault.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	if client != "" && client != f.Client {
		return nil
	}
	by.Kind, by.ID, by.Client = principal.User, f.User, f.Client
	return s.signOutFamily(ctx, by, f.ID, carrier(f.Client, f.Session))
}

// carrier returns the session that ends with a family, if any: the one whose cookies
// hold its tokens. What was given to an application ends with a session, but a person
// stays signed in whatever becomes of an application's tokens.
func carrier(of, session string) string {
	if of != client.Builtin.ID {
		return ""
	}
	return session
}

// signOutFamily ends a family by its public id, and the session that holds it;
// session may be empty, or the family itself.
func (s *Service) signOutFamily(ctx context.Context, by principal.Principal, family, session string) error {
	if session == family {
		session = ""
	}
	e := audit.Now(by, s.clock.Now(), audit.TokenRevoked, "family:"+family).With("why", "signed-out")
	return s.store.EndFamily(ctx, Ending{family, session, "signed-out"}, e)
}
