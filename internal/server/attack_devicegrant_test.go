package server_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

const devicePage = "/oauth2/device"

// waiting is the answer of the device authorization endpoint.
type waiting struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

// tv registers an application for devices; change may be nil.
func tv(t *testing.T, s *servertest.Site, id string, change func(*client.Draft)) string {
	t.Helper()
	return app(t, s, id, func(d *client.Draft) {
		d.Grants, d.RedirectURIs = []oauth.GrantType{oauth.DeviceCode, oauth.RefreshToken}, nil
		d.Method = oauth.NoAuth
		if change != nil {
			change(d)
		}
	})
}

// device begins to wait.
func device(t *testing.T, s *servertest.Site, client string, pairs ...string) waiting {
	t.Helper()
	v := url.Values{"client_id": {client}, "scope": {"openid read"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	a := s.Send(t, http.MethodPost, "/oauth2/device_authorization", formType, v.Encode())
	var w waiting
	a.JSON(t, &w)
	if a.Status != http.StatusOK || w.Device == "" || w.User == "" {
		t.Fatalf("the device does not wait: %d %s", a.Status, a.Body)
	}
	return w
}

// poll asks for the tokens, with headers.
func (w waiting) poll(t *testing.T, s *servertest.Site, client string, headers ...string) servertest.Answer {
	t.Helper()
	v := url.Values{"grant_type": {string(oauth.DeviceCode)}, "device_code": {w.Device}}
	if len(headers) == 0 {
		v.Set("client_id", client)
	}
	return s.Send(t, http.MethodPost, "/oauth2/token", formType, v.Encode(), headers...)
}

// decide answers the question in a browser.
func (w waiting) decide(t *testing.T, b *servertest.Browser, decision string) servertest.Answer {
	t.Helper()
	return b.Submit(t, devicePage+"?user_code="+w.User, devicePage, "decision", decision)
}

func wants(t *testing.T, what string, a servertest.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		_, body, page := strings.Cut(a.Body, "<main>")
		if !page {
			body = a.Body
		}
		t.Errorf("%s: %d %s; want %d and %s", what, a.Status, body, status, text)
	}
}

// eachSteered starts a site with a clock that the test moves, on each database.
func eachSteered(t *testing.T, f func(*testing.T, *servertest.Site, *steered)) {
	t.Helper()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		c := &steered{}
		f(t, servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak}), c)
	})
}

// steeredSite is one such site, with ana, who is signed in in a browser, and the
// application tv.
func steeredSite(t *testing.T) (*servertest.Site, *steered, *servertest.Browser) {
	t.Helper()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ana", "editor")
	tv(t, s, "tv", nil)
	b := s.Browser(t)
	b.Login(t, "ana")
	return s, c, b
}

// The whole flow, by a person who is not signed in yet: the code, the sign-in, the
// question, the tokens, a refresh; and the access is seen and taken back.
func TestDeviceFlow(t *testing.T) {
	eachSteered(t, func(t *testing.T, s *servertest.Site, c *steered) {
		ana := s.User(t, "ana", "editor")
		tv(t, s, "tv", nil)
		w := device(t, s, "tv")
		if w.URI != s.URL+devicePage || w.Complete != w.URI+"?user_code="+w.User || w.Expires != 600 || w.Interval != 5 {
			t.Errorf("the answer: %+v", w)
		}
		wants(t, "the first question", w.poll(t, s, "tv"), 400, `"authorization_pending"`)

		b := s.Browser(t)
		a := b.Submit(t, devicePage, devicePage, "user_code", strings.ToLower(strings.ReplaceAll(w.User, "-", " ")))
		if place := a.Header.Get("Location"); place != devicePage+"?user_code="+w.User {
			t.Fatalf("the code: %d %s %s", a.Status, place, a.Body)
		}
		a = b.Send(t, http.MethodGet, a.Header.Get("Location"), "", "")
		door := a.Header.Get("Location")
		if !strings.HasPrefix(door, "/signin?return_to=") {
			t.Fatalf("who is not signed in: %d %s", a.Status, door)
		}
		a = b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password)
		if place := a.Header.Get("Location"); place != devicePage+"?user_code="+w.User {
			t.Fatalf("after the sign-in: %d %s", a.Status, place)
		}
		a = w.decide(t, b, "allow")
		a = b.Send(t, http.MethodGet, a.Header.Get("Location"), "", "")
		wants(t, "the end", a, 200, "Your device is let in")

		wants(t, "a question too early", w.poll(t, s, "tv"), 400, `"slow_down"`)
		c.pass(20 * time.Second)
		a = w.poll(t, s, "tv")
		var g granted
		a.JSON(t, &g)
		if a.Status != http.StatusOK || g.Scope != "openid read" || g.Refresh == "" {
			t.Fatalf("the tokens: %d %s", a.Status, a.Body)
		}
		id, access := payload(t, g.ID), payload(t, g.Access)
		if id["sub"] != ana.ID || id["aud"] != "tv" || id["sid"] != nil || id["auth_time"] == nil || access["client_id"] != "tv" || access["aud"] != s.URL {
			t.Errorf("the tokens: %v, %v", id, access)
		}
		wants(t, "a second use", w.poll(t, s, "tv"), 400, `"invalid_grant"`)
		wants(t, "the code, once it was used", b.Send(t, http.MethodGet, devicePage+"?user_code="+w.User, "", ""), 400, "No device waits")

		// The browser is another device: the television goes on without it.
		b.Submit(t, "/account", "/account/signout")
		a = s.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", g.Refresh, "client_id", "tv")
		a.JSON(t, &g)
		if a.Status != http.StatusOK {
			t.Fatalf("the refresh: %d %s", a.Status, a.Body)
		}
		b.Login(t, "ana")
		wants(t, "the account", b.Send(t, http.MethodGet, "/account", "", ""), 200, "The tv")
		b.Submit(t, "/account", "/account/apps/tv/withdraw")
		wants(t, "after it was taken back", s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil), 401, "")
	})
}

// A device code is good for nothing before it is allowed, after it was refused, and when
// its time is over; and then it cannot be allowed (TOK-032).
func TestAttackTOK032BeforeApproval(t *testing.T) {
	t.Parallel()
	s, c, b := steeredSite(t)
	w, refused, late := device(t, s, "tv"), device(t, s, "tv"), device(t, s, "tv")
	wants(t, "before", w.poll(t, s, "tv"), 400, `"authorization_pending"`)
	refused.decide(t, b, "deny")
	wants(t, "refused", refused.poll(t, s, "tv"), 400, `"access_denied"`)
	wants(t, "allowed after it was refused", b.Submit(t, devicePage, devicePage, "user_code", refused.User, "decision", "allow"), 400, "No device waits")

	// What was allowed is void when the session in which it was is over.
	w.decide(t, b, "allow")
	b.Submit(t, "/account", "/account/signout")
	c.pass(10 * time.Second)
	wants(t, "allowed in a session that is over", w.poll(t, s, "tv"), 400, `"invalid_grant"`)

	b.Login(t, "ana")
	c.pass(10 * time.Minute)
	wants(t, "expired", late.poll(t, s, "tv"), 400, `"expired_token"`)
	wants(t, "allowed after its time", b.Submit(t, devicePage, devicePage, "user_code", late.User, "decision", "allow"), 400, "No device waits")
	for _, code := range []string{"", "x", "dwd_" + strings.Repeat("0", 49), "dwc_" + late.Device[4:], late.Device + "0", strings.ToUpper(late.Device), late.User} {
		want := "invalid_grant"
		if code == "" {
			want = "invalid_request"
		}
		wants(t, code, waiting{Device: code}.poll(t, s, "tv"), 400, want)
	}
}

// Who asks too often waits longer each time, whatever was decided meanwhile, and nobody
// else does (TOK-033).
func TestAttackTOK033TooOften(t *testing.T) {
	t.Parallel()
	s, c, b := steeredSite(t)
	w, other := device(t, s, "tv"), device(t, s, "tv")
	wants(t, "the first", w.poll(t, s, "tv"), 400, `"authorization_pending"`)
	for range 3 {
		c.pass(100 * time.Millisecond)
		wants(t, "too early", w.poll(t, s, "tv"), 400, `"slow_down"`)
	}
	w.decide(t, b, "allow") // an interval of 20 s now
	c.pass(15 * time.Second)
	wants(t, "too early, and allowed", w.poll(t, s, "tv"), 400, `"slow_down"`)
	wants(t, "another device", other.poll(t, s, "tv"), 400, `"authorization_pending"`)
	c.pass(20 * time.Second)
	wants(t, "within the longer interval", w.poll(t, s, "tv"), 400, `"slow_down"`)
	c.pass(30 * time.Second)
	wants(t, "in time", w.poll(t, s, "tv"), 200, `"access_token"`)
}

// Of many questions at the moment of approval one is answered with tokens (TOK-034).
func TestAttackTOK034OneRedemption(t *testing.T) {
	eachSteered(t, func(t *testing.T, s *servertest.Site, c *steered) {
		s.User(t, "ana", "editor")
		tv(t, s, "tv", nil)
		b := s.Browser(t)
		b.Login(t, "ana")
		w := device(t, s, "tv")
		w.decide(t, b, "allow")
		var given atomic.Int64
		together(20, func(int) {
			switch a := w.poll(t, s, "tv"); {
			case a.Status == http.StatusOK:
				given.Add(1)
			case !strings.Contains(a.Body, `"slow_down"`) && !strings.Contains(a.Body, `"invalid_grant"`):
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
		if given.Load() != 1 {
			t.Errorf("%d of them are given tokens", given.Load())
		}

		// Nor do they depend on the interval.
		w = device(t, s, "tv")
		w.decide(t, b, "allow")
		hash, _ := grant.ParseDeviceCode(w.Device)
		d, err := s.Core.Store.Device(t.Context(), hash)
		if err != nil || d.Decision != grant.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
		given.Store(0)
		together(8, func(int) {
			f, _ := grant.New(time.Now(), d.User, d.Client, grant.Lifetimes{Absolute: time.Hour, Idle: time.Hour})
			e := audit.Now(servertest.Operator, time.Now(), audit.TokenIssued, f.Target())
			if err := s.Core.Store.RedeemDevice(context.WithoutCancel(t.Context()), d, f, e); err == nil {
				given.Add(1)
			} else if fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
		})
		if given.Load() != 1 {
			t.Errorf("%d families begin", given.Load())
		}
	})
}

// together calls f so many times at once.
func together(n int, f func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// A device code is its client's alone, who proves who he is where he has a secret
// (TOK-035).
func TestAttackTOK035AnotherClient(t *testing.T) {
	t.Parallel()
	s, c, b := steeredSite(t)
	tv(t, s, "radio", nil)
	secret := tv(t, s, "box", func(d *client.Draft) { d.Method = oauth.Basic })
	other := tv(t, s, "jukebox", func(d *client.Draft) { d.Method = oauth.Basic })
	w := device(t, s, "tv")
	w.decide(t, b, "allow")
	for range 2 { // it is no question of the device, which does not wait longer for it
		wants(t, "another client", w.poll(t, s, "radio"), 400, `"invalid_grant"`)
	}
	wants(t, "its client", w.poll(t, s, "tv"), 200, "access_token")

	w = device(t, s, "box") // without a secret, as golang.org/x/oauth2 asks
	w.decide(t, b, "allow")
	c.pass(time.Minute)
	wants(t, "without the secret", w.poll(t, s, "box"), 401, `"invalid_client"`)
	wants(t, "with another's", w.poll(t, s, "", registered{"jukebox", other}.basic()...), 400, `"invalid_grant"`)
	wants(t, "with the secret", w.poll(t, s, "", registered{"box", secret}.basic()...), 200, "access_token")
}

// User codes cannot be guessed: who is not signed in has none judged, who is has five,
// a right one of his own gives none back, and all together have a limit (DEV-001).
func TestAttackDEV001Guessing(t *testing.T) {
	t.Parallel()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak, Set: also(strict, "rate_limit.device", "12/1m", "rate_limit.login", "1000/1m")})
	for _, name := range []string{"ana", "bob", "cid", "dan"} {
		s.User(t, name, "editor")
	}
	tv(t, s, "tv", nil)
	own, others := device(t, s, "tv"), device(t, s, "tv")
	guess := func(b *servertest.Browser, code string) servertest.Answer {
		return b.Send(t, http.MethodGet, devicePage+"?user_code="+code, "", "")
	}
	stranger := s.Browser(t)
	for _, code := range []string{"BBBB-BBBB", others.User} {
		if a := guess(stranger, code); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/signin?") {
			t.Errorf("a stranger learns of a code: %d %s", a.Status, a.Body)
		}
	}
	ana, again := s.Browser(t), s.Browser(t)
	ana.Login(t, "ana")
	again.Login(t, "ana")
	for i := range 5 {
		wants(t, "a wrong code", guess(ana, "BBBB-BBBB"), 400, "No device waits")
		if i < 4 {
			wants(t, "a right one", guess(again, own.User), 200, own.User)
		}
	}
	for _, b := range []*servertest.Browser{ana, again} {
		wants(t, "the sixth", guess(b, others.User), 429, "Too many attempts")
		wants(t, "the sixth, as a decision", b.Submit(t, devicePage, devicePage, "user_code", others.User, "decision", "allow"), 429, "Too many attempts")
	}
	if n := len(events(t, s, "device.refused")); n != 5 {
		t.Errorf("there are %d events", n)
	}
	bob := s.Browser(t)
	bob.Login(t, "bob")
	wants(t, "somebody else", guess(bob, own.User), 200, own.User)
	for _, name := range []string{"bob", "cid"} {
		b := s.Browser(t)
		b.Login(t, name)
		for range 5 {
			guess(b, "CCCC-CCCC")
		}
	}
	dan := s.Browser(t)
	dan.Login(t, "dan")
	wants(t, "after too many of everybody", guess(dan, own.User), 429, "Too many attempts")
	c.pass(time.Minute)
	wants(t, "a minute later", guess(dan, own.User), 200, own.User)
}

// A link with the code lets nobody in: it shows what is asked, by whom and from where,
// warns, and takes nothing but its own form, which another site cannot send (DEV-002).
func TestAttackDEV002LinkWithCode(t *testing.T) {
	t.Parallel()
	s, c, b := steeredSite(t)
	a := s.Send(t, http.MethodPost, "/oauth2/device_authorization", formType, "client_id=tv&scope=openid+read", "X-Forwarded-For", "198.51.100.7", "User-Agent", "okhttp/4 (Android)")
	var w waiting
	a.JSON(t, &w)
	c.pass(3 * time.Minute)
	at := devicePage + "?user_code=" + w.User
	b.From = "cross-site"
	page := b.Send(t, http.MethodGet, at, "", "")
	for _, text := range []string{w.User, "The tv", "an Android app on Android", "127.0.0.1", "3 min ago", "know that it is you", "read", "Does your device show this code?", "deny", `id="warning"`, `id="allow"`, `name="form"`, "ana"} {
		wants(t, "the page", page, 200, text)
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("it can be framed: %s", csp)
	}
	body := url.Values{"user_code": {w.User}, "decision": {"allow"}}.Encode()
	wants(t, "another site's form", b.Send(t, http.MethodPost, devicePage, formType, body, "Origin", "https://evil.example"), 403, "")
	b.From = ""
	wants(t, "a form without its token", b.Send(t, http.MethodPost, devicePage, formType, body), 403, "Please try again")
	eve := s.Browser(t)
	s.User(t, "eve")
	eve.Login(t, "eve")
	fields := eve.Fields(t, at, devicePage)
	fields.Set("decision", "allow")
	wants(t, "another's form", b.Send(t, http.MethodPost, devicePage, formType, fields.Encode()), 403, "Please try again")
	wants(t, "a decision that is none", b.Submit(t, at, devicePage, "decision", "chosen"), 400, "")
	for _, headers := range [][]string{{"Sec-Purpose", "prefetch;prerender"}, {"Purpose", "prefetch"}} {
		wants(t, "fetched before anybody asks", b.Send(t, http.MethodGet, at, "", "", headers...), 403, "")
	}
	wants(t, "after all that", w.poll(t, s, "tv"), 400, `"authorization_pending"`)
	hostile := b.Send(t, http.MethodGet, devicePage+"?user_code=%22%3E%3Cscript%3E&done=%3Cscript%3E", "", "")
	if strings.Contains(hostile.Body, "<script>") {
		t.Errorf("it is repeated as it came: %s", hostile.Body)
	}
}

// A device is let in once, by who was first, as what he saw (DEV-003).
func TestAttackDEV003TwoPeople(t *testing.T) {
	t.Parallel()
	s, c, b := steeredSite(t)
	s.User(t, "eve", "editor")
	eve := s.Browser(t)
	eve.Login(t, "eve")
	w := device(t, s, "tv")
	at := devicePage + "?user_code=" + w.User
	mine, hers := b.Fields(t, at, devicePage), eve.Fields(t, at, devicePage)
	mine.Set("decision", "allow")
	hers.Set("decision", "allow")
	if a := b.Send(t, http.MethodPost, devicePage, formType, mine.Encode()); a.Header.Get("Location") != devicePage+"?done=allow" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	wants(t, "the second", eve.Send(t, http.MethodPost, devicePage, formType, hers.Encode()), 400, "No device waits")
	c.pass(time.Minute)
	var g granted
	w.poll(t, s, "tv").JSON(t, &g)
	var me map[string]any
	s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil).JSON(t, &me)
	ana, err := s.Core.Accounts.ByLogin(t.Context(), "ana")
	if err != nil || me["sub"] != ana.ID {
		t.Errorf("it is let in as %v, %v", me, err)
	}
}

// Who has nothing of what is asked for cannot allow it, and who lost it since, or was
// disabled, has allowed nothing (DEV-004).
func TestAttackDEV004WithoutAccess(t *testing.T) {
	t.Parallel()
	s, c, b := steeredSite(t)
	s.User(t, "eve")
	eve := s.Browser(t)
	eve.Login(t, "eve")
	w := device(t, s, "tv", "scope", "write")
	page := eve.Send(t, http.MethodGet, devicePage+"?user_code="+w.User, "", "")
	wants(t, "the page", page, 200, "has nothing of what the device asks for")
	if strings.Contains(page.Body, `id="allow"`) {
		t.Error("there is a button to allow it")
	}
	if a := w.decide(t, eve, "allow"); a.Header.Get("Location") != devicePage+"?done=nothing" {
		t.Errorf("she allows it: %d %s", a.Status, a.Body)
	}
	wants(t, "the device", w.poll(t, s, "tv"), 400, `"access_denied"`)

	some := device(t, s, "tv", "scope", "openid write")
	some.decide(t, eve, "allow")
	var g granted
	some.poll(t, s, "tv").JSON(t, &g)
	if g.Scope != "openid" {
		t.Errorf("she gives what she has not: %s", g.Scope)
	}

	lost := device(t, s, "tv", "scope", "write")
	lost.decide(t, b, "allow")
	ana, err := s.Core.Accounts.ByLogin(t.Context(), "ana")
	if err != nil {
		t.Fatal(err)
	}
	root := s.Login(t, servertest.Admin).Access
	wants(t, "taking the role", s.Call(t, root, http.MethodDelete, "/users/"+ana.ID+"/roles/editor", nil), 204, "")
	wants(t, "what was lost since", lost.poll(t, s, "tv"), 400, `"invalid_grant"`)
	gone := device(t, s, "tv", "scope", "openid")
	gone.decide(t, b, "allow")
	wants(t, "disabling", s.Call(t, root, http.MethodPatch, "/users/"+ana.ID, map[string]any{"status": "disabled"}), 200, "")
	c.pass(time.Minute)
	wants(t, "by who is disabled", gone.poll(t, s, "tv"), 400, `"invalid_grant"`)
}

// Only a client that may use the grant begins, with what it may ask for; a secret that it
// shows must be right (DEV-005).
func TestAttackDEV005WhoMayBegin(t *testing.T) {
	t.Parallel()
	s, _, _ := steeredSite(t)
	secret := tv(t, s, "box", func(d *client.Draft) { d.Method = oauth.Basic })
	app(t, s, "shop", func(d *client.Draft) { d.Method = oauth.NoAuth })
	shop := app(t, s, "till", nil)
	off := tv(t, s, "off", func(d *client.Draft) { d.Method = oauth.Basic })
	found, err := s.Core.Clients.Fresh(t.Context(), "off")
	if err != nil {
		t.Fatal(err)
	}
	found.Status = client.Disabled
	if _, err := s.Core.Clients.Update(t.Context(), servertest.Operator, found); err != nil {
		t.Fatal(err)
	}
	const path = "/oauth2/device_authorization"
	post := func(body string, headers ...string) servertest.Answer {
		return s.Send(t, http.MethodPost, path, formType, body, headers...)
	}
	for _, c := range []struct {
		what   string
		answer servertest.Answer
		status int
		text   string
	}{
		{"nobody", post("scope=openid"), 401, "invalid_client"},
		{"who is not known", post("client_id=nosuch&scope=openid"), 401, "invalid_client"},
		{"the built-in client", post("client_id=doorward&scope=openid"), 400, "unauthorized_client"},
		{"a public client without the grant", post("client_id=shop&scope=openid"), 400, "unauthorized_client"},
		{"a confidential client without the grant and secret", post("client_id=till&scope=openid"), 401, "invalid_client"},
		{"a confidential client without the grant", post("scope=openid", registered{"till", shop}.basic()...), 400, "unauthorized_client"},
		{"a wrong secret", post("scope=openid", registered{"box", shop}.basic()...), 401, "invalid_client"},
		{"a wrong secret in the body", post("client_id=box&client_secret=wrong&scope=openid"), 401, "invalid_client"},
		{"a client that is disabled", post("client_id=off&scope=openid"), 401, "invalid_client"},
		{"a client that is disabled, with its secret", post("scope=openid", registered{"off", off}.basic()...), 401, "invalid_client"},
		{"more than it may ask for", post("client_id=tv&scope=roles:write"), 400, "invalid_scope"},
		{"another resource", post("client_id=tv&scope=openid&resource=https://nosuch.example"), 400, "invalid_target"},
		{"in the query", s.Send(t, http.MethodPost, path+"?client_id=tv&scope=openid", formType, ""), 401, "invalid_client"},
		{"GET", s.Send(t, http.MethodGet, path+"?client_id=tv", "", ""), 405, "invalid_request"},
		{"without a scope", post("client_id=tv"), 200, "user_code"},
		{"with the secret", post("scope=openid", registered{"box", secret}.basic()...), 200, "user_code"},
		{"without the secret", post("client_id=box&scope=openid"), 200, "user_code"},
	} {
		wants(t, c.what, c.answer, c.status, c.text)
	}
	var last servertest.Answer
	for range 60 {
		last = post("client_id=tv&scope=openid")
	}
	wants(t, "too many", last, 429, "temporarily_unavailable")
}
