// Package load makes HTTP/1.1 requests as cheaply as it can and says how the
// answers came.
//
// It is no general client: requests are bytes that were made before, over kept
// connections, one at a time on each. It shares the machine with what it
// measures, so every microsecond it saves is one more for the server.
//
// Its clock is the machine's: it times, and nothing is decided by it.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Client makes the requests of one connection.
type Client struct {
	// Request returns the next request as it goes over the wire. The bytes are
	// its own until the next call.
	Request func() []byte
	// Header, if not nil, is given each field of an answer before Answer is. The
	// bytes are good until it returns.
	Header func(name, value []byte)
	// Answer is given what came back; body is good until it returns. An error
	// counts, and the connection stops. If nil, the status must be 200.
	Answer func(status int, body []byte) error
	// Steps is how many requests make one of what is counted, which is timed from
	// the first of them to the last answer; 0 stands for 1.
	Steps int
}

// Options say what a run is like.
type Options struct {
	Addr    string      // host and port
	TLS     *tls.Config // nil for a connection in the clear
	Clients []Client
	Warm    time.Duration // before anything is counted
	For     time.Duration
	// Every is the time between two requests of one connection; 0 is as fast as
	// answers come. A late answer then delays nobody's clock: a request is timed
	// from when it was due, not from when it could be sent.
	Every time.Duration
	// Reopen makes another connection where the server closes one after an answer,
	// as proxies do after so many; else that is an error.
	Reopen bool
	// Drain is how long what was begun may take once the run is over; 0 is a minute.
	Drain time.Duration
	// At is called when counting begins and when it ends.
	At func()
}

// Do has every client make so many requests, and returns what went wrong. What
// the options say of time is for Run alone.
func Do(ctx context.Context, n int, o Options) error {
	var running sync.WaitGroup
	failed := make([]error, len(o.Clients))
	for i, client := range o.Clients {
		running.Go(func() { failed[i] = client.do(ctx, n, o) })
	}
	running.Wait()
	return errors.Join(failed...)
}

func (c Client) do(ctx context.Context, n int, o Options) error {
	conn, err := dial(ctx, o.Addr, o.TLS)
	if err != nil {
		return err
	}
	defer conn.close()
	for left := n; left > 0 && err == nil; left-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := conn.until(time.Now().Add(drain)); err != nil {
			return err
		}
		status, body, failed := conn.exchange(c)
		if failed != nil {
			return failed
		}
		if err = c.answered(status, body); err == nil && conn.closing && left > 1 {
			err = conn.reopen(ctx, o)
		}
	}
	return err
}

func (c Client) answered(status int, body []byte) error {
	if c.Answer != nil {
		return c.Answer(status, body)
	}
	if status != 200 {
		return Unexpected(status, body)
	}
	return nil
}

// drain is how long what was begun may take. A request is never left: the next run
// must know what became of it.
const drain = 60 * time.Second

// exchange is one request that was answered, or as many as the client's Steps.
type exchange struct{ done, took time.Duration }

// Run runs all clients at once. It returns an error if no connection could be
// made; wrong answers are counted in the result.
func Run(ctx context.Context, o Options) (Result, error) {
	conns := make([]*conn, len(o.Clients))
	for i := range conns {
		c, err := dial(ctx, o.Addr, o.TLS)
		if err != nil {
			return Result{}, err
		}
		conns[i] = c
		defer c.close()
	}
	if o.Drain == 0 {
		o.Drain = drain
	}
	r := runner{Options: o, start: time.Now()}
	r.end = r.start.Add(o.Warm + o.For)
	var running sync.WaitGroup
	for i, c := range conns {
		running.Go(func() { r.client(ctx, c, o.Clients[i], i) })
	}
	from := r.mark(ctx, o.Warm)
	to := r.mark(ctx, o.Warm+o.For)
	running.Wait()
	return r.result(from, to), ctx.Err()
}

// runner is a run under way.
type runner struct {
	Options
	start, end time.Time

	mu        sync.Mutex
	exchanges []exchange
	errors    int
	first     error
}

// mark waits until a moment of the run and returns when that came to pass.
func (r *runner) mark(ctx context.Context, after time.Duration) time.Duration {
	timer := time.NewTimer(time.Until(r.start.Add(after)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	at := time.Since(r.start)
	if r.At != nil {
		r.At()
	}
	return at
}

func (r *runner) client(ctx context.Context, c *conn, client Client, nth int) {
	list := make([]exchange, 0, 1<<14)
	err := c.until(r.end.Add(r.Drain))
	due := r.start
	if r.Every > 0 { // connections take turns, not all at once
		due = due.Add(r.Every * time.Duration(nth) / time.Duration(len(r.Clients)))
	}
	var began time.Time
	for step := 0; err == nil && (step > 0 || ctx.Err() == nil); step = (step + 1) % max(1, client.Steps) {
		if step == 0 {
			if began = r.next(&due); began.After(r.end) {
				break
			}
		}
		var status int
		var body []byte
		if status, body, err = c.exchange(client); err != nil {
			break
		}
		if now := time.Now(); step+1 >= client.Steps {
			list = append(list, exchange{now.Sub(r.start), now.Sub(began)})
		}
		if err = client.answered(status, body); err == nil && c.closing {
			err = errors.Join(c.reopen(ctx, r.Options), c.until(r.end.Add(r.Drain)))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchanges = append(r.exchanges, list...)
	if err != nil {
		r.errors++
		if r.first == nil {
			r.first = err
		}
	}
}

// next waits until a request is due, and returns when it was.
func (r *runner) next(due *time.Time) time.Time {
	began := time.Now()
	if r.Every > 0 {
		time.Sleep(due.Sub(began))
		began, *due = *due, due.Add(r.Every)
	}
	return began
}

// Unexpected is the error of an answer that should have been another.
func Unexpected(status int, body []byte) error {
	return fmt.Errorf("the answer is %d: %.200s", status, body)
}

var errNothing = errors.New("nothing was answered")

func (r *runner) result(from, to time.Duration) Result {
	var took []time.Duration
	for _, e := range r.exchanges {
		if e.done >= from && e.done < to {
			took = append(took, e.took)
		}
	}
	if len(took) == 0 && r.first == nil {
		r.errors, r.first = 1, errNothing
	}
	return summary(took, to-from, r.errors, r.first)
}
