package counter_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/counter"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store/storetest"
	"github.com/doorward/doorward/internal/testredis"
)

func open(t testing.TB, address string) *counter.Counter {
	t.Helper()
	c, err := counter.Open(secret.From(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func start(t testing.TB) *testredis.Server {
	t.Helper()
	s, err := testredis.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The contract is that of the database, over a real server and over one that
// tests can break.
func TestLimits(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		storetest.Limits(t, func(t testing.TB) [2]limit.Store {
			conn, err := redis.Dial("tcp", s.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Do("FLUSHALL"); err != nil {
				t.Fatal(err)
			}
			return [2]limit.Store{open(t, s.URL()), open(t, s.URL())}
		})
	})
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		storetest.Limits(t, func(t testing.TB) [2]limit.Store {
			m, err := miniredis.Run()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			return [2]limit.Store{open(t, "redis://"+m.Addr()), open(t, "redis://"+m.Addr())}
		})
	})
}

var attempt = limit.Attempt{Subject: "user:ann", Network: "192.0.2.1"}

// While Redis is down nothing is judged, soon and not after a minute; when it is
// back, everything goes on, without a restart and without one failure more.
func TestAttackLOG020RedisDown(t *testing.T) {
	t.Parallel()
	m, err := miniredis.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	var log strings.Builder
	s := limit.NewService(open(t, "redis://"+m.Addr()), storetest.NewHands(), slog.New(slog.NewTextHandler(&log, nil)), limit.Options{Patience: time.Millisecond})
	fails := func() {
		t.Helper()
		try, err := s.Begin(t.Context(), attempt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := try.Failed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fails()
	for _, breaks := range []func(){m.Close, func() { m.SetError("LOADING Redis is loading the dataset in memory") }} {
		breaks()
		for range 5 {
			began := time.Now()
			_, err := s.Begin(t.Context(), attempt)
			if fault.KindOf(err) != fault.Unavailable || time.Since(began) > 3*time.Second {
				t.Errorf("while Redis is down: %v, after %v", err, time.Since(began))
			}
		}
		m.SetError("")
		if err := m.Restart(); err != nil && !strings.Contains(err.Error(), "already") {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // from then on an idle connection is asked whether it lives
		fails()
	}
	if state, err := s.Locked(t.Context(), attempt.Subject); state.Failures != 3 || err != nil {
		t.Errorf("Locked = %+v, %v; want the three of before and after", state, err)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors were logged:\n%s", n, log.String())
	}
}

// A server that takes connections and never answers holds nobody for long.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := open(t, "redis://"+l.Addr().String())
	began := time.Now()
	if _, err := c.Bucket(t.Context(), limit.Key{}); err == nil {
		t.Error("an answer from nobody")
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v to give up", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ping(ctx); err == nil {
		t.Error("a ping after its time")
	}
}

// What an attack leaves behind goes by itself, and the attacked stays
// (LOG-021).
func TestAttackLOG021KeysHaveAnEnd(t *testing.T) {
	t.Parallel()
	m, err := miniredis.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s := limit.NewService(open(t, "redis://"+m.Addr()), storetest.NewHands(), slog.New(slog.DiscardHandler), limit.Options{})
	for n := range 200 {
		try, err := s.Begin(t.Context(), limit.Attempt{Subject: fmt.Sprint("name:", n), Network: fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := try.Failed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.First(t.Context(), "notice", time.Hour); err != nil {
		t.Fatal(err)
	}
	keys := m.Keys()
	for _, key := range keys {
		if ttl := m.TTL(key); ttl <= 0 || ttl > limit.Keep+2*time.Hour {
			t.Errorf("%s lives %v", key, ttl)
		}
		if open, shut := strings.Index(key, "{"), strings.Index(key, "}"); shut-open != 65 {
			t.Errorf("%s has no tag of a digest", key)
		}
	}
	if len(keys) != 200+200+2 {
		t.Errorf("%d keys", len(keys))
	}
	m.FastForward(3 * time.Hour)
	if left := len(m.Keys()); left != 200 {
		t.Errorf("three hours later %d are left, want the buckets", left)
	}
	m.FastForward(limit.Keep)
	if left := m.Keys(); len(left) != 0 {
		t.Errorf("a week later %d are left", len(left))
	}
}

// A bucket that is not one closes the door.
func TestDamagedBucket(t *testing.T) {
	t.Parallel()
	m, err := miniredis.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s := limit.NewService(open(t, "redis://"+m.Addr()), storetest.NewHands(), slog.New(slog.DiscardHandler), limit.Options{})
	try, err := s.Begin(t.Context(), attempt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try.Failed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range m.Keys() {
		if strings.HasPrefix(key, "doorward:attempts:") {
			m.HSet(key, "unknown", "spoilt")
		}
	}
	if _, err := s.Begin(t.Context(), limit.Attempt{Subject: attempt.Subject}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a bucket that cannot be read: %v", err)
	}
}

// rediss:// is TLS with a certificate that is checked; the password is sent, and
// shown in no error.
func TestTLSAndPassword(t *testing.T) {
	serve := func(c tls.Certificate) (port string) {
		m, err := miniredis.RunTLS(&tls.Config{Certificates: []tls.Certificate{c}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		m.RequireUserAuth("doorward", "the-password")
		_, port, _ = net.SplitHostPort(m.Addr())
		return port
	}
	vouched, authority := certificate(t)
	unknown, _ := certificate(t)
	port, strange := serve(vouched), serve(unknown)
	ask := func(address string) error {
		err := open(t, address).Ping(t.Context())
		if err != nil && strings.Contains(err.Error(), "the-password") {
			t.Errorf("%v shows the password", err)
		}
		return err
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", path)
	// The authorities are read once, at the first handshake.
	for address, good := range map[string]bool{
		"rediss://doorward:the-password@localhost:" + port:     true,
		"rediss://doorward:the-password@127.0.0.1:" + port:     false, // not in the certificate
		"rediss://doorward:not-the-password@localhost:" + port: false,
		"rediss://localhost:" + port:                           false,
		"redis://doorward:the-password@localhost:" + port:      false,
	} {
		if err := ask(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := ask("rediss://doorward:the-password@localhost:" + strange); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// What a successful sign-in costs here: a reservation and its settlement.
func BenchmarkAttempt(b *testing.B) {
	s := limit.NewService(open(b, start(b).URL()), clock.Wall(), slog.New(slog.DiscardHandler), limit.Options{})
	n := 0
	for b.Loop() {
		n++
		try, err := s.Begin(b.Context(), limit.Attempt{Subject: fmt.Sprint("user:", n), Network: "192.0.2.1"})
		if err != nil {
			b.Fatal(err)
		}
		if err := try.Succeeded(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
