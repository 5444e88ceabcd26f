package load

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnswer(t *testing.T) {
	long := strings.Repeat("x", 40_000)
	for _, tt := range []struct {
		name, wire string
		status     int
		body       string
		ok         bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true},
		{"lower case", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, "{}", true},
		{"empty", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "", true},
		{"no body", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", 204, "", true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", 200, "abcd", true},
		{"larger than the buffer", "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + long, 200, long, true},
		{"nothing", "", 0, "", false},
		{"not HTTP", "220 mail.example ESMTP\r\n\r\n", 0, "", false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0, "", false},
		{"no number", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", 0, "", false},
		{"no end", "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n{}", 0, "", false},
		{"cut in the header", "HTTP/1.1 200 OK\r\nContent-Le", 0, "", false},
		{"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", 0, "", false},
		{"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", 0, "", false},
		{"a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", 0, "", false},
		{"no space", "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\n{}", 200, "{}", true},
		{"less than nothing", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", 0, "", false},
		{"without end", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", 0, "", false},
		{"a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, "", false},
		{"a chunk that goes on", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 0, "", false},
		{"a huge chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", 0, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &conn{in: bufio.NewReaderSize(strings.NewReader(tt.wire), 16<<10)}
			status, body, err := c.answer(nil)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if tt.ok && (status != tt.status || string(body) != tt.body) {
				t.Errorf("%d %.20q", status, body)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	list := make([]time.Duration, 200)
	for i := range list {
		list[i] = time.Duration(i + 1)
	}
	for p, want := range map[int]time.Duration{50: 100, 95: 190, 99: 198, 100: 200} {
		if got := percentile(list, p); got != want {
			t.Errorf("%d %%: %d, want %d", p, got, want)
		}
	}
	if got := percentile(list[:1], 99); got != 1 {
		t.Errorf("of one: %d", got)
	}
	if got := percentile(nil, 99); got != 0 {
		t.Errorf("of none: %d", got)
	}
}

// counting answers with the number of the request.
func counting(t *testing.T, answer func(w http.ResponseWriter, n int64)) (string, *atomic.Int64) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, n.Add(1)) }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), &n
}

var get = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")

func TestRun(t *testing.T) {
	addr, served := counting(t, func(w http.ResponseWriter, n int64) { _, _ = w.Write([]byte(strconv.FormatInt(n, 10))) })
	var answered atomic.Int64
	clients := make([]Client, 4)
	for i := range clients {
		clients[i] = Client{Request: func() []byte { return get }, Answer: func(int, []byte) error { answered.Add(1); return nil }}
	}
	marks := 0
	r, err := Run(t.Context(), Options{Addr: addr, Clients: clients, Warm: 50 * time.Millisecond, For: 200 * time.Millisecond, At: func() { marks++ }})
	if err != nil || r.Errors != 0 {
		t.Fatal(err, r.First)
	}
	if answered.Load() != served.Load() {
		t.Errorf("%d were served, %d answers were seen: the end of a run cut one off", served.Load(), answered.Load())
	}
	if r.Requests == 0 || int64(r.Requests) >= served.Load() {
		t.Errorf("%d of %d are counted: the warm-up must not be", r.Requests, served.Load())
	}
	if marks != 2 || r.For < 150*time.Millisecond {
		t.Errorf("%d marks, %v counted", marks, r.For)
	}
}

func TestRunCountsWrongAnswers(t *testing.T) {
	addr, _ := counting(t, func(w http.ResponseWriter, n int64) {
		if n == 10 {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte("{}"))
	})
	clients := []Client{{Request: func() []byte { return get }}}
	r, err := Run(t.Context(), Options{Addr: addr, Clients: clients, For: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors != 1 || !strings.Contains(r.First.Error(), "418") {
		t.Errorf("%d errors, the first: %v", r.Errors, r.First)
	}
}

// A server that stops for a moment is seen by all requests that were due then,
// not by the one alone that was on its way.
func TestRunTimesFromWhenDue(t *testing.T) {
	addr, _ := counting(t, func(w http.ResponseWriter, n int64) {
		if n == 20 {
			time.Sleep(100 * time.Millisecond)
		}
		_, _ = w.Write([]byte("{}"))
	})
	clients := []Client{{Request: func() []byte { return get }}}
	r, err := Run(t.Context(), Options{Addr: addr, Clients: clients, For: 400 * time.Millisecond, Every: 2 * time.Millisecond})
	if err != nil || r.Errors > 0 {
		t.Fatal(err, r.First)
	}
	if r.Requests < 150 {
		t.Errorf("%d requests: those that were due meanwhile were left out", r.Requests)
	}
	if r.P95 < 30*time.Millisecond {
		t.Errorf("p95 is %v: the wait was not counted", r.P95)
	}
}

func TestRunWithoutServer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	addr := strings.TrimPrefix(s.URL, "http://")
	s.Close()
	_, err := Run(t.Context(), Options{Addr: addr, Clients: []Client{{Request: func() []byte { return get }}}, For: time.Millisecond})
	if err == nil {
		t.Error("no error")
	}
}

func TestDo(t *testing.T) {
	addr, served := counting(t, func(w http.ResponseWriter, n int64) {
		if n == 25 {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte("{}"))
	})
	client := Client{Request: func() []byte { return get }}
	if err := Do(t.Context(), 5, Options{Addr: addr, Clients: []Client{client, client}}); err != nil || served.Load() != 10 {
		t.Errorf("%d were served: %v", served.Load(), err)
	}
	if err := Do(t.Context(), 20, Options{Addr: addr, Clients: []Client{client}}); err == nil || !strings.Contains(err.Error(), "418") || served.Load() != 25 {
		t.Errorf("%d were served: %v", served.Load(), err)
	}
}

func TestRunThatAnswersNothing(t *testing.T) {
	r := runner{}
	if got := r.result(0, time.Second); got.Errors != 1 || !errors.Is(got.First, errNothing) {
		t.Errorf("%+v", got)
	}
}

// A flow of two requests is one: as many as there were second answers, each timed
// from its first request.
func TestRunOfSteps(t *testing.T) {
	addr, _ := counting(t, func(w http.ResponseWriter, n int64) {
		w.Header().Set("Location", strconv.FormatInt(n, 10))
		if n%2 == 1 {
			time.Sleep(5 * time.Millisecond)
		}
		_, _ = w.Write([]byte("{}"))
	})
	var answers, places atomic.Int64
	client := Client{
		Steps: 2, Request: func() []byte { return get },
		Header: func(name, value []byte) {
			if n := answers.Load() + 1; string(name) == "Location" && string(value) == strconv.FormatInt(n, 10) {
				places.Add(1)
			}
		},
		Answer: func(int, []byte) error { answers.Add(1); return nil },
	}
	r, err := Run(t.Context(), Options{Addr: addr, Clients: []Client{client}, For: 100 * time.Millisecond})
	if err != nil || r.Errors > 0 {
		t.Fatal(err, r.First)
	}
	if n := answers.Load(); n%2 != 0 || int64(r.Requests) > n/2 || int64(r.Requests) < n/2-1 || r.P50 < 5*time.Millisecond {
		t.Errorf("of %d answers %d are counted, half of them within %v", n, r.Requests, r.P50)
	}
	if places.Load() != answers.Load() {
		t.Errorf("of %d answers the place of %d was seen", answers.Load(), places.Load())
	}
}

// A proxy may close a connection after an answer: that is an error, or another is
// opened.
func TestRunReopens(t *testing.T) {
	addr, served := counting(t, func(w http.ResponseWriter, n int64) {
		if n%3 == 0 {
			w.Header().Set("Connection", "close")
		}
		_, _ = w.Write([]byte("{}"))
	})
	clients := []Client{{Request: func() []byte { return get }}}
	r, err := Run(t.Context(), Options{Addr: addr, Clients: clients, For: 50 * time.Millisecond})
	if err != nil || !errors.Is(r.First, errClosing) || served.Load() != 3 {
		t.Errorf("%d were served, %v, %v", served.Load(), err, r.First)
	}
	r, err = Run(t.Context(), Options{Addr: addr, Clients: clients, For: 50 * time.Millisecond, Reopen: true})
	if err != nil || r.Errors != 0 || r.Requests < 6 {
		t.Errorf("opened again: %+v, %v", r, err)
	}
}

func TestRunOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer s.Close()
	config := s.Client().Transport.(*http.Transport).TLSClientConfig
	o := Options{Addr: s.Listener.Addr().String(), TLS: config, Clients: []Client{{Request: func() []byte { return get }}}, For: 50 * time.Millisecond}
	if r, err := Run(t.Context(), o); err != nil || r.Errors != 0 || r.Requests == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost"}
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("a certificate of nobody's was believed")
	}
}
