package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

// What stands in a path is read: each object is found under its own address.
func TestPathParameters(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		token := s.Login(t, servertest.Admin).Access
		for _, tt := range []struct{ path, field, want string }{
			{"/users/" + ann.ID, "username", "ann"},
			{"/roles/viewer", "name", "viewer"},
		} {
			a := s.Call(t, token, http.MethodGet, tt.path, nil)
			var got map[string]any
			a.JSON(t, &got)
			if a.Status != http.StatusOK || got[tt.field] != tt.want {
				t.Errorf("GET %s: %d %s", tt.path, a.Status, a.Body)
			}
		}
		if a := s.Call(t, token, http.MethodDelete, "/users/"+ann.ID+"/roles/viewer", nil); a.Status != http.StatusNoContent {
			t.Errorf("taking a role: %d %s", a.Status, a.Body)
		}
	})
}

// Input that cannot be accepted is refused with its place, and changes nothing.
func TestRefusedInput(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		token := s.Login(t, servertest.Admin).Access
		if a := s.Call(t, token, http.MethodPost, "/roles", map[string]any{"name": "clerk", "permissions": []string{"orders:read"}}); a.Status != http.StatusCreated {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		db := database(t, s)
		before := number(t, db, "SELECT COUNT(*) FROM audit_events")
		long := strings.Repeat("x", 300)
		for _, tt := range []struct {
			method, path, body string
			status             int
			place              string
		}{
			{"POST", "/users", `{"username":"bob","bogus":1}`, 400, "body.bogus"},
			{"POST", "/users", `{"username":"bob","Email":"bob@example.com"}`, 400, "body.Email"},
			{"POST", "/users", `{"Username":"bob"}`, 400, ""},
			{"POST", "/users", `{}`, 400, "body"},
			{"POST", "/users", ``, 400, ""},
			{"POST", "/users", `null`, 400, "body"},
			{"POST", "/users", `[]`, 400, "body"},
			{"POST", "/users", `{"username":"bob"`, 400, "body"},
			{"POST", "/users", `{"username":"bob"} {}`, 400, "body"},
			{"POST", "/users", `{"username":"bob","username":"eve"}`, 400, "body"},
			{"POST", "/users", `{"username":"b\u006fb","usern\u0061me":"eve"}`, 400, "body"},
			{"POST", "/users", `{"username":7}`, 400, "body.username"},
			{"POST", "/users", `{"username":null}`, 400, "body.username"},
			{"POST", "/users", `{"username":"a b"}`, 400, "body.username"},
			{"POST", "/users", `{"username":""}`, 400, "body.username"},
			{"POST", "/users", `{"username":"` + long + `"}`, 400, "body.username"},
			{"POST", "/users", `{"username":"bob","email":"bob"}`, 400, "body.email"},
			{"POST", "/users", `{"username":"bob","password":"short"}`, 400, "body.password"},
			{"POST", "/users", `{"username":"bob","name":"a\u0000b"}`, 400, "body.name"},
			{"POST", "/users", `{"username":"bob","profile":{"website":"javascript:alert(1)"}}`, 400, "body.profile.website"},
			{"POST", "/users", `{"username":"bob","profile":{"Given_Name":"x"}}`, 400, "body.profile.Given_Name"},
			{"POST", "/users", `{"username":"bob","attributes":[]}`, 400, "body.attributes"},
			{"POST", "/users", `{"username":"bob","attributes":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`, 400, "body"},
			{"POST", "/users", `{"username":"ann"}`, 409, "body.username"},
			{"POST", "/users", `{"username":"ANN"}`, 409, "body.username"},
			{"POST", "/users", `{"username":"bob","email":"ANN@example.COM"}`, 409, "body.email"},
			{"PATCH", "/users/" + ann.ID, `{"bogus":1}`, 400, "body.bogus"},
			{"PATCH", "/users/" + ann.ID, `{"status":"deleted"}`, 400, "body.status"},
			{"PATCH", "/users/" + ann.ID, `{"username":null}`, 400, "body.username"},
			{"PATCH", "/users/" + ann.ID, `{"profile":{"Given_Name":"x"}}`, 400, "body.profile.Given_Name"},
			{"PATCH", "/users/" + ann.ID, `{"profile":{"\u017ftreet":"x"}}`, 400, "body.profile.ſtreet"},
			{"PATCH", "/users/" + ann.ID, `{"profile":{"given_name":7}}`, 400, "body.profile.given_name"},
			{"PATCH", "/users/" + ann.ID, `{"profile":7}`, 400, "body.profile"},
			{"PATCH", "/users/" + ann.ID, `{"attributes":7}`, 400, "body.attributes"},
			{"PATCH", "/users/" + ann.ID, `{"email":"` + servertest.Admin + `@example.com"}`, 409, "body.email"},
			{"PATCH", "/users/me", `{"username":"root"}`, 400, "body.username"},
			{"PATCH", "/users/me", `{"name":7}`, 400, "body.name"},
			{"PATCH", "/users/me", `[]`, 400, "body"},
			{"POST", "/users/me/password", `{"new_password":"a new password of mine"}`, 400, "body"},
			{"POST", "/users/me/password", `{"current_password":"` + servertest.Password + `","new_password":"short"}`, 400, "body.new_password"},
			{"POST", "/users/me/password", `{"current_password":"` + strings.Repeat("x", 513) + `","new_password":"a new password of mine"}`, 400, "body.current_password"},
			{"POST", "/users/" + ann.ID + "/roles", `{"role":"nosuch"}`, 400, "body.role"},
			{"POST", "/users/" + ann.ID + "/roles", `{"role":"editor","until":"2001-01-01T00:00:00Z"}`, 400, "body.until"},
			{"POST", "/users/" + ann.ID + "/roles", `{"role":"editor","until":"tomorrow"}`, 400, "body.until"},
			{"POST", "/users/" + ann.ID + "/roles", `{"role":"viewer"}`, 409, ""},
			{"POST", "/roles", `{"name":"Clerk"}`, 400, "body.name"},
			{"POST", "/roles", `{"name":"other","permissions":["a b"]}`, 400, "body.permissions[0]"},
			{"POST", "/roles", `{"name":"other","permissions":["openid"]}`, 400, "body.permissions[0]"},
			{"POST", "/roles", `{"name":"other","permissions":["a","a"]}`, 400, "body.permissions[1]"},
			{"POST", "/roles", `{"name":"other","inherits":["nosuch"]}`, 400, "body.inherits"},
			{"POST", "/roles", `{"name":"other","Inherits":["viewer"]}`, 400, "body.Inherits"},
			{"POST", "/roles", `{"name":"clerk"}`, 409, ""},
			{"POST", "/roles", `{"name":"viewer"}`, 409, ""},
			{"PUT", "/roles/clerk", `{"name":"other"}`, 400, "body.name"},
			{"PUT", "/roles/viewer", `{"permissions":[]}`, 409, ""},
			{"PUT", "/roles/nosuch", `{"permissions":[]}`, 404, ""},
			{"PUT", "/roles/No.Such", `{"permissions":[]}`, 404, ""},
			{"DELETE", "/roles/viewer", ``, 409, ""},
			{"DELETE", "/roles/nosuch", ``, 404, ""},
			{"DELETE", "/users/nosuch", ``, 404, ""},
			{"DELETE", "/users/" + ann.ID + "/roles/editor", ``, 404, ""},
			{"GET", "/users?bogus=1", ``, 400, "query.bogus"},
			{"GET", "/users?limit=1&limit=2", ``, 400, "query.limit"},
			{"GET", "/users?limit=%zz", ``, 400, "query"},
			{"GET", "/users?limit=1;after=x", ``, 400, "query"},
			{"GET", "/users?status=deleted", ``, 400, "query.status"},
			{"GET", "/roles?after=x&after=y", ``, 400, "query.after"},
			{"GET", "/users/nosuch", ``, 404, ""},
			{"GET", "/users/nosuch/roles", ``, 404, ""},
			{"GET", "/roles/nosuch", ``, 404, ""},
		} {
			contentType := "application/json"
			if tt.method == "GET" || tt.method == "DELETE" {
				contentType = ""
			}
			a := s.Send(t, tt.method, tt.path, contentType, tt.body, "Authorization", "Bearer "+token)
			refusedAs(t, tt.method+" "+tt.path+" "+tt.body, a, tt.status, tt.place)
		}
		if after := number(t, db, "SELECT COUNT(*) FROM audit_events"); after != before {
			t.Errorf("the refusals wrote %d events", after-before)
		}
	})
}

// A body of another type is not read, however much it looks like JSON.
func TestBodyTypes(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "viewer")
	token := s.Login(t, servertest.Admin).Access
	auth := []string{"Authorization", "Bearer " + token}
	for _, tt := range []struct {
		contentType string
		headers     []string
		status      int
	}{
		{"application/json", nil, 200},
		{"application/json; charset=UTF-8", nil, 200},
		{"application/merge-patch+json", nil, 200},
		{"", nil, 415},
		{"text/plain", nil, 415},
		{"application/x-www-form-urlencoded", nil, 415},
		{"multipart/form-data; boundary=x", nil, 415},
		{"image/svg+json", nil, 415},
		{"application/json; charset=utf-16", nil, 415},
		{"application/json, text/plain", nil, 415},
		{"application/json", []string{"Content-Type", "text/plain"}, 415},
		{"application/json", []string{"Content-Encoding", "gzip"}, 415},
	} {
		a := s.Send(t, "PATCH", "/users/"+ann.ID, tt.contentType, `{"name":"Ann"}`, append(tt.headers, auth...)...)
		if tt.status == 200 && a.Status != 200 {
			t.Errorf("%q %v: %d %s", tt.contentType, tt.headers, a.Status, a.Body)
		} else if tt.status != 200 {
			refusedAs(t, tt.contentType+" "+strings.Join(tt.headers, ": "), a, tt.status, "")
		}
	}
	if a := s.Send(t, "POST", "/users", "application/merge-patch+json", `{"username":"bob"}`, auth...); a.Status != 415 {
		t.Errorf("POST of a merge patch: %d", a.Status)
	}
	refusedAs(t, "64 KiB and more", s.Send(t, "POST", "/users", "application/json", `{"name":"`+strings.Repeat("a", 64<<10)+`"}`, auth...), 413, "")
}

// Of all that may be changed, nothing is changed that is not what was read.
func TestPreconditions(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		token := s.Login(t, servertest.Admin).Access
		call := func(method, path string, body any, headers ...string) servertest.Answer {
			t.Helper()
			return s.Call(t, token, method, path, body, headers...)
		}
		made := map[string]string{} // by path, the tag
		for path, body := range map[string]any{
			"/users": map[string]any{"username": "ann", "email": "ann@example.com"},
			"/roles": map[string]any{"name": "clerk"},
		} {
			a := call("POST", path, body)
			at, _ := strings.CutPrefix(a.Header.Get("Location"), s.URL)
			made[path] = at
			if a.Status != 201 || a.Header.Get("ETag") == "" || a.Header.Get("ETag") != call("GET", at, nil).Header.Get("ETag") {
				t.Fatalf("POST %s: %d %s, ETag %q", path, a.Status, a.Body, a.Header.Get("ETag"))
			}
		}
		user, role := made["/users"], made["/roles"]
		given := call("POST", user+"/roles", map[string]any{"role": "viewer"})
		grantPath, _ := strings.CutPrefix(given.Header.Get("Location"), s.URL)
		if given.Status != 201 || given.Header.Get("ETag") == "" || grantPath != user+"/roles/viewer" {
			t.Fatalf("%d %s %v", given.Status, given.Body, given.Header)
		}
		changes := []struct {
			method, path string
			body         any
			tag          string // the present one
		}{
			{"PATCH", user, map[string]any{"name": "Ann"}, `"v1"`},
			{"PUT", role, map[string]any{"permissions": []string{"orders:read"}}, `"v1"`},
			{"PATCH", "/users/me", map[string]any{"name": "Root"}, `"v1"`},
			{"DELETE", grantPath, nil, given.Header.Get("ETag")},
			{"DELETE", role, nil, `"v2"`},
			{"DELETE", user, nil, `"v2"`},
		}
		for _, c := range changes {
			what := c.method + " " + c.path
			for _, tag := range []string{`"v99"`, `"nosuch"`, `v1`, `"v0"`, `W/` + c.tag, c.tag + "x", `""`} {
				refusedAs(t, what+" If-Match "+tag, call(c.method, c.path, c.body, "If-Match", tag), 412, "")
			}
			for _, tag := range []string{`*`, `"v99"`} {
				refusedAs(t, what+" If-None-Match "+tag, call(c.method, c.path, c.body, "If-None-Match", tag), 412, "")
			}
			if a := call(c.method, c.path, c.body, "If-Match", c.tag); a.Status != 200 && a.Status != 204 {
				t.Errorf("%s If-Match %s: %d %s", what, c.tag, a.Status, a.Body)
			} else if c.method != "DELETE" && a.Header.Get("ETag") != `"v2"` {
				t.Errorf("%s: the new tag is %s", what, a.Header.Get("ETag"))
			}
			if a := call(c.method, c.path, c.body, "If-Match", c.tag); a.Status != 412 && a.Status != 404 {
				t.Errorf("%s again with the old tag: %d %s", what, a.Status, a.Body)
			}
		}
		for _, path := range []string{"/users", "/roles", user + "/roles"} {
			refusedAs(t, "POST "+path+" If-None-Match: *", call("POST", path, map[string]any{}, "If-None-Match", "*"), 412, "")
		}
	})
}

// A grant that came in the place of another is not taken for it.
func TestGrantTagIsItsOwn(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann")
		token := s.Login(t, servertest.Admin).Access
		path := "/users/" + ann.ID + "/roles"
		first := s.Call(t, token, "POST", path, map[string]any{"role": "viewer"}).Header.Get("ETag")
		s.Call(t, token, "DELETE", path+"/viewer", nil)
		s.Call(t, token, "POST", path, map[string]any{"role": "viewer"})
		refusedAs(t, "the old tag", s.Call(t, token, "DELETE", path+"/viewer", nil, "If-Match", first), 412, "")
		if a := s.Call(t, token, "GET", path, nil); !strings.Contains(a.Body, `"viewer"`) {
			t.Errorf("the grant is gone: %s", a.Body)
		}
	})
}

// What a client has already is not sent again, and what has changed is.
func TestConditionalGet(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann")
		token := s.Login(t, servertest.Admin).Access
		role := s.Call(t, token, "GET", "/roles/viewer", nil)
		a := s.Call(t, token, "GET", "/roles/viewer", nil, "If-None-Match", role.Header.Get("ETag"))
		if a.Status != 304 || a.Body != "" || a.Header.Get("ETag") != role.Header.Get("ETag") {
			t.Errorf("%d %q, ETag %q", a.Status, a.Body, a.Header.Get("ETag"))
		}
		if a := s.Call(t, token, "GET", "/roles/viewer", nil, "If-None-Match", `"v99"`); a.Status != 200 {
			t.Errorf("another tag: %d", a.Status)
		}
		// An account's roles change without its tag.
		user := s.Call(t, token, "GET", "/users/"+ann.ID, nil)
		s.Call(t, token, "POST", "/users/"+ann.ID+"/roles", map[string]any{"role": "viewer"})
		if a := s.Call(t, token, "GET", "/users/"+ann.ID, nil, "If-None-Match", user.Header.Get("ETag")); a.Status != 200 || !strings.Contains(a.Body, "viewer") {
			t.Errorf("after a role was given: %d %s", a.Status, a.Body)
		}
	})
}

// A request that is sent again under its Idempotency-Key has one effect.
func TestIdempotencyKey(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "admin")
		root, other := s.Login(t, servertest.Admin).Access, s.Login(t, "ann").Access
		for _, tt := range []struct {
			path         string
			body, reused any
			count        string
		}{
			{"/users", map[string]any{"username": "bob", "password": "a password of his own"}, map[string]any{"username": "eve"}, "SELECT COUNT(*) FROM users WHERE username = 'bob'"},
			{"/roles", map[string]any{"name": "clerk"}, map[string]any{"name": "clerk2"}, "SELECT COUNT(*) FROM roles WHERE name = 'clerk'"},
			{"/users/" + ann.ID + "/roles", map[string]any{"role": "viewer"}, map[string]any{"role": "editor"}, "SELECT COUNT(*) FROM grants WHERE principal = '" + ann.ID + "' AND role = 'viewer'"},
		} {
			first := s.Call(t, root, "POST", tt.path, tt.body, "Idempotency-Key", "k1")
			again := s.Call(t, root, "POST", tt.path, tt.body, "Idempotency-Key", "k1")
			if first.Status != 201 || again.Status != 201 || again.Body != first.Body || again.Header.Get("Location") != first.Header.Get("Location") ||
				again.Header.Get("ETag") != first.Header.Get("ETag") {
				t.Errorf("POST %s: %d %s, then %d %s", tt.path, first.Status, first.Body, again.Status, again.Body)
			}
			if first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("POST %s: replayed %q, then %q", tt.path, first.Header.Get("Idempotency-Replayed"), again.Header.Get("Idempotency-Replayed"))
			}
			refusedAs(t, "the key for another request", s.Call(t, root, "POST", tt.path, tt.reused, "Idempotency-Key", "k1"), 400, "header.Idempotency-Key")
			// The key is its caller's: another one's is another request, which finds
			// what the first one made.
			refusedAs(t, "another caller's key", s.Call(t, other, "POST", tt.path, tt.body, "Idempotency-Key", "k1"), 409, "*")
			if n := number(t, database(t, s), tt.count); n != 1 {
				t.Errorf("POST %s: %d were made", tt.path, n)
			}
		}
		refusedAs(t, "a long key", s.Call(t, root, "POST", "/roles", map[string]any{"name": "x"}, "Idempotency-Key", strings.Repeat("k", 256)), 400, "header.Idempotency-Key")
		// What was refused is not remembered.
		refusedAs(t, "a bad request", s.Call(t, root, "POST", "/roles", map[string]any{"name": "viewer"}, "Idempotency-Key", "k2"), 409, "")
		if a := s.Call(t, root, "POST", "/roles", map[string]any{"name": "writer"}, "Idempotency-Key", "k2"); a.Status != 201 {
			t.Errorf("the key of a refused request: %d %s", a.Status, a.Body)
		}
	})
}

func TestIdempotencyKeyInParallel(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		token := s.Login(t, servertest.Admin).Access
		var mu sync.Mutex
		got := map[string]int{}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				a := s.Call(t, token, "POST", "/users", map[string]any{"username": "bob"}, "Idempotency-Key", "k1")
				mu.Lock()
				defer mu.Unlock()
				got[a.Body]++
				if a.Status != 201 {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		all.Wait()
		if n := number(t, database(t, s), "SELECT COUNT(*) FROM users WHERE username = 'bob'"); n != 1 || len(got) != 1 {
			t.Errorf("%d accounts, %d different answers", n, len(got))
		}
	})
}

// A key is forgotten after a day.
func TestIdempotencyKeyIsForgotten(t *testing.T) {
	var c steered
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	post := func() servertest.Answer {
		return s.Call(t, s.Login(t, servertest.Admin).Access, "POST", "/roles", map[string]any{"name": "clerk"}, "Idempotency-Key", "k1")
	}
	post()
	c.pass(23 * time.Hour)
	if a := post(); a.Status != 201 {
		t.Errorf("after 23 hours: %d", a.Status)
	}
	c.pass(2 * time.Hour)
	refusedAs(t, "after 25 hours", post(), 409, "")
}
