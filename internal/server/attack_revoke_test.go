package server_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// What cannot be stored has not been done: nobody is told that a token has ended that
// has not.
func TestAttackRT014NothingCanBeStored(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel() // most of it is waiting
		f := &storetest.Faults{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Store.Wrap = f.Wrap }})
		s.User(t, "ann", "viewer")
		c := clientBy(t, s, "billing", oauth.Basic)
		clientBy(t, s, "unseen", oauth.Basic)
		token, ann := c.token(t, s).Access, s.Login(t, "ann")
		f.Use(func(storetest.Step) storetest.Fault { return storetest.Fault{Err: driver.ErrBadConn} })
		for what, a := range map[string]servertest.Answer{
			"a service's token":             c.post(t, s, "/oauth2/revoke", "token", token),
			"a user's access token":         s.Form(t, "/oauth2/revoke", "token", ann.Access, "client_id", "doorward"),
			"a user's refresh token":        s.Form(t, "/oauth2/revoke", "token", ann.Refresh, "client_id", "doorward"),
			"a token for a service":         c.post(t, s, "/oauth2/token", "grant_type", "client_credentials"),
			"a refusal, which is not noted": s.Send(t, "POST", "/oauth2/revoke", formType, "token=x", basicOf("billing:x")...),
			"who is not known":              s.Send(t, "POST", "/oauth2/introspect", formType, "token=x", basicOf("unseen:x")...),
		} {
			if a.Status != http.StatusServiceUnavailable || a.Error() != "temporarily_unavailable" || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
		// Nor where something broke that nobody thought of.
		f.Use(func(storetest.Step) storetest.Fault { return storetest.Fault{Err: errors.New("the disk is gone")} })
		if a := c.post(t, s, "/oauth2/revoke", "token", token); a.Status != http.StatusInternalServerError || a.Error() != "server_error" {
			t.Errorf("an error of another kind: %d %s", a.Status, a.Body)
		}
		f.Use(nil)
		if a := c.introspects(t, s, token); a["active"] != true {
			t.Errorf("it has ended: %v", a)
		}
		if status := me(t, s, ann.Access); status != http.StatusOK {
			t.Errorf("ann's has ended: %d", status)
		}
		// Nor is anything judged by what may be out of date.
		f.Use(func(step storetest.Step) storetest.Fault {
			if strings.HasPrefix(step.Text, "SELECT head") {
				return storetest.Fault{Err: errors.New("the feed is not for you")}
			}
			return storetest.Fault{}
		})
		within(t, 20*time.Second, "it trusts itself no more", func() bool { return me(t, s, ann.Access) == http.StatusServiceUnavailable })
		for what, a := range map[string]servertest.Answer{
			"revocation":    c.post(t, s, "/oauth2/revoke", "token", token),
			"introspection": c.post(t, s, "/oauth2/introspect", "token", token),
			"token":         c.post(t, s, "/oauth2/token", "grant_type", "client_credentials"),
		} {
			if a.Status != http.StatusServiceUnavailable || a.Error() != "temporarily_unavailable" || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
		f.Use(nil)
	})
}

// Introspection says one thing of whatever is not for who asks, and no more.
func TestAttackRT016Oracle(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		c := &steered{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak})
		s.User(t, "ann", "viewer")
		foreign := servertest.Start(t, servertest.Options{})
		asks, other := clientBy(t, s, "asks", oauth.Basic), clientOf(t, s)
		expired := asks.token(t, s).Access
		c.pass(time.Hour)
		own := asks.token(t, s).Access
		ended := asks.token(t, s).Access
		asks.post(t, s, "/oauth2/revoke", "token", ended)
		parts := strings.Split(own, ".")
		var first string
		for what, text := range map[string]string{
			"random": "x", "a user's": s.Login(t, "ann").Access, "a refresh token": s.Login(t, "ann").Refresh, "a refresh token of nobody's": "dwr_x", "another's": other.token(t, s).Access, "expired": expired, "ended": ended,
			"of another server": clientBy(t, foreign, "asks", oauth.Basic).token(t, foreign).Access, "unsigned": parts[0] + "." + parts[1] + ".", "another signature": own[:len(own)-4] + "AAAA", "a secret": asks.secret, "spaces": " " + own,
		} {
			for _, hint := range []string{"access_token", "refresh_token", "nosuch"} {
				a := asks.post(t, s, "/oauth2/introspect", "token", text, "token_type_hint", hint)
				got := fmt.Sprint(a.Status, a.Body, without(a.Header))
				if first == "" {
					first = got
				}
				if a.Body != `{"active":false}` || got != first {
					t.Errorf("%s: %s\nand before: %s", what, got, first)
				}
			}
		}
		if a := asks.introspects(t, s, own); a["active"] != true {
			t.Errorf("its own: %v", a)
		}
		// Questions and refusals are counted, and not written down one by one.
		if n, err := s.Server.Counted(t.Context(), "POST /oauth2/introspect", audit.Failure); n != 36 || err != nil {
			t.Errorf("%d questions were counted, %v", n, err)
		}
		for range 10 {
			unproved(t, "nobody", s.Form(t, "/oauth2/introspect", "token", own), false)
			unproved(t, "a public client", s.Form(t, "/oauth2/introspect", "token", own, "client_id", "doorward"), false)
			unproved(t, "a token for a secret", s.Send(t, "POST", "/oauth2/introspect", formType, "token="+own, "Authorization", "Bearer "+own), true)
		}
		if n, err := s.Server.Counted(t.Context(), "POST /oauth2/introspect", audit.Failure); n != 30 || err != nil {
			t.Errorf("%d refusals were counted, %v", n, err)
		}
		if n := len(events(t, s, string(audit.ClientRefused))); n != 0 {
			t.Errorf("%d refusals of nobody are in the log", n)
		}
	})
}

// Between the end of an account and the news of it, its tokens are not active, and
// introspection does not fail.
func TestAttackRT016AccountIsGone(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		c, text, err := s.Core.Clients.Create(t.Context(), servertest.Operator, client.Draft{ID: "api", Audiences: []string{s.URL}})
		if err != nil {
			t.Fatal(err)
		}
		ann := s.User(t, "ann", "viewer")
		token := s.Login(t, "ann").Access
		db := database(t, s)
		for _, statement := range []string{"DELETE FROM token_families WHERE user_id = '" + ann.ID + "'", "DELETE FROM users WHERE id = '" + ann.ID + "'"} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if a := (registered{c.ID, text.Reveal()}).introspects(t, s, token); a["active"] != false {
			t.Errorf("%v", a)
		}
	})
}

// What a service's token was ended by is known to the other servers within a second,
// and to one that starts later; so is a client that another server made.
func TestAttackServiceTokensAtAnotherServer(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		here, there := sites[0], sites[len(sites)-1]
		makeRole(t, here, "reader", "users:read")
		dead := map[string]string{}
		for what, end := range map[string]func(c registered, token string){
			"revoked":  func(c registered, token string) { c.post(t, here, "/oauth2/revoke", "token", token) },
			"disabled": func(c registered, _ string) { switchOff(t, here, c.id) },
			"deleted": func(c registered, _ string) {
				if err := here.Core.Clients.Delete(t.Context(), servertest.Operator, c.id, 0); err != nil {
					t.Fatal(err)
				}
			},
			"made again": func(c registered, _ string) {
				if err := here.Core.Clients.Delete(t.Context(), servertest.Operator, c.id, 0); err != nil {
					t.Fatal(err)
				}
				if _, _, err := here.Core.Clients.Create(t.Context(), servertest.Operator, client.Draft{ID: c.id}); err != nil {
					t.Fatal(err)
				}
			},
			"demoted": func(c registered, _ string) {
				if err := here.Core.Roles.TakeGrant(t.Context(), servertest.Operator, rbac.Grant{Principal: c.id, Kind: principal.Service, Role: "reader"}); err != nil {
					t.Fatal(err)
				}
			},
		} {
			id := strings.ReplaceAll(what, " ", "-")
			unproved(t, "who is not there yet", registered{id, "x"}.post(t, there, "/oauth2/token", "grant_type", "client_credentials"), true)
			c := register(t, here, here.Login(t, servertest.Admin).Access, map[string]any{"client_id": id, "scope": "users:read"}, "reader")
			var token string
			within(t, time.Second, what+": the other server knows the client", func() bool {
				a := c.post(t, there, "/oauth2/token", "grant_type", "client_credentials")
				if a.Status == http.StatusOK {
					token = pair(t, a).Access
				}
				return token != ""
			})
			end(c, token)
			dead[what] = token
			for i, s := range sites {
				within(t, time.Second, fmt.Sprintf("%s: site %d refuses the token", what, i), func() bool { return s.Call(t, token, "GET", "/users", nil).Status == http.StatusUnauthorized })
			}
		}
		key := master(t, here)
		if here == there {
			here.Stop()
		}
		late := replica(t, here, key, nil)
		for what, token := range dead {
			if a := late.Call(t, token, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
				t.Errorf("%s, at a server that starts later: %d", what, a.Status)
			}
		}
	})
}

// An access token that was issued to a browser's session and is ended by who holds it
// ends what a refresh token does.
func TestAttackRevokedInABrowser(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, name := range []string{"access", "refresh"} {
		b := s.Browser(t)
		b.Login(t, "ann")
		if a := s.Form(t, "/oauth2/revoke", "client_id", "doorward", "token", b.Cookie(t, name)); a.Status != http.StatusOK {
			t.Errorf("by the %s token: %d %s", name, a.Status, a.Body)
		}
		if a := b.Send(t, "GET", "/account", "", ""); a.Status != http.StatusSeeOther {
			t.Errorf("after her %s token was revoked: /account is %d", name, a.Status)
		}
	}
}
