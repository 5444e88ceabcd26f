package guard

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchTime = 5 * time.Second
	retryTime = 2 * time.Second  // after a failure
	maxStale  = time.Hour        // how long keys are good that cannot be fetched again
	minFresh  = time.Minute      // how long keys are not fetched again, at the least,
	maxFresh  = 15 * time.Minute // at the most,
	anyFresh  = 5 * time.Minute  // and where the issuer does not say
)

// remote fetches the issuer's keys and keeps them. No more than one fetch is
// under way at a time. A failure leaves the last good keys in their place until
// they are maxStale old: then nothing is verified until a fetch succeeds.
type remote struct {
	fetcher
	fixed    string // where the keys are; if empty, the metadata says
	log      *slog.Logger
	now      func() time.Time
	pause    time.Duration // between fetches that unknown keys cause
	patience time.Duration // for metadata and keys together

	last atomic.Pointer[fetched]

	mu      sync.Mutex
	running *flight   // the fetch under way, or nil
	found   string    // what the metadata said
	retry   time.Time // no fetch before this
	asked   time.Time // when an unknown key last caused a fetch
}

// fetched is the outcome of a fetch that succeeded.
type fetched struct {
	set   *KeySet
	at    time.Time
	fresh time.Duration
}

// flight is a fetch that others may wait for.
type flight struct{ done chan struct{} }

func newRemote(issuer string, s *settings) *remote {
	const kept = 0 // the next fetch is minutes away
	return &remote{fetcher: newFetcher(issuer, s, kept), fixed: s.jwksURL, log: s.log, now: s.now, pause: s.pause, patience: fetchTime}
}

func (r *remote) current(ctx context.Context) (*KeySet, error) {
	seen, now := r.last.Load(), r.now()
	if seen != nil && now.Sub(seen.at) < maxStale {
		if now.Sub(seen.at) >= seen.fresh {
			r.fetch(seen, now) // nobody waits for it
		}
		return seen.set, nil
	}
	if f := r.fetch(seen, now); f != nil {
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
	}
	if got := r.last.Load(); got != seen {
		return got.set, nil
	}
	return nil, fmt.Errorf("%w: the keys of %s cannot be fetched", ErrUnavailable, r.issuer)
}

func (r *remote) newer(ctx context.Context, seen *KeySet) *KeySet {
	if f := r.fetchFor(seen); f != nil && f.wait(ctx) != nil {
		return seen
	}
	return r.last.Load().set
}

// fetch starts a fetch and returns it, or the one under way. It returns nil if
// there is something newer than seen, or if a fetch failed a moment ago.
func (r *remote) fetch(seen *fetched, now time.Time) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.Load() != seen || r.running == nil && now.Before(r.retry) {
		return nil
	}
	return r.start()
}

// fetchFor is fetch for a key that seen lacks. Anybody can name such a key, so
// it is done once in a while only.
func (r *remote) fetchFor(seen *KeySet) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case r.last.Load().set != seen:
		return nil
	case r.running != nil:
		return r.running
	case !r.asked.IsZero() && now.Sub(r.asked) < r.pause, now.Before(r.retry):
		return nil
	}
	r.asked = now
	return r.start()
}

// start is called with r.mu held.
func (r *remote) start() *flight {
	if r.running == nil {
		r.running = &flight{make(chan struct{})}
		go r.run(r.running)
	}
	return r.running
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// run fetches for everybody, so no request's context ends it.
func (r *remote) run(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	got, err := r.load(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.log.Warn("guard: the issuer's keys cannot be fetched", "issuer", r.issuer, "error", err)
		r.found, r.retry = "", r.now().Add(retryTime)
	} else {
		r.last.Store(got)
	}
	r.running = nil
	close(f.done)
}

// load reads the keys, and the issuer's metadata where it is not known yet.
func (r *remote) load(ctx context.Context) (*fetched, error) {
	url := r.fixed
	if url == "" {
		r.mu.Lock()
		url = r.found
		r.mu.Unlock()
	}
	if url == "" {
		var err error
		if url, err = r.discover(ctx, "jwks_uri"); err != nil {
			return nil, err
		}
	}
	d, err := r.get(ctx, url)
	if err != nil {
		return nil, err
	}
	set, err := parseKeySet(d.text)
	if set == nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if err != nil {
		r.log.Warn("guard: the issuer publishes keys that are not taken", "issuer", r.issuer, "error", err)
	}
	r.mu.Lock()
	r.found = url
	r.mu.Unlock()
	return &fetched{set, r.now(), d.fresh}, nil
}
