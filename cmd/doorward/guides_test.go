package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// guides are what guides show in their sections: commands with their output, on
// files that they show, too.
var guides = []struct {
	file, from string   // the guide, and the heading at which it begins to be run
	to         string   // and at which no more; empty: the end
	first      []string // commands that the guide takes as done
	files      map[string]string
}{
	{
		"authorization.md", "## Why can Ana", "## Groups",
		[]string{"role create refunder --permission orders:refund", "role create support --inherit refunder", "role grant ana support", "role grant ben support"},
		nil,
	},
	{"sign-in.md", "## Register it", "## Point a library", nil, nil},
	{"services.md", "## A key instead", "## Ask about", nil, nil},
	{
		"policy-as-code.md", "## The file", "## In a build", nil,
		map[string]string{"wrong.txt": "ana cannot orders:refund\nben can users:write\nzoe cannot write\n"},
	},
}

// What a guide shows of a command is what the command prints. A line of … stands for
// any lines.
func TestGuides(t *testing.T) {
	manuals, err := filepath.Abs("../../docs/guides")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guides {
		t.Run(g.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(manuals, g.file))
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			do(t, "correct horse battery\n", "init --issuer https://auth.example.com --password-stdin")
			do(t, "", "user create ana --no-password")
			do(t, "", "user create ben --no-password")
			for _, command := range g.first {
				do(t, "", command)
			}
			for name, content := range g.files {
				write(t, name, content)
			}
			_, part, found := strings.Cut(string(text), g.from)
			if g.to != "" {
				part, _, _ = strings.Cut(part, g.to)
			}
			if n := replay(t, part); !found || n < 2 {
				t.Errorf("only %d commands were found from %q on", n, g.from)
			}
		})
	}
}

func do(t *testing.T, stdin, command string) string {
	t.Helper()
	var out bytes.Buffer // stdout and stderr, as a terminal shows them
	p := &program{env: cleanEnv(), stdin: strings.NewReader(stdin), stdout: &out, stderr: &out, began: time.Now(), tweaks: cheap}
	var args []string
	for _, word := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(command, -1) {
		args = append(args, strings.Trim(word, `"`))
	}
	p.run(t.Context(), args)
	return out.String()
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

var (
	shown   = regexp.MustCompile("(?ms)^```[a-z]*\n# ([a-z.]+)\n(.*?)^```$") // a file, with its name
	printed = regexp.MustCompile(`(?m)^    \$ doorward (.+)\n((?:    [^$\n].*\n|\n    [^$\n].*\n)*)`)
)

// replay writes the files that a guide shows and runs its commands, and returns how
// many.
func replay(t *testing.T, part string) int {
	t.Helper()
	for _, m := range shown.FindAllStringSubmatch(part, -1) {
		write(t, m[1], m[2])
	}
	commands := printed.FindAllStringSubmatch(part, -1)
	for _, m := range commands {
		want := strings.TrimRight(regexp.MustCompile(`(?m)^    `).ReplaceAllString(m[2], ""), "\n")
		got := strings.TrimRight(do(t, "", m[1]), "\n")
		if before, after, elided := strings.Cut(want, "…\n"); elided && strings.HasPrefix(got, before) && strings.HasSuffix(got, after) {
			continue
		}
		if got != want {
			t.Errorf("doorward %s is shown to print\n%s\nand prints\n%s", m[1], want, got)
		}
	}
	return len(commands)
}
