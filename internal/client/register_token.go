package client

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// InitialToken lets whoever holds it register clients (RFC 7591, Section 1.2: the initial
// access token). The invariant: it is shown once, and kept as a digest alone.
type InitialToken struct {
	ID        string
	Name      string   // for people
	Scopes    []string // that clients registered by it may ask for at the most, past those of identity; sorted
	Uses      int64    // how many clients it may still register
	CreatedBy string   // as the audit log names who made it
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Prefixes of what registers clients and what changes them.
const (
	InitialPrefix = "dwi_"
	ManagePrefix  = "dwm_"
)

// Bounds of an initial access token.
const (
	InitialLasts     = 24 * time.Hour // if nothing is said
	MostInitialLasts = 365 * 24 * time.Hour
	MostInitialUses  = 10_000
	MostInitial      = 1000 // that there may be
)

// Target returns the token as the audit log names it.
func (t InitialToken) Target() string { return "registration-token:" + t.ID }

// Registers reports whether the token lets somebody register a client now.
func (t InitialToken) Registers(now time.Time) bool { return t.Uses > 0 && now.Before(t.ExpiresAt) }

// InitialStore keeps them.
type InitialStore interface {
	// CreateInitialToken keeps a token under the digest of its secret. by holds its scopes
	// himself. It returns a Conflict for one too many.
	CreateInitialToken(ctx context.Context, by principal.Principal, t InitialToken, hash secret.Hash, e audit.Event) error
	// InitialToken returns a NotFound for an unknown id, as long as it was not purged.
	InitialToken(ctx context.Context, id string) (InitialToken, error)
	// InitialTokenBy is InitialToken by the digest of its secret.
	InitialTokenBy(ctx context.Context, hash secret.Hash) (InitialToken, error)
	// InitialTokens returns those past an id, in the order of their ids.
	InitialTokens(ctx context.Context, after string, limit int) ([]InitialToken, error)
	// DeleteInitialToken ends a token, for who could have made it.
	DeleteInitialToken(ctx context.Context, by principal.Principal, id string, e audit.Event) error
}

// InitialDraft is what makes an initial access token.
type InitialDraft struct {
	Name   string
	Scopes []string
	Uses   int64         // 0: one
	Lasts  time.Duration // 0: InitialLasts
}

// CreateInitialToken makes a token, and returns its secret, which nobody can read again.
// Faults: Invalid with the field, Denied by the grant rule.
func (s *Service) CreateInitialToken(ctx context.Context, by principal.Principal, d InitialDraft) (InitialToken, secret.Text, error) {
	if d.Uses == 0 {
		d.Uses = 1
	}
	if d.Lasts == 0 {
		d.Lasts = InitialLasts
	}
	switch {
	case d.Name == "" || !utf8.ValidString(d.Name) || len(d.Name) > mostName || !printable(d.Name):
		return InitialToken{}, secret.Text{}, fault.At("name", "it is a line of 1 to %d bytes", mostName)
	case len(d.Scopes) > mostScopes:
		return InitialToken{}, secret.Text{}, fault.At("scopes", "there are at most %d", mostScopes)
	case d.Uses < 0 || d.Uses > MostInitialUses:
		return InitialToken{}, secret.Text{}, fault.At("uses", "it is 1 to %d", MostInitialUses)
	case d.Lasts < time.Second || d.Lasts > MostInitialLasts:
		return InitialToken{}, secret.Text{}, fault.At("expires_in", "it is a second to a year")
	}
	for _, scope := range d.Scopes {
		if err := s.scope(scope); err != nil || slices.Contains(s.opening.Identity, scope) {
			return InitialToken{}, secret.Text{}, fault.At("scopes", "each is a permission, like orders:read; the scopes of identity may always be asked for")
		}
	}
	now := s.clock.Now()
	t := InitialToken{ID: id.New(now), Name: d.Name, Scopes: sorted(d.Scopes), Uses: d.Uses, CreatedBy: by.String(), CreatedAt: now, ExpiresAt: now.Add(d.Lasts)}
	text, hash := secret.NewToken(InitialPrefix)
	e := audit.Now(by, now, audit.RegistrationTokenCreated, t.Target()).WithList("scopes", t.Scopes).With("until", t.ExpiresAt.UTC().Format(audit.TimeFormat))
	return t, text, s.store.CreateInitialToken(ctx, by, t, hash, e)
}

// InitialTokens returns a page of tokens in the order of their ids.
func (s *Service) InitialTokens(ctx context.Context, after string, limit int) ([]InitialToken, error) {
	return s.store.InitialTokens(ctx, after, limit)
}

// InitialToken returns a token, or a NotFound.
func (s *Service) InitialToken(ctx context.Context, id string) (InitialToken, error) {
	return s.store.InitialToken(ctx, id)
}

// RevokeInitialToken ends a token. The clients that it registered stay.
func (s *Service) RevokeInitialToken(ctx context.Context, by principal.Principal, id string) error {
	return s.store.DeleteInitialToken(ctx, by, id, audit.Now(by, s.clock.Now(), audit.RegistrationTokenRevoked, InitialToken{ID: id}.Target()))
}

// initial returns the token that a text is. The fault is Unauthenticated whatever is wrong
// with it.
func (s *Service) initial(ctx context.Context, text secret.Text) (InitialToken, error) {
	hash, ok := parse(InitialPrefix, text)
	if !ok {
		return InitialToken{}, noInitial("it has not the form of one")
	}
	t, err := s.store.InitialTokenBy(ctx, hash)
	if fault.KindOf(err) == fault.NotFound {
		return InitialToken{}, noInitial("there is none like it")
	}
	if err == nil && !t.Registers(s.clock.Now()) {
		err = noInitial("its time is over, or it was used as often as it may be")
	}
	return t, err
}

func noInitial(why string) error {
	return fault.New(fault.Unauthenticated, "the initial access token is not good: %s", why)
}

// parse returns the digest of a token of this package's. No such token is as long as a
// body may be.
func parse(prefix string, text secret.Text) (secret.Hash, bool) {
	return secret.ParseToken(prefix, strings.TrimSpace(text.Reveal()))
}
