package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// notRegistered fails the test unless an answer is the one to who may not register, or
// change, a client. Who brings nothing is told no error (RFC 6750, Section 3.1).
func notRegistered(t *testing.T, what string, a servertest.Answer, brought bool) {
	t.Helper()
	challenge := `Bearer realm="doorward"`
	if brought {
		challenge += `, error="invalid_token"`
	}
	if a.Status != http.StatusUnauthorized || a.Error() != "invalid_token" || a.Header.Get("WWW-Authenticate") != challenge {
		t.Errorf("%s: %d %s %q", what, a.Status, a.Body, a.Header.Get("WWW-Authenticate"))
	}
}

// Nobody registers a client without a token by default, and what is no such token is one
// failure of its network: guesses are stopped, and fill no log.
func TestAttackDCR001Closed(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		notRegistered(t, "nothing", s.Call(t, "", http.MethodPost, "/oauth2/register", said()), false)
		root := s.Login(t, servertest.Admin).Access
		e := enrol(t, s, ticket(t, s, client.InitialDraft{}), said())
		spent := ticket(t, s, client.InitialDraft{})
		enrol(t, s, spent, said())
		gone, _, err := s.Core.Clients.CreateInitialToken(t.Context(), servertest.Operator, client.InitialDraft{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		good := ticket(t, s, client.InitialDraft{})
		for what, token := range map[string]string{
			"an access token": root, "a registration access token": e.Token, "a secret": e.Secret, "one that was used up": spent, "an id": gone.ID,
			"nearly one": good[:len(good)-1], "in capitals": strings.ToUpper(good), "twice": good + good, "a long one": strings.Repeat("a", 4<<10),
		} {
			notRegistered(t, what, s.Call(t, token, http.MethodPost, "/oauth2/register", said()), true)
		}
		notRegistered(t, "by another scheme", s.Send(t, http.MethodPost, "/oauth2/register", "application/json", "{}", "Authorization", "Basic "+good), true)
		if a := s.Send(t, http.MethodPost, "/oauth2/register", "application/json", "{}", "Authorization", "Bearer "+good, "Authorization", "Bearer "+good); a.Status != http.StatusBadRequest {
			t.Errorf("two of them: %d %s", a.Status, a.Body)
		}
		enrol(t, s, good, said())
	})
}

// Where anybody may register a client, nobody registers many, nor large ones; what nobody
// uses goes.
func TestAttackDCR001Limits(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		var c steered
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak, Set: also(opened, "rate_limit.registration", "3/1h", "trusted_proxies", "127.0.0.0/8")})
		var uris []string
		for i := range 1000 {
			uris = append(uris, fmt.Sprint("https://a", i, ".example/"))
		}
		for what, tt := range map[string]struct {
			m    map[string]any
			want int
		}{
			"a megabyte":          {said("client_name", strings.Repeat("a", 1<<20)), http.StatusRequestEntityTooLarge},
			"17 KiB":              {said("x", strings.Repeat("a", 17<<10)), http.StatusRequestEntityTooLarge},
			"a thousand URIs":     {said("redirect_uris", uris), http.StatusRequestEntityTooLarge},
			"eleven":              {said("redirect_uris", uris[:11]), http.StatusBadRequest},
			"a URI of 3 KiB":      {said("redirect_uris", []string{callback + "?" + strings.Repeat("a", 3<<10)}), http.StatusBadRequest},
			"a name of 10 KiB":    {said("client_name", strings.Repeat("a", 10<<10)), http.StatusBadRequest},
			"a contact of 3 KiB":  {said("contacts", []string{strings.Repeat("a", 3<<10)}), http.StatusBadRequest},
			"a logo of 3 KiB":     {said("logo_uri", callback+strings.Repeat("a", 3<<10)), http.StatusBadRequest},
			"an id of a software": {said("software_id", strings.Repeat("a", 3<<10)), http.StatusBadRequest},
		} {
			if a := s.Call(t, "", http.MethodPost, "/oauth2/register", tt.m); a.Status != tt.want {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
		from := func(n int) []string { return []string{"X-Forwarded-For", fmt.Sprint("198.51.100.", n)} }
		var ids []string
		for network := range 3 {
			for n := range 5 {
				a := s.Call(t, "", http.MethodPost, "/oauth2/register", said(), from(network)...)
				if want := http.StatusCreated; n < 3 && a.Status == want {
					var e enrolled
					a.JSON(t, &e)
					ids = append(ids, e.ID)
				} else if n < 3 || a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
					t.Errorf("client %d of network %d: %d %s", n, network, a.Status, a.Body)
				}
			}
		}
		// Who has a token is not held up by strangers of his network.
		invited := enrol(t, s, ticket(t, s, client.InitialDraft{}), said())
		s.User(t, "ana", "editor")
		b := s.Browser(t)
		b.Login(t, "ana")
		code(t, b, authorizing(ids[0], "scope", "openid"))

		// A month later what nobody agreed to is gone, and what somebody did is not.
		purge := func(before time.Time) {
			t.Helper()
			for more := true; more; {
				var err error
				if more, err = s.Core.Store.PurgeUnused(t.Context(), before); err != nil {
					t.Fatal(err)
				}
			}
		}
		purge(s.Core.Clock.Now().Add(-time.Hour))
		if len(events(t, s, string(audit.ClientDeleted))) != 0 {
			t.Error("a young client is gone")
		}
		purge(s.Core.Clock.Now().Add(time.Hour))
		for i, id := range append(ids, invited.ID) {
			if _, err := s.Core.Clients.Fresh(t.Context(), id); (err == nil) != (i == 0) {
				t.Errorf("client %d: %v", i, err)
			}
		}
	})
}

// No client says of itself what is for administrators to say.
func TestAttackDCR002Privileges(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: opened})
	root := s.Login(t, servertest.Admin).Access
	mighty := said("skip_consent", true, "Skip_Consent", true, "id_token_claims", true, "require_pkce", false, "access_token_ttl", 86400, "refresh_token_ttl", 31536000, "rotation_grace", 30,
		"refresh_token_rotation", "bound", "assertion_audience", "token_endpoint", "audiences", []string{s.URL}, "roles", []string{"admin"}, "status", "active", "first_party", true,
		"workloads", []any{map[string]any{"issuer": "https://ci.example", "subject": "x", "jwks_uri": "https://ci.example/k"}}, "client_id", "doorward", "client_secret", "mine",
		"default_scope", "users:write", "exchanges", []any{map[string]any{"from": "api-keys"}}, "registration_access_token", "mine", "grant_types",
		[]string{"authorization_code", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer"})
	for what, token := range map[string]string{"open": "", "with a token": ticket(t, s, client.InitialDraft{Scopes: []string{"read"}})} {
		e := enrol(t, s, token, mighty)
		if e.ID == "doorward" || e.Secret == "mine" || e.Token == "mine" || fmt.Sprint(e.Grants) != "[authorization_code]" {
			t.Errorf("%s: it is registered as %+v", what, e)
		}
		a := s.Call(t, root, http.MethodGet, "/clients/"+e.ID, nil)
		var kept map[string]any
		a.JSON(t, &kept)
		for _, name := range []string{"skip_consent", "id_token_claims", "require_pkce", "access_token_ttl", "refresh_token_ttl", "rotation_grace", "refresh_token_rotation", "assertion_audience", "workloads"} {
			if kept[name] != nil {
				t.Errorf("%s: its %s is %v", what, name, kept[name])
			}
		}
		if list, ok := kept["audiences"].([]any); !ok || len(list) != 0 || strings.Contains(fmt.Sprint(kept["scope"]), "users") {
			t.Errorf("%s: it is kept as %s", what, a.Body)
		}
		a = s.Call(t, e.Token, http.MethodPut, e.place(), said("client_id", e.ID, "skip_consent", true, "scope", "openid users:write"))
		if a.Status != http.StatusBadRequest || a.Error() != "invalid_client_metadata" {
			t.Errorf("%s: more than it may ask for: %d %s", what, a.Status, a.Body)
		}
	}
	// The token gives what its maker holds, and no more.
	makeRole(t, s, "registrar", "clients:read", "clients:write", "read")
	s.User(t, "reg", "registrar")
	reg := s.Login(t, "reg").Access
	for scope, want := range map[string]int{"read": http.StatusCreated, "users:write": http.StatusForbidden} {
		if a := s.Call(t, reg, http.MethodPost, "/registration-tokens", map[string]any{"name": "x", "scopes": []string{scope}}); a.Status != want {
			t.Errorf("a token for %s: %d %s", scope, a.Status, a.Body)
		}
	}
	big, _, err := s.Core.Clients.CreateInitialToken(t.Context(), servertest.Operator, client.InitialDraft{Name: "x", Scopes: []string{"users:write"}})
	if err != nil {
		t.Fatal(err)
	}
	if a := s.Call(t, reg, http.MethodDelete, "/registration-tokens/"+big.ID, nil); a.Status != http.StatusForbidden {
		t.Errorf("ending one that gives more than he has: %d %s", a.Status, a.Body)
	}
}

// A registration access token is its client's alone. It ends with the client, does nothing
// while the client is disabled, and what it changes is in the log and asked for anew.
func TestAttackDCR003ManagementToken(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ana", "editor")
		token := ticket(t, s, client.InitialDraft{Uses: 3})
		a, b := enrol(t, s, token, said("client_name", "A")), enrol(t, s, token, said("client_name", "B"))
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			body := any(nil)
			if method == http.MethodPut {
				body = said("client_id", a.ID, "client_name", "Mine")
			}
			for what, shown := range map[string]string{"another's": b.Token, "an initial access token": token, "its secret": a.Secret, "half of it": a.Token[:20], "a user's": s.Login(t, "ana").Access} {
				notRegistered(t, method+", "+what, s.Call(t, shown, method, a.place(), body), true)
			}
			notRegistered(t, method+", nothing", s.Call(t, "", method, a.place(), body), false)
			for _, other := range []string{"nosuch", "doorward", strings.Repeat("a", 300)} {
				notRegistered(t, method+" "+other, s.Call(t, a.Token, method, "/oauth2/register/"+other, body), true)
			}
		}
		for what, m := range map[string]map[string]any{
			"no id": said(), "another id": said("client_id", b.ID), "another secret": said("client_id", a.ID, "client_secret", client.NewSecret().Text().Reveal()),
			"a secret of one's own": said("client_id", a.ID, "client_secret", "mine"), "nothing": {}, "no redirect URI": said("client_id", a.ID, "redirect_uris", nil),
		} {
			if x := s.Call(t, a.Token, http.MethodPut, a.place(), m); x.Status != http.StatusBadRequest {
				t.Errorf("%s: %d %s", what, x.Status, x.Body)
			}
		}
		if x := s.Call(t, a.Token, http.MethodGet, a.place(), nil); x.Status != http.StatusOK || !strings.Contains(x.Body, `"client_name":"A"`) {
			t.Errorf("after all that: %d %s", x.Status, x.Body)
		}
		if n := len(events(t, s, string(audit.RegistrationRefused))); n == 0 {
			t.Error("no refusal is in the log")
		}

		// Each change that makes it another client to people is asked for anew, and what was
		// let it do ends. A change of its home page is none.
		browser := s.Browser(t)
		browser.Login(t, "ana")
		m := said("client_id", a.ID, "client_name", "A")
		keys := newProver(t, a.ID, "ES256").members(t)
		for _, tt := range []struct {
			what    string
			field   string
			value   any
			another bool
		}{
			{"its home", "client_uri", "https://client.example/", false},
			{"its name", "client_name", "Your Bank", true},
			{"where it sends people", "redirect_uris", []string{callback, "https://evil.example/cb"}, true},
			{"its keys", "jwks", keys, true},
		} {
			var g granted
			redeem(t, s, a.ID, a.Secret, code(t, browser, authorizing(a.ID, "scope", "openid"))).JSON(t, &g)
			m[tt.field] = tt.value
			if x := s.Call(t, a.Token, http.MethodPut, a.place(), m); x.Status != http.StatusOK {
				t.Fatalf("%s: %d %s", tt.what, x.Status, x.Body)
			}
			want, asked := http.StatusOK, false
			if tt.another {
				want, asked = http.StatusUnauthorized, true
			}
			if x := s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil); x.Status != want {
				t.Errorf("%s, what it was let do: %d %s", tt.what, x.Status, x.Body)
			}
			x := browser.Send(t, http.MethodGet, authorizing(a.ID, "scope", "openid"), "", "")
			if strings.HasPrefix(x.Header.Get("Location"), "/consent/") != asked {
				t.Errorf("%s: %d %s", tt.what, x.Status, x.Header.Get("Location"))
			}
		}
		changed := events(t, s, string(audit.ClientUpdated))
		if len(changed) != 4 || !slices.Contains(changed[2].Lists["redirect_uris_added"], "https://evil.example/cb") || len(changed[3].Lists["keys_added"]) != 1 || changed[3].Detail["consents"] != "withdrawn" {
			t.Errorf("the log has %+v", changed)
		}

		// A client that is disabled stays so, whatever its token asks for.
		switchOff(t, s, a.ID)
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			body := any(nil)
			if method == http.MethodPut {
				body = said("client_id", a.ID, "status", "active")
			}
			notRegistered(t, method+" of a disabled one", s.Call(t, a.Token, method, a.place(), body), true)
		}
		if c, err := s.Core.Clients.Fresh(t.Context(), a.ID); err != nil || c.Status != client.Disabled {
			t.Errorf("it is %v, %v", c.Status, err)
		}
		if err := s.Core.Clients.Delete(t.Context(), servertest.Operator, b.ID, 0); err != nil {
			t.Fatal(err)
		}
		notRegistered(t, "of one that is deleted", s.Call(t, b.Token, http.MethodGet, b.place(), nil), true)
	})
}

// Of many who use the last of a token at once, one registers a client.
func TestAttackDCR001OneUse(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		token := ticket(t, s, client.InitialDraft{})
		results := make(chan int, 8)
		for range cap(results) {
			go func() { results <- s.Call(t, token, http.MethodPost, "/oauth2/register", said()).Status }()
		}
		made := 0
		for range cap(results) {
			if <-results == http.StatusCreated {
				made++
			}
		}
		if made != 1 {
			t.Errorf("%d clients came of one use", made)
		}
	})
}
