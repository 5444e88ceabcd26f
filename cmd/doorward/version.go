package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "devel"

func (p *program) version() *cobra.Command {
	return p.command("version", "Print the version", "And what it was built with.", `
doorward version
doorward version -o json`,
		nil, func(*cobra.Command, []string) error {
			v := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			text := fmt.Sprintf("doorward %s (%s, %s)", version, v["go"], v["platform"])
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v["commit"] = s.Value
					}
				}
			}
			return p.print(v, table{rows: [][]string{{text}}})
		})
}

func (p *program) completion() *cobra.Command {
	c := p.command("completion", "Print the completion script of a shell", `Completion is then there in every new shell once the script is loaded by its
start-up file. SHELL is bash, zsh, fish or powershell.`, `
source <(doorward completion bash)
doorward completion zsh > "${fpath[1]}/_doorward"
doorward completion fish > ~/.config/fish/completions/doorward.fish`,
		[]string{"SHELL"}, func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return root.GenZshCompletion(p.stdout)
			case "fish":
				return root.GenFishCompletion(p.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(p.stdout)
			}
			return usage(c, "SHELL is bash, zsh, fish or powershell")
		})
	c.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	return c
}
