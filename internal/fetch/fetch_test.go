package fetch

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/doorward/doorward/internal/secret"
)

// site is a server over TLS on an address of loopback, which counts the connections that
// reach it.
type site struct {
	*httptest.Server
	connections atomic.Int64
}

func serve(t *testing.T, at string, h http.HandlerFunc) *site {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Server: httptest.NewUnstartedServer(h)}
	s.Listener.Close()
	s.Listener = l
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *site) port() string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// client returns one that believes the site's certificate, with exceptions.
func (s *site) client(t *testing.T, allow ...Exception) *Client {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c, err := New(Options{Allow: allow, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	c.grain = time.Millisecond
	return c
}

func text(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

var loopback = Exception{Network: netip.MustParsePrefix("127.0.0.1/32")}

func TestGet(t *testing.T) {
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Cookie", "Authorization", "Referer", "Accept-Encoding"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("%s: %s is sent", name, v)
			}
		}
		if r.Header.Get("Accept") != "application/json" || r.Method != http.MethodGet {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		fmt.Fprint(w, "hello")
	})
	c := s.client(t, loopback)
	for range 2 { // the second brings no cookie back
		got, err := c.Get(t.Context(), s.URL+"/keys?a=b", "application/json", 5)
		if err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if s.connections.Load() != 2 {
		t.Errorf("%d connections: each is to be judged anew", s.connections.Load())
	}
	stranger, err := New(Options{Allow: []Exception{loopback}})
	if err != nil {
		t.Fatal(err)
	}
	stranger.grain = time.Millisecond
	if _, err := stranger.Get(t.Context(), s.URL, "", 5); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	if _, err := New(Options{CA: []byte("none")}); err == nil {
		t.Error("an empty file is taken for authorities")
	}
}

func TestPost(t *testing.T) {
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != "logout_token=x" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s %s %s", r.Method, r.Header.Get("Content-Type"), body)
		}
		switch r.URL.Path {
		case "/no":
			w.WriteHeader(http.StatusBadRequest)
		case "/down":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	c := s.client(t, loopback)
	if err := c.Post(t.Context(), s.URL, "application/x-www-form-urlencoded", []byte("logout_token=x")); err != nil {
		t.Error(err)
	}
	for path, refused := range map[string]bool{"/no": true, "/down": false} {
		err := c.Post(t.Context(), s.URL+path, "application/x-www-form-urlencoded", []byte("logout_token=x"))
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) != refused {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What is not an answer as it should be is none.
func TestAttackJWT025Answers(t *testing.T) {
	gone := make(chan struct{})
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			fmt.Fprint(w, strings.Repeat("x", 101))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		case "/drip":
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
			close(gone)
		case "/silent":
			<-r.Context().Done()
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "x")
		case "/redirect":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/", http.StatusTemporaryRedirect)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/201":
			w.WriteHeader(http.StatusCreated)
		case "/headers":
			w.Header().Set("X", strings.Repeat("x", 128<<10))
		case "/ok":
			fmt.Fprint(w, strings.Repeat("x", 100))
		}
	})
	c := s.client(t, loopback)
	if got, err := c.Get(t.Context(), s.URL+"/ok", "", 100); err != nil || len(got) != 100 {
		t.Fatal(err)
	}
	for _, path := range []string{"/large", "/endless", "/gzip", "/redirect", "/metadata", "/500", "/201", "/headers", "/drip", "/silent"} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // of which all but the last two need none
		got, err := c.Get(ctx, s.URL+path, "", 100)
		if !errors.Is(err, ErrUnavailable) || got != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		cancel()
	}
	<-gone // and whoever drips is hung up on
}

// names answers questions for addresses: the answers of a name come in turn, the last
// stays.
func names(t *testing.T, answers map[string][]string) *net.Resolver {
	t.Helper()
	asked := map[string]int{}
	reply := func(query []byte) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(query); err != nil {
			t.Error(err)
			return nil
		}
		m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
		q := m.Questions[0]
		m.Additionals = nil
		list := answers[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]
		if len(list) == 0 {
			m.RCode = dnsmessage.RCodeNameError
		} else {
			key := q.Name.String() + q.Type.String()
			ip := netip.MustParseAddr(list[min(asked[key], len(list)-1)])
			asked[key]++
			h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			switch {
			case ip.Is4() && q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}}}
			case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
				m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
			}
		}
		packed, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return packed
	}
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buffer := make([]byte, 4<<10)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(reply(buffer[:n]), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// No way of writing an inner address leads to it.
func TestAttackSSRF001InnerAddresses(t *testing.T) {
	s := serve(t, "127.0.0.1", text)
	c := s.client(t)
	c.resolver = names(t, map[string][]string{
		"inner.example": {"127.0.0.1"}, "six.example": {"::1"}, "mapped.example": {"::ffff:127.0.0.1"}, "private.example": {"10.0.0.1"}, "cloud.example": {"169.254.169.254"},
	})
	for _, place := range []string{
		"http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://[::1]:PORT/", "http://[::ffff:127.0.0.1]:PORT/", "http://0.0.0.0:PORT/", "http://[::]:PORT/", "http://127.1:PORT/", "http://2130706433:PORT/",
		"http://0x7f000001:PORT/", "http://0177.0.0.1:PORT/", "http://169.254.169.254/latest/", "http://[fd00:ec2::254]/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/",
		"http://198.18.0.1/", "http://192.0.2.1/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::127.0.0.1]/", "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/",
		"http://[fe80::1%25lo]/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "unix:///var/run/x.sock", "http://inner.example:PORT/", "https://user:pw@127.0.0.1/", "http://127.0.0.1.:PORT/",
		"http://127。0。0。1:PORT/", "https://public.example:22/", "", "//127.0.0.1:PORT/", "https:", "https:127.0.0.1", "https://", "https://:443/", "https://a.example/#x", "https://a.example:/", "https://a.example:99999/",
	} {
		for _, place := range []string{place, strings.Replace(place, "http:", "https:", 1), strings.Replace(place, "http:", "HTTPS:", 1)} {
			place = strings.ReplaceAll(place, "PORT", s.port())
			if _, err := c.Get(t.Context(), place, "", 100); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", place, err)
			}
		}
	}
	for _, name := range []string{"inner.example", "six.example", "mapped.example", "private.example", "cloud.example", "localhost"} {
		err := c.Post(t.Context(), "https://"+name+":8443/", "", nil)
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if conn, err := c.dial(t.Context(), "tcp", name+":"+s.port()); err == nil {
			conn.Close()
			t.Errorf("%s is dialled", name)
		} else if !strings.Contains(err.Error(), "is not an address of the public Internet") {
			t.Errorf("%s is not refused by its address: %v", name, err)
		}
	}
	if n := s.connections.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

// A name that means an address that may be asked, and then another, is judged each time.
func TestAttackSSRF001Rebinding(t *testing.T) {
	good := serve(t, "127.0.0.2", text)
	inner, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", good.port()))
	for tries := 0; err != nil && tries < 20; tries++ { // somebody else has the port there
		good = serve(t, "127.0.0.2", text)
		inner, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", good.port()))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	arrived := make(chan struct{}, 1)
	go func() {
		if c, err := inner.Accept(); err == nil {
			c.Close()
			arrived <- struct{}{}
		}
	}()
	c := good.client(t, Exception{Network: netip.MustParsePrefix("127.0.0.2/32")})
	c.resolver = names(t, map[string][]string{"example.com": {"127.0.0.2", "127.0.0.1"}})
	place := "https://example.com:" + good.port() + "/" // a port that the URL alone does not allow
	if _, err := c.Get(t.Context(), place, "", 100); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a port that is no exception for the name: %v", err)
	}
	dial := func() error {
		conn, err := c.dial(t.Context(), "tcp", "example.com:"+good.port())
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Errorf("the first answer: %v", err)
	}
	if err := dial(); err == nil || !strings.Contains(err.Error(), "127.0.0.1 is not an address of the public Internet") {
		t.Errorf("the second answer: %v", err)
	}
	select {
	case <-arrived:
		t.Error("the inner address was reached")
	default:
	}
}

func TestExceptions(t *testing.T) {
	s := serve(t, "127.0.0.1", text)
	port := func() uint16 { return netip.MustParseAddrPort(s.Listener.Addr().String()).Port() }()
	named := map[string][]string{"example.com": {"127.0.0.1"}}
	for what, c := range map[string]struct {
		place string
		allow Exception
		want  bool
	}{
		"an address":             {"https://127.0.0.1:PORT/", loopback, true},
		"an address with a port": {"https://127.0.0.1:PORT/", Exception{Network: loopback.Network, Port: port}, true},
		"another port":           {"https://127.0.0.1:PORT/", Exception{Network: loopback.Network, Port: port + 1}, false},
		"a network":              {"https://127.0.0.1:PORT/", Exception{Network: netip.MustParsePrefix("127.0.0.0/8")}, true},
		"mapped":                 {"https://[::ffff:127.0.0.1]:PORT/", Exception{Network: netip.MustParsePrefix("127.0.0.0/8"), Port: 1}, false},
		"another address":        {"https://127.0.0.1:PORT/", Exception{Network: netip.MustParsePrefix("127.0.0.2/32")}, false},
		"a host":                 {"https://example.com:PORT/", Exception{Host: "example.com"}, true},
		"a host, in capitals":    {"https://EXAMPLE.com:PORT/", Exception{Host: "example.com"}, true},
		"a host with a port":     {"https://example.com:PORT/", Exception{Host: "example.com", Port: port}, true},
		"a host, another port":   {"https://example.com:PORT/", Exception{Host: "example.com", Port: port + 1}, false},
		"another host":           {"https://example.com:PORT/", Exception{Host: "a.example.com"}, false},
		"its address":            {"https://127.0.0.1:PORT/", Exception{Host: "example.com"}, false},
	} {
		client := s.client(t, c.allow)
		client.resolver = names(t, named)
		_, err := client.Get(t.Context(), strings.Replace(c.place, "PORT", s.port(), 1), "", 100)
		if (err == nil) != c.want {
			t.Errorf("%s: %v", what, err)
		}
	}
	// By http too, where the operator says so.
	plain := httptest.NewServer(http.HandlerFunc(text))
	defer plain.Close()
	if _, err := s.client(t, loopback).Get(t.Context(), plain.URL, "", 100); err != nil {
		t.Errorf("http: %v", err)
	}
	if err := s.client(t, loopback).Check("ftp://127.0.0.1/"); err == nil {
		t.Error("ftp is taken")
	}
}

// The registries of IANA, each at its edges; what lies beside them is public.
func TestSpecial(t *testing.T) {
	for _, text := range []string{
		"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.0.171",
		"192.0.2.255", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:1::1", "2001:2::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::1",
		"2620:4f:8000::1", "3fff::1", "3fff:fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "2606:4700::1%lo", "fec0::1", "ff02::1",
	} {
		if !special(netip.MustParseAddr(text)) {
			t.Errorf("%s is taken for a public address", text)
		}
	}
	for _, text := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "192.169.0.0", "198.17.255.255",
		"198.20.0.0", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2003::1", "3ffe::1", "::ffff:1.1.1.1", "2a00::1",
	} {
		if special(netip.MustParseAddr(text)) {
			t.Errorf("%s is taken for a special address", text)
		}
	}
	if !special(netip.Addr{}) {
		t.Error("no address is taken for a public one")
	}
	if !slices.IsSortedFunc(reserved[:18], func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
		t.Error("the list is not in order")
	}
}

// What is told of a failure does not say what there is, and neither does how long it took.
func TestAttackSSRF003NoOracle(t *testing.T) {
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := httptest.NewServer(http.HandlerFunc(text))
	t.Cleanup(plain.Close)
	c := s.client(t, loopback)
	c.grain = 250 * time.Millisecond
	for what, place := range map[string]string{"404": s.URL, "a closed port": "https://" + closed.Addr().String(), "no TLS": "https://" + plain.Listener.Addr().String()} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := c.Get(t.Context(), place, "", 100)
			if !errors.Is(err, ErrUnavailable) || err.Error() != ErrUnavailable.Error() {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took < c.grain {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A proxy of the environment is not asked: it would go where the rules forbid.
func TestAttackSSRF001NoProxy(t *testing.T) {
	if proxy := s(t).http.Transport.(*http.Transport).Proxy; proxy != nil {
		t.Error("there is a proxy")
	}
	if jar := s(t).http.Jar; jar != nil {
		t.Error("there are cookies")
	}
}

func s(t *testing.T) *Client {
	t.Helper()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An event is taken by 202 alone, and what a refusal says comes back, up to a bound; what
// goes along in Authorization is sent nowhere else.
func TestPush(t *testing.T) {
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != "set" || r.Header.Get("Content-Type") != "application/secevent+jwt" || r.Header.Get("Accept") != "application/json" || r.Header.Get("Authorization") != "Bearer x" {
			t.Errorf("%q with %v", body, r.Header)
		}
		switch r.URL.Path {
		case "/no":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"err":"invalid_key"}`+strings.Repeat(" ", 1<<20))
		case "/ok":
			w.WriteHeader(http.StatusOK)
		case "/away":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	})
	c := s.client(t, loopback)
	push := func(path string) ([]byte, error) {
		return c.Push(t.Context(), s.URL+path, "application/secevent+jwt", []byte("set"), secret.From("Bearer x"))
	}
	if said, err := push("/"); err != nil || said != nil {
		t.Errorf("%q, %v", said, err)
	}
	if said, err := push("/no"); !errors.Is(err, ErrRefused) || !strings.HasPrefix(string(said), `{"err":"invalid_key"}`) || len(said) != mostSaid {
		t.Errorf("%d bytes, %v", len(said), err)
	}
	for _, path := range []string{"/ok", "/away"} {
		if said, err := push(path); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) || said != nil {
			t.Errorf("%s: %q, %v", path, said, err)
		}
	}
}
