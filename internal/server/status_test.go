package server_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	bits "github.com/doorward/doorward/internal/status"
	"github.com/doorward/doorward/internal/store/storetest"
)

// place is where a token says that its status is.
type place struct {
	Index int64
	URI   string
}

func placeOf(t *testing.T, token string) place {
	t.Helper()
	list, _ := payload(t, token)["status"].(map[string]any)["status_list"].(map[string]any)
	index, ok := list["idx"].(float64)
	uri, _ := list["uri"].(string)
	if !ok || uri == "" {
		t.Fatalf("the token says of its status %v", list)
	}
	return place{int64(index), uri}
}

// revokedAt reads the list that a token names at a site and reports whether the token's
// bit is set.
func revokedAt(t *testing.T, s *servertest.Site, token string) bool {
	t.Helper()
	at := placeOf(t, token)
	_, id, _ := strings.Cut(at.URI, "/oauth2/")
	a := s.Send(t, "GET", "/oauth2/"+id, "", "")
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/statuslist+jwt" || a.Header.Get("Cache-Control") != "public, max-age=30" {
		t.Fatalf("the list: %d %s %s", a.Status, a.Header, a.Body)
	}
	if again := s.Send(t, "GET", "/oauth2/"+id, "", "", "If-None-Match", a.Header.Get("ETag")); again.Status != http.StatusNotModified && again.Header.Get("ETag") == a.Header.Get("ETag") {
		t.Errorf("the same list again: %d", again.Status)
	}
	parts := strings.Split(a.Body, ".")
	var header struct{ Typ, Alg string }
	var c struct {
		Iss, Sub      string
		Iat, Exp, TTL int64
		List          struct {
			Bits int
			Lst  string
		} `json:"status_list"`
	}
	for i, into := range []any{&header, &c} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			t.Fatalf("the list is %s", a.Body)
		}
	}
	if header.Typ != "statuslist+jwt" || c.Sub != at.URI || c.TTL != 30 || c.Exp <= c.Iat+c.TTL || c.List.Bits != 1 {
		t.Errorf("the list says %+v %+v", header, c)
	}
	packed, err := base64.RawURLEncoding.DecodeString(c.List.Lst)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	list, err := io.ReadAll(z)
	if err != nil || len(list) != 1<<17 {
		t.Fatalf("%d bytes: %v", len(list), err)
	}
	return list[at.Index/8]>>(at.Index%8)&1 == 1
}

// Whatever revokes an access token sets its bit, on every server, and no other's; and an
// API that follows refuses it.
func TestStatusLists(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		master := secret.NewMaster()
		s := servertest.Start(t, servertest.Options{DSN: dsn, Master: master})
		other := servertest.Start(t, servertest.Options{DSN: dsn, Master: master, Environ: []string{"DOORWARD_ISSUER=" + s.URL}})
		x := newTrade(t, s)
		g, err := guard.New(s.URL, guard.Audience(s.URL, gatewayAPI, ordersAPI, "urn:stock"))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		bob, stays := s.User(t, "bob", "clerk"), map[string]string{}
		for name, more := range map[string][]string{"bob at home": nil, "bob at the gateway": {"resource", gatewayAPI}, "at the stock": {"resource", "urn:stock"}} {
			stays[name] = s.Login(t, "bob", more...).Access
		}
		stays["root"] = x.root
		for name, token := range stays {
			if _, err := g.Verify(t.Context(), token); err != nil || revokedAt(t, s, token) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		ends := func(what string, token string, how func()) {
			t.Helper()
			if _, err := g.Verify(t.Context(), token); err != nil || revokedAt(t, s, token) {
				t.Fatalf("%s, before: %v", what, err)
			}
			how()
			begun := time.Now()
			within(t, 20*time.Second, what+": an API refuses it", func() bool { _, err := g.Verify(t.Context(), token); return err != nil })
			within(t, 20*time.Second, what+": its bit is set", func() bool { return revokedAt(t, s, token) })
			within(t, 20*time.Second, what+": and at another server", func() bool { return revokedAt(t, other, token) })
			t.Logf("%s: %v", what, time.Since(begun).Round(time.Millisecond))
		}
		call := func(method, path string, body any, want int) func() {
			return func() {
				t.Helper()
				if a := s.Call(t, x.root, method, path, body); a.Status != want {
					t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
				}
			}
		}

		first := s.Login(t, "ann")
		turned := pair(t, s.Refresh(t, first.Refresh))
		if placeOf(t, first.Access) == placeOf(t, turned.Access) {
			t.Error("two tokens have one bit")
		}
		ends("signing out", turned.Access, func() { s.Form(t, "/auth/logout", "refresh_token", turned.Refresh) })
		if !revokedAt(t, s, first.Access) {
			t.Error("the token of the turn before stays good")
		}
		in := s.Login(t, "ann", "resource", gatewayAPI)
		ends("what was exchanged", traded(t, x.acting(t, x.gateway, in.Access)), func() { s.Form(t, "/auth/logout", "refresh_token", in.Refresh) })
		own := []string{x.gateway.token(t, s).Access, x.gateway.token(t, s).Access, x.gateway.token(t, s).Access, x.gateway.token(t, s).Access}
		ends("one of a client's own", own[1], func() { x.gateway.post(t, s, "/oauth2/revoke", "token", own[1]) })
		if revokedAt(t, s, own[0]) || revokedAt(t, s, own[2]) || revokedAt(t, s, own[3]) {
			t.Error("another of its tokens has ended")
		}
		x.allow(t, "gateway", "api-keys", ordersAPI, true)
		key, _ := keyMade(t, s, s.Login(t, "ann").Access, map[string]any{"scopes": []string{"orders:read"}})
		ends("what an API key was exchanged for", traded(t, x.asks(t, x.gateway, key.text)), call("DELETE", "/api-keys/"+key.id, nil, 204))
		found(t, s, x.root, "acme", map[string]string{"user " + x.ann.ID: "clerk"})
		ends("an organization", s.Login(t, "ann", "organization", "acme").Access, call("DELETE", "/organizations/acme", nil, 204))
		ends("what an API knows", s.Login(t, "ann", "resource", gatewayAPI).Access, call("PATCH", "/resources/gateway", map[string]any{"permissions": []map[string]any{{"name": "orders:read"}}}, 200))
		if !revokedAt(t, s, stays["bob at the gateway"]) || revokedAt(t, s, stays["bob at home"]) {
			t.Error("it reaches others than those for that API")
		}
		delete(stays, "bob at the gateway")
		bobs := s.Login(t, "bob").Access
		ends("a grant", bobs, call("DELETE", "/users/"+bob.ID+"/roles/clerk", nil, 204))
		if revokedAt(t, s, own[0]) {
			t.Error("it reaches others who hold the role")
		}
		delete(stays, "bob at home")
		delete(stays, "at the stock")
		service := x.orders.token(t, s).Access
		ends("a role", s.Login(t, "ann").Access, call("PUT", "/roles/clerk", map[string]any{"permissions": []string{"orders:read"}}, 200))
		if !revokedAt(t, s, service) {
			t.Error("a client's token carries what its role lost")
		}
		ends("a client", x.gateway.token(t, s).Access, call("PATCH", "/clients/gateway", map[string]any{"status": "disabled"}, 200))
		ends("an account", s.Login(t, "ann").Access, call("PATCH", "/users/"+x.ann.ID, map[string]any{"status": "disabled"}, 200))
		for name, token := range stays {
			if _, err := g.Verify(t.Context(), token); err != nil || revokedAt(t, s, token) {
				t.Errorf("%s: %v, %t", name, err, revokedAt(t, s, token))
			}
		}
	})
}

// Two servers that take bits at once never take one twice, also across a new list.
func TestStatusListsNeverShareABit(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		const workers, each, size = 8, 6, 65_536
		blocks, errs := make(chan bits.Block, workers*each), make(chan error, workers)
		for range workers {
			go func() {
				for range each {
					b, err := s.Core.Store.ReserveSlots(t.Context(), size, s.Core.Clock.Now().Add(15*time.Minute))
					if err != nil {
						errs <- err
						return
					}
					blocks <- b
				}
				errs <- nil
			}()
		}
		for range workers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		close(blocks)
		given := map[string]map[int64]bool{} // by list, the first of each block
		for b := range blocks {
			if given[b.List] == nil {
				given[b.List] = map[int64]bool{}
			}
			if given[b.List][b.First] || b.First%size != 0 || b.N != size || b.First+b.N > bits.Size {
				t.Errorf("a block of %d bits from %d on is given twice, or beside another", b.N, b.First)
			}
			given[b.List][b.First] = true
		}
		if len(given) < 3 {
			t.Errorf("all came of %d lists", len(given))
		}
	})
}

// The stream tells what happened while nobody followed, and says so once it told all.
func TestStatusEvents(t *testing.T) {
	servertest.Both(t, func(t *testing.T, s *servertest.Site) {
		t.Parallel()
		old := s.Login(t, servertest.Admin)
		s.Form(t, "/auth/logout", "refresh_token", old.Refresh)
		fam := grant.Digest(grant.OfFamily, payload(t, old.Access)["fam"].(string))
		if err := s.Core.Feed.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		next, stop := followed(t, s, "")
		e := next()
		if e.name != "void" || !strings.Contains(e.data, fam) {
			t.Fatalf("first it says %+v, not %s", e, fam)
		}
		if c := next(); c.name != "current" || c.id != e.id {
			t.Fatalf("then it says %+v", c)
		}
		again := s.Login(t, servertest.Admin)
		s.Form(t, "/auth/logout", "refresh_token", again.Refresh)
		live := next()
		if live.name != "void" || !strings.Contains(live.data, grant.Digest(grant.OfFamily, payload(t, again.Access)["fam"].(string))) || strings.Contains(live.data, fam) {
			t.Fatalf("of what happens it says %+v", live)
		}
		stop()
		next, stop = followed(t, s, e.id)
		if missed := next(); missed.data != live.data || missed.id != live.id {
			t.Errorf("of what was missed it says %+v, not %+v", missed, live)
		}
		stop()
		for _, id := range []string{"99999999", "x", "-1"} { // of another database, or of nobody
			next, stop = followed(t, s, id)
			if all := next(); !strings.Contains(all.data, fam) {
				t.Errorf("after %s it says %+v", id, all)
			}
			stop()
		}
		next, _ = followed(t, s, live.id)
		if c := next(); c.name != "current" {
			t.Errorf("who has missed nothing is told %+v", c)
		}
		s.Stop() // it does not wait for who follows
	})
}

type told struct{ id, name, data string }

// followed follows the stream after an event.
func followed(t *testing.T, s *servertest.Site, after string) (next func() told, stop func()) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/oauth2/status-lists/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the stream: %d %s", res.StatusCode, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	return func() told {
		t.Helper()
		var e told
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "id":
				e.id = value
			case name == "event":
				e.name = value
			case name == "data":
				e.data = value
			case lines.Text() == "" && e.name != "":
				return e
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return e
	}, func() { res.Body.Close() }
}
