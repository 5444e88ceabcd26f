package storetest

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
)

// Witness looks at a database past the store and its faults.
type Witness struct {
	db     *sql.DB
	tables string // the statement that lists them
	empty  Dump   // of no rows at all, once it is known
	filled string // the statement that lists those that have rows
}

// NewWitness opens a database that a store has migrated.
func NewWitness(t testing.TB, dsn string) *Witness {
	t.Helper()
	w := &Witness{tables: `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`}
	var err error
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		w.tables = `SELECT name FROM sqlite_master WHERE type = 'table'`
		w.db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	} else {
		w.db, err = sql.Open("pgx", dsn)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.db.SetMaxOpenConns(1)
	t.Cleanup(func() { w.db.Close() })
	return w
}

// Postgres reports whether the database is PostgreSQL.
func (w *Witness) Postgres() bool { return strings.Contains(w.tables, "pg_tables") }

// Exec runs a statement that both databases know.
func (w *Witness) Exec(t testing.TB, statement string) {
	t.Helper()
	if _, err := w.db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Number returns what a statement counts.
func (w *Witness) Number(t testing.TB, statement string) int64 {
	t.Helper()
	var n int64
	if err := w.db.QueryRowContext(t.Context(), statement).Scan(&n); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return n
}

// Row is one row, by column. Bytes are in hex, and NULL is not there.
type Row map[string]string

// Dump is all that a database holds, by table.
type Dump map[string][]Row

// Dump reads all tables but that of the migrations. Of most it is enough to be told,
// by one statement for all, that they are empty.
func (w *Witness) Dump(t testing.TB) Dump {
	t.Helper()
	if w.empty == nil {
		w.list(t)
	}
	d := maps.Clone(w.empty) // a table that is empty is compared, too
	var names []string
	if err := w.each(t, w.filled, func(r Row) { names = append(names, r["name"]) }); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := w.each(t, `SELECT * FROM `+name, func(r Row) { d[name] = append(d[name], r) }); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// list looks up which tables there are.
func (w *Witness) list(t testing.TB) {
	t.Helper()
	w.empty = Dump{"audit_events": nil} // the view of the two tables that hold them
	if err := w.each(t, w.tables, func(r Row) { w.empty[r["tablename"]+r["name"]] = nil }); err != nil {
		t.Fatal(err)
	}
	var each []string
	for _, name := range []string{"migrations", "audit_leaves", "audit_packs", "audit_names"} {
		delete(w.empty, name)
	}
	for name := range w.empty {
		each = append(each, `SELECT '`+name+`' AS name WHERE EXISTS (SELECT 1 FROM `+name+`)`)
	}
	w.filled = strings.Join(each, " UNION ALL ")
}

func (w *Witness) each(t testing.TB, statement string, f func(Row)) error {
	rows, err := w.db.QueryContext(t.Context(), statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row := Row{}
		for i, v := range values {
			switch v := v.(type) {
			case nil:
			case []byte:
				row[columns[i]] = hex.EncodeToString(v)
			default:
				row[columns[i]] = fmt.Sprint(v)
			}
		}
		f(row)
	}
	return rows.Err()
}

// keys are the columns by which a row is known before and after a change.
var keys = map[string][]string{
	"audit_counts": {"minute", "credential", "action", "outcome"},
	"audit_tiles":  {"level", "n"}, "audit_checkpoints": {"size"},
	"organization_members": {"organization", "principal"}, "groups": {"name"}, "conditions": {"name"}, "separations": {"name"}, "members": {"principal", "group_name"}, "api_key_uses": {"id", "day"},
	"attempts": {"subject", "device"}, "marks": {"name"}, "once": {"key"}, "peppers": {"purpose", "version"}, "roles": {"name"},
	"ssf_subjects": {"stream", "key"}, "codes": {"hash"}, "consents": {"user_id", "client_id", "audience"},
}

// telling are the columns whose values say what happened: they are the same
// however often it happens. Of others it is told only that they changed.
var telling = map[string][]string{
	"audit_events": {"action", "outcome"}, "changes": {"topic"}, "clients": {"status", "version"}, "conditions": {"version"}, "resources": {"access_ttl", "version"}, "groups": {"version"},
	"api_keys":       {"ended", "version"},
	"token_families": {"generation", "ended_why", "grace_salt"}, "users": {"status", "version"},
	"ssf_streams": {"status", "version"}, "ssf_events": {"kind"}, "sessions": {"ended_why"}, "outbox": {"kind"},
	"authorization_requests": {"decision"}, "codes": {"failures"}, "consents": {"scope"},
}

// aside are the columns that a poll of the change feed writes, in a transaction
// of its own.
var aside = map[string]string{"changes": "seq", "feed": "head"}

// Since returns what is different from an earlier dump, a line for each row, in
// words that are the same however often the same is done: "+ audit_events
// action=token.refreshed outcome=success".
func (d Dump) Since(before Dump) []string {
	var lines []string
	for table := range d {
		old, now := before.byKey(table), d.byKey(table)
		for key, row := range now {
			was, there := old[key]
			switch {
			case !there:
				lines = append(lines, "+ "+table+row.told(table))
			case !maps.Equal(was, row):
				lines = append(lines, "~ "+table+row.told(table)+" changed: "+strings.Join(was.differs(row), " "))
			}
		}
		for key, row := range old {
			if _, there := now[key]; !there {
				lines = append(lines, "- "+table+row.told(table))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func (d Dump) byKey(table string) map[string]Row {
	columns, ok := keys[table]
	if !ok {
		columns = []string{"id"}
	}
	rows := make(map[string]Row, len(d[table]))
	for _, row := range d[table] {
		var key strings.Builder
		for _, c := range columns {
			key.WriteString(row[c] + "\x00")
		}
		plain := maps.Clone(row)
		delete(plain, aside[table])
		rows[key.String()] = plain
	}
	return rows
}

func (r Row) differs(from Row) []string {
	columns := maps.Clone(r)
	maps.Copy(columns, from)
	var names []string
	for column := range columns {
		if r[column] != from[column] {
			names = append(names, column)
		}
	}
	slices.Sort(names)
	return names
}

func (r Row) told(table string) string {
	var b strings.Builder
	for _, column := range telling[table] {
		value := r[column]
		if column == "grace_salt" && value != "" {
			value = "set"
		}
		b.WriteString(" " + column + "=" + value)
	}
	return b.String()
}

// Check holds what is true of every state that a reader can see: each event's
// columns repeat its bytes, its private parts are there and are those whose
// digests it holds, and the change feed has no gap. Only where somebody was
// erased may private parts be missing: all of his.
func (d Dump) Check(t testing.TB) {
	t.Helper()
	erased := map[string]bool{}
	for _, r := range d["audit_events"] {
		if r["action"] == string(audit.UserErased) {
			erased[r["target"]] = true
		}
	}
	for _, r := range d["audit_events"] {
		var e struct {
			ID, At, Action, Outcome, Actor, Target string
			Private                                []string
		}
		if err := json.Unmarshal(unhex(t, r["data"]), &e); err != nil {
			t.Errorf("event %s: %v", r["id"], err)
		}
		at := clock.FromMicro(number(t, r["at"])).Format(audit.TimeFormat)
		if e.ID != r["id"] || e.At != at || e.Action != r["action"] || e.Outcome != r["outcome"] || e.Actor != r["actor"] || e.Target != r["target"] {
			t.Errorf("event %s does not repeat its bytes: %v, %+v", r["id"], r, e)
		}
		parts := r.Parts(t)
		for _, p := range parts {
			if erased["user:"+p.Person] {
				t.Errorf("event %s (%s): a private part of %s, who was erased, is still there", e.ID, e.Action, p.Person)
			}
			if p.Number >= len(e.Private) || hex.EncodeToString(p.Digest()) != e.Private[p.Number] {
				t.Errorf("event %s (%s): private part %d has another digest", e.ID, e.Action, p.Number)
			}
		}
		if len(parts) != len(e.Private) && len(erased) == 0 {
			t.Errorf("event %s (%s): of its private parts %d are there", e.ID, e.Action, len(parts))
		}
	}
	d.checkFeed(t)
}

// Parts returns the private parts in a row of an event.
func (r Row) Parts(t testing.TB) []audit.StoredPart {
	t.Helper()
	parts, err := audit.DecodeParts(r["private"])
	if err != nil {
		t.Errorf("event %s: %v", r["id"], err)
	}
	return parts
}

// Parts returns how many private parts there are of a person; of all for "*".
func (d Dump) Parts(t testing.TB, person string) (n int64) {
	t.Helper()
	for _, r := range d["audit_events"] {
		for _, p := range r.Parts(t) {
			if person == "*" || p.Person == person {
				n++
			}
		}
	}
	return n
}

// checkFeed holds that numbers are given without a gap, up to the head.
func (d Dump) checkFeed(t testing.TB) {
	t.Helper()
	var seqs []int64
	for _, r := range d["changes"] {
		if r["seq"] != "" {
			seqs = append(seqs, number(t, r["seq"]))
		}
	}
	slices.Sort(seqs)
	head := number(t, d["feed"][0]["head"])
	for i, seq := range seqs {
		if want := head - int64(len(seqs)-1-i); seq != want {
			t.Errorf("the feed's head is %d, and number %d of %d changes is %d, want %d", head, i+1, len(seqs), seq, want)
			return
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
