package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// A batch finds its events one by one, however many wait behind them and whatever
// the database knows of the table: after an outage a million may wait.
func TestLeavesAreFoundByKey(t *testing.T) {
	storetest.Portable(t, func(t *testing.T, s *store.Store, w *storetest.Witness) {
		by := principal.Principal{Kind: principal.CLI, ID: "ops"}
		var events []audit.Event
		for range 20_000 {
			events = append(events, audit.Now(by, time.Now(), audit.UserUpdated, "user:06eadcervsh0om6j6juveoabcd"))
		}
		if err := s.Tell(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		for _, analyzed := range []bool{false, true} {
			if analyzed {
				w.Exec(t, "ANALYZE")
			}
			plan, err := s.ExplainLeaves(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(plan, "Hash") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN audit_waiting\n") {
				t.Errorf("analyzed %t: all that wait is looked through:\n%s", analyzed, plan)
			}
		}
	})
}
