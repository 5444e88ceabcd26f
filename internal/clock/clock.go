// Package clock says what time it is.
//
// Every service holds a Clock and reads it once per operation, so that one
// operation has one time. Times are UTC and whole microseconds, as the
// databases keep them: what was written compares equal to what is read back.
package clock

import "time"

// Clock tells the time.
type Clock interface {
	// Now returns the present in UTC, in whole microseconds.
	Now() time.Time
}

// Leeway is how far clocks may differ (RFC 7519, Section 4.1.4).
const Leeway = 30 * time.Second

// Func lets a function be a Clock, for tests that steer the time.
type Func func() time.Time

// Now returns what f returns, in UTC and whole microseconds.
func (f Func) Now() time.Time { return f().UTC().Truncate(time.Microsecond) }

// Micro returns t as the databases keep it: Unix time in microseconds, with 0
// for the zero time.
func Micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicro is the inverse of Micro.
func FromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
