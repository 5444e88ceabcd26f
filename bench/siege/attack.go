package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// dial opens a connection from one of many addresses of this machine, so that its
// ports last.
func (s *site) dial(ctx context.Context, nth int, protocol string) (*tls.Conn, error) {
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+nth%16))}, Timeout: 30 * time.Second},
		Config:    &tls.Config{RootCAs: s.pool, MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}},
	}
	c, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	return c.(*tls.Conn), nil
}

// idle opens n connections that come, ask once and then say nothing: every second
// one speaks HTTP/2.
func (s *site) idle(ctx context.Context, n int) ([]*tls.Conn, error) {
	conns := make([]*tls.Conn, n)
	errs := make(chan error, n)
	turns := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range turns {
				var err error
				if conns[i], err = s.oneIdle(ctx, i); err != nil {
					errs <- fmt.Errorf("the idle connection %d: %w", i, err)
				}
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	workers.Wait()
	close(errs)
	return conns, <-errs
}

func (s *site) oneIdle(ctx context.Context, nth int) (*tls.Conn, error) {
	protocol, ask := "http/1.1", "GET /healthz HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"
	if nth%2 == 1 {
		// The preface and empty SETTINGS (RFC 9113, Section 3.4).
		protocol, ask = "h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	}
	c, err := s.dial(ctx, nth, protocol)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(30 * time.Second)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	_ = c.SetDeadline(deadline)
	if _, err := io.WriteString(c, ask); err != nil {
		return nil, err
	}
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}

// some opens as many of n idle connections as it can until ctx ends.
func (s *site) some(ctx context.Context, n int) (conns []*tls.Conn) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if c, err := s.oneIdle(ctx, i); err == nil {
				mu.Lock()
				defer mu.Unlock()
				conns = append(conns, c)
			}
		})
	}
	all.Wait()
	return conns
}

// open returns how many connections the server holds open.
func open(conns []*tls.Conn) (n int) {
	var left atomic.Int64
	var asked sync.WaitGroup
	for _, c := range conns {
		asked.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			for {
				_, err := c.Read(make([]byte, 4096))
				if errors.Is(err, os.ErrDeadlineExceeded) {
					left.Add(1)
				}
				if err != nil {
					return
				}
			}
		})
	}
	asked.Wait()
	return int(left.Load())
}

// slow is what a slowloris came to.
type slow struct {
	opened, closed atomic.Int64 // by the server
	longest        atomic.Int64 // nanoseconds until it closed one
	failed         atomic.Int64 // handshakes that did not come about
}

// slowloris keeps n connections busy until ctx ends: a third sends its headers byte
// by byte, a third its body, and a third begins a handshake and no more. One that
// the server closes is opened anew.
func (s *site) slowloris(ctx context.Context, n int, pause time.Duration) *slow {
	r := &slow{}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if !rest(ctx, time.Duration(i)*time.Second/400) { // not all at once
				return
			}
			for ctx.Err() == nil {
				s.drip(ctx, r, i, pause)
				if !rest(ctx, 200*time.Millisecond) {
					return
				}
			}
		})
	}
	all.Wait()
	return r
}

func (s *site) drip(ctx context.Context, r *slow, nth int, pause time.Duration) {
	var c net.Conn
	var err error
	text := "GET /healthz HTTP/1.1\r\nHost: " + s.address + "\r\nX-Slow: "
	switch nth % 3 {
	case 1:
		text = "POST /auth/login HTTP/1.1\r\nHost: " + s.address + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000\r\n\r\n"
		c, err = s.dial(ctx, nth, "http/1.1")
	case 2:
		text = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" // the beginning of a ClientHello
		c, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+nth%16))}}).DialContext(ctx, "tcp", s.address)
	default:
		c, err = s.dial(ctx, nth, "http/1.1")
	}
	if err != nil {
		if ctx.Err() == nil {
			r.failed.Add(1)
		}
		return
	}
	defer c.Close()
	began := time.Now()
	r.opened.Add(1)
	ended := make(chan struct{})
	go func() { // reads until the server has had enough
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	}()
	if _, err := io.WriteString(c, text); err != nil {
		return
	}
	for ctx.Err() == nil {
		select {
		case <-ended:
			r.closed.Add(1)
			r.longest.Store(max(r.longest.Load(), int64(time.Since(began))))
			return
		case <-ctx.Done():
			return
		case <-time.After(pause):
			_, _ = io.WriteString(c, "a") // whether it is closed is told by the reading
		}
	}
}

func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
