package issue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/fetch"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/ssf"
)

const (
	// turn is how long the events of one stream are pushed before another has its turn.
	turn = 20 * time.Second
	// looked is how many new events are looked at in one step.
	looked = 200

	// How long a poll waits for an event, how often it looks for one, and how many wait.
	pollWaits  = 20 * time.Second
	pollLooks  = 500 * time.Millisecond
	mostPolls  = 200
	pollsOfOne = 2
)

// canonical returns an identifier as it is looked up: an address by what is compared of it.
func canonical(i ssf.Identifier) (ssf.Identifier, error) {
	if i.Format != ssf.Email {
		return i, nil
	}
	e, err := account.ParseEmail(i.Email)
	if err != nil {
		return i, fault.At("subject", "it is no email address")
	}
	i.Email = e.Key()
	return i, nil
}

// Serve does what there is to do on a stream: it looks whom new events are about, and pushes
// what waits, in order. The error says that the receiver took nothing more.
func (x *Transmitter) Serve(ctx context.Context, c ssf.Claim) error {
	app, err := x.clients.Known(ctx, c.Client)
	if fault.KindOf(err) == fault.NotFound || err == nil && app.Status != client.Active {
		return nil
	} else if err != nil {
		return err
	}
	if err := x.settle(ctx, c.Stream, app); err != nil {
		return err
	}
	if c.Method == ssf.Poll {
		if c.Status == ssf.Enabled && x.clock.Now().Sub(c.Since) > ssf.Patience {
			return errAway
		}
		return nil
	}
	if err := x.mayHear(ctx, app); err != nil {
		return err
	}
	for began := x.clock.Now(); x.clock.Now().Sub(began) < turn; {
		list, err := x.waiting.WaitingEvents(ctx, c.ID, 1)
		if err != nil || len(list) == 0 {
			return err
		}
		st, err := x.Stream(ctx, c.ID) // whose endpoint may be another by now
		if fault.KindOf(err) == fault.NotFound || err == nil && st.Method != ssf.Push {
			return nil
		} else if err != nil {
			return err
		}
		if err := x.push(ctx, st, app, list[0]); err != nil {
			return err
		}
	}
	return nil
}

var errAway = errors.New("the receiver does not poll")

// mayHear returns an error if a client lost what it needs to have streams.
func (x *Transmitter) mayHear(ctx context.Context, app client.Client) error {
	by := principal.Principal{Kind: principal.Service, ID: app.ID, Scopes: app.Scopes}
	for _, permission := range []string{ssf.Read, ssf.Manage} {
		ok, err := x.policy.Allows(ctx, &by, permission)
		if err != nil {
			return err
		}
		if ok && slices.Contains(app.Scopes, permission) {
			return nil
		}
	}
	return fmt.Errorf("the client has neither %s nor %s any more", ssf.Read, ssf.Manage)
}

// settle looks whom the new events of a stream are about.
func (x *Transmitter) settle(ctx context.Context, st ssf.Stream, app client.Client) error {
	for {
		list, err := x.waiting.NewEvents(ctx, st.ID, looked)
		if err != nil || len(list) == 0 {
			return err
		}
		subjects, unwanted := map[string]string{}, []string(nil)
		for _, e := range list {
			subject, err := x.subjectOf(ctx, st, app, e)
			if err != nil {
				return err
			}
			if subject == "" {
				unwanted = append(unwanted, e.ID)
			} else {
				subjects[e.ID] = subject
			}
		}
		if err := x.waiting.SettleEvents(ctx, subjects, unwanted); err != nil {
			return err
		}
	}
}

// subjectOf returns whom an event is about as the receiver calls him, or nothing if it is
// not to hear of him: the name by which it asked for him, or else the one of its ID tokens.
// An address is a name of him only if he let the application know it.
func (x *Transmitter) subjectOf(ctx context.Context, st ssf.Stream, app client.Client, e ssf.Event) (string, error) {
	if !st.Tells(e.Kind) { // any more
		return "", nil
	}
	sub, err := x.Subject(app, e.User)
	if err != nil {
		return "", err
	}
	usual := ssf.Identifier{Format: ssf.IssSub, Issuer: x.options.Issuer, Sub: sub}
	names := []ssf.Identifier{usual, {Format: ssf.Opaque, ID: sub}}
	keys := [][sha256.Size]byte{names[0].Key(), names[1].Key()}
	written, key, err := x.waiting.KnownEmail(ctx, e.User, app.ID)
	if err != nil {
		return "", err
	}
	if written != "" {
		names = append(names, ssf.Identifier{Format: ssf.Email, Email: written})
		keys = append(keys, ssf.Identifier{Format: ssf.Email, Email: string(key)}.Key())
	}
	listed, err := x.waiting.Listed(ctx, st.ID, keys...)
	if err != nil {
		return "", err
	}
	i := slices.Index(listed, true)
	switch {
	case st.All && i >= 0, !st.All && i < 0:
		return "", nil
	case !st.All:
		usual = names[i]
	}
	return ssf.About(usual, e.Facts.Session)
}

// set signs an event as the client's ID tokens are signed: by a key that it has fetched.
func (x *Transmitter) set(ctx context.Context, app client.Client, e ssf.Event) (string, error) {
	signer, err := x.keys.IDSigner(ctx, app.SignsIDTokensWith())
	if err != nil {
		return "", err
	}
	if signer, err = signer.As(ssf.Type); err != nil {
		return "", err
	}
	payload, err := e.Claims(x.options.Issuer, app.ID)
	if err != nil {
		return "", err
	}
	return signer.Sign(payload)
}

// push hands an event to its receiver (RFC 8935, Section 2). One that it refuses is gone: it
// would be refused again.
func (x *Transmitter) push(ctx context.Context, st ssf.Stream, app client.Client, e ssf.Event) error {
	token, err := x.set(ctx, app, e)
	if err != nil {
		return err
	}
	var authorization secret.Text
	if st.Authorization != nil {
		sealer, err := x.sealer()
		if err != nil {
			return err
		}
		plain, err := sealer.Open(st.Authorization, ssf.Place(st.ID))
		if err != nil {
			return err
		}
		authorization = secret.From(string(plain))
	}
	said, err := x.pusher.Push(ctx, st.Endpoint, ssf.MediaType, []byte(token), authorization)
	switch {
	case errors.Is(err, fetch.ErrRefused):
		return x.waiting.TakeEvents(ctx, st.ID, []string{e.ID}, x.refused(principal.Principal{Kind: principal.System, ID: "server"}, st, 1, ssf.ParseSetError(said)))
	case err != nil:
		return err
	}
	return x.waiting.TakeEvents(ctx, st.ID, []string{e.ID})
}

// refused is the event of events that a receiver did not take.
func (x *Transmitter) refused(by principal.Principal, st ssf.Stream, n int, why ssf.SetError) audit.Event {
	e := audit.Now(by, x.clock.Now(), audit.StreamNotTold, st.Target()).With("client", st.Client).With("events", strconv.Itoa(n))
	if why.Err != "" {
		e = e.With("err", why.Err)
	}
	return e.Because(audit.Failure, "refused")
}

// Polled is the answer to a poll (RFC 8936, Section 2.3).
type Polled struct {
	Sets map[string]string `json:"sets"`
	More bool              `json:"moreAvailable,omitempty"`
}

// Poll acknowledges events of a stream of whoever asks, and returns others (RFC 8936,
// Section 2.4). If there is none, it waits for one, unless it is not to, or too many do.
func (x *Transmitter) Poll(ctx context.Context, by principal.Principal, stream string, p ssf.PollRequest) (Polled, error) {
	answer := Polled{Sets: map[string]string{}}
	st, err := x.Own(ctx, by, stream)
	if err == nil && st.Method != ssf.Poll {
		err = fault.New(fault.NotFound, "the events of this stream are pushed")
	}
	if err != nil {
		return answer, err
	}
	app, err := x.clients.Known(ctx, st.Client)
	if err != nil {
		return answer, err
	}
	if err := x.acknowledge(ctx, by, st, p); err != nil || p.Most == 0 {
		return answer, err
	}
	list, err := x.waiting.WaitingEvents(ctx, st.ID, p.Most+1)
	if err == nil && len(list) == 0 && !p.Immediate && x.polls.enter(st.ID) {
		list, err = x.await(ctx, st.ID, p.Most+1)
		x.polls.leave(st.ID)
	}
	if err != nil {
		return answer, err
	}
	if answer.More = len(list) > p.Most; answer.More {
		list = list[:p.Most]
	}
	for _, e := range list {
		if answer.Sets[e.ID], err = x.set(ctx, app, e); err != nil {
			return answer, err
		}
	}
	return answer, nil
}

// acknowledge deletes what the receiver has taken, or will not take.
func (x *Transmitter) acknowledge(ctx context.Context, by principal.Principal, st ssf.Stream, p ssf.PollRequest) error {
	ids := slices.Clone(p.Acks)
	var events []audit.Event
	for event, why := range p.Errors {
		if ids = append(ids, event); len(events) == 0 {
			events = append(events, x.refused(by, st, len(p.Errors), why))
		}
	}
	return x.waiting.TakeEvents(ctx, st.ID, ids, events...)
}

// await looks for events until there are some, or it has waited for long enough.
func (x *Transmitter) await(ctx context.Context, stream string, n int) ([]ssf.Event, error) {
	tick, end := time.NewTicker(pollLooks), time.NewTimer(pollWaits)
	defer tick.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-x.over:
			return nil, nil
		case <-end.C:
			return nil, nil
		case <-tick.C:
		}
		if list, err := x.waiting.WaitingEvents(ctx, stream, n); err != nil || len(list) > 0 {
			return list, err
		}
	}
}

// polls counts those who wait for events.
type polls struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by stream
}

// enter lets one in more, if there is room.
func (p *polls) enter(stream string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= mostPolls || p.of[stream] >= pollsOfOne {
		return false
	}
	p.all++
	p.of[stream]++
	return true
}

func (p *polls) leave(stream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.of[stream]--; p.of[stream] == 0 {
		delete(p.of, stream)
	}
}
