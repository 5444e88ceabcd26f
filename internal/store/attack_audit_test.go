package store_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// ann is the account of most events: its id is one.
const ann = "06eadcervsh0om6j6juveoab6k"

// fillLog writes events with and without private parts, and gives them leaves.
func fillLog(t testing.TB, w *storetest.Witnessed, n int) {
	t.Helper()
	by := principal.Principal{Kind: principal.User, ID: ann, Origin: principal.Origin{RequestID: "r", Address: "192.0.2.7", UserAgent: "agent"}}
	from := time.Now().Add(-time.Duration(n) * time.Millisecond) // a millisecond each: ids sort as they are made
	for i := range n {
		at := from.Add(time.Duration(i) * time.Millisecond)
		e := audit.Now(by, at, audit.TokenRefreshed, fmt.Sprint("family:", i))
		switch i % 4 {
		case 1:
			e = audit.Now(storetest.Operator, at, audit.UserUpdated, "user:bea").About("bea", map[string]string{"name": "Bea"})
		case 2:
			e = e.About("bea", map[string]string{"name": "Bea"})
		case 3:
			e = audit.Now(principal.Principal{Origin: by.Origin}, at, audit.LoginFailed, "").Because(audit.Failure, "unknown")
		}
		if err := w.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	w.SequenceAll(t, 100)
}

// tampering is a change past the store, and what verify says of it.
type tampering struct {
	statements []string // ; bit flips one bit of a column of BYTEA
	want       string   // in the report
}

// flipped is a statement that changes one byte in the middle of bytes.
func flipped(w *storetest.Witness, table, column, where string) string {
	if w.Postgres() {
		return fmt.Sprintf(`UPDATE %s SET %s = set_byte(%[2]s, length(%[2]s) / 2, get_byte(%[2]s, length(%[2]s) / 2) # 1) WHERE %[3]s`, table, column, where)
	}
	return fmt.Sprintf(`UPDATE %s SET %s = CAST(substr(%[2]s, 1, length(%[2]s) / 2) || x'07' || substr(%[2]s, length(%[2]s) / 2 + 2) AS BLOB) WHERE %[3]s`, table, column, where)
}

func tamperings(w *storetest.Witness) map[string]tampering {
	swap := []string{
		`UPDATE audit_leaves SET leaf = -1 WHERE leaf = 20`, `UPDATE audit_leaves SET leaf = 20 WHERE leaf = 21`, `UPDATE audit_leaves SET leaf = 21 WHERE leaf = -1`,
	}
	replaced := func(leaf int, old, with string) []string {
		return []string{fmt.Sprintf(`UPDATE audit_leaves SET private = replace(private, '%s', '%s') WHERE leaf = %d`, old, with, leaf)}
	}
	copied := func(leaf string) string {
		return `INSERT INTO audit_leaves (leaf, id, at, action, outcome, actor, target, data, private) SELECT ` + leaf + `, 'x', at, action, outcome, actor, target, data, private FROM audit_leaves WHERE leaf = 7`
	}
	return map[string]tampering{
		"data":                      {[]string{flipped(w, "audit_leaves", "data", "leaf = 7")}, "leaf 7, event"},
		"id":                        {[]string{`UPDATE audit_leaves SET id = '0' || substr(id, 2, 24) || 'v' WHERE leaf = 7`}, "leaf 7, event"},
		"at":                        {[]string{`UPDATE audit_leaves SET at = at + 1 WHERE leaf = 7`}, "the column at"},
		"action":                    {[]string{`UPDATE audit_leaves SET action = 'login.succeeded' WHERE leaf = 7`}, "the column action"},
		"outcome":                   {[]string{`UPDATE audit_leaves SET outcome = 'success' WHERE leaf = 7`}, "the column outcome"},
		"actor":                     {[]string{`UPDATE audit_leaves SET actor = 'user:eve' WHERE leaf = 7`}, "the column actor"},
		"target":                    {[]string{`UPDATE audit_leaves SET target = 'user:eve' WHERE leaf = 7`}, "the column target"},
		"leaf":                      {[]string{`UPDATE audit_leaves SET leaf = 100000 WHERE leaf = 7`}, "leaf 7: the event is not there"},
		"leaf taken away":           {[]string{w.Unsequence(`leaf = 7`), `DELETE FROM audit_leaves WHERE leaf = 7`}, "leaf 7: the event is not there"},
		"reordered":                 {swap, "leaf 20, event"},
		"dropped":                   {[]string{`DELETE FROM audit_leaves WHERE leaf = 30`}, "leaf 30: the event is not there"},
		"the first dropped":         {[]string{`DELETE FROM audit_leaves WHERE leaf = 0`}, "leaf 0: the event is not there"},
		"the last dropped":          {[]string{`DELETE FROM audit_leaves WHERE leaf = 299`}, "leaf 299: the event is not there"},
		"all dropped":               {[]string{`DELETE FROM audit_leaves`}, "leaf 0: the event is not there"},
		"inserted":                  {[]string{copied(`300`)}, "leaf 300"},
		"inserted before the first": {[]string{copied(`-7`)}, "below that of the first leaf"},
		"private data":              {replaced(8, `192.0.2.7`, `192.0.2.8`), "leaf 8, event"},
		"private salt":              {replaced(8, `"salt":"`, `"salt":"AAAA`), "leaf 8, event"},
		"private person":            {replaced(8, ann, `eve`), "its private part 0 is kept under another person"},
		"private person of another": {replaced(12, ann, `bea`), "its private part 0"},
		"private persons swapped":   {append(append(replaced(10, `"bea"`, `"x"`), replaced(10, ann, `bea`)...), replaced(10, `"x"`, `"`+ann+`"`)...), "leaf 10, event"},
		"private part":              {replaced(8, `"part":0`, `"part":1`), "leaf 8, event"},
		"private of another event":  {[]string{`UPDATE audit_leaves SET private = (SELECT private FROM audit_leaves WHERE leaf = 8) WHERE leaf = 4`}, "leaf 4, event"},
		"private dropped":           {[]string{`UPDATE audit_leaves SET private = '' WHERE leaf = 8`}, "no event says that its person was erased"},
		"private of nobody":         {[]string{`UPDATE audit_leaves SET private = '' WHERE private LIKE '%"person":""%'`}, "no event says that its person was erased"},
		"private garbled":           {[]string{`UPDATE audit_leaves SET private = 'x' WHERE leaf = 8`}, "what it tells of persons cannot be read"},
		"private spelled":           {replaced(8, ann, `\u0030`+ann[1:]), "what it tells of persons cannot be read"},
		"private and more":          {replaced(8, `"part":0`, `"more":"x","part":0`), "what it tells of persons cannot be read"},
		"private twice":             {replaced(8, `[{`, `[{"part":0,"person":"`+ann+`","salt":"","data":""},{`), "leaf 8, event"},
		"a part more":               {replaced(8, `[{`, `[{"part":9,"person":"","salt":"","data":""},{`), "of which its bytes know nothing"},
		"target not found":          {[]string{`DELETE FROM audit_names WHERE name = 'family:8'`}, "leaf 8, event"},
		"actor not found":           {[]string{`DELETE FROM audit_names WHERE name = 'user:` + ann + `'`}, "the index of names does not lead to it"},
		"person not found":          {[]string{`DELETE FROM audit_names WHERE name = 'person:bea'`}, "leaf 2, event"},
		"tile":                      {[]string{flipped(w, "audit_tiles", "hashes", "level = 0 AND n = 0")}, "leaf 128, event"},
		"tile at the edge":          {[]string{flipped(w, "audit_tiles", "hashes", "level = 0 AND n = 1")}, "leaf 278, event"},
		"tile above":                {[]string{flipped(w, "audit_tiles", "hashes", "level = 1")}, "the tile 1/0 of the tree does not follow"},
		"tile dropped":              {[]string{`DELETE FROM audit_tiles WHERE level = 0 AND n = 1`}, "leaf 256"},
		"tile above gone":           {[]string{`DELETE FROM audit_tiles WHERE level = 1`}, "the tile 1/0 of the tree is not there"},
		"tile moved":                {[]string{`UPDATE audit_tiles SET n = 7 WHERE level = 0 AND n = 0`}, "leaf 0"},
		"note":                      {[]string{flipped(w, "audit_checkpoints", "note", "size = 300")}, "the checkpoint of 300 leaves"},
		"size of a note":            {[]string{`UPDATE audit_checkpoints SET size = 250 WHERE size = 300`}, "its newest checkpoint is of 250"},
		"notes gone":                {[]string{`DELETE FROM audit_checkpoints`}, "its newest checkpoint is of 0"},
		"size of the log":           {[]string{`UPDATE audit_log SET size = 299`}, "its newest checkpoint is of 300"},
		"no log":                    {[]string{`DELETE FROM audit_log`}, "is not there"},
		"a size beyond all":         {[]string{`UPDATE audit_log SET size = 9223372036854775807`, `UPDATE audit_checkpoints SET size = 9223372036854775807 WHERE size = 300`}, "its tree has no more than 512"},
		"moved below":               {[]string{`UPDATE audit_leaves SET leaf = -7 WHERE leaf = 7`}, "leaf 7: the event is not there"},
		"another log":               {[]string{`UPDATE audit_log SET origin = 'evil.example/audit'`}, "is of the log"},
		"emptied": {[]string{
			`DELETE FROM audit_leaves`, `DELETE FROM audit_tiles`, `DELETE FROM audit_checkpoints`, `UPDATE audit_log SET size = 0`,
		}, "the last were dropped"},
	}
}

// Whatever is changed in the rows of the log is found, and the first event that is
// not as it was is named (AUD-004).
func TestAttackAUD004Tampering(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		past := storetest.NewWitness(t, dsn)
		fillLog(t, w, 300)
		kept, err := w.AuditCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r := w.Verify(t, kept); r.Problem != nil || r.Events != 300 || r.Newest.Size != 300 {
			t.Fatalf("as it was written: %+v", r)
		}
		tables := []string{"audit_leaves", "audit_packs", "audit_names", "audit_tiles", "audit_checkpoints", "audit_log"}
		for _, table := range tables {
			past.Exec(t, `CREATE TABLE kept_`+table+` AS SELECT * FROM `+table)
		}
		for name, attack := range tamperings(past) {
			for _, s := range attack.statements {
				past.Exec(t, s)
			}
			r := w.Verify(t, kept)
			if r.Problem == nil || !strings.Contains(r.Problem.Error(), attack.want) {
				t.Errorf("%s: %v, want %q", name, r.Problem, attack.want)
			}
			for _, table := range tables {
				past.Exec(t, `DELETE FROM `+table)
				past.Exec(t, `INSERT INTO `+table+` SELECT * FROM kept_`+table)
			}
		}
		if r := w.Verify(t, kept); r.Problem != nil {
			t.Errorf("put back as it was: %v", r.Problem)
		}
	})
}

// Who has the database and the key can write another log, which agrees with
// itself. It does not with a checkpoint that was kept elsewhere (AUD-004).
func TestAttackAUD004AnotherPast(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		past := storetest.NewWitness(t, dsn)
		fillLog(t, w, 300)
		kept, err := w.AuditCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, drop := range map[string]string{"the last": `= 299`, "one within": `= 7`} {
			for _, s := range []string{
				`DELETE FROM audit_leaves WHERE leaf ` + drop, `DELETE FROM audit_tiles`, `DELETE FROM audit_checkpoints`,
				past.Unsequence(`true`), `DELETE FROM audit_leaves`, `UPDATE audit_log SET size = 0`,
			} {
				past.Exec(t, s)
			}
			w.SequenceAll(t, 1000)
			if r := w.Verify(t, nil); r.Problem != nil {
				t.Errorf("%s: it was to agree with itself: %v", name, r.Problem)
			}
			if r := w.Verify(t, kept); r.Problem == nil || r.Problem.Leaf < 0 {
				t.Errorf("%s: nobody saw that it was dropped: %+v", name, r.Problem)
			}
			fillLog(t, w, 40) // the log goes on, and is longer than it was
			if r := w.Verify(t, kept); r.Problem == nil {
				t.Errorf("%s: nobody saw it later", name)
			}
		}
	})
}

// What may be missing is, without a word of alarm: persons that were erased, and
// events whose time was over.
func TestErasedAndRetired(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var ahead atomic.Int64
		c := clock.Func(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Clock: c}))
		past := storetest.NewWitness(t, dsn)
		fillLog(t, w, 1300)
		kept, err := w.AuditCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Erase(t.Context(), storetest.Operator, ann); err != nil {
			t.Fatal(err)
		}
		if r := w.Verify(t, kept); r.Problem != nil || r.Erased != 650 { // while the event waits
			t.Errorf("erased: %v, %d parts", r.Problem, r.Erased)
		}
		w.SequenceAll(t, 100)
		if n, err := w.Tells(t.Context(), ann); err != nil || n != 0 {
			t.Errorf("%d parts tell of who was erased: %v", n, err)
		}
		if r := w.Verify(t, kept); r.Problem != nil || r.Erased != 650 {
			t.Errorf("erased: %v, %d parts", r.Problem, r.Erased)
		}
		past.Exec(t, `CREATE TABLE others AS SELECT * FROM audit_leaves WHERE private <> ''`)
		past.Exec(t, `UPDATE audit_leaves SET private = ''`)
		if r := w.Verify(t, kept); r.Problem == nil {
			t.Error("somebody else's parts may go too")
		}
		past.Exec(t, `DELETE FROM audit_leaves WHERE id IN (SELECT id FROM others)`)
		past.Exec(t, `INSERT INTO audit_leaves SELECT * FROM others`)

		retire := func(keep time.Duration) {
			t.Helper()
			for range 3 { // once to say it, once to do it
				for more, err := true, error(nil); more; {
					if more, err = w.RetireEvents(t.Context(), keep); err != nil {
						t.Fatal(err)
					}
					if r := w.Verify(t, kept); r.Problem != nil { // in the middle of it
						t.Fatal(r.Problem)
					}
				}
				w.SequenceAll(t, 100)
			}
		}
		retire(time.Hour)
		if r := w.Verify(t, kept); r.Problem != nil || r.Events != 1301 {
			t.Errorf("nothing is old: %v, %d events", r.Problem, r.Events)
		}
		ahead.Store(int64(30 * time.Minute))
		fillLog(t, w, 10)
		ahead.Store(int64(3 * time.Hour))
		retire(time.Hour)
		r := w.Verify(t, kept)
		if r.Problem != nil || r.Events > 5 || r.Events < 1 {
			t.Errorf("retired: %v, %d events are there", r.Problem, r.Events)
		}
		if n := past.Dump(t).Parts(t, "*"); n > 2 {
			t.Errorf("%d private parts are left of %d events", n, r.Events)
		}
		if _, _, _, err := audit.NewProver(w.Store).Inclusion(t.Context(), 7, r.Size); err != nil {
			t.Errorf("the proof of an event whose time was over: %v", err)
		}
		past.Exec(t, `DELETE FROM audit_leaves WHERE leaf = (SELECT MIN(leaf) FROM audit_leaves)`)
		if r := w.Verify(t, kept); r.Problem == nil {
			t.Error("more may be retired than was said")
		}
	})
}

// The order of the log is that of its leaves, whatever the clock does (AUD-008).
func TestAttackAUD008ClockSteps(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		past := storetest.NewWitness(t, dsn)
		base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
		for i, step := range []time.Duration{0, time.Hour, -time.Hour, 0, -2 * time.Hour, 3 * time.Hour} {
			e := audit.Now(storetest.Operator, base.Add(step), audit.UserUpdated, fmt.Sprint("role:", i))
			if err := w.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			w.SequenceAll(t, 10)
			got := past.Number(t, fmt.Sprintf(`SELECT leaf FROM audit_events WHERE target = 'role:%d'`, i))
			at := past.Number(t, fmt.Sprintf(`SELECT at FROM audit_events WHERE target = 'role:%d'`, i))
			if got != int64(i) || at != base.Add(step).UnixMicro() {
				t.Errorf("event %d, at %v, has leaf %d and the time %d", i, step, got, at)
			}
		}
		if r := w.Verify(t, nil); r.Problem != nil || r.Size != 6 {
			t.Errorf("%+v", r)
		}
	})
}

// A server that is cut off at any statement of a batch leaves the tree as it was
// or as it is to be; the next one goes on, and nothing is lost, doubled or out of
// its order (AUD-006).
func TestAttackAUD006SequencingFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{Wrap: f.Wrap}))
		other := &storetest.Witnessed{Store: storetest.Open(t, dsn, store.Options{}), Signer: w.Signer}
		events := 0
		write := func() {
			t.Helper()
			f.Use(nil)
			for range 3 {
				if err := w.Record(t.Context(), audit.Now(storetest.Operator, time.Now(), audit.UserUpdated, fmt.Sprint("role:", events))); err != nil {
					t.Fatal(err)
				}
				events++
			}
		}
		for _, kind := range []storetest.Fault{
			{Err: errors.New("injected")}, {Err: driver.ErrBadConn}, {Err: io.ErrUnexpectedEOF, Done: true}, {Err: &pgconn.PgError{Code: "40001"}},
		} {
			for step := 0; ; step++ {
				write()
				st, err := w.LogState(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				epoch, err := w.TakeLog(t.Context(), "w", st)
				if err != nil {
					t.Fatal(err)
				}
				n, failed := 0, false
				f.Use(func(storetest.Step) storetest.Fault {
					if n++; n == step+1 {
						failed = true
						return kind
					}
					return storetest.Fault{}
				})
				_, err = w.Sequence(t.Context(), epoch, "", 100, w.Sign)
				f.Use(nil)
				if !failed && err != nil {
					t.Fatal(err)
				}
				other.SequenceAll(t, 2)
				if r := other.Verify(t, nil); r.Problem != nil || r.Size != int64(events) || r.Events != r.Size {
					t.Fatalf("%v at step %d: %+v, want %d events", kind, step, r, events)
				}
				if !failed {
					break
				}
			}
		}
	})
}

// Two servers on one database: one gives leaves, and who has lost that does not.
func TestTwoSequencers(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		other := storetest.Open(t, dsn, store.Options{})
		st, err := w.LogState(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		first, err := w.TakeLog(t.Context(), "one", st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.TakeLog(t.Context(), "two", st); fault.KindOf(err) != fault.Conflict {
			t.Errorf("taken twice: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		var written atomic.Int64
		for i := range 4 {
			s := []*store.Store{w.Store, other}[i%2]
			work.Go(func() {
				for ctx.Err() == nil {
					if s.Record(context.WithoutCancel(ctx), audit.Now(storetest.Operator, time.Now(), audit.UserUpdated, "role:x")) == nil {
						written.Add(1)
					}
					time.Sleep(5 * time.Millisecond) // two SQLite writers that never rest starve each other
				}
			})
		}
		for i := range 30 {
			s, name := []*store.Store{w.Store, other}[i%2], fmt.Sprint("server", i%2)
			if st, err = s.LogState(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			epoch, err := s.TakeLog(t.Context(), name, st)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Sequence(t.Context(), first, "", 10, w.Sign); fault.KindOf(err) != fault.Conflict {
				t.Errorf("who has lost it gives leaves: %v", err)
			}
			if _, err := s.Sequence(t.Context(), epoch, "", 50, w.Sign); err != nil {
				t.Error(err)
			}
		}
		stop()
		work.Wait()
		w.SequenceAll(t, 500)
		if r := w.Verify(t, nil); r.Problem != nil || r.Events != written.Load() {
			t.Errorf("%v: %d events of %d", r.Problem, r.Events, written.Load())
		}
	})
}
