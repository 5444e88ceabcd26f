package keyring

import (
	"fmt"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/jose"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const keep = 16 * time.Minute

// at returns a time in minutes after the start.
func at(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }

// chain returns keys with ordinals from 1; each is given by when it begins to
// sign, and when it was withdrawn if it was.
func chain(times ...[2]float64) []Key {
	keys := make([]Key, len(times))
	for i, when := range times {
		keys[i] = Key{ID: fmt.Sprint("k", i+1), Alg: jose.EdDSA, Ordinal: int64(i + 1), CreatedAt: start, ActiveFrom: at(when[0])}
		if when[1] >= 0 {
			keys[i].RetiredAt = at(when[1])
		}
	}
	return keys
}

const never = -1

func TestStateOf(t *testing.T) {
	one := chain([2]float64{0, never})
	ahead := chain([2]float64{0, never}, [2]float64{60, never})
	overtaken := chain([2]float64{0, never}, [2]float64{60, never}, [2]float64{10, never})
	withdrawn := chain([2]float64{0, 30}, [2]float64{10, never})
	early := chain([2]float64{0, never}, [2]float64{60, 30})
	late := chain([2]float64{0, never}, [2]float64{10, 40}, [2]float64{30, never})
	three := chain([2]float64{0, never}, [2]float64{60, never}, [2]float64{120, never})
	for name, c := range map[string]struct {
		keys   []Key
		now    float64
		states string // of each key
	}{
		"before the first":          {one, -1, "next"},
		"the first begins":          {one, 0, "active"},
		"the only one":              {one, 1e6, "active"},
		"published ahead":           {ahead, 59.99, "active next"},
		"the change":                {ahead, 60, "retiring active"},
		"what it signed lives":      {ahead, 75.99, "retiring active"},
		"what it signed is dead":    {ahead, 76, "gone active"},
		"overtaken by one at once":  {overtaken, 10, "retiring next active"},
		"overtaken, its time comes": {overtaken, 60, "gone gone active"},
		"withdrawn":                 {withdrawn, 31, "gone active"},
		"withdrawn before it signs": {early, 60, "active gone"},
		"withdrawn after it signed": {late, 41, "gone gone active"},
		"what it replaced":          {late, 20, "retiring gone next"}, // a withdrawn key is not published, whatever the clock
		"three":                     {three, 125, "gone retiring active"},
		"three, the clock set back": {three, 30, "active next next"},
	} {
		got := ""
		for _, k := range c.keys {
			got += " " + string(StateOf(k, c.keys, at(c.now), keep))
		}
		if got[1:] != c.states {
			t.Errorf("%s: %s, want %s", name, got[1:], c.states)
		}
	}
}

// Between the moments that changes names no state changes, and at each of them
// one does.
func TestChanges(t *testing.T) {
	for name, keys := range map[string][]Key{
		"none":      nil,
		"one":       chain([2]float64{0, never}),
		"ahead":     chain([2]float64{0, never}, [2]float64{60, never}),
		"overtaken": chain([2]float64{0, never}, [2]float64{60, never}, [2]float64{10, never}),
		"close":     chain([2]float64{0, never}, [2]float64{5, never}, [2]float64{10, never}),
		"withdrawn": chain([2]float64{0, 30}, [2]float64{10, never}, [2]float64{40, 35}),
	} {
		states := func(now time.Time) (all string) {
			for _, k := range keys {
				all += string(StateOf(k, keys, now, keep)) + " "
			}
			return all
		}
		moments := map[time.Time]bool{}
		for now, next := at(-10), (time.Time{}); ; now = next {
			if next = changes(keys, now, keep); next.IsZero() {
				break
			}
			if !next.After(now) {
				t.Fatalf("%s: after %v comes %v", name, now, next)
			}
			moments[next] = true
		}
		before := states(at(-10))
		for now := at(-10); now.Before(at(200)); now = now.Add(15 * time.Second) {
			if is := states(now); is != before {
				if !moments[now] {
					t.Errorf("%s: at %v the states go from %s to %s, and nobody said so", name, now.Sub(start), before, is)
				}
				before = is
			}
		}
	}
}

// A kid is an argument of signing-key retire, which must not take it for a flag.
func TestKidIsNoFlag(t *testing.T) {
	for range 1_000 { // without care one of 64 would be
		if _, kid, err := named(jose.EdDSA); err != nil || len(kid) != 43 || kid[0] == '-' {
			t.Fatalf("%q, %v", kid, err)
		}
	}
}
