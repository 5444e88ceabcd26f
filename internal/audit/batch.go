package audit

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"iter"
	"runtime"

	"github.com/doorward/doorward/internal/clock"
)

// Problem is the first thing that is wrong with a log.
type Problem struct {
	Leaf  int64  `json:"leaf"`            // the number of the event, from 0; -1 if it is about no single one
	Event string `json:"event,omitempty"` // its id, if it is known
	Why   string `json:"why"`

	// UnknownKey says that a key signed of which nobody knows: the log need not be
	// altered, if that key can be had.
	UnknownKey bool `json:"unknown_key,omitempty"`
	// Unproved says that an event excuses it which an export has behind its tree,
	// where anybody can have put it: a later export has its proof.
	Unproved bool `json:"unproved,omitempty"`
}

// Error tells the problem in a line.
func (p *Problem) Error() string {
	switch {
	case p.Leaf < 0:
		return p.Why
	case p.Event == "":
		return fmt.Sprintf("leaf %d: %s", p.Leaf, p.Why)
	}
	return fmt.Sprintf("leaf %d, event %s: %s", p.Leaf, p.Event, p.Why)
}

// Columns are the parts of an event that a database keeps beside its bytes.
type Columns struct {
	ID                             string
	At                             int64 // Unix time in microseconds
	Action, Outcome, Actor, Target string
}

// Stored is an event as it is kept.
type Stored struct {
	Leaf    int64
	Data    []byte
	Columns *Columns // nil where there are none
	Parts   []StoredPart
	Garbled bool // its private parts are there and cannot be read
	Unnamed bool // it is not found by one of its names

	read   Leaf // what Data says
	unread error
}

// StoredPart is a private part as it is kept.
type StoredPart struct {
	Number int
	Private
}

// Read reads the event's bytes, once.
func (e *Stored) Read() (Leaf, error) {
	if e.read.ID == "" && e.unread == nil {
		e.read, e.unread = ReadLeaf(e.Data)
	}
	return e.read, e.unread
}

// Batch is a piece of a log: its leaves from First on.
type Batch struct {
	First  int64
	Count  int64
	Hashes []Hash   // of the leaves, as far as the log keeps them
	Events []Stored // in the order of their leaves, as far as they are there
	// Load, if not nil, reads all that. It is called once, by any goroutine.
	Load func(*Batch) error

	private bool
	leaves  []Hash
	problem *Problem
	claims  claims
	missing []absence
	gone    []stretch // the leaves whose events are not there
}

// stretch are leaves one after the other.
type stretch struct{ from, to int64 } // to is the one behind the last

// lengthen appends leaves to stretches.
func lengthen(list []stretch, s stretch) []stretch {
	if last := len(list) - 1; last >= 0 && list[last].to == s.from {
		list[last].to = s.to
		return list
	}
	return append(list, s)
}

// absence is a private part that is not there, or a name: which is nobody's.
type absence struct {
	Problem
	person string
	time   int64
}

// check holds each event of the batch against its hash, its columns and its
// private parts, as far as that can be told from it alone.
func (b *Batch) check() {
	b.leaves = make([]Hash, b.Count)
	next := 0
	for i := range b.Count {
		n := b.First + i
		if next < len(b.Events) && b.Events[next].Leaf == n {
			e := &b.Events[next]
			next++
			b.leaves[i] = LeafHash(e.Data)
			b.blame(b.event(e, i))
			continue
		}
		b.gone = lengthen(b.gone, stretch{n, n + 1})
		if i >= int64(len(b.Hashes)) {
			b.blame(&Problem{Leaf: n, Why: "neither the event nor its hash in the tree is there"})
			continue
		}
		b.leaves[i] = b.Hashes[i]
	}
	if next < len(b.Events) {
		b.blame(&Problem{Leaf: b.Events[next].Leaf, Why: "there is an event out of its order"})
	}
}

func (b *Batch) blame(p *Problem) {
	if b.problem == nil {
		b.problem = p
	}
}

func (b *Batch) event(e *Stored, i int64) *Problem {
	leaf, err := e.Read()
	p := &Problem{Leaf: e.Leaf, Event: leaf.ID}
	if e.Columns != nil {
		p.Event = e.Columns.ID
	}
	if i < int64(len(b.Hashes)) && b.leaves[i] != b.Hashes[i] {
		p.Why = "its bytes are not those whose hash is in the tree"
		return p
	}
	if i >= int64(len(b.Hashes)) {
		p.Why = "its hash is not in the tiles of the tree"
		return p
	}
	if err != nil {
		p.Why = "its bytes are not those of an event"
		return p
	}
	if p.Why = e.Columns.against(leaf); p.Why != "" {
		return p
	}
	if e.Unnamed { // or its time was over once it was read, and its names went with it
		p.Why = "the index of names does not lead to it"
		b.missing = append(b.missing, absence{Problem: *p})
	}
	b.claims.add(e.Leaf, leaf)
	if !b.private {
		return nil
	}
	p.Why = b.parts(e, leaf)
	if p.Why != "" {
		return p
	}
	return nil
}

// against says which column differs from the bytes.
func (c *Columns) against(l Leaf) string {
	if c == nil {
		return ""
	}
	for _, column := range [...]struct{ name, is, says string }{
		{"id", c.ID, l.ID},
		{"action", c.Action, string(l.Action)},
		{"outcome", c.Outcome, string(l.Outcome)},
		{"actor", c.Actor, l.Actor},
		{"target", c.Target, l.Target},
	} {
		if column.is != column.says {
			return fmt.Sprintf("the column %s is %.80q, and its bytes say %.80q", column.name, column.is, column.says)
		}
	}
	if c.At != clock.Micro(l.time) {
		return fmt.Sprintf("the column at is %d, and its bytes say %s", c.At, l.At)
	}
	return ""
}

// parts holds the private parts of an event against their digests.
func (b *Batch) parts(e *Stored, l Leaf) string {
	if e.Garbled {
		return "what it tells of persons cannot be read"
	}
	found := make([]bool, len(l.Private))
	for _, part := range e.Parts {
		switch n := part.Number; {
		case n < 0 || n >= len(l.Private):
			return fmt.Sprintf("it has a private part %d of which its bytes know nothing", n)
		case n >= len(l.Persons) || part.Person != l.Persons[n]:
			return fmt.Sprintf("its private part %d is kept under another person", n)
		case found[n]:
			return fmt.Sprintf("its private part %d is there twice", n)
		}
		digest, err := hex.DecodeString(l.Private[part.Number])
		if err != nil || len(part.Salt) != 32 || !bytes.Equal(digest, part.Digest()) {
			return fmt.Sprintf("its private part %d is not the one whose digest it holds", part.Number)
		}
		found[part.Number] = true
	}
	for n, ok := range found {
		if ok {
			continue
		}
		person := ""
		if n < len(l.Persons) {
			person = l.Persons[n]
		}
		b.missing = append(b.missing, absence{
			Problem{Leaf: e.Leaf, Event: l.ID, Why: fmt.Sprintf("its private part %d is not there, and no event says that its person was erased", n)},
			person, clock.Micro(l.time),
		})
	}
	return ""
}

// checked loads and checks batches on all processors, and passes them on in
// their order.
func checked(batches iter.Seq2[Batch, error], private bool) iter.Seq2[*Batch, error] {
	type result struct {
		b   *Batch
		err error
	}
	return func(yield func(*Batch, error) bool) {
		queue, stop := make(chan chan result, runtime.GOMAXPROCS(0)), make(chan struct{})
		defer close(stop)
		go func() {
			defer close(queue)
			for b, err := range batches {
				done := make(chan result, 1)
				select {
				case queue <- done:
				case <-stop:
					return
				}
				if err != nil {
					done <- result{nil, err}
					return
				}
				go func() {
					if b.Load != nil {
						if err := b.Load(&b); err != nil {
							done <- result{nil, err}
							return
						}
					}
					b.private = private
					b.check()
					done <- result{&b, nil}
				}()
			}
		}()
		for done := range queue {
			r := <-done
			if !yield(r.b, r.err) || r.err != nil {
				return
			}
		}
	}
}
