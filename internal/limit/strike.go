package limit

import (
	"context"

	"github.com/doorward/doorward/internal/fault"
)

// Strike counts that somebody did not prove a secret which no person chose: that of
// a client, or an API key. It counts against the network that it came from and
// against everybody's failures, and against nobody's bucket. flood says that the alarm
// over all failures began with this one.
//
// Faults: Limited if too much failed from there already, and then it is not counted
// again; Unavailable when nothing can be counted.
func (s *Service) Strike(ctx context.Context, network string) (flood bool, err error) {
	t := &Try{service: s}
	if network != "" {
		t.scopes = scopesOf(network)
	}
	if err := s.admit(ctx, t); err != nil {
		if fault.KindOf(err) == fault.Limited {
			return false, err
		}
		return false, s.told(ctx, err)
	}
	if flood, err = s.strike(ctx, t); err != nil {
		return flood, s.told(ctx, err)
	}
	return flood, nil
}
