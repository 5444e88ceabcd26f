// Package testpg runs a PostgreSQL server of its own for tests and benchmarks.
//
// It needs nothing prepared: it finds PostgreSQL or installs it, makes an empty
// cluster in a temporary folder, and leaves nothing behind however the process
// ends. It is not how Doorward talks to a database: that is package store.
package testpg

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed keep.sh
var keep string

// Options say what kind of server is wanted.
type Options struct {
	// Durable makes every commit wait for the disk, as in production. Tests go
	// without; benchmarks and crash tests must not.
	Durable bool
}

// Server is a running PostgreSQL server. Its superuser is postgres, and it asks
// nobody for a password.
type Server struct {
	bin, dir string
	port     int
	who      *syscall.Credential
	keeper   *exec.Cmd
	stdin    io.Closer
	stderr   *bytes.Buffer
}

// Start starts a server and waits until it answers. The context bounds the
// start alone: the server runs until Stop is called or the process dies.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := programs(ctx)
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	const tries = 3
	for try := 1; ; try++ {
		s, err := start(ctx, bin, who, o)
		// Between the moment a free port was found and the moment the server
		// took it, another process may have.
		if err != nil && try < tries && strings.Contains(err.Error(), "Address already in use") {
			continue
		}
		return s, err
	}
}

func start(ctx context.Context, bin string, who *syscall.Credential, o Options) (*Server, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := folder(who)
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, port: port, who: who, stderr: new(bytes.Buffer)}
	if err := s.launch(ctx, o); err != nil {
		return nil, fmt.Errorf("PostgreSQL does not start: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return s, nil
}

// launch starts the keeper and waits for its word.
func (s *Server) launch(ctx context.Context, o Options) error {
	if err := os.WriteFile(filepath.Join(s.dir, "extra.conf"), s.conf(o), 0o644); err != nil {
		return err
	}
	// Without the context: the keeper outlives the start, and ends when its
	// standard input does.
	s.keeper = exec.Command("/bin/sh", "-c", keep, "keep.sh", s.bin, s.dir)
	s.keeper.Dir = "/"
	s.keeper.Env = environment()
	// Its own session, so that an interrupt at the terminal reaches the tests
	// first and the server after them.
	s.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.who}
	s.keeper.Stderr = s.stderr
	stdin, errIn := s.keeper.StdinPipe()
	stdout, errOut := s.keeper.StdoutPipe()
	if err := errors.Join(errIn, errOut, s.keeper.Start()); err != nil {
		return err
	}
	s.stdin = stdin
	unwatch := context.AfterFunc(ctx, func() { _ = s.keeper.Process.Signal(syscall.SIGTERM) })
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	if line == "ready\n" && unwatch() {
		return nil
	}
	_ = s.stdin.Close()
	err := s.keeper.Wait()
	return fmt.Errorf("%w\n%s", errors.Join(ctx.Err(), err), bytes.TrimSpace(s.stderr.Bytes()))
}

// environment is all that PostgreSQL's programs see of ours: a PGDATA or a
// PGPORT of the caller must not lead them to another server.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
}

func (s *Server) conf(o Options) []byte {
	sync := "off"
	if o.Durable {
		sync = "on"
	}
	return fmt.Appendf(nil, `listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 300
fsync = %[3]s
synchronous_commit = %[3]s
full_page_writes = %[3]s
log_line_prefix = '%%m [%%p] %%d '
`, s.port, s.dir, sync)
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// DSN returns the address of a database over TCP on loopback.
func (s *Server) DSN(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketDSN returns the address of a database over the unix socket.
func (s *Server) SocketDSN(database string) string {
	q := url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// NewDatabase makes an empty database and returns its DSN.
func (s *Server) NewDatabase(ctx context.Context, name string) (string, error) {
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", err
	}
	_, err = c.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return s.DSN(name), errors.Join(err, c.Close(ctx))
}

// Log returns what the server has logged so far.
func (s *Server) Log() ([]byte, error) { return os.ReadFile(filepath.Join(s.dir, "server.log")) }

// Crash ends the server as killing its processes would: connections break, and
// what was not committed is gone. Revive brings it back.
func (s *Server) Crash(ctx context.Context) error {
	return s.control(ctx, "-m", "immediate", "stop")
}

// Revive starts a server that has crashed, and waits until it answers.
func (s *Server) Revive(ctx context.Context) error {
	return s.control(ctx, "-l", filepath.Join(s.dir, "server.log"), "start")
}

func (s *Server) control(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "pg_ctl"), append([]string{"-D", filepath.Join(s.dir, "data"), "-w"}, args...)...)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.who}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Stop stops the server and removes everything it wrote.
func (s *Server) Stop() error {
	if err := s.stdin.Close(); err != nil {
		return err
	}
	stuck := time.AfterFunc(30*time.Second, func() { _ = s.keeper.Process.Kill() })
	defer stuck.Stop()
	if err := s.keeper.Wait(); err != nil {
		return fmt.Errorf("PostgreSQL did not stop: %w\n%s", err, bytes.TrimSpace(s.stderr.Bytes()))
	}
	return nil
}
