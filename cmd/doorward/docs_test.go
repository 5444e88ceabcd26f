package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/reference/commands.md anew")

const reference = "../../docs/reference/commands.md"

// TestReference holds the manual of the commands and their help together.
func TestReference(t *testing.T) {
	p := &program{stdout: io.Discard, stderr: io.Discard}
	want := commandsManual(p.root())
	if *update {
		if err := os.WriteFile(reference, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v); run: go test ./cmd/doorward -run Reference -update", reference, err)
	}
}

// TestHelp holds that every command tells what it does, with an example that
// begins as it is called, and that every flag has its help.
func TestHelp(t *testing.T) {
	p := &program{stdout: io.Discard, stderr: io.Discard}
	each(p.root(), func(c *cobra.Command) {
		switch {
		case c.Short == "" || c.Long == "":
			t.Errorf("%s does not say what it does", c.CommandPath())
		case !c.HasSubCommands() && !strings.Contains(c.Example, c.CommandPath()):
			t.Errorf("%s has no example of itself", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len([]rune(line)) > 160 {
				t.Errorf("%s: a line that no terminal holds: %s", c.CommandPath(), line)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no help", c.CommandPath(), f.Name)
			}
		})
	})
}

// each calls f for a command and all below it, in the order of their names.
func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, member := range c.Commands() {
		if member.Name() != "help" {
			each(member, f)
		}
	}
}

func commandsManual(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# Commands\n\n<!-- Made from the commands' help by: go test ./cmd/doorward -run Reference -update -->\n")
	each(root, func(c *cobra.Command) {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n", c.CommandPath(), strings.TrimSpace(c.Long))
		if c.HasSubCommands() {
			b.WriteString("\n| command | does |\n| --- | --- |\n")
			for _, member := range c.Commands() {
				if member.Name() != "help" {
					fmt.Fprintf(&b, "| `%s` | %s |\n", member.CommandPath(), member.Short)
				}
			}
		} else {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n\n```sh\n%s\n```\n", c.UseLine(), outdent(c.Example))
		}
		if c.LocalFlags().HasAvailableFlags() {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.TrimRight(c.LocalFlags().FlagUsages(), "\n"))
		}
	})
	return b.Bytes()
}

// outdent takes the indentation of an example away.
func outdent(text string) string {
	return strings.TrimSpace(strings.ReplaceAll("\n"+text, "\n  ", "\n"))
}
