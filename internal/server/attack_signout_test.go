package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
)

const (
	logoutPage = "/oauth2/logout"
	parted     = "https://client.example/bye"
)

// partings is a site with the application shop, which may have people sent to parted.
func partings(t *testing.T) *servertest.Site {
	t.Helper()
	s := servertest.Start(t, servertest.Options{})
	for _, id := range []string{"shop", "other"} {
		app(t, s, id, func(d *client.Draft) {
			d.SkipConsent, d.Method = true, "none"
			if id == "shop" {
				d.PostLogoutRedirectURIs = []string{parted, parted + "?from=shop"}
			}
		})
	}
	return s
}

// arrives signs somebody in to an application, and returns what it has then.
func arrives(t *testing.T, b *servertest.Browser, name, app string) granted {
	t.Helper()
	b.Login(t, name)
	var g granted
	a := redeem(t, b.Site, app, "", code(t, b, authorizing(app)))
	a.JSON(t, &g)
	if g.ID == "" {
		t.Fatalf("there is no ID token: %d %s", a.Status, a.Body)
	}
	return g
}

// leaves asks to sign out, as an application sends people.
func leaves(t *testing.T, b *servertest.Browser, pairs ...string) servertest.Answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	from := b.From
	b.From = "cross-site"
	defer func() { b.From = from }()
	return b.Send(t, http.MethodGet, logoutPage+"?"+v.Encode(), "", "")
}

// here reports whether a browser is signed in.
func here(t *testing.T, b *servertest.Browser) bool {
	t.Helper()
	return b.Send(t, http.MethodGet, "/account", "", "").Status == http.StatusOK
}

// An application that shows whom it means signs him out at once, with all that came of the
// session, and has him back (OpenID Connect RP-Initiated Logout 1.0, Sections 2 and 3).
func TestLogoutForAnApplication(t *testing.T) {
	t.Parallel()
	s := partings(t)
	s.User(t, "ana", "editor")
	b := s.Browser(t)
	g := arrives(t, b, "ana", "shop")
	a := leaves(t, b, "id_token_hint", g.ID, "post_logout_redirect_uri", parted+"?from=shop", "state", "a b&c", "client_id", "shop")
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != parted+"?from=shop&state=a+b%26c" || here(t, b) {
		t.Errorf("%d %s, signed in: %t", a.Status, a.Header.Get("Location"), here(t, b))
	}
	wants(t, "its access token", s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil), 401, "")
	wants(t, "its refresh token", s.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", g.Refresh, "client_id", "shop"), 400, "invalid_grant")
	if a = leaves(t, b, "id_token_hint", g.ID, "post_logout_redirect_uri", parted); a.Header.Get("Location") != parted {
		t.Errorf("once more: %d %s", a.Status, a.Header.Get("Location"))
	}

	// Without a place to go to there is a page; and a form that it posts comes without cookies.
	g = arrives(t, b, "ana", "shop")
	a = s.Send(t, http.MethodPost, logoutPage, formType, url.Values{"id_token_hint": {g.ID}, "ui_locales": {"de"}}.Encode(), "Origin", "https://client.example", "Sec-Fetch-Site", "cross-site")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), logoutPage+"?") {
		t.Fatalf("posted: %d %s", a.Status, a.Body)
	}
	wants(t, "posted", b.Send(t, http.MethodGet, a.Header.Get("Location"), "", ""), 200, "Abgemeldet")
	if here(t, b) {
		t.Error("who was signed out by a form is signed in")
	}
}

// Nobody is signed out by a link alone, nor by a hint of somebody else, nor by one that
// this server did not sign (SES-004).
func TestAttackSES004ForcedLogout(t *testing.T) {
	t.Parallel()
	s := partings(t)
	s.User(t, "ana", "editor")
	s.User(t, "eve", "editor")
	eve := arrives(t, s.Browser(t), "eve", "shop").ID
	b := s.Browser(t)
	g := arrives(t, b, "ana", "shop")
	parts := strings.Split(g.ID, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	for what, hint := range map[string]string{
		"no hint": "", "other user": eve, "alg none": none, "another signature": parts[0] + "." + parts[1] + "." + strings.Split(eve, ".")[2],
		"an access token": g.Access, "no token": "x.y.z", "the payload of another": parts[0] + "." + strings.Split(eve, ".")[1] + "." + parts[2],
	} {
		for _, place := range []string{"", parted} {
			a := leaves(t, b, "id_token_hint", hint, "client_id", "shop", "post_logout_redirect_uri", place)
			if a.Header.Get("Location") != "" || !strings.Contains(a.Body, `id="signout"`) || !here(t, b) {
				t.Errorf("%s: %d %s, signed in: %t", what, a.Status, a.Header.Get("Location"), here(t, b))
			}
		}
	}
	// Without the session's cookie, as an image comes, there is nobody to sign out.
	s.Send(t, http.MethodGet, logoutPage+"?id_token_hint="+g.ID, "", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "image")
	b.Send(t, http.MethodGet, logoutPage+"?id_token_hint="+g.ID, "", "", "Sec-Purpose", "prefetch")
	b.Send(t, http.MethodHead, logoutPage+"?id_token_hint="+g.ID, "", "")
	for what, a := range map[string]servertest.Answer{
		"another site's form":          b.Send(t, http.MethodPost, logoutPage+"/confirm", formType, "", "Origin", "https://evil.example"),
		"a form without its token":     b.Send(t, http.MethodPost, logoutPage+"/confirm", formType, "form=x"),
		"in the name of another":       leaves(t, b, "id_token_hint", g.ID, "client_id", "other"),
		"a parameter that comes twice": b.Send(t, http.MethodGet, logoutPage+"?client_id=shop&client_id=other", "", ""),
	} {
		if !here(t, b) {
			t.Fatalf("%s: %d: she is signed out", what, a.Status)
		}
	}
	if a := b.Submit(t, logoutPage, logoutPage+"/confirm"); a.Status != http.StatusSeeOther || here(t, b) {
		t.Errorf("when she agrees: %d, signed in: %t", a.Status, here(t, b))
	}
	wants(t, "its access token", s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil), 401, "")
	wants(t, "when nobody is signed in", leaves(t, b), 200, `id="signed-out"`)
}

// Nobody is sent to a place that is not registered byte by byte for the application that
// shows an ID token (SES-005).
func TestAttackSES005WhereTo(t *testing.T) {
	t.Parallel()
	s := partings(t)
	s.User(t, "ana", "editor")
	b := s.Browser(t)
	shop, other := arrives(t, b, "ana", "shop").ID, arrives(t, s.Browser(t), "ana", "other").ID
	for _, signedIn := range []bool{true, false} {
		for _, place := range []string{
			"https://evil.example/", parted + "/", parted + "?", parted + "#x", parted + "/../bye", strings.ToUpper(parted), "http://client.example/bye", "//client.example/bye",
			"https://client.example:443/bye", "https://client.example@evil.example/bye", callback, "javascript:alert(1)", parted + "\r\nX: y", " " + parted, "/account",
		} {
			if a := leaves(t, b, "id_token_hint", shop, "post_logout_redirect_uri", place); a.Header.Get("Location") != "" || a.Status != http.StatusBadRequest {
				t.Errorf("%q: %d %s", place, a.Status, a.Header.Get("Location"))
			}
		}
		for what, a := range map[string]servertest.Answer{
			"another client's token":        leaves(t, b, "id_token_hint", other, "post_logout_redirect_uri", parted),
			"another client's, in its name": leaves(t, b, "id_token_hint", other, "client_id", "shop", "post_logout_redirect_uri", parted),
			"a client's name alone":         leaves(t, b, "client_id", "shop", "post_logout_redirect_uri", parted),
			"nobody's":                      leaves(t, b, "post_logout_redirect_uri", parted),
			"a client that there is not":    leaves(t, b, "client_id", "nosuch", "post_logout_redirect_uri", parted),
		} {
			if a.Header.Get("Location") != "" || a.Status != http.StatusBadRequest || strings.Contains(a.Body, "client.example") {
				t.Errorf("%s: %d %s", what, a.Status, a.Header.Get("Location"))
			}
		}
		if here(t, b) != signedIn {
			t.Fatal("who was signed in is not")
		}
		if signedIn {
			b.Submit(t, logoutPage, logoutPage+"/confirm")
		}
	}
	for _, uri := range []string{"javascript:alert(1)", "http://client.example/bye", "https://client.example/#x", "/bye", "data:text/html,x", `https://client.example/"><script>`} {
		d := client.Draft{ID: "bad", Registration: client.Registration{PostLogoutRedirectURIs: []string{uri}}}
		if _, _, err := s.Core.Clients.Create(t.Context(), servertest.Operator, d); err == nil {
			t.Errorf("%s is registered", uri)
			_ = s.Core.Clients.Delete(t.Context(), servertest.Operator, "bad", 0)
		}
	}
}
