package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"
)

func entry(n int, expires time.Time) *verified {
	return &verified{sum: sha256.Sum256(fmt.Append(nil, n)), principal: Principal{Subject: fmt.Sprint(n), Expires: expires}}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(100)
	if len(c.slots) != 104 {
		t.Errorf("%d slots", len(c.slots))
	}
	for n := range 10_000 {
		v := entry(n, now)
		c.put(v)
		if c.get(v.sum) != v {
			t.Fatal("what was just put is not there")
		}
	}
	full := 0
	for i := range c.slots {
		if c.slots[i].Load() != nil {
			full++
		}
	}
	if full != 104 {
		t.Errorf("%d of 104 slots are full", full)
	}
	if c.get(entry(-1, now).sum) != nil {
		t.Error("what was never put is there")
	}
}

// In a full bucket the token that ends first makes room, and a token that is
// put again takes its own place.
func TestCacheEvicts(t *testing.T) {
	c := newCache(1)
	for n := range 8 {
		c.put(entry(n, now.Add(time.Duration((n+3)%8)*time.Minute)))
	}
	again := entry(2, now.Add(time.Hour))
	c.put(again)
	c.put(entry(9, now.Add(time.Hour)))
	for n, want := range map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: false, 6: true, 7: true, 9: true} {
		if got := c.get(entry(n, now).sum) != nil; got != want {
			t.Errorf("%d is there: %v, want %v", n, got, want)
		}
	}
	if c.get(again.sum) != again {
		t.Error("the older of two stayed")
	}
}

// Sums that choose the same bucket are still told apart, by all their bytes.
func TestCacheComparesWholeSums(t *testing.T) {
	c := newCache(8)
	v := entry(1, now)
	c.put(v)
	for i := range v.sum {
		other := v.sum
		other[i] ^= 1
		if c.get(other) != nil {
			t.Errorf("a sum that differs in byte %d is found", i)
		}
	}
	binary.LittleEndian.PutUint64(v.sum[:], ^uint64(0)) // the last bucket is in the table
	newCache(1000).put(v)
}

func TestCacheInParallel(t *testing.T) {
	c := newCache(16)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 5000 {
				v := entry(n%50, now.Add(time.Duration(g)))
				c.put(v)
				if got := c.get(v.sum); got != nil && got.principal.Subject != v.principal.Subject {
					t.Errorf("%s for %s", got.principal.Subject, v.principal.Subject)
				}
			}
		})
	}
	wg.Wait()
}
