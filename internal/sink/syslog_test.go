package sink

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// message is the form of RFC 5424, Section 6, as it is used here.
var message = regexp.MustCompile(`^<(\d{1,3})>1 (\S+) ([\x21-\x7e]{1,255}) doorward \d+ ([\x21-\x7e]{1,32}) - (.*)$`)

func fits(t *testing.T, got, severity, text string) {
	t.Helper()
	m := message.FindStringSubmatch(got)
	if m == nil || m[1] != severity || m[4] != "a.b" || m[5] != text {
		t.Errorf("the message is %q, parts %q", got, m)
		return
	}
	if _, err := time.Parse(time.RFC3339Nano, m[2]); err != nil {
		t.Errorf("its time is %q", m[2])
	}
}

// frame reads one message by its octet count (RFC 6587, Section 3.4.1).
func frame(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	count, err := r.ReadString(' ')
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
	if err != nil || n > 1<<20 {
		t.Fatalf("the count is %q", count)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestSyslogStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	for _, tt := range []struct {
		network string
		l       net.Listener
	}{
		{"tcp", listen(t, "tcp", "127.0.0.1:0")},
		{"unix", listen(t, "unix", path)},
		{"tls", tls.NewListener(listen(t, "tcp", "127.0.0.1:0"), &tls.Config{Certificates: certified.TLS.Certificates})},
	} {
		t.Run(tt.network, func(t *testing.T) {
			s := newSyslog(tt.network, tt.l.Addr().String())
			defer s.close()
			s.tls.RootCAs = roots
			got := make(chan *bufio.Reader, 1)
			conns := make(chan net.Conn, 1)
			accept := func() {
				c, err := tt.l.Accept()
				if err != nil {
					return
				}
				r := bufio.NewReader(c)
				_, _ = r.Peek(1) // the handshake of TLS
				conns <- c
				got <- r
			}
			go accept()
			lines := someLines(`{"leaf":0}`, `{"leaf":1,"text":"größer"}`)
			lines[1].Failed = true
			if err := s.deliver(t.Context(), lines); err != nil {
				t.Fatal(err)
			}
			r := <-got
			fits(t, frame(t, r), "110", `{"leaf":0}`)
			fits(t, frame(t, r), "108", `{"leaf":1,"text":"größer"}`)
			// The receiver goes away: the next delivery finds another, or fails.
			(<-conns).Close()
			time.Sleep(20 * time.Millisecond)
			go accept()
			if err := s.deliver(t.Context(), someLines(`{"leaf":2}`)); err != nil {
				t.Fatal(err)
			}
			fits(t, frame(t, <-got), "110", `{"leaf":2}`)
			(<-conns).Close()
		})
	}
}

func TestSyslogDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	unix, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for network, l := range map[string]net.PacketConn{"udp": udp, "unix": unix} {
		s := newSyslog(network, l.LocalAddr().String())
		defer s.close()
		if err := s.deliver(t.Context(), someLines(`{"leaf":0}`, strings.Repeat("x", 100_000))); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64<<10)
		for _, want := range []string{`{"leaf":0}`, `{"leaf":1,"too_long_for_a_datagram":100000}`} {
			if err := l.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, _, err := l.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			fits(t, string(b[:n]), "110", want)
		}
	}
}

func TestAttackSyslog(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	// Over TLS, who cannot prove his name gets nothing.
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	taken := make(chan string, 1)
	strange := tls.NewListener(l, &tls.Config{Certificates: certified.TLS.Certificates})
	go func() {
		c, err := strange.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c)
		taken <- string(b)
	}()
	if err := newSyslog("tls", l.Addr().String()).deliver(t.Context(), someLines("1")); err == nil {
		t.Error("a stranger got a line")
	}
	if got := <-taken; got != "" {
		t.Errorf("a stranger got %q", got)
	}
	// A receiver that reads nothing is not waited for.
	full := listen(t, "tcp", "127.0.0.1:0")
	s := newSyslog("tcp", full.Addr().String())
	defer s.close()
	began := time.Now()
	var err error
	for err == nil && time.Since(began) < 20*time.Second {
		err = s.deliver(t.Context(), someLines(strings.Repeat("x", 8<<20)))
	}
	if err == nil || time.Since(began) > syslogWait+10*time.Second {
		t.Errorf("a receiver that reads nothing: %v after %v", err, time.Since(began))
	}
	for _, tt := range []struct{ network, address string }{{"tcp", "127.0.0.1:1"}, {"unix", "/nosuch/log"}, {"carrier pigeon", "x"}} {
		if err := newSyslog(tt.network, tt.address).deliver(t.Context(), someLines("1")); err == nil {
			t.Errorf("%v took a line", tt)
		}
	}
	// What an action or a host is called breaks no message.
	for text, want := range map[string]string{"a b\n<0>1": "a_b_<0>1", "": "-", "\xffé": "___", strings.Repeat("x", 40): strings.Repeat("x", 32)} {
		if got := word(text, 32); got != want {
			t.Errorf("word(%q) = %q, want %q", text, got, want)
		}
	}
}
