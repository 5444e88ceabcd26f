// Package guard protects an HTTP API with the access tokens of a Doorward
// issuer, or of any issuer of JWT access tokens (RFC 9068).
//
//	g, err := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"))
//	mux.Handle("GET /orders", g.Require(guard.Permission("orders:read"))(listOrders))
//	p := guard.PrincipalFrom(r.Context()) // p.Subject, p.Roles, p.Has("orders:write")
//
// It is plain net/http middleware and imports the standard library alone. It
// issues nothing, keeps no sessions and reads no cookies. Tokens are verified in
// process with the issuer's published keys. API keys are accepted with Credentials:
// the issuer is asked about them, and its answers count for a second.
//
// The one invariant: a handler behind Require runs only for a token or an API key
// that passed every check. Whatever cannot be decided, because the keys are out of reach or
// the revocation list does not answer, is refused.
package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Guard verifies access tokens and protects handlers with them. It is made by
// New and may be used by many goroutines.
type Guard struct {
	issuer     string
	audiences  []string
	named      func(string) bool
	algorithms []string
	leeway     time.Duration
	realm      string
	resource   string // the API's own identifier (RFC 8707); may be empty
	metadata   string // where the API's own metadata is (RFC 9728); may be empty
	now        func() time.Time
	keys       keySource
	cache      *cache[*verified]
	apiKeys    keyVerifier // nil if API keys are not accepted
	revoked    func(context.Context, *Principal) error
	status     *revocations // nil if nobody outside is asked
	address    func(*http.Request) string
	answer     func(http.ResponseWriter, *http.Request, Refusal)
	decided    func(context.Context, Decision)

	mu     sync.Mutex
	scopes map[string]bool // every permission that Require was given
}

// New returns a Guard for the tokens of issuer, which is the issuer's URL byte
// for byte as its tokens spell it. An Audience is mandatory. New reports all
// mistakes at once, and never touches the network: the keys are fetched when
// the first token comes.
func New(issuer string, options ...Option) (*Guard, error) {
	s := defaults()
	for _, o := range options {
		o(&s)
	}
	if err := s.check(issuer); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g := &Guard{
		issuer:     issuer,
		audiences:  s.audiences,
		named:      s.named,
		algorithms: s.algorithms,
		leeway:     s.leeway,
		realm:      s.realm,
		resource:   s.resource,
		now:        s.now,
		cache:      newCache[*verified](s.cacheSize),
		revoked:    s.revoked,
		address:    s.address,
		answer:     s.answer,
		decided:    s.decided,
		scopes:     map[string]bool{},
	}
	if g.realm == "" {
		g.realm = g.audiences[0]
	}
	if g.resource == "" && checkURL(g.audiences[0]) == nil {
		g.resource = g.audiences[0]
	}
	if g.resource != "" {
		g.metadata = wellKnown(g.resource, "oauth-protected-resource")
	}
	if s.keys != nil {
		g.keys = inProcess(s.keys)
	} else {
		g.keys = newRemote(issuer, &s)
	}
	if s.keys == nil && !s.ignoreStatus {
		g.status = newRevocations(issuer, &s, g.keys)
	}
	switch {
	case s.apiKeys != nil:
		g.apiKeys = keysInProcess(s.apiKeys)
	case s.clientID != "":
		g.apiKeys = newIntrospector(issuer, &s)
	}
	return g, nil
}

// Verify checks an access token and returns who it speaks for. The error tells
// why it was refused: errors.Is finds one of the Reasons in it. An error comes
// with no Principal: nothing of a refused token is shown.
//
// ErrUnavailable means that the token could not be judged.
func (g *Guard) Verify(ctx context.Context, token string) (*Principal, error) {
	return g.check(ctx, token, false)
}

// Close ends what a Guard does in the background: it follows its issuer's stream of
// revocations. One that is never closed follows until the process ends.
func (g *Guard) Close() {
	if g.status != nil {
		g.status.close()
	}
}

// check is Verify. With stale a token passes too whose revocation cannot be known.
func (g *Guard) check(ctx context.Context, token string, stale bool) (*Principal, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: over %d bytes", ErrMalformed, maxToken)
	}
	set, err := g.keys.current(ctx)
	if err != nil {
		return nil, err
	}
	now := g.now()
	sum := sha256.Sum256([]byte(token))
	e := g.cache.get(sum)
	if e == nil || !set.holds(e.value.key) {
		v, err := g.verify(ctx, set, token, now)
		if err != nil {
			return nil, err
		}
		e = &entry[*verified]{sum, v.principal.Expires, v}
		g.cache.put(e) // what passed alone, so that strangers cannot fill it
	} else if g.expired(&e.value.principal, now) {
		return nil, ErrExpired
	}
	if g.status != nil {
		if err := g.status.check(ctx, e.value, stale); err != nil {
			return nil, err
		}
	}
	p := e.value.principal.clone()
	if err := g.notRevoked(ctx, p); err != nil {
		return nil, err
	}
	return p, nil
}

// notRevoked asks whoever knows what was revoked.
func (g *Guard) notRevoked(ctx context.Context, p *Principal) error {
	if g.revoked == nil {
		return nil
	}
	err := g.revoked(ctx, p)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrRevoked, err)
}

// verified is a token that passed, and the key that signed it.
type verified struct {
	key       *Key
	principal Principal
	names     []named       // what it can be revoked by; nil where nobody outside is asked
	clean     atomic.Uint64 // up to what the stream of revocations said it was looked up
}

// verify does the whole work for a token that is not in the cache: form, key,
// signature, and only then the claims.
func (g *Guard) verify(ctx context.Context, set *KeySet, token string, now time.Time) (*verified, error) {
	j, err := parseJWS(token)
	if err != nil {
		return nil, err
	}
	if err := g.checkHeader(j.header); err != nil {
		return nil, err
	}
	key := set.key(j.header.kid)
	if key == nil {
		if key = g.keys.newer(ctx, set).key(j.header.kid); key == nil {
			return nil, ErrUnknownKey
		}
	}
	if err := j.verify(key); err != nil {
		return nil, err
	}
	payload, err := decode(j.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: its payload: %w", ErrMalformed, err)
	}
	c, err := parseClaims(string(payload))
	if err != nil {
		return nil, err
	}
	if err := g.checkClaims(c, now); err != nil {
		return nil, err
	}
	v := &verified{key: key, principal: c.Principal}
	if g.status != nil && c.Status != nil {
		v.names = namesOf(&c.Principal)
	}
	return v, nil
}

// Require returns middleware that lets a request pass if it carries a valid
// access token, or API key, that meets all checks; with none, any valid one will
// do. The handler finds the caller with PrincipalFrom.
func (g *Guard) Require(checks ...Requirement) func(http.Handler) http.Handler {
	n := sum(checks)
	g.announce(checks)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := g.authenticate(r, n.stale)
			if err == nil {
				err = n.unmet(p, g.now(), g.leeway)
			}
			g.tell(r, n, p, err)
			if err != nil {
				g.refuse(w, r, n, p, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), p)))
		})
	}
}

// authenticate says who sent the request.
func (g *Guard) authenticate(r *http.Request, stale bool) (*Principal, error) {
	c, err := credentialOf(r)
	switch {
	case err != nil:
		return nil, err
	case c.apiKey:
		return g.verifyAPIKey(r, c.text)
	}
	return g.check(r.Context(), c.text, stale)
}

// wellKnown inserts /.well-known/name between the host and the path of a URL
// that checkURL accepted (RFC 8414, Section 3.1; RFC 9728, Section 3.1).
func wellKnown(url, name string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	return scheme + "://" + rest[:end] + "/.well-known/" + name + strings.TrimSuffix(rest[end:], "/")
}
