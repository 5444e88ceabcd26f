package server_test

import (
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// Whether an address was proved is an administrator's to say, in both directions, and
// never the person's own, whatever he comes with.
func TestAttackWhoSaysThatAnEmailIsVerified(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		s.Call(t, root, "POST", "/roles", map[string]any{"name": "helper", "permissions": []string{"users:read", "users:write"}})
		ann, hal := s.User(t, "ann", "viewer"), s.User(t, "hal", "helper", "viewer")
		helper, key := s.Login(t, "hal").Access, keyOf(t, s, servertest.Operator, hal.ID, "users:read", "users:write", "read")
		admin := events(t, s, "user.created")[0].Target[len("user:"):]
		change := func(token, id string, patch map[string]any) servertest.Answer {
			t.Helper()
			return s.Call(t, token, "PATCH", "/users/"+id, patch)
		}
		for _, tt := range []struct {
			token string
			patch map[string]any
			want  bool
		}{
			{root, map[string]any{"email_verified": false}, false},
			{root, map[string]any{"name": "Ann"}, false},
			{helper, map[string]any{"email_verified": true}, true},
			{helper, map[string]any{"name": "Ann A"}, true},
			{key.text, map[string]any{"email": "ann@b.example"}, false},
			{key.text, map[string]any{"email": "ann@c.example", "email_verified": true}, true},
			{root, map[string]any{"email": "ann@d.example", "email_verified": true}, true},
		} {
			var u struct {
				Email    string
				Verified bool `json:"email_verified"`
			}
			a := change(tt.token, ann.ID, tt.patch)
			if a.JSON(t, &u); a.Status != http.StatusOK || u.Verified != tt.want {
				t.Errorf("%v: %d %s", tt.patch, a.Status, a.Body)
			}
		}
		var told []string
		for _, e := range events(t, s, "user.updated") {
			told = append(told, e.Detail["email_verified"])
		}
		if len(told) != 7 || told[0] != "false" || told[1] != "" || told[2] != "true" || told[3] != "" || told[4] != "false" || told[5] != "true" || told[6] != "true" {
			t.Errorf("the audit log tells %q", told)
		}
		// He may sign in with what is verified alone.
		login := func() int {
			return s.Form(t, "/auth/login", "username", "ann@d.example", "password", servertest.Password).Status
		}
		before := login()
		change(root, ann.ID, map[string]any{"email_verified": false})
		if after := login(); before != http.StatusOK || after != http.StatusUnauthorized {
			t.Errorf("signing in by email: verified %d, not verified %d", before, after)
		}

		for what, a := range map[string]servertest.Answer{
			"of himself":            change(helper, hal.ID, map[string]any{"email_verified": true}),
			"with another email":    change(helper, hal.ID, map[string]any{"email": "ceo@example.com", "email_verified": true}),
			"that it is not":        change(helper, hal.ID, map[string]any{"email_verified": false}),
			"by a key of his":       change(key.text, hal.ID, map[string]any{"email_verified": true}),
			"of who may do more":    change(helper, admin, map[string]any{"email_verified": false}),
			"an admin of himself":   change(root, admin, map[string]any{"email_verified": true}),
			"without users:write":   change(s.Login(t, "ann").Access, hal.ID, map[string]any{"email_verified": false}),
			"himself, without that": change(s.Login(t, "ann").Access, ann.ID, map[string]any{"email_verified": true}),
		} {
			refusedAs(t, what, a, http.StatusForbidden, "")
		}
		refusedAs(t, "at /users/me", s.Call(t, helper, "PATCH", "/users/me", map[string]any{"email_verified": true}), http.StatusBadRequest, "body.email_verified")
		refusedAs(t, "null", change(root, ann.ID, map[string]any{"email_verified": nil}), http.StatusBadRequest, "body.email_verified")
		refusedAs(t, "of no email", change(root, ann.ID, map[string]any{"email": nil, "email_verified": true}), http.StatusBadRequest, "body.email_verified")
	})
}
