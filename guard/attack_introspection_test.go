package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// No answer but a good one lets a key pass, whatever the issuer or whoever sits in its
// place says; and nobody else is told the key or the API's secret.
func TestAttackJWT030HostileIntrospection(t *testing.T) {
	key := testKey(1)
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	status := func(status int, s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, s)
		}
	}
	redirect := func(to string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
	}
	list := map[string]struct {
		handler http.HandlerFunc
		want    Reason
	}{
		"100 MiB": {func(w http.ResponseWriter, _ *http.Request) {
			block := bytes.Repeat([]byte(" "), 1<<20)
			for range 100 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, ErrUnavailable},
		"a good answer and 64 KiB": {text(said(key, map[string]any{"iss": nil}) + strings.Repeat(" ", maxDocument)), ErrUnavailable},
		"gzip": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, said(key, map[string]any{"iss": nil}))
		}, ErrUnavailable},
		"redirect elsewhere": {redirect("http://169.254.169.254/latest", 302), ErrUnavailable},
		"redirect here":      {redirect("/other", 302), ErrUnavailable},
		"redirect as it is":  {redirect("/other", 307), ErrUnavailable},
		"permanently":        {redirect("/other", 308), ErrUnavailable},
		"500":                {status(500, said(key, map[string]any{"iss": nil})), ErrUnavailable},
		"401, wrong secret":  {status(401, `{"error":"invalid_client"}`), ErrUnavailable},
		"403":                {status(403, said(key, map[string]any{"iss": nil})), ErrUnavailable},
		"201":                {status(201, said(key, map[string]any{"iss": nil})), ErrUnavailable},
		"204":                {status(204, ""), ErrUnavailable},
		"206":                {status(206, said(key, map[string]any{"iss": nil})), ErrUnavailable},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			io.WriteString(w, said(key, map[string]any{"iss": nil}))
		}, ErrUnavailable},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrUnavailable},
		"header bomb": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("A", 10_000))
			}
			io.WriteString(w, said(key, map[string]any{"iss": nil}))
		}, ErrUnavailable},
	}
	for name, a := range answers(key) {
		if a.want != "" {
			list[name] = struct {
				handler http.HandlerFunc
				want    Reason
			}{text(a.text), a.want}
		}
	}
	var current atomic.Pointer[http.HandlerFunc]
	var other atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) { (*current.Load())(w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		other.Add(1)
		io.WriteString(w, said(key, map[string]any{"iss": nil}))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	for name, c := range list {
		t.Run(name, func(t *testing.T) {
			current.Store(&c.handler)
			var log safeBuffer
			g, err := New(testIssuer, Audience(testAudience), Credentials("api", "hush"), IntrospectionURL(s.URL+"/introspect"),
				Logger(slog.New(slog.NewTextHandler(&log, nil))))
			if err != nil {
				t.Fatal(err)
			}
			refusesKey(t, g, key, c.want)
			w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + key})
			if want := map[bool]int{true: 503, false: 401}[c.want == ErrUnavailable]; w.Code != want {
				t.Errorf("status %d, want %d", w.Code, want)
			}
			told := fmt.Sprint(passes(g, key), log.String(), w.Body, w.Header())
			for _, secret := range []string{key, key[21:], "hush", "aHVzaA"} {
				if strings.Contains(told, secret) {
					t.Errorf("a secret is told: %s", told)
				}
			}
			if (c.want == ErrUnavailable) != strings.Contains(log.String(), "does not answer about API keys") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
	if other.Load() != 0 {
		t.Error("a redirect was followed")
	}
	good := text(said(key, nil))
	current.Store(&good)
	g, _ := New(testIssuer, Audience(testAudience), Credentials("api", "hush"), IntrospectionURL(s.URL+"/introspect"))
	if err := passes(g, key); err != nil {
		t.Errorf("a good answer: %v", err)
	}
}

// The metadata may send the guard to no place where the API's secret would be read.
func TestAttackJWT030WhereToIntrospect(t *testing.T) {
	for member, ok := range map[string]bool{
		`"introspection_endpoint":"https://as.example/introspect"`:          true,
		`"introspection_endpoint":"http://as.example/introspect"`:           false,
		`"introspection_endpoint":"http://127.0.0.1/introspect"`:            false,
		`"introspection_endpoint":"https://api:hush@as.example/introspect"`: false,
		`"introspection_endpoint":"/introspect"`:                            false,
		`"introspection_endpoint":["https://as.example/introspect"]`:        false,
		`"introspection_endpoint":""`:                                       false,
		`"Introspection_endpoint":"https://as.example/introspect"`:          false,
		`"x":1`: false,
		`"issuer":"https://as.example","introspection_endpoint":"https://as.example/introspect"`: false,
	} {
		posts := 0
		g, err := New(testIssuer, Audience(testAudience), Credentials("api", "hush"), Logger(slog.New(slog.DiscardHandler)),
			HTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) string {
				if r.Method == http.MethodPost {
					posts++
					return said(testKey(1), nil)
				}
				return `{"issuer":"https://as.example",` + member + `}`
			})}))
		if err != nil {
			t.Fatal(err)
		}
		if err := passes(g, testKey(1)); ok && err != nil || !ok && (!errors.Is(err, ErrUnavailable) || posts != 0) {
			t.Errorf("%s: %v, %d posts", member, err, posts)
		}
	}
}

// roundTrip answers every request with a text.
type roundTrip func(*http.Request) string

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(f(r))), Request: r}, nil
}

// While the issuer is away no key passes, it is hardly asked, and it is told once a
// second at the most.
func TestAttackJWT030NobodyAnswersAboutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		var log safeBuffer
		g := d.guard(t, Logger(slog.New(slog.NewTextHandler(&log, nil))))
		if err := passes(g, testKey(1)); err != nil {
			t.Fatal(err)
		}
		d.set(func() { d.down = true })
		time.Sleep(500 * time.Millisecond)
		if err := passes(g, testKey(1)); err != nil {
			t.Errorf("half a second later: %v", err)
		}
		time.Sleep(500 * time.Millisecond)
		start, before := time.Now(), d.asked()+d.metadata
		for time.Since(start) < 10*time.Second {
			for n := range 10 {
				refusesKey(t, g, testKey(1+n), ErrUnavailable)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := d.asked() + d.metadata - before; n < 10 || n > 20 {
			t.Errorf("%d calls in ten seconds", n)
		}
		if n := strings.Count(log.String(), "does not answer about API keys"); n < 2 || n > 13 {
			t.Errorf("%d lines in ten seconds: %s", n, log.String())
		}
		d.set(func() { d.down = false })
		time.Sleep(time.Second)
		if err := passes(g, testKey(1)); err != nil {
			t.Errorf("the issuer is back: %v", err)
		}
	})
}

// An issuer that hangs is given up after two seconds; requests neither wait longer
// nor pile up.
func TestAttackJWT030IntrospectionHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.delay = time.Hour
		g := d.guard(t, IntrospectionURL(deskEndpoint))
		var wg sync.WaitGroup
		var atOnce atomic.Int32
		for n := range 3000 {
			wg.Go(func() {
				start := time.Now()
				refusesKey(t, g, testKey(n), ErrUnavailable)
				if waited := time.Since(start); waited > callTime {
					t.Errorf("waited %v", waited)
				} else if waited == 0 {
					atOnce.Add(1)
				}
			})
		}
		wg.Wait()
		if d.most > maxCalls {
			t.Errorf("%d calls at once", d.most)
		}
		if n := atOnce.Load(); n != 3000-maxOthers {
			t.Errorf("%d were refused at once", n)
		}
		start := time.Now()
		if refusesKey(t, g, testKey(1), ErrUnavailable); time.Since(start) != 0 {
			t.Errorf("the next one waited %v", time.Since(start))
		}
	})
}

// Strangers who make up keys take no turn from those that are good, and no place.
func TestAttackKEY008GuessingKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		for n := range 5_000 {
			d.ended[testKey(1000+n)] = true
		}
		g := d.guard(t, KeyCache(time.Second, 100))
		for n := range 20 {
			if err := passes(g, testKey(n)); err != nil {
				t.Fatal(err)
			}
		}
		d.set(func() { d.delay = 50 * time.Millisecond })
		var wg sync.WaitGroup
		for n := range 5_000 {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * 800 * time.Microsecond) // for four seconds
				if err := passes(g, testKey(1000+n)); err == nil {
					t.Error("a key that is made up passes")
				}
			})
		}
		for n := range 20 {
			wg.Go(func() {
				for range 400 {
					time.Sleep(10 * time.Millisecond)
					start := time.Now()
					if err := passes(g, testKey(n)); err != nil || time.Since(start) != 0 {
						t.Errorf("a good key: %v after %v", err, time.Since(start))
					}
				}
			})
		}
		wg.Wait()
		if d.most > 2*maxCalls {
			t.Errorf("%d calls at once", d.most)
		}
	})
}
