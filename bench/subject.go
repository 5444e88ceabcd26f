package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/bench/floor"
	"github.com/doorward/doorward/internal/load"
)

// subject is one thing that is measured: a floor, or a path of Doorward and
// what it is held against.
type subject struct {
	name    string
	title   string
	isFloor bool
	floor   string // the name of the floor that a path is held against
	target  target
	each    bool // on each database; else on the first, since the database does not matter
	grows   bool // with -growth, with many accounts too
	prepare func(context.Context, *bench, *site) (work, error)
}

// target is what a path must keep to. Zero fields ask for nothing.
type target struct {
	rate  float64       // at least this part of the floor's requests a second
	times float64       // at most so many times the floor's processor time
	cpu   time.Duration // at most this much processor time of the server for a request
	p99   time.Duration // at most
}

// subjects is what is measured, in this order: a floor, and right after it what
// is held against it.
var subjects = []subject{
	{name: "constant", isFloor: true, title: "bare net/http: GET, constant JSON", prepare: onFloor(floor.Constant, getting)},
	{name: "jwks", title: "GET /oauth2/jwks", floor: "constant", target: target{rate: 0.8}, prepare: onServer(fetching("/oauth2/jwks"))},
	{
		name: "metadata", title: "GET /.well-known/oauth-authorization-server", floor: "constant", target: target{rate: 0.8},
		prepare: onServer(fetching("/.well-known/oauth-authorization-server")),
	},
	{name: "guarded", title: "constant handler behind guard, repeated tokens", floor: "constant", target: target{rate: 0.7}, prepare: behindGuard(10_000, 1)},
	{name: "guarded-key", title: "constant handler behind guard, repeated API keys", floor: "constant", target: target{rate: 0.7}, prepare: behindKeys},
	{name: "me", title: "GET /users/me, repeated tokens", floor: "constant", each: true, prepare: onServer(me(1))},
	{name: "userinfo", title: "GET /oauth2/userinfo, repeated tokens", floor: "constant", each: true, prepare: userinfo},
	{name: "me-spread", title: "GET /users/me, tokens of all that are active in turn", floor: "constant", grows: true, prepare: onServer(me(all))},

	{name: "verify", isFloor: true, title: "bare net/http: GET, one ES256 signature verified", prepare: onFloor(floor.Verify, verifying)},
	{name: "guarded-first", title: "constant handler behind guard, first-seen tokens", floor: "verify", target: target{times: 1.3}, prepare: behindGuard(1, all)},

	{
		name: "introspect-first", title: "POST /oauth2/introspect, first-seen tokens", floor: "verify", target: target{rate: 0.8}, each: true,
		prepare: introspectingFirst,
	},

	{name: "form", isFloor: true, title: "bare net/http: POST, form read, constant JSON", prepare: onFloor(floor.Form, posting)},
	{
		name: "introspect", title: "POST /oauth2/introspect, repeated tokens", floor: "form", target: target{rate: 0.6}, each: true,
		prepare: introspecting,
	},
	{
		name: "introspect-key", title: "POST /oauth2/introspect, repeated API keys", floor: "form", target: target{rate: 0.6}, each: true,
		prepare: introspectingKeys,
	},

	{name: "sign", isFloor: true, title: "bare net/http: POST, form read, one ES256 signature made", prepare: onFloor(floor.Sign, posting)},
	{name: "note", isFloor: true, title: "the same, and an event kept durably: one row for all that wait", each: true, prepare: onFloor(floor.Note, posting)},
	{
		name: "credentials", title: "POST /oauth2/token, client_credentials", floor: "sign", target: target{rate: 0.6, cpu: 100 * time.Microsecond}, each: true,
		prepare: ownTokens,
	},
	{name: "exchange", title: "POST /oauth2/token, token-exchange by an actor", floor: "sign", each: true, prepare: exchanging},
	{
		name: "code", title: "authorize and token request: ID, access and refresh token; a person for each connection", target: target{cpu: 800 * time.Microsecond}, each: true,
		prepare: flows,
	},
	{
		name: "code-spread", title: "the same by all that are active in turn", target: target{cpu: 800 * time.Microsecond}, grows: true,
		prepare: spreadFlows,
	},

	{name: "insert", isFloor: true, title: "one insert in a durable transaction of its own, without HTTP", each: true, prepare: loop(floor.Insert)},
	{name: "turn", isFloor: true, title: "one durable rotation and its event, without HTTP", each: true, prepare: loop(floor.Turn)},
	{name: "rotate", isFloor: true, title: "bare net/http: POST, the durable rotation, one ES256 signature made", each: true, prepare: onFloor(floor.Rotate, rotating)},
	{
		name: "refresh", title: "POST /auth/refresh, a chain for each connection", floor: "rotate", target: target{rate: 0.7, cpu: 200 * time.Microsecond},
		each: true, prepare: onServer(refreshing(1)),
	},
	{name: "refresh-spread", title: "POST /auth/refresh, chains of all that are active in turn", floor: "rotate", grows: true, prepare: onServer(refreshing(all))},

	{name: "bcrypt", isFloor: true, title: "bcrypt with cost 12, a loop for each core", prepare: loop(floor.Bcrypt)},
	{name: "login", title: "POST /auth/login, bcrypt with cost 12", floor: "bcrypt", target: target{rate: 0.9}, each: true, grows: true, prepare: saturated(onServer(signingIn))},
	{name: "healthz-beside", title: "GET /healthz, while logins saturate", target: target{p99: 5 * time.Millisecond}, prepare: besideLogins(fetching("/healthz"))},
	{name: "me-beside", title: "GET /users/me, while logins saturate", target: target{p99: 5 * time.Millisecond}, prepare: besideLogins(me(1))},
	{name: "crowd", title: "500 logins at once; who is refused comes again", each: true, prepare: crowd},
}

// all stands for no bound.
const all = 0

// work is a load and the process that bears it.
type work struct {
	addr    string
	pid     int
	pgPID   int
	clients func() []load.Client        // made anew for each run: by then there are new tokens
	ready   func(context.Context) error // before each run; may be nil
	warm    time.Duration
	every   time.Duration        // between two requests of a connection
	beside  func() []load.Client // saturate the server meanwhile
	note    func() string
	wal     func() (int64, error)                  // how much PostgreSQL has written to its log; may be nil
	loop    func(context.Context) (float64, error) // instead of all that
}

// clients make the load of a path.
type clients func(*bench, *site) []load.Client

// onServer is a load on Doorward.
func onServer(c clients) func(context.Context, *bench, *site) (work, error) {
	return func(_ context.Context, b *bench, s *site) (work, error) {
		w := work{addr: s.addr, pid: s.cmd.Process.Pid, pgPID: s.pgPID, clients: func() []load.Client { return c(b, s) }, warm: b.warm}
		if b.scale && s.db == postgres {
			w.wal = func() (n int64, err error) {
				err = b.pgDB.QueryRow(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint`).Scan(&n)
				return n, err
			}
		}
		return w, nil
	}
}

// onFloor is a load on a floor that is a process of its own.
func onFloor(name string, c func(b *bench, addr string) ([]load.Client, error)) func(context.Context, *bench, *site) (work, error) {
	return func(ctx context.Context, b *bench, s *site) (work, error) {
		o, w := childOptions{name: name}, work{warm: b.warm}
		if name == floor.Rotate || name == floor.Note {
			var err error
			if o.dsn, err = b.newDatabase(ctx, s.db, name); err != nil {
				return w, err
			}
			o.families, w.pgPID = b.connections, s.pgPID
		}
		p, err := b.startChild(ctx, o)
		if err != nil {
			return w, err
		}
		list, err := c(b, p.addr)
		w.addr, w.pid, w.clients = p.addr, p.pid(), func() []load.Client { return list }
		return w, err
	}
}

// loop is a floor without HTTP, in this process.
func loop(name string) func(context.Context, *bench, *site) (work, error) {
	return func(ctx context.Context, b *bench, s *site) (w work, err error) {
		workers, dsn := b.connections, ""
		if name == floor.Bcrypt {
			workers = runtime.NumCPU()
		} else {
			w.pgPID = s.pgPID
			if dsn, err = b.newDatabase(ctx, s.db, name); err != nil {
				return w, err
			}
		}
		w.loop = func(ctx context.Context) (float64, error) { return floor.Loop(ctx, name, dsn, workers, b.counted) }
		return w, nil
	}
}

// behindGuard is a load on an API that guard protects, which remembers so many
// tokens and is brought at most so many on each connection. Brought a thousand
// in turn, an API that remembers eight has seen none before.
func behindGuard(cache, most int) func(context.Context, *bench, *site) (work, error) {
	return func(ctx context.Context, b *bench, s *site) (work, error) {
		p, err := b.startChild(ctx, childOptions{name: guarded, issuer: s.url(), cache: cache})
		if err != nil {
			return work{}, err
		}
		return work{addr: p.addr, pid: p.pid(), warm: b.warm, clients: func() []load.Client {
			return s.wallet.each(b.connections, most, reading(p.addr, "/"))
		}}, nil
	}
}

func fetching(path string) clients {
	return func(b *bench, s *site) []load.Client { return times(b.connections, get(s.addr, path, "")) }
}

func me(most int) clients {
	return func(b *bench, s *site) []load.Client {
		return s.wallet.each(b.connections, most, reading(s.addr, "/users/me"))
	}
}

func refreshing(most int) clients {
	return func(b *bench, s *site) []load.Client { return s.wallet.each(b.connections, most, s.wallet.refreshing) }
}

func signingIn(b *bench, s *site) []load.Client {
	return s.wallet.each(b.connections, all, s.wallet.signingIn)
}

// saturated waits until the queue for the hash workers is as full as it gets.
func saturated(prepare func(context.Context, *bench, *site) (work, error)) func(context.Context, *bench, *site) (work, error) {
	return func(ctx context.Context, b *bench, s *site) (work, error) {
		w, err := prepare(ctx, b, s)
		w.warm = 3 * time.Second
		return w, err
	}
}

// besideLogins is a load of 250 requests a second while logins saturate the
// server.
func besideLogins(c clients) func(context.Context, *bench, *site) (work, error) {
	prepare := saturated(onServer(c))
	return func(ctx context.Context, b *bench, s *site) (work, error) {
		w, err := prepare(ctx, b, s)
		w.every = time.Duration(b.connections) * 4 * time.Millisecond
		w.beside = func() []load.Client { return signingIn(b, s) }
		return w, err
	}
}

// crowd is more logins at once than the server lets wait.
func crowd(ctx context.Context, b *bench, s *site) (work, error) {
	var in, refused atomic.Int64
	const people = 500
	w, err := onServer(func(b *bench, s *site) []load.Client {
		in.Store(0)
		refused.Store(0)
		list := make([]load.Client, people)
		for i := range list {
			f := s.wallet.families[i%len(s.wallet.families)]
			list[i] = s.wallet.crowding([]*family{f}, &in, &refused)
		}
		return list
	})(ctx, b, s)
	w.note = func() string { return fmt.Sprintf("%d signed in, %d refusals", in.Load(), refused.Load()) }
	return w, err
}

func getting(b *bench, addr string) ([]load.Client, error) {
	return times(b.connections, get(addr, "/", "")), nil
}

func posting(b *bench, addr string) ([]load.Client, error) {
	return times(b.connections, load.Post(nil, addr, "/", "refresh_token="+strings.Repeat("x", 70))), nil
}

// verifying brings a token that the floor has signed.
func verifying(b *bench, addr string) ([]load.Client, error) {
	answer, err := http.Get("http://" + addr + "/token")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	token, err := io.ReadAll(answer.Body)
	return times(b.connections, get(addr, "/", string(token))), err
}

func rotating(b *bench, addr string) ([]load.Client, error) {
	list := make([]load.Client, b.connections)
	for i := range list {
		list[i] = chain(addr, "/", []*family{{refresh: floor.First(i)}})
	}
	return list, nil
}
