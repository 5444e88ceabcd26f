//go:build !faults

package clock

import "time"

// Wall is the machine's clock.
func Wall() Clock { return Func(time.Now) }
