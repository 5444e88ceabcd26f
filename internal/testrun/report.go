package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed skips.txt
var skipsText string

// ten is how many of the slowest are named.
const ten = 10

// report prints what failed and what was slow, and returns the exit code. Its
// last line is the count. A problem that is no test's counts as one failure, so
// that the count never looks better than the code.
func (t *tally) report() int {
	passed, failed, skipped := t.count()
	for _, r := range t.order {
		if r.test != "" && r.action == "skip" && !allowed(skipsText, r.id) {
			t.problems = append(t.problems, fmt.Sprintf("%s was skipped, which internal/testrun/skips.txt does not allow:\n%s", r.id, tidy(r.output.String())))
		}
	}
	if passed+failed == 0 {
		t.problems = append(t.problems, "no test ran")
	}
	passed, failed = passed+t.fuzzed, failed+len(t.problems)

	for _, r := range t.order {
		if r.action == "fail" {
			t.failure(r)
		}
	}
	t.slowest("tests", func(r *result) bool { return r.test != "" && !strings.Contains(r.test, "/") })
	t.slowest("packages", func(r *result) bool { return r.test == "" })
	for _, w := range t.warnings {
		fmt.Fprintln(t.out, "\nWARNING:", w)
	}
	for _, p := range t.problems {
		fmt.Fprintln(t.out, "\nFAIL:", p)
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 {
		return 1
	}
	return 0
}

// count counts tests and subtests. A package that failed although none of its
// tests did (it does not compile, or died after them) is one failure.
func (t *tally) count() (passed, failed, skipped int) {
	for _, r := range t.order {
		switch {
		case r.test == "" && r.action == "fail" && !r.failed:
			failed++
		case r.test == "":
		case r.action == "pass":
			passed++
		case r.action == "fail":
			failed++
		case r.action == "skip":
			skipped++
		}
	}
	return passed, failed, skipped
}

// failure prints all that a failed test or package said. Subtests come after
// their test, each with its own words.
func (t *tally) failure(r *result) {
	fmt.Fprintf(t.out, "\n--- %s\n%s\n", r.id, tidy(r.output.String()))
}

// tidy drops the lines that say nothing about a failure.
func tidy(output string) string {
	var kept []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		begins := func(prefix string) bool { return strings.HasPrefix(line, prefix) }
		if line == "" || line == "PASS" || line == "FAIL" || begins("=== ") || begins("FAIL\t") || begins("ok  \t") {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

func (t *tally) slowest(what string, which func(*result) bool) {
	var of []*result
	for _, r := range t.order {
		if r.action != "skip" && which(r) {
			of = append(of, r)
		}
	}
	slices.SortStableFunc(of, func(a, b *result) int { return int(b.took - a.took) })
	if len(of) > 0 {
		fmt.Fprintf(t.out, "\nslowest %s\n", what)
	}
	for _, r := range of[:min(len(of), ten)] {
		fmt.Fprintf(t.out, "%8.2fs  %s\n", r.took.Seconds(), r.id)
	}
}

// allowed reports whether a line of list names the test, or one that it is a
// subtest of.
func allowed(list string, i id) bool {
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		if strings.HasSuffix(i.pkg, "/"+f[0]) && (i.test == f[1] || strings.HasPrefix(i.test, f[1]+"/")) {
			return true
		}
	}
	return false
}
