package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
)

var _ apikey.Store = (*Store)(nil)

const apiKeyColumns = `id, owner_kind, owner, name, scopes, networks, resources, rate, secret, pepper, previous, previous_pepper, previous_until,
	secret_at, expires_at, ended, created_by, created_at, updated_at, used_at, used_from, version`

func readAPIKey(r scanner) (apikey.Credential, error) {
	var c apikey.Credential
	k := &c.Key
	var kind, scopes, networks, resources string
	var present, previous []byte
	var rate, until, secretAt, expires, created, updated, used int64
	if err := r.Scan(&k.ID, &kind, &k.Owner.ID, &k.Name, &scopes, &networks, &resources, &rate, &present, &c.Present.Pepper,
		&previous, &c.Previous.Pepper, &until, &secretAt, &expires, &k.Over, &k.CreatedBy, &created, &updated, &used, &k.UsedFrom, &k.Version); err != nil {
		return c, err
	}
	copy(c.Present.MAC[:], present)
	copy(c.Previous.MAC[:], previous)
	k.Owner.Kind, k.Rate = principal.Kind(kind), int(rate)
	k.Previous, k.SecretAt, k.ExpiresAt = clock.FromMicro(until), clock.FromMicro(secretAt), clock.FromMicro(expires)
	k.CreatedAt, k.UpdatedAt, k.UsedAt = clock.FromMicro(created), clock.FromMicro(updated), clock.FromMicro(used)
	return c, errors.Join(json.Unmarshal([]byte(scopes), &k.Scopes), json.Unmarshal([]byte(networks), &k.Networks), json.Unmarshal([]byte(resources), &k.Resources))
}

const selectAPIKey = `SELECT ` + apiKeyColumns + ` FROM api_keys WHERE id = ?`

func (r row) apiKey() (apikey.Credential, error) {
	var c apikey.Credential
	err := r.read(func(s scanner) (err error) { c, err = readAPIKey(s); return err })
	return c, absent(err, "API key")
}

// apiKeyLists returns the lists of a key as they are kept, in the order of the columns.
func apiKeyLists(k apikey.Key) ([]any, error) {
	scopes, err := json.Marshal(append([]string{}, k.Scopes...))
	if err != nil {
		return nil, err
	}
	networks, err := json.Marshal(apikey.FormatNetworks(k.Networks))
	if err != nil {
		return nil, err
	}
	resources, err := json.Marshal(append([]string{}, k.Resources...))
	return []any{string(scopes), string(networks), string(resources)}, err
}

// CreateAPIKey writes a new key.
func (s *Store) CreateAPIKey(ctx context.Context, by principal.Principal, k apikey.Key, kept secret.Kept, e audit.Event) error {
	lists, err := apiKeyLists(k)
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
		if err := t.givesKey(by, k, k.Scopes); err != nil {
			return err
		}
		var has int64
		if err := t.one(`SELECT COUNT(*) FROM api_keys WHERE owner = ?`, k.Owner.ID).scan(&has); err != nil {
			return err
		}
		if has >= apikey.Most {
			return fault.New(fault.Conflict, "there are %d keys of one owner at the most; revoke one that is not needed", apikey.Most)
		}
		args := append([]any{k.ID, string(k.Owner.Kind), k.Owner.ID, k.Name}, lists...)
		args = append(args, int64(k.Rate), kept.MAC[:], kept.Pepper, clock.Micro(k.SecretAt), clock.Micro(k.ExpiresAt), false,
			k.CreatedBy, clock.Micro(k.CreatedAt), clock.Micro(k.UpdatedAt), k.Version)
		if _, err := t.exec(`INSERT INTO api_keys (`+apiKeyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0, ?, ?, ?, ?, ?, ?, 0, '', ?)`, args...); err != nil {
			return err
		}
		if err := t.changed(feed.APIKey, k.ID, k.Version); err != nil {
			return err
		}
		return t.record(e)
	})
}

// givesKey holds the rule of who may hand out a key: who acts on its owner, to whom what
// it gains is given, and who may give all that it can do now. Whoever makes a key has
// it. One's own keys are bounded by one's own roles at every use, so that they may
// outlast what they carry; what is another's is given past no end.
func (t *tx) givesKey(by principal.Principal, k apikey.Key, gains []string) error {
	var actor rbac.Set
	var err error
	if by.Holder() == k.Owner {
		actor, err = t.toucher(by)
	} else if err = t.mayTouch(by, k.Owner.ID, k.Owner.Kind); err == nil {
		actor, err = t.giver(by, k.ExpiresAt)
	}
	if err != nil {
		return err
	}
	held, err := t.holds(k.Owner)
	if err != nil {
		return err
	}
	if err := rbac.MayCarry(held, t.roles.Set(gains)); err != nil {
		return err
	}
	return rbac.MayGive(actor, t.roles.Set(k.Scopes).Intersect(held))
}

// holds returns what an account or a client may do now by its roles, and its
// registration.
func (t *tx) holds(o principal.Owner) (rbac.Set, error) {
	grants, err := readGrants(t.all, o.ID)
	if err != nil {
		return rbac.Set{}, err
	}
	held := t.roles.Effective(grants, "", t.now).Set
	if o.Kind != principal.Service {
		return held, nil
	}
	c, err := t.client(o.ID)
	return held.Intersect(t.roles.Set(c.Scopes)), err
}

// APIKey returns a key with what proves it.
func (s *Store) APIKey(ctx context.Context, id string) (apikey.Credential, error) {
	if !text(id) {
		return apikey.Credential{}, absent(sql.ErrNoRows, "API key")
	}
	return s.one(ctx, selectAPIKey, id).apiKey()
}

// APIKeys returns a page of keys in the order of their ids.
func (s *Store) APIKeys(ctx context.Context, owner principal.Owner, after string, limit int) ([]apikey.Key, error) {
	query, args := `SELECT `+apiKeyColumns+` FROM api_keys WHERE id > ?`, []any{after}
	if owner != (principal.Owner{}) {
		if !text(owner.ID) {
			return nil, nil
		}
		query, args = query+` AND owner = ? AND owner_kind = ?`, append(args, owner.ID, string(owner.Kind))
	}
	var list []apikey.Key
	err := s.all(ctx, func(r scanner) error {
		c, err := readAPIKey(r)
		list = append(list, c.Key)
		return err
	}, query+` ORDER BY id LIMIT ?`, append(args, limit)...)
	return list, err
}

// UpdateAPIKey writes a key if nobody else did since it was read.
func (s *Store) UpdateAPIKey(ctx context.Context, by principal.Principal, k apikey.Key, e audit.Event) (apikey.Key, error) {
	lists, err := apiKeyLists(k)
	if err != nil {
		return apikey.Key{}, err
	}
	err = s.write(ctx, func(t *tx) error {
		before, err := t.uponKey(k.ID, k.Version)
		if err != nil {
			return err
		}
		k.Owner, k.ExpiresAt = before.Owner, before.ExpiresAt // the rule is about what is there
		if err := t.givesKey(by, k, less(k.Scopes, before.Scopes)); err != nil {
			return err
		}
		args := append([]any{k.Name}, lists...)
		if _, err := t.exec(`UPDATE api_keys SET name = ?, scopes = ?, networks = ?, resources = ?, rate = ?, updated_at = ?, version = version + 1 WHERE id = ?`,
			append(args, int64(k.Rate), clock.Micro(k.UpdatedAt), k.ID)...); err != nil {
			return err
		}
		if err := t.changed(feed.APIKey, k.ID, before.Version+1); err != nil {
			return err
		}
		return t.record(e)
	})
	k.Version++
	return k, err
}

// less returns what is in a and not in b.
func less(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// RotateAPIKey writes another secret of a key.
func (s *Store) RotateAPIKey(ctx context.Context, by principal.Principal, k apikey.Key, kept secret.Kept, e audit.Event) (apikey.Key, error) {
	err := s.write(ctx, func(t *tx) error {
		before, err := t.uponKey(k.ID, k.Version)
		if err != nil {
			return err
		}
		given := before
		given.ExpiresAt = k.ExpiresAt
		if err := t.givesKey(by, given, nil); err != nil {
			return err
		}
		previous := `previous = secret, previous_pepper = pepper`
		if k.Previous.IsZero() {
			previous = `previous = NULL, previous_pepper = 0`
		}
		if _, err := t.exec(`UPDATE api_keys SET `+previous+`, previous_until = ?, secret = ?, pepper = ?, secret_at = ?, expires_at = ?, ended = ?, updated_at = ?, version = version + 1 WHERE id = ?`,
			clock.Micro(k.Previous), kept.MAC[:], kept.Pepper, clock.Micro(k.SecretAt), clock.Micro(k.ExpiresAt), k.Over, clock.Micro(k.UpdatedAt), k.ID); err != nil {
			return err
		}
		if err := t.changed(feed.APIKey, k.ID, before.Version+1); err != nil {
			return err
		}
		return t.record(e)
	})
	k.Version++
	return k, err
}

// uponKey begins a change of a key, if it is of a version; 0 is any.
func (t *tx) uponKey(id string, version int64) (apikey.Key, error) {
	if !text(id) {
		return apikey.Key{}, absent(sql.ErrNoRows, "API key")
	}
	if err := t.lockPolicy(); err != nil {
		return apikey.Key{}, err
	}
	c, err := t.one(selectAPIKey, id).apiKey()
	if err == nil && version != 0 && version != c.Key.Version {
		err = account.Changed()
	}
	return c.Key, err
}

// DeleteAPIKey deletes a key. Everybody may delete his own, whatever it carries.
func (s *Store) DeleteAPIKey(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		before, err := t.uponKey(id, version)
		if err != nil {
			return err
		}
		if by.Holder() == before.Owner {
			err = t.still(by)
		} else {
			err = t.mayTouch(by, before.Owner.ID, before.Owner.Kind)
		}
		if err != nil {
			return err
		}
		if err := t.deleteKeys(`id = ?`, id); err != nil {
			return err
		}
		return t.record(e)
	})
}

// deleteKeys deletes those keys for which a condition holds, with how they were used.
func (t *tx) deleteKeys(where string, args ...any) error {
	var ids []string
	var versions []int64
	err := t.all(func(r scanner) error {
		var id string
		var version int64
		err := r.Scan(&id, &version)
		ids, versions = append(ids, id), append(versions, version)
		return err
	}, `DELETE FROM api_keys WHERE `+where+` RETURNING id, version`, args...)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if _, err := t.exec(`DELETE FROM api_key_uses WHERE id = ?`, id); err != nil {
			return err
		}
		if err := t.changed(feed.APIKey, id, versions[i]+1); err != nil {
			return err
		}
	}
	return nil
}

// LeakAPIKey deletes a key that was found in public, and posts letters about it. It
// returns a NotFound if it is gone.
func (s *Store) LeakAPIKey(ctx context.Context, id string, e audit.Event, letters ...outbox.Letter) error {
	return s.write(ctx, func(t *tx) error {
		if _, err := t.uponKey(id, 0); err != nil {
			return err
		}
		if err := t.deleteKeys(`id = ?`, id); err != nil {
			return err
		}
		if err := t.post(letters...); err != nil {
			return err
		}
		return t.record(e)
	})
}

// EndAPIKey notes that a key was found expired: no clock revives it.
func (s *Store) EndAPIKey(ctx context.Context, id string) error {
	return s.write(ctx, func(t *tx) error {
		var version int64
		err := t.one(`UPDATE api_keys SET ended = ? WHERE id = ? AND NOT ended AND expires_at > 0 AND expires_at <= ? RETURNING version`, true, id, clock.Micro(t.now)).scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another did, or it was rotated meanwhile
		} else if err != nil {
			return err
		}
		return t.changed(feed.APIKey, id, version)
	})
}

// AddAPIKeyUses adds to what is known of how keys are used. That a key was used changes
// nothing of it that anybody keeps: there is no version, and nobody is told.
func (s *Store) AddAPIKeyUses(ctx context.Context, list []apikey.Use) error {
	return s.write(ctx, func(t *tx) error {
		for _, u := range list {
			n, err := t.exec(`UPDATE api_keys SET used_from = CASE WHEN used_at <= ? THEN ? ELSE used_from END, used_at = CASE WHEN used_at <= ? THEN ? ELSE used_at END WHERE id = ?`,
				clock.Micro(u.Last), u.From, clock.Micro(u.Last), clock.Micro(u.Last), u.Key)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // it is gone
			}
			if _, err := t.exec(`INSERT INTO api_key_uses (id, day, times) VALUES (?, ?, ?)
				ON CONFLICT (id, day) DO UPDATE SET times = api_key_uses.times + excluded.times`, u.Key, clock.Micro(u.Day), u.Times); err != nil {
				return err
			}
		}
		return nil
	})
}

// APIKeyUsage returns how often a key was used on each day since one.
func (s *Store) APIKeyUsage(ctx context.Context, id string, since time.Time) ([]apikey.Use, error) {
	if !text(id) {
		return nil, nil
	}
	var list []apikey.Use
	err := s.all(ctx, func(r scanner) error {
		u := apikey.Use{Key: id}
		var day int64
		err := r.Scan(&day, &u.Times)
		u.Day = clock.FromMicro(day)
		list = append(list, u)
		return err
	}, `SELECT day, times FROM api_key_uses WHERE id = ? AND day >= ? ORDER BY day DESC`, id, clock.Micro(since))
	return list, err
}
