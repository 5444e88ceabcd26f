package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

var day = time.Date(2026, 2, 28, 23, 59, 0, 0, time.UTC)

// written is a log, as it should be found again.
type written struct {
	records []audit.Record
	leaf    map[string]int64 // by event; what is not there has none yet
}

// pick returns one of a list, as a random byte says.
func pick[T any](list ...T) T { return list[int(secret.Random(1)[0])%len(list)] }

// writeLog records events of a few actors, targets and actions, out of order and at
// equal times. One in five has no leaf; leaves are not in the order of time.
func writeLog(t *testing.T, s *store.Store, w *storetest.Witness, n int) written {
	t.Helper()
	log := written{leaf: map[string]int64{}}
	for i := range n {
		by := principal.Principal{
			Kind: pick(principal.User, principal.CLI), ID: pick("00000000000000000000000001", "00000000000000000000000002"),
			Origin: principal.Origin{RequestID: "r", Address: "192.0.2.7"},
		}
		at := day.Add(time.Duration(secret.Random(1)[0]) * 400 * time.Microsecond)
		e := audit.Now(by, at, pick(audit.LoginFailed, audit.LoginSucceeded, audit.UserUpdated, audit.RoleCreated), pick("user:00000000000000000000000001", "role:x", "family:y"))
		if pick(0, 1) == 1 {
			e = e.Because(pick(audit.Failure, audit.Denied), "reason")
		}
		r := e.Record()
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		log.records = append(log.records, r)
		if i%5 != 0 {
			log.leaf[r.ID] = int64(len(log.leaf))
			w.Sequence(t, r.ID, log.leaf[r.ID])
		}
	}
	return log
}

// want returns the ids that a search finds, by going through all.
func (l written) want(q audit.Search) (ids []string) {
	for _, r := range l.records {
		if _, sequenced := l.leaf[r.ID]; q.Matches(r) && (sequenced || q.Order != audit.ByLeaf) {
			ids = append(ids, r.ID)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		switch q.Order {
		case audit.ByLeaf:
			return int(l.leaf[a] - l.leaf[b])
		case audit.Oldest:
			return strings.Compare(a, b)
		default:
			return strings.Compare(b, a)
		}
	})
	return ids
}

// found pages through a search to its end.
func found(t *testing.T, s *store.Store, q audit.Search) (ids []string) {
	t.Helper()
	for {
		page, err := s.SearchEvents(t.Context(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(page.Entries) > q.Limit {
			t.Fatalf("a page of %d has %d", q.Limit, len(page.Entries))
		}
		for _, e := range page.Entries {
			ids = append(ids, e.ID)
		}
		if page.Next == "" || page.Next == q.After {
			return ids
		}
		q.After = page.Next
	}
}

// Whatever is asked for, in whatever order and by pages of whatever size: it is
// what one would find by going through all.
func TestSearchEvents(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := storetest.Open(t, dsn, store.Options{})
		log := writeLog(t, s, storetest.NewWitness(t, dsn), 120)
		some := 0
		for try := 0; try < 200 || some < 1000; try++ { // until enough was there to be found
			q := audit.Search{Limit: pick(1, 3, 7, 50), Order: pick(audit.Newest, audit.Oldest, audit.ByLeaf), Filter: audit.Filter{
				Actor: pick("", "", "cli:00000000000000000000000001", "user:00000000000000000000000002", "user:00000000000000000000000009"), Target: pick("", "", "role:x", "family:y"),
				Action: pick("", "", "login.*", "login.failed", "role.created", "token.issued", "user.*"), Outcome: pick("", "", audit.Success, audit.Denied),
				From: pick(time.Time{}, day.Add(20*time.Millisecond+100*time.Microsecond)), To: pick(time.Time{}, day.Add(70*time.Millisecond+900*time.Microsecond), day.Add(50*time.Millisecond)),
			}}
			want := log.want(q)
			// The server's own events, which servertest and Open do not make, are none.
			if got := found(t, s, q); !slices.Equal(got, want) {
				t.Fatalf("%+v finds\n%v, want\n%v", q, got, want)
			}
			some += len(want)
			if try == 5000 {
				t.Fatalf("%d searches found %d events in all: they try nothing", try, some)
			}
		}
	})
}

func TestSearchEventsAsWritten(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn, store.Options{Clock: clock.Func(func() time.Time { return day })})
		w := storetest.NewWitness(t, dsn)
		ann, bob := id.New(day), id.New(day)
		by := principal.Principal{Kind: principal.User, ID: ann, Origin: principal.Origin{RequestID: "r1", Address: "192.0.2.7", UserAgent: "agent"}}
		e := audit.Now(by, day, audit.UserUpdated, "user:"+bob).About(bob, map[string]string{"username": "bob"})
		r := e.Record()
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		nobody := audit.Now(principal.Principal{Kind: principal.Anonymous, Origin: principal.Origin{Address: "192.0.2.8"}}, day.Add(time.Second), audit.LoginFailed, "user")
		if err := s.Record(t.Context(), nobody); err != nil {
			t.Fatal(err)
		}
		one := func(action string) audit.Entry {
			t.Helper()
			page, err := s.SearchEvents(t.Context(), audit.Search{Filter: audit.Filter{Action: action}, Limit: 10})
			if err != nil || len(page.Entries) != 1 || page.Next != "" {
				t.Fatalf("%+v, %v", page, err)
			}
			return page.Entries[0]
		}
		got := one("user.updated")
		if got.ID != r.ID || got.Leaf != -1 || !strings.Contains(string(got.Public), `"request":"r1"`) || len(got.Private) != 2 ||
			got.Private[0].Person != ann || string(got.Private[0].Data) != `{"address":"192.0.2.7","user_agent":"agent"}` ||
			got.Private[1].Number != 1 || got.Private[1].Person != bob || string(got.Private[1].Data) != `{"username":"bob"}` {
			t.Errorf("%+v", got)
		}
		if got := one("login.*"); len(got.Private) != 1 || string(got.Private[0].Data) != `{"address":"192.0.2.8"}` {
			t.Errorf("%+v", got)
		}
		left, _ := audit.Forget(r.Parts, ann)
		w.Sequence(t, r.ID, 7)
		w.Exec(t, `UPDATE audit_leaves SET private = '`+left+`' WHERE id = '`+r.ID+`'`)
		if got := one("user.updated"); got.Leaf != 7 || len(got.Private) != 1 || got.Private[0].Number != 1 {
			t.Errorf("after an erasure: %+v", got)
		}
		if last, err := s.LastLeaf(t.Context()); err != nil || last != 7 {
			t.Errorf("the last leaf is %d, %v", last, err)
		}
		if list, err := s.Leaves(t.Context(), 0, 7, 5); err != nil || len(list) != 1 || list[0].ID != r.ID {
			t.Errorf("%+v, %v", list, err)
		}
		for _, bad := range []audit.Search{
			{Filter: audit.Filter{Action: "nothing"}, Limit: 1},
			{After: "x", Limit: 1},
			{After: "1", Limit: 1, Order: audit.Oldest},
			{After: "x", Limit: 1, Order: audit.ByLeaf},
			{After: "-2", Limit: 1, Order: audit.ByLeaf},
			{After: "01", Limit: 1, Order: audit.ByLeaf},
		} {
			if _, err := s.SearchEvents(t.Context(), bad); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// Rare things among many are found by an index, in its order, whatever the
// statistics of a database that is used to other things say.
func TestSearchIsIndexed(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := storetest.Open(t, dsn, store.Options{})
		w := storetest.NewWitness(t, dsn)
		w.Exec(t, `INSERT INTO audit_leaves (id, at, action, outcome, actor, target, data, leaf, private)
			WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)
			SELECT '0000' || CAST(100000 + i AS TEXT) || '0000000000000000', i, CASE i % 1000 WHEN 1 THEN 'role.created' ELSE 'token.refreshed' END, 'success',
				CASE i % 5000 WHEN 2 THEN 'cli:rare' ELSE 'user:often' END, 'family:' || CAST(i % 977 AS TEXT), CAST('{}' AS `+map[bool]string{true: "BYTEA", false: "BLOB"}[w.Postgres()]+`), i, '' FROM n`)
		w.Name(t)
		w.Exec(t, `ANALYZE`)
		for _, f := range []audit.Filter{{Actor: "cli:rare", Outcome: audit.Denied}, {Target: "family:7", Actor: "user:often"}, {Action: "role.created", Outcome: audit.Denied}, {Actor: "cli:rare"}} {
			plans, err := s.Explain(t.Context(), audit.Search{Filter: f, Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			for i, plan := range plans {
				if !strings.Contains(plan, "audit_leaves_id") || strings.Contains(plan, "SCAN l\n") || strings.Contains(plan, "SCAN f\n") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Join") {
					t.Errorf("%+v, statement %d:\n%s", f, i, plan)
				}
			}
		}
		began := time.Now()
		page, err := s.SearchEvents(t.Context(), audit.Search{Filter: audit.Filter{Actor: "user:often", Action: "role.created", Outcome: audit.Denied}, Limit: 50})
		if err != nil || len(page.Entries) != 0 || page.Next != "" || time.Since(began) > 5*time.Second {
			t.Errorf("%d events, next %q, after %v, %v", len(page.Entries), page.Next, time.Since(began), err)
		}
	})
}

// A page looks through so many events and says where it stopped.
func TestSearchStops(t *testing.T) {
	dsn := storetest.SQLite(t)
	s, w := storetest.Open(t, dsn, store.Options{}), storetest.NewWitness(t, dsn)
	s.LookThrough(100, 1)
	// In each moment there is something that was denied, and once to whom it is asked for.
	w.Exec(t, `INSERT INTO audit_leaves (id, at, action, outcome, actor, target, data, leaf, private)
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2099)
		SELECT '0000' || CAST(100000 + i AS TEXT) || '0000000000000000', i, 'token.refreshed', CASE WHEN i = 0 OR i % 100 = 50 THEN 'denied' ELSE 'success' END,
			CASE i % 100 WHEN 50 THEN 'user:other' ELSE 'user:often' END, 'family:x', CAST('{}' AS BLOB), 2099 - i, '' FROM n`)
	w.Name(t)
	for _, order := range []audit.Order{audit.Newest, audit.ByLeaf} {
		q := audit.Search{Filter: audit.Filter{Actor: "user:often", Outcome: audit.Denied}, Order: order, Limit: 1}
		page, err := s.SearchEvents(t.Context(), q)
		if err != nil || len(page.Entries) != 0 || page.Next == "" {
			t.Fatalf("%s: %+v, %v", order, page, err)
		}
		if ids := found(t, s, q); !slices.Equal(ids, []string{"00001000000000000000000000"}) {
			t.Errorf("%s: %v", order, ids)
		}
	}
}

// A page looks through no more where a filter asks for several actions.
func TestSearchOfManyActionsStops(t *testing.T) {
	dsn := storetest.SQLite(t)
	s, w := storetest.Open(t, dsn, store.Options{}), storetest.NewWitness(t, dsn)
	s.LookThrough(100, 5)
	w.Exec(t, `INSERT INTO audit_leaves (id, at, action, outcome, actor, target, data, leaf, private)
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
		SELECT '0000' || CAST(100000 + i AS TEXT) || '0000000000000000', i, CASE i % 4 WHEN 0 THEN 'token.refreshed' WHEN 1 THEN 'token.issued' WHEN 2 THEN 'token.revoked' ELSE 'token.refused' END,
			CASE WHEN i = 0 OR i % 8 < 4 THEN 'denied' ELSE 'success' END, 'user:often', CASE WHEN i = 0 OR i % 8 >= 4 THEN 'family:y' ELSE 'family:x' END, CAST('{}' AS BLOB), i, '' FROM n`)
	w.Name(t)
	q := audit.Search{Filter: audit.Filter{Action: "token.*", Target: "family:y", Outcome: audit.Denied}, Limit: 1}
	page, err := s.SearchEvents(t.Context(), q)
	if err != nil || len(page.Entries) != 0 || page.Next < "00001070" {
		t.Fatalf("it looked through more than some 2,000 events: %+v, %v", page, err)
	}
	if ids := found(t, s, q); !slices.Equal(ids, []string{"00001000000000000000000000"}) {
		t.Error(ids)
	}
}

func TestSearchCounts(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn, store.Options{})
		minute := day.Truncate(time.Minute)
		var want []audit.Count
		for m := range 3 {
			for _, credential := range []string{"family:b", "family:a"} {
				for _, outcome := range []audit.Outcome{audit.Success, audit.Denied} {
					want = append(want, audit.Count{Minute: minute.Add(-time.Duration(m) * time.Minute), Credential: credential, Action: "GET /users", Outcome: outcome, Times: int64(m + 1)})
				}
			}
		}
		if err := s.AddCounts(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{1, 2, 5, 12, 50} {
			for _, credential := range []string{"", "family:a", "family:none"} {
				q := audit.CountSearch{From: minute.Add(-time.Hour), To: minute.Add(time.Minute), Credential: credential, Limit: limit}
				var got, wanted []audit.Count
				for {
					page, err := s.SearchCounts(t.Context(), q)
					if err != nil || len(page.Counts) > limit {
						t.Fatalf("%d counts, %v", len(page.Counts), err)
					}
					got = append(got, page.Counts...)
					if q.After = page.Next; page.Next == nil {
						break
					}
				}
				for _, c := range want {
					if credential == "" || c.Credential == credential {
						wanted = append(wanted, c)
					}
				}
				if !slices.Equal(got, wanted) {
					t.Errorf("by %d of %q: %v, want %v", limit, credential, got, wanted)
				}
			}
		}
		page, err := s.SearchCounts(t.Context(), audit.CountSearch{From: minute, To: minute, Limit: 5})
		if err != nil || len(page.Counts) != 0 || page.Next != nil {
			t.Errorf("no time: %+v, %v", page, err)
		}
	})
}

// What a filter holds reaches the database as an argument, never as its text.
func TestAttackAUD007FilterIsNoSQL(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn, store.Options{})
		w := storetest.NewWitness(t, dsn)
		log := writeLog(t, s, w, 10)
		for _, bad := range []string{
			`' OR '1'='1`, `x'; DROP TABLE audit_events; --`, `role:x' --`, `%`, `_`, `role:%`, `role:?`, `role:$1`, `role:\`, "role:\x00", "\xff", "role:x\n", strings.Repeat("x", 10_000),
		} {
			for _, f := range []audit.Filter{{Actor: bad}, {Target: bad}, {Outcome: audit.Outcome(bad)}} {
				if !strings.Contains(bad, "\x00") && utf8.ValidString(bad) || f.Check() == nil { // what no row can hold stops at Check
					if page, err := s.SearchEvents(context.WithoutCancel(t.Context()), audit.Search{Filter: f, Limit: 10}); err != nil || len(page.Entries) != 0 {
						t.Errorf("%q finds %d events, %v", bad, len(page.Entries), err)
					}
				}
			}
		}
		if n := w.Number(t, `SELECT COUNT(*) FROM audit_events`); n != int64(len(log.records)) {
			t.Errorf("there are %d events, want %d", n, len(log.records))
		}
	})
}
