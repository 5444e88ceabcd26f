package store_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/status"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// What somebody lost is looked for among his tokens alone, however many others there are;
// and found whole, over pages.
func TestLiveTokensAreFoundByKey(t *testing.T) {
	storetest.Portable(t, func(t *testing.T, s *store.Store, w *storetest.Witness) {
		const families = 1200
		bytes := func(b []byte) string {
			if w.Postgres() {
				return fmt.Sprintf(`'\x%x'`, b)
			}
			return fmt.Sprintf("x'%x'", b)
		}
		live := status.Live{Roles: []string{"viewer"}, Held: []status.Held{{Slot: status.Slot{List: "l"}, Policy: 3, Until: 1 << 40}}}
		var rows []string
		for n := range families {
			live.Held[0].Index = int64(n)
			// One in two is of the client "web", and one in a hundred of ann.
			rows = append(rows, fmt.Sprintf("('f%05d', %s, '%s', '%s', '', '', '', 0, %s, 1, 0, 0, 0, 0, 0, 0, 0, '', '%s')",
				n, bytes(fmt.Appendf(nil, "%032d", n)), []string{"ann", "bea"}[min(n%100, 1)], []string{"web", "app"}[n%2], bytes(make([]byte, 32)), live))
		}
		w.Exec(t, `INSERT INTO token_families (id, handle, user_id, client_id, scope, audience, amr, auth_time, secret, generation, grace_pepper, grace_until,
			created_at, used_at, idle_until, expires_at, ended_at, ended_why, live) VALUES `+strings.Join(rows, ", "))
		w.Exec(t, "ANALYZE")
		plans, err := s.ExplainLive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for what, plan := range plans {
			if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN token_families\n") {
				t.Errorf("to find those of %s all are looked through:\n%s", what, plan)
			}
		}
		for _, c := range []struct {
			mark grant.Mark
			want int // bits
		}{
			{grant.Mark{Kind: grant.OfFamily, Key: "f00007", Version: grant.ForGood}, 1},
			{grant.Mark{Kind: grant.OfPrincipal, Key: "ann", Version: 4}, families / 100},
			{grant.Mark{Kind: grant.OfPrincipal, Key: "ann", Version: 3}, 0},
			{grant.Mark{Kind: grant.OfPrincipal, Key: "web", Version: 4}, families / 2},
			{grant.Mark{Kind: grant.OfRole, Key: "viewer", Version: 4}, families},
			{grant.Mark{Kind: grant.OfRole, Key: "editor", Version: 4}, 0},
			{grant.Mark{Kind: grant.OfKey, Key: "k", Version: 4}, 0},
		} {
			got := map[status.Slot]bool{}
			for after, more := "", true; more; more = after != "" {
				list, next, err := s.TokensOf(t.Context(), c.mark, after)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range list {
					for _, at := range i.Void(c.mark.Voids) {
						got[at] = true
					}
				}
				after = next
			}
			if len(got) != c.want {
				t.Errorf("%+v voids %d, want %d", c.mark, len(got), c.want)
			}
		}
	})
}

// Bits are set in many pages at once, and what was set before stays.
func TestBitsOfManyPages(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := storetest.Open(t, dsn, store.Options{})
		b, err := s.ReserveSlots(t.Context(), 64, time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		var first, all []status.Slot
		want := map[int64][]byte{}
		for page := range int64(40) {
			for _, index := range []int64{page * status.PageSize, page*status.PageSize + 7 + page} {
				all = append(all, status.Slot{List: b.List, Index: index})
				want[page] = status.Set(want[page], index)
			}
			first = append(first, all[len(all)-1-int(page%2)])
		}
		for n, slots := range [][]status.Slot{first, all, nil} {
			if err := s.MarkSlots(t.Context(), 1, int64(n), int64(n)+1, slots); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.StatusPages(t.Context(), b.List); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v; the pages are %v", err, got)
		}
	})
}

// Of two servers that set bits at once one does, and what it was too late for it leaves.
func TestMarksAreSetOnce(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		now := time.Now()
		s := storetest.Open(t, dsn, store.Options{Clock: clock.Func(func() time.Time { return now })})
		b, err := s.ReserveSlots(t.Context(), 64, now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		at := func(i int64) []status.Slot { return []status.Slot{{List: b.List, Index: i}} }
		mark := func(from, to, i int64) {
			t.Helper()
			if err := s.MarkSlots(t.Context(), 1, from, to, at(i)); err != nil {
				t.Fatal(err)
			}
		}
		claims := func(who string, lease time.Duration) (int64, bool) {
			t.Helper()
			seq, mine, err := s.ClaimMarks(t.Context(), 1, who, lease)
			if err != nil {
				t.Fatal(err)
			}
			return seq, mine
		}
		if seq, mine := claims("a", time.Minute); seq != 0 || !mine {
			t.Fatalf("the first is told %d, %t", seq, mine)
		}
		if _, mine := claims("b", time.Minute); mine {
			t.Error("two set bits at once")
		}
		mark(0, 5, 9)
		mark(0, 4, 10) // by whom the lease was lost
		mark(5, 6, 8200)
		mark(6, 7, 11)
		pages, err := s.StatusPages(t.Context(), b.List)
		if err != nil || len(pages) != 2 || pages[0][1] != 0b1010 || pages[1][1] != 1 {
			t.Errorf("the bits are %v, %v", pages, err)
		}
		if version, err := s.StatusList(t.Context(), b.List); version != 3 || err != nil {
			t.Errorf("the version is %d, %v", version, err)
		}
		claims("a", 0)
		if seq, mine := claims("b", time.Minute); seq != 7 || !mine {
			t.Errorf("the next is told %d, %t", seq, mine)
		}
		now = now.Add(2 * time.Minute)
		if _, mine := claims("c", time.Minute); !mine {
			t.Error("who died keeps it")
		}
		// What nobody needs any more goes, its bits first.
		now = now.Add(status.Open + 26*time.Hour)
		for more := true; more; {
			if more, err = s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if pages, err := s.StatusPages(t.Context(), b.List); err != nil || len(pages) > 0 {
			t.Errorf("the bits stay: %v, %v", pages, err)
		}
	})
}
