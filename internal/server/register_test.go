package server_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
)

// enrolled is the answer to a registration.
type enrolled struct {
	ID       string   `json:"client_id"`
	Secret   string   `json:"client_secret"`
	IssuedAt int64    `json:"client_id_issued_at"`
	Expires  *int64   `json:"client_secret_expires_at"`
	Token    string   `json:"registration_access_token"`
	URI      string   `json:"registration_client_uri"`
	Name     string   `json:"client_name"`
	Method   string   `json:"token_endpoint_auth_method"`
	Grants   []string `json:"grant_types"`
	Types    []string `json:"response_types"`
	Scope    string   `json:"scope"`
	client.Registration
}

// place is the path of a client's own address.
func (e enrolled) place() string { return "/oauth2/register/" + e.ID }

// said is metadata, as much as a client needs, and more.
func said(pairs ...any) map[string]any {
	m := map[string]any{"redirect_uris": []string{callback}, "id_token_signed_response_alg": "ES256"} // whose keys are quick to make
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(m, pairs[i].(string))
		}
	}
	return m
}

// enrol registers a client.
func enrol(t testing.TB, s *servertest.Site, token string, m map[string]any) enrolled {
	t.Helper()
	a := s.Call(t, token, http.MethodPost, "/oauth2/register", m)
	var e enrolled
	if a.JSON(t, &e); a.Status != http.StatusCreated {
		t.Fatalf("it is not registered: %d %s", a.Status, a.Body)
	}
	return e
}

// ticket makes an initial access token.
func ticket(t testing.TB, s *servertest.Site, d client.InitialDraft) string {
	t.Helper()
	d.Name = "for a test"
	_, text, err := s.Core.Clients.CreateInitialToken(t.Context(), servertest.Operator, d)
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

var opened = map[string]string{"registration.open": "true", "registration.scopes": "read", "rate_limit.registration": "1000/1m"}

// A client registers itself with a token, people sign in to it, it reads and changes
// itself, and goes.
func TestRegister(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		s.User(t, "ana", "editor")
		token := ticket(t, s, client.InitialDraft{Scopes: []string{"read"}})
		e := enrol(t, s, token, said("client_name", "Shop", "client_name#de", "Laden", "scope", "openid profile read", "grant_types", []string{"authorization_code", "refresh_token", "password"},
			"contacts", []string{"ops@shop.example"}, "logo_uri", "https://shop.example/l.png", "software_id", "4NRB1-0XZABZI9E6-5SM3R", "software_version", "2",
			"default_acr_values", []string{"urn:x"}, "initiate_login_uri", "https://shop.example/begin", "request_uris", []string{"https://shop.example/r"},
			"frontchannel_logout_uri", "https://client.example/out", "backchannel_logout_session_required", false))
		switch {
		case e.Secret == "" || e.Expires == nil || *e.Expires != 0 || e.IssuedAt == 0 || !strings.HasPrefix(e.Token, "dwm_") || e.URI != s.URL+e.place():
			t.Errorf("it is told %+v", e)
		case e.Name != "Shop" || e.Method != "client_secret_basic" || fmt.Sprint(e.Grants, e.Types) != "[authorization_code refresh_token] [code]" || e.Scope != "openid profile read":
			t.Errorf("it is registered as %+v", e)
		case e.Contacts[0] != "ops@shop.example" || e.LogoURI != "https://shop.example/l.png" || e.SoftwareID == "" || e.SoftwareVersion != "2" || e.DefaultACR[0] != "urn:x" ||
			e.InitiateLoginURI != "https://shop.example/begin" || e.ApplicationType != client.Web || e.SubjectType != client.PublicSubjects || e.IDTokenAlg != "ES256" || e.FrontchannelLogoutURI != "https://client.example/out":
			t.Errorf("it says of itself %+v", e.Registration)
		}

		b := s.Browser(t)
		b.Login(t, "ana")
		var g granted
		a := redeem(t, s, e.ID, e.Secret, code(t, b, authorizing(e.ID)))
		if a.JSON(t, &g); a.Status != http.StatusOK || g.Scope != "openid read" || g.Refresh == "" {
			t.Fatalf("the tokens: %d %s", a.Status, a.Body)
		}

		var again enrolled
		a = s.Call(t, e.Token, http.MethodGet, e.place(), nil)
		if a.JSON(t, &again); a.Status != http.StatusOK || again.Token != e.Token || again.URI != e.URI || again.Secret != "" || again.Name != "Shop" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("it reads itself: %d %s %v", a.Status, a.Body, a.Header)
		}

		// A change replaces all: what is left out was never said.
		var next enrolled
		a = s.Call(t, e.Token, http.MethodPut, e.place(), said("client_id", e.ID, "client_secret", e.Secret, "client_name", "Shop", "scope", "openid read", "id_token_signed_response_alg", nil))
		if a.JSON(t, &next); a.Status != http.StatusOK || next.Secret != "" || next.LogoURI != "" || len(next.Contacts) > 0 || fmt.Sprint(next.Grants) != "[authorization_code]" || next.Scope != "openid read" || next.IDTokenAlg != "RS256" {
			t.Errorf("it changes itself: %d %s", a.Status, a.Body)
		}
		if a = s.Call(t, e.Token, http.MethodDelete, e.place(), nil); a.Status != http.StatusNoContent || a.Body != "" {
			t.Errorf("it goes: %d %s", a.Status, a.Body)
		}
		if a = s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("what came of it: %d %s", a.Status, a.Body)
		}
		if a = s.Call(t, e.Token, http.MethodGet, e.place(), nil); a.Status != http.StatusUnauthorized || a.Error() != "invalid_token" {
			t.Errorf("once it is gone: %d %s", a.Status, a.Body)
		}
		made := events(t, s, string(audit.ClientCreated))
		if last := made[len(made)-1]; last.Detail["registered_with"] == "" || last.Detail["registered_with"] == "nothing" {
			t.Errorf("the log has %+v", last)
		}
	})
}

// As programs do that register themselves wherever they come: an agent on a machine, and a
// client of the Model Context Protocol, which names no scope and no type.
func TestRegisterUnasked(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: opened})
	s.User(t, "ana", "editor")
	agent := enrol(t, s, "", map[string]any{
		"id_token_signed_response_alg": "ES256", "application_type": "web", "client_name": "oidc-agent:here", "redirect_uris": []string{"http://localhost:4242", "http://localhost:8080", "edu.kit.data.oidc-agent:/redirect"}[:2],
		"grant_types": []string{"refresh_token", "authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}, "response_types": []string{"code"},
		"scope": "openid profile email offline_access",
	})
	if agent.Secret == "" || len(agent.Grants) != 3 {
		t.Errorf("the agent is registered as %+v", agent)
	}
	mcp := enrol(t, s, "", map[string]any{
		"id_token_signed_response_alg": "ES256", "client_name": "MCP Inspector", "redirect_uris": []string{"http://localhost:6274/oauth/callback"}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "client_uri": "https://github.com/modelcontextprotocol/inspector",
	})
	if mcp.Secret != "" || mcp.Expires != nil || !strings.Contains(mcp.Scope, "read") {
		t.Errorf("the MCP client is registered as %+v", mcp)
	}
	// Without a scope it gets what it is for, and of the person not even who he is.
	b := s.Browser(t)
	b.Login(t, "ana")
	a := b.Send(t, http.MethodGet, authorizing(mcp.ID, "scope", "", "redirect_uri", "http://localhost:6274/oauth/callback"), "", "")
	page := b.Send(t, http.MethodGet, a.Header.Get("Location"), "", "")
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "MCP Inspector") || !strings.Contains(page.Body, ">read<") || strings.Contains(page.Body, "offline") {
		t.Errorf("it asks: %d %s", page.Status, page.Body)
	}
	// It can be called from where scripts may call, and says where it is.
	var m map[string]any
	s.Send(t, http.MethodGet, "/.well-known/openid-configuration", "", "").JSON(t, &m)
	if m["registration_endpoint"] != s.URL+"/oauth2/register" {
		t.Errorf("the metadata name %v", m["registration_endpoint"])
	}
}

// The metadata name the endpoint as long as somebody may register something there.
func TestRegistrationEndpoint(t *testing.T) {
	t.Parallel()
	var c steered
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	named := func() any {
		c.pass(10e9)
		var m map[string]any
		s.Send(t, http.MethodGet, "/.well-known/oauth-authorization-server", "", "").JSON(t, &m)
		return m["registration_endpoint"]
	}
	if at := named(); at != nil {
		t.Errorf("without a token: %v", at)
	}
	token := ticket(t, s, client.InitialDraft{})
	if at := named(); at == nil {
		t.Error("with a token it is not named")
	}
	enrol(t, s, token, said())
	if at := named(); at != nil {
		t.Errorf("with one that was used up: %v", at)
	}
}

// A client that keeps no secret may come to keep one, and changes itself no more often than
// it could have come.
func TestReregister(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: also(opened, "rate_limit.registration", "3/1h")})
	s.User(t, "ana", "editor")
	e := enrol(t, s, "", said("token_endpoint_auth_method", "none", "client_name", "Shop"))
	m := said("client_id", e.ID, "client_name", "Shop")
	var next enrolled
	a := s.Call(t, e.Token, http.MethodPut, e.place(), m)
	if a.JSON(t, &next); a.Status != http.StatusOK || !strings.HasPrefix(next.Secret, "dws_") || next.Expires == nil || next.Method != "client_secret_basic" {
		t.Fatalf("with a secret: %d %s", a.Status, a.Body)
	}
	b := s.Browser(t)
	b.Login(t, "ana")
	if a = redeem(t, s, e.ID, next.Secret, code(t, b, authorizing(e.ID, "scope", "openid"))); a.Status != http.StatusOK {
		t.Errorf("by its secret: %d %s", a.Status, a.Body)
	}
	if a = redeem(t, s, e.ID, "", code(t, b, authorizing(e.ID, "scope", "openid"))); a.Status != http.StatusUnauthorized {
		t.Errorf("without it: %d %s", a.Status, a.Body)
	}
	for n, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if a = s.Call(t, e.Token, http.MethodPut, e.place(), m); a.Status != want {
			t.Errorf("change %d: %d %s", n+2, a.Status, a.Body)
		}
	}
	if a = s.Call(t, e.Token, http.MethodGet, e.place(), nil); a.Status != http.StatusOK {
		t.Errorf("reading it after that: %d %s", a.Status, a.Body)
	}
}

// What RFC 7591, Section 2, has for who says nothing; and what cannot be.
func TestRegisterMetadata(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: opened})
	e := enrol(t, s, "", said())
	if e.Method != "client_secret_basic" || fmt.Sprint(e.Grants, e.Types) != "[authorization_code] [code]" || e.Name != e.ID {
		t.Errorf("by default: %+v", e)
	}
	for what, tt := range map[string]struct {
		m    map[string]any
		code string
	}{
		"no redirect URI":             {said("redirect_uris", nil), "invalid_redirect_uri"},
		"an http redirect URI":        {said("redirect_uris", []string{"http://shop.example/cb"}), "invalid_redirect_uri"},
		"a fragment":                  {said("redirect_uris", []string{callback + "#x"}), "invalid_redirect_uri"},
		"a wildcard":                  {said("redirect_uris", []string{"https://*.example/cb"}), "invalid_redirect_uri"},
		"redirect URIs as a text":     {said("redirect_uris", callback), "invalid_redirect_uri"},
		"another response type":       {said("response_types", []string{"id_token"}), "invalid_client_metadata"},
		"two response types":          {said("response_types", []string{"code", "id_token"}), "invalid_client_metadata"},
		"no response type":            {said("response_types", []string{}), "invalid_client_metadata"},
		"grants that are not given":   {said("grant_types", []string{"client_credentials", "password"}), "invalid_client_metadata"},
		"another method":              {said("token_endpoint_auth_method", "client_secret_jwt"), "invalid_client_metadata"},
		"no keys":                     {said("token_endpoint_auth_method", "private_key_jwt"), "invalid_client_metadata"},
		"keys twice":                  {said("jwks_uri", "https://shop.example/k", "jwks", map[string]any{"keys": []any{}}), "invalid_client_metadata"},
		"an unsigned ID token":        {said("id_token_signed_response_alg", "none"), "invalid_client_metadata"},
		"signed userinfo by HMAC":     {said("userinfo_signed_response_alg", "HS256"), "invalid_client_metadata"},
		"another type":                {said("application_type", "desktop"), "invalid_client_metadata"},
		"another subject":             {said("subject_type", "private"), "invalid_client_metadata"},
		"a number for a name":         {said("client_name", 7), "invalid_client_metadata"},
		"a name of two lines":         {said("client_name", "a\nb"), "invalid_client_metadata"},
		"a long name":                 {said("client_name", strings.Repeat("a", 201)), "invalid_client_metadata"},
		"a script for a page":         {said("client_uri", "javascript:alert(1)"), "invalid_client_metadata"},
		"an http logo":                {said("logo_uri", "http://shop.example/l.png"), "invalid_client_metadata"},
		"a login begun by http":       {said("initiate_login_uri", "http://shop.example/begin"), "invalid_client_metadata"},
		"too many contacts":           {said("contacts", strings.Split(strings.Repeat("a ", 11), " ")), "invalid_client_metadata"},
		"a permission":                {said("scope", "openid users:write"), "invalid_client_metadata"},
		"a scope that is none":        {said("scope", "openid  read"), "invalid_client_metadata"},
		"a sign-out at an http place": {said("post_logout_redirect_uris", []string{"http://shop.example/"}), "invalid_client_metadata"},
	} {
		a := s.Call(t, "", http.MethodPost, "/oauth2/register", tt.m)
		if a.Status != http.StatusBadRequest || a.Error() != tt.code {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	for _, body := range []string{``, `[]`, `null`, `{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, `{`} {
		if a := s.Send(t, http.MethodPost, "/oauth2/register", "application/json", body); a.Status != http.StatusBadRequest || a.Error() != "invalid_client_metadata" {
			t.Errorf("%q: %d %s", body, a.Status, a.Body)
		}
	}
	if a := s.Form(t, "/oauth2/register", "redirect_uris", callback); a.Status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", a.Status, a.Body)
	}
}

// Administrators see what registers clients, and end it.
func TestRegistrationTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	a := s.Call(t, root, http.MethodPost, "/registration-tokens", map[string]any{"name": "shop team", "scopes": []string{"read"}, "uses": 2, "expires_in": 60}, "Idempotency-Key", "one")
	var made struct {
		ID    string `json:"id"`
		Token string `json:"token"`
		Uses  int64  `json:"uses_left"`
	}
	if a.JSON(t, &made); a.Status != http.StatusCreated || !strings.HasPrefix(made.Token, "dwi_") || made.Uses != 2 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a = s.Call(t, root, http.MethodPost, "/registration-tokens", map[string]any{"name": "shop team", "scopes": []string{"read"}, "uses": 2, "expires_in": 60}, "Idempotency-Key", "one"); a.Status != http.StatusCreated || strings.Contains(a.Body, "dwi_") || !strings.Contains(a.Body, made.ID) {
		t.Errorf("sent again: %d %s", a.Status, a.Body)
	}
	enrol(t, s, made.Token, said())
	if a = s.Call(t, root, http.MethodGet, "/registration-tokens/"+made.ID, nil); a.Status != http.StatusOK || !strings.Contains(a.Body, `"uses_left":1`) || strings.Contains(a.Body, "dwi_") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a = s.Call(t, root, http.MethodGet, "/registration-tokens?limit=1", nil); a.Status != http.StatusOK || !strings.Contains(a.Body, made.ID) || strings.Contains(a.Body, "dwi_") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a = s.Call(t, root, http.MethodDelete, "/registration-tokens/"+made.ID, nil); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a = s.Call(t, made.Token, http.MethodPost, "/oauth2/register", said()); a.Status != http.StatusUnauthorized {
		t.Errorf("once it is revoked: %d %s", a.Status, a.Body)
	}
	for what, body := range map[string]map[string]any{
		"no name": {}, "a long name": {"name": strings.Repeat("a", 201)}, "a wildcard": {"name": "x", "scopes": []string{"*"}}, "a scope of identity": {"name": "x", "scopes": []string{"openid"}},
		"too often": {"name": "x", "uses": 10_001}, "too long": {"name": "x", "expires_in": 365*24*3600 + 1}, "something else": {"name": "x", "roles": []string{"admin"}},
	} {
		if a := s.Call(t, root, http.MethodPost, "/registration-tokens", body); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
}

// An administrator's change takes a client over: what he gives it, no registration token
// carries elsewhere. To disable it takes over nothing.
func TestRegisteredClientIsAdopted(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: opened})
	root := s.Login(t, servertest.Admin).Access
	e := enrol(t, s, "", said())
	own := func(want int, what string) {
		t.Helper()
		if a := s.Call(t, e.Token, http.MethodGet, e.place(), nil); a.Status != want {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	patch := func(m map[string]any) {
		t.Helper()
		if a := s.Call(t, root, http.MethodPatch, "/clients/"+e.ID, m); a.Status != http.StatusOK {
			t.Fatalf("%v: %d %s", m, a.Status, a.Body)
		}
	}
	exported := func(want bool, what string) {
		t.Helper()
		all, err := s.Core.Policy.Export(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprintf("%+v", all), e.ID) != want {
			t.Errorf("%s: is it in the policy? %t", what, !want)
		}
	}
	own(http.StatusOK, "at first")
	exported(false, "at first")
	patch(map[string]any{"status": "disabled"})
	own(http.StatusUnauthorized, "disabled")
	patch(map[string]any{"status": "active"})
	own(http.StatusOK, "enabled again")
	patch(map[string]any{"skip_consent": true})
	own(http.StatusUnauthorized, "adopted")
	exported(true, "adopted")
	a := s.Call(t, e.Token, http.MethodPut, e.place(), said("client_id", e.ID, "redirect_uris", []string{"https://evil.example/"}))
	if a.Status != http.StatusUnauthorized {
		t.Errorf("a change: %d %s", a.Status, a.Body)
	}
}

// ticket is a token that registers clients for what the caller holds, or for what only
// administrators hold, or none.
func (c *call) ticket() string {
	made, scopes := struct{ ID string }{"nosuch"}, []string{}
	if c.target == "other" {
		scopes = []string{"admin"}
	}
	if c.target != "absent" {
		c.s.Call(c.t, c.root, "POST", "/registration-tokens", map[string]any{"name": "x", "scopes": scopes}).JSON(c.t, &made)
	}
	return "/registration-tokens/" + made.ID
}

// An application that begins a sign-in itself is begun at from the list of what one uses
// (OpenID Connect Core 1.0, Section 4).
func TestBeginAtAnApplication(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: opened})
	s.User(t, "ana", "editor")
	e := enrol(t, s, "", said("client_name", "Shop", "initiate_login_uri", "https://shop.example/begin?from=here"))
	b := s.Browser(t)
	b.Login(t, "ana")
	code(t, b, authorizing(e.ID, "scope", "openid"))
	page := b.Send(t, http.MethodGet, "/account", "", "")
	if want := `href="https://shop.example/begin?from=here&amp;iss=` + html.EscapeString(url.QueryEscape(s.URL)) + `"`; !strings.Contains(page.Body, want) {
		t.Errorf("%s is not on the page: %s", want, page.Body)
	}
}
