// Package provider serves the authorization server's endpoints: tokens, what is known
// of them, and the keys and metadata that APIs verify them by.
package provider

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// KeysMaxAge is how long a verifier may keep the keys. A new key is published
// for longer than this before it signs.
const KeysMaxAge = 5 * time.Minute

// Keys is what this package needs of the keyring.
type Keys interface {
	View() (*keyring.View, error)
}

// Clients is what it needs of the applications.
type Clients interface {
	Prove(context.Context, oauth.Credentials) (client.Client, error)
	Known(ctx context.Context, id string) (client.Client, error)
	ProveWorkload(ctx context.Context, c client.Client, assertion secret.Text) (client.Workload, error)
}

// Issuer is what it needs of the room that makes tokens.
type Issuer interface {
	Earner
	Revoke(ctx context.Context, by, of principal.Principal) error
	RevokeRefresh(ctx context.Context, by principal.Principal, text secret.Text, client string) error
	ClientRefused(ctx context.Context, by principal.Principal, named client.Client, why error) error
	RegistrationRefused(ctx context.Context, by principal.Principal, named client.Client, why error) error
	Userinfo(ctx context.Context, user, family string, scope []string) (issue.Userinfo, error)
	Authorizer
	Starter
}

// Earner is the part of it that the grants earn tokens by.
type Earner interface {
	ClientToken(context.Context, principal.Principal, issue.ClientCredentials) (issue.Tokens, error)
	Redeem(context.Context, principal.Principal, issue.Redemption) (issue.Tokens, error)
	Refresh(context.Context, principal.Principal, issue.Renewal) (issue.Tokens, error)
	Known() int64
	Exchange(context.Context, principal.Principal, issue.Exchange) (issue.Tokens, error)
}

// Authorizer is the part of it that answers authorization requests.
type Authorizer interface {
	Asked(ctx context.Context, query string) (grant.Request, issue.Asked, error)
	Offer(ctx context.Context, a issue.Asked, user string) (issue.Offer, error)
	Hint(token string) (issue.Hint, bool)
	Meant(ctx context.Context, h issue.Hint, user string) bool
	Subject(c client.Client, user string) (string, error)
	Save(ctx context.Context, by principal.Principal, r grant.Request, browser secret.Hash) (string, error)
	Pending(ctx context.Context, id string, browser secret.Hash) (grant.Request, issue.Asked, error)
	Authorize(ctx context.Context, by principal.Principal, a issue.Asked, o issue.Offer, in session.Session, answers grant.Request) (secret.Text, error)
}

// Starter is the part of it for sign-ins that a client begins itself, before a browser comes.
type Starter interface {
	Push(ctx context.Context, by principal.Principal, c client.Client, p oauth.Params) (string, error)
	AskDevice(context.Context, principal.Principal, issue.DeviceRequest) (grant.Device, secret.Text, error)
	RedeemDevice(ctx context.Context, by principal.Principal, c client.Client, code string) (issue.Tokens, error)
}

// Parts are what the endpoints are made of.
type Parts struct {
	Keys        Keys
	Clients     Clients
	Registrar   Registrar
	Issuer      Issuer
	Accounts    *account.Service
	Clock       clock.Clock
	Cookies     web.Cookies
	Lists       Lists
	Transmitter Transmitter
	// Voids is what makes access tokens void, as it happens, and Fresh says if it may be
	// out of date.
	Voids interface {
		After(ctx context.Context, seq int64) (grant.Batch, error)
	}
	Fresh func() error
	// Languages are those of the pages, as BCP 47 has them.
	Languages []string
	// SignedIn returns the living session of a browser, or a NotFound.
	SignedIn func(*http.Request) (session.Session, error)
	// Judge returns what an access token says, if it is good now. The error says that
	// this cannot be known.
	Judge func(ctx context.Context, token string) (t Token, good bool, err error)
	// Bearer returns who stands behind an API key. The fault is Unauthenticated whatever
	// is wrong with it.
	Bearer func(ctx context.Context, shown access.Shown) (access.Bearer, error)
	// Count adds to how often a credential did something.
	Count func(credential, action string, o audit.Outcome)
}

// Provider serves the endpoints.
type Provider struct {
	Parts
	issuer    string
	lists     lists
	followers followers
	// Of the authorization server, and as OpenID Connect has it: as it is while nobody may
	// register a client himself, and while somebody may.
	metadata, open []byte
	invitation     invitation
}

// New returns the provider of an issuer.
func New(issuer string, parts Parts) (*Provider, error) {
	p := &Provider{Parts: parts, issuer: issuer, lists: lists{kept: map[string]signedList{}}}
	var err error
	if p.metadata, err = p.describeSelf(false); err != nil {
		return nil, err
	}
	p.open, err = p.describeSelf(true)
	return p, err
}

// JWKS serves the public keys (RFC 7517, Section 5).
func (p *Provider) JWKS(w http.ResponseWriter, r *http.Request) error {
	view, err := p.Keys.View()
	if err != nil {
		return err
	}
	return public(w, r, "application/jwk-set+json", view.ETag, view.JWKS)
}

// public answers with bytes that anybody may have and keep for a while.
func public(w http.ResponseWriter, r *http.Request, mediaType, etag string, body []byte) error {
	return publicFor(w, r, KeysMaxAge, mediaType, etag, body)
}

func publicFor(w http.ResponseWriter, r *http.Request, long time.Duration, mediaType, etag string, body []byte) error {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(int64(long/time.Second), 10))
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if etag != "" {
		h.Set("ETag", etag)
		if web.Matches(r.Header.Get("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Type", mediaType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
	return nil
}
