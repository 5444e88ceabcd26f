package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// claims returns the payload of a token.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// signed returns claims signed with the site's own key, as a token of a type.
func signed(t *testing.T, s *servertest.Site, typ string, c map[string]any) string {
	t.Helper()
	view, err := s.Core.Keys.View()
	if err != nil {
		t.Fatal(err)
	}
	key := view.Published[0]
	signer, err := jose.NewSigner(key.Alg, key.ID, typ, key.Private)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// unauthorized fails the test unless a is the answer to a bad token.
func unauthorized(t *testing.T, what string, a servertest.Answer) {
	t.Helper()
	refusedAs(t, what, a, http.StatusUnauthorized, "")
	if c := a.Header.Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_token"`) {
		t.Errorf("%s: WWW-Authenticate: %s", what, c)
	}
}

func TestAttackJWT010OtherSerializations(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	token := s.Login(t, servertest.Admin).Access
	p := strings.Split(token, ".")
	for name, text := range map[string]string{
		"flattened":       `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`,
		"general":         `{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"}]}`,
		"unprotected alg": `{"header":{"alg":"none"},"payload":"` + p[1] + `","signature":""}`,
		"two parts":       p[0] + "." + p[1],
		"four parts":      token + ".x",
		"five parts":      token + ".x.y",
		"no signature":    p[0] + "." + p[1] + ".",
		"padded":          token + "=",
		"quoted":          `"` + token + `"`,
	} {
		a := s.Send(t, "GET", "/users/me", "", "", "Authorization", "Bearer "+text)
		if strings.Contains(text, ",") { // a comma joins two credentials
			refusedAs(t, name, a, http.StatusBadRequest, "")
			continue
		}
		unauthorized(t, name, a)
	}
}

func TestAttackJWT015Issuers(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	c := claims(t, s.Login(t, servertest.Admin).Access)
	if me(t, s, signed(t, s, "at+jwt", c)) != http.StatusOK {
		t.Fatal("the token that all others are made of is refused")
	}
	good := s.URL
	port := good[strings.LastIndex(good, ":"):]
	for _, iss := range []any{
		good + "/", strings.Replace(good, "http", "https", 1), strings.Replace(good, "http", "HTTP", 1), "http://localhost" + port, good + "/evil", good[:len(good)-1],
		[]string{good},
		nil, "", 7, "https://other.example", good + "\u0000", " " + good,
	} {
		c["iss"] = iss
		unauthorized(t, "iss", s.Call(t, signed(t, s, "at+jwt", c), "GET", "/users/me", nil))
	}
	delete(c, "iss")
	unauthorized(t, "no iss", s.Call(t, signed(t, s, "at+jwt", c), "GET", "/users/me", nil))
}

// What we sign for another purpose is no access token.
func TestAttackJWT016TokensOfOtherKinds(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	tokens := s.Login(t, servertest.Admin)
	c := claims(t, tokens.Access)
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt"} {
		if status := me(t, s, signed(t, s, typ, c)); status != http.StatusOK {
			t.Errorf("typ %q: %d", typ, status)
		}
	}
	for _, typ := range []string{
		"", "JWT", "jwt", "id_token", "logout+jwt", "dpop+jwt", "client-authentication+jwt", "token-introspection+jwt", "statuslist+jwt", "oauth-authz-req+jwt", "at+jwt ", "at+jwt+x", "xat+jwt", "application/jwt",
	} {
		unauthorized(t, "typ "+typ, s.Call(t, signed(t, s, typ, c), "GET", "/users/me", nil))
	}
	unauthorized(t, "a refresh token", s.Call(t, tokens.Refresh, "GET", "/users/me", nil))
	id := map[string]any{"iss": c["iss"], "sub": c["sub"], "aud": "some-client", "exp": c["exp"], "iat": c["iat"], "nonce": "n"}
	unauthorized(t, "an ID token", s.Call(t, signed(t, s, "JWT", id), "GET", "/users/me", nil))
	for _, drop := range []string{"sub", "aud", "exp", "client_id"} { // RFC 9068, Section 2.2
		less := claims(t, tokens.Access)
		delete(less, drop)
		unauthorized(t, "without "+drop, s.Call(t, signed(t, s, "at+jwt", less), "GET", "/users/me", nil))
	}
}

func TestAttackJWT027Transport(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	token := s.Login(t, servertest.Admin).Access
	for _, tt := range []struct {
		name, path, body string
		headers          []string
		status           int
	}{
		{name: "header", headers: []string{"Authorization", "Bearer " + token}, status: 200},
		{name: "lower case", headers: []string{"Authorization", "bearer " + token}, status: 200},
		{name: "cookies beside a header", headers: []string{"Authorization", "Bearer " + token, "Cookie", "__Host-doorward_access=x; doorward_access=y"}, status: 200},
		{name: "query", path: "?access_token=" + token, status: 400},
		{name: "query, escaped", path: "?access%5Ftoken=" + token, status: 400},
		{name: "query and header", path: "?access_token=" + token, headers: []string{"Authorization", "Bearer " + token}, status: 400},
		{name: "body", body: "access_token=" + token, status: 401},
		{name: "cookie", headers: []string{"Cookie", "__Host-doorward_access=" + token + "; access_token=" + token + "; Doorward_access=" + token}, status: 401},
		{name: "two headers", headers: []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, status: 400},
		{name: "a second, empty one", headers: []string{"Authorization", "Bearer " + token, "Authorization", ""}, status: 400},
		{name: "a list", headers: []string{"Authorization", "Bearer " + token + ", Bearer " + token}, status: 400},
		{name: "with an API key", headers: []string{"Authorization", "Bearer " + token, "X-API-Key", "dwk_x"}, status: 400},
		{name: "two API keys", headers: []string{"X-API-Key", "dwk_x", "X-API-Key", "dwk_y"}, status: 400},
		{name: "an API key", headers: []string{"X-API-Key", "dwk_x"}, status: 401},
		{name: "two spaces", headers: []string{"Authorization", "Bearer  " + token}, status: 401},
		{name: "Basic", headers: []string{"Authorization", "Basic YWRtaW46Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"}, status: 401},
		{name: "no scheme", headers: []string{"Authorization", token}, status: 401},
		{name: "proxy header", headers: []string{"Proxy-Authorization", "Bearer " + token}, status: 401},
		{name: "underscore", headers: []string{"X_Authorization", "Bearer " + token, "Authorization_", "Bearer " + token}, status: 401},
		{name: "9 KiB", headers: []string{"Authorization", "Bearer " + token + strings.Repeat("a", 9<<10)}, status: 401},
		{name: "64 KiB", headers: []string{"Authorization", "Bearer " + strings.Repeat("a", 64<<10)}, status: 431},
	} {
		contentType := ""
		if tt.body != "" {
			contentType = "application/x-www-form-urlencoded"
		}
		a := s.Send(t, "GET", "/users/me"+tt.path, contentType, tt.body, tt.headers...)
		switch tt.status {
		case 200, 431:
			if a.Status != tt.status {
				t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
			}
		default:
			refusedAs(t, tt.name, a, tt.status, "")
		}
	}
	for _, request := range []string{"Authorization: Bearer " + token + "\x00", "Authorization: Bearer\r\n " + token, "Authorization : Bearer " + token} {
		got := answers(raw(t, s, "GET /users/me HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"+request+"\r\n\r\n"))
		if !slices.Equal(got, []int{400}) && !slices.Equal(got, []int{200}) || slices.Equal(got, []int{200}) && !strings.Contains(request, "\r\n ") {
			t.Errorf("%.30q: %v", request, got)
		}
	}
}

func TestAttackJWT028Challenges(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		ann, root := s.Login(t, "ann").Access, s.Login(t, servertest.Admin, "scope", "read").Access
		metadata := `, resource_metadata="` + s.URL + `/.well-known/oauth-protected-resource"`
		for _, tt := range []struct {
			name   string
			answer servertest.Answer
			status int
			want   string
		}{
			{"nothing", s.Send(t, "GET", "/users", "", ""), 401, `Bearer realm="doorward", scope="users:read"` + metadata},
			{"another scheme", s.Send(t, "GET", "/users/me", "", "", "Authorization", "Basic eDp5"), 401, `Bearer realm="doorward"` + metadata},
			{"a bad token", s.Call(t, "x.y.z", "GET", "/users/me", nil), 401, `Bearer realm="doorward", error="invalid_token", error_description="the access token is not a well-formed JWT"` + metadata},
			{"too little", s.Call(t, ann, "GET", "/users", nil), 403, `Bearer realm="doorward", error="insufficient_scope", error_description="the access token lacks a permission", scope="users:read"` + metadata},
			{"asked for too little", s.Call(t, root, "DELETE", "/roles/x", nil), 403, `Bearer realm="doorward", error="insufficient_scope", error_description="the access token lacks a permission", scope="roles:write"` + metadata},
			{"two", s.Send(t, "GET", "/users", "", "", "Authorization", "Bearer a", "Authorization", "Bearer b"), 400, `Bearer realm="doorward", error="invalid_request", error_description="the request carries more than one credential", scope="users:read"` + metadata},
		} {
			refusedAs(t, tt.name, tt.answer, tt.status, "")
			if got := tt.answer.Header.Values("WWW-Authenticate"); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("%s:\n%q, want\n%q", tt.name, got, tt.want)
			}
		}
		// Where the challenge points to there is what it says.
		var document struct {
			Resource string
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported"`
		}
		s.Send(t, "GET", "/.well-known/oauth-protected-resource", "", "").JSON(t, &document)
		if document.Resource != s.URL || !slices.Equal(document.Servers, []string{s.URL}) || !slices.Contains(document.Scopes, "users:read") {
			t.Errorf("%+v", document)
		}
	})
}

// What is revoked is refused: by who did it before it answers, by others within a
// second, and for as long as the token would have lived.
func TestAttackJWT032Revocation(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		does, other := sites[0], sites[len(sites)-1]
		root := does.Login(t, servertest.Admin).Access
		for _, tt := range []struct {
			name   string
			revoke func(id string, tokens servertest.Tokens) servertest.Answer
		}{
			{"logout", func(_ string, tk servertest.Tokens) servertest.Answer {
				return does.Form(t, "/auth/logout", "refresh_token", tk.Refresh)
			}},
			{"disabled", func(id string, _ servertest.Tokens) servertest.Answer {
				return does.Call(t, root, "PATCH", "/users/"+id, map[string]any{"status": "disabled"})
			}},
			{"deleted", func(id string, _ servertest.Tokens) servertest.Answer {
				return does.Call(t, root, "DELETE", "/users/"+id, nil)
			}},
			{"password", func(_ string, tk servertest.Tokens) servertest.Answer {
				return does.Call(t, tk.Access, "POST", "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": "another one of mine"})
			}},
			{"role", func(id string, _ servertest.Tokens) servertest.Answer {
				return does.Call(t, root, "DELETE", "/users/"+id+"/roles/viewer", nil)
			}},
		} {
			u := does.User(t, tt.name, "viewer")
			tokens := does.Login(t, tt.name)
			for _, s := range sites { // each has seen it, so that it is in their caches
				if me(t, s, tokens.Access) != http.StatusOK {
					t.Fatalf("%s: refused before", tt.name)
				}
			}
			if a := tt.revoke(u.ID, tokens); a.Status >= 300 {
				t.Fatalf("%s: %d %s", tt.name, a.Status, a.Body)
			}
			unauthorized(t, tt.name, does.Call(t, tokens.Access, "GET", "/users/me", nil))
			within(t, time.Second, tt.name+": the other one refuses", func() bool { return me(t, other, tokens.Access) == http.StatusUnauthorized })
		}
	})
}

// A server that starts knows what was revoked before.
func TestAttackJWT032AfterARestart(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		s := sites[0]
		s.User(t, "ann", "viewer")
		tokens := s.Login(t, "ann")
		s.Form(t, "/auth/logout", "refresh_token", tokens.Refresh)
		again := servertest.Start(t, servertest.Options{DSN: dsn, Master: master(t, s), Set: map[string]string{"issuer": s.URL}})
		unauthorized(t, "after the restart", again.Call(t, tokens.Access, "GET", "/users/me", nil))
		if status := me(t, again, again.Login(t, "ann").Access); status != http.StatusOK {
			t.Errorf("a new sign-in: %d", status)
		}
	})
}
