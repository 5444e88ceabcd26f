package limit

import "time"

// Bucket counts the attempts at one subject from one device, or from all that
// are not known. The zero Bucket has none.
type Bucket struct {
	Stamp  int64     // changes with every write; 0: it is not kept
	Round  int64     // changes with every run of attempts up to a lock
	Tries  int       // attempts of this round, settled or not
	Failed int       // those of them that were wrong
	Total  int       // attempts since the last success
	Locks  int       // locks since the last success
	Last   time.Time // of the last attempt
	Until  time.Time // when the lock ends; zero while the round is open
}

// rule says what a bucket allows.
type rule struct {
	failures, hard int
	durations      []time.Duration
	settles        time.Duration // how long an attempt may take to be settled
}

// refusal is why an attempt may not be made now.
type refusal struct {
	after time.Duration
	hard  bool
	open  bool // others of its round are being judged, and may give the room back
}

// duration is that of the n-th lock, from 1.
func (r rule) duration(n int) time.Duration {
	return r.durations[max(0, min(n, len(r.durations))-1)]
}

// seen returns the bucket as it is now: forgotten if its time is over, and
// without times that only a clock can have written that ran ahead.
func (r rule) seen(b Bucket, now time.Time) Bucket {
	if b.Stamp != 0 && now.Sub(b.Last) > Keep {
		return Bucket{}
	}
	if b.Last.Sub(now) > Skew {
		b.Last = now
	}
	if d := r.duration(b.Locks); b.Until.Sub(now) > d+Skew {
		b.Until = now.Add(d)
	}
	return b
}

// reserve adds an attempt to a bucket, which may lock it: as long as it is not
// settled, an attempt is a failure. The bucket to be kept is returned in any
// case.
func (r rule) reserve(b Bucket, now time.Time, round int64) (Bucket, *refusal) {
	b = r.seen(b, now)
	if why := r.closed(b, now); why != nil {
		return b, why
	}
	return r.add(b, now, round), nil
}

func (r rule) closed(b Bucket, now time.Time) *refusal {
	locked := b.Until.After(now)
	if !locked && b.Total < r.hard {
		return nil
	}
	why := &refusal{after: b.Until.Sub(now), hard: b.Total >= r.hard}
	why.open = locked && b.Failed < b.Tries && now.Sub(b.Last) < r.settles
	if why.hard {
		why.after = r.duration(len(r.durations))
	}
	return why
}

// add counts one attempt more. A lock that has run out begins a new round.
func (r rule) add(b Bucket, now time.Time, round int64) Bucket {
	if b.Stamp == 0 || b.Round == 0 || !b.Until.IsZero() && !b.Until.After(now) {
		b.Round, b.Tries, b.Failed, b.Until = round, 0, 0, time.Time{}
	}
	b.Total++
	b.Last = now
	if !b.Until.IsZero() {
		return b
	}
	b.Tries++
	if b.Tries >= r.failures || b.Total >= r.hard {
		b.Locks++
		b.Until = now.Add(r.duration(b.Locks))
	}
	return b
}

// fail settles an attempt of a round as wrong, and reports whether that closed
// the bucket. One of an earlier round was forgotten with it: it counts anew.
func (r rule) fail(b Bucket, now time.Time, round, fresh int64) (Bucket, bool) {
	b = r.seen(b, now)
	if b.Round != round {
		open := b.Until.IsZero() || !b.Until.After(now)
		if b = r.add(b, now, fresh); !open {
			return b, false
		}
	}
	b.Failed++
	b.Last = now
	if b.Until.IsZero() || b.Failed < b.Tries {
		return b, false
	}
	b.Until = now.Add(r.duration(b.Locks))
	return b, true
}

// undo takes an attempt of a round back, and with it the lock that it made.
func (r rule) undo(b Bucket, now time.Time, round int64) Bucket {
	b = r.seen(b, now)
	if b.Round != round || b.Tries <= b.Failed {
		return b
	}
	b.Tries--
	b.Total--
	if !b.Until.IsZero() && b.Tries < r.failures && b.Total < r.hard {
		b.Until = time.Time{}
		b.Locks--
	}
	return b
}

func (r rule) state(b Bucket, now time.Time) State {
	b = r.seen(b, now)
	s := State{Failures: b.Tries, Total: b.Total}
	switch {
	case b.Total >= r.hard:
		s.Until = b.Last.Add(Keep)
	case b.Until.After(now):
		s.Until = b.Until
	case !b.Until.IsZero():
		s.Failures = 0
	}
	return s
}
