package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// held is an API key and its public id.
type held struct{ id, text string }

// keyOf makes a key of a user that has scopes, past the API.
func keyOf(t testing.TB, s *servertest.Site, by principal.Principal, user string, scopes ...string) held {
	t.Helper()
	return keyFrom(t, s, by, apikey.Draft{Owner: principal.Owner{Kind: principal.User, ID: user}, Scopes: scopes})
}

// keyFrom makes a key of an hour from a draft.
func keyFrom(t testing.TB, s *servertest.Site, by principal.Principal, d apikey.Draft) held {
	t.Helper()
	if d.Name == "" {
		d.Name = "test"
	}
	if d.Lasts == 0 {
		d.Lasts = time.Hour
	}
	k, text, err := s.Core.APIKeys.Create(t.Context(), by, d)
	if err != nil {
		t.Fatal(err)
	}
	return held{k.ID, text.Reveal()}
}

// calls calls the management API with the key, in one of its two headers.
func (k held) calls(t testing.TB, s *servertest.Site, method, path string, body any) servertest.Answer {
	t.Helper()
	return s.Call(t, k.text, method, path, body)
}

// good reports whether the key is taken. One that is not is refused, or its network is.
func (k held) good(t testing.TB, s *servertest.Site) bool {
	t.Helper()
	a := s.Send(t, http.MethodGet, "/users/me", "", "", "X-API-Key", k.text)
	if a.Status != http.StatusOK && a.Status != http.StatusUnauthorized && a.Status != http.StatusTooManyRequests {
		t.Errorf("a key is answered %d %s", a.Status, a.Body)
	}
	return a.Status == http.StatusOK
}

// keyMade makes a key through the API.
func keyMade(t testing.TB, s *servertest.Site, token string, body map[string]any) (held, map[string]any) {
	t.Helper()
	for name, value := range map[string]any{"name": "test", "scopes": []string{}, "expires_in": 3600} {
		if _, ok := body[name]; !ok {
			body[name] = value
		}
	}
	a := s.Call(t, token, http.MethodPost, "/api-keys", body)
	if a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var v map[string]any
	a.JSON(t, &v)
	return held{v["id"].(string), v["key"].(string)}, v
}

// verified asks POST /api-keys/verify.
func verified(t testing.TB, s *servertest.Site, token string, body map[string]any) map[string]any {
	t.Helper()
	a := s.Call(t, token, http.MethodPost, "/api-keys/verify", body)
	var v map[string]any
	if a.JSON(t, &v); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return v
}

// A key is found, changed, rotated and revoked by whose it is, and says how it is used.
func TestAPIKeyLife(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "viewer", "editor")
	token := s.Login(t, "ann").Access
	type m = map[string]any
	k, v := keyMade(t, s, token, m{"name": "nightly", "scopes": []string{"write", "read", "read"}, "networks": []string{"127.0.0.0/8", "::1"}, "rate_limit": 1000})
	if fmt.Sprintln(v["scopes"], v["networks"], v["rate_limit"], v["last_used_at"], v["expired"]) != "[read write] [127.0.0.0/8 ::1/128] 1000 <nil> false\n" {
		t.Errorf("it is %v", v)
	}
	if _, ok := apikey.Parse(k.text); !ok || !regexp.MustCompile("^"+apikey.Pattern+"$").MatchString(k.text) || !strings.Contains(k.text, "_"+k.id+"_") {
		t.Errorf("the key of %s is %s", k.id, k.text)
	}
	for range 3 {
		if !k.good(t, s) {
			t.Fatal("it is not good")
		}
	}
	var me struct {
		Username           string
		Permissions, Scope []string
	}
	k.calls(t, s, "GET", "/users/me", nil).JSON(t, &me)
	if me.Username != "ann" || !slices.Equal(me.Scope, []string{"read", "write"}) {
		t.Errorf("its owner is %+v", me)
	}
	for range 2 { // from memory, and from the database
		a := s.Call(t, token, "GET", "/api-keys/"+k.id, nil)
		var shown struct {
			UsedAt   *string `json:"last_used_at"`
			UsedFrom string  `json:"last_used_address"`
			Usage    []struct {
				Day   string
				Count int
			}
		}
		a.JSON(t, &shown)
		if shown.UsedAt == nil || shown.UsedFrom != "127.0.0.1" || len(shown.Usage) != 1 || shown.Usage[0].Count != 4 || shown.Usage[0].Day != time.Now().UTC().Format(time.DateOnly) {
			t.Errorf("its use is told as %s", a.Body)
		}
		if err := s.Core.APIKeys.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	etag := s.Call(t, token, "GET", "/api-keys/"+k.id, nil).Header.Get("ETag")
	a := s.Call(t, token, "PATCH", "/api-keys/"+k.id, m{"scopes": []string{"read"}, "networks": nil, "name": "daily"}, "If-Match", etag)
	var changed m
	if a.JSON(t, &changed); a.Status != http.StatusOK || fmt.Sprintln(changed["name"], changed["scopes"], changed["networks"], changed["rate_limit"]) != "daily [read] [] 1000\n" {
		t.Errorf("changed, it is %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, token, "PATCH", "/api-keys/"+k.id, m{"name": "x"}, "If-Match", etag); a.Status != http.StatusPreconditionFailed {
		t.Errorf("changed by what is old: %d", a.Status)
	}
	var next struct{ ID, Key string }
	s.Call(t, token, "POST", "/api-keys/"+k.id+"/rotate", m{"overlap": 3600}).JSON(t, &next)
	if second := (held{next.ID, next.Key}); next.ID != k.id || !k.good(t, s) || !second.good(t, s) {
		t.Errorf("after a rotation with an overlap %v", next)
	}
	var last struct{ ID, Key string }
	s.Call(t, token, "POST", "/api-keys/"+k.id+"/rotate", m{"overlap": 0}).JSON(t, &last)
	if (held{next.ID, next.Key}).good(t, s) || k.good(t, s) || !(held{last.ID, last.Key}).good(t, s) {
		t.Error("after a rotation without overlap, not the last one alone is good")
	}
	var list struct {
		Items []struct{ ID, Owner string }
		Next  *string
	}
	keyMade(t, s, token, m{})
	s.Call(t, token, "GET", "/api-keys?limit=1", nil).JSON(t, &list)
	first := list.Items[0].ID
	s.Call(t, token, "GET", "/api-keys?limit=1&after="+*list.Next, nil).JSON(t, &list)
	if len(list.Items) != 1 || list.Next != nil || list.Items[0].ID == first || list.Items[0].Owner != "user:"+ann.ID {
		t.Errorf("the second page is %+v", list)
	}
	if a := s.Call(t, token, "DELETE", "/api-keys/"+k.id, nil); a.Status != http.StatusNoContent || (held{last.ID, last.Key}).good(t, s) {
		t.Errorf("revoked: %d", a.Status)
	}
}

// A key that is to be made says what it may not be.
func TestAPIKeyMistakes(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"keys.max_lifetime": "2h"}})
	root := s.Login(t, servertest.Admin).Access
	for place, body := range map[string]map[string]any{
		"body.name":       {"name": "a\nb"},
		"body.scopes":     {"scopes": []string{"orders:*"}},
		"body.expires_in": {"expires_in": 7201},
		"body.networks":   {"networks": []string{"10.1.2.3/8"}},
		"body.resources":  {"resources": []string{"orders"}},
		"body.rate_limit": {"rate_limit": -1},
		"body.bogus":      {"bogus": 1},
	} {
		for name, value := range map[string]any{"name": "x", "scopes": []string{}, "expires_in": 60} {
			if _, ok := body[name]; !ok {
				body[name] = value
			}
		}
		refusedAs(t, place, s.Call(t, root, "POST", "/api-keys", body), http.StatusBadRequest, place)
	}
	refusedAs(t, "no end", s.Call(t, root, "POST", "/api-keys", map[string]any{"name": "x", "scopes": []string{}}), http.StatusBadRequest, "body.expires_in")
	refusedAs(t, "no scopes", s.Call(t, root, "POST", "/api-keys", map[string]any{"name": "x", "expires_in": 60}), http.StatusBadRequest, "*")
	for range apikey.Most {
		keyOf(t, s, servertest.Operator, subject(t, s, root))
	}
	refusedAs(t, "one too many", s.Call(t, root, "POST", "/api-keys", map[string]any{"name": "x", "scopes": []string{}, "expires_in": 60}), http.StatusConflict, "")
}

// Where operators allow it, a key has no end.
func TestAPIKeyWithoutEnd(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"keys.allow_unlimited": "true"}})
	a := s.Call(t, s.Login(t, servertest.Admin).Access, "POST", "/api-keys", map[string]any{"name": "x", "scopes": []string{}})
	var made map[string]any
	if a.JSON(t, &made); a.Status != http.StatusCreated || made["expires_at"] != nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// A key is good only where it is for: from its networks, at its APIs, and so often.
func TestAPIKeyBounds(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "viewer")
	owner := principal.Owner{Kind: principal.User, ID: ann.ID}
	networks := func(list ...string) []netip.Prefix {
		parsed, err := apikey.ParseNetworks(list)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	const orders = "https://orders.example.com"
	for what, tt := range map[string]struct {
		draft apikey.Draft
		good  bool
	}{
		"from here":           {apikey.Draft{Networks: networks("192.0.2.0/24", "127.0.0.1")}, true},
		"from elsewhere":      {apikey.Draft{Networks: networks("192.0.2.0/24", "2001:db8::/32")}, false},
		"for another API":     {apikey.Draft{Resources: []string{orders}}, false},
		"for this API":        {apikey.Draft{Resources: []string{orders, s.URL}}, true},
		"for this, elsewhere": {apikey.Draft{Resources: []string{s.URL}, Networks: networks("192.0.2.0/24")}, false},
	} {
		tt.draft.Owner = owner
		if k := keyFrom(t, s, servertest.Operator, tt.draft); k.good(t, s) != tt.good {
			t.Errorf("%s: it is good: %t", what, !tt.good)
		}
	}
	k := keyFrom(t, s, servertest.Operator, apikey.Draft{Owner: owner, Rate: 3})
	token := s.Login(t, "ann").Access
	for n := range 5 {
		a := k.calls(t, s, "GET", "/users/me", nil)
		if want := map[bool]int{true: 200, false: 429}[n < 3]; a.Status != want || want == 429 && a.Header.Get("Retry-After") == "" {
			t.Errorf("use %d: %d %s", n+1, a.Status, a.Header.Get("Retry-After"))
		}
	}
	refusedAs(t, "used too often, at verify", s.Call(t, token, "POST", "/api-keys/verify", map[string]any{"key": k.text}), http.StatusTooManyRequests, "")
	if !keyOf(t, s, servertest.Operator, ann.ID).good(t, s) {
		t.Error("another key of hers is limited, too")
	}
}

// APIs ask about keys: with a client's secret at introspect, with a credential at verify.
func TestAPIKeyJudged(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	makeRole(t, s, "reader", "orders:read")
	ann := s.User(t, "ann", "reader")
	const orders, stock = "https://orders.example.com", "https://stock.example.com"
	api := register(t, s, root, map[string]any{"client_id": "orders", "audiences": []string{orders, "urn:orders"}})
	other := register(t, s, root, map[string]any{"client_id": "other"})
	owner := principal.Owner{Kind: principal.User, ID: ann.ID}
	make := func(d apikey.Draft) held {
		d.Owner, d.Scopes = owner, []string{"orders:read"}
		return keyFrom(t, s, servertest.Operator, d)
	}
	at, err := apikey.ParseNetworks([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	free, here, there, near := make(apikey.Draft{}), make(apikey.Draft{Resources: []string{orders}}), make(apikey.Draft{Resources: []string{stock}}), make(apikey.Draft{Networks: at})
	ask := func(c registered, k held, more ...string) map[string]any {
		a := c.post(t, s, "/oauth2/introspect", append([]string{"token", k.text}, more...)...)
		var v map[string]any
		if a.JSON(t, &v); a.Status != http.StatusOK || v["active"] != true && a.Body != `{"active":false}` {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		return v
	}
	v := ask(api, free)
	if fmt.Sprintln(v["scope"], v["sub"], v["username"], v["token_type"], v["key_id"], v["aud"], v["iss"], v["client_id"]) !=
		fmt.Sprintln("orders:read", ann.ID, "ann api_key", free.id, "["+orders+" urn:orders]", s.URL, nil) || v["exp"] == nil || v["iat"] == nil {
		t.Errorf("introspection says %v", v)
	}
	if v := ask(api, here); fmt.Sprint(v["aud"]) != "["+orders+"]" {
		t.Errorf("of one that is for it alone: %v", v)
	}
	for what, v := range map[string]map[string]any{
		"who is no API": ask(other, free), "another API's": ask(api, there), "from nowhere": ask(api, near), "from elsewhere": ask(api, near, "address", "198.51.100.1"),
		"from what is no address": ask(api, near, "address", "192.0.2.0/24"),
	} {
		if v["active"] != false {
			t.Errorf("%s: %v", what, v)
		}
	}
	if v := ask(api, near, "address", "192.0.2.9"); v["active"] != true {
		t.Errorf("from where it may be used: %v", v)
	}
	type m = map[string]any
	token := s.Login(t, "ann").Access
	for what, tt := range map[string]struct {
		by   string
		ask  m
		good bool
	}{
		"as it is":             {token, m{"key": free.text}, true},
		"for what it may":      {token, m{"key": free.text, "permission": "orders:read"}, true},
		"for what it may not":  {token, m{"key": free.text, "permission": "orders:write"}, false},
		"for no API":           {token, m{"key": here.text}, false},
		"for its API":          {token, m{"key": here.text, "resource": orders}, true},
		"for another API":      {token, m{"key": here.text, "resource": stock}, false},
		"by its API":           {api.token(t, s).Access, m{"key": here.text}, true},
		"by another":           {other.token(t, s).Access, m{"key": here.text}, false},
		"by a key":             {free.text, m{"key": free.text}, true},
		"from where it may":    {token, m{"key": near.text, "address": "192.0.2.1"}, true},
		"from elsewhere":       {token, m{"key": near.text, "address": "192.0.3.1"}, false},
		"from nobody knows":    {token, m{"key": near.text}, false},
		"what is no key":       {token, m{"key": "dwk_"}, false},
		"what is a token":      {token, m{"key": token[:200]}, false},
		"a key of nobody's id": {token, m{"key": sealedKey(strings.Repeat("0", 16), free.text[21:64])}, false},
	} {
		v := verified(t, s, tt.by, tt.ask)
		if v["active"] != tt.good || !tt.good && v["sub"] != nil || tt.good && v["username"] != "ann" {
			t.Errorf("%s: %v", what, v)
		}
		if _, asked := tt.ask["permission"]; asked != (v["allowed"] != nil) || asked && v["allowed"] != tt.good {
			t.Errorf("%s: allowed %v", what, v["allowed"])
		}
	}
	if n, err := s.Server.Counted(t.Context(), "POST /oauth2/introspect", audit.Success); n != 3 || err != nil {
		t.Errorf("%d good answers were counted, %v", n, err)
	}
}

// A decision about itself says that the key narrows it.
func TestAPIKeyExplains(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	ann := s.User(t, "ann", "editor")
	k := keyOf(t, s, servertest.Operator, ann.ID, "read")
	for permission, want := range map[string]string{"read": "true <nil>", "write": "false key", "admin": "false <nil>"} {
		for _, subject := range []string{"", "user:" + ann.ID} {
			a := k.calls(t, s, "POST", "/access/explain", map[string]any{"permission": permission, "subject": subject})
			var v map[string]any
			if a.JSON(t, &v); a.Status != http.StatusOK || fmt.Sprint(v["allowed"], " ", v["narrowed_by"]) != want || v["subject"] != "user:"+ann.ID {
				t.Errorf("%s: %d %s", permission, a.Status, a.Body)
			}
		}
	}
	if a := k.calls(t, s, "POST", "/access/check", map[string]any{"permission": "read", "subject": "user:" + strings.Repeat("0", 26)}); a.Status != http.StatusForbidden {
		t.Errorf("about another: %d", a.Status)
	}
}

// reporter signs reports as GitHub's secret scanning does.
type reporter struct{ key *ecdsa.PrivateKey }

// newReporter returns a reporter and the file that says whom to believe.
func newReporter(t *testing.T) (reporter, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "github.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return reporter{key}, file
}

// sign returns the headers of a report.
func (r reporter) sign(t *testing.T, body string) []string {
	t.Helper()
	digest := sha256.Sum256([]byte(body))
	sig, err := ecdsa.SignASN1(rand.Reader, r.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return []string{"Github-Public-Key-Identifier", "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c", "Github-Public-Key-Signature", base64.StdEncoding.EncodeToString(sig)}
}

func (r reporter) reports(t *testing.T, s *servertest.Site, body string) servertest.Answer {
	t.Helper()
	return s.Send(t, "POST", "/api-keys/leaks", jsonType, body, r.sign(t, body)...)
}

// A key that was found in public is revoked on the word of whom the server believes, and
// of nobody else; its owner gets a letter, and the log tells of it.
func TestAttackKeyLeaks(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		github, file := newReporter(t)
		stranger, _ := newReporter(t)
		mails := make(chan outbox.Mail, 10)
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: map[string]string{"keys.leak_reporters": file}, Tweak: func(o *server.Options) {
			o.Carrier = outbox.CarrierFunc(func(_ context.Context, m outbox.Mail) error { mails <- m; return nil })
		}})
		ann := s.User(t, "ann", "viewer")
		k, old, kept := keyOf(t, s, servertest.Operator, ann.ID), keyOf(t, s, servertest.Operator, ann.ID), keyOf(t, s, servertest.Operator, ann.ID)
		if _, _, err := s.Core.APIKeys.Rotate(t.Context(), servertest.Operator, old.id, apikey.Rotation{}); err != nil {
			t.Fatal(err)
		}
		one := func(token string) string {
			return `{"token":"` + token + `","type":"doorward_api_key","url":"https://github.com/octocat/x/blob/1/y.go","source":"content"}`
		}
		body := "[" + one(k.text) + "," + one(sealedKey(kept.id, k.text[21:64])) + "," + one("dwk_nothing") + "," + one(old.text) + "]"
		good := github.sign(t, body)
		for what, a := range map[string]servertest.Answer{
			"unsigned":       s.Send(t, "POST", "/api-keys/leaks", jsonType, body),
			"by a stranger":  stranger.reports(t, s, body),
			"another body":   s.Send(t, "POST", "/api-keys/leaks", jsonType, body+" ", good...),
			"no identifier":  s.Send(t, "POST", "/api-keys/leaks", jsonType, body, good[2:]...),
			"two signatures": s.Send(t, "POST", "/api-keys/leaks", jsonType, body, append(good, good[2:]...)...),
			"an empty one":   s.Send(t, "POST", "/api-keys/leaks", jsonType, body, good[0], good[1], good[2], ""),
		} {
			refusedAs(t, what, a, http.StatusUnauthorized, "")
		}
		if !k.good(t, s) {
			t.Fatal("a report that nobody need believe revoked the key")
		}
		a := github.reports(t, s, body)
		var told []struct{ Hash, Type, Label string }
		for _, line := range strings.Split(strings.ReplaceAll(a.Body, "token_", ""), "\n") {
			if err := json.Unmarshal([]byte(line), &told); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256([]byte(k.text))
		if a.Status != http.StatusOK || len(told) != 4 || told[0].Hash != base64.StdEncoding.EncodeToString(sum[:]) || told[0].Type != "doorward_api_key" ||
			told[0].Label != "true_positive" || told[1].Label != "false_positive" || told[2].Label != "false_positive" || told[3].Label != "false_positive" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if k.good(t, s) || !kept.good(t, s) {
			t.Error("not the key that was found is revoked")
		}
		list := events(t, s, string(audit.APIKeyLeaked))
		if len(list) != 1 || list[0].Target != "key:"+k.id {
			t.Errorf("the log says %v", list)
		}
		select {
		case m := <-mails:
			if m.User != ann.ID || !strings.Contains(m.Text, k.id) || strings.Contains(m.Text, k.text) {
				t.Errorf("the letter is %+v", m)
			}
		case <-time.After(30 * time.Second):
			t.Error("no letter came")
		}
		if a := github.reports(t, s, body); a.Status != http.StatusOK || len(events(t, s, string(audit.APIKeyLeaked))) != 1 || len(mails) > 0 {
			t.Errorf("again: %d %s", a.Status, a.Body)
		}
		refusedAs(t, "no array", github.reports(t, s, `{"token":"x"}`), http.StatusBadRequest, "body")
		refusedAs(t, "a form", s.Send(t, "POST", "/api-keys/leaks", formType, body, good...), http.StatusUnsupportedMediaType, "")
	})
}

// An API behind guard takes keys, by asking this server, and refuses one within a second
// of its end.
func TestAPIKeyAtAGuardedAPI(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	makeRole(t, s, "reader", "orders:read")
	ann := s.User(t, "ann", "reader")
	const orders = "https://orders.example.com"
	api := register(t, s, s.Login(t, servertest.Admin).Access, map[string]any{"client_id": "orders", "audiences": []string{orders}})
	g, err := guard.New(s.URL, guard.Audience(orders), guard.Credentials(api.id, api.secret))
	if err != nil {
		t.Fatal(err)
	}
	h := g.Require(guard.Permission("orders:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := guard.PrincipalFrom(r.Context())
		fmt.Fprint(w, p.Subject, " ", p.KeyID)
	}))
	ask := func(k held) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil)
		r.RemoteAddr = "192.0.2.7:1234"
		r.Header.Set("X-API-Key", k.text)
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	owner := principal.Owner{Kind: principal.User, ID: ann.ID}
	near, err := apikey.ParseNetworks([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	good := keyFrom(t, s, servertest.Operator, apikey.Draft{Owner: owner, Scopes: []string{"orders:read"}, Networks: near, Resources: []string{orders}})
	for what, tt := range map[string]struct {
		draft apikey.Draft
		want  int
	}{
		"without the permission": {apikey.Draft{}, http.StatusForbidden},
		"for another API":        {apikey.Draft{Scopes: []string{"orders:read"}, Resources: []string{s.URL}}, http.StatusUnauthorized},
	} {
		tt.draft.Owner = owner
		if status, body := ask(keyFrom(t, s, servertest.Operator, tt.draft)); status != tt.want {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	if status, body := ask(good); status != http.StatusOK || body != ann.ID+" "+good.id {
		t.Errorf("%d %s", status, body)
	}
	if err := s.Core.APIKeys.Revoke(t.Context(), servertest.Operator, good.id, 0); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "the API refuses it", func() bool { status, _ := ask(good); return status == http.StatusUnauthorized })
}
