package store

import (
	"context"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

var _ policy.Store = (*Store)(nil)

// reading runs statements, in a transaction or outside.
type reading func(scan func(scanner) error, statement string, args ...any) error

// PolicyState returns what there is of the policy.
func (s *Store) PolicyState(ctx context.Context, begin func(policy.State) (func(policy.Holder) error, error)) error {
	return readPolicy(func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	}, begin)
}

func readPolicy(all reading, begin func(policy.State) (func(policy.Holder) error, error)) error {
	var state policy.State
	if err := all(func(r scanner) error { return r.Scan(&state.Version) }, `SELECT version FROM policy WHERE id = 1`); err != nil {
		return err
	}
	var err error
	if state.Roles, err = readRoles(all); err != nil {
		return err
	}
	if state.Groups, err = readTeams(all); err != nil {
		return err
	}
	err = all(func(r scanner) error {
		c, err := readClient(r)
		state.Clients = append(state.Clients, c.Client)
		return err
	}, `SELECT `+clientColumns+` FROM clients WHERE id NOT IN (SELECT client_id FROM registrations) ORDER BY id`) // those that come by themselves are nobody's decision
	if err != nil {
		return err
	}
	err = all(func(r scanner) error {
		a, err := readResource(r)
		state.Resources = append(state.Resources, a)
		return err
	}, `SELECT `+resourceColumns+` FROM resources ORDER BY id`)
	if err != nil {
		return err
	}
	see, err := begin(state)
	if err != nil {
		return err
	}
	for _, of := range []struct {
		kind             principal.Kind
		from, id, active string
	}{
		{principal.User, `users.username, users.status, ` + heldColumns + ` FROM (` + held + `) AS held JOIN users`, `users.id`, string(account.Active)},
		{principal.Service, `clients.id, clients.status, ` + heldColumns + ` FROM (` + held + `) AS held JOIN clients`, `clients.id`, string(client.Active)},
	} {
		statement := `SELECT ` + of.from + ` ON ` + of.id + ` = held.principal ORDER BY held.principal, held.place, held.id`
		if err := readHolders(all, of.kind, of.active, statement, see); err != nil {
			return err
		}
	}
	return nil
}

// readTeams returns the groups with what they have.
func readTeams(all reading) ([]policy.Group, error) {
	var list []policy.Group
	err := all(func(r scanner) error {
		g, err := readGroup(r)
		list = append(list, policy.Group{Group: g})
		return err
	}, `SELECT `+groupColumns+` FROM groups ORDER BY name`)
	if err != nil {
		return nil, err
	}
	of := make(map[string]*policy.Group, len(list))
	for i := range list {
		of[list[i].Name] = &list[i]
	}
	err = all(func(r scanner) error {
		var g rbac.Grant
		var until, at int64
		err := r.Scan(&g.ID, &g.Principal, &g.Role, &g.Organization, &until, &g.By, &g.Reason, &at)
		g.Group, g.Until, g.At = rbac.GroupOf(g.Principal), clock.FromMicro(until), clock.FromMicro(at)
		if team := of[g.Group]; team != nil {
			team.Grants = append(team.Grants, g)
		}
		return err
	}, `SELECT `+grantColumns+` FROM grants WHERE principal IN (SELECT 'group:' || name FROM groups) ORDER BY id`)
	return list, err
}

// What principals hold: their own grants, and after them their places in groups.
const (
	heldColumns = `held.place, held.id, held.principal, held.role, held.organization, held.until, held.given_by, held.reason, held.given_at`
	held        = `SELECT 0 AS place, id, principal, role, organization, until, granted_by AS given_by, reason, granted_at AS given_at FROM grants
		UNION ALL SELECT 1 AS place, group_name AS id, principal, '' AS role, '' AS organization, until, added_by AS given_by, reason, added_at AS given_at FROM members`
)

// readHolders shows those who have roles or are in groups. What is of one of them
// stands together.
func readHolders(all reading, kind principal.Kind, active, statement string, see func(policy.Holder) error) error {
	var h policy.Holder
	err := all(func(r scanner) error {
		g := rbac.Grant{Kind: kind}
		var name, status string
		var place, until, at int64
		if err := r.Scan(&name, &status, &place, &g.ID, &g.Principal, &g.Role, &g.Organization, &until, &g.By, &g.Reason, &at); err != nil {
			return err
		}
		g.Until, g.At = clock.FromMicro(until), clock.FromMicro(at)
		if g.Principal != h.ID {
			if h.ID != "" {
				if err := see(h); err != nil {
					return err
				}
			}
			h = policy.Holder{Subject: policy.Subject{Kind: kind, Name: name}, ID: g.Principal, Active: status == active}
		}
		if place == 1 {
			h.Places = append(h.Places, rbac.Member{Group: g.ID, Kind: kind, Principal: g.Principal, Until: g.Until, By: g.By, Reason: g.Reason, At: g.At})
		} else {
			h.Grants = append(h.Grants, g)
		}
		return nil
	}, statement)
	if err != nil || h.ID == "" {
		return err
	}
	return see(h)
}

// UserNamed returns an account without its roles.
func (s *Store) UserNamed(ctx context.Context, username string) (policy.Holder, error) {
	h := policy.Holder{Subject: policy.Subject{Kind: principal.User, Name: username}}
	var status string
	err := s.one(ctx, `SELECT id, status FROM users WHERE username = ?`, username).scan(&h.ID, &status)
	h.Active = status == string(account.Active)
	return h, absent(err, "user")
}

// ApplyPolicy makes changes that were planned together. The roles come first, all at
// once, since grants are held against them; between the steps nothing is looked at
// that only the whole must keep.
func (s *Store) ApplyPolicy(ctx context.Context, by principal.Principal, c policy.Changes) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		if err := t.unchanged(c.Basis); err != nil {
			return err
		}
		return t.keepingAdmin(func() error {
			if len(c.Roles) > 0 {
				if err := t.changeRoles(by, c.Roles...); err != nil {
					return err
				}
			}
			if len(c.Groups)+len(c.Resources)+len(c.Clients)+len(c.Grants)+len(c.Members) == 0 {
				return nil
			}
			if err := t.nextPolicy(c); err != nil {
				return err
			}
			for _, step := range []func() error{
				func() error { return t.changeGroups(by, c.Groups) },
				func() error { return t.changeResources(by, c.Resources) },
				func() error { return t.changeClients(by, c.Clients) },
				func() error { return t.changeGrants(by, c.Grants) },
				func() error { return t.changeMembers(by, c.Members) },
			} {
				if err := step(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// unchanged refuses a plan that was made from another state.
func (t *tx) unchanged(b policy.Basis) error {
	if t.policy == b.Version+1 {
		return nil
	}
	var d *policy.Digest
	err := readPolicy(t.all, func(s policy.State) (func(policy.Holder) error, error) {
		d = policy.NewDigest(s)
		return func(h policy.Holder) error { d.Add(h); return nil }, nil
	})
	if err == nil && d.Sum() != b.Digest {
		err = fault.New(fault.Stale, "the policy changed since the plan was made; make another plan")
	}
	return err
}

// nextPolicy begins what follows a change of roles in the same transaction, under
// the next version. A process that follows the feed knows a version when it meets
// the first change of it, and of changes of one version the order is chance: so the
// roles are of a version before, and what is kept of those whose grants change, and
// of APIs, is dropped before either.
func (t *tx) nextPolicy(c policy.Changes) error {
	if len(c.Roles) > 0 {
		if err := t.one(`UPDATE policy SET version = version + 1 WHERE id = 1 RETURNING version`).scan(&t.policy); err != nil {
			return err
		}
	}
	var holders []string
	for _, g := range c.Grants {
		holders = append(holders, g.Grant.Principal)
	}
	for _, m := range c.Members {
		holders = append(holders, m.Member.Principal)
	}
	for _, one := range c.Clients {
		if one.After == nil {
			holders = append(holders, one.Before.ID)
		}
	}
	for _, g := range c.Groups {
		if g.After == nil {
			holders = append(holders, rbac.OfGroup(g.Before.Name))
		}
	}
	for _, r := range c.Resources {
		if r.Before == nil {
			continue
		}
		if err := t.changed(feed.Resource, r.Before.Identifier, 0); err != nil {
			return err
		}
	}
	return t.dropHoldings(holders)
}

func (t *tx) changeClients(by principal.Principal, changes []client.Change) error {
	for _, c := range changes {
		var err error
		switch {
		case c.After == nil:
			err = t.deleteClient(by, c.Before.ID, c.Before.Version, c.Event)
		case c.Before != nil:
			err = t.updateClient(by, *c.After, c.Event)
		default:
			if err = t.freeID(c.After.ID); err == nil {
				err = t.createClient(by, *c.After, c.Kept, c.Event)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// freeID refuses an id for a client that is an account's: tokens name both in one
// place.
func (t *tx) freeID(name string) error {
	if !id.Valid(name) {
		return nil
	}
	var taken int64
	if err := t.one(`SELECT COUNT(*) FROM users WHERE id = ?`, name).scan(&taken); err != nil || taken == 0 {
		return err
	}
	return &fault.Error{Kind: fault.Conflict, Field: "client_id", Message: "it is the id of an account"}
}

func (t *tx) changeGroups(by principal.Principal, changes []rbac.GroupChange) error {
	for _, c := range changes {
		var err error
		switch {
		case c.After == nil:
			err = t.deleteGroup(by, c.Before.Name, c.Before.Version, c.Event)
		case c.Before != nil:
			_, err = t.updateGroup(by, *c.After, c.Event)
		default:
			err = t.createGroup(by, *c.After, c.Event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) changeResources(by principal.Principal, changes []resource.Change) error {
	for _, c := range changes {
		var err error
		switch {
		case c.After == nil:
			err = t.deleteResource(by, c.Before.ID, c.Before.Version, c.Event)
		case c.Before != nil:
			_, err = t.updateResource(by, *c.After, c.Event)
		default:
			err = t.createResource(by, *c.After, c.Event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) changeMembers(by principal.Principal, changes []rbac.MemberChange) error {
	for _, c := range changes {
		do := t.addMember
		if c.Gone {
			do = t.removeMember
		}
		if err := do(by, c.Member, c.Event); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) changeGrants(by principal.Principal, changes []rbac.GrantChange) error {
	for _, c := range changes {
		do := t.give
		if c.Taken {
			do = t.take
		}
		if err := do(by, c.Grant, c.Event); err != nil {
			return err
		}
	}
	return nil
}
