package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/bench/seed"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/load"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// TestMain lets the test's program be the programs that the benchmark starts:
// its children, and the Doorward that is measured.
func TestMain(m *testing.M) {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch command {
	case childCommand:
		err = child(ctx, os.Args[2:], os.Stdin, os.Stdout)
	case "init", "serve":
		err = doorward(ctx, command)
	case "peer":
		err = servePeer(ctx)
	default:
		m.Run()
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stopped above
	}
}

func doorward(ctx context.Context, command string) error {
	c, err := config.Read(config.Sources{Mode: config.Serve, Environ: os.Environ()})
	if err != nil {
		return err
	}
	log, flush := server.NewLog(c.Log, os.Stderr)
	defer flush()
	core, err := server.NewCore(ctx, c, log)
	if err != nil {
		return err
	}
	defer core.Close()
	if command == "init" {
		return administrator(ctx, core)
	}
	s, err := server.New(core, "test")
	if err != nil {
		return err
	}
	l, err := s.Listen()
	if err != nil {
		return err
	}
	return s.Run(ctx, l)
}

// administrator makes the account that signs in where something is registered.
func administrator(ctx context.Context, core *server.Core) error {
	by := principal.Principal{Kind: principal.CLI, ID: "bench"}
	hash, err := core.Hasher.Hash(ctx, "bench", secret.From(seed.Password))
	if err != nil {
		return err
	}
	u, err := core.Accounts.Create(ctx, by, account.Draft{Username: "admin", Email: "admin@example.com", Hash: hash})
	if err != nil {
		return err
	}
	_, err = core.Roles.Give(ctx, by, u.ID, rbac.AdminRole, time.Time{}, "")
	return err
}

func TestBench(t *testing.T) {
	document := filepath.Join(t.TempDir(), "performance.md")
	figures := filepath.Join(t.TempDir(), "figures.json")
	if err := os.WriteFile(document, []byte("# Speed\n\n"+tablesBegin+"\nold\n"+tablesEnd+"\nThe end.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{
		"-db", "sqlite", "-path", "jwks,guarded-first,me-spread,refresh", "-for", "200ms", "-runs", "2", "-connections", "4",
		"-users", "20", "-active", "10", "-growth", "40", "-markdown", document, "-json", figures, "-binary", os.Args[0], "-limit", "1m",
	})
	if err != nil {
		t.Fatal(err)
	}
	o.idle, o.starts, o.warm = 0, 2, 50*time.Millisecond
	b := &bench{options: o, started: time.Now(), out: io.Discard}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Speed\n", "\nThe end.\n", "| `constant` ", "| `rotate` ", "| `guarded-first` ", "% of `rotate`", "CPU-ms, 40 accounts", "start to ready"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "\nold\n") {
		t.Error("the old tables are still there")
	}
	var kept struct{ Rows []figure }
	if text, err = os.ReadFile(figures); err != nil || json.Unmarshal(text, &kept) != nil {
		t.Fatalf("%v: %s", err, text)
	}
	names := map[string]int{}
	for _, r := range kept.Rows {
		names[r.Name]++
		if len(r.Runs) != 2 || r.Median.Rate <= 0 || r.Median.Errors != 0 || (r.OfFloor > 0) != (r.Floor != "") {
			t.Errorf("%+v", r)
		}
	}
	if len(kept.Rows) != 8 || names["refresh"] != 1 || names["me-spread"] != 2 {
		t.Errorf("the rows are %v", names)
	}
	if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind", b.dir)
	}
}

// Every path that needs clients, applications or keys makes them, and gets right
// answers: a wrong one is an error of the run.
func TestServicePaths(t *testing.T) {
	figures := filepath.Join(t.TempDir(), "figures.json")
	paths := []string{"userinfo", "introspect-first", "introspect", "introspect-key", "credentials", "exchange", "code", "code-spread"}
	o, err := parse([]string{
		"-db", "sqlite", "-path", strings.Join(paths, ","), "-for", "200ms", "-runs", "1", "-connections", "2", "-users", "4", "-active", "4",
		"-json", figures, "-binary", os.Args[0], "-limit", "1m",
	})
	if err != nil {
		t.Fatal(err)
	}
	o.idle, o.starts, o.firsts, o.warm = 0, 1, 20, 50*time.Millisecond
	b := &bench{options: o, started: time.Now(), out: io.Discard}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var kept struct{ Rows []figure }
	if text, err := os.ReadFile(figures); err != nil || json.Unmarshal(text, &kept) != nil {
		t.Fatalf("%v: %s", err, text)
	}
	measured := map[string]bool{}
	for _, r := range kept.Rows {
		if r.Median.Rate > 0 && r.Median.Errors == 0 {
			measured[r.Name] = true
		}
	}
	for _, p := range paths {
		if !measured[p] {
			t.Errorf("%s is not measured: %+v", p, kept.Rows)
		}
	}
}

// A flow takes its code from where it is sent back to, and no other place.
func TestFlow(t *testing.T) {
	for place, want := range map[string]string{
		callback + "?code=abc&state=xyz": "abc", callback + "?iss=x&code=a%2Bc": "a+c", callback + "?error=login_required": "", callback: "",
		"/signin?code=abc": "", "https://evil.example.com/?code=abc": "", callback + "?code=%zz": "",
	} {
		if got := codeIn([]byte(place)); got != want {
			t.Errorf("%s: %q, want %q", place, got, want)
		}
	}
	v := &visitor{cookie: "doorward_session=s"}
	s := &site{addr: "127.0.0.1:1"}
	c := s.flow(registered{"app", "Basic YTpi"}, []*visitor{v})
	if got := c.Request(); !bytes.HasPrefix(got, []byte("GET /oauth2/authorize?")) || !bytes.Contains(got, []byte("\r\nCookie: doorward_session=s\r\n")) {
		t.Errorf("%s", got)
	}
	c.Header([]byte("location"), []byte(callback+"?code=abc"))
	if err := c.Answer(303, nil); err != nil {
		t.Error(err)
	}
	if got := c.Request(); !bytes.HasSuffix(got, []byte("&code=abc")) || !bytes.Contains(got, []byte("\r\nAuthorization: Basic YTpi\r\n")) {
		t.Errorf("%s", got)
	}
	if err := c.Answer(200, []byte(`{"access_token":"a","refresh_token":"r"}`)); err == nil {
		t.Error("an answer without an ID token was taken")
	}
	c = s.flow(registered{}, []*visitor{v})
	c.Request()
	if err := c.Answer(303, nil); err == nil {
		t.Error("an answer without a code was taken")
	}
	c = s.flow(registered{}, []*visitor{v})
	c.Request()
	c.Header([]byte("Location"), []byte("/signin?return_to=x"))
	if err := c.Answer(303, nil); err == nil {
		t.Error("the sign-in page was taken for a code")
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-db", "postgres", "-path", "me,refresh", "-users", "50"})
	if err != nil || fmt.Sprint(o.databases, o.paths, o.active) != "[postgres] [me refresh] 50" || o.command != "go run ./bench -db postgres -path me,refresh -users 50" {
		t.Errorf("%+v %v", o, err)
	}
	for _, args := range []string{
		"-db mysql", "-profile heap", "-runs 0", "-connections 0", "-for 0s", "-for -1s", "-users 8", "-active 8", "-growth 500", "-growth -1", "sqlite", "-nonsense",
	} {
		fs := flag.CommandLine.Output()
		flag.CommandLine.SetOutput(io.Discard)
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s was taken", args)
		}
		flag.CommandLine.SetOutput(fs)
	}
}

// Every path is held against a floor that is measured right before it.
func TestSubjects(t *testing.T) {
	floors := map[string]bool{}
	for _, s := range subjects {
		if floors[s.name] {
			t.Errorf("there are two %s", s.name)
		}
		if s.isFloor {
			floors[s.name] = true
		}
		if s.floor != "" && !floors[s.floor] {
			t.Errorf("%s comes before its floor %s", s.name, s.floor)
		}
		if t2 := s.target; s.floor == "" && (t2.rate > 0 || t2.times > 0) {
			t.Errorf("%s has a target without a floor", s.name)
		}
	}
	b := &bench{options: options{paths: []string{"me", "nothing"}}}
	if _, err := b.wanted(); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("an unknown path: %v", err)
	}
}

func rounds(rates ...float64) (list []measure) {
	for _, r := range rates {
		list = append(list, measure{Rate: r, CPU: time.Duration(1e9 / r), P99: time.Duration(r)})
	}
	return list
}

// The ratio is that of the runs, not of the medians: a minute in which the
// machine was slow for both counts as any other.
func TestRatioAndVerdict(t *testing.T) {
	floor := &row{subject: &subject{}, rounds: rounds(1000, 100, 1000)}
	r := &row{subject: &subject{target: target{rate: 0.7}}, floor: floor, rounds: rounds(800, 80, 80)}
	if got := r.ratio(rateOf); got != 0.8 {
		t.Errorf("the ratio is %f", got)
	}
	for _, tt := range []struct {
		target target
		asked  string
		met    bool
	}{
		{target{}, "[]", true},
		{target{rate: 0.8}, "[≥ 80 % of the floor]", true},
		{target{rate: 0.81}, "[≥ 81 % of the floor]", false},
		{target{times: 1.3}, "[CPU ≤ 1.3 × the floor's]", true},
		{target{times: 1.2}, "[CPU ≤ 1.2 × the floor's]", false},
		{target{cpu: 13 * time.Millisecond}, "[CPU ≤ 13.00 ms]", true},
		{target{cpu: 12 * time.Millisecond}, "[CPU ≤ 12.00 ms]", false},
		{target{p99: 80}, "[p99 ≤ 0 ms]", true},
		{target{p99: 79}, "[p99 ≤ 0 ms]", false},
		{target{rate: 0.5, cpu: time.Millisecond}, "[≥ 50 % of the floor CPU ≤ 1.00 ms]", false},
	} {
		r.subject = &subject{target: tt.target}
		if asked, met := r.verdict(); fmt.Sprint(asked) != tt.asked || met != tt.met {
			t.Errorf("%+v: %v %v", tt.target, asked, met)
		}
	}
}

func TestMedian(t *testing.T) {
	list := rounds(30, 10, 20)
	list[0].Errors, list[2].Errors = 1, 2
	m := median(list)
	if m.Rate != 20 || m.P99 != 20 || m.Errors != 3 {
		t.Errorf("%+v", m)
	}
	if m := median(rounds(4, 2, 3, 1)); m.Rate != 2.5 {
		t.Errorf("of four: %+v", m)
	}
	if m := median(nil); m != (measure{}) {
		t.Errorf("of none: %+v", m)
	}
}

func TestBetween(t *testing.T) {
	whole := "a\n" + tablesBegin + "\nold\n" + tablesEnd + "\nz\n"
	once, err := between(whole, tablesBegin, "new\n")
	if err != nil || !strings.Contains(once, "\nnew\n") || strings.Contains(once, "old") || !strings.HasPrefix(once, "a\n") || !strings.HasSuffix(once, "\nz\n") {
		t.Errorf("%q %v", once, err)
	}
	if twice, err := between(once, tablesBegin, "new\n"); err != nil || twice != once {
		t.Errorf("the second time: %q %v", twice, err)
	}
	for _, broken := range []string{"", "a\n", tablesBegin + "\n", tablesEnd + "\n" + tablesBegin + "\n"} {
		if got, err := between(broken, tablesBegin, "new\n"); err == nil {
			t.Errorf("%q became %q", broken, got)
		}
	}
}

func TestTable(t *testing.T) {
	got := table{{"a", "b"}, {"`x`", "≥ 70 %"}}.String()
	want := "| a   | b      |\n| --- | ------ |\n| `x` | ≥ 70 % |\n"
	if got != want {
		t.Errorf("%s", got)
	}
	for n, want := range map[int]string{0: "0", 12: "12", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

// A chain goes on with what it was given, and sees when that is nothing new.
func TestChain(t *testing.T) {
	f := &family{refresh: "one"}
	c := chain("127.0.0.1:1", "/refresh", []*family{f})
	if got := c.Request(); !bytes.HasSuffix(got, []byte("Content-Length: 17\r\n\r\nrefresh_token=one")) {
		t.Errorf("%s", got)
	}
	if err := c.Answer(200, []byte(`{"access_token":"a","refresh_token":"two"}`)); err != nil || f.refresh != "two" || f.access != "a" {
		t.Errorf("%+v %v", f, err)
	}
	if got := c.Request(); !bytes.HasSuffix(got, []byte("refresh_token=two")) {
		t.Errorf("%s", got)
	}
	for _, answer := range []string{``, `{}`, `{"access_token":"a"}`, `{"access_token":"a","refresh_token":""}`, `{"access_token":"a","refresh_token":"two"}`, `{"access_token":"a","refresh_token":"`} {
		if err := c.Answer(200, []byte(answer)); err == nil {
			t.Errorf("%s was taken", answer)
		}
	}
	if err := c.Answer(400, []byte(`{"access_token":"a","refresh_token":"three"}`)); err == nil || f.refresh != "two" {
		t.Errorf("an error was taken: %+v", f)
	}
}

func TestShares(t *testing.T) {
	w := &wallet{}
	for range 10 {
		w.families = append(w.families, &family{})
	}
	seen := map[*family]int{}
	w.each(4, all, func(list []*family) load.Client {
		for _, f := range list {
			seen[f]++
		}
		return load.Client{}
	})
	if len(seen) != 10 {
		t.Errorf("%d of 10 are somebody's", len(seen))
	}
	for _, n := range seen {
		if n != 1 {
			t.Error("two connections share a family")
		}
	}
}
