// Package e2e_test lets clients that others wrote, and a browser, meet the real
// program. What they need and is not there, the tests install (package need); a
// client that cannot be had fails its test.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
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

// start starts a server with three users: admin, viewer and editor, each with
// the role of that name. more are settings, as NAME=value.
func start(t *testing.T, more ...string) *site {
	t.Helper()
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{url: fmt.Sprintf("http://127.0.0.1:%d", port), password: servertest.Canary(t), folder: t.TempDir()}
	s.env = program.Environment(
		"DOORWARD_ISSUER="+s.url, fmt.Sprintf("DOORWARD_LISTEN=127.0.0.1:%d", port),
		"DOORWARD_DATABASE=sqlite:doorward.db", "DOORWARD_MASTER_KEY="+secret.NewMaster().Reveal(),
		"DOORWARD_PASSWORDS_HASH=argon2id", // bcrypt takes its time
	)
	s.env = append(s.env, more...)
	s.operate(t, "", "migrate")
	for _, name := range []string{"admin", "viewer", "editor"} {
		s.operate(t, s.password+"\n", "user", "create", name, "--role", name, "--password-stdin")
	}
	s.serve(t)
	return s
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
