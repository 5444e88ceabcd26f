package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
)

// ErrRefused is in the error of a delivery if what it brings will never be taken.
var ErrRefused = errors.New("refused for good")

const (
	patience = 45 * time.Second // for one delivery
	lease    = 2 * time.Minute  // longer than a delivery
	look     = time.Second      // how often somebody looks for letters
	parting  = 3 * time.Second  // what deliveries that were begun have once the server stops
)

// pace is how deliveries of a channel follow one another.
type pace struct {
	atOnce     int           // letters on their way at one time
	firstPause time.Duration // after the first failure; twice as long after each that follows
	longPause  time.Duration
	giveUp     time.Duration // after it was posted, a letter is news no more
}

// pause is how long a letter waits after its nth try.
func (p pace) pause(n int64) time.Duration {
	d := p.firstPause
	for ; n > 1 && d < p.longPause; n-- {
		d *= 2
	}
	return min(d, p.longPause)
}

// rounds deliver what is due on a channel.
type rounds struct {
	clock clock.Clock
	log   *slog.Logger
	pace
	claim func(ctx context.Context, n int) ([]Claim, error)
	carry func(ctx context.Context, c Claim) error
	// done is told of a letter that was delivered, or with events of one that was given up;
	// later of one that is to be tried again.
	done  func(ctx context.Context, c Claim, events ...audit.Event) error
	later func(ctx context.Context, c Claim, due time.Time, events ...audit.Event) error
	// failed returns what is recorded of a try that failed, if anything: why it did, in
	// a word.
	failed func(c Claim, why string) []audit.Event
}

// run delivers letters until ctx ends. Whatever happens to a letter, a request
// never waits for it.
func (s *rounds) run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var begun sync.WaitGroup
	defer func() {
		defer time.AfterFunc(parting, cancel).Stop()
		begun.Wait()
	}()
	free := make(chan struct{}, s.atOnce)
	// What was delivered wakes the loop: a backlog does not wait for the ticks. What
	// failed does not: a dead mail server makes no work for the database.
	ended := make(chan struct{}, 1)
	for {
		if err := s.round(ctx, free, func(c Claim) {
			begun.Go(func() {
				delivered := s.deliver(within, c)
				<-free
				if delivered {
					select {
					case ended <- struct{}{}:
					default:
					}
				}
			})
		}); err != nil && ctx.Err() == nil {
			s.log.Error("looking for letters", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-ended:
		}
	}
}

// round begins the delivery of letters that are due, as many as there is room
// for.
func (s *rounds) round(ctx context.Context, free chan struct{}, begin func(Claim)) error {
	room := cap(free) - len(free)
	if room == 0 {
		return nil
	}
	claims, err := s.claim(ctx, room)
	for _, c := range claims {
		free <- struct{}{}
		begin(c)
	}
	return err
}

// deliver delivers one letter, or gives it back, or gives it up. It reports
// whether nothing is left to do about it.
func (s *rounds) deliver(ctx context.Context, c Claim) bool {
	within, cancel := context.WithTimeout(ctx, patience)
	err := s.safely(within, c)
	cancel()
	if err != nil && ctx.Err() != nil {
		return false // it is stopped; when the lease ends, the letter is due again
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	note := s.log.With("letter", c.ID, "kind", string(c.Kind), "try", c.Try)
	now := s.clock.Now()
	due, done := now.Add(s.pause(c.Try)), true
	refused := errors.Is(err, ErrRefused)
	switch {
	case err == nil:
		err = s.done(ctx, c)
	case refused, !due.Before(c.At.Add(s.giveUp)):
		note.Warn("a letter is given up", "error", err)
		why := "given-up"
		if refused {
			why = "refused"
		}
		err = s.done(ctx, c, s.failed(c, why)...)
	default:
		done = false
		note.Warn("a letter could not be delivered; it is tried again", "error", err, "after", due.Sub(now).String())
		var events []audit.Event
		if c.Try == 1 { // the others say nothing new
			events = s.failed(c, "not-delivered")
		}
		err = s.later(ctx, c, due, events...)
	}
	if err != nil {
		note.Error("what became of a letter could not be kept; it may come twice", "error", err)
	}
	return done && err == nil
}

// safely carries a letter; a panic is an error.
func (s *rounds) safely(ctx context.Context, c Claim) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return s.carry(ctx, c)
}
