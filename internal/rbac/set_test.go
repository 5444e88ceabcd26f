package rbac

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// words are what the sets of these tests are made of: permissions that one
// snapshot knows, that another does, both, none, and what is no permission.
var words = []string{"both:x", "both:y", "first:a", "first:b", "second:a", "second:b", "none:a", "none:b", "*", "first:*", "", "a b"}

func twoSnapshots(t testing.TB) [2]*Snapshot {
	return [2]*Snapshot{
		mustSnapshot(t, roles("r: first:a first:b both:x both:y")...),
		mustSnapshot(t, roles("r: both:y second:a both:x", "q: second:b")...),
	}
}

// drawSet draws a Set of either snapshot and what it should hold among words.
func drawSet(t *rapid.T, snapshots [2]*Snapshot) (Set, map[string]bool, bool) {
	holds := map[string]bool{}
	s := snapshots[rapid.IntRange(0, 1).Draw(t, "snapshot")]
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		for _, w := range words {
			holds[w] = isPermission(w)
		}
		return s.All(), holds, true
	case 1:
		return Set{}, holds, false
	}
	names := rapid.SliceOfN(rapid.SampledFrom(append([]string{"openid"}, words...)), 0, 12).Draw(t, "names")
	for _, n := range names {
		if n != "openid" { // it needs no permission
			holds[n] = true
		}
	}
	return s.Set(names), holds, false
}

// TestSetIsTheModel holds the bitmaps to maps of names, for sets of one
// snapshot and of two.
func TestSetIsTheModel(t *testing.T) {
	snapshots := twoSnapshots(t)
	rapid.Check(t, func(t *rapid.T) {
		a, inA, everyA := drawSet(t, snapshots)
		b, inB, everyB := drawSet(t, snapshots)
		both, rest := a.Intersect(b), a.Minus(b)
		covers, empty := everyA || !everyB, !everyA
		for _, w := range words {
			covers = covers && (inA[w] || !inB[w])
			empty = empty && !inA[w]
			if a.Has(w) != inA[w] {
				t.Fatalf("Has(%q) = %t", w, a.Has(w))
			}
			if both.Has(w) != (inA[w] && inB[w]) {
				t.Fatalf("Intersect has %q: %t", w, both.Has(w))
			}
			// What remains of everything is what the roles of its snapshot hold.
			left := inA[w] && !inB[w] && (!everyA || slices.Contains(a.words.names, w))
			if rest.Has(w) != left {
				t.Fatalf("Minus has %q: %t", w, rest.Has(w))
			}
		}
		if a.Has("openid") || a.Has("first:a ") || a.Has("first") != everyA {
			t.Fatal("a set has what was not put into it")
		}
		if a.Covers(b) != covers {
			t.Fatalf("Covers = %t; want %t", a.Covers(b), covers)
		}
		if a.Empty() != empty {
			t.Fatalf("Empty = %t; want %t", a.Empty(), empty)
		}
		if !everyA {
			want := slices.Sorted(func(yield func(string) bool) {
				for n, in := range inA {
					if in && !yield(n) {
						return
					}
				}
			})
			if got := a.Permissions(); !slices.Equal(got, want) {
				t.Fatalf("Permissions = %q; want %q", got, want)
			}
		}
		if !both.Covers(both) || !a.Covers(both) || !b.Covers(both) || !a.Covers(rest) || !rest.Intersect(b).Empty() {
			t.Fatal("the laws of sets do not hold")
		}
	})
}

func TestSetOfAnotherSnapshot(t *testing.T) {
	two := twoSnapshots(t)
	first, second := two[0], two[1]
	for _, tt := range []struct {
		name   string
		a, b   Set
		covers bool
	}{
		{"same names, other numbers", first.Set([]string{"both:y"}), second.Set([]string{"both:y"}), true},
		{"other names, same number", first.Set([]string{"both:x"}), second.Set([]string{"both:y"}), false},
		{"unknown in one", first.Set([]string{"second:a"}), second.Set([]string{"second:a"}), true},
		{"unknown in the other", second.Set([]string{"second:a"}), first.Set([]string{"second:a"}), true},
		{"all that roles hold is not everything", first.OfRole("r"), first.All(), false},
		{"everything of another", first.All(), second.All(), true},
		{"everything has what only the other knows", first.All(), second.OfRole("q"), true},
		{"everything has no wildcard", first.All(), first.Set([]string{"*"}), false},
		{"nothing in nothing", Set{}, second.Set(nil), true},
		{"nothing has nothing", Set{}, second.Set([]string{"both:x"}), false},
		{"nothing is in anything", second.Set(nil), Set{}, true},
		{"everything is not in nothing", Set{}, first.All(), false},
	} {
		if got := tt.a.Covers(tt.b); got != tt.covers {
			t.Errorf("%s: Covers = %t", tt.name, got)
		}
	}
}
