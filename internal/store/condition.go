package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

var _ condition.Store = (*Store)(nil)

const selectCondition = `SELECT name, description, policy, created_at, updated_at, version FROM conditions`

func readCondition(r scanner) (condition.Condition, error) {
	var c condition.Condition
	var created, updated int64
	err := r.Scan(&c.Name, &c.Description, &c.Policy, &created, &updated, &c.Version)
	c.CreatedAt, c.UpdatedAt = clock.FromMicro(created), clock.FromMicro(updated)
	return c, err
}

// Conditions returns all conditions.
func (s *Store) Conditions(ctx context.Context) ([]condition.Condition, error) {
	var list []condition.Condition
	err := s.all(ctx, func(r scanner) error {
		c, err := readCondition(r)
		list = append(list, c)
		return err
	}, selectCondition)
	return list, err
}

// CreateCondition writes a new condition.
func (s *Store) CreateCondition(ctx context.Context, by principal.Principal, c condition.Condition, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.rulesAll(by); err != nil {
			return err
		}
		var there int64
		if err := t.one(`SELECT COUNT(*) FROM conditions`).scan(&there); err != nil {
			return err
		}
		if there >= condition.Most {
			return fault.New(fault.Conflict, "there are at most %d conditions", condition.Most)
		}
		_, err := t.exec(`INSERT INTO conditions (name, description, policy, created_at, updated_at, version) VALUES (?, ?, ?, ?, ?, ?)`,
			c.Name, c.Description, c.Policy, clock.Micro(c.CreatedAt), clock.Micro(c.UpdatedAt), c.Version)
		if _, dup := duplicate(err); dup {
			return (&fault.Error{Kind: fault.Conflict, Field: "name", Message: "another condition has it already"}).Because(err)
		} else if err != nil {
			return err
		}
		return t.conditionChanged(c.Name, c.Version, conditionChange(e, "", c.Policy))
	})
}

// ReplaceCondition gives a condition another content.
func (s *Store) ReplaceCondition(ctx context.Context, by principal.Principal, c condition.Condition, e audit.Event) (condition.Condition, error) {
	read := c.Version // c gets another at every try
	err := s.write(ctx, func(t *tx) error {
		before, err := t.uponCondition(by, c.Name, read)
		if err != nil {
			return err
		}
		c.CreatedAt, c.Version = before.CreatedAt, before.Version+1
		if _, err := t.exec(`UPDATE conditions SET description = ?, policy = ?, updated_at = ?, version = ? WHERE name = ?`,
			c.Description, c.Policy, clock.Micro(c.UpdatedAt), c.Version, c.Name); err != nil {
			return err
		}
		return t.conditionChanged(c.Name, c.Version, conditionChange(e, before.Policy, c.Policy))
	})
	return c, err
}

// DeleteCondition deletes a condition.
func (s *Store) DeleteCondition(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		before, err := t.uponCondition(by, name, version)
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM conditions WHERE name = ?`, name); err != nil {
			return err
		}
		return t.conditionChanged(name, before.Version+1, conditionChange(e, before.Policy, ""))
	})
}

// rulesAll refuses whoever does not hold everything, for good: a policy may bring
// about any permission, and it lasts.
func (t *tx) rulesAll(by principal.Principal) error {
	if err := t.lockPolicy(); err != nil {
		return err
	}
	actor, err := t.giver(by, time.Time{})
	if err != nil {
		return err
	}
	return rbac.MayGive(actor, t.roles.All())
}

// uponCondition returns a condition that by may change, if it still is of a version; 0
// is any.
func (t *tx) uponCondition(by principal.Principal, name string, version int64) (condition.Condition, error) {
	var c condition.Condition
	if err := t.rulesAll(by); err != nil {
		return c, err
	}
	err := t.one(selectCondition+` WHERE name = ?`, name).read(func(r scanner) (err error) { c, err = readCondition(r); return err })
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, condition.Absent()
	case err != nil:
		return c, err
	case version != 0 && version != c.Version:
		return c, account.Changed()
	}
	return c, nil
}

func (t *tx) conditionChanged(name string, version int64, e audit.Event) error {
	if err := t.changed(feed.Condition, name, version); err != nil {
		return err
	}
	return t.record(e)
}

// conditionChange is the event of a change, with the lines that came and that went.
func conditionChange(e audit.Event, before, after string) audit.Event {
	return e.WithChange("policy", lines(before), lines(after))
}

// lines returns those of a policy, in pieces that the log keeps whole.
func lines(policy string) []string {
	const most = 500 // bytes
	var list []string
	for line := range strings.Lines(policy) {
		for line = strings.TrimSpace(line); line != ""; {
			n := min(most, len(line))
			for n < len(line) && !utf8.RuneStart(line[n]) {
				n--
			}
			list, line = append(list, line[:n]), line[n:]
		}
	}
	return list
}
