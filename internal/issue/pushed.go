package issue

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// PushedStore is what is kept of authorization requests that clients pushed.
type PushedStore interface {
	// PushRequest keeps a request.
	PushRequest(ctx context.Context, r grant.Pushed) error
	// PushedRequest returns a request that was not answered yet, or a NotFound.
	PushedRequest(ctx context.Context, id secret.Hash) (grant.Pushed, error)
}

// How many requests may be pushed: by a client that proves itself, however many servers it
// runs on; and in the name of one that proves nothing, from one network.
var (
	pushes       = limit.Rate{Times: 6000, Per: time.Minute}
	pushesByName = limit.Rate{Times: 60, Per: time.Minute}
)

const pushedSize = 32

// Push keeps an authorization request for the client that brings it, and returns its
// request_uri (RFC 9126, Section 2). A request that could be granted to nobody is refused
// here already. The fault is Limited where there are too many.
func (s *Service) Push(ctx context.Context, by principal.Principal, c client.Client, p oauth.Params) (string, error) {
	query, err := oauth.PushedQuery(p, c.ID)
	if err != nil {
		return "", err
	}
	r, err := oauth.BeginAuthorization(query)
	if err != nil {
		return "", err
	}
	a, err := s.judge(ctx, r, true)
	if err != nil {
		return "", err
	}
	if a.Wrong != nil {
		return "", a.Wrong
	}
	who, rate := c.ID, pushes
	if c.Public() {
		who, rate = c.ID+" "+by.Origin.Network, pushesByName
	}
	if err := s.limits.Take(ctx, "pushed requests "+who, rate); err != nil {
		return "", err
	}
	raw, now := secret.Random(pushedSize), s.clock.Now()
	return oauth.PushedPrefix + secret.Base62(raw), s.store.PushRequest(ctx, grant.Pushed{
		ID: secret.HashOf(raw), Client: c.ID, Query: query, Created: now, Expires: now.Add(grant.PushedLasts),
	})
}

// errNotPushed is told to the person alone: what was pushed, and so where he came from, is
// not known (RFC 9126, Section 4).
var errNotPushed = &oauth.Error{Code: oauth.InvalidRequestURI, Description: "the request is over, or was answered already; go back to the application and begin again"}

// pushed returns what a client pushed, as its browsers bring it.
func (s *Service) pushed(ctx context.Context, client, name string) (grant.Request, error) {
	raw, err := secret.ParseBase62(name, pushedSize)
	if err != nil {
		return grant.Request{}, errNotPushed.Because(err)
	}
	p, err := s.store.PushedRequest(ctx, secret.HashOf(raw))
	if fault.KindOf(err) == fault.NotFound || err == nil && (p.Client != client || !s.clock.Now().Before(p.Expires)) {
		return grant.Request{}, errNotPushed.Because(err)
	}
	return grant.Request{Query: p.Query, Pushed: p.ID}, err
}
