package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
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

// lockPolicy makes t the one transaction that changes the policy, and reads the
// roles that its rules are held against.
func (t *tx) lockPolicy() error {
	if t.policy > 0 {
		return nil
	}
	var roles int64
	if err := t.one(`UPDATE policy SET version = version + 1 WHERE id = 1 RETURNING version, roles`).scan(&t.policy, &roles); err != nil {
		return err
	}
	t.read = t.kept
	if t.read == nil || t.read.Version() != roles {
		all, err := readRoles(t.all)
		if err != nil {
			return err
		}
		if t.read, err = rbac.NewSnapshot(roles, all); err != nil {
			return err
		}
	}
	t.roles = t.read
	return nil
}

// grantsOfActor returns the grants of whoever acts, who must be active, and the
// scopes that he acts with: those of a client are bounded by its registration, too.
func (t *tx) grantsOfActor(by principal.Principal) (grants []rbac.Grant, scopes []string, err error) {
	statement, active := `SELECT status, '[]' FROM users WHERE id = ?`, string(account.Active)
	if by.Kind == principal.Service {
		statement, active = `SELECT status, scopes FROM clients WHERE id = ?`, string(client.Active)
	}
	var status, list string
	if err := t.one(statement, by.ID).scan(&status, &list); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, nil, err
	}
	if status != active {
		return nil, nil, fault.New(fault.Denied, "your account is not active any more")
	}
	scopes = by.Scopes
	if by.Kind == principal.Service {
		var registered []string
		if err := json.Unmarshal([]byte(list), &registered); err != nil {
			return nil, nil, err
		}
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(registered, s) })
	}
	grants, err = readGrants(t.all, by.ID)
	return grants, scopes, err
}

// giver returns the permissions that by may give until a time; zero is for ever.
func (t *tx) giver(by principal.Principal, until time.Time) (rbac.Set, error) {
	return t.actor(by, func(grants []rbac.Grant) []rbac.Grant { return rbac.Lasting(grants, t.now, until) })
}

// toucher returns the permissions that by acts on others with.
func (t *tx) toucher(by principal.Principal) (rbac.Set, error) {
	return t.actor(by, func(grants []rbac.Grant) []rbac.Grant { return grants })
}

// actor returns the permissions that the rules read for by from some of his
// grants. Whoever lost the permission that let his request pass is refused: it
// may have been on its way for a while.
func (t *tx) actor(by principal.Principal, some func([]rbac.Grant) []rbac.Grant) (rbac.Set, error) {
	if by.Trusted() {
		return t.roles.All(), nil
	}
	grants, scopes, err := t.grantsOfActor(by)
	if err != nil {
		return rbac.Set{}, err
	}
	if by.Needs != "" && (!t.roles.Effective(grants, "", t.now).Has(by.Needs) || !slices.Contains(scopes, by.Needs)) {
		return rbac.Set{}, fault.New(fault.Denied, "you do not have the permission %s any more", by.Needs)
	}
	return t.roles.Actor(t.roles.Effective(some(grants), "", t.now), scopes), nil
}

// still refuses whoever lost the permission that let his request pass, where no
// rule is held against his permissions.
func (t *tx) still(by principal.Principal) error {
	if by.Needs == "" {
		return nil
	}
	if err := t.lockPolicy(); err != nil {
		return err
	}
	_, err := t.toucher(by)
	return err
}

// mayTouch holds the rule of who may act on whom: an account, or a client, which
// holds what it may ask for in the name of others, too.
func (t *tx) mayTouch(by principal.Principal, id string, kind principal.Kind) error {
	statement, what := `SELECT '[]' FROM users WHERE id = ?`, word(kind)
	if kind == principal.Service {
		statement = `SELECT scopes FROM clients WHERE id = ?`
	}
	if !text(id) {
		return absent(sql.ErrNoRows, what)
	}
	var list string
	if err := t.one(statement, id).scan(&list); err != nil {
		return absent(err, what)
	}
	var scopes []string
	if err := json.Unmarshal([]byte(list), &scopes); err != nil {
		return err
	}
	actor, err := t.toucher(by)
	if err != nil {
		return err
	}
	grants, err := readGrants(t.all, id)
	if err != nil {
		return err
	}
	if err := rbac.MayTouch(actor, t.roles.Set(scopes)); err != nil {
		return err
	}
	return rbac.MayTouch(actor, t.roles.Effective(grants, "", t.now).Set)
}

// word is what people call a principal of a kind that can have roles.
func word(kind principal.Kind) string {
	if kind == principal.Service {
		return "client"
	}
	return "user"
}

// keepingAdmin runs a change after which an active account still holds the
// administrator's role without end, if one did before.
func (t *tx) keepingAdmin(change func() error) error {
	before, err := t.admins(t.roles)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	if !before {
		return nil
	}
	after, err := t.admins(t.roles)
	if err == nil && !after {
		return fault.New(fault.Conflict, "it would leave no administrator; make another one first")
	}
	return err
}

func (t *tx) admins(roles *rbac.Snapshot) (bool, error) { return holdsAdmin(roles, t.one) }

func holdsAdmin(roles *rbac.Snapshot, one func(statement string, args ...any) row) (bool, error) {
	names := roles.RolesReaching(rbac.AdminRole)
	if len(names) == 0 {
		return false, nil
	}
	args := []any{string(account.Active)}
	for _, name := range names {
		args = append(args, name)
	}
	var found int64
	err := one(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM grants JOIN users ON users.id = grants.principal
		WHERE users.status = ? AND grants.until = 0 AND grants.organization = '' AND grants.role IN (?`+strings.Repeat(", ?", len(names)-1)+`)
		LIMIT 1) AS holders`, args...).scan(&found)
	return found > 0, err
}

// changeRoles runs a change of roles: the rule first, then the write, then what
// others must know. next is the policy as it will be.
func (t *tx) changeRoles(name string, next *rbac.Snapshot, write func() error) error {
	var lost []string // the roles whose holders lose something
	for _, role := range t.roles.RolesReaching(name) {
		if !next.OfRole(role).Covers(t.roles.OfRole(role)) {
			lost = append(lost, role)
		}
	}
	before := t.roles
	if err := t.keepingAdmin(func() error { t.roles = next; return write() }); err != nil {
		t.roles = before
		return err
	}
	if _, err := t.exec(`UPDATE policy SET roles = version WHERE id = 1`); err != nil {
		return err
	}
	if err := t.changed(feed.Roles, name, t.policy); err != nil {
		return err
	}
	for _, role := range lost {
		if err := t.changed(feed.RoleNarrows, role, t.policy); err != nil {
			return err
		}
	}
	return nil
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
			if err := t.changed(feed.Grants, holder, 0); err != nil {
				return err
			}
		}
		return t.record(roleChanged(e, before, rbac.Role{}))
	})
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
