package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
)

var _ client.Store = (*Store)(nil)

const clientColumns = `id, name, status, method, grants, scopes, default_scopes, audiences, secret, pepper, previous, previous_pepper, previous_until,
	secret_at, created_at, updated_at, version, registration`

func readClient(r scanner) (client.Credential, error) {
	var k client.Credential
	c := &k.Client
	var status, method, grants, scopes, standing, audiences, registration string
	var present, previous []byte
	var until, secretAt, created, updated int64
	if err := r.Scan(&c.ID, &c.Name, &status, &method, &grants, &scopes, &standing, &audiences, &present, &k.Present.Pepper,
		&previous, &k.Previous.Pepper, &until, &secretAt, &created, &updated, &c.Version, &registration); err != nil {
		return k, err
	}
	copy(k.Present.MAC[:], present)
	copy(k.Previous.MAC[:], previous)
	c.Status, c.Method = client.Status(status), oauth.AuthMethod(method)
	c.Previous, c.SecretAt, c.CreatedAt, c.UpdatedAt = clock.FromMicro(until), clock.FromMicro(secretAt), clock.FromMicro(created), clock.FromMicro(updated)
	return k, errors.Join(json.Unmarshal([]byte(grants), &c.Grants), json.Unmarshal([]byte(scopes), &c.Scopes),
		json.Unmarshal([]byte(standing), &c.Default), json.Unmarshal([]byte(audiences), &c.Audiences), json.Unmarshal([]byte(registration), &c.Registration))
}

const selectClient = `SELECT ` + clientColumns + ` FROM clients WHERE id = ?`

func (r row) client() (client.Credential, error) {
	var c client.Credential
	err := r.read(func(s scanner) (err error) { c, err = readClient(s); return err })
	return c, absent(err, "client")
}

// clientLists returns the lists of a client as they are kept, in the order of the
// columns.
func clientLists(c client.Client) (texts []any, err error) {
	for _, list := range []any{c.Grants, c.Scopes, c.Default, c.Audiences} {
		text, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		if string(text) == "null" {
			text = []byte("[]")
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// CreateClient writes a new client.
func (s *Store) CreateClient(ctx context.Context, by principal.Principal, c client.Client, k secret.Kept, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.createClient(by, c, k, e)
	})
}

// createClient writes a new client under the lock of the policy.
func (t *tx) createClient(by principal.Principal, c client.Client, k secret.Kept, e audit.Event) error {
	if err := t.givesClient(by, c.Scopes); err != nil {
		return err
	}
	return t.insertClient(c, k, e)
}

// insertClient writes a new client, for which somebody answers.
func (t *tx) insertClient(c client.Client, k secret.Kept, e audit.Event) error {
	lists, err := clientLists(c)
	if err != nil {
		return err
	}
	registration, err := json.Marshal(c.Registration)
	if err != nil {
		return err
	}
	args := append([]any{c.ID, c.Name, string(c.Status), string(c.Method)}, lists...)
	args = append(args, k.MAC[:], k.Pepper, clock.Micro(c.SecretAt), clock.Micro(c.CreatedAt), clock.Micro(c.UpdatedAt), c.Version, string(registration))
	_, err = t.exec(`INSERT INTO clients (`+clientColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0, ?, ?, ?, ?, ?)`, args...)
	if _, dup := duplicate(err); dup {
		return (&fault.Error{Kind: fault.Conflict, Field: "client_id", Message: "another client has it already"}).Because(err)
	} else if err != nil {
		return err
	}
	if err := t.changed(feed.Client, c.ID, c.Version); err != nil {
		return err
	}
	return t.record(e)
}

// Client returns a client with what proves it.
func (s *Store) Client(ctx context.Context, id string) (client.Credential, error) {
	if !text(id) {
		return client.Credential{}, absent(sql.ErrNoRows, "client")
	}
	return s.one(ctx, selectClient, id).client()
}

// Clients returns a page of clients in the order of their ids.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]client.Client, error) {
	var list []client.Client
	err := s.all(ctx, func(r scanner) error {
		c, err := readClient(r)
		list = append(list, c.Client)
		return err
	}, `SELECT `+clientColumns+` FROM clients WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
	return list, err
}

// UpdateClient writes a client if nobody else did since it was read.
func (s *Store) UpdateClient(ctx context.Context, by principal.Principal, c client.Client, e audit.Event) (client.Client, error) {
	err := s.write(ctx, func(t *tx) error { return t.updateClient(by, c, e) })
	c.Version++
	return c, err
}

func (t *tx) updateClient(by principal.Principal, c client.Client, e audit.Event) error {
	before, err := t.uponClient(by, c.ID, c.Version)
	if err != nil {
		return err
	}
	// What it gains is given; a client that comes back to life gains all. Whoever names
	// the keys that prove it may have one of them, and with it all that the client may.
	given := before.Beyond(c.Scopes)
	if before.Status != client.Active && c.Status == client.Active || gainsGrant(before, c) || before.Opens(c) {
		given = c.Scopes
	}
	if err := t.givesClient(by, given); err != nil {
		return err
	}
	if !sameButStatus(before, c) {
		if e, err = t.adopt(c.ID, e); err != nil {
			return err
		}
	}
	return t.rewriteClient(before, c, false, e)
}

// rewriteClient writes what may be changed of a client. What it loses makes its tokens
// void, and all does if it is another one now.
func (t *tx) rewriteClient(before, c client.Client, another bool, e audit.Event) error {
	lists, err := clientLists(c)
	if err != nil {
		return err
	}
	registration, err := json.Marshal(c.Registration)
	if err != nil {
		return err
	}
	args := append([]any{c.Name, string(c.Status), string(c.Method)}, lists...)
	if _, err := t.exec(`UPDATE clients SET name = ?, status = ?, method = ?, grants = ?, scopes = ?, default_scopes = ?, audiences = ?, registration = ?, updated_at = ?,
		version = version + 1 WHERE id = ?`, append(args, string(registration), clock.Micro(c.UpdatedAt), c.ID)...); err != nil {
		return err
	}
	loses := another || c.Status != client.Active || len(c.Beyond(before.Scopes)) > 0 || gainsGrant(c, before)
	if err := t.changedClient(c.ID, before.Version+1, loses); err != nil {
		return err
	}
	return t.record(e)
}

// givesClient holds the rule of what by may let a client ask for: it lasts.
func (t *tx) givesClient(by principal.Principal, scopes []string) error {
	actor, err := t.giver(by, time.Time{})
	if err != nil {
		return err
	}
	return rbac.MayGive(actor, t.roles.Set(scopes))
}

// sameButStatus reports whether a change is of nothing but whether a client may be used.
func sameButStatus(before, after client.Client) bool {
	before.Status = after.Status
	return before.Same(after)
}

// gainsGrant reports whether after may use a grant that before may not.
func gainsGrant(before, after client.Client) bool {
	return slices.ContainsFunc(after.Grants, func(g oauth.GrantType) bool { return !before.May(g) })
}

// changedClient tells others that a client changed. Tokens that carry what it lost
// are void.
func (t *tx) changedClient(id string, version int64, loses bool) error {
	if err := t.changed(feed.Client, id, version); err != nil || !loses {
		return err
	}
	return t.changed(feed.GrantLost, id, t.policy)
}

// RotateClientSecret writes another secret of a client. Whoever makes it has it, and
// with it all that the client may: it is given to him, past the end of his own roles.
func (s *Store) RotateClientSecret(ctx context.Context, by principal.Principal, c client.Client, k secret.Kept, e audit.Event) (client.Client, error) {
	err := s.write(ctx, func(t *tx) error {
		before, err := t.uponClient(by, c.ID, c.Version)
		if err != nil {
			return err
		}
		if err := t.givesClient(by, before.Scopes); err != nil {
			return err
		}
		previous := `previous = secret, previous_pepper = pepper`
		if c.Previous.IsZero() {
			previous = `previous = NULL, previous_pepper = 0`
		}
		if _, err := t.exec(`UPDATE clients SET `+previous+`, previous_until = ?, secret = ?, pepper = ?, secret_at = ?, updated_at = ?, version = version + 1 WHERE id = ?`,
			clock.Micro(c.Previous), k.MAC[:], k.Pepper, clock.Micro(c.SecretAt), clock.Micro(c.UpdatedAt), c.ID); err != nil {
			return err
		}
		if err := t.changedClient(c.ID, c.Version+1, false); err != nil {
			return err
		}
		return t.record(e)
	})
	c.Version++
	return c, err
}

// DeleteClient deletes a client and its grants. Its tokens are void.
func (s *Store) DeleteClient(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error { return t.deleteClient(by, id, version, e) })
}

func (t *tx) deleteClient(by principal.Principal, id string, version int64, e audit.Event) error {
	before, err := t.uponClient(by, id, version)
	if err != nil {
		return err
	}
	return t.removeClient(before, e)
}

// removeClient deletes a client under the lock of the policy.
func (t *tx) removeClient(c client.Client, e audit.Event) error {
	id := c.ID
	for _, table := range []string{`clients WHERE id`, `registrations WHERE client_id`} {
		if _, err := t.exec(`DELETE FROM `+table+` = ?`, id); err != nil {
			return err
		}
	}
	if err := t.removeGrants(id); err != nil {
		return err
	}
	if err := t.leave(id); err != nil {
		return err
	}
	if err := t.deleteKeys(`owner = ?`, id); err != nil {
		return err
	}
	if err := t.forgetExchanges(id); err != nil {
		return err
	}
	if err := t.forget("client_id", id); err != nil {
		return err
	}
	if err := t.endFamiliesOf(id, "client-deleted"); err != nil {
		return err
	}
	if err := t.unjoin(id); err != nil {
		return err
	}
	if err := t.deleteStreams(`client_id = ?`, id); err != nil {
		return err
	}
	if err := t.changedClient(id, c.Version+1, true); err != nil {
		return err
	}
	return t.record(e)
}

// endFamiliesOf ends the families of a client. Its access tokens are void by what tells
// others of its change: the families need not be told one by one.
func (t *tx) endFamiliesOf(id, why string) error {
	_, err := t.exec(`UPDATE token_families SET ended_at = ?, ended_why = ?, grace_salt = NULL WHERE ended_at = 0 AND client_id = ?`, clock.Micro(t.now), why, id)
	return err
}

// uponClient begins a change of a client that by may touch, if it is of a version;
// 0 is any.
func (t *tx) uponClient(by principal.Principal, id string, version int64) (client.Client, error) {
	if err := t.lockPolicy(); err != nil {
		return client.Client{}, err
	}
	if err := t.mayTouch(by, id, principal.Service); err != nil {
		return client.Client{}, err
	}
	c, err := t.client(id)
	if err == nil && version != 0 && version != c.Version {
		err = account.Changed()
	}
	return c, err
}

// issuedColumns are in the order of Store.issuedRow.
var issuedColumns = []column{{"client", "text"}, {"version", "bigint"}, {"created", "bigint"}}

// issued records that clients were given tokens which still are as they were known.
var issued = func() string {
	columns := recorded(issuedColumns)
	return `WITH made AS (SELECT a.* FROM ` + rowsOf(columns) + ` JOIN clients AS c ON c.id = a.client WHERE ` + sameClient("a.version", "a.created") + `)` +
		keepMade + ` SELECT n FROM made`
}()

// sameClient is the condition that a client c is as it was known, and active.
func sameClient(version, created string) string {
	return `c.version = ` + version + ` AND c.created_at = ` + created + ` AND c.status = '` + string(client.Active) + `'`
}

// IssueToClient records that a client that acts for itself was given a token, if it
// still is the client that proved itself, active and registered for that. Who issues
// read the version of the policy that the token names only after the client: what the
// client lost in between, that version does not make void.
func (s *Store) IssueToClient(ctx context.Context, c client.Client, to issue.Issuance, e audit.Event) error {
	records := recordsOf(e)
	// On PostgreSQL, tokens of clients that nobody has changed are recorded together.
	if p := s.batches(records); p != nil && to.Run == nil && to.Organization == "" && mayGet(c, to.Grant, to.Scopes) && text(c.ID) {
		done, err := p.issued.do(ctx, append([]any{c.ID, c.Version, clock.Micro(c.CreatedAt)}, eventArgs(records)...))
		if done || err != nil {
			return outage(err)
		}
	}
	return s.through(ctx, s.db.record, func(t *tx) error {
		if err := t.stillMay(c, to.Grant, to.Scopes); err != nil {
			return err
		}
		if err := t.member(to.Organization, c.ID); err != nil {
			return err
		}
		if err := t.keepRun(to.Run); err != nil {
			return err
		}
		t.keep(records)
		return nil
	})
}

// mayGet reports whether a client may get scopes by a grant.
func mayGet(c client.Client, g oauth.GrantType, scopes []string) bool {
	return c.May(g) && len(c.Beyond(scopes)) == 0
}

// stillMay returns an Unauthenticated fault if a client is not what proved itself any
// more, and a Denied one if it may not get scopes by a grant any more.
func (t *tx) stillMay(c client.Client, g oauth.GrantType, scopes []string) error {
	if mayGet(c, g, scopes) {
		same, err := t.same(c)
		if same || err != nil {
			return err
		}
	}
	now, err := t.client(c.ID)
	switch {
	case fault.KindOf(err) == fault.NotFound || err == nil && (now.Status != client.Active || !now.CreatedAt.Equal(c.CreatedAt)):
		return fault.New(fault.Unauthenticated, "the client is not active any more")
	case err != nil:
		return err
	case !mayGet(now, g, scopes):
		return &fault.Error{Kind: fault.Denied, Field: "scope", Message: "the client may not ask for this any more"}
	}
	return nil
}

// same reports whether a client is as it was known, and active. It reads no more than
// that: most of what a client is registered for is long.
func (t *tx) same(c client.Client) (bool, error) {
	if !text(c.ID) {
		return false, nil
	}
	var one int
	err := t.one(`SELECT 1 FROM clients AS c WHERE c.id = ? AND `+sameClient("?", "?"), c.ID, c.Version, clock.Micro(c.CreatedAt)).scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// client returns a client as the transaction sees it.
func (t *tx) client(id string) (client.Client, error) {
	if !text(id) {
		return client.Client{}, absent(sql.ErrNoRows, "client")
	}
	c, err := t.one(selectClient, id).client()
	return c.Client, err
}

// RevokeToken ends a token that is no family's, by its public handle and its bit, if it has one.
func (s *Store) RevokeToken(ctx context.Context, handle, slot string, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if slot != "" {
			if err := t.changed(feed.TokenRevoked, slot, 0); err != nil {
				return err
			}
		}
		if err := t.changed(feed.FamilyEnded, handle, 0); err != nil {
			return err
		}
		return t.record(e)
	})
}
