package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// entry is what a cache remembers of a credential.
type entry[T any] struct {
	sum   [sha256.Size]byte // of the whole credential
	ends  time.Time         // of two, the one that ends first makes room
	value T
}

// cache remembers credentials by their digests. It is a table of buckets of ways
// slots; nobody waits for a lock. Where a bucket is full, the entry that ends first
// makes room.
type cache[T any] struct {
	slots []atomic.Pointer[entry[T]]
}

const ways = 8

func newCache[T any](size int) *cache[T] {
	return &cache[T]{slots: make([]atomic.Pointer[entry[T]], (size+ways-1)/ways*ways)}
}

// bucket returns the slots where the entry of a sum may be. A digest is uniform:
// eight bytes of it choose.
func (c *cache[T]) bucket(sum *[sha256.Size]byte) []atomic.Pointer[entry[T]] {
	i := binary.LittleEndian.Uint64(sum[:]) % uint64(len(c.slots)/ways) * ways
	return c.slots[i : i+ways]
}

func (c *cache[T]) get(sum [sha256.Size]byte) *entry[T] {
	bucket := c.bucket(&sum)
	for i := range bucket {
		if e := bucket[i].Load(); e != nil && e.sum == sum {
			return e
		}
	}
	return nil
}

func (c *cache[T]) put(e *entry[T]) {
	bucket := c.bucket(&e.sum)
	victim := 0
	var ends time.Time
	for i := range bucket {
		var end time.Time // an empty slot ended long ago
		if old := bucket[i].Load(); old != nil {
			if old.sum == e.sum {
				victim = i
				break
			}
			end = old.ends
		}
		if i == 0 || end.Before(ends) {
			victim, ends = i, end
		}
	}
	bucket[victim].Store(e)
}

// drop forgets the entries of a sum.
func (c *cache[T]) drop(sum [sha256.Size]byte) {
	bucket := c.bucket(&sum)
	for i := range bucket {
		if e := bucket[i].Load(); e != nil && e.sum == sum {
			bucket[i].CompareAndSwap(e, nil)
		}
	}
}
