package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/need"
	"github.com/doorward/doorward/internal/store/storetest"
)

// output is what a program writes while others look.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// trialRun is a dev that runs in this process.
type trialRun struct {
	stdout, stderr output
	stop           func() int // ends it and returns its exit code
}

// startDev runs dev until the test ends, or stop is called, and returns once it
// has said that it is ready. Passwords are hashed cheaply.
func startDev(t *testing.T, args ...string) *trialRun {
	t.Helper()
	return startWith(t, func(ctx context.Context, args []string, r *trialRun) int {
		p := &program{env: cleanEnv(), stdin: strings.NewReader(""), stdout: &r.stdout, stderr: &r.stderr, began: time.Now(), tweaks: cheap}
		return p.run(ctx, args)
	}, args...)
}

// startReal is startDev as it is for everybody.
func startReal(t *testing.T, args ...string) *trialRun {
	t.Helper()
	return startWith(t, func(ctx context.Context, args []string, r *trialRun) int {
		return run(ctx, args, cleanEnv(), strings.NewReader(""), &r.stdout, &r.stderr)
	}, args...)
}

func startWith(t *testing.T, start func(context.Context, []string, *trialRun) int, args ...string) *trialRun {
	t.Helper()
	r := &trialRun{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan int, 1)
	go func() { done <- start(ctx, append([]string{"dev", "--listen", "localhost:0"}, args...), r) }()
	r.stop = sync.OnceValue(func() int { cancel(); return <-done })
	t.Cleanup(func() { r.stop() })
	for deadline := time.Now().Add(time.Minute); !strings.Contains(r.stdout.String(), "Stop it with Ctrl-C."); time.Sleep(5 * time.Millisecond) {
		select {
		case code := <-done:
			done <- code
			t.Fatalf("dev ended with %d:\n%s", code, r.stderr.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("dev is not ready:\n%s\n%s", r.stdout.String(), r.stderr.String())
		}
	}
	return r
}

// said returns what dev said of a word, like URL.
func (r *trialRun) said(t *testing.T, word string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  ` + word + ` +(.*)$`).FindStringSubmatch(r.stdout.String())
	if found == nil {
		t.Fatalf("dev said nothing of %s:\n%s", word, r.stdout.String())
	}
	return found[1]
}

// The three commands that dev prints work as they are, in their order, pasted
// into a POSIX shell, and again when they are pasted again.
func TestPasteFirstSteps(t *testing.T) {
	for _, name := range []string{"curl", "sed"} {
		if _, err := need.Program(t.Context(), name, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name     string
		start    func(*testing.T, ...string) *trialRun
		times    int // a real hash takes its time under the race detector
		database func(*testing.T) []string
	}{
		{"sqlite", startReal, 1, func(*testing.T) []string { return nil }},
		{"https", startDev, 1, func(*testing.T) []string { return []string{"--tls"} }},
		{"postgres", startDev, 2, func(t *testing.T) []string { return []string{"--database", storetest.EmptyPostgres(t)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"--data", filepath.Join(t.TempDir(), "data")}, tt.database(t)...)
			r := tt.start(t, args...)
			paste(t, r.stdout.String(), tt.times)
			password := r.said(t, "Password")
			if code := r.stop(); code != 0 {
				t.Errorf("dev ended with %d:\n%s", code, r.stderr.String())
			}

			again := startDev(t, args...)
			if got := again.said(t, "Password"); got != password {
				t.Errorf("the password was %s, and is %s after a restart", password, got)
			}
			if strings.Contains(again.stderr.String(), "password of admin") {
				t.Errorf("the password that was printed is said to be wrong:\n%s", again.stderr.String())
			}
		})
	}
}

func paste(t *testing.T, banner string, times int) {
	t.Helper()
	commands := regexp.MustCompile(`(?m)^  (tokens=|curl ).*$`).FindAllString(banner, -1)
	if len(commands) != 3 {
		t.Fatalf("dev printed %d commands:\n%s", len(commands), banner)
	}
	script := strings.Repeat(strings.Join(commands, "\necho\n")+"\necho\n", times)
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Stdin = strings.NewReader(script)
	var stderr bytes.Buffer
	shell.Stderr = &stderr
	out, err := shell.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("sh: %v\n%s\n%s", err, out, stderr.Bytes())
	}
	var answers []map[string]any
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var a map[string]any
		if err := d.Decode(&a); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		answers = append(answers, a)
	}
	if len(answers) != 3*times {
		t.Fatalf("%d answers were expected:\n%s", 3*times, out)
	}
	for i, a := range answers {
		switch want := map[int]string{0: "access_token", 1: "username", 2: "access_token"}[i%3]; {
		case a[want] == nil:
			t.Errorf("answer %d has no %s: %v", i, want, a)
		case want == "username" && a[want] != "admin":
			t.Errorf("answer %d is about %v", i, a[want])
		}
	}
	if answers[0]["refresh_token"] == answers[2]["refresh_token"] {
		t.Error("the refresh gave the same token again")
	}
}

// tokensOf signs in and returns the tokens.
func tokensOf(t *testing.T, site, path string, form url.Values) map[string]any {
	t.Helper()
	answer, err := http.PostForm(site+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var tokens map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&tokens); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s was answered %s, %v: %v", path, answer.Status, err, tokens)
	}
	return tokens
}

func statusOf(t *testing.T, url string, token any) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.(string))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// Keys are replaced while the server answers, in the same process even: no
// request fails for it.
func TestRotateWhileServing(t *testing.T) {
	for _, tt := range []struct {
		name     string
		database func(*testing.T) string
	}{
		{"sqlite", func(t *testing.T) string { return storetest.EmptySQLite(t) }},
		{"postgres", func(t *testing.T) string { return storetest.EmptyPostgres(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, database := filepath.Join(t.TempDir(), "data"), tt.database(t)
			r := startDev(t, "--data", dir, "--database", database)
			site := r.said(t, "URL")
			tokens := tokensOf(t, site, "/auth/login", url.Values{"username": {"admin"}, "password": {r.said(t, "Password")}})

			access := tokens["access_token"]
			stop, failed := make(chan struct{}), make(chan int, 1)
			go func() { // somebody who calls all the time
				bad := 0
				for {
					select {
					case <-stop:
						failed <- bad
						return
					case <-time.After(2 * time.Millisecond):
						if statusOf(t, site+"/users/me", access) != http.StatusOK {
							bad++
						}
					}
				}
			}()
			beside := []string{"--config", filepath.Join(dir, usualConfig), "--database", database}
			for _, args := range [][]string{
				{"master-key", "rotate"}, {"signing-key", "rotate", "--now"}, {"master-key", "rotate"}, {"signing-key", "rotate", "--now"}, {"signing-key", "list"},
			} {
				if code, stdout, stderr := runHere(t, "", append(args, beside...)...); code != 0 {
					t.Errorf("%v: %d\n%s%s", args, code, stdout, stderr)
				}
				tokens = refreshed(t, site, tokens)
			}
			close(stop)
			if bad := <-failed; bad > 0 {
				t.Errorf("%d requests failed while keys were replaced", bad)
			}
			if code := r.stop(); code != 0 {
				t.Errorf("dev ended with %d:\n%s", code, r.stderr.String())
			}
			again := startDev(t, "--data", dir, "--database", database)
			if again.said(t, "Password") != r.said(t, "Password") {
				t.Error("the password changed with the restart")
			}
		})
	}
}

func refreshed(t *testing.T, site string, tokens map[string]any) map[string]any {
	t.Helper()
	return tokensOf(t, site, "/auth/refresh", url.Values{"refresh_token": {tokens["refresh_token"].(string)}})
}

// A password of any characters is one word of the shell.
func TestQuoted(t *testing.T) {
	for _, text := range []string{"plain-1.2_3", "", "a b", "it's", `$(rm -rf x)`, "`id`", `"\"`, "ä", "a\nb", `\`, "*", "~", "!x", "a'b'c"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quoted(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q came back as %q, %v", text, out, err)
		}
	}
}
