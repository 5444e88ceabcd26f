package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

const (
	syslogWait = 5 * time.Second
	// auditFacility is "log audit" (RFC 5424, Section 6.2.1).
	auditFacility = 13
	// largestDatagram is what one datagram may hold; a longer event is named alone.
	largestDatagram = 60_000
)

// syslog sends a message for each line (RFC 5424), framed by octet counting on
// a stream (RFC 6587, Section 3.4.1; over TLS RFC 5425), or one in a datagram
// (RFC 5426). No receiver of syslog says that it has a message: those that were
// on their way when a connection broke may be lost.
type syslog struct {
	network, address string
	host             string
	tls              *tls.Config
	conn             net.Conn
	stream           bool
}

func newSyslog(network, address string) *syslog {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return &syslog{network: network, address: address, host: word(host, 255), tls: &tls.Config{MinVersion: tls.VersionTLS12}}
}

func (s *syslog) deliver(ctx context.Context, lines []Line) error {
	if s.conn == nil || s.gone() {
		if err := s.dial(ctx); err != nil {
			return err
		}
	}
	until := time.Now().Add(syslogWait) //nolint:forbidigo // a deadline of this process
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	err := s.conn.SetWriteDeadline(until)
	var b bytes.Buffer
	for _, l := range lines {
		m := s.message(l)
		if s.stream {
			b.WriteString(strconv.Itoa(len(m)) + " ")
			b.Write(m)
		} else if err == nil {
			_, err = s.conn.Write(m)
		}
	}
	if s.stream && err == nil {
		_, err = s.conn.Write(b.Bytes())
	}
	if err != nil {
		_ = s.close()
	}
	return err
}

func (s *syslog) dial(ctx context.Context) error {
	_ = s.close()
	ctx, cancel := context.WithTimeout(ctx, syslogWait)
	defer cancel()
	var d net.Dialer
	var err error
	s.stream = true
	switch s.network {
	case "tls":
		s.conn, err = (&tls.Dialer{NetDialer: &d, Config: s.tls}).DialContext(ctx, "tcp", s.address)
	case "tcp":
		s.conn, err = d.DialContext(ctx, "tcp", s.address)
	case "udp":
		s.stream = false
		s.conn, err = d.DialContext(ctx, "udp", s.address)
	case "unix":
		// Most have a datagram socket there.
		s.stream = false
		if s.conn, err = d.DialContext(ctx, "unixgram", s.address); err != nil {
			s.stream = true
			s.conn, err = d.DialContext(ctx, "unix", s.address)
		}
	default:
		err = errors.New("there is no such network: " + s.network)
	}
	if err != nil {
		s.conn = nil // not a typed nil
	}
	return err
}

// gone reports whether the other side closed a stream: a write would still
// succeed, and be lost. Receivers send nothing, so that reading tells.
func (s *syslog) gone() bool {
	if !s.stream {
		return false
	}
	if s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil { //nolint:forbidigo // a deadline of this process
		return true
	}
	_, err := s.conn.Read(make([]byte, 1))
	timeout, ok := errors.AsType[net.Error](err)
	return err != nil && (!ok || !timeout.Timeout())
}

// message writes a line as a message of syslog.
func (s *syslog) message(l Line) []byte {
	severity := 6 // informational
	if l.Failed {
		severity = 4 // warning
	}
	at := "-"
	if !l.At.IsZero() {
		at = l.At.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	text := l.Text
	if !s.stream && len(text) > largestDatagram {
		text = fmt.Appendf(nil, `{"leaf":%d,"too_long_for_a_datagram":%d}`, l.Leaf, len(text))
	}
	return fmt.Appendf(nil, "<%d>1 %s %s doorward %d %s - %s", auditFacility*8+severity, at, s.host, os.Getpid(), word(l.Action, 32), text)
}

// word returns text as a field of the header: printable ASCII without spaces.
func word(text string, longest int) string {
	b := []byte(text)
	if len(b) > longest {
		b = b[:longest]
	}
	for i, c := range b {
		if c <= ' ' || c > '~' {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func (s *syslog) close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
