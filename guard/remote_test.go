package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is an issuer without a network: it serves documents by their URL, after
// a while, in a synctest bubble.
type wire struct {
	mu    sync.Mutex
	pages map[string]string
	head  http.Header
	delay time.Duration
	down  bool
	calls map[string]int
}

func newWire(t *testing.T) *wire {
	return &wire{
		pages: map[string]string{
			"https://as.example/.well-known/oauth-authorization-server": `{"issuer":"https://as.example","jwks_uri":"https://as.example/jwks","x":[{}]}`,
			"https://as.example/jwks":                                   jwksText(t, jwkText(t, es())),
		},
		head: http.Header{"Content-Type": {"application/json"}}, calls: map[string]int{},
	}
}

func (i *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls[r.URL.String()]++
	delay, down := i.delay, i.down
	page, ok := i.pages[r.URL.String()]
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
	}
	i.mu.Lock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if down {
		return nil, errors.New("connection refused")
	}
	status := 200
	if !ok {
		status = 404
	}
	return &http.Response{StatusCode: status, Header: i.head, Body: io.NopCloser(strings.NewReader(page)), Request: r}, nil
}

func (i *wire) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *wire) jwks() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls["https://as.example/jwks"]
}

// all counts every request.
func (i *wire) all() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, calls := range i.calls {
		n += calls
	}
	return n
}

// guard returns a guard that fetches its keys from i.
func (i *wire) guard(t *testing.T, options ...Option) *Guard {
	t.Helper()
	g, err := New(testIssuer, append([]Option{Audience(testAudience), HTTPClient(&http.Client{Transport: i}), Logger(slog.New(slog.DiscardHandler))}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// lasting returns a token that is good for long after the bubble's time.
func lasting(s signer) string {
	return s.token(map[string]any{"iat": 0, "nbf": 0, "exp": 1 << 40})
}

func verifies(g *Guard, token string) error {
	_, err := g.Verify(context.Background(), token)
	return err
}

func TestKeysAreFetchedOnceAndRefreshed(t *testing.T) {
	token := lasting(es())
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		i.delay = time.Second
		i.head.Set("Cache-Control", "public, max-age=120")
		g := i.guard(t)
		if len(i.calls) != 0 {
			t.Errorf("New touched the network: %v", i.calls)
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := verifies(g, token); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if i.jwks() != 1 || i.calls["https://as.example/.well-known/oauth-authorization-server"] != 1 {
			t.Errorf("100 first requests made %v", i.calls)
		}
		time.Sleep(119 * time.Second)
		if verifies(g, token); i.jwks() != 1 {
			t.Error("fetched again too early")
		}
		time.Sleep(2 * time.Second)
		start := time.Now()
		for range 10 {
			if err := verifies(g, token); err != nil {
				t.Error(err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("a request waited %v for a refresh", time.Since(start))
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if i.jwks() != 2 || i.calls["https://as.example/.well-known/oauth-authorization-server"] != 1 {
			t.Errorf("one refresh made %v", i.calls)
		}
	})
}

// The last good keys serve while the issuer is away, for an hour; then nothing
// passes, not even from the cache, until it is back.
func TestAttackJWT030IssuerAway(t *testing.T) {
	token, fresh := lasting(es()), es().token(map[string]any{"iat": 0, "nbf": 0, "exp": 1 << 40, "jti": "t2"})
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		g := i.guard(t)
		if err := verifies(g, token); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		i.set(func() { i.down = true })
		for time.Since(start) < maxStale-time.Minute {
			time.Sleep(time.Minute)
			if err := verifies(g, token); err != nil {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		}
		if err := verifies(g, fresh); err != nil {
			t.Errorf("a new token, with keys of an hour ago: %v", err)
		}
		synctest.Wait()
		tries := i.all()
		if tries < 10 || tries > 60 {
			t.Errorf("%d tries in an hour", tries)
		}
		time.Sleep(time.Minute)
		for range 50 {
			if err := verifies(g, token); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		}
		if more := i.all() - tries; more > 1 {
			t.Errorf("50 requests made %d fetches that fail", more)
		}
		w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + token})
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if w, _ := call(t, g, "/", nil); w.Code != 401 {
			t.Errorf("without a token: %d", w.Code)
		}
		i.set(func() { i.down = false })
		time.Sleep(retryTime)
		if err := verifies(g, token); err != nil {
			t.Errorf("the issuer is back: %v", err)
		}
	})
}

func TestAttackJWT030DownAtTheStart(t *testing.T) {
	token := lasting(es())
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		i.down = true
		g := i.guard(t)
		for range 100 {
			if err := verifies(g, token); !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if n := i.calls["https://as.example/.well-known/oauth-authorization-server"]; n != 1 {
			t.Errorf("%d fetches at once", n)
		}
		i.set(func() { i.down = false })
		time.Sleep(retryTime)
		if err := verifies(g, token); err != nil {
			t.Errorf("the issuer is up: %v", err)
		}
	})
}

// A request that is given up does not wait, and does not end the fetch of others.
func TestRequestGivesUp(t *testing.T) {
	token := lasting(es())
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		i.delay = 2 * time.Second
		g := i.guard(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := g.Verify(ctx, token); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := verifies(g, token); err != nil || time.Since(start) != 4*time.Second || i.jwks() != 1 {
			t.Errorf("%v after %v, %d fetches", err, time.Since(start), i.jwks())
		}
	})
}

// An issuer that answers too slowly is given up after five seconds.
func TestFetchTimesOut(t *testing.T) {
	token := lasting(es())
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		i.delay = 3 * time.Second // for each of two documents
		start := time.Now()
		if err := verifies(i.guard(t), token); !errors.Is(err, ErrUnavailable) || time.Since(start) != fetchTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAttackJWT006UnknownKeyStorm(t *testing.T) {
	good := lasting(es())
	storm := make([]string, 10_000)
	_, rest, _ := strings.Cut(good, ".")
	for n := range storm {
		storm[n] = b64(fmt.Sprintf(`{"alg":"ES256","kid":"k%d","typ":"at+jwt"}`, n)) + "." + rest
	}
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		g := i.guard(t)
		if err := verifies(g, good); err != nil {
			t.Fatal(err)
		}
		i.set(func() { i.delay = 200 * time.Millisecond })
		before := i.jwks()
		var wg sync.WaitGroup
		for n, token := range storm {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Microsecond) // all within a second
				if err := verifies(g, token); !errors.Is(err, ErrUnknownKey) {
					t.Errorf("%v", err)
				}
			})
			if n%100 == 0 {
				wg.Go(func() {
					start := time.Now()
					if err := verifies(g, good); err != nil || time.Since(start) != 0 {
						t.Errorf("a good token: %v after %v", err, time.Since(start))
					}
				})
			}
		}
		wg.Wait()
		if n := i.jwks() - before; n != 1 {
			t.Errorf("%d fetches for 10,000 unknown keys", n)
		}
		time.Sleep(58 * time.Second)
		if verifies(g, storm[0]); i.jwks()-before != 1 {
			t.Error("another fetch within the minute")
		}
		time.Sleep(2 * time.Second)
		if verifies(g, storm[0]); i.jwks()-before != 2 {
			t.Error("no fetch after the minute")
		}
	})
}

// A token of a new key has the keys fetched, and passes at once.
func TestRotation(t *testing.T) {
	old, next := lasting(es()), lasting(newSigners()["EdDSA"])
	synctest.Test(t, func(t *testing.T) {
		i := newWire(t)
		g := i.guard(t, UnknownKeyInterval(10*time.Second))
		if err := verifies(g, old); err != nil {
			t.Fatal(err)
		}
		i.set(func() {
			i.pages["https://as.example/jwks"] = jwksText(t, jwkText(t, es()), jwkText(t, newSigners()["EdDSA"]))
		})
		if err := errors.Join(verifies(g, next), verifies(g, old)); err != nil || i.jwks() != 2 {
			t.Errorf("after the rotation: %v, %d fetches", err, i.jwks())
		}
		// The old key is withdrawn: its tokens die with the next refresh.
		i.set(func() { i.pages["https://as.example/jwks"] = jwksText(t, jwkText(t, newSigners()["EdDSA"])) })
		time.Sleep(anyFresh)
		verifies(g, next) // begins the refresh
		synctest.Wait()
		if err := verifies(g, old); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a withdrawn key: %v", err)
		}
		if err := verifies(g, next); err != nil {
			t.Errorf("the new key: %v", err)
		}
		// The metadata is read again when the keys have moved.
		i.set(func() {
			i.pages["https://as.example/keys2"] = i.pages["https://as.example/jwks"]
			delete(i.pages, "https://as.example/jwks")
			i.pages["https://as.example/.well-known/oauth-authorization-server"] = `{"issuer":"https://as.example","jwks_uri":"https://as.example/keys2"}`
		})
		for range 3 {
			time.Sleep(anyFresh)
			if err := verifies(g, next); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if i.calls["https://as.example/keys2"] == 0 {
			t.Error("the keys' new place was not found")
		}
	})
}

// Who comes late, with the keys of before, finds the new ones and fetches nothing.
func TestLateComersDoNotFetch(t *testing.T) {
	i := newWire(t)
	g := i.guard(t)
	if err := verifies(g, lasting(es())); err != nil {
		t.Fatal(err)
	}
	r := g.keys.(*remote)
	old, _ := NewKeySet()
	if r.fetch(nil, time.Now()) != nil || r.fetchFor(old) != nil || r.newer(t.Context(), old) != r.last.Load().set {
		t.Error("they fetch again")
	}
}
