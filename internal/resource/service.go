package resource

import (
	"context"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/memo"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// Store is what this package needs to have kept for it. A verb that writes takes the
// next version of the policy; what an API loses makes tokens for it void that were
// made under an earlier one.
type Store interface {
	// CreateResource returns a Conflict, with the field, for an id or an identifier that
	// is taken.
	CreateResource(ctx context.Context, by principal.Principal, r Resource, e audit.Event) error
	// Resource returns a NotFound for an unknown id.
	Resource(ctx context.Context, id string) (Resource, error)
	// ResourceByIdentifier is the same by what tokens call it.
	ResourceByIdentifier(ctx context.Context, identifier string) (Resource, error)
	// Resources returns those past an id, in the order of their ids.
	Resources(ctx context.Context, after string, limit int) ([]Resource, error)
	// UpdateResource writes r if its version is still r.Version, or returns a Stale
	// fault.
	UpdateResource(ctx context.Context, by principal.Principal, r Resource, e audit.Event) (Resource, error)
	// DeleteResource deletes one; version is as in UpdateResource, or 0 for any.
	DeleteResource(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error
}

// Parts are what a Service is made of.
type Parts struct {
	Store      Store
	Clock      clock.Clock
	Permission func(string) error // returns an error for what is no permission
	Own        []string           // what tokens for this server itself are for
	// Key sees to it that there is a key of an algorithm to sign with.
	Key func(context.Context, principal.Principal, jose.Algorithm) error
}

// Service keeps APIs.
type Service struct {
	Parts
	kept *memo.Map[*Resource] // by identifier; nil for one that nobody registered
}

// NewService returns a service.
func NewService(p Parts) *Service { return &Service{Parts: p, kept: memo.New[*Resource](10_000)} }

// Apply drops what this process keeps of an API that changed.
func (s *Service) Apply(c feed.Change) {
	switch c.Topic {
	case feed.Resource:
		s.kept.Drop(c.Key)
	case feed.Gap:
		s.kept.Clear()
	}
}

// IsOwn reports whether tokens for an identifier are for this server itself.
func (s *Service) IsOwn(identifier string) bool { return slices.Contains(s.Own, identifier) }

func absent() error { return fault.New(fault.NotFound, "there is no such resource") }

// Create registers an API. Without an id one is made for it. Faults: Invalid with the
// field; Conflict for an id or an identifier that is taken.
func (s *Service) Create(ctx context.Context, by principal.Principal, r Resource) (Resource, error) {
	if r.ID == "" {
		r.ID = id.New(s.Clock.Now())
	}
	if r.Name == "" {
		r.Name = r.ID
	}
	c, err := s.Creating(ctx, by, r)
	if err != nil {
		return Resource{}, err
	}
	return *c.After, s.Store.CreateResource(ctx, by, *c.After, c.Event)
}

// key sees to it that tokens for an API can be signed before anybody asks for one.
func (s *Service) key(ctx context.Context, by principal.Principal, r Resource) error {
	if r.Alg == "" {
		return nil
	}
	return s.Key(ctx, by, r.Alg)
}

// changed returns the event of a change with what came and what went.
func (r Resource) changed(e audit.Event, before Resource) audit.Event {
	e = e.WithChange("permissions", before.Names(), r.Names())
	if r.AccessTTL != before.AccessTTL {
		e = e.With("access_ttl", r.AccessTTL.String())
	}
	if r.Alg != before.Alg {
		e = e.With("signing_alg", string(r.Alg))
	}
	return e.With("identifier", r.Identifier)
}

// Fresh returns an API as it is in the database.
func (s *Service) Fresh(ctx context.Context, id string) (Resource, error) {
	if !ids.MatchString(id) {
		return Resource{}, absent()
	}
	return s.Store.Resource(ctx, id)
}

// ByIdentifier returns the API that tokens call so, as this process knows it. Faults:
// NotFound.
func (s *Service) ByIdentifier(ctx context.Context, identifier string) (Resource, error) {
	if oauth.CheckResource(identifier) != nil { // anybody may ask, and what is long would be kept
		return Resource{}, absent()
	}
	r, err := s.kept.Get(ctx, identifier, func(ctx context.Context, identifier string) (*Resource, error) {
		r, err := s.Store.ResourceByIdentifier(ctx, identifier)
		if fault.KindOf(err) == fault.NotFound {
			return nil, nil
		}
		return &r, err
	})
	switch {
	case err != nil:
		return Resource{}, err
	case r == nil:
		return Resource{}, absent()
	}
	return *r, nil
}

// List returns a page of APIs in the order of their ids.
func (s *Service) List(ctx context.Context, after string, limit int) ([]Resource, error) {
	return s.Store.Resources(ctx, after, limit)
}

// Update writes what may be changed of an API: all but its id and its identifier.
// r.Version is the version that the caller read. What is changed holds for the next
// token; those that were given live as long as they say, unless the API knows one of
// their permissions no more.
func (s *Service) Update(ctx context.Context, by principal.Principal, r Resource) (Resource, error) {
	before, err := s.Fresh(ctx, r.ID)
	switch {
	case err != nil:
		return Resource{}, err
	case r.Version != before.Version: // the event tells of a change from before
		return Resource{}, fault.New(fault.Stale, "it was changed since you read it; read it again and repeat your change")
	}
	c, err := s.Updating(ctx, by, before, r)
	if err != nil {
		return Resource{}, err
	}
	return s.Store.UpdateResource(ctx, by, *c.After, c.Event)
}

// Delete deletes an API for good. No token is given for it any more, and those that
// were are refused within a second.
func (s *Service) Delete(ctx context.Context, by principal.Principal, id string, version int64) error {
	r, err := s.Fresh(ctx, id)
	if err != nil {
		return err
	}
	return s.Store.DeleteResource(ctx, by, id, version, s.Deleting(by, r).Event)
}

// Lifetime returns how long an access token for the API lives where all others live
// for ttl, if it is made under a version of the policy. A process that has not yet
// followed all that came before the registration gives none that lives longer: what
// it has not heard of is kept for the lifetimes that there were.
func (r Resource) Lifetime(ttl time.Duration, policy int64) time.Duration {
	switch {
	case r.AccessTTL == 0:
		return ttl
	case policy < r.Policy:
		return min(ttl, r.AccessTTL)
	}
	return r.AccessTTL
}
