package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the first run leaves out, the second runs: no test of such a name stands
// elsewhere, and each name is that of a test.
func TestAloneAreSomewhere(t *testing.T) {
	name, test := regexp.MustCompile(alone), regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	found := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, m := range test.FindAllStringSubmatch(string(text), -1) {
			if !name.MatchString(m[1]) {
				continue
			}
			found[m[1]] = true
			if !slices.Contains(aloneIn, "./"+rel) {
				t.Errorf("%s in %s would run in no run", m[1], rel)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.SplitSeq(strings.Trim(alone, "^()$"), "|") {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(found)), regexp.MustCompile("^"+word+"$").MatchString) {
			t.Errorf("there is no test %s", word)
		}
	}
}
