package outbox

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// mails is the pace of mail.
var mails = pace{atOnce: 4, firstPause: time.Minute, longPause: 6 * time.Hour, giveUp: 3 * 24 * time.Hour}

// Parts are what a Service works with.
type Parts struct {
	Store   Store
	Clock   clock.Clock
	Log     *slog.Logger
	Carrier Carrier // nil: there is none, and letters are dropped
	Issuer  string  // the only link in a letter
}

// Service delivers letters to people.
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

// Run delivers letters until ctx ends.
func (s *Service) Run(ctx context.Context) {
	dropped := tally{log: s.log}
	defer dropped.tell()
	r := rounds{
		clock: s.clock, log: s.log, pace: mails, carry: s.carry, later: s.store.PostponeLetter,
		done: func(ctx context.Context, c Claim, events ...audit.Event) error {
			return s.store.DeleteLetter(ctx, c.ID, events...)
		},
		claim: func(ctx context.Context, n int) ([]Claim, error) {
			if s.carrier == nil {
				n, err := s.store.DropLetters(ctx)
				dropped.add(n, s.clock.Now())
				return nil, err
			}
			return s.store.ClaimLetters(ctx, Mails, n, lease)
		},
		failed: func(Claim, string) []audit.Event { return nil },
	}
	r.run(ctx)
}

// carry hands one letter to the carrier. It is done, too, if there is nobody to
// read it.
func (s *Service) carry(ctx context.Context, c Claim) error {
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
