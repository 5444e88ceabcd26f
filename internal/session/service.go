package session

import (
	"cmp"
	"context"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Kind is what somebody is signed in with.
type Kind string

// The kinds of what is signed in.
const (
	Browser Kind = "browser" // a session
	Tokens  Kind = "tokens"  // a token family without one: an app, a script
)

// SignedIn is what a person is signed in with, for a list of devices.
type SignedIn struct {
	ID                 string // of the session, or of the token family
	Kind               Kind
	User               string
	Client             string
	Address, UserAgent string // where it began
	AMR                []string
	CreatedAt          time.Time
	UsedAt             time.Time
	ExpiresAt          time.Time
}

// Filter chooses what is listed.
type Filter struct {
	User  string
	After string // the id of the last item of the page before; the newest come first
	Limit int
}

// Store is what this package needs to have kept for it.
type Store interface {
	// SessionBySecret returns the session that a cookie belongs to, or a NotFound.
	SessionBySecret(context.Context, secret.Hash) (Session, error)
	// EndSession ends the session that a cookie belongs to; one that does not live
	// stays as it is.
	EndSession(ctx context.Context, by principal.Principal, hash secret.Hash, why string) error
	// SignedIn returns what lives, the newest first.
	SignedIn(ctx context.Context, f Filter, now time.Time) ([]SignedIn, error)
	// SignedInUser returns whose a living session or family is, or a NotFound.
	SignedInUser(ctx context.Context, id string) (string, error)
	// EndSignedIn ends a session with its families, or a family, of a user. Another's
	// is ended only if by may touch him. It returns a NotFound for what does not live.
	EndSignedIn(ctx context.Context, by principal.Principal, user, id string, e audit.Event) error
	// EndOthers ends all that by is signed in with but the session keep.
	EndOthers(ctx context.Context, by principal.Principal, keep string) error
	// TouchSession notes that a session is used at now and may lie unused until
	// idle, or until its end. It returns an Unauthenticated fault if it is over.
	TouchSession(ctx context.Context, id string, now, idle time.Time) error
}

// Service lists and ends what people are signed in with.
type Service struct {
	store Store
	clock clock.Clock
}

// NewService returns a service over a store.
func NewService(store Store, c clock.Clock) *Service { return &Service{store, c} }

var errNoSession = fault.New(fault.NotFound, "there is no such session")

// Of returns the living session that a cookie belongs to, or a NotFound. One that
// came to its time is ended, not only left: a clock that is set back does not
// revive it.
func (s *Service) Of(ctx context.Context, by principal.Principal, cookie secret.Text) (Session, error) {
	hash, ok := ParseCookie(cookie)
	if !ok {
		return Session{}, errNoSession
	}
	found, err := s.store.SessionBySecret(ctx, hash)
	if err == nil && !found.Live(s.clock.Now()) {
		err = errNoSession
		if found.EndedAt.IsZero() {
			err = cmp.Or(s.store.EndSession(ctx, found.holder(by), hash, "expired"), err)
		}
	}
	if err != nil {
		return Session{}, err
	}
	return found, nil
}

// touchEvery is how old the note of a session's last use may be, so that not every
// page that is looked at is a write.
const touchEvery = time.Minute

// Use returns the living session that a cookie belongs to, as Of does, and notes
// that it is used: it may lie unused for idle from now.
func (s *Service) Use(ctx context.Context, by principal.Principal, cookie secret.Text, idle time.Duration) (Session, error) {
	found, err := s.Of(ctx, by, cookie)
	now := s.clock.Now()
	if err != nil || now.Sub(found.UsedAt) < min(touchEvery, idle/10) {
		return found, err
	}
	err = s.store.TouchSession(ctx, found.ID, now, now.Add(idle))
	if fault.KindOf(err) == fault.Unauthenticated { // it ended meanwhile
		err = errNoSession.Because(err)
	}
	return found, err
}

// SignOut ends the session that a cookie belongs to, with its tokens. A cookie that
// belongs to none is not an error.
func (s *Service) SignOut(ctx context.Context, by principal.Principal, cookie secret.Text) error {
	found, err := s.Of(ctx, by, cookie)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	return s.store.EndSession(ctx, found.holder(by), found.Secret, "signed-out")
}

// List returns what a person is signed in with, the newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]SignedIn, error) {
	return s.store.SignedIn(ctx, f, s.clock.Now())
}

// Owner returns whose a living session or family is, or a NotFound.
func (s *Service) Owner(ctx context.Context, id string) (string, error) {
	return s.store.SignedInUser(ctx, id)
}

// End ends what a person is signed in with: a browser's session with all of its
// tokens, or a token family. Its access tokens are refused from then on.
func (s *Service) End(ctx context.Context, by principal.Principal, user, id string) error {
	e := audit.Now(by, s.clock.Now(), audit.SessionEnded, "session:"+id).With("user", user)
	return s.store.EndSignedIn(ctx, by, user, id, e)
}

// EndOthers ends all that a person is signed in with but one session.
func (s *Service) EndOthers(ctx context.Context, by principal.Principal, keep string) error {
	return s.store.EndOthers(ctx, by, keep)
}
