package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Whose a key is follows from the credential; for another it takes a permission.
func TestAttackKEY001ForSomebodyElse(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	ann, bob := s.User(t, "ann", "viewer"), s.User(t, "bob", "viewer")
	token := s.Login(t, "ann").Access
	type m = map[string]any
	good := m{"name": "x", "scopes": []string{"read"}, "expires_in": 60}
	with := func(name string, value any) m {
		b := m{name: value}
		for k, v := range good {
			b[k] = v
		}
		return b
	}
	for _, name := range []string{"userId", "UserId", "user_id", "Owner", "OWNER", "org", "organization", "created_by"} {
		if a := s.Call(t, "", "POST", "/api-keys", with(name, bob.ID)); a.Status != http.StatusUnauthorized {
			t.Errorf("nobody with %s: %d", name, a.Status)
		}
		if a := s.Call(t, token, "POST", "/api-keys", with(name, bob.ID)); a.Status != http.StatusBadRequest {
			t.Errorf("ann with %s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, owner := range []string{"user:" + bob.ID, bob.ID, "client:doorward", "user:06h0mrdu337tnmefrq24vvnum8"} {
		refusedAs(t, "ann for "+owner, s.Call(t, token, "POST", "/api-keys", with("owner", owner)), http.StatusForbidden, "")
	}
	for _, owner := range []string{"user:bob", "cli:root", "system:", "key:x", ":"} {
		refusedAs(t, "ann for "+owner, s.Call(t, token, "POST", "/api-keys", with("owner", owner)), http.StatusBadRequest, "body.owner")
	}
	for _, owner := range []string{"", ann.ID, "user:" + ann.ID} {
		b := with("owner", owner)
		if _, v := keyMade(t, s, token, b); v["owner"] != "user:"+ann.ID || v["created_by"] != "user:"+ann.ID {
			t.Errorf("for %q it is %v", owner, v)
		}
	}
	if list, err := s.Core.APIKeys.List(t.Context(), principal.Owner{Kind: principal.User, ID: bob.ID}, "", 10); len(list) > 0 || err != nil {
		t.Errorf("bob has %v, %v", list, err)
	}
}

// Another's key is as absent as none.
func TestAttackKEY002Foreign(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	k := keyOf(t, s, servertest.Operator, s.User(t, "bob", "viewer").ID, "read")
	token := s.Login(t, "ann").Access
	for _, tt := range []struct {
		method, more string
		body         any
	}{
		{"GET", "", nil}, {"PATCH", "", map[string]any{"name": "x"}}, {"DELETE", "", nil}, {"POST", "/rotate", map[string]any{}},
	} {
		foreign := s.Call(t, token, tt.method, "/api-keys/"+k.id+tt.more, tt.body)
		absent := s.Call(t, token, tt.method, "/api-keys/"+strings.Repeat("0", 16)+tt.more, tt.body)
		if foreign.Status != http.StatusNotFound || anonymized(t, foreign) != anonymized(t, absent) {
			t.Errorf("%s %s: another's %d %s, none %d %s", tt.method, tt.more, foreign.Status, foreign.Body, absent.Status, absent.Body)
		}
	}
	if !k.good(t, s) {
		t.Error("bob's key is not good any more")
	}
}

// A key has no more than its owner, when it is made and whenever it is used; and nobody
// makes one that has what he has not.
func TestAttackKEY003AboveTheOwner(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	makeRole(t, s, "keysmith", "keys:read", "keys:write", "orders:read")
	makeRole(t, s, "reader", "users:read", "orders:read")
	ann, boss := s.User(t, "ann", "reader"), s.User(t, "boss", "reader", "keysmith")
	s.User(t, "smith", "keysmith")
	type m = map[string]any
	key := func(owner string, scopes ...string) m {
		return m{"name": "x", "scopes": append([]string{}, scopes...), "expires_in": 3600, "owner": owner}
	}
	hers, smiths, root := s.Login(t, "ann").Access, s.Login(t, "smith").Access, s.Login(t, servertest.Admin).Access
	narrow := s.Login(t, "ann", "scope", "orders:read").Access
	for what, a := range map[string]servertest.Answer{
		"her own beyond her":               s.Call(t, hers, "POST", "/api-keys", key("", "users:write")),
		"her own of all":                   s.Call(t, hers, "POST", "/api-keys", key("", "admin")),
		"her own beyond her token":         s.Call(t, narrow, "POST", "/api-keys", key("", "users:read")),
		"an administrator's beyond ann":    s.Call(t, root, "POST", "/api-keys", key(ann.ID, "users:write")),
		"a smith's for who is above him":   s.Call(t, smiths, "POST", "/api-keys", key(ann.ID, "orders:read")),
		"a smith's for the boss":           s.Call(t, smiths, "POST", "/api-keys", key(boss.ID)),
		"an administrator's own of no use": s.Call(t, root, "POST", "/api-keys", key("", "nobody:has")),
	} {
		refusedAs(t, what, a, http.StatusForbidden, "")
	}
	k, _ := keyMade(t, s, hers, m{"scopes": []string{"users:read"}})
	for what, body := range map[string]m{"more": {"scopes": []string{"users:read", "users:write"}}, "another": {"scopes": []string{"admin"}}} {
		refusedAs(t, what, s.Call(t, hers, "PATCH", "/api-keys/"+k.id, body), http.StatusForbidden, "")
		refusedAs(t, what+" by an administrator", s.Call(t, root, "PATCH", "/api-keys/"+k.id, body), http.StatusForbidden, "")
	}
	refusedAs(t, "rotated by less than it has", s.Call(t, narrow, "POST", "/api-keys/"+k.id+"/rotate", m{}), http.StatusForbidden, "")
	if a := k.calls(t, s, "GET", "/users", nil); a.Status != http.StatusOK {
		t.Errorf("while she may: %d %s", a.Status, a.Body)
	}
	if a := k.calls(t, s, "GET", "/roles", nil); a.Status != http.StatusForbidden {
		t.Errorf("what it does not carry: %d", a.Status)
	}
	if err := s.Core.Roles.Take(t.Context(), servertest.Operator, ann.ID, "reader"); err != nil {
		t.Fatal(err)
	}
	if a := k.calls(t, s, "GET", "/users", nil); a.Status != http.StatusForbidden {
		t.Errorf("after she lost it: %d %s", a.Status, a.Body)
	}
	if v := verified(t, s, root, m{"key": k.text}); v["active"] != true || v["scope"] != nil {
		t.Errorf("after she lost it, verify says %v", v)
	}
	if v := verified(t, s, root, m{"key": k.text, "permission": "users:read"}); v["active"] != false || v["allowed"] != false {
		t.Errorf("after she lost it, verify of the permission says %v", v)
	}
}

// The grant rule counts for what a key does as for a person, by what the key has.
func TestAttackKEY003DeedsOfAKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	makeRole(t, s, "orders", "orders:read")
	bob := s.User(t, "bob")
	admin, err := s.Core.Accounts.ByLogin(t.Context(), servertest.Admin)
	if err != nil {
		t.Fatal(err)
	}
	k := keyOf(t, s, servertest.Operator, admin.ID, "roles:grant", "users:write", "read")
	for role, want := range map[string]int{"admin": 403, "editor": 403, "orders": 403, "viewer": 201} {
		if a := k.calls(t, s, "POST", "/users/"+bob.ID+"/roles", map[string]any{"role": role}); a.Status != want {
			t.Errorf("giving %s: %d %s", role, a.Status, a.Body)
		}
	}
	if a := k.calls(t, s, "PATCH", "/users/"+admin.ID, map[string]any{"name": "x"}); a.Status != http.StatusForbidden {
		t.Errorf("acting on its owner, who may do more: %d %s", a.Status, a.Body)
	}
	list := events(t, s, string(audit.GrantCreated))
	if last := list[len(list)-1]; last.Actor != "key:"+k.id {
		t.Errorf("the log says it was %s", last.Actor)
	}
}

// A key of everything, of an administrator, makes and changes no credentials: no route
// that does lets it in, and every route is either of the two.
func TestAttackKEY004MintsNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	var me struct {
		ID          string
		Permissions []string
	}
	s.Call(t, root, "GET", "/users/me", nil).JSON(t, &me)
	k := keyOf(t, s, servertest.Operator, me.ID, me.Permissions...)
	refused := []string{
		"PATCH /users/me", "POST /users/me/password", "GET /sessions", "DELETE /sessions/{id}", "POST /clients", "POST /clients/{id}/rotate-secret",
		"POST /clients/{id}/exchanges", "POST /registration-tokens", "POST /api-keys", "PATCH /api-keys/{id}", "DELETE /api-keys/{id}", "POST /api-keys/{id}/rotate", "GET /oauth2/userinfo", "POST /oauth2/userinfo",
	}
	// What reads, and needs a permission, a key may call that carries it.
	allowed := []string{
		"POST /users", "PATCH /users/{id}", "DELETE /users/{id}", "POST /users/{id}/unlock", "POST /roles", "PUT /roles/{name}", "DELETE /roles/{name}",
		"POST /users/{id}/roles", "DELETE /users/{id}/roles/{role}", "PATCH /clients/{id}", "DELETE /clients/{id}", "DELETE /clients/{id}/exchanges/{rule}", "DELETE /registration-tokens/{id}", "PATCH /streams/{id}", "DELETE /streams/{id}", "POST /clients/{id}/roles", "DELETE /clients/{id}/roles/{role}",
		"POST /groups", "PATCH /groups/{name}", "DELETE /groups/{name}", "POST /groups/{name}/members", "DELETE /groups/{name}/members/{id}",
		"POST /groups/{name}/roles", "DELETE /groups/{name}/roles/{role}",
		"POST /resources", "PATCH /resources/{id}", "DELETE /resources/{id}",
		"POST /conditions", "PUT /conditions/{name}", "DELETE /conditions/{name}", "POST /separations", "PUT /separations/{name}", "DELETE /separations/{name}",
		"POST /organizations", "PATCH /organizations/{name}", "DELETE /organizations/{name}",
		"POST /organizations/{name}/members", "DELETE /organizations/{name}/members/{id}",
		"POST /access/v1/evaluation", "POST /access/v1/evaluations", "POST /access/v1/search/subject", "POST /access/v1/search/resource", "POST /access/v1/search/action",
		"GET /users/me", "GET /api-keys", "GET /api-keys/{id}", "POST /api-keys/verify", "POST /access/check", "POST /access/explain",
	}
	for _, line := range s.Server.SiteMap() {
		method, path := address(line.Pattern)
		if strings.HasPrefix(path, "/ssf/") { // which are for clients and their keys: TestAttackStreams
			continue
		}
		mints, does := slices.Contains(refused, line.Pattern), slices.Contains(allowed, line.Pattern) || method == http.MethodGet && line.Permission != ""
		if mints == does && !line.Open && !line.Person || (mints || does) && (line.Open || line.Person) {
			t.Errorf("%s: decide whether API keys may call it", line.Pattern)
		}
		var body any
		if method != http.MethodGet && method != http.MethodDelete {
			body = map[string]any{}
		}
		a := k.calls(t, s, method, path, body)
		switch {
		case mints:
			refusedAs(t, line.Pattern, a, http.StatusForbidden, "")
		case does && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden):
			t.Errorf("%s: %d %s", line.Pattern, a.Status, a.Body)
		case line.Person && a.Status != http.StatusSeeOther: // it is signed in nowhere
			t.Errorf("%s: %d %s", line.Pattern, a.Status, a.Body)
		}
		if len(a.Header.Values("Set-Cookie")) > 0 && !line.Open {
			t.Errorf("%s gives a key cookies", line.Pattern)
		}
	}
	refusedAs(t, "an account with a password", k.calls(t, s, "POST", "/users", map[string]any{"username": "evil", "password": "a password of evil"}), http.StatusForbidden, "")
	if a := k.calls(t, s, "POST", "/users", map[string]any{"username": "good"}); a.Status != http.StatusCreated {
		t.Errorf("an account without one: %d %s", a.Status, a.Body)
	}
}

// What ends a key ends it at once here, and within a second elsewhere; and no clock that
// is set back revives it.
func TestAttackKEY005Ends(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		sites := twoReplicas(t, dsn, nil)
		does, other := sites[0], sites[len(sites)-1]
		makeRole(t, does, "reader", "users:read")
		set := func(to account.Status) func(account.User, held) {
			return func(u account.User, _ held) { disable(t, does, u, to) }
		}
		for what, end := range map[string]func(account.User, held){
			"revoked": func(_ account.User, k held) {
				if a := does.Call(t, does.Login(t, servertest.Admin).Access, "DELETE", "/api-keys/"+k.id, nil); a.Status != http.StatusNoContent {
					t.Errorf("revoking: %d %s", a.Status, a.Body)
				}
			},
			"owner disabled": set(account.Disabled),
			"owner deleted": func(u account.User, _ held) {
				if err := does.Core.Accounts.Delete(t.Context(), servertest.Operator, u.ID, 0, false); err != nil {
					t.Error(err)
				}
			},
			"rotated": func(_ account.User, k held) {
				if _, _, err := does.Core.APIKeys.Rotate(t.Context(), servertest.Operator, k.id, apikey.Rotation{}); err != nil {
					t.Error(err)
				}
			},
		} {
			u := does.User(t, strings.ReplaceAll(what, " ", "-"), "reader")
			k := keyOf(t, does, servertest.Operator, u.ID, "users:read")
			for _, s := range sites {
				within(t, time.Second, what+": it is known", func() bool { return k.good(t, s) })
			}
			end(u, k)
			if k.good(t, does) {
				t.Errorf("%s: it is good", what)
			}
			within(t, time.Second, what+": the other one refuses", func() bool { return !k.good(t, other) })
		}
	})
}

func TestAttackKEY005Expires(t *testing.T) {
	servertestSteered(t, func(t *testing.T, s *servertest.Site, c *steered) {
		ann := s.User(t, "ann", "viewer")
		k := keyOf(t, s, servertest.Operator, ann.ID)
		unused := keyOf(t, s, servertest.Operator, ann.ID)
		c.pass(time.Hour - time.Minute)
		if !k.good(t, s) {
			t.Error("it is over before its time")
		}
		c.pass(2 * time.Minute)
		for _, back := range []time.Duration{0, 30 * time.Minute} { // what was found expired stays so
			c.pass(-back)
			if k.good(t, s) {
				t.Errorf("it is good %v before", back)
			}
			c.pass(back)
		}
		if unused.good(t, s) {
			t.Error("one that was never used is good")
		}
		// Its owner may have it last again, with another secret.
		token := s.Login(t, "ann").Access
		refusedAs(t, "rotated as it is", s.Call(t, token, "POST", "/api-keys/"+k.id+"/rotate", map[string]any{}), http.StatusBadRequest, "*")
		a := s.Call(t, token, "POST", "/api-keys/"+k.id+"/rotate", map[string]any{"expires_in": 60})
		var again struct{ ID, Key string }
		a.JSON(t, &again)
		if fresh := (held{again.ID, again.Key}); a.Status != http.StatusOK || !fresh.good(t, s) || k.good(t, s) {
			t.Errorf("rotated: %d %s", a.Status, a.Body)
		}
	})
}

// servertestSteered runs f with a site on every database, at a clock that it moves.
func servertestSteered(t *testing.T, f func(t *testing.T, s *servertest.Site, c *steered)) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		c := &steered{}
		f(t, servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak}), c)
	})
}

// Once a revocation is answered, no request that begins then passes.
func TestAttackKEY005Race(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	k := keyOf(t, s, servertest.Operator, s.User(t, "ann", "viewer").ID)
	var revoked atomic.Bool
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 50 {
				before := revoked.Load()
				if k.good(t, s) && before {
					t.Error("it was good after its end")
				}
			}
		})
	}
	if err := s.Core.APIKeys.Revoke(t.Context(), servertest.Operator, k.id, 0); err != nil {
		t.Error(err)
	}
	revoked.Store(true)
	users.Wait()
}

// sealedKey returns what is a key by its form.
func sealedKey(id, text string) string {
	body := "dwk_" + id + "_" + text
	return body + secret.Checksum(body)
}

// What is no key is refused, whatever it is and wherever it stands; and what is none by
// its checksum, without a question to the database.
func TestAttackKEY006Malformed(t *testing.T) {
	t.Parallel()
	f := &storetest.Faults{}
	s := servertest.Start(t, servertest.Options{Tweak: func(o *server.Options) { o.Store.Wrap = f.Wrap }})
	ann := s.User(t, "ann", "viewer")
	k, other := keyOf(t, s, servertest.Operator, ann.ID), keyOf(t, s, servertest.Operator, ann.ID)
	swapped := sealedKey(k.id, other.text[21:64])
	for what, text := range map[string]string{"unknown id": sealedKey(strings.Repeat("0", 16), k.text[21:64]), "another's secret": swapped} {
		if _, ok := apikey.Parse(text); !ok {
			t.Fatalf("%s: %s has not the form of a key", what, text)
		}
		if (held{"", text}).good(t, s) {
			t.Errorf("%s is good", what)
		}
	}
	if !k.good(t, s) { // and whatever can be kept in memory is
		t.Fatal("the key is not good")
	}
	var asked atomic.Int64
	f.Use(func(step storetest.Step) storetest.Fault {
		if strings.Contains(step.Text, "api_keys") || strings.Contains(step.Text, "marks") || strings.Contains(step.Text, "attempts") {
			asked.Add(1)
		}
		return storetest.Fault{}
	})
	last := k.text[len(k.text)-1]
	for what, text := range map[string]string{
		"prefix": "dwk_", "cut": k.text[:len(k.text)-1], "longer": k.text + "A", "wrong checksum": k.text[:len(k.text)-1] + string(last^1), "another prefix": "dwx_" + k.text[4:],
		"upper prefix": "DWK_" + k.text[4:], "client secret": "dws_" + k.text[4:], "64 KiB": "dwk_" + strings.Repeat("A", 14<<10), "of zeros": "dwk_" + strings.Repeat("0", 66), "twice": k.text + "," + k.text,
		"id alone": k.id, "another form": strings.Replace(k.text, "_", "-", 2), "id in upper case": "dwk_" + strings.ToUpper(k.id) + k.text[20:], "base64": base64.StdEncoding.EncodeToString([]byte(k.text)),
	} {
		for _, headers := range [][]string{{"X-API-Key", text}, {"Authorization", "Bearer " + text}} {
			a := s.Send(t, "GET", "/users/me", "", "", headers...)
			if a.Status != http.StatusUnauthorized && (what != "twice" || a.Status != http.StatusBadRequest) {
				t.Errorf("%s in %s: %d %s", what, headers[0], a.Status, a.Body)
			}
		}
	}
	if a := s.Send(t, "GET", "/users/me", "", "", "X-API-Key", ""); a.Status != http.StatusUnauthorized {
		t.Errorf("empty: %d", a.Status)
	}
	for where, a := range map[string]servertest.Answer{
		"the query":        s.Send(t, "GET", "/users/me?access_token="+k.text, "", ""),
		"the query as key": s.Send(t, "GET", "/users/me?api_key="+k.text, "", ""),
		"a cookie":         s.Send(t, "GET", "/users/me", "", "", "Cookie", "doorward_access="+other.text+"x"),
		"two headers":      s.Send(t, "GET", "/users/me", "", "", "X-API-Key", k.text, "Authorization", "Bearer "+k.text),
		"one header twice": s.Send(t, "GET", "/users/me", "", "", "X-API-Key", k.text, "X-API-Key", k.text),
		"another scheme":   s.Send(t, "GET", "/users/me", "", "", "Authorization", "ApiKey "+k.text),
	} {
		if a.Status != http.StatusUnauthorized && a.Status != http.StatusBadRequest {
			t.Errorf("in %s: %d %s", where, a.Status, a.Body)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the database was asked %d times about what is no key", n)
	}
}

// Who guesses is stopped, by the network that he comes from; who has a key is served.
func TestAttackKEY008Guessing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"rate_limit.login": "10/1m", "trusted_proxies": "127.0.0.1"}})
	k := keyOf(t, s, servertest.Operator, s.User(t, "ann", "viewer").ID)
	guess := func(n int, from string) servertest.Answer {
		return s.Send(t, "GET", "/users/me", "", "", "X-API-Key", sealedKey(fmt.Sprintf("%016d", n), k.text[21:64]), "X-Forwarded-For", from)
	}
	for n := range 30 {
		a := guess(n, "203.0.113.7")
		if want := map[bool]int{true: 401, false: 429}[n < 10]; a.Status != want || want == 429 && a.Header.Get("Retry-After") == "" {
			t.Errorf("guess %d: %d %v", n+1, a.Status, a.Header)
		}
	}
	if a := s.Send(t, "GET", "/users/me", "", "", "X-API-Key", k.text, "X-Forwarded-For", "203.0.113.7"); a.Status != http.StatusOK {
		t.Errorf("the right key from there: %d %s", a.Status, a.Body)
	}
	if a := guess(99, "203.0.113.8"); a.Status != http.StatusUnauthorized {
		t.Errorf("a guess from elsewhere: %d", a.Status)
	}
	for range 30 { // what is no key by its form is no guess
		if a := s.Send(t, "GET", "/users/me", "", "", "X-API-Key", k.text[:69]+"!", "X-Forwarded-For", "203.0.113.8"); a.Status != http.StatusUnauthorized {
			t.Errorf("no key: %d", a.Status)
		}
	}
	if n := len(events(t, s, string(audit.APIKeyRefused))); n != 11 {
		t.Errorf("%d refusals were written down, want 11", n)
	}
	if n, err := s.Server.Counted(t.Context(), "GET /users/me", audit.Denied); n != 20 || err != nil {
		t.Errorf("%d were counted, %v", n, err)
	}
}

// A key is shown once. After that nothing that is kept, logged or told holds it.
func TestAttackKEY009ShownOnce(t *testing.T) {
	var texts, told []string
	var rows []string
	log := logged(t, func() {
		s := servertest.Start(t, servertest.Options{})
		s.User(t, "ann", "viewer")
		token := s.Login(t, "ann").Access
		keep := func(a servertest.Answer) servertest.Answer {
			told = append(told, a.Body+without(a.Header))
			return a
		}
		k, _ := keyMade(t, s, token, map[string]any{"scopes": []string{"read"}})
		var next struct{ ID, Key string }
		s.Call(t, token, "POST", "/api-keys/"+k.id+"/rotate", map[string]any{"overlap": 60}).JSON(t, &next)
		wrong := sealedKey(k.id, strings.Repeat("7", 43))
		broken := k.text[:69] + "!"
		texts = []string{k.text, next.Key, wrong, broken}
		for _, text := range texts {
			keep(s.Send(t, "GET", "/users/me", "", "", "X-API-Key", text))
			keep(s.Send(t, "GET", "/users", "", "", "Authorization", "Bearer "+text))
			keep(s.Call(t, token, "POST", "/api-keys/verify", map[string]any{"key": text}))
			keep(s.Call(t, token, "POST", "/api-keys/verify", map[string]any{"key": text, "permission": text}))
			keep(s.Call(t, token, "GET", "/api-keys/"+text, nil))
			keep(s.Call(t, token, "DELETE", "/api-keys/"+text, nil))
			keep(s.Form(t, "/auth/refresh", "refresh_token", text))
			keep(s.Form(t, "/auth/login", "username", "ann", "password", text))
		}
		for _, path := range []string{"/api-keys", "/api-keys/" + k.id, "/audit/events"} {
			keep(s.Call(t, s.Login(t, servertest.Admin).Access, "GET", path, nil))
		}
		if err := s.Core.APIKeys.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		db := database(t, s)
		for _, name := range tables(t, db) {
			rows = append(rows, table(t, db, name)...)
		}
		s.Stop()
	})
	if !strings.Contains(log, "GET /users/me") || len(rows) < 10 || len(told) < 20 {
		t.Fatal("nothing was read, so nothing was searched")
	}
	for _, text := range texts {
		for where, all := range map[string]string{"the log": log, "the database": strings.Join(rows, "\n"), "an answer": strings.Join(told, "\n")} {
			for what, find := range map[string]string{"the key": text, "its secret": text[21:64], "a part of it": text[30:50]} {
				if strings.Contains(all, find) {
					t.Errorf("%s holds %s", where, what)
				}
			}
		}
	}
}

// Each credential is good in its own place, with its own scopes, and in no other.
func TestAttackKEY010InOthersPlaces(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "viewer")
	tokens := s.Login(t, "ann")
	k := keyOf(t, s, servertest.Operator, ann.ID, "read")
	root := s.Login(t, servertest.Admin).Access
	c := register(t, s, root, map[string]any{"client_id": "job"})
	basic := func(user, password string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
	}
	for what, headers := range map[string][]string{
		"an access token as a key": {"X-API-Key", tokens.Access}, "a refresh token as a key": {"X-API-Key", tokens.Refresh}, "a client's secret as a key": {"X-API-Key", c.secret},
		"a key for a password": basic("ann", k.text), "a key for a name": basic(k.text, ""), "a key with its id": basic(k.id, k.text), "a password": basic("ann", servertest.Password),
		"a key in a cookie": {"Cookie", "doorward_access=" + tokens.Refresh}, "a key as a session": {"Cookie", "doorward_session=" + k.text},
	} {
		if a := s.Send(t, "GET", "/users/me", "", "", headers...); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	for what, a := range map[string]servertest.Answer{
		"as a password":          s.Form(t, "/auth/login", "username", "ann", "password", k.text),
		"as a refresh token":     s.Form(t, "/auth/refresh", "refresh_token", k.text),
		"as a client's secret":   registered{"job", k.text}.post(t, s, "/oauth2/token", "grant_type", "client_credentials"),
		"as a bearer for one":    s.Send(t, "POST", "/oauth2/token", formType, "grant_type=client_credentials&client_id=job", "Authorization", "Bearer "+k.text),
		"to introspect":          s.Send(t, "POST", "/oauth2/introspect", formType, "token=x", "Authorization", "Bearer "+k.text),
		"to introspect as a key": s.Send(t, "POST", "/oauth2/introspect", formType, "token=x", "X-API-Key", k.text),
		"as an assertion":        s.Form(t, "/oauth2/token", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", k.text),
		"for a token":            s.Form(t, "/oauth2/token", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", k.text),
	} {
		if a.Status < 400 || strings.Contains(a.Body, "access_token") {
			t.Errorf("a key %s: %d %s", what, a.Status, a.Body)
		}
	}
	// A sign-out with a key signs nobody out.
	s.Send(t, "POST", "/auth/logout", "", "", "Authorization", "Bearer "+k.text)
	if !k.good(t, s) || me(t, s, tokens.Access) != http.StatusOK {
		t.Error("a sign-out with a key ended something")
	}
	// In both of its places it carries its own scopes alone.
	wide := s.User(t, "wide", "admin")
	narrow := keyOf(t, s, servertest.Operator, wide.ID, "roles:read")
	for _, header := range []string{"X-API-Key", "Authorization"} {
		value := map[string]string{"X-API-Key": narrow.text, "Authorization": "Bearer " + narrow.text}[header]
		for path, want := range map[string]int{"/roles": 200, "/users": 403, "/api-keys": 403, "/audit/events": 403} {
			if a := s.Send(t, "GET", path, "", "", header, value); a.Status != want {
				t.Errorf("%s by %s: %d %s", path, header, a.Status, a.Body)
			}
		}
	}
}

// A role that was taken away counts no more for a key, whichever server is asked.
func TestAttackRBAC010KeyLosesARole(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		sites := twoReplicas(t, dsn, nil)
		does, other := sites[0], sites[len(sites)-1]
		makeRole(t, does, "reader", "users:read")
		u := does.User(t, "ann", "reader")
		k := keyOf(t, does, servertest.Operator, u.ID, "users:read")
		for _, s := range sites {
			within(t, time.Second, "everybody knows that it may", func() bool { return k.calls(t, s, "GET", "/users", nil).Status == http.StatusOK })
		}
		if _, err := does.Core.Roles.ReplaceRole(t.Context(), servertest.Operator, rbac.Role{Name: "reader"}); err != nil {
			t.Fatal(err)
		}
		if a := k.calls(t, does, "GET", "/users", nil); a.Status != http.StatusForbidden {
			t.Errorf("at once: %d", a.Status)
		}
		within(t, time.Second, "the other one refuses", func() bool { return k.calls(t, other, "GET", "/users", nil).Status == http.StatusForbidden })
	})
}

// A key of a service account has what its registration and its roles allow, and ends
// with it.
func TestAttackKEY005OfAClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	makeRole(t, s, "reader", "users:read", "roles:read")
	root := s.Login(t, servertest.Admin).Access
	job := register(t, s, root, map[string]any{"client_id": "job", "scope": "users:read"}, "reader")
	k, v := keyMade(t, s, job.token(t, s).Access, map[string]any{"scopes": []string{"users:read"}})
	if v["owner"] != "client:job" {
		t.Errorf("it is of %v", v["owner"])
	}
	refusedAs(t, "past its registration", s.Call(t, root, "POST", "/api-keys", map[string]any{"name": "x", "scopes": []string{"roles:read"}, "expires_in": 60, "owner": "client:job"}), http.StatusForbidden, "")
	if a := k.calls(t, s, "GET", "/users", nil); a.Status != http.StatusOK {
		t.Errorf("while it may: %d %s", a.Status, a.Body)
	}
	if a := k.calls(t, s, "GET", "/users/me", nil); a.Status != http.StatusForbidden {
		t.Errorf("a service is no person: %d", a.Status)
	}
	set := func(to func(*client.Client)) {
		c, err := s.Core.Clients.Fresh(t.Context(), "job")
		if err != nil {
			t.Fatal(err)
		}
		to(&c)
		if _, err := s.Core.Clients.Update(t.Context(), servertest.Operator, c); err != nil {
			t.Fatal(err)
		}
	}
	set(func(c *client.Client) { c.Scopes = nil })
	if a := k.calls(t, s, "GET", "/users", nil); a.Status != http.StatusForbidden {
		t.Errorf("registered for nothing: %d", a.Status)
	}
	set(func(c *client.Client) { c.Scopes, c.Status = []string{"users:read"}, client.Disabled })
	if a := k.calls(t, s, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
		t.Errorf("disabled: %d", a.Status)
	}
	if err := s.Core.Clients.Delete(t.Context(), servertest.Operator, "job", 0); err != nil {
		t.Fatal(err)
	}
	register(t, s, root, map[string]any{"client_id": "job", "scope": "users:read"}, "reader")
	if a := k.calls(t, s, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
		t.Errorf("of another of its name: %d", a.Status)
	}
}
