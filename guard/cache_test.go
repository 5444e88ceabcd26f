package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"
)

func numbered(n int, ends time.Time) *entry[int] {
	return &entry[int]{sha256.Sum256(fmt.Append(nil, n)), ends, n}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache[int](100)
	if len(c.slots) != 104 {
		t.Errorf("%d slots", len(c.slots))
	}
	for n := range 10_000 {
		v := numbered(n, now)
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
	if c.get(numbered(-1, now).sum) != nil {
		t.Error("what was never put is there")
	}
}

// In a full bucket the token that ends first makes room, and a token that is
// put again takes its own place.
func TestCacheEvicts(t *testing.T) {
	c := newCache[int](1)
	for n := range 8 {
		c.put(numbered(n, now.Add(time.Duration((n+3)%8)*time.Minute)))
	}
	again := numbered(2, now.Add(time.Hour))
	c.put(again)
	c.put(numbered(9, now.Add(time.Hour)))
	for n, want := range map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: false, 6: true, 7: true, 9: true} {
		if got := c.get(numbered(n, now).sum) != nil; got != want {
			t.Errorf("%d is there: %v, want %v", n, got, want)
		}
	}
	if c.get(again.sum) != again {
		t.Error("the older of two stayed")
	}
}

// Sums that choose the same bucket are still told apart, by all their bytes.
func TestCacheComparesWholeSums(t *testing.T) {
	c := newCache[int](8)
	v := numbered(1, now)
	c.put(v)
	for i := range v.sum {
		other := v.sum
		other[i] ^= 1
		if c.get(other) != nil {
			t.Errorf("a sum that differs in byte %d is found", i)
		}
	}
	binary.LittleEndian.PutUint64(v.sum[:], ^uint64(0)) // the last bucket is in the table
	newCache[int](1000).put(v)
}

// What is dropped is gone, and nothing else is.
func TestCacheDrops(t *testing.T) {
	c := newCache[int](1)
	for n := range 8 {
		c.put(numbered(n, now))
	}
	c.drop(numbered(3, now).sum)
	c.drop(numbered(9, now).sum)
	for n := range 8 {
		if got := c.get(numbered(n, now).sum) != nil; got != (n != 3) {
			t.Errorf("%d is there: %v", n, got)
		}
	}
}

func TestCacheInParallel(t *testing.T) {
	c := newCache[int](16)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 5000 {
				v := numbered(n%50, now.Add(time.Duration(g)))
				c.put(v)
				if n%7 == g {
					c.drop(v.sum)
				}
				if got := c.get(v.sum); got != nil && got.value != v.value {
					t.Errorf("%d for %d", got.value, v.value)
				}
			}
		})
	}
	wg.Wait()
}
