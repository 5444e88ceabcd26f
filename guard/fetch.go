package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fetcher asks an issuer.
type fetcher struct {
	issuer    string
	discovery []string // where the issuer's metadata may be, the first first
	client    *http.Client
}

// newFetcher returns a fetcher that keeps so many connections open for the next
// request.
func newFetcher(issuer string, s *settings, kept int) fetcher {
	f := fetcher{issuer: issuer, client: polite(s.client, kept)}
	if s.discoveryURL != "" {
		f.discovery = []string{s.discoveryURL}
	} else {
		f.discovery = discoveryURLs(issuer)
	}
	return f
}

// polite returns a client that goes where it is told and no further.
func polite(c *http.Client, kept int) *http.Client {
	p := http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		MaxResponseHeaderBytes: maxDocument,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      kept == 0,
		MaxIdleConnsPerHost:    kept,
		IdleConnTimeout:        time.Minute,
	}}
	if c != nil {
		p.Transport = c.Transport
	}
	p.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &p
}

// discoveryURLs returns where an issuer's metadata may be: RFC 8414,
// Section 3.1, and OpenID Connect Discovery 1.0, Section 4.
func discoveryURLs(issuer string) []string {
	return []string{
		wellKnown(issuer, "oauth-authorization-server"),
		strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration",
	}
}

// discover reads the issuer's metadata and returns the URL in a member of it.
func (f *fetcher) discover(ctx context.Context, member string) (string, error) {
	var d document
	var err error
	for _, url := range f.discovery {
		if d, err = f.get(ctx, url); !errors.As(err, new(statusError)) {
			break
		}
	}
	if err != nil {
		return "", err
	}
	var issuer, place string
	err = readObject(d.text, func(s *scanner, name string) {
		switch name {
		case "issuer":
			issuer = s.str()
		case member:
			place = s.str()
		default:
			s.skip()
		}
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.url, err)
	}
	// "… MUST be identical to the authorization server's issuer identifier value
	// … If these values are not identical, the data contained in the response
	// MUST NOT be used." (RFC 8414, Section 3.3)
	if issuer != f.issuer {
		return "", fmt.Errorf("%s: is of the issuer %.200q", d.url, issuer)
	}
	if err := checkURL(place); err != nil {
		return "", fmt.Errorf("%s: its %s %.200q %w", d.url, member, place, err)
	}
	// Loopback may do without TLS for an issuer that does, not for others: an
	// issuer elsewhere has no business here.
	if strings.HasPrefix(f.issuer, "https:") && !strings.HasPrefix(place, "https:") {
		return "", fmt.Errorf("%s: its %s %.200q %w", d.url, member, place, errPlainHTTP)
	}
	return place, nil
}

// document is what an issuer published.
type document struct {
	url, text string
	fresh     time.Duration
}

// statusError is an answer that is not 200.
type statusError struct {
	url    string
	status int
	after  time.Duration // what Retry-After says, in seconds; 0 if it says nothing
}

func (e statusError) Error() string { return fmt.Sprintf("%s: status %d", e.url, e.status) }

// get fetches a document.
func (f *fetcher) get(ctx context.Context, url string) (document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return document{}, err
	}
	return f.do(req)
}

// do sends a request for a document of at most maxDocument bytes, as they come over
// the wire: nothing is unpacked, since a small bomb makes a large document.
func (f *fetcher) do(req *http.Request) (document, error) {
	url := req.URL.String()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := f.client.Do(req)
	if err != nil {
		return document{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		after, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
		return document{}, statusError{url, resp.StatusCode, time.Duration(after) * time.Second}
	}
	if e := resp.Header.Get("Content-Encoding"); resp.Uncompressed || e != "" && e != "identity" {
		return document{}, fmt.Errorf("%s: is compressed", url)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return document{}, fmt.Errorf("%s: %w", url, err)
	}
	if len(body) > maxDocument {
		return document{}, fmt.Errorf("%s: over %d bytes", url, maxDocument)
	}
	return document{url, string(body), freshness(resp.Header)}, nil
}

// freshness returns for how long an answer need not be fetched again, within
// our own bounds (RFC 9111, Section 5.2.2).
func freshness(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err == nil {
				return min(max(time.Duration(seconds)*time.Second, minFresh), maxFresh)
			}
		}
	}
	return anyFresh
}
