package guard

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// teller is an issuer that says what was revoked: by a stream, and by lists.
type teller struct {
	*httptest.Server
	t       *testing.T
	mute    atomic.Bool // the stream says nothing, and new ones are refused
	down    atomic.Bool // the list is not served
	listed  atomic.Pointer[string]
	fetches atomic.Int32
	resumed atomic.Pointer[string] // the Last-Event-ID of the last follower

	mu        sync.Mutex
	events    []string
	followers map[chan struct{}]bool
}

func newTeller(t *testing.T) *teller {
	h := &teller{t: t, followers: map[chan struct{}]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"status_list_events_endpoint":%q}`, h.URL, h.URL+"/jwks", h.URL+"/events")
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, jwksText(t, jwkText(t, es()))) })
	mux.HandleFunc("/list", func(w http.ResponseWriter, _ *http.Request) {
		h.fetches.Add(1)
		if h.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/statuslist+jwt")
		io.WriteString(w, *h.listed.Load())
	})
	mux.HandleFunc("/events", h.stream)
	h.Server = httptest.NewServer(mux)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	h.list(nil, nil)
	return h
}

func (h *teller) stream(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Last-Event-ID")
	h.resumed.Store(&id)
	if h.mute.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	news := make(chan struct{}, 100)
	h.mu.Lock()
	h.followers[news] = true
	sent := 0
	h.mu.Unlock()
	for first := true; ; first = false {
		h.mu.Lock()
		more := strings.Join(h.events[sent:], "")
		sent = len(h.events)
		h.mu.Unlock()
		io.WriteString(w, more)
		if first {
			io.WriteString(w, "id: 1\nevent: current\ndata: {}\n\n")
		}
		w.(http.Flusher).Flush()
		select {
		case <-news:
		case <-time.After(500 * time.Millisecond):
			if !h.mute.Load() {
				io.WriteString(w, ": \n\n")
			}
		case <-r.Context().Done():
			return
		}
	}
}

// say sends an event to all who follow.
func (h *teller) say(event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
	for news := range h.followers {
		news <- struct{}{}
	}
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return b64(string(sum[:16]))
}

func endedEvent(names ...string) string {
	list, _ := json.Marshal(names)
	return fmt.Sprintf("id: 7\nevent: void\ndata: {\"until\":%d,\"ended\":%s}\n\n", time.Now().Unix()+900, list)
}

func narrowedEvent(name string, version int64) string {
	return fmt.Sprintf("id: 8\nevent: void\ndata: {\"until\":%d,\"narrowed\":{%q:%d}}\n\n", time.Now().Unix()+900, digest(name), version)
}

// list signs a list in which some indexes are set.
func (h *teller) list(set []int, changes map[string]any) {
	bits := make([]byte, 128)
	for _, i := range set {
		bits[i/8] |= 1 << (i % 8)
	}
	c := map[string]any{
		"iss": h.URL, "sub": h.URL + "/list", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 300, "ttl": 1,
		"status_list": map[string]any{"bits": 1, "lst": packed(bits)},
	}
	maps.Copy(c, changes)
	text, _ := json.Marshal(c)
	token := es().sign(`{"alg":"ES256","kid":"es","typ":"statuslist+jwt"}`, string(text))
	h.listed.Store(&token)
}

func packed(bits []byte) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write(bits)
	z.Close()
	return b64(b.String())
}

// token returns a token of the issuer with a place in its list.
func (h *teller) token(index int, changes map[string]any) string {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": h.URL, "iat": now, "nbf": now, "exp": now + 900, "jti": fmt.Sprint(index), "fam": fmt.Sprint("f", index),
		"status": map[string]any{"status_list": map[string]any{"idx": index, "uri": h.URL + "/list"}},
	}
	maps.Copy(c, changes)
	return es().token(c)
}

func (h *teller) guard(options ...Option) *Guard {
	g, err := New(h.URL, append([]Option{Audience(testAudience), Now(time.Now), Logger(slog.New(slog.DiscardHandler))}, options...)...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(g.Close)
	return g
}

// within waits until an error is as wanted.
func within(t *testing.T, d time.Duration, g *Guard, token string, want error) {
	t.Helper()
	var err error
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, err = g.Verify(t.Context(), token); errors.Is(err, want) || err == nil && want == nil {
			return
		}
	}
	t.Errorf("Verify: %v; want %v", err, want)
}

func (h *teller) current(g *Guard) {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); !g.status.stream.live(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatal("the stream is not followed")
		}
	}
}

// What ends or is narrowed is refused as soon as the stream says so, whether the token
// was seen before or not; what does not name it stays good.
func TestRevocationByStream(t *testing.T) {
	t.Parallel()
	h := newTeller(t)
	g := h.guard()
	within(t, 10*time.Second, g, h.token(0, nil), nil)
	h.current(g)
	for name, c := range map[string]struct {
		event   string
		changes map[string]any
	}{
		"family":       {endedEvent(digest("family:f-x")), map[string]any{"fam": "f-x"}},
		"organization": {endedEvent(digest("organization:acme")), map[string]any{"org": "acme"}},
		"account":      {narrowedEvent("principal:bea", 8), map[string]any{"sub": "bea"}},
		"client":       {narrowedEvent("principal:web", 8), map[string]any{"client_id": "web"}},
		"role":         {narrowedEvent("role:auditor", 8), map[string]any{"roles": []string{"viewer", "auditor"}}},
		"api":          {narrowedEvent("api:https://other.example", 8), map[string]any{"aud": []string{testAudience, "https://other.example"}}},
		"via a family": {endedEvent(digest("family:f-y")), map[string]any{"via": []string{"client:a", "family:f-y"}}},
		"via a client": {narrowedEvent("principal:shop", 8), map[string]any{"via": []string{"client:shop"}}},
		"via a key":    {narrowedEvent("key:3xK", 3), map[string]any{"via": []string{"key:3xK.2"}}},
	} {
		before, same := h.token(1, c.changes), h.token(2, c.changes)
		within(t, 10*time.Second, g, before, nil)
		h.say(c.event)
		within(t, 10*time.Second, g, before, ErrRevoked)
		within(t, 10*time.Second, g, same, ErrRevoked) // that was not seen before
		if strings.Contains(c.event, "narrowed") && name != "via a key" {
			changes := maps.Clone(c.changes)
			changes["pv"] = 8
			within(t, 10*time.Second, g, h.token(3, changes), nil)
		}
	}
	within(t, 10*time.Second, g, h.token(4, map[string]any{"via": []string{"key:3xK.3"}}), nil)
	within(t, 10*time.Second, g, h.token(0, nil), nil)
	within(t, 10*time.Second, g, h.token(5, map[string]any{"status": nil, "fam": "f-x"}), nil) // the issuer does not say
	if n := h.fetches.Load(); n > 1 {
		t.Errorf("the list was read %d times beside the stream", n)
	}
}

// Where the stream breaks, the lists are read, each for its ttl; and once it can be
// followed again it goes on where it was.
func TestRevocationByList(t *testing.T) {
	t.Parallel()
	h, begun := newTeller(t), time.Now()
	h.mute.Store(true)
	g := h.guard()
	good, bad := h.token(3, nil), h.token(9, nil)
	h.list([]int{9, 1023}, nil)
	within(t, 10*time.Second, g, good, nil)
	refused(t, g, bad, ErrRevoked)
	refused(t, g, h.token(1023, nil), ErrRevoked)
	refused(t, g, h.token(1024, nil), ErrRevoked) // it is beyond the list
	h.list([]int{3}, nil)
	within(t, 10*time.Second, g, good, ErrRevoked)
	if n := int(h.fetches.Load()); n > 3+int(time.Since(begun)/time.Second) {
		t.Errorf("the list was read %d times in %v", n, time.Since(begun))
	}
	h.mute.Store(false)
	h.say(endedEvent(digest("family:f4")))
	h.current(g)
	within(t, 10*time.Second, g, h.token(4, nil), ErrRevoked)
	h.CloseClientConnections()
	for end := time.Now().Add(20 * time.Second); *h.resumed.Load() != "1"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it asks for what came after %q", *h.resumed.Load())
		}
	}
}

// What cannot be known is refused with 503, but on a route that lets stale tokens pass:
// there what was known last counts.
func TestRevocationUnknown(t *testing.T) {
	t.Parallel()
	h := newTeller(t)
	h.mute.Store(true)
	var shift atomic.Int64
	g := h.guard(Now(func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }))
	status := func(token string, checks ...Requirement) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		g.Require(checks...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		return w.Code
	}
	h.list([]int{9}, nil)
	good, bad := h.token(3, nil), h.token(9, nil)
	if got := status(good); got != 200 {
		t.Fatalf("with a list: %d", got)
	}
	h.down.Store(true)
	shift.Store(int64(3 * time.Second)) // its ttl is over
	for _, c := range []struct {
		token  string
		checks []Requirement
		want   int
	}{
		{good, nil, 503},
		{bad, nil, 503},
		{good, []Requirement{AllowStale()}, 200},
		{bad, []Requirement{AllowStale()}, 401},
		{good, []Requirement{Permission("orders:read"), AllowStale()}, 200},
		{good, []Requirement{AllowStale(), Permission("no:such")}, 403},
	} {
		if got := status(c.token, c.checks...); got != c.want {
			t.Errorf("without one: %d, want %d", got, c.want)
		}
	}
	never := h.guard() // that has never seen a list
	if _, err := never.Verify(t.Context(), good); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without ever a list: %v", err)
	}
	if _, err := h.guard(IgnoreStatus()).Verify(t.Context(), good); err != nil {
		t.Errorf("whoever does not ask: %v", err)
	}
}

// A stream that goes silent is not believed for longer than the bound.
func TestRevocationSilence(t *testing.T) {
	t.Parallel()
	h := newTeller(t)
	g := h.guard(StaleAfter(3 * time.Second))
	token := h.token(1, nil)
	within(t, 10*time.Second, g, token, nil)
	h.current(g)
	h.down.Store(true)
	h.mute.Store(true)
	within(t, 20*time.Second, g, token, ErrUnavailable)
}

func TestAttackSTAT001Lists(t *testing.T) {
	t.Parallel()
	bits := packed(make([]byte, 128))
	one := func(width any, lst string) map[string]any {
		return map[string]any{"status_list": map[string]any{"bits": width, "lst": lst}}
	}
	for name, changes := range map[string]map[string]any{
		"sub":            {"sub": "https://other.example/list"},
		"another issuer": {"iss": "https://other.example"},
		"no iat":         {"iat": nil},
		"iat to come":    {"iat": time.Now().Unix() + 3600},
		"exp":            {"exp": time.Now().Unix() - 1},
		"ttl 0":          {"ttl": 0},
		"ttl -1":         {"ttl": -1},
		"bits 3":         one(3, bits), "bits 0": one(0, bits), "bits 2^40": one(1<<40, bits), "bits as text": one("1", bits),
		"no list":     {"status_list": nil},
		"not base64":  one(1, "%%%"),
		"not zlib":    one(1, b64("a list")),
		"cut off":     one(1, bits[:len(bits)-4]),
		"no bits":     one(1, packed(nil)),
		"bomb":        one(1, packed(make([]byte, maxListBits+1))),
		"large claim": {"x": strings.Repeat("A", maxListText)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTeller(t)
			h.mute.Store(true)
			h.list(nil, changes)
			refused(t, h.guard(), h.token(1, nil), ErrUnavailable)
		})
	}
	for name, change := range map[string]func(h *teller) string{
		"typ": func(h *teller) string {
			_, rest, _ := strings.Cut(*h.listed.Load(), ".")
			payload, _, _ := strings.Cut(rest, ".")
			text, _ := decode(payload)
			return es().sign(es().header(), string(text))
		},
		"alg none":  func(h *teller) string { return b64(`{"alg":"none","typ":"statuslist+jwt"}`) + ".e30." },
		"signature": func(h *teller) string { s := *h.listed.Load(); return s[:len(s)-8] + "AAAAAAAA" },
		"nothing":   func(*teller) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTeller(t)
			h.mute.Store(true)
			text := change(h)
			h.listed.Store(&text)
			refused(t, h.guard(), h.token(1, nil), ErrUnavailable)
		})
	}
	// A claim that cannot be understood makes the token bad; one of another meaning does not.
	h := newTeller(t)
	h.mute.Store(true)
	g := h.guard()
	for name, c := range map[string]struct {
		status any
		want   error
	}{
		"a negative index":  {map[string]any{"status_list": map[string]any{"idx": -1, "uri": h.URL + "/list"}}, ErrClaims},
		"an index of 2^63":  {map[string]any{"status_list": map[string]any{"idx": json.Number("9223372036854775808"), "uri": h.URL + "/list"}}, ErrClaims},
		"2^63 - 1":          {map[string]any{"status_list": map[string]any{"idx": json.Number("9223372036854775807"), "uri": h.URL + "/list"}}, ErrRevoked},
		"no index":          {map[string]any{"status_list": map[string]any{"uri": h.URL + "/list"}}, ErrClaims},
		"no uri":            {map[string]any{"status_list": map[string]any{"idx": 1}}, ErrClaims},
		"plain http":        {map[string]any{"status_list": map[string]any{"idx": 1, "uri": "http://203.0.113.1/list"}}, ErrUnavailable},
		"a file":            {map[string]any{"status_list": map[string]any{"idx": 1, "uri": "file:///etc/passwd"}}, ErrUnavailable},
		"another mechanism": {map[string]any{"identifier_list": map[string]any{}}, nil},
		"a word":            {"active", nil},
	} {
		if _, err := g.Verify(t.Context(), h.token(1, map[string]any{"status": c.status})); !errors.Is(err, c.want) && (err != nil || c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Whatever the stream says, no token that it did not name is refused, and a damaged
// event ends it: nothing after that is believed until it is followed anew.
func TestAttackStream(t *testing.T) {
	t.Parallel()
	for what, event := range map[string]string{
		"not JSON":          "event: void\ndata: {\n\n",
		"a short digest":    "event: void\ndata: {\"until\":1,\"ended\":[\"AAAA\"]}\n\n",
		"a long line":       "data: " + strings.Repeat("A", maxEvent+1) + "\n\n",
		"many lines":        "event: void\n" + strings.Repeat("data: "+strings.Repeat("A", 1000)+"\n", 400) + "\n",
		"a version as text": "event: void\ndata: {\"narrowed\":{\"" + digest("role:x") + "\":\"1\"}}\n\n",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := &stream{marks: map[name]mark{}}
			err := readEvents(strings.NewReader(event), func(e message, whole bool) error {
				if whole {
					return s.apply(e)
				}
				return nil
			})
			if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || len(s.marks) != 0 {
				t.Errorf("%v, %d marks", err, len(s.marks))
			}
		})
	}
	s := &stream{marks: map[name]mark{}}
	_ = readEvents(strings.NewReader("event: other\ndata: {}\n\n: word\n\nretry: 5\n\nevent: void\nid: 4\ndata: {\"until\":99999999999,\ndata: \"ended\":[\""+digest("family:f")+"\"],\"x\":[1]}\n\nevent: void\ndata: {\"cut"),
		func(e message, whole bool) error {
			if whole {
				return s.apply(e)
			}
			return nil
		})
	if len(s.marks) != 1 || s.last != "4" || s.changes.Load() != 1 {
		t.Errorf("it read %d marks, up to %q", len(s.marks), s.last)
	}
}

// What nobody needs any more is forgotten.
func TestStreamForgets(t *testing.T) {
	s := &stream{marks: map[name]mark{}}
	for i := range 1000 {
		if err := s.apply(message{name: "void", data: fmt.Sprintf(`{"until":%d,"ended":[%q]}`, time.Now().Unix()-600+int64(i), digest(fmt.Sprint("family:", i)))}); err != nil {
			t.Fatal(err)
		}
	}
	s.swept = time.Time{}
	if err := s.apply(message{name: "current"}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.marks); n < 400 || n > 600 {
		t.Errorf("it keeps %d", n)
	}
}

func FuzzVoid(f *testing.F) {
	f.Add(`{"until":1796006326,"ended":["drFIhUUWGcsxXskXKGDOdA"],"narrowed":{"wf07J88N0utbc5CN9EenVA":7}}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, data string) {
		marks, _, err := parseVoid(data)
		if err == nil && len(marks) > len(data) {
			t.Errorf("%d marks", len(marks))
		}
	})
}

func FuzzStatusList(f *testing.F) {
	f.Add(`{"sub":"https://a.example/l","iat":1,"ttl":5,"status_list":{"bits":1,"lst":"eNpjYAAAAAEAAQ"}}`)
	l := &lists{fetcher: fetcher{issuer: "https://a.example"}, now: time.Now}
	f.Fuzz(func(t *testing.T, payload string) {
		s, err := l.claims("https://a.example/l", payload)
		if err == nil && (len(s.bits) == 0 || s.ttl <= 0 || s.ttl > maxListTTL) {
			t.Errorf("%d bytes for %v", len(s.bits), s.ttl)
		}
	})
}
