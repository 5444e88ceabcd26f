// Package fetch is the one way in which the server asks for what others name: the keys
// of a client, the address that a client is told of a sign-out at.
//
// Whoever names a URL must not get the server to speak to what stands beside it. So
// where a connection goes is judged once its address is known, when it is dialled: a
// name that means another address the next time does not help. The exceptions are the
// operator's. Nothing is followed, kept or proved on the way: no redirect, no cookie, no
// proxy, no credential.
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

const (
	patience    = 5 * time.Second // for all of a request
	grain       = time.Second     // to which the time of a failure is rounded up
	mostHeaders = 64 << 10
)

// Exception is a place that may be asked although the rules forbid it: a host, with a
// port or any, or a network.
type Exception struct {
	Host    string // as in a URL, lower case, IPv6 without brackets; empty for a network
	Port    uint16 // 0 for any
	Network netip.Prefix
}

// Options are an operator's choices.
type Options struct {
	Allow []Exception
	CA    []byte // authorities besides the system's, in PEM
	Log   *slog.Logger
}

// Client asks. It is safe for concurrent use.
type Client struct {
	rules
	http  *http.Client
	log   *slog.Logger
	grain time.Duration // see settle
}

// ErrUnavailable is all that is told of a request that failed. Why, the log alone knows:
// it would say what there is in the network around the server.
var ErrUnavailable = errors.New("it cannot be fetched")

// ErrRefused is in the error of a Post that was answered with 400: who was asked has
// understood, and will say the same again.
var ErrRefused = errors.New("it is refused")

// New returns a client. The error says that the authorities cannot be read.
func New(o Options) (*Client, error) {
	roots, err := authorities(o.CA)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{rules: rules{allow: o.Allow}, log: o.Log, grain: grain}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            c.dial,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true, // each connection is judged anew, and the next request is minutes away
			DisableCompression:     true, // a small bomb makes a large document
			MaxResponseHeaderBytes: mostHeaders,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// authorities returns the system's and those in more; nil for the system's alone.
func authorities(more []byte) (*x509.CertPool, error) {
	if len(more) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(more) {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return pool, nil
}

// Get returns what stands at a URL, up to most bytes. Any other answer than 200 is an
// error, which wraps ErrUnavailable.
func (c *Client) Get(ctx context.Context, place, accept string, most int) ([]byte, error) {
	return c.do(ctx, ask{method: http.MethodGet, place: place, header: http.Header{"Accept": {accept}}, most: most})
}

// Post hands something to a URL. Any answer that is not in the range of 200 is an error,
// which wraps ErrUnavailable, and ErrRefused for 400; what it holds is not read.
func (c *Client) Post(ctx context.Context, place, mediaType string, body []byte) error {
	_, err := c.do(ctx, ask{method: http.MethodPost, place: place, body: body, header: http.Header{"Content-Type": {mediaType}}})
	return err
}

// mostSaid is how much is read of why something is refused.
const mostSaid = 4 << 10

// Push hands a security event to a URL, with what its receiver wants to see in the header
// Authorization; zero for nothing (RFC 8935, Section 2). Any other answer than 202 is an
// error, which wraps ErrUnavailable, and ErrRefused for 400: then there is what it said, up
// to 4 KiB.
func (c *Client) Push(ctx context.Context, place, mediaType string, body []byte, authorization secret.Text) ([]byte, error) {
	header := http.Header{"Content-Type": {mediaType}, "Accept": {"application/json"}}
	if !authorization.IsZero() {
		header["Authorization"] = []string{authorization.Reveal()}
	}
	return c.do(ctx, ask{method: http.MethodPost, place: place, body: body, header: header, most: mostSaid, push: true})
}

// ask is a request.
type ask struct {
	method, place string
	body          []byte
	header        http.Header
	most          int // bytes of the answer
	push          bool
}

func (c *Client) do(ctx context.Context, a ask) ([]byte, error) {
	place, method := a.place, a.method
	if err := c.Check(place); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	grains := time.NewTicker(c.grain)
	defer grains.Stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := c.send(ctx, a)
	if err == nil {
		return answer, nil
	}
	c.log.WarnContext(ctx, "what another names cannot be fetched", "method", method, "host", hostOf(place), "error", err)
	settle(ctx, grains)
	if errors.Is(err, ErrRefused) {
		return answer, fmt.Errorf("%w: %w", ErrUnavailable, ErrRefused)
	}
	return nil, ErrUnavailable
}

func (c *Client) send(ctx context.Context, a ask) ([]byte, error) {
	method, most := a.method, a.most
	r, err := http.NewRequestWithContext(ctx, method, a.place, bytes.NewReader(a.body))
	if err != nil {
		return nil, err
	}
	r.Header = a.header
	r.Header.Set("User-Agent", "doorward")
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch {
	case a.push && res.StatusCode == http.StatusAccepted:
		return nil, nil
	case a.push && res.StatusCode == http.StatusBadRequest:
		said, _ := io.ReadAll(io.LimitReader(res.Body, int64(most))) // what is missing of it is no reason to try again
		return said, ErrRefused
	case a.push:
		return nil, fmt.Errorf("status %d", res.StatusCode)
	case method == http.MethodPost && res.StatusCode/100 == 2:
		return nil, nil
	case method == http.MethodPost && res.StatusCode == http.StatusBadRequest:
		return nil, ErrRefused
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", res.StatusCode)
	case res.Header.Get("Content-Encoding") != "" && !strings.EqualFold(res.Header.Get("Content-Encoding"), "identity"):
		return nil, errors.New("it is compressed")
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, int64(most)+1))
	switch {
	case err != nil:
	case len(answer) > most:
		err = fmt.Errorf("it is over %d bytes", most)
	default:
		// Whoever is hung up on because the time is up may end his answer properly, and it be
		// read before the connection is closed: it is cut off all the same.
		err = ctx.Err()
	}
	return answer, err
}

// settle waits until a whole number of grains has passed since a request began: how long
// a failure took would tell a closed port from one where something listens.
func settle(ctx context.Context, grains *time.Ticker) {
	select { // one that has passed
	case <-grains.C:
	default:
	}
	select {
	case <-ctx.Done():
	case <-grains.C:
	}
}

// hostOf returns what the log may say of a URL: its path may be a secret.
func hostOf(place string) string {
	u, err := url.Parse(place)
	if err != nil {
		return ""
	}
	return u.Host
}
