package factor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// A door admits work to a fixed number of workers.
//
// Each worker is a goroutine on an operating system thread of its own, from
// giveWay on at low priority, so that the kernel lets every other thread of the
// program go first. To Go's scheduler a worker is a goroutine like any other and
// would keep the others waiting for its turn of 10 ms; so GOMAXPROCS is raised by the number
// of workers while the door is open. (The runtime then no longer follows a
// change of the container's CPU limit by itself.) Both are needed: with the
// cores saturated by bcrypt, they brought the 99th percentile of a small GET
// from 33 ms to 2 ms.
//
// Who finds no free worker waits in the queue of its source, and the sources
// are served in turn: whoever sends a thousand requests waits for them alone.
type door struct {
	workers  int
	capacity int           // how many tickets may wait
	patience time.Duration // and how long the last of them, as far as can be foreseen
	clock    clock.Clock

	running sync.WaitGroup
	once    sync.Once
	last    atomic.Bool // the workers let all others go first

	mu      sync.Mutex
	more    sync.Cond            // a ticket came, or the door closed
	queues  map[string][]*ticket // by source; none is empty
	turns   []string             // the sources that wait, the next one first
	waiting int
	closed  bool
	mean    time.Duration // how long a piece of work takes, of late
}

// ticket is one piece of work that waits, is done, or was refused.
type ticket struct {
	source string
	work   func(*arena)
	done   chan struct{} // closed when err is final
	err    error
}

func (t *ticket) finish(err error) {
	t.err = err
	close(t.done)
}

// errClosed tells who asks that it is not the password.
var errClosed = fault.New(fault.Unavailable, "the server is stopping: try again in a moment")

// longestWait is how long somebody may have to wait for his turn: with what comes
// before and after it, his answer must be written before the server gives up the
// connection, after 30 s, or he never learns what became of his password.
const longestWait = 12 * time.Second

// openDoor starts the workers, each of which keeps an arena of so many blocks
// while there is work.
func openDoor(workers, capacity, blocks int, c clock.Clock) *door {
	d := &door{workers: workers, capacity: capacity, patience: longestWait, clock: c, queues: map[string][]*ticket{}, mean: 250 * time.Millisecond}
	d.more.L = &d.mu
	addProcs(workers)
	for range workers {
		d.running.Go(func() { d.serve(blocks) })
	}
	return d
}

// close refuses who waits and returns when the workers have finished.
func (d *door) close() {
	d.once.Do(func() {
		d.mu.Lock()
		d.closed = true
		for _, queue := range d.queues {
			for _, t := range queue {
				t.finish(errClosed)
			}
		}
		d.queues, d.turns, d.waiting = nil, nil, 0
		d.more.Broadcast()
		d.mu.Unlock()
		d.running.Wait()
		addProcs(-d.workers)
	})
}

// do has a worker do the work and returns when it is done, or with the reason
// why it will not be. When ctx ends it returns at once: a ticket that waits is
// torn up, while work that has begun goes on for nobody, and the error is
// ErrLeft.
func (d *door) do(ctx context.Context, source string, work func(*arena)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("password hash: %w", err)
	}
	t := &ticket{source: source, work: work, done: make(chan struct{})}
	if err := d.enter(t); err != nil {
		return err
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		if !d.leave(t) {
			return fmt.Errorf("%w: %w", ErrLeft, ctx.Err())
		}
		return fmt.Errorf("password hash: %w", ctx.Err())
	}
}

// ErrLeft says that whoever asked left while his password was hashed: it cost
// what an answer costs.
var ErrLeft = errors.New("left while the password was hashed")

// enter puts a ticket at the end of its source's queue, or returns a fault of
// kind Limited or Unavailable.
func (d *door) enter(t *ticket) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	if d.waiting >= d.room() && !d.displace(t.source) {
		return d.full()
	}
	queue, waits := d.queues[t.source]
	if !waits {
		d.turns = append(d.turns, t.source)
	}
	d.queues[t.source] = append(queue, t)
	d.waiting++
	d.more.Signal()
	return nil
}

// room is how many tickets may wait. On a machine that has too much to do a hash
// takes many times as long, and a queue of the same length lasts for minutes.
func (d *door) room() int {
	foreseen := int(int64(d.patience) * int64(d.workers) / int64(max(d.mean, time.Millisecond)))
	return min(max(foreseen, d.workers), d.capacity)
}

// displace makes room for a newcomer: the newest of the longest queue is
// refused, if that queue is still no shorter than the newcomer's own after it.
// (Among equals nobody is displaced: two strangers would do it to one another
// for ever.)
func (d *door) displace(source string) bool {
	longest := source
	for _, s := range d.turns {
		if len(d.queues[s]) > len(d.queues[longest]) {
			longest = s
		}
	}
	queue := d.queues[longest]
	if len(queue) < len(d.queues[source])+2 {
		return false
	}
	t := queue[len(queue)-1]
	d.drop(t)
	t.finish(d.full())
	return true
}

// full is the refusal of who finds no room. The wait is the time that it takes
// to serve all who wait.
func (d *door) full() error {
	e := fault.New(fault.Limited, "too many passwords are being checked at the moment: try again in a few seconds")
	wait := d.mean * time.Duration(d.waiting) / time.Duration(d.workers)
	e.After = max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
	return e
}

// leave takes back a ticket that still waits, and reports whether it did.
func (d *door) leave(t *ticket) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drop(t)
}

// drop removes a ticket from its queue, and reports whether it was in it.
func (d *door) drop(t *ticket) bool {
	queue := d.queues[t.source]
	i := slices.Index(queue, t)
	if i < 0 {
		return false
	}
	d.waiting--
	if len(queue) > 1 {
		d.queues[t.source] = slices.Delete(queue, i, i+1)
		return true
	}
	delete(d.queues, t.source)
	i = slices.Index(d.turns, t.source)
	d.turns = slices.Delete(d.turns, i, i+1)
	return true
}

// next waits for the ticket whose turn it is, and returns nil when the door is
// closed. An idle worker gives up its memory.
func (d *door) next(a *arena) *ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.waiting == 0 {
		if d.closed {
			return nil
		}
		a.blocks = nil
		d.more.Wait()
	}
	source := d.turns[0]
	t := d.queues[source][0]
	d.drop(t)
	if _, waits := d.queues[source]; waits {
		d.turns = append(d.turns[1:], source)
	}
	return t
}

// giveWay lowers the priority of the workers, from their next work on.
func (d *door) giveWay() { d.last.Store(true) }

// serve is the life of a worker.
func (d *door) serve(blocks int) {
	// Never unlocked: a thread ends with the goroutine that is locked to it, and
	// so does its priority.
	runtime.LockOSThread()
	lowered := false
	a := &arena{keep: blocks}
	for t := d.next(a); t != nil; t = d.next(a) {
		if !lowered && d.last.Load() {
			lowerPriority()
			lowered = true
		}
		start := d.clock.Now()
		t.finish(run(t.work, a))
		d.took(d.clock.Now().Sub(start))
	}
}

// took keeps a moving average of the work's duration. A clock that was set in
// between is not believed.
func (d *door) took(duration time.Duration) {
	if duration < 0 || duration > time.Minute {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mean += (duration - d.mean) / 8
}

// run does the work. A panic is the error of this piece of work and nothing to
// the next; its value, which might hold a piece of the password, is not told.
func run(work func(*arena), a *arena) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errPanic
			if e, ok := r.(runtime.Error); ok {
				err = fmt.Errorf("%w: %w", errPanic, e)
			}
		}
	}()
	work(a)
	return nil
}

var errPanic = errors.New("computing a password hash panicked")
