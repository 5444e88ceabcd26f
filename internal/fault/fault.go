// Package fault says, in one word, why an operation did not happen.
//
// A domain package returns a fault when the caller may be told the reason, and
// a plain error when something broke. Nothing else decides what leaves the
// server: a surface shows a fault's message and hides every other error.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of a fault. The zero Kind means "not a fault": an internal
// error whose text stays inside.
type Kind int

// The kinds of faults.
const (
	Invalid         Kind = iota + 1 // the input can never be accepted
	Unauthenticated                 // nobody we know is asking
	Denied                          // we know who asks, and the answer is no
	NotFound                        // there is no such thing, or none you may see
	Conflict                        // it clashes with what is already there
	Stale                           // it changed since you read it
	Replayed                        // it was done before, by the same request
	Limited                         // too often; try later
	Unavailable                     // a part that is needed does not answer
)

var names = [...]string{"internal", "invalid", "unauthenticated", "denied", "not found", "conflict", "stale", "replayed", "limited", "unavailable"}

// String returns the kind in a word.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Error is a reason that may be told to whoever asked.
type Error struct {
	Kind    Kind
	Message string        // for the person who asked: what, and what to do next
	Field   string        // the place in the input, as the caller wrote it; may be empty
	After   time.Duration // when Limited: how long to wait
	ID      string        // when Replayed: what the first request made

	cause error
}

// New returns a fault with a message in the manner of fmt.Sprintf.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// At returns a fault about one field of the input.
func At(field string, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that remembers what led to it.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error returns the message, with the field before it; and where a part does not
// answer, what led to it, which an operator must know. Whoever asked is told the
// message alone.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Kind == Unavailable && e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns what led to the fault.
func (e *Error) Unwrap() error { return e.cause }

// KindOf reports the kind of the first fault in err's tree, or zero.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}
