package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty opens a pair of pseudo-terminals: who types, and the program's end.
func pty(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return person, terminal
}

func echoes(t *testing.T, fd int) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// interview runs init at a terminal until it ends.
type interview struct {
	person   *os.File
	terminal int // file descriptor
	stderr   output
	code     chan int
	cancel   func()
}

func interviewed(t *testing.T) *interview {
	t.Helper()
	i := &interview{code: make(chan int, 1)}
	person, terminal := pty(t)
	i.person, i.terminal = person, int(terminal.Fd())
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	i.cancel = cancel
	p := &program{env: cleanEnv(), stdin: terminal, stdout: &output{}, stderr: &i.stderr, began: time.Now(), tweaks: cheap}
	go func() {
		i.code <- p.run(ctx, []string{
			"init", "--issuer", "https://auth.example.com", "--config", filepath.Join(dir, "doorward.yaml"), "--database", "sqlite:" + filepath.Join(dir, "db"),
		})
	}()
	await(t, "the password is asked for, without echo", func() bool {
		return strings.HasSuffix(i.stderr.String(), "Password for admin: ") && !echoes(t, i.terminal)
	})
	return i
}

// What is typed as a password is shown nowhere.
func TestPromptHides(t *testing.T) {
	i := interviewed(t)
	fmt.Fprintln(i.person, "correct horse battery")
	await(t, "it is asked for again", func() bool {
		return strings.HasSuffix(i.stderr.String(), "Again: ") && !echoes(t, i.terminal)
	})
	fmt.Fprintln(i.person, "correct horse battery")
	if code := <-i.code; code != 0 {
		t.Errorf("init ended with %d:\n%s", code, i.stderr.String())
	}
	if !echoes(t, i.terminal) {
		t.Fatal("the terminal was left without echo")
	}
	fmt.Fprintln(i.person, "the end") // is shown, and what was shown before it comes first
	var shown strings.Builder
	for b := make([]byte, 4096); !strings.Contains(shown.String(), "the end"); {
		n, err := i.person.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b[:n])
	}
	if strings.Contains(shown.String()+i.stderr.String(), "battery") {
		t.Errorf("the password was shown: %q", shown.String())
	}
}

// Ctrl-C at the question changes nothing, and leaves a terminal that echoes.
func TestPromptInterrupted(t *testing.T) {
	i := interviewed(t)
	i.cancel()
	if code := <-i.code; code != 1 {
		t.Errorf("init ended with %d", code)
	}
	if !strings.Contains(i.stderr.String(), "interrupted; nothing was changed") {
		t.Errorf("it says %q", i.stderr.String())
	}
	if !echoes(t, i.terminal) {
		t.Error("the terminal was left without echo")
	}
}
