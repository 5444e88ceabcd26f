package audit

import (
	"context"
	"sync"
	"time"
)

// Count is how often one credential did one thing in one minute. Reads are
// kept like this, in batches: an event for each would make every read a write.
type Count struct {
	Minute     time.Time
	Credential string // like "family:01h…"
	Action     string // the route, like "GET /users/me"
	Outcome    Outcome
	Times      int64
}

// Counter gathers counts in memory until they are flushed.
type Counter struct {
	mu     sync.Mutex
	counts map[Count]int64 // Times is 0 in the key
}

// most is how many different counts wait in memory; past it the credential is
// dropped from the count, not the count from the log.
const most = 50_000

// NewCounter returns an empty counter.
func NewCounter() *Counter { return &Counter{counts: map[Count]int64{}} }

// Add counts one read.
func (c *Counter) Add(at time.Time, credential, action string, o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(Count{Minute: at.Truncate(time.Minute), Credential: credential, Action: action, Outcome: o}, 1)
}

func (c *Counter) add(key Count, times int64) {
	if _, ok := c.counts[key]; !ok && len(c.counts) >= most {
		key.Credential = ""
	}
	c.counts[key] += times
}

// Flush hands what was gathered to keep, and gathers it again if keep fails.
func (c *Counter) Flush(ctx context.Context, keep func(context.Context, []Count) error) error {
	c.mu.Lock()
	gathered := c.counts
	c.counts = map[Count]int64{}
	c.mu.Unlock()
	if len(gathered) == 0 {
		return nil
	}
	list := make([]Count, 0, len(gathered))
	for key, times := range gathered {
		key.Times = times
		list = append(list, key)
	}
	err := keep(ctx, list)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		for key, times := range gathered {
			c.add(key, times)
		}
	}
	return err
}
