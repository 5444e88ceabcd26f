package seed

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// What is seeded is as good as what the server made itself: it can sign in,
// refresh, and is shown whole.
func TestSeed(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		db := open(t, dsn)
		schema := "SELECT COUNT(*) FROM pg_indexes WHERE schemaname = 'public'"
		if strings.HasPrefix(dsn, "sqlite:") {
			schema = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'index'"
		}
		indexes := count(t, db, schema)
		active, err := Seed(t.Context(), Options{DSN: dsn, Users: 1003, Active: 10, Audience: s.URL, Asleep: 1500, Sessions: 301})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, schema); n != indexes {
			t.Errorf("of %d indexes there are %d", indexes, n)
		}
		for table, want := range map[string]int{"users": 1003 + 1, "token_families": 1510, "sessions": 311} { // and an administrator
			if n := count(t, db, "SELECT COUNT(*) FROM "+table); n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
		if n := count(t, db, "SELECT COUNT(DISTINCT user_id) FROM sessions"); n < 301 {
			t.Errorf("the browsers are those of %d", n)
		}
		if len(active) != 10 {
			t.Fatalf("%d are active", len(active))
		}
		for _, a := range active {
			answer := s.Refresh(t, a.Refresh)
			if answer.Status != 200 {
				t.Fatalf("refreshing: %d %s", answer.Status, answer.Body)
			}
			var tokens servertest.Tokens
			answer.JSON(t, &tokens)
			if tokens.Scope != "read write" {
				t.Errorf("the scope is %q", tokens.Scope)
			}
			if page := s.Send(t, "GET", "/account", "", "", "Cookie", "doorward_session="+a.Cookie); page.Status != 200 || !strings.Contains(page.Body, a.Username) {
				t.Errorf("the browser of %s shows %d %s", a.Username, page.Status, page.Body)
			}
			var me struct{ Username, Email string }
			if answer = s.Call(t, tokens.Access, "GET", "/users/me", nil); answer.Status != 200 {
				t.Fatalf("reading: %d %s", answer.Status, answer.Body)
			}
			if answer.JSON(t, &me); me.Username != a.Username || me.Email != a.Username+"@example.com" {
				t.Errorf("%s is shown as %+v", a.Username, me)
			}
		}
		if answer := s.Form(t, "/auth/login", "username", Name(1002), "password", Password); answer.Status != 200 {
			t.Errorf("signing in as the last: %d %s", answer.Status, answer.Body)
		}
		if answer := s.Form(t, "/auth/login", "username", Name(1003), "password", Password); answer.Status != 401 {
			t.Errorf("one too many can sign in: %d", answer.Status)
		}
		if err := Expire(t.Context(), dsn, 600); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM token_families WHERE user_id = 'nobody'"); n != 600 {
			t.Errorf("%d have expired, want 600", n)
		}
		for more := true; more; {
			if more, err = s.Core.Store.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for table, want := range map[string]int{"token_families": 1511, "sessions": 311} { // one has signed in
			if n := count(t, db, "SELECT COUNT(*) FROM "+table); n != want {
				t.Errorf("after the purge %s has %d rows, want %d", table, n, want)
			}
		}
	})
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, name := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
