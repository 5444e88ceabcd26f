package server

import (
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/counter"
	"github.com/doorward/doorward/internal/limit"
)

// openLimits begins to count attempts where the configuration says: in the
// database, or in a server of their own.
func (k *Core) openLimits() error {
	c := k.Config
	var counts limit.Store = k.Store
	if !c.Counters.URL.IsZero() {
		shared, err := counter.Open(c.Counters.URL)
		if err != nil {
			return err
		}
		counts, k.counters = shared, shared
	}
	k.Limits = limit.NewService(counts, k.Clock, k.Log, limit.Options{
		Failures: c.Lockout.Failures, Durations: c.Lockout.Durations, Address: rateOf(c.RateLimit.Login), Global: rateOf(c.RateLimit.Global),
	})
	return nil
}

func rateOf(r config.Rate) limit.Rate { return limit.Rate{Times: r.Count, Per: r.Per} }
