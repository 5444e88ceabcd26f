package policy

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

// Store is what this package needs to have kept for it.
type Store interface {
	// PolicyState returns what there is, and shows everybody who has a role to see,
	// which is told first what there is. What is shown may be of several moments; the
	// version is read first, so that if it still is the same afterwards nothing
	// changed in between.
	PolicyState(ctx context.Context, begin func(State) (see func(Holder) error, err error)) error
	// UserNamed returns an account without its roles, or a NotFound.
	UserNamed(ctx context.Context, username string) (Holder, error)
	// ApplyPolicy makes all changes in one transaction, under the rules of each, if
	// nothing of what the plan was made from changed since; else it returns a Stale
	// fault.
	ApplyPolicy(ctx context.Context, by principal.Principal, c Changes) error
}

// Changes are what a plan does, as it is written.
type Changes struct {
	Basis     Basis
	Roles     []rbac.RoleChange
	Groups    []rbac.GroupChange
	Resources []resource.Change
	Clients   []client.Change
	Grants    []rbac.GrantChange
	Members   []rbac.MemberChange
}

// Service makes plans and applies them.
type Service struct{ parts Parts }

// Parts are what a Service is made of: a store, and those who make the changes of
// what is theirs.
type Parts struct {
	Store     Store
	Clock     clock.Clock
	Roles     *rbac.Service
	Resources *resource.Service
	Clients   *client.Service
}

// NewService returns a service.
func NewService(p Parts) *Service { return &Service{p} }

// Export returns what there is as a file, with who has which role or without.
func (s *Service) Export(ctx context.Context, withGrants bool) (*Export, error) {
	var e *Export
	now := s.parts.Clock.Now()
	err := s.parts.Store.PolicyState(ctx, func(state State) (func(Holder) error, error) {
		e = newExport(state, withGrants)
		for _, g := range state.Groups {
			e.add(Subject{InGroup, g.Name}, live(g.Grants, now), nil)
		}
		return func(h Holder) error {
			e.add(h.Subject, live(h.Grants, now), lives(h.Places, now))
			return nil
		}, nil
	})
	return e, err
}

// Plan returns what a file would change. With prune, what the file has a section
// for and does not name is deleted; without, it is left alone. The fault is every
// mistake of the file, each on a line of its own.
func (s *Service) Plan(ctx context.Context, doc *Document, prune bool) (*Plan, error) {
	var c *comparison
	var digest *Digest
	users, err := s.named(ctx, doc)
	if err != nil {
		return nil, err
	}
	unseen := map[Subject]Holder{}
	err = s.parts.Store.PolicyState(ctx, func(state State) (func(Holder) error, error) {
		var err error
		if c, err = newComparison(doc, state, prune, s.parts.Clock.Now()); err != nil {
			return nil, err
		}
		c.checkGrants(users)
		c.checkMembers(users)
		for subject, h := range users {
			unseen[subject] = h
		}
		for _, id := range slices.Concat(byName(c.present), byName(c.after)) {
			client := Subject{principal.Service, id}
			unseen[client] = Holder{Subject: client, ID: id}
		}
		digest = NewDigest(state)
		return func(h Holder) error {
			digest.Add(h)
			delete(unseen, h.Subject)
			c.see(h)
			return nil
		}, c.wrong()
	})
	if err != nil {
		return nil, err
	}
	for _, subject := range subjects(unseen) { // who has no role yet
		c.see(unseen[subject])
	}
	p := c.finish()
	p.Basis = Basis{c.state.Version, digest.Sum()}
	return p, nil
}

// named returns the users whom a file names, as far as there are such.
func (s *Service) named(ctx context.Context, doc *Document) (map[Subject]Holder, error) {
	users := map[Subject]Holder{}
	for _, subject := range doc.users() {
		h, err := s.parts.Store.UserNamed(ctx, subject.Name)
		switch {
		case err == nil:
			users[subject] = h
		case fault.KindOf(err) != fault.NotFound:
			return nil, err
		}
	}
	return users, nil
}

// Apply makes the changes of a plan, all or none. Faults: Stale if the policy
// changed since the plan was made; Denied and Conflict by the rules that single
// changes keep: the grant rule, no circles, an administrator stays. A client that it
// makes has a secret that nobody knows, until it is given another one.
func (s *Service) Apply(ctx context.Context, by principal.Principal, p *Plan) error {
	changes := Changes{Basis: p.Basis}
	for _, c := range p.roles {
		made, err := s.role(by, c)
		if err != nil {
			return err
		}
		changes.Roles = append(changes.Roles, made)
	}
	for _, c := range p.clients {
		made, err := s.client(by, c)
		if err != nil {
			return err
		}
		changes.Clients = append(changes.Clients, made)
	}
	for _, c := range p.resources {
		made, err := s.resource(ctx, by, c)
		if err != nil {
			return err
		}
		changes.Resources = append(changes.Resources, made)
	}
	for _, c := range p.groups {
		made, err := s.group(by, c)
		if err != nil {
			return err
		}
		changes.Groups = append(changes.Groups, made)
	}
	for _, c := range p.grants {
		made, err := s.grant(by, c)
		if err != nil {
			return err
		}
		changes.Grants = append(changes.Grants, made)
	}
	for _, c := range p.members {
		made, err := s.member(by, c)
		if err != nil {
			return err
		}
		changes.Members = append(changes.Members, made)
	}
	return s.parts.Store.ApplyPolicy(ctx, by, changes)
}

func (s *Service) resource(ctx context.Context, by principal.Principal, c resource.Change) (resource.Change, error) {
	switch {
	case c.After == nil:
		return s.parts.Resources.Deleting(by, *c.Before), nil
	case c.Before == nil:
		return s.parts.Resources.Creating(ctx, by, *c.After)
	}
	return s.parts.Resources.Updating(ctx, by, *c.Before, *c.After)
}

func (s *Service) group(by principal.Principal, c rbac.GroupChange) (rbac.GroupChange, error) {
	switch {
	case c.After == nil:
		return s.parts.Roles.DeletingGroup(by, c.Before.Name, c.Before.Version), nil
	case c.Before == nil:
		return s.parts.Roles.CreatingGroup(by, *c.After)
	}
	return s.parts.Roles.UpdatingGroup(by, *c.After)
}

func (s *Service) grant(by principal.Principal, c rbac.GrantChange) (rbac.GrantChange, error) {
	if c.Taken {
		return s.parts.Roles.Taking(by, c.Grant), nil
	}
	return s.parts.Roles.Giving(by, c.Grant)
}

func (s *Service) member(by principal.Principal, c rbac.MemberChange) (rbac.MemberChange, error) {
	if c.Gone {
		return s.parts.Roles.Leaving(by, c.Member), nil
	}
	return s.parts.Roles.Joining(by, c.Member)
}

func (s *Service) role(by principal.Principal, c rbac.RoleChange) (rbac.RoleChange, error) {
	switch {
	case c.After == nil:
		return s.parts.Roles.Deleting(by, c.Before.Name, c.Before.Version), nil
	case c.Before == nil:
		return s.parts.Roles.Creating(by, *c.After)
	}
	return s.parts.Roles.Replacing(by, *c.After)
}

func (s *Service) client(by principal.Principal, c client.Change) (client.Change, error) {
	switch {
	case c.After == nil:
		return s.parts.Clients.Deleting(by, *c.Before), nil
	case c.Before == nil:
		made, _, err := s.parts.Clients.Making(by, *c.After)
		return made, err
	}
	return s.parts.Clients.Changing(by, *c.Before, *c.After)
}

// NeedsKeys reports whether a plan makes what needs a key of the server: the secret
// of a client, or something that signs an API's tokens.
func (p *Plan) NeedsKeys() bool {
	return len(p.NewClients()) > 0 || slices.ContainsFunc(p.resources, func(c resource.Change) bool { return c.After != nil && c.After.Alg != "" })
}

// NewClients returns the ids of the clients that a plan makes: they need a secret.
func (p *Plan) NewClients() (ids []string) {
	for _, c := range p.clients {
		if c.Before == nil {
			ids = append(ids, c.After.ID)
		}
	}
	return slices.Clip(ids)
}
