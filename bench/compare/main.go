// Command compare runs the benchmarks (go test -bench) of an earlier revision and of this
// checkout in turn, and has benchstat say what differs.
//
//	make bench-compare OLD=HEAD~1
//
// They take turns so that a machine that is slow for a minute is slow for both.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// options are what the command line decides.
type options struct {
	old, bench, time, stat string
	count                  int
	packages               []string // like ./guard; none for all that have benchmarks
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.StringVar(&o.old, "old", "", "the earlier revision, as git names it")
	fs.StringVar(&o.bench, "bench", ".", "which benchmarks: an expression, as for go test")
	fs.StringVar(&o.time, "benchtime", "1s", "how long or how often each runs, as for go test")
	fs.IntVar(&o.count, "count", 10, "how often each runs")
	fs.StringVar(&o.stat, "benchstat", "bin/benchstat", "the program that compares")
	if err := fs.Parse(args); err != nil {
		return err
	}
	o.packages = fs.Args()
	switch {
	case o.old == "" || strings.HasPrefix(o.old, "-"):
		return errors.New("-old (make bench-compare OLD=) is a revision, like HEAD~1")
	case o.count < 1:
		return errors.New("-count is more than nothing")
	}
	dir, err := os.MkdirTemp("", "doorward-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	before, after, err := measure(ctx, o, ".", dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, o.stat, "old="+before, "new="+after)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd.Run()
}

// measure runs the benchmarks of the checkout at root and of the earlier revision, and
// returns the files with what they printed. Both are below dir.
func measure(ctx context.Context, o options, root, dir string) (before, after string, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return "", "", err
	}
	earlier := filepath.Join(dir, "checkout")
	if _, err := run(ctx, root, "git", "worktree", "add", "--detach", "--quiet", earlier, o.old); err != nil {
		return "", "", err
	}
	defer func() {
		_, removed := run(context.WithoutCancel(ctx), root, "git", "worktree", "remove", "--force", earlier)
		err = errors.Join(err, removed)
	}()
	trees := []*tree{{root: earlier, name: "old"}, {root: root, name: "new"}}
	for _, t := range trees {
		if err := t.build(ctx, o, dir); err != nil {
			return "", "", err
		}
	}
	for n := range o.count {
		for _, t := range trees {
			fmt.Fprintf(os.Stderr, "compare: run %d of %d, %s\n", n+1, o.count, t.name)
			if err := t.run(ctx, o); err != nil {
				return "", "", err
			}
		}
	}
	for _, t := range trees {
		if err := os.WriteFile(filepath.Join(dir, t.name), t.printed.Bytes(), 0o600); err != nil {
			return "", "", err
		}
	}
	return filepath.Join(dir, trees[0].name), filepath.Join(dir, trees[1].name), nil
}

// tree is a checkout, with the test programs of its packages.
type tree struct {
	root, name string
	programs   []program
	printed    bytes.Buffer
}

type program struct{ dir, path string }

// build compiles the tests of each package once.
func (t *tree) build(ctx context.Context, o options, dir string) error {
	packages, err := t.packages(ctx, o)
	if err != nil {
		return err
	}
	for i, p := range packages {
		path := filepath.Join(dir, t.name+"-"+strconv.Itoa(i)+".test")
		fmt.Fprintf(os.Stderr, "compare: building %s, %s\n", p, t.name)
		if _, err := run(ctx, t.root, "go", "test", "-buildvcs=false", "-c", "-o", path, "./"+p); err != nil {
			return err
		}
		t.programs = append(t.programs, program{filepath.Join(t.root, p), path})
	}
	return nil
}

// packages are the folders of this module's packages with benchmarks that are asked for.
func (t *tree) packages(ctx context.Context, o options) ([]string, error) {
	// Of the checkout, what is not committed yet counts too.
	files, err := run(ctx, t.root, "git", "grep", "--untracked", "-lE", "^func Benchmark", "--", "*_test.go")
	if err != nil {
		return nil, fmt.Errorf("no benchmark is in %s: %w", t.name, err)
	}
	var list []string
	for file := range strings.Lines(files) {
		p := filepath.Dir(strings.TrimSpace(file))
		_, err := os.Stat(filepath.Join(t.root, p, "go.mod"))
		own := err == nil && p != "." // a module of its own
		if !own && (len(o.packages) == 0 || slices.ContainsFunc(o.packages, func(asked string) bool { return filepath.Clean(asked) == p })) {
			list = append(list, p)
		}
	}
	if slices.Sort(list); len(list) == 0 {
		return nil, fmt.Errorf("none of %s has benchmarks in %s", strings.Join(o.packages, ", "), t.name)
	}
	return slices.Compact(list), nil
}

// run runs the benchmarks once.
func (t *tree) run(ctx context.Context, o options) error {
	for _, p := range t.programs {
		printed, err := run(ctx, p.dir, p.path, "-test.run=^$", "-test.bench="+o.bench, "-test.benchtime="+o.time, "-test.benchmem")
		if err != nil {
			return err
		}
		t.printed.WriteString(printed)
	}
	return nil
}

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, told bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &told
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), told.String())
	}
	return out.String(), nil
}
