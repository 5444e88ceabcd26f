// Package memo keeps values that were loaded by key until they change.
//
// A value that is being loaded while its key is dropped is handed to whoever
// asked, and not kept: what is kept was never out of date when it was put there.
package memo

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	shards = 32
	ways   = 4
)

// Map keeps up to a bound of values. It is safe for concurrent use. It is a table of
// buckets of ways slots: who finds a value waits for no lock, and who puts one there
// has the lock of a part of the buckets.
type Map[V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[kept[V]]
	shard [shards]shard
}

type kept[V any] struct {
	hash  uint64
	key   string
	value V
}

type shard struct {
	mu    sync.Mutex
	drops uint64 // how often something was dropped here
}

// New returns a map that keeps bound values at the most, and at the least as many as
// a bucket has. It may let one go earlier, where a bucket is full.
func New[V any](bound int) *Map[V] {
	return &Map[V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[kept[V]], max(1, bound/ways)*ways)}
}

// of returns the slots where a key may be, and their lock.
func (m *Map[V]) of(hash uint64) ([]atomic.Pointer[kept[V]], *shard) {
	bucket, _ := bits.Mul64(hash, uint64(len(m.slots)/ways))
	return m.slots[bucket*ways : bucket*ways+ways], &m.shard[bucket%shards]
}

// Find returns the value of key, if it is kept.
func (m *Map[V]) Find(key string) (v V, ok bool) {
	hash := maphash.String(m.seed, key)
	bucket, _ := m.of(hash)
	if k := find(bucket, hash, key); k != nil {
		return k.value, true
	}
	return v, false
}

// Get returns the value of key, loading it if it is not kept.
func (m *Map[V]) Get(ctx context.Context, key string, load func(context.Context, string) (V, error)) (V, error) {
	hash := maphash.String(m.seed, key)
	bucket, s := m.of(hash)
	if k := find(bucket, hash, key); k != nil {
		return k.value, nil
	}
	s.mu.Lock()
	drops := s.drops
	s.mu.Unlock()
	v, err := load(ctx, key)
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drops == drops {
		free(bucket, hash, key).Store(&kept[V]{hash, key, v})
	}
	return v, nil
}

func find[V any](bucket []atomic.Pointer[kept[V]], hash uint64, key string) *kept[V] {
	for i := range bucket {
		if k := bucket[i].Load(); k != nil && k.hash == hash && k.key == key {
			return k
		}
	}
	return nil
}

// free returns the slot for the value of key: its own, else an empty one, else the one
// that its hash chooses, which is as good as any.
func free[V any](bucket []atomic.Pointer[kept[V]], hash uint64, key string) *atomic.Pointer[kept[V]] {
	slot := &bucket[hash%ways]
	for i := range bucket {
		switch k := bucket[i].Load(); {
		case k == nil:
			slot = &bucket[i]
		case k.hash == hash && k.key == key:
			return &bucket[i]
		}
	}
	return slot
}

// Drop forgets the value of key.
func (m *Map[V]) Drop(key string) {
	hash := maphash.String(m.seed, key)
	bucket, s := m.of(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range bucket {
		if k := bucket[i].Load(); k != nil && k.hash == hash && k.key == key {
			bucket[i].Store(nil)
		}
	}
	s.drops++
}

// Clear forgets all.
func (m *Map[V]) Clear() {
	for i := range m.shard {
		s := &m.shard[i]
		s.mu.Lock()
		for bucket := i; bucket < len(m.slots)/ways; bucket += shards {
			for j := range ways {
				m.slots[bucket*ways+j].Store(nil)
			}
		}
		s.drops++
		s.mu.Unlock()
	}
}
