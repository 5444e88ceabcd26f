package server

import (
	"context"
	"crypto/tls"
	"log/slog"

	"golang.org/x/crypto/acme/autocert"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/signin"
)

// Line is a line of the site map, for the tests.
type Line struct {
	Pattern    string
	Permission string
	Open       bool // anybody may call it
	Person     bool // who is signed in in a browser may
}

// SiteMap returns the site map.
func (s *Server) SiteMap() []Line {
	var lines []Line
	for _, r := range s.routes(surfaces{admin: admin.New(admin.Parts{}), provider: &provider.Provider{}, signin: &signin.Surface{}}) {
		lines = append(lines, Line{Pattern: r.pattern, Permission: r.who.permission(), Open: r.who == anybody, Person: r.who == person})
	}
	return lines
}

// TLS returns what connections to localhost are held to.
func TLS(cert, key string) (*tls.Config, error) {
	return TLSFrom(cert, key, slog.New(slog.DiscardHandler))
}

// TLSFrom is TLS with a log.
func TLSFrom(cert, key string, log *slog.Logger) (*tls.Config, error) {
	f := &certificateFiles{cert: cert, key: key, log: log}
	return tlsConfig([]string{"localhost"}, f.get), f.read()
}

// CertificateCache returns where certificates from an authority are kept.
func (k *Core) CertificateCache() autocert.Cache { return k.certificates() }

// Flush hands what was counted to keep.
func (s *Server) Flush(ctx context.Context, keep func(context.Context, []audit.Count) error) error {
	return s.counter.Flush(ctx, keep)
}

// Counted returns how often something was counted, and writes it down.
func (s *Server) Counted(ctx context.Context, action string, o audit.Outcome) (n int64, err error) {
	err = s.counter.Flush(ctx, func(ctx context.Context, list []audit.Count) error {
		for _, c := range list {
			if c.Action == action && c.Outcome == o {
				n += c.Times
			}
		}
		return s.Store.AddCounts(ctx, list)
	})
	return n, err
}

// ReadLogo is readLogo.
var ReadLogo = readLogo
