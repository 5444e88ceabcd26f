package audit

import "time"

// State is how the tree of a log stands.
type State struct {
	Origin  string // empty before the log has begun
	Size    int64
	Holder  string // who gives events their leaves; empty for nobody
	Epoch   int64  // raised with each change of the holder
	Waiting bool   // there are events without a leaf
	Since   time.Time
}

// Signing makes the signed note of a tree that has grown from one checkpoint to
// another. before is the note of the first, or nil if it is not there: what it
// says is held against the tree before anything is signed.
type Signing func(was Checkpoint, before []byte, is Checkpoint) ([]byte, error)
