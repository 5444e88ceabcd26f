package issue

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/ssf"
)

// StreamStore is what is kept of streams. The verbs that change one hold the grant rule in
// their transaction: it is the client's own, or by may act on the client.
type StreamStore interface {
	// CreateStream returns a Conflict for a client that has as many as it may.
	CreateStream(ctx context.Context, by principal.Principal, st ssf.Stream, e audit.Event) error
	// Stream returns a stream of a client, or of any if that is empty. It is a NotFound for
	// another's.
	Stream(ctx context.Context, client, id string) (ssf.Stream, error)
	Streams(ctx context.Context, client, after string, limit int) ([]ssf.Stream, error)
	// UpdateStream writes a stream if its version is still st.Version, or returns a Stale
	// fault. tells is queued with it, if it is not nil.
	UpdateStream(ctx context.Context, by principal.Principal, st ssf.Stream, tells *ssf.Event, e audit.Event) (ssf.Stream, error)
	// DeleteStream deletes a stream of the version of st; 0 is any.
	DeleteStream(ctx context.Context, by principal.Principal, st ssf.Stream, e audit.Event) error
	// WantSubject returns a Denied fault past what one stream may list.
	WantSubject(ctx context.Context, st ssf.Stream, key [sha256.Size]byte, wanted bool, e audit.Event) error
	// VerifyStream returns a Limited fault for what was asked a moment ago.
	VerifyStream(ctx context.Context, st ssf.Stream, ev ssf.Event, e audit.Event) error
}

// SignalStore is what waits on streams.
type SignalStore interface {
	// NewEvents returns those of which nobody has looked whom they are about, and
	// WaitingEvents those that can be sent, the oldest first.
	NewEvents(ctx context.Context, stream string, n int) ([]ssf.Event, error)
	WaitingEvents(ctx context.Context, stream string, n int) ([]ssf.Event, error)
	// SettleEvents writes the subjects of new events, by their ids, and deletes others.
	SettleEvents(ctx context.Context, subjects map[string]string, unwanted []string) error
	// TakeEvents deletes events of a stream, and records events of that.
	TakeEvents(ctx context.Context, stream string, ids []string, events ...audit.Event) error
	// Listed says which of some subjects a stream lists.
	Listed(ctx context.Context, stream string, keys ...[sha256.Size]byte) ([]bool, error)
	// KnownEmail returns somebody's proved address if a client was let know it; else it is
	// empty.
	KnownEmail(ctx context.Context, user, client string) (written string, key []byte, err error)
}

// Pusher hands events to receivers.
type Pusher interface {
	// Check returns an error for a URL that is never asked.
	Check(place string) error
	// Push hands something to a URL. Its error wraps fetch.ErrRefused if it was answered
	// with 400, and then there is what the answer said.
	Push(ctx context.Context, place, mediaType string, body []byte, authorization secret.Text) (said []byte, err error)
}

// TransmitterParts are what a Transmitter is made of.
type TransmitterParts struct {
	Issuer  *Service
	Streams StreamStore
	Signals SignalStore
	Pusher  Pusher
	Sealer  func() (*secret.Sealer, error) // reads the master key again
	All     bool                           // whether a new stream tells of everybody who signed in to its client
}

// Transmitter tells clients what happened to people who signed in to them (OpenID Shared
// Signals Framework 1.0).
type Transmitter struct {
	*Service
	kept    StreamStore
	waiting SignalStore
	pusher  Pusher
	sealer  func() (*secret.Sealer, error)
	all     bool
	over    chan struct{}
	close   sync.Once
	polls   polls
}

// NewTransmitter returns a transmitter.
func NewTransmitter(p TransmitterParts) *Transmitter {
	return &Transmitter{
		Service: p.Issuer, kept: p.Streams, waiting: p.Signals, pusher: p.Pusher, sealer: p.Sealer, all: p.All,
		over: make(chan struct{}), polls: polls{of: map[string]int{}},
	}
}

// Close answers whoever waits in a poll.
func (x *Transmitter) Close() { x.close.Do(func() { close(x.over) }) }

// receiver returns the client that a principal is or that an API key is of: streams are of
// clients alone.
func receiver(by principal.Principal) (string, error) {
	of := by.Holder()
	if of.Kind != principal.Service || by.Organization != "" || by.Exchanged {
		return "", fault.New(fault.Denied, "a stream is of a client: this needs a token that a client got for itself, by the client credentials grant, or its API key")
	}
	return of.ID, nil
}

// Stream returns a stream of any client.
func (x *Transmitter) Stream(ctx context.Context, id string) (ssf.Stream, error) {
	return x.kept.Stream(ctx, "", id)
}

// Streams returns a page of the streams of a client, or of all if that is empty, in the order
// of their ids.
func (x *Transmitter) Streams(ctx context.Context, client, after string, limit int) ([]ssf.Stream, error) {
	return x.kept.Streams(ctx, client, after, limit)
}

// Own returns a stream of whoever asks. Another's is not there.
func (x *Transmitter) Own(ctx context.Context, by principal.Principal, stream string) (ssf.Stream, error) {
	of, err := receiver(by)
	if err != nil {
		return ssf.Stream{}, err
	}
	if stream == "" {
		return ssf.Stream{}, fault.At("stream_id", "it is needed")
	}
	return x.kept.Stream(ctx, of, stream)
}

// Owned returns all streams of whoever asks.
func (x *Transmitter) Owned(ctx context.Context, by principal.Principal) ([]ssf.Stream, error) {
	of, err := receiver(by)
	if err != nil {
		return nil, err
	}
	return x.kept.Streams(ctx, of, "", ssf.MostStreams)
}

// CreateStream makes a stream of whoever asks (SSF 1.0, Section 8.1.1.1).
func (x *Transmitter) CreateStream(ctx context.Context, by principal.Principal, c ssf.Configuration) (ssf.Stream, error) {
	of, err := receiver(by)
	if err != nil {
		return ssf.Stream{}, err
	}
	if c.ID != "" {
		return ssf.Stream{}, fault.At("stream_id", "it is chosen here")
	}
	now := x.clock.Now()
	st := ssf.Stream{ID: id.New(now), Client: of, Status: ssf.Enabled, Method: ssf.Poll, All: x.all, StatusAt: now, CreatedAt: now, UpdatedAt: now, Version: 1}
	if err := x.matches(c, st); err != nil {
		return st, err
	}
	if err := x.apply(&st, c); err != nil {
		return st, err
	}
	e := audit.Now(by, now, audit.StreamCreated, st.Target()).With("client", of).With("method", string(st.Method))
	return st, x.kept.CreateStream(ctx, by, st, e)
}

// ChangeStream changes what a request says of a stream of whoever asks (SSF 1.0, Section
// 8.1.1.3), or replaces all that the receiver decides (Section 8.1.1.4).
func (x *Transmitter) ChangeStream(ctx context.Context, by principal.Principal, c ssf.Configuration, replace bool) (ssf.Stream, error) {
	st, err := x.Own(ctx, by, c.ID)
	if err != nil {
		return st, err
	}
	if err := x.matches(c, st); err != nil {
		return st, err
	}
	before := st
	if replace {
		st.Requested, st.Description = nil, ""
		if c.Delivery == nil { // which stands for poll
			c.Delivery = &ssf.Delivery{Method: ssf.Poll}
		}
		c.Delivery.Named = true // what is not said is gone
	}
	if err := x.apply(&st, c); err != nil {
		return st, err
	}
	st.UpdatedAt = x.clock.Now()
	e := audit.Now(by, st.UpdatedAt, audit.StreamUpdated, st.Target()).With("client", st.Client).With("method", string(st.Method)).
		WithChange("events", before.Requested, st.Requested)
	if before.Endpoint != st.Endpoint {
		e = e.With("endpoint", "changed")
	}
	return x.kept.UpdateStream(ctx, by, st, nil, e)
}

// matches returns a fault for what a request says of a stream that is not so and that the
// receiver does not decide.
func (x *Transmitter) matches(c ssf.Configuration, st ssf.Stream) error {
	same := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	for _, m := range []struct {
		field string
		wrong bool
	}{
		{"iss", c.Issuer != nil && *c.Issuer != x.options.Issuer},
		{"aud", c.Audience != nil && !same(c.Audience, []string{st.Client})},
		{"events_supported", c.Supported != nil && !same(c.Supported, ssf.Supported())},
		{"events_delivered", c.Delivered != nil && !same(c.Delivered, st.Delivered())},
		{"min_verification_interval", c.Interval != nil && *c.Interval != int64(ssf.VerifyEvery/time.Second)},
		{"delivery.endpoint_url", c.Delivery != nil && c.Delivery.Method == ssf.Poll && c.Delivery.Endpoint != "" && c.Delivery.Endpoint != x.PollAt(st)},
	} {
		if m.wrong {
			return fault.At(m.field, "it is decided here, and is another")
		}
	}
	return nil
}

// PollAt returns where the events of a stream are polled.
func (x *Transmitter) PollAt(st ssf.Stream) string {
	return x.options.Issuer + "/ssf/streams/" + st.ID + "/poll"
}

// apply writes what a receiver says into its stream. What is sent along to one endpoint is
// never sent to another.
func (x *Transmitter) apply(st *ssf.Stream, c ssf.Configuration) error {
	if c.Requested != nil {
		st.Requested = c.Requested
	}
	if c.Description != nil {
		st.Description = *c.Description
	}
	d := c.Delivery
	if d == nil {
		return nil
	}
	if d.Method == ssf.Poll {
		st.Method, st.Endpoint, st.Authorization = ssf.Poll, "", nil
		return nil
	}
	if err := x.pusher.Check(d.Endpoint); err != nil {
		return fault.At("delivery.endpoint_url", "%v", err)
	}
	if d.Named || d.Endpoint != st.Endpoint {
		st.Authorization = nil
	}
	st.Method, st.Endpoint = ssf.Push, d.Endpoint
	if d.Authorization.IsZero() {
		return nil
	}
	sealer, err := x.sealer()
	if err != nil {
		return err
	}
	st.Authorization = sealer.Seal([]byte(d.Authorization.Reveal()), ssf.Place(st.ID))
	return nil
}

// DeleteStream deletes a stream of whoever asks.
func (x *Transmitter) DeleteStream(ctx context.Context, by principal.Principal, stream string) error {
	st, err := x.Own(ctx, by, stream)
	if err != nil {
		return err
	}
	st.Version = 0
	return x.RemoveStream(ctx, by, st)
}

// RemoveStream deletes a stream: the client's own, or one of a client that by may act on. Its
// version is to be st.Version; 0 is any.
func (x *Transmitter) RemoveStream(ctx context.Context, by principal.Principal, st ssf.Stream) error {
	return x.kept.DeleteStream(ctx, by, st, audit.Now(by, x.clock.Now(), audit.StreamDeleted, st.Target()).With("client", st.Client))
}

// SetStatus changes the status of a stream of whoever asks (SSF 1.0, Section 8.1.2.2). What
// an administrator stopped, the receiver does not start.
func (x *Transmitter) SetStatus(ctx context.Context, by principal.Principal, c ssf.StatusChange) (ssf.Stream, error) {
	st, err := x.Own(ctx, by, c.ID)
	if err != nil {
		return st, err
	}
	if st.Stopped {
		return st, fault.New(fault.Denied, "an administrator of the server has stopped this stream, and starts it again")
	}
	return x.setStatus(ctx, by, st, c, false)
}

// StopStream changes the status of a stream of a client that by may act on. The receiver
// hears of it.
func (x *Transmitter) StopStream(ctx context.Context, by principal.Principal, st ssf.Stream, c ssf.StatusChange) (ssf.Stream, error) {
	if err := c.Check(); err != nil {
		return st, err
	}
	st.Stopped = c.Status != ssf.Enabled
	return x.setStatus(ctx, by, st, c, true)
}

func (x *Transmitter) setStatus(ctx context.Context, by principal.Principal, st ssf.Stream, c ssf.StatusChange, tell bool) (ssf.Stream, error) {
	now := x.clock.Now()
	var tells *ssf.Event
	if tell && st.Status != c.Status {
		e := ssf.Updated(st.ID, c.Status, c.Reason, now)
		tells = &e
	}
	st.Status, st.Reason, st.StatusAt, st.UpdatedAt = c.Status, c.Reason, now, now
	e := audit.Now(by, now, audit.StreamUpdated, st.Target()).With("client", st.Client).With("status", string(st.Status))
	return x.kept.UpdateStream(ctx, by, st, tells, e)
}

// Want puts somebody on a stream of whoever asks, or takes him off (SSF 1.0, Section
// 8.1.3). It asks nobody whether there is such a person: its answer is the same for
// everybody, and takes as long.
func (x *Transmitter) Want(ctx context.Context, by principal.Principal, c ssf.SubjectChange, wanted bool) error {
	st, err := x.Own(ctx, by, c.ID)
	if err != nil {
		return err
	}
	if c.Subject, err = canonical(c.Subject); err != nil {
		return err
	}
	e := audit.Now(by, x.clock.Now(), audit.StreamSubjectChanged, st.Target()).With("client", st.Client).With("format", string(c.Subject.Format))
	if wanted {
		e = e.With("change", "added")
	} else {
		e = e.With("change", "removed")
	}
	return x.kept.WantSubject(ctx, st, c.Subject.Key(), wanted, e)
}

// Verify queues an event by which the receiver sees that its stream works (SSF 1.0, Section
// 8.1.4.2).
func (x *Transmitter) Verify(ctx context.Context, by principal.Principal, v ssf.VerificationRequest) error {
	st, err := x.Own(ctx, by, v.ID)
	if err != nil {
		return err
	}
	if st.Status == ssf.Disabled {
		return fault.At("stream_id", "the stream is disabled")
	}
	now := x.clock.Now()
	ev := ssf.Event{ID: id.New(now), Stream: st.ID, Kind: ssf.Verification, Facts: ssf.Facts{State: v.State}, At: now, Subject: ssf.AboutItself(st.ID)}
	return x.kept.VerifyStream(ctx, st, ev, audit.Now(by, now, audit.StreamVerified, st.Target()).With("client", st.Client))
}
