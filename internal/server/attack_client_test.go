package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

// proves is a place where clients prove who they are, with a request that a client
// with its secret is granted. Every rule of the proof is held at each.
type proves struct{ path, form string }

var proofs = []proves{
	{"/oauth2/token", "grant_type=client_credentials"},
	{"/oauth2/introspect", "token=x"},
	{"/oauth2/revoke", "token=x"},
}

// try sends the request with more parameters, and headers.
func (p proves) try(t testing.TB, s *servertest.Site, more string, headers ...string) servertest.Answer {
	t.Helper()
	return s.Send(t, http.MethodPost, p.path, formType, p.form+more, headers...)
}

// basicOf is the header of a client as it is written.
func basicOf(plain string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(plain))}
}

// inBody are a client's credentials as parameters.
func (r registered) inBody() string {
	return "&client_id=" + url.QueryEscape(r.id) + "&client_secret=" + url.QueryEscape(r.secret)
}

// clientBy makes a client that proves itself by a method, past the API.
func clientBy(t testing.TB, s *servertest.Site, id string, method oauth.AuthMethod) registered {
	t.Helper()
	c, text, err := s.Core.Clients.Create(t.Context(), servertest.Operator, client.Draft{ID: id, Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return registered{c.ID, text.Reveal()}
}

// unproved fails the test unless an answer is the one to a client that did not prove
// who it is (RFC 6749, Section 5.2).
func unproved(t *testing.T, what string, a servertest.Answer, header bool) {
	t.Helper()
	challenge := a.Header.Get("WWW-Authenticate")
	if a.Status != http.StatusUnauthorized || a.Body != `{"error":"invalid_client","error_description":"client authentication failed"}` ||
		header && !strings.HasPrefix(challenge, "Basic ") || challenge == "" || len(a.Header.Values("WWW-Authenticate")) != 1 {
		t.Errorf("%s: %d %s, WWW-Authenticate %q", what, a.Status, a.Body, challenge)
	}
}

func TestAttackCA001TwoMethods(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	byHeader, byBody := clientBy(t, s, "by-header", oauth.Basic), clientBy(t, s, "by-body", oauth.Post)
	const assertion = "&client_assertion=eyJ.e30.x&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
	for _, p := range proofs {
		for what, a := range map[string]servertest.Answer{
			"basic and post":             p.try(t, s, byHeader.inBody(), byHeader.basic()...),
			"basic and another's post":   p.try(t, s, byBody.inBody(), byHeader.basic()...),
			"basic and a secret":         p.try(t, s, "&client_secret="+byHeader.secret, byHeader.basic()...),
			"basic and an assertion":     p.try(t, s, assertion, byHeader.basic()...),
			"basic and a bare assertion": p.try(t, s, "&client_assertion=x", byHeader.basic()...),
			"post and an assertion":      p.try(t, s, byBody.inBody()+assertion),
			"a token and post":           p.try(t, s, byBody.inBody(), "Authorization", "Bearer x"),
			"two headers":                p.try(t, s, "", append(byHeader.basic(), byHeader.basic()...)...),
		} {
			if a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
				t.Errorf("%s, %s: %d %s", p.path, what, a.Status, a.Body)
			}
		}
		// One of each, and an empty value is none (RFC 6749, Section 3.2).
		for what, a := range map[string]servertest.Answer{
			"header": p.try(t, s, "&client_secret=&client_assertion=&client_id=by-header", byHeader.basic()...), "body": p.try(t, s, byBody.inBody()),
		} {
			if a.Status != http.StatusOK {
				t.Errorf("%s, by the %s: %d %s", p.path, what, a.Status, a.Body)
			}
		}
	}
}

func TestAttackCA002AnotherMethod(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	byHeader, byBody := clientBy(t, s, "by-header", oauth.Basic), clientBy(t, s, "by-body", oauth.Post)
	for _, p := range proofs {
		unproved(t, p.path+", post for basic", p.try(t, s, byHeader.inBody()), false)
		unproved(t, p.path+", basic for post", p.try(t, s, "", byBody.basic()...), true)
		unproved(t, p.path+", id only", p.try(t, s, "&client_id=by-header"), false)
		unproved(t, p.path+", id only, of one by post", p.try(t, s, "&client_id=by-body"), false)
		unproved(t, p.path+", an empty secret", p.try(t, s, "&client_id=by-body&client_secret="), false)
		unproved(t, p.path+", secret for none", p.try(t, s, "&client_id=doorward&client_secret="+byBody.secret), false)
		unproved(t, p.path+", secret for none in the header", p.try(t, s, "", basicOf("doorward:"+byBody.secret)...), true)
		unproved(t, p.path+", an assertion", p.try(t, s, "&client_id=by-body&client_assertion="+byBody.secret), false)
		unproved(t, p.path+", nobody", p.try(t, s, ""), false)
	}
}

func TestAttackCA003Header(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	c := clientBy(t, s, "by.header_1-a", oauth.Basic)
	good := base64.StdEncoding.EncodeToString([]byte(c.id + ":" + c.secret))
	raw := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, p := range proofs {
		for _, value := range []string{
			"", "Basic", "Basic ", "Basic Zm9v", "Basic !!!", "Basic Og==", "Basic " + good + "=", "Basic " + good[:len(good)-1], "Basic\t" + good, "Basic " + good + " x", "Basic " + good + "," + good,
			"Basic " + raw(":"+c.secret), "Basic " + raw(c.id+":"), "Basic " + raw(c.id+"\x00:"+c.secret), "Basic " + raw(c.id+":"+c.secret+"\x00"), "Basic " + raw(c.id+":"+c.secret+"%00"),
			"Basic " + raw(c.id+":"+c.secret+"\n"), "Basic " + raw(" "+c.id+":"+c.secret), "Basic " + raw(strings.ToUpper(c.id)+":"+c.secret), "Basic " + raw(c.id+":x:"+c.secret), "Basic " + raw(c.id+"%zz:"+c.secret),
			"Basic " + raw(c.id+"%3A"+c.secret), "Basic " + raw("\xff:"+c.secret), "Basic " + raw(strings.Repeat("a", 4<<10)+":x"), "Basic " + raw(c.id+":"+strings.Repeat("a", 4<<10)),
			"Bearer " + c.secret, "Bearer " + good, "Digest " + good, good, "Negotiate " + good,
		} {
			unproved(t, fmt.Sprintf("%s, %.40q", p.path, value), p.try(t, s, "", "Authorization", value), true)
		}
		if a := p.try(t, s, "", "Authorization", "Basic "+strings.Repeat("A", 64<<10)); a.Status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s, 64 KiB: %d %s", p.path, a.Status, a.Body)
		}
		encoded := strings.NewReplacer(".", "%2E", "_", "%5f", "-", "%2d").Replace(c.id) + ":" + "%64" + c.secret[1:] // as forms are
		for _, value := range []string{"Basic " + good, "basic " + good, "BASIC  " + good, "Basic " + raw(encoded)} {
			if a := p.try(t, s, "", "Authorization", value); a.Status != http.StatusOK {
				t.Errorf("%s, %.10q: %d %s", p.path, value, a.Status, a.Body)
			}
		}
	}
}

func TestAttackCA004TwoClients(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	one := clientBy(t, s, "one", oauth.Basic)
	clientBy(t, s, "two", oauth.Basic)
	for _, p := range proofs {
		for _, other := range []string{"two", "ONE", "one%00", "+one", "doorward", "nosuch"} {
			if a := p.try(t, s, "&client_id="+other, one.basic()...); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
				t.Errorf("%s, with client_id=%s: %d %s", p.path, other, a.Status, a.Body)
			}
		}
		unproved(t, p.path+", another's secret", p.try(t, s, "", registered{"two", one.secret}.basic()...), true)
	}
	if a := one.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "client_id", "one"); a.Status != http.StatusOK || payload(t, pair(t, a).Access)["client_id"] != "one" {
		t.Errorf("with its own: %d %s", a.Status, a.Body)
	}
}

// Whoever guesses a secret is stopped by network, and what he does fills no log. The
// client is not locked: it is served from anywhere, also from his network.
func TestAttackCA005Guessing(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: also(strict, "rate_limit.login", "5/1m", "trusted_proxies", "127.0.0.0/8")})
		c := clientBy(t, s, "billing", oauth.Basic)
		wrong, judged := registered{c.id, client.NewSecret().Text().Reveal()}, 0
		for network := range 20 {
			from := []string{"X-Forwarded-For", fmt.Sprint("198.51.100.", network)}
			for n := range 10 {
				p := proofs[n%len(proofs)]
				a := p.try(t, s, "", append(wrong.basic(), from...)...)
				switch {
				case n < 5:
					unproved(t, p.path, a, true)
					judged++
				case a.Status != http.StatusTooManyRequests || a.Error() != "temporarily_unavailable" || a.Header.Get("Retry-After") == "":
					t.Errorf("guess %d from network %d at %s: %d %s", n+1, network, p.path, a.Status, a.Body)
				}
			}
			for _, p := range proofs {
				if a := p.try(t, s, "", append(c.basic(), from...)...); a.Status != http.StatusOK {
					t.Errorf("the client itself at %s, from network %d: %d %s", p.path, network, a.Status, a.Body)
				}
			}
		}
		list := events(t, s, string(audit.ClientRefused))
		if len(list) != judged {
			t.Errorf("%d refusals are in the log, and %d were judged", len(list), judged)
		}
		if n, err := s.Server.Counted(t.Context(), "POST /oauth2/token", audit.Denied); err != nil || n == 0 {
			t.Errorf("%d refusals by the limit were counted, %v", n, err)
		}
	})
}

// Who is not there, whose secret is wrong, who is disabled and who is registered for
// another method hear the same, byte for byte.
func TestAttackCA006OneAnswer(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		c, other, off := clientBy(t, s, "billing", oauth.Basic), clientBy(t, s, "by-body", oauth.Post), clientBy(t, s, "off", oauth.Basic)
		switchOff(t, s, off.id)
		for _, p := range proofs {
			var first string
			for what, plain := range map[string]string{
				"unknown": "nosuch:" + c.secret, "unknown, as an id is made": "0199d0a2-0000-7000-8000-000000000000:" + c.secret, "not an id": "No Such:" + c.secret,
				"wrong": c.id + ":" + client.NewSecret().Text().Reveal(), "nearly right": c.id + ":" + c.secret[:len(c.secret)-1], "a prefix of 16": c.id + ":" + c.secret[:16] + strings.Repeat("0", len(c.secret)-16),
				"no secret of ours": c.id + ":x", "disabled": off.id + ":" + off.secret, "disabled, wrong": off.id + ":x", "another method": other.id + ":" + other.secret, "the built-in one": "doorward:x",
			} {
				a := p.try(t, s, "", basicOf(plain)...)
				unproved(t, p.path+", "+what, a, true)
				got := fmt.Sprint(a.Status, a.Body, without(a.Header))
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("%s, %s:\n\t%s\nand before:\n\t%s", p.path, what, got, first)
				}
			}
		}
	})
}

// switchOff disables a client, as an operator does.
func switchOff(t *testing.T, s *servertest.Site, id string) {
	t.Helper()
	c, err := s.Core.Clients.Fresh(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	c.Status = client.Disabled
	if _, err := s.Core.Clients.Update(t.Context(), servertest.Operator, c); err != nil {
		t.Fatal(err)
	}
}

// No header says who a client is but Authorization, from wherever it comes.
func TestAttackCA013CertificateHeaders(t *testing.T) {
	for _, proxies := range []string{"", "127.0.0.0/8"} {
		set := map[string]string{}
		if proxies != "" {
			set["trusted_proxies"] = proxies
		}
		s := servertest.Start(t, servertest.Options{Set: set})
		clientBy(t, s, "billing", oauth.Basic)
		for _, p := range proofs {
			for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X_Client_Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "SSL_CLIENT_CERT", "X-SSL-Client-S-DN", "X-SSL-Client-Verify", "X-Remote-User", "X-API-Key", "Proxy-Authorization"} {
				for _, value := range []string{":MIIB:", "billing", "CN=billing", "SUCCESS"} {
					unproved(t, p.path+", "+name, p.try(t, s, "&client_id=billing", name, value), false)
				}
			}
		}
	}
}

// A client that is disabled is so at once, and a secret that had its time is gone,
// wherever it is shown.
func TestAttackCA015DisabledOrPast(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		c := &steered{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak})
		first := clientBy(t, s, "billing", oauth.Basic)
		rotate := func(overlap time.Duration) registered {
			t.Helper()
			_, text, err := s.Core.Clients.RotateSecret(t.Context(), servertest.Operator, first.id, overlap, 0)
			if err != nil {
				t.Fatal(err)
			}
			return registered{first.id, text.Reveal()}
		}
		works := func(what string, r registered, want bool) {
			t.Helper()
			for _, p := range proofs {
				a := p.try(t, s, "", r.basic()...)
				if want && a.Status != http.StatusOK {
					t.Errorf("%s at %s: %d %s", what, p.path, a.Status, a.Body)
				} else if !want {
					unproved(t, what+" at "+p.path, a, true)
				}
			}
		}
		second := rotate(time.Hour)
		works("the first, during the overlap", first, true)
		works("the second", second, true)
		c.pass(time.Hour - 10*time.Second)
		works("the first, at its end", first, true)
		c.pass(20 * time.Second)
		works("the first, after it", first, false)
		c.pass(-2 * time.Hour)
		third := rotate(time.Hour)
		works("the first, once there is a third", first, false)
		works("the second, beside the third", second, true)
		fourth := rotate(0)
		for _, old := range []registered{first, second, third} {
			works("an old one", old, false)
		}
		works("the fourth", fourth, true)
		switchOff(t, s, first.id)
		works("one of a client that is disabled", fourth, false)
	})
}

// Who asks about tokens or ends them proves who he is, and hears and does nothing
// about what is not his.
func TestAttackCA018OthersTokens(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		makeRole(t, s, "reader", "users:read")
		root := s.Login(t, servertest.Admin).Access
		mine := register(t, s, root, map[string]any{"client_id": "mine", "scope": "users:read"}, "reader")
		other := clientBy(t, s, "other", oauth.Basic)
		s.User(t, "ann", "viewer")
		token, ann := mine.token(t, s).Access, s.Login(t, "ann")
		alive := func(what string) {
			t.Helper()
			if a := mine.introspects(t, s, token); a["active"] != true {
				t.Errorf("%s ended the token", what)
			}
			if status := me(t, s, ann.Access); status != http.StatusOK {
				t.Errorf("%s ended ann's tokens", what)
			}
		}
		for _, text := range []string{token, ann.Access, ann.Refresh} {
			for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
				form := "token=" + text
				unproved(t, path+", nobody", s.Send(t, "POST", path, formType, form), false)
				unproved(t, path+", an id", s.Send(t, "POST", path, formType, form+"&client_id=mine"), false)
				unproved(t, path+", the token itself", s.Send(t, "POST", path, formType, form, "Authorization", "Bearer "+text), true)
				alive(path + " by nobody")
			}
			unproved(t, "a public client asks", s.Form(t, "/oauth2/introspect", "token", text, "client_id", "doorward"), false)
			if a := other.post(t, s, "/oauth2/introspect", "token", text); a.Status != http.StatusOK || a.Body != `{"active":false}` {
				t.Errorf("another client asks: %d %s", a.Status, a.Body)
			}
			if a := other.post(t, s, "/oauth2/revoke", "token", text); a.Status != http.StatusOK || a.Body != "" {
				t.Errorf("another client revokes: %d %s", a.Status, a.Body)
			}
			alive("another client")
		}
		if a := s.Form(t, "/oauth2/revoke", "token", token, "client_id", "doorward"); a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("a public client revokes a service's: %d %s", a.Status, a.Body)
		}
		for _, text := range []string{ann.Access, ann.Refresh} {
			if a := mine.post(t, s, "/oauth2/revoke", "token", text, "token_type_hint", "access_token"); a.Status != http.StatusOK || a.Body != "" {
				t.Errorf("a service revokes a user's: %d %s", a.Status, a.Body)
			}
		}
		alive("who it was not issued to")
		// A hint may be wrong, or of a kind that nobody knows (RFC 7009, Section 2.1).
		if a := mine.post(t, s, "/oauth2/revoke", "token", token, "token_type_hint", "nosuch"); a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("its own client: %d %s", a.Status, a.Body)
		}
		if a := mine.introspects(t, s, token); a["active"] != false {
			t.Errorf("its own client revoked it: %v", a)
		}
		if a := mine.post(t, s, "/oauth2/revoke", "token", token); a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("once more: %d %s", a.Status, a.Body)
		}
		if list := events(t, s, string(audit.TokenRevoked)); len(list) != 1 {
			t.Errorf("%d revocations are in the log", len(list))
		}
	})
}

// Endpoints for clients know no cookies, no other methods, and no sign-in.
func TestAttackClientsAndCookies(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	b := s.Browser(t)
	b.Login(t, "ann")
	c := clientBy(t, s, "billing", oauth.Basic)
	for _, p := range proofs {
		unproved(t, p.path+" with cookies", b.Send(t, "POST", p.path, formType, p.form), false)
		for _, site := range []string{"same-origin", "cross-site"} {
			b.From = site
			a := b.Send(t, "POST", p.path, formType, p.form, c.basic()...)
			if a.Status != http.StatusOK || len(a.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %s, with cookies beside the secret: %d %s %v", p.path, site, a.Status, a.Body, a.Header)
			}
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "TRACE", "post"} {
			if a := s.Send(t, method, p.path, formType, p.form, c.basic()...); a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST" || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: %d, Allow %q", method, p.path, a.Status, a.Header.Get("Allow"))
			}
		}
	}
}

// keep sends everything that holds a secret, or what was sent in the place of one.
func (p proves) keep(t *testing.T, s *servertest.Site, keep func(servertest.Answer) servertest.Answer, c registered, secrets map[string]string) {
	t.Helper()
	for _, more := range []string{
		"&client_id=" + c.id + "&client_secret=" + secrets["client secret"], "&client_id=" + secrets["client secret for an id"], "&client_secret=x&client_id=" + secrets["client secret for an id"],
		"&client_id=" + c.id + "&client_assertion=" + secrets["client assertion"], "&token_type_hint=" + secrets["token type hint"] + c.inBody(), "&scope=" + secrets["scope"], "&" + secrets["form name"] + "=x",
	} {
		keep(p.try(t, s, more))
	}
	for _, plain := range []string{c.id + ":" + secrets["client secret in the header"], secrets["id in the header"] + ":x", secrets["id in the header"], "ann:" + secrets["basic"]} {
		keep(p.try(t, s, "", basicOf(plain)...))
	}
	if token := secrets["token to judge"]; p.path != "/oauth2/token" {
		keep(c.post(t, s, p.path, "token", token))
		keep(c.post(t, s, p.path, "token", "dwr_"+token))
	}
	for _, name := range []string{"scope", "resource", "grant_type"} {
		keep(p.try(t, s, "&"+name+"="+secrets[strings.ReplaceAll(name, "_", " ")], c.basic()...))
	}
}
