package org

import (
	"context"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/memo"
	"github.com/doorward/doorward/internal/principal"
)

// MostOf is how many organizations one account or client may belong to.
const MostOf = 1000

// Store is what this package needs to have kept for it. The verbs that change who
// belongs where hold the rules of grants in their transaction: by may touch whom he
// adds or removes, and all that is held within what he deletes.
type Store interface {
	Writer
	// Organization returns a NotFound for an unknown name.
	Organization(ctx context.Context, name string) (Organization, error)
	// OrganizationByID is the same by what tokens and grants name it by.
	OrganizationByID(ctx context.Context, id string) (Organization, error)
	// Organizations returns those past a name, in the order of their names.
	Organizations(ctx context.Context, after string, limit int) ([]Organization, error)
	// OrganizationsOf returns those that a principal belongs to, in that order, and no
	// more than MostOf.
	OrganizationsOf(ctx context.Context, principalID string) ([]Organization, error)
	// Membership returns the organization of a name if a principal belongs to it, or a
	// NotFound.
	Membership(ctx context.Context, name, principalID string) (Organization, error)
	// OrganizationMember returns who belongs to an organization by a principal's id, or a NotFound.
	OrganizationMember(ctx context.Context, organizationID, principalID string) (Member, error)
	// OrganizationMembers returns those of an organization past a principal's id, in the order of
	// their ids.
	OrganizationMembers(ctx context.Context, organizationID, after string, limit int) ([]Member, error)
}

// Writer is the part of it that changes something.
type Writer interface {
	// CreateOrganization returns a Conflict for a name that is taken.
	CreateOrganization(ctx context.Context, by principal.Principal, o Organization, e audit.Event) error
	// UpdateOrganization writes o if its version is still o.Version, or returns a Stale
	// fault.
	UpdateOrganization(ctx context.Context, by principal.Principal, o Organization, e audit.Event) (Organization, error)
	// DeleteOrganization deletes one with its memberships, the roles that were held in it
	// and what was signed in for it; version is as in UpdateOrganization, or 0 for any.
	DeleteOrganization(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error
	// AddOrganizationMember returns a Conflict if the principal belongs to it already or to too many,
	// and a NotFound if there is no such account or client.
	AddOrganizationMember(ctx context.Context, by principal.Principal, m Member, e audit.Event) error
	// RemoveOrganizationMember takes the roles that it holds in the organization, too, and ends what
	// it signed in to for it. It returns a NotFound for who is no member.
	RemoveOrganizationMember(ctx context.Context, by principal.Principal, m Member, e audit.Event) error
}

// Service keeps organizations.
type Service struct {
	store Store
	clock clock.Clock
	kept  *memo.Map[Organization]   // by id
	of    *memo.Map[[]Organization] // that a principal belongs to
}

// NewService returns a service over a store.
func NewService(store Store, c clock.Clock) *Service {
	return &Service{store, c, memo.New[Organization](10_000), memo.New[[]Organization](10_000)}
}

// Apply drops what this process keeps of what changed.
func (s *Service) Apply(c feed.Change) {
	switch c.Topic {
	case feed.Organization, feed.OrganizationEnded:
		s.kept.Drop(c.Key)
		s.of.Clear()
	case feed.Grants, feed.GrantLost:
		s.of.Drop(c.Key)
	case feed.Gap:
		s.kept.Clear()
		s.of.Clear()
	}
}

// Create makes an organization. Faults: Invalid with the field, Conflict for a name
// that is taken.
func (s *Service) Create(ctx context.Context, by principal.Principal, name, display string) (Organization, error) {
	now := s.clock.Now()
	o := Organization{ID: id.New(now), Name: name, DisplayName: display, CreatedAt: now, UpdatedAt: now, Version: 1}
	if o.DisplayName == "" {
		o.DisplayName = name
	}
	if err := o.check(); err != nil {
		return Organization{}, err
	}
	return o, s.store.CreateOrganization(ctx, by, o, audit.Now(by, now, audit.OrganizationCreated, o.Target()).With("name", name))
}

// Fresh returns an organization as it is in the database.
func (s *Service) Fresh(ctx context.Context, name string) (Organization, error) {
	if !names.MatchString(name) {
		return Organization{}, Absent()
	}
	return s.store.Organization(ctx, name)
}

// ByID returns an organization by its id, as this process knows it.
func (s *Service) ByID(ctx context.Context, id string) (Organization, error) {
	return s.kept.Get(ctx, id, s.store.OrganizationByID)
}

// List returns a page of organizations in the order of their names.
func (s *Service) List(ctx context.Context, after string, limit int) ([]Organization, error) {
	return s.store.Organizations(ctx, after, limit)
}

// Of returns the organizations that a principal belongs to, as this process knows it.
func (s *Service) Of(ctx context.Context, principalID string) ([]Organization, error) {
	return s.of.Get(ctx, principalID, s.store.OrganizationsOf)
}

// Membership returns the organization of a name if a principal belongs to it now. To
// who does not, there is none: the fault is the same NotFound.
func (s *Service) Membership(ctx context.Context, name, principalID string) (Organization, error) {
	if !names.MatchString(name) {
		return Organization{}, Absent()
	}
	return s.store.Membership(ctx, name, principalID)
}

// MembershipByID is Membership by an organization's id.
func (s *Service) MembershipByID(ctx context.Context, id, principalID string) (Organization, error) {
	o, err := s.ByID(ctx, id)
	if err != nil {
		return Organization{}, err
	}
	return s.store.Membership(ctx, o.Name, principalID)
}

// Update writes the name that people read. o.Version is the version that the caller
// read.
func (s *Service) Update(ctx context.Context, by principal.Principal, o Organization) (Organization, error) {
	if o.DisplayName == "" {
		o.DisplayName = o.Name
	}
	if err := o.check(); err != nil {
		return Organization{}, err
	}
	o.UpdatedAt = s.clock.Now()
	return s.store.UpdateOrganization(ctx, by, o, audit.Now(by, o.UpdatedAt, audit.OrganizationUpdated, o.Target()).With("name", o.Name))
}

// Delete deletes an organization for good. Its tokens are refused within a second.
func (s *Service) Delete(ctx context.Context, by principal.Principal, name string, version int64) error {
	o, err := s.Fresh(ctx, name)
	if err != nil {
		return err
	}
	return s.store.DeleteOrganization(ctx, by, o.ID, version, audit.Now(by, s.clock.Now(), audit.OrganizationDeleted, o.Target()).With("name", name))
}

// Members returns a page of an organization's members in the order of their ids.
func (s *Service) Members(ctx context.Context, o Organization, after string, limit int) ([]Member, error) {
	return s.store.OrganizationMembers(ctx, o.ID, after, limit)
}

// Member returns who belongs to an organization by a principal's id.
func (s *Service) Member(ctx context.Context, o Organization, principalID string) (Member, error) {
	return s.store.OrganizationMember(ctx, o.ID, principalID)
}

// Add makes an account or a client a member. That alone lets it do nothing.
func (s *Service) Add(ctx context.Context, by principal.Principal, o Organization, kind principal.Kind, principalID string) (Member, error) {
	if kind != principal.User && kind != principal.Service {
		return Member{}, fault.At("type", "it is user or client")
	}
	m := Member{Organization: o.ID, Kind: kind, Principal: principalID, By: by.String(), At: s.clock.Now()}
	return m, s.store.AddOrganizationMember(ctx, by, m, audit.Now(by, m.At, audit.OrganizationMemberAdded, m.Target()).With("organization", o.ID))
}

// Remove ends a membership, and with it the roles that the member had in the
// organization. Tokens that carry them are refused within a second.
func (s *Service) Remove(ctx context.Context, by principal.Principal, o Organization, principalID string) error {
	m, err := s.store.OrganizationMember(ctx, o.ID, principalID)
	if err != nil {
		return err
	}
	return s.store.RemoveOrganizationMember(ctx, by, m, audit.Now(by, s.clock.Now(), audit.OrganizationMemberRemoved, m.Target()).With("organization", o.ID))
}
