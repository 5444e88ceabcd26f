package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// event is one line of go test -json ("go doc test2json").
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	ImportPath  string  // of build output
	FailedBuild string  // the import path whose build made the package fail
}

// id names a test, or with an empty test a whole package.
type id struct{ pkg, test string }

func (i id) String() string { return strings.TrimSpace(i.pkg + " " + i.test) }

// result is what became of a test or a package.
type result struct {
	id
	action string // of the event that ended it; empty while it runs
	took   time.Duration
	output strings.Builder // not kept of what passed
	// failed says, of a package, that one of its tests failed.
	failed bool
	passed int // of a package: how many of its tests
}

// tally counts what happened.
type tally struct {
	out      io.Writer
	results  map[id]*result
	order    []*result                   // as they began
	builds   map[string]*strings.Builder // what the compiler said, by import path
	fuzzed   int                         // fuzz targets that ran and found nothing
	problems []string                    // what failed besides tests
	warnings []string
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, results: map[id]*result{}, builds: map[string]*strings.Builder{}}
}

// fail notes a failure that is no test's, and prints the first line of it. The
// report has the rest.
func (t *tally) fail(text string) {
	t.problems = append(t.problems, text)
	first, _, _ := strings.Cut(text, "\n")
	fmt.Fprintln(t.out, "FAIL:", first)
}

// warn notes what must not be overlooked: it is said now and again at the end.
func (t *tally) warn(text string) {
	t.warnings = append(t.warnings, text)
	fmt.Fprintln(t.out, "WARNING:", text)
}

// ended notes that the go command failed, unless the reason is known already.
func (t *tally) ended(err error) {
	for _, r := range t.order {
		if r.action == "fail" {
			return
		}
	}
	t.fail("go test: " + err.Error())
}

// read takes in the output of go test -json.
func (t *tally) read(from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil {
				t.add(e)
			} else {
				fmt.Fprint(t.out, line)
			}
		}
		if err != nil {
			break
		}
	}
	t.close()
}

func (t *tally) add(e event) {
	if e.ImportPath != "" {
		t.build(e)
		return
	}
	r := t.result(id{e.Package, e.Test})
	switch e.Action {
	case "output":
		r.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		t.end(r, e)
	}
}

func (t *tally) build(e event) {
	if e.Action != "build-output" {
		return
	}
	b := t.builds[e.ImportPath]
	if b == nil {
		b = new(strings.Builder)
		t.builds[e.ImportPath] = b
	}
	b.WriteString(e.Output)
}

func (t *tally) result(i id) *result {
	r := t.results[i]
	if r == nil {
		r = &result{id: i}
		t.results[i] = r
		t.order = append(t.order, r)
	}
	return r
}

func (t *tally) end(r *result, e event) {
	r.action, r.took = e.Action, time.Duration(e.Elapsed*float64(time.Second))
	pkg := t.result(id{pkg: r.pkg})
	switch {
	case r.test == "":
		if b := t.builds[e.FailedBuild]; b != nil {
			r.output.WriteString(b.String())
		}
		t.progress(r)
	case r.action == "fail":
		pkg.failed = true
	case r.action == "pass":
		pkg.passed++
		r.output.Reset()
	}
}

// close fails everything that began and never ended: the process died under it.
func (t *tally) close() {
	for _, r := range t.order {
		if r.action != "" {
			continue
		}
		r.action = "fail"
		if r.test != "" {
			t.result(id{pkg: r.pkg}).failed = true
		}
	}
}

// progress prints a line for a package that is done, except for one without
// tests.
func (t *tally) progress(r *result) {
	if r.action == "skip" {
		return
	}
	word := "ok  "
	if r.action == "fail" {
		word = "FAIL"
	}
	fmt.Fprintf(t.out, "%s  %-60s %7.2fs  %d passed\n", word, r.pkg, r.took.Seconds(), r.passed)
}
