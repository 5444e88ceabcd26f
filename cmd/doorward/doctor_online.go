package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/server"
)

// clocksApart is by how much clocks may differ before tokens are refused.
const clocksApart = server.Leeway / 2

// nobodys is an address of nobody (RFC 5737), to see whether a proxy passes on what
// a client claims.
const nobodys = "192.0.2.123"

// live is the server as the doctor reaches it: as clients do, by the issuer.
type live struct {
	*examination
	url    string
	client http.Client
}

// server asks the server, through whatever stands before it.
func (e *examination) server(ctx context.Context) {
	l := live{e, e.c.Issuer.String(), http.Client{
		Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	answer, err := l.ask(ctx, http.MethodGet, "/readyz", header{server.DoctorHeader, l.proof})
	if err != nil {
		l.wrong("server", "does it run, does the issuer's name lead to it, and is its certificate good?", "%v", err)
		return
	}
	if answer.status != http.StatusOK {
		l.wrong("server", "look at its log", "%s/readyz answered %d", l.url, answer.status)
	} else {
		l.ok("server", "%s is ready", l.url)
	}
	if answer.tls != nil && !l.c.TLS.Speaks() { // else it is looked at in its file, or in the database
		l.certificate("proxy", answer.tls.PeerCertificates[0], "renew it where the proxy has it")
	}
	l.date(answer)
	served := l.host(ctx)
	if outside := l.origin(ctx, answer.body); outside && served {
		l.scheme(ctx)
	}
	l.cookies(ctx)
}

// heard is an answer that was read.
type heard struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
	tls     *tls.ConnectionState // nil by plain HTTP
}

type header struct{ name, value string }

// ask makes a request. A header without a value is left out.
func (l *live) ask(ctx context.Context, method, path string, headers ...header) (heard, error) {
	r, err := http.NewRequestWithContext(ctx, method, l.url+path, nil)
	if err != nil {
		return heard{}, err
	}
	for _, h := range headers {
		if h.value != "" {
			r.Header.Set(h.name, h.value)
		}
	}
	answer, err := l.client.Do(r)
	if err != nil {
		return heard{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	return heard{answer.StatusCode, answer.Header, answer.Cookies(), body, answer.TLS}, err
}

// date compares the server's clock with this one.
func (l *live) date(answer heard) {
	at, err := http.ParseTime(answer.header.Get("Date"))
	if err != nil {
		l.warn("clock", "", "the server's answer has no date")
		return
	}
	l.apart("the server", at, time.Second) // it is told in whole seconds
}

// apart tells whether another clock differs from this machine's.
func (e *examination) apart(whose string, at time.Time, coarse time.Duration) {
	off := time.Since(at).Round(time.Second).Abs()
	if off > clocksApart+coarse {
		e.wrong("clock", "set both clocks (NTP): tokens are taken with clocks up to "+server.Leeway.String()+" apart", "that of %s and this machine's are %s apart", whose, off)
		return
	}
	e.ok("clock", "that of %s agrees with this machine's", whose)
}

// host looks at whether the Host header arrives as clients send it, and whether the
// server knows that they came by https. It reports whether clients are served.
func (l *live) host(ctx context.Context) bool {
	const about = "proxy"
	answer, err := l.ask(ctx, http.MethodGet, "/.well-known/oauth-authorization-server")
	if err != nil {
		l.wrong(about, "", "%v", err)
		return false
	}
	var said struct{ Issuer string }
	_ = json.Unmarshal(answer.body, &said) // then it names no issuer
	switch {
	case answer.status == http.StatusMisdirectedRequest:
		l.wrong(about, "let the proxy pass on Host as it is (nginx: proxy_set_header Host $host)", "the server is asked for another host than %s", l.c.Issuer.Host)
	case answer.status == http.StatusForbidden && l.c.Issuer.Scheme == "https":
		l.wrong(about, "let the proxy set X-Forwarded-Proto, and name its address in trusted_proxies", "the server does not know that clients come by https, and refuses them")
	case answer.status != http.StatusOK || said.Issuer != l.url:
		l.wrong(about, "is it this server that answers there?", "%s/.well-known/oauth-authorization-server answered %d, for the issuer %q", l.url, answer.status, said.Issuer)
	case l.c.Issuer.Scheme == "https" && !loopbackHost(l.c.Issuer.Hostname()) && answer.header.Get("Strict-Transport-Security") == "":
		l.warn(about, "let the proxy pass on Strict-Transport-Security", "the header that keeps browsers to https does not arrive")
	case answer.header.Get("X-Content-Type-Options") != "nosniff" || answer.header.Get("Content-Security-Policy") == "":
		l.warn(about, "let the proxy pass on the headers of answers", "some of the headers that protect browsers do not arrive")
	}
	return answer.status == http.StatusOK
}

func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// origin looks at where the server believes that requests come from. It reports
// whether the doctor's come from outside, where nobody's word counts.
func (l *live) origin(ctx context.Context, body []byte) bool {
	const about = "proxy"
	if l.proof == "" {
		l.warn(about, "let doctor read the database first", "the server tells where requests come from to the doctor alone, who proves himself by the keys in the database")
		return false
	}
	seen, ok := seenIn(body)
	if !ok {
		l.warn(about, "is it this server, with the same database, in this version?", "the server did not say where the doctor's request came from")
		return false
	}
	if slices.ContainsFunc(l.c.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(seen) }) {
		l.warn(about, "let the proxy set X-Forwarded-For; if doctor runs beside the proxy, run it from elsewhere to be sure", "the doctor's request seems to come from %s, which is one of trusted_proxies", seen)
		return false
	}
	answer, err := l.ask(ctx, http.MethodGet, "/readyz", header{server.DoctorHeader, l.proof}, header{"X-Forwarded-For", nobodys})
	if claimed, ok := seenIn(answer.body); err != nil || !ok {
		l.warn(about, "", "the server did not say where the doctor's second request came from: %v", err)
	} else if claimed.String() == nobodys {
		l.wrong(about, "let the proxy set X-Forwarded-For itself, or add to it", "whoever claims an address in X-Forwarded-For is believed: limits by address mean nothing")
	} else {
		l.ok(about, "clients come by %s from their own addresses; this one from %s", l.c.Issuer.Scheme, seen)
	}
	return true
}

// scheme looks at whether a client can claim how it came: the doctor, who came by
// https, claims the other, with which he would be refused.
func (l *live) scheme(ctx context.Context) {
	if l.c.Issuer.Scheme != "https" {
		return
	}
	answer, err := l.ask(ctx, http.MethodGet, "/.well-known/oauth-authorization-server", header{"X-Forwarded-Proto", "http"})
	if err == nil && answer.status == http.StatusForbidden {
		l.wrong("proxy", "let the proxy set X-Forwarded-Proto itself (nginx: proxy_set_header X-Forwarded-Proto $scheme)",
			"what a client claims in X-Forwarded-Proto reaches the server: what came in the clear could be taken for https")
	}
}

func seenIn(body []byte) (netip.Addr, bool) {
	var said map[string]string
	if json.Unmarshal(body, &said) != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(said[server.SeenAddress])
	return a, err == nil
}

// cookies looks at what arrives of a cookie: a sign-out of nobody, which the server
// answers by taking its cookies back.
func (l *live) cookies(ctx context.Context) {
	const about = "cookies"
	answer, err := l.ask(ctx, http.MethodPost, "/auth/logout", header{"Cookie", "doctor=1"})
	if err != nil {
		l.wrong(about, "", "%v", err)
		return
	}
	if len(answer.cookies) == 0 {
		l.warn(about, "let the proxy pass on Set-Cookie", "%s/auth/logout set no cookie; it answered %d", l.url, answer.status)
		return
	}
	secure := l.c.Issuer.Scheme == "https"
	for _, c := range answer.cookies {
		var lacks []string
		for what, missing := range map[string]bool{
			"HttpOnly": !c.HttpOnly, "Secure": secure && !c.Secure, "SameSite": c.SameSite == 0, "Path=/": c.Path != "/",
			"the prefix __Host-": secure && !strings.HasPrefix(c.Name, "__Host-"), "a host of its own (it has a Domain)": c.Domain != "",
		} {
			if missing {
				lacks = append(lacks, what)
			}
		}
		if len(lacks) > 0 {
			l.wrong(about, "does something on the way rewrite cookies?", "%s arrives without %s", c.Name, strings.Join(lacks, ", "))
			return
		}
	}
	l.ok(about, "%s", fmt.Sprintf("they arrive as they were set: %s", strings.Join(strings.Split(answer.header.Get("Set-Cookie"), "; ")[1:], ", ")))
}
