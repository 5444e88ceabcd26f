package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// targets returns the fuzz targets whose seeds have passed, by package. go test
// runs the seeds of each like a test, so there is nothing left to discover.
func (t *tally) targets() (packages []string, of map[string][]string) {
	of = map[string][]string{}
	for _, r := range t.order {
		if r.action != "pass" || !strings.HasPrefix(r.test, "Fuzz") || strings.Contains(r.test, "/") {
			continue
		}
		if of[r.pkg] == nil {
			packages = append(packages, r.pkg)
		}
		of[r.pkg] = append(of[r.pkg], r.test)
	}
	return packages, of
}

// fuzz runs every target for its time, or for its share of the time that all
// may take.
func (r runner) fuzz(ctx context.Context) {
	packages, of := r.tally.targets()
	n := 0
	for _, names := range of {
		n += len(names)
	}
	if n == 0 {
		return
	}
	each := min(r.options.fuzz, r.fuzzMax/time.Duration(n))
	fmt.Fprintf(r.tally.out, "fuzzing %d targets for %s each\n", n, each.Round(time.Millisecond))
	if err := r.fuzzAll(ctx, packages, of, each); err != nil {
		r.tally.fail("fuzzing: " + err.Error())
	}
}

// fuzzAll builds the tests of all packages at once, which go test -fuzz would do anew for
// every target, and runs the targets.
func (r runner) fuzzAll(ctx context.Context, packages []string, of map[string][]string, each time.Duration) error {
	built, err := os.MkdirTemp("", "doorward-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(built)
	if err := r.fuzzBuild(ctx, built, packages); err != nil {
		return err
	}
	cache, err := r.output(ctx, "", "go", "env", "GOCACHE")
	if err != nil {
		return err
	}
	var one sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, runtime.GOMAXPROCS(0)) // each has one worker: most of its time it starts and ends
	for _, pkg := range packages {
		dir, err := r.output(ctx, "", "go", "list", "-f", "{{.Dir}}", pkg)
		if err != nil {
			all.Wait()
			return fmt.Errorf("%s: %w", pkg, err)
		}
		for _, target := range of[pkg] {
			all.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				if ctx.Err() != nil {
					return // which is told elsewhere
				}
				out, err := r.output(ctx, dir, filepath.Join(built, path.Base(pkg)+".test"), "-test.run=^$", "-test.fuzz=^"+target+"$", "-test.fuzztime="+each.String(), "-test.parallel=1",
					// An input that only looks new is minimized for a minute by default: all the time that there is.
					"-test.fuzzminimizetime=100x",
					"-test.fuzzcachedir="+filepath.Join(cache, "fuzz", filepath.FromSlash(pkg)))
				one.Lock()
				defer one.Unlock()
				r.fuzzed(id{pkg, target}, out, err)
			})
		}
	}
	all.Wait()
	return nil
}

// fuzzBuild builds the tests of packages into a folder.
func (r runner) fuzzBuild(ctx context.Context, folder string, packages []string) error {
	module, err := r.output(ctx, "", "go", "list", "-m")
	if err != nil {
		return err
	}
	// The fuzzer is led by what our own code does with an input. With -fuzz each library would
	// be built once more to lead it too, SQLite for minutes: there is time for that by night.
	args := []string{"test", "-c", "-gcflags=" + module + "/...=-d=libfuzzer", "-o", folder + string(filepath.Separator)}
	if r.fuzzOnly {
		args[2] = "-fuzz=."
	}
	if out, err := r.output(ctx, "", "go", append(args, packages...)...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// fuzzed notes what became of a target. Running out of time is no failure: up
// to Go 1.26 the fuzzer sometimes reports its own deadline as an error
// (golang/go issue 75804). An input that fails is always written to testdata.
func (r runner) fuzzed(target id, out string, err error) {
	if strings.Contains(out, "without coverage guidance") {
		r.tally.fail(fmt.Sprintf("fuzzing %s: it is led by nothing\n%s", target, out))
		return
	}
	deadline := strings.Contains(out, "\n    context deadline exceeded\n") && !strings.Contains(out, "Failing input written")
	if err == nil || deadline {
		r.tally.fuzzed++
		return
	}
	r.tally.fail(fmt.Sprintf("fuzzing %s: %v\n%s", target, err, out))
}

// output runs a command in dir and returns what it printed.
func (r runner) output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(slices.Clone(r.env), "CGO_ENABLED=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := inGroup(cmd, nil)
	return strings.TrimRight(out.String(), "\n"), err
}
