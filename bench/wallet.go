package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/bench/seed"
	"github.com/doorward/doorward/internal/load"
)

// wallet holds the tokens of everybody who is signed in at a site. Its clients
// are used by one run at a time.
type wallet struct {
	addr     string
	families []*family
}

type family struct{ username, refresh, access, cookie string }

func newWallet(addr string, active []seed.Active) *wallet {
	w := &wallet{addr: addr}
	for _, a := range active {
		w.families = append(w.families, &family{username: a.Username, refresh: a.Refresh, cookie: "doorward_session=" + a.Cookie})
	}
	return w
}

// share returns the families of connection n of so many.
func (w *wallet) share(n, of int) []*family {
	var list []*family
	for i := n; i < len(w.families); i += of {
		list = append(list, w.families[i])
	}
	return list
}

// each returns a client for every connection, made of its share of families;
// with most > 0, of no more than most of them.
func (w *wallet) each(connections, most int, client func([]*family) load.Client) []load.Client {
	list := make([]load.Client, connections)
	for i := range list {
		share := w.share(i, connections)
		if most > 0 {
			share = share[:min(most, len(share))]
		}
		list[i] = client(share)
	}
	return list
}

// refreshing spends refresh tokens, a turn of each family after the other.
func (w *wallet) refreshing(families []*family) load.Client {
	return chain(w.addr, "/auth/refresh", families)
}

// chain spends the refresh tokens of families at a path of a server.
func chain(addr, path string, families []*family) load.Client {
	next, buffer := 0, []byte(nil)
	return load.Client{
		Request: func() []byte {
			buffer = load.Post(buffer[:0], addr, path, "refresh_token="+families[next].refresh)
			return buffer
		},
		Answer: func(status int, body []byte) error {
			f := families[next]
			next = (next + 1) % len(families)
			if !f.turn(status, body) {
				return load.Unexpected(status, body)
			}
			return nil
		},
	}
}

// turn takes the tokens of an answer, and says whether they are new.
func (f *family) turn(status int, body []byte) bool {
	access, ok := field(body, `"access_token":"`)
	refresh, also := field(body, `"refresh_token":"`)
	if status != http.StatusOK || !ok || !also || refresh == f.refresh {
		return false
	}
	f.access, f.refresh = access, refresh
	return true
}

// field returns the string that follows a name in JSON; tokens hold nothing
// that JSON would escape.
func field(body []byte, name string) (string, bool) {
	_, rest, found := bytes.Cut(body, []byte(name))
	value, _, closed := bytes.Cut(rest, []byte(`"`))
	return string(value), found && closed && len(value) > 0
}

// signingIn signs people in, one after the other.
func (w *wallet) signingIn(families []*family) load.Client {
	return load.Client{Request: requests(families, func(f *family) []byte {
		return load.Post(nil, w.addr, "/auth/login", "username="+f.username+"&password=correct+horse+battery")
	})}
}

// crowding signs people in who, told that there are too many, come again
// after a moment. It counts both.
func (w *wallet) crowding(families []*family, in, refused *atomic.Int64) load.Client {
	c := w.signingIn(families)
	c.Answer = func(status int, body []byte) error {
		switch status {
		case http.StatusOK:
			in.Add(1)
		case http.StatusTooManyRequests:
			refused.Add(1)
			time.Sleep(100 * time.Millisecond)
		default:
			return load.Unexpected(status, body)
		}
		return nil
	}
	return c
}

// reading gets a path of a server with access tokens, one after the other.
func reading(addr, path string) func([]*family) load.Client {
	return func(families []*family) load.Client {
		return load.Client{Request: requests(families, func(f *family) []byte { return get(addr, path, f.access) })}
	}
}

// requests returns requests that were made before, in turn.
func requests(families []*family, request func(*family) []byte) func() []byte {
	list, next := make([][]byte, len(families)), -1
	for i, f := range families {
		list[i] = request(f)
	}
	return func() []byte {
		next = (next + 1) % len(list)
		return list[next]
	}
}

// times returns a client of one request for each of so many connections.
func times(connections int, request []byte) []load.Client {
	list := make([]load.Client, connections)
	for i := range list {
		list[i] = load.Client{Request: func() []byte { return request }}
	}
	return list
}

// get is a GET with an access token, if there is one.
func get(addr, path, token string) []byte {
	if token == "" {
		return load.Get(addr, path)
	}
	return load.Get(addr, path, "Authorization", "Bearer "+token)
}

// renew gives everybody a new access token.
func (w *wallet) renew(ctx context.Context, connections int) error {
	var clients []load.Client
	for _, f := range w.families {
		clients = append(clients, w.refreshing([]*family{f}))
	}
	for some := range slices.Chunk(clients, connections) {
		if err := load.Do(ctx, 1, load.Options{Addr: w.addr, Clients: some}); err != nil {
			return fmt.Errorf("getting access tokens: %w", err)
		}
	}
	return nil
}
