// Package ssf holds the words of the OpenID Shared Signals Framework 1.0 (SSF) and of the
// OpenID Continuous Access Evaluation Profile 1.0 (CAEP):
// streams by which a receiver hears of what happened to people, what is said on them, and
// the requests that manage them. Who may have one, what is queued and how it is delivered
// is not here.
//
// The invariant: an event names a person as the receiver knows him, or not at all.
package ssf

import (
	"slices"
	"time"
)

// The permissions that a receiver needs: to read its streams and what waits on them, and to
// manage them (CAEP Interoperability Profile 1.0, Section 2.7.2).
const (
	Read   = "ssf.read"
	Manage = "ssf.manage"
)

// The bounds of what one receiver may have.
const (
	MostStreams  = 5       // of one client
	MostSubjects = 100_000 // of one stream
	MostWaiting  = 1_000   // events of one stream that were not taken
	MostPolled   = 100     // events in one answer to a poll
	mostEvents   = 64      // in events_requested
	longestURI   = 2_000   // bytes
	longestText  = 200     // bytes of a description or a reason
	longestName  = 256     // bytes of an identifier of a subject
	longestState = 1_024   // bytes
	longestAuth  = 4_096   // bytes of authorization_header
	mostAcks     = 500     // in one poll
)

// VerifyEvery is the least time between two requests for a verification event of one
// stream ("min_verification_interval").
const VerifyEvery = 30 * time.Second

// How long a stream waits for its receiver.
const (
	// Patience is how long an event waits before its stream is paused: whoever did not
	// take one for so long is away.
	Patience = 3 * 24 * time.Hour
	// Kept is how long an event is kept at all.
	Kept = 7 * 24 * time.Hour
)

// Status is whether events are sent on a stream (SSF 1.0, Section 8.1.2.1).
type Status string

// The states of a stream.
const (
	Enabled  Status = "enabled"
	Paused   Status = "paused"   // events wait
	Disabled Status = "disabled" // there are none
)

// Method is how events reach a receiver (SSF 1.0, Section 6.1).
type Method string

// The methods.
const (
	Push Method = "urn:ietf:rfc:8935"
	Poll Method = "urn:ietf:rfc:8936"
)

// Methods returns all of them.
func Methods() []Method { return []Method{Push, Poll} }

// Stream is how one client hears of what happened to people (SSF 1.0, Section 8.1.1).
type Stream struct {
	ID     string
	Client string // whose it is
	Status Status
	Reason string // why it is so; may be empty
	// Stopped says that an administrator made it so: the receiver does not undo that.
	Stopped  bool
	Method   Method
	Endpoint string // where events are pushed to; empty for Poll
	// Authorization is what is sent along there, sealed; nil for nothing.
	Authorization []byte
	Requested     []string // the URIs of events, as the receiver asked for them
	Description   string
	// All says that it tells of everybody who signed in to the client and was not taken
	// off, and not of those alone who were put on it.
	All       bool
	StatusAt  time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64 // 1 at first, one more with every change
}

// Target returns the stream as the audit log names it.
func (s Stream) Target() string { return "stream:" + s.ID }

// Place is what Authorization is sealed for.
func Place(stream string) string { return "ssf_streams/" + stream + "/authorization" }

// Tells reports whether the receiver asked for events of a kind. Those about the stream
// itself are sent unasked.
func (s Stream) Tells(k Kind) bool {
	return k == Verification || k == StreamUpdated || slices.Contains(s.Requested, k.URI())
}

// Delivered returns the URIs of the events that are sent on the stream.
func (s Stream) Delivered() []string {
	return slices.DeleteFunc(Supported(), func(uri string) bool { return !slices.Contains(s.Requested, uri) })
}

// Claim is a stream with work, which this process does until its lease ends.
type Claim struct {
	Stream
	Since time.Time // when its oldest event began to wait
	Try   int64     // 1 for the first since something was taken
}
