package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// module makes a module of one test file and goes there.
func module(t *testing.T, test string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":       "module example.test/house\n\ngo 1.26\n",
		"door_test.go": "package house\n\n" + test,
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-buildvcs=false")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

func TestRunThatPasses(t *testing.T) {
	module(t, `
import ("os"; "testing")

func TestDoor(t *testing.T) {
	if os.Getenv("DOORWARD_TEST_POSTGRES") == "" { t.Fatal("no database") }
	dir := os.Getenv("DOORWARD_TEST_LOGDIR")
	os.WriteFile(dir+"/server.log", []byte("all is quiet\n"), 0o600)
	os.WriteFile(dir+"/canaries.txt", []byte("canary-0123456789abcdef\n"), 0o600)
	for _, name := range []string{"left", "right"} { t.Run(name, func(t *testing.T) {}) }
}

func Example() {
	os.Stdout.WriteString("open")
	// Output: open
}

func FuzzDoor(f *testing.F) { f.Add("x"); f.Fuzz(func(t *testing.T, s string) {}) }
`)
	var out bytes.Buffer
	code := command(t.Context(), []string{"-race=false", "-canaries", "-fuzz=200ms"}, &out)
	// The test, its two subtests, the example, the target, its seed, and the
	// fuzzing of it.
	if got, want := lastLine(out.String()), "7 passed, 0 failed, 0 skipped"; code != 0 || got != want {
		t.Errorf("exit code %d, last line %q; want 0 and %q\n%s", code, got, want, &out)
	}
}

func TestRunThatFails(t *testing.T) {
	module(t, `
import ("os"; "testing")

func TestDoor(t *testing.T) {
	t.Run("left", func(t *testing.T) { t.Error("the left wing sticks") })
	t.Run("right", func(t *testing.T) {})
}

func TestWindow(t *testing.T) { t.Skip("it rains") }

func TestLeak(t *testing.T) {
	os.WriteFile(os.Getenv("DOORWARD_TEST_LOGDIR")+"/server.log", []byte("password=canary-0123456789abcdef\n"), 0o600)
}

func FuzzDoor(f *testing.F) { f.Fuzz(func(t *testing.T, s string) { if len(s) > 2 { t.Error("too long") } }) }
`)
	var out bytes.Buffer
	code := command(t.Context(), []string{"-race=false", "-canaries", "-fuzz=10s"}, &out)
	// Door and its left wing; the window, the leak, what the fuzzer finds, and
	// that nobody planted a canary.
	if got, want := lastLine(out.String()), "3 passed, 6 failed, 1 skipped"; code == 0 || got != want {
		t.Errorf("exit code %d, last line %q; want another than 0, and %q", code, got, want)
	}
	for _, want := range []string{
		"the left wing sticks", "TestWindow was skipped", "it rains", "in the log server.log: password=canary-0123456789abcdef",
		"no test planted a canary", "fuzzing example.test/house FuzzDoor", "too long", "Failing input written to testdata",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestRunOfNothing(t *testing.T) {
	for name, test := range map[string]string{
		"no test":         "",
		"skipped alone":   `import "testing"; func TestDoor(t *testing.T) { t.Skip() }`,
		"not Go":          "func {",
		"vet refuses":     `import ("fmt"; "testing"); func TestDoor(t *testing.T) { fmt.Printf("%d", "x") }`,
		"exits":           `import ("os"; "testing"); func TestDoor(t *testing.T) { os.Exit(0) }`,
		"exits after all": `import ("os"; "testing"); func TestMain(m *testing.M) { m.Run(); os.Exit(3) }`,
		"panics":          `import "testing"; func TestDoor(t *testing.T) { panic("fire") }`,
	} {
		t.Run(name, func(t *testing.T) {
			module(t, test)
			r := runner{tally: newTally(new(bytes.Buffer)), options: options{packages: []string{"./..."}}, env: os.Environ()}
			r.suite(t.Context())
			if code := r.tally.report(); code == 0 {
				t.Errorf("it passed:\n%s", r.tally.out)
			}
		})
	}
}

// An interrupted run leaves nothing running: not the tests, and not what the
// tests started.
func TestRunInterrupted(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	module(t, fmt.Sprintf(`
import ("fmt"; "os"; "os/exec"; "testing")

func TestDoor(t *testing.T) {
	child := exec.Command("sleep", "600")
	child.Start()
	os.WriteFile(%[1]q+".new", fmt.Append(nil, child.Process.Pid), 0o600)
	os.Rename(%[1]q+".new", %[1]q)
	child.Wait()
}
`, pidFile))
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	pid := make(chan int, 1)
	go func() {
		defer interrupt()
		for ctx.Err() == nil {
			if text, err := os.ReadFile(pidFile); err == nil {
				n, _ := strconv.Atoi(string(text))
				pid <- n
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	var out bytes.Buffer
	code := command(ctx, []string{"-race=false"}, &out)
	if code == 0 || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
	child := <-pid
	for end := time.Now().Add(10 * time.Second); alive(child); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what the test started outlived the run")
		}
	}
}

// alive reports whether a process runs. One that has ended, and that nobody has
// asked about yet, does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !regexp.MustCompile(`\) Z `).Match(stat)
}
