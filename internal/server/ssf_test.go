package server_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/ssf"
)

// ear is an application that people sign in to and that hears of what happens to them.
type ear struct {
	id, secret, token string
}

// hearing registers an application that may have streams.
func hearing(t *testing.T, s *servertest.Site, id string, change func(*client.Draft)) ear {
	t.Helper()
	if _, err := s.Core.Roles.CreateRole(t.Context(), servertest.Operator, rbac.Role{Name: "hears", Permissions: []string{ssf.Read, ssf.Manage}}); err != nil && fault.KindOf(err) != fault.Conflict {
		t.Fatal(err)
	}
	e := ear{id: id}
	e.secret = app(t, s, id, func(d *client.Draft) {
		d.Grants = []oauth.GrantType{oauth.AuthorizationCode, oauth.ClientCredentials, oauth.RefreshToken}
		d.Scopes, d.SkipConsent, d.IDTokenAlg = append(d.Scopes, "email", ssf.Read, ssf.Manage), true, ""
		if change != nil {
			change(d)
		}
	})
	if _, err := s.Core.Roles.GiveGrant(t.Context(), servertest.Operator, rbac.Grant{Kind: "service", Principal: id, Role: "hears"}); err != nil {
		t.Fatal(err)
	}
	e.token = e.gets(t, s, "ssf.read ssf.manage")
	return e
}

func (e ear) gets(t *testing.T, s *servertest.Site, scope string) string {
	t.Helper()
	var tokens servertest.Tokens
	a := s.Send(t, http.MethodPost, "/oauth2/token", formType, "grant_type=client_credentials&scope="+strings.ReplaceAll(scope, " ", "+"),
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(e.id+":"+e.secret)))
	a.JSON(t, &tokens)
	if tokens.Access == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return tokens.Access
}

// signs signs somebody in to the application in a browser, who is signed in there.
func (e ear) signs(t *testing.T, b *servertest.Browser) granted {
	t.Helper()
	var g granted
	redeem(t, b.Site, e.id, e.secret, code(t, b, authorizing(e.id, "scope", "openid read email"))).JSON(t, &g)
	if g.ID == "" {
		t.Fatal("there is no ID token")
	}
	return g
}

// streamOf makes a stream of a client, which is let have one.
func streamOf(t testing.TB, s *servertest.Site, client string) ssf.Stream {
	t.Helper()
	st, err := s.Core.Transmitter.CreateStream(t.Context(), principal.Principal{Kind: principal.Service, ID: client}, ssf.Configuration{
		Requested: ssf.Supported(), Delivery: &ssf.Delivery{Method: ssf.Push, Endpoint: "https://billing.example.com/events"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// ofStreams are the rows of the matrix that are of streams. People have none, whatever they may
// do; what clients may is in TestAttackStreams.
var ofStreams = map[string]row{
	"GET /streams":         {wants: admins(200, 200, 200)},
	"GET /streams/{id}":    {wants: admins(200, 200, 404), path: (*call).stream},
	"PATCH /streams/{id}":  {wants: keepers(200), path: (*call).stream, body: func(*call) any { return map[string]any{"status": "paused"} }},
	"DELETE /streams/{id}": {wants: keepers(204), path: (*call).stream},

	"GET /.well-known/ssf-configuration": {wants: everybody(200)},
	"GET /ssf/streams":                   {},
	"POST /ssf/streams":                  {body: func(*call) any { return map[string]any{} }},
	"PATCH /ssf/streams":                 {body: func(*call) any { return map[string]any{} }},
	"PUT /ssf/streams":                   {body: func(*call) any { return map[string]any{} }},
	"DELETE /ssf/streams":                {},
	"GET /ssf/status":                    {},
	"POST /ssf/status":                   {body: func(*call) any { return map[string]any{} }},
	"POST /ssf/subjects:add":             {body: func(*call) any { return map[string]any{} }},
	"POST /ssf/subjects:remove":          {body: func(*call) any { return map[string]any{} }},
	"POST /ssf/verification":             {body: func(*call) any { return map[string]any{} }},
	"POST /ssf/streams/{id}/poll":        {path: func(*call) string { return "/ssf/streams/x/poll" }, body: func(*call) any { return map[string]any{} }},
}

// stream is one of such a client.
func (c *call) stream() string {
	if c.target == "absent" {
		return "/streams/nosuch"
	}
	return "/streams/" + streamOf(c.t, c.s, strings.TrimPrefix(c.client(), "/clients/")).ID
}

// joined are the rows of two tables.
func joined(some, others map[string]row) map[string]row {
	all := maps.Clone(some)
	maps.Copy(all, others)
	return all
}

type streamConfig struct {
	ID        string   `json:"stream_id"`
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	Supported []string `json:"events_supported"`
	Requested []string `json:"events_requested"`
	Delivered []string `json:"events_delivered"`
	Delivery  struct {
		Method, Authorization string
		Endpoint              string `json:"endpoint_url"`
	} `json:"delivery"`
	Interval    int    `json:"min_verification_interval"`
	Description string `json:"description"`
}

type m = map[string]any

var allEvents = ssf.Supported()

// opens makes a stream.
func (e ear) opens(t *testing.T, s *servertest.Site, body m) streamConfig {
	t.Helper()
	if body["events_requested"] == nil {
		body["events_requested"] = allEvents
	}
	a := s.Call(t, e.token, http.MethodPost, "/ssf/streams", body)
	if a.Status != http.StatusCreated {
		t.Fatalf("making a stream: %d %s", a.Status, a.Body)
	}
	var c streamConfig
	a.JSON(t, &c)
	return c
}

// adds puts somebody on a stream.
func (e ear) adds(t *testing.T, s *servertest.Site, stream string, subject m) {
	t.Helper()
	if a := s.Call(t, e.token, http.MethodPost, "/ssf/subjects:add", m{"stream_id": stream, "subject": subject}); a.Status != http.StatusOK || a.Body != "" {
		t.Fatalf("adding %v: %d %s", subject, a.Status, a.Body)
	}
}

func (e ear) issSub(s *servertest.Site, sub any) m {
	return m{"format": "iss_sub", "iss": s.URL, "sub": sub}
}

// polls polls until as many events wait, and returns their payloads in order of time, by
// their kind and id; nothing is acknowledged.
func (e ear) polls(t *testing.T, s *servertest.Site, c streamConfig, n int) []map[string]any {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		sets := e.poll(t, s, c, m{"returnImmediately": true})
		if len(sets) >= n {
			var list []map[string]any
			for id, set := range sets {
				p := verifiedSet(t, s, set)
				if p["jti"] != id || p["aud"] != e.id {
					t.Errorf("%s says %v", id, p)
				}
				list = append(list, p)
			}
			slices.SortFunc(list, func(a, b map[string]any) int { return strings.Compare(a["jti"].(string), b["jti"].(string)) })
			return list
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d events wait, want %d", len(sets), n)
		}
	}
}

func (e ear) poll(t *testing.T, s *servertest.Site, c streamConfig, body m) map[string]string {
	t.Helper()
	var answer struct{ Sets map[string]string }
	a := s.Call(t, e.token, http.MethodPost, strings.TrimPrefix(c.Delivery.Endpoint, s.URL), body)
	a.JSON(t, &answer)
	if a.Status != http.StatusOK || answer.Sets == nil {
		t.Fatalf("polling: %d %s", a.Status, a.Body)
	}
	return answer.Sets
}

// verifiedSet holds a SET against the published keys, by a library that knows nothing of us,
// and returns what it says.
func verifiedSet(t *testing.T, s *servertest.Site, set string) map[string]any {
	t.Helper()
	payload, err := oidc.NewRemoteKeySet(t.Context(), s.URL+"/oauth2/jwks").VerifySignature(t.Context(), set)
	if err != nil {
		t.Fatalf("%s: %v", set, err)
	}
	head, _, _ := strings.Cut(set, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head)
	if !strings.Contains(string(text), `"typ":"secevent+jwt"`) || !strings.Contains(string(text), `"alg":"RS256"`) {
		t.Errorf("its header is %s", text)
	}
	var p map[string]any
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exp", "sub", "nbf"} {
		if p[name] != nil {
			t.Errorf("it has %s: %s", name, payload)
		}
	}
	if p["iss"] != s.URL || p["jti"] == "" || p["iat"] == nil || len(p["events"].(map[string]any)) != 1 {
		t.Errorf("it says %s", payload)
	}
	return p
}

// tells returns the one event of a SET.
func tells(t *testing.T, p map[string]any, kind ssf.Kind) map[string]any {
	t.Helper()
	e, ok := p["events"].(map[string]any)[kind.URI()].(map[string]any)
	if !ok {
		t.Fatalf("it tells no %s: %v", kind, p["events"])
	}
	return e
}

// What happens to somebody who signed in to an application comes to its stream, as it is
// polled: his session that ended, the password and the roles that are others.
func TestSharedSignalsPoll(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		shop := hearing(t, s, "shop", nil)
		ana := s.User(t, "ana", "editor")
		s.User(t, "bob", "editor")
		b := s.Browser(t)
		b.Login(t, "ana")
		g := shop.signs(t, b)
		sid := payload(t, g.ID)["sid"]
		other := s.Browser(t)
		other.Login(t, "bob")
		shop.signs(t, other)

		stream := shop.opens(t, s, m{})
		if want := s.URL + "/ssf/streams/" + stream.ID + "/poll"; stream.Delivery.Method != string(ssf.Poll) || stream.Delivery.Endpoint != want ||
			stream.Issuer != s.URL || stream.Audience != "shop" || !slices.Equal(stream.Delivered, allEvents) {
			t.Errorf("it is %+v", stream)
		}
		if sets := shop.poll(t, s, stream, m{"returnImmediately": true}); len(sets) != 0 {
			t.Errorf("a new stream holds %v", sets)
		}
		shop.adds(t, s, stream.ID, shop.issSub(s, ana.ID))

		if err := s.Core.Roles.TakeGrant(t.Context(), servertest.Operator, rbac.Grant{Principal: ana.ID, Role: "editor"}); err != nil {
			t.Fatal(err)
		}
		roles := shop.polls(t, s, stream, 1)[0]
		if e := tells(t, roles, ssf.TokenClaimsChange); fmt.Sprint(e["claims"]) != "map[roles:[]]" || e["initiating_entity"] != "admin" || e["event_timestamp"] == nil {
			t.Errorf("the roles: %v", e)
		}
		if fmt.Sprint(roles["sub_id"]) != fmt.Sprintf("map[format:iss_sub iss:%s sub:%s]", s.URL, ana.ID) {
			t.Errorf("it is about %v", roles["sub_id"])
		}
		b.Submit(t, "/account", "/account/password", "current_password", servertest.Password, "new_password", "another one of mine")
		other.Submit(t, "/account", "/account/signout") // of whom it does not want to hear
		list := shop.polls(t, s, stream, 3)
		var kinds []string
		for _, p := range list {
			for uri, e := range p["events"].(map[string]any) {
				kinds = append(kinds, uri)
				if uri == ssf.SessionRevoked.URI() {
					e := e.(map[string]any)
					subject := p["sub_id"].(map[string]any)
					if session, _ := subject["session"].(map[string]any); subject["format"] != "complex" || session["id"] != sid || session["format"] != "opaque" {
						t.Errorf("the session is %v, and %v in the ID token", subject, sid)
					}
					if e["initiating_entity"] != "user" || fmt.Sprint(e["reason_admin"]) != "map[en:the password was changed]" {
						t.Errorf("the session: %v", e)
					}
				}
				if uri == ssf.CredentialChange.URI() {
					e := e.(map[string]any)
					if e["credential_type"] != "password" || e["change_type"] != "update" || e["initiating_entity"] != "user" {
						t.Errorf("the password: %v", e)
					}
				}
			}
		}
		slices.Sort(kinds)
		if want := slices.Sorted(slices.Values(allEvents)); !slices.Equal(kinds, want) {
			t.Errorf("it heard %v", kinds)
		}

		// What is acknowledged does not come again; the rest does.
		first := list[0]["jti"].(string)
		if sets := shop.poll(t, s, stream, m{"maxEvents": 0, "ack": []string{first, "unknown"}}); len(sets) != 0 {
			t.Errorf("maxEvents 0 returns %v", sets)
		}
		if left := shop.polls(t, s, stream, 2); len(left) != 2 || left[0]["jti"] == first || left[1]["jti"] == first {
			t.Errorf("%v is left", left)
		}
		a := s.Call(t, shop.token, http.MethodPost, "/ssf/streams/"+stream.ID+"/poll", m{"maxEvents": 1, "returnImmediately": true})
		if !strings.Contains(a.Body, `"moreAvailable":true`) {
			t.Errorf("of two: %s", a.Body)
		}
		shop.poll(t, s, stream, m{"maxEvents": 0, "ack": []any{list[1]["jti"]}, "setErrs": m{list[2]["jti"].(string): m{"err": "invalid_audience", "description": "not for me"}}})
		if sets := shop.poll(t, s, stream, m{"returnImmediately": true}); len(sets) != 0 {
			t.Errorf("after all was taken: %v", sets)
		}
		if list := events(t, s, "stream.not-told"); len(list) != 1 || list[0].Detail["err"] != "invalid_audience" {
			t.Errorf("what it did not take is recorded as %+v", list)
		}
	})
}

// pushed is what came to a receiver.
type pushed struct {
	*httptest.Server
	mu      sync.Mutex
	sets    []string
	headers []http.Header
	answers func(n int, w http.ResponseWriter)
}

func pushing(t *testing.T, o servertest.Options) (*servertest.Site, *pushed) {
	t.Helper()
	p := &pushed{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.sets, p.headers = append(p.sets, string(body)), append(p.headers, r.Header)
		n, answers := len(p.sets), p.answers
		p.mu.Unlock()
		if answers != nil {
			answers(n, w)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(p.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if o.Set == nil {
		o.Set = map[string]string{}
	}
	o.Set["fetch.allow"], o.Set["fetch.ca"] = p.Listener.Addr().String(), ca
	return servertest.Start(t, o), p
}

// came waits until as many events came, and returns the last.
func (p *pushed) came(t *testing.T, n int) (string, http.Header) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		sets, headers := slices.Clone(p.sets), slices.Clone(p.headers)
		p.mu.Unlock()
		if len(sets) >= n {
			return sets[n-1], headers[n-1]
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d came, want %d", len(sets), n)
		}
	}
}

// Events are pushed to where the receiver says, with what it wants to see there, and one
// that it refuses is not pushed again (RFC 8935).
func TestSharedSignalsPush(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s, r := pushing(t, servertest.Options{DSN: dsn})
		shop := hearing(t, s, "shop", nil)
		ana := s.User(t, "ana", "editor")
		b := s.Browser(t)
		b.Login(t, "ana")
		shop.signs(t, b)
		stream := shop.opens(t, s, m{"delivery": m{"method": ssf.Push, "endpoint_url": r.URL + "/events", "authorization_header": "Bearer of the receiver"}})
		if stream.Delivery.Endpoint != r.URL+"/events" || stream.Delivery.Authorization != "" {
			t.Errorf("it is shown as %+v", stream.Delivery)
		}
		if a := s.Call(t, shop.token, http.MethodPost, "/ssf/verification", m{"stream_id": stream.ID, "state": "xyz"}); a.Status != http.StatusNoContent {
			t.Fatalf("verification: %d %s", a.Status, a.Body)
		}
		set, header := r.came(t, 1)
		if header.Get("Content-Type") != "application/secevent+jwt" || header.Get("Accept") != "application/json" || header.Get("Authorization") != "Bearer of the receiver" {
			t.Errorf("it came with %v", header)
		}
		p := verifiedSet(t, s, set)
		if e := tells(t, p, ssf.Verification); e["state"] != "xyz" || fmt.Sprint(p["sub_id"]) != "map[format:opaque id:"+stream.ID+"]" {
			t.Errorf("verification: %v", p)
		}
		if a := s.Call(t, shop.token, http.MethodPost, "/ssf/verification", m{"stream_id": stream.ID}); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
			t.Errorf("verification at once again: %d %v", a.Status, a.Header)
		}

		r.mu.Lock()
		r.answers = func(n int, w http.ResponseWriter) {
			if n == 2 {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"err":"invalid_key","description":"I know no such key"}`)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		}
		r.mu.Unlock()
		shop.adds(t, s, stream.ID, shop.issSub(s, ana.ID))
		b.Submit(t, "/account", "/account/signout")
		refused, _ := r.came(t, 2)
		tells(t, verifiedSet(t, s, refused), ssf.SessionRevoked)
		for began := time.Now(); len(events(t, s, "stream.not-told")) == 0 && time.Since(began) < 10*time.Second; {
			time.Sleep(10 * time.Millisecond)
		}
		if list := events(t, s, "stream.not-told"); len(list) != 1 || list[0].Detail["err"] != "invalid_key" {
			t.Errorf("it is recorded as %+v", list)
		}
		b.Login(t, "ana")
		shop.signs(t, b)
		b.Submit(t, "/account", "/account/signout")
		next, _ := r.came(t, 3)
		if next == refused {
			t.Error("what was refused came again")
		}
	})
}
