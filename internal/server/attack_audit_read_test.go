package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// eventsPage is a page of the log as the API gives it.
type eventsPage struct {
	Items []admin.AuditEvent
	Next  *string
}

// readLog reads a page of the log; pairs are parameters, name and value.
func readLog(t testing.TB, s *servertest.Site, token string, pairs ...string) eventsPage {
	t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	a := s.Call(t, token, "GET", "/audit/events?"+q.Encode(), nil)
	if a.Status != http.StatusOK {
		t.Fatalf("%v: %d %s", pairs, a.Status, a.Body)
	}
	var page eventsPage
	a.JSON(t, &page)
	return page
}

// readings returns how many events tell that somebody read the log.
func readings(t testing.TB, s *servertest.Site) (n int) {
	t.Helper()
	page, err := s.Core.Store.SearchEvents(t.Context(), audit.Search{Filter: audit.Filter{Action: "audit.read"}, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Entries)
}

// Who may not read the log learns nothing of it, not even whether his filter or
// his cursor is good; and his trying leaves no event, only a count.
func TestAttackAUD007OnlyWithPermission(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "editor")
		root, ann := s.Login(t, servertest.Admin).Access, s.Login(t, "ann").Access
		cursor := *readLog(t, s, root, "limit", "1").Next
		before := readings(t, s)
		for _, path := range []string{"/audit/events", "/audit/counts"} {
			want := ""
			for _, query := range []string{"", "?actor=user:" + subject(t, s, ann), "?action=nothing", "?after=" + url.QueryEscape(cursor), "?after=x", "?limit=0", "?bogus=1"} {
				a := s.Call(t, ann, "GET", path+query, nil)
				if a.Status != http.StatusForbidden {
					t.Errorf("%s%s by an editor: %d %s", path, query, a.Status, a.Body)
				}
				said := problemText(t, a)
				if want == "" {
					want = said
				}
				if said != want {
					t.Errorf("%s%s says %q, and without a query it said %q", path, query, said, want)
				}
				if a := s.Call(t, "", "GET", path+query, nil); a.Status != http.StatusUnauthorized {
					t.Errorf("%s%s by nobody: %d", path, query, a.Status)
				}
			}
		}
		// A token that was made for less than its owner may do.
		narrow := s.Login(t, servertest.Admin, "scope", "users:read").Access
		if a := s.Call(t, narrow, "GET", "/audit/events", nil); a.Status != http.StatusForbidden {
			t.Errorf("with a token for users:read: %d", a.Status)
		}
		if now := readings(t, s); now != before {
			t.Errorf("%d readings were recorded of those who read nothing", now-before)
		}
	})
}

func problemText(t testing.TB, a servertest.Answer) string {
	t.Helper()
	var p struct{ Title, Detail string }
	a.JSON(t, &p)
	return p.Title + ": " + p.Detail
}

// What a filter or a cursor may hold is bounded, and none of it is a piece of a
// statement, of another's list or of somebody's data.
func TestAttackAUD007Filters(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		s.User(t, "other", "admin")
		other := s.Login(t, "other").Access
		mine := *readLog(t, s, root, "limit", "1", "action", "user.*", "order", "asc").Next
		before := readings(t, s)
		long := strings.Repeat("x", 5000)
		for _, query := range []string{
			"actor=" + url.QueryEscape("' OR '1'='1"), "actor=user:ana@example.com", "actor=user:", "actor=USER:x", "actor=user:" + long, "actor=cli:x%00", "actor=cli:%ff",
			"actor=cli:%0Ax", "target=" + url.QueryEscape("role:x'; DROP TABLE audit_events; --") + "%0A", "target=*", "target=%25", "target=role:" + long,
			"action=user", "action=*", "action=.*", "action=user.%25", "action=user.creat*", "action=" + long, "outcome=maybe", "outcome=" + long,
			"from=yesterday", "from=0001-01-01T00:00:00Z", "from=-1", "to=2026-02-30T00:00:00Z", "to=" + long, "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
			"order=up", "order=DESC", "order=asc;", "limit=0", "limit=201", "limit=-1", "limit=1e2", "limit=99999999999999999999", "leaf=-2", "leaf=1", "order=log&leaf=x",
			"actor=cli:a&actor=cli:b", "person=x", "q=x", "address=192.0.2.7",
			"after=x", "after=" + mine, "action=user.*&order=desc&after=" + mine, "action=role.*&order=asc&after=" + mine, "action=user.*&order=asc&after=" + mine + "x",
			"action=user.*&order=asc&after=A" + mine[1:], "after=" + long, "order=log&leaf=0&after=" + mine,
		} {
			a := s.Call(t, root, "GET", "/audit/events?"+query, nil)
			if a.Status != http.StatusBadRequest || strings.Contains(a.Body, "ana@example") || len(a.Body) > 1000 {
				t.Errorf("%.80s: %d %.300s", query, a.Status, a.Body)
			}
		}
		if a := s.Call(t, other, "GET", "/audit/events?action=user.*&order=asc&after="+mine, nil); a.Status != http.StatusBadRequest {
			t.Errorf("another's cursor: %d", a.Status)
		}
		for _, query := range []string{"from=x", "credential=" + long, "credential=x%00", "after=x", "after=" + mine, "limit=201", "to=x"} {
			if a := s.Call(t, root, "GET", "/audit/counts?"+query, nil); a.Status != http.StatusBadRequest {
				t.Errorf("counts, %.80s: %d %.300s", query, a.Status, a.Body)
			}
		}
		if now := readings(t, s); now != before {
			t.Errorf("%d readings were recorded of requests that were refused", now-before)
		}
		if got := readLog(t, s, root, "action", "user.*", "order", "asc", "after", mine); len(got.Items) == 0 {
			t.Error("the cursor does not go on with its own list")
		}
	})
}

// A page shows what the leaf holds, by its names, and what is known of persons
// until it is erased.
func TestAuditEventAsShown(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		made := s.Call(t, root, "POST", "/users", map[string]any{"username": "ann", "email": "ann@example.com"}, "User-Agent", "agent")
		var user struct{ ID string }
		made.JSON(t, &user)
		found := readLog(t, s, root, "target", "user:"+user.ID, "action", "user.created").Items
		if len(found) != 1 {
			t.Fatalf("%d events", len(found))
		}
		e := found[0]
		if e.V != 1 || e.OWASP != "user_created" || e.Outcome != "success" || e.Actor != "user:"+subject(t, s, root) || e.Request != made.Header.Get("X-Request-Id") ||
			len(e.Private) != 2 || len(e.Parts) != 2 || e.Parts[0].Facts["user_agent"] != "agent" || e.Parts[0].Facts["address"] != "127.0.0.1" || e.Parts[1].Facts["username"] != "ann" {
			t.Errorf("%+v", e)
		}
		by := servertest.Operator
		if err := s.Core.Accounts.Delete(t.Context(), by, user.ID, 0, true); err != nil {
			t.Fatal(err)
		}
		e = readLog(t, s, root, "target", "user:"+user.ID, "action", "user.created").Items[0]
		if e.Parts[0].Erased || !e.Parts[1].Erased || e.Parts[1].Facts != nil || e.Parts[1].Person != "" {
			t.Errorf("after an erasure: %+v", e.Parts)
		}
	})
}

// Each reading leaves one event that tells what was asked for, before anything is
// shown; its further pages leave none, or following the log would never end; but
// one that goes on leaves one each hour.
func TestAttackAUD007ReadingIsRecorded(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var c steered
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: map[string]string{"tokens.access_ttl": "24h"}, Tweak: c.tweak})
		root := s.Login(t, servertest.Admin).Access
		me := "user:" + subject(t, s, root)
		page := readLog(t, s, root, "actor", me, "limit", "1", "from", "2026-01-01T00:00:00Z")
		if n := readings(t, s); n != 1 {
			t.Fatalf("%d readings were recorded, want 1", n)
		}
		for range 3 {
			page = readLog(t, s, root, "actor", me, "limit", "1", "from", "2026-01-01T00:00:00Z", "after", *page.Next)
			if page.Next == nil {
				break
			}
		}
		if n := readings(t, s); n != 1 {
			t.Errorf("%d readings were recorded after further pages, want 1", n)
		}
		told := readLog(t, s, root, "action", "audit.read", "order", "asc").Items[0]
		want := map[string]string{"actor": me, "limit": "1", "order": "desc", "from": "2026-01-01T00:00:00.000000Z"}
		if told.Actor != me || told.Target != "audit:events" || !maps.Equal(told.Detail, want) || told.Parts[0].Facts["address"] != "127.0.0.1" {
			t.Errorf("the event is %+v", told)
		}

		// Following: nothing new for hours, in many pages.
		followed := readLog(t, s, root, "order", "log")
		for followed.Next == nil || len(followed.Items) > 0 {
			followed = readLog(t, s, root, "order", "log", "after", *followed.Next)
		}
		before := readings(t, s)
		for range 20 {
			c.pass(10 * time.Minute) // three hours and twenty minutes in all
			followed = readLog(t, s, root, "order", "log", "after", *followed.Next)
		}
		if n := readings(t, s) - before; n < 2 || n > 4 {
			t.Errorf("following for more than three hours left %d events", n)
		}
		last := readLog(t, s, root, "action", "audit.read", "limit", "2").Items[1]
		if last.Detail["continues"] == "" || last.Detail["order"] != "log" {
			t.Errorf("the event of a reading that went on is %+v", last)
		}
	})
}

// The counts are read like the events.
func TestAuditCounts(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		minute := s.Core.Clock.Now().Truncate(time.Minute).Add(-time.Hour)
		var want []string
		for i := range 5 {
			c := audit.Count{Minute: minute.Add(time.Duration(i) * time.Minute), Credential: fmt.Sprint("family:", i%2), Action: "GET /users", Outcome: audit.Success, Times: int64(i + 1)}
			if err := s.Core.Store.AddCounts(t.Context(), []audit.Count{c}); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(c.Minute.Format(audit.TimeFormat), " ", c.Credential, " ", c.Times))
		}
		slices.Reverse(want)
		var got []string
		query := "/audit/counts?limit=2&to=" + url.QueryEscape(minute.Add(30*time.Minute).Format(time.RFC3339))
		after := ""
		for {
			var page struct {
				Items []admin.AuditCount
				Next  *string
			}
			a := s.Call(t, root, "GET", query+after, nil)
			if a.Status != http.StatusOK {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			a.JSON(t, &page)
			for _, c := range page.Items {
				got = append(got, fmt.Sprint(c.Minute, " ", c.Credential, " ", c.Times))
			}
			if page.Next == nil {
				break
			}
			after = "&after=" + url.QueryEscape(*page.Next)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if n := readings(t, s); n != 1 {
			t.Errorf("%d readings were recorded, want 1", n)
		}
	})
}
