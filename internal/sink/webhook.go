package sink

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/secret"
)

// webhookWait is how long a receiver may take.
const webhookWait = 5 * time.Second

// webhook posts lines to a URL, signed by the convention of Standard Webhooks
// (standardwebhooks.com): whoever has the secret can tell that they come from
// here, are whole and are not old. The body is JSON Lines, as a file holds them.
type webhook struct {
	url    string
	key    secret.Text
	client *http.Client
	clock  clock.Clock
}

func newWebhook(url string, key secret.Text, c clock.Clock) *webhook {
	return &webhook{url: url, key: key, clock: c, client: &http.Client{
		Timeout: webhookWait,
		// The operator named one place. What that place answers leads nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10,
		},
	}}
}

func (w *webhook) deliver(ctx context.Context, lines []Line) error {
	var body bytes.Buffer
	for _, l := range lines {
		body.Write(l.Text)
		body.WriteByte('\n')
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body.Bytes()))
	if err != nil {
		return unnamed(err)
	}
	id, at := name(lines), strconv.FormatInt(w.clock.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("User-Agent", "doorward")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+w.sign(id, at, body.Bytes()))
	answer, err := w.client.Do(r)
	if err != nil {
		return unnamed(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the receiver answers %d", answer.StatusCode)
	}
	return nil
}

func (w *webhook) sign(id, at string, body []byte) string {
	h := hmac.New(sha256.New, []byte(w.key.Reveal()))
	h.Write([]byte(id + "." + at + "."))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (w *webhook) close() error {
	w.client.CloseIdleConnections()
	return nil
}

// unnamed takes the URL out of an error: it may hold a secret.
func unnamed(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
