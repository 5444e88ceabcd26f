package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// begun sends a request of which only the first byte of the body comes, and
// returns what sends the rest and reads the status.
func begun(t *testing.T, s *servertest.Site, method, path, token, body string) (finish func() int) {
	t.Helper()
	host := strings.TrimPrefix(s.URL, "http://")
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, host, token, len(body), body[:1])
	return func() int {
		_, _ = io.WriteString(c, body[1:]) // a server may have answered already
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
}

// managers makes mallory, who manages accounts and roles, and bob, who does
// nothing.
func managers(t *testing.T, s *servertest.Site) (mallory, bob account.User) {
	t.Helper()
	if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, rbac.Role{Name: "hr", Permissions: []string{"users:write", "users:read", "roles:write", "roles:grant"}}); err != nil {
		t.Fatal(err)
	}
	return s.User(t, "mallory", "hr"), s.User(t, "bob")
}

// disable sets the status of an account, as an operator does.
func disable(t *testing.T, s *servertest.Site, u account.User, status account.Status) {
	t.Helper()
	if _, err := s.Core.Accounts.Update(t.Context(), servertest.Operator, u.ID, account.Change{Status: &status}); err != nil {
		t.Fatal(err)
	}
}

// unchanged fails the test unless an account has the status and the name that it
// was made with.
func unchanged(t *testing.T, s *servertest.Site, u account.User, status account.Status) {
	t.Helper()
	if now, err := s.Core.Accounts.Fresh(t.Context(), u.ID); err != nil || now.Status != status || now.Name != u.Name {
		t.Errorf("%s is %s and is called %q, %v", u.Username, now.Status, now.Name, err)
	}
}

// A body that comes slowly keeps no door open: what counts is who may do what when
// the last byte is there.
func TestAttackSlowBody(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		mallory, bob := managers(t, s)
		own, his := "/users/"+mallory.ID, "/users/"+bob.ID
		type slow struct{ method, path, body string }
		try := func(lose func(), requests ...slow) {
			t.Helper()
			token := s.Login(t, "mallory").Access
			var finish []func() int
			for _, r := range requests {
				finish = append(finish, begun(t, s, r.method, r.path, token, r.body))
			}
			time.Sleep(200 * time.Millisecond) // all of them have been looked at
			lose()
			for i, f := range finish {
				if status := f(); status != http.StatusUnauthorized {
					t.Errorf("%s %s %s: %d, want 401", requests[i].method, requests[i].path, requests[i].body, status)
				}
			}
		}
		try(func() { disable(t, s, mallory, account.Disabled) },
			slow{"PATCH", own, `{"status":"active"}`}, slow{"PATCH", "/users/me", `{"name":"x"}`}, slow{"PATCH", his, `{"status":"disabled"}`},
			slow{"POST", "/users", `{"username":"made"}`}, slow{"POST", "/roles", `{"name":"made"}`},
			slow{"POST", "/users/me/password", `{"current_password":"` + servertest.Password + `","new_password":"another one of mine"}`})
		unchanged(t, s, mallory, account.Disabled)
		if a := s.Form(t, "/auth/login", "username", "mallory", "password", servertest.Password); a.Status != http.StatusUnauthorized {
			t.Errorf("who was disabled signs in: %d", a.Status)
		}
		disable(t, s, mallory, account.Active)
		try(func() {
			if err := s.Core.Roles.Take(t.Context(), servertest.Operator, mallory.ID, "hr"); err != nil {
				t.Fatal(err)
			}
		}, slow{"PATCH", his, `{"status":"disabled"}`}, slow{"PATCH", own, `{"name":"x"}`}, slow{"POST", "/users", `{"username":"made"}`},
			slow{"POST", "/roles", `{"name":"made"}`}, slow{"PUT", "/roles/hr", `{}`}, slow{"POST", his + "/roles", `{"role":"hr"}`})
		unchanged(t, s, bob, account.Active)
		unchanged(t, s, mallory, account.Active)
		if n := number(t, database(t, s), "SELECT COUNT(*) FROM users WHERE username = 'made'") + number(t, database(t, s), "SELECT COUNT(*) FROM roles WHERE name = 'made'"); n != 0 {
			t.Errorf("%d things were made", n)
		}
	})
}

// Nor does a request that was let in and then waits: for the database, for its turn
// to hash a password.
func TestAttackLetInAndWaiting(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Store.Wrap = f.Wrap }})
		mallory, bob := managers(t, s)
		for _, tt := range []struct{ name, method, path, body string }{
			{"one's own status", "PATCH", "/users/" + mallory.ID, `{"status":"active"}`},
			{"one's own name", "PATCH", "/users/me", `{"name":"x"}`},
			{"another's status", "PATCH", "/users/" + bob.ID, `{"status":"disabled"}`},
		} {
			for how, lose := range map[string]func(){
				"disabled": func() { disable(t, s, mallory, account.Disabled) },
				"demoted": func() {
					if err := s.Core.Roles.Take(t.Context(), servertest.Operator, mallory.ID, "hr"); err != nil {
						t.Fatal(err)
					}
				},
			} {
				if tt.name == "one's own name" && how == "demoted" { // that needs no permission
					continue
				}
				token := s.Login(t, "mallory").Access
				waits, goOn := make(chan struct{}), make(chan struct{})
				var held atomic.Bool
				f.Use(func(step storetest.Step) storetest.Fault { // the first look at the account, once it is let in
					if !step.Tx && strings.Contains(step.Text, "FROM users WHERE id = ") && held.CompareAndSwap(false, true) {
						close(waits)
						<-goOn
					}
					return storetest.Fault{}
				})
				finish := begun(t, s, tt.method, tt.path, token, tt.body)
				status := make(chan int)
				go func() { status <- finish() }()
				<-waits
				f.Use(nil)
				lose()
				close(goOn)
				if got := <-status; got != http.StatusForbidden {
					t.Errorf("%s, by one who was %s meanwhile: %d, want 403", tt.name, how, got)
				}
				unchanged(t, s, bob, account.Active)
				if how == "disabled" {
					unchanged(t, s, mallory, account.Disabled)
					disable(t, s, mallory, account.Active)
				} else if _, err := s.Core.Roles.Give(t.Context(), servertest.Operator, mallory.ID, "hr", time.Time{}, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// A server that cannot read what others changed gives no tokens: they would carry
// what was taken away. It spends nothing, and says when to come again.
func TestAttackTokensFromAnOldPolicy(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Store.Wrap = f.Wrap }})
		s.User(t, "ann", "editor")
		tokens, other := s.Login(t, "ann"), s.Login(t, "ann")
		db := database(t, s)
		state := func() string {
			return fmt.Sprint(table(t, db, "token_families"), number(t, db, "SELECT COUNT(*) FROM audit_events"))
		}
		f.Use(func(step storetest.Step) storetest.Fault {
			if strings.HasPrefix(step.Text, "SELECT head") {
				return storetest.Fault{Err: errors.New("the feed is not for you")}
			}
			return storetest.Fault{}
		})
		within(t, 20*time.Second, "it trusts itself no more", func() bool { return me(t, s, tokens.Access) == http.StatusServiceUnavailable })
		before := state()
		for name, a := range map[string]servertest.Answer{
			"sign-in":                    s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password),
			"sign-in, wrong":             s.Form(t, "/auth/login", "username", "ann", "password", "wrong"),
			"sign-in, nobody":            s.Form(t, "/auth/login", "username", "nobody", "password", "wrong"),
			"refresh":                    s.Refresh(t, tokens.Refresh),
			"refresh, unknown":           s.Refresh(t, "dwr_x"),
			"logout by the access token": s.Send(t, "POST", "/auth/logout", "", "", "Authorization", "Bearer "+other.Access),
		} {
			if after := a.Header.Get("Retry-After"); a.Status != http.StatusServiceUnavailable || a.Error() != "temporarily_unavailable" || after == "" || after == "0" {
				t.Errorf("%s: %d %s, Retry-After %q", name, a.Status, a.Body, after)
			}
		}
		if after := state(); after != before {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
		// By a refresh token one signs out all the same: its row says whose it is.
		if a := s.Form(t, "/auth/logout", "refresh_token", other.Refresh); a.Status != http.StatusNoContent {
			t.Errorf("logout by the refresh token: %d %s", a.Status, a.Body)
		}
		f.Use(nil)
		within(t, 5*time.Second, "it goes on", func() bool { return me(t, s, tokens.Access) == http.StatusOK })
		pair(t, s.Refresh(t, tokens.Refresh))
		s.Login(t, "ann")
		if a := s.Refresh(t, other.Refresh); !deadGrant(a) || me(t, s, other.Access) != http.StatusUnauthorized {
			t.Errorf("who signed out meanwhile: %d %s", a.Status, a.Body)
		}
	})
}

// A clock that is set forward and back brings back nothing that was revoked.
func TestAttackClockBackAndForth(t *testing.T) {
	var c steered
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ann", "viewer")
	bob := s.User(t, "bob", "viewer", "editor")
	revoke := func() servertest.Tokens {
		tokens := s.Login(t, "ann")
		if a := s.Form(t, "/auth/logout", "refresh_token", tokens.Refresh); a.Status != http.StatusNoContent {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return tokens
	}
	narrowed := s.Login(t, "bob")
	if err := s.Core.Roles.Take(t.Context(), servertest.Operator, bob.ID, "editor"); err != nil {
		t.Fatal(err)
	}
	ended := revoke()
	for _, step := range []time.Duration{time.Hour, -2 * time.Hour, 400 * 24 * time.Hour} {
		c.pass(step)
		revoke() // at which it may forget what it needs no more
		c.pass(-step)
		revoke()
		for name, token := range map[string]string{"a family that has ended": ended.Access, "a grant that was lost": narrowed.Access} {
			if status := me(t, s, token); status != http.StatusUnauthorized {
				t.Errorf("%s, after a step of %v and back: %d, want 401", name, step, status)
			}
		}
	}
}
