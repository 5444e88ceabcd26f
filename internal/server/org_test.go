package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// found makes an organization over the API with members who have roles in it, by id,
// like "user ID: support".
func found(t *testing.T, s *servertest.Site, root, name string, members map[string]string) string {
	t.Helper()
	var o struct{ ID string }
	a := s.Call(t, root, "POST", "/organizations", map[string]any{"name": name})
	if a.Status != http.StatusCreated || a.Header.Get("Location") != s.URL+"/organizations/"+name || a.Header.Get("ETag") == "" {
		t.Fatalf("making %s: %d %s", name, a.Status, a.Body)
	}
	a.JSON(t, &o)
	for who, roles := range members {
		kind, id, _ := strings.Cut(who, " ")
		if a := s.Call(t, root, "POST", "/organizations/"+name+"/members", map[string]any{"id": id, "type": kind}); a.Status != http.StatusCreated {
			t.Fatalf("adding %s: %d %s", who, a.Status, a.Body)
		}
		for _, role := range strings.Fields(roles) {
			if a := s.Call(t, root, "POST", "/"+kind+"s/"+id+"/roles", map[string]any{"role": role, "organization": name}); a.Status != http.StatusCreated ||
				a.Header.Get("Location") != s.URL+"/"+kind+"s/"+id+"/roles/"+role+"?organization="+name {
				t.Fatalf("giving %s to %s: %d %s", role, who, a.Status, a.Body)
			}
		}
	}
	return o.ID
}

// A token for an organization names it and carries what its user was given there alone,
// and a refresh does; it ends with the membership, and the others do not.
func TestOrganizationTokens(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "clerk", "orders:read", "orders:write")
		ann := s.User(t, "ann", "viewer")
		job := register(t, s, root, map[string]any{"client_id": "job", "scope": "orders:read read"}, "viewer")
		acme := found(t, s, root, "acme", map[string]string{"user " + ann.ID: "clerk", "client job": "clerk"})
		found(t, s, root, "evil", nil)
		found(t, s, root, "both", map[string]string{"user " + ann.ID: ""})

		in := s.Login(t, "ann", "organization", "acme")
		c := payload(t, in.Access)
		if c["org"] != acme || c["org_name"] != "acme" || in.Scope != "orders:read orders:write" || fmt.Sprint(c["roles"]) != "[clerk]" {
			t.Errorf("within acme it carries %v", c)
		}
		if g, err := guard.New(s.URL, guard.Audience(s.URL)); err != nil {
			t.Error(err)
		} else if p, err := g.Verify(t.Context(), in.Access); err != nil || p.Organization != acme {
			t.Errorf("the guard says %+v, %v", p, err)
		}
		if c := payload(t, s.Login(t, "ann").Access); c["org"] != nil || c["org_name"] != nil || c["scope"] != "read" {
			t.Errorf("on the server it carries %v", c)
		}
		if both := s.Login(t, "ann", "organization", "both"); both.Scope != "" {
			t.Errorf("within another it carries %q", both.Scope)
		}
		service := job.token(t, s, "organization", "acme")
		if c := payload(t, service.Access); service.Scope != "orders:read" || c["org"] != acme || c["org_name"] != "acme" {
			t.Errorf("the client's carries %v", c)
		}
		api := register(t, s, root, map[string]any{"client_id": "api", "audiences": []string{s.URL}})
		for _, token := range []string{in.Access, service.Access} {
			if told := api.introspects(t, s, token); told["org"] != acme || told["org_name"] != "acme" {
				t.Errorf("introspection says %v", told)
			}
		}

		var me struct {
			Organization   string
			Roles          []string
			EffectiveRoles []string `json:"effective_roles"`
			Permissions    []string
			Organizations  []struct{ ID, Name string }
		}
		s.Call(t, in.Access, "GET", "/users/me", nil).JSON(t, &me)
		if me.Organization != "acme" || fmt.Sprint(me.Permissions, me.EffectiveRoles, me.Roles) != "[orders:read orders:write] [clerk] [viewer]" || len(me.Organizations) != 2 || me.Organizations[0].ID != acme {
			t.Errorf("of herself she is told %+v", me)
		}

		refreshed := servertest.Tokens{}
		s.Refresh(t, in.Refresh).JSON(t, &refreshed)
		if c := payload(t, refreshed.Access); c["org"] != acme || refreshed.Scope != in.Scope {
			t.Errorf("after a refresh it carries %v", c)
		}
		server := s.Login(t, "ann")
		if a := s.Call(t, root, "DELETE", "/organizations/acme/members/"+ann.ID, nil); a.Status != http.StatusNoContent {
			t.Fatal(a.Body)
		}
		if a := s.Call(t, refreshed.Access, "GET", "/users/me", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("who left is let in: %d", a.Status)
		}
		if a := s.Refresh(t, refreshed.Refresh); a.Status != http.StatusBadRequest || a.Error() != "invalid_grant" {
			t.Errorf("who left refreshes: %d %s", a.Status, a.Body)
		}
		if a := s.Refresh(t, server.Refresh); a.Status != http.StatusOK {
			t.Errorf("what she does on the server ended, too: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, root, "DELETE", "/organizations/acme", nil); a.Status != http.StatusNoContent {
			t.Fatal(a.Body)
		}
		if told := api.introspects(t, s, service.Access); told["active"] != false {
			t.Errorf("of what is gone introspection says %v", told)
		}
	})
}

// Who is no member of an organization cannot tell whether there is one.
func TestAttackRBAC008OrganizationIsNotTold(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		s.User(t, "ann", "viewer")
		job := register(t, s, root, map[string]any{"client_id": "job", "scope": "read"}, "viewer")
		acme := found(t, s, root, "acme", map[string]string{"user " + s.User(t, "bob").ID: "viewer"})
		own := s.Login(t, "ann").Access
		ways := map[string]func(name string) servertest.Answer{
			"a sign-in": func(name string) servertest.Answer {
				return s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "organization", name)
			},
			"a client": func(name string) servertest.Answer {
				return job.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "organization", name)
			},
			"a question": func(name string) servertest.Answer {
				return s.Call(t, own, "POST", "/access/explain", map[string]any{"permission": "read", "organization": name})
			},
			"the list of its members": func(name string) servertest.Answer {
				return s.Call(t, own, "GET", "/organizations/"+url.PathEscape(name)+"/members", nil)
			},
		}
		for way, do := range ways {
			told := map[string]bool{}
			for _, name := range []string{"acme", "nosuch", acme, "ACME"} {
				a := do(name)
				if way == "a question" {
					var e explanation
					a.JSON(t, &e)
					if e.Allowed {
						t.Errorf("%s about %q: %s", way, name, a.Body)
					}
					told[strings.ReplaceAll(a.Body, e.DecisionID, "")] = true
					continue
				}
				if a.Status != http.StatusBadRequest && a.Status != http.StatusForbidden {
					t.Errorf("%s, %q: %d %s", way, name, a.Status, a.Body)
				}
				if way == "the list of its members" {
					told[anonymized(t, a)] = true
				} else {
					told[fmt.Sprint(a.Status, a.Body)] = true
				}
			}
			if len(told) != 1 {
				t.Errorf("%s tells them apart: %v", way, told)
			}
		}
		// And a wrong password is told first, whatever the organization.
		for _, name := range []string{"acme", "nosuch"} {
			if a := s.Form(t, "/auth/login", "username", "bob", "password", "wrong", "organization", name); a.Status != http.StatusUnauthorized || a.Error() != "invalid_grant" {
				t.Errorf("a wrong password: %d %s", a.Status, a.Body)
			}
		}
	})
}

// A token for an organization opens nothing on this server that needs a permission, even
// where its holder is an administrator both there and here; what is his own, it does.
func TestAttackRBAC014OrganizationTokenOnTheServer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	chief := s.User(t, "chief", rbac.AdminRole)
	found(t, s, root, "acme", map[string]string{"user " + chief.ID: rbac.AdminRole})
	in := s.Login(t, "chief", "organization", "acme")
	if !slices.Contains(strings.Fields(in.Scope), "users:write") {
		t.Fatalf("within acme he is no administrator: %q", in.Scope)
	}
	needy := 0
	for _, line := range s.Server.SiteMap() {
		if line.Open || line.Person || strings.HasSuffix(line.Pattern, "/oauth2/userinfo") { // which asks for a scope
			continue
		}
		method, path := address(line.Pattern)
		a := s.Call(t, in.Access, method, path, map[string]any{})
		switch {
		case line.Permission != "":
			needy++
			if a.Status != http.StatusForbidden {
				t.Errorf("%s: %d %s", line.Pattern, a.Status, a.Body)
			}
		case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
			t.Errorf("%s: %d %s", line.Pattern, a.Status, a.Body)
		}
	}
	if needy < 40 {
		t.Errorf("only %d routes need a permission", needy)
	}
	bob := s.User(t, "bob", "viewer")
	elsewhere := claims(t, s.Login(t, "bob").Access)["sid"].(string)
	for what, a := range map[string]servertest.Answer{
		"a question about another": s.Call(t, in.Access, "POST", "/access/check", map[string]any{"subject": "user:" + bob.ID, "permission": "read"}),
		"a key of his own":         s.Call(t, in.Access, "POST", "/api-keys", map[string]any{"name": "mine", "scopes": []string{"read"}, "expires_in": 60}),
		"another's sessions":       s.Call(t, in.Access, "GET", "/sessions?user="+bob.ID, nil),
	} {
		if a.Status != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	if a := s.Call(t, in.Access, "DELETE", "/sessions/"+elsewhere, nil); a.Status != http.StatusNotFound {
		t.Errorf("another's session: %d %s", a.Status, a.Body)
	}
	// And for a browser's cookie it is the same.
	if a := s.Call(t, in.Access, "GET", "/users/me", nil); a.Status != http.StatusOK {
		t.Errorf("himself: %d", a.Status)
	}
}

// A cursor of one organization's members opens no other's, nor another caller's list.
func TestAttackRBAC013OrganizationCursor(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	other := s.User(t, "other-admin", rbac.AdminRole)
	members := map[string]string{}
	for i := range 5 {
		members["user "+s.User(t, fmt.Sprint("member", i)).ID] = "viewer"
	}
	found(t, s, root, "acme", members)
	found(t, s, root, "evil", members)
	type list struct {
		Items []struct {
			ID, Type, Name string
			Roles          []string
		}
		Next *string
	}
	var p list
	s.Call(t, root, "GET", "/organizations/acme/members?limit=2", nil).JSON(t, &p)
	if len(p.Items) != 2 || p.Next == nil || p.Items[0].Type != "user" || !strings.HasPrefix(p.Items[0].Name, "member") || fmt.Sprint(p.Items[0].Roles) != "[viewer]" {
		t.Fatalf("%+v", p)
	}
	cursor := *p.Next
	seen := map[string]bool{p.Items[0].ID: true, p.Items[1].ID: true}
	for next := &cursor; next != nil; next = p.Next {
		p = list{}
		s.Call(t, root, "GET", "/organizations/acme/members?limit=2&after="+*next, nil).JSON(t, &p)
		for _, m := range p.Items {
			seen[m.ID] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("the pages hold %d members", len(seen))
	}
	id, _, _ := strings.Cut(cursor, ".")
	for what, a := range map[string]servertest.Answer{
		"another organization":     s.Call(t, root, "GET", "/organizations/evil/members?after="+cursor, nil),
		"another list":             s.Call(t, root, "GET", "/organizations?after="+cursor, nil),
		"another caller":           s.Call(t, s.Login(t, "other-admin").Access, "GET", "/organizations/acme/members?after="+cursor, nil),
		"a forged one":             s.Call(t, root, "GET", "/organizations/acme/members?after="+id+".AAAAAAAAAAAAAAAAAAAAAA", nil),
		"an id":                    s.Call(t, root, "GET", "/organizations/acme/members?after="+other.ID, nil),
		"another's under its name": s.Call(t, root, "GET", "/organizations/acme/members?limit=1e9", nil),
	} {
		if a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
}

// Whether somebody may do something within an organization is told with the way that
// leads there; what he holds elsewhere narrows the answer.
func TestOrganizationDecisions(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	makeRole(t, s, "clerk", "orders:read")
	ann, bob := s.User(t, "ann"), s.User(t, "bob", "clerk")
	register(t, s, root, map[string]any{"client_id": "job", "scope": "orders:read"})
	found(t, s, root, "acme", map[string]string{"user " + ann.ID: "clerk", "user " + bob.ID: "", "client job": "clerk"})
	found(t, s, root, "other", map[string]string{"user " + ann.ID: ""})
	for _, c := range []struct {
		subject, organization, path, narrowed, reason string
	}{
		{"user:ann", "acme", "user:ann organization:acme role:clerk orders:read", "", ""},
		{"client:job", "acme", "client:job organization:acme role:clerk orders:read", "", ""},
		{"user:ann", "", "", "organization", "not on the server as a whole"},
		{"user:ann", "other", "", "organization", "not in this organization"},
		{"user:bob", "acme", "", "organization", "not in this organization"},
		{"user:bob", "", "user:bob role:clerk orders:read", "", ""},
		{"user:bob", "other", "", "", "not a member of such an organization"},
		{"user:ann", "nosuch", "", "", "not a member of such an organization"},
		{"client:job", "", "", "organization", "not on the server as a whole"},
	} {
		question := map[string]any{"subject": c.subject, "permission": "orders:read", "organization": c.organization}
		var e, d explanation
		s.Call(t, root, "POST", "/access/explain", question).JSON(t, &e)
		s.Call(t, root, "POST", "/access/check", question).JSON(t, &d)
		if strings.Join(e.Path, " ") != c.path || e.Allowed != (c.path != "") || d.Allowed != e.Allowed || e.NarrowedBy != c.narrowed || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%v: %+v, %+v", question, e, d)
		}
	}
	in := s.Login(t, "ann", "organization", "acme").Access
	var e explanation
	if s.Call(t, in, "POST", "/access/explain", map[string]any{"permission": "orders:read"}).JSON(t, &e); !e.Allowed || len(e.Path) != 4 {
		t.Errorf("by the token of the organization: %+v", e)
	}
	if a := s.Call(t, in, "POST", "/access/check", map[string]any{"permission": "orders:read", "organization": "other"}); a.Status != http.StatusBadRequest {
		t.Errorf("of another organization: %d %s", a.Status, a.Body)
	}
}
