package issue

import (
	"context"
	"strings"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
)

// APIKeyStore is what is kept of API keys where more than the keys is touched.
type APIKeyStore interface {
	// LeakAPIKey deletes a key, whoever reports it, and posts letters about it. It
	// returns a NotFound if it is gone.
	LeakAPIKey(ctx context.Context, id string, e audit.Event, letters ...outbox.Letter) error
}

// ProgramStore is what is kept of those who are no persons.
type ProgramStore interface {
	ClientStore
	APIKeyStore
	ExchangeStore
}

// KeyRefused counts and records that an API key was refused, as ClientRefused does for
// clients. It returns a fault of kind Limited where too much failed from there already.
// What names no key, which is zero then, is not repeated.
func (s *Service) KeyRefused(ctx context.Context, by principal.Principal, named apikey.Key, why error) error {
	target := "key"
	if named.Version != 0 {
		target = named.Target()
	}
	return s.unproved(ctx, by, audit.APIKeyRefused, target, why)
}

// unproved counts and records that something which no person chose did not prove who
// sent it. The event's actor is nobody.
func (s *Service) unproved(ctx context.Context, by principal.Principal, action audit.Action, target string, why error) error {
	ctx = context.WithoutCancel(ctx)
	flood, err := s.limits.Strike(ctx, by.Origin.Network)
	if err != nil {
		return err
	}
	by = principal.Principal{Kind: principal.Anonymous, Origin: by.Origin}
	now := s.clock.Now()
	events := []audit.Event{audit.Now(by, now, action, target).Because(audit.Failure, reasonOf(why))}
	if flood {
		events = append(events, floods(now))
	}
	return s.store.Tell(ctx, events)
}

// Leak is an API key that was found where everybody reads it.
type Leak struct {
	Key      apikey.Key
	URL      string // where; may be empty
	Reporter string // the id of the key that signed the report
}

// KeyLeaked revokes a key that was found in public, and tells its owner. One that is
// gone was revoked before.
func (s *Service) KeyLeaked(ctx context.Context, by principal.Principal, l Leak) error {
	now := s.clock.Now()
	e := audit.Now(by, now, audit.APIKeyLeaked, l.Key.Target()).With("owner", l.Key.Owner.String()).With("reporter", l.Reporter)
	if l.URL != "" { // it may hold a person's name
		e = e.About(l.Key.Owner.ID, map[string]string{"url": l.URL})
	}
	var letters []outbox.Letter
	if whom := l.whom(); whom != "" {
		letters = append(letters, outbox.New(whom, outbox.KeyLeaked, now, map[string]string{"key": l.Key.ID}))
	}
	err := s.store.LeakAPIKey(ctx, l.Key.ID, e, letters...)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// whom returns the account that is told: the owner's, or where that is a client, that
// of who made the key, if somebody did who can be told.
func (l Leak) whom() string {
	if l.Key.Owner.Kind == principal.User {
		return l.Key.Owner.ID
	}
	user, _ := strings.CutPrefix(l.Key.CreatedBy, string(principal.User)+":")
	if user == l.Key.CreatedBy {
		return ""
	}
	return user
}
