package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
)

var _ account.Store = (*Store)(nil)

// CreateUser writes a new account.
func (s *Store) CreateUser(ctx context.Context, by principal.Principal, u account.User, hash string, e audit.Event) error {
	profile, err := json.Marshal(u.Profile)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.still(by); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO users (id, username, username_key, email, email_key, email_verified, status, name, profile,
				attributes, password, created_at, updated_at, signed_in_at, version)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`,
			u.ID, u.Username, []byte(u.Username), u.Email.String(), nullable([]byte(u.Email.Key())), u.EmailVerified, string(u.Status), u.Name,
			string(profile), string(u.Attributes), hash, clock.Micro(u.CreatedAt), clock.Micro(u.UpdatedAt), u.Version)
		if err != nil {
			return taken(err)
		}
		return t.record(e)
	})
}

// taken names the field whose value belongs to another account.
func taken(err error) error {
	constraint, ok := duplicate(err)
	if !ok {
		return err
	}
	field := "username"
	if strings.Contains(constraint, "email") {
		field = "email"
	}
	return (&fault.Error{Kind: fault.Conflict, Field: field, Message: "another account has it already"}).Because(err)
}

const userColumns = `id, username, email, email_key, email_verified, status, name, profile, attributes, password, created_at, updated_at, signed_in_at, password_at, version`

func readUser(r scanner) (account.Credential, error) {
	var c account.Credential
	u := &c.User
	var email, status, profile, attributes string
	var key []byte
	var created, updated, signedIn, changed int64
	if err := r.Scan(&u.ID, &u.Username, &email, &key, &u.EmailVerified, &status, &u.Name, &profile, &attributes, &c.Password,
		&created, &updated, &signedIn, &changed, &u.Version); err != nil {
		return c, err
	}
	u.Email, u.Status, u.Attributes = account.KeptEmail(email, string(key)), account.Status(status), json.RawMessage(attributes)
	u.CreatedAt, u.UpdatedAt, u.SignedInAt = clock.FromMicro(created), clock.FromMicro(updated), clock.FromMicro(signedIn)
	u.HasPassword, u.PasswordAt = c.Password != "", clock.FromMicro(changed)
	return c, json.Unmarshal([]byte(profile), &u.Profile)
}

func (r row) user() (account.Credential, error) {
	var c account.Credential
	err := r.read(func(s scanner) (err error) { c, err = readUser(s); return err })
	return c, absent(err, "user")
}

// User returns an account.
func (s *Store) User(ctx context.Context, id string) (account.User, error) {
	if !text(id) {
		return account.User{}, absent(sql.ErrNoRows, "user")
	}
	c, err := s.one(ctx, `SELECT `+userColumns+` FROM users WHERE id = ?`, id).user()
	return c.User, err
}

// CredentialOf returns the account that a login name belongs to.
func (s *Store) CredentialOf(ctx context.Context, l account.Login) (account.Credential, error) {
	if l.Username != "" {
		return s.one(ctx, `SELECT `+userColumns+` FROM users WHERE username_key = ?`, []byte(l.Username)).user()
	}
	return s.one(ctx, `SELECT `+userColumns+` FROM users WHERE email_key = ? AND (email_verified OR ?)`, []byte(l.EmailKey), l.Unverified).user()
}

// Users returns a page of accounts in the order of their ids, which is that of
// their making.
func (s *Store) Users(ctx context.Context, f account.Filter) ([]account.User, error) {
	query, args := `SELECT `+userColumns+` FROM users WHERE id > ?`, []any{f.After}
	if f.Status != "" {
		query, args = query+` AND status = ?`, append(args, string(f.Status))
	}
	if f.Prefix != "" {
		from, to := []byte(f.Prefix), append([]byte(f.Prefix), 0xff) // no UTF-8 text has a byte FF
		query += ` AND (username_key >= ? AND username_key < ? OR email_key >= ? AND email_key < ?)`
		args = append(args, from, to, from, to)
	}
	var list []account.User
	err := s.all(ctx, func(r scanner) error {
		c, err := readUser(r)
		list = append(list, c.User)
		return err
	}, query+` ORDER BY id LIMIT ?`, append(args, f.Limit)...)
	return list, err
}

// UpdateUser writes an account if nobody else did since it was read.
func (s *Store) UpdateUser(ctx context.Context, by principal.Principal, u account.User, e audit.Event) (account.User, error) {
	profile, err := json.Marshal(u.Profile)
	if err != nil {
		return account.User{}, err
	}
	err = s.write(ctx, func(t *tx) error {
		disabled := u.Status == account.Disabled
		return t.upon(by, u.ID, disabled, func() error {
			n, err := t.exec(`UPDATE users SET username = ?, username_key = ?, email = ?, email_key = ?, email_verified = ?, status = ?, name = ?,
					profile = ?, attributes = ?, updated_at = ?, version = version + 1 WHERE id = ? AND version = ?`,
				u.Username, []byte(u.Username), u.Email.String(), nullable([]byte(u.Email.Key())), u.EmailVerified, string(u.Status), u.Name,
				string(profile), string(u.Attributes), clock.Micro(u.UpdatedAt), u.ID, u.Version)
			if err != nil {
				return taken(err)
			}
			if n == 0 {
				return account.Changed()
			}
			if disabled {
				if err := t.endAll(by, "disabled", u.ID); err != nil {
					return err
				}
				// What his API keys were exchanged for belongs to no family.
				if err := t.changed(feed.GrantLost, u.ID, t.policy); err != nil {
					return err
				}
			}
			if err := t.changed(feed.Account, u.ID, u.Version+1); err != nil {
				return err
			}
			return t.record(e)
		})
	})
	u.Version++
	return u, err
}

// UnlockUser records that by had an account unlocked.
func (s *Store) UnlockUser(ctx context.Context, by principal.Principal, id string, e audit.Event) error {
	if !text(id) {
		return absent(sql.ErrNoRows, "user")
	}
	return s.write(ctx, func(t *tx) error {
		return t.upon(by, id, false, func() error {
			var found string
			if err := t.one(`SELECT id FROM users WHERE id = ?`, id).scan(&found); err != nil {
				return absent(err, "user")
			}
			return t.record(e)
		})
	})
}

// DeleteUser deletes an account, its grants and what was signed in with it.
func (s *Store) DeleteUser(ctx context.Context, by principal.Principal, d account.Deletion, events ...audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		return t.upon(by, d.ID, true, func() error {
			var present int64
			err := t.one(`DELETE FROM users WHERE id = ? AND (version = ? OR ? = 0) RETURNING version`, d.ID, d.Version, d.Version).scan(&present)
			if errors.Is(err, sql.ErrNoRows) {
				return account.Changed()
			} else if err != nil {
				return err
			}
			if err := t.removeGrants(d.ID); err != nil {
				return err
			}
			if err := t.leave(d.ID); err != nil {
				return err
			}
			if err := t.deleteKeys(`owner = ?`, d.ID); err != nil {
				return err
			}
			if err := t.unpost(d.ID); err != nil {
				return err
			}
			if err := t.endAll(by, "deleted", d.ID); err != nil {
				return err
			}
			if err := t.forgetPlaces(d.ID); err != nil {
				return err
			}
			if err := t.forget("user_id", d.ID); err != nil {
				return err
			}
			if err := t.changed(feed.Account, d.ID, present+1); err != nil {
				return err
			}
			if err := t.changed(feed.Grants, d.ID, t.policy); err != nil {
				return err
			}
			if err := t.record(events...); err != nil || !d.Erase {
				return err
			}
			return t.erase(by, d.ID) // also what the events above tell of the person
		})
	})
}

// upon runs a change of an account that by may touch. A change that takes the
// account out of use waits its turn with those of the policy, and leaves an
// administrator.
func (t *tx) upon(by principal.Principal, id string, removes bool, change func() error) error {
	own := by.Kind == principal.User && by.ID == id
	if own {
		if err := t.still(by); err != nil {
			return err
		}
	}
	if !removes && (own || by.Trusted()) {
		return change()
	}
	if err := t.lockPolicy(); err != nil {
		return err
	}
	if !own {
		if err := t.mayTouch(by, id, principal.User); err != nil {
			return err
		}
	}
	if !removes {
		return change()
	}
	return t.keepingAdmin(change)
}
