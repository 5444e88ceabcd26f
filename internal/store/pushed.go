package store

import (
	"context"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
)

// PushRequest keeps an authorization request that a client brought.
func (s *Store) PushRequest(ctx context.Context, r grant.Pushed) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO pushed_requests (id, client_id, query, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			r.ID[:], r.Client, r.Query, clock.Micro(r.Created), clock.Micro(r.Expires))
		return err
	})
}

// PushedRequest returns an authorization request that a client brought.
func (s *Store) PushedRequest(ctx context.Context, id secret.Hash) (grant.Pushed, error) {
	r := grant.Pushed{ID: id}
	var created, expires int64
	err := s.one(ctx, `SELECT client_id, query, created_at, expires_at FROM pushed_requests WHERE id = ?`, id[:]).
		scan(&r.Client, &r.Query, &created, &expires)
	r.Created, r.Expires = clock.FromMicro(created), clock.FromMicro(expires)
	return r, absent(err, "pushed request")
}
