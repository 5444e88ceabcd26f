//go:build interop

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/doorward/doorward/internal/jose"
)

// landing is the redirect URI of all clients here. Nobody serves it: the person who
// is sent there says where that was.
const landing = "http://localhost:4180/callback"

// registered is a client as the management API made it.
type registered struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// ann makes an account with all that tokens may tell, and somebody who signs in to it.
func (s *site) ann(t *testing.T) *person {
	t.Helper()
	s.operate(t, s.password+"\n", "user", "create", "ann", "--name", "Ann Archer", "--email", "ann@example.com", "--role", "viewer", "--password-stdin")
	return newPerson(t, "ann", s.password)
}

// register registers a client by its metadata (RFC 7591, Section 2), and gives it
// roles of its own.
func (s *site) register(t *testing.T, metadata map[string]any, roles ...string) registered {
	t.Helper()
	admin := s.token(t, "admin").AccessToken
	var made registered
	s.manage(t, admin, "/clients", metadata, &made)
	for _, role := range roles {
		s.manage(t, admin, "/clients/"+made.ID+"/roles", map[string]any{"role": role}, nil)
	}
	return made
}

func (s *site) manage(t *testing.T, token, path string, body, into any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var answer json.RawMessage
	if err := json.NewDecoder(a.Body).Decode(&answer); err != nil || a.StatusCode != http.StatusCreated {
		t.Fatalf("POST %s: %s %s: %v", path, a.Status, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatal(err)
		}
	}
}

// application returns the metadata of a web application with a backend.
func application(method string) map[string]any {
	return map[string]any{
		"client_name": "Web", "redirect_uris": []string{landing}, "token_endpoint_auth_method": method,
		"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "scope": "openid profile email offline_access read",
	}
}

// TestInteropGo signs somebody in with golang.org/x/oauth2 and go-oidc.
func TestInteropGo(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.ann(t)
	for _, style := range []struct {
		name, method string
		as           oauth2.AuthStyle
	}{{"header", "client_secret_basic", oauth2.AuthStyleInHeader}, {"body", "client_secret_post", oauth2.AuthStyleInParams}, {"probing", "client_secret_post", oauth2.AuthStyleAutoDetect}} {
		t.Run(style.name, func(t *testing.T) {
			c := s.register(t, application(style.method), "viewer")
			provider, err := oidc.NewProvider(t.Context(), s.url)
			if err != nil {
				t.Fatal(err)
			}
			config := &oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: provider.Endpoint(), RedirectURL: landing, Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess, "read"}}
			config.Endpoint.AuthStyle = style.as
			goSignsIn(t, ann, provider, config)
			goForItself(t, config)
		})
	}
}

func goSignsIn(t *testing.T, ann *person, provider *oidc.Provider, config *oauth2.Config) {
	t.Helper()
	verifier, state, nonce := oauth2.GenerateVerifier(), "a state with : and / and é", "a nonce"
	landed, err := ann.visit(config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce)), landing)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := url.Parse(landed)
	if err != nil {
		t.Fatal(err)
	}
	if q := answer.Query(); q.Get("state") != state || q.Get("iss") == "" || q.Get("code") == "" {
		t.Fatalf("landed at %s", landed)
	}
	token, err := config.Exchange(t.Context(), answer.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); token.Type() != "Bearer" || left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("a %s token for %v", token.Type(), left)
	}
	text, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if id.Nonce != nonce || id.AccessTokenHash == "" {
		t.Errorf("the ID token says %+v", id)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Error(err)
	}
	info, err := provider.UserInfo(t.Context(), config.TokenSource(t.Context(), token))
	if err != nil {
		t.Fatal(err)
	}
	if info.Subject != id.Subject {
		t.Errorf("userinfo is of %s, the ID token of %s", info.Subject, id.Subject)
	}
	second, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if second.AccessToken == token.AccessToken {
		t.Error("the refresh gave the same token again")
	}
	_, err = config.Exchange(t.Context(), answer.Query().Get("code"), oauth2.VerifierOption(verifier))
	refused(t, err, http.StatusBadRequest, "invalid_grant")
}

// goForItself lets the client get a token for itself.
func goForItself(t *testing.T, config *oauth2.Config) {
	t.Helper()
	own := clientcredentials.Config{ClientID: config.ClientID, ClientSecret: config.ClientSecret, TokenURL: config.Endpoint.TokenURL, AuthStyle: config.Endpoint.AuthStyle, Scopes: []string{"read"}}
	if token, err := own.Token(t.Context()); err != nil || token.RefreshToken != "" || token.Type() != "Bearer" {
		t.Errorf("for itself: %+v, %v", token, err)
	}
	own.ClientSecret += "x"
	_, err := own.Token(t.Context())
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || e.Response.StatusCode != http.StatusUnauthorized || e.ErrorCode != "invalid_client" {
		t.Errorf("with another secret: %v", err)
	}
}

// TestInteropPrivateKey lets services prove themselves by keys of their own.
func TestInteropPrivateKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	service := func(alg jose.Algorithm, assertionsFor string) (id, private string) {
		key, err := jose.Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := jose.PublicJWK("", alg, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		der, err := jose.MarshalPrivate(key)
		if err != nil {
			t.Fatal(err)
		}
		c := s.register(t, map[string]any{
			"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []any{jwk}}, "scope": "read", "assertion_audience": assertionsFor,
		}, "viewer")
		return c.ID, base64.StdEncoding.EncodeToString(der)
	}
	node, room := nodeRoom(t, "clients")
	id, private := service(jose.ES256, "issuer")
	if out := sh(t, room, node, "private-key.mjs", s.url, id, private); out != "done\n" {
		t.Error(out)
	}
	python, room := pythonRoom(t, "clients")
	id, private = service(jose.PS256, "token_endpoint") // Authlib knows keys of RSA alone
	if out := sh(t, room, "env", "AUTHLIB_INSECURE_TRANSPORT=1", python, "private_key.py", s.url, id, private); out != "done\n" {
		t.Error(out)
	}
}

// TestInteropAlgorithms verifies ID tokens by each algorithm that a client can choose.
func TestInteropAlgorithms(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.ann(t)
	provider, err := oidc.NewProvider(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA} {
		metadata := application("client_secret_basic")
		metadata["id_token_signed_response_alg"] = alg
		c := s.register(t, metadata)
		config := &oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: provider.Endpoint(), RedirectURL: landing, Scopes: []string{oidc.ScopeOpenID}}
		landed, err := ann.visit(config.AuthCodeURL("s"), landing)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(landed, "error=invalid_request") { // without PKCE
			t.Errorf("%s: landed at %s", alg, landed)
		}
		verifier := oauth2.GenerateVerifier()
		if landed, err = ann.visit(config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), landing); err != nil {
			t.Fatal(err)
		}
		answer, err := url.Parse(landed)
		if err != nil {
			t.Fatal(err)
		}
		token, err := config.Exchange(t.Context(), answer.Query().Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		text, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{alg}}).Verify(t.Context(), text)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
		} else if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestInteropDenied says no, and the application hears of it.
func TestInteropDenied(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(t, application("client_secret_basic"))
	provider, err := oidc.NewProvider(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	config := &oauth2.Config{ClientID: c.ID, Endpoint: provider.Endpoint(), RedirectURL: landing, Scopes: []string{oidc.ScopeOpenID, "read"}}
	ann := s.ann(t)
	ann.says = "deny"
	landed, err := ann.visit(config.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), landing)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := url.Parse(landed); err != nil || answer.Query().Get("error") != "access_denied" || answer.Query().Get("state") != "s" || answer.Query().Has("code") {
		t.Errorf("landed at %s", landed)
	}
}

// TestInteropNode lets openid-client and oauth4webapi sign somebody in.
func TestInteropNode(t *testing.T) {
	t.Parallel()
	node, room := nodeRoom(t, "clients")
	s := start(t)
	c := s.register(t, application("client_secret_basic"))
	s.operate(t, "", "resource", "create", "api", "--identifier", "https://api.example", "--permission", "read")
	ann := s.ann(t)
	ann.with(room, landing, node, "openid-client.mjs", s.url, c.ID, c.Secret, landing)
	public := application("none")
	public["grant_types"] = []string{"authorization_code", "refresh_token"}
	p := s.register(t, public)
	ann.with(room, landing, node, "oauth4webapi.mjs", s.url, p.ID, landing)
	var invited struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(s.operate(t, "", "client", "registration-token", "create", "node", "--scope", "read", "-o", "json")), &invited); err != nil {
		t.Fatal(err)
	}
	s.tells(t, `"registration_endpoint"`)
	ann.with(room, landing, node, "dynamic.mjs", s.url, invited.Token, landing)
}

// tells waits until the metadata have a member: what another process did is known in a second.
func (s *site) tells(t *testing.T, member string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		r, err := http.Get(s.url + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err == nil && strings.Contains(string(text), member) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the metadata have no %s: %v %s", member, err, text)
		}
	}
}

// TestInteropPython lets Authlib sign somebody in.
func TestInteropPython(t *testing.T) {
	t.Parallel()
	python, room := pythonRoom(t, "clients")
	s := start(t)
	c := s.register(t, application("client_secret_post"), "viewer")
	s.ann(t).with(room, landing, python, "authlib_client.py", s.url, c.ID, c.Secret, landing)
}
