package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

var _ org.Store = (*Store)(nil)

const (
	organizationColumns = `organizations.id, organizations.name, organizations.display_name, organizations.created_at, organizations.updated_at, organizations.version`
	selectOrganization  = `SELECT ` + organizationColumns + ` FROM organizations `
	joinMembers         = `JOIN organization_members ON organization_members.organization = organizations.id `
)

func readOrganization(r scanner) (org.Organization, error) {
	var o org.Organization
	var created, updated int64
	err := r.Scan(&o.ID, &o.Name, &o.DisplayName, &created, &updated, &o.Version)
	o.CreatedAt, o.UpdatedAt = clock.FromMicro(created), clock.FromMicro(updated)
	return o, err
}

func (r row) organization() (org.Organization, error) {
	var o org.Organization
	err := r.read(func(s scanner) (err error) { o, err = readOrganization(s); return err })
	return o, absent(err, "organization")
}

// Organization returns an organization by its name.
func (s *Store) Organization(ctx context.Context, name string) (org.Organization, error) {
	if !text(name) {
		return org.Organization{}, org.Absent()
	}
	return s.one(ctx, selectOrganization+`WHERE name = ?`, name).organization()
}

// OrganizationByID returns an organization by its id.
func (s *Store) OrganizationByID(ctx context.Context, id string) (org.Organization, error) {
	if !text(id) {
		return org.Organization{}, org.Absent()
	}
	return s.one(ctx, selectOrganization+`WHERE id = ?`, id).organization()
}

// Membership returns the organization of a name if a principal belongs to it.
func (s *Store) Membership(ctx context.Context, name, principalID string) (org.Organization, error) {
	if !text(name) || !text(principalID) {
		return org.Organization{}, org.Absent()
	}
	return s.one(ctx, selectOrganization+joinMembers+`WHERE name = ? AND organization_members.principal = ?`, name, principalID).organization()
}

// Organizations returns a page of organizations in the order of their names.
func (s *Store) Organizations(ctx context.Context, after string, limit int) ([]org.Organization, error) {
	return s.organizations(ctx, `WHERE name > ? ORDER BY name LIMIT ?`, after, limit)
}

// OrganizationsOf returns those that a principal belongs to, in the order of their names.
func (s *Store) OrganizationsOf(ctx context.Context, principalID string) ([]org.Organization, error) {
	if !text(principalID) {
		return nil, nil
	}
	return s.organizations(ctx, joinMembers+`WHERE organization_members.principal = ? ORDER BY name LIMIT ?`, principalID, org.MostOf)
}

func (s *Store) organizations(ctx context.Context, which string, args ...any) ([]org.Organization, error) {
	var list []org.Organization
	err := s.all(ctx, func(r scanner) error {
		o, err := readOrganization(r)
		list = append(list, o)
		return err
	}, selectOrganization+which, args...)
	return list, err
}

const selectMembers = `SELECT organization, principal, kind, added_by, added_at FROM organization_members WHERE organization = ? AND `

func readOrganizationMember(r scanner) (org.Member, error) {
	var m org.Member
	var kind string
	var at int64
	err := r.Scan(&m.Organization, &m.Principal, &kind, &m.By, &at)
	m.Kind, m.At = principal.Kind(kind), clock.FromMicro(at)
	return m, err
}

// OrganizationMember returns who belongs to an organization by a principal's id.
func (s *Store) OrganizationMember(ctx context.Context, organizationID, principalID string) (m org.Member, err error) {
	if !text(principalID) {
		return m, absent(sql.ErrNoRows, "member")
	}
	err = s.one(ctx, selectMembers+`principal = ?`, organizationID, principalID).read(func(r scanner) (err error) { m, err = readOrganizationMember(r); return err })
	return m, absent(err, "member")
}

// OrganizationMembers returns a page of an organization's members in the order of their ids.
func (s *Store) OrganizationMembers(ctx context.Context, organizationID, after string, limit int) ([]org.Member, error) {
	var list []org.Member
	err := s.all(ctx, func(r scanner) error {
		m, err := readOrganizationMember(r)
		list = append(list, m)
		return err
	}, selectMembers+`principal > ? ORDER BY principal LIMIT ?`, organizationID, after, limit)
	return list, err
}

// CreateOrganization writes a new organization.
func (s *Store) CreateOrganization(ctx context.Context, by principal.Principal, o org.Organization, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.still(by); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO organizations (id, name, display_name, created_at, updated_at, version) VALUES (?, ?, ?, ?, ?, ?)`,
			o.ID, o.Name, o.DisplayName, clock.Micro(o.CreatedAt), clock.Micro(o.UpdatedAt), o.Version)
		if _, dup := duplicate(err); dup {
			return (&fault.Error{Kind: fault.Conflict, Field: "name", Message: "another organization has it already"}).Because(err)
		} else if err != nil {
			return err
		}
		if err := t.changed(feed.Organization, o.ID, o.Version); err != nil {
			return err
		}
		return t.record(e)
	})
}

// UpdateOrganization writes an organization if nobody else did since it was read.
func (s *Store) UpdateOrganization(ctx context.Context, by principal.Principal, o org.Organization, e audit.Event) (org.Organization, error) {
	err := s.write(ctx, func(t *tx) error {
		if err := t.uponOrganization(by, o.ID, o.Version); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE organizations SET display_name = ?, updated_at = ?, version = version + 1 WHERE id = ?`,
			o.DisplayName, clock.Micro(o.UpdatedAt), o.ID); err != nil {
			return err
		}
		if err := t.changed(feed.Organization, o.ID, o.Version+1); err != nil {
			return err
		}
		return t.record(e)
	})
	o.Version++
	return o, err
}

// uponOrganization begins a change of an organization, if it is of a version; 0 is any.
func (t *tx) uponOrganization(by principal.Principal, id string, version int64) error {
	if !text(id) {
		return org.Absent()
	}
	if err := t.lockPolicy(); err != nil {
		return err
	}
	if err := t.still(by); err != nil {
		return err
	}
	o, err := t.one(selectOrganization+`WHERE id = ?`, id).organization()
	if err == nil && version != 0 && version != o.Version {
		err = account.Changed()
	}
	return err
}

// DeleteOrganization deletes an organization with all that is held within it, which by
// must hold himself.
func (s *Store) DeleteOrganization(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.uponOrganization(by, id, version); err != nil {
			return err
		}
		if err := t.mayEmpty(by, id); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM organizations WHERE id = ?`, `DELETE FROM organization_members WHERE organization = ?`, `DELETE FROM grants WHERE organization = ?`,
		} {
			if _, err := t.exec(statement, id); err != nil {
				return err
			}
		}
		// Its members may be many: their tokens are void by the one change that is told of
		// it, and not each by its own.
		if _, err := t.exec(`UPDATE token_families SET ended_at = ?, ended_why = 'organization-deleted', grace_salt = NULL WHERE ended_at = 0 AND organization = ?`,
			clock.Micro(t.now), id); err != nil {
			return err
		}
		if err := t.changed(feed.OrganizationEnded, id, t.policy); err != nil {
			return err
		}
		return t.record(e)
	})
}

// mayEmpty holds the rule of who may take all roles that are held within an
// organization.
func (t *tx) mayEmpty(by principal.Principal, id string) error {
	actor, err := t.toucher(by)
	if err != nil {
		return err
	}
	var held []rbac.Grant
	err = t.all(func(r scanner) error {
		var g rbac.Grant
		err := r.Scan(&g.Role)
		held = append(held, g)
		return err
	}, `SELECT DISTINCT role FROM grants WHERE organization = ?`, id)
	if err != nil {
		return err
	}
	return rbac.MayTouch(actor, t.roles.Everywhere(held, t.now))
}

// AddOrganizationMember makes an account or a client, which by may touch, a member.
func (s *Store) AddOrganizationMember(ctx context.Context, by principal.Principal, m org.Member, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.uponOrganization(by, m.Organization, 0); err != nil {
			return err
		}
		if err := t.mayTouch(by, m.Principal, m.Kind); err != nil {
			return err
		}
		var belongs int64
		if err := t.one(`SELECT COUNT(*) FROM organization_members WHERE principal = ?`, m.Principal).scan(&belongs); err != nil {
			return err
		}
		if belongs >= org.MostOf {
			return fault.New(fault.Conflict, "the %s is a member of %d organizations already, and that is the most", word(m.Kind), org.MostOf)
		}
		_, err := t.exec(`INSERT INTO organization_members (organization, principal, kind, added_by, added_at) VALUES (?, ?, ?, ?, ?)`,
			m.Organization, m.Principal, string(m.Kind), m.By, clock.Micro(m.At))
		if _, dup := duplicate(err); dup {
			return fault.New(fault.Conflict, "the %s is a member already", word(m.Kind)).Because(err)
		} else if err != nil {
			return err
		}
		if err := t.changed(feed.Grants, m.Principal, t.policy); err != nil {
			return err
		}
		return t.record(e)
	})
}

// RemoveOrganizationMember ends a membership, the roles that came with it, and what was signed in
// to with it.
func (s *Store) RemoveOrganizationMember(ctx context.Context, by principal.Principal, m org.Member, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.uponOrganization(by, m.Organization, 0); err != nil {
			return err
		}
		if err := t.mayTouch(by, m.Principal, m.Kind); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM organization_members WHERE organization = ? AND principal = ?`, m.Organization, m.Principal)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "the %s is no member", word(m.Kind))
		}
		if _, err := t.exec(`DELETE FROM grants WHERE principal = ? AND organization = ?`, m.Principal, m.Organization); err != nil {
			return err
		}
		// Also where it had no role: a token says whose member it is.
		if err := t.changed(feed.GrantLost, m.Principal, t.policy); err != nil {
			return err
		}
		if _, err := t.end(by, "membership-ended", `user_id = ? AND organization = ?`, m.Principal, m.Organization); err != nil {
			return err
		}
		return t.record(e)
	})
}

// belongs refuses to give a role within an organization to who is no member of it.
func (t *tx) belongs(g rbac.Grant) error {
	if g.Organization == "" {
		return nil
	}
	err := t.member(g.Organization, g.Principal)
	if fault.KindOf(err) == fault.NotFound {
		return (&fault.Error{Kind: fault.Conflict, Field: "organization", Message: "the " + word(g.Kind) + " is no member of it; add it first"}).Because(err)
	}
	return err
}

// member returns a NotFound for who is no member of an organization; none has everybody.
func (t *tx) member(organization, principalID string) error {
	if organization == "" {
		return nil
	}
	if !text(organization) {
		return org.Absent()
	}
	var kind string
	err := t.one(`SELECT kind FROM organization_members WHERE organization = ? AND principal = ?`, organization, principalID).scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return org.Absent()
	}
	return err
}

// enter refuses to sign in for an organization who is no member of it any more. Whoever
// ends the membership waits for what is signed in with it, and then ends it.
func (t *tx) enter(organization, principalID string) error {
	if organization == "" {
		return nil
	}
	found, err := t.held(`SELECT 1 FROM organization_members WHERE organization = ? AND principal = ?`, organization, principalID)
	if err == nil && !found {
		err = org.Absent()
	}
	return err
}

// removeGrants deletes all roles and memberships of a principal that is deleted.
func (t *tx) removeGrants(principalID string) error {
	for _, table := range []string{"grants", "organization_members"} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE principal = ?`, principalID); err != nil {
			return err
		}
	}
	return nil
}
