package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
)

// caller sends requests to one server, and writes them down.
type caller struct {
	url     string
	ledger  *ledger
	verdict *verdict
	sum     *sums
	// away is whether the database was taken away: then, and only then, the
	// server may fail to answer.
	away atomic.Bool

	mu     sync.Mutex
	client *http.Client
}

// renew forgets the connections to a server that is gone.
func (c *caller) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	c.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
}

// request is a request to be made.
type request struct {
	method, path string
	token        string            // an access token
	form         url.Values        // or
	body         any               // to be JSON
	header       map[string]string // more
	about        string            // for the ledger; never a secret
}

// answer is what came of a request.
type answer struct {
	status int // 0 if no answer came
	header http.Header
	body   []byte
	sent   bool // false if there was nobody to send it to: it certainly had no effect
}

// lost reports whether the request may have had its effect or not: it was sent,
// and no answer tells.
func (a answer) lost() bool { return a.sent && (a.status == 0 || a.status >= 500) }

// told reports whether the answer says what the request did.
func (a answer) told() bool {
	return a.status != 0 && a.status < 500 && a.status != http.StatusTooManyRequests
}

// String returns the answer as it may be printed: tokens are left out.
func (a answer) String() string {
	if bytes.Contains(a.body, []byte(`"access_token"`)) {
		return fmt.Sprintf("%d with tokens", a.status)
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

// code returns the OAuth error code of the body, if it has one.
func (a answer) code() string {
	var e struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(a.body, &e) // then there is none
	return e.Error
}

// do makes a request for an actor.
func (c *caller) do(who string, q request) answer {
	l := c.ledger.ask(who, q.method+" "+q.path+" "+q.about)
	a, err := c.send(q)
	c.sum.add("requests")
	text := fmt.Sprintf("%d %s", a.status, a.code())
	switch {
	case !a.sent:
		text = "not sent"
		c.sum.add("not sent")
	case a.status == 0:
		text = "no answer: " + err.Error()
		c.sum.add("no answer")
	}
	c.ledger.answered(l, text)
	if a.status >= 500 && !c.away.Load() {
		c.verdict.violated(who, "an internal error: %v", a)
	}
	return a
}

func (c *caller) send(q request) (answer, error) {
	var body io.Reader
	contentType := ""
	switch {
	case q.form != nil:
		body, contentType = strings.NewReader(q.form.Encode()), "application/x-www-form-urlencoded"
	case q.body != nil:
		text, err := json.Marshal(q.body)
		if err != nil {
			return answer{}, err
		}
		body, contentType = bytes.NewReader(text), "application/json"
	}
	r, err := http.NewRequestWithContext(context.Background(), q.method, c.url+q.path, body)
	if err != nil {
		return answer{}, err
	}
	r.GetBody = nil // or net/http would send it a second time by itself
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	c.mu.Lock()
	client := c.client
	c.mu.Unlock()
	res, err := client.Do(r)
	if err != nil {
		dial, ok := errors.AsType[*net.OpError](err)
		return answer{sent: !ok || dial.Op != "dial"}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{sent: true}, err
	}
	return answer{res.StatusCode, res.Header, text, true}, nil
}

// held is a token family as the client that holds it knows it.
type held struct {
	family          string // its public id
	browser         bool   // the tokens came as cookies, and go as such
	access, refresh string
	before          []string // spent tokens, the newest last
	generation      int64
	secret          string // the digest that the database must hold
	// lost is whether a turn was made whose answer never came: then the database
	// is a turn ahead, and refresh is spent.
	lost bool
}

// The cookies of an issuer on loopback.
const accessCookie, refreshCookie = "doorward_access", "doorward_refresh"

// tokens reads an answer that holds tokens.
func tokens(a answer) (held, error) {
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.body, &t); err != nil {
		return held{}, err
	}
	browser := t.Access == ""
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		switch {
		case browser && c.Name == accessCookie:
			t.Access = c.Value
		case browser && c.Name == refreshCookie:
			t.Refresh = c.Value
		}
	}
	parts := strings.Split(t.Access, ".")
	if len(parts) != 3 {
		return held{}, errors.New("the access token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return held{}, err
	}
	var claims struct {
		Family string `json:"fam"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return held{}, err
	}
	digest, err := digestOf(t.Refresh)
	return held{family: claims.Family, browser: browser, access: t.Access, refresh: t.Refresh, generation: 1, secret: digest}, err
}

// digestOf returns what the database holds of a refresh token.
func digestOf(token string) (string, error) {
	t, err := grant.ParseRefreshToken(token)
	h := t.Secret()
	return string(h[:]), err
}

// short names a digest in the ledger.
func short(digest string) string { return fmt.Sprintf("%.6x", digest) }

// pick returns a random number from 0 to n-1.
func pick(n int) int {
	b := secret.Random(4)
	return int((uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])) * uint64(n) >> 32)
}
