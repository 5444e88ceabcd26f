package factor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// A visit is a piece of work of one second in a bubble, and how it ended.
type visit struct {
	source string
	began  time.Duration // after the start of the test; -1 if never
	ended  time.Duration
	err    error
}

// visitor sends visits through a door and collects them.
type visitor struct {
	d     *door
	start time.Time
	ended chan visit
}

func newVisitor(workers, capacity int) *visitor {
	d := openDoor(workers, capacity, 0, clock.Wall())
	d.patience = time.Hour
	return &visitor{d: d, start: time.Now(), ended: make(chan visit, 1000)}
}

// send sends n visits, one after the other in the queue.
func (v *visitor) send(ctx context.Context, source string, n int) {
	for range n {
		go func() {
			s := visit{source: source, began: -1}
			began := make(chan time.Duration, 1)
			s.err = v.d.do(ctx, source, func(*arena) {
				began <- time.Since(v.start)
				time.Sleep(time.Second)
			})
			if s.err == nil {
				s.began = <-began
			}
			s.ended = time.Since(v.start)
			v.ended <- s
		}()
		synctest.Wait()
	}
}

// collect returns the n visits that end next, in order.
func (v *visitor) collect(n int) []visit {
	all := make([]visit, n)
	for i := range all {
		all[i] = <-v.ended
	}
	return all
}

func order(visits []visit) string {
	var s string
	for _, v := range visits {
		s += v.source
	}
	return s
}

func isLimited(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Kind == fault.Limited && f.After >= time.Second
}

// One source has a hundred waiting; another's single request is served before
// the next but one of them.
func TestDoorIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(2, 200)
		defer v.d.close()
		v.send(t.Context(), "a", 102) // two of which are being served
		v.send(t.Context(), "b", 1)
		for _, s := range v.collect(103) {
			if s.err != nil {
				t.Fatal(s.err)
			}
			if s.source == "b" && s.ended > 3*time.Second {
				t.Errorf("b is served after %v, and a round takes a second", s.ended)
			}
		}
	})
}

func TestDoorServesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(1, 200)
		defer v.d.close()
		v.send(t.Context(), "-", 1)
		v.send(t.Context(), "a", 4)
		v.send(t.Context(), "b", 2)
		v.send(t.Context(), "c", 3)
		if got, want := order(v.collect(10)), "-abcabcaca"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
	})
}

func TestDoorIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(1, 4)
		defer v.d.close()
		v.send(t.Context(), "-", 1)
		v.send(t.Context(), "a", 4)
		// Its own source is the longest queue: the newcomer is refused, at once.
		v.send(t.Context(), "a", 1)
		if s := v.collect(1)[0]; !isLimited(s.err) || s.source != "a" || s.ended != 0 {
			t.Errorf("a fifth a: %+v", s)
		}
		// Others take the place of the newest a, until there are as many of them.
		v.send(t.Context(), "b", 3)
		for i, want := range []string{"a", "a", "b"} {
			if s := v.collect(1)[0]; !isLimited(s.err) || s.source != want || s.ended != 0 {
				t.Errorf("b number %d displaced %+v, want %s", i+1, s, want)
			}
		}
		// A stranger finds no queue that is longer by two; then there is one.
		v.send(t.Context(), "c", 1)
		if s := v.collect(1)[0]; !isLimited(s.err) || s.source != "a" {
			t.Errorf("c displaced %+v", s)
		}
		v.send(t.Context(), "d", 1)
		if s := v.collect(1)[0]; !isLimited(s.err) || s.source != "b" {
			t.Errorf("d displaced %+v", s)
		}
		v.send(t.Context(), "e", 1)
		if s := v.collect(1)[0]; !isLimited(s.err) || s.source != "e" {
			t.Errorf("e displaced %+v: now all have one", s)
		}
		if got, want := order(v.collect(5)), "-abcd"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
	})
}

// Where hashes take long, fewer wait: nobody for longer than his connection lasts.
func TestDoorForeseesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(1, 32)
		defer v.d.close()
		v.d.patience, v.d.mean = longestWait, 5*time.Second
		v.send(t.Context(), "-", 1)
		v.send(t.Context(), "a", 2)
		v.send(t.Context(), "a", 1)
		if s := v.collect(1)[0]; !isLimited(s.err) || s.ended != 0 {
			t.Errorf("a third a, who would wait for 15 s: %+v", s)
		}
		v.send(t.Context(), "b", 1)
		if s := v.collect(1)[0]; !isLimited(s.err) || s.source != "a" {
			t.Errorf("b displaced %+v: as in a queue that is full, sources share what room there is", s)
		}
		if got, want := order(v.collect(3)), "-ab"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
		synctest.Wait() // the worker notes how long the last one took
		v.d.mean = time.Hour
		v.send(t.Context(), "-", 1)
		v.send(t.Context(), "a", 1)
		if got, want := order(v.collect(2)), "-a"; got != want {
			t.Errorf("served %s, want %s: for each worker one may wait, or none would ever be quicker again", got, want)
		}
	})
}

func TestDoorLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(1, 3)
		defer v.d.close()
		working, stop := context.WithCancel(t.Context())
		waiting, leave := context.WithCancel(t.Context())
		v.send(working, "-", 1)
		v.send(t.Context(), "a", 1)
		v.send(waiting, "a", 1)
		v.send(waiting, "b", 1)
		leave()
		for _, s := range v.collect(2) {
			if !errors.Is(s.err, context.Canceled) || errors.Is(s.err, ErrLeft) || fault.KindOf(s.err) != 0 || s.ended != 0 {
				t.Errorf("%+v", s)
			}
		}
		// The one that is being served leaves at once, and its worker goes on.
		stop()
		if s := v.collect(1)[0]; s.source != "-" || !errors.Is(s.err, context.Canceled) || !errors.Is(s.err, ErrLeft) || s.ended != 0 {
			t.Errorf("%+v", s)
		}
		// The places are free again.
		v.send(t.Context(), "c", 2)
		got := v.collect(3)
		if order(got) != "acc" || got[0].began != time.Second || got[2].err != nil {
			t.Errorf("%+v", got)
		}
	})
}

func TestDoorCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(2, 10)
		v.send(t.Context(), "a", 4)
		v.send(t.Context(), "b", 2)
		v.d.close() // in a bubble, this test fails if a goroutine stays
		if d := time.Since(v.start); d != time.Second {
			t.Errorf("closed after %v, want the second of the work that had begun", d)
		}
		v.send(t.Context(), "c", 1)
		var served, refused int
		for _, s := range v.collect(7) {
			switch {
			case s.err == nil && s.source == "a":
				served++
			case fault.KindOf(s.err) == fault.Unavailable:
				refused++
			default:
				t.Errorf("%+v", s)
			}
		}
		if served != 2 || refused != 5 {
			t.Errorf("%d served, %d refused", served, refused)
		}
		v.d.close()
	})
}

// The door's own count of who waits, against the queues, over random visits.
func TestDoorKeepsCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &door{workers: 2, capacity: 6, patience: time.Hour, queues: map[string][]*ticket{}, mean: time.Second}
		var waiting []*ticket
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				k := &ticket{source: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "source"), done: make(chan struct{})}
				if err := d.enter(k); err == nil {
					waiting = append(waiting, k)
				} else if !isLimited(err) || len(waiting) < d.capacity {
					t.Fatalf("%d wait: %v", len(waiting), err)
				}
				if i := slices.IndexFunc(waiting, finished); i >= 0 { // displaced
					old := waiting[i]
					waiting = slices.Delete(waiting, i, i+1)
					if !isLimited(old.err) || slices.ContainsFunc(waiting[i:], func(k *ticket) bool { return k.source == old.source }) {
						t.Fatalf("not the newest of %s, or %v", old.source, old.err)
					}
				}
			},
			"leave": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nobody waits")
				}
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "which")
				d.leave(waiting[i])
				d.leave(waiting[i]) // does nothing
				waiting = slices.Delete(waiting, i, i+1)
			},
			"next": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nobody waits")
				}
				source := d.turns[0]
				k := d.next(new(arena))
				i := slices.IndexFunc(waiting, func(w *ticket) bool { return w.source == source })
				if i < 0 || waiting[i] != k {
					t.Fatalf("not the oldest of %s", source)
				}
				waiting = slices.Delete(waiting, i, i+1)
			},
			"": func(t *rapid.T) {
				if d.waiting != len(waiting) || d.waiting > d.capacity || len(d.turns) != len(d.queues) {
					t.Fatalf("%d wait, counted %d; %d turns for %d queues", len(waiting), d.waiting, len(d.turns), len(d.queues))
				}
				for _, source := range d.turns {
					if len(d.queues[source]) == 0 {
						t.Fatalf("%s has a turn and nobody", source)
					}
				}
			},
		})
	})
}

func finished(k *ticket) bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// A crowd of sources, with the workers and the race detector at work.
func TestDoorCrowd(t *testing.T) {
	d := openDoor(4, 64, 0, clock.Wall())
	results := make(chan error)
	const crowd = 2000
	for i := range crowd {
		go func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%7 == 0 {
				time.AfterFunc(time.Duration(i%11)*100*time.Microsecond, cancel)
			}
			defer cancel()
			var done bool
			err := d.do(ctx, fmt.Sprint(i%50), func(*arena) { time.Sleep(50 * time.Microsecond); done = true })
			if err == nil && !done {
				err = errors.New("not done")
			}
			results <- err
		}()
	}
	served := 0
	for range crowd {
		switch err := <-results; {
		case err == nil:
			served++
		case !isLimited(err) && !errors.Is(err, context.Canceled):
			t.Error(err)
		}
	}
	d.close()
	if served == 0 || d.waiting != 0 {
		t.Errorf("%d served, %d left", served, d.waiting)
	}
}

func TestDoorAddsProcessors(t *testing.T) {
	before, free := runtime.GOMAXPROCS(0), cores()
	d, e := openDoor(3, 1, 0, clock.Wall()), openDoor(2, 1, 0, clock.Wall())
	if got := runtime.GOMAXPROCS(0); got != before+5 {
		t.Errorf("GOMAXPROCS is %d, want %d", got, before+5)
	}
	if got := cores(); got != free {
		t.Errorf("cores() = %d, want %d as before", got, free)
	}
	d.close()
	d.close()
	e.close()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS is %d, want %d as before", got, before)
	}
}

// An idle worker holds no memory.
func TestDoorGivesMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoor(1, 2, 8, clock.Wall())
		defer d.close()
		var used *arena
		for range 2 {
			if err := d.do(t.Context(), "a", func(a *arena) { used = a; a.take(8) }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if used.blocks != nil {
				t.Error("the memory is kept")
			}
		}
	})
}
