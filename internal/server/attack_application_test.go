package server_test

import (
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// What a person may do with his own account without any permission is his to do: no
// application does it for him, nor learns past userinfo who he is.
func TestAttackApplicationsAreNotThePerson(t *testing.T) {
	g := set(t)
	tokens := earns(t, "a code", g.redeem(t, g.code(t, "scope", "openid")))
	session := payload(t, tokens.Access)["sid"].(string)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "/users/me", nil},
		{http.MethodPatch, "/users/me", map[string]any{"name": "Mallory"}},
		{http.MethodPost, "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": "a new passphrase of mallory"}},
		{http.MethodGet, "/sessions", nil},
		{http.MethodDelete, "/sessions/" + session, nil},
		{http.MethodGet, "/api-keys", nil},
		{http.MethodPost, "/api-keys", map[string]any{"name": "x", "scopes": []string{}, "expires_in": 3600}},
	} {
		if a := g.Call(t, tokens.Access, c.method, c.path, c.body); a.Status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
	}
	if !g.good(t, tokens.Access) {
		t.Error("it was ended")
	}
	wide := earns(t, "with profile and email", g.redeem(t, g.code(t, "scope", "openid profile email")))
	if a := g.Call(t, wide.Access, http.MethodGet, "/users/me", nil); a.Status != http.StatusOK {
		t.Errorf("what the scopes tell: %d %s", a.Status, a.Body)
	}
}

// Whatever becomes of an application's tokens, the person stays signed in.
func TestAttackApplicationsSignNobodyOut(t *testing.T) {
	g := set(t)
	for what, end := range map[string]func(granted) servertest.Answer{
		"its refresh token revoked": func(o granted) servertest.Answer {
			return g.Send(t, http.MethodPost, "/oauth2/revoke", formType, "token="+o.Refresh, basicOf("shop:"+g.secret)...)
		},
		"its access token revoked": func(o granted) servertest.Answer {
			return g.Send(t, http.MethodPost, "/oauth2/revoke", formType, "token="+o.Access, basicOf("shop:"+g.secret)...)
		},
		"its refresh token signed out": func(o granted) servertest.Answer {
			return g.Form(t, "/auth/logout", "refresh_token", o.Refresh)
		},
		"its access token signed out": func(o granted) servertest.Answer {
			return g.Call(t, o.Access, http.MethodPost, "/auth/logout", nil)
		},
		"its refresh token used twice": func(o granted) servertest.Answer {
			g.token(t, "grant_type", "refresh_token", "refresh_token", o.Refresh)
			g.token(t, "grant_type", "refresh_token", "refresh_token", o.Refresh)
			return servertest.Answer{}
		},
	} {
		o := earns(t, what, g.redeem(t, g.code(t)))
		if a := end(o); a.Status >= 300 {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		if g.good(t, o.Access) {
			t.Errorf("%s: it is good", what)
		}
		if who(t, g.b) != "ana" {
			t.Fatalf("%s: ana is signed out", what)
		}
	}
}
