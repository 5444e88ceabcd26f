package load

import (
	"slices"
	"time"
)

// Result is how the answers of a run came.
type Result struct {
	Requests      int           // answered while it was counted
	For           time.Duration // how long that was
	P50, P95, P99 time.Duration
	Errors        int
	First         error // the first of them
}

// Rate is how many requests were answered in a second.
func (r Result) Rate() float64 {
	if r.For == 0 {
		return 0
	}
	return float64(r.Requests) / r.For.Seconds()
}

func summary(took []time.Duration, counted time.Duration, errors int, first error) Result {
	slices.Sort(took)
	return Result{
		Requests: len(took), For: counted, Errors: errors, First: first,
		P50: percentile(took, 50), P95: percentile(took, 95), P99: percentile(took, 99),
	}
}

// percentile returns the smallest value that p percent of the sorted values do
// not pass.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}
