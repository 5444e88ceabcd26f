package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/principal"
)

// Site stands around everything that a server answers.
type Site struct {
	Cookies Cookies
	Hosts   []string // the Host headers that are ours: lower case, without ports, IPv6 in brackets
	Proxies Proxies
	Log     *slog.Logger
	// NeedsHTTPS refuses requests that came over plain HTTP, but for the health
	// checks. Who only wants to see one of Pages is told to come to URL, where the
	// site is; nothing else is redirected, so that a client that sends credentials
	// in the clear fails and is mended.
	NeedsHTTPS bool
	Pages      func(path string) bool // may be nil
	URL        string                 // scheme and host
	// HSTS tells browsers to come by HTTPS alone, for two years (RFC 6797). It is
	// not for a loopback host, whose other ports are other people's.
	HSTS  bool
	Theme Theme
	Fail  Fail // for what no route answers
}

// Around returns a handler that gives each request its id, refuses what is not
// meant for this site, contains panics and writes the log line.
func (s Site) Around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := &Request{Theme: s.Theme, began: time.Now()} //nolint:forbidigo // a duration of this process
		client := s.Proxies.Client(r)
		known.By = principal.Principal{Kind: principal.Anonymous, Origin: principal.Origin{
			RequestID: rand.Text(), Address: text(client), Network: network(client), UserAgent: strings.ToValidUTF8(bounded(r.UserAgent(), 256), ""),
			Device: s.device(r),
		}}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, known))
		a := &answer{ResponseWriter: w}
		s.headers(a.Header(), r, known.By.Origin.RequestID)
		defer s.line(r, a, known)
		defer s.contain(r, a, known)
		if s.strays(r) {
			a.Header().Set("Location", s.URL+r.URL.RequestURI())
			a.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		if refused := s.refuse(r); refused != nil {
			known.Cause = refused
			s.Fail(a, r, refused)
			return
		}
		next.ServeHTTP(a, r)
	})
}

// device returns what the device cookie of a request holds.
func (s Site) device(r *http.Request) string {
	if len(r.Header["Cookie"]) == 0 { // as most that come with a token
		return ""
	}
	value, _ := s.Cookies.Get(r, DeviceCookie)
	return bounded(value.Reveal(), 512)
}

// headers are on every answer; a route may change them.
func (s Site) headers(h http.Header, r *http.Request, id string) {
	h["X-Request-Id"] = []string{id}
	h["X-Content-Type-Options"] = nosniff
	h["Cache-Control"] = noStore
	h["Referrer-Policy"] = noReferrer
	h["X-Frame-Options"] = deny
	h["Content-Security-Policy"] = nothing
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	if s.HSTS && s.Proxies.Secure(r) { // by plain HTTP it MUST NOT be sent (RFC 6797, Section 7.2)
		h["Strict-Transport-Security"] = twoYears
	}
	if len(r.TransferEncoding) > 0 {
		// If a length came beside the encoding, a proxy may have believed that. So
		// what follows on the connection is not read (RFC 9112, Section 6.1).
		h["Connection"] = closing
	}
}

var (
	nosniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	noReferrer = []string{"no-referrer"}
	deny       = []string{"DENY"}
	nothing    = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}
	sameOrigin = []string{"same-origin"}
	twoYears   = []string{"max-age=63072000; includeSubDomains"}
	closing    = []string{"close"}
)

// strays reports whether a request is a browser's that came for a page by plain
// HTTP.
func (s Site) strays(r *http.Request) bool {
	return s.NeedsHTTPS && s.Pages != nil && !s.Proxies.Secure(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		s.ours(r.Host) && canonical(r) && !bearsCredential(r) && s.Pages(r.URL.Path)
}

func bearsCredential(r *http.Request) bool {
	return Beside(r) || len(r.Header["Cookie"]) > 0
}

// refuse says why a request is not for any route of this site.
func (s Site) refuse(r *http.Request) *Refused {
	health := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
	switch {
	case !s.ours(r.Host) && !health:
		return &Refused{Status: http.StatusMisdirectedRequest, Message: "this server does not answer to that host"}
	case s.NeedsHTTPS && !health && !s.Proxies.Secure(r):
		if bearsCredential(r) || r.Method == http.MethodPost {
			Note(r.Context(), slog.Bool("sent_in_the_clear", true)) // whoever runs the client is to change what it sent
		}
		return &Refused{Status: http.StatusForbidden, Message: "this server is reached by https alone"}
	case crowded(r):
		return &Refused{Status: http.StatusBadRequest, Message: "the request brings too many cookies"}
	case !canonical(r):
		return &Refused{Status: http.StatusNotFound, Message: "there is nothing here"}
	}
	return nil
}

// mostCookies is more than any browser brings that nobody works upon.
const mostCookies = 100

func crowded(r *http.Request) bool {
	n := 0
	for _, line := range r.Header["Cookie"] {
		n += 1 + strings.Count(line, ";")
	}
	return n > mostCookies
}

// ours reports whether a Host header names a host of this site, with any port or
// none: a proxy may listen on another one (RFC 9110, Section 7.2).
func (s Site) ours(host string) bool {
	name, port := host, "0"
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil && slices.Contains(s.Hosts, strings.ToLower(name))
}

func canonical(r *http.Request) bool { return Canonical(r.URL.EscapedPath()) }

// Canonical reports whether a path is written in the one way that routes are:
// nothing is cleaned, decoded or redirected, so that what was checked is what is
// served.
func Canonical(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, `%\;`) && !strings.Contains(path, "//") &&
		!strings.Contains(path+"/", "/./") && !strings.Contains(path+"/", "/../") && len(path) <= 512
}

// contain answers for a handler that panicked. The stack goes to the log. Where a
// part of the answer is written, the connection ends, so that nobody takes the
// part for the whole.
func (s Site) contain(r *http.Request, a *answer, known *Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // it is a panic's value
		panic(p)
	}
	known.Cause, known.panicked = fmt.Errorf("panic: %v", p), true
	known.notes = append(known.notes, slog.String("stack", string(debug.Stack())))
	if a.status != 0 {
		panic(http.ErrAbortHandler)
	}
	clear(a.Header())
	s.headers(a.Header(), r, known.By.Origin.RequestID)
	s.Fail(a, r, known.Cause)
}

// causes returns what an error says, and what those say that led to it: a fault
// tells its caller less than the log.
func causes(err error) string {
	text := err.Error()
	for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
		if inner := err.Error(); !strings.Contains(text, inner) {
			text += ": " + inner
		}
	}
	return text
}

// line writes the one log line of a request. Neither the query nor a body is in
// it; the path is, only where no route has it, and without what is long in it.
func (s Site) line(r *http.Request, a *answer, known *Request) {
	level := slog.LevelInfo
	// What failed because whoever asked has left is no failure of ours: strangers do
	// not make errors for an operator to be called about.
	left := errors.Is(r.Context().Err(), context.Canceled) && errors.Is(known.Cause, context.Canceled)
	if a.status >= 500 && !left || known.panicked {
		level = slog.LevelError
	}
	if !s.Log.Enabled(r.Context(), level) {
		return
	}
	now := time.Now() //nolint:forbidigo // for the line alone
	var most [16]slog.Attr
	attrs := append(most[:0],
		slog.String("id", known.By.Origin.RequestID), slog.String("method", bounded(r.Method, 16)), slog.String("route", known.Route),
		slog.Int("status", a.status), slog.Int64("us", now.Sub(known.began).Microseconds()), slog.String("address", known.By.Origin.Address),
	)
	if known.Route == "" {
		attrs = append(attrs, slog.String("path", shown(r.URL.Path)))
	}
	if known.By.ID != "" {
		attrs = append(attrs, slog.String("by", known.By.String()))
	}
	if left {
		attrs = append(attrs, slog.Bool("left", true))
	}
	if known.Cause != nil {
		attrs = append(attrs, slog.String("cause", bounded(causes(known.Cause), 1024)))
	}
	// Past the Logger, which would look up who called it: that is always this line.
	line := slog.NewRecord(now, level, "request", 0)
	line.AddAttrs(append(attrs, known.notes...)...)
	_ = s.Log.Handler().Handle(r.Context(), line) // there is nowhere to tell that it cannot be written
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// shown returns a path for the log. A segment longer than any of ours may be a
// token that somebody put there.
func shown(path string) string {
	segments := strings.Split(bounded(path, 512), "/")
	for i, s := range segments {
		if len(s) > 40 {
			segments[i] = "…"
		}
	}
	return bounded(strings.Join(segments, "/"), 128)
}

func bounded(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// answer remembers the status that was written.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
