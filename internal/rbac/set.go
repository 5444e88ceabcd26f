package rbac

import (
	"math/bits"
	"slices"
)

// vocabulary numbers the permissions that the roles of a snapshot hold, in
// their order. It never changes.
type vocabulary struct {
	names []string
	index map[string]int
}

func newVocabulary(roles []Role) *vocabulary {
	v := &vocabulary{index: map[string]int{}}
	for _, r := range roles {
		for _, p := range r.Permissions {
			if _, ok := v.index[p]; !ok {
				v.index[p] = 0
				v.names = append(v.names, p)
			}
		}
	}
	slices.Sort(v.names)
	for i, p := range v.names {
		v.index[p] = i
	}
	return v
}

// bit returns the number of a permission. The vocabulary of the zero Set is nil
// and knows no word.
func (v *vocabulary) bit(permission string) (int, bool) {
	if v == nil {
		return 0, false
	}
	i, ok := v.index[permission]
	return i, ok
}

func (v *vocabulary) size() int {
	if v == nil {
		return 0
	}
	return len(v.names)
}

// Set is a set of permissions, made by a Snapshot. The zero Set is empty. A Set
// never changes and is safe for concurrent use. Sets of different snapshots may
// be combined: they are then compared by the permissions' names.
type Set struct {
	words *vocabulary
	bits  bitmap   // of the permissions in words
	extra []string // sorted; those that are not in words
	every bool     // holds all that is not in words, too
}

// Has reports whether permission, byte by byte, is in a. The set of everything
// has every permission, but nothing that ParsePermission refuses. Has does not
// allocate.
func (a Set) Has(permission string) bool {
	if i, ok := a.words.bit(permission); ok {
		return a.bits.has(i)
	}
	if a.every {
		return isPermission(permission)
	}
	_, found := slices.BinarySearch(a.extra, permission)
	return found
}

// Covers reports whether b is a subset of a.
func (a Set) Covers(b Set) bool {
	b = b.in(a.words)
	if b.every && !a.every {
		return false
	}
	for i, w := range b.bits {
		if w&^a.bits[i] != 0 {
			return false
		}
	}
	return !slices.ContainsFunc(b.extra, func(p string) bool { return !a.Has(p) })
}

// Intersect returns what is in both a and b.
func (a Set) Intersect(b Set) Set {
	b = b.in(a.words)
	both := Set{words: a.words, bits: slices.Clone(a.bits), every: a.every && b.every}
	for i, w := range b.bits {
		both.bits[i] &= w
	}
	both.extra = append(only(a.extra, b.Has), only(b.extra, a.Has)...)
	both.extra = sorted(both.extra)
	return both
}

// Minus returns what is in a and not in b. What remains of the set of
// everything is what roles hold: it is no longer the set of everything.
func (a Set) Minus(b Set) Set {
	b = b.in(a.words)
	rest := Set{words: a.words, bits: slices.Clone(a.bits)}
	for i, w := range b.bits {
		rest.bits[i] &^= w
	}
	rest.extra = only(a.extra, func(p string) bool { return !b.Has(p) })
	return rest
}

// Permissions returns the permissions in a, sorted. For the set of everything
// they are those that some role holds.
func (a Set) Permissions() []string {
	names := make([]string, 0, a.bits.count()+len(a.extra))
	for i := range a.bits.all() {
		names = append(names, a.words.names[i])
	}
	if len(a.extra) > 0 {
		names = sorted(append(names, a.extra...))
	}
	return names
}

// Empty reports whether nothing is in a.
func (a Set) Empty() bool { return !a.every && len(a.extra) == 0 && a.bits.count() == 0 }

// in returns a with its permissions numbered as words does.
func (a Set) in(words *vocabulary) Set {
	if a.words == words {
		return a
	}
	if a.every {
		return everything(words)
	}
	return setOf(words, a.Permissions())
}

func everything(words *vocabulary) Set {
	a := Set{words: words, bits: newBitmap(words.size()), every: true}
	for i := range words.size() {
		a.bits.set(i)
	}
	return a
}

func setOf(words *vocabulary, permissions []string) Set {
	a := Set{words: words, bits: newBitmap(words.size())}
	for _, p := range permissions {
		if i, ok := words.bit(p); ok {
			a.bits.set(i)
		} else {
			a.extra = append(a.extra, p)
		}
	}
	a.extra = sorted(a.extra)
	return a
}

// sorted sorts names in place and drops what is there twice.
func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func only(names []string, keep func(string) bool) []string {
	var kept []string
	for _, n := range names {
		if keep(n) {
			kept = append(kept, n)
		}
	}
	return kept
}

// bitmap is a set of small numbers.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, bitmapWords(n)) }

func bitmapWords(n int) int { return (n + 63) / 64 }

func (m bitmap) has(i int) bool { return m[i>>6]>>(i&63)&1 != 0 }

func (m bitmap) set(i int) { m[i>>6] |= 1 << (i & 63) }

func (m bitmap) or(other bitmap) {
	for i, w := range other {
		m[i] |= w
	}
}

func (m bitmap) count() int {
	n := 0
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// all yields the numbers in m in their order.
func (m bitmap) all() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i, w := range m {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
