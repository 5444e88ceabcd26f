package grant

import (
	"testing"

	"github.com/doorward/doorward/internal/feed"
)

// A token that was exchanged ends with each thing that it came through, and with no
// other; what cannot be read has ended.
func TestRevokedByWhatItCameThrough(t *testing.T) {
	r := NewRevoked()
	r.Apply(lost(feed.FamilyEnded, "f", 0))
	r.Apply(lost(feed.GrantLost, "shop", 5))
	r.Apply(lost(feed.ResourceNarrows, "urn:api:a", 5))
	r.Apply(lost(feed.APIKey, "k", 3))
	r.Apply(lost(feed.APIKey, "k", 2)) // told again, late
	for step, want := range map[string]bool{
		ViaFamily("f"): true, ViaFamily("shop"): false, ViaClient("shop"): true, ViaClient("f"): false, ViaClient("other"): false,
		ViaAPI("urn:api:a"): true, ViaAPI("urn:api:b"): false, ViaKey("k", 1): true, ViaKey("k", 2): true, ViaKey("k", 3): false, ViaKey("k", 4): false, ViaKey("other", 1): false,
		"": true, "x": true, "else:x": true, "key:k": true, "key:k.x": true, "key:other": true, "key:.": true,
	} {
		if got := r.Has(Access{Family: "g", Account: "ann", Policy: 4, Via: []string{ViaClient("fine"), step}}); got != want {
			t.Errorf("through %q: %v", step, got)
		}
	}
	for _, step := range []string{ViaClient("shop"), ViaAPI("urn:api:a")} {
		if r.Has(Access{Policy: 5, Via: []string{step}}) {
			t.Errorf("through %s since: it is revoked", step)
		}
	}
	if r.Has(Access{Family: "k", Account: "k", Client: "k", Policy: 1}) {
		t.Error("what is called as a key is revoked with it")
	}
	if n := Steps([]string{ViaClient("a"), ViaFamily("b"), ViaAPI("c"), ViaKey("d", 1)}); n != 2 {
		t.Errorf("%d steps", n)
	}
}
