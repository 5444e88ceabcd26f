package doorward_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/storm/program"
)

// readme are the commands of README.md and how they are run here. A command that
// is not among them fails the test, and so does one that README.md lost.
var readme = map[string]func(*testing.T, *stage){
	"go run ./cmd/doorward dev": runDev,
	"go run ./examples/orders":  runOrders,
	"make test":                 nil, // it is what runs this test
}

// stage is where the commands of README.md are run, one after the other.
type stage struct {
	doorward, orders string // the programs: go run builds them and runs what it built
	url              string // of dev
	tokens           string // what the first command to paste has answered
}

// TestReadmeCommands runs what README.md tells a reader to run, in its order.
func TestReadmeCommands(t *testing.T) {
	s := &stage{}
	var err error
	bin := t.TempDir()
	if s.doorward, err = program.Build(t.Context(), bin, "cmd/doorward"); err != nil {
		t.Fatal(err)
	}
	if s.orders, err = program.Build(t.Context(), bin, "examples/orders"); err != nil {
		t.Fatal(err)
	}
	left := sorted(readme)
	for _, block := range blocks(read(t, "README.md"), "sh") {
		for line := range strings.Lines(block) {
			command := strings.TrimSpace(line)
			if command == "" || strings.HasPrefix(command, "#") {
				continue
			}
			run, known := readme[command]
			if !known {
				t.Errorf("README.md: no test runs %q: add it to the table in readme_test.go", command)
			} else if run != nil {
				run(t, s)
			}
			left = slices.DeleteFunc(left, func(c string) bool { return c == command })
		}
	}
	if len(left) > 0 {
		t.Errorf("README.md does not say %q any more: take it out of the table in readme_test.go", left)
	}
	t.Run("documents", func(t *testing.T) { namesExist(t, s) })
}

// runDev runs dev in an empty folder, and pastes the commands that it prints
// into a shell.
func runDev(t *testing.T, s *stage) {
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	// The usual port may be taken on the machine that runs the tests.
	listen := fmt.Sprintf("localhost:%d", port)
	cmd := exec.Command(s.doorward, "dev")
	cmd.Dir, cmd.Env = t.TempDir(), program.Environment("DOORWARD_LISTEN="+listen, "DOORWARD_SHARED_SIGNALS_ENABLED=true") // whose paths documents name, too
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() error { _ = cmd.Process.Signal(os.Interrupt); return cmd.Wait() }
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("dev, interrupted, ended with: %v", err)
		}
	})
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	banner, err := until(stdout, "Stop it with Ctrl-C.")
	if err != nil {
		t.Fatalf("%v\n%s", err, banner)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	s.url = "http://" + listen
	if !strings.Contains(banner, "URL       "+s.url+"\n") {
		t.Errorf("the URL %s is not in:\n%s", s.url, banner)
	}
	s.paste(t, pasteable(banner))
}

// until reads lines up to one.
func until(r io.Reader, last string) (string, error) {
	var b strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		b.WriteString(lines.Text() + "\n")
		if lines.Text() == last {
			return b.String(), nil
		}
	}
	return b.String(), io.ErrUnexpectedEOF
}

// pasteable returns the commands of dev's banner: each stands alone, indented,
// after a line that ends in a colon.
func pasteable(banner string) (commands []string) {
	for _, m := range regexp.MustCompile(`(?m)^[^ \n].*:\n\n  (.+)$`).FindAllStringSubmatch(banner, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// paste runs the commands in one shell, as somebody would who pastes them, the
// last two once more, and holds what each of them printed to what it is for.
func (s *stage) paste(t *testing.T, commands []string) {
	if len(commands) != 3 {
		t.Fatalf("dev prints %d commands, want 3: %q", len(commands), commands)
	}
	const mark = "---- next ----"
	var script strings.Builder
	for _, c := range append(slices.Clone(commands), commands[1], commands[2]) {
		fmt.Fprintf(&script, "%s || exit 1\necho; echo '%s'\n", c, mark)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu")
	cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(script.String())
	cmd.Env = program.Environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the commands that dev prints: %v\n%s", err, out)
	}
	answers := strings.Split(string(out), mark)
	seen := map[string]bool{}
	for i, field := range []string{"refresh_token", "username", "refresh_token", "username", "refresh_token"} {
		var a map[string]any
		if err := json.Unmarshal([]byte(answers[i]), &a); err != nil {
			t.Fatalf("command %d was answered %q: %v", i+1, answers[i], err)
		}
		value, _ := a[field].(string)
		switch {
		case value == "":
			t.Errorf("command %d: no %s in %s", i+1, field, answers[i])
		case field == "username" && value != "admin":
			t.Errorf("command %d: the username is %q", i+1, value)
		case field == "refresh_token" && seen[value]:
			t.Errorf("command %d: the refresh token is one of before", i+1)
		}
		seen[value] = field == "refresh_token"
	}
	s.tokens = answers[4]
}

// runOrders runs the example next to dev, and calls it with a token of dev's.
func runOrders(t *testing.T, s *stage) {
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	p, err := program.Start(program.Command{Path: s.orders, Env: program.Environment("ISSUER="+s.url, "LISTEN="+listen), Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Ready(within, "http://"+listen+"/"); err != nil {
		t.Fatal(err)
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(s.tokens), &tokens); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"": http.StatusUnauthorized, tokens.Access: http.StatusOK} {
		if got := status(t, http.MethodGet, "http://"+listen+"/orders", token); got != want {
			t.Errorf("the example answers %d, want %d", got, want)
		}
	}
	// Without settings it looks for dev where dev is.
	for path, args := range map[string]string{s.doorward: "dev --help", s.orders: "-h"} {
		out, _ := exec.Command(path, strings.Fields(args)...).CombinedOutput() // -h ends with an error
		if !strings.Contains(string(out), "localhost:8080") {
			t.Errorf("%s %s does not speak of localhost:8080:\n%s", filepath.Base(path), args, out)
		}
	}
}

func status(t *testing.T, method, url, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
