package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/servertest"
)

const ordersAPI = "https://orders.example.com"

// registerAPI registers an API that knows permissions.
func registerAPI(t *testing.T, s *servertest.Site, root, id, identifier string, more map[string]any, permissions ...string) {
	t.Helper()
	body := map[string]any{"id": id, "identifier": identifier}
	for name, value := range more {
		body[name] = value
	}
	list := []map[string]any{}
	for _, p := range permissions {
		list = append(list, map[string]any{"name": p, "description": "What " + p + " does"})
	}
	body["permissions"] = list
	if a := s.Call(t, root, "POST", "/resources", body); a.Status != http.StatusCreated || a.Header.Get("Location") != s.URL+"/resources/"+id || a.Header.Get("ETag") == "" {
		t.Fatalf("registering %v: %d %s", body, a.Status, a.Body)
	}
}

// algorithm returns what a token says that it is signed with.
func algorithm(t *testing.T, token string) string {
	t.Helper()
	header, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Alg string }
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatal(err)
	}
	return h.Alg
}

// verifies returns what an API's own guard says of a token.
func verifies(t *testing.T, s *servertest.Site, audience, token string) error {
	t.Helper()
	g, err := guard.New(s.URL, guard.Audience(audience))
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Verify(t.Context(), token)
	return err
}

// A token for an API carries what the API knows of what its user holds, lives as long
// as the API says, is signed as it says, and is good there and nowhere else. A refresh
// follows what is registered then.
func TestResourceTokens(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "clerk", "orders:read", "orders:write", "stock:read")
		makeRole(t, s, "refunder", "orders:refund")
		s.User(t, "ann", "clerk")
		registerAPI(t, s, root, "orders", ordersAPI, map[string]any{"access_ttl": 120, "signing_alg": "EdDSA"}, "orders:write", "orders:read", "orders:refund")
		registerAPI(t, s, root, "stock", "urn:stock", nil, "stock:read")

		orders := s.Login(t, "ann", "resource", ordersAPI)
		if c := payload(t, orders.Access); c["aud"] != ordersAPI || orders.Scope != "orders:read orders:write" || c["scope"] != orders.Scope || orders.Expires != 120 ||
			c["exp"].(float64)-c["iat"].(float64) != 120 || algorithm(t, orders.Access) != "EdDSA" {
			t.Errorf("for orders it carries %v, lives %d and is signed with %s", c, orders.Expires, algorithm(t, orders.Access))
		}
		stock := s.Login(t, "ann", "resource", "urn:stock")
		if stock.Scope != "stock:read" || stock.Expires != 900 || algorithm(t, stock.Access) != "ES256" {
			t.Errorf("for stock it carries %q, lives %d and is signed with %s", stock.Scope, stock.Expires, algorithm(t, stock.Access))
		}
		if all := s.Login(t, "ann"); all.Scope != "orders:read orders:write stock:read" || payload(t, all.Access)["aud"] != s.URL {
			t.Errorf("for this server it carries %q", all.Scope)
		}
		if err := verifies(t, s, ordersAPI, orders.Access); err != nil {
			t.Errorf("orders refuses its token: %v", err)
		}
		if err := verifies(t, s, "urn:stock", orders.Access); err == nil {
			t.Error("stock takes the token for orders")
		}
		if a := s.Call(t, orders.Access, "GET", "/users/me", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("this server takes it: %d", a.Status)
		}

		for scope, want := range map[string]string{
			"orders:read stock:read": "orders:read", "openid orders:refund": "openid", "openid stock:read orders:write": "openid orders:write",
		} {
			if got := s.Login(t, "ann", "resource", ordersAPI, "scope", scope).Scope; got != want {
				t.Errorf("%q gives %q, want %q", scope, got, want)
			}
		}
		for _, scope := range []string{"stock:read", "orders:refund"} { // what the API does not know, what she does not hold
			if a := s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "resource", ordersAPI, "scope", scope); a.Error() != "invalid_scope" {
				t.Errorf("%q: %d %s", scope, a.Status, a.Body)
			}
		}

		if a := s.Call(t, root, "PATCH", "/resources/orders", map[string]any{"permissions": []map[string]any{{"name": "orders:read"}}, "access_ttl": 60, "signing_alg": nil}); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		if a := s.Refresh(t, orders.Refresh, "resource", "urn:stock"); a.Error() != "invalid_target" {
			t.Errorf("a refresh for another API: %d %s", a.Status, a.Body)
		}
		s.Refresh(t, orders.Refresh, "resource", ordersAPI).JSON(t, &orders)
		if orders.Scope != "orders:read" || orders.Expires != 60 || payload(t, orders.Access)["aud"] != ordersAPI || algorithm(t, orders.Access) != "ES256" {
			t.Errorf("after the change it carries %q, lives %d and is signed with %s", orders.Scope, orders.Expires, algorithm(t, orders.Access))
		}
		if a := s.Call(t, root, "DELETE", "/resources/orders", nil); a.Status != http.StatusNoContent {
			t.Fatal(a.Body)
		}
		if a := s.Refresh(t, orders.Refresh); a.Status != http.StatusBadRequest || a.Error() != "invalid_target" {
			t.Errorf("a refresh for what is gone: %d %s", a.Status, a.Body)
		}
		if a := s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "resource", ordersAPI); a.Error() != "invalid_target" {
			t.Errorf("a sign-in for what is gone: %d %s", a.Status, a.Body)
		}
	})
}

// A service gets a token for an API only if it may ask for something there; and the
// API, which is a client, learns what a token for it says, as long as it is registered
// and nothing that the token carries was taken from it.
func TestResourceClientsAndIntrospection(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "clerk", "orders:read", "orders:write", "stock:read")
		s.User(t, "ann", "clerk")
		registerAPI(t, s, root, "orders", ordersAPI, nil, "orders:read", "orders:write")
		billing := register(t, s, root, map[string]any{"client_id": "billing", "scope": "orders:read stock:read"}, "clerk")
		idle := register(t, s, root, map[string]any{"client_id": "idle", "scope": "orders:write"})
		stranger := register(t, s, root, map[string]any{"client_id": "stranger", "scope": "stock:read"}, "clerk")
		nothing := register(t, s, root, map[string]any{"client_id": "nothing"}, "clerk")
		api := register(t, s, root, map[string]any{"client_id": "orders-api", "audiences": []string{ordersAPI}})
		other := register(t, s, root, map[string]any{"client_id": "other-api", "audiences": []string{"urn:stock"}})

		of := billing.token(t, s, "resource", ordersAPI)
		if of.Scope != "orders:read" || payload(t, of.Access)["aud"] != ordersAPI {
			t.Errorf("billing gets %+v", payload(t, of.Access))
		}
		for who, c := range map[string]struct {
			registered
			want string
			more []string
		}{
			"billing, for what the API does not know": {billing, "invalid_scope", []string{"scope", "stock:read"}},
			"who holds nothing there":                 {idle, "invalid_scope", nil},
			"who may ask for nothing there":           {stranger, "invalid_target", nil},
			"who may ask for nothing":                 {nothing, "invalid_target", nil},
			"the API itself":                          {api, "invalid_target", nil},
		} {
			if a := c.post(t, s, "/oauth2/token", append([]string{"grant_type", "client_credentials", "resource", ordersAPI}, c.more...)...); a.Status != http.StatusBadRequest || a.Error() != c.want {
				t.Errorf("%s: %d %s", who, a.Status, a.Body)
			}
		}
		hers := s.Login(t, "ann", "resource", ordersAPI)
		if told := api.introspects(t, s, hers.Access); told["active"] != true || told["scope"] != "orders:read orders:write" || told["username"] != "ann" || !slices.Equal(told["aud"].([]any), []any{ordersAPI}) {
			t.Errorf("the API is told %v", told)
		}
		if told := other.introspects(t, s, hers.Access); told["active"] != false {
			t.Errorf("another is told %v", told)
		}
		if a := s.Call(t, root, "PATCH", "/resources/orders", map[string]any{"permissions": []map[string]any{{"name": "orders:read"}}}); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		for _, token := range []string{hers.Access, of.Access} {
			if told := api.introspects(t, s, token); told["active"] != false {
				t.Errorf("after the API narrowed: %v", told)
			}
		}
		again := billing.token(t, s, "resource", ordersAPI)
		if told := api.introspects(t, s, again.Access); told["active"] != true {
			t.Errorf("a new one: %v", told)
		}
		if a := billing.post(t, s, "/oauth2/revoke", "token", again.Access); a.Status != http.StatusOK {
			t.Errorf("revoking: %d %s", a.Status, a.Body)
		}
		if told := api.introspects(t, s, again.Access); told["active"] != false {
			t.Errorf("a revoked one: %v", told)
		}
		last := billing.token(t, s, "resource", ordersAPI).Access
		if a := s.Call(t, root, "DELETE", "/resources/orders", nil); a.Status != http.StatusNoContent {
			t.Fatal(a.Body)
		}
		if told := api.introspects(t, s, last); told["active"] != false {
			t.Errorf("after the API is gone: %v", told)
		}
		registerAPI(t, s, root, "orders", ordersAPI, nil, "orders:read")
		if told := api.introspects(t, s, last); told["active"] != false {
			t.Errorf("after another is registered in its place: %v", told)
		}
	})
}

// The keys of an algorithm that an API chose are published, stay what all others are
// not signed with, and survive the longest of its tokens.
func TestResourceKeys(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	registerAPI(t, s, root, "bank", "urn:bank", map[string]any{"access_ttl": 86400, "signing_alg": "RS256"}, "read")
	token := s.Login(t, servertest.Admin, "resource", "urn:bank").Access
	if err := verifies(t, s, "urn:bank", token); err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ Alg string } }
	if s.Send(t, "GET", "/oauth2/jwks", "", "").JSON(t, &set); len(set.Keys) != 2 {
		t.Errorf("published are %v", set.Keys)
	}
	for range 2 { // the second makes the first retire
		if _, err := s.Core.Keys.RotateFor(t.Context(), servertest.Operator, "RS256", 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := verifies(t, s, "urn:bank", token); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if err := verifies(t, s, "urn:bank", s.Login(t, servertest.Admin, "resource", "urn:bank").Access); err != nil {
		t.Errorf("a new token: %v", err)
	}
	if alg := algorithm(t, s.Login(t, servertest.Admin).Access); alg != "ES256" {
		t.Errorf("other tokens are signed with %s", alg)
	}
	if kept, err := s.Core.Store.LongestToken(t.Context()); err != nil || kept < 24*time.Hour {
		t.Errorf("keys are kept for %s, %v", kept, err)
	}
}

// Whether a permission may be used at an API is asked with the API: what that does
// not know is no permission there.
func TestResourceDecisions(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	makeRole(t, s, "clerk", "orders:read", "stock:read")
	s.User(t, "ann", "clerk")
	registerAPI(t, s, root, "orders", ordersAPI, nil, "orders:read", "orders:write")
	for _, c := range []struct {
		resource, permission string
		allowed              bool
		narrowed, reason     string
	}{
		{ordersAPI, "orders:read", true, "", ""},
		{s.URL, "stock:read", true, "", ""},
		{ordersAPI, "stock:read", false, "resource", "does not know"},
		{ordersAPI, "orders:write", false, "", "No role holds"},
		{"urn:nosuch", "orders:read", false, "", "no such resource"},
		{"orders", "orders:read", false, "", "no such resource"},
		{strings.Repeat("x", 600), "orders:read", false, "", "no such resource"},
	} {
		question := map[string]any{"subject": "user:ann", "permission": c.permission, "resource": c.resource}
		var e, d explanation
		s.Call(t, root, "POST", "/access/explain", question).JSON(t, &e)
		s.Call(t, root, "POST", "/access/check", question).JSON(t, &d)
		if e.Allowed != c.allowed || d.Allowed != c.allowed || e.NarrowedBy != c.narrowed || !strings.Contains(e.Reason, c.reason) || c.allowed == (e.Reason != "") || c.allowed == (e.Path == nil) {
			t.Errorf("%v: %+v, %+v", question, e, d)
		}
	}
}
