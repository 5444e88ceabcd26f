package policy_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

var (
	noon        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	people      = []string{"ana", "ben", "cleo", "dora"}
	roleNames   = []string{"r0", "r1", "r2", "r3", "r4"}
	clientNames = []string{"c0", "c1"}
	groupNames  = []string{"g0", "g1"}
	permissions = []string{"a", "b", "c", "read", "orders:read", "orders:write"}
)

// site is a server with the same people as any other.
type site struct {
	*storetest.Services
	access *access.Service
}

func newSite(t *testing.T) *site {
	still := clock.Func(func() time.Time { return noon })
	s := storetest.Open(t, storetest.SQLite(t), store.Options{Clock: still})
	v := storetest.NewServices(t, s, storetest.Parts{Clock: still})
	v.User(t, "root", "admin")
	for _, name := range people {
		v.User(t, name)
	}
	return &site{v, access.NewService(access.Parts{Accounts: v.Accounts, Clients: v.Clients, Policy: v.Roles.Policy, Resources: v.Resources, Conditions: v.Conditions, Store: s, Clock: still})}
}

// rights are who may do what, as the server decides: "user:ana read".
func (s *site) rights(t *rapid.T) map[string]bool {
	held := map[string]bool{}
	var subjects []string
	for _, name := range append([]string{"root"}, people...) {
		subjects = append(subjects, "user:"+name)
	}
	for _, name := range clientNames {
		subjects = append(subjects, "client:"+name)
	}
	for _, subject := range subjects {
		for _, p := range append([]string{"write", "admin"}, permissions...) {
			d, err := s.access.Decide(t.Context(), access.Question{Subject: subject, Permission: p})
			if err != nil {
				t.Fatal(err)
			}
			if d.Allowed {
				held[subject+" "+p] = true
			}
		}
	}
	return held
}

func (s *site) export(t *rapid.T) []byte {
	e, err := s.Policy.Export(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s *site) plan(t *rapid.T, text []byte, prune bool) (*policy.Plan, error) {
	doc, err := policy.Read("p.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s.Policy.Plan(t.Context(), doc, prune)
}

// draw draws a file. Roles inherit those of lower numbers, and what is built in.
func draw(t *rapid.T) []byte {
	var b strings.Builder
	some := func(what string, of []string) string {
		if len(of) == 0 {
			return "[]"
		}
		return "[" + strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, min(3, len(of)), rapid.ID[string]).Draw(t, what), ", ") + "]"
	}
	b.WriteString("version: 1\nroles:\n")
	var roles []string
	for i, name := range roleNames {
		if rapid.Bool().Draw(t, name) {
			fmt.Fprintf(&b, "  %s: {permissions: %s, inherits: %s}\n", name, some("permissions", permissions), some("inherits", append(slices.Clone(roles), "viewer", "editor")))
			roles = append(roles, roleNames[i])
		}
	}
	b.WriteString("groups:\n")
	var groups []string
	for _, name := range groupNames {
		if rapid.Bool().Draw(t, name) {
			fmt.Fprintf(&b, "  %s: {description: %s}\n", name, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "description"))
			groups = append(groups, name)
		}
	}
	b.WriteString("resources:\n")
	for _, id := range []string{"a0", "a1"} {
		if rapid.Bool().Draw(t, id) {
			fmt.Fprintf(&b, "  %s: {identifier: 'urn:%s', permissions: %s}\n", id, rapid.SampledFrom([]string{id, id, "shared"}).Draw(t, "identifier"), some("permissions", permissions))
		}
	}
	b.WriteString("clients:\n")
	var clients []string
	for _, id := range clientNames {
		if rapid.Bool().Draw(t, id) {
			fmt.Fprintf(&b, "  %s: {scope: %s, status: %s}\n", id, some("scope", permissions), rapid.SampledFrom([]string{"active", "active", "disabled"}).Draw(t, "status"))
			clients = append(clients, id)
		}
	}
	b.WriteString("grants:\n  users:\n    root: [admin]\n")
	grants := func(names []string) {
		for _, name := range names {
			if !rapid.Bool().Draw(t, name) {
				continue
			}
			fmt.Fprintf(&b, "    %s:\n", name)
			held := rapid.SliceOfNDistinct(rapid.SampledFrom(append([]string{"viewer", "editor"}, roles...)), 0, 3, rapid.ID[string]).Draw(t, "held")
			if len(held) == 0 {
				b.WriteString("    - viewer\n")
			}
			for _, role := range held {
				fmt.Fprintf(&b, "    - {role: %s%s}\n", role, rapid.SampledFrom([]string{"", "", ", until: 2027-01-01T00:00:00Z", ", reason: why not"}).Draw(t, "more"))
			}
		}
	}
	grants(people)
	b.WriteString("  clients:\n")
	grants(clients)
	b.WriteString("  groups:\n")
	grants(groups)
	b.WriteString("members:\n")
	for _, name := range groups {
		fmt.Fprintf(&b, "  %s: {users: %s, clients: %s}\n", name, some("users", people), some("clients", clients))
	}
	return []byte(b.String())
}

// What a plan says of who gains and loses is what comes of it; then there is nothing
// left to change; and what is exported makes the same of an empty server.
func TestPlanTellsWhatApplyDoes(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each is a handful of transactions
		if err := f.Value.Set("20"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
	}
	one, other := newSite(t), newSite(t)
	gained, lost := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text, prune := draw(t), rapid.IntRange(0, 3).Draw(t, "prune") > 0
		before, exported := one.rights(t), one.export(t)
		plan, err := one.plan(t, text, prune)
		if err != nil {
			return // roles that stay may make a circle of it, and an API keeps its identifier
		}
		if after := one.rights(t); !maps.Equal(before, after) || !bytes.Equal(exported, one.export(t)) {
			t.Fatal("a plan changed something")
		}
		if err := one.Policy.Apply(t.Context(), storetest.Operator, plan); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		after := one.rights(t)
		gains, loses := told(plan)
		if want := minus(after, before); !slices.Equal(gains, want) {
			t.Fatalf("told to be gained:\n\t%q\nand gained:\n\t%q", gains, want)
		}
		if want := minus(before, after); !slices.Equal(loses, want) {
			t.Fatalf("told to be lost:\n\t%q\nand lost:\n\t%q", loses, want)
		}
		gained, lost = gained+len(gains), lost+len(loses)
		if again, err := one.plan(t, text, prune); err != nil || !again.Empty() {
			t.Fatalf("after it was applied the file would change %+v, %v", again.Changes, err)
		}
		exported = one.export(t)
		if again, err := one.plan(t, exported, true); err != nil || !again.Empty() || len(again.Effects) > 0 {
			t.Fatalf("what was exported would change %+v, %v", again, err)
		}
		moved, err := other.plan(t, exported, true)
		if err != nil {
			t.Fatalf("elsewhere: %v\n%s", err, exported)
		}
		if err := other.Policy.Apply(t.Context(), storetest.Operator, moved); err != nil {
			t.Fatal(err)
		}
		if there := other.rights(t); !maps.Equal(there, after) {
			t.Fatalf("elsewhere the same file gives %q, here %q", minus(there, after), minus(after, there))
		}
		if there := other.export(t); !bytes.Equal(there, exported) {
			t.Fatalf("elsewhere it is exported as\n%s\nhere as\n%s", there, exported)
		}
	})
	if gained == 0 || lost == 0 {
		t.Errorf("the draws prove nothing: %d gained, %d lost", gained, lost)
	}
}

func told(p *policy.Plan) (gains, loses []string) {
	for _, e := range p.Effects {
		for _, who := range e.Who {
			for _, r := range e.Gains {
				gains = append(gains, who+" "+r.Permission)
			}
			for _, r := range e.Loses {
				loses = append(loses, who+" "+r.Permission)
			}
		}
	}
	return slices.Sorted(slices.Values(gains)), slices.Sorted(slices.Values(loses))
}

func minus(a, b map[string]bool) (list []string) {
	for k := range a {
		if !b[k] {
			list = append(list, k)
		}
	}
	return slices.Sorted(slices.Values(list))
}
