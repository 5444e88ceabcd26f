package store

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/ssf"
)

var _ keyring.Store = (*Store)(nil)

// SigningKeys returns the signing keys of all purposes, sealed.
func (s *Store) SigningKeys(ctx context.Context) ([]keyring.Sealed, error) {
	var list []keyring.Sealed
	err := s.all(ctx, func(r scanner) error {
		var k keyring.Sealed
		var alg string
		var created, from, retired int64
		err := r.Scan(&k.ID, &k.Purpose, &alg, &k.Ordinal, &k.Blob, &created, &from, &retired)
		k.Alg, k.CreatedAt, k.ActiveFrom, k.RetiredAt = jose.Algorithm(alg), clock.FromMicro(created), clock.FromMicro(from), clock.FromMicro(retired)
		list = append(list, k)
		return err
	}, `SELECT id, purpose, alg, ordinal, sealed, created_at, active_from, retired_at FROM signing_keys`)
	return list, err
}

// CreateSigningKey writes a new key, unless another took the same place.
func (s *Store) CreateSigningKey(ctx context.Context, k keyring.Sealed, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO signing_keys (id, purpose, ordinal, alg, sealed, created_at, active_from, retired_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
			k.ID, k.Purpose, k.Ordinal, string(k.Alg), k.Blob, clock.Micro(k.CreatedAt), clock.Micro(k.ActiveFrom))
		if _, dup := duplicate(err); dup {
			return fault.New(fault.Conflict, "another process made a key at the same time").Because(err)
		} else if err != nil {
			return err
		}
		if err := t.changed(feed.Keys, k.ID, k.Ordinal); err != nil {
			return err
		}
		return t.record(e)
	})
}

// RetireSigningKey withdraws a key.
func (s *Store) RetireSigningKey(ctx context.Context, id string, at time.Time, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE signing_keys SET retired_at = ? WHERE id = ? AND retired_at = 0`, clock.Micro(at), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "there is no such signing key, or it is withdrawn already")
		}
		if err := t.changed(feed.Keys, id, 0); err != nil {
			return err
		}
		return t.record(e)
	})
}

// LongestToken returns the longest lifetime that any server on this database ever gave
// an access token, as KeepChanges knows it.
func (s *Store) LongestToken(ctx context.Context) (time.Duration, error) {
	var keep int64
	err := s.one(ctx, `SELECT keep FROM feed WHERE id = 1`).scan(&keep)
	return time.Duration(keep) * time.Microsecond, err
}

// Peppers returns all peppers, sealed.
func (s *Store) Peppers(ctx context.Context) ([]keyring.SealedPepper, error) {
	var list []keyring.SealedPepper
	err := s.all(ctx, func(r scanner) error {
		var p keyring.SealedPepper
		var created int64
		err := r.Scan(&p.Purpose, &p.Version, &p.Blob, &created)
		p.CreatedAt = clock.FromMicro(created)
		list = append(list, p)
		return err
	}, `SELECT purpose, version, sealed, created_at FROM peppers`)
	return list, err
}

// CreatePepper writes a new pepper.
func (s *Store) CreatePepper(ctx context.Context, p keyring.SealedPepper, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO peppers (purpose, version, sealed, created_at) VALUES (?, ?, ?, ?)`,
			p.Purpose, p.Version, p.Blob, clock.Micro(p.CreatedAt))
		if _, dup := duplicate(err); dup {
			return fault.New(fault.Conflict, "another process made the pepper at the same time").Because(err)
		} else if err != nil {
			return err
		}
		if err := t.changed(feed.Keys, fmt.Sprintf("%s/%d", p.Purpose, p.Version), p.Version); err != nil {
			return err
		}
		return t.record(e)
	})
}

// Reseal passes every sealed blob through change.
func (s *Store) Reseal(ctx context.Context, change func(place string, blob []byte) ([]byte, error), e audit.Event) (int, error) {
	n := 0
	err := s.write(ctx, func(t *tx) error {
		n = 0
		// Whoever makes a key meanwhile seals it under the new master key already.
		type row struct {
			place, where string
			blob         []byte
			key          []any
		}
		var rows []row
		if err := t.all(func(r scanner) error {
			var id string
			var blob []byte
			err := r.Scan(&id, &blob)
			rows = append(rows, row{"signing_keys/" + id + "/private", `signing_keys SET sealed = ? WHERE id = ?`, blob, []any{id}})
			return err
		}, `SELECT id, sealed FROM signing_keys`); err != nil {
			return err
		}
		if err := t.all(func(r scanner) error {
			var purpose string
			var version int64
			var blob []byte
			err := r.Scan(&purpose, &version, &blob)
			rows = append(rows, row{fmt.Sprintf("peppers/%s/%d/secret", purpose, version), `peppers SET sealed = ? WHERE purpose = ? AND version = ?`, blob, []any{purpose, version}})
			return err
		}, `SELECT purpose, version, sealed FROM peppers`); err != nil {
			return err
		}
		for _, kept := range []struct {
			table, key string
			place      func(string) string
		}{{"certificates", "name", CertificatePlace}, {"ssf_streams", "id", ssf.Place}} {
			if err := t.all(func(r scanner) error {
				var name string
				var blob []byte
				err := r.Scan(&name, &blob)
				rows = append(rows, row{kept.place(name), kept.table + ` SET sealed = ? WHERE ` + kept.key + ` = ?`, blob, []any{name}})
				return err
			}, `SELECT `+kept.key+`, sealed FROM `+kept.table+` WHERE sealed IS NOT NULL`); err != nil {
				return err
			}
		}
		for _, r := range rows {
			blob, err := change(r.place, r.blob)
			if err != nil {
				return err
			}
			if _, err := t.exec(`UPDATE `+r.where, append([]any{blob}, r.key...)...); err != nil {
				return err
			}
			n++
		}
		if err := t.changed(feed.Keys, "master-key", 0); err != nil {
			return err
		}
		return t.record(e)
	})
	return n, err
}
