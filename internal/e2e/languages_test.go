package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/internal/need"
)

// TestNode lets jose and oauth4webapi verify a token.
func TestNode(t *testing.T) {
	t.Parallel()
	node, room := nodeRoom(t, "node")
	s := start(t)
	s.verified(t, func(token string) string { return sh(t, room, node, "verify.mjs", s.url, token, forge(token)) })
}

// TestPython lets PyJWT verify a token.
func TestPython(t *testing.T) {
	t.Parallel()
	python, room := pythonRoom(t, "python")
	s := start(t)
	s.verified(t, func(token string) string { return sh(t, room, python, "verify.py", s.url, token, forge(token)) })
}

// nodeRoom returns the path of Node, and a copy of a folder with what its
// package-lock.json lists.
func nodeRoom(t *testing.T, folder string) (node, room string) {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		path, err := need.Program(t.Context(), program, "nodejs", "npm")
		if err != nil {
			t.Fatal(err)
		}
		node = path
	}
	return node, installed(t, folder, "package-lock.json", func(room string) {
		sh(t, room, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
}

// pythonRoom returns the path of a Python, and a copy of a folder, with what its
// requirements.txt lists.
func pythonRoom(t *testing.T, folder string) (python, room string) {
	t.Helper()
	base, err := need.Found(t.Context(), pythonWithVenv, "python3-venv")
	if err != nil {
		t.Fatal(err)
	}
	room = installed(t, folder, "requirements.txt", func(room string) {
		sh(t, room, base, "-m", "venv", "venv")
		sh(t, room, filepath.Join("venv", "bin", "pip"), "install", "--no-deps", "--only-binary", ":all:", "-r", "requirements.txt")
	})
	return filepath.Join(room, "venv", "bin", "python"), room
}

// pythonWithVenv returns the path of a Python that can make environments: Debian
// keeps that part in a package of its own.
func pythonWithVenv() (string, error) {
	path, err := exec.LookPath("python3")
	if err != nil {
		return "", err
	}
	return path, exec.Command(path, "-c", "import ensurepip, venv").Run()
}

// verified holds what a client read from a token to what was put in.
func (s *site) verified(t *testing.T, verify func(token string) string) {
	t.Helper()
	token := s.token(t, "editor").AccessToken
	var claims struct{ Sub, Scope string }
	out := verify(token)
	if err := json.Unmarshal([]byte(out), &claims); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if claims.Scope != "read write" || len(claims.Sub) != 26 {
		t.Errorf("the client read %+v", claims)
	}
}

// installed returns a copy of a folder where install has put what its files need. It
// is kept for the next run, under a name that follows from the list of what was
// wanted.
func installed(t *testing.T, from, list string, install func(room string)) string {
	t.Helper()
	wanted, err := os.ReadFile(filepath.Join(from, list))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	digest := sha256.Sum256(wanted)
	room := filepath.Join(cache, "doorward-e2e", filepath.Base(from)+"-"+hex.EncodeToString(digest[:8]))
	if err := os.MkdirAll(filepath.Dir(room), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(room + ".lock") // another run of the tests may install the same
	if err == nil {
		defer lock.Close()
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := filepath.Join(room, "installed")
	if _, err := os.Stat(done); err != nil {
		if err := os.RemoveAll(room); err != nil {
			t.Fatal(err)
		}
		copyFolder(t, from, room)
		install(room)
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copyFolder(t, from, room)
	return room
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() {
			continue // what npm put there by hand
		}
		text, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name()), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sh runs a program in a folder and returns what it printed.
func sh(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", name, args[0], err, out, stderr.String())
	}
	return string(out)
}
