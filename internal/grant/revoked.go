package grant

import (
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
)

// Revoked is the set of what access tokens are refused for before they expire,
// held in memory and fed by the change feed. It is bounded by the lifetime of
// access tokens: what is older has expired by itself.
type Revoked struct {
	clock clock.Clock

	mu       sync.RWMutex
	families map[string]time.Time // ended; until when to remember
	accounts map[string]narrowed  // lost a grant
	roles    map[string]narrowed  // lost permissions
	swept    time.Time
}

// narrowed says that tokens made under an older policy carry too much.
type narrowed struct {
	version int64
	until   time.Time
}

// NewRevoked returns an empty set.
func NewRevoked(c clock.Clock) *Revoked {
	return &Revoked{clock: c, families: map[string]time.Time{}, accounts: map[string]narrowed{}, roles: map[string]narrowed{}}
}

// Apply adds what a change revokes.
func (r *Revoked) Apply(c feed.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.Topic {
	case feed.FamilyEnded:
		r.families[c.Key] = c.Until
	case feed.GrantLost:
		r.accounts[c.Key] = later(r.accounts[c.Key], c)
	case feed.RoleNarrows:
		r.roles[c.Key] = later(r.roles[c.Key], c)
	default:
		return
	}
	if now := r.clock.Now(); now.Sub(r.swept) > time.Minute {
		r.sweep(now)
	}
}

func later(n narrowed, c feed.Change) narrowed {
	n.version = max(n.version, c.Version)
	if c.Until.After(n.until) {
		n.until = c.Until
	}
	return n
}

func (r *Revoked) sweep(now time.Time) {
	r.swept = now
	for key, until := range r.families {
		if now.After(until) {
			delete(r.families, key)
		}
	}
	for _, m := range []map[string]narrowed{r.accounts, r.roles} {
		for key, n := range m {
			if now.After(n.until) {
				delete(m, key)
			}
		}
	}
}

// Has reports whether a token is revoked: one of a family, for an account, with
// effective roles, made under a version of the policy.
func (r *Revoked) Has(family, account string, roles []string, policy int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.families[family]; ended {
		return true
	}
	if len(r.accounts) > 0 && r.accounts[account].version > policy {
		return true
	}
	if len(r.roles) > 0 {
		for _, role := range roles {
			if r.roles[role].version > policy {
				return true
			}
		}
	}
	return false
}
