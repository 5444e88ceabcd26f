package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) serve() *cobra.Command {
	var listen string
	c := p.command("serve", "Run the server", `It refuses a configuration that is not safe, and says which line and why. The
database is migrated first. At SIGTERM or SIGINT it lets requests end, for 30
seconds at most; a second signal ends it at once. Its log goes to stderr.`, `
doorward serve
doorward serve --config /etc/doorward/doorward.yaml`,
		nil, func(c *cobra.Command, _ []string) error {
			s, err := p.sources(config.Serve)
			if err != nil {
				return err
			}
			if s.File == "" && exists(usualConfig) {
				if err := p.ours(usualConfig); err != nil {
					return err
				}
				s.File = usualConfig
			}
			if listen != "" {
				s.Flags["--listen"] = listen
			}
			settings, err := config.Read(s)
			if err != nil && s.File == "" {
				return errors.Join(err, errors.New("there is no configuration file; doorward init writes one, and --config names another"))
			} else if err != nil {
				return err
			}
			return p.serveWith(c.Context(), settings)
		})
	c.Flags().StringVar(&listen, "listen", "", "where it listens (`HOST:PORT`)")
	return c
}

func (p *program) serveWith(ctx context.Context, c config.Config) error {
	log, flush := server.NewLog(c.Log, p.stderr)
	defer flush()
	server.Hurry()
	core, err := server.NewCore(ctx, c, log, p.tweaks...)
	if err != nil {
		return err
	}
	s, err := server.New(core, version)
	if err != nil {
		return errors.Join(err, core.Close())
	}
	listeners, err := s.Listen()
	if err != nil {
		return errors.Join(err, core.Close())
	}
	if has, err := core.Store.HasAdmin(ctx, core.Roles.Snapshot()); err == nil && !has {
		log.Warn("there is no administrator; make one: doorward user create NAME --role admin")
	}
	err = runServer(ctx, s, listeners, func() {
		log.Info("serving", "address", addresses(listeners), "issuer", c.Issuer.String(), "database", c.Database.String(), "version", version)
		server.Settle()
	})
	return errors.Join(err, core.Close())
}

// runServer runs a server until ctx ends, and calls ready once it takes requests.
func runServer(ctx context.Context, s *server.Server, listeners []net.Listener, ready func()) error {
	var told sync.WaitGroup
	defer told.Wait()
	// Not in the way of the first request: whoever reads the words may be slow.
	announced := sync.OnceFunc(func() { told.Go(ready) })
	ours := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		ours[i] = announcing{l, announced}
	}
	return s.Run(ctx, ours)
}

// announcing tells when its first request can be taken.
type announcing struct {
	net.Listener
	announced func()
}

func (a announcing) Accept() (net.Conn, error) {
	a.announced()
	return a.Listener.Accept()
}

func addresses(listeners []net.Listener) string {
	list := make([]string, len(listeners))
	for i, l := range listeners {
		list[i] = l.Addr().String()
	}
	return strings.Join(list, " ")
}
