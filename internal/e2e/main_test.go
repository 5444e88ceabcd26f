// Package e2e_test lets clients that others wrote, and a browser, meet the real
// program. What they need and is not there, the tests install (package need); a
// client that cannot be had fails its test.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/storm/program"
)

// binary and orders are the paths of the programs.
var binary, orders string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	folder, err := os.MkdirTemp("", "doorward-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	if binary, err = program.Build(context.Background(), folder, "cmd/doorward"); err != nil {
		return 0, err
	}
	if orders, err = program.Build(context.Background(), folder, "examples/orders"); err != nil {
		return 0, err
	}
	defer quit()
	return m.Run(), nil
}

// site is a server of the test's own.
type site struct {
	url      string
	password string // of everybody
	folder   string
	env      []string
	server   *program.Process
}

// first is what every site begins with, made once: it takes four commands.
var first struct {
	once             sync.Once
	password, master string
	database         []byte
	err              error
}

// start starts a server with three users: admin, viewer and editor, each with
// the role of that name. more are settings, as NAME=value.
func start(t *testing.T, more ...string) *site {
	t.Helper()
	first.once.Do(func() {
		first.password, first.master = servertest.Canary(t), secret.NewMaster().Reveal()
		first.database, first.err = prepared(t.Context(), t.TempDir())
	})
	if first.err != nil {
		t.Fatal(first.err)
	}
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{url: fmt.Sprintf("http://127.0.0.1:%d", port), password: first.password, folder: t.TempDir()}
	s.env = append(environment(s.url, port), more...)
	if err := os.WriteFile(filepath.Join(s.folder, database), first.database, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(t)
	return s
}

const database = "doorward.db"

func environment(url string, port int) []string {
	return program.Environment(
		"DOORWARD_ISSUER="+url, fmt.Sprintf("DOORWARD_LISTEN=127.0.0.1:%d", port),
		"DOORWARD_DATABASE=sqlite:"+database, "DOORWARD_MASTER_KEY="+first.master,
		"DOORWARD_PASSWORDS_HASH=argon2id", // bcrypt takes its time
	)
}

// prepared makes a database with its users in a folder, and returns it.
func prepared(ctx context.Context, folder string) ([]byte, error) {
	env := environment("http://127.0.0.1:1", 1)
	if _, err := program.Run(ctx, program.Command{Path: binary, Args: []string{"migrate"}, Env: env, Folder: folder}, ""); err != nil {
		return nil, err
	}
	for _, name := range []string{"admin", "viewer", "editor"} {
		create := []string{"user", "create", name, "--role", name, "--password-stdin"}
		if _, err := program.Run(ctx, program.Command{Path: binary, Args: create, Env: env, Folder: folder}, first.password+"\n"); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(filepath.Join(folder, database))
}

// operate runs a command beside the server.
func (s *site) operate(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := program.Run(t.Context(), program.Command{Path: binary, Args: args, Env: s.env, Folder: s.folder}, stdin)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *site) serve(t *testing.T) {
	t.Helper()
	s.server = launch(t, s.url+"/readyz", program.Command{Path: binary, Args: []string{"serve"}, Env: s.env, Folder: s.folder})
}

// launch starts a program that lives as long as the test, and waits until a URL
// of it is answered.
func launch(t *testing.T, url string, c program.Command) *program.Process {
	t.Helper()
	if dir := os.Getenv("DOORWARD_TEST_LOGDIR"); dir != "" {
		f, err := os.CreateTemp(dir, "e2e-*.log")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		c.Log = f
	}
	p, err := program.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	within, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Ready(within, url); err != nil {
		t.Fatal(err)
	}
	return p
}

// forge changes the signature of a token.
func forge(token string) string {
	cut := strings.LastIndexByte(token, '.') + 10
	other := "A"
	if token[cut:cut+1] == other {
		other = "B"
	}
	return token[:cut] + other + token[cut+1:]
}
