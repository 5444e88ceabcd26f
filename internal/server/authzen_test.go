package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/servertest"
)

// The two scenarios that policy decision points are tried with, in roles and
// conditions: the records of the certification, and the to-do lists of the interop
// events.

const recordPolicy = `
@id("archived")
forbid (principal, action == Action::"record:write", resource)
when { resource has status && resource.status == "archived" }
unless { principal.properties has role && principal.properties.role == "admin" };

@id("admin")
permit (principal, action == Action::"record:write", resource)
when { principal.properties has role && principal.properties.role == "admin" };

@id("soft")
forbid (principal, action == Action::"record:delete", resource)
unless { context.action has soft && context.action.soft };
`

const todoPolicy = `
@id("owner")
permit (principal in Role::"todo-editor", action in [Action::"todo:can_update_todo", Action::"todo:can_delete_todo"], resource)
when { resource has ownerID && resource.ownerID == principal.email };
`

// condition makes a condition, as an administrator.
func condition(t *testing.T, s *servertest.Site, root, name, policy string) {
	t.Helper()
	if a := s.Call(t, root, "POST", "/conditions", map[string]any{"name": name, "policy": policy}); a.Status != http.StatusCreated {
		t.Fatalf("the condition %s: %d %s", name, a.Status, a.Body)
	}
}

// pdp is a client that asks for decisions, of a site with both scenarios.
func pdp(t *testing.T, s *servertest.Site) registered {
	t.Helper()
	root := s.Login(t, servertest.Admin).Access
	made(t, s, root, "decider", []string{"roles:read", "users:read", "clients:read"}, nil)
	c := register(t, s, root, map[string]any{"client_id": "gateway", "scope": "roles:read users:read clients:read"}, "decider")

	made(t, s, root, "record-reader", []string{"record:read"}, nil)
	made(t, s, root, "record-writer", []string{"record:write", "record:delete"}, []string{"record-reader"})
	condition(t, s, root, "records", recordPolicy)
	s.User(t, "alice", "record-writer")
	s.User(t, "bob", "record-reader")

	made(t, s, root, "todo-viewer", []string{"user:can_read_user", "todo:can_read_todos"}, nil)
	made(t, s, root, "todo-editor", []string{"todo:can_create_todo"}, []string{"todo-viewer"})
	made(t, s, root, "todo-admin", []string{"todo:can_delete_todo"}, []string{"todo-editor"})
	made(t, s, root, "evil-genius", []string{"todo:can_update_todo"}, []string{"todo-editor"})
	condition(t, s, root, "todos", todoPolicy)
	for who, roles := range map[string]string{
		"rick@the-citadel.com": "todo-admin evil-genius", "morty@the-citadel.com": "todo-editor", "summer@the-smiths.com": "todo-editor",
		"beth@the-smiths.com": "todo-viewer", "jerry@the-smiths.com": "todo-viewer",
	} {
		name, _, _ := strings.Cut(who, "@")
		u, err := s.Core.Accounts.Create(t.Context(), servertest.Operator, account.Draft{Username: name, Email: who, EmailVerified: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range strings.Fields(roles) {
			if _, err := s.Core.Roles.Give(t.Context(), servertest.Operator, u.ID, role, time.Time{}, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// ask sends a body to an endpoint of the API with the client's secret.
func (r registered) ask(t *testing.T, s *servertest.Site, path, body string, headers ...string) servertest.Answer {
	t.Helper()
	return s.Send(t, http.MethodPost, "/access/v1/"+path, jsonType, body, append(headers, r.basic()...)...)
}

type evaluation struct {
	Decision bool
	Context  struct {
		ID         string
		Admin      map[string]string `json:"reason_admin"`
		User       map[string]string `json:"reason_user"`
		Conditions []struct{ Name, Effect, Policy, Error string }
		Error      struct {
			Status  int
			Message string
		}
	}
}

// decision fails the test unless a question is answered, and so.
func (r registered) decision(t *testing.T, s *servertest.Site, body string, want bool) evaluation {
	t.Helper()
	a := r.ask(t, s, "evaluation", body)
	var e evaluation
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || !strings.Contains(a.Body, `"decision":`) {
		t.Fatalf("%s: %d %s", body, a.Status, a.Body)
	}
	if a.JSON(t, &e); e.Decision != want || e.Context.ID == "" {
		t.Errorf("%s: %s", body, a.Body)
	}
	return e
}

func TestAuthZEN(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		c := pdp(t, s)
		t.Run("records", func(t *testing.T) { authzenRecords(t, s, c) })
		t.Run("to-do lists", func(t *testing.T) { authzenTodos(t, s, c) })
		t.Run("many", func(t *testing.T) { authzenMany(t, s, c) })
		t.Run("searches", func(t *testing.T) { authzenSearches(t, s, c) })
		t.Run("requests", func(t *testing.T) { authzenRequests(t, s, c) })
		t.Run("callers", func(t *testing.T) { authzenCallers(t, s, c) })
	})
}

func authzenRecords(t *testing.T, s *servertest.Site, c registered) {
	for _, tt := range []struct {
		body string
		want bool
		by   string // the policy that decided, if one did
	}{
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, true, ""},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"write"},"resource":{"type":"record","id":"record-1"}}`, true, ""},
		{`{"subject":{"type":"user","id":"bob"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, true, ""},
		{`{"subject":{"type":"user","id":"bob"},"action":{"name":"write"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"write"},"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}}`, false, "archived"},
		{`{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},"action":{"name":"write"},"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}}`, true, "admin"},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"delete","properties":{"soft":true}},"resource":{"type":"record","id":"record-1"}}`, true, ""},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"delete","properties":{"soft":false}},"resource":{"type":"record","id":"record-1"}}`, false, "soft"},
		// With more than is needed, and with what no version knows yet.
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}}`, true, ""},
		{`{"subject":{"type":"user","id":"alice","properties":{"department":"Sales","role":"manager"}},"action":{"name":"read","properties":{"method":"GET"}},"resource":{"type":"record","id":"record-1","properties":{"status":"active","owner":"bob"}}}`, true, ""},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"foo":"bar","futureField":{"nested":true}}`, true, ""},
		{`{"subject":{"type":"user","id":"alice","properties":null},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"context":null}`, true, ""},
		// An action that is a permission in full.
		{`{"subject":{"type":"user","id":"bob"},"action":{"name":"record:read"},"resource":{"type":"anything","id":"1"}}`, true, ""},
		// Nobody that is known: no, and no error.
		{`{"subject":{"type":"user","id":"nobody"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"spaceship","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"User","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"user","id":"` + strings.Repeat("a", 1000) + `"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"user","id":"a\u0000b"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"*"},"resource":{"type":"record","id":"record-1"}}`, false, ""},
		{`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"re cord","id":"record-1"}}`, false, ""},
	} {
		for range 2 { // the same each time
			e := c.decision(t, s, tt.body, tt.want)
			by := ""
			for _, p := range e.Context.Conditions {
				by += p.Policy
			}
			if by != tt.by || e.Decision == (e.Context.Admin["en"] != "") || e.Decision == (e.Context.User["en"] != "") {
				t.Errorf("%s: decided by %q: %+v", tt.body, by, e)
			}
		}
	}
}

func authzenTodos(t *testing.T, s *servertest.Site, c registered) {
	owners := []string{"rick@the-citadel.com", "morty@the-citadel.com", "summer@the-smiths.com", "beth@the-smiths.com", "jerry@the-smiths.com"}
	for i, who := range owners {
		rick, editor := i == 0, i <= 2
		ask := func(action, kind, properties string, want bool) {
			t.Helper()
			c.decision(t, s, fmt.Sprintf(`{"subject":{"type":"user","id":%q},"action":{"name":%q},"resource":{"type":%q,"id":"7240d0db-8ff0-41ec-98b2-34a096273b9%d"%s}}`,
				who, action, kind, i, properties), want)
		}
		ask("can_read_user", "user", "", true)
		ask("can_read_todos", "todo", "", true)
		ask("can_create_todo", "todo", "", editor)
		for _, owner := range owners {
			properties := fmt.Sprintf(`,"properties":{"ownerID":%q}`, owner)
			ask("can_update_todo", "todo", properties, rick || editor && owner == who)
			ask("can_delete_todo", "todo", properties, rick || editor && owner == who)
		}
	}
}

func authzenMany(t *testing.T, s *servertest.Site, c registered) {
	const alice, bob, record = `"subject":{"type":"user","id":"alice"}`, `"subject":{"type":"user","id":"bob"}`, `"resource":{"type":"record","id":"record-1"}`
	read, write := `"action":{"name":"read"}`, `"action":{"name":"write"}`
	archived := `"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}`
	semantic := func(s string) string { return `"options":{"evaluations_semantic":"` + s + `","another":1},` }
	for _, tt := range []struct{ body, want string }{
		{`{` + alice + `,` + read + `,"evaluations":[{` + record + `},{"resource":{"type":"record","id":"record-2"}}]}`, "yes yes"},
		{`{` + bob + `,` + record + `,"evaluations":[{` + read + `},{` + write + `}]}`, "yes no"},
		{`{` + alice + `,` + write + `,"evaluations":[{"resource":{"type":"record","id":"record-1","properties":{"status":"active"}}},{` + archived + `}]}`, "yes no"},
		{`{` + write + `,` + archived + `,"evaluations":[{` + alice + `},{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}}}]}`, "no yes"},
		{`{"evaluations":[{` + alice + `,` + read + `,` + record + `},{` + bob + `,` + write + `,` + record + `}]}`, "yes no"},
		{`{` + alice + `,` + read + `,"context":{"time":"1"},"evaluations":[{` + record + `},{"context":{"time":"2"},` + record + `}]}`, "yes yes"},
		// What an entity of its own lacks comes from outside; its properties do not.
		{`{` + alice + `,` + write + `,"resource":{"type":"record","properties":{"status":"archived"}},"evaluations":[{"resource":{"id":"record-1"}},{},{"resource":{"id":"record-2","properties":{"status":"archived"}}}]}`, "yes 400 no"},
		{`{` + alice + `,"action":{"name":"delete","properties":{"soft":true}},` + record + `,"evaluations":[{},{"action":{"properties":{"soft":false}}},{"action":{}}]}`, "yes no no"},
		// What is wrong with one question is told in its answer.
		{`{` + alice + `,` + read + `,"evaluations":[{` + record + `},{}]}`, "yes 400"},
		{`{` + alice + `,` + read + `,"evaluations":[{` + record + `},{"resource":7},7,null,{"subject":{"type":"user"},` + record + `}]}`, "yes 400 400 400 yes"},
		// Where the answers end.
		{`{` + semantic("execute_all") + bob + `,` + record + `,"evaluations":[{` + read + `},{` + write + `},{` + read + `}]}`, "yes no yes"},
		{`{` + semantic("deny_on_first_deny") + bob + `,` + record + `,"evaluations":[{` + read + `},{` + write + `},{` + read + `}]}`, "yes no"},
		{`{` + semantic("deny_on_first_deny") + bob + `,` + record + `,"evaluations":[{` + read + `},{},{` + read + `}]}`, "yes 400"},
		{`{` + semantic("permit_on_first_permit") + bob + `,` + record + `,"evaluations":[{` + write + `},{` + read + `},{` + write + `}]}`, "no yes"},
		// Without a list it is one question.
		{`{` + alice + `,` + read + `,` + record + `}`, "single"},
		{`{` + alice + `,` + read + `,` + record + `,"evaluations":[]}`, "single"},
	} {
		a := c.ask(t, s, "evaluations", tt.body)
		var out struct {
			Decision    *bool
			Evaluations []evaluation
		}
		if a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", tt.body, a.Status, a.Body)
			continue
		}
		a.JSON(t, &out)
		var got []string
		for _, e := range out.Evaluations {
			switch {
			case e.Context.Error.Status != 0 && !e.Decision:
				got = append(got, fmt.Sprint(e.Context.Error.Status))
			case e.Decision:
				got = append(got, "yes")
			default:
				got = append(got, "no")
			}
		}
		if out.Decision != nil && *out.Decision {
			got = append(got, "single")
		}
		if strings.Join(got, " ") != tt.want || strings.Count(a.Body, `"decision":`) != len(got) {
			t.Errorf("%s:\n\t%s\n\twant %s", tt.body, a.Body, tt.want)
		}
	}
	for _, bad := range []string{
		`{"subject":"alice",` + read + `,"evaluations":[{` + alice + `,` + record + `}]}`,
		`{` + alice + `,` + read + `,"evaluations":{}}`,
		`{` + alice + `,` + read + `,` + record + `,"options":7}`,
		`{` + semantic("majority") + alice + `,` + read + `,"evaluations":[{` + record + `}]}`,
		`{"options":{"evaluations_semantic":1},` + alice + `,` + read + `,"evaluations":[{` + record + `}]}`,
		`{` + alice + `,` + read + `,"evaluations":[` + strings.Repeat(`{},`, 200) + `{}]}`,
		`{` + alice + `,` + read + `,"evaluations":[]}`,
	} {
		if a := c.ask(t, s, "evaluations", bad); a.Status != http.StatusBadRequest {
			t.Errorf("%.200s: %d %s", bad, a.Status, a.Body)
		}
	}
}

// results are what a search found.
type results struct {
	Results []struct{ Type, ID, Name string }
	Page    struct {
		Next  *string `json:"next_token"`
		Count int
	}
}

func (r registered) search(t *testing.T, s *servertest.Site, what, body string) (found []string, next string) {
	t.Helper()
	a := r.ask(t, s, "search/"+what, body)
	var out results
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"results":[`) {
		t.Fatalf("%s: %d %s", body, a.Status, a.Body)
	}
	a.JSON(t, &out)
	if out.Page.Next == nil || out.Page.Count != len(out.Results) {
		t.Errorf("%s: %s", body, a.Body)
	}
	for _, r := range out.Results {
		found = append(found, r.ID+r.Name)
	}
	slices.Sort(found)
	return found, *out.Page.Next
}

func authzenSearches(t *testing.T, s *servertest.Site, c registered) {
	for _, tt := range []struct{ what, body, want string }{
		{"subject", `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, "alice bob"},
		{"subject", `{"subject":{"type":"user","id":"passed over"},"action":{"name":"write"},"resource":{"type":"record","id":"record-1"},"context":{"a":1}}`, "alice"},
		{"subject", `{"subject":{"type":"user"},"action":{"name":"write"},"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}}`, ""},
		{"subject", `{"subject":{"type":"user"},"action":{"name":"can_update_todo"},"resource":{"type":"todo","id":"1","properties":{"ownerID":"morty@the-citadel.com"}}}`, "morty rick"},
		{"subject", `{"subject":{"type":"client"},"action":{"name":"roles:read"},"resource":{"type":"x","id":"1"}}`, "gateway"},
		{"subject", `{"subject":{"type":"spaceship"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`, ""},
		{"action", `{"subject":{"type":"user","id":"alice"},"resource":{"type":"record","id":"record-1"}}`, "read write"},
		{"action", `{"subject":{"type":"user","id":"alice"},"resource":{"type":"record","id":"record-1","properties":{"status":"archived"}},"context":{"a":1},"action":7}`, "read"},
		{"action", `{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}}`, "read write"},
		{"action", `{"subject":{"type":"user","id":"nobody"},"resource":{"type":"record","id":"record-1"}}`, ""},
		{"action", `{"subject":{"type":"user","id":"alice"},"resource":{"type":"spaceship","id":"record-1"}}`, ""},
		{"action", `{"subject":{"type":"spaceship","id":"alice"},"resource":{"type":"record","id":"record-1"}}`, ""},
	} {
		if found, next := c.search(t, s, tt.what, tt.body); strings.Join(found, " ") != tt.want || next != "" {
			t.Errorf("%s: %v, and then %q; want %s", tt.body, found, next, tt.want)
		}
	}
	for _, tt := range []struct{ what, body, want string }{
		{"subject", `{"subject":{"type":"user"},"action":{"name":"can_read_todos"},"resource":{"type":"todo","id":"1"},"page":{"limit":2%s}}`, "beth jerry morty rick summer"},
		{"action", `{"subject":{"type":"user","id":"rick"},"resource":{"type":"todo","id":"1"},"page":{"limit":1%s}}`, "can_create_todo can_delete_todo can_read_todos can_update_todo"},
	} {
		var all []string
		token := ""
		for n := 0; n == 0 || token != ""; n++ {
			page, next := c.search(t, s, tt.what, fmt.Sprintf(tt.body, fmt.Sprintf(`,"token":%q`, token)))
			if len(page) > 2 || n > 6 {
				t.Fatalf("page %d: %v", n, page)
			}
			all, token = append(all, page...), next
			if bad := strings.Replace(tt.body, `"type":"todo"`, `"type":"record"`, 1); next != "" && c.ask(t, s, "search/"+tt.what, fmt.Sprintf(bad, fmt.Sprintf(`,"token":%q`, next))).Status != http.StatusBadRequest {
				t.Errorf("the token of another search is taken")
			}
		}
		if slices.Sort(all); strings.Join(all, " ") != tt.want {
			t.Errorf("%s: page by page %v", tt.body, all)
		}
	}
	for what, bodies := range map[string][]string{
		"subject": {
			`{"subject":{"type":"user"},"resource":{"type":"record","id":"record-1"}}`, `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record"}}`,
			`{"subject":{},"action":{"name":"read"},"resource":{"type":"record","id":"1"}}`, `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"1"},"page":7}`,
			`{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"1"},"page":{"limit":-1}}`, `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"1"},"page":{"token":1}}`,
			`{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"1"},"page":{"token":"made up"}}`,
		},
		"resource": {`{"action":{"name":"read"},"resource":{"type":"record"}}`, `{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record"}}`},
		"action":   {`{"subject":{"type":"user","id":"alice"}}`, `{"subject":{"type":"user"},"resource":{"type":"record","id":"1"}}`},
	} {
		for _, body := range bodies {
			if a := c.ask(t, s, "search/"+what, body); a.Status != http.StatusBadRequest {
				t.Errorf("%s of %s: %d %s", body, what, a.Status, a.Body)
			}
		}
	}
	if a := c.ask(t, s, "search/resource", `{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record"}}`); a.Status != http.StatusNotImplemented || !strings.Contains(a.Body, "/access/v1/evaluation") {
		t.Errorf("resources: %d %s", a.Status, a.Body)
	}
}

func authzenRequests(t *testing.T, s *servertest.Site, c registered) {
	const good = `{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`
	for _, bad := range []string{
		``, ` `, `{`, `[]`, `null`, `"x"`, good + good, `{"subject":{"type":"user","id":"alice"},` + good[1:],
		`{"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"}}`,
		`{"subject":{"id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record"}}`,
		`{"subject":"alice","action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":null,"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"Subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":123},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":7},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":""},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1","properties":[]}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"context":"x"}`,
		strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40),
	} {
		if a := c.ask(t, s, "evaluation", bad); a.Status != http.StatusBadRequest || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", bad, a.Status, a.Body)
		}
	}
	if a := c.ask(t, s, "evaluation", `{"a":"`+strings.Repeat("x", 70<<10)+`"}`); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", a.Status)
	}
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""} {
		if a := s.Send(t, "POST", "/access/v1/evaluation", contentType, good, c.basic()...); a.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d %s", contentType, a.Status, a.Body)
		}
	}
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		if a := s.Send(t, method, "/access/v1/evaluation", jsonType, good, append(c.basic(), "X-Request-Id", "mine")...); a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST" || a.Header.Get("X-Request-Id") != "mine" {
			t.Errorf("%s: %d %v", method, a.Status, a.Header)
		}
	}
	for _, id := range []string{"bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "a", strings.Repeat("x", 128)} {
		for _, body := range []string{good, `{}`} {
			if a := c.ask(t, s, "evaluation", body, "X-Request-ID", id); !slices.Equal(a.Header.Values("X-Request-Id"), []string{id}) {
				t.Errorf("%s is answered as %v", id, a.Header)
			}
		}
	}
	for _, id := range []string{"", "a b", strings.Repeat("x", 129), `"`, "é", "<x>"} {
		if a := c.ask(t, s, "evaluation", good, "X-Request-ID", id); a.Status != http.StatusOK || a.Header.Get("X-Request-Id") == id || a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%q is answered as %v", id, a.Header)
		}
	}
	if a := s.Send(t, "GET", "/users/me", "", "", "X-Request-ID", "mine"); a.Header.Get("X-Request-Id") == "mine" {
		t.Error("another endpoint takes a request's name")
	}
	var m map[string]string
	a := s.Send(t, "GET", "/.well-known/authzen-configuration", "", "")
	a.JSON(t, &m)
	if m["policy_decision_point"] != s.URL || m["access_evaluation_endpoint"] != s.URL+"/access/v1/evaluation" || m["search_resource_endpoint"] != "" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", m)
	}
	delete(m, "policy_decision_point")
	for name, url := range m {
		if a := s.Send(t, "POST", strings.TrimPrefix(url, s.URL), jsonType, `{}`, c.basic()...); a.Status != http.StatusBadRequest {
			t.Errorf("%s is at %s: %d", name, url, a.Status)
		}
	}
}

// Who may ask: whoever may read roles, by a token or, as a client, by its secret; and
// about names, whoever may read accounts.
func authzenCallers(t *testing.T, s *servertest.Site, c registered) {
	const good = `{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`
	root := s.Login(t, servertest.Admin).Access
	made(t, s, root, "asker", []string{"roles:read"}, nil)
	s.User(t, "plain", "viewer")
	weak := register(t, s, root, map[string]any{"client_id": "weak", "scope": "roles:read"})
	narrow := register(t, s, root, map[string]any{"client_id": "narrow", "scope": "users:read"}, "decider")
	asker := register(t, s, root, map[string]any{"client_id": "asker", "scope": "roles:read"}, "asker")
	post := register(t, s, root, map[string]any{"client_id": "post", "scope": "roles:read", "token_endpoint_auth_method": "client_secret_post"}, "asker")
	for name, tt := range map[string]struct {
		headers []string
		want    int
	}{
		"an administrator's token": {[]string{"Authorization", "Bearer " + root}, 200},
		"a client's token":         {[]string{"Authorization", "Bearer " + asker.token(t, s).Access}, 200},
		"a client's secret":        {asker.basic(), 200},
		"without the role":         {weak.basic(), 403},
		"not registered for it":    {narrow.basic(), 403},
		"a plain user's token":     {[]string{"Authorization", "Bearer " + s.Login(t, "plain").Access}, 403},
		"a narrow token":           {[]string{"Authorization", "Bearer " + s.Login(t, servertest.Admin, "scope", "users:read").Access}, 403},
		"a wrong secret":           {registered{"asker", weak.secret}.basic(), 401},
		"no such client":           {registered{"nobody", weak.secret}.basic(), 401},
		"another method":           {post.basic(), 401},
		"no base64":                {[]string{"Authorization", "Basic !"}, 401},
		"a person's password":      {registered{"plain", servertest.Password}.basic(), 401},
		"a bad token":              {[]string{"Authorization", "Bearer x"}, 401},
		"nothing":                  {nil, 401},
		"two credentials":          {append(asker.basic(), "Authorization", "Bearer "+root), 400},
	} {
		for _, path := range []string{"evaluation", "evaluations"} {
			a := s.Send(t, "POST", "/access/v1/"+path, jsonType, good, tt.headers...)
			challenge, scheme := a.Header.Get("WWW-Authenticate"), "Bearer"
			if len(tt.headers) > 0 {
				scheme, _, _ = strings.Cut(tt.headers[1], " ")
			}
			if a.Status != tt.want || a.Status == 401 && !strings.HasPrefix(challenge, scheme) {
				t.Errorf("%s, %s: %d %s %s", path, name, a.Status, challenge, a.Body)
			}
			if a.Status == 403 && !strings.Contains(a.Body, `"decision_id":"`) {
				t.Errorf("%s: %s", name, a.Body)
			}
		}
	}
	if n := len(events(t, s, "client.refused")); n < 8 {
		t.Errorf("%d refusals of clients are in the audit log", n)
	}
	// Without users:read, a denial is the same whoever it is.
	denials := map[string]bool{}
	if a := s.Call(t, root, "PATCH", "/users/"+s.User(t, "away", "record-writer").ID, map[string]any{"status": "disabled"}); a.Status != http.StatusOK {
		t.Fatal(a.Body)
	}
	for _, who := range []string{"bob", "away", "nobody"} {
		e := asker.decision(t, s, strings.NewReplacer("alice", who, `"read"`, `"write"`).Replace(good), false)
		e.Context.ID = ""
		denials[fmt.Sprint(e)] = true
	}
	e := asker.decision(t, s, `{"subject":{"type":"user","id":"alice"},"action":{"name":"delete","properties":{"soft":false}},"resource":{"type":"record","id":"record-1"}}`, false)
	e.Context.ID = ""
	if denials[fmt.Sprint(e)] = true; len(denials) != 1 {
		t.Errorf("the denials tell who is there: %v", denials)
	}
	asker.decision(t, s, good, true)
	for _, who := range []string{"user", "client"} {
		if a := asker.ask(t, s, "search/subject", `{"subject":{"type":"`+who+`"},"action":{"name":"read"},"resource":{"type":"record","id":"1"}}`); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "decision_id") {
			t.Errorf("a search for names of %ss: %d %s", who, a.Status, a.Body)
		}
	}
}
