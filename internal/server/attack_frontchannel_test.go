package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
)

var frame = regexp.MustCompile(`<iframe src="([^"]*)"`)

// framed returns what a page loads in frames, and what its policy lets it.
func framed(a servertest.Answer) (frames []string, policy string) {
	for _, m := range frame.FindAllStringSubmatch(a.Body, -1) {
		frames = append(frames, html.UnescapeString(m[1]))
	}
	for directive := range strings.SplitSeq(a.Header.Get("Content-Security-Policy"), "; ") {
		if rest, ok := strings.CutPrefix(directive, "frame-src "); ok {
			policy = rest
		}
	}
	return frames, policy
}

// framing is a site with applications that are signed out in frames, and ana in a browser
// who is signed in to them: shop and forum are, quiet is not, unseen was not signed in to.
func framing(t *testing.T) (*servertest.Site, *servertest.Browser, granted) {
	t.Helper()
	s := servertest.Start(t, servertest.Options{})
	for id, at := range map[string]string{"shop": "https://client.example/bye?from=a%26b", "forum": "https://forum.example:8443/bye", "quiet": "", "unseen": "https://client.example/unseen"} {
		app(t, s, id, func(d *client.Draft) {
			d.SkipConsent, d.Method, d.PostLogoutRedirectURIs = true, "none", []string{parted}
			d.RedirectURIs = append(d.RedirectURIs, "https://forum.example:8443/cb")
			d.FrontchannelLogoutURI, d.FrontchannelLogoutSessionRequired = at, id == "shop"
		})
	}
	s.User(t, "ana", "editor")
	b := s.Browser(t)
	g := arrives(t, b, "ana", "quiet")
	visits(t, b, "forum")
	visits(t, b, "shop")
	return s, b, g
}

// Who is signed out for an application, or by himself, is signed out of the others in frames,
// and goes on, with and without scripts (OpenID Connect Front-Channel Logout 1.0).
func TestFrontchannelLogout(t *testing.T) {
	t.Parallel()
	s, b, g := framing(t)
	want := []string{"https://forum.example:8443/bye", "https://client.example/bye?from=a%26b&" + url.Values{"iss": {s.URL}, "sid": {payload(t, g.ID)["sid"].(string)}}.Encode()}
	const origins = "https://forum.example:8443 https://client.example"
	for _, page := range []string{"/signin", "/account", logoutPage} {
		if frames, policy := framed(b.Send(t, http.MethodGet, page, "", "")); frames != nil || policy != "" {
			t.Errorf("%s frames %q by the policy %q", page, frames, policy)
		}
	}
	a := leaves(t, b, "id_token_hint", g.ID, "post_logout_redirect_uri", parted, "state", "a&b", "ui_locales", "de")
	wants(t, "for an application", a, 200, "Weiter")
	if frames, policy := framed(a); !slices.Equal(frames, want) || policy != origins || here(t, b) {
		t.Errorf("it frames %q by the policy %q, want %q", frames, policy, want)
	}
	if to := parted + "?state=a%26b"; a.Header.Get("Refresh") != "5;url="+to || !strings.Contains(a.Body, `href="`+html.EscapeString(to)+`" id="continue"`) {
		t.Errorf("it goes on to %q\n%s", a.Header.Get("Refresh"), a.Body)
	}
	if a = leaves(t, b, "id_token_hint", g.ID, "post_logout_redirect_uri", parted); a.Status != http.StatusSeeOther {
		t.Errorf("when nobody is signed in: %d", a.Status)
	}

	// Whichever way he signs out himself, he stays here.
	for _, way := range [][2]string{{"/account", "/account/signout"}, {"/account", "/account/forget"}, {logoutPage, logoutPage + "/confirm"}} {
		b.Login(t, "ana")
		visits(t, b, "forum")
		a := b.Submit(t, way[0], way[1])
		if frames, policy := framed(a); !slices.Equal(frames, want[:1]) || policy != "https://forum.example:8443" || a.Header.Get("Refresh") != "" || here(t, b) {
			t.Errorf("%s: %d, it frames %q by the policy %q", way[1], a.Status, frames, policy)
		}
		wants(t, way[1], a, 200, "You are signed out")
		if cleared := strings.Contains(a.Header.Get("Clear-Site-Data"), "cookies"); cleared != (way[1] == "/account/forget") {
			t.Errorf("%s clears %s", way[1], a.Header.Get("Clear-Site-Data"))
		}
		b.Login(t, "ana")
		visits(t, b, "quiet")
		if a := b.Submit(t, way[0], way[1]); a.Status != http.StatusSeeOther {
			t.Errorf("%s without frames: %d", way[1], a.Status)
		}
	}
}

// A page frames nothing but what is of the origin of a redirect URI, whatever somebody
// registers (SES-008).
func TestAttackSES008FrameInjection(t *testing.T) {
	t.Parallel()
	s, b, _ := framing(t)
	root := s.Login(t, servertest.Admin).Access
	for _, place := range []string{
		"javascript:alert(1)", "https://other.example/bye", `https://client.example/"><script>`, "https://client.example/'; script-src *", "http://client.example/bye", "https://client.example:444/", "data:text/html,x", "//client.example/", "https://*.example/", "https://client.example/bye#x",
	} {
		a := s.Call(t, root, http.MethodPost, "/clients", map[string]any{"redirect_uris": []string{callback}, "frontchannel_logout_uri": place})
		wants(t, place, a, 400, "frontchannel_logout_uri")
	}
	// Nor does it go to another origin later, when the redirect URI is taken away.
	a := s.Call(t, root, http.MethodPatch, "/clients/forum", map[string]any{"redirect_uris": []string{callback}})
	wants(t, "without its redirect URI", a, 400, "frontchannel_logout_uri")
	// Who is disabled, or wants it no more, is framed no more.
	for id, change := range map[string]map[string]any{"forum": {"status": "disabled"}, "shop": {"frontchannel_logout_uri": nil, "frontchannel_logout_session_required": nil}} {
		wants(t, id, s.Call(t, root, http.MethodPatch, "/clients/"+id, change), 200, "")
	}
	if a := b.Submit(t, "/account", "/account/signout"); a.Status != http.StatusSeeOther {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// The names of sessions are never used again: in one browser each person's tokens are of his
// own, also those that go on without the session (SES-009).
func TestAttackSES009SessionsOfApplications(t *testing.T) {
	t.Parallel()
	s := partings(t)
	s.User(t, "ann", "editor")
	s.User(t, "bob", "editor")
	b := s.Browser(t)
	b.Login(t, "ann")
	var offline granted
	redeem(t, s, "shop", "", code(t, b, authorizing("shop", "scope", "openid offline_access read"))).JSON(t, &offline)
	seen := map[any]string{payload(t, offline.ID)["sid"]: "ann offline"}
	see := func(what string, g granted) {
		t.Helper()
		sid := payload(t, g.ID)["sid"]
		if sid == nil || seen[sid] != "" {
			t.Errorf("%s: the session %v, which was of %q", what, sid, seen[sid])
		}
		seen[sid] = what
	}
	ann := visits(t, b, "other")
	if payload(t, ann.ID)["sid"] != payload(t, offline.ID)["sid"] {
		t.Error("one sign-in has two names")
	}
	b.Submit(t, "/account", "/account/signout")
	bob := arrives(t, b, "bob", "shop")
	see("bob", bob)
	b.Login(t, "ann") // without a sign-out
	see("ann again", visits(t, b, "shop"))
	var on granted
	s.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", offline.Refresh, "client_id", "shop").JSON(t, &on)
	if c := payload(t, on.ID); c["sid"] != nil || c["sub"] != payload(t, offline.ID)["sub"] {
		t.Errorf("what goes on without the session says %v", c)
	}
	if _, ok := seen[payload(t, on.Access)["sid"]]; ok {
		t.Error("what goes on without the session is of one")
	}
	wants(t, "bob's, once ann is signed in", s.Call(t, bob.Access, http.MethodGet, "/oauth2/userinfo", nil), 401, "")
}

// With a session its tokens end, at once and everywhere here, but for those that were given
// to go on without it (OpenID Connect Back-Channel Logout 1.0, Section 2.7).
func TestTokensEndWithTheSession(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		makeRole(t, s, "own", "users:read")
		ana := s.User(t, "ana", "editor", "own")
		root := s.Login(t, servertest.Admin).Access
		for _, id := range []string{"shop", "offline"} {
			app(t, s, id, func(d *client.Draft) { d.SkipConsent, d.Method, d.Scopes = true, "none", []string{"users:read"} })
		}
		judge := register(t, s, root, map[string]any{"client_id": "judge", "audiences": []string{s.URL}})
		ends := map[string]func(b *servertest.Browser, sid string){
			"an administrator": func(_ *servertest.Browser, sid string) { s.Call(t, root, http.MethodDelete, "/sessions/"+sid, nil) },
			"a sign-out":       func(b *servertest.Browser, _ string) { b.Submit(t, "/account", "/account/signout") },
			"another sign-in":  func(b *servertest.Browser, _ string) { b.Login(t, servertest.Admin) },
		}
		for what, end := range ends {
			b := s.Browser(t)
			b.Login(t, "ana")
			var g, on granted
			redeem(t, s, "shop", "", code(t, b, authorizing("shop", "scope", "openid users:read"))).JSON(t, &g)
			redeem(t, s, "offline", "", code(t, b, authorizing("offline", "scope", "openid offline_access users:read"))).JSON(t, &on)
			good := func(access string) []bool {
				return []bool{
					s.Call(t, access, http.MethodGet, "/oauth2/userinfo", nil).Status == 200, s.Call(t, access, http.MethodGet, "/users/"+ana.ID, nil).Status == 200,
					judge.introspects(t, s, access)["active"] == true,
				}
			}
			if got := good(g.Access); slices.Contains(got, false) {
				t.Fatalf("%s: before it the token is good %v", what, got)
			}
			end(b, payload(t, g.ID)["sid"].(string))
			if got := good(g.Access); slices.Contains(got, true) {
				t.Errorf("%s: after it the token is good %v", what, got)
			}
			wants(t, what, s.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", g.Refresh, "client_id", "shop"), 400, "invalid_grant")
			if got := good(on.Access); slices.Contains(got, false) {
				t.Errorf("%s: after it what goes on without is good %v", what, got)
			}
			wants(t, what, s.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", on.Refresh, "client_id", "offline"), 200, "id_token")
		}
	})
}
