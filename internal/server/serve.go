package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/principal"
)

// drain is how long requests that were begun may take once the server is told
// to stop.
const drain = 30 * time.Second

// Listen opens the listeners of the configured address.
func (s *Server) Listen() ([]net.Listener, error) {
	listeners, err := Listen(s.Config.Listen)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Config.Place("listen"), err)
	}
	return listeners, nil
}

// Listen opens the listeners of an address. For whoever types "localhost" the
// loopback addresses of IPv4 and IPv6 are one place: the port is taken on both,
// where the machine has both, or on none.
func Listen(a config.Address) ([]net.Listener, error) {
	if a.Host != "localhost" {
		l, err := net.Listen("tcp", a.String())
		return []net.Listener{l}, err
	}
	const tries = 10 // a port that is free on one address may be taken on the other
	for try := 1; ; try++ {
		listeners, err := listenLoopback(a.Port)
		if err == nil || a.Port != 0 || try == tries {
			return listeners, err
		}
	}
}

func listenLoopback(port uint16) (listeners []net.Listener, err error) {
	var absent error
	at := strconv.Itoa(int(port))
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, at))
		switch {
		case err == nil:
			listeners = append(listeners, l)
			_, at, _ = net.SplitHostPort(l.Addr().String())
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			absent = err
		default:
			for _, l := range listeners {
				l.Close()
			}
			return nil, err
		}
	}
	if len(listeners) == 0 {
		return nil, absent
	}
	return listeners, nil
}

// Run serves until ctx ends; then it lets what was begun end, and returns.
func (s *Server) Run(ctx context.Context, listeners []net.Listener) error {
	h := &http.Server{
		Handler: s, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		// WriteTimeout ends a stream of HTTP/2. Of a connection whose client reads
		// nothing at all it frees nothing: that is for WriteByteTimeout.
		MaxHeaderBytes: 16 << 10, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100, WriteByteTimeout: 30 * time.Second},
		ConnState:                    s.connections.note,
		DisableGeneralOptionsHandler: true, // it would answer OPTIONS * beside the site map
	}
	var err error
	if h.TLSConfig, err = s.transport(); err != nil {
		return err
	}
	for i := range listeners {
		listeners[i] = &accepting{Listener: listeners[i], log: s.Log}
		if h.TLSConfig != nil {
			listeners[i] = tls.NewListener(listeners[i], h.TLSConfig)
		}
	}
	if err := s.Store.KeepChanges(ctx, s.Config.Tokens.AccessTTL+2*Leeway); err != nil {
		return err
	}
	by := principal.Principal{Kind: principal.System, ID: "serve"}
	if err := s.Store.Record(ctx, audit.Now(by, s.Clock.Now(), audit.ServerStarted, "server")); err != nil {
		return err
	}
	ships, err := s.sinks()
	if err != nil {
		return err
	}
	s.Hasher.GiveWay()
	defer collectLess()()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var jobs sync.WaitGroup
	tree := newSequencer(s.Core)
	for _, run := range append(s.background(), tree.run, ships.Run) {
		jobs.Go(func() { run(background) })
	}

	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- h.Serve(l) }()
	}
	if s.first != nil {
		go s.first() // not waited for at the end: an authority may take minutes
	}
	select {
	case <-ctx.Done():
		s.draining.Store(true)
		s.Voids.Close() // who follows would be waited for
		s.Transmitter.Close()
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		err = h.Shutdown(within)
		cancel()
	case err = <-failed:
	}
	stop()
	jobs.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, s.counter.Flush(last, s.Store.AddCounts), s.APIKeys.Flush(last), s.Access.Log.Flush(last, s.Store.KeepDecisions),
		s.Store.Record(last, audit.Now(by, s.Clock.Now(), audit.ServerStopped, "server")), tree.finish(last))
	ships.Finish(last)
	return err
}

// background is what runs beside requests.
func (s *Server) background() []func(context.Context) {
	runs := []func(context.Context){s.Feed.Run, s.keepHouse, s.purge, s.Outbox.Run, s.Logouts.Run, s.Marker.Run}
	if s.Config.SharedSignals.Enabled {
		runs = append(runs, s.Signals.Run)
	}
	return runs
}

// keepHouse writes what was counted and decided, until ctx ends.
func (s *Server) keepHouse(ctx context.Context) {
	decided, count := time.NewTicker(time.Second), time.NewTicker(10*time.Second)
	defer decided.Stop()
	defer count.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-decided.C:
			err = s.Access.Log.Flush(ctx, s.Store.KeepDecisions)
		case <-count.C:
			s.connections.giveBack()
			err = errors.Join(s.counter.Flush(ctx, s.Store.AddCounts), s.APIKeys.Flush(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error("keeping house", "error", err)
		}
	}
}

// purge deletes what has had its time, in small batches, until ctx ends. It may take
// minutes, and what keepHouse does would wait for it.
func (s *Server) purge(ctx context.Context) {
	each := time.NewTicker(time.Minute)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
		if n := s.Access.Log.Dropped(); n > 0 {
			s.Log.Warn("decisions were made that cannot be looked up: there were too many", "decisions", n)
		}
		err := s.Keys.Retry(ctx)
		for more := true; more && err == nil; {
			more, err = s.Store.Purge(ctx)
		}
		err = errors.Join(err, s.purgeUnused(ctx), s.tendLog(ctx))
		if err != nil && ctx.Err() == nil {
			s.Log.Error("purging", "error", err)
		}
	}
}
