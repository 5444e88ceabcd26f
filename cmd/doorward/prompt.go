package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// mostSecret is how long a secret on stdin may be. An access token has at most
// 8 KiB.
const mostSecret = 64 << 10

// terminal returns stdin if a person sits there.
func (p *program) terminal() (*os.File, bool) {
	f, ok := p.stdin.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// newPassword reads a password that is to be set: from stdin, or typed twice.
func (p *program) newPassword(ctx context.Context, fromStdin bool, whose string) (secret.Text, error) {
	if fromStdin {
		return p.secretLine("the password")
	}
	f, ok := p.terminal()
	if !ok {
		return secret.Text{}, fault.New(fault.Invalid, "there is no terminal to ask for the password; give it to stdin with --password-stdin")
	}
	first, err := p.typed(ctx, f, "Password for "+whose+": ")
	if err != nil {
		return secret.Text{}, err
	}
	second, err := p.typed(ctx, f, "Again: ")
	if err != nil {
		return secret.Text{}, err
	}
	if !first.Equal(second) {
		return secret.Text{}, fault.New(fault.Invalid, "the two passwords differ; nothing was changed")
	}
	return first, nil
}

// secretLine reads all of stdin, which is one line, with or without its end.
func (p *program) secretLine(what string) (secret.Text, error) {
	b, err := io.ReadAll(io.LimitReader(p.stdin, mostSecret+1))
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case err != nil:
		return secret.Text{}, fmt.Errorf("reading %s from stdin: %w", what, err)
	case text == "":
		return secret.Text{}, fault.New(fault.Invalid, "stdin holds nothing, and %s was expected there", what)
	case len(b) > mostSecret || strings.ContainsAny(text, "\r\n"):
		return secret.Text{}, fault.New(fault.Invalid, "stdin holds more than %s, which is one line", what)
	}
	return secret.From(text), nil
}

// typed reads what a person types without showing it. When ctx ends meanwhile,
// the terminal is left as it was.
func (p *program) typed(ctx context.Context, f *os.File, question string) (secret.Text, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return secret.Text{}, err
	}
	fmt.Fprint(p.stderr, question)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		fmt.Fprintln(p.stderr)
		if errors.Is(l.err, io.EOF) {
			return secret.Text{}, errInterrupted
		}
		return secret.From(string(l.text)), l.err
	case <-ctx.Done(): // the reader is left behind; the program ends
		fmt.Fprintln(p.stderr)
		return secret.Text{}, errors.Join(errInterrupted, term.Restore(fd, before))
	}
}

var errInterrupted = errors.New("interrupted; nothing was changed")

// asked reads a line that a person types, and that is no secret.
func (p *program) asked(ctx context.Context, f *os.File, question string) (string, error) {
	fmt.Fprint(p.stderr, question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(f).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		if l.err != nil {
			return "", errInterrupted
		}
		return strings.TrimSpace(l.text), nil
	case <-ctx.Done():
		fmt.Fprintln(p.stderr)
		return "", errInterrupted
	}
}

// confirm asks before something that cannot be undone.
func (p *program) confirm(ctx context.Context, sure bool, question string) error {
	if sure {
		return nil
	}
	f, ok := p.terminal()
	if !ok {
		return fault.New(fault.Invalid, "there is no terminal to ask whether you are sure; say so with --yes")
	}
	answer, err := p.asked(ctx, f, question+" Type yes: ")
	if err == nil && answer != "yes" {
		err = fault.New(fault.Invalid, "nothing was changed")
	}
	return err
}
