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
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/factor"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
)

// Store is what this package needs to have kept for it.
type Store interface {
	// CredentialOf returns the account that a login name belongs to, or a
	// NotFound.
	CredentialOf(ctx context.Context, l account.Login) (account.Credential, error)
	// SignIn begins a family if the account is still active and its password
	// still Was, or returns an Unauthenticated fault. The oldest families past
	// the cap end.
	SignIn(ctx context.Context, s SignIn, events ...audit.Event) error
	// FamilyByHandle returns the family that a refresh token belongs to, or a
	// NotFound.
	FamilyByHandle(ctx context.Context, handle secret.Hash) (grant.Family, error)
	// RotateFamily writes a turn if the family lives and its secret is still
	// From. It returns a Conflict if it is not.
	RotateFamily(ctx context.Context, r grant.Rotation, e audit.Event) error
	// EndFamily ends a family. One that has ended stays as it is, and the event
	// is not written.
	EndFamily(ctx context.Context, id, why string, at time.Time, e audit.Event) error
	// ChangePassword writes a hash if the present one is still was, and ends the
	// account's families; it returns a Stale fault if it is not.
	ChangePassword(ctx context.Context, by principal.Principal, user, was, hash string, e audit.Event) error
	// Record writes an event that has no other change.
	Record(ctx context.Context, e audit.Event) error
}

// SignIn is a family to begin, and what must still be true of its account.
type SignIn struct {
	Family grant.Family
	Was    string // the hash that the password was verified against
	Rehash string // the hash to replace it by, if it is outdated; else empty
}

// Options are an operator's choices about tokens.
type Options struct {
	Issuer    string
	Audience  string        // of tokens that were asked for without a resource
	AccessTTL time.Duration // of access tokens
	Family    grant.Lifetimes
}

// Service issues tokens.
type Service struct {
	store    Store
	clock    clock.Clock
	fresh    func() error
	policy   *rbac.Policy
	accounts *account.Service
	keys     *keyring.Service
	hasher   *factor.Hasher
	options  Options
}

// Parts are what a Service is made of.
type Parts struct {
	Store    Store
	Clock    clock.Clock
	Fresh    func() error // says if Policy may be out of date; nil where nobody can know
	Policy   *rbac.Policy
	Accounts *account.Service
	Keys     *keyring.Service
	Hasher   *factor.Hasher
}

// NewService returns a service.
func NewService(p Parts, o Options) *Service {
	if p.Fresh == nil {
		p.Fresh = func() error { return nil }
	}
	return &Service{p.Store, p.Clock, p.Fresh, p.Policy, p.Accounts, p.Keys, p.Hasher, o}
}

// Tokens is what a sign-in or a refresh gives.
type Tokens struct {
	Access  secret.Text
	Refresh secret.Text
	Expires time.Duration // of the access token, from now
	Scope   []string      // what it carries, sorted
}
