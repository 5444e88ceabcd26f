package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/store/storetest"
)

// The commands keep their word on PostgreSQL too.
func TestCommandsOnPostgres(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "doorward.yaml")
	dsn := storetest.EmptyPostgres(t)
	const whatever = -1 // exit code
	// As an operator would who has a password to hide: in the environment.
	call := func(want int, stdin string, args ...string) (string, string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		p := &program{env: cleanEnv("DOORWARD_DATABASE=" + dsn), stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, began: time.Now(), tweaks: cheap}
		if exists(file) || args[0] == "init" {
			args = append(args, "--config", file)
		}
		if code := p.run(t.Context(), args); code != want && want != whatever {
			t.Fatalf("%v ended with %d, want %d\n%s%s", args, code, want, stdout.String(), stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	has := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	const password = "correct horse battery"

	out, _ := call(1, "", "migrate", "--check")
	has(out, "pending")
	call(0, "", "migrate") // an empty schema is no reason against init
	_, hint := call(0, password, "init", "--issuer", "https://auth.example.com", "--password-stdin")
	has(hint, "the database's password and parameters are not in")
	if strings.Contains(content(t, file), "sslmode") {
		t.Error("the file holds the database's parameters")
	}
	out, _ = call(0, "", "migrate", "--check")
	if out != "" {
		t.Errorf("still pending: %s", out)
	}
	// A server for tests is seldom durable, which doctor would tell.
	out, _ = call(whatever, "", "doctor", "--set", "trusted_proxies=10.0.0.7", "-o", "json")
	has(out, "there is one")
	has(out, "synchronous_commit=")
	usual := dsn
	dsn += "&synchronous_commit=off"
	out, _ = call(1, "", "doctor", "--set", "trusted_proxies=10.0.0.7")
	has(out, "synchronous_commit=off")
	has(out, "an acknowledged change may be lost with the power")
	dsn = usual

	call(0, password, "user", "create", "ana", "--role", "editor", "--password-stdin")
	out, _ = call(0, "", "role", "explain", "ana", "write")
	has(out, "user:ana → role:editor → write")
	out, _ = call(0, "", "user", "list", "--query", "an")
	has(out, "ana")
	_, why := call(1, "", "user", "delete", "admin", "--yes")
	has(why, "it would leave no administrator")
	call(0, "", "user", "delete", "ana", "--yes", "--erase")
	call(0, "", "signing-key", "rotate", "--now")
	call(0, "", "master-key", "rotate")
	out, _ = call(0, "", "signing-key", "list")
	has(out, "active")

	// In use: neither init nor dev takes it for a new one.
	file = filepath.Join(t.TempDir(), "doorward.yaml")
	_, why = call(1, password, "init", "--issuer", "https://auth.example.com", "--password-stdin")
	has(why, "is in use already")
	if exists(file) {
		t.Error("init wrote a configuration for a database that is in use")
	}
	file = filepath.Join(dir, "doorward.yaml")
	data := filepath.Join(t.TempDir(), "data")
	code, _, why := runHere(t, "", "dev", "--listen", "localhost:0", "--data", data, "--database", dsn)
	if code != 1 {
		t.Errorf("dev ended with %d", code)
	}
	has(why, "is gone, and the database")
	if exists(filepath.Join(data, "master.key")) {
		t.Error("dev made a master key for data that another one seals")
	}
	code, _, why = runHere(t, "", "dev", "--fresh", "--listen", "localhost:0", "--data", data, "--database", dsn)
	if code != 1 {
		t.Errorf("dev --fresh ended with %d", code)
	}
	has(why, "--fresh deletes the database in")
}

// An address that was an argument holds no password: the file has the whole of
// it, and needs nothing from the environment.
func TestInitKeepsDatabaseParameters(t *testing.T) {
	file, dsn := filepath.Join(t.TempDir(), "doorward.yaml"), storetest.EmptyPostgres(t)
	code, _, stderr := runHere(t, "correct horse battery", "init", "--config", file, "--issuer", "https://auth.example.com", "--database", dsn, "--password-stdin")
	if code != 0 || strings.Contains(stderr, "parameters") {
		t.Fatalf("init ended with %d: %s", code, stderr)
	}
	if code, stdout, stderr := runHere(t, "", "user", "list", "--config", file); code != 0 || !strings.Contains(stdout, "admin") {
		t.Errorf("user list ended with %d: %s%s", code, stdout, stderr)
	}
	if !strings.Contains(content(t, file), dsn) {
		t.Errorf("%s is not in the file", dsn)
	}
}
