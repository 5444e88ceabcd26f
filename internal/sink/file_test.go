package sink

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func someLines(texts ...string) (lines []Line) {
	for i, text := range texts {
		lines = append(lines, Line{Leaf: int64(i), Action: "a.b", At: time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC), Text: []byte(text)})
	}
	return lines
}

func fileHolds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := &file{path: path}
	put := func(texts ...string) {
		t.Helper()
		if err := d.deliver(t.Context(), someLines(texts...)); err != nil {
			t.Fatal(err)
		}
	}
	put("1", "2")
	fileHolds(t, path, "1\n2\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	// As logrotate does, by moving and by deleting.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put("3")
	fileHolds(t, path, "3\n")
	fileHolds(t, path+".1", "1\n2\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put("4")
	fileHolds(t, path, "4\n")
	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	put("5")
	fileHolds(t, path, "5\n")
	// A crash tore the last line.
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("5\n{\"lea"), 0o600); err != nil {
		t.Fatal(err)
	}
	put("6")
	fileHolds(t, path, "5\n{\"lea\n6\n")
}

func TestAttackFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	pipe, loose := filepath.Join(dir, "pipe"), filepath.Join(dir, "loose")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(loose, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, loose, "/dev/full", filepath.Join(dir, "no", "such", "folder")} {
		began := time.Now()
		if err := (&file{path: path}).deliver(t.Context(), someLines("1")); err == nil || time.Since(began) > 2*time.Second {
			t.Errorf("%s took a line: %v, after %v", path, err, time.Since(began))
		}
	}
}

// A full disk keeps no half of a line, and is used again once there is room.
func TestAttackAUD005FullFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := &file{path: path}
	if err := d.deliver(t.Context(), someLines("first")); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	small.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := d.deliver(t.Context(), someLines(strings.Repeat("x", 60), strings.Repeat("y", 60)))
	if e := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); e != nil {
		t.Fatal(e)
	}
	if err == nil {
		t.Error("more was taken than there is room for")
	}
	fileHolds(t, path, "first\n")
	if err := d.deliver(t.Context(), someLines("second")); err != nil {
		t.Fatal(err)
	}
	fileHolds(t, path, "first\nsecond\n")
}
