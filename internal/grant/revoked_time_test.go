package grant_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
)

// kinds are the ways to revoke a token of family f, account a and role r, made
// under version 4 of the policy.
var kinds = []feed.Change{
	{Topic: feed.FamilyEnded, Key: "f"}, {Topic: feed.GrantLost, Key: "a", Version: 5}, {Topic: feed.RoleNarrows, Key: "r", Version: 5},
}

func revoked(r *grant.Revoked) bool {
	return r.Has(grant.Access{Family: "f", Account: "a", Roles: []string{"q", "r"}, Policy: 4})
}

// spend lets time pass, with a revocation of something else every minute: at each
// the set may forget what it needs no more.
func spend(r *grant.Revoked, d time.Duration) {
	for ; d > 0; d -= time.Minute {
		time.Sleep(min(d, time.Minute))
		now := time.Now()
		r.Apply(feed.Change{Topic: feed.FamilyEnded, Key: "another", At: now, Until: now.Add(time.Hour)})
	}
}

// What is revoked is remembered for as long as its change says, by the time that
// passes here: whatever the wall clock said when the change was made, and says now.
func TestAttackRevokedForAllOfItsTime(t *testing.T) {
	const keep = 18 * time.Minute
	for _, c := range kinds {
		for _, step := range []time.Duration{0, time.Minute, -time.Minute, time.Hour, -time.Hour, 400 * 24 * time.Hour, -400 * 24 * time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				r := grant.NewRevoked()
				c.At = time.Now().Add(step) // its clock, or ours, was set in between
				c.Until = c.At.Add(keep)
				r.Apply(c)
				if !revoked(r) {
					t.Errorf("%s, a clock off by %v: it is not revoked", c.Topic, step)
				}
				spend(r, keep-time.Second)
				if !revoked(r) {
					t.Errorf("%s, a clock off by %v: it is revoked no more while tokens of it live", c.Topic, step)
				}
				spend(r, 3*time.Minute)
				if revoked(r) {
					t.Errorf("%s, a clock off by %v: it is remembered for ever", c.Topic, step)
				}
			})
		}
	}
}

// A change that is kept for less takes nothing away from one that is kept for
// more: a server that gives longer tokens may have started between them.
func TestAttackRevokedIsNotShortened(t *testing.T) {
	for _, c := range kinds {
		synctest.Test(t, func(t *testing.T) {
			r := grant.NewRevoked()
			c.At = time.Now()
			for _, keep := range []time.Duration{2 * time.Hour, 16 * time.Minute} {
				c.Until = c.At.Add(keep)
				r.Apply(c)
				c.Version++
			}
			spend(r, time.Hour)
			if !revoked(r) {
				t.Errorf("%s: forgotten with the shorter one", c.Topic)
			}
		})
	}
}
