package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A canary is a secret that a test plants: a password, a token, a key. Whoever
// finds one in a log has found a leak.
var (
	canary     = regexp.MustCompile(`canary-[0-9a-f]{16}`)
	onlyCanary = regexp.MustCompile(`^canary-[0-9a-f]{16}$`)
)

// searchLogs searches every log under dir for canaries, in the clear and in
// base64, which is how credentials travel in an Authorization header.
func searchLogs(t *tally, dir string, must bool) {
	planted, err := readCanaries(filepath.Join(dir, "canaries.txt"))
	if err != nil {
		t.fail(err.Error())
		return
	}
	if must && len(planted) == 0 {
		t.fail("no test planted a canary, so nothing was proved about the logs")
	}
	logs := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".log" {
			return err
		}
		logs++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, leak := range leaks(text, planted) {
			name, _ := filepath.Rel(dir, path)
			t.fail(fmt.Sprintf("a secret is in the log %s: %s", name, leak))
		}
		return nil
	})
	if err != nil {
		t.fail("searching the logs: " + err.Error())
	}
	fmt.Fprintf(t.out, "searched %d logs for %d canaries\n", logs, len(planted))
}

// readCanaries returns what the tests have planted. A line that is no canary
// would never be found, so it is an error.
func readCanaries(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	planted := strings.Fields(string(text))
	for _, c := range planted {
		if !onlyCanary.MatchString(c) {
			return nil, fmt.Errorf("canaries.txt: %q is not canary- and 16 digits in lower-case hex", c)
		}
	}
	slices.Sort(planted)
	return slices.Compact(planted), nil
}

// leaks returns the lines of a log that hold a canary, whether or not the test
// that planted it said so.
func leaks(log []byte, planted []string) []string {
	var found []string
	for line := range bytes.Lines(log) {
		if canary.Match(line) {
			found = append(found, string(bytes.TrimSpace(line)))
		}
	}
	for _, c := range planted {
		for _, form := range inBase64(c) {
			if bytes.Contains(log, []byte(form)) {
				found = append(found, c+", in base64 as "+form)
			}
		}
	}
	return found
}

// inBase64 returns the three ways in which c shows inside base64, by how many
// bytes stand before it. The characters at both ends depend on its neighbours
// and are left out. Letters, digits and hyphens encode alike in both alphabets.
func inBase64(c string) []string {
	forms := make([]string, 3)
	for before := range forms {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), c...))
		from, to := (before*8+5)/6, (before+len(c))*8/6
		forms[before] = text[from:to]
	}
	return forms
}
