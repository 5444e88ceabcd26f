// Command bench measures Doorward against what its paths cost at the least.
//
//	go run ./bench -growth 1000000 -markdown docs/performance.md
//
// It builds the real binary, starts it as in production (durable database,
// audit log, one log line a request), and holds every path against a floor: a
// server or a loop that does only what the path cannot do without. Path and
// floor take turns in the same minutes, and what counts is their ratio: two
// figures of different minutes, or of different machines, say little.
//
// A wrong answer is a failed benchmark: the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(err, cause) // which signal it was
	}
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command runs the benchmark, or one of the programs that it starts beside
// itself.
func command(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) > 0 && args[0] == childCommand {
		return child(ctx, args[1:], stdin, stdout)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	b := &bench{options: o, started: time.Now(), out: stdout}
	return b.run(ctx)
}

// options are what the command line decides.
type options struct {
	databases   []string
	paths       []string
	counted     time.Duration // of one run
	warm        time.Duration // before it, where it needs no longer
	runs        int
	connections int
	users       int
	growth      int
	audit       bool // measure refresh without the audit log too
	peers       bool
	rivalry     []peer
	scale       bool
	asleep      int // families beside those of who is active, with -growth
	signedIn    int // browsers, with -growth
	slice       time.Duration
	expiring    int
	active      int
	profile     string
	folder      string // where profiles go
	binary      string
	json        string
	markdown    string
	limit       time.Duration
	idle        time.Duration // until an idle server is looked at
	firsts      int           // how many tokens are made to be seen for the first time
	starts      int           // how often a server is started to see how long that takes
	command     string        // as it was typed, for the document
}

func parse(args []string) (options, error) {
	o := options{rivalry: peers, slice: slice, expiring: expiring, idle: 5 * time.Second, starts: 10, firsts: 20_000, warm: 500 * time.Millisecond}
	var database, paths string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&database, "db", "both", "the databases: sqlite, postgres or both")
	fs.StringVar(&paths, "path", "", "only these paths, with commas; their names are the first column of the tables")
	fs.DurationVar(&o.counted, "for", 4*time.Second, "how long one run is counted")
	fs.IntVar(&o.runs, "runs", 3, "how many runs; the tables have their medians")
	fs.IntVar(&o.connections, "connections", 16, "how many connections the load comes over")
	fs.IntVar(&o.users, "users", 1000, "how many accounts there are")
	fs.IntVar(&o.growth, "growth", 0, "measure with this many accounts too, and compare")
	fs.BoolVar(&o.audit, "audit", false, "measure what the audit log costs a refresh: a build without it takes turns")
	fs.BoolVar(&o.peers, "peers", false, "measure servers that others wrote beside Doorward, instead of floors; npm and the Go proxy bring them")
	fs.BoolVar(&o.scale, "scale", false, "with -growth: measure what many accounts cost, what rows take, the purge, and several servers")
	fs.IntVar(&o.asleep, "families", 0, "with -growth: how many token families there are besides")
	fs.IntVar(&o.signedIn, "sessions", 0, "with -growth: how many browsers are signed in")
	fs.IntVar(&o.active, "active", 1000, "how many of the accounts are signed in")
	fs.StringVar(&o.profile, "profile", "", "profile each path: cpu, alloc or block; the figures are then worth less")
	fs.StringVar(&o.folder, "profiles", "bin/profiles", "the folder that profiles are written to")
	fs.StringVar(&o.binary, "binary", "", "measure this binary instead of building one")
	fs.StringVar(&o.json, "json", "", "write all figures to this file")
	fs.StringVar(&o.markdown, "markdown", "", "write the tables into this document, between its markers")
	fs.DurationVar(&o.limit, "limit", time.Hour, "give up after this long")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.command = strings.Join(append([]string{"go run ./bench"}, args...), " ")
	if o.scale {
		o.paths = scaledPaths
	}
	if paths != "" {
		o.paths = strings.Split(paths, ",")
	}
	switch database {
	case "both":
		o.databases = []string{sqlite, postgres}
	case sqlite, postgres:
		o.databases = []string{database}
	default:
		return o, fmt.Errorf("-db is sqlite, postgres or both, not %q", database)
	}
	o.active = min(o.active, o.users)
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", fs.Arg(0))
	}
	return o, o.check()
}

// check refuses what does not go together.
func (o options) check() error {
	switch o.profile {
	case "", "cpu", "alloc", "block":
	default:
		return fmt.Errorf("-profile is cpu, alloc or block, not %q", o.profile)
	}
	switch {
	case o.runs < 1 || o.connections < 1 || o.counted <= 0:
		return errors.New("-runs, -connections and -for are more than nothing")
	case o.active < o.connections:
		return errors.New("-active and -users are at least -connections")
	case o.peers && (o.growth != 0 || o.audit || o.profile != ""):
		return errors.New("-peers goes without -growth, -audit and -profile")
	case o.scale && (o.growth == 0 || o.profile != ""):
		return errors.New("-scale goes with -growth, and without -profile")
	case o.growth != 0 && o.growth <= o.users:
		return errors.New("-growth is more than -users")
	case o.peers:
		return contested(o.paths)
	}
	return nil
}
