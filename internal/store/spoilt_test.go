package store_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// The events of a group are one pack, and it cannot be written. That is a matter of one of
// them at the most: each is written for itself then, and no sign-in fails by another's.
func TestAttackOneEventSpoilsNoOther(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s := storetest.Open(t, dsn, store.Options{Wrap: f.Wrap})
		g := &group{s, f, storetest.NewWitness(t, dsn)}
		failed, spoilt := map[string]bool{}, false
		for n := 0; !spoilt; n++ {
			jobs := events(t, s, strconv.Itoa(n))
			step, told := g.write(t, jobs, storetest.Fault{Err: errors.New("it is too large")}, failed)
			if step.Kind == "" {
				t.Fatal("no pack was written")
			}
			if spoilt = strings.Contains(step.Text, "INSERT INTO audit_packs"); !spoilt {
				continue
			}
			for i, err := range told {
				if there := g.Number(t, "SELECT COUNT(*) FROM audit_events WHERE target = '"+jobs[i].name+"'"); err != nil || there != 1 {
					t.Errorf("number %d was told %v, and is there %d times", i, err, there)
				}
			}
		}
		g.Dump(t).Check(t)
		if err := s.Record(t.Context(), audit.Now(storetest.Operator, time.Now(), audit.LoginFailed, "user:afterwards")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// An event that was recorded twice, since nobody knew whether it was, has one leaf.
func TestOneLeafForAnEventThatWasRecordedTwice(t *testing.T) {
	storetest.Portable(t, func(t *testing.T, s *store.Store, w *storetest.Witness) {
		log := storetest.NewWitnessed(t, s)
		e := audit.Now(storetest.Operator, time.Now(), audit.LoginFailed, "user:twice")
		if err := s.Tell(t.Context(), []audit.Event{e, audit.Now(storetest.Operator, time.Now(), audit.LoginFailed, "user:once")}); err != nil {
			t.Fatal(err)
		}
		w.Exec(t, `INSERT INTO audit_packs (id, events) SELECT 'again', events FROM audit_packs`)
		log.SequenceAll(t, 10)
		if r := log.Verify(t, nil); r.Problem != nil || r.Events != 2 {
			t.Errorf("%+v", r)
		}
	})
}
