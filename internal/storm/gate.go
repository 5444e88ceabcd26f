package main

import "sync"

// gate lets the actors act while a server is there to be asked. Between its
// closing and its opening nobody acts, and the books are balanced.
type gate struct {
	mu      sync.Mutex
	changed *sync.Cond
	open    bool
	over    bool
	inside  int
	opened  int // how often
}

func newGate() *gate {
	g := &gate{}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// enter waits until the gate is open, and for the next opening after one that
// the caller names; 0 is none. It returns which opening it is, and false once
// the storm is over.
func (g *gate) enter(after int) (opening int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.over && (!g.open || g.opened <= after) {
		g.changed.Wait()
	}
	if g.over {
		return 0, false
	}
	g.inside++
	return g.opened, true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.changed.Broadcast()
}

func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	g.opened++
	g.changed.Broadcast()
}

// drop lets nobody in any more. Those inside are not waited for.
func (g *gate) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
}

// empty waits until nobody is inside.
func (g *gate) empty() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.inside > 0 {
		g.changed.Wait()
	}
}

// end sends everybody home.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	g.changed.Broadcast()
}
