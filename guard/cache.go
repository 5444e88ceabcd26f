package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// verified is a token that passed, and the key that signed it.
type verified struct {
	sum       [sha256.Size]byte // of the whole token
	key       *Key
	principal Principal
}

// cache remembers verified tokens. Only tokens that passed get in, so strangers
// cannot fill it. It is a table of buckets of ways slots; nobody waits for a
// lock. Where a bucket is full, the token that ends first makes room.
type cache struct {
	slots []atomic.Pointer[verified]
}

const ways = 8

func newCache(size int) *cache {
	return &cache{slots: make([]atomic.Pointer[verified], (size+ways-1)/ways*ways)}
}

// bucket returns the slots where the token of a sum may be. A digest is
// uniform: eight bytes of it choose.
func (c *cache) bucket(sum *[sha256.Size]byte) []atomic.Pointer[verified] {
	i := binary.LittleEndian.Uint64(sum[:]) % uint64(len(c.slots)/ways) * ways
	return c.slots[i : i+ways]
}

func (c *cache) get(sum [sha256.Size]byte) *verified {
	bucket := c.bucket(&sum)
	for i := range bucket {
		if v := bucket[i].Load(); v != nil && v.sum == sum {
			return v
		}
	}
	return nil
}

func (c *cache) put(v *verified) {
	bucket := c.bucket(&v.sum)
	victim := 0
	var ends time.Time
	for i := range bucket {
		old := bucket[i].Load()
		if old == nil || old.sum == v.sum {
			victim = i
			break
		}
		if e := old.principal.Expires; i == 0 || e.Before(ends) {
			victim, ends = i, e
		}
	}
	bucket[victim].Store(v)
}
