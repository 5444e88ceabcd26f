package server

import (
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
