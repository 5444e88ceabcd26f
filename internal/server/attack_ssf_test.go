package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/ssf"
)

// streamCalls are all calls that name a stream.
func streamCalls(id string) map[string][2]any {
	return map[string][2]any{
		"GET /ssf/streams?stream_id=" + id:    {},
		"GET /ssf/status?stream_id=" + id:     {},
		"DELETE /ssf/streams?stream_id=" + id: {},
		"PATCH /ssf/streams":                  {m{"stream_id": id, "description": "mine"}},
		"PUT /ssf/streams":                    {m{"stream_id": id}},
		"POST /ssf/status":                    {m{"stream_id": id, "status": "disabled"}},
		"POST /ssf/subjects:add":              {m{"stream_id": id, "subject": m{"format": "opaque", "id": "x"}}},
		"POST /ssf/subjects:remove":           {m{"stream_id": id, "subject": m{"format": "opaque", "id": "x"}}},
		"POST /ssf/verification":              {m{"stream_id": id}},
		"POST /ssf/streams/" + id + "/poll":   {m{"returnImmediately": true, "ack": []string{"x"}}},
	}
}

// A stream is of the client that made it. To others, whatever they may do, it is not there;
// and nobody but a client has any.
func TestAttackStreams(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	shop, forum := hearing(t, s, "shop", nil), hearing(t, s, "forum", nil)
	stream := shop.opens(t, s, m{})
	for call, with := range streamCalls(stream.ID) {
		method, path, _ := strings.Cut(call, " ")
		if a := s.Call(t, forum.token, method, path, with[0]); a.Status != http.StatusNotFound {
			t.Errorf("%s by another client: %d %s", call, a.Status, a.Body)
		}
		if a := s.Call(t, "x.y.z", method, path, with[0]); a.Status != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s by a token that is none: %d %s", call, a.Status, a.Body)
		}
		reads := shop.gets(t, s, "ssf.read")
		if a := s.Call(t, reads, method, path, with[0]); (a.Status == http.StatusForbidden) != (method != "GET" && !strings.HasSuffix(path, "/poll")) {
			t.Errorf("%s by who may read: %d %s", call, a.Status, a.Body)
		}
	}
	for call, with := range streamCalls("nosuch") {
		method, path, _ := strings.Cut(call, " ")
		if a := s.Call(t, shop.token, method, path, with[0]); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", call, a.Status, a.Body)
		}
	}
	var list []streamConfig
	s.Call(t, forum.token, http.MethodGet, "/ssf/streams", nil).JSON(t, &list)
	if len(list) != 0 {
		t.Errorf("another client sees %+v", list)
	}

	// A person who holds the permissions is no client.
	s.User(t, "eve", "admin", "hears")
	eve := s.Login(t, "eve", "scope", "ssf.read ssf.manage clients:read").Access
	for call, with := range streamCalls(stream.ID) {
		method, path, _ := strings.Cut(call, " ")
		if a := s.Call(t, eve, method, path, with[0]); a.Status != http.StatusForbidden {
			t.Errorf("%s by a person: %d %s", call, a.Status, a.Body)
		}
	}
	if a := s.Call(t, eve, http.MethodPost, "/ssf/streams", m{}); a.Status != http.StatusForbidden {
		t.Errorf("a stream of a person: %d %s", a.Status, a.Body)
	}
	// A key of the client is as good as its token.
	k := keyFor(t, s, principal.Owner{Kind: principal.Service, ID: "shop"}, ssf.Read)
	if a := s.Send(t, http.MethodGet, "/ssf/streams?stream_id="+stream.ID, "", "", "X-API-Key", k); a.Status != http.StatusOK {
		t.Errorf("a key of the client: %d %s", a.Status, a.Body)
	}
	if a := s.Send(t, http.MethodDelete, "/ssf/streams?stream_id="+stream.ID, "", "", "X-API-Key", k); a.Status != http.StatusForbidden {
		t.Errorf("a key that may read: %d %s", a.Status, a.Body)
	}

	// What an administrator stops, the receiver hears of and does not start.
	root := s.Login(t, servertest.Admin).Access
	if a := s.Call(t, root, http.MethodPatch, "/streams/"+stream.ID, m{"status": "paused", "reason": "asked by somebody"}); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if e := tells(t, shop.polls(t, s, stream, 1)[0], ssf.StreamUpdated); e["status"] != "paused" || e["reason"] != "asked by somebody" {
		t.Errorf("it hears %v", e)
	}
	if a := s.Call(t, shop.token, http.MethodPost, "/ssf/status", m{"stream_id": stream.ID, "status": "enabled"}); a.Status != http.StatusForbidden {
		t.Errorf("starting it: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, shop.token, http.MethodDelete, "/ssf/streams?stream_id="+stream.ID, nil); a.Status != http.StatusNoContent || a.Body != "" {
		t.Errorf("deleting it: %d %s", a.Status, a.Body)
	}
	for range ssf.MostStreams {
		shop.opens(t, s, m{})
	}
	if a := s.Call(t, shop.token, http.MethodPost, "/ssf/streams", m{}); a.Status != http.StatusConflict {
		t.Errorf("past the most: %d %s", a.Status, a.Body)
	}

	off := servertest.Start(t, servertest.Options{Set: map[string]string{"shared_signals.enabled": "false"}})
	for _, path := range []string{"/.well-known/ssf-configuration", "/ssf/streams", "/ssf/status"} {
		if a := off.Call(t, off.Login(t, servertest.Admin).Access, http.MethodGet, path, nil); a.Status != http.StatusNotFound {
			t.Errorf("%s, switched off: %d", path, a.Status)
		}
	}
}

// keyFor makes an API key.
func keyFor(t *testing.T, s *servertest.Site, of principal.Owner, scopes ...string) string {
	t.Helper()
	_, text, err := s.Core.APIKeys.Create(t.Context(), servertest.Operator, apikey.Draft{Owner: of, Name: "k", Scopes: scopes, Lasts: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// What a receiver says of a stream is bounded, and no more than it decides; nothing is pushed
// to what stands around the server, and what one endpoint is shown no other is.
func TestAttackStreamConfiguration(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	shop := hearing(t, s, "shop", nil)
	push := func(at string) m { return m{"delivery": m{"method": ssf.Push, "endpoint_url": at}} }
	for name, body := range map[string]any{
		"broken": "{ broken", "a list": []string{}, "an id of its own": m{"stream_id": "x"}, "another issuer": m{"iss": "https://evil.example"}, "another audience": m{"aud": "forum"},
		"more events": m{"events_supported": []string{"urn:x"}}, "no such method": m{"delivery": m{"method": "urn:ietf:rfc:1149"}}, "no endpoint": m{"delivery": m{"method": ssf.Push}},
		"a text": m{"delivery": "push"}, "a number": m{"description": 1}, "long": m{"description": strings.Repeat("x", 300)}, "lines": m{"description": "a\nb"},
		"many events": m{"events_requested": slices.Repeat([]string{"urn:x"}, 100)}, "a long event": m{"events_requested": []string{strings.Repeat("x", 300)}},
		"where it is polled":   m{"delivery": m{"method": ssf.Poll, "endpoint_url": "https://evil.example"}},
		"a header that is two": m{"delivery": m{"method": ssf.Push, "endpoint_url": "https://a.example/", "authorization_header": "Bearer x\r\nHost: evil"}},
		"a header to polls":    m{"delivery": m{"method": ssf.Poll, "authorization_header": "Bearer x"}},
		"http":                 push("http://receiver.example/"), "loopback": push("https://127.0.0.1/"), "IPv6": push("https://[::1]/"), "inside": push("https://10.0.0.1/"), "metadata": push("https://169.254.169.254/latest"),
		"another port": push("https://receiver.example:22/"), "a file": push("file:///etc/passwd"), "a password": push("https://a:b@receiver.example/"), "a fragment": push("https://receiver.example/#x"),
		"long URL": push("https://receiver.example/" + strings.Repeat("x", 3000)),
	} {
		text, ok := body.(string)
		if !ok {
			encoded, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			text = string(encoded)
		}
		if a := s.Send(t, http.MethodPost, "/ssf/streams", jsonType, text, "Authorization", "Bearer "+shop.token); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	stream := shop.opens(t, s, m{
		"events_requested": append([]string{"urn:unknown"}, allEvents[:1]...), "description": "mine", "unknown": 1,
		"delivery": m{"method": ssf.Push, "endpoint_url": "https://one.example/", "authorization_header": "Bearer canary"},
	})
	if !slices.Equal(stream.Delivered, allEvents[:1]) || len(stream.Requested) != 2 || stream.Description != "mine" || stream.Interval != 30 {
		t.Errorf("it is %+v", stream)
	}
	sealed := func() bool {
		t.Helper()
		st, err := s.Core.Transmitter.Stream(t.Context(), stream.ID)
		if err != nil || strings.Contains(string(st.Authorization), "canary") {
			t.Fatalf("it is kept as %q, %v", st.Authorization, err)
		}
		return st.Authorization != nil
	}
	change := func(method string, body m, want int) streamConfig {
		t.Helper()
		var c streamConfig
		a := s.Call(t, shop.token, method, "/ssf/streams", body)
		if a.Status != want {
			t.Fatalf("%s %v: %d %s", method, body, a.Status, a.Body)
		}
		if want == http.StatusOK {
			a.JSON(t, &c)
		}
		return c
	}
	change(http.MethodPatch, m{"description": "without an id"}, http.StatusBadRequest)
	change(http.MethodPatch, m{"stream_id": stream.ID, "events_delivered": allEvents}, http.StatusBadRequest)
	if c := change(http.MethodPatch, m{"stream_id": stream.ID, "iss": s.URL, "aud": []string{"shop"}, "events_delivered": allEvents[:1], "events_requested": allEvents, "delivery": m{"method": ssf.Push, "endpoint_url": "https://one.example/"}}, http.StatusOK); !slices.Equal(c.Delivered, allEvents) || c.Description != "mine" || !sealed() {
		t.Errorf("after a change of the events: %+v", c)
	}
	change(http.MethodPatch, m{"stream_id": stream.ID, "delivery": m{"method": ssf.Push, "endpoint_url": "https://evil.example/"}}, http.StatusOK)
	if sealed() {
		t.Error("what one endpoint is shown is kept for another")
	}
	change(http.MethodPatch, m{"stream_id": stream.ID, "delivery": m{"method": ssf.Push, "endpoint_url": "https://one.example/", "authorization_header": "Bearer canary"}}, http.StatusOK)
	if c := change(http.MethodPut, m{"stream_id": stream.ID, "delivery": m{"method": ssf.Push, "endpoint_url": "https://one.example/"}}, http.StatusOK); sealed() || c.Description != "" || len(c.Delivered) != 0 {
		t.Errorf("after it was replaced: %+v", c)
	}
	if c := change(http.MethodPut, m{"stream_id": stream.ID}, http.StatusOK); c.Delivery.Method != string(ssf.Poll) {
		t.Errorf("replaced by nothing: %+v", c)
	}

	status := func(body m, want int) {
		t.Helper()
		if a := s.Call(t, shop.token, http.MethodPost, "/ssf/status", body); a.Status != want {
			t.Errorf("%v: %d %s", body, a.Status, a.Body)
		}
	}
	status(m{"stream_id": stream.ID, "status": "asleep"}, http.StatusBadRequest)
	status(m{"status": "paused"}, http.StatusBadRequest)
	status(m{"stream_id": stream.ID, "status": "paused", "reason": strings.Repeat("x", 300)}, http.StatusBadRequest)
	status(m{"stream_id": stream.ID, "status": "paused", "reason": "night"}, http.StatusOK)
	if a := s.Call(t, shop.token, http.MethodGet, "/ssf/status?stream_id="+stream.ID, nil); !strings.Contains(a.Body, `"status":"paused","reason":"night"`) {
		t.Errorf("its status: %s", a.Body)
	}
	for path, want := range map[string]int{"/ssf/status": 400, "/ssf/streams?stream_id=a&stream_id=b": 400, "/ssf/streams?stream_id=": 400} {
		if a := s.Call(t, shop.token, http.MethodGet, path, nil); a.Status != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for name, subject := range map[string]any{
		"none": nil, "a text": "x", "no format": m{"id": "x"}, "another format": m{"format": "phone_number", "phone_number": "+1"}, "no id": m{"format": "opaque"}, "long": m{"format": "opaque", "id": strings.Repeat("x", 300)},
		"no address": m{"format": "email", "email": "x"}, "of no user": m{"format": "complex", "tenant": m{"format": "opaque", "id": "x"}}, "narrower": m{"format": "complex", "user": m{"format": "opaque", "id": "x"}, "device": m{"format": "opaque", "id": "y"}},
		"nested": m{"format": "complex", "user": m{"format": "complex", "user": m{"format": "opaque", "id": "x"}}},
	} {
		if a := s.Call(t, shop.token, http.MethodPost, "/ssf/subjects:add", m{"stream_id": stream.ID, "subject": subject}); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for name, body := range map[string]m{
		"negative": {"maxEvents": -1}, "a text": {"maxEvents": "1"}, "many": {"ack": slices.Repeat([]string{"x"}, 501)}, "no list": {"ack": "x"}, "no object": {"setErrs": []string{}},
	} {
		if a := s.Call(t, shop.token, http.MethodPost, "/ssf/streams/"+stream.ID+"/poll", body); a.Status != http.StatusBadRequest {
			t.Errorf("a poll, %s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := s.Call(t, shop.token, http.MethodPost, "/ssf/verification", m{"stream_id": stream.ID, "state": strings.Repeat("x", 2000)}); a.Status != http.StatusBadRequest {
		t.Errorf("a long state: %d", a.Status)
	}
}

// A stream tells of nobody who did not sign in to its client, whomever it names, and its
// answers do not say who there is; by an address it hears of who let it know that; and the
// name of a person at another client it never learns.
func TestAttackStreamDisclosure(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	shop := hearing(t, s, "shop", nil)
	apart := hearing(t, s, "apart", func(d *client.Draft) { d.SubjectType, d.SkipConsent = client.PairwiseSubjects, false })
	ana, stranger := s.User(t, "ana", "editor"), s.User(t, "stranger", "editor")
	stream, named, discreet := shop.opens(t, s, m{}), shop.opens(t, s, m{}), apart.opens(t, s, m{})

	var answers []string
	for _, subject := range []m{
		shop.issSub(s, ana.ID), shop.issSub(s, stranger.ID), shop.issSub(s, "nobody"),
		{"format": "email", "email": "stranger@example.com"},
		{"format": "email", "email": "nobody@example.com"},
		{"format": "opaque", "id": stranger.ID},
		{"format": "iss_sub", "iss": "https://other.example", "sub": ana.ID},
	} {
		for _, path := range []string{"/ssf/subjects:add", "/ssf/subjects:remove", "/ssf/subjects:add"} {
			a := s.Call(t, shop.token, http.MethodPost, path, m{"stream_id": stream.ID, "subject": subject})
			answers = append(answers, fmt.Sprint(path, a.Status, a.Body))
		}
	}
	slices.Sort(answers)
	if answers = slices.Compact(answers); len(answers) != 2 {
		t.Errorf("the answers differ: %q", answers)
	}

	b, other := s.Browser(t), s.Browser(t)
	b.Login(t, "ana")
	other.Login(t, "stranger")
	shop.signs(t, b)
	var g granted // who lets it know no address
	redeem(t, s, "apart", apart.secret, code(t, b, authorizing("apart", "scope", "openid read"))).JSON(t, &g)
	sub := payload(t, g.ID)["sub"]
	if sub == ana.ID || sub == nil {
		t.Fatalf("the subject is %v", sub)
	}
	for _, subject := range []m{apart.issSub(s, ana.ID), {"format": "opaque", "id": ana.ID}, {"format": "email", "email": "ana@example.com"}} {
		apart.adds(t, s, discreet.ID, subject)
	}
	shop.adds(t, s, named.ID, m{"format": "email", "email": "Ana@EXAMPLE.com"})
	if err := s.Core.Roles.Take(t.Context(), servertest.Operator, ana.ID, "editor"); err != nil {
		t.Fatal(err)
	}
	// It signed in anew; the address that the application may know is the name by which it asked.
	if p := shop.polls(t, s, named, 1)[0]; fmt.Sprint(p["sub_id"]) != "map[email:ana@example.com format:email]" {
		t.Errorf("it is about %v", p["sub_id"])
	}
	shop.polls(t, s, stream, 1)
	other.Submit(t, "/account", "/account/password", "current_password", servertest.Password, "new_password", "another one of mine")

	apart.adds(t, s, discreet.ID, apart.issSub(s, sub))
	b.Submit(t, "/account", "/account/signout")
	p := apart.polls(t, s, discreet, 1)[0]
	if user := p["sub_id"].(map[string]any)["user"].(map[string]any); user["sub"] != sub || p["events"].(map[string]any)[ssf.SessionRevoked.URI()] == nil {
		t.Errorf("it is about %v", p["sub_id"])
	}
	if text := fmt.Sprint(p); strings.Contains(text, ana.ID) || strings.Contains(text, "ana@") {
		t.Errorf("it learns another name: %s", text)
	}
	list := shop.polls(t, s, stream, 2)
	if len(list) != 2 || strings.Contains(fmt.Sprint(list), stranger.ID) || list[1]["txn"] == p["txn"] {
		t.Errorf("it hears %v", list)
	}
}

// By shared_signals.subjects a stream tells of everybody who signed in to its client but
// those whom its receiver takes off.
func TestSharedSignalsOfAll(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"shared_signals.subjects": "all"}})
	var about map[string]any
	s.Send(t, http.MethodGet, "/.well-known/ssf-configuration", "", "").JSON(t, &about)
	if about["issuer"] != s.URL || about["spec_version"] != "1_0" || about["default_subjects"] != "ALL" || about["jwks_uri"] != s.URL+"/oauth2/jwks" || fmt.Sprint(about["authorization_schemes"]) != "[map[spec_urn:urn:ietf:rfc:6749]]" {
		t.Errorf("it says %v", about)
	}
	shop := hearing(t, s, "shop", nil)
	stream := shop.opens(t, s, m{})
	ana, bob := s.User(t, "ana", "editor"), s.User(t, "bob", "editor")
	for name, u := range map[string]string{"ana": ana.ID, "bob": bob.ID} {
		b := s.Browser(t)
		b.Login(t, name)
		shop.signs(t, b)
		if name == "bob" {
			s.Call(t, shop.token, http.MethodPost, "/ssf/subjects:remove", m{"stream_id": stream.ID, "subject": shop.issSub(s, u)})
		}
	}
	s.User(t, "stranger", "editor")
	for _, name := range []string{"bob", "stranger", "ana"} {
		u, err := s.Core.Accounts.ByLogin(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Core.Roles.Take(t.Context(), servertest.Operator, u.ID, "editor"); err != nil {
			t.Fatal(err)
		}
	}
	if list := shop.polls(t, s, stream, 1); len(list) != 1 || list[0]["sub_id"].(map[string]any)["sub"] != ana.ID {
		t.Errorf("it hears %v", list)
	}
}

// A poll that waits is answered once there is something; a third at once; and a receiver that
// loses the permission, or is disabled, is sent nothing more.
func TestSharedSignalsWait(t *testing.T) {
	t.Parallel()
	s, r := pushing(t, servertest.Options{})
	shop := hearing(t, s, "shop", nil)
	stream := shop.opens(t, s, m{})
	done := make(chan map[string]string, 2)
	for range 2 {
		go func() { done <- shop.poll(t, s, stream, m{}) }()
	}
	time.Sleep(100 * time.Millisecond) // they wait
	began := time.Now()
	if sets := shop.poll(t, s, stream, m{}); len(sets) != 0 || time.Since(began) > 5*time.Second {
		t.Errorf("a third is answered with %v after %v", sets, time.Since(began))
	}
	if a := s.Call(t, shop.token, http.MethodPost, "/ssf/verification", m{"stream_id": stream.ID}); a.Status != http.StatusNoContent {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for range 2 {
		if sets := <-done; len(sets) != 1 {
			t.Errorf("who waited gets %v", sets)
		}
	}

	pushes := shop.opens(t, s, m{"delivery": m{"method": ssf.Push, "endpoint_url": r.URL}})
	if err := s.Core.Roles.TakeGrant(t.Context(), servertest.Operator, rbac.Grant{Kind: principal.Service, Principal: "shop", Role: "hears"}); err != nil {
		t.Fatal(err)
	}
	st, err := s.Core.Transmitter.Stream(t.Context(), pushes.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Core.Transmitter.StopStream(t.Context(), servertest.Operator, st, ssf.StatusChange{Status: ssf.Disabled}); err != nil { // which it is to hear
		t.Fatal(err)
	}
	for began := time.Now(); len(events(t, s, "stream.not-told")) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("nobody tried")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sets) != 0 {
		t.Errorf("it was told %v", r.sets)
	}
}
