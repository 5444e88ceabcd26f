package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReplaceKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "real", "key"), filepath.Join(dir, "key")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("old"), 0o400), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	if err := replace(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, file); got != "new" {
		t.Errorf("the file holds %q", got)
	}
	info, err := os.Lstat(file)
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v, %v", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("something was left behind: %v", entries)
	}
}

// What an interrupted run left goes, once it can be nobody's any more; what only
// looks alike stays.
func TestReplaceSweeps(t *testing.T) {
	dir := t.TempDir()
	at := func(name string, age time.Duration) string {
		path := filepath.Join(dir, name)
		then := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, fresh, other, key := at(".key-123", time.Hour), at(".key-456", 0), at(".keys-123", time.Hour), at("key", time.Hour)
	if err := replace(key, []byte("new")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{old: false, fresh: true, other: true, key: true} {
		if exists(path) != want {
			t.Errorf("%s is there: %v", filepath.Base(path), !want)
		}
	}
}

// A run of dev that was killed at any moment leaves a folder that the next run
// takes for its own.
func TestPrepareAfterInterruption(t *testing.T) {
	dir := data(filepath.Join(t.TempDir(), "data"))
	if err := dir.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.path(unfinished(usualConfig)+"123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dir.prepare(); err != nil {
		t.Errorf("with an unfinished mark: %v", err)
	}
	if err := os.WriteFile(dir.path("thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dir.prepare(); err == nil {
		t.Error("with somebody's file it was taken")
	}
}

func TestWriteNewOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := writeNew(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := writeNew(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	dangling := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "target"), dangling); err != nil {
		t.Fatal(err)
	}
	if err := writeNew(dangling, []byte("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link that somebody laid: %v", err)
	}
	if got := content(t, path); got != "first" {
		t.Errorf("the file holds %q", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Of rotations at once, none throws away the key that another seals under:
// whatever they say, the database opens with the file afterwards.
func TestRotationsAtOnce(t *testing.T) {
	dir := t.TempDir()
	beside := []string{"--config", filepath.Join(dir, "doorward.yaml"), "--database", "sqlite:" + filepath.Join(dir, "db")}
	if code, _, stderr := runHere(t, "correct horse battery", append([]string{"init", "--issuer", "https://auth.example.com", "--password-stdin"}, beside...)...); code != 0 {
		t.Fatal(stderr)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range 8 {
		all.Go(func() {
			code, _, stderr := runHere(t, "", append([]string{"master-key", "rotate"}, beside...)...)
			mu.Lock()
			defer mu.Unlock()
			if code == 0 {
				done++
			} else if !strings.Contains(stderr, "another run rotates it at this moment") {
				t.Errorf("a rotation failed: %s", stderr)
			}
		})
	}
	all.Wait()
	if done == 0 {
		t.Error("none of them rotated")
	}
	if keys := strings.Count(content(t, filepath.Join(dir, "master.key")), "=\n"); keys != done+1 {
		t.Errorf("the file holds %d keys after %d rotations", keys, done)
	}
	if code, _, stderr := runHere(t, "", append([]string{"signing-key", "list"}, beside...)...); code != 0 {
		t.Errorf("the database does not open any more: %s", stderr)
	}
}

func TestOperator(t *testing.T) {
	p := &program{env: []string{"SUDO_USER=ana"}}
	if by := p.operator(); (by.ID == "ana") != (os.Geteuid() == 0) {
		t.Errorf("as uid %d, the operator behind sudo is %q", os.Geteuid(), by.ID)
	}
	p = &program{}
	if by := p.operator(); by.ID == "" || by.String() == "cli" {
		t.Errorf("the operator is %q", by)
	}
}

// A configuration that lies around is read only if it is ours.
func TestStrangersConfiguration(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "doorward.yaml")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 4711, 4711)); err != nil {
		t.Fatal(err)
	}
	if err := (&program{}).ours(path); err == nil || !strings.Contains(err.Error(), "belongs to another user (uid 4711)") {
		t.Errorf("a stranger's: %v", err)
	}
	if err := (&program{env: []string{"SUDO_UID=4711"}}).ours(path); err != nil {
		t.Errorf("of the user behind sudo: %v", err)
	}
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := (&program{}).ours(path); err != nil {
		t.Errorf("one's own: %v", err)
	}
}
