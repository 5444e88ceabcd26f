package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
)

// Conditions is the contract of condition.Store.
func Conditions(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { conditionsAsWritten(t, s, w) })
	t.Run("the rule", func(t *testing.T) { conditionRule(t, s, w) })
	t.Run("at once", func(t *testing.T) { conditionsAtOnce(t, s) })
	t.Run("no more than there may be", func(t *testing.T) { conditionsBounded(t, s) })
}

const everything = "permit (principal, action, resource);"

func rule(name string) condition.Condition {
	return condition.Condition{Name: name, Description: "„" + name + "“", Policy: everything, CreatedAt: instant, UpdatedAt: instant, Version: 1}
}

func createCondition(ctx context.Context, s *store.Store, by principal.Principal, c condition.Condition) error {
	return s.CreateCondition(ctx, by, c, audit.Now(by, instant, audit.ConditionCreated, c.Target()))
}

func replaceCondition(t testing.TB, s *store.Store, by principal.Principal, c condition.Condition) (condition.Condition, error) {
	return s.ReplaceCondition(t.Context(), by, c, audit.Now(by, instant, audit.ConditionUpdated, c.Target()))
}

func deleteCondition(t testing.TB, s *store.Store, by principal.Principal, name string, version int64) error {
	return s.DeleteCondition(t.Context(), by, name, version, audit.Now(by, instant, audit.ConditionDeleted, "condition:"+name))
}

func conditionOf(t testing.TB, s *store.Store, name string) (condition.Condition, bool) {
	t.Helper()
	all, err := s.Conditions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c condition.Condition) bool { return c.Name == name })
	if i < 0 {
		return condition.Condition{}, false
	}
	return all[i], true
}

func conditionsAsWritten(t *testing.T, s *store.Store, w *Witness) {
	c := rule("written")
	seq := head(t, s)
	Want(t, "creating", createCondition(t.Context(), s, Operator, c), 0)
	if got, ok := conditionOf(t, s, c.Name); !ok || !reflect.DeepEqual(got, c) {
		t.Errorf("kept is %+v, want %+v", got, c)
	}
	Want(t, "its name again", createCondition(t.Context(), s, Operator, c), fault.Conflict)
	next := rule("written")
	next.Description, next.Policy, next.UpdatedAt = "", "// ✓\n"+everything+strings.Repeat("é", 600), instant.Add(time.Second)
	next.CreatedAt = instant.Add(time.Hour) // it stays
	next.Version = 7
	_, err := replaceCondition(t, s, Operator, next)
	Want(t, "replacing another version", err, fault.Stale)
	next.Version = 1
	got, err := replaceCondition(t, s, Operator, next)
	Want(t, "replacing", err, 0)
	next.CreatedAt, next.Version = instant, 2
	if kept, _ := conditionOf(t, s, c.Name); !reflect.DeepEqual(kept, next) || !reflect.DeepEqual(got, next) {
		t.Errorf("kept is %+v and told is %+v, want %+v", kept, got, next)
	}
	next.Version = 0
	if got, err = replaceCondition(t, s, Operator, next); err != nil || got.Version != 3 {
		t.Errorf("replacing any version: %+v, %v", got, err)
	}
	_, err = replaceCondition(t, s, Operator, rule("nosuch"))
	Want(t, "replacing none", err, fault.NotFound)
	Want(t, "deleting none", deleteCondition(t, s, Operator, "nosuch", 0), fault.NotFound)
	Want(t, "deleting another version", deleteCondition(t, s, Operator, c.Name, 2), fault.Stale)
	Want(t, "deleting", deleteCondition(t, s, Operator, c.Name, 3), 0)
	if _, ok := conditionOf(t, s, c.Name); ok {
		t.Error("it is there still")
	}
	var told []string
	for _, change := range changesAfter(t, s, seq) {
		if change.Topic == feed.Condition && change.Key == c.Name {
			told = append(told, fmt.Sprint(change.Version))
		}
	}
	if strings.Join(told, " ") != "1 2 3 4" {
		t.Errorf("told are the versions %v", told)
	}
	var lines []string
	for _, r := range w.Dump(t)["audit_events"] {
		if r["target"] == c.Target() {
			lines = append(lines, string(unhex(t, r["data"])))
		}
	}
	log := strings.Join(lines, "\n")
	if len(lines) != 4 || !strings.Contains(log, `"policy_added":["`+everything) || strings.Count(log, "é") != 2*600 || !strings.Contains(log, `"policy_removed"`) {
		t.Errorf("the log says\n%s", log)
	}
}

// Who does not hold everything, for good and in this credential, makes no condition,
// changes none and deletes none.
func conditionRule(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("rule-writer", "roles:read", "roles:write", "a"))
	boss, narrow, off := actor(t, s, "rules-boss", rbac.AdminRole), actor(t, s, "rules-narrow", rbac.AdminRole), actor(t, s, "rules-off", rbac.AdminRole)
	narrow.Scopes = []string{"roles:write"}
	u, err := s.User(t.Context(), off.ID)
	Want(t, "reading", err, 0)
	u.Status = account.Disabled
	_, err = s.UpdateUser(t.Context(), Operator, u, event(audit.UserDisabled, u.Target()))
	Want(t, "disabling", err, 0)
	ends := actor(t, s, "rules-ends")
	Want(t, "giving for an hour", give(t, s, Operator, ends.ID, rbac.AdminRole, instant.Add(time.Hour)), 0)
	Want(t, "a condition", createCondition(t.Context(), s, Operator, rule("ruled")), 0)
	before := w.Dump(t)
	for name, by := range map[string]principal.Principal{
		"who writes roles": actor(t, s, "rules-writer", "rule-writer"), "who edits": actor(t, s, "rules-editor", "editor"), "a narrow token": narrow,
		"a disabled account": off, "who holds it for an hour": ends, "nobody": {Kind: principal.User, ID: "nobody", Scopes: []string{"admin"}}, "anonymous": {},
	} {
		by.Needs = ""
		Want(t, name+" creates", createCondition(t.Context(), s, by, rule("new")), fault.Denied)
		_, err := replaceCondition(t, s, by, rule("ruled"))
		Want(t, name+" replaces", err, fault.Denied)
		Want(t, name+" deletes", deleteCondition(t, s, by, "ruled", 0), fault.Denied)
		Want(t, name+" deletes what is not there", deleteCondition(t, s, by, "nosuch", 0), fault.Denied)
	}
	if now := w.Dump(t); !reflect.DeepEqual(now["conditions"], before["conditions"]) {
		t.Errorf("there are %v", now["conditions"])
	}
	boss.Needs = "roles:write"
	Want(t, "an administrator creates", createCondition(t.Context(), s, boss, rule("new")), 0)
	Want(t, "and deletes", deleteCondition(t, s, boss, "ruled", 0), 0)
}

func conditionsAtOnce(t *testing.T, s *store.Store) {
	Want(t, "creating", createCondition(t.Context(), s, Operator, rule("parallel")), 0)
	var jobs sync.WaitGroup
	var won atomic.Int64
	for range 6 {
		jobs.Go(func() {
			c := rule("parallel")
			if _, err := replaceCondition(t, s, Operator, c); err == nil {
				won.Add(1)
			} else if fault.KindOf(err) != fault.Stale {
				t.Error(err)
			}
		})
	}
	jobs.Wait()
	if c, _ := conditionOf(t, s, "parallel"); won.Load() != 1 || c.Version != 2 {
		t.Errorf("%d have replaced one version, and it has the version %d", won.Load(), c.Version)
	}
}

func conditionsBounded(t *testing.T, s *store.Store) {
	all, err := s.Conditions(t.Context())
	Want(t, "reading", err, 0)
	for i := len(all); i < condition.Most; i++ {
		Want(t, "one more", createCondition(t.Context(), s, Operator, rule(fmt.Sprint("filler", i))), 0)
	}
	Want(t, "one too many", createCondition(t.Context(), s, Operator, rule("last")), fault.Conflict)
	Want(t, "deleting one", deleteCondition(t, s, Operator, fmt.Sprint("filler", condition.Most-1), 0), 0)
	Want(t, "one more now", createCondition(t.Context(), s, Operator, rule("last")), 0)
}

// Decisions is the contract of access.Store.
func Decisions(t *testing.T, s *store.Store, w *Witness) {
	record := func(at time.Time) access.Record {
		return access.Record{
			ID: id.New(at), At: at, By: "user:1", Client: "app", Route: "POST /x", Subject: "user:2", Permission: "a:b", ObjectType: "é", ObjectID: "'; --",
			Allowed: true, Path: []string{"user:2", "a:b"}, Reason: "✓", NarrowedBy: "scope", Missing: []string{"a"},
			Conditions: []condition.Match{{Condition: "c", Effect: condition.Forbid, Policy: "1", Error: "e"}},
		}
	}
	now := instant
	list := []access.Record{record(now), record(now.Add(-access.Kept + time.Hour)), record(now.Add(-access.Kept - time.Hour))}
	for range 2 { // what is there stays
		Want(t, "keeping", s.KeepDecisions(t.Context(), list), 0)
		list[0].Reason = "✓"
	}
	for _, r := range list {
		if got, err := s.Decision(t.Context(), r.ID); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("kept is %+v, %v", got, err)
		}
	}
	for _, none := range []string{"", "x", "a\x00b", "\xff", id.New(now)} {
		_, err := s.Decision(t.Context(), none)
		Want(t, "reading "+none, err, fault.NotFound)
	}
	var old []access.Record
	for range 700 { // more than one batch
		old = append(old, record(now.Add(-access.Kept-time.Minute)))
	}
	Want(t, "keeping more", s.KeepDecisions(t.Context(), old), 0)
	for more := true; more; {
		var err error
		more, err = s.Purge(t.Context())
		Want(t, "purging", err, 0)
	}
	if n := w.Number(t, "SELECT COUNT(*) FROM decisions"); n != 2 {
		t.Errorf("%d decisions are left", n)
	}
	_, err := s.Decision(t.Context(), list[2].ID)
	Want(t, "what had its time", err, fault.NotFound)
}
