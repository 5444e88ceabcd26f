// Package program builds Doorward's own program and runs it as an operator
// would: as a process that is told everything by its environment.
package program

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build builds a command of this module into a folder, statically, and returns
// the path of the program.
func Build(ctx context.Context, folder, name string) (string, error) {
	path := filepath.Join(folder, filepath.Base(name))
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "github.com/doorward/doorward/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// Environment returns this process's environment without what Doorward would
// read, and with more.
func Environment(more ...string) []string {
	var env []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "DOORWARD_") {
			env = append(env, line)
		}
	}
	return append(env, more...)
}

// Command is a program to be started.
type Command struct {
	Path   string
	Args   []string
	Env    []string  // all of it
	Folder string    // its working directory
	Log    io.Writer // takes a copy of what it prints; may be nil
}

// Run runs a command to its end, with a text on its standard input, and returns
// what it printed.
func Run(ctx context.Context, c Command, stdin string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdin = c.Env, c.Folder, strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("doorward %s: %w\n%s", strings.Join(c.Args, " "), err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// Process is a program that runs.
type Process struct {
	cmd   *exec.Cmd
	log   *record
	ended chan struct{}
	err   error // how it ended, once ended is closed
}

// Start starts a program.
func Start(c Command) (*Process, error) {
	p := &Process{cmd: exec.Command(c.Path, c.Args...), log: &record{copy: c.Log}, ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = c.Env, c.Folder
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// Stop asks the process to end (SIGTERM) and returns how it did.
func (p *Process) Stop(within time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(within):
		p.Kill()
		return fmt.Errorf("it did not end within %v of SIGTERM", within)
	}
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the process has printed so far.
func (p *Process) Log() string { return p.log.String() }

// Ready waits until a URL is answered with 200. It is an error if the process
// ends before.
func (p *Process) Ready(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(r); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return errors.Join(errors.New("the program has ended"), p.err, errors.New(p.Log()))
		case <-ctx.Done():
			return fmt.Errorf("%s: %w\n%s", url, ctx.Err(), p.Log())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Port returns a port that is free on both loopback addresses now, and that no
// outgoing connection will take: it lies below those that the kernel gives away.
func Port() (int, error) {
	const first, last, tries = 20000, 31999, 100
	for range tries {
		n, err := rand.Int(rand.Reader, big.NewInt(last-first+1))
		if err != nil {
			return 0, err
		}
		port := first + int(n.Int64())
		if free("127.0.0.1", port) && free("::1", port) {
			return port, nil
		}
	}
	return 0, errors.New("no port is free")
}

func free(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err == nil {
		l.Close()
	}
	return err == nil || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// record keeps what a process prints.
type record struct {
	copy io.Writer

	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes what was printed.
func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.copy != nil {
		if _, err := r.copy.Write(b); err != nil {
			return 0, err
		}
	}
	return r.text.Write(b)
}

// String returns what was printed so far.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
