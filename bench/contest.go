package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/load"
)

// discipline is work that every provider does.
type discipline struct {
	name    string
	title   string
	fresh   bool // with tokens of a flow right before each run
	tokens  bool // whether it is answered with the tokens of a browser
	clients func(p *provider, connections int) []load.Client
}

// disciplines is what peers are measured by. What an answer must hold is what a client
// would look at.
var disciplines = []discipline{
	{name: "discovery", title: "the metadata", clients: func(p *provider, n int) []load.Client {
		return answering(times(n, get(p.addr, discovery, "")), `"issuer":"`+p.url("")+`"`)
	}},
	{name: "keys", title: "the key set", clients: func(p *provider, n int) []load.Client {
		return answering(times(n, get(p.addr, p.paths.jwks, "")), `"kty":"EC"`)
	}},
	{name: "credentials", title: "client_credentials, a JWT", clients: func(p *provider, n int) []load.Client {
		return answering(times(n, load.Post(nil, p.addr, p.paths.token, "grant_type=client_credentials", "Authorization", p.service.basic)), `"access_token":"ey`)
	}},
	{name: "introspection", title: "introspection of the same tokens", fresh: true, clients: func(p *provider, _ int) []load.Client {
		return p.each(active, func(v *visit) []byte {
			return load.Post(nil, p.addr, p.paths.introspect, "token="+v.access, "Authorization", p.asker.basic)
		})
	}},
	{name: "userinfo", title: "userinfo with the same tokens", fresh: true, clients: func(p *provider, _ int) []load.Client {
		return p.each(`"sub":"`, func(v *visit) []byte { return get(p.addr, p.paths.userinfo, v.access) })
	}},
	{name: "refresh", title: "refresh_token, rotated, a chain for each connection", fresh: true, tokens: true, clients: func(p *provider, _ int) []load.Client {
		return p.browsers(p.refreshing)
	}},
	{name: "code", title: "authorization request to tokens, with PKCE, somebody is signed in", tokens: true, clients: func(p *provider, _ int) []load.Client {
		return p.browsers(p.flow)
	}},
}

// each returns a client of one request for every browser.
func (p *provider) each(holds string, request func(*visit) []byte) []load.Client {
	return answering(p.browsers(func(v *visit) load.Client {
		bytes := request(v)
		return load.Client{Request: func() []byte { return bytes }}
	}), holds)
}

func (p *provider) browsers(client func(*visit) load.Client) []load.Client {
	list := make([]load.Client, len(p.visits))
	for i, v := range p.visits {
		list[i] = client(v)
	}
	return list
}

// work is a discipline as this provider does it.
func (p *provider) work(b *bench, d discipline) work {
	w := work{addr: p.addr, pid: p.pid, pgPID: p.pgPID, warm: b.warm, clients: func() []load.Client { return d.clients(p, b.connections) }}
	if d.fresh {
		w.ready = func(ctx context.Context) error {
			return load.Do(ctx, p.hops+1, load.Options{Addr: p.addr, Clients: p.browsers(p.flow)})
		}
	}
	if d.tokens {
		w.note = func() string { return strconv.Itoa(p.visits[0].jwts) }
	}
	return w
}

// planPeers makes the rows of a run beside peers: in each discipline everybody, one
// right after the other.
func (b *bench) planPeers(ctx context.Context) error {
	all, err := b.providers(ctx)
	if err != nil {
		return err
	}
	for _, d := range disciplines {
		if len(b.paths) > 0 && !slices.Contains(b.paths, d.name) {
			continue
		}
		for _, p := range all {
			b.rows = append(b.rows, &row{subject: &subject{name: d.name, title: d.title}, provider: p, work: p.work(b, d)})
		}
	}
	return nil
}

// contested refuses what no discipline is called.
func contested(paths []string) error {
	var names []string
	for _, d := range disciplines {
		names = append(names, d.name)
	}
	for _, path := range paths {
		if !slices.Contains(names, path) {
			return fmt.Errorf("-path %q with -peers is none of %s", path, strings.Join(names, ", "))
		}
	}
	return nil
}

// providers are all who are measured, ready to be asked.
func (b *bench) providers(ctx context.Context) (all []*provider, err error) {
	for _, s := range b.sites {
		p, err := s.provider(ctx, b.connections)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
		all = append(all, p)
	}
	for _, r := range b.rivals {
		p := &provider{name: r.peer.name, addr: r.addr, pid: r.cmd.Process.Pid, service: r.service, app: r.app, asker: r.app, scope: r.scope}
		if err := errors.Join(p.learn(ctx), p.signIn(ctx, b.connections, nil)); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// provider is a Doorward as its clients see it.
func (s *site) provider(ctx context.Context, connections int) (*provider, error) {
	service, errService := s.service(ctx)
	asker, errAsker := s.api(ctx)
	people, app, err := s.visitors(ctx, connections)
	if err := errors.Join(errService, errAsker, err); err != nil {
		return nil, err
	}
	p := &provider{
		name: s.called(), addr: s.addr, pid: s.cmd.Process.Pid, pgPID: s.pgPID, service: service, app: app, asker: asker, scope: "openid read",
	}
	if err := p.learn(ctx); err != nil {
		return nil, err
	}
	return p, p.signIn(ctx, connections, func(n int) string { return people[n].cookie })
}

// called is what a Doorward is called among others.
func (s *site) called() string {
	return "Doorward, " + map[string]string{sqlite: "SQLite", postgres: "PostgreSQL"}[s.db]
}

// peerTables are the report of a run beside peers, in Markdown.
func (b *bench) peerTables() string {
	paths := table{{"", "work", "server", "requests", "JWTs in the answer", "req/s", "p50 ms", "p99 ms", "errors", "CPU-ms", "PostgreSQL CPU-ms", "peak MiB"}}
	for _, r := range b.rows {
		m, requests := median(r.rounds), 1
		if r.subject.name == "code" {
			requests = r.provider.hops + 1
		}
		paths = append(paths, []string{
			"`" + r.subject.name + "`", r.subject.title, r.provider.name, strconv.Itoa(requests), m.Note, rate(m.Rate), ms(m.P50, 2), ms(m.P99, 2), strconv.Itoa(m.Errors),
			ms(m.CPU, 3), ms(m.PG, 3), mib(m.Peak),
		})
	}
	servers := table{{"server", "version", "keeps things", "logs requests", "access tokens", "signs with", "start to ready, ms", "memory when idle, MiB"}}
	add := func(p *process, name, version, keeps, logs, access string) {
		took := middle(p.starts, func(d time.Duration) time.Duration { return d })
		servers = append(servers, []string{name, version, keeps, logs, access, "ES256", ms(took, 0), mib(p.idle.Now)})
	}
	for _, s := range b.sites {
		add(&s.process, s.called(), "this commit", "durably, with the audit log", "yes", "JWT")
	}
	for _, r := range b.rivals {
		add(&r.process, r.peer.name, r.version, r.keeps, "no", r.access)
	}
	return "### Servers\n\n" + servers.String() + "\n### The same work\n\n" + paths.String()
}
