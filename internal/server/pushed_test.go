package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

// authorization returns an authorization request as a client pushes it; an empty value leaves a
// parameter out.
func authorization(client string, pairs ...string) url.Values {
	u, err := url.Parse(authorizing(client, pairs...))
	if err != nil {
		panic(err)
	}
	return u.Query()
}

// push pushes a request of a client that has a secret.
func (r registered) push(t *testing.T, s *servertest.Site, pairs ...string) servertest.Answer {
	t.Helper()
	return s.Send(t, http.MethodPost, "/oauth2/par", formType, authorization(r.id, pairs...).Encode(), r.basic()...)
}

// pushedURI returns the request_uri of an answer.
func pushedURI(t *testing.T, a servertest.Answer) string {
	t.Helper()
	var got struct {
		URI     string `json:"request_uri"`
		Expires int    `json:"expires_in"`
	}
	a.JSON(t, &got)
	if a.Status != http.StatusCreated || got.Expires != 60 || len(got.URI) != len(oauth.PushedPrefix)+43 || !strings.HasPrefix(got.URI, oauth.PushedPrefix) ||
		a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("pushing: %d %s %v", a.Status, a.Body, a.Header)
	}
	return got.URI
}

// sent is where a person is sent with what was pushed.
func sent(client, uri string, pairs ...string) string {
	v := url.Values{"client_id": {client}, "request_uri": {uri}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "/oauth2/authorize?" + v.Encode()
}

// A person who is not signed in is led through every page with what was pushed, however
// long he takes, and the client gets its tokens (RFC 9126, Section 4).
func TestPushed(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		var c steered
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak})
		s.User(t, "ana", "editor")
		shop := registered{"shop", app(t, s, "shop", func(d *client.Draft) { d.RequirePushed = true })}
		b := s.Browser(t)
		uri := pushedURI(t, shop.push(t, s, "nonce", "n"))
		// What comes beside it is not read.
		a := b.Send(t, http.MethodGet, sent("shop", uri, "redirect_uri", "https://evil.example", "scope", "write", "state", "evil", "prompt", "none", "response_type", "token"), "", "")
		door := a.Header.Get("Location")
		if !strings.HasPrefix(door, "/signin?") {
			t.Fatalf("who is not signed in: %d %s %s", a.Status, door, a.Body)
		}
		c.pass(10 * time.Minute)
		a = consent(t, b, b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password), "allow")
		v := answered(t, a)
		if v.Get("state") != "xyz" || v.Get("code") == "" {
			t.Fatalf("the answer: %v", v)
		}
		var g granted
		redeem(t, s, "shop", shop.secret, v.Get("code")).JSON(t, &g)
		if id := payload(t, g.ID); g.Scope != "openid read" || id["nonce"] != "n" {
			t.Errorf("the tokens: %+v %v", g, id)
		}

		// Who is signed in and agreed is sent back at once, by a form too, and once.
		uri = pushedURI(t, shop.push(t, s))
		if v = answered(t, b.Send(t, http.MethodGet, sent("shop", uri), "", "")); v.Get("code") == "" {
			t.Errorf("at once: %v", v)
		}
		stays(t, "again", b.Send(t, http.MethodGet, sent("shop", uri), "", ""), http.StatusBadRequest)
		uri = pushedURI(t, shop.push(t, s))
		_, form, _ := strings.Cut(sent("shop", uri), "?")
		if v = answered(t, follow(t, b, b.Send(t, http.MethodPost, "/oauth2/authorize", formType, form))); v.Get("code") == "" {
			t.Errorf("by a form: %v", v)
		}
		// A client need not name itself twice.
		if a = s.Send(t, http.MethodPost, "/oauth2/par", formType, authorization("", "client_id", "").Encode(), shop.basic()...); pushedURI(t, a) == "" {
			t.Error("without client_id")
		}
		if a = s.Send(t, http.MethodPost, "/oauth2/par", formType, authorization("other").Encode(), shop.basic()...); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
			t.Errorf("with another's client_id: %d %s", a.Status, a.Body)
		}
	})
}

// A client that has nothing to prove itself by may push too.
func TestPushedByPublicClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ana", "editor")
	app(t, s, "spa", func(d *client.Draft) { d.Method, d.SkipConsent = oauth.NoAuth, true })
	b := s.Browser(t)
	b.Login(t, "ana")
	uri := pushedURI(t, s.Send(t, http.MethodPost, "/oauth2/par", formType, authorization("spa").Encode()))
	v := answered(t, b.Send(t, http.MethodGet, sent("spa", uri), "", ""))
	if a := redeem(t, s, "spa", "", v.Get("code")); a.Status != http.StatusOK {
		t.Errorf("the tokens: %d %s", a.Status, a.Body)
	}
}
