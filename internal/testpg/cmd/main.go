// Command cmd runs a command with a PostgreSQL server beside it:
//
//	go run ./internal/testpg/cmd go test ./internal/store
//
// The command finds the server's address in DOORWARD_TEST_POSTGRES. The server
// ends with the command.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/doorward/doorward/internal/testpg"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	durable := len(args) > 0 && args[0] == "-durable"
	if durable {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("usage: go run ./internal/testpg/cmd [-durable] COMMAND [ARGUMENT...]")
	}
	pg, err := testpg.Start(ctx, testpg.Options{Durable: durable})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "DOORWARD_TEST_POSTGRES="+pg.DSN("postgres"))
	return errors.Join(cmd.Run(), pg.Stop())
}
