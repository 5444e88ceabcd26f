package grant

import (
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
	mu    sync.RWMutex
	marks [kinds]map[string]narrowed
	swept time.Time
}

// narrowed says that tokens made under an older version carry too much, and until when
// to remember it.
type narrowed struct {
	version int64
	until   time.Time
}

// NewRevoked returns an empty set.
func NewRevoked() *Revoked {
	r := &Revoked{}
	for kind := range r.marks {
		r.marks[kind] = map[string]narrowed{}
	}
	return r
}

// Apply adds what a change revokes.
func (r *Revoked) Apply(c feed.Change) {
	m, ok := MarkOf(c)
	if !ok {
		return
	}
	now := time.Now() //nolint:forbidigo // a duration of this process
	until := now.Add(c.Until.Sub(c.At))
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.marks[m.Kind]
	kept[m.Key] = kept[m.Key].and(m.Version, until)
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
	for _, kept := range r.marks {
		for key, n := range kept {
			if now.After(n.until) {
				delete(kept, key)
			}
		}
	}
}

// Has reports whether a token is revoked. What it came through and cannot be read has
// ended.
func (r *Revoked) Has(t Access) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return !t.Names(func(kind Kind, key string, version int64) bool {
		kept := r.marks[kind]
		return len(kept) == 0 || kept[key].version <= version
	})
}
