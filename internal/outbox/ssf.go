package outbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/ssf"
)

// signals is the pace of streams: a try is of a stream with all that waits on it.
var signals = pace{atOnce: 16, firstPause: 10 * time.Second, longPause: time.Hour, giveUp: ssf.Patience}

// StreamStore is what is kept of streams with work.
type StreamStore interface {
	// ClaimStreams takes up to n streams with work. Nobody else gets them before lease has
	// passed.
	ClaimStreams(ctx context.Context, n int, lease time.Duration) ([]ssf.Claim, error)
	ReleaseStream(ctx context.Context, c ssf.Claim) error
	// PostponeStream gives a stream back until due, and records events of that. It does
	// nothing if somebody else has claimed it since.
	PostponeStream(ctx context.Context, c ssf.Claim, due time.Time, events ...audit.Event) error
	// PauseStream pauses a stream that is enabled, and records events of that.
	PauseStream(ctx context.Context, id, reason string, events ...audit.Event) error
}

// Signals serve streams on which there is something to do.
type Signals struct {
	Store StreamStore
	Clock clock.Clock
	Log   *slog.Logger
	// Serve does what there is to do on a stream. The error says that the receiver takes
	// nothing, and that it is to be tried again.
	Serve func(ctx context.Context, c ssf.Claim) error
}

// Run serves streams until ctx ends.
func (s Signals) Run(ctx context.Context) {
	r := rounds{
		clock: s.Clock, log: s.Log, pace: signals,
		claim: func(ctx context.Context, n int) ([]Claim, error) {
			found, err := s.Store.ClaimStreams(ctx, n, lease)
			list := make([]Claim, len(found))
			for i, c := range found {
				list[i] = Claim{Letter: Letter{ID: c.ID, Kind: "stream", At: c.Since}, Try: c.Try, stream: &c}
			}
			return list, err
		},
		carry: func(ctx context.Context, c Claim) error { return s.Serve(ctx, *c.stream) },
		done:  s.done,
		later: func(ctx context.Context, c Claim, due time.Time, events ...audit.Event) error {
			return s.Store.PostponeStream(ctx, *c.stream, due, events...)
		},
		failed: func(c Claim, why string) []audit.Event {
			by := principal.Principal{Kind: principal.System, ID: "server"}
			e := audit.Now(by, s.Clock.Now(), audit.StreamNotTold, c.stream.Target()).With("client", c.stream.Client).Because(audit.Failure, why)
			if why != "given-up" {
				return []audit.Event{e}
			}
			return []audit.Event{e, audit.Now(by, s.Clock.Now(), audit.StreamUpdated, c.stream.Target()).With("client", c.stream.Client).
				With("status", string(ssf.Paused)).With("why", "away")}
		},
	}
	r.run(ctx)
}

// done gives a stream back that was served, or pauses it if there is something to record of
// it: it was given up.
func (s Signals) done(ctx context.Context, c Claim, events ...audit.Event) error {
	if len(events) == 0 {
		return s.Store.ReleaseStream(ctx, *c.stream)
	}
	return s.Store.PauseStream(ctx, c.ID, ssf.Away, events...)
}
