package server_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// problem is the body of an answer of the management API that says what went
// wrong (RFC 9457).
type problem struct {
	Type       string
	Title      string
	Status     int
	Detail     string
	Errors     []struct{ Location, Message string }
	RequestID  string `json:"request_id"`
	DecisionID string `json:"decision_id"`
}

// refusedAs fails the test unless a is a problem of that status, in its right
// form, with the place in the input if one is given.
func refusedAs(t *testing.T, what string, a servertest.Answer, status int, place string) {
	t.Helper()
	var p problem
	err := json.Unmarshal([]byte(a.Body), &p)
	switch {
	case a.Status != status || err != nil || p.Status != status || p.Title != http.StatusText(status) || p.Type != "about:blank" || p.Detail == "":
		t.Errorf("%s: %d %s; want a problem of status %d", what, a.Status, a.Body, status)
	case a.Header.Get("Content-Type") != "application/problem+json":
		t.Errorf("%s: Content-Type %q", what, a.Header.Get("Content-Type"))
	case p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id"):
		t.Errorf("%s: the body's request id is %q, the header's %q", what, p.RequestID, a.Header.Get("X-Request-Id"))
	case place != "" && place != "*" && (len(p.Errors) != 1 || p.Errors[0].Location != place || p.Errors[0].Message == ""):
		t.Errorf("%s: it names the places %v, want %s", what, p.Errors, place)
	case (p.DecisionID != "") != (status == http.StatusForbidden):
		t.Errorf("%s: decision_id %q with status %d", what, p.DecisionID, status)
	}
}

// deadGrant reports whether a is the one answer to a refresh token that is good
// for nothing.
func deadGrant(a servertest.Answer) bool {
	return a.Status == http.StatusBadRequest && a.Error() == "invalid_grant"
}

// pair returns the tokens of an answer of 200.
func pair(t testing.TB, a servertest.Answer) servertest.Tokens {
	t.Helper()
	var tokens servertest.Tokens
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s; want tokens", a.Status, a.Body)
	}
	a.JSON(t, &tokens)
	return tokens
}

// me returns the status of GET /users/me.
func me(t testing.TB, s *servertest.Site, token string) int {
	t.Helper()
	return s.Call(t, token, http.MethodGet, "/users/me", nil).Status
}

// within fails the test unless ok becomes true in time. A try counts for 20 ms at
// the most: a machine that is busy with other things is given more time, not fewer
// tries.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	const try = 20 * time.Millisecond
	for left := limit; !ok(); left -= try {
		if left <= 0 {
			t.Errorf("not within %v: %s", limit, what)
			return
		}
		time.Sleep(try)
	}
}

// replica starts another server on the database of s, under the same issuer.
func replica(t *testing.T, s *servertest.Site, master secret.Text, set map[string]string) *servertest.Site {
	t.Helper()
	all := map[string]string{"issuer": s.URL}
	for k, v := range set {
		all[k] = v
	}
	return servertest.Start(t, servertest.Options{DSN: s.Core.Config.Database.DSN.Reveal(), Master: master, Set: all})
}

// master returns the key that seals what a site keeps.
func master(t *testing.T, s *servertest.Site) secret.Text {
	t.Helper()
	text, err := s.Core.Config.MasterKey.Load()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// steered is a clock that a test moves.
type steered struct{ offset atomic.Int64 }

func (c *steered) pass(d time.Duration) { c.offset.Add(int64(d)) }

func (c *steered) tweak(o *server.Options) {
	o.Store.Clock = clock.Func(func() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) })
}

// raw sends bytes as they are, with HOST replaced by the site's, and returns all
// that comes back until the connection ends or the time is up.
func raw(t testing.TB, s *servertest.Site, text string) string {
	t.Helper()
	host := strings.TrimPrefix(s.URL, "http://")
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, strings.ReplaceAll(text, "HOST", host)) // a server may hang up while we speak
	answer, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	return string(answer)
}

// answers splits what raw returned into statuses.
func answers(text string) (statuses []int) {
	r := bufio.NewReader(strings.NewReader(text))
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		statuses = append(statuses, res.StatusCode)
	}
}

// database opens the database of a site beside it.
func database(t testing.TB, s *servertest.Site) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", s.Core.Config.Database.DSN.Reveal()
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// table returns a table as text, a line for a row; bytes are shown as they are.
func table(t testing.TB, db *sql.DB, name string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = string(b)
			}
		}
		lines = append(lines, fmt.Sprint(values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// tables returns the names of all tables.
func tables(t testing.TB, db *sql.DB) (names []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if _, err := db.ExecContext(t.Context(), `SELECT 1 FROM sqlite_master`); err != nil {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || len(names) < 5 {
		t.Fatalf("the tables are %v, %v", names, err)
	}
	return names
}

// number returns the one number that a query answers.
func number(t testing.TB, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(context.WithoutCancel(t.Context()), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// logged runs f with sites that log into a folder of its own, and returns all
// that they logged. f stops its sites.
func logged(t *testing.T, f func()) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOORWARD_TEST_LOGDIR", dir)
	f()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("there is no log: %v", err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// length returns a Content-Length.
func length(body string) string { return strconv.Itoa(len(body)) }

// escaped returns a text as it stands in a query.
func escaped(text string) string { return url.QueryEscape(text) }
