package store

import (
	"context"

	"github.com/doorward/doorward/internal/rbac"
)

// InUse reports whether the database holds what cannot be made again: accounts,
// or what the master key seals. A database without a schema holds nothing.
func (s *Store) InUse(ctx context.Context) (bool, error) {
	applied, err := s.applied(ctx)
	if err != nil || len(applied) == 0 {
		return false, err
	}
	var found int64
	err = s.one(ctx, `SELECT COUNT(*) FROM (SELECT 1 AS one FROM users UNION ALL SELECT 1 AS one FROM signing_keys UNION ALL SELECT 1 AS one FROM peppers LIMIT 1) AS kept`).scan(&found)
	return found > 0, err
}

// HasAdmin reports whether an active account holds the administrator's role
// without end, by the roles of a snapshot.
func (s *Store) HasAdmin(ctx context.Context, roles *rbac.Snapshot) (bool, error) {
	return holdsAdmin(roles, func(statement string, args ...any) row { return s.one(ctx, statement, args...) })
}
