package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Both revisions run, in turn, and the earlier one's checkout is gone afterwards.
func TestMeasure(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		if _, err := run(t.Context(), root, "git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	benchmark := func(metric string) string {
		return "package p\n\nimport \"testing\"\n\nfunc BenchmarkP(b *testing.B) { b.ReportMetric(1, \"" + metric + "\") }\n"
	}
	write("go.mod", "module example.com/p\n\ngo 1.26\n")
	write("p/p_test.go", benchmark("before"))
	write("tool/go.mod", "module example.com/tool\n\ngo 1.26\n")
	write("tool/t_test.go", "package broken")
	write("q/q_test.go", "package q\n")
	git("init", "--quiet")
	git("add", ".")
	git("commit", "--quiet", "-m", "first")
	write("p/p_test.go", benchmark("after"))

	o := options{old: "HEAD", bench: ".", time: "1x", count: 2}
	before, after, err := measure(t.Context(), o, root, dir)
	if err != nil {
		t.Fatal(err)
	}
	for file, metric := range map[string]string{before: "before", after: "after"} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), " "+metric) != 2 || strings.Count(string(text), "BenchmarkP") != 2 {
			t.Errorf("%s: %v\n%s", metric, err, text)
		}
	}
	if left, err := run(t.Context(), root, "git", "worktree", "list"); err != nil || strings.Count(left, "\n") != 1 {
		t.Errorf("%v: %s", err, left)
	}
	o.old = "nonsense"
	if _, _, err := measure(t.Context(), o, root, t.TempDir()); err == nil {
		t.Error("a revision that is not there was measured")
	}
	o.old, o.packages = "HEAD", []string{"./q"}
	if _, _, err := measure(t.Context(), o, root, t.TempDir()); err == nil || !strings.Contains(err.Error(), "./q") {
		t.Errorf("a package without benchmarks: %v", err)
	}
}

func TestCommand(t *testing.T) {
	for _, args := range []string{"", "-old=", "-old=-x", "-old HEAD -count 0"} {
		if err := command(t.Context(), strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), "-") {
			t.Errorf("%q was taken: %v", args, err)
		}
	}
}
