package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/server"
)

const (
	oldKey      = 90 * 24 * time.Hour
	soonExpires = 14 * 24 * time.Hour
)

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
	if err := k.Keys.Load(ctx); err != nil {
		e.wrong("keys", "is this the database's master key? its copy may be the right one", "%v", err)
		return
	}
	e.signing(k, e.began)
}

// signing looks at the keys that sign.
func (e *examination) signing(k *server.Core, now time.Time) {
	const about = "signing keys"
	keys, states := k.Keys.Keys()
	wanted := e.c.Tokens.SigningAlg
	var active, next *keyring.Key
	for i := range keys {
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

// reach looks at whether clients can come in as the issuer says.
func (e *examination) reach() {
	c := e.c
	if c.Issuer.Scheme == "http" {
		e.warn("issuer", "fine for a trial; a real server has an https issuer", "%s is for this machine alone", c.Issuer)
		return
	}
	if c.TLS.Cert != "" {
		e.certificate()
		return
	}
	if len(c.TrustedProxies) == 0 {
		e.wrong("issuer", "give tls.cert and tls.key, or name the proxy that speaks TLS in trusted_proxies",
			"%s is https, but the server speaks plain HTTP and trusts no proxy: it would refuse every request", c.Issuer)
		return
	}
	e.ok("issuer", "%s, by a proxy that speaks TLS", c.Issuer)
}

// certificate looks at the certificate that the server would show.
func (e *examination) certificate() {
	const about = "tls.cert"
	pair, err := tls.LoadX509KeyPair(e.c.TLS.Cert, e.c.TLS.Key)
	if err != nil {
		e.wrong(about, "serve refuses to start", "%v", err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		e.wrong(about, "", "%v", err)
		return
	}
	host := e.c.Issuer.Hostname()
	left := leaf.NotAfter.Sub(e.began)
	switch {
	case leaf.VerifyHostname(host) != nil:
		e.wrong(about, "get one that does", "the certificate does not name the issuer's host, %s", host)
	case left < 0:
		e.wrong(about, "get a new one; the server reads it again by itself", "the certificate ended at %s", moment(leaf.NotAfter, ""))
	case leaf.NotBefore.After(e.began):
		e.wrong(about, "is this machine's clock right?", "the certificate begins at %s", moment(leaf.NotBefore, ""))
	case left < soonExpires:
		e.warn(about, "get a new one; the server reads it again by itself", "the certificate ends at %s", moment(leaf.NotAfter, ""))
	default:
		e.ok(about, "the certificate for %s ends at %s", host, moment(leaf.NotAfter, ""))
	}
}
