package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
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
	permissions, inherits, err := lists(r)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		actor, err := t.giver(by, time.Time{})
		if err != nil {
			return err
		}
		if err := rbac.MayChangeRole(t.roles, actor, nil, &r); err != nil {
			return err
		}
		next, err := rbac.ApplyRole(t.roles, r)
		if err != nil {
			return err
		}
		err = t.changeRoles(r.Name, next, func() error {
			_, err := t.exec(`INSERT INTO roles (name, description, permissions, inherits, builtin, created_at, updated_at, version)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, r.Name, r.Description, permissions, inherits, r.Builtin, clock.Micro(r.CreatedAt), clock.Micro(r.UpdatedAt), r.Version)
			return err
		})
		if err != nil {
			return err
		}
		return t.record(roleChanged(e, rbac.Role{}, r))
	})
}

// roleChanged is the event of a change of a role, with what came and what went.
func roleChanged(e audit.Event, before, after rbac.Role) audit.Event {
	return e.WithChange("permissions", before.Permissions, after.Permissions).WithChange("inherits", before.Inherits, after.Inherits)
}

func lists(r rbac.Role) (permissions, inherits string, err error) {
	p, err := json.Marshal(append([]string{}, r.Permissions...))
	if err != nil {
		return "", "", err
	}
	i, err := json.Marshal(append([]string{}, r.Inherits...))
	return string(p), string(i), err
}

// ReplaceRole gives a role another content.
func (s *Store) ReplaceRole(ctx context.Context, by principal.Principal, r rbac.Role, e audit.Event) (rbac.Role, error) {
	permissions, inherits, err := lists(r)
	if err != nil {
		return rbac.Role{}, err
	}
	read := r.Version // r gets another at every try
	err = s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		before, ok := t.roles.Role(r.Name)
		switch {
		case !ok:
			return fault.New(fault.NotFound, "there is no such role")
		case read != 0 && read != before.Version:
			return account.Changed()
		}
		r.CreatedAt, r.Version = before.CreatedAt, before.Version+1
		actor, err := t.giver(by, time.Time{})
		if err != nil {
			return err
		}
		if err := rbac.MayChangeRole(t.roles, actor, &before, &r); err != nil {
			return err
		}
		next, err := rbac.ApplyRole(t.roles, r)
		if err != nil {
			return err
		}
		err = t.changeRoles(r.Name, next, func() error {
			_, err := t.exec(`UPDATE roles SET description = ?, permissions = ?, inherits = ?, updated_at = ?, version = ? WHERE name = ?`,
				r.Description, permissions, inherits, clock.Micro(r.UpdatedAt), r.Version, r.Name)
			return err
		})
		if err != nil {
			return err
		}
		return t.record(roleChanged(e, before, r))
	})
	return r, err
}

// DeleteRole deletes a role and every grant of it.
func (s *Store) DeleteRole(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		before, ok := t.roles.Role(name)
		switch {
		case !ok:
			return fault.New(fault.NotFound, "there is no such role")
		case version != 0 && version != before.Version:
			return account.Changed()
		}
		actor, err := t.giver(by, time.Time{})
		if err != nil {
			return err
		}
		if err := rbac.MayChangeRole(t.roles, actor, &before, nil); err != nil {
			return err
		}
		next, err := rbac.DeleteRole(t.roles, name)
		if err != nil {
			return err
		}
		var holders []string
		err = t.changeRoles(name, next, func() error {
			err := t.all(func(r scanner) error {
				var holder string
				err := r.Scan(&holder)
				holders = append(holders, holder)
				return err
			}, `DELETE FROM grants WHERE role = ? RETURNING principal`, name)
			if err != nil {
				return err
			}
			_, err = t.exec(`DELETE FROM roles WHERE name = ?`, name)
			return err
		})
		if err != nil {
			return err
		}
		// What was kept of the holders goes first: whoever follows the change of the
		// role, which names the version, knows all of it. Hence their version of 0.
		slices.Sort(holders)
		for _, holder := range slices.Compact(holders) {
			topic, key := feed.Grants, holder
			if group := rbac.GroupOf(holder); group != "" {
				topic, key = feed.Groups, group
			}
			if err := t.changed(topic, key, 0); err != nil {
				return err
			}
		}
		return t.record(roleChanged(e, before, rbac.Role{}))
	})
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
