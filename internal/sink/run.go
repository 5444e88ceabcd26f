package sink

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// Log is where the log is read, and how far each place got is kept.
type Log interface {
	// Leaves returns up to limit events from leaf first to leaf last, in order.
	Leaves(ctx context.Context, first, last int64, limit int) ([]audit.Entry, error)
	// AuditCheckpoint returns the newest signed checkpoint, or a fault of kind
	// NotFound while there is none.
	AuditCheckpoint(context.Context) ([]byte, error)
	// TakeSink makes holder the one that sends to a place until a time, and
	// returns how far it got; false while another is that.
	TakeSink(ctx context.Context, place, holder string, until time.Time) (audit.Shipped, bool, error)
	// SaveSink keeps how far a place got. It returns a fault of kind Conflict to
	// who is not its holder any more.
	SaveSink(ctx context.Context, place, holder string, s audit.Shipped) error
}

const (
	every   = time.Second      // how often a place is given what is new
	alive   = time.Hour        // how often it is given a checkpoint although nothing is new
	lease   = 30 * time.Second // for how long a place is one server's
	patient = 10 * time.Second // how long one delivery may take
	slowest = time.Minute      // the longest wait after a failure
	most    = 200              // lines in one delivery,
	heavy   = 1 << 20          // and bytes, but for one line
)

// Sinks are the places that this process sends the log to.
type Sinks struct {
	list []*runner
}

// Options are what places are made with.
type Options struct {
	Log    Log
	Clock  clock.Clock
	Logger *slog.Logger
	Secret secret.Text // signs what webhooks are sent
}

// New returns the sinks of a configuration. Nothing is sent before Run.
func New(settings []config.Sink, o Options) (*Sinks, error) {
	s := &Sinks{}
	holder := hex.EncodeToString(secret.Random(16))
	for _, setting := range settings {
		p, err := open(setting, o)
		if err != nil {
			return nil, err
		}
		s.list = append(s.list, &runner{Options: o, name: Key(setting), shown: setting.Place(), holder: holder, place: p, every: every})
	}
	return s, nil
}

// Key is the name by which the database keeps how far a place got: a digest,
// since an address may hold a secret.
func Key(s config.Sink) string {
	h := secret.HashOf([]byte(s.String()))
	return hex.EncodeToString(h[:])
}

// Run sends until ctx ends.
func (s *Sinks) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range s.list {
		all.Go(func() { r.run(ctx) })
	}
	all.Wait()
}

// Finish sends what is left, as far as it can until ctx ends, and closes all. It
// is called once Run has returned.
func (s *Sinks) Finish(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range s.list {
		all.Go(func() {
			if err := r.pass(ctx); err != nil {
				r.Logger.Warn("the audit log did not reach a sink to its end; it goes on from there at the next start", "sink", r.shown, "error", err)
			}
			r.letGo(ctx)
		})
	}
	all.Wait()
}

// runner sends to one place.
type runner struct {
	Options
	name, shown, holder string
	place               place
	every               time.Duration

	at      audit.Shipped
	until   time.Time     // for how long this server holds the place
	hanging chan struct{} // closed when a delivery that took too long ends; nil if none does
}

// errOther says that another server sends to the place.
var errOther = fault.New(fault.Conflict, "another server sends to it")

// run makes a pass each second, and after a failure waits longer and longer.
func (r *runner) run(ctx context.Context) {
	wait, told, failing := r.every, time.Time{}, false
	for {
		err := r.pass(ctx)
		switch now := r.Clock.Now(); {
		case ctx.Err() != nil:
			return
		case err == nil:
			if failing {
				r.Logger.Info("the audit log reaches a sink again", "sink", r.shown)
			}
			wait, failing = r.every, false
		case fault.KindOf(err) == fault.Conflict:
			r.until = time.Time{}
			wait = r.every
		default:
			if !failing || now.Sub(told) >= slowest {
				r.Logger.Warn("the audit log does not reach a sink; nothing is lost, and it is tried again", "sink", r.shown, "error", err)
				told = now
			}
			if failing {
				wait = min(2*wait, slowest)
			} else {
				wait = r.every
			}
			failing = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// pass sends all events that the newest checkpoint covers, and then that.
func (r *runner) pass(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	note, err := r.Log.AuditCheckpoint(ctx)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	c, err := audit.ReadCheckpoint(note)
	if err != nil {
		return fmt.Errorf("the newest checkpoint: %w", err)
	}
	if r.at.Leaf > c.Size {
		r.Logger.Error("the audit log is shorter than what a sink was sent: it was cut, or restored from a backup; hold it against the checkpoint that the sink has",
			"sink", r.shown, "sent", r.at.Leaf, "leaves", c.Size)
		r.at.Leaf, r.at.Checkpoint = c.Size, 0
	}
	for r.at.Leaf < c.Size {
		lines, err := r.batch(ctx, c.Size-1)
		if err != nil {
			return err
		}
		if len(lines) > 0 {
			if err := r.send(ctx, lines); err != nil {
				return err
			}
			r.at.Leaf = lines[len(lines)-1].Leaf + 1
		} else {
			r.at.Leaf = c.Size // what retention deleted is not there to be sent
		}
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	now := r.Clock.Now()
	if c.Size <= r.at.Checkpoint && now.Sub(r.at.SentAt) < alive {
		return nil
	}
	line, err := checkpointLine(note, c.Size, now)
	if err != nil {
		return err
	}
	if err := r.send(ctx, []Line{line}); err != nil {
		return err
	}
	r.at.Checkpoint = c.Size
	return r.save(ctx)
}

// take makes this server the one that sends to the place, or keeps it so.
func (r *runner) take(ctx context.Context) error {
	now := r.Clock.Now()
	if now.Before(r.until.Add(-lease / 2)) {
		return nil
	}
	at, ok, err := r.Log.TakeSink(ctx, r.name, r.holder, now.Add(lease))
	if err != nil {
		return err
	}
	if !ok {
		return errOther
	}
	r.at, r.until = at, now.Add(lease)
	return nil
}

func (r *runner) save(ctx context.Context) error {
	now := r.Clock.Now()
	r.at.SentAt, r.at.Until = now, now.Add(lease)
	r.until = r.at.Until
	return r.Log.SaveSink(ctx, r.name, r.holder, r.at)
}

func (r *runner) batch(ctx context.Context, last int64) (lines []Line, err error) {
	entries, err := r.Log.Leaves(ctx, r.at.Leaf, last, most)
	size := 0
	for _, e := range entries {
		line, err := eventLine(e)
		if err != nil {
			return nil, err
		}
		if size += len(line.Text); size > heavy && len(lines) > 0 {
			break
		}
		lines = append(lines, line)
	}
	return lines, err
}

var errHangs = errors.New("it takes too long")

// send delivers lines. A delivery that hangs is left alone until it ends: this
// goes on, and begins no other.
func (r *runner) send(ctx context.Context, lines []Line) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	if r.hanging != nil {
		select {
		case <-r.hanging:
			r.hanging = nil
		case <-ctx.Done():
			return errHangs
		}
	}
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = r.place.deliver(ctx, lines)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		// What watches the context ends with it, a moment later.
		select {
		case <-done:
			return err
		case <-time.After(100 * time.Millisecond):
		}
		r.hanging = done
		return errHangs
	}
}

// letGo closes the place and lets another server have it at once.
func (r *runner) letGo(ctx context.Context) {
	if r.hanging == nil {
		_ = r.place.close()
	}
	if r.until.IsZero() {
		return
	}
	r.at.Until = time.Time{}
	_ = r.Log.SaveSink(ctx, r.name, r.holder, r.at) // else the lease ends by itself
}
