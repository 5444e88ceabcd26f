// Command testrun runs the tests as the gate wants them: with PostgreSQL, under
// the race detector, every fuzz target for a moment, and with the logs of all
// test servers searched for secrets at the end.
//
// It prints the failures in full, then what took longest, and as its last line
// how many tests passed, failed and were skipped. It fails when a test failed,
// when a test was skipped that skips.txt does not name, and when nothing ran.
//
// Tests find in their environment:
//
//	DOORWARD_TEST_POSTGRES  the DSN of a superuser on a server of this run
//	DOORWARD_TEST_LOGDIR    a folder for the logs of test servers (*.log), where
//	                        canaries.txt takes a line for each planted secret
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/doorward/doorward/internal/need"
	"github.com/doorward/doorward/internal/testpg"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := command(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// options are what the command line decides.
type options struct {
	packages []string
	race     bool
	cover    string        // where the coverage profile goes, if anywhere
	fuzz     time.Duration // for each target; zero is none
	fuzzMax  time.Duration // for all of them
	fuzzOnly bool
	canaries bool // must one have been planted?
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("testrun", flag.ContinueOnError)
	fs.BoolVar(&o.race, "race", true, "run under the race detector")
	fs.StringVar(&o.cover, "cover", "", "write a coverage profile to this file")
	fs.DurationVar(&o.fuzz, "fuzz", time.Second, "how long each fuzz target runs; 0 for not at all")
	fs.DurationVar(&o.fuzzMax, "fuzz-max", 4*time.Minute, "how long all fuzz targets run together")
	fs.BoolVar(&o.fuzzOnly, "fuzz-only", false, "run the fuzz targets and no other test")
	fs.BoolVar(&o.canaries, "canaries", false, "fail when no test planted a canary")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.packages = fs.Args()
	if len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}
	return o, nil
}

// command runs everything, prints the report and returns the exit code.
func command(ctx context.Context, args []string, out io.Writer) int {
	o, err := parse(args)
	if err != nil {
		return 2
	}
	t := newTally(out)
	if err := run(ctx, o, t); err != nil {
		t.fail(err.Error())
	}
	if err := context.Cause(ctx); err != nil {
		t.fail("interrupted: " + err.Error())
	}
	return t.report()
}

func run(ctx context.Context, o options, t *tally) (err error) {
	if o.race {
		o.race = compiler(ctx, t)
	}
	pg, err := testpg.Start(ctx, testpg.Options{})
	if err != nil {
		return err
	}
	logs, err := os.MkdirTemp("", "doorward-logs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(logs)
	r := runner{
		options: o, tally: t,
		env: append(os.Environ(), "DOORWARD_TEST_POSTGRES="+pg.DSN("postgres"), "DOORWARD_TEST_LOGDIR="+logs,
			// A program under the race detector else sleeps for a second before it ends: one for each package.
			"GORACE=atexit_sleep_ms=50 "+os.Getenv("GORACE")),
	}
	r.suite(ctx)
	if o.fuzz > 0 && ctx.Err() == nil {
		r.fuzz(ctx)
	}
	if err := keepLog(pg, logs); err != nil {
		return err
	}
	if !o.fuzzOnly && ctx.Err() == nil {
		searchLogs(t, logs, o.canaries)
	}
	return nil
}

// keepLog puts the database's own log among those that are searched, and stops
// the database.
func keepLog(pg *testpg.Server, logs string) error {
	log, err := pg.Log()
	if err == nil {
		err = os.WriteFile(filepath.Join(logs, "postgres.log"), log, 0o600)
	}
	if stopped := pg.Stop(); stopped != nil {
		return stopped
	}
	return err
}

// compiler reports whether there is the C compiler that the race detector asks
// for. Without one the run goes on, but never in CI, where a quiet downgrade
// would be believed.
func compiler(ctx context.Context, t *tally) bool {
	_, err := need.Program(ctx, "gcc", "gcc", "libc6-dev")
	if err == nil {
		return true
	}
	text := fmt.Sprintf("NO RACE DETECTOR: it needs a C compiler: %v", err)
	if os.Getenv("CI") != "" {
		t.fail(text)
	} else {
		t.warn(text)
	}
	return false
}

// runner runs the go command.
type runner struct {
	options
	tally *tally
	env   []string
}

// uninstrumented are the flags that leave two libraries as they are built for others,
// where the race detector is on: SQLite, which is C made into Go and counts in memory of
// its own, and the hashes of passwords, which under the detector take eighteen times as
// long. What shares types with the rest, like modernc.org/sqlite itself, is watched:
// else the linker may choose a copy of a generic that is not, and races are reported
// that are none.
var uninstrumented = []string{
	"-gcflags=modernc.org/...=-d=checkptr=0",
	"-gcflags=modernc.org/sqlite/lib=-race=false",
	"-gcflags=modernc.org/libc/...=-race=false",
	"-gcflags=modernc.org/memory=-race=false",
	"-gcflags=golang.org/x/crypto/...=-race=false",
}

// alone are tests that do one thing at a time, and much of it: the race detector has
// nothing to find there, and makes each take four to ten times as long; or that count what
// it would count along. Of whole runs they have one of their own, without it. They stand in
// these packages.
const alone = `^(TestScripts|TestGuides|TestCommandsOnPostgres|TestDoctorThroughProxies|TestPasteFirstSteps|` +
	`TestAttackFLT002.*|TestAttackRT012CrashWithinRotation|TestAttackLOG020FailingStatements|TestVerifyMany|TestSearchMoments|TestAttackRBAC008Matrix|TestAllocations)$`

var aloneIn = []string{"./cmd/doorward", "./internal/store", "./internal/server", "./bench"}

// outside is where tests ask the program itself, in processes of its own: the race
// detector would watch nothing but the tests, and have their browser built once more.
const outside = "./internal/e2e"

// longest are the packages that take longest: they begin first, so that none of them is
// left to run while half of the machine rests.
var longest = []string{"./internal/server", "./internal/store"}

// suite runs all tests once, in random order.
func (r runner) suite(ctx context.Context) {
	if !r.race || r.fuzzOnly || !slices.Equal(r.packages, []string{"./..."}) {
		r.tests(ctx, r.packages)
		return
	}
	list, err := exec.CommandContext(ctx, "go", "list", "./...").Output()
	if err != nil {
		r.tally.fail("go list: " + err.Error())
		return
	}
	watched := slices.DeleteFunc(strings.Fields(string(list)), func(pkg string) bool { return strings.HasSuffix(pkg, outside[1:]) })
	r.tests(ctx, append(longest, watched...), "-skip="+alone)
	r.race = false
	r.tests(ctx, aloneIn, "-run="+alone, "-vet=off") // that was done with the others
	r.tests(ctx, []string{outside})
}

// tests runs the tests of packages.
func (r runner) tests(ctx context.Context, packages []string, more ...string) {
	args := append([]string{"test", "-json", "-shuffle=on", "-timeout=20m"}, more...)
	if r.race {
		args = append(append(args, "-race"), uninstrumented...)
	}
	if r.cover != "" {
		args = append(args, "-coverprofile="+r.cover, "-coverpkg=./...")
	}
	if r.fuzzOnly {
		args = append(args, "-run=^Fuzz")
	}
	if err := r.start(ctx, append(args, packages...), r.tally.read); err != nil {
		r.tally.ended(err)
	}
}

// start runs the go command and hands its output to read.
func (r runner) start(ctx context.Context, args []string, read func(io.Reader)) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	// What is not watched is built as it is shipped, and as everything else in the gate: once.
	cgo := "CGO_ENABLED=0"
	if r.race {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(slices.Clone(r.env), cgo)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	return inGroup(cmd, func() { read(out) })
}

// inGroup runs cmd in a process group of its own and returns when it has ended.
// An interrupt is passed on to the whole group, and nothing of the group is
// left running. Between start and end it calls during, if there is one.
func inGroup(cmd *exec.Cmd, during func()) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	if err := cmd.Start(); err != nil {
		return err
	}
	if during != nil {
		during()
	}
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return err
}
