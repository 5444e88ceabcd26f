package doorward_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reveals counts the places where a secret leaves its secret.Text, by package.
// Each is a place where a secret could reach a log or an answer, so a new one
// is looked at before it is counted here.
var reveals = map[string]int{
	"cmd/doorward":      10, // the password that dev prints and writes down, a client's new secret, a new token that registers clients, a new API key and one to verify, a token to inspect, master keys and the database's address for their files
	"internal/admin":    3,  // a client's new secret, a new API key and a new token that registers clients, which are shown once
	"internal/client":   4,  // a client's secret, to be held against what is kept; what registers or changes a client, to be parsed; the assertions of a client and of a workload, to be verified
	"internal/config":   1,  // the database's address, asked whether it leaves the machine
	"internal/counter":  1,  // the address of Redis, which may hold its password
	"internal/factor":   1,  // a password, normalized to be hashed
	"internal/fetch":    1,  // what a receiver of events wants to see in Authorization
	"internal/issue":    4,  // parsing a refresh token, to renew and to sign out; the digest of an access token in an ID token; the sealing of what a receiver wants to see
	"internal/mail":     1,  // the mail server's password, to sign in there
	"internal/provider": 3,  // the answers of the token, the authorization and the device authorization endpoint
	"internal/secret":   3,  // Equal, which compares in constant time, and the reading of the master key
	"internal/server":   2,  // the database's address, which may hold its password; an access token from a cookie, to be verified
	"internal/session":  1,  // parsing a session's cookie
	"internal/sink":     1,  // the secret of webhooks, which their requests are signed with
	"internal/signin":   3,  // the answer to a sign-in, both tokens; a device's cookie, for the sign-in that follows a change of the password
	"internal/web":      2,  // cookies: writing them, and reading that of the device
}

func TestReveals(t *testing.T) {
	sites := map[string][]string{}
	for _, f := range parsed(t) {
		if f.test || isRoom(f.dir) {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
				sites[f.dir] = append(sites[f.dir], f.at(s.Sel))
			}
			return true
		})
	}
	for _, dir := range sorted(sites) {
		if got, want := len(sites[dir]), reveals[dir]; got != want {
			t.Errorf("%s reveals secrets in %d places, and %d are counted:\n\t%s\nWhere the secret can stay a secret.Text, let it. "+
				"Where it must be seen, count it in laws_test.go and say what for:\n\t%q: %d, // why",
				dir, got, want, strings.Join(sites[dir], "\n\t"), dir, got)
		}
	}
	for _, dir := range sorted(reveals) {
		if len(sites[dir]) == 0 {
			t.Errorf("%s reveals nothing: take it out of the table in laws_test.go", dir)
		}
	}
}

// What runs before main cannot be given anything, cannot fail, and is read by
// nobody.
func TestNoInit(t *testing.T) {
	for _, f := range parsed(t) {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: an init function. Make what it prepares a value, or a function that its user calls", f.at(fn))
			}
		}
	}
}

func TestFileLength(t *testing.T) {
	const limit = 700
	for _, path := range sources(t) {
		if n := bytes.Count(read(t, path), []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, and %d is the most: split it by concept", path, n, limit)
		}
	}
}

// A name that fits everything says nothing of what is inside.
func TestFileNames(t *testing.T) {
	empty := strings.Fields("util utils common helper helpers manager types models misc dto pkg")
	for _, path := range sources(t) {
		file := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".go"), "_test")
		for _, word := range append(strings.Split(filepath.ToSlash(filepath.Dir(path)), "/"), file) {
			if slices.Contains(empty, word) {
				t.Errorf("%s: the name %q says nothing; a package is a noun, a file is a concept", path, word)
			}
		}
	}
}

// Work that is put off is written down where it is planned, not in the code.
func TestNoPromises(t *testing.T) {
	promise := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	kinds := []string{".go", ".sql", ".md", ".yaml", ".yml", ".sh", ".html", ".tmpl", ".txtar", ""}
	for _, path := range kept(t) {
		if !slices.Contains(kinds, filepath.Ext(path)) {
			continue
		}
		for n, line := range strings.Split(string(read(t, path)), "\n") {
			if promise.MatchString(line) {
				t.Errorf("%s:%d: %s: do it, or say in a comment what is so and why", path, n+1, strings.TrimSpace(line))
			}
		}
	}
}

// A path of the machine that something was written on means nothing elsewhere.
func TestNoWorkplace(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	home, _ := os.UserHomeDir()
	// Folders that a document may well speak of, wherever it was written.
	common := strings.Fields("/ . /tmp /var/tmp /srv /opt /usr /usr/src /var /mnt /home /app /src /build /code /repo /data /workspace")
	for _, place := range []string{here, filepath.Dir(here), home} {
		if place == "" || slices.Contains(common, place) {
			continue
		}
		path := regexp.MustCompile(`(^|[^\w.$}-])` + regexp.QuoteMeta(place) + `(/|$|[^\w-])`)
		for _, file := range kept(t) {
			text := read(t, file)
			if filepath.Ext(file) == ".sum" || !bytes.Contains(text, []byte(place)) || bytes.IndexByte(text, 0) >= 0 {
				continue
			}
			for n, line := range strings.Split(string(text), "\n") {
				if path.MatchString(line) {
					t.Errorf("%s:%d: a path of this machine: %s", file, n+1, strings.TrimSpace(line))
				}
			}
		}
	}
}

// sources returns the Go files of this module.
func sources(t *testing.T) (files []string) {
	t.Helper()
	for _, path := range walk(t) {
		if filepath.Ext(path) == ".go" && !strings.Contains(path, "testdata"+string(filepath.Separator)) {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		t.Fatal("no Go file was found")
	}
	return files
}

// kept returns the files that git keeps or would keep; without git, all files.
func kept(t *testing.T) (files []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return walk(t)
	}
	for path := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() { // not one that is deleted but not committed
			files = append(files, path)
		}
	}
	return files
}

// walk returns every file of the checkout but git's own, what was built, and
// other modules.
func walk(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			if entry.Type().IsRegular() {
				files = append(files, path)
			}
			return nil
		}
		_, errMod := os.Stat(filepath.Join(path, "go.mod"))
		if path != "." && (errMod == nil || slices.Contains([]string{".git", ".cache", ".doorward", "bin", "node_modules"}, entry.Name())) {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// source is a Go file, read.
type source struct {
	path, dir string
	test      bool
	text      []byte
	tree      *ast.File
	set       *token.FileSet
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

// parsed returns the Go files of this module, whatever their build tags.
func parsed(t *testing.T) (files []source) {
	t.Helper()
	for _, path := range sources(t) {
		s := source{
			path: path, dir: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go"),
			text: read(t, path), set: token.NewFileSet(),
		}
		var err error
		if s.tree, err = parser.ParseFile(s.set, path, s.text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			t.Errorf("it cannot be read, so no law was held against it: %v", err)
			continue
		}
		files = append(files, s)
	}
	return files
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
