package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
)

const initialColumns = `id, name, scopes, uses, created_by, created_at, expires_at`

func readInitial(r scanner) (client.InitialToken, error) {
	var t client.InitialToken
	var scopes string
	var created, expires int64
	if err := r.Scan(&t.ID, &t.Name, &scopes, &t.Uses, &t.CreatedBy, &created, &expires); err != nil {
		return t, err
	}
	t.CreatedAt, t.ExpiresAt = clock.FromMicro(created), clock.FromMicro(expires)
	return t, json.Unmarshal([]byte(scopes), &t.Scopes)
}

func (r row) initial() (client.InitialToken, error) {
	var t client.InitialToken
	err := r.read(func(s scanner) (err error) { t, err = readInitial(s); return err })
	return t, absent(err, "registration token")
}

// CreateInitialToken writes a token, for who holds himself what its clients may ask for.
func (s *Store) CreateInitialToken(ctx context.Context, by principal.Principal, i client.InitialToken, hash secret.Hash, e audit.Event) error {
	scopes, err := listText(i.Scopes)
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
		if err := t.givesClient(by, i.Scopes); err != nil {
			return err
		}
		var has int64
		if err := t.one(`SELECT COUNT(*) FROM registration_tokens`).scan(&has); err != nil {
			return err
		}
		if has >= client.MostInitial {
			return fault.New(fault.Conflict, "there are %d registration tokens at the most; revoke one to make another", client.MostInitial)
		}
		if _, err := t.exec(`INSERT INTO registration_tokens (hash, `+initialColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			hash[:], i.ID, i.Name, scopes, i.Uses, i.CreatedBy, clock.Micro(i.CreatedAt), clock.Micro(i.ExpiresAt)); err != nil {
			return err
		}
		return t.record(e)
	})
}

// listText returns a list as it is kept.
func listText(list []string) (string, error) {
	if list == nil {
		list = []string{}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// InitialToken returns a token by its id.
func (s *Store) InitialToken(ctx context.Context, id string) (client.InitialToken, error) {
	if !text(id) {
		return client.InitialToken{}, absent(sql.ErrNoRows, "registration token")
	}
	return s.one(ctx, `SELECT `+initialColumns+` FROM registration_tokens WHERE id = ?`, id).initial()
}

// InitialTokenBy returns a token by the digest of its secret.
func (s *Store) InitialTokenBy(ctx context.Context, hash secret.Hash) (client.InitialToken, error) {
	return s.one(ctx, `SELECT `+initialColumns+` FROM registration_tokens WHERE hash = ?`, hash[:]).initial()
}

// InitialTokens returns a page of tokens in the order of their ids.
func (s *Store) InitialTokens(ctx context.Context, after string, limit int) ([]client.InitialToken, error) {
	var list []client.InitialToken
	err := s.all(ctx, func(r scanner) error {
		one, err := readInitial(r)
		list = append(list, one)
		return err
	}, `SELECT `+initialColumns+` FROM registration_tokens WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
	return list, err
}

// DeleteInitialToken ends a token, for who could give what it gives.
func (s *Store) DeleteInitialToken(ctx context.Context, by principal.Principal, id string, e audit.Event) error {
	if !text(id) {
		return absent(sql.ErrNoRows, "registration token")
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.lockPolicy(); err != nil {
			return err
		}
		i, err := t.one(`SELECT `+initialColumns+` FROM registration_tokens WHERE id = ?`, id).initial()
		if err != nil {
			return err
		}
		actor, err := t.toucher(by)
		if err != nil {
			return err
		}
		if err := rbac.MayTouch(actor, t.roles.Set(i.Scopes)); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM registration_tokens WHERE id = ?`, id); err != nil {
			return err
		}
		return t.record(e)
	})
}

// Invites reports whether there is a token that registers a client at a time.
func (s *Store) Invites(ctx context.Context, now time.Time) (bool, error) {
	var found int64
	err := s.one(ctx, `SELECT 1 FROM registration_tokens WHERE expires_at > ? AND uses > 0 LIMIT 1`, clock.Micro(now)).scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return found > 0, err
}
