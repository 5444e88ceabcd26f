package limit

import (
	"context"
	"time"
)

// Name is the SHA-256 of what is counted.
type Name [32]byte

// Key names the bucket of a subject and a device; the zero Device stands for all
// devices that are not known for the subject.
type Key struct{ Subject, Device Name }

// Span is a present and the time until which something is remembered. The
// present is the caller's: a store has no clock of its own.
type Span struct{ Now, Until time.Time }

// Horizon is past every Until that a clock near this one can have given for the
// same span. What is remembered for longer was written by a clock that ran ahead.
func (s Span) Horizon() time.Time { return s.Until.Add(Skew) }

// Stale is the time before which what is remembered is remembered anew: most
// sightings of a name need no write.
func (s Span) Stale() time.Time { return s.Until.Add(-s.Until.Sub(s.Now) / 10) }

// Skew is how far the clocks of servers may lie apart. What lies further in the
// future than it can is the trace of a clock that was set.
const Skew = 2 * time.Minute

// Keep is how long a bucket is kept after its last failure.
const Keep = 7 * 24 * time.Hour

// Store is what this package needs to have kept for it. Every verb is atomic,
// among all servers.
type Store interface {
	// Bucket returns a bucket; the zero one where there is none.
	Bucket(ctx context.Context, k Key) (Bucket, error)
	// SwapBucket replaces a bucket whose Stamp is still was, 0 being that of no
	// bucket, and reports whether it did. The zero Bucket is not kept: what is there
	// is deleted.
	SwapBucket(ctx context.Context, k Key, was int64, b Bucket) (bool, error)
	// ClearBucket deletes a bucket.
	ClearBucket(ctx context.Context, k Key) error
	// ClearBuckets deletes all buckets of a subject.
	ClearBuckets(ctx context.Context, subject Name) error
	// Marks returns the times that names are remembered with, the zero time for
	// one that is not, in the order of names.
	Marks(ctx context.Context, names ...Name) ([]time.Time, error)
	// PushMark moves a time to step after itself, or after p.Now if that is later or
	// the time is past p.Horizon; but not past p.Until. It returns the new time.
	PushMark(ctx context.Context, name Name, p Push) (time.Time, error)
	// FirstMark remembers a name until p.Until; one that is remembered past p.Stale
	// need not be. It reports whether its time had passed, was past p.Horizon, or was
	// not there.
	FirstMark(ctx context.Context, name Name, p Span) (bool, error)
}

// Push is a step of a meter, which never reaches past a time.
type Push struct {
	Span
	Step time.Duration
}
