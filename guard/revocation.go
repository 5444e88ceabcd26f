package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// revocations knows which tokens were revoked before they expire. It follows the
// issuer's stream of what makes tokens void; while that says nothing it reads the status
// lists that tokens name (draft-ietf-oauth-status-list), each for as long as the issuer
// says that it may be kept. What neither tells is not known.
type revocations struct {
	stream *stream
	lists  *lists
	log    *slog.Logger

	begin sync.Once
	ctx   context.Context //nolint:containedctx // of what runs until Close
	close context.CancelFunc
}

func newRevocations(issuer string, s *settings, keys keySource) *revocations {
	r := &revocations{log: s.log}
	r.ctx, r.close = context.WithCancel(context.Background())
	r.stream = newStream(issuer, s)
	r.lists = newLists(issuer, s, keys)
	return r
}

// check returns ErrRevoked for a token that was revoked. Where nothing fresh is known it
// returns ErrUnavailable, or with stale judges by what it knew last.
func (r *revocations) check(ctx context.Context, v *verified, stale bool) error {
	if v.principal.Status == nil {
		return nil // the issuer does not say of this token
	}
	r.begin.Do(func() { go r.stream.run(r.ctx) })
	if r.stream.void(v) {
		return ErrRevoked
	}
	if r.stream.live() {
		return nil
	}
	void, err := r.lists.void(ctx, *v.principal.Status, stale)
	switch {
	case void:
		return ErrRevoked
	case err == nil || stale:
		return nil
	case errors.Is(err, ErrRevoked):
		return err
	}
	return fmt.Errorf("%w: whether the token was revoked: %w", ErrUnavailable, err)
}

// stream is the issuer's stream of what makes tokens void (server-sent events), and what
// it said so far that still counts.
type stream struct {
	fetcher
	log   *slog.Logger
	bound time.Duration // what is silent for so long is not believed any more

	heard   atomic.Int64  // when it last said something since it was current; 0 before
	changes atomic.Uint64 // rises with what it says

	mu    sync.RWMutex
	marks map[name]mark
	swept time.Time
	last  string // the id of its last event
}

// name is the digest of what a token can be revoked by, as the stream spells it.
type name [16]byte

// mark says that the tokens which have a name are void, as far as they were made under a
// version before version; until is when they have expired, in Unix seconds.
type mark struct{ version, until int64 }

// named is a name of a token, and the version that it was made under.
type named struct {
	name    name
	version int64
}

// namesOf returns all that a token can be revoked by, as the issuer names it in its stream:
// the server's own rule, which is not to be had here, is held against this one by its tests.
func namesOf(p *Principal) []named {
	var list []named
	add := func(kind, key string, version int64) {
		sum := sha256.Sum256([]byte(kind + ":" + key))
		list = append(list, named{name(sum[:16]), version})
	}
	pv := p.PolicyVersion
	add("family", p.Family, pv)
	add("organization", p.Organization, pv)
	add("principal", p.Subject, pv)
	add("principal", p.ClientID, pv)
	for _, role := range p.Roles {
		add("role", role, pv)
	}
	for _, api := range p.Audience {
		add("api", api, pv)
	}
	for _, step := range p.Via {
		kind, key, _ := strings.Cut(step, ":")
		version := pv
		switch kind {
		case "client":
			kind = "principal"
		case "key":
			id, text, _ := strings.Cut(key, ".")
			key = id
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				version = n
			}
		}
		add(kind, key, version)
	}
	return list
}

func newStream(issuer string, s *settings) *stream {
	const kept = 0 // it is one connection, and stays
	return &stream{fetcher: newFetcher(issuer, s, kept), log: s.log, bound: s.staleAfter, marks: map[name]mark{}}
}

// live reports whether what the stream said is all that there is to know.
func (s *stream) live() bool {
	at := s.heard.Load()
	return at != 0 && sinceStart()-at < int64(s.bound)
}

var start = time.Now()

// sinceStart is a clock that nobody sets.
func sinceStart() int64 { return int64(time.Since(start)) + 1 }

// void reports whether a token is void by what the stream said. One that was not is not
// looked up again before the stream says more.
func (s *stream) void(v *verified) bool {
	changes := s.changes.Load()
	if changes == 0 || v.clean.Load() == changes {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range v.names {
		if m, ok := s.marks[n.name]; ok && m.version > n.version {
			return true
		}
	}
	v.clean.Store(changes)
	return false
}

const (
	firstPause = 250 * time.Millisecond
	mostPause  = 15 * time.Second
	noStream   = 5 * time.Minute // until an issuer without a stream is asked again
)

// run follows the stream until ctx ends.
func (s *stream) run(ctx context.Context) {
	pause, told := firstPause, false
	for ctx.Err() == nil {
		was := s.heard.Load()
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.heard.Load() != was {
			pause, told = firstPause, false
		}
		wait := pause
		if errors.Is(err, errNoStream) {
			wait = noStream
		} else if !told && pause > time.Second {
			told = true
			s.log.Warn("guard: the issuer's stream of revocations cannot be followed; status lists are read instead", "issuer", s.issuer, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		pause = min(2*pause, mostPause)
	}
}

// apply adds what an event says. What is damaged is no reason to believe less of what is
// not: an event that cannot be read ends the stream, and it is asked for again.
func (s *stream) apply(e message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.name {
	case "void":
		marks, until, err := parseVoid(e.data)
		if err != nil {
			return err
		}
		for n, version := range marks {
			old := s.marks[n]
			s.marks[n] = mark{max(old.version, version), max(old.until, until)}
		}
		s.changes.Add(1)
	case "current":
		s.heard.Store(sinceStart())
	}
	if e.id != "" {
		s.last = e.id
	}
	if now := time.Now(); now.Sub(s.swept) > time.Minute {
		s.swept = now
		for n, m := range s.marks { // the clocks of issuer and API may differ by the leeway, and more is no harm
			if m.until < now.Unix()-120 {
				delete(s.marks, n)
			}
		}
	}
	return nil
}

// parseVoid reads an event of what makes tokens void.
func parseVoid(data string) (marks map[name]int64, until int64, err error) {
	marks = map[name]int64{}
	add := func(s *scanner, text string, version int64) {
		b, err := decode(text)
		if err != nil || len(b) != len(name{}) {
			s.fail(errVoid)
			return
		}
		n := name(b)
		marks[n] = max(marks[n], version)
	}
	err = readObject(data, func(s *scanner, member string) {
		switch member {
		case "until":
			until = s.date()
		case "ended":
			s.array(func(s *scanner) { add(s, s.str(), math.MaxInt64) })
		case "narrowed":
			s.object(func(s *scanner, text string) { add(s, text, s.integer()) })
		default:
			s.skip()
		}
	})
	return marks, until, err
}

var errVoid = errors.New("not the digest of a name")
