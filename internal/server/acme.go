package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
)

// acmeConfig gets certificates from an ACME authority (RFC 8555) and answers its
// challenges in the handshake (tls-alpn-01, RFC 8737). All servers on a database
// share the account and the certificates: any of them answers any challenge.
func (s *Server) acmeConfig() *tls.Config {
	var names []string
	for _, h := range s.Config.Hosts {
		if config.Public(h) {
			names = append(names, h)
		}
	}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: s.Config.TLS.ACMEEmail, HostPolicy: autocert.HostWhitelist(names...),
		Cache:  s.certificates(),
		Client: &acme.Client{DirectoryURL: s.Config.TLS.ACMEDirectory, UserAgent: "doorward", HTTPClient: &http.Client{Timeout: 30 * time.Second}},
	}
	told := &troubles{log: s.Log}
	issuer := s.Config.Issuer.Hostname()
	c := tlsConfig(names, func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked := ecdsaHello
		asked.ServerName, asked.SupportedProtos = hello.ServerName, hello.SupportedProtos
		if asked.ServerName == "" { // a probe by address; its Host header is looked at later
			asked.ServerName = issuer
		}
		cert, err := m.GetCertificate(&asked)
		told.note(asked.ServerName, err)
		return cert, err
	})
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	s.first = func() { _, _ = c.GetCertificate(&tls.ClientHelloInfo{ServerName: issuer}) } // its trouble is told
	return c
}

// ecdsaHello makes the manager get one certificate for each host, with a P-256 key.
// Left to itself, it takes a client that offers TLS 1.3 alone for one that knows
// nothing but RSA, and gets a second.
var ecdsaHello = tls.ClientHelloInfo{
	SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256},
	CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
}

// troubles tells each trouble with a name once, until it is over or another.
type troubles struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]string
}

func (t *troubles) note(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]string{}
	}
	switch {
	case err == nil && t.last[name] != "":
		delete(t.last, name)
		t.log.Info("there is a certificate again", "host", name)
	case err != nil && t.last[name] != err.Error():
		t.last[name] = err.Error()
		t.log.Error("there is no certificate", "host", name, "error", err)
	}
}

// certificateCache keeps the account's key, the certificates with their keys, and
// the challenges in the database, each sealed by the master key for its place.
type certificateCache struct {
	store  *store.Store
	sealer func() (*secret.Sealer, error) // reads the master key again: it may have been replaced
}

var _ autocert.Cache = certificateCache{}

func (k *Core) certificates() certificateCache {
	return certificateCache{k.Store, func() (*secret.Sealer, error) { return sealer(k.Config) }}
}

// Get returns what is kept under a name, or autocert.ErrCacheMiss. What cannot be
// opened is an error and not a miss: a new account would be made for it.
func (c certificateCache) Get(ctx context.Context, name string) ([]byte, error) {
	blob, err := c.store.Certificate(ctx, name)
	if fault.KindOf(err) == fault.NotFound {
		return nil, autocert.ErrCacheMiss
	} else if err != nil {
		return nil, err
	}
	s, err := c.sealer()
	if err != nil {
		return nil, err
	}
	return s.Open(blob, store.CertificatePlace(name))
}

// Put keeps data under a name.
func (c certificateCache) Put(ctx context.Context, name string, data []byte) error {
	s, err := c.sealer()
	if err != nil {
		return err
	}
	return c.store.KeepCertificate(ctx, name, s.Seal(data, store.CertificatePlace(name)))
}

// Delete drops what is kept under a name, if anything.
func (c certificateCache) Delete(ctx context.Context, name string) error {
	if err := c.store.DropCertificate(ctx, name); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
