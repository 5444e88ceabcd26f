package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/status"
	"github.com/doorward/doorward/internal/web"
)

// Lists is what this package needs of the status lists.
type Lists interface {
	// StatusList returns the version of a list, which rises with its bits, or a NotFound.
	StatusList(ctx context.Context, list string) (version int64, err error)
	// StatusPages returns those of a list's pages that have bits set.
	StatusPages(ctx context.Context, list string) (map[int64][]byte, error)
}

const (
	// listFor is how long a reader may keep a list ("ttl").
	listFor = 30 * time.Second
	// listLook is how long a list is served without asking whether it changed.
	listLook = 250 * time.Millisecond
	// mostLists are kept signed. There are one or two a day, or one for a million tokens.
	mostLists = 64
)

// signedList is a list as it is served.
type signedList struct {
	version          int64
	body             []byte
	etag             string
	signedAt, lookAt time.Time
}

// lists keeps signed lists.
type lists struct {
	mu   sync.Mutex
	kept map[string]signedList
}

// StatusList serves a list of bits that say which access tokens were revoked
// (draft-ietf-oauth-status-list, Section 8.1).
func (p *Provider) StatusList(w http.ResponseWriter, r *http.Request) error {
	l, err := p.list(r.Context(), r.PathValue("id"))
	if fault.KindOf(err) == fault.NotFound {
		return web.NewProblem(http.StatusNotFound, "there is no such status list")
	} else if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	return publicFor(w, r, listFor, status.Type, l.etag, l.body)
}

// list returns a list as it is now. Two that ask at once may both sign it.
func (p *Provider) list(ctx context.Context, id string) (signedList, error) {
	now := p.Clock.Now()
	p.lists.mu.Lock()
	l, ok := p.lists.kept[id]
	p.lists.mu.Unlock()
	if ok && now.Before(l.lookAt) && !now.Add(listLook).Before(l.lookAt) {
		return l, nil
	}
	version, err := p.Lists.StatusList(ctx, id)
	if err != nil {
		return l, err
	}
	if !ok || l.version != version || now.Sub(l.signedAt).Abs() > listFor/2 {
		pages, err := p.Lists.StatusPages(ctx, id)
		if err != nil {
			return l, err
		}
		claims, err := status.Claims(p.issuer, p.issuer+"/oauth2/status-lists/"+id, pages, now, listFor)
		if err != nil {
			return l, err
		}
		view, err := p.Keys.View()
		if err != nil {
			return l, err
		}
		signer, err := view.Signer.As(status.JWSType())
		if err != nil {
			return l, err
		}
		token, err := signer.Sign(claims)
		if err != nil {
			return l, err
		}
		l = signedList{version: version, body: []byte(token), signedAt: now, etag: fmt.Sprintf(`"%d-%d"`, version, now.Unix())}
	}
	l.lookAt = now.Add(listLook)
	p.lists.mu.Lock()
	defer p.lists.mu.Unlock()
	if len(p.lists.kept) >= mostLists {
		clear(p.lists.kept)
	}
	p.lists.kept[id] = l
	return l, nil
}

const (
	heartbeat = 2 * time.Second // what is silent for longer has lost its server
	// What comes soon after is told with what came: a thousand sign-outs a second are few
	// events for each of many followers.
	gathers = 20 * time.Millisecond
	// A follower that takes nothing for so long is gone.
	takes = 10 * time.Second

	mostFollowers = 10_000
	mostOfOne     = 512 // followers from one address: the APIs of a cluster may share one
)

// followers counts those who follow the stream of revocations.
type followers struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// enter lets one in more from an address, if there is room.
func (f *followers) enter(from string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all >= mostFollowers || f.of[from] >= mostOfOne {
		return false
	}
	if f.of == nil {
		f.of = map[string]int{}
	}
	f.all++
	f.of[from]++
	return true
}

func (f *followers) leave(from string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all--
	if f.of[from]--; f.of[from] == 0 {
		delete(f.of, from)
	}
}

// voided is an event of the stream: what makes access tokens void, by the digests of
// what they name.
type voided struct {
	Until    int64            `json:"until"`              // all of it can be forgotten then
	Ended    []string         `json:"ended,omitempty"`    // whatever names one of these
	Narrowed map[string]int64 `json:"narrowed,omitempty"` // what names one of these and was made under an older version
}

// StatusEvents serves what makes access tokens void as it happens, as server-sent events
// (HTML, Section 9.2): first all that is still needed, or what came after Last-Event-ID,
// then "current", then what comes. guard follows it.
func (p *Provider) StatusEvents(w http.ResponseWriter, r *http.Request) error {
	from := web.By(r.Context()).Origin.Network
	if !p.followers.enter(from) {
		return &web.Refused{Status: http.StatusServiceUnavailable, Message: "too many follow the stream from there; read the status lists instead"}
	}
	defer p.followers.leave(from)
	seq, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	s := sse{w: w, to: http.NewResponseController(w)}
	// Nothing more is read, and the answer has no end.
	if err := errors.Join(s.to.SetReadDeadline(time.Time{}), s.to.SetWriteDeadline(time.Time{})); err != nil {
		return err
	}
	b, err := p.Voids.After(r.Context(), seq)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	p.follow(r.Context(), s, b)
	return nil // the answer has begun: nothing else can be told
}

// follow writes the stream until somebody ends it. Whoever lost touch with the database
// says nothing, and so his followers know that they do not know.
func (p *Provider) follow(ctx context.Context, s sse, b grant.Batch) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	current := false
	var err error
	for {
		if s.voids(b) != nil {
			return
		}
		if b.End && !current {
			current = true
			if s.event("current", b.Seq, struct{}{}) != nil {
				return
			}
		}
		for waiting := b.End; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-b.News:
				waiting = false
				if !pause(ctx, gathers) {
					return
				}
			case <-tick.C:
				if p.Fresh() != nil || s.write(": \n\n") != nil {
					return
				}
			}
		}
		if b.Over {
			return
		}
		if b, err = p.Voids.After(ctx, b.Seq); err != nil || b.Over {
			return
		}
	}
}

// pause reports whether so long has gone by, and not ctx ended before.
func pause(ctx context.Context, long time.Duration) bool {
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// sse writes server-sent events.
type sse struct {
	w  http.ResponseWriter
	to *http.ResponseController
}

func (s sse) write(text string) error {
	if err := s.to.SetWriteDeadline(time.Now().Add(takes)); err != nil { //nolint:forbidigo // the network's time
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.to.Flush()
}

func (s sse) event(name string, seq int64, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", seq, name, text))
}

// voids writes a batch.
func (s sse) voids(b grant.Batch) error {
	if len(b.Voids) == 0 {
		return nil
	}
	e := voided{Narrowed: map[string]int64{}}
	for _, v := range b.Voids {
		e.Until = max(e.Until, v.Until.Unix()+1)
		if v.Version == grant.ForGood {
			e.Ended = append(e.Ended, v.Name)
		} else {
			e.Narrowed[v.Name] = max(e.Narrowed[v.Name], v.Version)
		}
	}
	return s.event("void", b.Seq, e)
}
