package provider

import (
	"strconv"
	"testing"
)

// Nobody keeps all others from following, and who leaves makes room.
func TestFollowers(t *testing.T) {
	var f followers
	for range mostOfOne {
		if !f.enter("192.0.2.1") {
			t.Fatal("there is no room")
		}
	}
	if f.enter("192.0.2.1") {
		t.Error("one address has more than its share")
	}
	if f.leave("192.0.2.1"); !f.enter("192.0.2.1") {
		t.Error("who left is still counted")
	}
	n := mostOfOne
	for ; f.enter(strconv.Itoa(n)); n++ {
	}
	if n != mostFollowers {
		t.Errorf("%d follow", n)
	}
	for ; n > mostOfOne; n-- {
		f.leave(strconv.Itoa(n - 1))
	}
	if len(f.of) != 1 || f.all != mostOfOne {
		t.Errorf("%d addresses are kept, and %d followers", len(f.of), f.all)
	}
}
