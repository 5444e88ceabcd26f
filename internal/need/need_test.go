package need_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/need"
)

func TestProgramThatIsThere(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "lantern")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got, err := need.Program(t.Context(), "lantern", "no-such-package"); got != want || err != nil {
		t.Errorf("Program = %q, %v; want %q", got, err, want)
	}
}

// The stand-in for apt-get writes down what it is asked to do.
func fakeApt(t *testing.T, then string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$@\" >>" + log + "\n" + then + "\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return log
}

func TestMissingIsInstalled(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := need.Program(t.Context(), "no-such-program", "lantern")
		if err == nil || !strings.Contains(err.Error(), "apt-get install lantern") {
			t.Errorf("Program: %v; want an error that says what to install", err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "lantern")
	log := fakeApt(t, "touch "+path)
	find := func() (string, error) {
		_, err := os.Stat(path)
		return path, err
	}
	if got, err := need.Found(t.Context(), find, "lantern", "oil"); got != path || err != nil {
		t.Errorf("Found = %q, %v; want %q", got, err, path)
	}
	asked, _ := os.ReadFile(log)
	if want := "update\ninstall -y --no-install-recommends lantern oil\n"; string(asked) != want {
		t.Errorf("apt-get was asked:\n%swant:\n%s", asked, want)
	}
}

func TestMissingAndNotToBeHad(t *testing.T) {
	never := func() (string, error) { return "", errors.New("no lantern") }
	fakeApt(t, "echo no network; exit 100")
	for _, packages := range [][]string{nil, {"lantern"}} {
		if got, err := need.Found(t.Context(), never, packages...); err == nil {
			t.Errorf("Found(%q) = %q, want an error", packages, got)
		}
	}
	fakeApt(t, "")
	if _, err := need.Found(t.Context(), never, "lantern"); err == nil {
		t.Error("installed in vain, and no error")
	}
}
