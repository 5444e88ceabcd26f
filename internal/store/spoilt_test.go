package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Of events that are written together one cannot be: it was written before. That
// is its own matter; the sign-ins whose events the others are must not fail by it.
func TestAttackOneEventSpoilsNoOther(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s := storetest.Open(t, dsn, store.Options{Wrap: f.Wrap})
		g := &group{s, f, storetest.NewWitness(t, dsn)}
		twice := audit.Now(storetest.Operator, time.Now(), audit.LoginFailed, "user:twice")
		if err := s.Record(t.Context(), twice); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "middle", "last"} {
			jobs := events(t, s, name)
			at := map[string]int{"first": 0, "middle": len(jobs) / 2, "last": len(jobs) - 1}[name]
			jobs[at].do = func() error { return s.Record(t.Context(), twice) }
			_, told := g.write(t, jobs, storetest.Fault{}, map[string]bool{})
			for i, err := range told {
				if (err == nil) != (i != at) {
					t.Errorf("the %s is spoilt, and number %d was told: %v", name, i, err)
				}
				if n := g.Number(t, "SELECT COUNT(*) FROM audit_events WHERE target = '"+jobs[i].name+"'"); (n == 1) != (i != at) {
					t.Errorf("the %s is spoilt, and number %d is there %d times", name, i, n)
				}
			}
		}
		g.Dump(t).Check(t)
		// An event that came with the spoilt ones is one commit's worth of waiting, not
		// the end of the recorder.
		if err := s.Record(t.Context(), audit.Now(storetest.Operator, time.Now(), audit.LoginFailed, "user:afterwards")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
