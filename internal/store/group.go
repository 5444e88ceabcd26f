package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

const (
	groupColumns  = `name, description, created_at, updated_at, version`
	memberColumns = `principal, group_name, kind, until, added_by, reason, added_at`
)

func readGroup(r scanner) (rbac.Group, error) {
	var g rbac.Group
	var created, updated int64
	err := r.Scan(&g.Name, &g.Description, &created, &updated, &g.Version)
	g.CreatedAt, g.UpdatedAt = clock.FromMicro(created), clock.FromMicro(updated)
	return g, err
}

func (r row) group() (rbac.Group, error) {
	var g rbac.Group
	err := r.read(func(s scanner) (err error) { g, err = readGroup(s); return err })
	return g, absent(err, "group")
}

func readMember(r scanner) (rbac.Member, error) {
	var m rbac.Member
	var kind string
	var until, at int64
	err := r.Scan(&m.Principal, &m.Group, &kind, &until, &m.By, &m.Reason, &at)
	m.Kind, m.Until, m.At = principal.Kind(kind), clock.FromMicro(until), clock.FromMicro(at)
	return m, err
}

// Group returns a group.
func (s *Store) Group(ctx context.Context, name string) (rbac.Group, error) {
	if !text(name) {
		return rbac.Group{}, absent(sql.ErrNoRows, "group")
	}
	return s.one(ctx, `SELECT `+groupColumns+` FROM groups WHERE name = ?`, name).group()
}

// Groups returns a page of groups in the order of their names.
func (s *Store) Groups(ctx context.Context, after string, limit int) ([]rbac.Group, error) {
	if !text(after) {
		return nil, nil
	}
	var list []rbac.Group
	err := s.all(ctx, func(r scanner) error {
		g, err := readGroup(r)
		list = append(list, g)
		return err
	}, `SELECT `+groupColumns+` FROM groups WHERE name > ? ORDER BY name LIMIT ?`, after, limit)
	return list, err
}

// group returns a group as the transaction sees it, if it is of a version; 0 is any.
func (t *tx) group(name string, version int64) (rbac.Group, error) {
	if !text(name) {
		return rbac.Group{}, absent(sql.ErrNoRows, "group")
	}
	g, err := t.one(`SELECT `+groupColumns+` FROM groups WHERE name = ?`, name).group()
	if err == nil && version != 0 && version != g.Version {
		err = account.Changed()
	}
	return g, err
}

// CreateGroup writes a new group.
func (s *Store) CreateGroup(ctx context.Context, by principal.Principal, g rbac.Group, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		return t.createGroup(by, g, e)
	})
}

func (t *tx) createGroup(by principal.Principal, g rbac.Group, e audit.Event) error {
	if err := t.still(by); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO groups (`+groupColumns+`) VALUES (?, ?, ?, ?, ?)`,
		g.Name, g.Description, clock.Micro(g.CreatedAt), clock.Micro(g.UpdatedAt), g.Version)
	if _, dup := duplicate(err); dup {
		return (&fault.Error{Kind: fault.Conflict, Field: "name", Message: "another group has it already"}).Because(err)
	} else if err != nil {
		return err
	}
	return t.record(e)
}

// UpdateGroup writes what is said of a group. What its members hold stays.
func (s *Store) UpdateGroup(ctx context.Context, by principal.Principal, g rbac.Group, e audit.Event) (rbac.Group, error) {
	var written rbac.Group
	err := s.write(ctx, func(t *tx) (err error) { written, err = t.updateGroup(by, g, e); return err })
	return written, err
}

func (t *tx) updateGroup(by principal.Principal, g rbac.Group, e audit.Event) (rbac.Group, error) {
	before, err := t.uponGroup(by, g.Name, g.Version)
	if err != nil {
		return g, err
	}
	g.CreatedAt, g.Version = before.CreatedAt, before.Version+1
	if _, err := t.exec(`UPDATE groups SET description = ?, updated_at = ?, version = ? WHERE name = ?`,
		g.Description, clock.Micro(g.UpdatedAt), g.Version, g.Name); err != nil {
		return g, err
	}
	return g, t.record(e)
}

// DeleteGroup deletes a group with its grants and its members' places. Tokens that
// carry what it gave are void.
func (s *Store) DeleteGroup(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error { return t.deleteGroup(by, name, version, e) })
}

func (t *tx) deleteGroup(by principal.Principal, name string, version int64, e audit.Event) error {
	if _, err := t.uponGroup(by, name, version); err != nil {
		return err
	}
	return t.keepingAdmin(func() error {
		var lost []string
		err := t.all(func(r scanner) error {
			var role string
			err := r.Scan(&role)
			lost = append(lost, role)
			return err
		}, `DELETE FROM grants WHERE principal = ? RETURNING role`, rbac.OfGroup(name))
		if err != nil {
			return err
		}
		members, err := t.exec(`DELETE FROM members WHERE group_name = ?`, name)
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM groups WHERE name = ?`, name); err != nil {
			return err
		}
		if members == 0 { // nobody lost anything
			lost = nil
		}
		if err := t.changedGroup(name, lost...); err != nil {
			return err
		}
		return t.record(e)
	})
}

// changedGroup tells others that what a group holds changed, and which roles it lost.
// Who is in it is not told one by one: what was kept of everybody is read again, and
// whoever has a token with one of the roles, from wherever, gets another.
func (t *tx) changedGroup(name string, lost ...string) error {
	if err := t.changed(feed.Groups, name, t.policy); err != nil {
		return err
	}
	for _, role := range lost {
		if err := t.changed(feed.RoleNarrows, role, t.policy); err != nil {
			return err
		}
	}
	return nil
}

// uponGroup begins a change of a group that by may touch, if it is of a version; 0 is
// any.
func (t *tx) uponGroup(by principal.Principal, name string, version int64) (rbac.Group, error) {
	if err := t.lockPolicy(); err != nil {
		return rbac.Group{}, err
	}
	g, err := t.group(name, 0)
	if err != nil {
		return g, err
	}
	if err := t.mayTouchGroup(by, name); err != nil {
		return g, err
	}
	return t.group(name, version)
}

// mayTouchGroup holds the rule of who may act on a group: who may act on each of its
// members, and holds what it gives, as if it had members. They may be many, so it is
// their roles that are asked for, which are few.
func (t *tx) mayTouchGroup(by principal.Principal, name string) error {
	actor, err := t.toucher(by)
	if err != nil || actor.Covers(t.roles.All()) {
		return err
	}
	now := clock.Micro(t.now)
	err = t.all(func(r scanner) error {
		var role string
		if err := r.Scan(&role); err != nil {
			return err
		}
		return rbac.MayTouch(actor, t.roles.OfRole(role))
	}, `SELECT role FROM grants WHERE principal = ? AND (until = 0 OR until > ?)
		UNION SELECT grants.role FROM members JOIN grants ON grants.principal = members.principal
			WHERE members.group_name = ? AND (members.until = 0 OR members.until > ?) AND (grants.until = 0 OR grants.until > ?)
		UNION SELECT grants.role FROM members JOIN members AS others ON others.principal = members.principal
			JOIN grants ON grants.principal = 'group:' || others.group_name
			WHERE members.group_name = ? AND (members.until = 0 OR members.until > ?) AND (others.until = 0 OR others.until > ?)
			AND (grants.until = 0 OR grants.until > ?)`,
		rbac.OfGroup(name), now, name, now, now, name, now, now, now)
	if err != nil {
		return err
	}
	return t.all(func(r scanner) error {
		var list string
		var scopes []string
		if err := errors.Join(r.Scan(&list), json.Unmarshal([]byte(list), &scopes)); err != nil {
			return err
		}
		return rbac.MayTouch(actor, t.roles.Set(scopes))
	}, `SELECT DISTINCT clients.scopes FROM members JOIN clients ON clients.id = members.principal
		WHERE members.group_name = ? AND (members.until = 0 OR members.until > ?)`, name, now)
}

// AddMember brings a principal into a group.
func (s *Store) AddMember(ctx context.Context, by principal.Principal, m rbac.Member, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.addMember(by, m, e)
	})
}

// addMember brings a principal into a group under the lock of the policy.
func (t *tx) addMember(by principal.Principal, m rbac.Member, e audit.Event) error {
	if _, err := t.group(m.Group, 0); err != nil {
		return err
	}
	if err := t.mayTouch(by, m.Principal, m.Kind); err != nil {
		return err
	}
	if err := t.givesGroup(by, m.Group, m.Until); err != nil {
		return err
	}
	// A place that has ended makes way for a new one.
	if _, err := t.exec(`DELETE FROM members WHERE principal = ? AND group_name = ? AND until > 0 AND until <= ?`,
		m.Principal, m.Group, clock.Micro(t.now)); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO members (`+memberColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		m.Principal, m.Group, string(m.Kind), clock.Micro(m.Until), m.By, m.Reason, clock.Micro(m.At))
	if _, dup := duplicate(err); dup {
		return fault.New(fault.Conflict, "the %s is in this group already", word(m.Kind)).Because(err)
	} else if err != nil {
		return err
	}
	if err := t.keptApart(m.Principal, word(m.Kind)); err != nil {
		return err
	}
	if err := t.changed(feed.Grants, m.Principal, t.policy); err != nil {
		return err
	}
	if err := t.rolesSet(by, m.Principal, m.Kind, ""); err != nil {
		return err
	}
	return t.record(e)
}

// givesGroup holds the rule of what by may give for all that a group has, each of it
// as long as somebody who is in the group until a time holds it.
func (t *tx) givesGroup(by principal.Principal, name string, until time.Time) error {
	grants, err := readGrants(t.all, rbac.OfGroup(name))
	if err != nil {
		return err
	}
	if len(grants) == 0 {
		return nil
	}
	actors := map[time.Time]rbac.Set{}
	for _, g := range grants {
		if !g.Live(t.now) {
			continue
		}
		end := rbac.Earlier(g.Until, until)
		actor, ok := actors[end]
		if !ok {
			if actor, err = t.giver(by, end); err != nil {
				return err
			}
			actors[end] = actor
		}
		if err := rbac.MayGive(actor, t.roles.OfRole(g.Role)); err != nil {
			return err
		}
	}
	return nil
}

// RemoveMember takes a principal out of a group. Tokens that carry what it had by it
// are void.
func (s *Store) RemoveMember(ctx context.Context, by principal.Principal, m rbac.Member, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.removeMember(by, m, e)
	})
}

// removeMember takes a principal out of a group under the lock of the policy.
func (t *tx) removeMember(by principal.Principal, m rbac.Member, e audit.Event) error {
	if err := t.mayTouch(by, m.Principal, m.Kind); err != nil {
		return err
	}
	return t.keepingAdmin(func() error {
		n, err := t.exec(`DELETE FROM members WHERE principal = ? AND group_name = ? AND kind = ?`, m.Principal, m.Group, string(m.Kind))
		switch {
		case err != nil:
			return err
		case n == 0:
			return absent(sql.ErrNoRows, "member")
		}
		if err := t.changed(feed.GrantLost, m.Principal, t.policy); err != nil {
			return err
		}
		if err := t.rolesSet(by, m.Principal, m.Kind, ""); err != nil {
			return err
		}
		return t.record(e)
	})
}

// leave takes a principal that is deleted out of all groups.
func (t *tx) leave(principalID string) error {
	_, err := t.exec(`DELETE FROM members WHERE principal = ?`, principalID)
	return err
}

// Member returns the place of a principal in a group.
func (s *Store) Member(ctx context.Context, group, principalID string) (rbac.Member, error) {
	var m rbac.Member
	if !text(group) || !text(principalID) {
		return m, absent(sql.ErrNoRows, "member")
	}
	err := s.one(ctx, `SELECT `+memberColumns+` FROM members WHERE principal = ? AND group_name = ?`, principalID, group).
		read(func(r scanner) (err error) { m, err = readMember(r); return err })
	return m, absent(err, "member")
}

// Members returns a page of the members of a group in the order of their ids.
func (s *Store) Members(ctx context.Context, group, after string, limit int) ([]rbac.Member, error) {
	if !text(group) || !text(after) {
		return nil, nil
	}
	var list []rbac.Member
	err := s.all(ctx, func(r scanner) error {
		m, err := readMember(r)
		list = append(list, m)
		return err
	}, `SELECT `+memberColumns+` FROM members WHERE group_name = ? AND principal > ? ORDER BY principal LIMIT ?`, group, after, limit)
	return list, err
}
