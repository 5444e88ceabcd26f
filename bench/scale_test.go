package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What -scale measures, but for the purge, which the server begins once a minute.
func TestScale(t *testing.T) {
	t.Parallel()
	document := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(document, []byte(scaleBegin+"\n"+tablesEnd+"\n\n"+tablesBegin+"\nkept\n"+tablesEnd+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{
		"-scale", "-db", "sqlite", "-for", "100ms", "-runs", "1", "-connections", "2", "-users", "4", "-active", "4", "-growth", "50", "-families", "30", "-sessions", "20",
		"-path", "refresh-spread", "-binary", os.Args[0], "-limit", "1m", "-markdown", document,
	})
	if err != nil {
		t.Fatal(err)
	}
	o.idle, o.starts, o.warm, o.expiring, o.slice = 0, 1, 20*time.Millisecond, 0, 100*time.Millisecond
	b := &bench{options: o, started: time.Now(), out: io.Discard}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| `refresh-spread` | sqlite   | 4 ", "| `refresh-spread` | sqlite   | 50 ", "| sqlite, 50 accounts | 51 ", "kept"} { // and an administrator
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	rows := map[string]int64{}
	for _, z := range b.scaled[0].sizes {
		if rows[z.table] = z.rows; z.rows > 0 && (z.data == 0 || z.indexes == 0) {
			t.Errorf("%+v", z)
		}
	}
	if rows["users"] != 51 || rows["token_families"] != 34 || rows["sessions"] != 24 { // with those of who is active
		t.Errorf("the rows are %v", rows)
	}
}

// Clients that ask several servers are divided among them, and the figures are of all.
func TestTogether(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-db", "sqlite", "-for", "600ms", "-connections", "4", "-users", "4", "-active", "4", "-binary", os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	o.idle, o.starts, o.warm, o.slice = 0, 1, 20*time.Millisecond, 400*time.Millisecond
	b := &bench{options: o, started: time.Now(), out: io.Discard, dir: t.TempDir()}
	defer func() {
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.setUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := b.sites[0]
	second, addr, err := b.replica(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.stop(); err != nil {
			t.Error(err)
		}
	}()
	m, err := b.together(t.Context(), s, []*process{&s.process, second}, []string{s.addr, addr}, times(4, get(s.addr, "/healthz", "")))
	if err != nil || m.Rate <= 0 || m.P99 <= 0 || m.CPU <= 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := b.together(t.Context(), s, []*process{&s.process, second}, []string{s.addr, addr}, times(4, get(s.addr, "/nothing", ""))); err == nil {
		t.Error("wrong answers are no error")
	}
	r, err := b.paced(t.Context(), s)
	if err != nil || r.Requests < 10 || r.Requests > 210 { // a busy machine does fewer
		t.Errorf("%d refreshes in 400 ms, %v; 500 a second were asked for", r.Requests, err)
	}
}

func TestScaleTables(t *testing.T) {
	t.Parallel()
	b := &bench{scaled: []*scaled{{
		site: &site{db: postgres, users: 1000}, sizes: []size{{"users", 1000, 273_000, 131_000}},
		purge: &purge{rows: 400_000, took: 106 * time.Second, calm99: time.Millisecond, during99: 2 * time.Millisecond, worst99: 3 * time.Millisecond},
		fleet: []fleet{{2, "refresh-spread", measure{Rate: 1234}}},
	}}}
	text := strings.Join(strings.Fields(b.scaleTables()), " ")
	for _, want := range []string{"| 1,000 | 273 | 131 | 0.4 |", "| 400,000 | 1m46s |", "| 1.00 | | 2.00 | 3.00 |", "| 2 | `refresh-spread` | 1,234 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
	for _, args := range [][]string{{"-scale"}, {"-scale", "-growth", "5000", "-profile", "cpu"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}
