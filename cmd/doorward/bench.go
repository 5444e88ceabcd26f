package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/load"
	"github.com/doorward/doorward/internal/rbac"
)

// The bounds of a benchmark: it loads a server, and does not bring one down.
const (
	mostConnections = 64
	longestLoad     = time.Minute
	benchWarm       = 200 * time.Millisecond // before anything is counted
)

// benchmark is a load on a server of the operator's.
type benchmark struct {
	*remote
	connections int
	each        time.Duration // how long each path is counted
	paths       []string
	host        string // as requests name it
	addr        string
	secure      *tls.Config // nil for plain http

	client registered
}

// registered is a client that gets tokens while the benchmark runs, and no longer.
type registered struct{ id, basic, token string }

func (p *program) bench() *cobra.Command {
	b := &benchmark{}
	var file string
	c := p.command("bench", "Measure a server of yours", `It asks the server at URL, its issuer, as often as it answers, and prints how many
requests it answered in a second and how long they took: its metadata and keys,
introspection, and tokens by client credentials.

It runs only with an access token of an administrator of that server, from
--token-file or stdin. For the tokens it registers a client, which it deletes at the
end, also when it is interrupted. The audit log keeps an event for each token. Sign-in
and refresh tokens are left out: they would need a person's password.`, `
doorward bench https://auth.example.com --token-file token.txt
doorward bench https://auth.example.com --token-file token.txt --for 30s --connections 64 -o json`,
		[]string{"URL"}, func(c *cobra.Command, args []string) error {
			if err := b.bounded(c); err != nil {
				return err
			}
			token, err := p.readToken(c, "--token-file", file)
			if err != nil {
				return err
			}
			if err := b.target(args[0], token); err != nil {
				return err
			}
			return p.measure(c.Context(), b)
		})
	c.Flags().StringVar(&file, "token-file", "", "the `FILE` that holds the access token of an administrator; stdin if not given")
	c.Flags().IntVar(&b.connections, "connections", 16, "over how many connections the load comes, at most 64 (`N`)")
	c.Flags().DurationVar(&b.each, "for", 5*time.Second, "how long each path is measured, at most 1m (`DURATION`)")
	c.Flags().StringSliceVar(&b.paths, "path", benchPaths(), "which `PATHS` are measured, with commas")
	return c
}

// bounded refuses what is no measure of anything, or too much.
func (b *benchmark) bounded(c *cobra.Command) error {
	switch {
	case b.connections < 1 || b.connections > mostConnections:
		return usage(c, "--connections is 1 to %d", mostConnections)
	case b.each <= 0 || b.each > longestLoad:
		return usage(c, "--for is more than nothing, and at most %v", longestLoad)
	}
	for _, name := range b.paths {
		if !slices.Contains(benchPaths(), name) {
			return usage(c, "--path is of %s", strings.Join(benchPaths(), ", "))
		}
	}
	return nil
}

// target takes the server, and the token, which must be that server's.
func (b *benchmark) target(address, token string) (err error) {
	if b.remote, err = newRemote(address, token); err != nil {
		return err
	}
	u, err := url.Parse(b.url)
	if err != nil {
		return err
	}
	if u.Path != "" {
		return fault.At("URL", "it is that of the whole server, without a path")
	}
	b.host, b.addr = u.Host, u.Host
	if u.Port() == "" {
		b.addr = net.JoinHostPort(u.Hostname(), u.Scheme) // by the names of the ports
	}
	if u.Scheme == "https" {
		b.secure = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	}
	return b.own(token)
}

// own refuses a token before it is sent anywhere, if it is not of this server, or ends
// before the client could be deleted.
func (b *benchmark) own(token string) error {
	says, err := jose.Peek(token)
	if err != nil {
		return fault.New(fault.Invalid, "an access token of an administrator is needed: it may register the client that gets tokens; no API key may")
	}
	if says.Issuer != b.url {
		return fault.New(fault.Denied, "the token is of %s, not of %s: only a server of yours is measured", says.Issuer, b.url)
	}
	needs := time.Duration(len(b.paths))*(b.each+benchWarm) + time.Minute
	if left := time.Until(says.Expires); left < needs {
		return fault.New(fault.Invalid, "the token is good for %v, and %v may be needed: get another, or measure less", max(0, left.Round(time.Second)), needs.Round(time.Second))
	}
	return nil
}

// measure runs a benchmark, and prints what came of it.
func (p *program) measure(ctx context.Context, b *benchmark) (err error) {
	if err := b.prove(ctx); err != nil {
		return err
	}
	if err := b.register(ctx); err != nil {
		return errors.Join(err, b.remove(ctx))
	}
	defer func() { err = errors.Join(err, b.remove(ctx)) }()
	v := measured{Server: b.url, Connections: b.connections, Seconds: b.each.Seconds()}
	t := table{head: []string{"PATH", "REQUESTS/S", "P50", "P95", "P99", "ERRORS"}}
	var wrong []error
	for _, name := range b.paths {
		r, err := load.Run(ctx, load.Options{Addr: b.addr, TLS: b.secure, Clients: b.clients(name), Warm: benchWarm, For: b.each, Drain: 10 * time.Second, Reopen: true})
		if ctx.Err() != nil {
			return errors.New("interrupted")
		} else if err != nil {
			return err
		}
		if r.First != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, r.First))
		}
		v.Paths = append(v.Paths, pathMeasured{name, r.Requests, r.Rate(), milliseconds(r.P50), milliseconds(r.P95), milliseconds(r.P99), r.Errors})
		t.row(name, strconv.FormatFloat(r.Rate(), 'f', 0, 64), shortly(r.P50), shortly(r.P95), shortly(r.P99), strconv.Itoa(r.Errors))
	}
	return errors.Join(p.print(v, t), errors.Join(wrong...))
}

// measured is what came of a benchmark.
type measured struct {
	Server      string         `json:"server"`
	Connections int            `json:"connections"`
	Seconds     float64        `json:"seconds"` // for each path
	Paths       []pathMeasured `json:"paths"`
}

type pathMeasured struct {
	Path     string  `json:"path"`
	Requests int     `json:"requests"`
	Rate     float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	P99      float64 `json:"p99_ms"`
	Errors   int     `json:"errors"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func shortly(d time.Duration) string { return strconv.FormatFloat(milliseconds(d), 'f', 2, 64) + " ms" }

// prove holds that the server is the one that was named, and that whoever asks
// administers it: he holds all that the role of an administrator gives, and his token
// carries it.
func (b *benchmark) prove(ctx context.Context) error {
	var metadata struct{ Issuer string }
	stranger := remote{url: b.url, client: b.remote.client} // the token is shown to nobody else
	if err := stranger.ask(ctx, http.MethodGet, "/.well-known/oauth-authorization-server", nil, &metadata); err != nil {
		return err
	}
	if metadata.Issuer != b.url {
		return fault.New(fault.Denied, "the server says that it is %s, not %s: only a server of yours is measured", metadata.Issuer, b.url)
	}
	var me admin.Me
	if err := b.ask(ctx, http.MethodGet, "/users/me", nil, &me); err != nil {
		return err
	}
	for _, role := range rbac.Builtin() {
		for _, permission := range role.Permissions {
			if !slices.Contains(me.Permissions, permission) || !slices.Contains(me.Scope, permission) {
				return fault.New(fault.Denied, "the token lacks %s: only a server of yours is measured, so it must be an administrator's, with all that the role %s gives", permission, rbac.AdminRole)
			}
		}
	}
	return nil
}

// register makes the client. Its id is known before, so that it can be deleted if the
// answer is lost.
func (b *benchmark) register(ctx context.Context) error {
	b.client.id = "bench-" + id.New(time.Now())
	var made admin.ClientSecret
	if err := b.ask(ctx, http.MethodPost, "/clients", map[string]string{"client_id": b.client.id, "client_name": "doorward bench", "scope": "read"}, &made); err != nil {
		return err
	}
	if err := b.ask(ctx, http.MethodPost, "/clients/"+b.client.id+"/roles", map[string]string{"role": rbac.Builtin()[0].Name}, nil); err != nil {
		return err
	}
	b.client.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(b.client.id+":"+made.Secret))
	var got string
	c := b.getting()
	c.Answer = func(status int, body []byte) error {
		var tokens struct {
			Access string `json:"access_token"`
		}
		if status != http.StatusOK || json.Unmarshal(body, &tokens) != nil {
			return load.Unexpected(status, body)
		}
		got = tokens.Access
		return nil
	}
	err := load.Do(ctx, 1, load.Options{Addr: b.addr, TLS: b.secure, Clients: []load.Client{c}, Reopen: true})
	b.client.token = got
	return err
}

// remove deletes the client, whatever has happened meanwhile.
func (b *benchmark) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := b.ask(ctx, http.MethodDelete, "/clients/"+b.client.id, nil, nil)
	if err == nil || fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return fmt.Errorf("the client %s is left behind; delete it: %w", b.client.id, err)
}

func benchPaths() []string { return []string{"metadata", "jwks", "introspect", "credentials"} }

// clients make the load of a path.
func (b *benchmark) clients(path string) []load.Client {
	one := load.Client{}
	var request []byte
	switch path {
	case "metadata":
		request = load.Get(b.host, "/.well-known/oauth-authorization-server")
	case "jwks":
		request = load.Get(b.host, "/oauth2/jwks")
	case "introspect":
		request = load.Post(nil, b.host, "/oauth2/introspect", "token="+b.client.token, "Authorization", b.client.basic)
	default:
		one = b.getting()
	}
	if request != nil {
		one.Request = func() []byte { return request }
	}
	return slices.Repeat([]load.Client{one}, b.connections)
}

// getting gets tokens by client credentials.
func (b *benchmark) getting() load.Client {
	request := load.Post(nil, b.host, "/oauth2/token", "grant_type=client_credentials", "Authorization", b.client.basic)
	return load.Client{Request: func() []byte { return request }}
}
