package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Try is an attempt that was reserved.
type Try struct {
	service *Service
	key     Key
	spent   Key     // the bucket of a device that failed so often that it counts as not known; zero for any other
	bucket  Bucket  // as it was written with this attempt
	scopes  []scope // where it comes from; none if that is not counted
	flood   bool
	leave   func()
	settled atomic.Bool
}

// Verdict is what a failure led to.
type Verdict struct {
	Locked bool      // this failure closed the bucket
	Until  time.Time // when the lock ends
	Locks  int       // which one it is since the last success
	Hard   bool      // strangers stay out until a success, an unlock, or Keep after the last failure
	Flood  bool      // the alarm over all failures began with this one
}

// settling is how long it may take to write what became of an attempt.
const settling = 10 * time.Second

// settle lets one of a Try's endings happen, the first. It is done whatever
// became of the caller, in a time of its own: a guess that was judged counts.
func (t *Try) settle(ctx context.Context, f func(context.Context) error) error {
	if t.settled.Swap(true) {
		return nil
	}
	defer t.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer cancel()
	if err := f(ctx); err != nil {
		return t.service.told(context.WithoutCancel(ctx), err)
	}
	return nil
}

// Failed says that the guess was wrong. After an error it is counted all the
// same, in its bucket.
func (t *Try) Failed(ctx context.Context) (v Verdict, err error) {
	err = t.settle(ctx, func(ctx context.Context) error {
		var err error
		v, err = t.fail(ctx)
		if len(t.scopes) > 0 {
			began, failed := t.service.strike(ctx, t)
			v.Flood = began
			err = errors.Join(err, failed)
		}
		return err
	})
	return v, err
}

func (t *Try) fail(ctx context.Context) (v Verdict, err error) {
	fresh := random()
	err = t.change(ctx, func(b Bucket) Bucket {
		now := t.service.clock.Now()
		next, locked := t.service.rule.fail(b, now, t.bucket.Round, fresh)
		v = Verdict{}
		if locked {
			v = Verdict{Locked: true, Until: next.Until, Locks: next.Locks, Hard: next.Total >= t.service.options.Hard}
		}
		return next
	})
	if err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// Known reports whether the attempt is that of a device that is known.
func (t *Try) Known() bool { return t.key.Device != Name{} }

// Succeeded says that the guess was right: its bucket is empty again, and what its
// device had failed is forgotten.
func (t *Try) Succeeded(ctx context.Context) error {
	return t.settle(ctx, func(ctx context.Context) error {
		err := t.service.store.ClearBucket(ctx, t.key)
		if t.spent != (Key{}) {
			err = errors.Join(err, t.service.store.ClearBucket(ctx, t.spent))
		}
		return err
	})
}

// Abandon says that the guess was not judged: it is as if it had not been made.
// After Failed and Succeeded it does nothing.
func (t *Try) Abandon(ctx context.Context) {
	_ = t.settle(ctx, func(ctx context.Context) error { // where it cannot be taken back, it stays counted
		return t.change(ctx, func(b Bucket) Bucket {
			return t.service.rule.undo(b, t.service.clock.Now(), t.bucket.Round)
		})
	})
}

// change rewrites the bucket, beginning with what this attempt wrote, until
// nobody else has written meanwhile.
func (t *Try) change(ctx context.Context, f func(Bucket) Bucket) error {
	for b := t.bucket; ; {
		next := f(b)
		if next == b {
			return nil
		}
		if next.Total == 0 { // nothing is counted: or whoever is never judged would fill the store with names
			next = Bucket{}
		} else {
			next.Stamp = random()
		}
		swapped, err := t.service.store.SwapBucket(ctx, t.key, b.Stamp, next)
		if err != nil || swapped {
			return err
		}
		if b, err = t.service.store.Bucket(ctx, t.key); err != nil {
			return err
		}
	}
}
