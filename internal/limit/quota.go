package limit

import "context"

// Take counts one use of something that may be used at a rate, and refuses it past
// that: so many at once, and then one at each step of the rate. Fewer than that pass
// if many come at the same moment, but never more, on however many servers.
//
// Faults: Limited, with the time after which there is room again, and then nothing is
// counted; Unavailable when nothing can be counted.
func (s *Service) Take(ctx context.Context, what string, r Rate) error {
	name, m := nameOf("quota", what), r.meter()
	marks, err := s.store.Marks(ctx, name)
	if err != nil {
		return s.told(ctx, err)
	}
	now := s.clock.Now()
	if wait := m.wait(marks[0], now); wait > 0 {
		return limited(wait)
	}
	mark, err := s.store.PushMark(ctx, name, m.push(now))
	if err != nil {
		return s.told(ctx, err)
	}
	if over := mark.Sub(now) - m.window; over > 0 { // others came in between
		return limited(over)
	}
	return nil
}
