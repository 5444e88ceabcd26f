package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

const (
	usualListen = "localhost:8080"
	inboxPath   = "/inbox"
)

// trial is one run of dev.
type trial struct {
	*program
	data   data
	listen string
	fresh  bool
	tls    bool
}

func (p *program) dev() *cobra.Command {
	t := trial{program: p}
	var dir string
	c := p.command("dev", "Run a server to try things out, for this machine alone", `It needs nothing: it makes its database, keys and an administrator in a folder
and keeps them there until the next run. It prints where it is, the password of
the administrator (DOORWARD_ADMIN_PASSWORD sets another), and what to paste next.
The other commands find the folder by themselves, if it is .doorward here.`, `
doorward dev
doorward dev --fresh
doorward dev --tls
doorward dev --listen localhost:0 --data /tmp/trial`,
		nil, func(c *cobra.Command, _ []string) error {
			t.data = data(dir)
			return t.run(c.Context())
		})
	c.Flags().StringVar(&dir, "data", usualData, "the folder to keep everything in (`DIR`)")
	c.Flags().BoolVar(&t.fresh, "fresh", false, "delete what an earlier run kept in the folder")
	c.Flags().BoolVar(&t.tls, "tls", false, "serve https, with a certificate of an authority of its own that is made in the folder")
	c.Flags().StringVar(&t.listen, "listen", "", "where it listens: `HOST:PORT`, on loopback; port 0 is any that is free (default "+usualListen+")")
	return c
}

func (t *trial) run(ctx context.Context) error {
	c, listeners, err := t.open()
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if err := t.folder(ctx, c); err != nil {
		return err
	}
	log, flush := server.NewLog(c.Log, t.stderr)
	defer flush()
	inbox := func(o *server.Options) { o.Inbox = true }
	core, err := server.NewCore(ctx, c, log, append([]func(*server.Options){inbox}, t.tweaks...)...)
	if err != nil {
		return err
	}
	a, err := t.administrator(ctx, core)
	if err != nil {
		return errors.Join(err, core.Close())
	}
	s, err := server.New(core, version)
	if err != nil {
		return errors.Join(err, core.Close())
	}
	err = runServer(ctx, s, listeners, func() {
		t.welcome(c, a)
		t.verify(ctx, core, a)
	})
	return errors.Join(err, core.Close())
}

// open reads the configuration and opens the listeners, before anything is
// written: the issuer holds the port, and a port may be taken.
func (t *trial) open() (config.Config, []net.Listener, error) {
	s, err := t.sources(config.Dev)
	if err != nil {
		return config.Config{}, nil, err
	}
	if s.File == t.data.path(usualConfig) {
		s.File = "" // it is dev's own word of the run before
	}
	s.Defaults["listen"] = usualListen
	s.Defaults["database"] = "sqlite:" + t.data.path(dataDatabase)
	s.Defaults["master_key"] = t.data.path(dataMaster)
	if t.tls {
		s.Defaults["tls.cert"], s.Defaults["tls.key"] = t.data.path(dataCert), t.data.path(dataCertKey)
	}
	if t.listen != "" {
		s.Flags["--listen"] = t.listen
	}
	port := s
	port.Mode = config.Command // only dev itself refuses port 0
	c, err := config.Read(port)
	var listeners []net.Listener
	if err == nil && c.Listen.Port == 0 && c.Listen.Loopback() {
		if listeners, err = server.Listen(c.Listen); err != nil {
			return config.Config{}, nil, err
		}
		_, free, _ := net.SplitHostPort(listeners[0].Addr().String())
		s.Flags["--listen"] = net.JoinHostPort(c.Listen.Host, free)
		delete(s.Flags, "--set listen")
	}
	if c, err = config.Read(s); err != nil {
		return c, listeners, err
	}
	if listeners == nil {
		if listeners, err = server.Listen(c.Listen); errors.Is(err, syscall.EADDRINUSE) {
			err = fault.New(fault.Conflict, "%s is taken by another program, perhaps by another doorward dev; choose another address, like --listen localhost:%d, or any that is free with --listen localhost:0",
				c.Listen, c.Listen.Port%65535+1)
		}
	}
	return c, listeners, err
}

// folder prepares the data folder and the master key in it.
func (t *trial) folder(ctx context.Context, c config.Config) error {
	if t.fresh {
		if c.Database.Path != t.data.path(dataDatabase) {
			return fault.New(fault.Invalid, "--fresh deletes the database in %s alone, and this one is %s: empty it yourself, or name another", t.data, c.Database)
		}
		if err := t.data.clear(); err != nil {
			return err
		}
	}
	if err := t.data.prepare(); err != nil {
		return err
	}
	if t.ownAuthority(c) {
		if err := t.data.ensureCertificate(t.began); err != nil {
			return err
		}
	}
	if err := t.data.remember(c); err != nil {
		return err
	}
	return t.data.ensureMaster(ctx, c)
}

// ownAuthority reports whether the certificate is of the authority in the folder.
func (t *trial) ownAuthority(c config.Config) bool {
	return t.tls && c.TLS.Cert == t.data.path(dataCert)
}

// welcome prints where the server is and what to do first.
func (t *trial) welcome(c config.Config, a administrator) {
	url, ms := c.Issuer.String(), time.Since(t.began).Milliseconds()
	if t.output == asJSON {
		// There is nobody left to tell that stdout is closed.
		told := map[string]any{"url": url, "username": a.name, "password": a.shown(), "inbox": url + inboxPath, "data": string(t.data), "ready_ms": ms}
		if t.ownAuthority(c) {
			told["ca"] = t.data.path(dataCA)
		}
		_ = t.print(told, table{})
		return
	}
	curl := "curl -sS"
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Doorward %s is ready in %d ms.", version, ms)
	line("")
	line("  URL       %s", url)
	line("  Username  %s", a.name)
	line("  Password  %s", cmp.Or(a.shown(), "(not known here)"))
	if c.Docs {
		line("  Pages     %[1]s/ and %[1]s/docs, where the API is to be tried", url)
	} else {
		line("  Pages     %[1]s/ and %[1]s/openapi.json", url)
	}
	line("  Inbox     %s, for what would be mailed", url+inboxPath)
	line("  Data      %s, the database %s", t.data, c.Database)
	if t.ownAuthority(c) {
		curl += " --cacert " + quoted(t.data.path(dataCA))
		line("  Authority %s: curl believes it by --cacert, browsers once it is imported", t.data.path(dataCA))
	}
	line("  Answers   to this machine alone, as %s", strings.Join(c.Hosts, ", "))
	line("")
	for _, step := range firstSteps(curl, url, a) {
		line("%s:\n\n  %s\n", step.does, step.command)
	}
	line("Stop it with Ctrl-C.")
	fmt.Fprint(t.stdout, b.String())
}

// step is a command to paste.
type step struct{ does, command string }

// firstSteps are commands for sh and curl that build on one another. Each can be
// pasted again.
func firstSteps(curl, url string, a administrator) []step {
	member := func(name string) string {
		return `$(printf %s "$tokens" | sed 's/.*"` + name + `":"\([^"]*\)".*/\1/')`
	}
	return []step{
		{"Log in", "tokens=$(" + curl + " " + url + "/auth/login -d username=" + a.name + " --data-urlencode password=" + quoted(cmp.Or(a.shown(), "PASSWORD")) + `); echo "$tokens"`},
		{"Call a protected endpoint", curl + " " + url + `/users/me -H "Authorization: Bearer ` + member("access_token") + `"`},
		{"Refresh", "tokens=$(" + curl + " " + url + "/auth/refresh -d \"refresh_token=" + member("refresh_token") + `"); echo "$tokens"`},
	}
}

// quoted returns text as one word of sh.
func quoted(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// keptPassword reads the password that an earlier run wrote down.
func (d data) keptPassword() (secret.Text, error) {
	b, err := os.ReadFile(d.path(dataPassword))
	if os.IsNotExist(err) {
		return secret.Text{}, nil
	}
	return secret.From(strings.TrimSuffix(string(b), "\n")), err
}

// keepPassword writes the password down for the next run.
func (d data) keepPassword(password secret.Text) error {
	return replace(d.path(dataPassword), []byte(password.Reveal()+"\n"))
}
