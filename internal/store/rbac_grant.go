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
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

const grantColumns = `id, principal, role, organization, until, granted_by, reason, granted_at`

// readGrants returns what a principal was given itself, and what the groups were that
// it is in: such a grant ends with its place in the group at the latest.
func readGrants(all func(func(scanner) error, string, ...any) error, principalID string) ([]rbac.Grant, error) {
	var list []rbac.Grant
	err := all(func(r scanner) error {
		var g rbac.Grant
		var until, at, within int64
		err := r.Scan(&g.ID, &g.Principal, &g.Role, &g.Organization, &until, &g.By, &g.Reason, &at, &within)
		g.Group, g.Until, g.At = rbac.GroupOf(g.Principal), rbac.Earlier(clock.FromMicro(until), clock.FromMicro(within)), clock.FromMicro(at)
		list = append(list, g)
		return err
	}, `SELECT `+grantColumns+`, 0 AS within FROM grants WHERE principal = ?
		UNION ALL SELECT grants.id, grants.principal, grants.role, grants.organization, grants.until, grants.granted_by, grants.reason, grants.granted_at, members.until
			FROM members JOIN grants ON grants.principal = 'group:' || members.group_name WHERE members.principal = ?
		ORDER BY id`, principalID, principalID)
	return list, err
}

// GrantsOf returns what a principal holds, itself and through groups, in the order in
// which it was given.
func (s *Store) GrantsOf(ctx context.Context, principalID string) ([]rbac.Grant, error) {
	if !text(principalID) {
		return nil, nil
	}
	return readGrants(func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	}, principalID)
}

// CreateGrant gives a role to an account, a client or a group.
func (s *Store) CreateGrant(ctx context.Context, by principal.Principal, g rbac.Grant, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.give(by, g, e)
	})
}

// DeleteGrant takes a role away from an account, a client or a group. Tokens that carry it are void.
func (s *Store) DeleteGrant(ctx context.Context, by principal.Principal, g rbac.Grant, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.take(by, g, e)
	})
}

// give makes a grant under the lock of the policy.
func (t *tx) give(by principal.Principal, g rbac.Grant, e audit.Event) error {
	if err := t.mayTouchHolder(by, g); err != nil {
		return err
	}
	if _, ok := t.roles.Role(g.Role); !ok {
		return fault.At("role", "there is no such role")
	}
	if err := t.belongs(g); err != nil {
		return err
	}
	actor, err := t.giver(by, g.Until)
	if err != nil {
		return err
	}
	if err := rbac.MayGive(actor, t.roles.OfRole(g.Role)); err != nil {
		return err
	}
	// A grant that has ended makes way for a new one.
	if _, err := t.exec(`DELETE FROM grants WHERE principal = ? AND role = ? AND organization = ? AND until > 0 AND until <= ?`,
		g.Principal, g.Role, g.Organization, clock.Micro(t.now)); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO grants (`+grantColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		g.ID, g.Principal, g.Role, g.Organization, clock.Micro(g.Until), g.By, g.Reason, clock.Micro(g.At))
	if _, dup := duplicate(err); dup {
		return fault.New(fault.Conflict, "the %s has this role already", wordOf(g)).Because(err)
	} else if err != nil {
		return err
	}
	if err := t.given(g); err != nil {
		return err
	}
	if g.Group == "" {
		if err := t.rolesSet(by, g.Principal, g.Kind, g.Organization); err != nil {
			return err
		}
	}
	return t.record(e)
}

// take deletes a grant under the lock of the policy.
func (t *tx) take(by principal.Principal, g rbac.Grant, e audit.Event) error {
	if err := t.mayTouchHolder(by, g); err != nil {
		return err
	}
	var present string
	err := t.keepingAdmin(func() error {
		if !text(g.Role) || !text(g.Organization) {
			return absent(sql.ErrNoRows, "grant")
		}
		err := t.one(`DELETE FROM grants WHERE principal = ? AND role = ? AND organization = ? RETURNING id`, g.Principal, g.Role, g.Organization).scan(&present)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return t.notGiven(g)
		case err == nil && g.ID != "" && g.ID != present:
			return account.Changed()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := t.lostGrant(g); err != nil {
		return err
	}
	if g.Group == "" {
		if err := t.rolesSet(by, g.Principal, g.Kind, g.Organization); err != nil {
			return err
		}
	}
	return t.record(e)
}

// given refuses a grant that was made if a separation forbids it, and tells others
// of it.
func (t *tx) given(g rbac.Grant) error {
	if g.Group == "" {
		if err := t.keptApart(g.Principal, word(g.Kind)); err != nil {
			return err
		}
		return t.changed(feed.Grants, g.Principal, t.policy)
	}
	if err := t.keptApartIn(g.Group, g.Role); err != nil {
		return err
	}
	return t.changedGroup(g.Group)
}

// mayTouchHolder holds the rule of who may act on whom a grant is for.
func (t *tx) mayTouchHolder(by principal.Principal, g rbac.Grant) error {
	if g.Group == "" {
		return t.mayTouch(by, g.Principal, g.Kind)
	}
	_, err := t.uponGroup(by, g.Group, 0)
	return err
}

// wordOf is what people call whom a grant is for.
func wordOf(g rbac.Grant) string {
	if g.Group != "" {
		return "group"
	}
	return word(g.Kind)
}

// lostGrant tells others that a grant was taken away.
func (t *tx) lostGrant(g rbac.Grant) error {
	if g.Group == "" {
		return t.changed(feed.GrantLost, g.Principal, t.policy)
	}
	var members int64
	if err := t.one(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM members WHERE group_name = ? LIMIT 1) AS found`, g.Group).scan(&members); err != nil {
		return err
	}
	if members == 0 { // nobody lost anything
		return t.changedGroup(g.Group)
	}
	return t.changedGroup(g.Group, g.Role)
}

// notGiven says why there is no grant of a role to take away.
func (t *tx) notGiven(g rbac.Grant) error {
	grants, err := readGrants(t.all, g.Principal)
	if err != nil {
		return err
	}
	for _, other := range grants {
		if other.Role == g.Role && other.Group != "" && g.Organization == "" {
			return fault.New(fault.NotFound, "the %s has this role through the group %q alone; take it out of that", wordOf(g), other.Group)
		}
	}
	return fault.New(fault.NotFound, "the %s does not have this role", wordOf(g))
}
