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

func readGrants(all func(func(scanner) error, string, ...any) error, principalID string) ([]rbac.Grant, error) {
	var list []rbac.Grant
	err := all(func(r scanner) error {
		var g rbac.Grant
		var until, at int64
		err := r.Scan(&g.ID, &g.Principal, &g.Role, &g.Organization, &until, &g.By, &g.Reason, &at)
		g.Until, g.At = clock.FromMicro(until), clock.FromMicro(at)
		list = append(list, g)
		return err
	}, `SELECT `+grantColumns+` FROM grants WHERE principal = ? ORDER BY id`, principalID)
	return list, err
}

// GrantsOf returns the grants of a principal in the order of their making.
func (s *Store) GrantsOf(ctx context.Context, principalID string) ([]rbac.Grant, error) {
	if !text(principalID) {
		return nil, nil
	}
	return readGrants(func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	}, principalID)
}

// CreateGrant gives a role to an account.
func (s *Store) CreateGrant(ctx context.Context, by principal.Principal, g rbac.Grant, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		if err := t.mayTouch(by, g.Principal, g.Kind); err != nil {
			return err
		}
		if _, ok := t.roles.Role(g.Role); !ok {
			return fault.At("role", "there is no such role")
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
			return fault.New(fault.Conflict, "the %s has this role already", word(g.Kind)).Because(err)
		} else if err != nil {
			return err
		}
		if err := t.changed(feed.Grants, g.Principal, t.policy); err != nil {
			return err
		}
		return t.record(e)
	})
}

// DeleteGrant takes a role away from an account. Tokens that carry it are void.
func (s *Store) DeleteGrant(ctx context.Context, by principal.Principal, g rbac.Grant, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		if err := t.mayTouch(by, g.Principal, g.Kind); err != nil {
			return err
		}
		var present string
		err := t.keepingAdmin(func() error {
			if !text(g.Role) {
				return absent(sql.ErrNoRows, "grant")
			}
			err := t.one(`DELETE FROM grants WHERE principal = ? AND role = ? AND organization = '' RETURNING id`, g.Principal, g.Role).scan(&present)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				return fault.New(fault.NotFound, "the %s does not have this role", word(g.Kind))
			case err == nil && g.ID != "" && g.ID != present:
				return account.Changed()
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := t.changed(feed.GrantLost, g.Principal, t.policy); err != nil {
			return err
		}
		return t.record(e)
	})
}
