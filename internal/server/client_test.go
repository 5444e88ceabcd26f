package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// registered is a client and its secret.
type registered struct{ id, secret string }

// register registers a client over the API and gives it roles.
func register(t *testing.T, s *servertest.Site, root string, body map[string]any, roles ...string) registered {
	t.Helper()
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	a := s.Call(t, root, "POST", "/clients", body)
	if a.Status != http.StatusCreated || a.Header.Get("Location") == "" || a.Header.Get("ETag") == "" {
		t.Fatalf("registering %v: %d %s", body, a.Status, a.Body)
	}
	a.JSON(t, &made)
	if _, ok := client.ParseSecret(made.Secret); !ok {
		t.Fatalf("the secret is %q", made.Secret)
	}
	for _, role := range roles {
		if a := s.Call(t, root, "POST", "/clients/"+made.ID+"/roles", map[string]any{"role": role}); a.Status != http.StatusCreated {
			t.Fatalf("giving %s to %s: %d %s", role, made.ID, a.Status, a.Body)
		}
	}
	return registered{made.ID, made.Secret}
}

// basic is the header in which a client proves who it is.
func (r registered) basic() []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(r.id)+":"+url.QueryEscape(r.secret)))}
}

// post sends a form as a client, with its secret in the header.
func (r registered) post(t *testing.T, s *servertest.Site, path string, pairs ...string) servertest.Answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return s.Send(t, "POST", path, "application/x-www-form-urlencoded", v.Encode(), r.basic()...)
}

// token returns an access token of a client for itself.
func (r registered) token(t *testing.T, s *servertest.Site, pairs ...string) servertest.Tokens {
	t.Helper()
	a := r.post(t, s, "/oauth2/token", append([]string{"grant_type", "client_credentials"}, pairs...)...)
	if a.Status != http.StatusOK {
		t.Fatalf("%s is refused a token: %d %s", r.id, a.Status, a.Body)
	}
	var tokens servertest.Tokens
	a.JSON(t, &tokens)
	return tokens
}

// introspects asks as a client about a token.
func (r registered) introspects(t *testing.T, s *servertest.Site, token string) map[string]any {
	t.Helper()
	a := r.post(t, s, "/oauth2/introspect", "token", token)
	if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s may not ask: %d %s", r.id, a.Status, a.Body)
	}
	var answer map[string]any
	a.JSON(t, &answer)
	if answer["active"] != true && a.Body != `{"active":false}` {
		t.Errorf("of a token that is not active it is said: %s", a.Body)
	}
	return answer
}

// payload returns the claims of a token, unproved.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %s", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// makeRole makes a role past the API.
func makeRole(t *testing.T, s *servertest.Site, name string, permissions ...string) {
	t.Helper()
	if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, rbac.Role{Name: name, Permissions: permissions}); err != nil {
		t.Fatal(err)
	}
}

// A service gets tokens for itself with a library that knows nothing of us, and
// what they carry is what was asked for, what it is registered for and what its
// roles allow.
func TestClientCredentials(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "orders", "orders:read", "orders:write", "users:read")
		billing := register(t, s, root, map[string]any{"client_id": "billing.v2", "client_name": "Billing", "scope": "orders:read users:read stock:read", "default_scope": "orders:read"}, "orders")
		for name, style := range map[string]oauth2.AuthStyle{"found out": oauth2.AuthStyleAutoDetect, "header": oauth2.AuthStyleInHeader} {
			c := clientcredentials.Config{ClientID: billing.id, ClientSecret: billing.secret, TokenURL: s.URL + "/oauth2/token", AuthStyle: style}
			token, err := c.Token(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if token.TokenType != "Bearer" || token.RefreshToken != "" || token.Extra("scope") != "orders:read" || time.Until(token.Expiry) < 10*time.Minute {
				t.Errorf("%s: %+v, scope %v", name, token, token.Extra("scope"))
			}
		}
		claims := payload(t, billing.token(t, s, "scope", "users:read stock:read").Access)
		if claims["sub"] != billing.id || claims["client_id"] != billing.id || claims["scope"] != "users:read" || claims["aud"] != s.URL || claims["fam"] == "" {
			t.Errorf("the claims are %v", claims)
		}
		for _, absent := range []string{"auth_time", "acr", "amr", "sid"} {
			if _, there := claims[absent]; there {
				t.Errorf("a client that signed in by nothing has %s: %v", absent, claims[absent])
			}
		}
		for scope, want := range map[string]string{"orders:write": "invalid_scope", "nosuch": "invalid_scope", "stock:read": "invalid_scope", "openid": "invalid_scope"} {
			if a := billing.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "scope", scope); a.Status != http.StatusBadRequest || a.Error() != want {
				t.Errorf("scope %s: %d %s", scope, a.Status, a.Body)
			}
		}
		if a := billing.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "resource", "https://else.example.com"); a.Error() != "invalid_target" {
			t.Errorf("another resource: %d %s", a.Status, a.Body)
		}
		access := billing.token(t, s, "scope", "users:read").Access
		if a := s.Call(t, access, "GET", "/users", nil); a.Status != http.StatusOK {
			t.Errorf("a service with users:read: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, access, "POST", "/users", map[string]any{"username": "x"}); a.Status != http.StatusForbidden {
			t.Errorf("a service without users:write: %d %s", a.Status, a.Body)
		}
		for _, personal := range []string{"GET /users/me", "PATCH /users/me", "POST /users/me/password"} {
			method, path, _ := strings.Cut(personal, " ")
			var body any
			if method != "GET" {
				body = map[string]any{}
			}
			if method == "POST" {
				body = map[string]any{"current_password": "x", "new_password": "y"}
			}
			if a := s.Call(t, access, method, path, body); a.Status < 400 || a.Status > 499 {
				t.Errorf("a service is no person, and %s: %d %s", personal, a.Status, a.Body)
			}
		}
		if a := s.Call(t, root, "DELETE", "/clients/"+billing.id+"/roles/orders", nil); a.Status != http.StatusNoContent {
			t.Fatalf("taking its role: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, access, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("after its role was taken: %d %s", a.Status, a.Body)
		}
	})
}

// Who may know what a token says: the client that it was issued to, and the API that
// it is for. Anybody else, and of any other token, hears that it is not active.
func TestIntrospection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "orders", "orders:read")
		worker := register(t, s, root, map[string]any{"client_id": "worker", "scope": "orders:read"}, "orders")
		api := register(t, s, root, map[string]any{"client_id": "api", "audiences": []string{s.URL}})
		other := register(t, s, root, map[string]any{"client_id": "other", "audiences": []string{"https://other.example.com"}})
		token := worker.token(t, s).Access
		for _, who := range []registered{worker, api} {
			if a := who.introspects(t, s, token); a["active"] != true || a["scope"] != "orders:read" || a["client_id"] != "worker" || a["sub"] != "worker" ||
				a["token_type"] != "Bearer" || a["iss"] != s.URL || a["exp"] == nil || a["jti"] == nil || a["username"] != nil {
				t.Errorf("%s hears %v", who.id, a)
			}
		}
		ann := s.User(t, "ann", "viewer")
		signedIn := s.Login(t, "ann")
		if a := api.introspects(t, s, signedIn.Access); a["active"] != true || a["username"] != "ann" || a["sub"] != ann.ID || a["client_id"] != "doorward" {
			t.Errorf("of a user's token it is said: %v", a)
		}
		if a := worker.introspects(t, s, signedIn.Access); a["active"] != false {
			t.Errorf("the worker hears of ann's token: %v", a)
		}
		for what, text := range map[string]string{"another's": token, "a refresh token": signedIn.Refresh, "nonsense": "x", "a cut one": token[:len(token)-2], "long": strings.Repeat("x", 9000)} {
			if a := other.introspects(t, s, text); a["active"] != false {
				t.Errorf("%s: %v", what, a)
			}
		}
		// A token that is revoked is not active for anybody.
		if a := other.post(t, s, "/oauth2/revoke", "token", token); a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("revoking another's: %d %s", a.Status, a.Body)
		}
		if a := api.introspects(t, s, token); a["active"] != true {
			t.Errorf("another client revoked it: %v", a)
		}
		if a := worker.post(t, s, "/oauth2/revoke", "token", token, "token_type_hint", "refresh_token"); a.Status != http.StatusOK {
			t.Errorf("revoking: %d %s", a.Status, a.Body)
		}
		if a := api.introspects(t, s, token); a["active"] != false {
			t.Errorf("after it was revoked: %v", a)
		}
		if a := s.Call(t, token, "GET", "/users/me", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("after it was revoked: %d", a.Status)
		}
		signsOut := worker.token(t, s).Access
		if a := s.Call(t, signsOut, "POST", "/auth/logout", nil); a.Status != http.StatusNoContent {
			t.Errorf("a service signs out: %d %s", a.Status, a.Body)
		}
		if a := api.introspects(t, s, signsOut); a["active"] != false {
			t.Errorf("after it signed out: %v", a)
		}
		// The built-in client has no secret: who holds its tokens may end them.
		if a := s.Form(t, "/oauth2/revoke", "client_id", "doorward", "token", signedIn.Access); a.Status != http.StatusOK {
			t.Errorf("revoking ann's: %d %s", a.Status, a.Body)
		}
		if a := s.Refresh(t, signedIn.Refresh); a.Error() != "invalid_grant" {
			t.Errorf("ann's family after its access token was revoked: %d %s", a.Status, a.Body)
		}
		again := s.Login(t, "ann")
		if a := worker.post(t, s, "/oauth2/revoke", "token", again.Refresh); a.Status != http.StatusOK {
			t.Errorf("revoking another's refresh token: %d %s", a.Status, a.Body)
		}
		if a := s.Refresh(t, again.Refresh); a.Status != http.StatusOK {
			t.Errorf("another client ended ann's family: %d %s", a.Status, a.Body)
		}
	})
}

// A client that is disabled gets nothing, and what it got is void, also once it is
// enabled again; two secrets work beside each other for as long as was said.
func TestClientLife(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "reader", "users:read")
		c := register(t, s, root, map[string]any{"client_id": "job", "scope": "users:read"}, "reader")
		before := c.token(t, s).Access
		change := func(patch map[string]any, headers ...string) servertest.Answer {
			t.Helper()
			return s.Call(t, root, "PATCH", "/clients/job", patch, headers...)
		}
		if a := change(map[string]any{"status": "disabled"}, "If-Match", `"7"`); a.Status != http.StatusPreconditionFailed {
			t.Errorf("of another version: %d %s", a.Status, a.Body)
		}
		if a := change(map[string]any{"status": "disabled"}); a.Status != http.StatusOK {
			t.Fatalf("disabling: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, before, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("the token of a disabled client: %d", a.Status)
		}
		if a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials"); a.Status != http.StatusUnauthorized || a.Error() != "invalid_client" {
			t.Errorf("a disabled client: %d %s", a.Status, a.Body)
		}
		if a := change(map[string]any{"status": "active"}); a.Status != http.StatusOK {
			t.Fatalf("enabling: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, before, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("a token from before it was disabled: %d", a.Status)
		}
		if a := s.Call(t, c.token(t, s).Access, "GET", "/users", nil); a.Status != http.StatusOK {
			t.Errorf("a token from after: %d %s", a.Status, a.Body)
		}
		rotate := func(body map[string]any) registered {
			t.Helper()
			a := s.Call(t, root, "POST", "/clients/job/rotate-secret", body)
			var made struct {
				Secret string `json:"client_secret"`
			}
			if a.JSON(t, &made); a.Status != http.StatusOK || made.Secret == "" {
				t.Fatalf("rotating: %d %s", a.Status, a.Body)
			}
			return registered{"job", made.Secret}
		}
		second := rotate(map[string]any{})
		c.token(t, s)
		second.token(t, s)
		third := rotate(map[string]any{"overlap": 0})
		third.token(t, s)
		for _, old := range []registered{c, second} {
			if a := old.post(t, s, "/oauth2/token", "grant_type", "client_credentials"); a.Status != http.StatusUnauthorized {
				t.Errorf("a secret from before: %d %s", a.Status, a.Body)
			}
		}
		last := third.token(t, s).Access
		if a := s.Call(t, root, "DELETE", "/clients/job", nil); a.Status != http.StatusNoContent {
			t.Fatalf("deleting: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, last, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("a token of a client that is gone: %d", a.Status)
		}
		if a := s.Call(t, root, "GET", "/clients/job", nil); a.Status != http.StatusNotFound {
			t.Errorf("a client that is gone: %d", a.Status)
		}
	})
}
