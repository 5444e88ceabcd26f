// Package limit is the one door for guesses: every way in that takes a password,
// a code or a secret asks here first.
//
// An attempt is reserved before it is judged, and counts as a failure until it
// is settled. However many come at once, on however many servers, no more are
// judged than may fail; and an attempt that was lost in a crash stays counted.
//
// There are three limits. The bucket of a subject and a device is locked by
// consecutive failures; all devices that are not known for the subject share
// one. The meter of a network bounds the failures from it, over all subjects;
// the /48 that a /64 of IPv6 is of has one too, with ten times the room. The
// meter of everybody raises an alarm, during which strange networks get less.
package limit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// Attempt is a guess that is about to be judged.
type Attempt struct {
	Subject string // who is guessed at: "user:01h…", or "name:…" for a name that is nobody's
	Device  string // the id of a device that is known for Subject; empty for any other
	Network string // principal.Origin.Network: an address, or an IPv6 /64; empty is not counted
}

// Rate is so many times within so long.
type Rate struct {
	Times int
	Per   time.Duration
}

// Options say how much may fail. Zero fields are the defaults.
type Options struct {
	Failures  int             // consecutive ones that lock a bucket: 5
	Durations []time.Duration // of the first lock, the second and so on; the last one stays: 1, 5, 15, 60 minutes
	Hard      int             // failures without a success that close a bucket until it is forgotten: 100
	Address   Rate            // failures from one network: 10 in a minute
	Global    Rate            // failures of everybody, past which the alarm is on: 600 in a minute
	Patience  time.Duration   // how long an attempt may wait for others of its bucket: 10 seconds
}

func (o Options) filled() Options {
	if o.Failures <= 0 {
		o.Failures = 5
	}
	if len(o.Durations) == 0 {
		o.Durations = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	}
	if o.Hard <= 0 {
		o.Hard = 100
	}
	if o.Address.Times <= 0 {
		o.Address = Rate{10, time.Minute}
	}
	if o.Global.Times <= 0 {
		o.Global = Rate{600, time.Minute}
	}
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
	return o
}

// Service counts attempts.
type Service struct {
	store   Store
	clock   clock.Clock
	log     *slog.Logger
	options Options
	rule    rule
	gate    *gate

	mu   sync.Mutex
	said map[string]time.Time // when something was last logged that is logged once in a while
}

// NewService returns a service over a store that all servers share.
func NewService(store Store, c clock.Clock, log *slog.Logger, o Options) *Service {
	o = o.filled()
	return &Service{
		store: store, clock: c, log: log, options: o,
		rule: rule{failures: o.Failures, hard: o.Hard, durations: o.Durations, settles: o.Patience},
		gate: newGate(o.Failures/2 + 1), said: map[string]time.Time{},
	}
}

// Begin reserves an attempt, before anything costly happens. The caller settles
// it: by Failed, Succeeded or Abandon, of which the first one counts.
//
// Faults: Limited, with the time after which it makes sense to come again, the
// same for every limit and for every subject, known or not; Unavailable when
// nothing can be counted, so that nothing may be judged.
func (s *Service) Begin(ctx context.Context, a Attempt) (*Try, error) {
	k := Key{Subject: nameOf("subject", a.Subject)}
	if a.Device != "" {
		k.Device = nameOf("device", a.Device)
	}
	patience := time.NewTimer(s.options.Patience)
	defer patience.Stop()
	leave, err := s.gate.enter(ctx, k, patience.C)
	if err != nil {
		return nil, err
	}
	t, err := s.reserve(ctx, k, a, patience.C)
	if errors.Is(err, errStranger) {
		leave()
		a.Device = ""
		if t, err = s.Begin(ctx, a); err == nil {
			t.spent = k
		}
		return t, err
	}
	if err != nil {
		leave()
		return nil, s.told(ctx, err)
	}
	t.leave = leave
	return t, nil
}

// errStranger says that a device failed so often that it is a stranger's now.
var errStranger = errors.New("the device is not trusted any more")

// again is how long to wait before asking once more whether what others have
// reserved was settled.
const again = 50 * time.Millisecond

// reserve adds an attempt to its bucket, if its limits leave room. Where others
// hold the room, and may yet give it back, it waits for them.
func (s *Service) reserve(ctx context.Context, k Key, a Attempt, patience <-chan time.Time) (*Try, error) {
	t := &Try{service: s, key: k}
	if a.Device == "" && a.Network != "" {
		t.scopes = scopesOf(a.Network)
		if err := s.admit(ctx, t); err != nil {
			return nil, err
		}
	}
	b, err := s.store.Bucket(ctx, k)
	if err != nil {
		return nil, err
	}
	for {
		now := s.clock.Now()
		was := b.Stamp
		next, refusal := s.rule.reserve(b, now, random())
		if refusal != nil && refusal.hard && a.Device != "" {
			return nil, errStranger
		}
		swapped := false
		if next != b {
			next.Stamp = random()
			if swapped, err = s.store.SwapBucket(ctx, k, was, next); err != nil {
				return nil, err
			}
		}
		switch {
		case refusal == nil && swapped:
			t.bucket = next
			return t, nil
		case refusal != nil && (!refusal.open || !pause(ctx, patience)):
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return nil, limited(refusal.after)
		}
		if b, err = s.store.Bucket(ctx, k); err != nil {
			return nil, err
		}
	}
}

// admit holds an attempt of a stranger against the meters of its network.
func (s *Service) admit(ctx context.Context, t *Try) error {
	names := []Name{flood}
	for _, c := range t.scopes {
		names = append(names, c.name)
	}
	marks, err := s.store.Marks(ctx, names...)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	t.flood = s.alarmed(marks[0], now)
	var wait time.Duration
	for i, c := range t.scopes {
		wait = max(wait, s.meter(c, t.flood).wait(marks[i+1], now))
	}
	if wait > 0 {
		return limited(wait)
	}
	return nil
}

// Unlock empties all buckets of a subject, its devices' too.
func (s *Service) Unlock(ctx context.Context, subject string) error {
	if err := s.store.ClearBuckets(ctx, nameOf("subject", subject)); err != nil {
		return s.told(ctx, err)
	}
	return nil
}

// State is what is counted against a subject from devices that are not known.
type State struct {
	Failures int       // since the last success or lock
	Total    int       // since the last success
	Until    time.Time // when the lock ends; zero if there is none
}

// Locked returns what is counted against a subject.
func (s *Service) Locked(ctx context.Context, subject string) (State, error) {
	b, err := s.store.Bucket(ctx, Key{Subject: nameOf("subject", subject)})
	if err != nil {
		return State{}, s.told(ctx, err)
	}
	return s.rule.state(b, s.clock.Now()), nil
}

// First reports whether a key was not seen within so long before now, and
// remembers it from now on.
func (s *Service) First(ctx context.Context, key string, within time.Duration) (bool, error) {
	first, err := s.first(ctx, nameOf("first", key), within)
	if err != nil {
		return false, s.told(ctx, err)
	}
	return first, nil
}

// Seen reports whether First would say no, and remembers nothing.
func (s *Service) Seen(ctx context.Context, key string, within time.Duration) (bool, error) {
	marks, err := s.store.Marks(ctx, nameOf("first", key))
	if err != nil {
		return false, s.told(ctx, err)
	}
	now := s.clock.Now()
	return marks[0].After(now) && !marks[0].After(Span{now, now.Add(within)}.Horizon()), nil
}

func (s *Service) first(ctx context.Context, name Name, within time.Duration) (bool, error) {
	now := s.clock.Now()
	return s.store.FirstMark(ctx, name, Span{now, now.Add(within)})
}

// told makes an error of the store the fault that the caller is told, and tells
// the operator.
func (s *Service) told(ctx context.Context, err error) error {
	if kind := fault.KindOf(err); kind != 0 && kind != fault.Unavailable || ctx.Err() != nil {
		return err
	}
	if s.due("unavailable", 10*time.Second) {
		s.log.Error("attempts cannot be counted: every guess is refused until they can", "error", err)
	}
	return fault.New(fault.Unavailable, "attempts cannot be counted at the moment: try again soon").Because(err)
}

// due reports whether something was not logged for so long.
func (s *Service) due(what string, every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if ago := now.Sub(s.said[what]); ago >= 0 && ago < every { // a clock that was set back does not silence it
		return false
	}
	s.said[what] = now
	return true
}

// limited is the one refusal, whatever the limit.
func limited(wait time.Duration) error {
	e := fault.New(fault.Limited, "too many attempts: try again later")
	e.After = max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
	return e
}

// pause waits a moment, and reports whether there is still patience.
func pause(ctx context.Context, patience <-chan time.Time) bool {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-patience:
	case <-ctx.Done():
	}
	return false
}

// nameOf hides what is counted behind a digest of one length.
func nameOf(kind, text string) Name { return sha256.Sum256([]byte(kind + "\x00" + text)) }

// random returns a number that is never given twice, and never 0.
func random() int64 {
	var b [8]byte
	rand.Read(b[:]) // it never fails: the program ends before
	return int64(binary.BigEndian.Uint64(b[:])>>1) | 1
}
