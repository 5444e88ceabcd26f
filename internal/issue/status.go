package issue

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/status"
)

// SlotStore is what is kept of the bits of access tokens in status lists.
type SlotStore interface {
	// ReserveSlots gives n bits of a list that nobody else is given, for tokens that
	// expire by then.
	ReserveSlots(ctx context.Context, n int64, expires time.Time) (status.Block, error)
}

const (
	firstBlock = 64 // a server that was only started wastes few
	mostBlock  = 4096
	mostRun    = 256
	mostRuns   = 1024 // that one server keeps in mind
	reserving  = 10 * time.Second
)

// slots gives access tokens their bits. It takes them in blocks from the database, and
// forgets what is left of a block when the server ends.
type slots struct {
	store SlotStore
	clock clock.Clock
	uri   string // of a list, before its id

	mu    sync.Mutex
	block status.Block
	left  []int64
	size  int64
	runs  map[string]*run
}

// run are the bits that are left for tokens that say the same.
type run struct {
	left  []bit
	size  int       // how many were reserved last
	until time.Time // they are good until then
	asked time.Time // until when somebody who reserves more is waited for
}

// bit is one that no token has yet, and until when one that has it may live.
type bit struct {
	status.Slot
	until time.Time
}

// take returns a bit for a token that expires by then. Of those that were reserved the
// newest are taken first: the others are good for less long.
func (r *run) take(expires time.Time) (at status.Slot, ok bool) {
	last := len(r.left) - 1
	if last < 0 || expires.After(r.left[last].until) {
		return at, false
	}
	at = r.left[last].Slot
	r.left = r.left[:last]
	return at, true
}

func newSlots(store SlotStore, c clock.Clock, issuer string) *slots {
	return &slots{store: store, clock: c, uri: issuer + "/oauth2/status-lists/", size: firstBlock, runs: map[string]*run{}}
}

// listed is the claim "status" of a token (draft-ietf-oauth-status-list, Section 6.2).
type listed struct {
	List struct {
		Index int64  `json:"idx"`
		URI   string `json:"uri"`
	} `json:"status_list"`
}

func (s *slots) claim(at status.Slot) *listed {
	var l listed
	l.List.Index, l.List.URI = at.Index, s.uri+at.List
	return &l
}

// one returns a bit that no other token has. The lock is held.
func (s *slots) one(ctx context.Context, expires time.Time) (status.Slot, error) {
	if len(s.left) == 0 || expires.After(s.block.Until) {
		b, err := s.store.ReserveSlots(ctx, s.size, expires)
		if err != nil {
			return status.Slot{}, err
		}
		s.block, s.left, s.size = b, b.Indexes(), min(4*s.size, mostBlock)
	}
	last := len(s.left) - 1
	at := status.Slot{List: s.block.List, Index: s.left[last]}
	s.left = s.left[:last]
	return at, nil
}

// ofFamily gives a family's next token its bit, and notes it in the family.
func (s *slots) ofFamily(ctx context.Context, f *grant.Family, roles []string, policy int64, expires, now time.Time) (*listed, error) {
	at, again := f.Live.Again(policy, now)
	if !again {
		s.mu.Lock()
		defer s.mu.Unlock()
		var err error
		if at, err = s.one(ctx, expires); err != nil {
			return nil, err
		}
	}
	f.Live = f.Live.With(at, roles, policy, expires, now)
	return s.claim(at), nil
}

// ofRun gives a token of no family its bit. What makes it void besides itself is to be kept
// with the token, if that is not nil: for one that came through something, of itself
// alone, and for others of more that will say the same. done is to be told whether it was.
func (s *slots) ofRun(ctx context.Context, a grant.Access, expires, now time.Time) (at *listed, keep *grant.Run, done func(kept bool), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(a.Via) > 0 {
		list, r, err := s.reserve(ctx, a, 1, expires)
		if err != nil {
			return nil, nil, nil, err
		}
		return s.claim(list[0].Slot), r, func(bool) {}, nil
	}
	a.Family = ""
	r := s.run(said(a))
	if expires.After(r.until) { // there are few such tokens
		r.left, r.size = nil, 0
	}
	// Before the last is taken one reserves more, so that the others need not.
	asks := !now.Before(r.asked)
	if !asks || len(r.left) > r.size/4 {
		if at, ok := r.take(expires); ok {
			return s.claim(at), nil, func(bool) {}, nil
		}
	}
	size := 1
	if asks {
		size = max(1, min(4*r.size, mostRun)) // what there was was needed: more will be
	}
	until := expires.Add(expires.Sub(now))
	list, keep, err := s.reserve(ctx, a, size, until)
	if err != nil {
		return nil, nil, nil, err
	}
	if !asks {
		return s.claim(list[0].Slot), keep, func(bool) {}, nil
	}
	r.asked = now.Add(reserving)
	return s.claim(list[0].Slot), keep, func(kept bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.asked = time.Time{}
		if kept {
			r.left, r.size, r.until = append(r.left, list[1:]...), size, until
		}
	}, nil
}

// run returns the run of tokens that say something.
func (s *slots) run(said string) *run {
	r := s.runs[said]
	if r == nil {
		if len(s.runs) >= mostRuns {
			clear(s.runs)
		}
		r = &run{}
		s.runs[said] = r
	}
	return r
}

// said returns what tokens have in common that end with the same things.
func said(a grant.Access) string {
	b := make([]byte, 0, 256)
	add := func(list ...string) {
		b = strconv.AppendInt(b, int64(len(list)), 10)
		for _, s := range list {
			b = strconv.AppendInt(append(b, ' '), int64(len(s)), 10)
			b = append(append(b, ' '), s...)
		}
	}
	add(a.Account, a.Client, a.Organization, strconv.FormatInt(a.Policy, 10))
	add(a.Roles...)
	add(a.Audience...)
	return string(b)
}

// reserve sets bits apart for tokens that say the same.
func (s *slots) reserve(ctx context.Context, a grant.Access, n int, until time.Time) ([]bit, *grant.Run, error) {
	r := &grant.Run{ID: id.New(s.clock.Now()), Issued: grant.Issued{Access: a}}
	r.Held = make([]status.Held, 0, n)
	list := make([]bit, 0, n)
	for range n {
		at, err := s.one(ctx, until)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, bit{at, until})
		r.Held = append(r.Held, status.Held{Slot: at, Policy: a.Policy, Until: until.Unix()})
	}
	return list, r, nil
}

// retried returns the bit of the token that a retry is given: that of the newest, with
// which it ends.
func (s *slots) retried(f grant.Family) *listed {
	if at, ok := f.Live.Newest(); ok {
		return s.claim(at)
	}
	return nil
}
