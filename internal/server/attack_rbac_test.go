package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// made makes a role through the API.
func made(t *testing.T, s *servertest.Site, token, name string, permissions, inherits []string) {
	t.Helper()
	if a := s.Call(t, token, "POST", "/roles", map[string]any{"name": name, "permissions": permissions, "inherits": inherits}); a.Status != http.StatusCreated {
		t.Fatalf("role %s: %d %s", name, a.Status, a.Body)
	}
}

// Nobody gives what he does not hold, whatever way he tries; and that he tried is
// counted.
func TestAttackRBAC001GrantAboveOneself(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		made(t, s, root, "helper", []string{"users:read", "users:write", "roles:read", "roles:write", "roles:grant"}, []string{"viewer"})
		made(t, s, root, "orders", []string{"orders:read"}, nil)
		helper, other := s.User(t, "helper", "helper"), s.User(t, "other")
		boss := s.User(t, "boss", "admin")
		token := s.Login(t, "helper").Access
		for _, tt := range []struct {
			what, method, path string
			body               any
		}{
			{"to himself", "POST", "/users/" + helper.ID + "/roles", map[string]any{"role": "admin"}},
			{"to another", "POST", "/users/" + other.ID + "/roles", map[string]any{"role": "admin"}},
			{"what no role of his has", "POST", "/users/" + other.ID + "/roles", map[string]any{"role": "orders"}},
			{"a middling role", "POST", "/users/" + other.ID + "/roles", map[string]any{"role": "editor"}},
			{"a new role with more", "POST", "/roles", map[string]any{"name": "mine", "permissions": []string{"admin"}}},
			{"a new permission", "POST", "/roles", map[string]any{"name": "mine", "permissions": []string{"brand:new"}}},
			{"a new role that inherits more", "POST", "/roles", map[string]any{"name": "mine", "inherits": []string{"admin"}}},
			{"more into his own role", "PUT", "/roles/helper", map[string]any{"permissions": []string{"admin"}}},
			{"a parent for his own role", "PUT", "/roles/helper", map[string]any{"inherits": []string{"editor"}}},
			{"a change of a role with more", "PUT", "/roles/orders", map[string]any{"permissions": []string{}}},
			{"the deletion of a role with more", "DELETE", "/roles/orders", nil},
			{"a role from who has more", "DELETE", "/users/" + boss.ID + "/roles/admin", nil},
			{"a role to who has more", "POST", "/users/" + boss.ID + "/roles", map[string]any{"role": "viewer"}},
			{"a change of who has more", "PATCH", "/users/" + boss.ID, map[string]any{"email": "helper@evil.example"}},
			{"the disabling of who has more", "PATCH", "/users/" + boss.ID, map[string]any{"status": "disabled"}},
			{"the deletion of who has more", "DELETE", "/users/" + boss.ID, nil},
		} {
			refusedAs(t, tt.what, s.Call(t, token, tt.method, tt.path, tt.body), http.StatusForbidden, "")
		}
		for _, tt := range []struct {
			what, method, path string
			body               any
		}{
			{"at the creation", "POST", "/users", map[string]any{"username": "mine", "roles": []string{"admin"}}},
			{"at a change", "PATCH", "/users/" + helper.ID, map[string]any{"roles": []string{"admin"}}},
			{"at a change of oneself", "PATCH", "/users/me", map[string]any{"roles": []string{"admin"}}},
		} {
			refusedAs(t, tt.what, s.Call(t, token, tt.method, tt.path, tt.body), http.StatusBadRequest, "body.roles")
		}
		// What he holds he may give.
		if a := s.Call(t, token, "POST", "/users/"+other.ID+"/roles", map[string]any{"role": "viewer"}); a.Status != http.StatusCreated {
			t.Errorf("what he holds: %d %s", a.Status, a.Body)
		}
		// A token that carries less than its user holds gives less.
		narrow := s.Login(t, servertest.Admin, "scope", "roles:grant roles:write users:write").Access
		refusedAs(t, "through a narrow token", s.Call(t, narrow, "POST", "/users/"+other.ID+"/roles", map[string]any{"role": "admin"}), http.StatusForbidden, "")
		refusedAs(t, "a role through a narrow token", s.Call(t, narrow, "POST", "/roles", map[string]any{"name": "mine", "permissions": []string{"admin"}}), http.StatusForbidden, "")
		s.Stop()
		denied := 0
		for _, row := range table(t, database(t, s), "audit_counts") {
			if strings.Contains(row, "denied") {
				f := strings.Fields(strings.Trim(row, "[]"))
				n, err := strconv.Atoi(f[len(f)-1])
				if err != nil {
					t.Fatal(row)
				}
				denied += n
			}
		}
		if denied != 18 {
			t.Errorf("%d refusals were counted, want 18", denied)
		}
	})
}

func TestAttackRBAC004CyclesAndDepth(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		put := func(name string, inherits ...string) servertest.Answer {
			return s.Call(t, root, "PUT", "/roles/"+name, map[string]any{"inherits": inherits})
		}
		made(t, s, root, "a", nil, nil)
		made(t, s, root, "b", nil, []string{"a"})
		made(t, s, root, "c", nil, []string{"b"})
		refusedAs(t, "itself", put("a", "a"), 400, "body.inherits")
		refusedAs(t, "two", put("a", "b"), 400, "body.inherits")
		refusedAs(t, "three", put("a", "c"), 400, "body.inherits")
		refusedAs(t, "born in a circle", s.Call(t, root, "POST", "/roles", map[string]any{"name": "d", "inherits": []string{"d"}}), 400, "body.inherits")

		parent, depth := "a", 1
		for ; depth < 40; depth++ {
			name := "deep" + strconv.Itoa(depth)
			a := s.Call(t, root, "POST", "/roles", map[string]any{"name": name, "inherits": []string{parent}})
			if a.Status != http.StatusCreated {
				refusedAs(t, "too deep", a, 400, "body.inherits")
				break
			}
			parent = name
		}
		if depth != 32 {
			t.Errorf("a chain of %d was allowed, want 32", depth)
		}
		var many []string
		for i := range 101 {
			many = append(many, "r"+strconv.Itoa(i))
		}
		refusedAs(t, "many parents", s.Call(t, root, "POST", "/roles", map[string]any{"name": "wide", "inherits": many}), 400, "body.inherits")

		// Two edges that make a circle together, at the same time.
		for round := range 5 {
			x, y := "x"+strconv.Itoa(round), "y"+strconv.Itoa(round)
			made(t, s, root, x, nil, nil)
			made(t, s, root, y, nil, nil)
			var got [2]servertest.Answer
			var all sync.WaitGroup
			all.Go(func() { got[0] = put(x, y) })
			all.Go(func() { got[1] = put(y, x) })
			all.Wait()
			statuses := []int{got[0].Status, got[1].Status}
			slices.Sort(statuses)
			if !slices.Equal(statuses, []int{200, 400}) {
				t.Errorf("round %d: %v", round, statuses)
			}
		}
		if a := s.Call(t, root, "GET", "/users/me", nil); a.Status != http.StatusOK {
			t.Errorf("afterwards: %d %s", a.Status, a.Body)
		}
	})
}

// However administrators turn on one another, one stays.
func TestAttackRBAC006LastAdministrator(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		s, other := sites[0], sites[len(sites)-1]
		admin, err := s.Core.Accounts.ByLogin(t.Context(), servertest.Admin)
		if err != nil {
			t.Fatal(err)
		}
		token := s.Login(t, servertest.Admin).Access
		for what, a := range map[string]servertest.Answer{
			"demotes himself": s.Call(t, token, "DELETE", "/users/"+admin.ID+"/roles/admin", nil),
			"deletes himself": s.Call(t, token, "DELETE", "/users/"+admin.ID, nil),
			"leaves":          s.Call(t, token, "PATCH", "/users/"+admin.ID, map[string]any{"status": "disabled"}),
		} {
			refusedAs(t, "the last one "+what, a, http.StatusConflict, "")
		}
		db := database(t, s)
		for round, attack := range []func(site *servertest.Site, token, id string) servertest.Answer{
			func(site *servertest.Site, token, id string) servertest.Answer {
				return site.Call(t, token, "DELETE", "/users/"+id+"/roles/admin", nil)
			},
			func(site *servertest.Site, token, id string) servertest.Answer {
				return site.Call(t, token, "DELETE", "/users/"+id, nil)
			},
			func(site *servertest.Site, token, id string) servertest.Answer {
				return site.Call(t, token, "PATCH", "/users/"+id, map[string]any{"status": "disabled"})
			},
		} {
			for try := range 4 {
				name := fmt.Sprintf("rival%d-%d", round, try)
				first, rival := s.User(t, "first"+name, "admin"), s.User(t, name, "admin")
				one, two := s.Login(t, "first"+name).Access, s.Login(t, name).Access
				within(t, time.Second, "the other one knows both", func() bool { return me(t, other, one) == 200 && me(t, other, two) == 200 })
				// The two of them alone are left to fight.
				if err := s.Core.Roles.Take(t.Context(), servertest.Operator, admin.ID, "admin"); err != nil {
					t.Fatal(err)
				}
				var all sync.WaitGroup
				all.Go(func() { attack(s, one, rival.ID) })
				all.Go(func() { attack(other, two, first.ID) })
				all.Wait()
				n := number(t, db, "SELECT COUNT(*) FROM grants JOIN users ON users.id = grants.principal WHERE grants.role = 'admin' AND users.status = 'active'")
				if n == 0 {
					t.Fatalf("round %d: no administrator is left", round)
				}
				// Whoever is left hands back.
				if _, err := s.Core.Roles.Give(t.Context(), servertest.Operator, admin.ID, "admin", time.Time{}, ""); err != nil {
					t.Fatal(err)
				}
				for _, id := range []string{first.ID, rival.ID} {
					_ = s.Core.Accounts.Delete(t.Context(), servertest.Operator, id, 0, false) // one of them may be gone
				}
			}
		}
	})
}

func TestAttackRBAC007MassAssignment(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		token, root := s.Login(t, "ann").Access, s.Login(t, servertest.Admin).Access
		before := s.Call(t, root, "GET", "/users/"+ann.ID, nil).Body
		fields := []string{
			"role", "roles", "Roles", "ROLES", "ro\u017fes", "is_admin", "admin", "permissions", "email_verified", "emailVerified", "EmailVerified", "org_id", "organization",
			"password", "password_hash", "has_password", "mfa_enabled", "locked", "id", "ID", "created_at", "updated_at", "signed_in_at", "version", "scope", "effective_roles", "__proto__", "$set",
		}
		for _, field := range append(slices.Clone(fields), "username", "email", "status", "Name", "\u017ftatus", "attributes") {
			refusedAs(t, "PATCH /users/me "+field, s.Call(t, token, "PATCH", "/users/me", map[string]any{"name": "Mallory", field: "x"}), 400, "body."+field)
		}
		for _, field := range append(slices.Clone(fields), "Username", "\u017ftatus", "Status") {
			refusedAs(t, "PATCH /users/{id} "+field, s.Call(t, root, "PATCH", "/users/"+ann.ID, map[string]any{"name": "Mallory", field: "x"}), 400, "body."+field)
		}
		for _, field := range append(slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return f == "password" }), "status", "Email", "Password") {
			refusedAs(t, "POST /users "+field, s.Call(t, root, "POST", "/users", map[string]any{"username": "mallory", field: "x"}), 400, "body."+field)
		}
		for _, field := range []string{"builtin", "Builtin", "created_at", "version", "Permissions", "permi\u017f\u017fions"} {
			refusedAs(t, "POST /roles "+field, s.Call(t, root, "POST", "/roles", map[string]any{"name": "mine", field: true}), 400, "body."+field)
		}
		for _, field := range []string{"granted_by", "granted_at", "id", "live", "principal", "Role", "organization"} {
			refusedAs(t, "POST …/roles "+field, s.Call(t, root, "POST", "/users/"+ann.ID+"/roles", map[string]any{"role": "editor", field: "x"}), 400, "body."+field)
		}
		if after := s.Call(t, root, "GET", "/users/"+ann.ID, nil).Body; after != before {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
		// A new address is not proved by who writes it.
		a := s.Call(t, root, "PATCH", "/users/"+ann.ID, map[string]any{"email": "ann@other.example"})
		if a.Status != http.StatusOK || !strings.Contains(a.Body, `"email_verified":false`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// Another method, another spelling of a path, or a header that names another path
// do not get around who may call it.
func TestAttackRBAC009MethodsAndPaths(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	token := s.Login(t, "ann").Access // may not read accounts
	root := s.Login(t, servertest.Admin).Access
	for _, tt := range []struct{ method, path string }{
		{"HEAD", "/users"},
		{"OPTIONS", "/users"},
		{"TRACE", "/users"},
		{"PATCH", "/users"},
		{"DELETE", "/users"},
		{"PUT", "/users"},
		{"get", "/users"},
		{"FOO", "/users"},
		{"GET", "/Users"},
		{"GET", "/USERS"},
		{"GET", "/users/"},
		{"GET", "//users"},
		{"GET", "/users;x"},
		{"GET", "/%75sers"},
		{"GET", "/x/..%2fusers"},
		{"GET", "/users%2f"},
		{"GET", "/./users"},
		{"GET", "/users/me/../../users"},
		{"GET", "/users/me/.."},
		{"GET", `/\users`},
		{"GET", "/users%00"},
		{"GET", "/users/%6de"},
		{"GET", "/.well-known/../users"},
		{"GET", "/users/me%2f..%2f..%2fusers"},
	} {
		request := tt.method + " " + tt.path + " HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		got := answers(raw(t, s, request))
		if len(got) != 1 || got[0] != 403 && got[0] != 404 && got[0] != 405 && got[0] != 400 {
			t.Errorf("%s %s: %v", tt.method, tt.path, got)
		}
	}
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"} {
		a := s.Call(t, token, "GET", "/users/me", nil, header, "DELETE")
		if a.Status != http.StatusOK || s.Call(t, root, "POST", "/users/me/password", nil, header, "GET").Status != http.StatusBadRequest {
			t.Errorf("%s: %d", header, a.Status)
		}
	}
	for _, header := range []string{"X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Original-URI", "Destination"} {
		if a := s.Call(t, token, "GET", "/healthz", nil, header, "/users"); a.Status != http.StatusOK || strings.Contains(a.Body, "items") {
			t.Errorf("%s: %d %s", header, a.Status, a.Body)
		}
		if a := s.Call(t, token, "GET", "/users", nil, header, "/healthz"); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", header, a.Status)
		}
	}
	// HEAD is held to what GET is held to, and says no more.
	if a := s.Call(t, root, "HEAD", "/users", nil); a.Status != http.StatusOK || a.Body != "" {
		t.Errorf("HEAD by who may: %d %q", a.Status, a.Body)
	}
	if a := s.Send(t, "HEAD", "/users", "", ""); a.Status != http.StatusUnauthorized {
		t.Errorf("HEAD by nobody: %d", a.Status)
	}
}

// A role that was taken away, or lost a permission, counts no more: for the token
// that was made before, and for the next one.
func TestAttackRBAC010TakesEffect(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		does, other := sites[0], sites[len(sites)-1]
		root := does.Login(t, servertest.Admin).Access
		made(t, does, root, "reader", []string{"users:read"}, nil)
		made(t, does, root, "chief", nil, []string{"reader"})
		for name, take := range map[string]func(id string) servertest.Answer{
			"the grant": func(id string) servertest.Answer {
				return does.Call(t, root, "DELETE", "/users/"+id+"/roles/chief", nil)
			},
			"the permission":    func(string) servertest.Answer { return does.Call(t, root, "PUT", "/roles/reader", map[string]any{}) },
			"the inherited one": func(string) servertest.Answer { return does.Call(t, root, "PUT", "/roles/chief", map[string]any{}) },
			"the role":          func(string) servertest.Answer { return does.Call(t, root, "DELETE", "/roles/chief", nil) },
		} {
			does.Call(t, root, "POST", "/roles", map[string]any{"name": "chief"})
			does.Call(t, root, "PUT", "/roles/reader", map[string]any{"permissions": []string{"users:read"}})
			does.Call(t, root, "PUT", "/roles/chief", map[string]any{"inherits": []string{"reader"}})
			username := strings.ReplaceAll(name, " ", "-")
			u := does.User(t, username, "chief")
			tokens := does.Login(t, username)
			for _, s := range sites {
				within(t, time.Second, name+": everybody knows that he may", func() bool { return s.Call(t, tokens.Access, "GET", "/users", nil).Status == http.StatusOK })
			}
			if a := take(u.ID); a.Status >= 300 {
				t.Fatalf("%s: %d %s", name, a.Status, a.Body)
			}
			if a := does.Call(t, tokens.Access, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
				t.Errorf("%s, at once: %d", name, a.Status)
			}
			within(t, time.Second, name+": the other one refuses", func() bool {
				return other.Call(t, tokens.Access, "GET", "/users", nil).Status == http.StatusUnauthorized
			})
			again := does.Login(t, username)
			for _, s := range sites {
				if a := s.Call(t, again.Access, "GET", "/users", nil); a.Status != http.StatusForbidden {
					t.Errorf("%s, with a new token: %d", name, a.Status)
				}
			}
			if strings.Contains(again.Scope, "users:read") {
				t.Errorf("%s: the new token carries it", name)
			}
		}
	})
}

// A token carries less than its user holds: both count.
func TestAttackRBAC011ScopeAndRole(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	narrow := s.Login(t, servertest.Admin, "scope", "users:read").Access
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/users", 200}, {"GET", "/users/me", 200}, {"GET", "/roles", 403}, {"POST", "/users", 403}, {"DELETE", "/users/x", 403},
	} {
		if a := s.Call(t, narrow, tt.method, tt.path, nil); a.Status != tt.want {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, a.Status, a.Body)
		}
	}
	// And a token that says more than its user holds, which nobody is given.
	s.User(t, "ann", "viewer")
	c := claims(t, s.Login(t, "ann").Access)
	c["scope"] = "read users:read admin"
	refusedAs(t, "more than held", s.Call(t, signed(t, s, "at+jwt", c), "GET", "/users", nil), http.StatusForbidden, "")
}

func TestAttackRBAC013Pages(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		made(t, s, s.Login(t, servertest.Admin).Access, "reader", []string{"users:read", "roles:read"}, nil)
		for i := range 7 {
			s.User(t, "user"+strconv.Itoa(i))
		}
		s.User(t, "ann", "reader")
		token, root := s.Login(t, "ann").Access, s.Login(t, servertest.Admin).Access
		type page struct {
			Items []struct{ Username string }
			Next  *string
		}
		get := func(token, query string) (p page, a servertest.Answer) {
			t.Helper()
			a = s.Call(t, token, "GET", "/users?"+query, nil)
			if a.Status == http.StatusOK {
				a.JSON(t, &p)
			}
			return p, a
		}
		for _, query := range []string{
			"limit=-1", "limit=0", "limit=201", "limit=1e9", "limit=9999999999999999999", "limit=1.5", "limit=abc", "limit=+1", "limit=0x10", "offset=10", "page=2", "sort=password_hash",
			"sort=last_login", "order=desc", "filter=x", "fields=password", "q=" + strings.Repeat("a", 10<<10), "status=%27", "expand=password", "$where=1", "limit[]=1",
		} {
			if _, a := get(token, query); a.Status != http.StatusBadRequest {
				t.Errorf("%.40s: %d %s", query, a.Status, a.Body)
			}
		}
		first, _ := get(token, "limit=3")
		if len(first.Items) != 3 || first.Next == nil {
			t.Fatalf("%+v", first)
		}
		cursor := *first.Next
		flipped := []byte(cursor)
		flipped[len(flipped)-2] ^= 1
		id, mac, _ := strings.Cut(cursor, ".")
		for name, c := range map[string]string{
			"flipped": string(flipped), "cut": cursor[:len(cursor)-1], "longer": cursor + "A", "without the MAC": id, "with an empty MAC": id + ".", "another id": strings.Repeat("0", len(id)) + "." + mac,
			"SQL": "' OR 1=1 --", "a bare id": id, "the MAC twice": cursor + "." + mac, "upper case": strings.ToUpper(cursor), "NUL": cursor + "\x00",
		} {
			if _, a := get(token, "limit=3&after="+url.QueryEscape(c)); a.Status != http.StatusBadRequest {
				t.Errorf("a cursor that is %s: %d %s", name, a.Status, a.Body)
			}
		}
		if _, a := get(root, "limit=3&after="+cursor); a.Status != http.StatusBadRequest {
			t.Errorf("another caller's cursor: %d", a.Status)
		}
		for _, query := range []string{"q=user&", "status=active&"} {
			if _, a := get(token, query+"limit=3&after="+cursor); a.Status != http.StatusBadRequest {
				t.Errorf("the cursor of another query: %d", a.Status)
			}
		}
		seen := map[string]int{}
		for p := first; ; {
			for _, u := range p.Items {
				seen[u.Username]++
			}
			if p.Next == nil {
				break
			}
			p, _ = get(token, "limit=2&after="+*p.Next)
		}
		if len(seen) != 9 || seen["user0"] != 1 || seen["admin"] != 1 {
			t.Errorf("the pages hold %v", seen)
		}
		if all, a := get(token, "limit=200"); len(all.Items) != 9 || all.Next != nil || strings.Contains(a.Body, "$2a$") {
			t.Errorf("%d items", len(all.Items))
		}
		for query, n := range map[string]int{"q=user": 7, "q=USER": 7, "q=ann%40": 1, "q=%25": 0, "q=_": 0, "q=user%25": 0, "q=zz": 0, "status=disabled": 0, "q=%F0%9F%92%A9": 0} {
			if p, a := get(token, query); len(p.Items) != n {
				t.Errorf("%s: %d items, %d %s", query, len(p.Items), a.Status, a.Body)
			}
		}
		var roles struct{ Next string }
		s.Call(t, token, "GET", "/roles?limit=1", nil).JSON(t, &roles)
		for path, c := range map[string]string{"/roles": "admin", "/roles?": cursor, "/users": roles.Next} {
			if a := s.Call(t, token, "GET", strings.TrimSuffix(path, "?")+"?after="+c, nil); a.Status != http.StatusBadRequest {
				t.Errorf("%s after %q: %d %s", path, c, a.Status, a.Body)
			}
		}
		if a := s.Call(t, token, "GET", "/roles?limit=1&after="+roles.Next, nil); a.Status != http.StatusOK || !strings.Contains(a.Body, `"name":"editor"`) {
			t.Errorf("the second role: %d %s", a.Status, a.Body)
		}
	})
}
