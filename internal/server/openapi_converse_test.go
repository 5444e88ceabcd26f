package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

// converseAsClient is converse for clients, and by one.
func converseAsClient(t *testing.T, s *servertest.Site, call func(pattern, path string, body any, headers ...string) servertest.Answer, check func(string, servertest.Answer) servertest.Answer) {
	t.Helper()
	type m = map[string]any
	var made struct {
		Secret string `json:"client_secret"`
	}
	call("POST /clients", "/clients", m{"client_id": "billing", "scope": "read", "grant_types": []string{"client_credentials"}, "audiences": []string{s.URL}}, "Idempotency-Key", "c").JSON(t, &made)
	call("POST /clients", "/clients", m{"client_id": "billing", "scope": "read", "grant_types": []string{"client_credentials"}, "audiences": []string{s.URL}}, "Idempotency-Key", "c")
	call("POST /clients", "/clients", m{"client_id": "billing"})
	call("POST /clients", "/clients", m{"client_id": "Big One"})
	call("GET /clients", "/clients?limit=1", nil)
	call("GET /clients", "/clients?after=x", nil)
	call("GET /clients/{id}", "/clients/billing", nil)
	call("GET /clients/{id}", "/clients/nosuch", nil)
	call("PATCH /clients/{id}", "/clients/billing", m{"client_name": "Billing", "default_scope": "read"})
	call("PATCH /clients/{id}", "/clients/billing", m{"default_scope": "write"})
	call("PATCH /clients/{id}", "/clients/billing", m{}, "If-Match", `"v99"`)
	call("POST /clients/{id}/roles", "/clients/billing/roles", m{"role": "viewer"})
	call("POST /clients/{id}/roles", "/clients/billing/roles", m{"role": "viewer"})
	call("POST /clients/{id}/roles", "/clients/nosuch/roles", m{"role": "viewer"})
	call("GET /clients/{id}/roles", "/clients/billing/roles", nil)
	call("GET /clients/{id}/roles", "/clients/nosuch/roles", nil)

	var rule struct{ ID string }
	call("POST /clients/{id}/exchanges", "/clients/billing/exchanges", m{"from": "api-keys", "resource": s.URL, "impersonation": true}, "Idempotency-Key", "x").JSON(t, &rule)
	call("POST /clients/{id}/exchanges", "/clients/billing/exchanges", m{"from": "api-keys", "resource": s.URL})
	call("POST /clients/{id}/exchanges", "/clients/billing/exchanges", m{"from": "x", "resource": s.URL})
	call("POST /clients/{id}/exchanges", "/clients/nosuch/exchanges", m{"from": "api-keys", "resource": s.URL})
	call("GET /clients/{id}/exchanges", "/clients/billing/exchanges", nil)
	call("GET /clients/{id}/exchanges", "/clients/nosuch/exchanges", nil)

	c := registered{"billing", made.Secret}
	var tokens servertest.Tokens
	check("POST /oauth2/token", c.post(t, s, "/oauth2/token", "grant_type", "client_credentials")).JSON(t, &tokens)
	check("POST /oauth2/token", c.post(t, s, "/oauth2/token"))
	check("POST /oauth2/token", registered{"billing", "wrong"}.post(t, s, "/oauth2/token", "grant_type", "client_credentials"))
	check("POST /oauth2/introspect", c.post(t, s, "/oauth2/introspect", "token", tokens.Access))
	check("POST /oauth2/introspect", c.post(t, s, "/oauth2/introspect", "token", "x"))
	check("POST /oauth2/introspect", c.post(t, s, "/oauth2/introspect"))
	check("POST /oauth2/introspect", s.Form(t, "/oauth2/introspect", "token", "x"))
	check("POST /oauth2/revoke", c.post(t, s, "/oauth2/revoke", "token", tokens.Access))
	check("POST /oauth2/revoke", c.post(t, s, "/oauth2/revoke"))
	check("POST /oauth2/revoke", s.Send(t, "POST", "/oauth2/revoke", "text/plain", "x"))

	call("POST /clients/{id}/rotate-secret", "/clients/billing/rotate-secret", m{"overlap": 60})
	call("POST /clients/{id}/rotate-secret", "/clients/billing/rotate-secret", m{"overlap": -1})
	call("POST /clients/{id}/rotate-secret", "/clients/nosuch/rotate-secret", m{})
	var ticket struct{ ID, Token string }
	call("POST /registration-tokens", "/registration-tokens", m{"name": "shop team", "scopes": []string{"read"}, "uses": 2, "expires_in": 60}, "Idempotency-Key", "r").JSON(t, &ticket)
	call("POST /registration-tokens", "/registration-tokens", m{"name": "shop team", "scopes": []string{"*"}})
	call("GET /registration-tokens", "/registration-tokens?limit=1", nil)
	call("GET /registration-tokens", "/registration-tokens?after=x", nil)
	call("GET /registration-tokens/{id}", "/registration-tokens/"+ticket.ID, nil)
	call("GET /registration-tokens/{id}", "/registration-tokens/nosuch", nil)
	converseByRegistration(t, s, ticket.Token, check)
	call("DELETE /registration-tokens/{id}", "/registration-tokens/"+ticket.ID, nil)
	call("DELETE /registration-tokens/{id}", "/registration-tokens/"+ticket.ID, nil)
	stream := streamOf(t, s, "billing")
	call("GET /streams", "/streams?limit=1", nil)
	call("GET /streams", "/streams?after=x", nil)
	call("GET /streams/{id}", "/streams/"+stream.ID, nil)
	call("GET /streams/{id}", "/streams/nosuch", nil)
	call("PATCH /streams/{id}", "/streams/"+stream.ID, m{"status": "paused", "reason": "why"}, "If-Match", `"v1"`)
	call("PATCH /streams/{id}", "/streams/"+stream.ID, m{"status": "enabled", "reason": nil}, "If-Match", `"v1"`)
	call("PATCH /streams/{id}", "/streams/"+stream.ID, m{"status": "asleep"})
	call("PATCH /streams/{id}", "/streams/nosuch", m{"status": "paused"})
	call("DELETE /streams/{id}", "/streams/"+stream.ID, nil, "If-Match", `"v1"`)
	call("DELETE /streams/{id}", "/streams/"+stream.ID, nil)
	call("DELETE /streams/{id}", "/streams/"+stream.ID, nil)
	call("DELETE /clients/{id}/exchanges/{rule}", "/clients/billing/exchanges/"+rule.ID, nil)
	call("DELETE /clients/{id}/exchanges/{rule}", "/clients/billing/exchanges/"+rule.ID, nil)
	call("DELETE /clients/{id}/roles/{role}", "/clients/billing/roles/viewer", nil, "If-Match", `"x"`)
	call("DELETE /clients/{id}/roles/{role}", "/clients/billing/roles/viewer", nil)
	call("DELETE /clients/{id}", "/clients/billing", nil, "If-Match", `"v99"`)
	call("DELETE /clients/{id}", "/clients/billing", nil)
	call("DELETE /clients/{id}", "/clients/billing", nil)
}

// converseByRegistration is converse for who registers a client with a token.
func converseByRegistration(t *testing.T, s *servertest.Site, token string, check func(string, servertest.Answer) servertest.Answer) {
	t.Helper()
	send := func(method, path, kind, body, token string) servertest.Answer {
		pattern := method + " /oauth2/register"
		if path != "" {
			pattern += "/{id}"
		}
		return check(pattern, s.Send(t, method, "/oauth2/register"+path, kind, body, "Authorization", "Bearer "+token))
	}
	var made struct {
		ID    string `json:"client_id"`
		Token string `json:"registration_access_token"`
	}
	const kind, body = "application/json", `{"client_name":"Shop","redirect_uris":["https://shop.example/callback"]`
	send(http.MethodPost, "", kind, body+`}`, token).JSON(t, &made)
	send(http.MethodPost, "", kind, body+`}`, "x")
	send(http.MethodPost, "", kind, `{"redirect_uris":["x"]}`, token)
	send(http.MethodPost, "", "text/plain", body+`}`, token)
	send(http.MethodGet, "/"+made.ID, "", "", made.Token)
	send(http.MethodGet, "/"+made.ID, "", "", "x")
	send(http.MethodPut, "/"+made.ID, kind, body+`,"client_id":"`+made.ID+`"}`, made.Token).JSON(t, &made)
	send(http.MethodPut, "/"+made.ID, kind, body+`}`, made.Token)
	send(http.MethodDelete, "/"+made.ID, "", "", made.Token)
	send(http.MethodDelete, "/"+made.ID, "", "", made.Token)
}

// converseWithPeople is converse for what an application has people and devices do.
func converseWithPeople(t *testing.T, s *servertest.Site, call func(pattern, path string, body any, headers ...string) servertest.Answer, check func(string, servertest.Answer) servertest.Answer) {
	t.Helper()
	get := func(b *servertest.Browser, path string, headers ...string) servertest.Answer {
		pattern, _, _ := strings.Cut(path, "?")
		return check("GET "+pattern, b.Send(t, http.MethodGet, path, "", "", headers...))
	}
	secret := app(t, s, "shop", func(d *client.Draft) { d.SkipConsent = true })
	s.User(t, "pia", "editor")
	b := s.Browser(t)
	get(b, authorizing("shop"))
	get(b, authorizing("nosuch"))
	get(b, authorizing("shop"), "Sec-Purpose", "prefetch")
	_, query, _ := strings.Cut(authorizing("shop"), "?")
	const form = "application/x-www-form-urlencoded"
	check("POST /oauth2/authorize", s.Send(t, http.MethodPost, "/oauth2/authorize", form, query))
	check("POST /oauth2/authorize", s.Send(t, http.MethodPost, "/oauth2/authorize", form, "client_id=nosuch"))
	check("POST /oauth2/authorize", s.Send(t, http.MethodPost, "/oauth2/authorize", "text/plain", query))
	b.Login(t, "pia")
	get(b, authorizing("shop", "response_mode", "form_post"))
	a := check("POST /oauth2/token", redeem(t, s, "shop", secret, code(t, b, authorizing("shop", "scope", "openid profile read"))))
	var g granted
	a.JSON(t, &g)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		pattern := method + " /oauth2/userinfo"
		check(pattern, s.Call(t, g.Access, method, "/oauth2/userinfo", nil))
		check(pattern, s.Call(t, "x", method, "/oauth2/userinfo", nil))
		call(pattern, "/oauth2/userinfo", nil) // without openid
	}
	get(b, "/oauth2/logout")
	get(b, "/oauth2/logout?id_token_hint="+g.ID)
	get(b, "/oauth2/logout", "Sec-Purpose", "prefetch")
	check("POST /oauth2/logout", s.Send(t, http.MethodPost, "/oauth2/logout", form, "id_token_hint="+g.ID))
	check("POST /oauth2/logout", s.Send(t, http.MethodPost, "/oauth2/logout", "text/plain", "x"))

	call("POST /clients", "/clients", map[string]any{"client_id": "tv", "token_endpoint_auth_method": "none", "grant_types": []string{string(oauth.DeviceCode)}, "scope": "read"})
	check("POST /oauth2/device_authorization", s.Form(t, "/oauth2/device_authorization", "client_id", "tv", "scope", "read"))
	check("POST /oauth2/device_authorization", s.Form(t, "/oauth2/device_authorization", "client_id", "tv", "scope", "write"))
	check("POST /oauth2/device_authorization", s.Form(t, "/oauth2/device_authorization", "client_id", "nosuch"))
	for _, scope := range []string{"read", "roles:write"} {
		check("POST /oauth2/par", s.Send(t, http.MethodPost, "/oauth2/par", form, authorization("shop", "scope", scope).Encode(), basicOf("shop:"+secret)...))
	}
	check("POST /oauth2/par", s.Send(t, http.MethodPost, "/oauth2/par", form, authorization("shop").Encode()))
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource", "/oauth2/jwks"} {
		get(b, path)
	}
}

// converseOfGroups is converse for groups.
func converseOfGroups(user string, call func(pattern, path string, body any, headers ...string) servertest.Answer) {
	type m = map[string]any
	call("POST /groups", "/groups", m{"name": "desk", "description": "Who helps"}, "Idempotency-Key", "g")
	call("POST /groups", "/groups", m{"name": "desk", "description": "Who helps"}, "Idempotency-Key", "g")
	call("POST /groups", "/groups", m{"name": "desk"})
	call("POST /groups", "/groups", m{"name": "The Desk"})
	call("POST /groups", "/groups", m{"name": "other"})
	call("GET /groups", "/groups?limit=1", nil)
	call("GET /groups", "/groups?after=x", nil)
	call("GET /groups", "/groups?limit=0", nil)
	call("GET /groups/{name}", "/groups/desk", nil)
	call("GET /groups/{name}", "/groups/desk", nil, "If-None-Match", `"v1"`)
	call("GET /groups/{name}", "/groups/nosuch", nil)
	call("PATCH /groups/{name}", "/groups/desk", m{"description": "Who answers"}, "If-Match", `"v1"`)
	call("PATCH /groups/{name}", "/groups/desk", m{"description": nil})
	call("PATCH /groups/{name}", "/groups/desk", m{"description": "x"}, "If-Match", `"v1"`)
	call("PATCH /groups/{name}", "/groups/desk", m{"name": "x"})
	call("PATCH /groups/{name}", "/groups/nosuch", m{})
	call("POST /groups/{name}/roles", "/groups/desk/roles", m{"role": "viewer", "until": "2100-01-01T00:00:00Z", "reason": "because"}, "Idempotency-Key", "r")
	call("POST /groups/{name}/roles", "/groups/desk/roles", m{"role": "viewer", "until": "2100-01-01T00:00:00Z", "reason": "because"}, "Idempotency-Key", "r")
	call("POST /groups/{name}/roles", "/groups/desk/roles", m{"role": "viewer"})
	call("POST /groups/{name}/roles", "/groups/nosuch/roles", m{"role": "viewer"})
	call("GET /groups/{name}/roles", "/groups/desk/roles", nil)
	call("GET /groups/{name}/roles", "/groups/nosuch/roles", nil)
	member := m{"id": user, "until": "2100-01-01T00:00:00Z", "reason": "because"}
	call("POST /groups/{name}/members", "/groups/desk/members", member, "Idempotency-Key", "m")
	call("POST /groups/{name}/members", "/groups/desk/members", member, "Idempotency-Key", "m")
	call("POST /groups/{name}/members", "/groups/desk/members", member)
	call("POST /groups/{name}/members", "/groups/desk/members", m{"id": user, "kind": "cli"})
	call("POST /groups/{name}/members", "/groups/desk/members", m{"id": "nosuch", "kind": "service"})
	call("GET /groups/{name}/members", "/groups/desk/members", nil)
	call("GET /groups/{name}/members", "/groups/desk/members?after=x", nil)
	call("GET /groups/{name}/members", "/groups/nosuch/members", nil)
	call("GET /users/{id}/roles", "/users/"+user+"/roles", nil)
	call("DELETE /groups/{name}/members/{id}", "/groups/desk/members/nosuch", nil)
	call("DELETE /groups/{name}/members/{id}", "/groups/desk/members/"+user, nil)
	call("DELETE /groups/{name}/roles/{role}", "/groups/desk/roles/viewer", nil, "If-Match", `"x"`)
	call("DELETE /groups/{name}/roles/{role}", "/groups/desk/roles/viewer", nil)
	call("DELETE /groups/{name}/roles/{role}", "/groups/desk/roles/viewer", nil)
	call("DELETE /groups/{name}", "/groups/desk", nil, "If-Match", `"v99"`)
	call("DELETE /groups/{name}", "/groups/desk", nil)
	call("DELETE /groups/{name}", "/groups/desk", nil)
}

// converseAboutResources is converse about APIs.
func converseAboutResources(call func(pattern, path string, body any, headers ...string) servertest.Answer) {
	type m = map[string]any
	orders := m{
		"id": "orders", "identifier": "https://orders.example", "name": "Orders", "access_ttl": 60, "signing_alg": "EdDSA",
		"permissions": []m{{"name": "orders:read", "description": "Read orders"}},
	}
	for range 2 {
		call("POST /resources", "/resources", orders, "Idempotency-Key", "r")
	}
	call("POST /resources", "/resources", orders)
	call("POST /resources", "/resources", m{"identifier": "orders"})
	call("POST /resources", "/resources", m{"identifier": "urn:x", "access_ttl": 1})
	call("POST /resources", "/resources", m{"identifier": "urn:plain"})
	call("GET /resources", "/resources?limit=1", nil)
	call("GET /resources", "/resources?after=x", nil)
	call("GET /resources/{id}", "/resources/orders", nil)
	call("GET /resources/{id}", "/resources/nosuch", nil)
	call("PATCH /resources/{id}", "/resources/orders", m{"name": "All orders", "access_ttl": nil, "signing_alg": nil, "permissions": []m{{"name": "orders:write"}}})
	call("PATCH /resources/{id}", "/resources/orders", m{"identifier": "urn:other"})
	call("PATCH /resources/{id}", "/resources/orders", m{}, "If-Match", `"v99"`)
	call("DELETE /resources/{id}", "/resources/orders", nil, "If-Match", `"v99"`)
	call("DELETE /resources/{id}", "/resources/orders", nil)
	call("DELETE /resources/{id}", "/resources/orders", nil)
}

// converseAboutKeys is converse for API keys.
func converseAboutKeys(t *testing.T, call func(pattern, path string, body any, headers ...string) servertest.Answer) {
	t.Helper()
	type m = map[string]any
	var made, again struct{ ID, Key string }
	full := m{"name": "report", "scopes": []string{"read"}, "expires_in": 60, "networks": []string{"127.0.0.1"}, "resources": []string{"https://a.example"}, "rate_limit": 10}
	call("POST /api-keys", "/api-keys", full, "Idempotency-Key", "key").JSON(t, &made)
	call("POST /api-keys", "/api-keys", full, "Idempotency-Key", "key").JSON(t, &again)
	if made.ID == "" || made.Key == "" || again.ID != made.ID || again.Key != "" {
		t.Errorf("made %+v, and again %+v", made, again)
	}
	path := "/api-keys/" + made.ID
	call("POST /api-keys", "/api-keys", m{"name": "report", "scopes": []string{"read"}})
	call("POST /api-keys", "/api-keys", m{"name": "report", "scopes": []string{"nobody:has"}, "expires_in": 60})
	call("POST /api-keys", "/api-keys", m{"name": "report", "scopes": []string{}, "expires_in": 60, "owner": "client:nosuch"})
	call("GET /api-keys", "/api-keys?limit=1&all=true", nil)
	call("GET /api-keys", "/api-keys?after=x", nil)
	call("PATCH /api-keys/{id}", path, m{"name": "nightly", "networks": nil, "resources": nil, "rate_limit": nil})
	call("PATCH /api-keys/{id}", path, m{"scopes": []string{"a b"}})
	call("PATCH /api-keys/{id}", path, m{}, "If-Match", `"v99"`)
	call("POST /api-keys/verify", "/api-keys/verify", m{"key": made.Key, "permission": "read", "address": "127.0.0.1", "resource": "https://a.example"})
	call("POST /api-keys/verify", "/api-keys/verify", m{"key": made.Key, "address": "here"})
	call("GET /api-keys/{id}", path, nil)
	call("GET /api-keys/{id}", "/api-keys/nosuch", nil)
	call("POST /api-keys/{id}/rotate", path+"/rotate", m{"overlap": 60, "expires_in": 120})
	call("POST /api-keys/{id}/rotate", path+"/rotate", m{"overlap": -1})
	call("POST /api-keys/{id}/rotate", "/api-keys/nosuch/rotate", m{})
	call("DELETE /api-keys/{id}", path, nil, "If-Match", `"v99"`)
	call("DELETE /api-keys/{id}", path, nil)
	call("DELETE /api-keys/{id}", path, nil)
}

// converseOfSeparations is converse for separations.
func converseOfSeparations(call func(pattern, path string, body any, headers ...string) servertest.Answer) {
	type m = map[string]any
	eyes := m{"name": "eyes", "description": "Four eyes", "kind": "static", "roles": []string{"clerk", "editor"}}
	call("POST /separations", "/separations", eyes, "Idempotency-Key", "s")
	call("POST /separations", "/separations", eyes, "Idempotency-Key", "s")
	call("POST /separations", "/separations", eyes)
	call("POST /separations", "/separations", m{"name": "eyes", "kind": "other", "roles": []string{}})
	call("GET /separations", "/separations", nil)
	call("GET /separations", "/separations?limit=1", nil)
	call("GET /separations/{name}", "/separations/eyes", nil)
	call("GET /separations/{name}", "/separations/eyes", nil, "If-None-Match", `"v1"`)
	call("GET /separations/{name}", "/separations/nosuch", nil)
	call("PUT /separations/{name}", "/separations/eyes", m{"kind": "static", "roles": []string{"clerk", "viewer"}}, "If-Match", `"v1"`)
	call("PUT /separations/{name}", "/separations/eyes", m{"kind": "static", "roles": []string{"clerk", "viewer"}}, "If-Match", `"v1"`)
	call("PUT /separations/{name}", "/separations/eyes", m{"kind": "static", "roles": []string{"admin", "viewer"}})
	call("PUT /separations/{name}", "/separations/nosuch", m{"kind": "static", "roles": []string{"clerk", "viewer"}})
	call("DELETE /roles/{name}", "/roles/clerk", nil)
	call("DELETE /separations/{name}", "/separations/eyes", nil, "If-Match", `"v99"`)
	call("DELETE /separations/{name}", "/separations/eyes", nil)
	call("DELETE /separations/{name}", "/separations/eyes", nil)
}

// converseAboutOrganizations is converse about organizations.
func converseAboutOrganizations(t *testing.T, s *servertest.Site, call func(pattern, path string, body any, headers ...string) servertest.Answer) {
	t.Helper()
	type m = map[string]any
	u := s.User(t, "belongs")
	for range 2 {
		call("POST /organizations", "/organizations", m{"name": "acme", "display_name": "Acme"}, "Idempotency-Key", "o")
	}
	call("POST /organizations", "/organizations", m{"name": "acme"})
	call("POST /organizations", "/organizations", m{"name": "Acme Ltd."})
	call("GET /organizations", "/organizations?limit=1", nil)
	call("GET /organizations", "/organizations?after=x", nil)
	call("GET /organizations/{name}", "/organizations/acme", nil)
	call("GET /organizations/{name}", "/organizations/nosuch", nil)
	call("PATCH /organizations/{name}", "/organizations/acme", m{"display_name": nil})
	call("PATCH /organizations/{name}", "/organizations/acme", m{"name": "other"})
	call("PATCH /organizations/{name}", "/organizations/acme", m{}, "If-Match", `"v99"`)
	call("POST /users/{id}/roles", "/users/"+u.ID+"/roles", m{"role": "viewer", "organization": "acme"})
	call("POST /users/{id}/roles", "/users/"+u.ID+"/roles", m{"role": "viewer", "organization": "nosuch"})
	members := "/organizations/acme/members"
	for range 2 {
		call("POST /organizations/{name}/members", members, m{"id": u.ID}, "Idempotency-Key", "m")
	}
	call("POST /organizations/{name}/members", members, m{"id": u.ID})
	call("POST /organizations/{name}/members", members, m{"id": "nosuch", "type": "client"})
	call("POST /users/{id}/roles", "/users/"+u.ID+"/roles", m{"role": "viewer", "organization": "acme"})
	call("GET /users/{id}/roles", "/users/"+u.ID+"/roles", nil)
	call("GET /organizations/{name}/members", members+"?limit=1", nil)
	call("GET /organizations/{name}/members", members+"?after=x", nil)
	call("DELETE /users/{id}/roles/{role}", "/users/"+u.ID+"/roles/viewer?organization=acme", nil)
	call("DELETE /organizations/{name}/members/{id}", members+"/"+u.ID, nil)
	call("DELETE /organizations/{name}/members/{id}", members+"/"+u.ID, nil)
	call("DELETE /organizations/{name}", "/organizations/acme", nil, "If-Match", `"v99"`)
	call("DELETE /organizations/{name}", "/organizations/acme", nil)
	call("DELETE /organizations/{name}", "/organizations/acme", nil)
}

// converse makes a call of each operation that succeeds, and some that do not.
func converse(t *testing.T, s *servertest.Site, check func(string, servertest.Answer) servertest.Answer) {
	t.Helper()
	ann := s.User(t, "ann", "viewer")
	login := func(name, password string) servertest.Answer {
		return check("POST /auth/login", s.Form(t, "/auth/login", "username", name, "password", password))
	}
	tokens := pair(t, login(servertest.Admin, servertest.Password))
	call := func(pattern, path string, body any, headers ...string) servertest.Answer {
		t.Helper()
		method, _, _ := strings.Cut(pattern, " ")
		return check(pattern, s.Call(t, tokens.Access, method, path, body, headers...))
	}
	type m = map[string]any
	login("nobody", "x")
	login("", "")
	check("POST /auth/login", s.Send(t, "POST", "/auth/login", "text/plain", "x"))
	check("POST /auth/login", s.Send(t, "POST", "/auth/login", "application/json", strings.Repeat(" ", 17<<10)))
	check("POST /auth/refresh", s.Refresh(t, "dwr_x"))
	check("POST /auth/refresh", s.Refresh(t, tokens.Refresh, "client_id", "nosuch"))
	check("POST /auth/refresh", s.Send(t, "POST", "/auth/refresh", "text/plain", "x"))
	check("POST /auth/refresh", s.Send(t, "POST", "/auth/refresh", "application/json", strings.Repeat(" ", 17<<10)))
	tokens = pair(t, check("POST /auth/refresh", s.Refresh(t, tokens.Refresh)))

	converseAboutKeys(t, call)
	call("GET /users/me", "/users/me", nil)
	call("GET /sessions", "/sessions", nil)
	call("GET /sessions", "/sessions?limit=1", nil)
	call("DELETE /sessions/{id}", "/sessions/"+claims(t, s.Login(t, servertest.Admin).Access)["sid"].(string), nil)
	call("DELETE /sessions/{id}", "/sessions/none", nil)
	call("PATCH /users/me", "/users/me", m{"name": "Root", "profile": m{"given_name": "R"}})
	call("PATCH /users/me", "/users/me", m{"name": "Root"}, "If-Match", `"v9"`)
	call("PATCH /users/me", "/users/me", m{"bogus": 1})
	call("GET /users", "/users?limit=1", nil)
	call("GET /users", "/users?limit=0", nil)
	call("POST /users", "/users", m{"username": "bob", "email": "bob@example.com", "attributes": m{"a": []int{1}}, "profile": m{"locale": "de"}}, "Idempotency-Key", "k")
	call("POST /users", "/users", m{"username": "bob", "email": "bob@example.com", "attributes": m{"a": []int{1}}, "profile": m{"locale": "de"}}, "Idempotency-Key", "k")
	call("POST /users", "/users", m{"username": "bob"})
	call("POST /users", "/users", m{"username": "b b"})
	call("POST /users", "/users", m{"username": strings.Repeat("b", 70<<10)})
	check("POST /users", s.Send(t, "POST", "/users", "text/plain", "x", "Authorization", "Bearer "+tokens.Access))
	call("GET /users/{id}", "/users/"+ann.ID, nil)
	call("GET /users/{id}", "/users/nosuch", nil)
	call("PATCH /users/{id}", "/users/"+ann.ID, m{"attributes": m{"b": nil, "c": 1}, "profile": nil, "email": nil})
	call("PATCH /users/{id}", "/users/"+ann.ID, m{"attributes": nil})
	call("PATCH /users/{id}", "/users/"+ann.ID, m{"username": "bob"})
	call("PATCH /users/{id}", "/users/nosuch", m{})
	call("PATCH /users/{id}", "/users/"+ann.ID, m{}, "If-Match", `"v99"`)

	call("POST /users/{id}/unlock", "/users/"+ann.ID+"/unlock", nil)
	call("POST /users/{id}/unlock", "/users/nosuch/unlock", nil)

	call("GET /roles", "/roles", nil)
	call("POST /roles", "/roles", m{"name": "clerk", "permissions": []string{"orders:read"}, "inherits": []string{"viewer"}})
	call("POST /roles", "/roles", m{"name": "clerk"})
	call("POST /roles", "/roles", m{"name": "Clerk"})
	call("GET /roles/{name}", "/roles/clerk", nil)
	call("GET /roles/{name}", "/roles/clerk", nil, "If-None-Match", `"v1"`)
	call("GET /roles/{name}", "/roles/nosuch", nil)
	call("PUT /roles/{name}", "/roles/clerk", m{})
	call("PUT /roles/{name}", "/roles/viewer", m{})
	call("PUT /roles/{name}", "/roles/clerk", m{}, "If-Match", `"v1"`)
	converseOfSeparations(call)
	call("POST /users/{id}/roles", "/users/"+ann.ID+"/roles", m{"role": "clerk", "until": "2100-01-01T00:00:00Z", "reason": "because"})
	call("POST /users/{id}/roles", "/users/"+ann.ID+"/roles", m{"role": "clerk"})
	call("POST /users/{id}/roles", "/users/nosuch/roles", m{"role": "clerk"})
	call("GET /users/{id}/roles", "/users/"+ann.ID+"/roles", nil)
	call("GET /users/{id}/roles", "/users/nosuch/roles", nil)
	call("DELETE /users/{id}/roles/{role}", "/users/"+ann.ID+"/roles/clerk", nil, "If-Match", `"x"`)
	call("DELETE /users/{id}/roles/{role}", "/users/"+ann.ID+"/roles/clerk", nil)
	call("DELETE /users/{id}/roles/{role}", "/users/"+ann.ID+"/roles/clerk", nil)
	call("DELETE /users/{id}/roles/{role}", "/users/"+subject(t, s, tokens.Access)+"/roles/admin", nil)
	call("DELETE /roles/{name}", "/roles/clerk", nil)
	call("DELETE /roles/{name}", "/roles/clerk", nil)
	call("DELETE /roles/{name}", "/roles/viewer", nil)
	converseOfGroups(ann.ID, call)
	call("DELETE /users/{id}", "/users/"+subject(t, s, tokens.Access), nil)
	call("DELETE /users/{id}", "/users/"+ann.ID, nil, "If-Match", `"v99"`)
	call("DELETE /users/{id}", "/users/"+ann.ID, nil)
	call("DELETE /users/{id}", "/users/"+ann.ID, nil)

	converseAsClient(t, s, call, check)
	converseWithPeople(t, s, call, check)
	converseAboutResources(call)
	converseAboutOrganizations(t, s, call)
	call("POST /access/check", "/access/check", m{"permission": "read"})
	call("POST /access/check", "/access/check", m{"checks": []m{{"subject": "user:" + ann.ID, "permission": "write"}, {"subject": "user:admin", "permission": "write"}}})
	call("POST /access/check", "/access/check", m{"subject": "x", "permission": "write"})
	call("POST /access/explain", "/access/explain", m{"subject": "user:admin", "permission": "write"})
	call("POST /access/explain", "/access/explain", m{"checks": []m{{"subject": "user:ann", "permission": "write"}, {"subject": "client:nosuch", "permission": "write"}}})
	call("POST /access/explain", "/access/explain", m{})
	converseAboutDecisions(t, s, call, check)

	call("GET /audit/events", "/audit/events?actor=user:"+subject(t, s, tokens.Access)+"&action=user.*&limit=3", nil)
	call("GET /audit/events", "/audit/events?action=nothing", nil)
	call("GET /audit/counts", "/audit/counts", nil)
	call("GET /audit/counts", "/audit/counts?from=yesterday", nil)
	checkpoint(t, s, tokens.Access) // there is one
	call("GET /audit/checkpoint", "/audit/checkpoint", nil)
	call("GET /audit/proof", "/audit/proof?leaf=0", nil)
	call("GET /audit/proof", "/audit/proof?from=1", nil)
	call("GET /audit/proof", "/audit/proof", nil)
	call("GET /audit/proof", "/audit/proof?event="+strings.Repeat("0", 26), nil)

	s.User(t, "eve", "viewer")
	admin := tokens
	tokens = s.Login(t, "eve")
	call("GET /users", "/users", nil)
	call("DELETE /roles/{name}", "/roles/viewer", nil)
	call("GET /audit/events", "/audit/events", nil)
	tokens = admin
	call("POST /users/me/password", "/users/me/password", m{"current_password": "wrong", "new_password": "another one of mine"})
	call("POST /users/me/password", "/users/me/password", m{"current_password": servertest.Password, "new_password": "x"})
	call("POST /users/me/password", "/users/me/password", m{"current_password": servertest.Password, "new_password": "another one of mine"})
	call("GET /users/me", "/users/me", nil)
	call("GET /users", "/users?access_token=x", nil)
	check("POST /auth/logout", s.Form(t, "/auth/logout", "refresh_token", tokens.Refresh))
}
