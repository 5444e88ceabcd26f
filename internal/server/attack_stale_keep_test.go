package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// settings are those of a program on a database.
func settings(t *testing.T, mode config.Mode, dsn string, master secret.Text, more ...string) config.Config {
	t.Helper()
	c, err := config.Read(config.Sources{Mode: mode, Environ: append(more, "DOORWARD_DATABASE="+dsn, "DOORWARD_MASTER_KEY="+master.Reveal())})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// command opens a database as a command does that is given no settings beside it.
func command(t *testing.T, dsn string, master secret.Text) *server.Core {
	t.Helper()
	k, err := server.Attach(t.Context(), settings(t, config.Command, dsn, master), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// nowhere is a listener to which nobody comes.
type nowhere struct{ closed chan struct{} }

func (n nowhere) Accept() (net.Conn, error) { <-n.closed; return nil, net.ErrClosed }
func (n nowhere) Close() error              { close(n.closed); return nil }
func (n nowhere) Addr() net.Addr            { return &net.TCPAddr{} }

// silent is a server in a bubble: it is asked without a network, so that an hour
// of its life passes at once.
type silent struct {
	*server.Server
	stop func()
}

func serveSilently(t *testing.T, dsn string, master secret.Text, ttl string) silent {
	t.Helper()
	c := settings(t, config.Serve, dsn, master, "DOORWARD_ISSUER=http://localhost:1", "DOORWARD_TOKENS_ACCESS_TTL="+ttl)
	core, err := server.NewCore(t.Context(), c, slog.New(slog.DiscardHandler), func(o *server.Options) { o.Hasher.InsecureCost = 4 })
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(core, "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- srv.Run(ctx, []net.Listener{nowhere{make(chan struct{})}}) }()
	synctest.Wait()
	return silent{srv, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		core.Close()
	}}
}

// ask sends a request: a form where there is one, and else an access token.
func (s silent) ask(path, token, form string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost:1"+path, nil)
	if form != "" {
		r = httptest.NewRequest(http.MethodPost, "http://localhost:1"+path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s silent) login(t *testing.T, name string) servertest.Tokens {
	t.Helper()
	w := s.ask("/auth/login", "", "username="+name+"&password="+escaped(storetest.Password))
	return pair(t, servertest.Answer{Status: w.Code, Body: w.Body.String()})
}

// What is revoked stays revoked as long as the tokens live that any server on the
// database gave, whoever revokes it: a command that knows none of a server's
// settings, or a server that was started again with shorter tokens.
func TestAttackRevokedAsLongAsTokensLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dsn, master := storetest.SQLite(t), secret.NewMaster()
		s := serveSilently(t, dsn, master, "2h")
		cli := command(t, dsn, master)
		for _, name := range []string{"ann", "bob", "cyd", "root"} {
			if _, err := cli.Accounts.Create(t.Context(), servertest.Operator, account.Draft{Username: name, Hash: storetest.Stored}); err != nil {
				t.Fatal(err)
			}
		}
		tokens := map[string]servertest.Tokens{}
		for _, name := range []string{"ann", "bob", "cyd"} {
			tokens[name] = s.login(t, name)
		}
		// refused fails the test unless a token is refused and those of cyd are not.
		// Others sign out all the time: each time is one at which to forget.
		refused := func(when string, s silent, name string) {
			t.Helper()
			s.ask("/auth/logout", "", "refresh_token="+s.login(t, "root").Refresh)
			for who, want := range map[string]int{name: http.StatusUnauthorized, "cyd": http.StatusOK} {
				if w := s.ask("/users/me", tokens[who].Access, ""); w.Code != want {
					t.Errorf("%s: the token of %s: %d %s, want %d", when, who, w.Code, w.Body, want)
				}
			}
		}
		disabled := account.Disabled
		ann, err := cli.Accounts.ByLogin(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cli.Accounts.Update(t.Context(), servertest.Operator, ann.ID, account.Change{Status: &disabled}); err != nil {
			t.Fatal(err)
		}
		for _, wait := range []time.Duration{time.Second, 20 * time.Minute, 10 * time.Minute} {
			time.Sleep(wait)
			refused(fmt.Sprintf("%v after a command", wait), s, "ann")
		}
		s.stop()

		s = serveSilently(t, dsn, master, "5m") // as long as it lives, 2h are owed to those of before
		defer s.stop()
		refused("after a restart", s, "ann")
		if w := s.ask("/auth/logout", "", "refresh_token="+tokens["bob"].Refresh); w.Code != http.StatusNoContent {
			t.Errorf("signing out: %d %s", w.Code, w.Body)
		}
		for _, wait := range []time.Duration{0, 20 * time.Minute, 10 * time.Minute} {
			time.Sleep(wait)
			refused(fmt.Sprintf("%v after a restart", wait), s, "ann")
			refused(fmt.Sprintf("%v after signing out", wait), s, "bob")
		}
	})
}

// The same as it is kept, on every database: no change is kept for less than the
// longest lifetime that was ever given.
func TestAttackChangesAreKeptForTheLongestToken(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		master := secret.NewMaster()
		kept := func(s *servertest.Site) time.Duration { // of the change that is kept for the shortest time
			return time.Duration(number(t, database(t, s), "SELECT MIN(until - at) FROM changes WHERE topic <> 'keys' AND subject LIKE '0%'")) * time.Microsecond
		}
		for i, ttl := range []string{"5m", "2h", "1m"} {
			s := servertest.Start(t, servertest.Options{DSN: dsn, Master: master, Set: map[string]string{"tokens.access_ttl": ttl}})
			db := database(t, s)
			s.User(t, fmt.Sprint("here", i), "viewer")
			if _, err := db.ExecContext(t.Context(), "DELETE FROM changes"); err != nil {
				t.Fatal(err)
			}
			// A server makes changes, and a command does.
			s.Form(t, "/auth/logout", "refresh_token", s.Login(t, fmt.Sprint("here", i)).Refresh)
			cli := command(t, dsn, master)
			u, err := cli.Accounts.ByLogin(t.Context(), fmt.Sprint("here", i))
			if err != nil {
				t.Fatal(err)
			}
			if err := cli.Accounts.Delete(t.Context(), servertest.Operator, u.ID, 0, false); err != nil {
				t.Fatal(err)
			}
			want := []time.Duration{16 * time.Minute, 2*time.Hour + 2*server.Leeway, 2*time.Hour + 2*server.Leeway}[i]
			if got := kept(s); got != want {
				t.Errorf("with %s, a change is kept for %v, want %v", ttl, got, want)
			}
			s.Stop()
		}
	})
}
