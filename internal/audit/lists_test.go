package audit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
)

// lists returns the lists of an event as they are kept.
func lists(t *testing.T, e audit.Event) (kept map[string][]string, public string) {
	t.Helper()
	r := e.Record()
	var p struct{ Lists map[string][]string }
	if err := json.Unmarshal(r.Public, &p); err != nil {
		t.Fatal(err)
	}
	return p.Lists, string(r.Public)
}

func roleEvent() audit.Event {
	return audit.Now(principal.Principal{Kind: principal.CLI, ID: "test"}, time.Now(), audit.RoleUpdated, "role:x")
}

// What was given cannot be hidden behind what else was given: a list is kept
// whole, however long it is.
func TestAttackListHidesNothing(t *testing.T) {
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("%s:%d", strings.Repeat("x", 120), i))
	}
	want := append([]string{"zz:admin"}, many...)
	kept, _ := lists(t, roleEvent().WithList("permissions_added", want).With("other", "fact"))
	slices.Sort(want)
	if !slices.Equal(kept["permissions_added"], want) {
		t.Errorf("of %d permissions %d are kept", len(want), len(kept["permissions_added"]))
	}
}

func TestWithList(t *testing.T) {
	given := []string{"c", "a", "b"}
	e := roleEvent().WithList("one", given)
	both := e.WithList("two", []string{"x"})
	if kept, _ := lists(t, e); len(kept) != 1 || !slices.Equal(kept["one"], []string{"a", "b", "c"}) {
		t.Errorf("kept is %v, want one sorted list", kept)
	}
	if kept, _ := lists(t, both); len(kept) != 2 {
		t.Errorf("kept is %v, want both", kept)
	}
	if !slices.Equal(given, []string{"c", "a", "b"}) {
		t.Error("the caller's list was sorted")
	}
	for _, none := range [][]string{nil, {}} {
		if _, public := lists(t, roleEvent().WithList("none", none)); strings.Contains(public, "lists") {
			t.Errorf("an empty list is kept: %s", public)
		}
	}
	// Its texts are as clean as all others.
	kept, public := lists(t, roleEvent().WithList("l", []string{"a\nb", "\u202Ec", "\xff", strings.Repeat("d", 5000)}))
	if len(kept["l"]) != 4 || strings.ContainsAny(strings.Join(kept["l"], ""), "\n\u202E") || !utf8.ValidString(public) || len(public) > 2000 {
		t.Errorf("kept is %q", kept["l"])
	}
}
