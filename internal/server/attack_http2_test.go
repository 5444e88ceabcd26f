package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/internal/servertest"
)

// speakTLS starts a site that speaks TLS, and returns where.
func speakTLS(t *testing.T) (address string) {
	t.Helper()
	cert, key := certificate(t)
	s := servertest.Start(t, servertest.Options{Set: map[string]string{
		"issuer": "https://localhost:8443", "hosts": "localhost", "tls.cert": cert, "tls.key": key,
	}})
	return s.URL[len("http://"):]
}

// overHTTP2 begins a connection whose client lets the server send what it likes.
func overHTTP2(t *testing.T, conn net.Conn) *http2.Framer {
	t.Helper()
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"h2"}})
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	const much = 1<<31 - 1
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := errors.Join(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: much}), f.WriteWindowUpdate(0, much-(1<<16-1))); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask2 asks for something on a stream.
func ask2(t *testing.T, f *http2.Framer, stream uint32, path string, fields ...string) {
	t.Helper()
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	fields = append([]string{":method", "GET", ":scheme", "https", ":path", path}, fields...)
	for i := 0; i < len(fields); i += 2 {
		if err := e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

// Who speaks HTTP/2 and reads nothing is left as well. The time that HTTP/1 has for
// an answer ends a stream here, but not the connection below, which waits to say
// so.
func TestAttackDOS002SlowReaderHTTP2(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	conn, err := net.Dial("tcp", speakTLS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	f := overHTTP2(t, conn)
	for i := range uint32(100) {
		ask2(t, f, 2*i+1, "/openapi.json", ":authority", "localhost")
	}
	ended := make(chan ending, 1)
	go func() {
		begin := time.Now()
		var err error
		for ; err == nil && time.Since(begin) < 2*time.Minute; time.Sleep(time.Second) {
			err = f.WritePing(false, [8]byte{}) // asks whether somebody is there
		}
		ended <- ending{err, time.Since(begin)}
	}()
	t.Parallel() // only now: it waits while others run
	if e := <-ended; e.err == nil || e.after < 20*time.Second {
		t.Errorf("the connection ended after %v: %v", e.after, e.err)
	}
}

// The host is what stands in :authority, if anything does; a Host header beside it
// changes nothing (RFC 9113, Section 8.3.1).
func TestAttackWEB007Authority(t *testing.T) {
	conn, err := net.Dial("tcp", speakTLS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	f := overHTTP2(t, conn)
	for i, tt := range []struct{ authority, host, want string }{
		{"LocalHost:443", "", "200"},
		{"", "localhost", "200"},
		{"localhost", "evil.example", "200"},
		{"", "", "421"},
		{"evil.example", "", "421"},
		{"", "evil.example", "421"},
		{"evil.example", "localhost", "421"},
		{"localhost.", "", "421"},
		{"localhost:99999", "", "421"},
		{"localhost, evil.example", "", "421"},
	} {
		var fields []string
		if tt.authority != "" {
			fields = append(fields, ":authority", tt.authority)
		}
		if tt.host != "" {
			fields = append(fields, "host", tt.host)
		}
		stream := uint32(2*i + 1)
		ask2(t, f, stream, "/", fields...)
		for got := ""; got == ""; {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatalf("%+v: %v", tt, err)
			}
			if h, ok := frame.(*http2.MetaHeadersFrame); ok && h.StreamID == stream {
				if got = h.PseudoValue("status"); got != tt.want {
					t.Errorf("%+v: %s", tt, got)
				}
			} else if r, ok := frame.(*http2.RSTStreamFrame); ok && r.StreamID == stream {
				t.Errorf("%+v: %v", tt, r.ErrCode)
				break
			}
		}
	}
}
