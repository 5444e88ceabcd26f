// Command storm kills a server, again and again, while it is used, and holds
// what is left of it against what was promised.
//
//	go run ./internal/storm -db sqlite -kills 200
//
// The server is the real program, on SQLite or on a PostgreSQL of its own that
// waits for the disk. Its clients know what they were told, and hold the
// database and the server to it after each restart: nothing that was
// acknowledged is lost, nothing is there by half, a token family never forks, and
// the audit log, replayed, is what the tables hold. A promise that was not kept is
// printed with the requests that prove it, and the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/storm/program"
	"github.com/doorward/doorward/internal/testpg"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// command runs storms and returns the exit code.
func command(ctx context.Context, args []string, out io.Writer) int {
	fs := flag.NewFlagSet("storm", flag.ContinueOnError)
	fs.SetOutput(out)
	var o options
	db := fs.String("db", "both", "the database: sqlite, postgres or both")
	fs.IntVar(&o.kills, "kills", 200, "how often the server is killed")
	fs.BoolVar(&o.crashDB, "crash-db", false, "crash PostgreSQL too, a quarter of the times")
	fs.DurationVar(&o.ready, "ready", 2*time.Second, "within which the server must be ready again")
	fs.DurationVar(&o.follow, "follow", time.Second, "within which a server must follow what was committed elsewhere")
	replicas := fs.Int("replicas", 1, "with 2: two servers on one PostgreSQL, of which one or the other is killed")
	fs.StringVar(&o.binary, "binary", "", "the program, if it is not to be built")
	limit := fs.Duration("for", 20*time.Minute, "how long all of it may take")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	kinds := map[string][]string{"sqlite": {"sqlite"}, "postgres": {"postgres"}, "both": {"sqlite", "postgres"}}[*db]
	if kinds == nil || fs.NArg() > 0 || *replicas < 1 || *replicas > 2 {
		fs.Usage()
		return 2
	}
	if *replicas == 2 {
		kinds = []string{"replicas"}
	}
	within, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	code := 0
	for _, kind := range kinds {
		if err := weather(within, o, kind, out); err != nil {
			fmt.Fprintf(out, "storm: %v\n", err)
			code = 1
		}
	}
	return code
}

var errViolated = errors.New("a promise was not kept")

// weather runs one storm and prints its report.
func weather(ctx context.Context, o options, kind string, out io.Writer) (err error) {
	if o.folder, err = os.MkdirTemp("", "doorward-storm-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.folder)
	if o.binary == "" {
		if o.binary, err = program.Build(ctx, o.folder, "cmd/doorward"); err != nil {
			return err
		}
	}
	if o.secret == "" {
		o.secret = fmt.Sprintf("storm %x", secret.Random(8))
	}
	if o.log == nil {
		log, err := os.Create(filepath.Join(os.TempDir(), "doorward-storm-"+kind+".log"))
		if err != nil {
			return err
		}
		defer log.Close()
		o.log = log
	}
	var pg *testpg.Server
	dsn := "sqlite:" + sqlitePath(o.folder)
	if kind != "sqlite" {
		if pg, err = testpg.Start(ctx, testpg.Options{Durable: true}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pg.Stop()) }()
		if dsn, err = pg.NewDatabase(ctx, "storm"); err != nil {
			return err
		}
	}
	s, err := newStorm(o, kind, dsn, pg)
	if err != nil {
		return err
	}
	var w interface {
		run(context.Context) error
		report(io.Writer)
	} = s
	if kind == "replicas" {
		if w, err = newTwins(s); err != nil {
			return err
		}
	}
	if err = w.run(ctx); err != nil {
		err = fmt.Errorf("%s: %w", kind, err)
	}
	w.report(out)
	if s.verdict.stop() {
		return errors.Join(err, errViolated)
	}
	return err
}
