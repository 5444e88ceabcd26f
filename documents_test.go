package doorward_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/id"
)

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks returns the fenced blocks of a language.
func blocks(text []byte, language string) (found []string) {
	for _, m := range fence.FindAllSubmatch(text, -1) {
		if string(m[1]) == language {
			found = append(found, string(m[2]))
		}
	}
	return found
}

// documents returns what people read: every Markdown file but those of others.
func documents(t *testing.T) (files []string) {
	for _, path := range kept(t) {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
	}
	if len(files) < 5 {
		t.Fatalf("only %q", files)
	}
	return files
}

// TestLinks follows every link from one document to another file of this
// repository, and to the heading that it names.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, path := range documents(t) {
		text := fence.ReplaceAll(read(t, path), nil)
		for _, m := range link.FindAllSubmatch(text, -1) {
			to := string(m[1])
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			file, heading, _ := strings.Cut(to, "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			info, err := os.Stat(target)
			switch {
			case err != nil:
				t.Errorf("%s: the link %s leads nowhere", path, to)
			case heading != "" && (info.IsDir() || !slices.Contains(headings(read(t, target)), heading)):
				t.Errorf("%s: the link %s leads to no heading", path, to)
			}
		}
	}
}

// TestExampleIDs holds that an account in an example has an id as accounts have
// them: a command refuses any other. commands.md holds the examples of --help.
func TestExampleIDs(t *testing.T) {
	named := regexp.MustCompile(`(?:user:|audit erase )(0[0-9a-z]{15,})`)
	n := 0
	for _, path := range documents(t) {
		for _, m := range named.FindAllSubmatch(read(t, path), -1) {
			if n++; !id.Valid(string(m[1])) {
				t.Errorf("%s: %s is no id", path, m[1])
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d ids were found", n)
	}
}

// headings returns the anchors that a Markdown file has.
func headings(text []byte) (anchors []string) {
	other := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllSubmatch(fence.ReplaceAll(text, nil), -1) {
		words := other.ReplaceAllString(strings.ToLower(string(m[1])), "")
		anchors = append(anchors, strings.ReplaceAll(words, " ", "-"))
	}
	return anchors
}

// namesExist holds the variables, settings, commands and paths that documents
// name to those that there are.
func namesExist(t *testing.T, s *stage) {
	var (
		variable = regexp.MustCompile(`DOORWARD_[A-Z_]+`)
		code     = regexp.MustCompile("(?m)`[^`\n]+`|^    .+$")
		setting  = regexp.MustCompile("^`([a-z_]+)\\.([a-z_]+)`$")
		command  = regexp.MustCompile(`(?:^|[\s` + "`" + `])doorward ([a-z][a-z-]*)((?: [a-z][a-z-]*)?)`)
		path     = regexp.MustCompile("(?:^`|\\$URL|^`(GET|POST|PUT|PATCH|DELETE) )(/[A-Za-z0-9/._{}$:-]*)")
	)
	known, sections := map[string]bool{}, map[string]bool{}
	for _, x := range config.Settings() {
		known[x.Name] = true
		section, _, _ := strings.Cut(x.Name, ".")
		sections[section] = true
	}
	for _, a := range audit.Actions() { // they have the form of settings
		known[string(a)] = true
	}
	helps := helps{program: s.doorward, commands: map[string][]string{}}
	found := map[string]int{}
	for _, file := range documents(t) {
		text := read(t, file)
		for _, name := range variable.FindAll(text, -1) {
			found["variables"]++
			// The value is one that the names of Kubernetes have, which are let be.
			_, err := config.Read(config.Sources{Mode: config.Command, Environ: []string{string(name) + "=tcp://10.0.0.1:80"}})
			if err != nil && !strings.HasSuffix(string(name), "_") && strings.Contains(err.Error(), "unknown") {
				t.Errorf("%s: %v", file, err)
			}
		}
		spans := code.FindAll(text, -1)
		for _, m := range fence.FindAllSubmatch(text, -1) {
			for line := range strings.Lines(string(m[2])) {
				spans = append(spans, []byte(line))
			}
		}
		for _, span := range spans {
			if m := setting.FindSubmatch(span); m != nil && sections[string(m[1])] {
				found["settings"]++
				if name := string(m[1]) + "." + string(m[2]); !known[name] {
					t.Errorf("%s: there is no setting %s", file, name)
				}
			}
			for _, m := range command.FindAllSubmatch(span, -1) {
				found["commands"]++
				if err := helps.know(string(m[1]), strings.TrimSpace(string(m[2]))); err != nil {
					t.Errorf("%s: %s: %v", file, strings.TrimSpace(string(span)), err)
				}
			}
			for _, m := range path.FindAllSubmatch(span, -1) {
				if p := string(m[2]); !elsewhere(p) {
					found["paths"]++
					s.serves(t, file, string(m[1]), p)
				}
			}
		}
	}
	if helps.know("user", "creat") == nil || helps.know("serv", "") == nil || status(t, http.MethodGet, s.url+"/auth", "") != http.StatusNotFound {
		t.Error("a command or a path that is not there seems to be")
	}
	for _, kind := range []string{"variables", "settings", "commands", "paths"} {
		if found[kind] < 5 {
			t.Errorf("only %d %s were found in the documents: what finds them is broken", found[kind], kind)
		}
	}
}

// elsewhere reports whether a path is of the machine, or of the reader's own API.
func elsewhere(path string) bool {
	for _, root := range []string{"/etc/", "/var/", "/proc/", "/tmp", "/run/", "/dev/", "/orders"} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return false
}

// unserved are paths that documents speak of because they are not there yet, or not
// without a setting.
var unserved = []string{"/metrics", "/api-keys/leaks"}

// serves holds that the server answers to a path that a document names: with
// anything but "there is nothing here" or "not for this method".
func (s *stage) serves(t *testing.T, file, method, path string) {
	methods := []string{method}
	if method == "" {
		methods = []string{http.MethodGet, http.MethodPost}
	}
	asked := regexp.MustCompile(`\{[a-z]+\}|\$[A-Z]+`).ReplaceAllString(path, "x")
	if slices.Contains(unserved, path) || strings.HasSuffix(path, "/") && path != "/" { // "/auth/*"
		return
	}
	for _, m := range methods {
		if got := status(t, m, s.url+asked, ""); got != http.StatusNotFound && got != http.StatusMethodNotAllowed {
			return
		}
	}
	t.Errorf("%s: the server does not serve %s %s", file, method, path)
}

// helps asks the program for its commands.
type helps struct {
	program  string
	commands map[string][]string // by the group they are of, "" for all
}

var available = regexp.MustCompile(`(?s)Available Commands:\n(.*?)\n\n`)

func (h helps) of(group string) []string {
	if list, ok := h.commands[group]; ok {
		return list
	}
	out, err := exec.Command(h.program, append(strings.Fields(group), "--help")...).Output()
	list := []string{}
	if m := available.FindSubmatch(out); err == nil && m != nil {
		for line := range strings.Lines(string(m[1])) {
			list = append(list, strings.Fields(line)[0])
		}
	}
	h.commands[group] = list
	return list
}

// know holds that there is a command, and in a group of commands the second word
// too.
func (h helps) know(first, second string) error {
	if !slices.Contains(h.of(""), first) {
		return fmt.Errorf("there is no command %s: %w", first, fs.ErrNotExist)
	}
	if members := h.of(first); len(members) > 0 && second != "" && !slices.Contains(members, second) {
		return fmt.Errorf("there is no command %s %s: %w", first, second, fs.ErrNotExist)
	}
	return nil
}
