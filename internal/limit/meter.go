package limit

import (
	"context"
	"net/netip"
	"time"
)

// meter is a rate by the generic cell rate algorithm (ITU-T I.371): one time is
// kept, that at which nothing is counted any more. Each failure moves it by a
// step; while it lies more than a window ahead there is no room.
//
// What comes at once and is judged before any of it is counted runs past the
// window. It is a debt, of so much at most, that is waited for: or a burst that is
// repeated would be a way around the rate.
type meter struct{ step, window, debt time.Duration }

// owed is how long a network may have to wait for what it failed at once.
const owed = time.Hour

func (r Rate) meter() meter { return meter{r.Per / time.Duration(r.Times), r.Per, 0} }

// wait returns how long it takes until one more has room; 0 if it has.
func (m meter) wait(mark, now time.Time) time.Duration {
	if !mark.After(now) || mark.After(m.push(now).Horizon()) {
		return 0 // and the difference of a time that is not there is no number
	}
	return max(0, mark.Sub(now)+m.step-m.window)
}

// push is a failure now.
func (m meter) push(now time.Time) Push {
	return Push{Span{now, now.Add(m.window + max(m.step, m.debt))}, m.step}
}

// scope is where an attempt comes from, narrow or wide, and how many times the
// failures of one address it may have.
type scope struct {
	name  Name
	share int
}

// scopesOf returns the network, and for the /64 of an IPv6 address the /48 that
// it is of: who has one of those usually has all 65,536 (RFC 6177, Section 2).
func scopesOf(network string) []scope {
	list := []scope{{nameOf("address", network), 1}}
	if p, err := netip.ParsePrefix(network); err == nil && p.Addr().Is6() && p.Bits() > 48 {
		site := netip.PrefixFrom(p.Addr(), 48).Masked()
		list = append(list, scope{nameOf("address", site.String()), 10})
	}
	return list
}

// meter is that of a scope. During the alarm a network has room for two.
func (s *Service) meter(c scope, flood bool) meter {
	times := s.options.Address.Times
	if flood {
		times = min(2, times)
	}
	return meter{s.options.Address.Per / time.Duration(times*c.share), s.options.Address.Per, owed}
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
			s.log.Warn("more sign-ins fail than rate_limit.global allows: until it is over, an address may fail twice only", "limit", s.options.Global.Times, "per", s.options.Global.Per)
		}
	}
	for _, c := range t.scopes {
		if _, err := s.store.PushMark(ctx, c.name, s.meter(c, t.flood).push(now)); err != nil {
			return began, err
		}
	}
	return began, nil
}
