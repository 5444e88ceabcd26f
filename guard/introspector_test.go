package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// desk is an issuer without a network that is asked about API keys, in a synctest
// bubble. It knows every key but those that ended.
type desk struct {
	mu       sync.Mutex
	ended    map[string]bool
	delay    time.Duration
	status   int
	down     bool
	requests []*http.Request // about keys, with their forms parsed
	metadata int             // requests for it
	running  int
	most     int // that were running at once
}

const (
	deskMetadata = "https://as.example/.well-known/oauth-authorization-server"
	deskEndpoint = "https://as.example/introspect"
)

func (d *desk) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status, text := http.StatusNotFound, ""
	switch r.Method + " " + r.URL.String() {
	case "GET " + deskMetadata:
		d.metadata++
		status, text = 200, `{"issuer":"https://as.example","jwks_uri":"https://as.example/jwks","introspection_endpoint":"`+deskEndpoint+`"}`
	case "POST " + deskEndpoint:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if r.PostForm, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		d.requests = append(d.requests, r)
		key := r.PostForm.Get("token")
		status, text = 200, said(key, nil)
		if d.ended[key] {
			text = `{"active":false}`
		}
	}
	if d.status != 0 {
		status = d.status
	}
	down := d.down
	d.running++
	d.most = max(d.most, d.running)
	d.mu.Unlock()
	var err error
	select {
	case <-time.After(d.delay):
	case <-r.Context().Done():
		err = r.Context().Err()
	}
	d.mu.Lock()
	d.running--
	if down {
		err = errors.New("connection refused")
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (d *desk) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *desk) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.requests)
}

func newDesk() *desk { return &desk{ended: map[string]bool{}} }

// guard returns a guard that asks d about keys.
func (d *desk) guard(t testing.TB, options ...Option) *Guard {
	t.Helper()
	set := testKeys(t)
	g, err := New(testIssuer, append([]Option{
		Audience(testAudience), Keys(func() *KeySet { return set }), Credentials("api", "a secret"),
		HTTPClient(&http.Client{Transport: d}), Logger(slog.New(slog.DiscardHandler)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// keyRequest returns a request with an API key, from an address.
func keyRequest(key, address string) *http.Request {
	return &http.Request{Method: "GET", URL: &url.URL{Path: "/"}, Header: http.Header{"X-Api-Key": {key}}, RemoteAddr: address}
}

// passes returns why a request with a key may not pass.
func passes(g *Guard, key string) error {
	_, err := g.authenticate(keyRequest(key, "192.0.2.1:1234"), false)
	return err
}

// refusesKey fails unless key is refused for a reason.
func refusesKey(t *testing.T, g *Guard, key string, want Reason) {
	t.Helper()
	if err := passes(g, key); !errors.Is(err, want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestIntrospectionRequest(t *testing.T) {
	key := testKey(1)
	for _, c := range []struct {
		id, secret, basic string
		options           []Option
		address, want     string
		metadata          int
	}{
		{"api", "a secret", "Basic YXBpOmErc2VjcmV0", nil, "192.0.2.1:80", "192.0.2.1", 1},
		{"api:1", "100%é", "Basic YXBpJTNBMToxMDAlMjUlQzMlQTk=", nil, "[2001:db8::1]:80", "2001:db8::1", 1},
		{"api", "s", "Basic YXBpOnM=", []Option{IntrospectionURL(deskEndpoint)}, "@", "@", 0},
		{"api", "s", "Basic YXBpOnM=", []Option{CallerAddress(func(*http.Request) string { return "198.51.100.7" })}, "192.0.2.1:80", "198.51.100.7", 1},
		{"api", "s", "Basic YXBpOnM=", []Option{CallerAddress(func(*http.Request) string { return "" })}, "192.0.2.1:80", "", 1},
	} {
		d := newDesk()
		g := d.guard(t, append([]Option{Credentials(c.id, c.secret)}, c.options...)...)
		if d.asked()+d.metadata != 0 {
			t.Error("New touched the network")
		}
		p, err := g.authenticate(keyRequest(key, c.address), false)
		if err != nil {
			t.Fatal(err)
		}
		r := d.requests[0]
		if got := r.Header.Get("Authorization"); got != c.basic {
			t.Errorf("Authorization: %s, want %s", got, c.basic)
		}
		want := url.Values{"token": {key}}
		if c.want != "" {
			want.Set("address", c.want)
		}
		if r.PostForm.Encode() != want.Encode() || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%v %v", r.PostForm, r.Header)
		}
		if d.metadata != c.metadata {
			t.Errorf("the metadata was read %d times", d.metadata)
		}
		text, ok := p.Claim("token_type")
		if p.Subject != "u1" || p.ClientID != "app" || p.KeyID != key[4:20] || !p.Has("orders:read") || !p.Has("read") || p.Expires.Unix() != 1<<40 || !ok || string(text) != `"api_key"` {
			t.Errorf("%+v", p)
		}
	}
}

// What a handler does to its principal does not reach the next request.
func TestKeyPrincipalIsTheRequestsOwn(t *testing.T) {
	g := newDesk().guard(t)
	for range 3 {
		p, err := g.authenticate(keyRequest(testKey(1), "192.0.2.1:1"), false)
		if err != nil || p.Subject != "u1" || p.Has("admin") {
			t.Fatalf("%+v, %v", p, err)
		}
		p.Subject, p.Scopes[0] = "root", "admin"
	}
}

// The issuer is asked once, and again before its answer is too old; nobody waits then.
func TestKeyCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.delay = 100 * time.Millisecond
		g := d.guard(t, KeyCache(10*time.Second, 100))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := passes(g, testKey(1)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d.asked() != 1 || d.metadata != 1 {
			t.Fatalf("100 requests asked %d times, and read the metadata %d times", d.asked(), d.metadata)
		}
		start := time.Now()
		for time.Since(start) < time.Minute {
			time.Sleep(50 * time.Millisecond)
			before := time.Now()
			if err := passes(g, testKey(1)); err != nil || time.Since(before) != 0 {
				t.Fatalf("%v after a wait of %v", err, time.Since(before))
			}
		}
		if n := d.asked(); n < 7 || n > 9 {
			t.Errorf("asked %d times in a minute", n)
		}
		// Nobody came for a while: the next one waits.
		time.Sleep(10 * time.Second)
		before := time.Now()
		if err := passes(g, testKey(1)); err != nil || time.Since(before) != d.delay {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		if d.metadata != 1 {
			t.Errorf("the metadata was read %d times", d.metadata)
		}
	})
}

// A key is asked about for each address that it comes from.
func TestKeyCacheTellsAddressesApart(t *testing.T) {
	d := newDesk()
	g := d.guard(t)
	for range 2 {
		for _, address := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "[::1]:1"} {
			if _, err := g.authenticate(keyRequest(testKey(1), address), false); err != nil {
				t.Error(err)
			}
		}
	}
	if d.asked() != 3 {
		t.Errorf("asked %d times about three addresses", d.asked())
	}
}

// A cache of no time asks at every request, and of those that come together again for
// each that came after the last call began.
func TestKeyCacheOfNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.delay = 100 * time.Millisecond
		g := d.guard(t, KeyCache(0, 1))
		for n := range 3 {
			if err := passes(g, testKey(1)); err != nil || d.asked() != n+1 {
				t.Errorf("%v, asked %d times", err, d.asked())
			}
		}
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * 10 * time.Millisecond)
				if err := passes(g, testKey(1)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d.asked() != 5 {
			t.Errorf("ten that came within one call asked %d times more", d.asked()-3)
		}
	})
}

// A revoked key is refused within the time of the cache, whenever it is revoked.
func TestAttackKEY005RevokedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.delay = 3 * time.Millisecond
		g := d.guard(t)
		var lags []time.Duration
		for n := range 200 {
			key := testKey(n)
			ends := time.Now().Add(time.Duration(n) * 7 * time.Millisecond) // in every phase of the cache
			for time.Now().Before(ends) {
				if err := passes(g, key); err != nil {
					t.Fatalf("before it is revoked: %v", err)
				}
				time.Sleep(25 * time.Millisecond)
			}
			d.set(func() { d.ended[key] = true })
			revoked := time.Now()
			for passes(g, key) == nil {
				time.Sleep(5 * time.Millisecond)
			}
			lags = append(lags, time.Since(revoked))
			refusesKey(t, g, key, ErrAPIKey)
		}
		slices.Sort(lags)
		p99 := lags[len(lags)*99/100]
		t.Logf("refused after %v (median), %v (p99), %v (at the most)", lags[len(lags)/2], p99, lags[len(lags)-1])
		if p99 > time.Second {
			t.Errorf("the 99th percentile is %v", p99)
		}
	})
}

// An answer that came ahead of time counts at once.
func TestKeyIsRefusedAheadOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		g := d.guard(t)
		if err := passes(g, testKey(1)); err != nil {
			t.Fatal(err)
		}
		d.ended[testKey(1)] = true
		time.Sleep(750 * time.Millisecond)
		if err := passes(g, testKey(1)); err != nil {
			t.Errorf("nobody waits: %v", err)
		}
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		refusesKey(t, g, testKey(1), ErrAPIKey)
	})
}

// The metadata is read again when the endpoint has moved.
func TestIntrospectionMoves(t *testing.T) {
	place, now := "https://as.example/a", now
	g, err := New(testIssuer, Audience(testAudience), Credentials("api", "hush"), Logger(slog.New(slog.DiscardHandler)), Now(func() time.Time { return now }),
		HTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) string {
			switch {
			case r.Method == http.MethodGet:
				return `{"issuer":"https://as.example","introspection_endpoint":"` + place + `"}`
			case r.URL.String() == place:
				return said(testKey(1), nil)
			}
			return "gone"
		})}))
	if err != nil {
		t.Fatal(err)
	}
	if err := passes(g, testKey(1)); err != nil {
		t.Error(err)
	}
	place, now = "https://as.example/b", now.Add(time.Second)
	refusesKey(t, g, testKey(1), ErrUnavailable)
	if err := passes(g, testKey(1)); err != nil {
		t.Errorf("after the move: %v", err)
	}
}

// Whoever comes while a slow call is under way, whose answer is too old once it is
// there, gets the next one.
func TestSlowAnswersAreNotTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.delay = 1500 * time.Millisecond
		g := d.guard(t, IntrospectionURL(deskEndpoint))
		key := testKey(1)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := passes(g, key); err != nil {
				t.Errorf("the first: %v", err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		d.set(func() { d.ended[key] = true })
		wg.Go(func() { refusesKey(t, g, key, ErrAPIKey) })
		wg.Wait()
		if d.asked() != 2 {
			t.Errorf("asked %d times", d.asked())
		}
	})
}

// A key that is no good is asked about once in a while only.
func TestBadKeysAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		g := d.guard(t)
		key := testKey(1)
		d.ended[key] = true
		for range 100 {
			refusesKey(t, g, key, ErrAPIKey)
			time.Sleep(time.Millisecond)
		}
		if d.asked() != 1 {
			t.Errorf("asked %d times", d.asked())
		}
		// It may become good, and bad again.
		for n, ended := range []bool{false, true, false} {
			d.set(func() { d.ended[key] = ended })
			time.Sleep(time.Second)
			if err := passes(g, key); (err != nil) != ended || d.asked() != n+2 {
				t.Errorf("ended %v: %v, asked %d times", ended, err, d.asked())
			}
		}
	})
}

// A key that ends while its answer is fresh ends then.
func TestKeyEndsInTheCache(t *testing.T) {
	at := time.Unix(1<<40-2, 0)
	g := newDesk().guard(t, KeyCache(time.Minute, 8), Now(func() time.Time { return at }))
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {2*time.Second - 1, nil}, {2 * time.Second, ErrAPIKey}, {3 * time.Second, ErrAPIKey}} {
		at = time.Unix(1<<40-2, 0).Add(c.after)
		if err := passes(g, testKey(1)); !errors.Is(err, c.want) {
			t.Errorf("after %v: %v", c.after, err)
		}
	}
}

// An answer of the future is not fresh for ever: the clock was set back.
func TestKeyCacheAndClock(t *testing.T) {
	var at atomic.Int64
	d := newDesk()
	g := d.guard(t, Now(func() time.Time { return time.Unix(at.Load(), 0) }))
	for n, seconds := range []int64{1000, 10, 2000, 10} {
		at.Store(seconds)
		if err := passes(g, testKey(1)); err != nil || d.asked() != n+1 {
			t.Errorf("at %d: %v, asked %d times", seconds, err, d.asked())
		}
	}
}

// A caller that gives up does not wait, and the others get their answer.
func TestKeyRequestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.delay = 900 * time.Millisecond
		g := d.guard(t, IntrospectionURL(deskEndpoint))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := g.authenticate(keyRequest(testKey(1), "192.0.2.1:1").WithContext(ctx), false)
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := passes(g, testKey(1)); err != nil || time.Since(start) != d.delay || d.asked() != 1 {
			t.Errorf("%v after %v, asked %d times", err, time.Since(start), d.asked())
		}
	})
}

// What the issuer limits is limited here, for as long, and no other key with it.
func TestIssuerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		g := d.guard(t)
		if err := passes(g, testKey(1)); err != nil {
			t.Fatal(err)
		}
		d.set(func() { d.status = 429 })
		for n := range 20 {
			w, _ := call(t, g, "/", []string{"X-API-Key", testKey(2 + n)})
			if w.Code != 429 || w.Header().Get("Retry-After") != "7" {
				t.Fatalf("%d, Retry-After %s", w.Code, w.Header().Get("Retry-After"))
			}
		}
		if err := passes(g, testKey(1)); err != nil {
			t.Errorf("a key that is remembered: %v", err)
		}
		d.set(func() { d.status = 0 })
		if err := passes(g, testKey(100)); err != nil {
			t.Errorf("another key: %v", err)
		}
	})
}

func TestKeyOptions(t *testing.T) {
	for want, options := range map[string][]Option{
		"":                               {Credentials("api", "hush"), KeyCache(0, 1), IntrospectionURL("https://as.example/i"), CallerAddress(remoteHost)},
		"Credentials lack":               {Credentials("", "hush")},
		"Credentials lack the id":        {Credentials("api", "")},
		"both APIKeys and Credentials":   {Credentials("api", "hush"), APIKeys(func(context.Context, string) (*Principal, error) { return nil, nil })},
		"needs Credentials":              {IntrospectionURL("https://as.example/i")},
		"is not https":                   {Credentials("api", "hush"), IntrospectionURL("http://as.example/i")},
		"0 to 60 seconds":                {KeyCache(time.Minute+1, 1)},
		"-1ns of the key cache":          {KeyCache(-1, 1)},
		"size 0":                         {KeyCache(time.Second, 0)},
		"CallerAddress was given nil":    {CallerAddress(nil)},
		"APIKeys was given nil":          {APIKeys(nil)},
		"the introspection URL \"x\" is": {Credentials("api", "hush"), IntrospectionURL("x")},
	} {
		g, err := New(testIssuer, append(options, Audience(testAudience))...)
		if (err == nil) != (want == "") || (g == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the secret is told: %v", err)
		}
	}
}

// Many keys from many goroutines, while some are revoked.
func TestKeysInParallel(t *testing.T) {
	d := newDesk()
	g := d.guard(t, KeyCache(2*time.Millisecond, 16))
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for m := range 300 {
				k := m % 40
				key := testKey(k)
				p, err := g.authenticate(keyRequest(key, "192.0.2.1:1"), false)
				switch {
				case err == nil && p.KeyID != key[4:20]:
					t.Errorf("%s for %s", p.KeyID, key[4:20])
				case err != nil && !errors.Is(err, ErrAPIKey):
					t.Error(err)
				case err == nil:
					p.Scopes[0] = "mine"
				}
				if m%20 == n {
					d.set(func() { d.ended[key] = !d.ended[key] })
				}
			}
		})
	}
	wg.Wait()
	i := g.apiKeys.(*introspector)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		i.mu.Lock()
		left := fmt.Sprint(len(i.asked), i.others, len(i.goodTurns), len(i.otherTurns))
		i.mu.Unlock()
		if left == "0 0 0 0" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %s", left)
		}
	}
}
