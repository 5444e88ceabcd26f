package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// written is what an event of the audit log says.
type written struct {
	Action, Outcome, Actor, Target, Reason string
	Detail                                 map[string]string
	Lists                                  map[string][]string
}

// events returns the events of an action, in their order.
func events(t *testing.T, s *servertest.Site, action string) (list []written) {
	t.Helper()
	rows, err := database(t, s).QueryContext(t.Context(), "SELECT data FROM audit_events WHERE action = '"+action+"' ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		var e written
		if err := rows.Scan(&data); err != nil || json.Unmarshal(data, &e) != nil {
			t.Fatalf("%v: %s", err, data)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// Whoever guesses passwords may add to a request what makes it fail in any case. If
// he can tell by the answer that a password was right, the log tells that he tried.
func TestAttackRightPasswordWithoutATrace(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		s.User(t, "ann", "viewer")
		large := s.User(t, "large", "viewer") // with more roles than a token can name
		role := rbac.Role{Name: "large"}
		for i := range rbac.MaxParents {
			role.Inherits = append(role.Inherits, fmt.Sprintf("%s%d", strings.Repeat("r", 60), i))
			if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, rbac.Role{Name: role.Inherits[i]}); err != nil {
				t.Fatal(err)
			}
		}
		root := s.Login(t, servertest.Admin).Access
		if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, role); err != nil {
			t.Fatal(err)
		}
		if a := s.Call(t, root, "POST", "/users/"+large.ID+"/roles", map[string]any{"role": "large"}); a.Status != http.StatusCreated {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		for _, tt := range []struct {
			name, user string
			more       url.Values
			tells      bool // that the password was right
		}{
			{"a scope that nobody has", "ann", url.Values{"scope": {"nobody:has"}}, false},
			{"a scope that she has not", "ann", url.Values{"scope": {"admin"}}, true},
			{"only known scopes that she has not", "ann", url.Values{"scope": {"write users:read"}}, true},
			{"one that is and one that is not", "ann", url.Values{"scope": {"read nobody:has"}}, false},
			{"a token that would be too large", "large", nil, true},
			{"a scope that is none", "ann", url.Values{"scope": {`"`}}, false},
			{"an unknown resource", "ann", url.Values{"resource": {"https://elsewhere.example"}}, false},
			{"two resources", "ann", url.Values{"resource": {s.URL, s.URL}}, false},
			{"an unknown client", "ann", url.Values{"client_id": {"nobody"}}, false},
			{"another grant", "ann", url.Values{"grant_type": {"refresh_token"}}, false},
			{"a mode that is none", "ann", url.Values{"mode": {"body"}}, false},
			{"a parameter twice", "ann", url.Values{"scope": {"read", "read"}}, false},
		} {
			answer := map[bool]servertest.Answer{}
			for _, right := range []bool{true, false} {
				form := url.Values{"username": {tt.user}, "password": {"wrong"}}
				if right {
					form.Set("password", servertest.Password)
				}
				for name, values := range tt.more {
					form[name] = values
				}
				before := events(t, s, "login.failed")
				answer[right] = s.Send(t, "POST", "/auth/login", formType, form.Encode())
				if answer[right].Status < 400 {
					t.Fatalf("%s: %d %s", tt.name, answer[right].Status, answer[right].Body)
				}
				left := events(t, s, "login.failed")[len(before):]
				reason := map[bool]string{true: "scope", false: "wrong-password"}[right]
				switch {
				case tt.tells && (len(left) != 1 || left[0].Reason != reason || left[0].Outcome != "failure" || !strings.HasPrefix(left[0].Target, "user:0")):
					t.Errorf("%s, the right password: %v: the log says %+v, want one failure for %q", tt.name, right, left, reason)
				case !tt.tells && len(left) != 0:
					t.Errorf("%s: the log says %+v", tt.name, left)
				}
			}
			told := answer[true].Status != answer[false].Status || answer[true].Body != answer[false].Body
			if told != tt.tells {
				t.Errorf("%s: a right password is told from a wrong one: %v; %s, %s", tt.name, told, answer[true].Body, answer[false].Body)
			}
		}
		if n := len(events(t, s, "token.issued")); n != 1 { // root's
			t.Errorf("%d tokens were issued", n)
		}
	})
}

// A role's events name all that it was given and all that it lost: nothing hides
// behind a number of long names.
func TestAttackHiddenInALongRole(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		root := s.Login(t, servertest.Admin).Access
		long := func(from, to int) (list []string) {
			for i := range to - from {
				list = append(list, fmt.Sprintf("%s:%04d", strings.Repeat("a", 120), from+i))
			}
			return list
		}
		send := func(method, path string, body any) {
			t.Helper()
			if a := s.Call(t, root, method, path, body); a.Status >= 300 {
				t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
		send("POST", "/roles", map[string]any{"name": "first", "permissions": append(long(0, 400), "audit:read"), "inherits": []string{"viewer"}})
		send("PUT", "/roles/first", map[string]any{"permissions": append(long(200, 400), "users:write"), "inherits": []string{"editor"}})
		send("DELETE", "/roles/first", nil)
		sorted := func(list ...string) []string { slices.Sort(list); return list }
		for action, want := range map[string]map[string][]string{
			"role.created": {"permissions_added": sorted(append(long(0, 400), "audit:read")...), "inherits_added": {"viewer"}},
			"role.updated": {
				"permissions_added": {"users:write"}, "permissions_removed": sorted(append(long(0, 200), "audit:read")...),
				"inherits_added": {"editor"}, "inherits_removed": {"viewer"},
			},
			"role.deleted": {"permissions_removed": sorted(append(long(200, 400), "users:write")...), "inherits_removed": {"editor"}},
		} {
			var found []written
			for _, e := range events(t, s, action) {
				if e.Target == "role:first" {
					found = append(found, e)
				}
			}
			if len(found) != 1 || len(found[0].Lists) != len(want) {
				t.Fatalf("%s: the log says %.300s", action, fmt.Sprint(found))
			}
			for name, list := range want {
				if got := found[0].Lists[name]; !slices.Equal(got, list) {
					t.Errorf("%s: %s are %d, want %d", action, name, len(got), len(list))
				}
			}
		}
	})
}
