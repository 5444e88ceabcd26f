package store_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// A batch finds its events one by one, however many wait behind them and whatever
// the database knows of the table: after an outage a million may wait.
func TestLeavesAreFoundByKey(t *testing.T) {
	storetest.Portable(t, func(t *testing.T, s *store.Store, w *storetest.Witness) {
		w.Exec(t, `INSERT INTO audit_packs (id, events) WITH RECURSIVE many (n) AS (SELECT 100000 UNION ALL SELECT n + 1 FROM many WHERE n < 120000)
			SELECT 'x' || n, '{"v":1,"id":"x' || n || '","at":"2026-01-01T00:00:00.000000Z","action":"user.updated","outcome":"success","actor":"cli:ops"}`+"\t\n"+`' FROM many`)
		for _, analyzed := range []bool{false, true} {
			if analyzed {
				w.Exec(t, "ANALYZE")
			}
			plan, err := s.ExplainLeaves(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(plan, "Hash") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN audit_packs\n") {
				t.Errorf("analyzed %t: all that wait is looked through:\n%s", analyzed, plan)
			}
		}
	})
}
