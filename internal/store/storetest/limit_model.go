package storetest

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
)

// modelled are limits that a random walk reaches.
var modelled = limit.Options{
	Failures: 3, Hard: 7, Durations: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}, Patience: time.Millisecond,
}

// guess is an attempt as the model knows it.
type guess struct {
	try    *limit.Try
	by     int // the server where it is
	bucket string
	spent  string // the device that failed so often that it counts as a stranger; empty for any other
	life   *memory
	round  *round
	wrong  bool
}

// memory is what a bucket remembers: all since a success, an unlock, or a week.
type memory struct {
	rounds []*round
	late   int // wrong ones of before that were judged under a lock
	last   time.Time
}

// round is a run of attempts up to a lock, without those that were abandoned.
type round struct {
	guesses []*guess
	until   time.Time // zero while it is open
}

func (l *memory) total() int {
	n := l.late
	for _, r := range l.rounds {
		n += len(r.guesses)
	}
	return n
}

// locks counts the rounds that ended in a lock.
func (l *memory) locks() (n int) {
	for _, r := range l.rounds {
		if !r.until.IsZero() {
			n++
		}
	}
	return n
}

func (l *memory) open(now time.Time) *round {
	if n := len(l.rounds); n > 0 && (l.rounds[n-1].until.IsZero() || l.rounds[n-1].until.After(now)) {
		return l.rounds[n-1]
	}
	l.rounds = append(l.rounds, &round{})
	return l.rounds[len(l.rounds)-1]
}

// add puts a guess into the present round, which it may lock.
func (l *memory) add(g *guess, now time.Time) {
	g.life, g.round, l.last = l, l.open(now), now
	g.round.guesses = append(g.round.guesses, g)
	if len(g.round.guesses) >= modelled.Failures || l.total() >= modelled.Hard {
		n := l.locks()
		g.round.until = now.Add(modelled.Durations[min(n, len(modelled.Durations)-1)])
	}
}

// walk is one random walk of two servers and the model.
type walk struct {
	*rapid.T
	hands *Hands
	two   [2]*limit.Service
	lives map[string]*memory // by device
	live  []*guess           // not settled
}

// agreesWithModel holds two servers that share a store to a model that keeps
// every guess in a list.
func agreesWithModel(t *testing.T, open Counts) {
	both := open(t)
	rapid.Check(t, func(r *rapid.T) {
		w := &walk{T: r, hands: NewHands(), lives: map[string]*memory{}}
		w.two = services(both, w.hands, modelled)
		if err := w.two[0].Unlock(t.Context(), "user:ann"); err != nil {
			r.Fatal(err)
		}
		r.Repeat(map[string]func(*rapid.T){
			"begin": func(r *rapid.T) { w.T = r; w.begin() }, "begin again": func(r *rapid.T) { w.T = r; w.begin() },
			"fail": func(r *rapid.T) { w.T = r; w.fail() }, "fail too": func(r *rapid.T) { w.T = r; w.fail() },
			"succeed": func(r *rapid.T) { w.T = r; w.succeed() },
			"abandon": func(r *rapid.T) { w.T = r; w.abandon() },
			"wait": func(r *rapid.T) {
				w.hands.Move(time.Duration(rapid.SampledFrom([]int64{1, 59e9, 60e9, 300e9, 900e9, 86400e9}).Draw(r, "wait")).Round(time.Microsecond))
			},
			"a week": func(r *rapid.T) {
				if rapid.IntRange(0, 9).Draw(r, "rarely") == 0 {
					w.hands.Move(limit.Keep + time.Second)
				}
			},
			"unlock": func(r *rapid.T) {
				if rapid.IntRange(0, 4).Draw(r, "seldom") == 0 {
					clear(w.lives)
					if err := w.two[1].Unlock(r.Context(), "user:ann"); err != nil {
						r.Fatal(err)
					}
				}
			},
			"": func(r *rapid.T) { w.T = r; w.compare() },
		})
	})
}

// of returns what a bucket remembers now.
func (w *walk) of(bucket string) *memory {
	l := w.lives[bucket]
	if l == nil || w.hands.Now().Sub(l.last) > limit.Keep {
		l = &memory{}
		w.lives[bucket] = l
	}
	return l
}

// refusal says what the model answers to an attempt: 0 is yes.
func (w *walk) refusal(server int, bucket string) (after time.Duration, hard bool) {
	flying := 0
	for _, g := range w.live {
		if g.by == server && g.bucket == bucket {
			flying++
		}
	}
	l, now := w.of(bucket), w.hands.Now()
	switch {
	case flying == modelled.Failures/2+1:
		return time.Second, false
	case l.total() >= modelled.Hard:
		return modelled.Durations[len(modelled.Durations)-1], true
	case len(l.rounds) > 0 && l.rounds[len(l.rounds)-1].until.After(now):
		return l.rounds[len(l.rounds)-1].until.Sub(now), false
	}
	return 0, false
}

func (w *walk) begin() {
	g := &guess{by: rapid.IntRange(0, 1).Draw(w.T, "server"), bucket: rapid.SampledFrom([]string{"", "phone"}).Draw(w.T, "device")}
	attempt := limit.Attempt{Subject: "user:ann", Device: g.bucket}
	want, hard := w.refusal(g.by, g.bucket)
	if hard && g.bucket != "" {
		g.spent, g.bucket = g.bucket, ""
		want, _ = w.refusal(g.by, "")
	}
	var err error
	g.try, err = w.two[g.by].Begin(w.Context(), attempt)
	if want == 0 && err != nil {
		w.Fatalf("refused, and the model says yes: %v", err)
	} else if want == 0 {
		w.of(g.bucket).add(g, w.hands.Now())
		w.live = append(w.live, g)
		return
	}
	e, ok := errors.AsType[*fault.Error](err)
	if up := (want + time.Second - 1).Truncate(time.Second); !ok || e.Kind != fault.Limited || e.After != up {
		w.Fatalf("%v (%+v), and the model says come again after %v", err, e, up)
	}
}

// pick takes one of the guesses that are not settled.
func (w *walk) pick() *guess {
	if len(w.live) == 0 {
		w.Skip("none")
	}
	i := rapid.IntRange(0, len(w.live)-1).Draw(w.T, "which")
	g := w.live[i]
	w.live = append(w.live[:i:i], w.live[i+1:]...)
	return g
}

func (w *walk) fail() {
	g, now := w.pick(), w.hands.Now()
	l := w.of(g.bucket)
	g.wrong = true
	present := len(l.rounds) > 0 && g.life == l && l.rounds[len(l.rounds)-1] == g.round
	l.last = now
	var want limit.Verdict
	if !present && len(l.rounds) > 0 && l.rounds[len(l.rounds)-1].until.After(now) {
		l.late++
	} else {
		if !present {
			l.add(g, now)
		}
		all := true
		for _, other := range g.round.guesses {
			all = all && other.wrong
		}
		if n := l.locks(); all && !g.round.until.IsZero() {
			g.round.until = now.Add(modelled.Durations[min(n, len(modelled.Durations))-1])
			want = limit.Verdict{Locked: true, Until: g.round.until, Locks: n, Hard: l.total() >= modelled.Hard}
		}
	}
	if got, err := g.try.Failed(w.Context()); got != want || err != nil {
		w.Fatalf("Failed = %+v, %v; the model says %+v", got, err, want)
	}
}

func (w *walk) succeed() {
	g := w.pick()
	delete(w.lives, g.bucket)
	if g.spent != "" { // the owner was there after all
		delete(w.lives, g.spent)
	}
	if err := g.try.Succeeded(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *walk) abandon() {
	g := w.pick()
	l := w.of(g.bucket)
	if n := len(l.rounds); n > 0 && g.life == l && l.rounds[n-1] == g.round {
		var kept []*guess
		for _, other := range g.round.guesses {
			if other != g {
				kept = append(kept, other)
			}
		}
		g.round.guesses = kept
		if len(kept) < modelled.Failures && l.total() < modelled.Hard {
			g.round.until = time.Time{}
		}
	}
	g.try.Abandon(w.Context())
	if v, err := g.try.Failed(w.Context()); v != (limit.Verdict{}) || err != nil {
		w.Fatalf("settled twice: %+v, %v", v, err)
	}
}

// compare holds what an operator is shown.
func (w *walk) compare() {
	l, now := w.of(""), w.hands.Now()
	want := limit.State{Total: l.total()}
	if n := len(l.rounds); n > 0 {
		last := l.rounds[n-1]
		if last.until.IsZero() || last.until.After(now) || l.total() >= modelled.Hard {
			want.Failures, want.Until = len(last.guesses), last.until
		}
	}
	if l.total() >= modelled.Hard {
		want.Until = l.last.Add(limit.Keep)
	}
	if got, err := w.two[0].Locked(w.Context(), "user:ann"); got != want || err != nil {
		w.Fatalf("Locked = %+v, %v; the model says %+v", got, err, want)
	}
}
