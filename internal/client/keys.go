package client

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
)

// KeySet is the keys of a client (RFC 7517, Section 5), each as it was given.
type KeySet struct {
	Members []map[string]any `json:"keys" doc:"Public keys, of which those for signatures count: RSA of 2048 bits or more, P-256, Ed25519. There are at most 10, each with an id of its own"`
}

// Keys returns those that verify signatures, or an error that says what is wrong with one.
func (k *KeySet) Keys() ([]jose.Key, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	return jose.ParseKeys(text)
}

// HasSecret reports whether the client proves itself by a secret.
func (c Client) HasSecret() bool { return c.Method.Secret() }

// Opens reports whether who makes a change may come by what the client may do: he can
// prove that he is it, by a key that he has or by nothing; or what people let it do is
// sent to a place of his, or given without asking them.
func (c Client) Opens(after Client) bool {
	keys := after.Method != c.Method || after.JWKSURI != c.JWKSURI || !reflect.DeepEqual(after.JWKS, c.JWKS)
	workloads := len(after.Workloads) > 0 && !reflect.DeepEqual(after.Workloads, c.Workloads)
	elsewhere := slices.ContainsFunc(after.RedirectURIs, func(uri string) bool { return !slices.Contains(c.RedirectURIs, uri) })
	unasked := after.SkipConsent && !c.SkipConsent
	return keys && !after.HasSecret() || workloads || elsewhere || unasked || after.Native() && !c.Native() || c.NeedsPKCE() && !after.NeedsPKCE()
}

// provedBy names what proves the client beside a secret, for the audit log.
func (c Client) provedBy() (list []string) {
	for _, w := range c.Workloads {
		list = append(list, w.String())
	}
	if c.JWKSURI != "" {
		list = append(list, c.JWKSURI)
	}
	if c.JWKS == nil {
		return list
	}
	keys, _ := c.JWKS.Keys() // they were read when they were registered
	for _, k := range keys {
		list = append(list, k.Thumbprint())
	}
	slices.Sort(list)
	return list
}

const longestURI = 2048

// checkKeys is the part of Check that is about what proves the client by keys.
func (c *Client) checkKeys() error {
	if err := checkPublished("jwks", c.JWKS, ""); err != nil {
		return err
	}
	if err := checkPublished("jwks_uri", nil, c.JWKSURI); err != nil {
		return err
	}
	if err := c.checkWorkloads(); err != nil {
		return err
	}
	switch {
	case c.JWKS != nil && c.JWKSURI != "": // "MUST NOT both be present" (RFC 7591, Section 2)
		return fault.At("jwks", "the keys are given, or where they are published: not both")
	case c.Method == oauth.PrivateKeyJWT && c.JWKS == nil && c.JWKSURI == "":
		return fault.At("jwks", "a client that proves itself by a key has jwks or jwks_uri")
	case c.AssertionAlg != "" && !slices.Contains(assertionAlgs, c.AssertionAlg):
		return fault.At("token_endpoint_auth_signing_alg", "it is RS256, PS256, ES256 or EdDSA")
	case c.AssertionAudience != "" && c.AssertionAudience != ToIssuer && c.AssertionAudience != ToTokenEndpoint:
		return fault.At("assertion_audience", "it is issuer or token_endpoint")
	}
	return nil
}

// checkPublished returns a fault for keys that verify nothing, or that are nowhere.
func checkPublished(field string, keys *KeySet, at string) error {
	if keys != nil {
		if _, err := keys.Keys(); err != nil {
			return fault.At(field, "%v", err)
		}
	}
	if u, err := url.Parse(at); at != "" && (err != nil || !u.IsAbs() || len(at) > longestURI) {
		return fault.At(field, "it is an https URL")
	}
	return nil
}

// checkPlace returns a fault for what this server would not ask: where the client has its
// keys, and where it is to be told.
func (s *Service) checkPlace(c Client) error {
	if s.assertions.Fetch == nil {
		return nil
	}
	check := func(field, place string) error {
		if place == "" {
			return nil
		}
		if err := s.assertions.Fetch.Check(place); err != nil {
			return fault.At(field, "%v", err)
		}
		return nil
	}
	for _, w := range c.Workloads {
		if err := check("workloads", w.JWKSURI); err != nil {
			return err
		}
	}
	if err := check("backchannel_logout_uri", c.BackchannelLogoutURI); err != nil {
		return err
	}
	return check("jwks_uri", c.JWKSURI)
}

// How long keys that clients publish are kept.
const (
	freshKeys = 5 * time.Minute  // without a look at them,
	staleKeys = time.Hour        // where they cannot be read again.
	pause     = 10 * time.Second // between two looks, whoever asks and whatever came of it
	mostSets  = 10_000
)

var errNoKeys = errors.New("the keys that the client publishes cannot be read")

// publishers are where clients publish their keys. Each is looked at apart from the
// others: who is slow makes nobody wait but himself, and nobody whose key is known.
type publishers struct {
	fetch Fetcher
	clock clock.Clock
	log   *slog.Logger

	mu    sync.Mutex
	known map[string]*publisher // by URI
}

type publisher struct {
	keys    []jose.Key // the last that could be read
	read    time.Time  // when they were
	tried   time.Time
	running chan struct{} // closed once the look that is under way is over; nil for none
}

// keys returns what a URI publishes, and when it was read: after a time.
func (p *publishers) keys(ctx context.Context, uri string, after time.Time) ([]jose.Key, time.Time, error) {
	p.mu.Lock()
	one, now := p.of(uri), p.clock.Now()
	usable := one.usable(after, now)
	if due := !usable || now.Sub(one.read) >= freshKeys; due && one.running == nil && now.Sub(one.tried) >= pause {
		one.tried, one.running = now, make(chan struct{})
		go p.look(context.WithoutCancel(ctx), uri, one)
	}
	keys, read, running := one.keys, one.read, one.running
	p.mu.Unlock()
	if usable {
		return keys, read, nil
	}
	if running == nil {
		return nil, time.Time{}, errNoKeys
	}
	select {
	case <-running:
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !one.usable(after, p.clock.Now()) {
		return nil, time.Time{}, errNoKeys
	}
	return one.keys, one.read, nil
}

func (o *publisher) usable(after, now time.Time) bool {
	return o.keys != nil && o.read.After(after) && now.Sub(o.read) < staleKeys
}

// of returns what is known of a URI. It is called with the lock held.
func (p *publishers) of(uri string) *publisher {
	one := p.known[uri]
	if one == nil {
		for other := range p.known { // any will do: what is forgotten is read again
			if len(p.known) < mostSets {
				break
			}
			delete(p.known, other)
		}
		one = &publisher{}
		p.known[uri] = one
	}
	return one
}

// look reads what a URI publishes, for all who wait. No request's end ends it.
func (p *publishers) look(ctx context.Context, uri string, one *publisher) {
	text, err := p.fetch.Get(ctx, uri, "application/jwk-set+json, application/json", jose.MostKeySet)
	var keys []jose.Key
	if err == nil {
		if keys, err = jose.ParseKeys(text); err != nil {
			p.log.WarnContext(ctx, "the keys that a client publishes are not taken", "uri", uri, "error", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		one.keys, one.read = keys, p.clock.Now()
	}
	close(one.running)
	one.running = nil
}
