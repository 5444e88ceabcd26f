package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// apart has a site with two roles that may be held, and not used together: of ana
// herself and by a group, and of a client.
func apart(t *testing.T, s *servertest.Site) (root string, job registered) {
	t.Helper()
	root = s.Login(t, servertest.Admin).Access
	made(t, s, root, "author", []string{"orders:write", "users:read"}, nil)
	made(t, s, root, "approver", []string{"orders:approve", "users:write"}, nil)
	made(t, s, root, "chief", nil, []string{"approver"})
	ana := s.User(t, "ana", "author")
	job = register(t, s, root, map[string]any{"client_id": "job", "scope": "orders:write orders:approve"}, "author", "chief")
	for _, step := range []struct {
		path string
		body map[string]any
	}{{"/groups", map[string]any{"name": "board"}}, {"/groups/board/roles", map[string]any{"role": "chief"}}, {"/groups/board/members", map[string]any{"id": ana.ID}}} {
		if a := s.Call(t, root, "POST", step.path, step.body); a.Status != http.StatusCreated {
			t.Fatalf("%s: %d %s", step.path, a.Status, a.Body)
		}
	}
	return root, job
}

// keepApart makes the separation of the two.
func keepApart(t *testing.T, s *servertest.Site, root string) {
	t.Helper()
	a := s.Call(t, root, "POST", "/separations", map[string]any{"name": "four-eyes", "kind": "dynamic", "roles": []string{"author", "approver"}})
	if a.Status != http.StatusCreated {
		t.Fatalf("keeping them apart: %d %s", a.Status, a.Body)
	}
}

// tellsToChoose fails the test unless an answer refuses to let two roles be used together.
func tellsToChoose(t *testing.T, what string, a servertest.Answer) {
	t.Helper()
	if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `"error":"invalid_request"`) ||
		!strings.Contains(a.Body, "the roles approver, author exclude each other (separation four-eyes): choose with roles") {
		t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
}

// Whoever holds two roles that must not be used together chooses, and then has what
// one of them gives: in every token of the family, and before our own API.
func TestDynamicSeparation(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root, job := apart(t, s)
		before := s.Login(t, "ana")
		if before.Scope != "orders:approve orders:write users:read users:write" {
			t.Fatalf("before there is a separation: %q", before.Scope)
		}
		var key struct{ Key string }
		s.Call(t, before.Access, "POST", "/api-keys", map[string]any{"name": "hers", "scopes": []string{"users:read"}, "expires_in": 600}).JSON(t, &key)
		if a := s.Call(t, key.Key, "GET", "/users", nil); a.Status != http.StatusOK {
			t.Errorf("her key: %d %s", a.Status, a.Body)
		}
		keepApart(t, s, root)
		if a := s.Call(t, key.Key, "GET", "/users", nil); a.Status != http.StatusUnauthorized { // it cannot choose
			t.Errorf("her key, of both: %d %s", a.Status, a.Body)
		}
		// What was given before is void, and goes on no more.
		if a := s.Call(t, before.Access, "GET", "/users/me", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("a token of both: %d %s", a.Status, a.Body)
		}
		if a := s.Refresh(t, before.Refresh); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `"error":"invalid_grant"`) || !strings.Contains(a.Body, "sign in again and choose with roles") {
			t.Errorf("a refresh of both: %d %s", a.Status, a.Body)
		}
		login := func(more ...string) servertest.Answer {
			return s.Form(t, "/auth/login", append([]string{"username", "ana", "password", servertest.Password}, more...)...)
		}
		tellsToChoose(t, "no choice", login())
		tellsToChoose(t, "a scope is none", login("scope", "orders:write"))
		tellsToChoose(t, "both", login("roles", "author chief"))
		tellsToChoose(t, "a browser", login("mode", "cookie"))
		for _, roles := range []string{"approver", "viewer", "nosuch", "author viewer", "author  chief", " author", "author\"", "*"} { // approver she has by chief
			if a := login("roles", roles); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `"error":"invalid_request"`) || strings.Contains(a.Body, "exclude") {
				t.Errorf("roles=%s: %d %s", roles, a.Status, a.Body)
			}
		}
		if a := s.Form(t, "/auth/login", "username", "ana", "password", "wrong password", "roles", "author"); a.Status != http.StatusUnauthorized {
			t.Errorf("a wrong password: %d %s", a.Status, a.Body)
		}
		for roles, want := range map[string][2]string{"author": {"orders:write users:read", "[author]"}, "chief": {"orders:approve users:write", "[approver chief]"}} {
			tokens := s.Login(t, "ana", "roles", roles)
			for turn := range 3 {
				if c := claims(t, tokens.Access); tokens.Scope != want[0] || c["scope"] != want[0] || fmt.Sprint(c["roles"]) != want[1] {
					t.Errorf("as %s, turn %d: %q, %v", roles, turn, tokens.Scope, c["roles"])
				}
				s.Refresh(t, tokens.Refresh).JSON(t, &tokens)
			}
			reads, writes := s.Call(t, tokens.Access, "GET", "/users", nil), s.Call(t, tokens.Access, "POST", "/users", map[string]any{"username": "by-" + roles})
			if may := map[bool]int{true: 200, false: 403}[roles == "author"]; reads.Status != may {
				t.Errorf("as %s, reading: %d %s", roles, reads.Status, reads.Body)
			}
			if may := map[bool]int{true: 201, false: 403}[roles == "chief"]; writes.Status != may {
				t.Errorf("as %s, writing: %d %s", roles, writes.Status, writes.Body)
			}
			if a := login("roles", roles, "scope", "orders:write orders:approve"); a.Status != http.StatusOK || strings.Contains(a.Body, "orders:write orders:approve") || strings.Contains(a.Body, "orders:approve orders:write") {
				t.Errorf("as %s, asking for both scopes: %d %s", roles, a.Status, a.Body)
			}
		}
		tellsToChoose(t, "a client", job.post(t, s, "/oauth2/token", "grant_type", "client_credentials"))
		if tokens := job.token(t, s, "roles", "author"); tokens.Scope != "orders:write" {
			t.Errorf("a client as author: %q", tokens.Scope)
		}
		// A page cannot ask: its session opens the pages, and no more.
		b := s.Browser(t)
		signIn(t, b, "ana")
		if who(t, b) != "ana" {
			t.Error("the page does not know her")
		}
		if a := b.Send(t, "GET", "/users", "", ""); a.Status != http.StatusForbidden {
			t.Errorf("by the session of a page: %d %s", a.Status, a.Body)
		}
	})
}

// What was chosen does not grow: not by a role that comes, nor with one that goes; and
// another replica knows as soon as it knows of the separation.
func TestAttackChosenRolesDoNotGrow(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		s, other := sites[0], sites[len(sites)-1]
		root, _ := apart(t, s)
		tokens := s.Login(t, "ana", "roles", "author")
		keepApart(t, s, root)
		within(t, time.Second, "the other one knows", func() bool {
			return other.Form(t, "/auth/login", "username", "ana", "password", servertest.Password).Status == http.StatusBadRequest
		})
		ana, err := s.Core.Accounts.ByLogin(t.Context(), "ana")
		if err != nil {
			t.Fatal(err)
		}
		root = s.Login(t, servertest.Admin).Access
		if a := s.Call(t, root, "POST", "/users/"+ana.ID+"/roles", map[string]any{"role": "editor"}); a.Status != http.StatusCreated {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		s.Refresh(t, tokens.Refresh).JSON(t, &tokens)
		if tokens.Scope != "orders:write users:read" || strings.Contains(fmt.Sprint(claims(t, tokens.Access)["roles"]), "editor") {
			t.Errorf("with another role: %q of %v", tokens.Scope, claims(t, tokens.Access)["roles"])
		}
		if a := s.Call(t, root, "DELETE", "/users/"+ana.ID+"/roles/author", nil); a.Status != http.StatusNoContent {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := s.Refresh(t, tokens.Refresh); a.Status != http.StatusBadRequest {
			t.Errorf("without the role that was chosen: %d %s", a.Status, a.Body)
		}
	})
}

// What may be used together is asked of one place: a token is for the server or for an
// organization, and of the roles chosen those count that were given there.
func TestChosenRolesWithinAnOrganization(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root, _ := apart(t, s)
		keepApart(t, s, root)
		bob := s.User(t, "bob", "author")
		give := func(path string, body map[string]any) {
			t.Helper()
			if a := s.Call(t, root, "POST", path, body); a.Status != http.StatusCreated {
				t.Fatalf("%s: %d %s", path, a.Status, a.Body)
			}
		}
		give("/organizations", map[string]any{"name": "acme"})
		give("/organizations/acme/members", map[string]any{"id": bob.ID})
		give("/users/"+bob.ID+"/roles", map[string]any{"role": "approver", "organization": "acme"})
		if tokens := s.Login(t, "bob"); !strings.Contains(tokens.Scope, "orders:write") || strings.Contains(tokens.Scope, "orders:approve") {
			t.Errorf("on the server: %q", tokens.Scope)
		}
		if tokens := s.Login(t, "bob", "organization", "acme"); tokens.Scope != "orders:approve users:write" {
			t.Errorf("in the organization: %q", tokens.Scope)
		}
		in := func(more ...string) servertest.Answer {
			return s.Form(t, "/auth/login", append([]string{"username", "bob", "password", servertest.Password, "organization", "acme"}, more...)...)
		}
		if a := in("roles", "author"); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "was not given") {
			t.Errorf("a role of the server's: %d %s", a.Status, a.Body)
		}
		give("/users/"+bob.ID+"/roles", map[string]any{"role": "author", "organization": "acme"})
		tellsToChoose(t, "both in one organization", in())
		tokens := s.Login(t, "bob", "organization", "acme", "roles", "author")
		s.Refresh(t, tokens.Refresh).JSON(t, &tokens)
		if c := claims(t, tokens.Access); !strings.Contains(tokens.Scope, "orders:write") || strings.Contains(tokens.Scope, "approve") || c["org_name"] != "acme" {
			t.Errorf("as author, refreshed: %q, %v", tokens.Scope, c["org_name"])
		}
	})
}
