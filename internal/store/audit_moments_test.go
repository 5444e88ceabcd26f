package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// spread records events in many moments, a few in each, in no order. Leaves are not
// in the order of time, and some events have none.
func spread(t *testing.T, w *storetest.Witnessed, n int) written {
	t.Helper()
	log := written{leaf: map[string]int64{}}
	var events []audit.Event
	sequence := func() {
		if err := w.Tell(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		events = nil
		slices.Sort(ids)
		for _, one := range ids {
			log.leaf[one] = int64(len(log.leaf))
		}
		w.SequenceAll(t, 100)
	}
	for i := range n {
		by := principal.Principal{Kind: pick(principal.User, principal.CLI), ID: pick("00000000000000000000000001", "00000000000000000000000002")}
		at := day.Add(time.Duration(pick(0, 0, 1, 3, 255, 256, 257, 511, 700)) * time.Millisecond).Add(time.Duration(secret.Random(1)[0]) * 128 * time.Millisecond)
		e := audit.Now(by, at, pick(audit.LoginFailed, audit.LoginSucceeded, audit.UserUpdated, audit.RoleCreated), pick("user:00000000000000000000000001", "role:x", "family:y"))
		if pick(0, 1) == 1 {
			e = e.Because(pick(audit.Failure, audit.Denied), "reason")
		}
		log.records = append(log.records, e.Record())
		if events = append(events, e); len(events) == 60 && i < n-60 {
			sequence()
		}
	}
	if err := w.Tell(t.Context(), events); err != nil { // these wait
		t.Fatal(err)
	}
	return log
}

// As TestSearchEvents, over so many moments that no statement looks through all.
func TestSearchMoments(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := storetest.Open(t, dsn, store.Options{})
		log := spread(t, storetest.NewWitnessed(t, s), 250)
		some := 0
		for try := 0; try < 40 || some < 300; try++ { // until enough was there to be found
			s.LookThrough(pick(1, 3, 20, 1000), pick(1, 2, 5, 100))
			bound := func() time.Time { return day.Add(time.Duration(secret.Random(1)[0]) * 128 * time.Millisecond) }
			q := audit.Search{Limit: pick(1, 2, 7, 50), Order: pick(audit.Newest, audit.Oldest), Filter: audit.Filter{
				Actor: pick("", "", "cli:00000000000000000000000001", "user:00000000000000000000000002", "user:00000000000000000000000009"), Target: pick("", "", "role:x", "family:y"),
				Action: pick("", "", "login.*", "login.failed", "role.created", "token.issued", "user.*"), Outcome: pick("", "", audit.Success, audit.Denied),
				From: pick(time.Time{}, time.Time{}, bound()), To: pick(time.Time{}, time.Time{}, bound()),
			}}
			switch pick(0, 1, 2, 3) {
			case 0:
				q.After = pick(log.records...).ID
			case 1:
				q.After = pick(log.records...).ID[:8] + strings.Repeat(pick("0", "v"), 18)
			}
			var want []string
			for _, one := range log.want(q) {
				if q.After == "" || q.Order == audit.Newest && one < q.After || q.Order == audit.Oldest && one > q.After {
					want = append(want, one)
				}
			}
			if got := found(t, s, q); !slices.Equal(got, want) {
				t.Fatalf("%+v finds\n%v, want\n%v", q, got, want)
			}
			some += len(want)
			if try == 1000 {
				t.Fatalf("%d searches found %d events in all: they try nothing", try, some)
			}
		}
	})
}

// While somebody pages through what is old, new moments come, between any two
// statements. What was there when he began is found all the same.
func TestSearchWhileMomentsCome(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var f storetest.Faults
		s := storetest.Open(t, dsn, store.Options{Wrap: f.Wrap})
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		at, n := day, 0
		come := func() {
			for range 3 {
				at, n = at.Add(256*time.Millisecond), n+1
				if err := w.Record(t.Context(), audit.Now(storetest.Operator, at, audit.UserUpdated, "role:x")); err != nil {
					t.Error(err)
				}
			}
			w.SequenceAll(t, 10)
		}
		for range 20 {
			come()
		}
		there := n
		s.LookThrough(1000, 4)
		f.Use(func(step storetest.Step) storetest.Fault {
			if step.Kind == "query" && strings.HasPrefix(step.Text, "SELECT l.id, l.leaf") && n < 2*there {
				come()
			}
			return storetest.Fault{}
		})
		got := found(t, s, audit.Search{Filter: audit.Filter{Target: "role:x"}, Limit: 50})
		f.Use(nil)
		old := 0
		for _, one := range got {
			if id.Time(one).Before(day.Add(time.Duration(there+1) * 256 * time.Millisecond)) {
				old++
			}
		}
		if old != there {
			t.Errorf("of %d events that were there it finds %d", there, old)
		}
	})
}

// Two names that are often, and never together: a page looks for their moments no
// further than so many. One that is rare is found at once.
func TestSearchOfNamesNeverTogether(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s, w := storetest.Open(t, dsn, store.Options{}), storetest.NewWitness(t, dsn)
		s.LookThrough(100, 5)
		w.Exec(t, `INSERT INTO audit_names (name, moment) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
			SELECT CASE i % 2 WHEN 0 THEN 'user.updated' ELSE 'cli:often' END, '0000' || CAST(10000 + i AS TEXT) FROM n`)
		q := audit.Search{Filter: audit.Filter{Actor: "cli:often", Action: "user.updated"}, Limit: 1}
		page, err := s.SearchEvents(t.Context(), q)
		if err != nil || len(page.Entries) != 0 || page.Next < "000017000" {
			t.Fatalf("it looked for more than some 2,000 moments: %+v, %v", page, err)
		}
		if ids := found(t, s, q); len(ids) != 0 {
			t.Error(ids)
		}
		w.Exec(t, `INSERT INTO audit_names (name, moment) VALUES ('cli:rare', '000010000')`)
		q.Actor = "cli:rare"
		if page, err := s.SearchEvents(t.Context(), q); err != nil || page.Next != "" {
			t.Errorf("what is rare is looked for among what is often: %+v, %v", page, err)
		}
	})
}
