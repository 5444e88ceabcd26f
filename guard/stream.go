package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// message is a server-sent event (HTML, Section 9.2).
type message struct{ id, name, data string }

// maxEvent bounds a line of the stream.
const maxEvent = 256 << 10

var (
	errNoStream = errors.New("the issuer has no stream of revocations")
	errSilent   = errors.New("the stream of revocations is silent")
	errEvent    = fmt.Errorf("the stream of revocations has a line over %d bytes", maxEvent)
)

// follow reads the stream until it breaks, or is silent for too long.
func (s *stream) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(s.bound, func() { cancel(errSilent) })
	defer silence.Stop()

	place, err := s.discover(ctx, "status_list_events_endpoint")
	if errors.Is(err, errNotURL) { // its metadata names none
		return errNoStream
	} else if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "identity")
	s.mu.RLock()
	if s.last != "" {
		req.Header.Set("Last-Event-ID", s.last)
	}
	s.mu.RUnlock()
	resp, err := s.client.Do(req)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("%w, of type %.40q", statusError{url: place, status: resp.StatusCode}, kind)
	}
	current := false
	return readEvents(resp.Body, func(e message, whole bool) error {
		silence.Reset(s.bound)
		if whole {
			if err := s.apply(e); err != nil {
				return err
			}
			current = current || e.name == "current"
		}
		if current {
			s.heard.Store(sinceStart())
		}
		return nil
	})
}

// readEvents calls f with each event, and for each line besides: whole says that an event
// has ended. It returns when the stream does.
func readEvents(body io.Reader, f func(e message, whole bool) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxEvent)
	var e message
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		whole := false
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if e.data != "" {
				e.data += "\n"
			}
			e.data += value
		case "":
			whole = lines.Text() == "" && e.name != ""
		}
		if len(e.data) > maxEvent {
			return errEvent
		}
		if err := f(e, whole); err != nil {
			return err
		}
		if whole {
			e = message{}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
