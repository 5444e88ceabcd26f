package server

import (
	"net/http"
	"runtime/debug"
	"testing"
)

func TestCollectLess(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for was, want := range map[int]int{100: garbage, 50: 50, 400: 400, -1: -1} {
		debug.SetGCPercent(was)
		undo := collectLess()
		if got := debug.SetGCPercent(want); got != want {
			t.Errorf("%d became %d", was, got)
		}
		undo()
		if got := debug.SetGCPercent(was); got != was {
			t.Errorf("%d is %d afterwards", was, got)
		}
	}
}

// A start collects less still, and what the operator has set stays.
func TestHurry(t *testing.T) {
	before := debug.SetGCPercent(usual)
	defer debug.SetGCPercent(before)
	for was, want := range map[int][3]int{usual: {starting, garbage, usual}, 400: {400, 400, 400}, -1: {-1, -1, -1}} {
		debug.SetGCPercent(was)
		Hurry()
		hurried := debug.SetGCPercent(want[0])
		undo := collectLess()
		running := debug.SetGCPercent(want[1])
		undo()
		if got := [3]int{hurried, running, debug.SetGCPercent(was)}; got != want {
			t.Errorf("%d becomes %v, want %v", was, got, want)
		}
	}
}

func TestConnectionsThatFell(t *testing.T) {
	var c connections
	change := func(n int, state http.ConnState) {
		for range n {
			c.note(nil, state)
		}
	}
	for i, step := range []struct {
		n     int
		state http.ConnState
		fell  bool
	}{
		{10_000, http.StateNew, false},
		{10_000, http.StateActive, false},
		{10_000, http.StateIdle, false},
		{4999, http.StateClosed, false}, // not half
		{1, http.StateClosed, true},
		{0, http.StateClosed, false}, // told once
		{5000, http.StateClosed, true},
		{499, http.StateNew, false},
		{499, http.StateClosed, false}, // not many
		{501, http.StateNew, false},
		{501, http.StateHijacked, true},
	} {
		change(step.n, step.state)
		if got := c.fell(); got != step.fell {
			t.Errorf("step %d: fell %t", i, got)
		}
	}
	if c.open.Load() != 0 {
		t.Errorf("%d are open", c.open.Load())
	}
}
