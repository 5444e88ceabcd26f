package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

const separationColumns = `name, description, kind, roles, created_at, updated_at, version`

// Separations returns what is kept apart, sorted by name.
func (s *Store) Separations(ctx context.Context) ([]rbac.Separation, error) {
	return readSeparations(func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	})
}

func readSeparations(all func(func(scanner) error, string, ...any) error) ([]rbac.Separation, error) {
	var list []rbac.Separation
	err := all(func(r scanner) error {
		var p rbac.Separation
		var kind, roles string
		var created, updated int64
		err := r.Scan(&p.Name, &p.Description, &kind, &roles, &created, &updated, &p.Version)
		p.Kind, p.CreatedAt, p.UpdatedAt = rbac.Apart(kind), clock.FromMicro(created), clock.FromMicro(updated)
		err = errors.Join(err, json.Unmarshal([]byte(roles), &p.Roles))
		list = append(list, p)
		return err
	}, `SELECT `+separationColumns+` FROM separations ORDER BY name`)
	return list, err
}

// CreateSeparation writes a new separation, if nobody violates it.
func (s *Store) CreateSeparation(ctx context.Context, by principal.Principal, p rbac.Separation, e audit.Event) error {
	roles, err := json.Marshal(p.Roles)
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
		if _, taken := t.roles.Separation(p.Name); taken {
			return &fault.Error{Kind: fault.Conflict, Field: "name", Message: "another separation has it already"}
		}
		return t.separate(by, rbac.Separation{}, p, e, func() error {
			_, err := t.exec(`INSERT INTO separations (`+separationColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				p.Name, p.Description, string(p.Kind), string(roles), clock.Micro(p.CreatedAt), clock.Micro(p.UpdatedAt), p.Version)
			return err
		})
	})
}

// ReplaceSeparation gives a separation another content, if nobody violates that.
func (s *Store) ReplaceSeparation(ctx context.Context, by principal.Principal, p rbac.Separation, e audit.Event) (rbac.Separation, error) {
	roles, err := json.Marshal(p.Roles)
	if err != nil {
		return rbac.Separation{}, err
	}
	read := p.Version // p gets another at every try
	err = s.write(ctx, func(t *tx) error {
		before, err := t.separation(p.Name, read)
		if err != nil {
			return err
		}
		p.CreatedAt, p.Version = before.CreatedAt, before.Version+1
		return t.separate(by, before, p, e, func() error {
			_, err := t.exec(`UPDATE separations SET description = ?, kind = ?, roles = ?, updated_at = ?, version = ? WHERE name = ?`,
				p.Description, string(p.Kind), string(roles), clock.Micro(p.UpdatedAt), p.Version, p.Name)
			return err
		})
	})
	return p, err
}

// separation locks the policy and returns a separation, if it is of a version; 0 is
// any.
func (t *tx) separation(name string, version int64) (rbac.Separation, error) {
	if err := t.lockPolicy(); err != nil {
		return rbac.Separation{}, err
	}
	p, ok := t.roles.Separation(name)
	switch {
	case !ok:
		return p, fault.New(fault.NotFound, "there is no such separation")
	case version != 0 && version != p.Version:
		return p, account.Changed()
	}
	return p, nil
}

// separate changes what is kept apart: the rule first, then the write, then who
// violates it already, and what others must know.
func (t *tx) separate(by principal.Principal, before, after rbac.Separation, e audit.Event, write func() error) error {
	if err := t.maySeparate(by, before, after); err != nil {
		return err
	}
	next, err := rbac.ApplySeparation(t.roles, after)
	if err != nil {
		return err
	}
	t.roles = next
	if err := write(); err != nil {
		return err
	}
	if after.Kind == rbac.Static {
		if err := t.unviolated(after, "", nil); err != nil {
			return err
		}
	}
	if err := t.separated(); err != nil {
		return err
	}
	if after.Kind == rbac.Dynamic {
		// Whoever uses two of them has a token with one that is not the first: it is void.
		for _, role := range after.Roles[1:] {
			if err := t.changed(feed.RoleNarrows, role, t.policy); err != nil {
				return err
			}
		}
	}
	return t.record(e)
}

// maySeparate holds the rule of who may keep roles apart, or let them together: who
// holds all that they hold, as to change them.
func (t *tx) maySeparate(by principal.Principal, before, after rbac.Separation) error {
	actor, err := t.giver(by, time.Time{})
	if err != nil {
		return err
	}
	for _, role := range slices.Concat(before.Roles, after.Roles) {
		if !actor.Covers(t.roles.OfRole(role)) {
			return fault.New(fault.Denied, "you cannot decide over a role that holds what you do not: %s", role)
		}
	}
	return nil
}

// separated tells others that what is kept apart changed.
func (t *tx) separated() error {
	if _, err := t.exec(`UPDATE policy SET roles = version WHERE id = 1`); err != nil {
		return err
	}
	return t.changed(feed.Roles, "", t.policy)
}

// DeleteSeparation lets the roles of a separation be held together.
func (s *Store) DeleteSeparation(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		before, err := t.separation(name, version)
		if err != nil {
			return err
		}
		if err := t.maySeparate(by, before, rbac.Separation{}); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM separations WHERE name = ?`, name); err != nil {
			return err
		}
		if err := t.separated(); err != nil {
			return err
		}
		return t.record(e)
	})
}

// keptApart refuses what a principal holds now if a separation forbids it.
func (t *tx) keptApart(principalID, word string) error {
	if len(t.roles.Separations()) == 0 {
		return nil
	}
	return t.whole(func() error {
		grants, err := readGrants(t.all, principalID)
		if err != nil {
			return err
		}
		if c := t.roles.Clash(rbac.Static, grants, t.now); c != nil {
			return fault.New(fault.Conflict, "the %s would hold both %q and %q, which the separation %q keeps apart", word, c.Roles[0], c.Roles[1], c.Separation)
		}
		return nil
	})
}

// keptApartIn refuses what a group, and who is in it, hold now by a role if a
// separation forbids it.
func (t *tx) keptApartIn(group, role string) error {
	for _, p := range t.roles.Separations() {
		if p.Kind != rbac.Static || !slices.ContainsFunc(p.Roles, func(of string) bool { return slices.Contains(t.roles.RolesReaching(of), role) }) {
			continue
		}
		err := t.whole(func() error {
			return t.unviolated(p, `WHERE held.principal = ? OR held.principal IN (SELECT principal FROM members WHERE group_name = ?)`, []any{rbac.OfGroup(group), group})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mostApart is how many roles may lead to those of one separation: what is asked for
// in one statement.
const mostApart = 10_000

// unviolated refuses a separation that somebody violates now, of all or of those that
// a condition chooses. They may be many, so the database looks for them, and some are
// named.
func (t *tx) unviolated(p rbac.Separation, condition string, conditions []any) error {
	var args []any
	for _, part := range p.Roles {
		for _, role := range t.roles.RolesReaching(part) {
			args = append(args, role, part)
		}
	}
	if len(args) > 2*mostApart {
		return fault.New(fault.Conflict, "more than %d roles lead to those of the separation %q", mostApart, p.Name)
	}
	now := clock.Micro(t.now)
	statement := `WITH apart (role, part) AS (VALUES (?, ?)` + strings.Repeat(`, (?, ?)`, len(args)/2-1) + `),
		held (principal, role) AS (
			SELECT principal, role FROM grants WHERE (until = 0 OR until > ?)
			UNION ALL SELECT members.principal, grants.role FROM members JOIN grants ON grants.principal = 'group:' || members.group_name
				WHERE (members.until = 0 OR members.until > ?) AND (grants.until = 0 OR grants.until > ?))
		SELECT held.principal, MIN(apart.part), MAX(apart.part) FROM held JOIN apart ON apart.role = held.role ` + condition + `
		GROUP BY held.principal HAVING COUNT(DISTINCT apart.part) > 1 ORDER BY held.principal LIMIT 6`
	type violation struct{ who, one, other string }
	var found []violation
	err := t.all(func(r scanner) error {
		var v violation
		err := r.Scan(&v.who, &v.one, &v.other)
		found = append(found, v)
		return err
	}, statement, append(append(args, now, now, now), conditions...)...)
	if err != nil || len(found) == 0 {
		return err
	}
	names, more := make([]string, 0, len(found)), ""
	if len(found) > 5 {
		found, more = found[:5], " and more"
	}
	for _, v := range found {
		name, err := t.named(v.who)
		if err != nil {
			return err
		}
		names = append(names, fmt.Sprintf("%s (%s and %s)", name, v.one, v.other))
	}
	return fault.New(fault.Conflict, "the separation %q keeps apart what these would hold together: %s%s", p.Name, strings.Join(names, ", "), more)
}

// named returns a principal as the audit log names it.
func (t *tx) named(principalID string) (string, error) {
	if rbac.GroupOf(principalID) != "" {
		return principalID, nil
	}
	var users int64
	if err := t.one(`SELECT COUNT(*) FROM users WHERE id = ?`, principalID).scan(&users); err != nil {
		return "", err
	}
	if users == 0 {
		return "client:" + principalID, nil
	}
	return "user:" + principalID, nil
}
