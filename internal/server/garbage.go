package server

import (
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
)

// garbage is by how much, in percent of what lives in it, the heap grows before
// it is collected. Little lives here, and Go's usual 100 would collect it dozens
// of times a second: with 200 a small request costs a quarter to a third less,
// for some 10 MiB more under load and none when idle.
const garbage = 200

const (
	usual = 100 // Go's
	// starting is the same while a server starts: nearly all that it makes then is
	// garbage once it has started. It is a number that no operator sets.
	starting = 401
)

// Hurry has little collected until the server runs, unless the operator has set another
// value (GOGC).
func Hurry() {
	if was := debug.SetGCPercent(starting); was != usual {
		debug.SetGCPercent(was)
	}
}

// Settle gives back what only the start needed.
func Settle() { debug.FreeOSMemory() }

// collectLess sets garbage, unless the operator has set another value,
// and returns what undoes it.
func collectLess() (undo func()) {
	was := debug.SetGCPercent(garbage)
	if was == starting {
		was = usual
	}
	if was != usual {
		debug.SetGCPercent(was)
	}
	return func() { debug.SetGCPercent(was) }
}

// connections counts those that are open, to see when many of them have gone.
type connections struct{ open, most atomic.Int64 }

// many is how many connections must have gone before their memory, some 30 KiB
// each, is worth a collection.
const many = 500

// note is told by the HTTP server what becomes of each connection.
func (c *connections) note(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		n := c.open.Add(1)
		for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
		}
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// fell reports whether half of the connections, and many, have gone since it last
// said so.
func (c *connections) fell() bool {
	open, most := c.open.Load(), c.most.Load()
	if most-open < many || open > most/2 {
		return false
	}
	c.most.Store(open)
	return true
}

// giveBack returns memory that connections took to the system, once they have
// gone. Left to itself, Go keeps it for minutes where nothing else is going on.
func (c *connections) giveBack() {
	if c.fell() {
		debug.FreeOSMemory()
	}
}
