package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// dial opens connections to a site.
func dial(t *testing.T, s *servertest.Site, n int) (conns []net.Conn) {
	t.Helper()
	for range n {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// hangsUp reports after how long the server closes a connection to which nothing
// more is sent, and what it said before.
func hangsUp(c net.Conn, limit time.Duration) (after time.Duration, said string, ok bool) {
	begin := time.Now()
	_ = c.SetReadDeadline(begin.Add(limit))
	text, err := io.ReadAll(c)
	return time.Since(begin), string(text), !errors.Is(err, os.ErrDeadlineExceeded)
}

// Headers that never end are given five seconds; meanwhile others are served.
func TestAttackDOS001SlowHeaders(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	conns := dial(t, s, 60)
	for i, c := range conns {
		head := "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
		if _, err := io.WriteString(c, head[:(i%len(head))+1]); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	go func() { // one byte now and then does not keep them open
		for {
			select {
			case <-stop:
				return
			case <-time.After(700 * time.Millisecond):
				for _, c := range conns {
					_, _ = io.WriteString(c, "a") // most are closed in the end
				}
			}
		}
	}()
	defer close(stop)
	begin := time.Now()
	for time.Since(begin) < 3*time.Second {
		start := time.Now()
		if a := s.Send(t, "GET", "/healthz", "", ""); a.Status != http.StatusOK || time.Since(start) > time.Second {
			t.Errorf("meanwhile: %d after %v", a.Status, time.Since(start))
		}
		time.Sleep(50 * time.Millisecond)
	}
	for i, c := range conns {
		if _, said, ok := hangsUp(c, time.Until(begin.Add(9*time.Second))); !ok || strings.Contains(said, "200 OK") {
			t.Errorf("connection %d: closed: %t, %q", i, ok, said)
		}
	}
}

// A body that never ends is not waited for, and one that is far too large is not
// read.
func TestAttackDOS002SlowBody(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	token := s.Login(t, servertest.Admin).Access
	type slow struct{ path, contentType, header string }
	all := []slow{
		{"/auth/login", "application/x-www-form-urlencoded", ""},
		{"/auth/refresh", "application/json", ""},
		{"/users", "application/json", "Authorization: Bearer " + token + "\r\n"},
	}
	conns := dial(t, s, len(all))
	for i, c := range conns {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%sContent-Length: 10000\r\n\r\n{", all[i].path, all[i].contentType, all[i].header)
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		after, said, ok := hangsUp(c, 20*time.Second)
		if got := answers(said); !ok || len(got) != 1 || got[0] < 400 || got[0] >= 500 {
			t.Errorf("%s: closed: %t after %v, %q", all[i].path, ok, after, said)
		}
	}
	large := dial(t, s, 1)[0]
	if _, err := io.WriteString(large, "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 12)
	_ = large.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.ReadFull(large, line); err != nil || string(line) != "HTTP/1.1 413" {
		t.Errorf("1 MiB: %q, %v", line, err)
	}
	// Tests beside this one have sites of their own, whose bodies are read at once.
	stacks := make([]byte, 16<<20)
	within(t, 2*time.Second, "nobody waits for a body", func() bool {
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("internal/web.Body("))
	})
}

// ending is how a connection ended, and after how long.
type ending struct {
	err   error
	after time.Duration
}

// Who does not read what he asked for is left after half a minute.
func TestAttackDOS002SlowReader(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	s := servertest.Start(t, servertest.Options{})
	conn := dial(t, s, 1)[0]
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	ended := make(chan ending, 1)
	go func() { // pipelined requests, until the server stops to read because it cannot write
		begin := time.Now()
		_ = conn.SetWriteDeadline(begin.Add(45 * time.Second))
		for {
			if _, err := io.WriteString(conn, "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				ended <- ending{err, time.Since(begin)}
				return
			}
		}
	}()
	t.Parallel() // only now: it waits while others run
	if e := <-ended; errors.Is(e.err, os.ErrDeadlineExceeded) || e.after < 20*time.Second {
		t.Errorf("the connection ended after %v: %v", e.after, e.err)
	}
	if a := s.Send(t, "GET", "/healthz", "", ""); a.Status != http.StatusOK {
		t.Errorf("afterwards: %d", a.Status)
	}
}

// Every body has a bound, whether its length is told or not, and is read as it is.
func TestAttackDOS006BodyCaps(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "viewer")
	token, b := s.Login(t, servertest.Admin).Access, s.Browser(t)
	b.Login(t, "ann")
	hears := hearing(t, s, "hears", nil)
	for _, line := range s.Server.SiteMap() {
		method, path := address(line.Pattern)
		if method == http.MethodGet || method == http.MethodDelete {
			continue
		}
		path = strings.Replace(path, "/users/x", "/users/"+ann.ID, 1)
		// What these are brought is not read, but bounded.
		bodiless := line.Pattern == "POST /users/{id}/unlock" || line.Pattern == "POST /oauth2/userinfo"
		limit, open := 64<<10, line.Open
		if open {
			limit = 16 << 10
		}
		// Always 204, whatever it is brought; not there until it is set up; a request that is
		// not there, which is said before anything is read.
		if path == "/auth/logout" || path == "/api-keys/leaks" || path == "/consent/x" {
			continue
		}
		unread := http.StatusUnsupportedMediaType
		auth, contentType, fits := []string{"Authorization", "Bearer " + token}, jsonType, http.StatusBadRequest
		body := func(n int) string { return `{"` + strings.Repeat("a", n-6) + `":1}` }
		if line.Person || line.Pattern == "POST /signin" { // a form, and not a genuine one
			auth, contentType, fits, limit = []string{"Cookie", "doorward_session=" + b.Cookie(t, "session")}, formType, http.StatusForbidden, 16<<10
			body = func(n int) string { return strings.Repeat("a", n) }
		}
		if strings.HasPrefix(path, "/oauth2/") {
			contentType = formType
			body = func(n int) string { return strings.Repeat("&", n) }
		}
		if strings.HasPrefix(path, "/ssf/") { // what it does not know it passes over, and needs none of all in two of them
			auth, limit = []string{"Authorization", "Bearer " + hears.token}, 16<<10
			if path == "/ssf/streams/x/poll" {
				fits = http.StatusNotFound
			} else if line.Pattern == "POST /ssf/streams" {
				fits = http.StatusCreated
			}
		}
		if strings.HasPrefix(path, "/oauth2/register") { // JSON, and the token is none for that
			contentType, fits = jsonType, http.StatusUnauthorized
			if method == http.MethodPut { // whose it is comes first
				unread = http.StatusUnauthorized
			}
		}
		if a := s.Send(t, method, path, contentType, body(limit-1), auth...); a.Status != fits && !bodiless {
			t.Errorf("%s at the cap: %d %s", line.Pattern, a.Status, a.Body)
		}
		if a := s.Send(t, method, path, contentType, body(limit+1), auth...); a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s past the cap: %d %s", line.Pattern, a.Status, a.Body)
		}
		for name, headers := range map[string]string{"gzip": "Content-Encoding: gzip\r\n", "deflate": "Content-Encoding: deflate\r\n", "identity, gzip": "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"} {
			request := method + " " + path + " HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nContent-Type: " + contentType + "\r\n" + auth[0] + ": " + auth[1] + "\r\n" + headers + "Content-Length: 2\r\n\r\n{}"
			if got := answers(raw(t, s, request)); bodiless {
				continue
			} else if len(got) != 1 || got[0] != unread {
				t.Errorf("%s, %s: %v", line.Pattern, name, got)
			}
		}
		chunked := method + " " + path + " HTTP/1.1\r\nHost: HOST\r\nContent-Type: " + contentType + "\r\n" + auth[0] + ": " + auth[1] + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", limit+1, body(limit+1))
		if got := answers(raw(t, s, chunked)); len(got) != 1 || got[0] != http.StatusRequestEntityTooLarge {
			t.Errorf("%s in chunks: %v", line.Pattern, got)
		}
		multipart := strings.Repeat("--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n", 100)
		if a := s.Send(t, method, path, "multipart/form-data; boundary=x", multipart, auth...); !bodiless && a.Status != unread {
			t.Errorf("%s, multipart: %d", line.Pattern, a.Status)
		}
	}
}

// No input is parsed before its length is known to be small.
func TestAttackDOS008PathologicalInput(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	token := s.Login(t, servertest.Admin).Access
	quick := func(what string, f func() int, want ...int) {
		t.Helper()
		start := time.Now()
		got := f()
		ok := false
		for _, w := range want {
			ok = ok || got == w
		}
		if took := time.Since(start); !ok || took > 500*time.Millisecond {
			t.Errorf("%s: %d after %v, want %v", what, got, took, want)
		}
	}
	create := func(body map[string]any) func() int {
		return func() int { return s.Call(t, token, "POST", "/users", body).Status }
	}
	quick("an address of dots", create(map[string]any{"username": "a", "email": strings.Repeat("a.", 30000) + "@example.com"}), 400)
	quick("an address of ats", create(map[string]any{"username": "a", "email": strings.Repeat("@", 60000)}), 400)
	quick("a domain of labels", create(map[string]any{"username": "a", "email": "a@" + strings.Repeat("xn--a.", 10000) + "com"}), 400)
	quick("a domain of marks", create(map[string]any{"username": "a", "email": "a@" + strings.Repeat("\u0301", 120)}), 400)
	quick("a password of marks", create(map[string]any{"username": "a", "password": strings.Repeat("\u0344", 20000)}), 400)
	quick("a megabyte of address", create(map[string]any{"username": "a", "email": strings.Repeat("a", 1<<20)}), 413)
	quick("deep JSON", func() int {
		return s.Send(t, "POST", "/users", "application/json", strings.Repeat("[", 60000), "Authorization", "Bearer "+token).Status
	}, 400)
	quick("deep objects", func() int {
		return s.Send(t, "POST", "/users", "application/json", strings.Repeat(`{"a":`, 12000), "Authorization", "Bearer "+token).Status
	}, 400)
	quick("a big number", func() int {
		return s.Send(t, "POST", "/users", "application/json", `{"username":"a","attributes":{"n":1e`+strings.Repeat("9", 60000)+`}}`, "Authorization", "Bearer "+token).Status
	}, 400)
	quick("a media type of parameters", func() int {
		return s.Send(t, "POST", "/auth/login", "application/json"+strings.Repeat(";a=b", 3000), "{}").Status
	}, 415)
	quick("a path of dots", func() int { return s.Send(t, "GET", strings.Repeat("/..", 4000), "", "").Status }, 404, 414)
	quick("a path of segments", func() int { return s.Send(t, "GET", strings.Repeat("/a", 6000), "", "").Status }, 404, 414)
	quick("a query of parameters", func() int { return s.Call(t, token, "GET", "/users?"+strings.Repeat("a&", 6000), nil).Status }, 400, 414, 431)
	quick("a token of dots", func() int { return s.Call(t, strings.Repeat(".", 12000), "GET", "/users/me", nil).Status }, 401)
	quick("tags", func() int {
		return s.Call(t, token, "GET", "/roles/viewer", nil, "If-None-Match", strings.Repeat(`"a",`, 3000)).Status
	}, 200)
	quick("media ranges", func() int {
		return s.Call(t, token, "GET", "/users/me", nil, "Accept", strings.Repeat("a/b;q=0.1,", 1200)).Status
	}, 200)
	quick("forwarded addresses", func() int {
		return s.Call(t, token, "GET", "/users/me", nil, "X-Forwarded-For", strings.Repeat("1.1.1.1,", 1500)).Status
	}, 200)
	quick("headers past the cap", func() int { return s.Send(t, "GET", "/", "", "", "X-Long", strings.Repeat("a", 64<<10)).Status }, 431)
}

// A panic anywhere in a request is one request's: it is answered with 500, says
// nothing, holds no lock, and the next one is served. (One that comes when all is
// written already, or in an attempt that is made again, takes nothing back.)
func TestAttackDOS009PanicIsolation(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var countdown atomic.Int64 // the call of the clock that panics; 0 is none
		var log string
		panics := 0
		log = logged(t, func() {
			s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) {
				o.Store.Clock = clock.Func(func() time.Time {
					if countdown.Load() > 0 && serving(string(debug.Stack())) && countdown.Add(-1) == 0 {
						panic("the clock has stopped")
					}
					return time.Now()
				})
			}})
			ann := s.User(t, "ann", "viewer")
			root := s.Login(t, servertest.Admin)
			another := ann // who has not the role yet
			fine := map[string]int{"login": 200, "wrong": 401, "refresh": 200, "logout": 204, "read": 200, "create": 201, "change": 200, "grant": 201}
			for name, do := range map[string]func() servertest.Answer{
				"login":   func() servertest.Answer { return login(t, s, "ann", servertest.Password) },
				"wrong":   func() servertest.Answer { return login(t, s, "ann", "wrong") },
				"refresh": func() servertest.Answer { return s.Refresh(t, root.Refresh) },
				"logout":  func() servertest.Answer { return s.Form(t, "/auth/logout", "refresh_token", root.Refresh) },
				"read":    func() servertest.Answer { return s.Call(t, root.Access, "GET", "/users/"+ann.ID, nil) },
				"create": func() servertest.Answer {
					return s.Call(t, root.Access, "POST", "/users", map[string]any{"username": fmt.Sprintf("u%x", secret.Random(4))})
				},
				"change": func() servertest.Answer {
					return s.Call(t, root.Access, "PATCH", "/users/"+ann.ID, map[string]any{"name": "Ann"})
				},
				"grant": func() servertest.Answer {
					return s.Call(t, root.Access, "POST", "/users/"+another.ID+"/roles", map[string]any{"role": "editor"})
				},
			} {
				for at := int64(1); ; at++ {
					root = s.Login(t, servertest.Admin)
					another = s.User(t, fmt.Sprintf("%s%d", name, at))
					countdown.Store(at)
					a := do()
					if countdown.Swap(0) > 0 { // it came through without that many calls
						break
					}
					if a.Status == fine[name] {
						continue
					}
					panics++
					// What counts attempts says that it cannot: nothing is judged then.
					uncounted := a.Status == http.StatusServiceUnavailable && (name == "login" || name == "wrong")
					if a.Status != http.StatusInternalServerError && !uncounted || strings.Contains(a.Body, "clock") || strings.Contains(a.Body, ".go") || a.Header.Get("X-Request-Id") == "" {
						t.Errorf("%s, call %d of the clock: %d %s", name, at, a.Status, a.Body)
					}
					if status := me(t, s, s.Login(t, "ann").Access); status != http.StatusOK {
						t.Errorf("%s, after call %d of the clock: %d", name, at, status)
					}
				}
			}
			s.Stop()
		})
		if n := strings.Count(log, "the clock has stopped"); panics < 16 || n < panics {
			t.Errorf("%d panics, %d in the log", panics, n)
		}
		for _, secret := range []string{servertest.Password, "dwr_", "eyJ"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %s", secret)
			}
		}
	})
}

// What has had its time goes, in batches.
func TestAttackDOS010TablesAreBounded(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var c steered
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak})
		root := s.Login(t, servertest.Admin).Access
		for i := range 8 {
			name := fmt.Sprintf("user%d", i)
			if a := s.Call(t, root, "POST", "/users", map[string]any{"username": name, "password": servertest.Password}, "Idempotency-Key", name); a.Status != http.StatusCreated {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			s.Form(t, "/auth/logout", "refresh_token", s.Login(t, name).Refresh)
			s.Login(t, name)
		}
		db := database(t, s)
		count := func() (n [3]int) {
			for i, name := range []string{"token_families", "once", "changes"} {
				n[i] = number(t, db, "SELECT COUNT(*) FROM "+name)
			}
			return n
		}
		purge := func() {
			t.Helper()
			for more := true; more; {
				var err error
				if more, err = s.Core.Store.Purge(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := count()
		purge()
		if now := count(); now != before || before[0] != 17 || before[1] != 8 || before[2] < 8 {
			t.Errorf("what is still needed is gone: %v, before %v", now, before)
		}
		c.pass(33 * 24 * time.Hour)
		within(t, 2*time.Second, "families, keys of requests and changes go", func() bool { purge(); return count() == [3]int{} })
		s.Login(t, servertest.Admin)
	})
}

// serving reports whether a stack is that of a request, or of what writes for it.
func serving(stack string) bool {
	return strings.Contains(stack, "http.(*conn).serve") || strings.Contains(stack, "store.(*sqliteWriter)")
}
