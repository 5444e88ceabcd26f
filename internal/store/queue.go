package store

import (
	"context"
	"errors"
	"sync"
)

// queue is where verbs wait for the one goroutine that writes them in groups.
type queue struct {
	jobs chan *job

	mu     sync.RWMutex // held for reading while a job is put in
	closed bool
}

// job is one verb that waits to be written.
type job struct {
	ctx  context.Context
	f    func(*tx) error
	args []any // of a row of a batch, instead of f
	made bool  // the row was
	err  error
	done chan struct{}
}

// largestGroup bounds how much one failing commit takes with it.
const largestGroup = 128

func newQueue() *queue { return &queue{jobs: make(chan *job, 4*largestGroup)} }

var errClosed = errors.New("the database is closed")

// do waits until f is written. Once it is in the queue its fate is the writer's
// to tell: to leave then would be to answer without knowing whether it was done.
func (q *queue) do(ctx context.Context, f func(*tx) error) error {
	j := &job{ctx: ctx, f: f, done: make(chan struct{})}
	if err := q.put(j); err != nil {
		return err
	}
	<-j.done
	return j.err
}

// gather returns first and what waits behind it, up to most jobs.
func (q *queue) gather(first *job, most int) []*job {
	group := []*job{first}
	for waiting := len(q.jobs); waiting > 0 && len(group) < most; waiting-- {
		group = append(group, <-q.jobs)
	}
	return group
}

func (q *queue) put(j *job) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return errClosed
	}
	select {
	case q.jobs <- j:
		return nil
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

// close lets what is in the queue be written, and nothing more in.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.jobs)
	}
}
