package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// unwritten are the routes that the document does not describe: what is not part of
// the API, or has a document of its own.
var unwritten = []string{
	"GET /{$}", "GET /favicon.ico", "GET /healthz", "GET /readyz", "GET /openapi.json", "GET /oauth2/jwks",
	"GET /.well-known/oauth-authorization-server", "GET /.well-known/oauth-protected-resource", "GET /.well-known/authzen-configuration",
	"POST /access/v1/search/resource", // it says why there is none
	"POST /api-keys/leaks",            // described by those who send it
	"GET /signin", "POST /signin", "GET /account", "POST /account/signout", "POST /account/forget", "POST /account/sessions/{id}/end", "POST /account/sessions/end", "POST /account/password",
}

// document is an OpenAPI document, read.
type document struct {
	t    *testing.T
	root map[string]any
}

func readDocument(t *testing.T, s *servertest.Site) document {
	t.Helper()
	d := document{t: t}
	s.Send(t, "GET", "/openapi.json", "", "").JSON(t, &d.root)
	return d
}

// at returns what stands under keys, or fails the test.
func (d document) at(from any, keys ...string) any {
	d.t.Helper()
	for _, k := range keys {
		m, ok := from.(map[string]any)
		if !ok || m[k] == nil {
			d.t.Fatalf("nothing at %v", keys)
		}
		from = m[k]
	}
	return from
}

func (d document) object(from any, keys ...string) map[string]any {
	d.t.Helper()
	m, ok := d.at(from, keys...).(map[string]any)
	if !ok {
		d.t.Fatalf("no object at %v", keys)
	}
	return m
}

// operations returns the operations, by "METHOD /path".
func (d document) operations() map[string]map[string]any {
	d.t.Helper()
	list := map[string]map[string]any{}
	for path, item := range d.object(d.root, "paths") {
		for method, op := range d.object(item) {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				d.t.Errorf("%s has %s, which is no method", path, method)
				continue
			}
			list[strings.ToUpper(method)+" "+path] = d.object(op)
		}
	}
	return list
}

// resolve follows a reference.
func (d document) resolve(schema map[string]any) map[string]any {
	d.t.Helper()
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	parts := strings.Split(ref, "/")
	if parts[0] != "#" {
		d.t.Fatalf("%s is not in this document", ref)
	}
	return d.object(d.root, parts[1:]...)
}

// wrong returns what is wrong with a value. A property that the schema does not name
// is wrong even where the schema allows others: it is not documented.
func (d document) wrong(schema map[string]any, v any, at string) (all []string) {
	d.t.Helper()
	schema = d.resolve(schema)
	var types []string
	switch ty := schema["type"].(type) {
	case string:
		types = []string{ty}
	case []any:
		for _, one := range ty {
			types = append(types, fmt.Sprint(one))
		}
	default:
		return []string{at + ": its schema has no type"}
	}
	if !slices.Contains(types, typeOf(v)) && (typeOf(v) != "integer" || !slices.Contains(types, "number")) {
		return []string{fmt.Sprintf("%s is a %s, not one of %v", at, typeOf(v), types)}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		all = append(all, fmt.Sprintf("%s is %v, not one of %v", at, v, enum))
	}
	switch v := v.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				all = append(all, fmt.Sprintf("%s has no %s", at, name))
			}
		}
		for name, value := range v {
			if p, ok := properties[name].(map[string]any); ok {
				all = append(all, d.wrong(p, value, at+"."+name)...)
			} else if rest, ok := schema["additionalProperties"].(map[string]any); ok { // any name, and a value like this
				all = append(all, d.wrong(rest, value, at+"."+name)...)
			} else if schema["additionalProperties"] != true { // true: whatever the caller likes
				all = append(all, at+"."+name+" is not documented")
			}
		}
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok {
			return append(all, at+": its schema has no items")
		}
		for i, value := range v {
			all = append(all, d.wrong(items, value, at+"["+strconv.Itoa(i)+"]")...)
		}
	}
	return all
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// The document is one of OpenAPI 3.1 in which everything leads somewhere.
func TestDocumentIsOpenAPI(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	d := readDocument(t, s)
	if v, _ := d.root["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi %q", v)
	}
	for _, key := range []string{"title", "version"} {
		if v, _ := d.at(d.root, "info", key).(string); v == "" {
			t.Errorf("info has no %s", key)
		}
	}
	text, err := json.Marshal(d.root)
	if err != nil {
		t.Fatal(err)
	}
	refs := regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(text), -1)
	if len(refs) < 10 {
		t.Errorf("%d references", len(refs))
	}
	used := map[string]bool{}
	for _, ref := range refs {
		d.resolve(map[string]any{"$ref": ref[1]})
		used[ref[1]] = true
	}
	for name, schema := range d.object(d.root, "components", "schemas") {
		if !used["#/components/schemas/"+name] {
			t.Errorf("nothing refers to the schema %s", name)
		}
		checkSchema(t, d.object(schema), name)
	}
	schemes := d.object(d.root, "components", "securitySchemes")
	declared := d.object(schemes, "password", "flows", "password", "scopes")
	ids := map[string]bool{}
	for name, op := range d.operations() {
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] || op["summary"] == "" || op["tags"] == nil {
			t.Errorf("%s: operationId %q, summary %q", name, id, op["summary"])
		}
		ids[id] = true
		checkParameters(t, d, name, op)
		for status, r := range d.object(op, "responses") {
			if description, _ := d.object(r)["description"].(string); description == "" || !regexp.MustCompile(`^[1-5]\d\d$`).MatchString(status) {
				t.Errorf("%s: its response %s has no description", name, status)
			}
		}
		security, ok := op["security"].([]any)
		if !ok {
			t.Errorf("%s does not say who may call it", name)
		}
		for _, requirement := range security {
			for scheme, scopes := range d.object(requirement) {
				if schemes[scheme] == nil {
					t.Errorf("%s: there is no scheme %s", name, scheme)
				}
				for _, scope := range scopes.([]any) {
					if declared[scope.(string)] == nil {
						t.Errorf("%s: the scope %s is not declared", name, scope)
					}
				}
			}
		}
	}
}

// checkParameters fails the test unless the parameters of an operation are those of
// its path, and well formed.
func checkParameters(t *testing.T, d document, name string, op map[string]any) {
	t.Helper()
	var inPath []string
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		parameter := d.object(p)
		in := parameter["in"]
		if in == "path" {
			inPath = append(inPath, parameter["name"].(string))
		}
		if in == "path" && parameter["required"] != true || !slices.Contains([]any{"path", "query", "header"}, in) {
			t.Errorf("%s: parameter %v", name, parameter)
		}
		checkSchema(t, d.object(parameter, "schema"), name+" "+fmt.Sprint(parameter["name"]))
	}
	var wanted []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(name, -1) {
		wanted = append(wanted, m[1])
	}
	slices.Sort(inPath)
	slices.Sort(wanted)
	if !slices.Equal(inPath, wanted) {
		t.Errorf("%s has the parameters %v", name, inPath)
	}
	if body, ok := op["requestBody"].(map[string]any); ok {
		for mediaType, content := range d.object(body, "content") {
			known := []string{"application/json", "application/merge-patch+json", "application/x-www-form-urlencoded"}
			if !slices.Contains(known, mediaType) || (mediaType == "application/merge-patch+json") && !strings.HasPrefix(name, "PATCH ") {
				t.Errorf("%s takes a body of the type %s", name, mediaType)
			}
			checkSchema(t, d.resolve(d.object(content, "schema")), name+" body")
		}
	}
}

// checkSchema fails the test unless a schema says what a value is.
func checkSchema(t *testing.T, schema map[string]any, at string) {
	t.Helper()
	if _, ok := schema["$ref"]; ok {
		return
	}
	if schema["type"] == nil {
		t.Errorf("%s: the schema has no type", at)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		checkSchema(t, p.(map[string]any), at+"."+name)
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if properties[name.(string)] == nil {
			t.Errorf("%s requires %s, which it does not have", at, name)
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		checkSchema(t, items, at+"[]")
	}
}

// The document and the site map tell of the same operations, and of the same
// permissions.
func TestDocumentIsTheSiteMap(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	operations := readDocument(t, s).operations()
	for _, line := range s.Server.SiteMap() {
		op, ok := operations[line.Pattern]
		if ok == slices.Contains(unwritten, line.Pattern) {
			t.Errorf("%s is in the document: %t", line.Pattern, ok)
			continue
		}
		delete(operations, line.Pattern)
		if !ok {
			continue
		}
		want := `[]`
		if !line.Open {
			scopes := `[]`
			if line.Permission != "" {
				scopes = `["` + line.Permission + `"]`
			}
			want = `[{"password":` + scopes + `},{"bearer":` + scopes + `}]`
		}
		if got, err := json.Marshal(op["security"]); err != nil || string(got) != want {
			t.Errorf("%s: security %s, want %s", line.Pattern, got, want)
		}
	}
	for name := range operations {
		t.Errorf("%s is in the document, and not on the site map", name)
	}
}

// What the server answers is what the document says: the status, the media type, the
// fields and the headers.
func TestAnswersFitTheDocument(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		d := readDocument(t, s)
		operations := d.operations()
		succeeded := map[string]bool{}
		check := func(pattern string, a servertest.Answer) servertest.Answer {
			t.Helper()
			responses := d.object(operations[pattern], "responses")
			r, ok := responses[strconv.Itoa(a.Status)].(map[string]any)
			if !ok {
				t.Errorf("%s answers %d, which is not documented: %s", pattern, a.Status, a.Body)
				return a
			}
			succeeded[pattern] = succeeded[pattern] || a.Status < 300
			headers, _ := r["headers"].(map[string]any)
			for name := range headers {
				if name != "Idempotency-Replayed" && name != "Set-Cookie" && a.Header.Get(name) == "" {
					t.Errorf("%s answers %d without %s", pattern, a.Status, name)
				}
			}
			for _, name := range []string{"ETag", "Location", "Retry-After", "Idempotency-Replayed"} {
				if _, told := headers[name]; a.Status < 300 && a.Header.Get(name) != "" && !told {
					t.Errorf("%s answers %d with %s, which is not documented", pattern, a.Status, name)
				}
			}
			content, _ := r["content"].(map[string]any)
			if a.Body == "" {
				if len(content) > 0 && a.Status != http.StatusNotModified {
					t.Errorf("%s answers %d without a body", pattern, a.Status)
				}
				return a
			}
			media, ok := content[a.Header.Get("Content-Type")].(map[string]any)
			if !ok {
				t.Errorf("%s answers %d as %s; documented is %v", pattern, a.Status, a.Header.Get("Content-Type"), slices.Sorted(maps.Keys(content)))
				return a
			}
			var v any = a.Body
			if strings.Contains(a.Header.Get("Content-Type"), "json") {
				a.JSON(t, &v)
			}
			for _, w := range d.wrong(d.object(media, "schema"), v, pattern+": "+strconv.Itoa(a.Status)) {
				t.Error(w)
			}
			return a
		}
		converse(t, s, check)
		for pattern := range operations {
			if !succeeded[pattern] {
				t.Errorf("%s: no good answer was tried", pattern)
			}
		}
	})
}

// converseAboutDecisions is converse for conditions, and for questions with them.
func converseAboutDecisions(t *testing.T, s *servertest.Site, call func(pattern, path string, body any, headers ...string) servertest.Answer, check func(string, servertest.Answer) servertest.Answer) {
	t.Helper()
	type m = map[string]any
	call("POST /conditions", "/conditions", m{"name": "own", "description": "What is his own", "policy": `permit (principal, action, resource) when { resource.owner == principal.id };`}, "Idempotency-Key", "d")
	call("POST /conditions", "/conditions", m{"name": "own", "description": "What is his own", "policy": `permit (principal, action, resource) when { resource.owner == principal.id };`}, "Idempotency-Key", "d")
	call("POST /conditions", "/conditions", m{"name": "own", "policy": harmless})
	call("POST /conditions", "/conditions", m{"name": "bad", "policy": "permit"})
	call("GET /conditions", "/conditions?limit=1", nil)
	call("GET /conditions/{name}", "/conditions/own", nil)
	call("GET /conditions/{name}", "/conditions/own", nil, "If-None-Match", `"v1"`)
	call("GET /conditions/{name}", "/conditions/nosuch", nil)

	ask := m{"subject": "user:admin", "permission": "order:read", "object": m{"type": "order", "id": "7", "properties": m{"owner": "x"}}, "action_properties": m{"a": 1}, "context": m{"b": true}}
	call("POST /access/check", "/access/check", ask)
	var d struct {
		ID string `json:"decision_id"`
	}
	ask["object"] = m{"type": "order", "id": "7"}
	call("POST /access/explain", "/access/explain", ask).JSON(t, &d) // the policy cannot be evaluated
	call("GET /access/decisions/{id}", "/access/decisions/"+d.ID, nil)
	call("GET /access/decisions/{id}", "/access/decisions/nosuch", nil)

	who, order := m{"type": "user", "id": "admin"}, m{"type": "order", "id": "7"}
	call("POST /access/v1/evaluation", "/access/v1/evaluation", m{"subject": who, "action": m{"name": "read"}, "resource": order})
	call("POST /access/v1/evaluation", "/access/v1/evaluation", m{"subject": who, "action": m{"name": "users:read"}, "resource": order})
	call("POST /access/v1/evaluation", "/access/v1/evaluation", m{})
	call("POST /access/v1/evaluation", "/access/v1/evaluation", m{"a": strings.Repeat("a", 70<<10)})
	check("POST /access/v1/evaluation", s.Form(t, "/access/v1/evaluation"))
	check("POST /access/v1/evaluation", registered{"nobody", "x"}.ask(t, s, "evaluation", "{}"))
	call("POST /access/v1/evaluations", "/access/v1/evaluations", m{"subject": who, "action": m{"name": "read"}, "evaluations": []m{{"resource": order}, {}}})
	call("POST /access/v1/evaluations", "/access/v1/evaluations", m{"subject": who, "action": m{"name": "read"}, "resource": order})
	call("POST /access/v1/search/subject", "/access/v1/search/subject", m{"subject": m{"type": "user"}, "action": m{"name": "users:read"}, "resource": order})
	call("POST /access/v1/search/action", "/access/v1/search/action", m{"subject": who, "resource": m{"type": "users", "id": "7"}})

	call("PUT /conditions/{name}", "/conditions/own", m{"policy": harmless}, "If-Match", `"v1"`)
	call("PUT /conditions/{name}", "/conditions/own", m{"policy": harmless}, "If-Match", `"v1"`)
	call("DELETE /conditions/{name}", "/conditions/own", nil)
	call("DELETE /conditions/{name}", "/conditions/own", nil)
}

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
	call("DELETE /clients/{id}/roles/{role}", "/clients/billing/roles/viewer", nil, "If-Match", `"x"`)
	call("DELETE /clients/{id}/roles/{role}", "/clients/billing/roles/viewer", nil)
	call("DELETE /clients/{id}", "/clients/billing", nil, "If-Match", `"v99"`)
	call("DELETE /clients/{id}", "/clients/billing", nil)
	call("DELETE /clients/{id}", "/clients/billing", nil)
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
