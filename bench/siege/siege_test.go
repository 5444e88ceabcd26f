package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/storm/program"
)

var binary string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	folder, err := os.MkdirTemp("", "doorward-siege-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	if binary, err = program.Build(context.Background(), folder, "cmd/doorward"); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// A small siege: who says nothing is kept, who speaks slowly is shown the door, and
// everybody else is served. How fast is for the whole siege to measure.
func TestAttackDOS001SmallSiege(t *testing.T) {
	t.Parallel()
	if err := files(2000); err != nil {
		t.Fatal(err)
	}
	s, err := newSite(t.Context(), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.process.Kill()
	r, err := s.siege(t.Context(), options{idle: 500, slow: 200, rate: 50, phase: time.Second, slowFor: 9 * time.Second}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if opened, closed := r.opened.Load(), r.closed.Load(); opened < 200 || closed < 100 || r.failed.Load() > 0 {
		t.Errorf("of %d slow connections the server closed %d; %d handshakes failed", opened, closed, r.failed.Load())
	}
	if err := s.process.Stop(20 * time.Second); err != nil {
		t.Errorf("the server did not end well: %v", err)
	}
}

// F38: with no files left, those who are connected are served, the others wait
// their turn, and the processor has nothing to do.
func TestAttackDOS003NoFilesLeft(t *testing.T) {
	t.Parallel()
	s, err := newSite(t.Context(), binary, t.TempDir(), "sh", "-c", `ulimit -n 120; exec "$0" serve`, binary)
	if err != nil {
		t.Fatal(err)
	}
	defer s.process.Kill()
	c := s.client()
	if err := s.ask(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conns := s.some(within, 200)
	if len(conns) < 20 || len(conns) > 120 {
		t.Fatalf("%d of 200 connections were taken, with 120 files", len(conns))
	}
	if err := s.ask(t.Context(), c); err != nil {
		t.Errorf("who was connected is not served: %v", err)
	}
	if cores, err := s.busy(2 * time.Second); err != nil || cores > 0.5 {
		t.Errorf("it spins: %.2f cores, %v", cores, err)
	}
	if !strings.Contains(s.process.Log(), "no more files may be open") {
		t.Errorf("the log says nothing of it:\n%s", s.process.Log())
	}
	for _, c := range conns {
		c.Close()
	}
	if err := s.ask(t.Context(), s.client()); err != nil {
		t.Errorf("when the others have gone: %v", err)
	}
}
