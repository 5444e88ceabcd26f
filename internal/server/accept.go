package server

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// accepting tells, once a minute at most, that no connection can be taken because
// the process has as many files open as it may. The HTTP server tries again by
// itself, ever more slowly up to once a second, and whoever waits is served once
// others have gone.
type accepting struct {
	net.Listener
	log  *slog.Logger
	told time.Time
}

// Accept waits for a connection. One goroutine calls it.
func (a *accepting) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && time.Since(a.told) > time.Minute { //nolint:forbidigo // a duration of this process
		a.told = time.Now() //nolint:forbidigo // as above
		a.log.Error("new connections wait: no more files may be open; raise the limit (ulimit -n, LimitNOFILE)", "error", err)
	}
	return c, err
}
