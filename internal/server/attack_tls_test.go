package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/need"
	"github.com/doorward/doorward/internal/server"
)

// serialPair makes a certificate for localhost with a serial number, and its key, in
// PEM.
func serialPair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// certificate writes a pair of files for localhost.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c, k := serialPair(t, 1)
	put(t, cert, c)
	put(t, key, k)
	return cert, key
}

// put writes a file as certificate tools do: whole, in the place of the old one.
func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// policy is what connections to a server of ours are held to.
func policy(t *testing.T) *tls.Config {
	t.Helper()
	c, err := server.TLS(certificate(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handshake offers what a client has to a server of ours.
func handshake(t *testing.T, c *tls.Config, offer *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	_ = near.SetDeadline(time.Now().Add(5 * time.Second))
	go func() { _ = tls.Server(far, c).Handshake() }() // the client tells how it ended
	offer.InsecureSkipVerify = true
	if offer.ServerName == "" {
		offer.ServerName = "localhost"
	}
	client := tls.Client(near, offer)
	err := client.Handshake()
	return client.ConnectionState(), err
}

func TestAttackWEB004TLSPolicy(t *testing.T) {
	ours := policy(t)
	good := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if state, err := handshake(t, ours, &tls.Config{MinVersion: version, MaxVersion: version}); err == nil {
			t.Errorf("%s was agreed on", tls.VersionName(state.Version))
		}
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS13) {
			continue
		}
		_, err := handshake(t, ours, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		if (err == nil) != slices.Contains(good, suite.ID) {
			t.Errorf("%s: %v", suite.Name, err)
		}
	}
	state, err := handshake(t, ours, &tls.Config{MinVersion: tls.VersionTLS12})
	if err != nil || state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("%s, %s, %v", tls.VersionName(state.Version), state.CurveID, err)
	}
	for curve, want := range map[tls.CurveID]bool{tls.X25519MLKEM768: true, tls.X25519: true, tls.CurveP256: true, tls.CurveP384: false, tls.CurveP521: false} {
		if _, err := handshake(t, ours, &tls.Config{CurvePreferences: []tls.CurveID{curve}}); (err == nil) != want {
			t.Errorf("%s: %v", curve, err)
		}
	}
}

// A client that asks for another host gets the alert unrecognized_name, and no
// certificate that tells it who is here.
func TestAttackWEB004OtherNames(t *testing.T) {
	ours := policy(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, want := range map[string]bool{
			"localhost": true, "LOCALHOST": true, "127.0.0.1": true, // an address is not sent (RFC 6066, Section 3)
			"evil.example": false, "localhost.evil.example": false, "xlocalhost": false, "*": false,
		} {
			state, err := handshake(t, ours, &tls.Config{MinVersion: version, MaxVersion: version, ServerName: name})
			if (err == nil) != want || !want && (!strings.Contains(err.Error(), "unrecognized name") || len(state.PeerCertificates) > 0) {
				t.Errorf("%s, %s: %v", tls.VersionName(version), name, err)
			}
		}
	}
}

// lastSession gives a client its last session for whatever name it asks for.
type lastSession struct{ kept *tls.ClientSessionState }

func (l *lastSession) Get(string) (*tls.ClientSessionState, bool)    { return l.kept, l.kept != nil }
func (l *lastSession) Put(_ string, session *tls.ClientSessionState) { l.kept = session }

// A session that goes on is no way around that.
func TestAttackWEB004OtherNamesResumed(t *testing.T) {
	address := speakTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var sessions lastSession
		connect := func(name string) (resumed bool, err error) {
			c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, ServerName: name, ClientSessionCache: &sessions})
			if err != nil {
				return false, err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, err = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			_, _ = io.ReadAll(c) // the ticket comes before the answer
			return c.ConnectionState().DidResume, err
		}
		for i, name := range []string{"localhost", "localhost", "evil.example"} {
			resumed, err := connect(name)
			if evil := name != "localhost"; (err != nil) != evil || evil && !strings.Contains(err.Error(), "unrecognized name") || resumed != (i == 1) {
				t.Errorf("%s, %s: resumed %t, %v", tls.VersionName(version), name, resumed, err)
			}
		}
	}
}

// What Go's client cannot offer any more: SSL 3.0, compression, and beginning anew
// within a connection.
func TestAttackWEB004OtherClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	defer srv.Close()
	go func() { _ = srv.Serve(tls.NewListener(l, policy(t))) }() // ended by Close

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	random := bytes.Repeat([]byte{7}, 32)
	body := slices.Concat([]byte{3, 0}, random, []byte{0, 0, 4, 0, 0x0a, 0, 0x05, 2, 1, 0}) // SSL 3.0; 3DES, RC4; DEFLATE, none
	hello := slices.Concat([]byte{1, 0, 0, byte(len(body))}, body)
	if _, err := conn.Write(slices.Concat([]byte{22, 3, 0, 0, byte(len(hello))}, hello)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) < 7 || answer[0] != 21 || answer[6] != 70 { // alert, protocol_version
		t.Errorf("SSL 3.0: % x, %v", answer, err)
	}

	openssl, err := need.Program(t.Context(), "openssl", "openssl")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "s_client", "-connect", l.Addr().String(), "-servername", "localhost", "-tls1_2")
	cmd.Stdin = strings.NewReader("R\nGET / HTTP/1.1\r\n\r\n")
	out, _ := cmd.CombinedOutput() // that it fails is what is looked for
	text := string(out)
	if !strings.Contains(text, "RENEGOTIATING") || !strings.Contains(text, "alert unexpected message") && !strings.Contains(text, "no renegotiation") {
		t.Errorf("beginning anew: %s", text)
	}
	if !strings.Contains(text, "Compression: NONE") {
		t.Errorf("compression: %s", text)
	}
}

// underLoad is a listener whose certificate is replaced under load.
type underLoad struct {
	served atomic.Int64
	failed atomic.Int64
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// F42: a new certificate is shown to new connections; the old connections, and the
// requests on them, do not notice. Half a pair, or one that is broken, changes
// nothing.
func TestCertificateReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t)
	u := &underLoad{log: &lockedBuffer{}}
	config, err := server.TLSFrom(certFile, keyFile, slog.New(slog.NewTextHandler(u.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })}
	defer srv.Close()
	go func() { _ = srv.Serve(tls.NewListener(l, config)) }() // ended by Close

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 8 { // each on one connection: an http.Client dials anew where the machine is slow
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		load.Go(func() {
			for answers := bufio.NewReader(conn); ctx.Err() == nil; time.Sleep(time.Millisecond) {
				if err := ask(conn, answers); err != nil {
					u.failed.Add(1)
					t.Errorf("client %d: %v", i, err)
					return
				}
				u.served.Add(1)
			}
		})
	}
	defer load.Wait()
	defer stop()
	shown := func() int64 {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	becomes := func(serial int64, what string) {
		t.Helper()
		within(t, 10*time.Second, what, func() bool { return shown() == serial })
	}
	stays := func(serial int64, complaint string) {
		t.Helper()
		before := strings.Count(u.log.String(), "level=ERROR")
		within(t, 10*time.Second, complaint, func() bool { return shown() == serial && strings.Count(u.log.String(), "level=ERROR") > before })
		time.Sleep(1200 * time.Millisecond) // it is looked at again, and not told again
		if got := shown(); got != serial || strings.Count(u.log.String(), "level=ERROR") != before+1 {
			t.Errorf("%s: %d is shown, and the log says %s", complaint, got, u.log)
		}
	}
	becomes(1, "the first certificate is shown")
	cert2, key2 := serialPair(t, 2)
	put(t, certFile, cert2)
	stays(1, "a certificate without its key is told")
	put(t, keyFile, key2)
	becomes(2, "the second pair is shown once both files are there")
	cert3, key3 := serialPair(t, 3)
	put(t, keyFile, key3) // the other way round
	stays(2, "a key without its certificate is told")
	put(t, certFile, cert3)
	becomes(3, "the third pair is shown")
	put(t, certFile, cert3[:len(cert3)/2])
	stays(3, "a broken certificate is told")
	put(t, certFile, cert3)
	becomes(3, "the third pair stays")
	served := u.served.Load()
	within(t, 10*time.Second, "requests go on", func() bool { return u.served.Load() > served+50 })
	stop()
	load.Wait()
	if n := u.failed.Load(); n > 0 || u.served.Load() < 100 {
		t.Errorf("%d requests failed, %d were served", n, u.served.Load())
	}
}

// ask sends a request on a connection and reads its answer.
func ask(conn io.Writer, answers *bufio.Reader) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != "here" {
		return fmt.Errorf("%d %q, %v", res.StatusCode, text, err)
	}
	return nil
}
