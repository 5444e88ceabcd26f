package limit

import (
	"context"
	"time"
)

// meter is a rate by the generic cell rate algorithm (ITU-T I.371): one time is
// kept, that at which nothing is counted any more. Each failure moves it by a
// step; it may lie a window ahead.
type meter struct{ step, window time.Duration }

func (r Rate) meter() meter { return meter{r.Per / time.Duration(r.Times), r.Per} }

// wait returns how long it takes until one more has room; 0 if it has.
func (m meter) wait(mark, now time.Time) time.Duration {
	if !mark.After(now) || mark.After(m.push(now).Horizon()) {
		return 0 // and the difference of a time that is not there is no number
	}
	return max(0, mark.Sub(now)+m.step-m.window)
}

// push is a failure now. What comes past the limit, judged at the same time as
// the last that had room, counts for no more than one.
func (m meter) push(now time.Time) Push {
	return Push{Span{now, now.Add(m.window + m.step)}, m.step}
}

// meter is that of a network. During the alarm it has room for two.
func (s *Service) meter(flood bool) meter {
	m := s.options.Address.meter()
	if flood {
		m.step = m.window / time.Duration(min(2, s.options.Address.Times))
	}
	return m
}

// everybody and flood name the meter of all failures, and the alarm.
var (
	everybody = nameOf("global", "failures")
	flood     = nameOf("global", "flood")
)

// alarmed reports whether the alarm is on, by its mark.
func (s *Service) alarmed(mark, now time.Time) bool {
	span := Span{now, now.Add(s.options.Global.Per)}
	return mark.After(now) && !mark.After(span.Horizon())
}

// strike counts a failure of a stranger, and reports whether the alarm begins
// with it.
func (s *Service) strike(ctx context.Context, t *Try) (began bool, err error) {
	now := s.clock.Now()
	all := s.options.Global.meter()
	mark, err := s.store.PushMark(ctx, everybody, all.push(now))
	if err != nil {
		return false, err
	}
	if mark.Sub(now) > all.window {
		t.flood = true
		// It lasts for a window after the last failure past the limit.
		if began, err = s.first(ctx, flood, all.window); err != nil {
			return false, err
		}
		if s.due("flood", time.Minute) {
			s.log.Warn("more sign-ins fail than rate_limit.global allows: until it is over, a network may fail twice only", "limit", s.options.Global.Times, "per", s.options.Global.Per)
		}
	}
	_, err = s.store.PushMark(ctx, t.meter, s.meter(t.flood).push(now))
	return began, err
}
