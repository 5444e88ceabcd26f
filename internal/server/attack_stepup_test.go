package server_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/servertest"
)

// An API that wants a recent sign-in says so, the application sends the person to sign in
// again, and the next token is good there; nothing else makes it so (RFC 9470). What a token
// says of the sign-in is what it was, whatever was asked for (MFA-011).
func TestAttackMFA011StepUp(t *testing.T) {
	t.Parallel()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ana", "editor")
	app(t, s, "shop", func(d *client.Draft) {
		d.SkipConsent, d.Method, d.DefaultACR = true, "none", []string{"urn:example:gold"}
	})
	judge := register(t, s, s.Login(t, servertest.Admin).Access, map[string]any{"client_id": "judge", "audiences": []string{s.URL}})
	g, err := guard.New(s.URL, guard.Audience(s.URL), guard.Now(s.Core.Clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	api := func(token string, needs ...guard.Requirement) (status int, challenge string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/pay", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		g.Require(append(needs, guard.Permission("read"))...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		return w.Code, w.Header().Get("WWW-Authenticate")
	}
	recent := []guard.Requirement{guard.MaxAge(5 * time.Minute), guard.ACR(issue.ACR)}
	good := func(what string, token granted, want bool) {
		t.Helper()
		status, challenge := api(token.Access, recent...)
		if want && status != http.StatusOK || !want && (status != http.StatusUnauthorized || !strings.Contains(challenge, `error="insufficient_user_authentication"`)) {
			t.Errorf("%s: %d %s", what, status, challenge)
		}
	}
	b := s.Browser(t)
	first := arrives(t, b, "ana", "shop")
	good("a new one", first, true)
	c.pass(10 * time.Minute)
	good("later", first, false)
	_, challenge := api(first.Access, recent...)
	param := func(name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(challenge)
		if m == nil {
			t.Fatalf("there is no %s in %s", name, challenge)
		}
		return m[1]
	}
	if param("max_age") != "300" || param("acr_values") != issue.ACR {
		t.Errorf("it asks by %s", challenge)
	}
	var renewed granted
	s.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", first.Refresh, "client_id", "shop").JSON(t, &renewed)
	good("a refresh", renewed, false)
	good("another code of the same sign-in", visits(t, b, "shop"), false)
	stepUp := authorizing("shop", "max_age", param("max_age"), "acr_values", param("acr_values"))
	if v := answered(t, b.Send(t, http.MethodGet, stepUp+"&prompt=none", "", "")); v.Get("error") != "login_required" {
		t.Errorf("silently: %v", v)
	}
	door := b.Send(t, http.MethodGet, stepUp, "", "").Header.Get("Location")
	if !strings.HasPrefix(door, "/signin?") {
		t.Fatalf("it leads to %s", door)
	}
	v := answered(t, follow(t, b, b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password)))
	var fresh granted
	redeem(t, s, "shop", "", v.Get("code")).JSON(t, &fresh)
	good("after a sign-in", fresh, true)
	if was, is := payload(t, first.Access)["auth_time"].(float64), payload(t, fresh.Access)["auth_time"].(float64); is < was+600 || payload(t, fresh.ID)["auth_time"] != is {
		t.Errorf("signed in at %v, and then at %v", was, is)
	}
	if a := judge.introspects(t, s, fresh.Access); a["acr"] != issue.ACR || a["auth_time"] != payload(t, fresh.Access)["auth_time"] {
		t.Errorf("introspection says %v (RFC 9470, Section 6.2)", a)
	}

	// A class that nobody reaches is not claimed; where it is essential, it is refused.
	for what, pairs := range map[string][]string{
		"wanted": {"acr_values", "urn:example:mfa " + issue.ACR}, "by default": {},
		"not essential": {"claims", `{"id_token":{"acr":{"value":"urn:example:mfa"}}}`},
		"one of two":    {"claims", `{"id_token":{"acr":{"essential":true,"values":["urn:example:mfa","` + issue.ACR + `"]}}}`},
	} {
		var g granted
		redeem(t, s, "shop", "", code(t, b, authorizing("shop", pairs...))).JSON(t, &g)
		if payload(t, g.ID)["acr"] != issue.ACR || payload(t, g.Access)["acr"] != issue.ACR {
			t.Errorf("%s: the tokens say %v and %v", what, payload(t, g.ID)["acr"], payload(t, g.Access)["acr"])
		}
		if status, challenge := api(g.Access, guard.ACR("urn:example:mfa")); status != http.StatusUnauthorized || !strings.Contains(challenge, `acr_values="urn:example:mfa"`) {
			t.Errorf("%s: %d %s", what, status, challenge)
		}
	}
	for _, claims := range []string{`{"id_token":{"acr":{"essential":true,"value":"urn:example:mfa"}}}`, `{"id_token":{"acr":{"essential":true,"values":["a","b"]}}}`} {
		if v := answered(t, b.Send(t, http.MethodGet, authorizing("shop", "claims", claims), "", "")); v.Get("error") != "unmet_authentication_requirements" || v.Get("code") != "" {
			t.Errorf("%s: %v", claims, v)
		}
	}
	for _, odd := range []any{[]string{""}, []string{"a b"}, []string{"a\n"}, []string{strings.Repeat("a", 201)}, make([]string, 11)} {
		a := s.Call(t, s.Login(t, servertest.Admin).Access, http.MethodPost, "/clients", map[string]any{"redirect_uris": []string{callback}, "default_acr_values": odd})
		wants(t, "by default", a, 400, "default_acr_values")
	}
}
