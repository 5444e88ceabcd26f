package main

import (
	"context"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/server"
)

const oldKey = 90 * 24 * time.Hour

// contents looks at what is in the database.
func (e *examination) contents(ctx context.Context, k *server.Core) {
	has, err := k.Store.HasAdmin(ctx, k.Roles.Snapshot())
	switch {
	case err != nil:
		e.wrong("administrator", "", "%v", err)
	case !has:
		e.wrong("administrator", "doorward user create NAME --role admin, or: doorward role grant USER admin", "no active account holds the role admin without end")
	default:
		e.ok("administrator", "there is one")
	}
	e.shipped(ctx, k)
	if err := k.Keys.Load(ctx); err != nil {
		e.wrong("keys", "is this the database's master key? its copy may be the right one", "%v", err)
		return
	}
	e.signing(k, e.began)
	e.issued(ctx, k)
	e.proof = k.DoctorProof()
}

// signing looks at the keys that sign.
func (e *examination) signing(k *server.Core, now time.Time) {
	const about = "signing keys"
	keys, states := k.Keys.Keys()
	wanted := e.c.Tokens.SigningAlg
	var active, next *keyring.Key
	for i := range keys {
		if keys[i].Purpose != keyring.Access { // of APIs that chose an algorithm: they come and go with those
			continue
		}
		if states[i] == keyring.Active && (active == nil || string(keys[i].Alg) == wanted) {
			active = &keys[i]
		}
		if states[i] == keyring.Next {
			next = &keys[i]
		}
		if keys[i].CreatedAt.After(now.Add(time.Minute)) {
			e.wrong("clock", "set this machine's clock (NTP)", "key %s was made at %s, and it is %s here", keys[i].ID, moment(keys[i].CreatedAt, ""), moment(now, ""))
		}
	}
	switch {
	case active == nil && len(keys) == 0:
		e.warn(about, "doorward serve makes the first", "there is none yet")
	case active == nil:
		e.wrong(about, "doorward signing-key rotate --now", "none is active: no token can be signed")
	case now.Sub(active.ActiveFrom) > oldKey && next == nil:
		e.warn(about, "doorward signing-key rotate", "%s signs for %d days", active.ID, int(now.Sub(active.ActiveFrom).Hours()/24))
	default:
		e.ok(about, "%s (%s) signs since %s", active.ID, active.Alg, moment(active.ActiveFrom, ""))
	}
	if active != nil && string(active.Alg) != wanted && next == nil {
		e.warn(about, "restart the server, or: doorward signing-key rotate", "tokens.signing_alg is %s, and no such key is there yet", wanted)
	}
	if next != nil {
		e.ok(about, "%s (%s) will sign from %s", next.ID, next.Alg, moment(next.ActiveFrom, ""))
	}
	if ahead := e.c.Signing.PublishAhead; ahead < provider.KeysMaxAge {
		e.warn("signing.publish_ahead", fmt.Sprintf("give it %s or more", provider.KeysMaxAge), "a new key signs after %s, and APIs may cache the published keys for %s", ahead, provider.KeysMaxAge)
	}
}
