// Package servertest runs a whole Doorward in the test's process: the real
// handler on a real listener over a real database.
package servertest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/store/storetest"
)

// The administrator of every site.
const (
	Admin    = "admin"
	Password = "correct horse battery"
)

// Operator is who acts where a test does.
var Operator = principal.Principal{Kind: principal.CLI, ID: "test"}

// Site is a running Doorward.
type Site struct {
	URL    string
	Core   *server.Core
	Server *server.Server
	stop   func()
	hash   func() (string, error) // of Password: the accounts share it, so that a test with many is quick
}

// Options change a site before it starts.
type Options struct {
	DSN     string            // an empty SQLite file if not given
	Master  secret.Text       // a new one if not given
	Set     map[string]string // settings by name
	Environ []string          // more of the environment, for what no argument may hold
	Tweak   func(*server.Options)
}

// Everywhere in the environment makes Each and EachDSN run on every database.
const Everywhere = "DOORWARD_TEST_EVERYWHERE"

// Each runs f with a site on one database: the test's name decides which, so that
// about half of all tests are held on each. What stores must do alike, their contract
// holds on both; a test of a server that is about the database runs on Both.
func Each(t *testing.T, f func(t *testing.T, s *Site)) {
	EachDSN(t, func(t *testing.T, dsn string) { f(t, Start(t, Options{DSN: dsn})) })
}

// EachDSN is Each for a test that starts its sites itself. One that is about the
// database, as a race of two requests is, runs on storetest.EachDSN.
func EachDSN(t *testing.T, f func(t *testing.T, dsn string)) {
	if os.Getenv(Everywhere) != "" {
		storetest.EachDSN(t, f)
		return
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(t.Name())) // it never fails
	if sum.Sum32()>>8&1 == 0 {
		t.Run("sqlite", func(t *testing.T) { f(t, storetest.SQLite(t)) })
	} else {
		t.Run("postgres", func(t *testing.T) { f(t, storetest.Postgres(t)) })
	}
}

// Both runs f with a site on every database.
func Both(t *testing.T, f func(t *testing.T, s *Site)) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { f(t, Start(t, Options{DSN: dsn})) })
}

// config returns the configuration of a site that listens at an address.
func (o Options) config(t testing.TB, address string) config.Config {
	t.Helper()
	if o.DSN == "" {
		o.DSN = storetest.SQLite(t)
	}
	if o.Master.IsZero() {
		o.Master = secret.NewMaster()
	}
	flags := map[string]string{
		"--listen": address,
		// What is held of all routes is held of those, too, that are there if somebody says so.
		"--set shared_signals.enabled": "true",
		// Whoever tests something else may guess as much as he likes.
		"--set lockout.failures": "100", "--set rate_limit.login": "100000/1s", "--set rate_limit.global": "100000/1s",
	}
	for name, value := range o.Set {
		flags["--set "+name] = value
	}
	c, err := config.Read(config.Sources{
		Mode: config.Dev, Flags: flags,
		Environ: append([]string{
			"DOORWARD_ISSUER=http://" + address, "DOORWARD_LOG_FORMAT=json", "DOORWARD_LOG_LEVEL=debug",
			"DOORWARD_DATABASE=" + o.DSN, "DOORWARD_MASTER_KEY=" + o.Master.Reveal(),
		}, o.Environ...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Start runs a site, with its administrator, until the test ends.
func Start(t testing.TB, o Options) *Site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := o.config(t, listener.Addr().String())
	log, flush := server.NewLog(c.Log, logFile(t))
	core, err := server.NewCore(t.Context(), c, log, func(options *server.Options) {
		options.Hasher.InsecureCost = 4
		if o.Tweak != nil {
			o.Tweak(options)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(core, "test")
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{URL: "http://" + listener.Addr().String(), Core: core, Server: srv}
	s.hash = sync.OnceValues(func() (string, error) {
		return core.Hasher.Hash(context.WithoutCancel(t.Context()), "test", secret.From(Password))
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, []net.Listener{listener}) }()
	s.stop = sync.OnceFunc(func() {
		client.CloseIdleConnections() // a server waits 5 s for those that brought no request yet
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		if err := core.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		flush()
	})
	t.Cleanup(s.stop)
	if _, err := core.Accounts.ByLogin(t.Context(), Admin); err != nil {
		s.User(t, Admin, "admin")
	}
	return s
}

// Stop ends the site before the test does.
func (s *Site) Stop() { s.stop() }

// User makes an account with Password and roles.
func (s *Site) User(t testing.TB, name string, roles ...string) account.User {
	t.Helper()
	hash, err := s.hash()
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.Core.Accounts.Create(t.Context(), Operator, account.Draft{Username: name, Email: name + "@example.com", EmailVerified: true, Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if _, err := s.Core.Roles.Give(t.Context(), Operator, u.ID, role, time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// Tokens is what a sign-in or a refresh answers.
type Tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
}

// Login signs in with Password; more are further parameters, name and value.
func (s *Site) Login(t testing.TB, name string, more ...string) Tokens {
	t.Helper()
	a := s.Form(t, "/auth/login", append([]string{"username", name, "password", Password}, more...)...)
	if a.Status != http.StatusOK {
		t.Fatalf("signing in as %s: %d %s", name, a.Status, a.Body)
	}
	var tokens Tokens
	a.JSON(t, &tokens)
	return tokens
}

// Refresh spends a refresh token.
func (s *Site) Refresh(t testing.TB, token string, more ...string) Answer {
	t.Helper()
	return s.Form(t, "/auth/refresh", append([]string{"refresh_token", token}, more...)...)
}

// Answer is an answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON decodes the body.
func (a Answer) JSON(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
}

// Error returns the OAuth error code of the body, if it is one.
func (a Answer) Error() string {
	var e struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(a.Body), &e)
	return e.Error
}

// Form posts a form of names and values.
func (s *Site) Form(t testing.TB, path string, pairs ...string) Answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return s.Send(t, http.MethodPost, path, "application/x-www-form-urlencoded", v.Encode())
}

// Call calls the management API with an access token. headers are further
// headers, name and value.
func (s *Site) Call(t testing.TB, token, method, path string, body any, headers ...string) Answer {
	t.Helper()
	text := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	if token != "" {
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	return s.Send(t, method, path, contentType, text, headers...)
}

// Send sends a request as it is given.
func (s *Site) Send(t testing.TB, method, path, contentType, body string, headers ...string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return Do(t, r)
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends a request and reads the answer; of one without an end, a first piece. It
// follows no redirect.
func Do(t testing.TB, r *http.Request) Answer {
	t.Helper()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body []byte
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") && r.Method != http.MethodHead {
		body = make([]byte, 4<<10)
		n, err := res.Body.Read(body)
		if err != nil {
			t.Fatal(err)
		}
		body = body[:n]
	} else if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, string(bytes.TrimSpace(body))}
}

// logFile is where a site logs to: a file that the test command searches for
// canaries when all tests are done.
func logFile(t testing.TB) io.Writer {
	dir := os.Getenv("DOORWARD_TEST_LOGDIR")
	if dir == "" {
		dir = t.TempDir()
	}
	f, err := os.CreateTemp(dir, "site-*.log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Canary returns a secret that must not be found in any log.
func Canary(t testing.TB) string {
	t.Helper()
	canary := "canary-" + hex.EncodeToString(secret.Random(8))
	dir := os.Getenv("DOORWARD_TEST_LOGDIR")
	if dir == "" {
		return canary
	}
	f, err := os.OpenFile(filepath.Join(dir, "canaries.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(canary + "\n"); err != nil {
		t.Fatal(err)
	}
	return canary
}
