package resource

import (
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
)

// Change is an API that comes (Before is nil), one that changes, or one that goes
// (After is nil), with its event.
type Change struct {
	Before, After *Resource
	Event         audit.Event
}

// Creating returns the change that registers an API. Faults: Invalid with the field;
// Conflict for an identifier that is this server's own.
func (s *Service) Creating(ctx context.Context, by principal.Principal, r Resource) (Change, error) {
	now := s.Clock.Now()
	r.CreatedAt, r.UpdatedAt, r.Version = now, now, 1
	if err := r.Check(s.Permission); err != nil {
		return Change{}, err
	}
	if slices.ContainsFunc(s.Own, func(own string) bool { return strings.TrimSuffix(own, "/") == strings.TrimSuffix(r.Identifier, "/") }) {
		return Change{}, &fault.Error{Kind: fault.Conflict, Field: "identifier", Message: "tokens for it are for this server itself"}
	}
	if err := s.key(ctx, by, r); err != nil {
		return Change{}, err
	}
	return Change{After: &r, Event: r.changed(audit.Now(by, now, audit.ResourceCreated, r.Target()), Resource{})}, nil
}

// Updating returns the change of an API from what it is to r, of which the id and the
// version do not count. Faults: Invalid with the field.
func (s *Service) Updating(ctx context.Context, by principal.Principal, before, r Resource) (Change, error) {
	if err := Keeps(before, r); err != nil {
		return Change{}, err
	}
	r.ID, r.Version, r.CreatedAt, r.UpdatedAt = before.ID, before.Version, before.CreatedAt, s.Clock.Now()
	if err := r.Check(s.Permission); err != nil {
		return Change{}, err
	}
	if err := s.key(ctx, by, r); err != nil {
		return Change{}, err
	}
	return Change{Before: &before, After: &r, Event: r.changed(audit.Now(by, r.UpdatedAt, audit.ResourceUpdated, r.Target()), before)}, nil
}

// Keeps refuses, with a fault of kind Invalid, to give an API another identifier.
func Keeps(before, r Resource) error {
	if r.Identifier != before.Identifier {
		return fault.At("identifier", "a resource keeps its identifier: it is in tokens; register another one instead")
	}
	return nil
}

// Deleting returns the change that deletes an API.
func (s *Service) Deleting(by principal.Principal, r Resource) Change {
	return Change{Before: &r, Event: audit.Now(by, s.Clock.Now(), audit.ResourceDeleted, r.Target()).With("identifier", r.Identifier)}
}
