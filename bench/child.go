package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/doorward/doorward/bench/floor"
	"github.com/doorward/doorward/guard"
)

// childCommand is the first argument of the programs that stand beside the
// benchmark: floors, and an API that guard protects. They are processes of
// their own so that their processor time is theirs.
const childCommand = "child"

// guarded is the child that is no floor.
const guarded = "guarded"

// childOptions are what a child is told.
type childOptions struct {
	name     string
	dsn      string // a floor's
	families int    // a floor's
	issuer   string // of the tokens that the guarded API takes
	cache    int    // how many verified tokens it remembers
	keys     bool   // whether it takes API keys
}

func (o childOptions) args() []string {
	return []string{
		childCommand, "-name", o.name, "-dsn", o.dsn, "-families", strconv.Itoa(o.families), "-issuer", o.issuer, "-cache", strconv.Itoa(o.cache),
		"-keys=" + strconv.FormatBool(o.keys),
	}
}

// child is such a program. It says where it listens, and ends when its standard
// input does.
func child(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	var o childOptions
	fs := flag.NewFlagSet(childCommand, flag.ContinueOnError)
	fs.StringVar(&o.name, "name", "", "what to serve")
	fs.StringVar(&o.dsn, "dsn", "", "where a floor keeps what it must")
	fs.IntVar(&o.families, "families", 0, "how many token families a floor makes")
	fs.StringVar(&o.issuer, "issuer", "", "who issues the tokens of the guarded API")
	fs.IntVar(&o.cache, "cache", 0, "how many tokens it remembers")
	fs.BoolVar(&o.keys, "keys", false, "take API keys")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, l.Addr())
	if o.name != guarded {
		return floor.Serve(ctx, l, o.name, o.dsn, o.families)
	}
	return serveGuarded(ctx, l, o)
}

// serveGuarded serves an API of one constant answer that takes an access token, or an
// API key.
func serveGuarded(ctx context.Context, l net.Listener, o childOptions) error {
	options := []guard.Option{guard.Audience(o.issuer), guard.CacheSize(o.cache)}
	if o.keys {
		more, err := keyIssuer(ctx)
		if err != nil {
			return err
		}
		options = append(options, more...)
	}
	g, err := guard.New(o.issuer, options...)
	if err != nil {
		return err
	}
	constant := []byte(`{"orders":[{"id":"0f2d3c4b5a69788796a5b4c3d2e1f00f","state":"sent"},{"id":"1f2d3c4b5a69788796a5b4c3d2e1f00f","state":"paid"}]}` + "\n")
	h := g.Require(guard.Permission("read"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write(constant)
	}))
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { s.Close() })
	defer stopped()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// program is a process that was started to be measured.
type program struct {
	addr string
	cmd  *exec.Cmd
	stop func() error
}

func (p *program) pid() int { return p.cmd.Process.Pid }

// startChild starts a child and waits until it listens.
func startChild(ctx context.Context, o childOptions) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, o.args()...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal reaches the benchmark, which stops it
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		return nil, err
	}
	stop := func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the child %s: %w", o.name, err), stop())
	}
	p := &program{addr: strings.TrimSpace(line), cmd: cmd, stop: stop}
	return p, ctx.Err()
}
