package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

func TestAttackAZ032Pushing(t *testing.T) {
	g := set(t)
	shop := registered{"shop", g.secret}
	app(t, g.Site, "spa", func(d *client.Draft) { d.Method = oauth.NoAuth })
	tills := registered{"till", app(t, g.Site, "till", func(d *client.Draft) {
		d.RedirectURIs, d.Grants = nil, []oauth.GrantType{oauth.ClientCredentials}
	})}
	post := func(form string, headers ...string) servertest.Answer {
		return g.Send(t, http.MethodPost, "/oauth2/par", formType, form, headers...)
	}
	good := authorization("shop").Encode()
	for _, c := range []struct {
		what   string
		answer servertest.Answer
		status int
		code   string
	}{
		{"nobody", post(authorization("", "client_id", "").Encode()), 401, "invalid_client"},
		{"a client's id alone", post(good), 401, "invalid_client"},
		{"a wrong secret", post(good, registered{"shop", "wrong"}.basic()...), 401, "invalid_client"},
		{"a wrong secret in the body", post(good + "&client_secret=wrong"), 401, "invalid_client"},
		{"another's secret", post(good, tills.basic()...), 400, "invalid_request"},
		{"who is not known", post(authorization("nosuch").Encode()), 401, "invalid_client"},
		{"a secret of a public client", post(authorization("spa").Encode() + "&client_secret=x"), 401, "invalid_client"},
		{"a client of another grant", tills.push(t, g.Site, "redirect_uri", ""), 400, "invalid_request"},
		{"a request_uri", shop.push(t, g.Site, "request_uri", "https://client.example/request.jwt"), 400, "invalid_request"},
		{"a request_uri of ours", shop.push(t, g.Site, "request_uri", pushedURI(t, shop.push(t, g.Site))), 400, "invalid_request"},
		{"a request object", shop.push(t, g.Site, "request", "e30.e30."), 400, "request_not_supported"},
		{"another redirect URI", shop.push(t, g.Site, "redirect_uri", "https://evil.example/cb"), 400, "invalid_request"},
		{"no response_type", shop.push(t, g.Site, "response_type", ""), 400, "invalid_request"},
		{"another response_type", shop.push(t, g.Site, "response_type", "token"), 400, "unsupported_response_type"},
		{"no PKCE", shop.push(t, g.Site, "code_challenge", "", "code_challenge_method", ""), 400, "invalid_request"},
		{"plain PKCE", shop.push(t, g.Site, "code_challenge_method", "plain"), 400, "invalid_request"},
		{"a scope that it may not have", shop.push(t, g.Site, "scope", "roles:write"), 400, "invalid_scope"},
		{"an API that there is not", shop.push(t, g.Site, "resource", "https://nosuch.example"), 400, "invalid_target"},
		{"a parameter twice", post(good+"&scope=write", shop.basic()...), 400, "invalid_request"},
		{"in the query", g.Send(t, http.MethodPost, "/oauth2/par?"+good, formType, "", shop.basic()...), 400, "invalid_request"},
		{"JSON", g.Send(t, http.MethodPost, "/oauth2/par", jsonType, "{}", shop.basic()...), 415, "invalid_request"},
		{"a megabyte", post(good+"&a="+strings.Repeat("a", 1<<20), shop.basic()...), 413, "invalid_request"},
		{"GET", g.Send(t, http.MethodGet, "/oauth2/par?"+good, "", "", shop.basic()...), 405, "invalid_request"},
	} {
		if c.answer.Status != c.status || c.answer.Error() != c.code || c.answer.Header.Get("Location") != "" {
			t.Errorf("%s: %d %s, want %d %s", c.what, c.answer.Status, c.answer.Body, c.status, c.code)
		}
	}
}

// What was pushed is its client's, for a minute, and for one answer: whoever has the name of
// it, or of none, is sent nowhere.
func TestAttackAZ032Pushed(t *testing.T) {
	var c steered
	g := setAt(t, &c)
	shop := registered{"shop", g.secret}
	app(t, g.Site, "other", nil)
	get := func(place string, headers ...string) servertest.Answer {
		return g.b.Send(t, http.MethodGet, place, "", "", headers...)
	}
	uri := pushedURI(t, shop.push(t, g.Site))
	flipped := uri[:len(uri)-1] + "A"
	if flipped == uri {
		flipped = uri[:len(uri)-1] + "B"
	}
	for what, place := range map[string]string{
		"of another client": sent("other", uri), "of no client": sent("nosuch", uri), "nearly": sent("shop", flipped), "cut short": sent("shop", uri[:len(uri)-1]),
		"longer": sent("shop", uri+"A"), "empty": sent("shop", oauth.PushedPrefix), "no name": sent("shop", oauth.PushedPrefix+"../x\x00"),
		"without a client":                 sent("", uri),
		"where the answer goes to another": sent("shop", flipped, "redirect_uri", callback, "response_type", "code"),
	} {
		stays(t, what, get(place), http.StatusBadRequest)
	}
	if v := answered(t, get(sent("shop", uri)+"&request_uri="+uri)); v.Get("error") != "invalid_request" || v.Has("code") {
		t.Errorf("two: %v", v)
	}
	// What is not ours is refused as ever, to a place that is the client's.
	g.tells(t, "another's request_uri", get(authorizing("shop", "request_uri", "https://client.example/request.jwt")), "request_uri_not_supported")
	// Who looks ahead uses nothing up (RFC 9700, Section 4.12; AZ-040).
	for _, purpose := range []string{"prefetch", "prefetch;prerender"} {
		if a := get(sent("shop", uri), "Sec-Purpose", purpose); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", purpose, a.Status)
		}
	}
	g.b.Send(t, http.MethodHead, sent("shop", uri), "", "")

	// In another browser, which does not finish, nor does it here at first: it is still good.
	stranger := g.Browser(t)
	waiting := stranger.Send(t, http.MethodGet, sent("shop", uri), "", "").Header.Get("Location")
	if !strings.HasPrefix(waiting, "/signin?") {
		t.Fatalf("another browser: %s", waiting)
	}
	if code := answered(t, get(sent("shop", uri))).Get("code"); code == "" {
		t.Error("it is not answered")
	}
	again := get(sent("shop", uri))
	if stays(t, "a second time", again, http.StatusBadRequest); !strings.Contains(again.Body, "it is answered already") {
		t.Errorf("a second time: %s", again.Body)
	}
	// Who began with it before comes too late.
	g.User(t, "ben", "editor")
	a := stranger.Submit(t, waiting, "/signin", "username", "ben", "password", servertest.Password)
	if a = consent(t, stranger, a, "allow"); a.Header.Get("Location") != "" || a.Status != http.StatusNotFound {
		t.Errorf("who finishes second: %d %s", a.Status, a.Header.Get("Location"))
	}

	uri = pushedURI(t, shop.push(t, g.Site))
	c.pass(59 * time.Second)
	if code := answered(t, get(sent("shop", uri))).Get("code"); code == "" {
		t.Error("after 59 seconds it is over")
	}
	uri = pushedURI(t, shop.push(t, g.Site))
	c.pass(time.Minute)
	stays(t, "after a minute", get(sent("shop", uri)), http.StatusBadRequest)

	// It says nothing more than its client may say now.
	uri = pushedURI(t, shop.push(t, g.Site))
	found, err := g.Core.Clients.Fresh(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	found.Status = client.Disabled
	if _, err := g.Core.Clients.Update(t.Context(), servertest.Operator, found); err != nil {
		t.Fatal(err)
	}
	stays(t, "of a client that was disabled since", get(sent("shop", uri)), http.StatusBadRequest)
}

func TestAttackAZ033WithoutPushing(t *testing.T) {
	g := set(t)
	app(t, g.Site, "strict", func(d *client.Draft) { d.RequirePushed, d.SkipConsent = true, true })
	for what, place := range map[string]string{
		"nothing pushed": authorizing("strict"), "an empty request_uri": authorizing("strict", "request_uri", "") + "&request_uri=",
		"with prompt=none": authorizing("strict", "prompt", "none"),
	} {
		g.tells(t, what, g.b.Send(t, http.MethodGet, place, "", ""), "invalid_request")
	}
	_, form, _ := strings.Cut(authorizing("strict"), "?")
	g.tells(t, "by a form", g.b.Send(t, http.MethodPost, "/oauth2/authorize", formType, form), "invalid_request")
	stays(t, "another's request_uri", g.b.Send(t, http.MethodGet, sent("strict", pushedURI(t, registered{"shop", g.secret}.push(t, g.Site))), "", ""), http.StatusBadRequest)
	// What waits since before it was so is not let through either.
	b := g.Browser(t)
	waiting := b.Send(t, http.MethodGet, authorizing("shop"), "", "").Header.Get("Location")
	c, err := g.Core.Clients.Fresh(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	c.RequirePushed = true
	if _, err := g.Core.Clients.Update(t.Context(), servertest.Operator, c); err != nil {
		t.Fatal(err)
	}
	g.tells(t, "one that waited", follow(t, b, b.Submit(t, waiting, "/signin", "username", "ana", "password", servertest.Password)), "invalid_request")
}

// A client may push so many and no more, and what it pushed is gone soon.
func TestAttackAZ034FloodOfPushes(t *testing.T) {
	var c steered
	g := setAt(t, &c)
	db := database(t, g.Site)
	for _, id := range []string{"spa", "beside"} {
		app(t, g.Site, id, func(d *client.Draft) { d.Method = oauth.NoAuth })
	}
	total := 0
	flood := func(what, id string) {
		t.Helper()
		kept, began := 0, time.Now()
		for range 70 {
			switch a := g.Send(t, http.MethodPost, "/oauth2/par", formType, authorization(id).Encode()); {
			case a.Status == http.StatusCreated:
				kept++
			case a.Status != http.StatusTooManyRequests || a.Error() != "temporarily_unavailable" || a.Header.Get("Retry-After") == "":
				t.Fatalf("%d %s %v", a.Status, a.Body, a.Header)
			}
		}
		if most := 61 + int(time.Since(began)/time.Second); kept < 60 || kept > most { // one more each second
			t.Errorf("%s: %d were kept, want 60 to %d", what, kept, most)
		}
		total += kept
	}
	flood("one, from one network", "spa")
	// Neither another in that network nor who proves himself waits for it.
	flood("another", "beside")
	pushedURI(t, registered{"shop", g.secret}.push(t, g.Site))
	if n := number(t, db, "SELECT COUNT(*) FROM pushed_requests"); n != total+1 {
		t.Errorf("%d are kept of %d", n, total+1)
	}
	c.pass(time.Minute)
	flood("after a minute", "spa")
	c.pass(2 * time.Hour)
	for more := true; more; {
		var err error
		if more, err = g.Core.Store.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, db, "SELECT COUNT(*) FROM pushed_requests"); n != 0 {
		t.Errorf("%d are left", n)
	}
}
