package memo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestKeptUntilItChanges(t *testing.T) {
	m := New[int](100)
	loads := 0
	get := func() int {
		t.Helper()
		v, err := m.Get(t.Context(), "key", func(_ context.Context, key string) (int, error) {
			if key != "key" {
				t.Errorf("%q is loaded", key)
			}
			loads++
			return loads, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, 1},
		{func() {}, 1},
		{func() { m.Drop("key") }, 2},
		{func() {}, 2},
		{m.Clear, 3},
		{func() { m.Drop("another of another shard or not") }, 3},
	} {
		step.do()
		if got := get(); got != step.want {
			t.Fatalf("load number %d is kept, want %d", got, step.want)
		}
	}
}

func TestAnErrorIsNotKept(t *testing.T) {
	m := New[int](100)
	broken := errors.New("broken")
	if _, err := m.Get(t.Context(), "key", func(context.Context, string) (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Fatalf("%v", err)
	}
	if v, err := m.Get(t.Context(), "key", func(context.Context, string) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Fatalf("%d, %v", v, err)
	}
}

// What was being loaded while its key was dropped may be old: whoever asked gets
// it, and nobody else.
func TestLoadedAcrossADropIsNotKept(t *testing.T) {
	for name, drop := range map[string]func(*Map[string]){
		"drop":  func(m *Map[string]) { m.Drop("key") },
		"clear": func(m *Map[string]) { m.Clear() },
	} {
		m := New[string](100)
		got, err := m.Get(t.Context(), "key", func(context.Context, string) (string, error) {
			drop(m) // between the read of the database and its keeping
			return "old", nil
		})
		if got != "old" || err != nil {
			t.Errorf("%s: whoever asked got %q, %v", name, got, err)
		}
		if got, _ := m.Get(t.Context(), "key", func(context.Context, string) (string, error) { return "new", nil }); got != "new" {
			t.Errorf("%s: %q was kept", name, got)
		}
	}
}

// A source changes while many read through the map. Once a change was told, by a
// drop, nobody who asks after that gets what was before it.
func TestNothingOldAfterADrop(t *testing.T) {
	const keys, changes = 8, 300
	m := New[int64](1000)
	var source, told [keys]atomic.Int64
	load := func(k int) func(context.Context, string) (int64, error) {
		return func(context.Context, string) (int64, error) { return source[k].Load(), nil }
	}
	done := make(chan struct{})
	var writing, reading sync.WaitGroup
	for k := range keys {
		writing.Go(func() {
			for v := int64(1); v <= changes; v++ {
				source[k].Store(v)
				m.Drop(fmt.Sprint(k))
				told[k].Store(v)
			}
		})
	}
	for r := range 4 {
		reading.Go(func() {
			for k := r; ; k = (k + 1) % keys {
				select {
				case <-done:
					return
				default:
				}
				at := told[k].Load()
				if v, err := m.Get(t.Context(), fmt.Sprint(k), load(k)); err != nil || v < at {
					t.Errorf("after %d was told, %d was kept, %v", at, v, err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	for k := range keys {
		if v, _ := m.Get(t.Context(), fmt.Sprint(k), load(k)); v != changes {
			t.Errorf("in the end %d is kept for key %d", v, k)
		}
	}
}

// However many keys are asked for, what is kept is bounded, and asking goes on.
func TestBounded(t *testing.T) {
	for bound, most := range map[int]int{0: ways, 1: ways, 32: 32, 1000: 1000} {
		m := New[int](bound)
		for i := range 5000 {
			v, err := m.Get(t.Context(), fmt.Sprint(i), func(context.Context, string) (int, error) { return i, nil })
			if v != i || err != nil {
				t.Fatalf("%d, %v", v, err)
			}
		}
		kept := 0
		for i := range m.slots {
			if m.slots[i].Load() != nil {
				kept++
			}
		}
		if kept > most || kept < most/2 {
			t.Errorf("a map of %d keeps %d values, want %d at the most", bound, kept, most)
		}
	}
}
