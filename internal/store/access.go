package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/doorward/doorward/internal/access"
)

var _ access.Store = (*Store)(nil)

// KeepDecisions writes decisions down.
func (s *Store) KeepDecisions(ctx context.Context, list []access.Record) error {
	return s.write(ctx, func(t *tx) error {
		for _, r := range list {
			data, err := json.Marshal(r)
			if err != nil {
				return err
			}
			if _, err := t.exec(`INSERT INTO decisions (id, data) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`, r.ID, string(data)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Decision returns a decision that was kept.
func (s *Store) Decision(ctx context.Context, id string) (access.Record, error) {
	var r access.Record
	if !text(id) {
		return r, absent(sql.ErrNoRows, "decision")
	}
	var data string
	if err := s.one(ctx, `SELECT data FROM decisions WHERE id = ?`, id).scan(&data); err != nil {
		return r, absent(err, "decision")
	}
	err := json.Unmarshal([]byte(data), &r)
	return r, err
}
