package limit

import "context"

// Take counts one use of something that may be used at a rate, and refuses it past
// that: so many at once, and then one at each step of the rate. Fewer than that pass
// if many come at the same moment, but never more, on however many servers.
//
// Faults: Limited, with the time after which there is room again, and then nothing is
// counted; Unavailable when nothing can be counted.
func (s *Service) Take(ctx context.Context, what string, r Rate) error {
	if err := s.Room(ctx, what, r); err != nil {
		return err
	}
	name, m, now := nameOf("quota", what), r.meter(), s.clock.Now()
	mark, err := s.store.PushMark(ctx, name, m.push(now))
	if err != nil {
		return s.told(ctx, err)
	}
	if over := mark.Sub(now) - m.window; over > 0 { // others came in between
		return limited(over)
	}
	return nil
}

// Room says whether Take would refuse a use now, and counts none.
func (s *Service) Room(ctx context.Context, what string, r Rate) error {
	marks, err := s.store.Marks(ctx, nameOf("quota", what))
	if err != nil {
		return s.told(ctx, err)
	}
	if wait := r.meter().wait(marks[0], s.clock.Now()); wait > 0 {
		return limited(wait)
	}
	return nil
}
