package storetest

import (
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/limit"
)

// Counts opens an empty limit.Store twice, as two servers do that share it.
type Counts func(t testing.TB) [2]limit.Store

// Hands is a clock that a test sets.
type Hands struct {
	mu  sync.Mutex
	now time.Time
}

// NewHands returns a clock that stands at a time which every database keeps.
func NewHands() *Hands { return &Hands{now: instant} }

// Now returns the time that was set.
func (h *Hands) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Move sets the clock on, or back.
func (h *Hands) Move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

var _ clock.Clock = (*Hands)(nil)

// Limits is the contract of limit.Store, and what package limit makes of it
// there.
func Limits(t *testing.T, open Counts) {
	t.Run("buckets", func(t *testing.T) { buckets(t, open(t)) })
	t.Run("swaps", func(t *testing.T) { swaps(t, open(t)) })
	t.Run("marks", func(t *testing.T) { marks(t, open(t)) })
	t.Run("first", func(t *testing.T) { firstMarks(t, open(t)) })
	t.Run("meters", func(t *testing.T) { meters(t, open(t)) })
	t.Run("parallel wrong", func(t *testing.T) { parallelWrong(t, open(t)) })
	t.Run("parallel right", func(t *testing.T) { parallelRight(t, open(t)) })
	t.Run("parallel first", func(t *testing.T) { parallelFirst(t, open(t)) })
	t.Run("model", func(t *testing.T) { agreesWithModel(t, open) })
}

func anyName() limit.Name {
	var n limit.Name
	rand.Read(n[:])
	return n
}

func full(stamp int64) limit.Bucket {
	return limit.Bucket{
		Stamp: stamp, Round: 1<<63 - 1, Tries: 5, Failed: 4, Total: 1 << 40, Locks: 3,
		Last: instant, Until: instant.Add(time.Microsecond),
	}
}

func buckets(t *testing.T, both [2]limit.Store) {
	s := both[0]
	subject := anyName()
	known, unknown := limit.Key{Subject: subject, Device: anyName()}, limit.Key{Subject: subject}
	for _, k := range []limit.Key{known, unknown} {
		if b, err := s.Bucket(t.Context(), k); b != (limit.Bucket{}) || err != nil {
			t.Errorf("before anything: %+v, %v", b, err)
		}
		b := full(1<<62 + 1)
		b.Total += int(k.Device[0])
		if ok, err := s.SwapBucket(t.Context(), k, 0, b); !ok || err != nil {
			t.Errorf("writing a new bucket: %v, %v", ok, err)
		}
		if got, err := both[1].Bucket(t.Context(), k); got != b || err != nil {
			t.Errorf("as written: %+v, %v; want %+v", got, err, b)
		}
	}
	bare := limit.Bucket{Stamp: 1, Last: instant}
	if ok, err := s.SwapBucket(t.Context(), unknown, 1<<62+1, bare); !ok || err != nil {
		t.Errorf("writing it again: %v, %v", ok, err)
	}
	if got, err := s.Bucket(t.Context(), unknown); got != bare || err != nil {
		t.Errorf("with an open round: %+v, %v; want %+v", got, err, bare)
	}
	if err := s.ClearBucket(t.Context(), unknown); err != nil {
		t.Error(err)
	}
	if b, err := s.Bucket(t.Context(), unknown); b != (limit.Bucket{}) || err != nil {
		t.Errorf("cleared: %+v, %v", b, err)
	}
	if b, err := s.Bucket(t.Context(), known); b.Stamp == 0 || err != nil {
		t.Errorf("the other of the subject went with it: %+v, %v", b, err)
	}
	other := limit.Key{Subject: anyName()}
	for _, k := range []limit.Key{unknown, other} {
		if ok, err := s.SwapBucket(t.Context(), k, 0, full(2)); !ok || err != nil {
			t.Errorf("writing: %v, %v", ok, err)
		}
	}
	if err := s.ClearBuckets(t.Context(), subject); err != nil {
		t.Error(err)
	}
	for k, left := range map[limit.Key]bool{known: false, unknown: false, other: true} {
		if b, err := s.Bucket(t.Context(), k); (b.Stamp != 0) != left || err != nil {
			t.Errorf("after all of a subject were cleared: %+v, %v", b, err)
		}
	}
}

// Only who knows the present stamp writes, and of many who do, one.
func swaps(t *testing.T, both [2]limit.Store) {
	k := limit.Key{Subject: anyName()}
	try := func(what string, was, stamp int64, want bool) {
		t.Helper()
		if ok, err := both[0].SwapBucket(t.Context(), k, was, full(stamp)); ok != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", what, ok, err, want)
		}
	}
	try("none is there, and another was expected", 7, 8, false)
	try("none is there", 0, 8, true)
	try("one is there, and none was expected", 0, 9, false)
	try("another is there", 7, 9, false)
	try("it is there", 8, 9, true)
	try("it was there", 8, 10, false)
	try("stamps that are one as floating point numbers", 9, 1<<60+1, true)
	try("stamps that are one as floating point numbers", 1<<60, 11, false)
	for was, want := range map[int64]bool{1 << 60: false, 1<<60 + 1: true} {
		if ok, err := both[0].SwapBucket(t.Context(), k, was, limit.Bucket{}); ok != want || err != nil {
			t.Errorf("none in the place of %d: %v, %v; want %v", was, ok, err, want)
		}
	}
	try("none is there any more, and one was expected", 1<<60+1, 12, false)
	try("none is there any more", 0, 1<<60+1, true)
	if b, err := both[1].Bucket(t.Context(), k); b != full(1<<60+1) || err != nil {
		t.Errorf("in the end: %+v, %v", b, err)
	}
	for round := range int64(5) {
		var won []bool
		var mu sync.Mutex
		var all sync.WaitGroup
		was := 1<<60 + 1 + round
		for n := range 16 {
			all.Go(func() {
				ok, err := both[n%2].SwapBucket(t.Context(), k, was, full(was+1))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, ok)
			})
		}
		all.Wait()
		slices.SortFunc(won, func(a, b bool) int {
			if a == b {
				return 0
			} else if a {
				return -1
			}
			return 1
		})
		if !won[0] || won[1] {
			t.Errorf("of 16 who wrote at once, these did: %v", won)
		}
	}
}

func marks(t *testing.T, both [2]limit.Store) {
	a, b, none := anyName(), anyName(), anyName()
	push := func(name limit.Name, now time.Time, want time.Time) {
		t.Helper()
		p := limit.Push{Span: limit.Span{Now: now, Until: now.Add(11 * time.Second)}, Step: 3 * time.Second}
		if got, err := both[0].PushMark(t.Context(), name, p); !got.Equal(want) || err != nil {
			t.Errorf("pushed to %v, %v; want %v", got, err, want)
		}
	}
	at := func(seconds time.Duration) time.Time { return instant.Add(seconds * time.Second) }
	push(a, at(0), at(3))
	push(a, at(0), at(6))
	push(a, at(2), at(9))
	push(a, at(2), at(12))
	push(a, at(2), at(13)) // and no further than 11 s from now
	push(a, at(2), at(13))
	push(a, at(100), at(103)) // what lies behind is nothing
	push(b, at(0), at(3))
	push(b, at(-60), at(-49))     // a clock that runs behind a little pushes no further
	push(b, at(-3600), at(-3597)) // one that was set back begins anew
	got, err := both[1].Marks(t.Context(), b, none, a)
	if want := []time.Time{at(-3597), {}, at(103)}; err != nil || !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("Marks = %v, %v; want %v", got, err, want)
	}
}

func firstMarks(t *testing.T, both [2]limit.Store) {
	name := anyName()
	for _, step := range []struct {
		after time.Duration // since the beginning
		want  bool
	}{
		{0, true},
		{0, false},
		{59 * time.Minute, false}, // seen again, and remembered from then on
		{118 * time.Minute, false},
		{178*time.Minute - time.Microsecond, false},
		{238 * time.Minute, true},
		{239 * time.Minute, false},
		{238 * time.Minute, false},     // the clock of another server
		{-24 * time.Hour, true},        // a clock that was set back
		{-24*time.Hour + 1, false},     // and goes on from there
		{-22*time.Hour - 59*1e9, true}, // an hour and a second after
	} {
		now := instant.Add(step.after).Truncate(time.Microsecond)
		if got, err := both[0].FirstMark(t.Context(), name, limit.Span{Now: now, Until: now.Add(time.Hour)}); got != step.want || err != nil {
			t.Errorf("%v after the beginning: %v, %v; want %v", step.after, got, err, step.want)
		}
	}
}
