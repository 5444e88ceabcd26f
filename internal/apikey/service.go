package apikey

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/memo"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Store is what this package needs to have kept for it. The verbs that make a key or
// change one hold the grant rule in their transaction: by may act on its owner, the
// owner holds the scopes that it gets, and by may give them.
type Store interface {
	// CreateAPIKey returns a Conflict for an owner who has Most keys already, and a
	// NotFound for one that is not there.
	CreateAPIKey(ctx context.Context, by principal.Principal, k Key, kept secret.Kept, e audit.Event) error
	// APIKey returns a NotFound for an unknown id.
	APIKey(ctx context.Context, id string) (Credential, error)
	// APIKeys returns those of an owner, or of everybody if it is zero, past an id, in
	// the order of their ids.
	APIKeys(ctx context.Context, owner principal.Owner, after string, limit int) ([]Key, error)
	// UpdateAPIKey writes k if its version is still k.Version, or returns a Stale fault.
	UpdateAPIKey(ctx context.Context, by principal.Principal, k Key, e audit.Event) (Key, error)
	// RotateAPIKey is UpdateAPIKey with another secret: the present one becomes the
	// previous one.
	RotateAPIKey(ctx context.Context, by principal.Principal, k Key, kept secret.Kept, e audit.Event) (Key, error)
	// DeleteAPIKey deletes a key; version is as in UpdateAPIKey, or 0 for any.
	DeleteAPIKey(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error
	// EndAPIKey notes that a key was found expired.
	EndAPIKey(ctx context.Context, id string) error
	UseStore
}

// UseStore keeps how keys are used.
type UseStore interface {
	// AddAPIKeyUses adds uses to those that are kept. Keys that are gone have none.
	AddAPIKeyUses(ctx context.Context, list []Use) error
	// APIKeyUsage returns how often a key was used on each day since one.
	APIKeyUsage(ctx context.Context, id string, since time.Time) ([]Use, error)
}

// Options are an operator's choices.
type Options struct {
	MaxLifetime    time.Duration // the longest that a secret may live
	AllowUnlimited bool          // or for ever
}

// Service keeps API keys.
type Service struct {
	store   Store
	clock   clock.Clock
	peppers secret.Peppers
	scope   func(string) error
	options Options
	uses    uses
	kept    *memo.Map[Credential]
	absent  *memo.Map[struct{}] // ids that nobody has: apart, so that guesses displace no key
}

// NewService returns a service over a store. scope returns an error for what is no
// permission.
func NewService(store Store, c clock.Clock, p secret.Peppers, scope func(string) error, o Options) *Service {
	return &Service{
		store: store, clock: c, peppers: p, scope: scope, options: o, uses: uses{waiting: map[string][]Use{}},
		kept: memo.New[Credential](50_000), absent: memo.New[struct{}](10_000),
	}
}

// Apply drops what this process keeps of a key that changed.
func (s *Service) Apply(c feed.Change) {
	switch c.Topic {
	case feed.APIKey:
		s.kept.Drop(c.Key)
		s.absent.Drop(c.Key)
	case feed.Gap:
		s.kept.Clear()
		s.absent.Clear()
	}
}

// Draft is what makes a new key.
type Draft struct {
	Name      string
	Owner     principal.Owner // zero: who makes it
	Scopes    []string
	Lasts     time.Duration // 0: for ever, if that is allowed
	Networks  []netip.Prefix
	Resources []string
	Rate      int
}

// Create makes a key, and returns it, which nobody can read again. Faults: Invalid with
// the field, NotFound for an owner who is not there, Conflict if he has too many keys,
// Denied by the grant rule.
func (s *Service) Create(ctx context.Context, by principal.Principal, d Draft) (Key, secret.Text, error) {
	now := s.clock.Now()
	k := Key{
		ID: newID(), Name: d.Name, Owner: d.Owner, Scopes: d.Scopes, Networks: d.Networks, Resources: d.Resources, Rate: d.Rate,
		SecretAt: now, CreatedBy: by.String(), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if k.Owner == (principal.Owner{}) {
		k.Owner = by.Holder()
	}
	if k.Owner.Kind != principal.User && k.Owner.Kind != principal.Service {
		return Key{}, secret.Text{}, fault.At("owner", "say whose it is: user: and an id, or client: and an id")
	}
	if err := s.lasts(&k, d.Lasts); err != nil {
		return Key{}, secret.Text{}, err
	}
	if err := k.check(s.scope); err != nil {
		return Key{}, secret.Text{}, err
	}
	fresh, kept, err := s.secret(k.ID)
	if err != nil {
		return Key{}, secret.Text{}, err
	}
	e := k.changed(audit.Now(by, now, audit.APIKeyCreated, k.Target()), Key{}).With("owner", k.Owner.String())
	return k, fresh.Text(), s.store.CreateAPIKey(ctx, by, k, kept, k.ends(e))
}

// lasts sets when a key with a new secret expires.
func (s *Service) lasts(k *Key, d time.Duration) error {
	switch {
	case d == 0 && !s.options.AllowUnlimited:
		return fault.At("expires_in", "say in how many seconds it expires: this server has no keys without end")
	case d == 0:
		k.ExpiresAt = time.Time{}
		return nil
	case d < time.Second || d > s.options.MaxLifetime:
		return fault.At("expires_in", "it is 1 to %d seconds", s.options.MaxLifetime/time.Second)
	}
	k.ExpiresAt, k.Over = k.SecretAt.Add(d), false
	return nil
}

// secret makes a secret of a key.
func (s *Service) secret(id string) (Secret, secret.Kept, error) {
	p, err := s.peppers.Newest()
	if err != nil {
		return Secret{}, secret.Kept{}, err
	}
	fresh := newSecret(id)
	return fresh, fresh.Keep(p), nil
}

// changed returns the event of a change with what came and what went.
func (k Key) changed(e audit.Event, before Key) audit.Event {
	if k.Rate != before.Rate {
		e = e.With("rate_limit", strconv.Itoa(k.Rate))
	}
	return e.WithChange("scopes", before.Scopes, k.Scopes).WithChange("resources", before.Resources, k.Resources).
		WithChange("networks", FormatNetworks(before.Networks), FormatNetworks(k.Networks))
}

// ends returns an event with when the key expires.
func (k Key) ends(e audit.Event) audit.Event {
	if k.ExpiresAt.IsZero() {
		return e
	}
	return e.With("expires", k.ExpiresAt.UTC().Format(audit.TimeFormat))
}

func noSuchKey() error { return fault.New(fault.NotFound, "there is no such API key") }

// Fresh returns a key as it is in the database.
func (s *Service) Fresh(ctx context.Context, id string) (Key, error) {
	if !known(id) {
		return Key{}, noSuchKey()
	}
	c, err := s.store.APIKey(ctx, id)
	return s.seen(c.Key), err
}

// List returns a page of an owner's keys, or of everybody's, in the order of their ids.
func (s *Service) List(ctx context.Context, owner principal.Owner, after string, limit int) ([]Key, error) {
	list, err := s.store.APIKeys(ctx, owner, after, limit)
	for i := range list {
		list[i] = s.seen(list[i])
	}
	return list, err
}

// Update writes what may be changed of a key: its name, scopes, networks, resources and
// rate. k.Version is the version that the caller read.
func (s *Service) Update(ctx context.Context, by principal.Principal, k Key) (Key, error) {
	before, err := s.Fresh(ctx, k.ID)
	if err != nil {
		return Key{}, err
	}
	if k.Version != before.Version { // the event tells of a change from before
		return Key{}, fault.New(fault.Stale, "it was changed since you read it; read it again and repeat your change")
	}
	if err := k.check(s.scope); err != nil {
		return Key{}, err
	}
	k.UpdatedAt = s.clock.Now()
	return s.store.UpdateAPIKey(ctx, by, k, k.changed(audit.Now(by, k.UpdatedAt, audit.APIKeyUpdated, k.Target()), before))
}

// The overlap of two secrets: what stands in where none is said, and the longest.
const (
	Overlap     = 24 * time.Hour
	MostOverlap = 30 * 24 * time.Hour
)

// Rotation is how a key gets another secret.
type Rotation struct {
	Overlap time.Duration  // for how long the present secret works, too
	Lasts   *time.Duration // until the key expires, from now; nil: when it would
	Version int64          // that the caller read; 0 for any
}

// Rotate gives a key another secret under the same id. The one that it has works for so
// long beside it; the one before that does not any more. Only a new secret makes a key
// last longer.
func (s *Service) Rotate(ctx context.Context, by principal.Principal, id string, r Rotation) (Key, secret.Text, error) {
	if r.Overlap < 0 || r.Overlap > MostOverlap {
		return Key{}, secret.Text{}, fault.At("overlap", "it is at most 30 days")
	}
	k, err := s.Fresh(ctx, id)
	if err != nil {
		return Key{}, secret.Text{}, err
	}
	now, ended := s.clock.Now(), k.Expired(s.clock.Now())
	last := k.ExpiresAt
	k.SecretAt, k.UpdatedAt, k.Previous = now, now, time.Time{}
	if r.Lasts != nil {
		if err := s.lasts(&k, *r.Lasts); err != nil {
			return Key{}, secret.Text{}, err
		}
	} else if ended {
		return Key{}, secret.Text{}, fault.At("expires_in", "the key has expired; say in how many seconds the new one does")
	}
	if r.Overlap > 0 && !ended {
		k.Previous = now.Add(r.Overlap)
		if !last.IsZero() && last.Before(k.Previous) { // an old secret does not outlive what was said of it
			k.Previous = last
		}
	}
	if r.Version != 0 {
		k.Version = r.Version
	}
	fresh, kept, err := s.secret(id)
	if err != nil {
		return Key{}, secret.Text{}, err
	}
	e := audit.Now(by, now, audit.APIKeyRotated, k.Target()).With("overlap", k.overlap().String())
	k, err = s.store.RotateAPIKey(ctx, by, k, kept, k.ends(e))
	return k, fresh.Text(), err
}

func (k Key) overlap() time.Duration {
	if k.Previous.IsZero() {
		return 0
	}
	return k.Previous.Sub(k.SecretAt)
}

// Revoke ends a key for good; version is that which the caller read, or 0 for any.
func (s *Service) Revoke(ctx context.Context, by principal.Principal, id string, version int64) error {
	if !known(id) {
		return noSuchKey()
	}
	return s.store.DeleteAPIKey(ctx, by, id, version, audit.Now(by, s.clock.Now(), audit.APIKeyRevoked, Key{ID: id}.Target()))
}

// Prove returns the key that a text is, if it may be used now and from an address. The
// fault is Unauthenticated whatever is wrong with it, and with it comes the key that is
// named, if there is one. A text that is no key by its form never leads further than to
// its checksum: ErrForm is in the fault then.
func (s *Service) Prove(ctx context.Context, text, address string) (Key, error) {
	given, ok := Parse(text)
	if !ok {
		return Key{}, refused("it is no API key").Because(ErrForm)
	}
	c, err := s.credential(ctx, given.ID())
	if err != nil {
		return Key{}, err
	}
	now := s.clock.Now()
	right := c.Proves(given, s.peppers, now)
	switch k := c.Key; {
	case k.Version == 0:
		return Key{}, refused("there is no such key")
	case !right:
		return k, refused("its secret is wrong")
	case k.Expired(now):
		if !k.Over {
			if err := s.store.EndAPIKey(ctx, k.ID); err != nil {
				return k, err
			}
		}
		return k, refused("it has expired")
	case !k.From(address):
		return k, refused("it is not for use from there")
	}
	return c.Key, nil
}

// ErrForm is what has not even the form of a key.
var ErrForm = errors.New("no API key by its form and its checksum")

// refused is the one refusal of a key; the log is told why.
func refused(why string) *fault.Error {
	return fault.New(fault.Unauthenticated, "the API key is not accepted: %s", why)
}

// Refused is the refusal of a key for a reason that this package does not know.
func Refused(why string) error { return refused(why) }

// Named returns the key that a text proves now, wherever it may be used and whether or not
// it has expired. The fault is NotFound for what proves none.
func (s *Service) Named(ctx context.Context, text string) (Key, error) {
	given, ok := Parse(text)
	if !ok {
		return Key{}, noSuchKey()
	}
	c, err := s.store.APIKey(ctx, given.ID())
	if err == nil && !c.Proves(given, s.peppers, s.clock.Now()) {
		return Key{}, noSuchKey()
	}
	return c.Key, err
}

// Where a loader found nobody, and where it found somebody.
var (
	errAbsent = errors.New("nobody has this id")
	errFound  = errors.New("somebody has this id")
)

// credential returns what is kept of a key; of one that is not there, something that
// nothing proves, so that it takes as long to say no.
func (s *Service) credential(ctx context.Context, id string) (Credential, error) {
	newest, err := s.peppers.Newest()
	if err != nil {
		return Credential{}, err
	}
	c, err := s.kept.Get(ctx, id, func(ctx context.Context, id string) (c Credential, err error) {
		_, err = s.absent.Get(ctx, id, func(ctx context.Context, id string) (struct{}, error) {
			var err error
			c, err = s.store.APIKey(ctx, id)
			switch {
			case fault.KindOf(err) == fault.NotFound:
				return struct{}{}, nil
			case err == nil:
				return struct{}{}, errFound
			}
			return struct{}{}, err
		})
		switch {
		case err == nil:
			return c, errAbsent
		case errors.Is(err, errFound):
			return c, nil
		}
		return c, err
	})
	if errors.Is(err, errAbsent) {
		return Credential{Key: Key{ID: id}, Present: secret.Kept{Pepper: newest.Version}}, nil
	}
	return c, err
}
