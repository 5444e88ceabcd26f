package server_test

import (
	"cmp"
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
	"GET /{$}", "GET /favicon.ico", "GET /healthz", "GET /readyz", "GET /openapi.json", "GET /oauth2/status-lists/{id}", "GET /oauth2/status-lists/events", "GET /docs", "GET /docs/{file}", "GET /theme/style.css", "GET /theme/logo",
	"GET /.well-known/authzen-configuration",
	// Found by metadata of their own, where they are at all.
	"GET /.well-known/ssf-configuration", "GET /ssf/streams", "POST /ssf/streams", "PATCH /ssf/streams", "PUT /ssf/streams", "DELETE /ssf/streams", "GET /ssf/status", "POST /ssf/status",
	"POST /ssf/subjects:add", "POST /ssf/subjects:remove", "POST /ssf/verification", "POST /ssf/streams/{id}/poll",
	"POST /access/v1/search/resource", // it says why there is none
	"POST /api-keys/leaks",            // described by those who send it
	"GET /oauth2/authorize/{id}", "POST /oauth2/logout/confirm", "GET /oauth2/device", "POST /oauth2/device",
	"GET /consent/{id}", "POST /consent/{id}", "POST /account/apps/{id}/withdraw",
	"GET /signin", "POST /signin", "GET /account", "POST /account/signout", "POST /account/forget", "POST /account/sessions/{id}/end", "POST /account/sessions/end", "POST /account/password",
}

// forApplications are the operations without a permission that an application may call
// with a person's token, and the scopes for it.
var forApplications = map[string]string{
	"GET /users/me": `["profile","email"]`, "POST /api-keys/verify": "", "POST /access/check": "", "POST /access/explain": "",
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
	declared := map[string]map[string]any{
		"password": d.object(schemes, "password", "flows", "password", "scopes"), "code": d.object(schemes, "code", "flows", "authorizationCode", "scopes"),
	}
	declared["bearer"] = declared["password"]
	tags, ids := map[string]bool{}, map[string]bool{}
	for _, tag := range d.at(d.root, "tags").([]any) {
		tags[d.at(tag, "name").(string)] = true
	}
	for name, op := range d.operations() {
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] || op["summary"] == "" || op["tags"] == nil || !tags[op["tags"].([]any)[0].(string)] {
			t.Errorf("%s: operationId %q, summary %q, tags %v", name, id, op["summary"], op["tags"])
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
					if declared[scheme][scope.(string)] == nil {
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
			if apps, ok := forApplications[line.Pattern]; ok || line.Permission != "" {
				want = strings.TrimSuffix(want, "]") + `,{"code":` + cmp.Or(apps, scopes) + `}]`
			}
			if strings.HasSuffix(line.Pattern, " /oauth2/userinfo") {
				want = `[{"code":["openid"]},{"bearer":[]}]`
			}
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
			succeeded[pattern] = succeeded[pattern] || a.Status < 400
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
