package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

var _ rbac.Store = (*Store)(nil)

// Policy returns all roles with their version and that of the whole policy.
func (s *Store) Policy(ctx context.Context) (all []rbac.Role, roles, policy int64, err error) {
	// The versions are read first: what is read after them may be newer than
	// they say, and is then read again, but never older.
	if err = s.one(ctx, `SELECT version, roles FROM policy WHERE id = 1`).scan(&policy, &roles); err != nil {
		return nil, 0, 0, err
	}
	all, err = readRoles(func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	})
	return all, roles, policy, err
}

func readRoles(all func(func(scanner) error, string, ...any) error) ([]rbac.Role, error) {
	var list []rbac.Role
	err := all(func(r scanner) error {
		var role rbac.Role
		var permissions, inherits string
		var created, updated int64
		if err := r.Scan(&role.Name, &role.Description, &permissions, &inherits, &role.Builtin, &created, &updated, &role.Version); err != nil {
			return err
		}
		role.CreatedAt, role.UpdatedAt = clock.FromMicro(created), clock.FromMicro(updated)
		list = append(list, role)
		last := &list[len(list)-1]
		return errors.Join(json.Unmarshal([]byte(permissions), &last.Permissions), json.Unmarshal([]byte(inherits), &last.Inherits))
	}, `SELECT name, description, permissions, inherits, builtin, created_at, updated_at, version FROM roles`)
	return list, err
}

// CreateRole writes a new role.
func (s *Store) CreateRole(ctx context.Context, by principal.Principal, r rbac.Role, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.changeRoles(by, rbac.RoleChange{After: &r, Event: e})
	})
}

// ReplaceRole gives a role another content.
func (s *Store) ReplaceRole(ctx context.Context, by principal.Principal, r rbac.Role, e audit.Event) (rbac.Role, error) {
	var written rbac.Role
	err := s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		err := t.changeRoles(by, rbac.RoleChange{Before: &rbac.Role{Name: r.Name, Version: r.Version}, After: &r, Event: e})
		written, _ = t.roles.Role(r.Name)
		return err
	})
	return written, err
}

// DeleteRole deletes a role and every grant of it.
func (s *Store) DeleteRole(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.changeRoles(by, rbac.RoleChange{Before: &rbac.Role{Name: name, Version: version}, Event: e})
	})
}

// writeRole writes one change of a role, and returns who had it if it is gone.
func (t *tx) writeRole(c rbac.RoleChange) (holders []string, err error) {
	if c.After == nil {
		err := t.all(func(r scanner) error {
			var holder string
			err := r.Scan(&holder)
			holders = append(holders, holder)
			return err
		}, `DELETE FROM grants WHERE role = ? RETURNING principal`, c.Before.Name)
		if err != nil {
			return nil, err
		}
		_, err = t.exec(`DELETE FROM roles WHERE name = ?`, c.Before.Name)
		return holders, err
	}
	r := c.After
	permissions, inherits, err := lists(*r)
	if err != nil {
		return nil, err
	}
	if c.Before == nil {
		_, err = t.exec(`INSERT INTO roles (name, description, permissions, inherits, builtin, created_at, updated_at, version)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, r.Name, r.Description, permissions, inherits, r.Builtin, clock.Micro(r.CreatedAt), clock.Micro(r.UpdatedAt), r.Version)
		return nil, err
	}
	_, err = t.exec(`UPDATE roles SET description = ?, permissions = ?, inherits = ?, updated_at = ?, version = ? WHERE name = ?`,
		r.Description, permissions, inherits, clock.Micro(r.UpdatedAt), r.Version, r.Name)
	return nil, err
}

func lists(r rbac.Role) (permissions, inherits string, err error) {
	p, err := json.Marshal(append([]string{}, r.Permissions...))
	if err != nil {
		return "", "", err
	}
	i, err := json.Marshal(append([]string{}, r.Inherits...))
	return string(p), string(i), err
}

// EnsureBuiltin makes the built-in roles what this version of the program says
// they are.
func (s *Store) EnsureBuiltin(ctx context.Context) error {
	var kept []rbac.Role
	kept, _, _, err := s.Policy(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(rbac.Builtin(), func(r rbac.Role) bool { return !slices.ContainsFunc(kept, r.Same) }) {
		return nil
	}
	return s.write(ctx, func(t *tx) error {
		// Not by lockPolicy: what is there may be what no rule can be held against.
		if err := t.one(`UPDATE policy SET version = version + 1, roles = version + 1 WHERE id = 1 RETURNING version`).scan(&t.policy); err != nil {
			return err
		}
		for _, r := range rbac.Builtin() {
			permissions, inherits, err := lists(r)
			if err != nil {
				return err
			}
			now := clock.Micro(t.now)
			if _, err := t.exec(`INSERT INTO roles (name, description, permissions, inherits, builtin, created_at, updated_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, 1)
				ON CONFLICT (name) DO UPDATE SET description = excluded.description, permissions = excluded.permissions, inherits = excluded.inherits,
					builtin = excluded.builtin, updated_at = excluded.updated_at, version = roles.version + 1`,
				r.Name, r.Description, permissions, inherits, true, now, now); err != nil {
				return err
			}
		}
		return t.changed(feed.Roles, rbac.AdminRole, t.policy)
	})
}
