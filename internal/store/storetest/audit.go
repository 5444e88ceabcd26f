package storetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
)

// Log is the contract of the log: what is recorded, counted and erased.
func Log(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as recorded", func(t *testing.T) { recorded(t, s, w) })
	t.Run("together", func(t *testing.T) { recordedTogether(t, s, w) })
	t.Run("counts", func(t *testing.T) { counts(t, s, w) })
	t.Run("erased", func(t *testing.T) { erased(t, s, w) })
}

// row returns the one event of a target.
func (w *Witness) row(t testing.TB, target string) Row {
	t.Helper()
	var found []Row
	for _, r := range w.Dump(t)["audit_events"] {
		if r["target"] == target {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d events about %s", len(found), target)
	}
	return found[0]
}

func recorded(t *testing.T, s *store.Store, w *Witness) {
	by := principal.Principal{Kind: principal.User, ID: "ann", Origin: principal.Origin{RequestID: "r1", Address: "192.0.2.7", UserAgent: "agent"}}
	e := audit.Now(by, instant, audit.LoginFailed, "role:recorded").Because(audit.Denied, "not held").With("permission", "a:b").
		About("bea", map[string]string{"name": "Bea"})
	Want(t, "recording", s.Record(t.Context(), e), 0)
	r := w.row(t, "role:recorded")
	public := string(unhex(t, r["data"]))
	for _, want := range []string{`"id":"` + e.ID + `"`, `"at":"2026-02-28T23:59:59.999999Z"`, `"actor":"user:ann"`, `"request":"r1"`, `"detail":{"permission":"a:b"}`} {
		if !strings.Contains(public, want) {
			t.Errorf("%s is not in %s", want, public)
		}
	}
	for _, personal := range []string{"192.0.2.7", "agent", "Bea"} {
		if strings.Contains(public, personal) {
			t.Errorf("%s is in %s", personal, public)
		}
	}
	if r["at"] != fmt.Sprint(instant.UnixMicro()) || r["leaf"] != "" {
		t.Errorf("the row is %v", r)
	}
	persons := map[string]string{}
	for _, p := range r.Parts(t) {
		persons[fmt.Sprint(p.Number, " ", p.Person)] = string(p.Data)
	}
	want := map[string]string{"0 ann": `{"address":"192.0.2.7","user_agent":"agent"}`, "1 bea": `{"name":"Bea"}`}
	if !maps.Equal(persons, want) {
		t.Errorf("the private parts are %v, want %v", persons, want)
	}
	if err := s.Record(t.Context(), e); err == nil {
		t.Error("an event was recorded twice")
	}
}

// recordedTogether holds that events that come at once are all there, whatever
// becomes of one of them.
func recordedTogether(t *testing.T, s *store.Store, w *Witness) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	before := w.events(t)
	const n = 100
	parallel(n, func(i int) {
		e := event(audit.LoginFailed, fmt.Sprint("together:", i))
		if i%10 == 0 {
			_ = s.Record(gone, e) // it may be there or not: nobody waits for it
			return
		}
		if err := s.Record(context.WithoutCancel(t.Context()), e); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	})
	if more := w.events(t) - before; more < n-n/10 || more > n {
		t.Errorf("%d events are there, want %d to %d", more, n-n/10, n)
	}
}

func counts(t *testing.T, s *store.Store, w *Witness) {
	minute := instant.Truncate(time.Minute)
	c := audit.Count{Minute: minute, Credential: "family:f", Action: "GET /users/me", Outcome: audit.Success, Times: 3}
	other, later := c, c
	other.Outcome, later.Minute = audit.Denied, minute.Add(time.Minute)
	Want(t, "counting", s.AddCounts(t.Context(), []audit.Count{c, other}), 0)
	parallel(10, func(int) {
		Want(t, "counting at once", s.AddCounts(context.WithoutCancel(t.Context()), []audit.Count{c, later}), 0)
	})
	Want(t, "counting nothing", s.AddCounts(t.Context(), nil), 0)
	got := map[string]string{}
	for _, r := range w.Dump(t)["audit_counts"] {
		got[r["minute"]+" "+r["outcome"]] = r["times"]
	}
	at := func(m time.Time, o audit.Outcome) string { return fmt.Sprint(m.UnixMicro()) + " " + string(o) }
	want := map[string]string{at(minute, audit.Success): "33", at(minute, audit.Denied): "3", at(minute.Add(time.Minute), audit.Success): "30"}
	if !maps.Equal(got, want) {
		t.Errorf("the counts are %v, want %v", got, want)
	}
}

// erased holds that a person can be taken out of the log, and that the log is
// byte for byte what it was.
func erased(t *testing.T, s *store.Store, w *Witness) {
	u := person(t, "forgotten")
	e := audit.Now(Operator, instant, audit.UserCreated, u.Target()).About(u.ID, map[string]string{"username": u.Username, "email": u.Email.String()})
	if err := s.CreateUser(t.Context(), Operator, u, Stored, e); err != nil {
		t.Fatal(err)
	}
	kept := create(t, s, person(t, "remembered"))
	Want(t, "an event about the other", s.Record(t.Context(), event(audit.UserUpdated, "other").About(kept.ID, map[string]string{"username": "remembered"})), 0)
	before := w.row(t, u.Target())
	delete(before, "private")
	parts := w.Dump(t).Parts(t, "*")
	own := principal.Principal{Kind: principal.User, ID: u.ID, Origin: Browser.Origin}
	d := account.Deletion{ID: u.ID, Version: 7, Erase: true}
	Want(t, "a deletion that is refused", s.DeleteUser(t.Context(), own, d, event(audit.UserErased, "refused")), fault.Stale)
	if n := w.Dump(t).Parts(t, "*"); n != parts {
		t.Errorf("a deletion that was refused erased %d parts", parts-n)
	}
	d.Version = 1
	Want(t, "deleting", s.DeleteUser(t.Context(), own, d, audit.Now(own, instant, audit.UserDeleted, "deletion"), audit.Now(own, instant, audit.UserErased, u.Target())), 0)
	found := 0
	for _, r := range w.Dump(t)["audit_events"] {
		delete(r, "private")
		if r["target"] == u.Target() && (r["action"] == string(audit.UserErased) || r["action"] == string(audit.AuditErased)) {
			found++
		} else if r["target"] == u.Target() && !maps.Equal(r, before) {
			t.Errorf("the event is now %v, and was %v", r, before)
		}
	}
	if found != 2 {
		t.Errorf("%d events tell that somebody was erased, want that of the account and that of the log", found)
	}
	remembered := false
	for _, rows := range w.Dump(t) {
		for _, r := range rows {
			for column, v := range r {
				text := v
				if b, err := hex.DecodeString(v); err == nil {
					text = string(b)
				}
				if strings.Contains(text, "forgotten") {
					t.Errorf("the column %s still says %s", column, text)
				}
				remembered = remembered || column == "private" && strings.Contains(text, `\"username\":\"remembered\"`)
			}
		}
	}
	if !remembered {
		t.Error("what the log told of somebody else is gone")
	}
	_, err := s.CredentialOf(t.Context(), account.Login{Username: "remembered"})
	Want(t, "the other", err, 0)
}
