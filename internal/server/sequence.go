package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

const (
	sequenceEvery = 200 * time.Millisecond  // events get their leaves so often
	patience      = 1500 * time.Millisecond // how long work may lie before another server takes it over
	sequenceLate  = 10 * time.Second        // past it, that events have no leaf is worth a warning

	// Mostly it suffices to look for events of the last seconds: what was written
	// before has its leaf, and PostgreSQL would step over each of those rows until it
	// clears them away. Who commits late, or has a clock that is behind, is found when
	// all is looked through.
	sequenceRecent = 3 * time.Second
	sequenceAll    = time.Second // so often
)

// treeStore is what the sequencer needs to have kept for it.
type treeStore interface {
	LogState(ctx context.Context, from string) (audit.State, error)
	TakeLog(ctx context.Context, holder string, was audit.State) (int64, error)
	Sequence(ctx context.Context, epoch int64, from string, limit int, sign audit.Signing) (int, error)
	SequencesAtOnce() int
}

// sequencer gives events their leaves, while this server is the one that does.
// A server that does nothing for a while, although there is work, loses that to
// another; nobody has to say that he is alive while there is none. No clock but
// this process's own is asked: those of servers may differ.
type sequencer struct {
	store treeStore
	sign  audit.Signing
	log   *slog.Logger
	now   func() time.Time // for the age of events alone
	name  string
	had   int64     // the most leaves that the log was seen to have
	all   time.Time // when all that can wait was looked through

	seen   audit.State // of another holder who has work, and since when
	since  time.Time
	warned time.Time
}

func newSequencer(k *Core) *sequencer {
	return &sequencer{store: k.Store, sign: k.Keys.SignCheckpoint, log: k.Log, now: k.Clock.Now, name: id.New(k.Clock.Now())}
}

// run works until ctx ends. After a failure it waits longer each time.
func (q *sequencer) run(ctx context.Context) {
	const most = 5 * time.Second
	wait := sequenceEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err := q.turn(ctx, patience); err != nil && ctx.Err() == nil {
			q.log.Error("the audit log's tree does not grow", "error", err)
			wait = min(2*wait, most)
		} else {
			wait = sequenceEvery
		}
	}
}

// turn gives the events that wait their leaves, if that is for this server to do.
func (q *sequencer) turn(ctx context.Context, patience time.Duration) error {
	from := q.from()
	st, err := q.store.LogState(ctx, from)
	if err != nil {
		return err
	}
	q.had = max(q.had, st.Size)
	if !st.Waiting && from != "" {
		return nil
	}
	if !st.Waiting || st.Origin == "" {
		q.since = time.Time{}
		return nil
	}
	q.warn(st)
	epoch := st.Epoch
	if st.Holder != q.name {
		if st.Holder != "" && !q.idle(st, patience) {
			return nil
		}
		if epoch, err = q.store.TakeLog(ctx, q.name, st); err != nil {
			return lost(err)
		}
	}
	limit := q.store.SequencesAtOnce()
	for {
		n, err := q.store.Sequence(ctx, epoch, from, limit, q.longer)
		if err != nil || n < limit || ctx.Err() != nil {
			return lost(err)
		}
	}
}

// from returns the id past which to look for events that wait.
func (q *sequencer) from() string {
	now := time.Now() //nolint:forbidigo // a duration of this process
	if now.Sub(q.all) >= sequenceAll {
		q.all = now
		return ""
	}
	return id.Floor(q.now().Add(-sequenceRecent))
}

// longer signs, unless the log has become shorter than this server saw it: who can
// write into the database would have it sign another past.
func (q *sequencer) longer(was audit.Checkpoint, before []byte, is audit.Checkpoint) ([]byte, error) {
	if was.Size < q.had {
		return nil, fmt.Errorf("the audit log was altered; run doorward audit verify: it has %d leaves, and it had %d", was.Size, q.had)
	}
	return q.sign(was, before, is)
}

// lost is nil if another server was faster.
func lost(err error) error {
	if fault.KindOf(err) == fault.Conflict {
		return nil
	}
	return err
}

// idle reports whether the holder of st has let work lie for as long as patience.
func (q *sequencer) idle(st audit.State, patience time.Duration) bool {
	now := time.Now() //nolint:forbidigo // a duration of this process
	if q.since.IsZero() || st.Epoch != q.seen.Epoch || st.Size != q.seen.Size {
		q.seen, q.since = st, now
	}
	return now.Sub(q.since) >= patience
}

// warn tells, once a minute, that events wait for long.
func (q *sequencer) warn(st audit.State) {
	now := q.now()
	if age := now.Sub(st.Since); age > sequenceLate && now.Sub(q.warned).Abs() > time.Minute {
		q.warned = now
		q.log.Warn("events of the audit log wait for their place in its tree", "oldest", age.Truncate(time.Second).String())
	}
}

// finish gives what was written last its leaves, whoever did so until now, and
// lets the next server begin at once.
func (q *sequencer) finish(ctx context.Context) error {
	q.all = time.Time{}
	if err := q.turn(ctx, 0); err != nil {
		return err
	}
	st, err := q.store.LogState(ctx, "")
	if err != nil || st.Holder != q.name {
		return err
	}
	_, err = q.store.TakeLog(ctx, "", st)
	return lost(err)
}

// tendLog deletes what the audit log need not keep: checkpoints that stand close,
// and events past the retention.
func (s *Server) tendLog(ctx context.Context) error {
	var errs []error
	for more, err := true, error(nil); more && err == nil; {
		more, err = s.Store.ThinCheckpoints(ctx)
		errs = append(errs, err)
	}
	if keep := s.Config.Audit.Retention; keep > 0 {
		for more, err := true, error(nil); more && err == nil; {
			more, err = s.Store.RetireEvents(ctx, keep)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
