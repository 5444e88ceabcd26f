package mail

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	netmail "net/mail"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/secret"
)

// office is a real SMTP server on loopback that keeps what it is handed.
type office struct {
	Options  // how to speak to it
	mu       sync.Mutex
	taken    []taken
	user     string                // who may send; empty: everybody
	password string                //
	refuse   func(to string) error // of a recipient
	slow     time.Duration         // before a letter is taken
	server   *smtp.Server
	listener net.Listener
}

// taken is a letter as it came.
type taken struct {
	from string
	to   []string
	raw  []byte
	*netmail.Message
	body []byte
}

var authority = sync.OnceValues(func() (*x509.CertPool, tls.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	if parsed, err := x509.ParseCertificate(caDER); err == nil {
		pool.AddCert(parsed)
	}
	return pool, tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
})

// open starts an office that is spoken to in a manner.
func open(t *testing.T, manner string, change ...func(*office)) *office {
	t.Helper()
	pool, pair := authority()
	o := &office{Options: Options{Host: "localhost", From: "Doorward <doorward@auth.example.com>", TLS: manner, Roots: pool}}
	for _, f := range change {
		f(o)
	}
	o.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &caller{office: o}, nil }))
	o.server.Domain, o.server.EnableSMTPUTF8, o.server.ErrorLog = "localhost", true, log.New(io.Discard, "", 0)
	o.server.AllowInsecureAuth = manner == None
	if manner != None {
		o.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	var err error
	if o.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	o.Port = o.listener.Addr().(*net.TCPAddr).Port
	l := o.listener
	if manner == Implicit {
		l = tls.NewListener(l, o.server.TLSConfig)
	}
	go o.server.Serve(l)
	t.Cleanup(func() { o.server.Close() })
	return o
}

func (o *office) carrier(t *testing.T) *Carrier {
	t.Helper()
	c, err := New(o.Options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (o *office) letters() []taken {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]taken(nil), o.taken...)
}

// caller is one connection to the office.
type caller struct {
	*office
	known bool
	now   taken
}

func (v *caller) AuthMechanisms() []string {
	if v.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (v *caller) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != v.user || password != v.password {
			return errors.New("invalid credentials for " + user)
		}
		v.known = true
		return nil
	}), nil
}

func (v *caller) Mail(from string, _ *smtp.MailOptions) error {
	if v.user != "" && !v.known {
		return smtp.ErrAuthRequired
	}
	v.now = taken{from: from}
	return nil
}

func (v *caller) Rcpt(to string, _ *smtp.RcptOptions) error {
	if v.refuse != nil {
		if err := v.refuse(to); err != nil {
			return err
		}
	}
	v.now.to = append(v.now.to, to)
	return nil
}

func (v *caller) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	time.Sleep(v.slow)
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	v.now.raw, v.now.Message = raw, m
	if v.now.body, err = io.ReadAll(m.Body); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.taken = append(v.taken, v.now)
	return nil
}

func (v *caller) Reset()        {}
func (v *caller) Logout() error { return nil }

// signed makes an office ask for a name and a password.
func signed(password string) func(*office) {
	return func(o *office) {
		o.user, o.password = "doorward", password
		o.Username, o.Password = "doorward", secret.From(password)
	}
}

var sample = outbox.Mail{
	ID: "06c0000000000000000000000a", User: "u", To: "alice@example.com", Subject: "New sign-in to your account at auth.example.com",
	Text: "Hello alice,\n\nyou signed in from Zürich.\n.\nThe end.\n", HTML: "<!doctype html>\n<p>Hello <b>alice</b>, " + "you signed in from Zürich.</p>\n",
	At: time.Date(2026, 11, 24, 4, 30, 0, 0, time.UTC),
}

func carry(t *testing.T, c *Carrier, m outbox.Mail) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	return c.Carry(ctx, m)
}
