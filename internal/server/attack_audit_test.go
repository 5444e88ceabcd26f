package server_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// trace is an event, as it is held against what was done.
type trace struct {
	Action  audit.Action
	Outcome audit.Outcome
	Actor   string
	Target  string
	Reason  string
	Request string
}

// traces returns the events since the last call, from the oldest.
func traces(t *testing.T, s *servertest.Site, seen map[string]bool) (list []trace, parts []string) {
	t.Helper()
	page, err := s.Core.Store.SearchEvents(t.Context(), audit.Search{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(page.Entries)
	for _, e := range page.Entries {
		var v struct {
			ID string
			trace
		}
		if err := json.Unmarshal(e.Public, &v); err != nil {
			t.Fatal(err)
		}
		if !seen[v.ID] {
			seen[v.ID] = true
			list = append(list, v.trace)
			for _, p := range e.Private {
				parts = append(parts, string(p.Data))
			}
		}
	}
	return list, parts
}

// Each thing that is done through the API, and each that fails, is one event with
// who, what, to whom, how it ended, from where and in which request (AUD-003).
func TestAttackAUD003Completeness(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ana := s.User(t, "ana", "viewer")
		root := s.Login(t, servertest.Admin).Access
		me, anas := "user:"+subject(t, s, root), "user:"+ana.ID
		tokens := s.Login(t, "ana")
		family, other := "family:"+claims(t, tokens.Access)["sid"].(string), ""
		again := s.Login(t, "ana")
		other = "family:" + claims(t, again.Access)["sid"].(string)
		var next servertest.Tokens
		type m = map[string]any
		call := func(method, path string, body any) func() servertest.Answer {
			return func() servertest.Answer { return s.Call(t, root, method, path, body) }
		}
		form := func(path string, pairs ...string) func() servertest.Answer {
			return func() servertest.Answer { return s.Form(t, path, pairs...) }
		}
		seen := map[string]bool{}
		traces(t, s, seen)
		for _, test := range []struct {
			name   string
			do     func() servertest.Answer
			status int
			want   trace
		}{
			{"a sign-in", form("/auth/login", "username", "ana", "password", servertest.Password), 200, trace{audit.LoginSucceeded, audit.Success, anas, anas, "", ""}},
			{"a wrong password", form("/auth/login", "username", "ana", "password", "wrong password"), 401, trace{audit.LoginFailed, audit.Failure, "anonymous", anas, "wrong-password", ""}},
			{"a name that is nobody's", form("/auth/login", "username", "nobody", "password", "wrong password"), 401, trace{audit.LoginFailed, audit.Failure, "anonymous", "user", "unknown-name", ""}},
			{"a refresh", func() servertest.Answer {
				a := s.Refresh(t, tokens.Refresh)
				a.JSON(t, &next)
				return a
			}, 200, trace{audit.TokenRefreshed, audit.Success, anas, family, "", ""}},
			{"a reuse", func() servertest.Answer { return s.Refresh(t, tokens.Refresh) }, 400, trace{audit.TokenReused, audit.Failure, "", family, "", ""}},
			{"a sign-out", func() servertest.Answer { return s.Form(t, "/auth/logout", "refresh_token", again.Refresh) }, 204, trace{audit.TokenRevoked, audit.Success, "", other, "", ""}},
			{"a new account", call(http.MethodPost, "/users", m{"username": "bea"}), 201, trace{audit.UserCreated, audit.Success, me, "user:", "", ""}},
			{"a change", call(http.MethodPatch, "/users/"+ana.ID, m{"name": "Ana"}), 200, trace{audit.UserUpdated, audit.Success, me, anas, "", ""}},
			{"a grant", call(http.MethodPost, "/users/"+ana.ID+"/roles", m{"role": "editor"}), 201, trace{audit.GrantCreated, audit.Success, me, anas, "", ""}},
			{"one taken back", call(http.MethodDelete, "/users/"+ana.ID+"/roles/editor", nil), 204, trace{audit.GrantRevoked, audit.Success, me, anas, "", ""}},
			{"a role", call(http.MethodPost, "/roles", m{"name": "clerk"}), 201, trace{audit.RoleCreated, audit.Success, me, "role:clerk", "", ""}},
			{"a group", call(http.MethodPost, "/groups", m{"name": "desk"}), 201, trace{audit.GroupCreated, audit.Success, me, "group:desk", "", ""}},
			{"a change of a group", call(http.MethodPatch, "/groups/desk", m{"description": "Who helps"}), 200, trace{audit.GroupUpdated, audit.Success, me, "group:desk", "", ""}},
			{"a grant to a group", call(http.MethodPost, "/groups/desk/roles", m{"role": "clerk"}), 201, trace{audit.GrantCreated, audit.Success, me, "group:desk", "", ""}},
			{"a member", call(http.MethodPost, "/groups/desk/members", m{"id": ana.ID}), 201, trace{audit.MemberAdded, audit.Success, me, anas, "", ""}},
			{"a grant taken from a group", call(http.MethodDelete, "/groups/desk/roles/clerk", nil), 204, trace{audit.GrantRevoked, audit.Success, me, "group:desk", "", ""}},
			{"a member that goes", call(http.MethodDelete, "/groups/desk/members/"+ana.ID, nil), 204, trace{audit.MemberRemoved, audit.Success, me, anas, "", ""}},
			{"a group that goes", call(http.MethodDelete, "/groups/desk", nil), 204, trace{audit.GroupDeleted, audit.Success, me, "group:desk", "", ""}},
			{"a role that goes", call(http.MethodDelete, "/roles/clerk", nil), 204, trace{audit.RoleDeleted, audit.Success, me, "role:clerk", "", ""}},
			{"an unlock", call(http.MethodPost, "/users/"+ana.ID+"/unlock", nil), 204, trace{audit.UserUnlocked, audit.Success, me, anas, "", ""}},
			{"a wrong password at a change", call(http.MethodPost, "/users/me/password", m{"current_password": "wrong password", "new_password": "another one of mine"}), 403, trace{audit.PasswordChangeFailed, audit.Failure, me, me, "", ""}},
			{"a change of one's password", call(http.MethodPost, "/users/me/password", m{"current_password": servertest.Password, "new_password": "another one of mine"}), 204, trace{audit.PasswordChanged, audit.Success, me, me, "", ""}},
		} {
			a := test.do()
			got, parts := traces(t, s, seen)
			got = slices.DeleteFunc(got, func(e trace) bool { return e.Action != test.want.Action })
			if a.Status != test.status || len(got) != 1 {
				t.Errorf("%s: %d %s, and %d events of %s", test.name, a.Status, a.Body, len(got), test.want.Action)
				continue
			}
			e := got[0]
			if e.Request == "" || e.Request != a.Header.Get("X-Request-Id") {
				t.Errorf("%s: the request %q, not %q", test.name, e.Request, a.Header.Get("X-Request-Id"))
			}
			if !slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(p, `"address":"127.0.0.1"`) }) {
				t.Errorf("%s: from where is not told: %v", test.name, parts)
			}
			if e.Outcome != test.want.Outcome || !strings.HasPrefix(e.Target, test.want.Target) || test.want.Actor != "" && e.Actor != test.want.Actor || test.want.Reason != "" && e.Reason != test.want.Reason {
				t.Errorf("%s: %+v, want %+v", test.name, e, test.want)
			}
		}
	})
}

// Who is deleted and erased is nowhere any more but by an id that leads to nobody
// and is never given again, and the log is proved as before (PRIV-002).
func TestAttackPRIV002DeletedPersonIsNowhere(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ana := s.User(t, "ana-the-person", "viewer")
		s.Login(t, "ana-the-person")
		s.Form(t, "/auth/login", "username", "ana-the-person", "password", "wrong password")
		root := s.Login(t, servertest.Admin).Access
		_, kept := checkpoint(t, s, root)
		w := storetest.NewWitness(t, s.Core.Config.Database.DSN.Reveal())
		told := func() (found []string) {
			for table, rows := range w.Dump(t) {
				for _, row := range rows {
					for column, value := range row {
						if strings.Contains(value, "ana-the-person") || strings.Contains(value, hex.EncodeToString([]byte("ana-the-person"))) {
							found = append(found, table+"."+column)
						}
					}
				}
			}
			return found
		}
		if len(told()) == 0 {
			t.Fatal("nothing told of her before")
		}
		if err := s.Core.Accounts.Delete(t.Context(), servertest.Operator, ana.ID, 0, true); err != nil {
			t.Fatal(err)
		}
		now, _ := checkpoint(t, s, root)
		if found := told(); len(found) > 0 {
			t.Errorf("she is still told of in %v", found)
		}
		if n, err := s.Core.Store.Tells(t.Context(), ana.ID); err != nil || n > 0 {
			t.Errorf("%d private parts are left: %v", n, err)
		}
		if page := readLog(t, s, root, "target", "user:"+ana.ID); len(page.Items) == 0 {
			t.Error("the log does not know her id any more")
		}
		keys, err := s.Core.Keys.AuditVerifiers(now.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := audit.Verify(t.Context(), s.Core.Store.AuditLog(), audit.VerifyOptions{Keys: keys, Since: []byte(kept)}); err != nil || r.Problem != nil || r.Erased == 0 {
			t.Errorf("%v, %+v", err, r)
		}
		if again := s.User(t, "ana-the-person"); again.ID == ana.ID {
			t.Error("her id was given again")
		}
	})
}

// What the database says when it fails is for the log alone: an answer has a
// general text and the id of the request (PRIV-003).
func TestAttackPRIV003ErrorsTellNothing(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		f := &storetest.Faults{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Store.Wrap = f.Wrap }})
		ana := s.User(t, "ana", "viewer")
		tokens := s.Login(t, servertest.Admin)
		const inside = "db-host.internal:5432"
		var asks []asking // made while the site answers
		for pattern, r := range matrix {
			if strings.Contains(pattern, " /auth/") {
				continue // below
			}
			c := &call{t: t, s: s, root: tokens.Access, who: person{ana.ID, tokens.Access}, caller: "viewer", target: "own", n: len(asks)}
			asks = append(asks, c.ask(pattern, r))
		}
		var failing atomic.Bool
		f.Use(func(storetest.Step) storetest.Fault {
			failing.Store(true)
			return storetest.Fault{Err: errors.New("dial tcp " + inside + ": SELECT salt FROM /var/lib/doorward")}
		})
		defer f.Use(nil)
		for _, a := range asks {
			checkTellsNothing(t, a.method+" "+a.path, s.Call(t, tokens.Access, a.method, a.path, a.body), inside)
		}
		for _, a := range []servertest.Answer{
			s.Form(t, "/auth/login", "username", "ana", "password", servertest.Password), s.Refresh(t, tokens.Refresh), s.Form(t, "/auth/logout", "refresh_token", tokens.Refresh),
		} {
			if checkTellsNothing(t, "/auth/", a, inside); a.Status < 400 {
				t.Errorf("%d without a database: %s", a.Status, a.Body)
			}
		}
		if !failing.Load() {
			t.Error("nothing failed")
		}
	})
}

func checkTellsNothing(t *testing.T, what string, a servertest.Answer, inside string) {
	t.Helper()
	all := fmt.Sprint(a.Header, a.Body)
	for _, word := range []string{inside, "SELECT", "/var/lib", "dial tcp", "goroutine", "sqlite", "pgx", ".go:"} {
		if strings.Contains(all, word) {
			t.Errorf("%s tells %q: %d %s", what, word, a.Status, all)
		}
	}
	if a.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s: %d without the request's id", what, a.Status)
	}
}
