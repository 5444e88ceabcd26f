package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store/storetest"
	"github.com/doorward/doorward/internal/storm/program"
)

// member is one of several servers with certificates from an authority.
type member struct {
	address string
	command program.Command
	process *program.Process
}

func (m *member) start(t *testing.T) {
	t.Helper()
	var err error
	if m.process, err = program.Start(m.command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.process.Kill)
}

// shown returns the serial number of the certificate that a server shows for a
// host.
func (m *member) shown(a *authority, host string) (string, error) {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{ServerName: host, RootCAs: a.pool, MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", m.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// The program gets its certificate from an authority, and shows it. Servers on one
// database share it, and whoever starts later does not ask again.
func TestCertificatesFromAnAuthority(t *testing.T) {
	t.Parallel()
	const host, second = "auth.doorward.example", "login.doorward.example"
	a := newAuthority(t)
	dsn, master, folder := storetest.EmptyPostgres(t), secret.NewMaster().Reveal(), t.TempDir()
	newMember := func() *member {
		port, err := program.Port()
		if err != nil {
			t.Fatal(err)
		}
		m := &member{address: fmt.Sprintf("127.0.0.1:%d", port)}
		m.command = program.Command{Path: binary, Args: []string{"serve"}, Folder: folder, Env: program.Environment(
			"DOORWARD_ISSUER=https://"+host, "DOORWARD_HOSTS="+host+","+second, "DOORWARD_LISTEN="+m.address, "DOORWARD_DATABASE="+dsn, "DOORWARD_MASTER_KEY="+master,
			"DOORWARD_TLS_ACME=true", "DOORWARD_TLS_ACME_DIRECTORY="+a.url, "DOORWARD_TLS_ACME_EMAIL=operator@doorward.example", "SSL_CERT_FILE="+a.roots,
		)}
		return m
	}
	one, two := newMember(), newMember()
	a.reached(host, one.address)
	one.start(t)
	within(t, "the first certificate comes without being asked for", func() bool { _, n := a.issued(host); return n == 1 })
	serial, err := one.shown(a, host)
	if err != nil {
		t.Fatalf("%v\n%s\n%v", err, one.process.Log(), a.wrong)
	}

	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, one.address)
		},
	}}
	res, err := client.Get("https://" + host + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %s %v %s", res.Proto, res.Status, res.Header, body)
	}

	two.start(t)
	within(t, "the second server shows the same certificate", func() bool { s, err := two.shown(a, host); return err == nil && s == serial })
	// The authority may reach another server than the one that orders.
	a.reached(second, two.address)
	if _, err := one.shown(a, second); err != nil {
		t.Errorf("the other server did not answer the challenge: %v\n%s\n%v", err, two.process.Log(), a.wrong)
	}
	if err := one.process.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	one.start(t)
	within(t, "after a restart it is shown again", func() bool { s, err := one.shown(a, host); return err == nil && s == serial })
	if accounts, n := a.issued(host); accounts != 1 || n != 1 {
		t.Errorf("%d accounts, %d certificates for %s", accounts, n, host)
	}
	for _, evil := range []string{"evil.example", "x." + host, "127.0.0.1.nip.example"} {
		if _, err := one.shown(a, evil); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", evil, err)
		}
	}
	if _, n := a.issued("evil.example"); n > 0 || len(a.wrong) > 0 || len(a.orders) != 2 {
		t.Errorf("orders: %d; refused: %v", len(a.orders), a.wrong)
	}
	if got := a.accounts[0].contact; len(got) != 1 || got[0] != "mailto:operator@doorward.example" {
		t.Errorf("contact: %v", got)
	}
}
