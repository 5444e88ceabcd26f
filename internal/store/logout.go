package store

import (
	"context"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
)

// join writes that a client was signed in to under a session.
func (t *tx) join(session, client string) error {
	_, err := t.exec(`INSERT INTO session_clients (session, client_id, expires_at) SELECT id, ?, expires_at FROM sessions WHERE id = ?
		ON CONFLICT (session, client_id) DO NOTHING`, client, session)
	return err
}

// part posts to each client that was signed in to under a session, and wants to be told,
// that it is over, and so to its streams. One that came to its time is no sign-out.
func (t *tx) part(by principal.Principal, session, user, why string) error {
	var told []string
	err := t.all(func(r scanner) error {
		var id string
		err := r.Scan(&id)
		told = append(told, id)
		return err
	}, `DELETE FROM session_clients WHERE session = ? RETURNING client_id`, session)
	if err != nil || why == "expired" {
		return err
	}
	for _, id := range told {
		if err := t.revoked(by, user, session, id, why); err != nil {
			return err
		}
		c, err := t.client(id)
		if fault.KindOf(err) == fault.NotFound || err == nil && c.BackchannelLogoutURI == "" {
			continue
		} else if err != nil {
			return err
		}
		if err := t.post(outbox.Logout{User: user, Session: session, Client: id}.Letter(t.now)); err != nil {
			return err
		}
	}
	return nil
}

// unjoin forgets where a client was signed in to: who comes after it under the same id is
// not told.
func (t *tx) unjoin(client string) error {
	_, err := t.exec(`DELETE FROM session_clients WHERE client_id = ?`, client)
	return err
}

// SessionClients returns the ids of the clients that were signed in to under a session
// that lives.
func (s *Store) SessionClients(ctx context.Context, session string) ([]string, error) {
	var list []string
	err := s.all(ctx, func(r scanner) error {
		var id string
		err := r.Scan(&id)
		list = append(list, id)
		return err
	}, `SELECT client_id FROM session_clients WHERE session = ? ORDER BY client_id`, session)
	return list, err
}
