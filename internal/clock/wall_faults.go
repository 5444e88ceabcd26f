//go:build faults

package clock

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Wall is the machine's clock, shifted by the duration that the file named in
// FAULT_CLOCK holds ("-1h", "90s"). The file is read again every 10 ms, so that
// a black-box test can step the time of a running server. This code exists in
// binaries built with the tag "faults" alone.
func Wall() Clock {
	var offset atomic.Int64
	path := os.Getenv("FAULT_CLOCK")
	read := func() {
		text, err := os.ReadFile(path)
		if err != nil {
			return
		}
		if d, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
			offset.Store(int64(d))
		}
	}
	if path != "" {
		read()
		go func() {
			for range time.Tick(10 * time.Millisecond) {
				read()
			}
		}()
	}
	return Func(func() time.Time { return time.Now().Add(time.Duration(offset.Load())) })
}
