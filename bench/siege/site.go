package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/storm/program"
)

// site is a server under siege: the real program, that speaks TLS.
type site struct {
	address string
	process *program.Process
	pool    *x509.CertPool
	token   string // of a user
}

const password = "correct horse battery"

// newSite starts a server with one user in a folder, by a command of its own if
// there is one.
func newSite(ctx context.Context, binary, folder string, by ...string) (*site, error) {
	port, err := program.Port()
	if err != nil {
		return nil, err
	}
	s := &site{address: fmt.Sprintf("127.0.0.1:%d", port), pool: x509.NewCertPool()}
	cert, err := certificate(folder)
	if err != nil {
		return nil, err
	}
	s.pool.AppendCertsFromPEM(cert)
	log, err := os.Create(filepath.Join(folder, "server.log"))
	if err != nil {
		return nil, err
	}
	c := program.Command{Path: binary, Folder: folder, Log: log, Env: program.Environment(
		"DOORWARD_ISSUER=https://"+s.address, "DOORWARD_LISTEN="+s.address, "DOORWARD_DATABASE=sqlite:doorward.db", "DOORWARD_MASTER_KEY="+secret.NewMaster().Reveal(),
		"DOORWARD_TLS_CERT=cert.pem", "DOORWARD_TLS_KEY=key.pem", "DOORWARD_PASSWORDS_HASH=argon2id",
	)}
	create := c
	create.Args = []string{"user", "create", "ann", "--role", "viewer", "--password-stdin"}
	migrate := c
	migrate.Args = []string{"migrate"}
	if _, err := program.Run(ctx, migrate, ""); err != nil {
		return nil, err
	}
	if _, err := program.Run(ctx, create, password+"\n"); err != nil {
		return nil, err
	}
	c.Args = []string{"serve"}
	if len(by) > 0 {
		if c.Path, err = exec.LookPath(by[0]); err != nil {
			return nil, err
		}
		c.Args = by[1:]
	}
	if s.process, err = program.Start(c); err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = s.login(ctx); err == nil {
			return s, nil
		}
		if time.Now().After(end) {
			s.process.Kill()
			return nil, fmt.Errorf("the server is not ready: %w\n%s", err, s.process.Log())
		}
	}
}

// client returns a client of the site with connections of its own.
func (s *site) client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.pool, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 1,
	}}
}

func (s *site) login(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.address+"/auth/login", strings.NewReader("username=ann&password="+strings.ReplaceAll(password, " ", "+")))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := s.client()
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("signing in: %s %s, %w", answer.Status, bytes.TrimSpace(body), err)
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	err = json.Unmarshal(body, &tokens)
	s.token = tokens.Access
	return err
}

// certificate writes a certificate for 127.0.0.1 and its key, and returns it.
func certificate(folder string) ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		return nil, err
	}
	return cert, os.WriteFile(filepath.Join(folder, "cert.pem"), cert, 0o600)
}
