package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/resource"
)

var _ resource.Store = (*Store)(nil)

const resourceColumns = `id, identifier, name, permissions, access_ttl, alg, created_at, updated_at, version, policy`

func readResource(r scanner) (resource.Resource, error) {
	var a resource.Resource
	var permissions, alg string
	var ttl, created, updated int64
	if err := r.Scan(&a.ID, &a.Identifier, &a.Name, &permissions, &ttl, &alg, &created, &updated, &a.Version, &a.Policy); err != nil {
		return a, err
	}
	a.AccessTTL, a.Alg = time.Duration(ttl)*time.Microsecond, jose.Algorithm(alg)
	a.CreatedAt, a.UpdatedAt = clock.FromMicro(created), clock.FromMicro(updated)
	return a, json.Unmarshal([]byte(permissions), &a.Permissions)
}

func (r row) resource() (resource.Resource, error) {
	var a resource.Resource
	err := r.read(func(s scanner) (err error) { a, err = readResource(s); return err })
	return a, absent(err, "resource")
}

const selectResource = `SELECT ` + resourceColumns + ` FROM resources WHERE `

// Resource returns an API by its id.
func (s *Store) Resource(ctx context.Context, id string) (resource.Resource, error) {
	if !text(id) {
		return resource.Resource{}, absent(sql.ErrNoRows, "resource")
	}
	return s.one(ctx, selectResource+`id = ?`, id).resource()
}

// ResourceByIdentifier returns an API by what its tokens are for.
func (s *Store) ResourceByIdentifier(ctx context.Context, identifier string) (resource.Resource, error) {
	if !text(identifier) {
		return resource.Resource{}, absent(sql.ErrNoRows, "resource")
	}
	return s.one(ctx, selectResource+`identifier = ?`, identifier).resource()
}

// Resources returns a page of APIs in the order of their ids.
func (s *Store) Resources(ctx context.Context, after string, limit int) ([]resource.Resource, error) {
	var list []resource.Resource
	err := s.all(ctx, func(r scanner) error {
		a, err := readResource(r)
		list = append(list, a)
		return err
	}, selectResource+`id > ? ORDER BY id LIMIT ?`, after, limit)
	return list, err
}

func permissionsOf(a resource.Resource) (string, error) {
	text, err := json.Marshal(append([]resource.Permission{}, a.Permissions...))
	return string(text), err
}

// CreateResource writes a new API.
func (s *Store) CreateResource(ctx context.Context, by principal.Principal, a resource.Resource, e audit.Event) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.once(e); err != nil {
			return err
		}
		if err := t.lockPolicy(); err != nil {
			return err
		}
		return t.createResource(by, a, e)
	})
}

// createResource writes a new API under the lock of the policy.
func (t *tx) createResource(by principal.Principal, a resource.Resource, e audit.Event) error {
	permissions, err := permissionsOf(a)
	if err != nil {
		return err
	}
	if err := t.still(by); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO resources (`+resourceColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.Identifier, a.Name, permissions, a.AccessTTL.Microseconds(), string(a.Alg), clock.Micro(a.CreatedAt), clock.Micro(a.UpdatedAt), a.Version, t.policy)
	if key, dup := duplicate(err); dup {
		field := "id"
		if strings.Contains(key, "identifier") {
			field = "identifier"
		}
		return (&fault.Error{Kind: fault.Conflict, Field: field, Message: "another resource has it already"}).Because(err)
	} else if err != nil {
		return err
	}
	if err := t.changedResource(a, false); err != nil {
		return err
	}
	return t.record(e)
}

// UpdateResource writes an API if nobody else did since it was read.
func (s *Store) UpdateResource(ctx context.Context, by principal.Principal, a resource.Resource, e audit.Event) (resource.Resource, error) {
	var written resource.Resource
	err := s.write(ctx, func(t *tx) (err error) { written, err = t.updateResource(by, a, e); return err })
	return written, err
}

func (t *tx) updateResource(by principal.Principal, a resource.Resource, e audit.Event) (resource.Resource, error) {
	permissions, err := permissionsOf(a)
	if err != nil {
		return a, err
	}
	before, err := t.uponResource(by, a.ID, a.Version)
	if err != nil {
		return a, err
	}
	a.Policy, a.Version = t.policy, before.Version+1
	if _, err := t.exec(`UPDATE resources SET name = ?, permissions = ?, access_ttl = ?, alg = ?, updated_at = ?, version = ?, policy = ? WHERE id = ?`,
		a.Name, permissions, a.AccessTTL.Microseconds(), string(a.Alg), clock.Micro(a.UpdatedAt), a.Version, a.Policy, a.ID); err != nil {
		return a, err
	}
	if err := t.changedResource(a, a.Narrows(before)); err != nil {
		return a, err
	}
	return a, t.record(e)
}

// DeleteResource deletes an API.
func (s *Store) DeleteResource(ctx context.Context, by principal.Principal, id string, version int64, e audit.Event) error {
	return s.write(ctx, func(t *tx) error { return t.deleteResource(by, id, version, e) })
}

func (t *tx) deleteResource(by principal.Principal, id string, version int64, e audit.Event) error {
	before, err := t.uponResource(by, id, version)
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM resources WHERE id = ?`, id); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM token_exchanges WHERE resource = ?`, before.Identifier); err != nil {
		return err
	}
	before.AccessTTL = 0 // it gives no more
	if err := t.changedResource(before, true); err != nil {
		return err
	}
	return t.record(e)
}

// uponResource begins a change of an API, if it is of a version; 0 is any.
func (t *tx) uponResource(by principal.Principal, id string, version int64) (resource.Resource, error) {
	if !text(id) {
		return resource.Resource{}, absent(sql.ErrNoRows, "resource")
	}
	if err := t.lockPolicy(); err != nil {
		return resource.Resource{}, err
	}
	if err := t.still(by); err != nil {
		return resource.Resource{}, err
	}
	a, err := t.one(selectResource+`id = ?`, id).resource()
	if err == nil && version != 0 && version != a.Version {
		err = account.Changed()
	}
	return a, err
}

// changedResource tells others that an API changed. Where it narrows, tokens for it
// are void. Changes, and keys that signed, are kept from now on for as long as its
// tokens live.
func (t *tx) changedResource(a resource.Resource, narrows bool) error {
	if a.AccessTTL > 0 {
		if err := t.keepLonger(a.AccessTTL + 2*clock.Leeway); err != nil {
			return err
		}
	}
	if err := t.changed(feed.Resource, a.Identifier, t.policy); err != nil || !narrows {
		return err
	}
	return t.changed(feed.ResourceNarrows, a.Identifier, t.policy)
}
