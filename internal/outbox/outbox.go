package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// ErrRefused is in a Carrier's error if the mail will never be taken.
var ErrRefused = errors.New("refused for good")

const (
	atOnce   = 4                // letters on their way at one time
	patience = 45 * time.Second // for one delivery
	lease    = 2 * time.Minute  // longer than a delivery
	look     = time.Second      // how often somebody looks for letters
	parting  = 3 * time.Second  // what deliveries that were begun have once the server stops

	firstPause = time.Minute // after the first failure; twice as long after each that follows
	longPause  = 6 * time.Hour
	giveUp     = 3 * 24 * time.Hour // after it was posted, a letter is news no more
)

// Parts are what a Service works with.
type Parts struct {
	Store   Store
	Clock   clock.Clock
	Log     *slog.Logger
	Carrier Carrier // nil: there is none, and letters are dropped
	Issuer  string  // the only link in a letter
}

// Service delivers letters.
type Service struct {
	store        Store
	clock        clock.Clock
	log          *slog.Logger
	carrier      Carrier
	issuer, site string
}

// NewService returns a service that delivers once it runs.
func NewService(p Parts) *Service {
	s := &Service{store: p.Store, clock: p.Clock, log: p.Log, carrier: p.Carrier, issuer: p.Issuer, site: p.Issuer}
	if u, err := url.Parse(p.Issuer); err == nil && u.Host != "" {
		s.site = u.Host
	}
	return s
}

// Run delivers letters until ctx ends. Whatever happens to a letter, a request
// never waits for it.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var begun sync.WaitGroup
	defer func() {
		defer time.AfterFunc(parting, cancel).Stop()
		begun.Wait()
	}()
	free := make(chan struct{}, atOnce)
	// What was delivered wakes the loop: a backlog does not wait for the ticks. What
	// failed does not: a dead mail server makes no work for the database.
	ended := make(chan struct{}, 1)
	dropped := tally{log: s.log}
	for {
		if err := s.round(ctx, free, &dropped, func(c Claim) {
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
			dropped.tell()
			return
		case <-tick.C:
		case <-ended:
		}
	}
}

// round begins the delivery of letters that are due, as many as there is room
// for.
func (s *Service) round(ctx context.Context, free chan struct{}, dropped *tally, begin func(Claim)) error {
	if s.carrier == nil {
		n, err := s.store.DropLetters(ctx)
		dropped.add(n, s.clock.Now())
		return err
	}
	room := cap(free) - len(free)
	if room == 0 {
		return nil
	}
	claims, err := s.store.ClaimLetters(ctx, room, lease)
	for _, c := range claims {
		free <- struct{}{}
		begin(c)
	}
	return err
}

// deliver delivers one letter, or gives it back, or gives it up. It reports
// whether nothing is left to do about it.
func (s *Service) deliver(ctx context.Context, c Claim) bool {
	within, cancel := context.WithTimeout(ctx, patience)
	err := s.carry(within, c)
	cancel()
	if err != nil && ctx.Err() != nil {
		return false // it is stopped; when the lease ends, the letter is due again
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	note := s.log.With("letter", c.ID, "kind", string(c.Kind), "try", c.Try)
	now := s.clock.Now()
	due, done := now.Add(pause(c.Try)), true
	switch {
	case err == nil:
		err = s.store.DeleteLetter(ctx, c.ID)
	case errors.Is(err, ErrRefused), !due.Before(c.At.Add(giveUp)):
		note.Warn("a letter is given up", "error", err)
		err = s.store.DeleteLetter(ctx, c.ID)
	default:
		done = false
		note.Warn("a letter could not be delivered; it is tried again", "error", err, "after", due.Sub(now).String())
		err = s.store.PostponeLetter(ctx, c, due)
	}
	if err != nil {
		note.Error("what became of a letter could not be kept; it may come twice", "error", err)
	}
	return done && err == nil
}

// carry hands one letter to the carrier. It is done, too, if there is nobody to
// read it.
func (s *Service) carry(ctx context.Context, c Claim) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	to, err := s.store.Recipient(ctx, c.User)
	if fault.KindOf(err) == fault.NotFound || err == nil && to.Address == "" {
		return nil
	} else if err != nil {
		return err
	}
	m, err := s.write(c.Letter, to)
	if err != nil {
		return err // a later version, whose database this is too, may know the kind
	}
	return s.carrier.Carry(ctx, m)
}

// pause is how long a letter waits after its nth try.
func pause(n int64) time.Duration {
	p := firstPause
	for ; n > 1 && p < longPause; n-- {
		p *= 2
	}
	return min(p, longPause)
}

// tally tells of dropped letters, once a minute at the most.
type tally struct {
	log  *slog.Logger
	n    int
	told time.Time
}

func (t *tally) add(n int, now time.Time) {
	t.n += n
	if now.Sub(t.told) >= time.Minute {
		t.told = now
		t.tell()
	}
}

func (t *tally) tell() {
	if t.n > 0 {
		t.log.Warn("letters were dropped: there is no mail server (mail.host)", "letters", t.n)
		t.n = 0
	}
}
