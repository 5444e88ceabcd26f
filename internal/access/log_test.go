package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

// shelf keeps decisions for one test.
type shelf struct {
	kept   map[string]Record
	broken error
	calls  int
}

func (s *shelf) KeepDecisions(_ context.Context, list []Record) error {
	if s.calls++; s.broken != nil {
		return s.broken
	}
	for _, r := range list {
		s.kept[r.ID] = r
	}
	return nil
}

func (s *shelf) Decision(_ context.Context, id string) (Record, error) {
	r, ok := s.kept[id]
	if !ok && s.broken == nil {
		return r, fault.New(fault.NotFound, "there is none")
	}
	return r, s.broken
}

var noon = time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)

// desk is a service that keeps decisions, at a time that a test moves.
func desk() (*Service, *shelf, *time.Time) {
	now, store := noon, &shelf{kept: map[string]Record{}}
	return NewService(Parts{Store: store, Clock: clock.Func(func() time.Time { return now })}), store, &now
}

func decision(at time.Time, allowed bool) Decision {
	d := Decision{ID: id.New(at), Subject: "user:" + id.New(at), shown: "user:ana"}
	d.Allowed, d.Permission = allowed, "orders:read"
	return d
}

// What was decided can be looked up at once, and when it is written down; and where the
// database takes nothing, it waits.
func TestLookup(t *testing.T) {
	s, store, _ := desk()
	by := principal.Principal{Kind: principal.User, ID: "1", Client: "app"}
	d := decision(noon, true)
	s.Keep(by, "POST /access/check", d)
	look := func(want fault.Kind) Record {
		t.Helper()
		r, err := s.Lookup(t.Context(), d.ID)
		if fault.KindOf(err) != want || want == 0 && (err != nil || r.ID != d.ID || r.By != "user:1" || r.Client != "app" || r.Route != "POST /access/check" || !r.At.Equal(noon)) {
			t.Errorf("%+v, %v", r, err)
		}
		return r
	}
	look(0)
	store.broken = errors.New("down")
	if err := s.Log.Flush(t.Context(), store.KeepDecisions); !errors.Is(err, store.broken) {
		t.Error(err)
	}
	look(0)
	store.broken = nil
	if err := s.Log.Flush(t.Context(), store.KeepDecisions); err != nil || len(store.kept) != 1 || len(s.Log.waiting) != 0 {
		t.Errorf("%v, %v", store.kept, err)
	}
	look(0)
	if calls := store.calls; s.Log.Flush(t.Context(), store.KeepDecisions) != nil || store.calls != calls {
		t.Error("nothing is written down again")
	}
	delete(store.kept, d.ID)
	look(fault.NotFound)
	store.broken = errors.New("down")
	if _, err := s.Lookup(t.Context(), d.ID); !errors.Is(err, store.broken) {
		t.Errorf("while the database is down: %v", err)
	}
	if _, err := s.Lookup(t.Context(), "x"); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "7 days") {
		t.Errorf("what is no id: %v", err)
	}
}

// People are named by their ids alone, and what was asked about somebody who is not
// known is not repeated.
func TestKeepNamesNobody(t *testing.T) {
	s, _, _ := desk()
	d := decision(noon, true)
	d.Path = []string{"user:ana", "role:support", "orders:read"}
	s.Keep(principal.Principal{}, "r", d)
	r, _ := s.Lookup(t.Context(), d.ID)
	if r.Path[0] != d.Subject || d.Path[0] != "user:ana" {
		t.Errorf("%v of %v", r.Path, d.Path)
	}
	d = decision(noon, false)
	d.Reason = "user:ana has none of the roles."
	s.Keep(principal.Principal{}, "r", d)
	if r, _ = s.Lookup(t.Context(), d.ID); r.Reason != d.Subject+" has none of the roles." {
		t.Errorf("%+v", r)
	}
	for subject, want := range map[string]string{"user:hunter2": "user", "client:hunter2": "client", "spaceship:x": "spaceship"} {
		d := Decision{ID: id.New(noon), Subject: subject}
		if s.Keep(principal.Principal{}, "r", d); s.Log.waiting[len(s.Log.waiting)-1].Subject != want {
			t.Errorf("%s is kept as %+v", subject, s.Log.waiting[len(s.Log.waiting)-1])
		}
	}
	long := Decision{ID: id.New(noon), Subject: "user:x", Object: condition.Object{Type: strings.Repeat("é", 1000), ID: strings.Repeat("x", 1024)}}
	long.Decision = rbac.Decision{Permission: strings.Repeat("p", 1000), Missing: make([]string, 1000)}
	long.Conditions = make([]condition.Match, 1000)
	s.Keep(principal.Principal{}, "r", long)
	if r, _ := s.Lookup(t.Context(), long.ID); len(r.ObjectType) > 260 || len(r.ObjectID) > 260 || len(r.Permission) > 260 || len(r.Missing) > 20 || len(r.Conditions) > 20 {
		t.Errorf("%+v", r)
	}
}

// Nobody fills the database: not with denials, not with what he is allowed, and not with
// a new token each time; and what he does crowds out nobody else.
func TestAttackKeepIsBounded(t *testing.T) {
	s, store, now := desk()
	by := principal.Principal{Kind: principal.User, ID: "1"}
	add := func(n int, allowed bool) {
		for i := range n {
			by.Family = fmt.Sprint(i)
			s.Keep(by, "r", decision(*now, allowed))
		}
	}
	add(100, true)
	add(100, false)
	if n := len(s.Log.waiting); n != 2*PerMinute || s.Log.Dropped() != 200-2*PerMinute || s.Log.Dropped() != 0 {
		t.Errorf("%d wait", n)
	}
	by.ID = "2"
	add(1, false)
	if n := len(s.Log.waiting); n != 2*PerMinute+1 {
		t.Errorf("another's is crowded out: %d", n)
	}
	*now = now.Add(time.Minute)
	by.ID = "1"
	add(1, false)
	if n := len(s.Log.waiting); n != 2*PerMinute+2 {
		t.Errorf("a minute later: %d", n)
	}
	for i := range 4000 { // many
		by.ID = fmt.Sprint("many", i)
		s.Keep(by, "r", decision(*now, false))
	}
	if n := len(s.Log.waiting); n != 2*PerMinute+1+overall {
		t.Errorf("of many: %d", n)
	}
	*now = now.Add(time.Minute)
	add(1, true)
	for i := range 4000 {
		by.ID = fmt.Sprint("many", i)
		s.Keep(by, "r", decision(*now, false))
	}
	if n := len(s.Log.waiting); n != mostWaiting {
		t.Errorf("while none is written: %d", n)
	}
	if err := s.Log.Flush(t.Context(), store.KeepDecisions); err != nil || len(store.kept) != mostWaiting || len(s.Log.waiting) != 0 {
		t.Errorf("%d, %v", len(store.kept), err)
	}
	for id := range store.kept {
		if _, err := s.Lookup(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}
