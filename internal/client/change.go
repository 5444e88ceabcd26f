package client

import (
	"reflect"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Change is a client that comes (Before is nil), one that changes, or one that goes
// (After is nil), with its event.
type Change struct {
	Before, After *Client
	Kept          secret.Kept // of one that comes
	Event         audit.Event
}

// Making returns the change that makes a client, and its secret. Unlike a Draft, c
// has all that it is to have; its id may be one that another server made. Faults:
// Invalid with the field.
func (s *Service) Making(by principal.Principal, c Client) (Change, secret.Text, error) {
	if err := s.check(&c); err != nil {
		return Change{}, secret.Text{}, err
	}
	now := s.clock.Now()
	c.SecretAt, c.CreatedAt, c.UpdatedAt, c.Version = now, now, now, 1
	fresh, kept, err := s.secret(c.ID)
	if err != nil {
		return Change{}, secret.Text{}, err
	}
	if !c.HasSecret() { // what is kept proves nothing: nobody has it
		fresh = Secret{}
	}
	return Change{After: &c, Kept: kept, Event: c.changed(audit.Now(by, now, audit.ClientCreated, c.Target()), Client{})}, fresh.Text(), nil
}

func (s *Service) check(c *Client) error {
	if err := c.Check(s.scope); err != nil {
		return err
	}
	return s.checkPlace(*c)
}

// Changing returns the change of a client from what it is to c, of which the id, the
// secret and the version do not count. Faults: Invalid with the field.
func (s *Service) Changing(by principal.Principal, before, c Client) (Change, error) {
	if err := s.check(&c); err != nil {
		return Change{}, err
	}
	c.ID, c.Version, c.SecretAt, c.Previous, c.CreatedAt, c.UpdatedAt = before.ID, before.Version, before.SecretAt, before.Previous, before.CreatedAt, s.clock.Now()
	action := audit.ClientUpdated
	switch c.Status {
	case before.Status:
	case Disabled:
		action = audit.ClientDisabled
	default:
		action = audit.ClientEnabled
	}
	return Change{Before: &before, After: &c, Event: c.changed(audit.Now(by, c.UpdatedAt, action, c.Target()), before)}, nil
}

// Deleting returns the change that deletes a client.
func (s *Service) Deleting(by principal.Principal, c Client) Change {
	return Change{Before: &c, Event: audit.Now(by, s.clock.Now(), audit.ClientDeleted, c.Target())}
}

// Same reports whether two clients are registered for the same; when and how often
// they were written, and their secrets, do not count.
func (c Client) Same(o Client) bool {
	return c.ID == o.ID && reflect.DeepEqual(c.Registration, o.Registration) && c.Name == o.Name && c.Status == o.Status && c.Method == o.Method && c.changed(audit.Event{}, o).Lists == nil &&
		audit.Event{}.WithChange("", c.Default, o.Default).Lists == nil
}
