package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
)

// What a request allocates is the same on every machine, busy or not, so a change that
// makes a path heavier fails the tests of that change; how long it takes, go run ./bench
// says.

var updateAllocs = flag.Bool("update", false, "write "+allocsFile+" anew")

const (
	allocsFile    = "allocs.txt"
	allocsCommand = "go test ./bench -run '^TestAllocations$' -update"
)

// allocs is what one request allocates.
type allocs struct{ times, bytes int }

// allows reports whether a path may allocate so much that allocated a before: two times
// more, or a fiftieth, which is as much as it differs by itself.
func (a allocs) allows(now allocs) bool {
	return now.times <= a.times+max(2, a.times/50) && now.bytes <= a.bytes+max(512, a.bytes/20)
}

// batches are counted, of so many requests each: few, so that some are not disturbed.
const batches, each = 24, 4

// allocating returns what once allocates: the least of some batches, since whatever the
// program does beside it only adds.
func allocating(once func()) allocs {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // else pools are emptied meanwhile
	for range each {
		once()
	}
	runtime.GC()
	least := allocs{math.MaxInt, math.MaxInt}
	for range batches {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range each {
			once()
		}
		runtime.ReadMemStats(&after)
		least.times = min(least.times, int(after.Mallocs-before.Mallocs)/each)
		least.bytes = min(least.bytes, int(after.TotalAlloc-before.TotalAlloc)/each)
	}
	return least
}

// instrumented reports whether the race detector counts along.
func instrumented() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}

// recorder is an http.ResponseWriter that allocates nothing itself.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body = append(r.body, b...)
	return len(b), nil
}

// caller asks a handler within this process.
type caller struct {
	t    *testing.T
	host string
	recorder
}

// call asks once, and ends the test if the answer is another than status.
func (c *caller) call(h http.Handler, status int, method, target, form string, fields ...string) {
	u, err := url.Parse(target)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &http.Request{
		Method: method, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: c.host, RemoteAddr: "127.0.0.1:40000",
		Header: http.Header{"User-Agent": {"bench"}}, Body: http.NoBody,
	}
	if form != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form)), int64(len(form))
		r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = []string{fields[i+1]}
	}
	clear(c.header)
	c.status, c.body = 0, c.body[:0]
	h.ServeHTTP(&c.recorder, r)
	if c.status != status {
		c.t.Fatalf("%s %.40s: %d %s", method, target, c.status, c.body)
	}
}

// field returns a member of the last answer.
func (c *caller) field(name string) string {
	value, ok := field(c.body, `"`+name+`":"`)
	if !ok {
		c.t.Fatalf("there is no %s in %s", name, c.body)
	}
	return value
}

// hot are the paths whose allocations are held, in the order of the file.
func hot(t *testing.T) (names []string, paths map[string]func()) {
	t.Helper()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"log.level": "info"}})
	c := &caller{t: t, host: strings.TrimPrefix(s.URL, "http://"), recorder: recorder{header: http.Header{}, body: make([]byte, 0, 1<<16)}}
	paths = map[string]func(){}
	add := func(name string, once func()) {
		names = append(names, name)
		paths[name] = once
	}
	get := func(status int, target string, fields ...string) {
		c.call(s.Server, status, http.MethodGet, target, "", fields...)
	}
	post := func(target, form string, fields ...string) {
		c.call(s.Server, http.StatusOK, http.MethodPost, target, form, fields...)
	}

	ana := s.User(t, "ana", "editor")
	tokens := s.Login(t, "ana")
	bearer := "Bearer " + tokens.Access
	service := registeredIn(t, s, client.Draft{ID: "service", Scopes: []string{"read"}}, "viewer")
	api := registeredIn(t, s, client.Draft{ID: "api", Audiences: []string{s.URL}})

	add("jwks", func() { get(http.StatusOK, "/oauth2/jwks") })
	add("metadata", func() { get(http.StatusOK, "/.well-known/oauth-authorization-server") })
	add("me", func() { get(http.StatusOK, "/users/me", "Authorization", bearer) })
	refresh := tokens.Refresh
	add("refresh", func() {
		post("/auth/refresh", "refresh_token="+refresh)
		refresh = c.field("refresh_token")
	})
	add("credentials", func() { post(tokenPath, "grant_type=client_credentials", "Authorization", service) })
	add("introspect", func() {
		if post(introspectPath, "token="+tokens.Access, "Authorization", api); !bytes.Contains(c.body, []byte(active)) {
			t.Fatalf("introspection: %s", c.body)
		}
	})
	mint := func() string {
		post(tokenPath, "grant_type=client_credentials", "Authorization", service)
		return c.field("access_token")
	}
	add("introspect-first", firsts(mint, func(token string) { post(introspectPath, "token="+token, "Authorization", api) }))

	flowPaths(t, s, c, add)
	guardPaths(t, s, c, tokens.Access, mint, add)

	by := principal.Principal{Kind: principal.User, ID: ana.ID, Scopes: []string{"read", "write"}}
	add("decision", func() {
		if ok, err := s.Core.Roles.Allows(t.Context(), &by, "write"); err != nil || !ok {
			t.Fatal(ok, err)
		}
	})
	return names, paths
}

// registeredIn makes a client with roles, and returns what proves it.
func registeredIn(t *testing.T, s *servertest.Site, d client.Draft, roles ...string) string {
	t.Helper()
	d.Name = d.ID
	made, secret, err := s.Core.Clients.Create(t.Context(), servertest.Operator, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if _, err := s.Core.Roles.GiveGrant(t.Context(), servertest.Operator, rbac.Grant{Kind: principal.Service, Principal: made.ID, Role: role}); err != nil {
			t.Fatal(err)
		}
	}
	return basic(made.ID, secret.Reveal())
}

// firsts brings tokens that were made before anything is counted, each once.
func firsts(mint func() string, once func(token string)) func() {
	var list []string
	return func() {
		if len(list) == 0 { // in a first batch, which is not counted
			for range (batches + 1) * each {
				list = append(list, mint())
			}
		}
		once(list[len(list)-1])
		list = list[:len(list)-1]
	}
}

// taken takes a request apart that was made to go over the wire.
func taken(wire []byte) (method, target, form string, fields []string) {
	head, form, _ := strings.Cut(string(wire), "\r\n\r\n")
	first, rest, _ := strings.Cut(head, "\r\n")
	method, target, _ = strings.Cut(strings.TrimSuffix(first, " HTTP/1.1"), " ")
	for line := range strings.SplitSeq(rest, "\r\n") {
		if name, value, _ := strings.Cut(line, ": "); name == "Cookie" || name == "Authorization" {
			fields = append(fields, name, value)
		}
	}
	return method, target, form, fields
}

// flowPaths are the halves of the code flow, of somebody who is signed in.
func flowPaths(t *testing.T, s *servertest.Site, c *caller, add func(string, func())) {
	t.Helper()
	d := client.Draft{ID: "app", Scopes: []string{"read"}}
	d.RedirectURIs, d.SkipConsent, d.IDTokenAlg = []string{callback}, true, "ES256"
	b := s.Browser(t)
	b.Login(t, "ana")
	v := &visitor{cookie: "doorward_session=" + b.Cookie(t, "session")}
	flow := (&site{addr: c.host}).flow(registered{"app", registeredIn(t, s, d)}, []*visitor{v})
	step := func() {
		method, target, form, fields := taken(flow.Request())
		status := http.StatusSeeOther
		if method == http.MethodPost {
			status = http.StatusOK
		}
		c.call(s.Server, status, method, target, form, fields...)
		flow.Header([]byte("Location"), []byte(c.header.Get("Location")))
		if err := flow.Answer(c.status, c.body); err != nil {
			t.Fatal(err)
		}
	}
	add("code", func() { step(); step() })
	add("userinfo", func() {
		c.call(s.Server, http.StatusOK, http.MethodGet, "/oauth2/userinfo", "", "Authorization", "Bearer "+v.access)
	})
}

// guardPaths are those of an API behind guard.
func guardPaths(t *testing.T, s *servertest.Site, c *caller, token string, mint func() string, add func(string, func())) {
	t.Helper()
	keys, err := s.Core.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	handler := func(size int) http.Handler {
		g, err := guard.New(s.URL, guard.Audience(s.URL), guard.CacheSize(size), guard.Keys(func() *guard.KeySet { return keys }))
		if err != nil {
			t.Fatal(err)
		}
		return g.Require(guard.Permission("read"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	}
	repeated, first := handler(100), handler(100)
	add("guard", func() {
		c.call(repeated, http.StatusNoContent, http.MethodGet, "/", "", "Authorization", "Bearer "+token)
	})
	add("guard-first", firsts(mint, func(token string) {
		c.call(first, http.StatusNoContent, http.MethodGet, "/", "", "Authorization", "Bearer "+token)
	}))
}

func TestAllocations(t *testing.T) {
	names, paths := hot(t)
	if instrumented() { // it would count along: only that the paths answer is held
		for _, name := range names {
			paths[name]()
		}
		return
	}
	now := map[string]allocs{}
	for _, name := range names {
		now[name] = allocating(paths[name])
		t.Logf("%-17s %6d %8d", name, now[name].times, now[name].bytes)
	}
	if *updateAllocs {
		if err := os.WriteFile(allocsFile, writeAllocs(names, now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(allocsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range heavier(text, names, now) {
		t.Error(wrong)
	}
}

func writeAllocs(names []string, now map[string]allocs) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What one request allocates: how often, and how many bytes.\n# Written by: %s\n", allocsCommand)
	for _, name := range names {
		fmt.Fprintf(&b, "%-17s %6d %8d\n", name, now[name].times, now[name].bytes)
	}
	return b.Bytes()
}

// heavier says which paths allocate more than a file has it, or are not in it.
func heavier(file []byte, names []string, now map[string]allocs) (wrong []string) {
	before := map[string]allocs{}
	for line := range strings.Lines(string(file)) {
		var name string
		var a allocs
		if _, err := fmt.Sscan(line, &name, &a.times, &a.bytes); err == nil {
			before[name] = a
		}
	}
	for _, name := range names {
		was, ok := before[name]
		switch is := now[name]; {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s is not in bench/%s; write it anew: %s", name, allocsFile, allocsCommand))
		case !was.allows(is):
			wrong = append(wrong, fmt.Sprintf("%s allocates %d times (%d bytes) for a request; it was %d times (%d bytes). If it is worth that, write bench/%s anew: %s",
				name, is.times, is.bytes, was.times, was.bytes, allocsFile, allocsCommand))
		}
		delete(before, name)
	}
	for name := range before {
		wrong = append(wrong, fmt.Sprintf("%s in bench/%s is no path any more; write it anew: %s", name, allocsFile, allocsCommand))
	}
	return wrong
}

// The law above is quiet while it is kept, so here is what it would say.
func TestHeavier(t *testing.T) {
	file := []byte("# a comment\nfew 3 100\nmany 200 40000\n")
	for _, tt := range []struct {
		few, many allocs
		wrong     string
	}{
		{allocs{3, 100}, allocs{200, 40000}, ""},
		{allocs{1, 10}, allocs{1, 10}, ""},
		{allocs{5, 612}, allocs{204, 42000}, ""},
		{allocs{6, 100}, allocs{200, 40000}, "few allocates 6 times (100 bytes) for a request; it was 3 times (100 bytes)"},
		{allocs{3, 613}, allocs{200, 40000}, "few allocates 3 times (613 bytes)"},
		{allocs{3, 100}, allocs{205, 40000}, "many allocates 205 times"},
		{allocs{3, 100}, allocs{200, 42001}, "many allocates 200 times (42001 bytes)"},
	} {
		got := strings.Join(heavier(file, []string{"few", "many"}, map[string]allocs{"few": tt.few, "many": tt.many}), "; ")
		if tt.wrong == "" && got != "" || !strings.Contains(got, tt.wrong) || tt.wrong != "" && !strings.HasSuffix(got, allocsCommand) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	got := strings.Join(heavier(file, []string{"few", "new"}, map[string]allocs{"few": {3, 100}}), "; ")
	if !strings.Contains(got, "new is not in") || !strings.Contains(got, "many in") {
		t.Errorf("%q", got)
	}
	if names := []string{"few", "many"}; len(heavier(writeAllocs(names, map[string]allocs{"few": {1, 2}}), names, map[string]allocs{"few": {1, 2}})) > 0 {
		t.Error("what was written is not what is read")
	}
	if a := allocating(func() { sink = make([]byte, 100) }); a.times != 1 || a.bytes < 100 || a.bytes > 128 {
		t.Errorf("one allocation of 100 bytes is counted as %+v", a)
	}
}

var sink []byte
