package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/servertest"
)

const (
	gatewayAPI = "https://gateway.example.com"
	exchange   = string(oauth.TokenExchange)
)

// trade is a site where ann calls a gateway, and the gateway calls the orders.
type trade struct {
	*servertest.Site
	root            string
	ann             account.User
	gateway, orders registered
}

// newTrade sets it up. The gateway may act for those who signed in without an
// application.
func newTrade(t *testing.T, s *servertest.Site) *trade {
	t.Helper()
	x := &trade{Site: s, root: s.Login(t, servertest.Admin).Access}
	makeRole(t, s, "clerk", "orders:read", "orders:write", "stock:read")
	registerAPI(t, s, x.root, "gateway", gatewayAPI, nil, "orders:read", "orders:write", "stock:read")
	registerAPI(t, s, x.root, "orders", ordersAPI, nil, "orders:read", "orders:write")
	registerAPI(t, s, x.root, "stock", "urn:stock", nil, "stock:read")
	x.ann = s.User(t, "ann", "clerk")
	x.gateway = x.trader(t, "gateway", "orders:read orders:write", gatewayAPI)
	x.orders = x.trader(t, "orders", "orders:read", ordersAPI)
	x.allow(t, "gateway", "client:doorward", ordersAPI, false)
	return x
}

// trader registers a client that may exchange what rules let it.
func (x *trade) trader(t *testing.T, id, scope, audience string) registered {
	t.Helper()
	return register(t, x.Site, x.root, map[string]any{
		"client_id": id, "scope": scope, "audiences": []string{audience}, "grant_types": []string{"client_credentials", exchange},
	}, "clerk")
}

// allow makes a rule and returns its id.
func (x *trade) allow(t *testing.T, id, from, resource string, impersonation bool) string {
	t.Helper()
	a := x.Call(t, x.root, "POST", "/clients/"+id+"/exchanges", map[string]any{"from": from, "resource": resource, "impersonation": impersonation})
	var rule struct{ ID string }
	if a.JSON(t, &rule); a.Status != http.StatusCreated || a.Header.Get("Location") != x.URL+"/clients/"+id+"/exchanges/"+rule.ID {
		t.Fatalf("letting %s exchange what came from %s for %s: %d %s", id, from, resource, a.Status, a.Body)
	}
	return rule.ID
}

// signedIn returns a token of ann's for the gateway.
func (x *trade) signedIn(t *testing.T, more ...string) string {
	t.Helper()
	return x.Login(t, "ann", append([]string{"resource", gatewayAPI}, more...)...).Access
}

// asks sends a request to exchange a token for one for the orders. What more names
// replaces what is usual; an empty value leaves it out.
func (x *trade) asks(t *testing.T, c registered, subject string, more ...string) servertest.Answer {
	t.Helper()
	form := map[string]string{"grant_type": exchange, "subject_token": subject, "subject_token_type": string(oauth.AccessToken), "resource": ordersAPI}
	if apikey.Like(subject) {
		form["subject_token_type"] = string(oauth.APIKey)
	}
	for i := 0; i < len(more); i += 2 {
		form[more[i]] = more[i+1]
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if form[name] != "" {
			pairs = append(pairs, name, form[name])
		}
	}
	return c.post(t, x.Site, "/oauth2/token", pairs...)
}

// acting is asks with a token of the client's own as that of who acts.
func (x *trade) acting(t *testing.T, c registered, subject string, more ...string) servertest.Answer {
	t.Helper()
	return x.asks(t, c, subject, append([]string{"actor_token", c.token(t, x.Site).Access, "actor_token_type", string(oauth.AccessToken)}, more...)...)
}

// traded returns the token of an answer.
func traded(t *testing.T, a servertest.Answer) string {
	t.Helper()
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Issued  string `json:"issued_token_type"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
		Scope   string `json:"scope"`
	}
	if a.JSON(t, &got); a.Status != http.StatusOK || got.Refresh != "" || got.Type != "Bearer" || got.Issued != string(oauth.AccessToken) && got.Issued != string(oauth.JWT) ||
		got.Expires < 1 || got.Expires > 300 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the exchange is answered %d %s", a.Status, a.Body)
	}
	if c := payload(t, got.Access); c["scope"] != got.Scope || int(c["exp"].(float64)-c["iat"].(float64)) > got.Expires+1 {
		t.Errorf("a token of %v is told as %+v", c, got)
	}
	return got.Access
}

// noTrade fails the test unless an exchange is refused with a code.
func noTrade(t *testing.T, what string, a servertest.Answer, code string) {
	t.Helper()
	if a.Status != http.StatusBadRequest || a.Error() != code || strings.Contains(a.Body, "access_token\"") {
		t.Errorf("%s: %d %s, want %s", what, a.Status, a.Body, code)
	}
}

// good reports whether the orders hear that a token is active.
func (x *trade) good(t *testing.T, token string) bool {
	t.Helper()
	return x.orders.introspects(t, x.Site, token)["active"] == true
}

// A gateway exchanges what it was called with for a token for the next API, and says
// who acts; the API verifies it offline, and sees both.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		x := newTrade(t, s)
		source := x.signedIn(t)
		made := traded(t, x.acting(t, x.gateway, source, "scope", "orders:read", "requested_token_type", string(oauth.JWT)))
		was, c := payload(t, source), payload(t, made)
		if c["sub"] != x.ann.ID || c["client_id"] != "gateway" || c["aud"] != ordersAPI || c["scope"] != "orders:read" || c["fam"] == was["fam"] || c["sid"] != nil ||
			fmt.Sprint(c["act"]) != "map[sub:gateway]" || fmt.Sprint(c["roles"]) != "[clerk]" || c["auth_time"] != was["auth_time"] || c["acr"] != was["acr"] ||
			fmt.Sprint(c["amr"]) != fmt.Sprint(was["amr"]) || c["exp"].(float64) > was["exp"].(float64) {
			t.Errorf("of %v was made %v", was, c)
		}
		g, err := guard.New(s.URL, guard.Audience(ordersAPI))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := g.Verify(t.Context(), made); err != nil || p.Subject != x.ann.ID || p.Actor == nil || p.Actor.Subject != "gateway" || p.Actor.Before != nil || !p.Has("orders:read") {
			t.Errorf("the API sees %+v, %v", p, err)
		}
		if a := x.orders.introspects(t, s, made); a["active"] != true || a["username"] != "ann" || a["client_id"] != "gateway" || fmt.Sprint(a["act"]) != "map[sub:gateway]" {
			t.Errorf("the API hears %v", a)
		}
		// By audience, and all that is left: the orders know nothing of the stock.
		all := traded(t, x.acting(t, x.gateway, source, "resource", "", "audience", ordersAPI))
		if c := payload(t, all); c["scope"] != "orders:read orders:write" {
			t.Errorf("all that is left is %v", c["scope"])
		}
		// The next in the chain adds himself before the one before.
		x.allow(t, "orders", "client:gateway", "urn:stock", false)
		x.allow(t, "orders", "client:gateway", gatewayAPI, false)
		noTrade(t, "for an API that knows nothing of it", x.acting(t, x.orders, made, "resource", "urn:stock"), "invalid_scope")
		third := payload(t, traded(t, x.acting(t, x.orders, made, "resource", gatewayAPI)))
		if fmt.Sprint(third["act"]) != "map[act:map[sub:gateway] sub:orders]" || third["sub"] != x.ann.ID || third["scope"] != "orders:read" {
			t.Errorf("a chain of two: %v", third)
		}
		list := events(t, s, string(audit.TokenExchanged))
		if len(list) != 3 {
			t.Fatalf("%d exchanges are in the log", len(list))
		}
		if e := list[0]; e.Actor != "service:gateway" || e.Target != "user:"+x.ann.ID || e.Detail["mode"] != "delegation" || e.Detail["actor"] != "client:gateway" ||
			e.Detail["source"] != "family:"+was["fam"].(string) || e.Detail["from"] != "client:doorward" || e.Detail["audience"] != ordersAPI || e.Detail["scope"] != "orders:read" {
			t.Errorf("the log tells %+v", e)
		}
	})
}

// An API key is exchanged for a token that APIs verify offline: of its owner, with what
// the key carries, and void with the key.
func TestExchangeOfAPIKeys(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		x := newTrade(t, s)
		key := keyOf(t, s, servertest.Operator, x.ann.ID, "orders:read", "stock:read")
		noTrade(t, "without a rule", x.asks(t, x.gateway, key.text), "invalid_request")
		x.allow(t, "gateway", "api-keys", ordersAPI, true)
		made := traded(t, x.asks(t, x.gateway, key.text))
		c := payload(t, made)
		if c["sub"] != x.ann.ID || c["client_id"] != "gateway" || c["scope"] != "orders:read" || c["act"] != nil || c["auth_time"] != nil || c["acr"] != nil || c["aud"] != ordersAPI {
			t.Errorf("of the key was made %v", c)
		}
		if err := verifies(t, s, ordersAPI, made); err != nil {
			t.Error(err)
		}
		if a := x.orders.introspects(t, s, made); a["active"] != true || a["username"] != "ann" || a["token_type"] != "Bearer" {
			t.Errorf("the API hears %v", a)
		}
		if u, err := s.Core.APIKeys.Usage(t.Context(), key.id, 1); err != nil || len(u) != 1 || u[0].Times != 2 { // also where no rule let it be exchanged
			t.Errorf("the key's uses are %+v, %v", u, err)
		}
		acted := payload(t, traded(t, x.acting(t, x.gateway, key.text)))
		if fmt.Sprint(acted["act"]) != "map[sub:gateway]" {
			t.Errorf("with an actor: %v", acted)
		}
		// A client's key makes a token of the client.
		owner := keyFrom(t, s, servertest.Operator, apikey.Draft{Owner: principal.Owner{Kind: principal.Service, ID: "orders"}, Scopes: []string{"orders:read"}})
		if a := x.orders.introspects(t, s, traded(t, x.asks(t, x.gateway, owner.text))); a["active"] != true || a["sub"] != "orders" || a["username"] != nil {
			t.Errorf("of a client's key the API hears %v", a)
		}
		if err := s.Core.APIKeys.Revoke(t.Context(), servertest.Operator, key.id, 0); err != nil {
			t.Fatal(err)
		}
		if x.good(t, made) {
			t.Error("the key is revoked, and what it was exchanged for is good")
		}
	})
}

// Rules are read and ended; what was exchanged by one is void then.
func TestExchangeRules(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	made := traded(t, x.acting(t, x.gateway, x.signedIn(t)))
	key := "/clients/gateway/exchanges"
	body := map[string]any{"from": "api-keys", "resource": ordersAPI}
	for range 2 {
		if a := s.Call(t, x.root, "POST", key, body, "Idempotency-Key", "once"); a.Status != http.StatusCreated || !strings.Contains(a.Body, `"from":"api-keys"`) {
			t.Errorf("once: %d %s", a.Status, a.Body)
		}
	}
	if a := s.Call(t, x.root, "POST", key, body); a.Status != http.StatusConflict {
		t.Errorf("twice: %d %s", a.Status, a.Body)
	}
	var list struct{ Items []struct{ ID, From string } }
	if s.Call(t, x.root, "GET", key, nil).JSON(t, &list); len(list.Items) != 2 || list.Items[0].From != "client:doorward" {
		t.Fatalf("the rules are %+v", list)
	}
	for what, a := range map[string]servertest.Answer{
		"of no client":         s.Call(t, x.root, "GET", "/clients/nosuch/exchanges", nil),
		"for no client":        s.Call(t, x.root, "POST", "/clients/nosuch/exchanges", body),
		"no such rule":         s.Call(t, x.root, "DELETE", key+"/nosuch", nil),
		"the rule of another":  s.Call(t, x.root, "DELETE", "/clients/orders/exchanges/"+list.Items[0].ID, nil),
		"from no client":       s.Call(t, x.root, "POST", key, map[string]any{"from": "client:nosuch", "resource": ordersAPI}),
		"from nowhere":         s.Call(t, x.root, "POST", key, map[string]any{"from": "web", "resource": ordersAPI}),
		"for no API":           s.Call(t, x.root, "POST", key, map[string]any{"from": "client:orders", "resource": "urn:nosuch"}),
		"with something else":  s.Call(t, x.root, "POST", key, map[string]any{"from": "client:orders", "resource": ordersAPI, "more": 1}),
		"for the own and void": s.Call(t, x.root, "POST", key, map[string]any{"from": "", "resource": ""}),
	} {
		if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	if !x.good(t, made) {
		t.Error("it is not good while the rule is there")
	}
	if a := s.Call(t, x.root, "DELETE", key+"/"+list.Items[0].ID, nil); a.Status != http.StatusNoContent {
		t.Fatalf("ending a rule: %d %s", a.Status, a.Body)
	}
	if x.good(t, made) {
		t.Error("its rule ended, and the token is good")
	}
	noTrade(t, "without the rule", x.acting(t, x.gateway, x.signedIn(t)), "invalid_request")
	// A rule ends with the client that it names, and with the API: another of the name
	// is another.
	x.allow(t, "gateway", "client:orders", ordersAPI, true)
	x.allow(t, "orders", "client:gateway", "urn:stock", true)
	for _, gone := range []string{"/clients/orders", "/resources/orders"} {
		if a := s.Call(t, x.root, "DELETE", gone, nil); a.Status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", gone, a.Status, a.Body)
		}
	}
	if s.Call(t, x.root, "GET", key, nil).JSON(t, &list); len(list.Items) != 0 {
		t.Errorf("left are %+v", list)
	}
	x.trader(t, "orders", "orders:read", ordersAPI)
	if s.Call(t, x.root, "GET", "/clients/orders/exchanges", nil).JSON(t, &list); len(list.Items) != 0 {
		t.Errorf("the next of the name has %+v", list)
	}
}

// What was chosen at the sign-in stays: the roles, and the organization, with which the
// token ends.
func TestExchangeKeepsWhatWasChosen(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	x := newTrade(t, s)
	makeRole(t, s, "reader", "orders:read")
	must := func(method, path string, body any) {
		t.Helper()
		if a := s.Call(t, x.root, method, path, body); a.Status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
	}
	must("POST", "/users/"+x.ann.ID+"/roles", map[string]any{"role": "reader"})
	c := payload(t, traded(t, x.acting(t, x.gateway, x.signedIn(t, "roles", "reader"))))
	if fmt.Sprint(c["roles"]) != "[reader]" || c["scope"] != "orders:read" {
		t.Errorf("of one role that was chosen: %v", c)
	}
	must("POST", "/organizations", map[string]any{"name": "acme"})
	must("POST", "/organizations/acme/members", map[string]any{"id": x.ann.ID})
	must("POST", "/users/"+x.ann.ID+"/roles", map[string]any{"role": "reader", "organization": "acme"})
	source := x.signedIn(t, "organization", "acme")
	made := traded(t, x.acting(t, x.gateway, source))
	c = payload(t, made)
	if c["org"] != payload(t, source)["org"] || c["org"] == nil || c["org_name"] != "acme" || c["scope"] != "orders:read" || fmt.Sprint(c["roles"]) != "[reader]" {
		t.Errorf("within an organization: %v", c)
	}
	if a := x.orders.introspects(t, s, made); a["active"] != true || a["org_name"] != "acme" {
		t.Errorf("the API hears %v", a)
	}
	must("DELETE", "/organizations/acme/members/"+x.ann.ID, nil)
	if x.good(t, made) {
		t.Error("ann left, and the token is good")
	}
	noTrade(t, "after she left", x.acting(t, x.gateway, source), "invalid_request")
}
