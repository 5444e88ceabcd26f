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
