package main

import (
	"log/slog"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/store"
)

// choices looks at settings that are allowed and seldom wise.
func (e *examination) choices() {
	c := e.c
	if c.Tokens.AccessTTL > 15*time.Minute {
		e.warn("tokens.access_ttl", "15m is usual: what only verifies offline accepts a revoked token until it expires", "access tokens live for %s", c.Tokens.AccessTTL)
	}
	if c.Tokens.RotationGrace > 0 {
		e.warn("tokens.rotation_grace", "0s is strict", "for %s after its use, a refresh token is good for one more", c.Tokens.RotationGrace)
	}
	if c.Log.Level < slog.LevelInfo {
		e.warn("log.level", "info is enough in production", "it logs at debug")
	}
	if c.Registration.Open {
		e.warn("registration.open", "false is usual: a token that you make lets in whom you know", "anybody may register a client here; people are asked before it may do anything")
	}
	e.ok("passwords", "%d characters at least, %s; common ones are refused", c.Passwords.MinLength, c.Passwords.Hash)
	e.guessing()
	e.away()
	e.origins()
}

// guessing looks at how well passwords are kept from guessing.
func (e *examination) guessing() {
	l := e.c.Lockout
	shortest, longest := slices.Min(l.Durations), slices.Max(l.Durations)
	if l.Failures > 10 {
		e.warn("lockout.failures", "5 is usual", "a stranger has %d guesses before an account is locked for him", l.Failures)
	}
	if shortest < 30*time.Second || longest < 15*time.Minute {
		e.warn("lockout.durations", "1m,5m,15m,60m is usual", "locks last from %s to %s", shortest, longest)
	}
	if perMinute := float64(e.c.RateLimit.Login.Count) / e.c.RateLimit.Login.Per.Minutes(); perMinute > 100 {
		e.warn("rate_limit.login", "10/1m is usual", "one address may fail %.0f times a minute", perMinute)
	}
}

// origins looks at whose scripts may call the server.
func (e *examination) origins() {
	for _, o := range e.c.CORS.Origins {
		if u, err := url.Parse(o); err == nil && u.Scheme == "http" && !loopbackHost(e.c.Issuer.Hostname()) {
			e.warn("cors.origins", "fine for development; leave it out in production", "%s: whatever runs on a user's own machine at that port may call the server as the user", o)
		}
	}
}

// beyond looks at what lies between this machine and the database.
func (e *examination) beyond(a store.Settings) {
	if a.Plain != "" {
		e.warn("database", "add sslmode=verify-full, unless the network is yours alone", "it is at %s, and is spoken to without TLS", a.Plain)
	}
	if !a.At.IsZero() {
		e.apart("the database", a.At, 0)
	}
}

// space looks at how much is left where data are written.
func (e *examination) space(folder string) {
	const tight, full = 1 << 30, 100 << 20
	left, known := freeSpace(folder)
	switch {
	case !known:
	case left < full:
		e.wrong("disk", "make room: with a full disk nothing is signed in, changed or audited", "%d MiB are left in %s", left>>20, folder)
	case left < tight:
		e.warn("disk", "make room before it is full", "%d MiB are left in %s", left>>20, folder)
	default:
		e.ok("disk", "%d GiB are left in %s", left>>30, folder)
	}
}

// files looks at who may write the configuration, and who may read the files that
// secrets are in.
func (e *examination) files() {
	const about = "files"
	if path := e.c.File(); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o022 != 0 {
			e.wrong(about, "chmod 600 it, and read what stands in it", "%s can be written by others (mode %04o), who decide by it who gets in", path, info.Mode().Perm())
		}
	}
	for _, path := range e.c.SecretFiles() {
		switch info, err := os.Stat(path); {
		case err != nil:
			e.wrong(about, "", "%v", err)
		case info.Mode().Perm()&0o004 != 0:
			e.wrong(about, "chmod 600 it, and think of the secrets as known", "%s holds secrets, and can be read by everybody (mode %04o)", path, info.Mode().Perm())
		default:
			e.ok(about, "%s holds secrets, mode %04o", path, info.Mode().Perm())
		}
	}
}
