package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// What is no good access token of this server for this client buys nothing, and why is
// not told (RFC 8693, Section 2.2.2).
func TestAttackTOK036Exchange(t *testing.T) {
	t.Parallel()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	x := newTrade(t, s)
	source := x.signedIn(t)
	claims := payload(t, source)
	with := func(name string, value any) map[string]any {
		changed := map[string]any{}
		for n, v := range claims {
			changed[n] = v
		}
		changed[name] = value
		return changed
	}
	both := s.Login(t, "ann", "resource", gatewayAPI)
	revoked := x.signedIn(t)
	if a := s.Form(t, "/oauth2/revoke", "client_id", "doorward", "token", revoked); a.Status != http.StatusOK {
		t.Fatal(a)
	}
	key := keyOf(t, s, servertest.Operator, x.ann.ID, "orders:read")
	x.allow(t, "gateway", client.APIKeys, ordersAPI, true)
	elsewhere := keyFrom(t, s, servertest.Operator, apikey.Draft{Owner: principal.Owner{Kind: principal.User, ID: x.ann.ID}, Scopes: []string{"orders:read"}, Resources: []string{"urn:stock"}})
	nets, err := apikey.ParseNetworks([]string{"198.51.100.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	bound := keyFrom(t, s, servertest.Operator, apikey.Draft{Owner: principal.Owner{Kind: principal.User, ID: x.ann.ID}, Scopes: []string{"orders:read"}, Networks: nets})
	for what, subject := range map[string]string{
		"a refresh token": both.Refresh, "a revoked one": revoked, "nonsense": "x", "a cut one": source[:len(source)-2],
		"an ID token":           signed(t, s, "JWT", claims),
		"another kind of JWT":   signed(t, s, "logout+jwt", claims),
		"one that has expired":  signed(t, s, "at+jwt", with("exp", time.Now().Add(-time.Hour).Unix())),
		"one of another issuer": signed(t, s, "at+jwt", with("iss", "https://evil.example.com")),
		"one for another API":   s.Login(t, "ann", "resource", ordersAPI).Access,
		"one bound to a key":    signed(t, s, "at+jwt", with("cnf", map[string]any{"jkt": "x"})),
		"one for another actor": signed(t, s, "at+jwt", with("may_act", map[string]any{"sub": "orders"})),
		"one for a strange one": signed(t, s, "at+jwt", with("may_act", "gateway")),
		"a key as a token":      key.text,
	} {
		a := x.acting(t, x.gateway, subject, "subject_token_type", string(oauth.AccessToken))
		noTrade(t, what, a, "invalid_request")
		if strings.Contains(a.Body, "expired") || strings.Contains(a.Body, "revoked") {
			t.Errorf("%s: it is told why: %s", what, a.Body)
		}
	}
	for what, subject := range map[string]string{
		"a token as a key": source, "a wrong key": sealedKey(key.id, strings.Repeat("0", 43)), "a key for another API": elsewhere.text, "a key from somewhere": bound.text,
	} {
		noTrade(t, what, x.asks(t, x.gateway, subject, "subject_token_type", string(oauth.APIKey)), "invalid_request")
	}
	noTrade(t, "a key from elsewhere", x.asks(t, x.gateway, bound.text, "address", "192.0.2.1"), "invalid_request")
	traded(t, x.asks(t, x.gateway, bound.text, "address", "198.51.100.7"))
	traded(t, x.acting(t, x.gateway, signed(t, s, "at+jwt", with("may_act", map[string]any{"sub": "gateway"}))))

	for what, tt := range map[string]struct {
		more []string
		code string
	}{
		"no subject":              {[]string{"subject_token", ""}, "invalid_request"},
		"no type":                 {[]string{"subject_token_type", ""}, "invalid_request"},
		"a SAML assertion":        {[]string{"subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"},
		"as an ID token":          {[]string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"},
		"for a refresh token":     {[]string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"},
		"for an ID token":         {[]string{"requested_token_type", "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"},
		"for an API key":          {[]string{"requested_token_type", string(oauth.APIKey)}, "invalid_request"},
		"no actor's type":         {[]string{"actor_token_type", ""}, "invalid_request"},
		"a type without an actor": {[]string{"actor_token", ""}, "invalid_request"},
		"a key that acts":         {[]string{"actor_token", key.text, "actor_token_type", string(oauth.APIKey)}, "invalid_request"},
		"no target":               {[]string{"resource", ""}, "invalid_target"},
		"two targets":             {[]string{"audience", "urn:stock"}, "invalid_target"},
		"a target that is none":   {[]string{"resource", "", "audience", "orders"}, "invalid_target"},
		"an unknown target":       {[]string{"resource", "urn:nosuch"}, "invalid_target"},
		"a target past the rules": {[]string{"resource", gatewayAPI}, "invalid_target"},
		"this server itself":      {[]string{"resource", s.URL}, "invalid_target"},
		"more scope":              {[]string{"scope", "orders:read admin"}, "invalid_scope"},
	} {
		noTrade(t, what, x.acting(t, x.gateway, source, tt.more...), tt.code)
	}
	noTrade(t, "in the place of the subject", x.asks(t, x.gateway, source), "invalid_request")
	noTrade(t, "as who acts, the subject", x.asks(t, x.gateway, source, "actor_token", source, "actor_token_type", string(oauth.JWT)), "invalid_request")
	noTrade(t, "as who acts, another client", x.asks(t, x.gateway, source, "actor_token", x.orders.token(t, s).Access, "actor_token_type", string(oauth.JWT)), "invalid_request")
	noTrade(t, "as who acts, nonsense", x.asks(t, x.gateway, source, "actor_token", "x", "actor_token_type", string(oauth.JWT)), "invalid_request")
	made := traded(t, x.acting(t, x.gateway, source))
	noTrade(t, "as who acts, an exchanged token", x.asks(t, x.gateway, x.signedIn(t), "actor_token", made, "actor_token_type", string(oauth.JWT)), "invalid_request")

	plain := register(t, s, x.root, map[string]any{"client_id": "plain", "scope": "orders:read", "audiences": []string{gatewayAPI}}, "clerk")
	noTrade(t, "a client without the grant", x.acting(t, plain, source), "unauthorized_client")
	if a := s.Form(t, "/oauth2/token", "grant_type", exchange, "client_id", "doorward", "subject_token", source, "subject_token_type", string(oauth.JWT), "resource", ordersAPI); a.Error() != "unauthorized_client" {
		t.Errorf("the built-in client: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, x.root, "POST", "/clients", map[string]any{"client_id": "public", "token_endpoint_auth_method": "none", "grant_types": []string{exchange}}); a.Status != http.StatusBadRequest {
		t.Errorf("a public client with the grant: %d %s", a.Status, a.Body)
	}
	// The source's last second is not stretched.
	short := signed(t, s, "at+jwt", with("exp", time.Now().Add(20*time.Second).Unix()))
	if p := payload(t, traded(t, x.acting(t, x.gateway, short))); p["exp"].(float64) > float64(time.Now().Add(20*time.Second).Unix()) {
		t.Errorf("it outlives its source: %v", p)
	}
	c.pass(21 * time.Second) // within the leeway
	noTrade(t, "in the leeway after its end", x.acting(t, x.gateway, short), "invalid_request")
}

// A rule is about where tokens come from: of another client, or of the same subject by
// another way, nothing is exchanged.
func TestAttackTOK037ExchangeFromElsewhere(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	x.allow(t, "gateway", "client:gateway", "urn:stock", true)
	own := x.orders.token(t, s, "resource", gatewayAPI).Access // orders' own, for the gateway
	noTrade(t, "of another client", x.acting(t, x.gateway, own), "invalid_request")
	noTrade(t, "an API key", x.asks(t, x.gateway, keyOf(t, s, servertest.Operator, x.ann.ID, "orders:read").text), "invalid_request")
	noTrade(t, "for the API of another rule", x.acting(t, x.gateway, x.signedIn(t), "resource", "urn:stock"), "invalid_scope")
	stock := x.trader(t, "stock", "stock:read", "urn:stock")
	noTrade(t, "by another client than the rule's", x.acting(t, stock, s.Login(t, "ann", "resource", "urn:stock").Access, "resource", "urn:stock"), "invalid_request")
	// An API key in the place of its owner is not his token, nor the other way round.
	x.allow(t, "gateway", client.APIKeys, ordersAPI, true)
	noTrade(t, "the rule for keys, with a token", x.asks(t, x.gateway, x.signedIn(t)), "invalid_request")
}

// No chain of exchanges leads back, or goes on for ever, nor does it hide who acted.
func TestAttackTOK038ChainOfExchanges(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	x.allow(t, "orders", "client:gateway", gatewayAPI, true)
	x.allow(t, "gateway", "client:orders", ordersAPI, true)
	first := traded(t, x.acting(t, x.gateway, x.signedIn(t)))
	second := traded(t, x.asks(t, x.orders, first, "resource", gatewayAPI)) // in the place of ann
	if c := payload(t, second); fmt.Sprint(c["act"]) != "map[sub:gateway]" || c["scope"] != "orders:read" || c["exp"].(float64) > payload(t, first)["exp"].(float64) {
		t.Errorf("who acted before is hidden, or it grew: %v", c)
	}
	noTrade(t, "a loop", x.acting(t, x.gateway, second), "invalid_request")
	noTrade(t, "a loop in the place of the subject", x.asks(t, x.gateway, second), "invalid_request")

	claims := payload(t, x.signedIn(t))
	var via []string
	for n := range 5 {
		via = append(via, grant.ViaClient(fmt.Sprint("c", n)), grant.ViaFamily(fmt.Sprint("f", n)))
	}
	claims["via"] = via[:8]
	traded(t, x.acting(t, x.gateway, signed(t, s, "at+jwt", claims)))
	claims["via"] = via
	noTrade(t, "a chain too long", x.acting(t, x.gateway, signed(t, s, "at+jwt", claims)), "invalid_request")
	for _, bad := range []any{[]string{"else:x"}, []string{"key:x"}, []string{"key:x.y"}, []string{""}, "client:x", 7} {
		claims["via"] = bad
		noTrade(t, fmt.Sprintf("having come through %v", bad), x.acting(t, x.gateway, signed(t, s, "at+jwt", claims)), "invalid_request")
	}
	delete(claims, "via")
	for _, depth := range []int{3, 40} {
		act := map[string]any{"sub": "x"}
		for range depth {
			act = map[string]any{"sub": "x", "act": act}
		}
		claims["act"] = act
		a := x.acting(t, x.gateway, signed(t, s, "at+jwt", claims))
		if depth == 3 {
			traded(t, a)
		} else {
			noTrade(t, "actors nested without an end", a, "invalid_request")
		}
	}
}

// Whatever ends what a token was exchanged from, or who exchanged it, ends it; and what
// was taken away before is not exchanged.
func TestAttackExchangedTokenEndsWithItsSource(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	x.allow(t, "gateway", client.APIKeys, ordersAPI, true)
	x.allow(t, "orders", "client:gateway", gatewayAPI, true)
	by := servertest.Operator
	call := func(method, path string, body any) {
		t.Helper()
		if a := s.Call(t, s.Login(t, servertest.Admin).Access, method, path, body); a.Status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
	}
	user := "/users/" + x.ann.ID
	login, key, actor := "", held{}, ""
	// Each ends what is exchanged from a token, from a key, or both; what undoes it comes
	// after.
	for _, tt := range []struct {
		what         string
		token, byKey bool // which of the two end
		do, undo     func()
	}{
		{"the sign-in ends", true, false, func() { s.Form(t, "/oauth2/revoke", "client_id", "doorward", "token", login) }, nil},
		{"who acts revokes his token", true, false, func() { x.gateway.post(t, s, "/oauth2/revoke", "token", actor) }, nil},
		{"the key is revoked", false, true, func() { _ = s.Core.APIKeys.Revoke(t.Context(), by, key.id, 0) }, nil},
		{"the key gets another secret", false, true, func() { _, _, _ = s.Core.APIKeys.Rotate(t.Context(), by, key.id, apikey.Rotation{Overlap: time.Hour}) }, nil},
		{"the key loses a scope", false, true, func() {
			if k, err := s.Core.APIKeys.Fresh(t.Context(), key.id); err == nil {
				k.Scopes = []string{}
				_, _ = s.Core.APIKeys.Update(t.Context(), by, k)
			}
		}, nil},
		{"the user loses a role", true, true, func() { call("DELETE", user+"/roles/clerk", nil) }, func() { call("POST", user+"/roles", map[string]any{"role": "clerk"}) }},
		{"the user is disabled", true, true, func() { call("PATCH", user, map[string]any{"status": "disabled"}) }, func() { call("PATCH", user, map[string]any{"status": "active"}) }},
		{
			"the role loses a permission", true, true, func() { call("PUT", "/roles/clerk", map[string]any{"permissions": []string{"stock:read"}}) },
			func() {
				call("PUT", "/roles/clerk", map[string]any{"permissions": []string{"orders:read", "orders:write", "stock:read"}})
			},
		},
		{
			"the API loses a permission", true, true, func() {
				call("PATCH", "/resources/orders", map[string]any{"permissions": []any{map[string]any{"name": "orders:write"}}})
			},
			func() {
				call("PATCH", "/resources/orders", map[string]any{"permissions": []any{map[string]any{"name": "orders:read"}, map[string]any{"name": "orders:write"}}})
			},
		},
		{
			"the client loses a scope", true, true, func() { call("PATCH", "/clients/gateway", map[string]any{"scope": "orders:write"}) },
			func() { call("PATCH", "/clients/gateway", map[string]any{"scope": "orders:read orders:write"}) },
		},
		{
			"the client loses the grant", true, true, func() {
				call("PATCH", "/clients/gateway", map[string]any{"grant_types": []string{"client_credentials"}})
			},
			func() {
				call("PATCH", "/clients/gateway", map[string]any{"grant_types": []string{"client_credentials", exchange}})
			},
		},
		{
			"the client is disabled", true, true, func() { call("PATCH", "/clients/gateway", map[string]any{"status": "disabled"}) },
			func() { call("PATCH", "/clients/gateway", map[string]any{"status": "active"}) },
		},
	} {
		login = x.signedIn(t)
		key = keyOf(t, s, by, x.ann.ID, "orders:read")
		actor = x.gateway.token(t, s).Access
		fromToken := traded(t, x.asks(t, x.gateway, login, "actor_token", actor, "actor_token_type", string(oauth.JWT), "scope", "orders:read"))
		chained := traded(t, x.asks(t, x.orders, fromToken, "resource", gatewayAPI))
		fromKey := traded(t, x.asks(t, x.gateway, key.text))
		tt.do()
		for what, now := range map[string]struct{ good, want bool }{
			"from a token": {x.good(t, fromToken), !tt.token}, "from that": {x.knows(t, chained), !tt.token}, "from a key": {x.good(t, fromKey), !tt.byKey},
		} {
			if now.good != now.want {
				t.Errorf("%s, and what was exchanged %s is good: %v", tt.what, what, now.good)
			}
		}
		if tt.token && tt.what != "who acts revokes his token" {
			if a := x.again(t, login, key.text, tt.byKey); slices.Contains(a, http.StatusOK) {
				t.Errorf("%s, and it is exchanged: %v", tt.what, a)
			}
		}
		if tt.undo != nil {
			tt.undo()
			if x.good(t, fromToken) || x.good(t, fromKey) {
				t.Errorf("%s, and when it is undone what was exchanged is good again", tt.what)
			}
		}
	}
	// Who exchanged a token may end it, and nothing else.
	login = x.signedIn(t)
	made := traded(t, x.acting(t, x.gateway, login))
	if a := x.gateway.post(t, s, "/oauth2/revoke", "token", made); a.Status != http.StatusOK || x.good(t, made) {
		t.Errorf("revoking it: %d %s", a.Status, a.Body)
	}
	if a := x.gateway.introspects(t, s, login); a["active"] != true {
		t.Error("and ann is signed out")
	}
}

// knows reports whether the gateway hears that a token is active.
func (x *trade) knows(t *testing.T, token string) bool {
	t.Helper()
	a := x.gateway.post(t, x.Site, "/oauth2/introspect", "token", token) // it may be disabled
	return a.Status == http.StatusOK && a.Body != `{"active":false}`
}

// again returns how it is answered to exchange a token for what it could read, and a
// key if that is meant to have ended.
func (x *trade) again(t *testing.T, token, key string, andKey bool) []int {
	t.Helper()
	more := []string{"scope", "orders:read"}
	list := []int{x.asks(t, x.gateway, token, more...).Status}
	if andKey {
		list = append(list, x.asks(t, x.gateway, key, more...).Status)
	}
	return list
}

// An exchanged token for this server's own API does there what its scope says, and makes
// no credentials, so that nothing outlives it; signing out with it ends it alone.
func TestAttackExchangedTokenMintsNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	makeRole(t, s, "helper", "users:read", "users:write", "clients:write", "keys:write")
	s.User(t, "bea", "helper")
	desk := x.trader(t, "desk", "users:read users:write clients:write keys:write", s.URL)
	x.allow(t, "desk", "client:doorward", s.URL, true)
	bea := s.Login(t, "bea")
	made := traded(t, x.asks(t, desk, bea.Access, "resource", s.URL))
	if a := s.Call(t, made, "GET", "/users", nil); a.Status != http.StatusOK {
		t.Errorf("what its scope says: %d %s", a.Status, a.Body)
	}
	for _, mints := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/api-keys", map[string]any{"name": "k", "scopes": []string{"users:read"}, "expires_in": 3600}},
		{"POST", "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": "another one of mine"}},
		{"PATCH", "/users/me", map[string]any{"name": "x"}},
		{"GET", "/sessions", nil},
		{"POST", "/clients", map[string]any{"client_id": "mine"}},
		{"POST", "/clients/orders/rotate-secret", map[string]any{}},
		{"POST", "/clients/orders/exchanges", map[string]any{"from": "api-keys", "resource": ordersAPI}},
		{"POST", "/users", map[string]any{"username": "eve", "password": "a password of eve's"}},
	} {
		if a := s.Call(t, made, mints.method, mints.path, mints.body); a.Status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", mints.method, mints.path, a.Status, a.Body)
		}
	}
	if a := s.Call(t, made, "POST", "/auth/logout", nil); a.Status != http.StatusNoContent {
		t.Errorf("signing out: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, made, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
		t.Errorf("after that: %d", a.Status)
	}
	if a := s.Refresh(t, bea.Refresh); a.Status != http.StatusOK {
		t.Errorf("and bea is signed out: %d %s", a.Status, a.Body)
	}
}

// Nobody lets a client do in others' names what he may not do himself.
func TestAttackExchangeRuleGivesNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	makeRole(t, s, "keeper", "clients:read", "clients:write", "orders:read")
	s.User(t, "kim", "keeper")
	kim := s.Login(t, "kim").Access
	rule := map[string]any{"from": "api-keys", "resource": ordersAPI, "impersonation": true}
	for id, want := range map[string]int{"gateway": http.StatusForbidden, "orders": http.StatusForbidden} { // both have the role clerk, above kim
		if a := s.Call(t, kim, "POST", "/clients/"+id+"/exchanges", rule); a.Status != want {
			t.Errorf("%s: %d %s", id, a.Status, a.Body)
		}
	}
	reads := map[string]any{"client_id": "reads", "scope": "orders:read", "grant_types": []string{exchange}}
	writes := map[string]any{"client_id": "writes", "scope": "orders:read orders:write", "grant_types": []string{exchange}}
	register(t, s, x.root, reads)
	register(t, s, x.root, writes)
	for id, want := range map[string]int{"reads": http.StatusCreated, "writes": http.StatusForbidden} {
		if a := s.Call(t, kim, "POST", "/clients/"+id+"/exchanges", rule); a.Status != want {
			t.Errorf("%s: %d %s", id, a.Status, a.Body)
		}
	}
	// Nor does he widen a client that has a rule.
	if a := s.Call(t, kim, "PATCH", "/clients/reads", map[string]any{"scope": "orders:read orders:write"}); a.Status != http.StatusForbidden {
		t.Errorf("widening it: %d %s", a.Status, a.Body)
	}
}

// No exchange yields more than its source: whatever the scopes, the roles, the client and
// the API are, what is issued is in all of them, and in what was asked for.
func TestExchangeNeverYieldsMore(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	words := []string{"a:1", "a:2", "a:3", "a:4", "a:5", "a:6"}
	some := func(seed int) (list []string) { // a part of the words, by the bits of a number
		for i, w := range words {
			if seed>>i&1 == 1 {
				list = append(list, w)
			}
		}
		return list
	}
	all := some(63)
	makeRole(t, s, "varied", all...)
	registerAPI(t, s, x.root, "in", "urn:in", nil, all...)
	registerAPI(t, s, x.root, "out", "urn:out", nil, all...)
	register(t, s, x.root, map[string]any{"client_id": "varies", "scope": strings.Join(all, " "), "audiences": []string{"urn:in"}, "grant_types": []string{exchange}})
	c, text, err := s.Core.Clients.RotateSecret(t.Context(), servertest.Operator, "varies", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	caller := registered{c.ID, text.Reveal()}
	x.allow(t, c.ID, "client:doorward", "urn:out", true)
	x.allow(t, c.ID, client.APIKeys, "urn:out", true)
	vera := s.User(t, "vera", "varied")
	next, issued := uint32(1), 0
	draw := func() int { // every part comes up, in an order of no meaning
		next = next*1664525 + 1013904223
		return int(next >> 26)
	}
	many := func() int { first := draw(); return first | draw() }
	for range 40 {
		source, registration, knows, holds, ask := some(many()), some(many()|1), some(many()), some(many()), some(draw()*(draw()&1))
		role := func(permissions []string) {
			if _, err := s.Core.Roles.ReplaceRole(t.Context(), servertest.Operator, rbac.Role{Name: "varied", Permissions: permissions}); err != nil {
				t.Fatal(err)
			}
		}
		role(all)
		subject := keyOf(t, s, servertest.Operator, vera.ID, source...).text
		if next&1 == 0 && len(source) > 0 {
			subject = s.Login(t, "vera", "resource", "urn:in", "scope", strings.Join(source, " ")).Access
		}
		now, err := s.Core.Clients.Fresh(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		now.Scopes = registration
		if _, err := s.Core.Clients.Update(t.Context(), servertest.Operator, now); err != nil {
			t.Fatal(err)
		}
		var permissions []any
		for _, p := range knows {
			permissions = append(permissions, map[string]any{"name": p})
		}
		if a := s.Call(t, x.root, "PATCH", "/resources/out", map[string]any{"permissions": append([]any{}, permissions...)}); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		role(holds)
		a := x.asks(t, caller, subject, "resource", "urn:out", "scope", strings.Join(ask, " "))
		if a.Status != http.StatusOK {
			continue
		}
		issued++
		got := payload(t, traded(t, a))
		if got["sub"] != vera.ID || got["aud"] != "urn:out" || got["client_id"] != c.ID {
			t.Errorf("it is %v", got)
		}
		for scope := range strings.FieldsSeq(got["scope"].(string)) {
			for what, list := range map[string][]string{"source": source, "client": registration, "API": knows, "roles": holds, "request": ask} {
				if !slices.Contains(list, scope) && (what != "request" || len(ask) > 0) {
					t.Errorf("of source %v, client %v, API %v, roles %v, asked %v: %s", source, registration, knows, holds, ask, got["scope"])
				}
			}
		}
	}
	if issued < 10 {
		t.Errorf("of 40 exchanges %d were made", issued)
	}
}
