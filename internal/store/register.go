package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
)

// RegisterClient writes a client that somebody without an account registers.
func (s *Store) RegisterClient(ctx context.Context, c client.Client, k secret.Kept, n client.Enrolment, e audit.Event) error {
	scopes, err := listText(n.Scopes)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if n.Token != "" {
			if err := t.useInitial(n.Token, c.Scopes, n.Scopes); err != nil {
				return err
			}
		}
		if err := t.insertClient(c, k, e); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO registrations (client_id, hash, scopes, token, used, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
			n.Client, n.Hash[:], scopes, n.Token, false, clock.Micro(n.At))
		return err
	})
}

// useInitial uses up one use of a token, whose maker held what the client may ask for, past
// what everybody may.
func (t *tx) useInitial(id string, asked, most []string) error {
	gone := fault.New(fault.Unauthenticated, "the initial access token is not good: it was used up, or revoked")
	var list string
	err := t.one(`UPDATE registration_tokens SET uses = uses - 1 WHERE id = ? AND uses > 0 AND expires_at > ? RETURNING scopes`, id, clock.Micro(t.now)).scan(&list)
	if errors.Is(err, sql.ErrNoRows) {
		return gone
	} else if err != nil {
		return err
	}
	var scopes []string
	if err := json.Unmarshal([]byte(list), &scopes); err != nil {
		return err
	}
	for _, scope := range slices.Concat(asked, most) {
		if !rbac.IdentityScope(scope) && !slices.Contains(scopes, scope) {
			return gone
		}
	}
	return nil
}

// Enrolled returns a client that was registered so.
func (s *Store) Enrolled(ctx context.Context, id string) (client.Enrolled, error) {
	if !text(id) {
		return client.Enrolled{}, absent(sql.ErrNoRows, "client")
	}
	n, err := s.one(ctx, selectEnrolment, id).enrolment()
	if err != nil {
		return client.Enrolled{}, err
	}
	c, err := s.Client(ctx, id)
	return client.Enrolled{Credential: c, Enrolment: n}, err
}

const selectEnrolment = `SELECT client_id, hash, scopes, token, created_at FROM registrations WHERE client_id = ?`

func (r row) enrolment() (client.Enrolment, error) {
	var n client.Enrolment
	var hash []byte
	var scopes string
	var created int64
	if err := r.scan(&n.Client, &hash, &scopes, &n.Token, &created); err != nil {
		return n, absent(err, "client")
	}
	copy(n.Hash[:], hash)
	n.At = clock.FromMicro(created)
	return n, json.Unmarshal([]byte(scopes), &n.Scopes)
}

// ReregisterClient writes what a client is registered as from now on.
func (s *Store) ReregisterClient(ctx context.Context, c client.Client, k *secret.Kept, n client.Enrolment, another bool, e audit.Event) (client.Client, error) {
	err := s.write(ctx, func(t *tx) error {
		before, err := t.uponEnrolled(n)
		if err != nil {
			return err
		}
		if before.Version != c.Version {
			return fault.New(fault.Stale, "the client was changed since it was read")
		}
		if k != nil {
			if _, err := t.exec(`UPDATE clients SET secret = ?, pepper = ?, previous = NULL, previous_pepper = 0, previous_until = 0, secret_at = ? WHERE id = ?`,
				k.MAC[:], k.Pepper, clock.Micro(c.SecretAt), c.ID); err != nil {
				return err
			}
		}
		if another {
			if err := t.disown(c.ID); err != nil {
				return err
			}
			e = e.With("consents", "withdrawn")
		}
		return t.rewriteClient(before, c, another, e)
	})
	c.Version++
	return c, err
}

// uponEnrolled begins a change of a client by what it was given when it was registered. No
// client that is disabled changes itself.
func (t *tx) uponEnrolled(n client.Enrolment) (client.Client, error) {
	if err := t.lockPolicy(); err != nil {
		return client.Client{}, err
	}
	now, err := t.one(selectEnrolment, n.Client).enrolment()
	if err != nil {
		return client.Client{}, err
	}
	c, err := t.client(n.Client)
	if err == nil && (!now.Hash.Equal(n.Hash) || c.Status != client.Active) {
		err = absent(sql.ErrNoRows, "client")
	}
	return c, err
}

// disown ends all that people let a client do: to them it is another one now. Its access
// tokens are void by what tells others of its change.
func (t *tx) disown(id string) error {
	if _, err := t.exec(`DELETE FROM consents WHERE client_id = ?`, id); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE codes SET expires_at = 0 WHERE client_id = ? AND used_at = 0`, id); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE devices SET decision = ? WHERE client_id = ? AND used_at = 0`, string(grant.Denied), id); err != nil {
		return err
	}
	return t.endFamiliesOf(id, "consent-withdrawn")
}

// UnregisterClient deletes a client by what it was given when it was registered.
func (s *Store) UnregisterClient(ctx context.Context, n client.Enrolment, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		c, err := t.uponEnrolled(n)
		if err != nil {
			return err
		}
		return t.removeClient(c, e)
	})
}

// adopt ends that a client changes itself: an administrator did.
func (t *tx) adopt(id string, e audit.Event) (audit.Event, error) {
	n, err := t.exec(`DELETE FROM registrations WHERE client_id = ?`, id)
	if n > 0 {
		e = e.With("registration_access_token", "ended")
	}
	return e, err
}

// unusedBatch is how many clients one transaction deletes at the most.
const unusedBatch = 100

// PurgeUnused deletes clients that people without an account registered before a time and
// to which nobody has ever agreed, a few at once, and reports whether there may be more.
func (s *Store) PurgeUnused(ctx context.Context, before time.Time) (more bool, err error) {
	by := principal.Principal{Kind: principal.System, ID: "registration"}
	err = s.write(ctx, func(t *tx) error {
		var ids []string
		err := t.all(func(r scanner) error {
			var id string
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		}, `SELECT client_id FROM registrations WHERE used = ? AND created_at < ? ORDER BY created_at LIMIT ?`, false, clock.Micro(before), unusedBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		more = len(ids) == unusedBatch
		if err := t.lockPolicy(); err != nil {
			return err
		}
		for _, id := range ids {
			c, err := t.client(id)
			if err != nil {
				return err
			}
			if err := t.removeClient(c, audit.Now(by, t.now, audit.ClientDeleted, c.Target()).With("why", "unused")); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}
