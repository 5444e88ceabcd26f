package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/server"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"doorward": func() {
		// main, but for the cost of a password's hash.
		p := &program{env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, began: time.Now(), tweaks: cheap}
		os.Exit(p.run(untilSignal(), os.Args[1:]))
	}})
}

var cheap = []func(*server.Options){func(o *server.Options) { o.Hasher.InsecureCost = 4 }}

// TestScripts runs the real program, as the files of testdata say.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "mode": mode, "port": port, "ready": ready, "login": login, "answers": answers, "capture": capture, "keep": keep,
			"signature": signature, "forged": forged, "first-line": firstLine,
			"terminate": terminate,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("USER", "ops")
			return nil
		},
	})
}

// exits N COMMAND… runs a command and expects its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("the exit code is %d, want %d", got, want)
	}
}

// mode MODE FILE… expects the permissions of files.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if info.Mode().Perm() != fs.FileMode(want) {
			ts.Fatalf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
}

// port NAME sets a variable to a port that is free.
func port(ts *testscript.TestScript, _ bool, args []string) {
	listeners, err := server.Listen(config.Address{Host: "localhost"})
	ts.Check(err)
	_, free, _ := net.SplitHostPort(listeners[0].Addr().String())
	for _, l := range listeners {
		l.Close()
	}
	ts.Setenv(args[0], free)
}

// ready URL waits until a server is ready.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // it may have a certificate of its own
	for range 200 {
		answer, err := client.Get(args[0] + "/readyz")
		if err == nil {
			answer.Body.Close()
			if (answer.StatusCode == http.StatusOK) != neg {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s is not ready", args[0])
}

// login URL USER PASSWORD-FILE TOKEN-FILE signs in and keeps the access token.
func login(ts *testscript.TestScript, neg bool, args []string) {
	password := strings.TrimSuffix(ts.ReadFile(args[2]), "\n")
	answer, err := http.PostForm(args[0]+"/auth/login", url.Values{"username": {args[1]}, "password": {password}})
	ts.Check(err)
	defer answer.Body.Close()
	var tokens struct {
		Access string `json:"access_token"`
	}
	ts.Check(json.NewDecoder(answer.Body).Decode(&tokens))
	if (answer.StatusCode == http.StatusOK) == neg {
		ts.Fatalf("the login was answered %s", answer.Status)
	}
	if !neg {
		ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(tokens.Access+"\n"), 0o600))
	}
}

// answers STATUS URL TOKEN-FILE expects the status of a GET with a token.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	var status string
	for range 40 { // what another process changed is known within a second
		r, err := http.NewRequest(http.MethodGet, args[1], nil)
		ts.Check(err)
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
		answer, err := http.DefaultClient.Do(r)
		ts.Check(err)
		answer.Body.Close()
		if status = strconv.Itoa(answer.StatusCode); status == args[0] {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s was answered %s, want %s", args[1], status, args[0])
}

// capture NAME FIELD sets a variable to a field of the JSON on stdout; a path
// through lists and objects is written with dots.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for step := range strings.SplitSeq(args[1], ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			v = in[i]
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// keep FILE FIELD writes a field of the JSON on stdout into a file, as a line.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	var v map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(fmt.Sprintln(v[args[1]])), 0o600))
}

// signature NAME TOKEN-FILE sets a variable to the last part of a token.
func signature(ts *testscript.TestScript, _ bool, args []string) {
	token := strings.TrimSpace(ts.ReadFile(args[1]))
	ts.Setenv(args[0], token[strings.LastIndex(token, ".")+1:])
}

// forged NEW TOKEN-FILE writes the token with another claim.
func forged(ts *testscript.TestScript, _ bool, args []string) {
	part := strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), ".")
	claims, err := base64.RawURLEncoding.DecodeString(part[1])
	ts.Check(err)
	part[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(claims, []byte(`"client_id":"doorward"`), []byte(`"client_id":"forged"`), 1))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(part, ".")), 0o600))
}

// first-line FILE INTO puts a file's content before another's.
func firstLine(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(args[0])+ts.ReadFile(args[1])), 0o600))
}

// terminate sends SIGTERM to what runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// runHere runs the program in this process.
func runHere(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	p := &program{env: cleanEnv(), stdin: strings.NewReader(stdin), stdout: &out, stderr: &err, began: time.Now(), tweaks: cheap}
	code = p.run(t.Context(), args)
	return code, out.String(), err.String()
}

// cleanEnv is the environment without what would configure the program.
func cleanEnv(more ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(line string) bool { return strings.HasPrefix(line, "DOORWARD_") }), more...)
}
