package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// reasoned is what /access/explain answers where conditions had a word.
type reasoned struct {
	explanation
	Conditions []struct{ Name, Effect, Policy, Error string }
}

// A condition is written, read, replaced and deleted; a policy that is none is refused
// with the place.
func TestConditions(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		body := map[string]any{"name": "own", "description": "What is his own", "policy": `permit (principal, action, resource) when { resource.owner == principal.id };`}
		a := s.Call(t, root, "POST", "/conditions", body, "Idempotency-Key", "k")
		if a.Status != http.StatusCreated || a.Header.Get("Location") != s.URL+"/conditions/own" || a.Header.Get("ETag") != `"v1"` {
			t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
		}
		if b := s.Call(t, root, "POST", "/conditions", body, "Idempotency-Key", "k"); b.Status != http.StatusCreated || b.Body != a.Body || b.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("again: %d %s", b.Status, b.Body)
		}
		if b := s.Call(t, root, "GET", "/conditions/own", nil); b.Body != a.Body || b.Header.Get("ETag") != `"v1"` {
			t.Errorf("%d %s", b.Status, b.Body)
		}
		for _, tt := range []struct {
			method, path string
			body         map[string]any
			headers      []string
			status       int
			says         string
		}{
			{"POST", "/conditions", body, nil, 409, "name"},
			{"POST", "/conditions", map[string]any{"name": "x", "policy": "permit (principal,\naction resource);"}, nil, 400, "line 2, column 16"},
			{"POST", "/conditions", map[string]any{"name": "x", "policy": ""}, nil, 400, "body.policy"},
			{"POST", "/conditions", map[string]any{"name": "x"}, nil, 400, "policy"},
			{"POST", "/conditions", map[string]any{"name": "X", "policy": harmless}, nil, 400, "body.name"},
			{"POST", "/conditions", map[string]any{"name": "x", "policy": harmless, "roles": 1}, nil, 400, "roles"},
			{"PUT", "/conditions/own", map[string]any{"policy": "no"}, nil, 400, "line 1"},
			{"PUT", "/conditions/own", map[string]any{"name": "other", "policy": harmless}, nil, 400, "keeps its name"},
			{"PUT", "/conditions/own", map[string]any{"policy": harmless}, []string{"If-Match", `"v9"`}, 412, ""},
			{"PUT", "/conditions/nosuch", map[string]any{"policy": harmless}, nil, 404, ""},
			{"PUT", "/conditions/own", map[string]any{"policy": harmless}, []string{"If-Match", `"v1"`}, 200, harmless},
			{"GET", "/conditions", nil, nil, 200, `"next":null`},
			{"DELETE", "/conditions/own", nil, []string{"If-Match", `"v1"`}, 412, ""},
			{"DELETE", "/conditions/own", nil, []string{"If-Match", `"v2"`}, 204, ""},
			{"GET", "/conditions/own", nil, nil, 404, ""},
		} {
			if a := s.Call(t, root, tt.method, tt.path, any(tt.body), tt.headers...); a.Status != tt.status || !strings.Contains(strings.ReplaceAll(a.Body, `\"`, `"`), tt.says) {
				t.Errorf("%s %s %v: %d %s", tt.method, tt.path, tt.body, a.Status, a.Body)
			}
		}
		for n := range 3 {
			condition(t, s, root, fmt.Sprint("c", n), harmless)
		}
		var page struct {
			Items []struct{ Name string }
			Next  *string
		}
		if s.Call(t, root, "GET", "/conditions?limit=2&after=c0", nil).JSON(t, &page); len(page.Items) != 2 || page.Items[0].Name != "c1" || page.Next != nil {
			t.Errorf("%+v", page)
		}
	})
}

// Who may write roles, but does not hold everything, writes no condition: one could
// give him anything. Neither does an administrator's narrow token.
func TestAttackConditionsAreForWhoHoldsEverything(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		made(t, s, root, "writer", []string{"roles:read", "roles:write", "orders:read"}, []string{"editor"})
		s.User(t, "wes", "writer")
		condition(t, s, root, "kept", harmless)
		for who, token := range map[string]string{"a writer of roles": s.Login(t, "wes").Access, "a narrow token": s.Login(t, servertest.Admin, "scope", "roles:read roles:write").Access} {
			for _, c := range []struct{ method, path string }{{"POST", "/conditions"}, {"PUT", "/conditions/kept"}, {"DELETE", "/conditions/kept"}} {
				body := map[string]any{"policy": `permit (principal, action, resource);`}
				if c.method == "POST" {
					body["name"] = "mine"
				}
				var in any = body
				if c.method == "DELETE" {
					in = nil
				}
				if a := s.Call(t, token, c.method, c.path, in); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "decision_id") {
					t.Errorf("%s, %s: %d %s", who, c.method, a.Status, a.Body)
				}
			}
			if a := s.Call(t, token, "GET", "/conditions/kept", nil); a.Status != http.StatusOK {
				t.Errorf("%s reads: %d %s", who, a.Status, a.Body)
			}
		}
		if list := s.Core.Conditions.Set().List(); len(list) != 1 || list[0].Policy != harmless {
			t.Errorf("there are %v", list)
		}
	})
}

// Roles decide first, and conditions beside them; what a credential carries narrows
// both; and the answer names what decided.
func TestConditionsDecide(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		made(t, s, root, "support", []string{"order:read"}, nil)
		ann := s.User(t, "ann", "support")
		if a := s.Call(t, root, "PATCH", "/users/"+ann.ID, map[string]any{"attributes": map[string]any{"department": "sales", "limit": 100}}); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		register(t, s, root, map[string]any{"client_id": "job", "scope": "order:read"}, "support")
		condition(t, s, root, "own", `@id("owner") permit (principal, action in [Action::"order:refund", Action::"order:close"], resource is order) when { resource.owner == principal.id && resource.total <= principal.attributes.limit };`)
		condition(t, s, root, "closed", `@id("closed") forbid (principal, action, resource is order) when { resource.closed };`)
		condition(t, s, root, "hours", `forbid (principal, action == Action::"order:refund", resource) when { context has night && context.night } unless { context.action has urgent };`)
		condition(t, s, root, "clients", `permit (principal == Client::"job", action in [Action::"order:refund", Action::"order:read"], resource);`)
		type m = map[string]any
		order := func(owner string, total int, closed any) m {
			p := m{"owner": owner, "total": total, "closed": closed}
			if closed == nil {
				delete(p, "closed")
			}
			return m{"type": "order", "id": "7", "properties": p}
		}
		for _, tt := range []struct {
			question           m
			allowed            bool
			path, by, narrowed string
			reason             string
		}{
			{m{"permission": "order:read"}, true, "user:ann role:support order:read", "", "", ""},
			{m{"permission": "order:read", "object": order("x", 1, false)}, true, "user:ann role:support order:read", "", "", ""},
			{m{"permission": "order:read", "object": order("x", 1, true)}, false, "", "closed/closed/forbid", "", `"closed" forbids it`},
			{m{"permission": "order:read", "object": order("x", 1, nil)}, false, "", "closed/closed/forbid!", "", "could not be evaluated"},
			{m{"permission": "order:refund"}, false, "", "", "", "No role holds"},
			{m{"permission": "order:refund", "object": order(ann.ID, 99, false)}, true, "", "own/owner/permit", "", ""},
			{m{"permission": "order:refund", "object": order(ann.ID, 101, false)}, false, "", "", "", "No role holds"},
			{m{"permission": "order:refund", "object": order("x", 1, false)}, false, "", "", "", "No role holds"},
			{m{"permission": "order:refund", "object": m{"type": "order", "id": "7", "properties": m{"closed": false}}}, false, "", "own/owner/permit!", "", "No role holds"},
			{m{"permission": "order:refund", "object": order(ann.ID, 99, false), "context": m{"night": true}}, false, "", "hours/1/forbid", "", "forbids"},
			{m{"permission": "order:refund", "object": order(ann.ID, 99, false), "context": m{"night": true}, "action_properties": m{"urgent": 1}}, true, "", "own/owner/permit", "", ""},
			{m{"permission": "order:refund", "object": order(ann.ID, 99, true)}, false, "", "closed/closed/forbid", "", "forbids"},
			{m{"permission": "order:*", "object": order(ann.ID, 99, false)}, false, "", "", "", "can never be allowed"},
			{m{"subject": "client:job", "permission": "order:read", "object": order("x", 1, false)}, true, "client:job role:support order:read", "", "", ""},
			{m{"subject": "client:job", "permission": "order:refund", "object": order("x", 1, false)}, false, "", "clients/1/permit", "client", "not registered"},
			{m{"subject": "user:nobody", "permission": "order:refund", "object": order("x", 1, false)}, false, "", "", "", "no such user"},
		} {
			if tt.question["subject"] == nil {
				tt.question["subject"] = "user:ann"
			}
			var e, d reasoned
			a := s.Call(t, root, "POST", "/access/explain", tt.question)
			a.JSON(t, &e)
			by := ""
			for _, c := range e.Conditions {
				by += c.Name + "/" + c.Policy + "/" + c.Effect
				if c.Error != "" {
					by += "!"
				}
			}
			if e.Allowed != tt.allowed || strings.Join(e.Path, " ") != tt.path || by != tt.by || e.NarrowedBy != tt.narrowed || !strings.Contains(e.Reason, tt.reason) || e.Allowed == (e.Reason != "") {
				t.Errorf("%v: %s", tt.question, a.Body)
			}
			if s.Call(t, root, "POST", "/access/check", tt.question).JSON(t, &d); d.Allowed != tt.allowed || d.Conditions != nil {
				t.Errorf("%v is checked as %+v", tt.question, d)
			}
		}
		own := s.Login(t, "ann", "scope", "order:read").Access
		for permission, want := range map[string]string{"order:read": "", "order:refund": "scope"} { // by what the token carries
			var e reasoned
			if s.Call(t, own, "POST", "/access/explain", m{"permission": permission, "object": order(ann.ID, 1, false)}).JSON(t, &e); e.Allowed != (want == "") || e.NarrowedBy != want {
				t.Errorf("ann of herself, %s: %+v", permission, e)
			}
		}
		for _, bad := range []m{
			{"permission": "a:b", "object": m{"type": "x"}},
			{"permission": "a:b", "object": m{"type": "", "id": "1"}},
			{"permission": "a:b", "object": "x"},
			{"permission": "a:b", "context": 7},
			{"permission": "a:b", "action_properties": []int{}},
			{"permission": "a:b", "subject_properties": m{}},
			{"checks": []m{{"permission": "a:b"}}, "context": m{}},
		} {
			if a := s.Call(t, root, "POST", "/access/check", bad); a.Status != http.StatusBadRequest {
				t.Errorf("%v: %d %s", bad, a.Status, a.Body)
			}
		}
	})
}

// No policy gives a permission of this server's own API, and none takes one: what
// /access says of them is what the API does.
func TestAttackConditionsDoNotTouchThisServer(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		s.User(t, "eve", "viewer")
		condition(t, s, root, "all", `permit (principal, action, resource);`)
		condition(t, s, root, "named", `permit (principal, action == Action::"users:read", resource);`)
		var e reasoned
		managing := strings.Fields("admin users:read users:write roles:read roles:write roles:grant clients:read clients:write keys:read keys:write audit:read sessions:read sessions:write write")
		for _, permission := range managing {
			if s.Call(t, root, "POST", "/access/explain", map[string]any{"subject": "user:eve", "permission": permission}).JSON(t, &e); e.Allowed || len(e.Conditions) != 0 {
				t.Errorf("eve has %s: %+v", permission, e)
			}
		}
		if s.Call(t, root, "POST", "/access/explain", map[string]any{"subject": "user:eve", "permission": "orders:read"}).JSON(t, &e); !e.Allowed {
			t.Errorf("the policy permits nothing: %+v", e)
		}
		eve := s.Login(t, "eve").Access
		if a := s.Call(t, eve, "GET", "/users", nil); a.Status != http.StatusForbidden {
			t.Errorf("eve reads accounts: %d", a.Status)
		}
		if scope := s.Login(t, "eve").Scope; scope != "read" {
			t.Errorf("her tokens carry %q", scope)
		}
		condition(t, s, root, "none", `forbid (principal, action, resource);`)
		for _, permission := range managing {
			e = reasoned{}
			if s.Call(t, root, "POST", "/access/explain", map[string]any{"subject": "user:admin", "permission": permission}).JSON(t, &e); !e.Allowed || len(e.Path) == 0 || len(e.Conditions) != 0 {
				t.Errorf("the administrator has lost %s: %+v", permission, e)
			}
		}
		e = reasoned{}
		if s.Call(t, root, "POST", "/access/explain", map[string]any{"subject": "user:admin", "permission": "orders:read"}).JSON(t, &e); e.Allowed {
			t.Errorf("the policy forbids nothing: %+v", e)
		}
		if a := s.Call(t, s.Login(t, servertest.Admin).Access, "DELETE", "/conditions/none", nil); a.Status != http.StatusNoContent {
			t.Errorf("the way back is shut: %d %s", a.Status, a.Body)
		}
	})
}

// Every server knows of a condition within a second.
func TestAttackConditionsReachEveryServer(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		master := secret.NewMaster()
		first, second := servertest.Start(t, servertest.Options{DSN: dsn, Master: master}), servertest.Start(t, servertest.Options{DSN: dsn, Master: master})
		root := first.Login(t, servertest.Admin).Access
		there := second.Login(t, servertest.Admin).Access
		may := func() bool {
			var e reasoned
			second.Call(t, there, "POST", "/access/check", map[string]any{"subject": "user:admin", "permission": "orders:read"}).JSON(t, &e)
			return e.Allowed
		}
		if may() {
			t.Error("it is allowed at first")
		}
		soon := func(want bool) {
			t.Helper()
			for began := time.Now(); may() != want; time.Sleep(20 * time.Millisecond) {
				if time.Since(began) > time.Second {
					t.Fatalf("after a second it is not %t", want)
				}
			}
		}
		condition(t, first, root, "c", `permit (principal, action, resource);`)
		soon(true)
		if a := first.Call(t, root, "PUT", "/conditions/c", map[string]any{"policy": `forbid (principal, action, resource);`}); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		soon(false)
		condition(t, first, root, "d", `permit (principal, action, resource);`)
		if a := first.Call(t, root, "DELETE", "/conditions/c", nil); a.Status != http.StatusNoContent {
			t.Fatal(a.Body)
		}
		soon(true)
	})
}

// kept is what /access/decisions tells.
type kept struct {
	reasoned
	By, Route, At, ClientID string
	Object                  struct{ Type, ID string }
}

// A refusal names its decision, and whoever reads the log can look it up: who, what,
// where and why; on every server.
func TestDecisionsAreLookedUp(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		master := secret.NewMaster()
		s, other := servertest.Start(t, servertest.Options{DSN: dsn, Master: master}), servertest.Start(t, servertest.Options{DSN: dsn, Master: master})
		root := s.Login(t, servertest.Admin).Access
		made(t, s, root, "granter", []string{"roles:grant", "roles:read"}, nil)
		ann, gus := s.User(t, "ann", "viewer"), s.User(t, "gus", "granter")
		condition(t, s, root, "closed", `forbid (principal, action == Action::"order:read", resource);`)
		job := register(t, s, root, map[string]any{"client_id": "job", "scope": "read"}, "viewer")
		look := func(on *servertest.Site, a servertest.Answer) (k kept) {
			t.Helper()
			var p struct {
				ID string `json:"decision_id"`
			}
			a.JSON(t, &p)
			a = on.Call(t, on.Login(t, servertest.Admin).Access, "GET", "/access/decisions/"+p.ID, nil)
			if a.Status != http.StatusOK || p.ID == "" {
				t.Fatalf("%q: %d %s", p.ID, a.Status, a.Body)
			}
			if a.JSON(t, &k); k.DecisionID != p.ID || k.At == "" {
				t.Errorf("%s", a.Body)
			}
			return k
		}
		for name, tt := range map[string]struct {
			a      servertest.Answer
			want   string // by, subject, permission, route
			reason string
		}{
			"a lack of the permission": {s.Call(t, s.Login(t, "ann").Access, "GET", "/users", nil), "user:ANN user:ANN users:read GET /users", "none of the roles"},
			"a narrow token":           {s.Call(t, s.Login(t, servertest.Admin, "scope", "read").Access, "POST", "/roles", map[string]any{"name": "x"}), "user:ROOT user:ROOT roles:write POST /roles", "scope of this credential"},
			"an operation's own need":  {s.Call(t, s.Login(t, "ann").Access, "POST", "/access/check", map[string]any{"subject": "user:" + gus.ID, "permission": "read"}), "user:ANN user:ANN roles:read POST /access/check", "none of the roles"},
			"a rule":                   {s.Call(t, s.Login(t, "gus").Access, "POST", "/users/"+gus.ID+"/roles", map[string]any{"role": "admin"}), "user:GUS user:GUS roles:grant POST /users/{id}/roles", "you cannot give"},
			"a client":                 {s.Call(t, job.token(t, s).Access, "GET", "/clients", nil), "service:job client:job clients:read GET /clients", "none of the roles"},
			"a client's secret":        {s.Send(t, "POST", "/access/v1/evaluation", jsonType, "{}", job.basic()...), "service:job client:job roles:read POST /access/v1/evaluation", "none of the roles"},
		} {
			k := look(s, tt.a)
			got := strings.NewReplacer(ann.ID, "ANN", gus.ID, "GUS", subject(t, s, root), "ROOT").Replace(k.By + " " + k.Subject + " " + k.Permission + " " + k.Route)
			if tt.a.Status != http.StatusForbidden || got != tt.want || k.Allowed || !strings.Contains(k.Reason, tt.reason) {
				t.Errorf("%s: %d %s\n\t%q %+v", name, tt.a.Status, tt.a.Body, got, k)
			}
		}
		asked := s.Call(t, root, "POST", "/access/check", map[string]any{"subject": "user:ann", "permission": "order:read", "object": map[string]any{"type": "order", "id": "7"}})
		if k := look(s, asked); k.Subject != "user:"+ann.ID || k.Object.ID != "7" || len(k.Conditions) != 1 || k.Conditions[0].Name != "closed" || k.Route != "POST /access/check" {
			t.Errorf("%+v", k)
		}
		asked = s.Call(t, root, "POST", "/access/check", map[string]any{"subject": "user:ann", "permission": "read"})
		if k := look(s, asked); !k.Allowed || strings.Join(k.Path, " ") != "user:"+ann.ID+" role:viewer read" {
			t.Errorf("%+v", k)
		}
		if err := s.Core.Access.Log.Flush(t.Context(), s.Core.Store.KeepDecisions); err != nil {
			t.Fatal(err)
		}
		look(other, asked)
		look(s, asked)
		for who, token := range map[string]string{"ann": s.Login(t, "ann").Access, "who reads roles": s.Login(t, "gus").Access} {
			if a := s.Call(t, token, "GET", "/access/decisions/"+strings.Repeat("0", 26), nil); a.Status != http.StatusForbidden {
				t.Errorf("%s: %d", who, a.Status)
			}
		}
		for _, none := range []string{strings.Repeat("0", 26), "x", "%00"} {
			if a := s.Call(t, root, "GET", "/access/decisions/"+none, nil); a.Status != http.StatusNotFound || none != "%00" && !strings.Contains(a.Body, "7 days") {
				t.Errorf("%s: %d %s", none, a.Status, a.Body)
			}
		}
	})
}

// Whoever is refused again and again fills nothing, and each refusal is still counted.
func TestAttackDecisionsAreBounded(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "eve", "viewer")
	var ids []string
	for range 4 { // a new token is no new budget
		eve := s.Login(t, "eve").Access
		for range 40 {
			var p struct {
				ID string `json:"decision_id"`
			}
			s.Call(t, eve, "GET", "/users", nil).JSON(t, &p)
			ids = append(ids, p.ID)
		}
	}
	found := 0
	root := s.Login(t, servertest.Admin).Access
	for _, id := range ids {
		if s.Call(t, root, "GET", "/access/decisions/"+id, nil).Status == http.StatusOK {
			found++
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 160 || found < 60 || found > 120 { // a minute may have begun
		t.Errorf("%d of %d decisions are kept", found, len(ids))
	}
	if n, err := s.Server.Counted(t.Context(), "GET /users", audit.Denied); err != nil || n != 160 {
		t.Errorf("%d refusals were counted, %v", n, err)
	}
	if n := s.Core.Access.Log.Dropped(); n != 160-found {
		t.Errorf("%d were told to be dropped", n)
	}
}
