package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// explanation is what /access/explain answers.
type explanation struct {
	Allowed    bool     `json:"allowed"`
	DecisionID string   `json:"decision_id"`
	Subject    string   `json:"subject"`
	Permission string   `json:"permission"`
	Path       []string `json:"path"`
	Reason     string   `json:"reason"`
	NarrowedBy string   `json:"narrowed_by"`
	Missing    []string `json:"missing"`
}

// Whether somebody may do something is answered with the path that leads there, or
// with what is missing or narrows; the same to the checker and to who explains.
func TestAccess(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		makeRole(t, s, "refunder", "orders:refund")
		if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, rbac.Role{Name: "support", Permissions: []string{"orders:read"}, Inherits: []string{"refunder"}}); err != nil {
			t.Fatal(err)
		}
		ann, bob := s.User(t, "ann", "support"), s.User(t, "bob", "viewer")
		if _, err := s.Core.Roles.Give(t.Context(), servertest.Operator, bob.ID, "support", time.Now().Add(time.Second), ""); err != nil {
			t.Fatal(err)
		}
		root := s.Login(t, servertest.Admin).Access
		job := register(t, s, root, map[string]any{"client_id": "job", "scope": "orders:read stock:read"}, "support")
		idle := s.User(t, "idle", "support")
		if a := s.Call(t, root, "PATCH", "/users/"+idle.ID, map[string]any{"status": "disabled"}); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		time.Sleep(1100 * time.Millisecond) // bob's grant ends
		for _, c := range []struct {
			subject, permission string
			allowed             bool
			path, missing       string
			narrowed, reason    string
		}{
			{"user:" + ann.ID, "orders:refund", true, "user:ann role:support role:refunder orders:refund", "", "", ""},
			{"user:ann", "orders:refund", true, "user:ann role:support role:refunder orders:refund", "", "", ""},
			{"user:ann", "write", false, "", "admin editor", "", "none of the roles"},
			{"user:bob", "orders:read", false, "", "support", "", "that grant ended at"},
			{"user:ann", "orders:nosuch", false, "", "", "", "No role holds"},
			{"user:ann", "orders:*", false, "", "", "", "can never be allowed"},
			{"user:idle", "orders:read", false, "", "", "", "disabled"},
			{"user:nobody", "orders:read", false, "", "", "", "no such user"},
			{"client:job", "orders:read", true, "client:job role:support orders:read", "", "", ""},
			{"client:job", "orders:refund", false, "", "", "client", "not registered"},
			{"client:job", "stock:read", false, "", "", "", "No role holds"},
			{"client:nosuch", "orders:read", false, "", "", "", "no such client"},
		} {
			question := map[string]any{"subject": c.subject, "permission": c.permission}
			var e, d explanation
			s.Call(t, root, "POST", "/access/explain", question).JSON(t, &e)
			if e.Allowed != c.allowed || strings.Join(e.Path, " ") != c.path || strings.Join(e.Missing, " ") != c.missing || e.NarrowedBy != c.narrowed ||
				!strings.Contains(e.Reason, c.reason) || e.Permission != c.permission || e.DecisionID == "" || c.allowed == (e.Reason != "") {
				t.Errorf("%v: %+v", question, e)
			}
			s.Call(t, root, "POST", "/access/check", question).JSON(t, &d)
			if d.Allowed != c.allowed || d.Subject != e.Subject || d.DecisionID == "" || d.Path != nil || d.Reason != "" {
				t.Errorf("%v is checked as %+v", question, d)
			}
		}
		many := map[string]any{"checks": []map[string]any{{"subject": "user:ann", "permission": "orders:read"}, {"permission": "write"}}}
		var list struct{ Decisions []explanation }
		s.Call(t, root, "POST", "/access/check", many).JSON(t, &list)
		if len(list.Decisions) != 2 || !list.Decisions[0].Allowed || !list.Decisions[1].Allowed || list.Decisions[0].DecisionID == list.Decisions[1].DecisionID {
			t.Errorf("%+v", list)
		}
		own := s.Login(t, "ann", "scope", "orders:read").Access
		for permission, want := range map[string]string{"orders:read": "", "orders:refund": "scope"} { // by what the token carries
			var e explanation
			if s.Call(t, own, "POST", "/access/explain", map[string]any{"permission": permission}).JSON(t, &e); e.Allowed != (want == "") || e.NarrowedBy != want || e.Subject != "user:"+ann.ID {
				t.Errorf("ann of herself, %s: %+v", permission, e)
			}
		}
		for _, other := range []string{"user:" + bob.ID, "user:bob", "user:ann", "client:job", "user:" + strings.Repeat("0", 26)} {
			if a := s.Call(t, own, "POST", "/access/check", map[string]any{"subject": other, "permission": "read"}); a.Status != http.StatusForbidden {
				t.Errorf("ann of %s: %d %s", other, a.Status, a.Body)
			}
		}
		var e explanation
		if a := s.Call(t, root, "POST", "/access/check", map[string]any{"subject": "user:a\x00b", "permission": "read"}); a.Status != http.StatusOK || !strings.Contains(a.Body, `"allowed":false`) {
			t.Errorf("a name that nobody can have: %d %s", a.Status, a.Body)
		}
		if s.Call(t, job.token(t, s).Access, "POST", "/access/check", map[string]any{"permission": "orders:read"}).JSON(t, &e); !e.Allowed || e.Subject != "client:job" {
			t.Errorf("a client of itself: %+v", e)
		}
		for _, bad := range []map[string]any{
			{},
			{"subject": "user:ann"},
			{"subject": "ann", "permission": "read"},
			{"subject": "role:admin", "permission": "read"},
			{"subject": "user:", "permission": "read"},
			{"permission": "read", "checks": []any{}},
			{"permission": "read", "bogus": 1},
			{"checks": slices.Repeat([]map[string]any{{"permission": "read"}}, 201)},
		} {
			if a := s.Call(t, root, "POST", "/access/check", bad); a.Status != http.StatusBadRequest {
				t.Errorf("%v: %d %.200s", bad, a.Status, a.Body)
			}
		}
	})
}
