package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// getCertificate returns the certificate for a handshake; none for a name that is
// not ours.
type getCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// tlsConfig allows TLS 1.2 with ephemeral keys and authenticated encryption
// alone, and TLS 1.3 (RFC 9325, Section 4.2). A client that asks for a host that
// is none of these gets the alert unrecognized_name (RFC 6066, Section 3); one
// that names no host is served, and its Host header looked at.
func tlsConfig(hosts []string, get getCertificate) *tls.Config {
	ours := func(name string) bool { return name == "" || slices.Contains(hosts, strings.ToLower(name)) }
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !ours(hello.ServerName) {
				return nil, nil //nolint:nilnil // which is that alert
			}
			return get(hello)
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	// A session that goes on asks for no certificate: one for another name begins anew.
	c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		if !ours(state.ServerName) {
			return nil, nil //nolint:nilnil // as if the ticket were not ours
		}
		return c.DecryptTicket(ticket, state)
	}
	return c
}

// transport returns what connections are held to: nil for plain HTTP, which is for
// loopback and for proxies that speak TLS.
func (s *Server) transport() (*tls.Config, error) {
	switch c := s.Config.TLS; {
	case c.Cert != "":
		files := &certificateFiles{cert: c.Cert, key: c.Key, log: s.Log}
		if err := files.read(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Config.Place("tls.cert"), err)
		}
		return tlsConfig(s.Config.Hosts, files.get), nil
	case c.ACME:
		return s.acmeConfig(), nil
	}
	return nil, nil //nolint:nilnil // as the comment says
}

// certificateFiles is a certificate and its key in two files that are read again
// when either was replaced. A pair that does not fit, as while only one of the two
// is written, leaves the pair before in use.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger

	loaded atomic.Pointer[tls.Certificate]
	mu     sync.Mutex // of what follows; handshakes do not wait for it
	seen   [2]os.FileInfo
	broken string // what is wrong with the files since the last good pair; it was told
	looked time.Time
}

// get returns the certificate. The files are looked at once a second at most.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.mu.TryLock() {
		if time.Since(f.looked) >= time.Second { //nolint:forbidigo // a duration of this process
			f.look()
		}
		f.mu.Unlock()
	}
	return f.loaded.Load(), nil
}

// read reads the pair for the first time.
func (f *certificateFiles) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

func (f *certificateFiles) look() {
	f.looked = time.Now() //nolint:forbidigo // as above
	if f.broken == "" && f.unchanged() {
		return
	}
	switch err := f.load(); {
	case err == nil:
		f.broken = ""
		f.log.Info("the certificate was read again", "file", f.cert, "ends", f.loaded.Load().Leaf.NotAfter.UTC())
	case err.Error() != f.broken:
		f.broken = err.Error()
		f.log.Error("the certificate and its key were replaced and cannot be used; the pair before stays in use", "error", err)
	}
}

// unchanged reports whether both files are those that were read.
func (f *certificateFiles) unchanged() bool {
	for i, name := range []string{f.cert, f.key} {
		now, err := os.Stat(name)
		if err != nil || !os.SameFile(now, f.seen[i]) || !now.ModTime().Equal(f.seen[i].ModTime()) || now.Size() != f.seen[i].Size() {
			return false
		}
	}
	return true
}

func (f *certificateFiles) load() error {
	var seen [2]os.FileInfo
	for i, name := range []string{f.cert, f.key} { // before they are read: what is written meanwhile is read the next time
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		seen[i] = info
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return err
	}
	f.loaded.Store(&pair)
	f.seen = seen
	return nil
}
