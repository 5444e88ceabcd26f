package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// conn is one kept connection.
type conn struct {
	addr    string
	tls     *tls.Config
	net     net.Conn
	in      *bufio.Reader
	body    []byte
	closing bool // the server closes it after the answer
}

func dial(ctx context.Context, addr string, t *tls.Config) (*conn, error) {
	c := &conn{addr: addr, tls: t, in: bufio.NewReaderSize(nil, 16<<10), body: make([]byte, 0, 16<<10)}
	return c, c.open(ctx)
}

func (c *conn) open(ctx context.Context) error {
	d := net.Dialer{Timeout: 5 * time.Second}
	dial := d.DialContext
	if c.tls != nil {
		dial = (&tls.Dialer{NetDialer: &d, Config: c.tls}).DialContext
	}
	opened, err := dial(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.net, c.closing = opened, false
	c.in.Reset(opened)
	return nil
}

// reopen opens anew what the server closes, if the options want that.
func (c *conn) reopen(ctx context.Context, o Options) error {
	if !o.Reopen {
		return errClosing
	}
	c.close()
	return c.open(ctx)
}

func (c *conn) close() { c.net.Close() }

func (c *conn) until(t time.Time) error { return c.net.SetDeadline(t) }

// exchange sends a client's next request and reads the answer to its end. The body
// is good until the next exchange.
func (c *conn) exchange(client Client) (status int, body []byte, err error) {
	if _, err := c.net.Write(client.Request()); err != nil {
		return 0, nil, err
	}
	return c.answer(client.Header)
}

var (
	errNotHTTP = errors.New("the answer is not HTTP/1.1")
	errClosing = errors.New("the server closes the connection")
	errNoEnd   = errors.New("the answer does not say where it ends")
)

// answer reads what these servers send: HTTP/1.1, with a length or in chunks
// (RFC 9112, Sections 6 and 7.1), and never an answer without a body but 204
// and 304.
func (c *conn) answer(header func(name, value []byte)) (status int, body []byte, err error) {
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || len(line) < len("HTTP/1.1 200") {
		return 0, nil, errNotHTTP
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, errNotHTTP
	}
	length, chunked := -1, false
	for {
		if line, err = c.line(); err != nil {
			return 0, nil, err
		}
		if len(line) == 0 {
			break
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, " \t")
		switch {
		case !found:
			return 0, nil, errNotHTTP
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > longest {
				return 0, nil, errNotHTTP
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			c.closing = bytes.EqualFold(value, []byte("close"))
		}
		if header != nil {
			header(name, value)
		}
	}
	c.body = c.body[:0]
	switch {
	case chunked:
		err = c.chunks()
	case length >= 0:
		err = c.take(length)
	case status != 204 && status != 304:
		err = errNoEnd
	}
	return status, c.body, err
}

// longest is how long an answer may be.
const longest = 16 << 20

// line reads a line without its end.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// take reads n bytes of the body.
func (c *conn) take(n int) error {
	end := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, c.body[end:])
	return err
}

func (c *conn) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 24)
		if err != nil {
			return errNotHTTP
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if line, err = c.line(); err != nil || len(line) > 0 {
			return errors.Join(errNotHTTP, err)
		}
		if n == 0 {
			return nil
		}
	}
}
