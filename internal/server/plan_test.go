package server_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// numerous are the tables that grow with people, and with what they do. Nothing that
// happens often may look through one of them.
var numerous = []string{
	"users", "grants", "members", "organization_members", "token_families", "sessions", "session_clients", "attempts", "marks", "codes", "devices",
	"authorization_requests", "pushed_requests", "consents", "status_runs", "status_pages", "status_lists", "changes", "once", "outbox", "inbox", "audit_packs", "audit_leaves", "audit_names",
	"audit_tiles", "audit_checkpoints", "audit_counts", "decisions", "api_keys", "api_key_uses", "registration_tokens",
}

// throughout are statements that look through a numerous table all the same, and why
// they may.
var throughout = map[string]string{
	"DELETE FROM codes WHERE client_id = ":   "a client is deleted, which is rare, and a code is purged within two days",
	"DELETE FROM devices WHERE client_id = ": "the same",

	"SELECT leaf, at FROM audit_leaves ORDER BY leaf LIMIT 1": "on SQLite leaves are in the order of the table, and it is the first",

	"SELECT id FROM audit_waiting ":                          "what waits is unpacked for a search; mostly it is what came in the last fifth of a second",
	"SELECT l.id, -1, l.data, l.private FROM audit_waiting ": "the same",
}

// short are indexes that hold few of many rows: what waits to be numbered.
var short = []string{"changes_new"}

// Whatever the server asks its database in the course of a day is found by an index, on
// both databases: everything that people, applications and the server itself do is done
// once, what was asked then is written down, and looked at again with many rows.
func TestPlans(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var asked sync.Map
		var faults storetest.Faults
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Store.Wrap = faults.Wrap }})
		faults.Watch(func(statement string, args []driver.NamedValue) {
			switch word, _, _ := strings.Cut(statement, " "); word {
			case "SELECT", "UPDATE", "DELETE", "WITH":
				asked.LoadOrStore(statement, args)
			}
		})
		aDay(t, s)
		faults.Watch(nil)
		db := database(t, s)
		s.Stop()
		lite := strings.HasPrefix(dsn, "sqlite:")
		crowd(t, db, lite)
		for statement, through := range map[string]bool{ // what is held of plans would be seen
			"SELECT id FROM users WHERE name = 'x'": true, "SELECT username FROM users WHERE id = 'x'": false,
			"UPDATE sessions SET used_at = 1 WHERE address = 'x'": true, "SELECT name FROM roles": false,
		} {
			if plan := explain(t, db, lite, statement); looksThrough(plan, lite) != through {
				t.Errorf("%s\n%s", statement, plan)
			}
		}
		n := 0
		asked.Range(func(k, v any) bool {
			n++
			statement := k.(string)
			for begins := range throughout {
				if strings.HasPrefix(statement, begins) {
					return true
				}
			}
			var args []any
			for _, a := range v.([]driver.NamedValue) {
				args = append(args, a.Value)
			}
			if plan := explain(t, db, lite, statement, args...); looksThrough(plan, lite) {
				t.Errorf("%s\n%s", squeezed(statement), plan)
			}
			return true
		})
		if n < 60 {
			t.Errorf("only %d statements were asked", n)
		}
		t.Logf("%d statements", n)
	})
}

func squeezed(statement string) string { return strings.Join(strings.Fields(statement), " ") }

// aDay does what is done often.
func aDay(t *testing.T, s *servertest.Site) {
	t.Helper()
	good := func(what string, a servertest.Answer, statuses ...int) servertest.Answer {
		t.Helper()
		if !slices.Contains(append(statuses, http.StatusOK, http.StatusSeeOther), a.Status) {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		return a
	}
	ann := s.User(t, "ann", "editor")
	secret := app(t, s, "shop", nil)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("shop:"+secret))
	tv(t, s, "tv", nil)
	form := func(path string, v url.Values) servertest.Answer {
		return s.Send(t, http.MethodPost, path, "application/x-www-form-urlencoded", v.Encode(), "Authorization", basic)
	}

	// Passwords, a lock, and the API.
	first := s.Login(t, "ann")
	good("by address", s.Form(t, "/auth/login", "username", "ann@example.com", "password", servertest.Password), http.StatusUnauthorized)
	for range 6 {
		good("a wrong password", s.Form(t, "/auth/login", "username", "bob", "password", "wrong"), http.StatusUnauthorized, http.StatusTooManyRequests)
	}
	good("a wrong password", s.Form(t, "/auth/login", "username", "ann", "password", "wrong"), http.StatusUnauthorized)
	good("me", s.Call(t, first.Access, http.MethodGet, "/users/me", nil))
	next := pair(t, s.Refresh(t, first.Refresh))
	good("signing out", s.Form(t, "/auth/logout", "refresh_token", next.Refresh), http.StatusNoContent)
	spent := s.Login(t, "ann")
	pair(t, s.Refresh(t, spent.Refresh))
	good("a spent token", s.Refresh(t, spent.Refresh), http.StatusBadRequest, http.StatusUnauthorized)

	// A browser, an application, a device.
	b := s.Browser(t)
	b.Login(t, "ann")
	var g granted
	good("a code", redeem(t, s, "shop", secret, code(t, b, authorizing("shop", "nonce", "n")))).JSON(t, &g)
	good("userinfo", s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil))
	good("introspection", form("/oauth2/introspect", url.Values{"token": {g.Access}}))
	good("refresh", form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}})).JSON(t, &g)
	good("revocation", form("/oauth2/revoke", url.Values{"token": {g.Refresh}}))
	w := device(t, s, "tv")
	w.poll(t, s, "tv")
	good("the device", w.decide(t, b, "allow"))
	time.Sleep(10 * time.Millisecond)
	w.poll(t, s, "tv")
	good("the account", b.Send(t, http.MethodGet, "/account", "", ""))
	good("signing out", b.Submit(t, "/account", "/account/signout"))

	// Services.
	draft := client.Draft{ID: "robot", Name: "robot", Scopes: []string{"read"}}
	draft.Grants = []oauth.GrantType{oauth.ClientCredentials}
	_, robot, err := s.Core.Clients.Create(t.Context(), servertest.Operator, draft)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		good("a service", s.Send(t, http.MethodPost, "/oauth2/token", "application/x-www-form-urlencoded", "grant_type=client_credentials", "Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte("robot:"+robot.Reveal()))), http.StatusBadRequest)
	}

	// An administrator looks somebody up and takes something from him.
	admin := s.Login(t, servertest.Admin).Access
	for _, path := range []string{"/users?limit=10", "/users/" + ann.ID, "/users/" + ann.ID + "/roles", "/users/" + ann.ID + "/sessions", "/audit/events?limit=10&actor=user:" + ann.ID} {
		good(path, s.Call(t, admin, http.MethodGet, path, nil), http.StatusNotFound)
	}
	good("a role is taken", s.Call(t, admin, http.MethodDelete, "/users/"+ann.ID+"/roles/editor", nil), http.StatusNoContent)
	good("an account is closed", s.Call(t, admin, http.MethodPatch, "/users/"+ann.ID, map[string]any{"status": "disabled"}))

	// What people end, and what ends with them.
	s.User(t, "eve", "viewer")
	b = s.Browser(t)
	b.Login(t, "eve")
	code(t, b, authorizing("shop"))
	s.Login(t, "eve")
	good("an application is left", b.Submit(t, "/account", "/account/apps/shop/withdraw"))
	good("all others are signed out", b.Submit(t, "/account", "/account/sessions/end"))
	const another = "another correct horse"
	good("a password is changed", b.Submit(t, "/account", "/account/password", "current_password", servertest.Password, "new_password", another))
	eve, err := s.Core.Accounts.ByLogin(t.Context(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	good("an account is deleted", s.Call(t, admin, http.MethodDelete, "/users/"+eve.ID, nil), http.StatusNoContent)
	good("a client is deleted", s.Call(t, admin, http.MethodDelete, "/clients/tv", nil), http.StatusNoContent)

	// What the server does by itself, some of it each second.
	time.Sleep(1500 * time.Millisecond)
	ctx := context.WithoutCancel(t.Context())
	if _, err := s.Core.Store.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Core.Store.PurgeUnused(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Core.Store.ThinCheckpoints(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Core.Store.RetireEvents(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// crowd fills the numerous tables with rows of no sense, all of them different, and lets
// the database count them.
func crowd(t *testing.T, db *sql.DB, lite bool) {
	t.Helper()
	const many = 2000
	for _, table := range numerous {
		var names, values []string
		for _, c := range columnsOf(t, db, table) {
			names = append(names, c.Name())
			values = append(values, worth(c.Name(), c.DatabaseTypeName(), lite))
		}
		_, err := db.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %s (%s) SELECT %s FROM n`,
			many, table, strings.Join(names, ", "), strings.Join(values, ", ")))
		if err != nil {
			t.Fatalf("filling %s: %v", table, err)
		}
	}
	after := []string{"ANALYZE"}
	if !lite { // a table of this size PostgreSQL would rather read whole; one of millions not
		db.SetMaxOpenConns(1)
		after = append(after, "SET enable_seqscan = off", "SET enable_hashjoin = off", "SET enable_mergejoin = off")
	}
	for _, statement := range after {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func columnsOf(t *testing.T, db *sql.DB, table string) []*sql.ColumnType {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+" WHERE 1 = 0")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err := errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return columns
}

// worth is what a column holds in row i.
func worth(name, kind string, lite bool) string {
	switch {
	case name == "status":
		return "'active'"
	case name == "kind":
		return "'user'"
	case name == "ended_at":
		return "0"
	case kind == "BOOL" || kind == "BOOLEAN":
		return "i % 100 = 0"
	case kind == "INT8" || kind == "BIGINT" || kind == "INTEGER":
		return "1000000 + i"
	case kind == "BYTEA" && lite:
		return "CAST('x' || i AS BLOB)"
	case kind == "BYTEA":
		return "CAST('x' || i AS BYTEA)"
	}
	return "'x' || i"
}

func explain(t *testing.T, db *sql.DB, lite bool, statement string, args ...any) (plan string) {
	t.Helper()
	prefix := "EXPLAIN "
	if lite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.QueryContext(t.Context(), prefix+statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", squeezed(statement), err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		var id, parent, unused int
		if lite {
			err = rows.Scan(&id, &parent, &unused, &line)
		} else {
			err = rows.Scan(&line)
		}
		if err != nil {
			t.Fatal(err)
		}
		plan += line + "\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

var (
	whole   = regexp.MustCompile(`(?:Seq Scan on|SCAN) ([a-z_]+)`)
	indexed = regexp.MustCompile(`Index (?:Only )?Scan (?:Backward )?using ([a-z_]+) on ([a-z_]+)`)
)

// looksThrough reports whether a plan reads a numerous table, or an index of one, from end
// to end. Where there is a LIMIT, a step that goes along an index stops at it.
func looksThrough(plan string, lite bool) bool {
	lines := strings.Split(plan, "\n")
	limited := false
	for n, line := range lines {
		limited = limited || strings.Contains(line, "Limit ")
		if m := whole.FindStringSubmatch(line); m != nil && slices.Contains(numerous, m[1]) && (!lite || !strings.Contains(line, " USING ")) {
			return true
		}
		m := indexed.FindStringSubmatch(line)
		if m == nil || !slices.Contains(numerous, m[2]) || slices.Contains(short, m[1]) || limited {
			continue
		}
		if n+1 == len(lines) || !strings.Contains(lines[n+1], "Index Cond:") {
			return true
		}
	}
	return false
}
