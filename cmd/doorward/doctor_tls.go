package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/doorward/doorward/internal/server"
)

// soonExpires is when a certificate should have been renewed: those that renew
// themselves do so earlier.
const soonExpires = 21 * 24 * time.Hour

// reach looks at whether clients can come in as the issuer says.
func (e *examination) reach() {
	c := e.c
	if c.Issuer.Scheme == "http" {
		e.warn("issuer", "fine for a trial; a real server has an https issuer", "%s is for this machine alone", c.Issuer)
		return
	}
	switch {
	case c.TLS.Cert != "":
		e.certificateFiles()
	case c.TLS.ACME:
		e.ok("issuer", "%s, with certificates from %s", c.Issuer, c.TLS.ACMEDirectory)
		if port := c.Issuer.Port(); port != "" {
			e.warn("tls.acme", "use https without a port, or let port 443 lead here too", "the issuer is at port %s, and the authority asks at port 443", port)
		}
	case len(c.TrustedProxies) == 0:
		e.wrong("issuer", "give tls.cert and tls.key, or tls.acme, or name the proxy that speaks TLS in trusted_proxies",
			"%s is https, but the server speaks plain HTTP and trusts no proxy: it would refuse every request", c.Issuer)
	default:
		e.ok("issuer", "%s, by a proxy that speaks TLS", c.Issuer)
	}
}

// certificateFiles looks at the certificate that the server would show, and at its
// key.
func (e *examination) certificateFiles() {
	const about = "tls.cert"
	pair, err := tls.LoadX509KeyPair(e.c.TLS.Cert, e.c.TLS.Key)
	if err != nil {
		e.wrong(about, "serve refuses to start; one that runs goes on with what it read before", "%v", err)
		return
	}
	e.certificate(about, pair.Leaf, "get a new one; the server reads it again by itself")
	e.chain(about, pair)
	if info, err := os.Stat(e.c.TLS.Key); err == nil {
		e.keyFile("tls.key", e.c.TLS.Key, info)
	}
}

// certificate looks at one certificate.
func (e *examination) certificate(about string, leaf *x509.Certificate, renew string) {
	host, left := e.c.Issuer.Hostname(), leaf.NotAfter.Sub(e.began)
	switch {
	case leaf.VerifyHostname(host) != nil:
		e.wrong(about, "get one that does", "the certificate does not name the issuer's host, %s", host)
	case left < 0:
		e.wrong(about, renew, "the certificate ended at %s", moment(leaf.NotAfter, ""))
	case leaf.NotBefore.After(e.began):
		e.wrong(about, "is this machine's clock right?", "the certificate begins at %s", moment(leaf.NotBefore, ""))
	case left < soonExpires:
		e.warn(about, renew, "the certificate ends at %s", moment(leaf.NotAfter, ""))
	default:
		e.ok(about, "the certificate for %s ends at %s", host, moment(leaf.NotAfter, ""))
	}
}

// chain looks at whether clients come from the certificate to an authority that
// this machine knows.
func (e *examination) chain(about string, pair tls.Certificate) {
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	// Its times are told already.
	at := pair.Leaf.NotBefore.Add(pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore) / 2)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: at}); err != nil {
		e.warn(about, "put the certificates between it and its authority into the file, after it; with an authority of your own, every client must be given that", "%v", err)
	}
}

func (e *examination) keyFile(about, path string, info fs.FileInfo) {
	uid, known := ownerOf(info)
	switch mode := info.Mode().Perm(); {
	case mode&0o027 != 0:
		e.wrong(about, "chmod 600 it, and think of the key as known", "%s can be read or written by others (mode %04o)", path, mode)
	case mode&0o040 != 0 && (!known || uid != 0):
		e.warn(about, "chmod 600 it, or let root own it", "%s can be read by its group (mode %04o)", path, mode)
	default:
		e.ok(about, "%s, mode %04o", path, mode)
	}
}

// issued looks at the certificate that an authority gave.
func (e *examination) issued(ctx context.Context, k *server.Core) {
	if !e.c.TLS.ACME {
		return
	}
	const about = "tls.acme"
	leaf, err := k.Certificate(ctx, e.c.Issuer.Hostname())
	switch {
	case err != nil:
		e.wrong(about, "is this the database's master key?", "%v", err)
	case leaf == nil:
		e.warn(about, fmt.Sprintf("start the server and look at its log; port 443 of %s must lead to it", e.c.Issuer.Hostname()), "there is no certificate yet")
	default:
		e.certificate(about, leaf, "the server renews it by itself: look at its log for why it did not")
	}
}
