package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/storm/program"
)

// TestStorm is a short storm of each kind. The long ones are run by: make storm
func TestStorm(t *testing.T) {
	binary, err := program.Build(t.Context(), t.TempDir(), "cmd/doorward")
	if err != nil {
		t.Fatal(err)
	}
	canary := servertest.Canary(t)
	for _, tt := range []struct {
		kind  string
		kills int
		crash bool
	}{
		{"sqlite", 15, false},
		{"postgres", 15, true},
		{"replicas", 6, false},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			// These are the promise of a machine that does not run all other tests at the
			// same time, so that here they have some room.
			o := options{kills: tt.kills, crashDB: tt.crash, ready: 15 * time.Second, follow: 4 * time.Second, binary: binary, secret: canary, log: logFile(t, tt.kind)}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var out bytes.Buffer
			if err := weather(ctx, o, tt.kind, &out); err != nil {
				t.Error(err)
			}
			t.Log(out.String())
		})
	}
}

// logFile is where the servers log to: where the test command looks for secrets.
func logFile(t *testing.T, kind string) io.Writer {
	dir := os.Getenv("DOORWARD_TEST_LOGDIR")
	if dir == "" {
		return io.Discard
	}
	f, err := os.Create(filepath.Join(dir, "storm-"+kind+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// calmSea is a small database that balances: two sign-ins, two turns, an end, a
// role that was given.
func calmSea() *snapshot {
	return &snapshot{
		families: map[string]family{
			"f1": {user: "u1", secret: "s3", previous: "s2", generation: 3, created: 10},
			"f2": {user: "u1", secret: "s1", generation: 1, created: 11, ended: 20, why: "reused", session: "s"},
		},
		sessions: map[string]session{"s": {user: "u1", ended: 20, why: "reused"}},
		begun:    map[string]int{"u1": 2},
		users:    map[string]user{"u1": {"active", 2, "Ann"}},
		names:    map[string]string{"ann": "u1"},
		roles:    map[string]role{"support": {"read write", "", 2}},
		grants:   map[holding]bool{{"u1", "support"}: true},
		policy:   9, head: 3, numbered: 3, told: map[string]bool{"f2": true}, newest: "12",
		events: []event{
			{id: "01", action: "user.created", target: "user:u1", private: 1, kept: 1},
			{id: "02", action: "role.created", target: "role:support", lists: map[string][]string{"permissions_added": {"read", "send"}}},
			{id: "03", action: "role.updated", target: "role:support", lists: map[string][]string{"permissions_added": {"write"}, "permissions_removed": {"send"}}},
			{id: "04", action: "grant.created", target: "user:u1", detail: map[string]string{"role": "support"}},
			{id: "05", action: "user.updated", target: "user:u1"},
			{id: "06", action: "login.succeeded", target: "user:u1"},
			{id: "07", action: "token.issued", target: "family:f1"},
			{id: "08", action: "token.refreshed", target: "family:f1"},
			{id: "09", action: "token.refreshed", target: "family:f1", detail: map[string]string{"retry": "true"}},
			{id: "10", action: "token.refreshed", target: "family:f1"},
			{id: "11", action: "login.succeeded", target: "user:u1"},
			{id: "12", action: "token.issued", target: "family:f2"},
			{id: "13", action: "token.reused", target: "family:f2"},
		},
	}
}

func judged() (*books, *verdict) {
	v := &verdict{ledger: newLedger()}
	return newBooks(v), v
}

func TestBooksBalance(t *testing.T) {
	b, v := judged()
	b.balance(calmSea())
	again := calmSea()
	again.events = nil
	b.balance(again)
	b.audit(calmSea())
	if v.stop() {
		t.Errorf("what balances is said not to: %s", v.found)
	}
}

// What a server could lose or make up, one thing at a time: the books find each.
func TestBooksBite(t *testing.T) {
	drop := func(id string) func(*snapshot) {
		return func(s *snapshot) {
			for i, e := range s.events {
				if e.id == id {
					s.events = append(s.events[:i], s.events[i+1:]...)
					return
				}
			}
		}
	}
	for name, tamper := range map[string]func(*snapshot){
		"a turn without its event":          drop("10"),
		"a sign-in without its event":       drop("11"),
		"a family without its event":        drop("07"),
		"an end without its event":          drop("13"),
		"an account without its event":      drop("01"),
		"an account's change without event": drop("05"),
		"a role without its event":          drop("02"),
		"a role's change without its event": drop("03"),
		"a grant without its event":         drop("04"),
		"an event twice":                    func(s *snapshot) { s.events = append(s.events, s.events[7]) },
		"an end that was made up": func(s *snapshot) {
			s.events = append(s.events, event{id: "14", action: "token.revoked", target: "family:f1"})
		},
		"an end that the feed does not tell": func(s *snapshot) { delete(s.told, "f2") },
		"an end that only the feed tells":    func(s *snapshot) { s.told["f1"] = true },
		"a turn that was lost":               func(s *snapshot) { f := s.families["f1"]; f.generation--; s.families["f1"] = f },
		"a family that was lost":             func(s *snapshot) { delete(s.families, "f1"); s.begun["u1"]-- },
		"a family of a disabled user":        func(s *snapshot) { s.users["u1"] = user{"disabled", 2, "Ann"} },
		"an account's change that was lost":  func(s *snapshot) { s.users["u1"] = user{"active", 1, "Ann"} },
		"an account that was lost":           func(s *snapshot) { delete(s.users, "u1") },
		"a role's change that was lost":      func(s *snapshot) { s.roles["support"] = role{"read send", "", 2} },
		"a role that was lost":               func(s *snapshot) { delete(s.roles, "support") },
		"a role from nowhere":                func(s *snapshot) { s.roles["king"] = role{"all", "", 1} },
		"a grant that was lost":              func(s *snapshot) { clear(s.grants) },
		"a grant from nowhere":               func(s *snapshot) { s.grants[holding{"u1", "king"}] = true },
		"a private part that was lost":       func(s *snapshot) { s.events[0].kept = 0 },
		"a session that was lost":            func(s *snapshot) { clear(s.sessions) },
		"a session from nowhere":             func(s *snapshot) { s.sessions["t"] = session{user: "u1"} },
		"a session of somebody else":         func(s *snapshot) { s.sessions["s"] = session{user: "u2", ended: 20} },
		"a session that outlives":            func(s *snapshot) { s.sessions["s"] = session{user: "u1"} },
		"a change that has no number":        func(s *snapshot) { s.waiting = 1 },
		"a hole in the feed":                 func(s *snapshot) { s.numbered-- },
	} {
		b, v := judged()
		s := calmSea()
		tamper(s)
		b.balance(s)
		if !v.stop() {
			t.Errorf("%s is not found", name)
		}
	}
}

// What can only be seen by who remembers.
func TestBooksRemember(t *testing.T) {
	for name, tamper := range map[string]func(*snapshot){
		"a family lives again": func(s *snapshot) {
			f := s.families["f2"]
			f.ended, f.why = 0, ""
			s.families["f2"] = f
		},
		"the policy goes back": func(s *snapshot) { s.policy-- },
		"the feed goes back":   func(s *snapshot) { s.head, s.numbered = 2, 2 },
	} {
		b, v := judged()
		b.balance(calmSea())
		s := calmSea()
		s.events = nil
		tamper(s)
		b.balance(s)
		if !v.stop() {
			t.Errorf("%s, and it is not found", name)
		}
	}
	b, v := judged()
	b.balance(calmSea())
	all := calmSea()
	all.events = all.events[:len(all.events)-1]
	b.audit(all)
	if !v.stop() {
		t.Error("an event is gone at the end, and it is not found")
	}
}

// A client that holds f1 at turn 3 with s3, and what the database may say after
// a crash.
func TestChainSettles(t *testing.T) {
	for _, tt := range []struct {
		doubt string
		row   family
		ok    bool
	}{
		{"", family{secret: "s3", previous: "s2", generation: 3}, true},
		{"refresh", family{secret: "s3", previous: "s2", generation: 3}, true},
		{"refresh", family{secret: "s4", previous: "s3", generation: 4}, true},
		{"the reuse", family{secret: "s3", generation: 3, ended: 1, why: "reused"}, true},
		{"the logout", family{secret: "s3", generation: 3, ended: 1, why: "signed-out"}, true},
		{"", family{secret: "s2", previous: "s1", generation: 2}, false},            // an acknowledged turn is lost
		{"", family{secret: "s9", previous: "s2", generation: 3}, false},            // another successor: a fork
		{"", family{secret: "s4", previous: "s3", generation: 4}, false},            // a turn that nobody asked for
		{"", family{secret: "s3", generation: 3, ended: 1, why: "reused"}, false},   // an end that nobody asked for
		{"refresh", family{secret: "s5", previous: "s4", generation: 5}, false},     // two turns for one request
		{"refresh", family{secret: "s4", previous: "s9", generation: 4}, false},     // a turn of another token
		{"refresh", family{secret: "s3", generation: 3, ended: 1, why: "x"}, false}, // the wrong consequence
		{"the logout", family{generation: 3, ended: 1, why: "reused"}, false},       // the wrong end
		{"the reuse", family{secret: "s4", previous: "s3", generation: 4}, false},   // a spent token went on
	} {
		_, v := judged()
		c := &chain{base: base{storm: &storm{verdict: v, ledger: v.ledger, sum: newSums()}, who: "chain", doubt: tt.doubt}, user: "u1", begun: 1}
		c.held = &held{family: "f1", generation: 3, secret: "s3"}
		c.settle(&snapshot{families: map[string]family{"f1": tt.row}, begun: map[string]int{"u1": 1}})
		if v.stop() == tt.ok {
			t.Errorf("%q, then %+v: %s", tt.doubt, tt.row, v.found)
		}
	}
}

// A burglar who was told of three wrong passwords, and what the log may say after
// a crash.
func TestBurglarSettles(t *testing.T) {
	for _, tt := range []struct {
		doubt  string
		judged int
		ok     bool
	}{
		{"", 3, true},
		{"guess", 3, true},
		{"guess", 4, true},
		{"", 2, false},      // one is forgotten
		{"", 4, false},      // one that nobody asked for
		{"guess", 5, false}, // two for one request
		{"login", 4, false}, // a right password is none
	} {
		bk, v := judged()
		bk.count["login.failed user:u1"] = tt.judged
		b := &burglar{base: base{storm: &storm{verdict: v, ledger: v.ledger, sum: newSums(), books: bk}, who: "burglar", doubt: tt.doubt}, user: "u1", judged: 3}
		b.settle(&snapshot{begun: map[string]int{}})
		if v.stop() == tt.ok {
			t.Errorf("%q, then %d: %s", tt.doubt, tt.judged, v.found)
		}
	}
	for unlocked, ok := range []bool{false, true} {
		bk, v := judged()
		bk.count["login.failed user:u1"], bk.count["user.unlocked user:u1"] = 6, unlocked
		b := &burglar{base: base{storm: &storm{verdict: v, ledger: v.ledger, sum: newSums(), books: bk}, who: "burglar"}, user: "u1", judged: 6}
		b.settle(&snapshot{begun: map[string]int{}})
		if v.stop() == ok {
			t.Errorf("six were judged, and the account was unlocked %d times: %s", unlocked, v.found)
		}
	}
}

// A refusal is printed with the requests that led to it.
func TestVerdictShowsTheLedger(t *testing.T) {
	_, v := judged()
	l := v.ledger.ask("chain-a", "POST /auth/refresh")
	v.ledger.answered(l, "200")
	v.ledger.ask("chain-b", "POST /auth/login")
	v.ledger.note("the server is killed")
	v.violated("chain-a", "a turn is lost")
	var out strings.Builder
	v.print(&out)
	for _, want := range []string{"VIOLATED: chain-a: a turn is lost", "POST /auth/refresh  →  200", "the server is killed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "/auth/login") {
		t.Errorf("a request of another actor is in:\n%s", out.String())
	}
}

func TestCommandRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{"-db", "oracle"}, {"-replicas", "3"}, {"-kill", "1"}, {"now"}} {
		if code := command(t.Context(), args, io.Discard); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}
