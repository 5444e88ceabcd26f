package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"time"
)

// The files of dev --tls. Whoever believes the authority believes it about this
// machine alone: it is constrained to loopback names (RFC 5280, Section 4.2.1.10).
const (
	dataCA      = "ca.pem"
	dataCAKey   = "ca-key.pem"
	dataCert    = "cert.pem"
	dataCertKey = "cert-key.pem"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	certLife = 397 * 24 * time.Hour // the most that browsers accept
	certLeft = 30 * 24 * time.Hour  // with less, a new one is made
)

// ensureCertificate makes the local authority and its certificate, or finds them as
// they were left and makes anew what ends soon.
func (d data) ensureCertificate(now time.Time) error {
	ca, err := loadPair(d.path(dataCA), d.path(dataCAKey))
	if err != nil {
		return err
	}
	if ca == nil || ca.Leaf.NotAfter.Sub(now) < certLife {
		if ca, err = newPair(&x509.Certificate{
			Subject: pkix.Name{CommonName: "Doorward, local trial"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
			IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
			PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
			PermittedIPRanges: []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}},
		}, nil); err != nil {
			return err
		}
		if err := writePair(ca, d.path(dataCA), d.path(dataCAKey)); err != nil {
			return err
		}
	}
	cert, err := loadPair(d.path(dataCert), d.path(dataCertKey))
	if err != nil {
		return err
	}
	if cert != nil && cert.Leaf.NotAfter.Sub(now) > certLeft && cert.Leaf.CheckSignatureFrom(ca.Leaf) == nil {
		return nil
	}
	if cert, err = newPair(&x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}, ca); err != nil {
		return err
	}
	return writePair(cert, d.path(dataCert), d.path(dataCertKey))
}

// loadPair reads a certificate and its key; none if either is not there, or the two
// do not fit, as after an interruption between them.
func loadPair(cert, key string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	switch {
	case err == nil:
		return &pair, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, err
	}
	return nil, nil //nolint:nilnil // as the comment says
}

// newPair makes a key and a certificate of it, signed by an authority, or by itself.
func newPair(template *x509.Certificate, by *tls.Certificate) (*tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	parent, signer := template, any(private)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, err
}

// writePair writes a certificate and its key, both for their owner's eyes alone.
func writePair(pair *tls.Certificate, cert, key string) error {
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	return errors.Join(
		replace(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		replace(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
}
