package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

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
		apart, err := readSeparations(t.all)
		if err != nil {
			return err
		}
		t.read = t.read.WithSeparations(apart)
	}
	t.roles = t.read
	return nil
}

// grantsOfActor returns the grants of whoever acts, who must be active, and the
// scopes that he acts with: those of a client are bounded by its registration, too,
// and those of an API key by what the key is now.
func (t *tx) grantsOfActor(by principal.Principal) (grants []rbac.Grant, scopes []string, err error) {
	holder := by.Holder()
	statement, active := `SELECT status, '[]' FROM users WHERE id = ?`, string(account.Active)
	if holder.Kind == principal.Service {
		statement, active = `SELECT status, scopes FROM clients WHERE id = ?`, string(client.Active)
	}
	var status, list string
	if err := t.one(statement, holder.ID).scan(&status, &list); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, nil, err
	}
	if status != active {
		return nil, nil, fault.New(fault.Denied, "your account is not active any more")
	}
	scopes = by.Scopes
	if holder.Kind == principal.Service {
		if scopes, err = narrowed(scopes, list); err != nil {
			return nil, nil, err
		}
	}
	if by.Kind == principal.Key {
		k, err := t.one(selectAPIKey, by.ID).apiKey()
		switch {
		case fault.KindOf(err) == fault.NotFound || err == nil && k.Key.Expired(t.now):
			return nil, nil, fault.New(fault.Denied, "your API key is not good any more")
		case err != nil:
			return nil, nil, err
		}
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(k.Key.Scopes, s) })
	}
	grants, err = readGrants(t.all, holder.ID)
	return grants, scopes, err
}

// narrowed returns those of some scopes that are in a list as it is kept.
func narrowed(scopes []string, list string) ([]string, error) {
	var registered []string
	err := json.Unmarshal([]byte(list), &registered)
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(registered, s) }), err
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
	if by.Organization != "" {
		return rbac.Set{}, fault.New(fault.Denied, "a token for an organization allows nothing on this server")
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
// holds what it may ask for in the name of others, too. What the target holds within
// organizations counts like all else; what by holds there does not help him.
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
	return rbac.MayTouch(actor, t.roles.Everywhere(grants, t.now))
}

// word is what people call a principal of a kind that can have roles.
func word(kind principal.Kind) string {
	if kind == principal.Service {
		return "client"
	}
	return "user"
}

// keepingAdmin runs a change after which an active account still holds the
// administrator's role without end, if one did before. Of changes within changes
// the outermost counts: what is between two steps of one is no state.
func (t *tx) keepingAdmin(change func() error) error {
	if t.keeping {
		return change()
	}
	before, err := t.admins(t.roles)
	if err != nil {
		return err
	}
	t.keeping = true
	err = change()
	t.keeping = false
	if err != nil {
		return err
	}
	for _, check := range t.checks {
		if err := check(); err != nil {
			return err
		}
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

// whole looks at a state once it is one: now, or after the change that this is a step
// of.
func (t *tx) whole(check func() error) error {
	if t.keeping {
		t.checks = append(t.checks, check)
		return nil
	}
	return check()
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
	held := `users.status = ? AND grants.until = 0 AND grants.organization = '' AND grants.role IN (?` + strings.Repeat(", ?", len(names)-1) + `)`
	err := one(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM grants JOIN users ON users.id = grants.principal WHERE `+held+`
		UNION ALL SELECT 1 AS one FROM grants JOIN members ON grants.principal = 'group:' || members.group_name AND members.group_name = SUBSTR(grants.principal, 7)
			JOIN users ON users.id = members.principal
			WHERE members.until = 0 AND `+held+`
		LIMIT 1) AS holders`, append(args, args...)...).scan(&found)
	return found > 0, err
}

// changeRoles makes changes of roles in one step: the rule first, then the writes,
// then what others must know. A version that is not 0 must be that of the role.
func (t *tx) changeRoles(by principal.Principal, changes ...rbac.RoleChange) error {
	changes, err := t.asTheyAre(changes)
	if err != nil {
		return err
	}
	actor, err := t.giver(by, time.Time{})
	if err != nil {
		return err
	}
	next, err := rbac.MayChangeRoles(t.roles, actor, changes...)
	if err != nil {
		return err
	}
	before := t.roles
	var holders []string
	err = t.keepingAdmin(func() error {
		t.roles, holders = next, nil
		for _, c := range changes {
			gone, err := t.writeRole(c)
			if err != nil {
				return err
			}
			holders = append(holders, gone...)
		}
		return nil
	})
	if err != nil {
		t.roles = before
		return err
	}
	for _, p := range rbac.Gaining(before, next, rbac.Static) {
		if err := t.whole(func() error { return t.unviolated(p, "", nil) }); err != nil {
			return err
		}
	}
	if _, err := t.exec(`UPDATE policy SET roles = version WHERE id = 1`); err != nil {
		return err
	}
	if err := t.tellRoles(before, changes, holders); err != nil {
		return err
	}
	for _, c := range changes {
		if err := t.record(roleChanged(c)); err != nil {
			return err
		}
	}
	return nil
}

// asTheyAre returns changes with the roles as they are before them.
func (t *tx) asTheyAre(changes []rbac.RoleChange) ([]rbac.RoleChange, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		c := &changes[i]
		if c.Before == nil {
			continue
		}
		before, ok := t.roles.Role(c.Before.Name)
		switch {
		case !ok:
			return nil, fault.New(fault.NotFound, "there is no such role")
		case c.Before.Version != 0 && c.Before.Version != before.Version:
			return nil, account.Changed()
		}
		c.Before = &before
		if c.After != nil {
			after := *c.After // the caller's is as it was, at every try
			after.CreatedAt, after.Version = before.CreatedAt, before.Version+1
			c.After = &after
		}
	}
	return changes, nil
}

// tellRoles tells others of changes of roles that were written: which they are, and
// which roles hold less than before.
func (t *tx) tellRoles(before *rbac.Snapshot, changes []rbac.RoleChange, holders []string) error {
	// What was kept of the holders goes first: whoever follows the change of a
	// role, which names the version, knows all of it. Hence their version of 0.
	if err := t.dropHoldings(holders); err != nil {
		return err
	}
	narrowed := map[string]bool{}
	for _, c := range changes {
		name := roleOf(c)
		if err := t.changed(feed.Roles, name, t.policy); err != nil {
			return err
		}
		for _, role := range before.RolesReaching(name) {
			if !narrowed[role] && !t.roles.OfRole(role).Covers(before.OfRole(role)) {
				narrowed[role] = true
				if err := t.changed(feed.RoleNarrows, role, t.policy); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// dropHoldings has others forget what holders have, before any change that names a
// version.
func (t *tx) dropHoldings(holders []string) error {
	for _, holder := range slices.Compact(slices.Sorted(slices.Values(holders))) {
		topic, key := feed.Grants, holder
		if group := rbac.GroupOf(holder); group != "" {
			topic, key = feed.Groups, group
		}
		if err := t.changed(topic, key, 0); err != nil {
			return err
		}
	}
	return nil
}

func roleOf(c rbac.RoleChange) string {
	if c.Before != nil {
		return c.Before.Name
	}
	return c.After.Name
}

// roleChanged is the event of a change of a role, with what came and what went.
func roleChanged(c rbac.RoleChange) audit.Event {
	var before, after rbac.Role
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	return c.Event.WithChange("permissions", before.Permissions, after.Permissions).WithChange("inherits", before.Inherits, after.Inherits)
}
