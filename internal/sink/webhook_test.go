package sink

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
)

// The receiver checks a request as Standard Webhooks says, with nothing but the
// secret.
func TestWebhook(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	w := newWebhook(s.URL+"/in?token=x", signingKey, clock.Func(func() time.Time { return at }))
	defer w.close()
	if err := w.deliver(t.Context(), someLines(`{"leaf":0}`, `{"leaf":1}`)); err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, []byte("0123456789abcdef01234567"))
	h.Write([]byte(got.Header.Get("Webhook-Id") + "." + got.Header.Get("Webhook-Timestamp") + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); got.Header.Get("Webhook-Signature") != want {
		t.Errorf("the signature is %s, want %s", got.Header.Get("Webhook-Signature"), want)
	}
	if got.Method != "POST" || got.URL.RequestURI() != "/in?token=x" || string(body) != "{\"leaf\":0}\n{\"leaf\":1}\n" || got.Header.Get("Content-Type") != "application/x-ndjson" ||
		got.Header.Get("Webhook-Id") != "leaves-0-1" || got.Header.Get("Webhook-Timestamp") != "1790000000" {
		t.Errorf("%s %s %v %s", got.Method, got.URL, got.Header, body)
	}
}

// The receiver leads nowhere: what it answers but 2xx is a failure, and its
// redirects are not followed.
func TestAttackWebhookLeadsNowhere(t *testing.T) {
	var elsewhere atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer inner.Close()
	for _, status := range []int{100, 301, 302, 303, 307, 308, 400, 401, 404, 410, 429, 500, 503} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", inner.URL)
			if status != 100 {
				w.WriteHeader(status)
				return
			}
			panic(http.ErrAbortHandler)
		}))
		if err := newWebhook(s.URL, signingKey, clock.Wall()).deliver(t.Context(), someLines("1")); err == nil {
			t.Errorf("%d counts as delivered", status)
		}
		s.Close()
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// A proxy in the environment is not the place that the operator named.
func TestWebhookUsesNoProxy(t *testing.T) {
	w := newWebhook("https://logs.example.com/", signingKey, clock.Wall())
	if p := w.client.Transport.(*http.Transport).Proxy; p != nil {
		u, err := p(&http.Request{URL: &url.URL{Scheme: "https", Host: "logs.example.com"}})
		t.Errorf("it goes through %v, %v", u, err)
	}
}

// What goes wrong is told without the URL, whose query may be a secret; and a
// receiver that never answers is not waited for.
func TestAttackWebhookErrors(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	for name, address := range map[string]string{
		"a certificate of nobody": s.URL + "/?token=verysecret",
		"nobody there":            "https://127.0.0.1:1/?token=verysecret",
		"no such host":            "https://nosuch.invalid/?token=verysecret",
	} {
		err := newWebhook(address, signingKey, clock.Wall()).deliver(t.Context(), someLines("1"))
		if err == nil || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWebhook(s.URL+"/?token=verysecret", signingKey, clock.Wall())
	w.client = s.Client()
	w.client.Timeout = 50 * time.Millisecond
	began := time.Now()
	if err := w.deliver(t.Context(), someLines("1")); err == nil || strings.Contains(err.Error(), "verysecret") || time.Since(began) > 3*time.Second {
		t.Errorf("a receiver that hangs: %v after %v", err, time.Since(began))
	}
}
