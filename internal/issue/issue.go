// Package issue is the one place where a sign-in or a grant becomes tokens, and
// where the verbs that span the domains stand: SignIn, Refresh, SignOut,
// ChangePassword.
//
// Each verb checks first, then makes what can fail, then writes all in one
// transaction with its audit events, and answers last. So a crash at any line
// leaves the old state or the new one.
package issue

import (
	"context"
	"log/slog"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/factor"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
)

// Store is what this package needs to have kept for it.
type Store interface {
	// CredentialOf returns the account that a login name belongs to, or a
	// NotFound.
	CredentialOf(ctx context.Context, l account.Login) (account.Credential, error)
	// SignIn begins a family, and the session that holds it if there is one, if the
	// account is still active and its password still Was, or returns an
	// Unauthenticated fault; and a NotFound if it left the family's organization. The oldest families and sessions past the cap end.
	SignIn(ctx context.Context, s SignIn, events ...audit.Event) error
	// FamilyByHandle returns the family that a refresh token belongs to, or a
	// NotFound.
	FamilyByHandle(ctx context.Context, handle secret.Hash) (grant.Family, error)
	// RotateFamily writes a turn if the family lives and its secret is still
	// From. It returns a Conflict if it is not, and an Unauthenticated fault if
	// the session that holds it is over.
	RotateFamily(ctx context.Context, r grant.Rotation, e audit.Event) error
	// EndFamily ends a family, and a session. What has ended stays as it is; if the
	// family has, the event is not written.
	EndFamily(ctx context.Context, f Ending, e audit.Event) error
	// ChangePassword writes a hash if the present one is still was, and ends the
	// account's sessions and families; it returns a Stale fault if it is not.
	ChangePassword(ctx context.Context, by principal.Principal, user, was, hash string, e audit.Event, letters ...outbox.Letter) error
	GrantStore
	// Tell writes events that have no other change, and letters about them.
	Tell(ctx context.Context, events []audit.Event, letters ...outbox.Letter) error
}

// GrantStore is what is kept of what programs and applications are given.
type GrantStore interface {
	ProgramStore
	RequestStore
	PushedStore
	CodeStore
	DeviceStore
	LogoutStore
}

// SignIn is a family to begin, and what must still be true of its account.
type SignIn struct {
	Family   grant.Family
	Session  *session.Session // that holds it, to begin with it; nil for none
	Replaces secret.Hash      // the session that the browser brought along, to end; zero for none
	Was      string           // the hash that the password was verified against
	Rehash   string           // the hash to replace it by, if it is outdated; else empty
	Letters  []outbox.Letter
}

// Ending is what is to end, and why.
type Ending struct {
	Family  string // its id
	Session string // its id; empty for none
	Why     string
}

// Options are an operator's choices about tokens.
type Options struct {
	Issuer    string
	Audience  string        // of tokens that were asked for without a resource; this server's own
	AccessTTL time.Duration // of access tokens
	Family    grant.Lifetimes
	Session   session.Lifetimes
	UserCodes limit.Rate // how many wrong codes of devices may be typed
}

// Service issues tokens.
type Service struct {
	store    Store
	clock    clock.Clock
	log      *slog.Logger
	fresh    func() error
	policy   *rbac.Policy
	accounts *account.Service
	keys     *keyring.Service
	hasher   *factor.Hasher
	limits   *limit.Service

	resources *resource.Service
	orgs      *org.Service
	clients   *client.Service
	slots     *slots
	poster    Poster
	options   Options
}

// Parts are what a Service is made of.
type Parts struct {
	Store    Store
	Slots    SlotStore
	Clock    clock.Clock
	Log      *slog.Logger
	Fresh    func() error // says if Policy may be out of date; nil where nobody can know
	Policy   *rbac.Policy
	Accounts *account.Service
	Keys     *keyring.Service
	Hasher   *factor.Hasher
	Limits   *limit.Service

	Resources *resource.Service
	Orgs      *org.Service
	Clients   *client.Service
	Poster    Poster // tells clients
}

// NewService returns a service.
func NewService(p Parts, o Options) *Service {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Fresh == nil {
		p.Fresh = func() error { return nil }
	}
	return &Service{p.Store, p.Clock, p.Log, p.Fresh, p.Policy, p.Accounts, p.Keys, p.Hasher, p.Limits, p.Resources, p.Orgs, p.Clients, newSlots(p.Slots, p.Clock, o.Issuer), p.Poster, o}
}

// Tokens is what a sign-in or a refresh gives.
type Tokens struct {
	Access  secret.Text
	Refresh secret.Text   // zero for a client that may not use one
	ID      secret.Text   // the ID token; zero if none was asked for
	Expires time.Duration // of the access token, from now
	Scope   []string      // what it carries, sorted
	// Issued is the type of an access token that was exchanged; empty for others.
	Issued oauth.TokenType
	// Session is what the cookie of the browser's session holds; empty without one.
	Session secret.Text
	// Lasts is how long the session may last at the most, from now.
	Lasts time.Duration
	// Device is what the cookie of the device holds; only at a sign-in.
	Device secret.Text
}
