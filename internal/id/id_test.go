package id_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/id"
)

func TestFloorAndTime(t *testing.T) {
	at := time.Date(2026, 2, 28, 23, 59, 59, 999_000_000, time.UTC)
	before, made, after := id.New(at.Add(-time.Millisecond)), id.New(at), id.New(at.Add(time.Millisecond))
	if floor := id.Floor(at); !id.Valid(floor) || floor <= before || floor > made || id.Floor(at.Add(time.Millisecond)) <= made || after < id.Floor(at.Add(time.Millisecond)) {
		t.Errorf("the floor %s is not between %s and %s", floor, before, made)
	}
	if got := id.Time(made); !got.Equal(at) {
		t.Errorf("%s was made at %v, want %v", made, got, at)
	}
	for _, bad := range []string{"", "x", made + "0", made[:25] + "w", made[:25] + "A"} {
		if got := id.Time(bad); !got.IsZero() {
			t.Errorf("Time(%q) = %v", bad, got)
		}
	}
	if id.Floor(time.Time{}) != id.Floor(time.Unix(0, 0)) {
		t.Error("the floor of what lies before 1970 is not the least id")
	}
}
