package status

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The order in which bits are given is one of all of them, and tells nothing of how many
// were: neighbours are anywhere.
func TestPermutation(t *testing.T) {
	key := []byte("0123456789abcdef")
	seen, near := make([]bool, Size), 0
	last := int64(0)
	for _, i := range (Block{Key: key, N: Size}).Indexes() {
		if i < 0 || i >= Size || seen[i] {
			t.Fatalf("%d is given twice, or is none", i)
		}
		seen[i] = true
		if d := i - last; d > -1024 && d < 1024 {
			near++
		}
		last = i
	}
	if near > Size/256 { // 1 in 512 by chance
		t.Errorf("%d are near the one before", near)
	}
	a, b := Block{Key: key, N: 64}.Indexes(), Block{Key: []byte("another key 1234"), N: 64}.Indexes()
	if slices.Equal(a, b) || !slices.Equal(a[32:], Block{Key: key, First: 32, N: 32}.Indexes()) {
		t.Error("the order is not the key's")
	}
}

func TestSet(t *testing.T) {
	page := Set(nil, 0, 9, PageSize-1)
	if len(page) != PageSize/8 || page[0] != 1 || page[1] != 2 || page[PageSize/8-1] != 128 {
		t.Errorf("% x", page)
	}
	if again := Set(page, PageSize+1); again[0] != 3 || page[0] != 1 {
		t.Errorf("% x, and what it was made of: % x", again[:2], page[:2])
	}
}

func TestLive(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	at := func(n int) Slot { return Slot{"list", int64(n)} }
	var l Live
	for n := range mostHeld {
		if _, again := l.Again(1, now); again {
			t.Fatalf("the token %d gets no bit of its own", n)
		}
		l = l.With(at(n), []string{"viewer"}, 1, now.Add(time.Minute), now)
	}
	read, err := ParseLive(l.String())
	if err != nil || read.String() != l.String() || len(read.Held) != mostHeld {
		t.Fatalf("%v: %q is read as %q", err, l.String(), read.String())
	}
	// One more shares the oldest of its version, and no other's.
	if text := l.String(); strings.Count(text, "list") != 1 {
		t.Errorf("the list of all bits is named again: %q", text)
	}
	if s, again := l.Again(1, now); !again || s != at(0) {
		t.Errorf("the next has %v, %t", s, again)
	}
	if _, again := l.Again(2, now); again {
		t.Error("one made under another version has an old bit")
	}
	l = l.With(at(0), []string{"editor"}, 1, now.Add(time.Minute), now)
	if len(l.Held) != mostHeld || !slices.Equal(l.Roles, []string{"editor", "viewer"}) {
		t.Errorf("%+v", l)
	}
	if s, ok := l.Newest(); !ok || s != at(0) {
		t.Errorf("the newest is %v", s)
	}
	// What has expired is forgotten, with what only it carried.
	later := now.Add(time.Minute + margin*time.Second)
	if l = l.With(at(99), []string{"viewer"}, 3, later.Add(time.Minute), later); len(l.Held) != 1 || !slices.Equal(l.Roles, []string{"viewer"}) {
		t.Errorf("%+v", l)
	}
	for n := range 2 * mostKept { // whatever the policy does
		l = l.With(at(1000+n), nil, int64(n), later.Add(time.Minute), later)
	}
	if len(l.Held) != mostKept {
		t.Errorf("%d are kept", len(l.Held))
	}
	for _, text := range []string{"viewer", "\n", "viewer\nlist", "viewer\nlist 1", "viewer\nlist 1 2", "viewer\nlist 1 2:x", "viewer\nlist 1 2:3 4", "viewer\n 1 2:3", "viewer\nlist 1 2:3:4"} {
		if _, err := ParseLive(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestParseSlot(t *testing.T) {
	if s := ParseSlot(Slot{"abc", 7}.String()); s != (Slot{"abc", 7}) {
		t.Errorf("%v", s)
	}
	for _, text := range []string{"", "abc", "abc -1", "abc 1048576", " 7", "abc 7 8"} {
		if s := ParseSlot(text); s != (Slot{}) {
			t.Errorf("%q is %v", text, s)
		}
	}
}

func FuzzParseLive(f *testing.F) {
	f.Add("viewer editor\nlist 1 2:3 4:5\nlist 6 7:8")
	f.Add("\nlist 1 2:3")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLive(text)
		if err != nil {
			return
		}
		if again, err := ParseLive(l.String()); err != nil || again.String() != l.String() {
			t.Errorf("%q becomes %q: %v", text, l.String(), err)
		}
	})
}
