// Package memo keeps values that were loaded by key until they change.
//
// A value that is being loaded while its key is dropped is handed to whoever
// asked, and not kept: what is kept was never out of date when it was put there.
package memo

import (
	"context"
	"hash/maphash"
	"sync"
)

const shards = 32

// Map keeps up to a bound of values. It is safe for concurrent use.
type Map[V any] struct {
	seed  maphash.Seed
	shard [shards]shard[V]
	bound int // of one shard
}

type shard[V any] struct {
	mu     sync.RWMutex
	values map[string]V
	drops  uint64 // how often something was dropped here
}

// New returns a map that keeps about bound values at the most.
func New[V any](bound int) *Map[V] {
	m := &Map[V]{seed: maphash.MakeSeed(), bound: max(1, bound/shards)}
	for i := range m.shard {
		m.shard[i].values = map[string]V{}
	}
	return m
}

func (m *Map[V]) of(key string) *shard[V] {
	return &m.shard[maphash.String(m.seed, key)%shards]
}

// Get returns the value of key, loading it if it is not kept.
func (m *Map[V]) Get(ctx context.Context, key string, load func(context.Context, string) (V, error)) (V, error) {
	s := m.of(key)
	s.mu.RLock()
	v, ok := s.values[key]
	drops := s.drops
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := load(ctx, key)
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drops != drops {
		return v, nil
	}
	if len(s.values) >= m.bound {
		for other := range s.values { // Go's maps begin anywhere: any one goes
			delete(s.values, other)
			break
		}
	}
	s.values[key] = v
	return v, nil
}

// Drop forgets the value of key.
func (m *Map[V]) Drop(key string) {
	s := m.of(key)
	s.mu.Lock()
	delete(s.values, key)
	s.drops++
	s.mu.Unlock()
}

// Clear forgets all.
func (m *Map[V]) Clear() {
	for i := range m.shard {
		s := &m.shard[i]
		s.mu.Lock()
		clear(s.values)
		s.drops++
		s.mu.Unlock()
	}
}
