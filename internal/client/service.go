package client

import (
	"context"
	"log/slog"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/memo"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Store is what this package needs to have kept for it. The verbs that change a
// client hold the grant rule in their transaction: by may touch the client, and
// holds himself whatever it gains.
type Store interface {
	// CreateClient returns a Conflict for an id that is taken.
	CreateClient(ctx context.Context, by principal.Principal, c Client, k secret.Kept, e audit.Event) error
	// Client returns a NotFound for an unknown id.
	Client(ctx context.Context, id string) (Credential, error)
	// Clients returns those past an id, in the order of their ids.
	Clients(ctx context.Context, after string, limit int) ([]Client, error)
	// UpdateClient writes c if its version is still c.Version, or returns a Stale
	// fault. What it loses makes tokens void that carry it.
	UpdateClient(ctx context.Context, by principal.Principal, c Client, e audit.Event) (Client, error)
	// RotateClientSecret is UpdateClient with another secret: the present one
	// becomes the previous one.
	RotateClientSecret(ctx context.Context, by principal.Principal, c Client, k secret.Kept, e audit.Event) (Client, error)
	// DeleteClient deletes a client with its grants; version is as in UpdateClient, or
	// 0 for any.
	DeleteClient(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error
	ExchangeStore
	RegisterStore
}

// Service keeps clients.
type Service struct {
	store   Store
	clock   clock.Clock
	peppers secret.Peppers
	scope   func(string) error
	kept    *memo.Map[Credential]
	keys    Keys
	opening Opening

	assertions Assertions
	published  *publishers
	builtin    map[string]Client // which no database knows
}

// NewService returns a service over a store. scope returns an error for what is no
// permission.
func NewService(store Store, c clock.Clock, p secret.Peppers, scope func(string) error, a Assertions) *Service {
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		store: store, clock: c, peppers: p, scope: scope, kept: memo.New[Credential](10_000), assertions: a,
		published: &publishers{fetch: a.Fetch, clock: c, log: a.Log, known: map[string]*publisher{}},
	}
}

// BuildIn makes an application known that is a part of the server, and that nobody can
// read or change among the others. It is for before the service is used.
func (s *Service) BuildIn(c Client) {
	if s.builtin == nil {
		s.builtin = map[string]Client{}
	}
	s.builtin[c.ID] = c
}

// Apply drops what this process keeps of a client that changed.
func (s *Service) Apply(c feed.Change) {
	switch c.Topic {
	case feed.Client:
		s.kept.Drop(c.Key)
	case feed.Gap:
		s.kept.Clear()
	}
}

// Draft is what makes a new client. Empty fields are chosen for it.
type Draft struct {
	ID        string
	Name      string
	Method    oauth.AuthMethod // Basic
	Grants    []oauth.GrantType
	Scopes    []string
	Default   []string
	Audiences []string
	Registration
}

// Create makes a client, and returns its secret, which nobody can read again.
// Faults: Invalid with the field, Conflict for an id that is taken, Denied by the
// grant rule.
func (s *Service) Create(ctx context.Context, by principal.Principal, d Draft) (Client, secret.Text, error) {
	c := Client{ID: d.ID, Name: d.Name, Status: Active, Method: d.Method, Grants: d.Grants, Scopes: d.Scopes, Default: d.Default, Audiences: d.Audiences, Registration: d.Registration}
	if c.Method == "" {
		c.Method = oauth.Basic
	}
	if len(c.Grants) == 0 {
		c.Grants = usual(c)
	}
	if c.ID == "" {
		c.ID = id.New(s.clock.Now())
	} else if err := parseID(c.ID); err != nil {
		return Client{}, secret.Text{}, err
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	made, fresh, err := s.Making(by, c)
	if err != nil {
		return Client{}, secret.Text{}, err
	}
	if err := s.ready(ctx, by, *made.After); err != nil {
		return Client{}, secret.Text{}, err
	}
	return *made.After, fresh, s.store.CreateClient(ctx, by, *made.After, made.Kept, made.Event)
}

// usual returns the grants of a client for which none are named.
func usual(c Client) []oauth.GrantType {
	switch {
	case len(c.RedirectURIs) > 0:
		return []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken}
	case len(c.Workloads) > 0:
		return []oauth.GrantType{oauth.JWTBearer}
	}
	return []oauth.GrantType{oauth.ClientCredentials}
}

// secret makes a secret of a client.
func (s *Service) secret(client string) (Secret, secret.Kept, error) {
	p, err := s.peppers.Newest()
	if err != nil {
		return Secret{}, secret.Kept{}, err
	}
	fresh := NewSecret()
	return fresh, fresh.Keep(client, p), nil
}

// changed returns the event of a change with what came and what went.
func (c Client) changed(e audit.Event, before Client) audit.Event {
	return e.WithChange("scopes", before.Scopes, c.Scopes).WithChange("audiences", before.Audiences, c.Audiences).WithChange("redirect_uris", before.RedirectURIs, c.RedirectURIs).
		WithChange("grants", texts(before.Grants), texts(c.Grants)).WithChange("keys", before.provedBy(), c.provedBy())
}

func texts(list []oauth.GrantType) []string {
	out := make([]string, len(list))
	for i, g := range list {
		out[i] = string(g)
	}
	return out
}

// Fresh returns a client as it is in the database.
func (s *Service) Fresh(ctx context.Context, id string) (Client, error) {
	if !known(id) {
		return Client{}, absent()
	}
	c, err := s.store.Client(ctx, id)
	return c.Client, err
}

// Known returns a client as this process knows it: at most a second old.
func (s *Service) Known(ctx context.Context, id string) (Client, error) {
	c, err := s.credential(ctx, id)
	if err == nil && c.Client.Version == 0 {
		err = absent()
	}
	return c.Client, err
}

// known reports whether a client may have an id.
func known(text string) bool {
	return ids.MatchString(text) && text != Builtin.ID && text != ReferenceID
}

// List returns a page of clients in the order of their ids.
func (s *Service) List(ctx context.Context, after string, limit int) ([]Client, error) {
	return s.store.Clients(ctx, after, limit)
}

// Update writes what may be changed of a client: all but its id and its secret.
// c.Version is the version that the caller read.
func (s *Service) Update(ctx context.Context, by principal.Principal, c Client) (Client, error) {
	before, err := s.Fresh(ctx, c.ID)
	if err != nil {
		return Client{}, err
	}
	if c.Version != before.Version { // the event tells of a change from before
		return Client{}, fault.New(fault.Stale, "it was changed since you read it; read it again and repeat your change")
	}
	change, err := s.Changing(by, before, c)
	if err != nil {
		return Client{}, err
	}
	if err := s.ready(ctx, by, *change.After); err != nil {
		return Client{}, err
	}
	return s.store.UpdateClient(ctx, by, *change.After, change.Event)
}

// The overlap of two secrets: what stands in where none is said, and the longest.
const (
	Overlap     = 24 * time.Hour
	MostOverlap = 30 * 24 * time.Hour
)

// RotateSecret gives a client another secret. The one that it has works for so long
// beside it; the one before that does not any more.
func (s *Service) RotateSecret(ctx context.Context, by principal.Principal, id string, overlap time.Duration, version int64) (Client, secret.Text, error) {
	if overlap < 0 || overlap > MostOverlap {
		return Client{}, secret.Text{}, fault.At("overlap", "it is at most 30 days")
	}
	c, err := s.Fresh(ctx, id)
	if err != nil {
		return Client{}, secret.Text{}, err
	}
	if !c.HasSecret() {
		return Client{}, secret.Text{}, fault.New(fault.Conflict, "the client has no secret: it proves itself by a key, or by nothing")
	}
	now := s.clock.Now()
	c.SecretAt, c.UpdatedAt, c.Previous = now, now, time.Time{}
	if overlap > 0 {
		c.Previous = now.Add(overlap)
	}
	if version != 0 {
		c.Version = version
	}
	fresh, kept, err := s.secret(id)
	if err != nil {
		return Client{}, secret.Text{}, err
	}
	e := audit.Now(by, now, audit.ClientSecretRotated, c.Target())
	if overlap > 0 {
		e = e.With("previous_until", c.Previous.UTC().Format(audit.TimeFormat))
	}
	c, err = s.store.RotateClientSecret(ctx, by, c, kept, e)
	return c, fresh.Text(), err
}

// Delete deletes a client for good. Its tokens are refused within a second.
func (s *Service) Delete(ctx context.Context, by principal.Principal, id string, version int64) error {
	if !known(id) {
		return absent()
	}
	return s.store.DeleteClient(ctx, by, id, version, audit.Now(by, s.clock.Now(), audit.ClientDeleted, "client:"+id))
}

// Prove returns the client that credentials prove. The fault is Unauthenticated
// whatever is wrong with them: an unknown client, a wrong secret, another method
// than the client is registered for, a client that is disabled. What it does takes
// as long for each secret. With the fault comes the client that they name, if there is one.
func (s *Service) Prove(ctx context.Context, given oauth.Credentials) (Client, error) {
	if given.Method == oauth.NoAuth && given.ID == Builtin.ID {
		return Builtin, nil
	}
	kept, err := s.credential(ctx, given.ID)
	if err != nil {
		return Client{}, err
	}
	if given.Method == oauth.PrivateKeyJWT {
		return s.proveByKey(ctx, kept.Client, given.Assertion)
	}
	text, _ := ParseSecret(given.Secret.Reveal())
	right := kept.Proves(text, s.peppers, s.clock.Now())
	switch c := kept.Client; {
	case c.Version == 0:
		return Client{}, unproved("there is no such client")
	case given.Method == oauth.NoAuth && c.Public():
		if c.Status != Active {
			return c, unproved("the client is disabled")
		}
	case given.Method == oauth.NoAuth:
		return c, unproved("the client has something to prove itself by, and it was not given")
	case !right:
		return c, unproved("the secret is wrong")
	case c.Status != Active:
		return c, unproved("the client is disabled")
	case c.Method != given.Method:
		return c, unproved("the client is registered for another method")
	}
	return kept.Client, nil
}

func unproved(why string) error {
	return fault.New(fault.Unauthenticated, "client authentication failed: %s", why)
}

// credential returns what is kept of a client; of one that is not there, something
// that nothing proves, so that it takes as long to say no.
func (s *Service) credential(ctx context.Context, id string) (Credential, error) {
	newest, err := s.peppers.Newest()
	if err != nil {
		return Credential{}, err
	}
	nobody := Credential{Client: Client{ID: id}, Present: secret.Kept{Pepper: newest.Version}}
	if c, ok := s.builtin[id]; ok {
		nobody.Client = c
		return nobody, nil
	}
	if !known(id) {
		return nobody, nil
	}
	return s.kept.Get(ctx, id, func(ctx context.Context, id string) (Credential, error) {
		c, err := s.store.Client(ctx, id)
		if fault.KindOf(err) == fault.NotFound {
			return nobody, nil
		}
		return c, err
	})
}
