package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// There is no password grant: nobody's password is looked at, whoever sends it, and
// nothing is counted against him.
func TestAttackTOK022PasswordGrant(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Set: strict})
	s.User(t, "ann", "viewer")
	c := clientBy(t, s, "billing", oauth.Basic)
	for _, grant := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "CLIENT_CREDENTIALS", "client_credentials+", "x"} {
		form := "grant_type=" + grant + "&username=ann&password="
		for what, headers := range map[string][]string{"nobody": nil, "a client": c.basic(), "a wrong secret": basicOf("billing:x")} {
			for _, password := range []string{"wrong", escaped(servertest.Password)} {
				a := s.Send(t, http.MethodPost, "/oauth2/token", formType, form+password, headers...)
				if a.Status != http.StatusBadRequest || a.Error() != "unsupported_grant_type" {
					t.Errorf("%s by %s: %d %s", grant, what, a.Status, a.Body)
				}
			}
		}
	}
	if n := len(events(t, s, string(audit.LoginFailed))) + len(events(t, s, string(audit.ClientRefused))); n != 0 {
		t.Errorf("%d failures are in the log", n)
	}
	s.Login(t, "ann")
}

func TestAttackTOK023GrantNotAllowed(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		c := clientBy(t, s, "billing", oauth.Basic)
		kept, err := s.Core.Clients.Fresh(t.Context(), c.id)
		if err != nil {
			t.Fatal(err)
		}
		token := c.token(t, s).Access
		kept.Grants = nil
		if _, err := s.Core.Clients.Update(t.Context(), servertest.Operator, kept); err != nil {
			t.Fatal(err)
		}
		if a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials"); a.Status != http.StatusBadRequest || a.Error() != "unauthorized_client" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		// Who has not proved who it is does not hear what it may not.
		unproved(t, "a wrong secret", s.Send(t, "POST", "/oauth2/token", formType, "grant_type=client_credentials", basicOf("billing:x")...), true)
		if a := c.introspects(t, s, token); a["active"] != false {
			t.Errorf("what it got by the grant that it lost: %v", a)
		}
	})
}

func TestAttackTOK024PublicClient(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	if a := s.Form(t, "/oauth2/token", "grant_type", "client_credentials", "client_id", "doorward"); a.Status != http.StatusBadRequest || a.Error() != "unauthorized_client" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	unproved(t, "with an empty secret", s.Form(t, "/oauth2/token", "grant_type", "client_credentials", "client_id", "billing", "client_secret", ""), false)
	unproved(t, "with an empty secret", s.Send(t, "POST", "/oauth2/token", formType, "grant_type=client_credentials", basicOf("doorward:")...), true)
	for _, body := range []map[string]any{{"token_endpoint_auth_method": "none"}, {"client_id": "doorward"}, {"grant_types": []string{"password"}}, {"grant_types": []string{"refresh_token"}}} {
		if a := s.Call(t, s.Login(t, servertest.Admin).Access, "POST", "/clients", body); a.Status < 400 || a.Status > 499 {
			t.Errorf("registering %v: %d %s", body, a.Status, a.Body)
		}
	}
	c := clientOf(t, s)
	if tokens := c.token(t, s, "scope", ""); tokens.Refresh != "" || tokens.Type != "Bearer" {
		t.Errorf("%+v", tokens)
	}
}

// A client's id is never an account's, so a service is never taken for a person.
func TestAttackTOK025ClientNamedLikeAUser(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		ann := s.User(t, "ann", "viewer")
		for _, id := range []string{ann.ID, strings.ToUpper(ann.ID), " " + ann.ID, "{" + ann.ID + "}", "urn:uuid:" + ann.ID} {
			if a := s.Call(t, root, "POST", "/clients", map[string]any{"client_id": id}); a.Status < 400 || a.Status > 499 {
				t.Errorf("a client %s: %d %s", id, a.Status, a.Body)
			}
		}
		// One that is named like her otherwise is another principal.
		makeRole(t, s, "reader", "users:read")
		c := register(t, s, root, map[string]any{"client_id": "ann", "scope": "users:read profile:read"}, "reader")
		if a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "scope", "profile:read"); a.Error() != "invalid_scope" {
			t.Errorf("it holds what ann does: %d %s", a.Status, a.Body)
		}
		service := clientOf(t, s).token(t, s).Access // an id of ours, of the form of an account's
		for _, token := range []string{c.token(t, s).Access, service} {
			for _, path := range []string{"/users/me", "/sessions", "/sessions?user=" + ann.ID} {
				if a := s.Call(t, token, "GET", path, nil); a.Status != http.StatusForbidden {
					t.Errorf("a service at %s: %d %s", path, a.Status, a.Body)
				}
			}
			if a := s.Call(t, token, "PATCH", "/users/me", map[string]any{"name": "x"}); a.Status != http.StatusForbidden {
				t.Errorf("a service changes its account: %d %s", a.Status, a.Body)
			}
			if a := s.Call(t, token, "POST", "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": "another one of mine"}); a.Status != http.StatusForbidden {
				t.Errorf("a service changes its password: %d %s", a.Status, a.Body)
			}
			for _, headers := range [][]string{{"Authorization", "Bearer " + token}, {"Cookie", "doorward_access=" + token + "; doorward_session=" + token}} {
				if a := s.Send(t, "GET", "/account", "", "", headers...); a.Status != http.StatusSeeOther {
					t.Errorf("a service at /account by its %s: %d", headers[0], a.Status)
				}
			}
			if a := s.Refresh(t, token); a.Error() != "invalid_grant" {
				t.Errorf("an access token as a refresh token: %d %s", a.Status, a.Body)
			}
		}
		if a := s.Send(t, "POST", "/auth/logout", "", "", "Authorization", "Bearer "+service); a.Status != http.StatusNoContent || me(t, s, service) != http.StatusUnauthorized {
			t.Errorf("a service that signed out: %d, and then %d", a.Status, me(t, s, service))
		}
	})
}

// What a service gets is what it asks for, is registered for and holds: the least of
// the three.
func TestAttackTOK026ServiceScope(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "reader", "users:read", "roles:read")
		c := register(t, s, root, map[string]any{"client_id": "billing", "scope": "users:read users:write", "default_scope": "users:read"}, "reader")
		for scope, want := range map[string]string{
			"": "users:read", "users:read": "users:read", "users:read users:write": "users:read", "users:write": "", "roles:read": "", "users:read roles:read": "", "admin": "", "users:read admin": "", "*": "", "users:*": "",
			"users:read\tadmin": "", "users:read\nadmin": "", `users:read "x"`: "", "users:read  users:read": "", " users:read": "", "users:read ": "", "USERS:READ": "", "users:r\u00e9ad": "", "users:read\x00": "",
			strings.Repeat("a ", 7000) + "a": "", strings.Repeat("a", 15000): "", "users:read users:read": "users:read",
		} {
			a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "scope", scope)
			switch {
			case want == "" && (a.Status != http.StatusBadRequest || a.Error() != "invalid_scope"):
				t.Errorf("scope %.30q: %d %s", scope, a.Status, a.Body)
			case want != "" && (pair(t, a).Scope != want || payload(t, pair(t, a).Access)["scope"] != want):
				t.Errorf("scope %.30q: %s", scope, a.Body)
			}
		}
		// The scope of an answer is a list of at least one, or is not there (RFC 6749,
		// Section 3.3).
		bare := clientOf(t, s)
		if a := bare.post(t, s, "/oauth2/token", "grant_type", "client_credentials"); a.Status != http.StatusOK || strings.Contains(a.Body, "scope") {
			t.Errorf("of none: %d %s", a.Status, a.Body)
		}
	})
}

func TestAttackTOK028ServiceResources(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	c := clientOf(t, s)
	for _, resource := range []string{
		"/api", s.URL + "#frag", s.URL + "/", s.URL + "?x=y", "javascript:alert(1)", "https://user:pw@api-a", strings.ToUpper(s.URL), "https://API-A", s.URL + "/../api-b", "https://api-a/../api-b",
		"https://api-b", "urn:x", strings.Repeat("a", 10<<10), "\x00", "https://api-b\r\nx",
	} {
		if a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "resource", resource); a.Status != http.StatusBadRequest || a.Error() != "invalid_target" {
			t.Errorf("resource %.40q: %d %s", resource, a.Status, a.Body)
		}
	}
	if a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials", "resource", s.URL, "resource", "https://api-b"); a.Error() != "invalid_target" {
		t.Errorf("a known and an unknown one: %d %s", a.Status, a.Body)
	}
	if aud := payload(t, c.token(t, s, "resource", s.URL).Access)["aud"]; aud != s.URL {
		t.Errorf("aud %v", aud)
	}
}

// A server that has not heard yet that a client is gone, or disabled, gives it nothing.
func TestAttackTOK031ClientDisabledInBetween(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		for what, statement := range map[string]string{
			"disabled": "UPDATE clients SET status = 'disabled' WHERE id = 'disabled'", "deleted": "DELETE FROM clients WHERE id = 'deleted'",
		} {
			c := clientBy(t, s, what, oauth.Basic)
			c.token(t, s) // by which it is kept
			if _, err := database(t, s).ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			unproved(t, what, c.post(t, s, "/oauth2/token", "grant_type", "client_credentials"), true)
		}
		// Nor does a role that was taken stay in what it gets next, or got before.
		makeRole(t, s, "reader", "users:read")
		c := register(t, s, s.Login(t, servertest.Admin).Access, map[string]any{"client_id": "demoted", "scope": "users:read"}, "reader")
		before := c.token(t, s).Access
		if err := s.Core.Roles.TakeGrant(t.Context(), servertest.Operator, rbac.Grant{Principal: c.id, Kind: principal.Service, Role: "reader"}); err != nil {
			t.Fatal(err)
		}
		if a := c.post(t, s, "/oauth2/token", "grant_type", "client_credentials"); a.Error() != "invalid_scope" {
			t.Errorf("after its role was taken: %d %s", a.Status, a.Body)
		}
		if a := c.introspects(t, s, before); a["active"] != false {
			t.Errorf("what it got before: %v", a)
		}
	})
}

func TestAttackTOK040OddValues(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		c := clientBy(t, s, "billing", oauth.Basic)
		for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
			for value, want := range map[string]int{
				"": 400, "%00": 200, "%ff%fe": 400, strings.Repeat("A", 1<<20): 413, strings.Repeat("A", 16000): 200, "dwr_%00": 200, "dwr_" + strings.Repeat("z", 71): 200, "dwr_" + strings.Repeat("0", 71): 200,
				"eyJ.e30.x": 200, strings.Repeat(".", 9000): 200, "a.b.c.d.e": 200, "%f0%9f%92%a9": 200,
			} {
				a := s.Send(t, "POST", path, formType, "token="+value, c.basic()...)
				if body := map[string]string{"/oauth2/introspect": `{"active":false}`}[path]; a.Status != want || want == 200 && a.Body != body || want != 200 && a.Error() != "invalid_request" {
					t.Errorf("%s with token=%.20s: %d %s, want %d", path, value, a.Status, a.Body, want)
				}
			}
		}
		for value, want := range map[string]string{
			"": "invalid_request", "%00": "unsupported_grant_type", "%ff%fe": "invalid_request", strings.Repeat("A", 16000): "unsupported_grant_type", strings.Repeat("A", 1<<20): "invalid_request",
		} {
			if a := s.Send(t, "POST", "/oauth2/token", formType, "grant_type="+value, c.basic()...); a.Error() != want || a.Status >= 500 {
				t.Errorf("grant_type=%.20s: %d %s, want %s", value, a.Status, a.Body, want)
			}
		}
		for _, id := range []string{"%00", "%f0%9f%92%a9", strings.Repeat("A", 15000), "'--", "billing%00"} {
			unproved(t, "client_id="+id[:3], s.Send(t, "POST", "/oauth2/token", formType, "grant_type=client_credentials&client_secret=x&client_id="+id), false)
		}
	})
}
