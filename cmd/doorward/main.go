// Command doorward is the server and what an operator does to it at the machine.
//
// Each command is a file. It reads the configuration, builds the services of
// package server, calls the verb that the HTTP API calls too, and prints what it
// got: results on stdout, words on stderr. No secret is an argument, and none is
// printed, but for the administrator's password that dev makes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/server"
)

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// untilSignal returns a context that ends with the first signal to stop. A
// second one ends the program at once.
func untilSignal() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

// run is the program. It returns the exit code: 0, 1 if it failed, 2 if it was
// called wrongly, or 3 where a command says what that means.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr, began: time.Now()}
	return p.run(ctx, args)
}

// program is one run of the program.
type program struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer
	began          time.Time
	tweaks         []func(*server.Options) // by tests

	configFile, database string // flags of every command
	set                  []string
	output               format

	running bool // the command was called rightly, and has begun
}

func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(append([]string{}, args...)) // nil would stand for os.Args
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errShown) {
		p.complain(err)
	}
	if wrong, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(p.stderr, "See: %s --help\n", wrong.command)
		return 2
	} else if !p.running {
		return 2
	}
	if errors.Is(err, errChanges) {
		return 3
	}
	return 1
}

// errShown is the error of a command whose output says already what is wrong.
var errShown = errors.New("the output says it")

// errChanges is the error of a command that found something to change, which is
// what it was asked for.
var errChanges = fmt.Errorf("there is something to change: %w", errShown)

// complain tells what went wrong, each mistake on a line of its own.
func (p *program) complain(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.stderr, "doorward: %s\n", visible(strings.TrimSuffix(line, "\n")))
	}
}

// say tells the operator something that is not a result.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.stderr, "doorward: %s\n", visible(fmt.Sprintf(format, args...)))
}

// getenv returns a variable of the environment.
func (p *program) getenv(name string) string {
	value := ""
	for _, line := range p.env {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			value = v // the last one counts, as it does for the programs that os/exec starts
		}
	}
	return value
}

// usageError says that the program was called wrongly.
type usageError struct {
	command string // as it was called, like "doorward user create"
	message string
}

func (e *usageError) Error() string { return e.message }

func usage(c *cobra.Command, format string, args ...any) error {
	return &usageError{c.CommandPath(), fmt.Sprintf(format, args...)}
}

func (p *program) root() *cobra.Command {
	root := group("doorward", "An authentication and authorization server", `Doorward gives an application sign-in, tokens, roles and an audit log.

- To try it out: doorward dev
- To set up a real server: doorward init, and then doorward serve

Every command reads the configuration: the file that --config or DOORWARD_CONFIG
names, or else doorward.yaml in the working directory, or else what doorward dev
keeps in .doorward there. Results go to stdout and words to stderr. The exit code
is 0, or 1 if the command failed, or 2 if it was called wrongly.`,
		p.dev(), p.initialize(), p.serve(), p.user(), p.role(), p.condition(), p.groups(), p.separation(), p.client(), p.stream(), p.resource(), p.organization(), p.policy(), p.apiKey(), p.signingKey(), p.token(), p.audit(), p.masterKey(),
		p.migrate(), p.doctor(), p.bench(), p.completion(), p.version())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	root.SetHelpCommand(p.help(root))
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%v", err) })

	f := root.PersistentFlags()
	f.StringVar(&p.configFile, "config", "", "the configuration `FILE`")
	f.StringVar(&p.database, "database", "", "the database: sqlite:PATH or postgres://USER@HOST/NAME; an `URL` with a password is refused, except by dev")
	f.StringArrayVar(&p.set, "set", nil, "a setting, as `NAME=VALUE`; may be repeated")
	f.VarP(&p.output, "output", "o", "how results are printed: table or json")
	return root
}

// command makes a command. placeholders are the arguments that it takes, as its
// help names them.
func (p *program) command(name, short, long, example string, placeholders []string, do func(c *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: strings.Join(append([]string{name}, placeholders...), " "), Short: short, Long: short + ".\n\n" + long, Example: indent(example),
		Args: func(c *cobra.Command, args []string) error {
			// What was given is not repeated: it may be a secret in the wrong place.
			if len(args) != len(placeholders) {
				return usage(c, "it takes %s, and %d were given", arguments(placeholders), len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			p.running = true
			return do(c, args)
		},
	}
}

func arguments(placeholders []string) string {
	switch n := len(placeholders); n {
	case 0:
		return "no arguments"
	case 1:
		return "one argument, " + placeholders[0]
	default:
		return fmt.Sprintf("%d arguments, %s", n, strings.Join(placeholders, " "))
	}
}

// group makes a command that only has commands.
func group(name, short, long string, members ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: name, Short: short, Long: long, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprint(c.ErrOrStderr(), c.UsageString())
				return usage(c, "which command?")
			}
			near := ""
			if s := c.SuggestionsFor(args[0]); len(s) > 0 {
				near = "; did you mean " + s[0] + "?"
			}
			return usage(c, "there is no command %.64q%s", args[0], near)
		},
	}
	g.AddCommand(members...)
	return g
}

// help prints the help of any command.
func (p *program) help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Print the help of a command", Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage(root, "there is no such command")
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
