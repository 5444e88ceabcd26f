package issue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/status"
)

// MarkStore is what is kept of what was revoked, for status lists.
type MarkStore interface {
	// ChangesAfter returns up to limit changes after seq, in order.
	ChangesAfter(ctx context.Context, seq int64, limit int) ([]feed.Change, error)
	// ClaimMarks lets one server set bits at a time: holder, for as long as the lease; a
	// lease of 0 gives it back. It returns up to which change they are set.
	ClaimMarks(ctx context.Context, pass int64, holder string, lease time.Duration) (seq int64, mine bool, err error)
	// TokensOf returns a page of the access tokens that a mark may void and that may be
	// alive, after what a page before ended with; next is empty after the last.
	TokensOf(ctx context.Context, m grant.Mark, after string) (list []grant.Issued, next string, err error)
	// TokensOfFamilies returns the access tokens that end with some families, and may be
	// alive.
	TokensOfFamilies(ctx context.Context, ids []string) ([]grant.Issued, error)
	// MarkSlots sets bits, and notes up to which change they are set now, if that still
	// was from.
	MarkSlots(ctx context.Context, pass, from, to int64, slots []status.Slot) error
}

const (
	// The bits are set at once, and again for what was about to be written then: a token
	// that was made under an older policy, or of an account that lost something.
	atOnce, again = 1, 2
	againAfter    = 30 * time.Second // no write takes so long

	markLease = 15 * time.Second
	markPage  = 500
)

// Marker sets the bits of access tokens that were revoked. Each server has one, and one
// of them works at a time.
type Marker struct {
	store  MarkStore
	clock  clock.Clock
	log    *slog.Logger
	holder string

	mu   sync.Mutex
	want [again + 1]int64 // up to which change
	late []lateMark       // that the second pass waits for
}

type lateMark struct {
	seq int64
	at  time.Time
}

// NewMarker returns a marker that works once it runs.
func NewMarker(store MarkStore, c clock.Clock, log *slog.Logger) *Marker {
	return &Marker{store: store, clock: c, log: log, holder: id.New(c.Now())}
}

// Apply notes that there is a change to follow.
func (m *Marker) Apply(c feed.Change) {
	if _, ok := grant.MarkOf(c); c.Seq == 0 || !ok && c.Topic != feed.TokenRevoked {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want[atOnce] = max(m.want[atOnce], c.Seq)
	now := time.Now() //nolint:forbidigo // a duration of this process
	if n := len(m.late); n > 0 && now.Sub(m.late[n-1].at) < time.Second {
		m.late[n-1].seq = c.Seq // one for all of a second
		return
	}
	m.late = append(m.late, lateMark{c.Seq, now})
}

// wanted returns up to which change a pass is to set the bits.
func (m *Marker) wanted(pass int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now() //nolint:forbidigo // as above
	for len(m.late) > 0 && now.Sub(m.late[0].at) >= againAfter+time.Second {
		m.want[again] = m.late[0].seq
		m.late = m.late[1:]
	}
	return m.want[pass]
}

// Run sets bits until ctx ends.
func (m *Marker) Run(ctx context.Context) {
	tick := time.NewTicker(feed.Every)
	defer tick.Stop()
	var done [again + 1]int64
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, pass := range []int64{atOnce, again} {
			wanted := m.wanted(pass)
			if done[pass] >= wanted {
				continue
			}
			seq, err := m.follow(ctx, pass, wanted)
			if err != nil && !failing && ctx.Err() == nil {
				m.log.Error("the status lists cannot be written", "error", err)
			}
			failing = err != nil
			done[pass] = max(done[pass], seq)
		}
	}
}

// follow sets the bits of a pass up to a change, if nobody else is at it, and returns up
// to which they are set.
func (m *Marker) follow(ctx context.Context, pass, wanted int64) (seq int64, err error) {
	for {
		var mine bool
		if seq, mine, err = m.store.ClaimMarks(ctx, pass, m.holder, markLease); err != nil || !mine {
			return 0, err
		}
		if seq >= wanted {
			break
		}
		changes, err := m.store.ChangesAfter(ctx, seq, markPage)
		if err != nil {
			return seq, err
		}
		to := wanted // what is not kept any more is needed no more
		if len(changes) > 0 {
			to = min(wanted, changes[len(changes)-1].Seq)
		}
		slots, err := m.voided(ctx, changes, to)
		if err != nil {
			return seq, err
		}
		if err := m.store.MarkSlots(ctx, pass, seq, to, slots); err != nil {
			return seq, err
		}
	}
	_, _, err = m.store.ClaimMarks(ctx, pass, m.holder, 0)
	return seq, err
}

// voided returns the bits of what changes up to one make void.
func (m *Marker) voided(ctx context.Context, changes []feed.Change, to int64) ([]status.Slot, error) {
	var slots []status.Slot
	var families []string
	seen := map[grant.Mark]bool{}
	for _, c := range changes {
		if c.Seq > to {
			break
		}
		if at := status.ParseSlot(c.Key); c.Topic == feed.TokenRevoked && at.List != "" {
			slots = append(slots, at)
		}
		mark, ok := grant.MarkOf(c)
		if !ok || seen[mark] || c.Until.Before(m.clock.Now()) {
			continue
		}
		seen[mark] = true
		if mark.Kind == grant.OfFamily { // of which there are many
			families = append(families, mark.Key)
			continue
		}
		for after, more := "", true; more; more = after != "" {
			list, next, err := m.store.TokensOf(ctx, mark, after)
			if err != nil {
				return nil, err
			}
			for _, tokens := range list {
				slots = append(slots, tokens.Void(mark.Voids)...)
			}
			after = next
		}
	}
	list, err := m.store.TokensOfFamilies(ctx, families)
	for _, tokens := range list {
		slots = append(slots, tokens.Void(func(kind grant.Kind, key string, _ int64) bool {
			return kind == grant.OfFamily && seen[grant.Mark{Kind: kind, Key: key, Version: grant.ForGood}]
		})...)
	}
	return slots, err
}
