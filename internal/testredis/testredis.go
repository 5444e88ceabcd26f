// Package testredis runs a Redis or Valkey server of its own for tests.
//
// It needs nothing prepared: it finds a server or installs one, and leaves
// nothing behind however the process ends.
package testredis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/doorward/doorward/internal/need"
)

//go:embed keep.sh
var keep string

// Server is a running server, which keeps nothing on disk and asks nobody for a
// password.
type Server struct {
	Address string // host and port
	dir     string
	keeper  *exec.Cmd
	stdin   io.Closer
}

// Start starts a server and waits until it answers. The context bounds the start
// alone: the server runs until Stop is called or the process dies.
func Start(ctx context.Context) (*Server, error) {
	program, err := need.Found(ctx, find, "redis-server")
	if err != nil {
		return nil, fmt.Errorf("a Redis or Valkey server: %w", err)
	}
	const tries = 3
	for try := 1; ; try++ { // another process may take the port meanwhile
		s, err := start(ctx, program)
		if err == nil || try == tries || ctx.Err() != nil {
			return s, err
		}
	}
}

func find() (string, error) {
	path, err := exec.LookPath("valkey-server")
	if err != nil {
		path, err = exec.LookPath("redis-server")
	}
	return path, err
}

func start(ctx context.Context, program string) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	dir, err := os.MkdirTemp("", "doorward-redis-")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	// Without the context: the keeper outlives the start, and ends when its
	// standard input does.
	s := &Server{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir}
	s.keeper = exec.Command("/bin/sh", "-c", keep, "keep.sh", program, dir, strconv.Itoa(port)) //nolint:gosec // what need found
	s.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s.stdin, err = s.keeper.StdinPipe(); err == nil {
		err = s.keeper.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.wait(ctx); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, fmt.Errorf("%s does not answer: %w\n%s", program, errors.Join(err, s.Stop()), log)
	}
	return s, nil
}

// wait waits until our server answers, and not another that took the port.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		dir, err := s.folder(ctx)
		if err == nil && dir != s.dir {
			return errors.New("another server has the port")
		} else if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// folder asks the server where it lives.
func (s *Server) folder(ctx context.Context) (string, error) {
	c, err := redis.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	pair, err := redis.Strings(redis.DoContext(c, ctx, "CONFIG", "GET", "dir"))
	if err != nil || len(pair) != 2 {
		return "", fmt.Errorf("%q: %w", pair, err)
	}
	return pair[1], nil
}

// URL is the server's address as the setting counters takes it.
func (s *Server) URL() string { return "redis://" + s.Address }

// Stop stops the server and removes everything it wrote.
func (s *Server) Stop() error {
	if err := s.stdin.Close(); err != nil {
		return err
	}
	stuck := time.AfterFunc(10*time.Second, func() { _ = s.keeper.Process.Kill() })
	defer stuck.Stop()
	return s.keeper.Wait()
}
