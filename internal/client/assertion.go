package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
)

// Fetcher gets what a client names by a URL.
type Fetcher interface {
	// Check returns an error for a URL that is never asked, with what to write instead.
	Check(place string) error
	// Get returns what stands there, up to most bytes.
	Get(ctx context.Context, place, accept string, most int) ([]byte, error)
}

// Assertions is what proves clients by their keys (RFC 7523, Section 2.2; OpenID Connect
// Core 1.0, Section 9).
type Assertions struct {
	Issuer    string   // whom they are for
	Endpoints []string // what those name that cannot name the issuer (RFC 7523, Section 3; RFC 9126, Section 2)
	Fetch     Fetcher
	// First reports whether a key was not seen within so long before now, by any server,
	// and remembers it.
	First func(ctx context.Context, key string, within time.Duration) (bool, error)
	Log   *slog.Logger
}

// AssertionAudience is whom a client may make its assertions for.
type AssertionAudience string

// The audiences. One that is the issuer alone cannot be led to another server by a false
// token endpoint; the endpoint's URL is for clients that send nothing else.
const (
	ToIssuer        AssertionAudience = "issuer"
	ToTokenEndpoint AssertionAudience = "token_endpoint"
)

const (
	mostLife      = 5 * time.Minute // of an assertion, from now
	mostAssertion = 256             // bytes of its id
)

// assertionAlgs are the algorithms of assertions: none with a shared secret, which would
// be one more that the server keeps.
var assertionAlgs = []jose.Algorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// AssertionAlgs returns the algorithms by which a client may sign its assertions.
func AssertionAlgs() []jose.Algorithm { return slices.Clone(assertionAlgs) }

// proveByKey is Prove by an assertion. Nothing is fetched for whom it cannot prove.
func (s *Service) proveByKey(ctx context.Context, c Client, assertion secret.Text) (Client, error) {
	switch {
	case c.Version == 0:
		return Client{}, unproved("there is no such client")
	case c.Method != oauth.PrivateKeyJWT:
		return c, unproved("the client is registered for another method")
	case c.Status != Active:
		return c, unproved("the client is disabled")
	}
	return c, s.spend(ctx, c, assertion)
}

// spend returns a fault unless an assertion proves that it comes from c. That it is right
// is found out before it is used up, and it is used up at once.
func (s *Service) spend(ctx context.Context, c Client, assertion secret.Text) error {
	by := proof{c.JWKS, c.JWKSURI, assertionAlgs}
	if c.AssertionAlg != "" {
		by.algs = []jose.Algorithm{c.AssertionAlg}
	}
	token, err := s.verify(ctx, by, assertion.Reveal())
	if err != nil {
		return unproved(err.Error())
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err == nil {
		err = s.judge(c, token, claims)
	}
	if err != nil {
		return unproved(err.Error())
	}
	digest := sha256.Sum256([]byte(c.ID + "\x00" + claims.ID))
	// One span for all, so that an id is not forgotten early for the sake of a shorter
	// assertion that has the same.
	first, err := s.assertions.First(ctx, "assertion:"+hex.EncodeToString(digest[:]), mostLife+4*clock.Leeway)
	if err != nil {
		return err
	}
	if !first {
		return unproved("the assertion was used before")
	}
	return nil
}

// proof is what an assertion is held against: keys, or where they are published, and the
// algorithms that are allowed.
type proof struct {
	keys *KeySet
	at   string
	algs []jose.Algorithm
}

// verify holds an assertion against keys, and reads those again that are published, if the
// one that is named is not among them.
func (s *Service) verify(ctx context.Context, by proof, text string) (jose.Token, error) {
	if by.keys != nil {
		keys, err := by.keys.Keys()
		if err != nil {
			return jose.Token{}, err
		}
		return jose.Verify(text, keys, by.algs...)
	}
	keys, read, err := s.published.keys(ctx, by.at, time.Time{})
	if err != nil {
		return jose.Token{}, err
	}
	token, err := jose.Verify(text, keys, by.algs...)
	if errors.Is(err, jose.ErrUnknownKey) {
		if keys, _, newer := s.published.keys(ctx, by.at, read); newer == nil {
			return jose.Verify(text, keys, by.algs...)
		}
	}
	return token, err
}

// others are claims that only other kinds of tokens have: ID tokens and requests, proofs of
// possession, tokens of events (RFC 8725, Section 3.12).
var others = []string{"nonce", "response_type", "scope", "htm", "events"}

// judge holds what an assertion says against the rules (RFC 7523, Section 3; OpenID Connect
// Core 1.0, Section 9). Its type is that of assertions, or none of its own.
func (s *Service) judge(c Client, token jose.Token, claims jose.Claims) error {
	now := s.clock.Now()
	switch {
	case !token.Is("", "jwt", "client-authentication+jwt"), slices.ContainsFunc(others, func(name string) bool { return claims.All[name] != nil }):
		return errors.New("it is a token of another kind")
	case claims.Issuer != c.ID, claims.Subject != c.ID:
		return errors.New("iss and sub are not the client")
	case !s.meant(c, claims):
		return errors.New("aud is not this server")
	case claims.ID == "" || len(claims.ID) > mostAssertion:
		return fmt.Errorf("jti is not 1 to %d bytes", mostAssertion)
	case claims.Expires.After(now.Add(mostLife + clock.Leeway)):
		return fmt.Errorf("it lasts longer than %v", mostLife)
	case !claims.IssuedAt.IsZero() && claims.IssuedAt.Before(now.Add(-mostLife-clock.Leeway)):
		return fmt.Errorf("it was made more than %v ago", mostLife)
	}
	return current(claims, now)
}

// meant reports whether an assertion is for this server and no other: the issuer alone, as
// one string; or, from a client that is registered for it, an endpoint too.
func (s *Service) meant(c Client, claims jose.Claims) bool {
	if c.AssertionAudience != ToTokenEndpoint {
		return claims.Sole && claims.Audience[0] == s.assertions.Issuer
	}
	ours := func(a string) bool { return a == s.assertions.Issuer || slices.Contains(s.assertions.Endpoints, a) }
	return len(claims.Audience) > 0 && !slices.ContainsFunc(claims.Audience, func(a string) bool { return !ours(a) })
}
