package grant

import (
	"slices"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/feed"
)

// Revoked is the set of what access tokens are refused for before they expire,
// held in memory and fed by the change feed. It is bounded by the lifetime of
// access tokens: what is older has expired by itself.
//
// How long is measured by the time that passes in this process: a wall clock that
// is set forward and back must not make it forget.
type Revoked struct {
	mu       sync.RWMutex
	families map[string]time.Time // ended; until when to remember
	accounts map[string]narrowed  // lost a grant, or as a client something else
	roles    map[string]narrowed  // lost permissions
	gone     map[string]time.Time // organizations; until when to remember
	apis     map[string]narrowed  // know permissions no more, by what tokens for them are for
	keys     map[string]narrowed  // API keys that changed or are gone; their own version
	swept    time.Time
}

// narrowed says that tokens made under an older policy carry too much.
type narrowed struct {
	version int64
	until   time.Time
}

// NewRevoked returns an empty set.
func NewRevoked() *Revoked {
	return &Revoked{families: map[string]time.Time{}, gone: map[string]time.Time{}, accounts: map[string]narrowed{}, roles: map[string]narrowed{}, apis: map[string]narrowed{}, keys: map[string]narrowed{}}
}

// Apply adds what a change revokes.
func (r *Revoked) Apply(c feed.Change) {
	now := time.Now() //nolint:forbidigo // a duration of this process
	until := now.Add(c.Until.Sub(c.At))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.Topic {
	case feed.FamilyEnded:
		r.families[c.Key] = later(r.families[c.Key], until)
	case feed.OrganizationEnded:
		r.gone[c.Key] = later(r.gone[c.Key], until)
	case feed.GrantLost:
		r.accounts[c.Key] = r.accounts[c.Key].and(c.Version, until)
	case feed.RoleNarrows:
		r.roles[c.Key] = r.roles[c.Key].and(c.Version, until)
	case feed.ResourceNarrows:
		r.apis[c.Key] = r.apis[c.Key].and(c.Version, until)
	case feed.APIKey: // a key that is new voids nothing
		if c.Version == 1 {
			return
		}
		r.keys[c.Key] = r.keys[c.Key].and(c.Version, until)
	default:
		return
	}
	if now.Sub(r.swept) > time.Minute {
		r.sweep(now)
	}
}

// and returns what n and another change together make void: that which is kept for
// less takes nothing away from the other.
func (n narrowed) and(version int64, until time.Time) narrowed {
	return narrowed{max(n.version, version), later(n.until, until)}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *Revoked) sweep(now time.Time) {
	r.swept = now
	for _, m := range []map[string]time.Time{r.families, r.gone} {
		for key, until := range m {
			if now.After(until) {
				delete(m, key)
			}
		}
	}
	for _, m := range []map[string]narrowed{r.accounts, r.roles, r.apis, r.keys} {
		for key, n := range m {
			if now.After(n.until) {
				delete(m, key)
			}
		}
	}
}

// Access is what an access token says that it can be revoked by.
type Access struct {
	Family   string
	Account  string // or client, if it acts for itself
	Client   string
	Roles    []string // effective
	Audience []string
	// The organization that it is for, if any.
	Organization string
	Via          []string // what it came through, if it was exchanged
	Policy       int64    // the version of the policy that it was made under
}

// Has reports whether a token is revoked.
func (r *Revoked) Has(t Access) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.families[t.Family]; ended {
		return true
	}
	if _, ended := r.gone[t.Organization]; ended {
		return true
	}
	if len(r.accounts) > 0 && (r.accounts[t.Account].version > t.Policy || r.accounts[t.Client].version > t.Policy) {
		return true
	}
	if slices.ContainsFunc(t.Via, func(step string) bool { return r.lost(step, t.Policy) }) {
		return true
	}
	return since(r.roles, t.Roles, t.Policy) || since(r.apis, t.Audience, t.Policy)
}

// since reports whether one of some was narrowed after a version of the policy.
func since(narrowed map[string]narrowed, some []string, policy int64) bool {
	return len(narrowed) > 0 && slices.ContainsFunc(some, func(key string) bool { return narrowed[key].version > policy })
}
