package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// open is every path that anybody may call. A new one is written here by a person
// who has thought about it.
var open = []string{
	"GET /{$}", "GET /favicon.ico", "GET /healthz", "GET /readyz", "GET /openapi.json", "GET /docs", "GET /docs/{file}", "GET /theme/style.css", "GET /theme/logo",
	"POST /auth/login", "POST /auth/refresh", "POST /auth/logout", "GET /signin", "POST /signin",
	"POST /oauth2/device_authorization",                                        // it gives nothing that the token endpoint does not ask for again
	"GET /oauth2/logout", "POST /oauth2/logout", "POST /oauth2/logout/confirm", // SES-004
	"GET /oauth2/device", "POST /oauth2/device", // who is not signed in is asked for the code, and then to sign in
	"POST /oauth2/token", "POST /oauth2/introspect", "POST /oauth2/revoke", "POST /oauth2/par", // clients prove themselves by other means than a token
	"POST /oauth2/register", "GET /oauth2/register/{id}", "PUT /oauth2/register/{id}", "DELETE /oauth2/register/{id}", // by tokens of their own: DCR-001, DCR-003
	"GET /oauth2/authorize", "POST /oauth2/authorize", "GET /oauth2/authorize/{id}", // it asks who is signed in itself
	"GET /consent/{id}", "POST /consent/{id}", // as that does
	"POST /api-keys/leaks",                                             // who reports signs
	"GET /oauth2/status-lists/{id}", "GET /oauth2/status-lists/events", // STAT-001: who holds no token learns nothing from them
	"GET /oauth2/jwks", "GET /.well-known/oauth-authorization-server", "GET /.well-known/oauth-protected-resource",
	"GET /.well-known/openid-configuration", "GET /.well-known/authzen-configuration", "GET /.well-known/ssf-configuration",
}

// address returns a path of a pattern.
func address(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.ReplaceAll(path, "{$}", "")
	for _, name := range []string{"{id}", "{name}", "{role}", "{rule}", "{file}"} {
		path = strings.ReplaceAll(path, name, "x")
	}
	return method, path
}

// Whatever is not on the list above asks for a credential, and for one that is
// good.
func TestAttackRBAC016DenyByDefault(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	seen := map[string]bool{}
	for _, line := range s.Server.SiteMap() {
		method, path := address(line.Pattern)
		if seen[line.Pattern] || method == "" || !strings.HasPrefix(path, "/") || strings.Contains(path, "{") {
			t.Errorf("%q is on the site map twice, or is no path with one method", line.Pattern)
		}
		seen[line.Pattern] = true
		public := slices.Contains(open, line.Pattern)
		if public != line.Open {
			t.Errorf("%s: it is open: %t, and it should be: %t", line.Pattern, line.Open, public)
		}
		for _, m := range []string{method, http.MethodHead} {
			if m == http.MethodHead && method != http.MethodGet {
				continue
			}
			for who, headers := range map[string][]string{
				"nobody": nil, "a bad token": {"Authorization", "Bearer x.y.z"}, "a session that is none": {"Cookie", "doorward_session=" + strings.Repeat("A", 43)},
			} {
				a := s.Send(t, m, path, "", "", headers...)
				refused := a.Status == http.StatusUnauthorized
				if line.Person { // people are shown the way
					refused = a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/signin?return_to=/account"
				}
				if strings.HasPrefix(path, "/oauth2/register/") { // open to who brings a token that is none of the others
					refused = !refused
				}
				if refused == public {
					t.Errorf("%s by %s: %d", line.Pattern, who, a.Status)
				}
			}
		}
	}
	for _, pattern := range open {
		if !seen[pattern] {
			t.Errorf("%s is on the list of what is open, and not on the site map", pattern)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/vars", "/docs/", "/docs/nowhere", "/admin", "/.env", "/.git/config", "/auth", "/auth/", "/oauth2/nowhere", "/users/x/y", "/roles/x/y", "/healthz/x"} {
		if a := s.Send(t, "GET", path, "", ""); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}

// The columns of the matrix: who calls, and whose object it is.
var (
	callers  = []string{"anonymous", "none", "viewer", "editor", "delegate", "keeper", "admin"}
	targets3 = []string{"own", "other", "absent"}
)

// cells are the statuses that one caller gets: for what is his own, for another's,
// for what is not there.
type cells [3]int

// row is a route's line of the matrix.
type row struct {
	body  func(c *call) any
	path  func(c *call) string // nil: the pattern has no parameter
	wants map[string]cells     // by caller; who is not named gets 401 or 403
}

// person is somebody who calls.
type person struct{ id, token string }

// enter makes somebody with the role of a caller, who signs in.
func enter(t *testing.T, s *servertest.Site, caller, name string) person {
	t.Helper()
	switch caller {
	case "anonymous":
		return person{}
	case "none":
		return person{s.User(t, name).ID, s.Login(t, name).Access}
	}
	return person{s.User(t, name, caller).ID, s.Login(t, name).Access}
}

// call is one cell while it is tried.
type call struct {
	t              *testing.T
	s              *servertest.Site
	root           string // an administrator's token
	who            person
	caller, target string
	n              int
	id             string // the target's
	held           string // a role that the target has
	role           string // the target, where it is a role
}

func (c *call) user() string   { return "/users/" + c.id }
func (c *call) unique() string { return "made" + strconv.Itoa(c.n) }

// session is what the caller is signed in with, or somebody else, or nobody.
func (c *call) session() string {
	switch c.target {
	case "own":
		if c.who.token == "" {
			return "/sessions/none"
		}
		return "/sessions/" + claims(c.t, c.who.token)["sid"].(string)
	case "other":
		name := "elsewhere" + strconv.Itoa(c.n)
		c.s.User(c.t, name)
		return "/sessions/" + claims(c.t, c.s.Login(c.t, name).Access)["sid"].(string)
	}
	return "/sessions/" + strings.Repeat("0", 26)
}

// client is one that holds what the caller does, or one that is above whoever is no
// administrator, or none.
func (c *call) client() string {
	body, role := map[string]any{"client_id": c.unique()}, c.caller
	switch {
	case c.target == "absent":
		return "/clients/nosuch"
	case c.target == "other":
		body["scope"], role = "admin", "viewer"
	case c.caller == "anonymous" || c.caller == "none":
		return "/clients/" + register(c.t, c.s, c.root, body).id
	}
	return "/clients/" + register(c.t, c.s, c.root, body, role).id
}

// exchange is a rule of such a client.
func (c *call) exchange() string {
	path := c.client() + "/exchanges"
	rule := struct{ ID string }{"nosuch"}
	if c.target != "absent" {
		c.s.Call(c.t, c.root, "POST", path, map[string]any{"from": "api-keys", "resource": c.s.URL}).JSON(c.t, &rule)
	}
	return path + "/" + rule.ID
}

// group is one that holds what the caller does, or one that is above whoever is no
// administrator, or none.
func (c *call) group() string {
	if c.target == "absent" {
		return "/groups/nosuch"
	}
	path := "/groups/" + c.unique()
	c.by("/groups", map[string]any{"name": c.unique()})
	if c.target == "other" {
		c.held = "viewer"
	}
	if c.held != "anonymous" && c.held != "none" {
		c.by(path+"/roles", map[string]any{"role": c.held})
	}
	return path
}

// separation keeps two roles apart, or is none.
func (c *call) separation() string {
	made(c.t, c.s, c.root, "one"+c.unique(), nil, nil)
	made(c.t, c.s, c.root, "two"+c.unique(), nil, nil)
	if c.target == "absent" {
		return "/separations/nosuch"
	}
	c.by("/separations", c.apart(c.unique()))
	return "/separations/" + c.unique()
}

// apart is what a separation of that two roles says.
func (c *call) apart(name string) map[string]any {
	body := map[string]any{"kind": "static", "roles": []string{"one" + c.unique(), "two" + c.unique()}}
	if name != "" {
		body["name"] = name
	}
	return body
}

// by makes something as an administrator.
func (c *call) by(path string, body any) {
	c.t.Helper()
	if a := c.s.Call(c.t, c.root, http.MethodPost, path, body); a.Status != http.StatusCreated {
		c.t.Fatalf("POST %s: %d %s", path, a.Status, a.Body)
	}
}

// resource is an API that somebody registered, or none.
func (c *call) resource() string {
	if c.target == "absent" {
		return "/resources/nosuch"
	}
	a := c.s.Call(c.t, c.root, "POST", "/resources", map[string]any{"id": c.unique(), "identifier": "urn:" + c.unique()})
	if a.Status != http.StatusCreated {
		c.t.Fatalf("registering: %d %s", a.Status, a.Body)
	}
	return "/resources/" + c.unique()
}

// key is one of the caller's, or one of somebody who may do more, or none.
func (c *call) key() string {
	owner := c.who.id
	switch {
	case c.target == "absent" || c.target == "own" && owner == "":
		return "/api-keys/0123456789abcdef"
	case c.target == "other":
		owner = c.s.User(c.t, "keyed"+strconv.Itoa(c.n), "viewer").ID
	}
	return "/api-keys/" + keyOf(c.t, c.s, servertest.Operator, owner).id
}

// keyCells let everybody do something to his own keys, and administrators to others'.
func keyCells(status int) map[string]cells {
	w := signedIn(status)
	for who := range w {
		w[who] = cells{status, 404, 404}
	}
	w["admin"] = cells{status, status, 404}
	return w
}

// organization is one that somebody made, or none.
func (c *call) organization() string {
	if c.target == "absent" {
		return "/organizations/nosuch"
	}
	if a := c.s.Call(c.t, c.root, "POST", "/organizations", map[string]any{"name": c.unique()}); a.Status != http.StatusCreated {
		c.t.Fatalf("making an organization: %d %s", a.Status, a.Body)
	}
	return "/organizations/" + c.unique()
}

// membership is the caller's own in an organization, or another's, or none's.
func (c *call) membership() string {
	o := c.organization()
	if c.target != "absent" && c.id != "" && c.id != "06h0mrdu337tnmefrq24vvnum8" {
		if a := c.s.Call(c.t, c.root, "POST", o+"/members", map[string]any{"id": c.id}); a.Status != http.StatusCreated {
			c.t.Fatalf("adding a member: %d %s", a.Status, a.Body)
		}
	}
	return o + "/members/" + c.id
}

// keepers are the cells of a change that clients:write is enough for.
func keepers(status int) map[string]cells {
	return map[string]cells{"keeper": {status, 403, 404}, "admin": {status, status, 404}}
}

// sessionCells let everybody end his own, and administrators another's.
func sessionCells() map[string]cells {
	w := signedIn(204)
	for who := range w {
		w[who] = cells{204, 404, 404}
	}
	w["admin"] = cells{204, 204, 404}
	return w
}

// harmless is a condition that touches nobody.
const harmless = `forbid (principal == User::"nobody", action, resource);`

// condition is one that an administrator made, or none.
func (c *call) condition() string {
	if c.target == "absent" {
		return "/conditions/nosuch"
	}
	if a := c.s.Call(c.t, c.root, "POST", "/conditions", map[string]any{"name": c.unique(), "policy": harmless}); a.Status != http.StatusCreated {
		c.t.Fatal(a.Body)
	}
	return "/conditions/" + c.unique()
}

// decision is one about the caller, or about somebody else, or none.
func (c *call) decision() string {
	subject := "user:" + c.id
	switch {
	case c.target == "absent":
		return "/access/decisions/06h0mrdu337tnmefrq24vvnum8"
	case c.target == "other" || c.who.id == "":
		subject = "user:" + servertest.Admin
	}
	var d struct {
		ID string `json:"decision_id"`
	}
	c.s.Call(c.t, c.root, "POST", "/access/check", map[string]any{"subject": subject, "permission": "read"}).JSON(c.t, &d)
	return "/access/decisions/" + d.ID
}

// evaluating asks of the target whether it may read, in the words of AuthZEN.
func evaluating(c *call) any {
	return map[string]any{
		"subject": map[string]any{"type": "user", "id": c.id}, "action": map[string]any{"name": "read"}, "resource": map[string]any{"type": "order", "id": "1"},
	}
}

// question asks of the target whether it may read.
func (c *call) question() any { return map[string]any{"subject": "user:" + c.id, "permission": "read"} }

// askers let everybody ask about himself, and administrators about all, also about
// whom there is not.
func askers() map[string]cells {
	w := signedIn(200)
	for who := range w {
		w[who] = cells{200, 403, 403}
	}
	w["admin"] = cells{200, 200, 200}
	return w
}

func everybody(status int) map[string]cells {
	w := map[string]cells{}
	for _, who := range callers {
		w[who] = cells{status, status, status}
	}
	return w
}

func signedIn(status int) map[string]cells {
	w := everybody(status)
	delete(w, "anonymous")
	return w
}

func admins(own, other, absent int) map[string]cells {
	return map[string]cells{"admin": {own, other, absent}}
}

// matrix is who may do what to whom. A route without a row fails the test.
var matrix = joined(ofStreams, map[string]row{
	"GET /{$}":             {wants: everybody(200)},
	"GET /healthz":         {wants: everybody(200)},
	"GET /readyz":          {wants: everybody(200)},
	"GET /openapi.json":    {wants: everybody(200)},
	"GET /theme/style.css": {wants: everybody(200)},
	"GET /theme/logo":      {wants: everybody(404)},
	"GET /docs":            {wants: everybody(200)},
	"GET /docs/{file}":     {wants: everybody(404)},
	"GET /favicon.ico":     {wants: everybody(200)},
	"POST /auth/login": {wants: everybody(200), body: func(c *call) any {
		return map[string]any{"username": servertest.Admin, "password": servertest.Password}
	}},
	"POST /auth/refresh": {wants: everybody(200), body: func(c *call) any {
		return map[string]any{"refresh_token": c.s.Login(c.t, servertest.Admin).Refresh}
	}},
	"POST /auth/logout": {wants: everybody(204)},
	// Pages know nobody by a token: they show the way to the sign-in.
	"GET /signin":                      {wants: everybody(200)},
	"POST /signin":                     {wants: everybody(415)},
	"GET /account":                     {wants: everybody(303)},
	"POST /account/signout":            {wants: everybody(303)},
	"POST /account/forget":             {wants: everybody(303)},
	"POST /account/sessions/{id}/end":  {wants: everybody(303), path: func(c *call) string { return "/account" + c.session() + "/end" }},
	"POST /account/sessions/end":       {wants: everybody(303)},
	"POST /account/password":           {wants: everybody(303)},
	"POST /account/apps/{id}/withdraw": {wants: everybody(303), path: func(*call) string { return "/account/apps/shop/withdraw" }},

	// An authorization request is one of a client, in the browser that began it.
	"GET /oauth2/authorize":      {wants: everybody(400)},
	"POST /oauth2/authorize":     {wants: everybody(415)},
	"GET /oauth2/authorize/{id}": {wants: everybody(404), path: func(*call) string { return "/oauth2/authorize/none" }},
	// A device is one of a client; people are asked in the browser that they sign in with.
	"POST /oauth2/device_authorization": {wants: everybody(415)},
	"GET /oauth2/device":                {wants: everybody(200)},
	"POST /oauth2/device":               {wants: everybody(415)},
	"GET /oauth2/logout":                {wants: everybody(200)},
	"POST /oauth2/logout":               {wants: everybody(415)},
	"POST /oauth2/logout/confirm":       {wants: everybody(415)},
	"GET /consent/{id}":                 {wants: everybody(404), path: func(*call) string { return "/consent/none" }},
	"POST /consent/{id}":                {wants: everybody(404), path: func(*call) string { return "/consent/none" }},
	"GET /oauth2/userinfo":              {wants: signedIn(403)}, // without the scope openid
	"POST /oauth2/userinfo":             {wants: signedIn(403)},

	// Clients prove themselves here, and a token of a user's does not.
	"POST /oauth2/token": {wants: everybody(415)}, "POST /oauth2/par": {wants: everybody(415)},
	"POST /oauth2/introspect": {wants: everybody(415)},

	"POST /oauth2/register":        {wants: everybody(401), body: func(*call) any { return said() }},
	"GET /oauth2/register/{id}":    {wants: everybody(401), path: func(*call) string { return "/oauth2/register/nosuch" }},
	"PUT /oauth2/register/{id}":    {wants: everybody(401), path: func(*call) string { return "/oauth2/register/nosuch" }, body: func(*call) any { return said() }},
	"DELETE /oauth2/register/{id}": {wants: everybody(401), path: func(*call) string { return "/oauth2/register/nosuch" }},

	"POST /oauth2/revoke": {wants: everybody(415)},

	"GET /oauth2/jwks":              {wants: everybody(200)},
	"GET /oauth2/status-lists/{id}": {wants: everybody(404)}, "GET /oauth2/status-lists/events": {wants: everybody(200)},
	"GET /.well-known/oauth-authorization-server": {wants: everybody(200)},
	"GET /.well-known/oauth-protected-resource":   {wants: everybody(200)},
	"GET /.well-known/openid-configuration":       {wants: everybody(200)},

	"GET /.well-known/authzen-configuration": {wants: everybody(200)},

	"GET /users/me":   {wants: signedIn(200)},
	"PATCH /users/me": {wants: signedIn(200), body: func(*call) any { return map[string]any{"name": "Somebody"} }},
	"POST /users/me/password": {wants: signedIn(204), body: func(*call) any {
		return map[string]any{"current_password": servertest.Password, "new_password": "another one of mine"}
	}},

	"GET /sessions":         {wants: signedIn(200)},
	"DELETE /sessions/{id}": {wants: sessionCells(), path: (*call).session},

	"GET /users":              {wants: admins(200, 200, 200)},
	"POST /users":             {wants: admins(201, 201, 201), body: func(c *call) any { return map[string]any{"username": c.unique()} }},
	"GET /users/{id}":         {wants: admins(200, 200, 404), path: (*call).user},
	"PATCH /users/{id}":       {wants: admins(200, 200, 404), path: (*call).user, body: func(*call) any { return map[string]any{"name": "Somebody"} }},
	"DELETE /users/{id}":      {wants: admins(204, 204, 404), path: (*call).user},
	"POST /users/{id}/unlock": {wants: admins(204, 204, 404), path: func(c *call) string { return c.user() + "/unlock" }},

	"GET /roles":           {wants: admins(200, 200, 200)},
	"POST /roles":          {wants: admins(201, 201, 201), body: func(c *call) any { return map[string]any{"name": c.unique()} }},
	"GET /roles/{name}":    {wants: admins(200, 200, 404), path: func(c *call) string { return "/roles/" + c.role }},
	"PUT /roles/{name}":    {wants: admins(409, 200, 404), path: func(c *call) string { return "/roles/" + c.role }, body: func(*call) any { return map[string]any{} }},
	"DELETE /roles/{name}": {wants: admins(409, 204, 404), path: func(c *call) string { return "/roles/" + c.role }},

	"GET /users/{id}/roles": {wants: admins(200, 200, 404), path: func(c *call) string { return c.user() + "/roles" }},
	"POST /users/{id}/roles": {
		wants: map[string]cells{"delegate": {403, 403, 404}, "admin": {201, 201, 404}},
		path:  func(c *call) string { return c.user() + "/roles" }, body: func(*call) any { return map[string]any{"role": "editor"} },
	},
	"DELETE /users/{id}/roles/{role}": {
		wants: map[string]cells{"delegate": {204, 403, 404}, "admin": {204, 204, 404}},
		path:  func(c *call) string { return c.user() + "/roles/" + c.held },
	},

	"GET /groups":                {wants: admins(200, 200, 200)},
	"POST /groups":               {wants: admins(201, 201, 201), body: func(c *call) any { return map[string]any{"name": c.unique()} }},
	"GET /groups/{name}":         {wants: admins(200, 200, 404), path: (*call).group},
	"PATCH /groups/{name}":       {wants: admins(200, 200, 404), path: (*call).group, body: func(*call) any { return map[string]any{"description": "Mine"} }},
	"DELETE /groups/{name}":      {wants: admins(204, 204, 404), path: (*call).group},
	"GET /groups/{name}/members": {wants: admins(200, 200, 404), path: func(c *call) string { return c.group() + "/members" }},
	"POST /groups/{name}/members": {
		wants: map[string]cells{"delegate": {201, 403, 404}, "admin": {201, 201, 404}},
		path:  func(c *call) string { return c.group() + "/members" },
		body:  func(c *call) any { return map[string]any{"id": c.s.User(c.t, "joins"+strconv.Itoa(c.n)).ID} },
	},
	"DELETE /groups/{name}/members/{id}": {
		wants: map[string]cells{"delegate": {204, 403, 404}, "admin": {204, 204, 404}},
		path: func(c *call) string {
			path, who := c.group()+"/members", c.s.User(c.t, "leaves"+strconv.Itoa(c.n)).ID
			if c.target != "absent" {
				c.by(path, map[string]any{"id": who})
			}
			return path + "/" + who
		},
	},
	"GET /groups/{name}/roles": {wants: admins(200, 200, 404), path: func(c *call) string { return c.group() + "/roles" }},
	"POST /groups/{name}/roles": {
		wants: map[string]cells{"delegate": {403, 403, 404}, "admin": {201, 201, 404}},
		path:  func(c *call) string { return c.group() + "/roles" },
		body:  func(*call) any { return map[string]any{"role": "editor"} },
	},
	"DELETE /groups/{name}/roles/{role}": {
		wants: map[string]cells{"delegate": {204, 403, 404}, "admin": {204, 204, 404}},
		path:  func(c *call) string { return c.group() + "/roles/" + c.held },
	},

	"GET /separations":           {wants: admins(200, 200, 200)},
	"POST /separations":          {wants: admins(201, 201, 201), body: func(c *call) any { c.separation(); return c.apart("other" + c.unique()) }},
	"GET /separations/{name}":    {wants: admins(200, 200, 404), path: (*call).separation},
	"PUT /separations/{name}":    {wants: admins(200, 200, 404), path: (*call).separation, body: func(c *call) any { return c.apart("") }},
	"DELETE /separations/{name}": {wants: admins(204, 204, 404), path: (*call).separation},

	"GET /clients": {wants: admins(200, 200, 200)},
	"POST /clients": {
		wants: map[string]cells{"keeper": {201, 201, 201}, "admin": {201, 201, 201}},
		body:  func(c *call) any { return map[string]any{"client_id": c.unique()} },
	},
	"GET /clients/{id}":                {wants: admins(200, 200, 404), path: (*call).client},
	"PATCH /clients/{id}":              {wants: keepers(200), path: (*call).client, body: func(*call) any { return map[string]any{"client_name": "Mine"} }},
	"DELETE /clients/{id}":             {wants: keepers(204), path: (*call).client},
	"POST /clients/{id}/rotate-secret": {wants: keepers(200), path: func(c *call) string { return c.client() + "/rotate-secret" }, body: func(*call) any { return map[string]any{} }},

	"GET /registration-tokens": {wants: admins(200, 200, 200)},
	"POST /registration-tokens": {
		wants: map[string]cells{"keeper": {201, 201, 201}, "admin": {201, 201, 201}},
		body:  func(*call) any { return map[string]any{"name": "for somebody"} },
	},
	"GET /registration-tokens/{id}":    {wants: admins(200, 200, 404), path: (*call).ticket},
	"DELETE /registration-tokens/{id}": {wants: keepers(204), path: (*call).ticket},

	"GET /clients/{id}/exchanges": {wants: admins(200, 200, 404), path: func(c *call) string { return c.client() + "/exchanges" }},
	"POST /clients/{id}/exchanges": {
		wants: keepers(201), path: func(c *call) string { return c.client() + "/exchanges" },
		body: func(c *call) any { return map[string]any{"from": "api-keys", "resource": c.s.URL} },
	},
	"DELETE /clients/{id}/exchanges/{rule}": {wants: keepers(204), path: (*call).exchange},

	"GET /clients/{id}/roles": {wants: admins(200, 200, 404), path: func(c *call) string { return c.client() + "/roles" }},
	"POST /clients/{id}/roles": {
		wants: map[string]cells{"delegate": {403, 403, 404}, "admin": {201, 201, 404}},
		path:  func(c *call) string { return c.client() + "/roles" },
		body:  func(c *call) any { return map[string]any{"role": "editor"} },
	},
	"DELETE /clients/{id}/roles/{role}": {
		wants: map[string]cells{"delegate": {204, 403, 404}, "admin": {204, 204, 404}},
		path:  func(c *call) string { return c.client() + "/roles/" + c.held },
	},

	"GET /resources": {wants: admins(200, 200, 200)},
	"POST /resources": {wants: admins(201, 201, 201), body: func(c *call) any {
		return map[string]any{"id": c.unique(), "identifier": "urn:" + c.unique()}
	}},
	"GET /resources/{id}":    {wants: admins(200, 200, 404), path: (*call).resource},
	"PATCH /resources/{id}":  {wants: admins(200, 200, 404), path: (*call).resource, body: func(*call) any { return map[string]any{"name": "Mine"} }},
	"DELETE /resources/{id}": {wants: admins(204, 204, 404), path: (*call).resource},

	"GET /api-keys": {wants: map[string]cells{
		"none": {200, 403, 403}, "viewer": {200, 403, 403}, "editor": {200, 403, 403}, "delegate": {200, 403, 403}, "keeper": {200, 403, 403}, "admin": {200, 200, 200},
	}, path: func(c *call) string { return "/api-keys?owner=user:" + c.id }},
	"POST /api-keys": {wants: map[string]cells{
		"none": {201, 403, 403}, "viewer": {201, 403, 403}, "editor": {201, 403, 403}, "delegate": {201, 403, 403}, "keeper": {201, 403, 403}, "admin": {201, 201, 404},
	}, body: func(c *call) any {
		return map[string]any{"name": "mine", "scopes": []string{}, "expires_in": 60, "owner": "user:" + c.id}
	}},
	"GET /api-keys/{id}":    {wants: keyCells(200), path: (*call).key},
	"PATCH /api-keys/{id}":  {wants: keyCells(200), path: (*call).key, body: func(*call) any { return map[string]any{"name": "another"} }},
	"DELETE /api-keys/{id}": {wants: keyCells(204), path: (*call).key},
	"POST /api-keys/{id}/rotate": {
		wants: keyCells(200), path: func(c *call) string { return c.key() + "/rotate" }, body: func(*call) any { return map[string]any{} },
	},
	"POST /api-keys/verify": {wants: signedIn(200), body: func(*call) any { return map[string]any{"key": "dwk_x"} }},
	"POST /api-keys/leaks":  {wants: everybody(404)},

	"GET /organizations":                {wants: admins(200, 200, 200)},
	"POST /organizations":               {wants: admins(201, 201, 201), body: func(c *call) any { return map[string]any{"name": c.unique()} }},
	"GET /organizations/{name}":         {wants: admins(200, 200, 404), path: (*call).organization},
	"PATCH /organizations/{name}":       {wants: admins(200, 200, 404), path: (*call).organization, body: func(*call) any { return map[string]any{"display_name": "Mine"} }},
	"DELETE /organizations/{name}":      {wants: admins(204, 204, 404), path: (*call).organization},
	"GET /organizations/{name}/members": {wants: admins(200, 200, 404), path: func(c *call) string { return c.organization() + "/members" }},
	"POST /organizations/{name}/members": {
		wants: admins(201, 201, 404), path: func(c *call) string { return c.organization() + "/members" },
		body: func(c *call) any { return map[string]any{"id": c.s.User(c.t, "joins"+strconv.Itoa(c.n)).ID} },
	},
	"DELETE /organizations/{name}/members/{id}": {wants: admins(204, 204, 404), path: (*call).membership},

	"POST /access/check":   {wants: askers(), body: (*call).question},
	"POST /access/explain": {wants: askers(), body: (*call).question},

	"GET /access/decisions/{id}": {wants: admins(200, 200, 404), path: (*call).decision},

	"POST /access/v1/evaluation":      {wants: admins(200, 200, 200), body: evaluating},
	"POST /access/v1/evaluations":     {wants: admins(200, 200, 200), body: evaluating},
	"POST /access/v1/search/subject":  {wants: admins(200, 200, 200), body: evaluating},
	"POST /access/v1/search/resource": {wants: admins(501, 501, 501), body: evaluating},
	"POST /access/v1/search/action":   {wants: admins(200, 200, 200), body: evaluating},

	"GET /conditions": {wants: admins(200, 200, 200)},
	"POST /conditions": {
		wants: admins(201, 201, 201),
		body:  func(c *call) any { return map[string]any{"name": c.unique(), "policy": harmless} },
	},
	"GET /conditions/{name}":    {wants: admins(200, 200, 404), path: (*call).condition},
	"PUT /conditions/{name}":    {wants: admins(200, 200, 404), path: (*call).condition, body: func(*call) any { return map[string]any{"policy": harmless} }},
	"DELETE /conditions/{name}": {wants: admins(204, 204, 404), path: (*call).condition},

	"GET /audit/events": {wants: admins(200, 200, 200)},
	"GET /audit/counts": {wants: admins(200, 200, 200)},

	"GET /audit/checkpoint": {wants: admins(200, 200, 200)},
	"GET /audit/proof":      {wants: admins(200, 200, 200), path: func(*call) string { return "/audit/proof?leaf=0" }},
})

func TestAttackRBAC008Matrix(t *testing.T) {
	t.Parallel()
	servertest.Both(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		made(t, s, root, "delegate", []string{"roles:grant"}, nil)
		made(t, s, root, "keeper", []string{"clients:write"}, nil)
		checkpoint(t, s, root) // there is one
		n := 0
		regulars := map[string]person{}
		for _, caller := range callers {
			regulars[caller] = enter(t, s, caller, "regular-"+caller)
		}
		// Who lacks the permission is refused before anything is looked at: what he asks
		// for is made once for all of them, and asked for at one database.
		asked, alike := map[string]asking{}, strings.Contains(t.Name(), "postgres")
		for _, line := range s.Server.SiteMap() {
			r, ok := matrix[line.Pattern]
			if !ok {
				t.Errorf("%s has no row in the matrix", line.Pattern)
				continue
			}
			for _, caller := range callers {
				if _, may := r.wants[caller]; !may && alike {
					continue
				}
				refusals := map[string]bool{}
				for i, target := range targets3 {
					n++
					want, ok := r.wants[caller]
					if !ok && caller == "anonymous" {
						want = cells{401, 401, 401}
					} else if !ok {
						want = cells{403, 403, 403}
					}
					c := &call{t: t, s: s, root: root, who: regulars[caller], caller: caller, target: target, n: n}
					if want[i] < 400 && !strings.HasPrefix(line.Pattern, "GET ") { // it may change the caller
						c.who = enter(t, s, caller, "caller"+strconv.Itoa(n))
					}
					asks, made := asked[line.Pattern+" "+target]
					if ok || !made {
						asks = c.ask(line.Pattern, r)
					}
					if !ok && (c.who.id == "" || !strings.Contains(asks.path, c.who.id)) {
						asked[line.Pattern+" "+target] = asks
					}
					a := s.Call(t, c.who.token, asks.method, asks.path, asks.body)
					if a.Status != want[i] {
						t.Errorf("%s by %s on %s: %d %s, want %d", line.Pattern, caller, target, a.Status, a.Body, want[i])
					}
					if !ok {
						refusals[anonymized(t, a)] = true
					}
				}
				if len(refusals) > 1 {
					t.Errorf("%s by %s: the refusal tells what is there: %v", line.Pattern, caller, refusals)
				}
			}
		}
		if len(matrix) != len(s.Server.SiteMap()) {
			t.Errorf("the matrix has %d rows, the site map %d lines", len(matrix), len(s.Server.SiteMap()))
		}
	})
}

// asking is what a cell sends.
type asking struct {
	method, path string
	body         any
}

// ask makes a target, and returns the request by which the caller acts on it.
func (c *call) ask(pattern string, r row) asking {
	c.t.Helper()
	c.id, c.role, c.held = c.who.id, "viewer", c.caller
	switch {
	case c.target == "other":
		c.id, c.role, c.held = c.s.User(c.t, "target"+strconv.Itoa(c.n), "viewer").ID, "role"+strconv.Itoa(c.n), "viewer"
		if strings.Contains(pattern, "{name}") {
			made(c.t, c.s, c.root, c.role, nil, nil)
		}
	case c.target == "absent" || c.id == "":
		c.id, c.role = "06h0mrdu337tnmefrq24vvnum8", "nosuch"
	}
	method, path := address(pattern)
	if r.path != nil {
		path = r.path(c)
	}
	var body any
	if r.body != nil {
		body = r.body(c)
	}
	return asking{method, path, body}
}

// anonymized returns a refusal without what differs between any two.
func anonymized(t *testing.T, a servertest.Answer) string {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return strings.NewReplacer(p.RequestID, "", p.DecisionID+"\"", "").Replace(a.Body) + a.Header.Get("WWW-Authenticate")
}
