package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestConditions(t *testing.T) { storetest.Portable(t, storetest.Conditions) }

func TestDecisions(t *testing.T) { storetest.Portable(t, storetest.Decisions) }

// The deeds with conditions, each with what is true after it was done again.
var conditionDeeds = []deed{
	{"create a condition", 0, creatingCondition},
	{"replace a condition", 0, replacingCondition},
	{"delete a condition", 0, deletingCondition},
}

// After a fault at any statement of a change of conditions there is the old state or
// the new one, whole, with its events, and memory says what the database does
// (FLT-002).
func TestAttackFLT002EveryStatementOfConditionsFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, conditionDeeds) })
}

const forbidding = "forbid (principal, action, resource);"

// known returns what a process knows of a condition, once it has read the feed.
func known(t *testing.T, v *storetest.Services, name string) condition.Condition {
	t.Helper()
	expect(t, "reading the feed", v.Feed.Poll(t.Context()), 0)
	c, _ := v.Conditions.Set().Condition(name)
	return c
}

func creatingCondition(t *testing.T, v *storetest.Services, name string) scene {
	by := storetest.Operator
	by.Origin.Once = principal.Once{Key: "condition of " + name, Request: "body"}
	do := func() error {
		_, err := v.Conditions.Create(t.Context(), by, condition.Condition{Name: name, Policy: forbidding})
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "creating it again", do(), kindIf(happened, fault.Replayed))
		if c := known(t, v, name); c.Version != 1 {
			t.Errorf("this process knows the version %d", c.Version)
		}
	}}
}

func replacingCondition(t *testing.T, v *storetest.Services, name string) scene {
	name = "replaced-" + name
	_, err := v.Conditions.Create(t.Context(), storetest.Operator, condition.Condition{Name: name, Policy: forbidding})
	expect(t, "creating", err, 0)
	do := func() error {
		_, err := v.Conditions.Replace(t.Context(), storetest.Operator, condition.Condition{Name: name, Policy: forbidding + "// changed", Version: 1})
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "replacing it again", do(), kindIf(happened, fault.Stale))
		if c := known(t, v, name); c.Version != 2 {
			t.Errorf("this process knows the version %d", c.Version)
		}
	}}
}

func deletingCondition(t *testing.T, v *storetest.Services, name string) scene {
	name = "deleted-" + name
	_, err := v.Conditions.Create(t.Context(), storetest.Operator, condition.Condition{Name: name, Policy: forbidding})
	expect(t, "creating", err, 0)
	do := func() error { return v.Conditions.Delete(t.Context(), storetest.Operator, name, 0) }
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "deleting it again", do(), kindIf(happened, fault.NotFound))
		if c := known(t, v, name); c.Version != 0 {
			t.Errorf("this process knows the version %d", c.Version)
		}
	}}
}
