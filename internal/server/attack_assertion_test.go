package server_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// prover is a client that proves itself by a key.
type prover struct {
	id  string
	alg jose.Algorithm
	kid string
	key crypto.Signer
}

func newProver(t testing.TB, id string, alg jose.Algorithm) prover {
	t.Helper()
	key, err := jose.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return prover{id, alg, "k1", key}
}

// members is the JWK Set of the client, as a body has it.
func (p prover) members(t testing.TB) map[string]any {
	t.Helper()
	j, err := jose.PublicJWK(p.kid, p.alg, p.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"keys": []any{j}})
	if err != nil {
		t.Fatal(err)
	}
	var set map[string]any
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// register registers the client over the API.
func (p prover) register(t testing.TB, s *servertest.Site, root string, changes map[string]any) {
	t.Helper()
	body := map[string]any{"client_id": p.id, "token_endpoint_auth_method": "private_key_jwt", "jwks": p.members(t)}
	maps.Copy(body, changes)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	a := s.Call(t, root, "POST", "/clients", body)
	if a.Status != http.StatusCreated || strings.Contains(a.Body, `"client_secret":`) {
		t.Fatalf("registering %v: %d %s", body, a.Status, a.Body)
	}
}

// keep registers the client past the API.
func (p prover) keep(t testing.TB, s *servertest.Site) {
	t.Helper()
	var keys client.KeySet
	text, err := json.Marshal(p.members(t))
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := client.Draft{ID: p.id, Method: oauth.PrivateKeyJWT, Registration: client.Registration{JWKS: &keys}}
	if _, _, err := s.Core.Clients.Create(t.Context(), servertest.Operator, d); err != nil {
		t.Fatal(err)
	}
}

// assertion returns a good one, with claims changed.
func (p prover) assertion(t testing.TB, s *servertest.Site, changes map[string]any) string {
	t.Helper()
	return p.typed(t, s, "JWT", changes)
}

func (p prover) typed(t testing.TB, s *servertest.Site, typ string, changes map[string]any) string {
	t.Helper()
	now := s.Core.Clock.Now()
	claims := map[string]any{"iss": p.id, "sub": p.id, "aud": s.URL, "jti": secret.Base62(secret.Random(16)), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(p.alg, p.kid, typ, p.key)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// asserts is an assertion as parameters.
func asserts(token string) string {
	return "&client_assertion_type=" + url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") + "&client_assertion=" + url.QueryEscape(token)
}

// accepted fails the test unless an answer is the one to a client that proved itself.
func accepted(t *testing.T, what string, a servertest.Answer) {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
}

func TestAttackCA007AnotherAudience(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		plain, lax := newProver(t, "plain", jose.ES256), newProver(t, "lax", jose.EdDSA)
		plain.register(t, s, root, nil)
		lax.register(t, s, root, map[string]any{"assertion_audience": "token_endpoint"})
		for _, p := range proofs {
			accepted(t, p.path, p.try(t, s, asserts(plain.assertion(t, s, nil))))
			accepted(t, p.path+", with its id", p.try(t, s, "&client_id=plain"+asserts(plain.assertion(t, s, nil))))
			accepted(t, p.path+", for the token endpoint", p.try(t, s, asserts(lax.assertion(t, s, map[string]any{"aud": s.URL + "/oauth2/token"}))))
			accepted(t, p.path+", for the issuer", p.try(t, s, asserts(lax.assertion(t, s, nil))))
			for _, aud := range []any{s.URL + "/oauth2/token", s.URL + p.path, s.URL + "/", []string{s.URL}, []string{s.URL, "https://evil.example"}, "https://evil.example", "plain", nil} {
				unproved(t, fmt.Sprint(p.path, ", for ", aud), p.try(t, s, asserts(plain.assertion(t, s, map[string]any{"aud": aud}))), false)
			}
			unproved(t, p.path+", lax for another too", p.try(t, s, asserts(lax.assertion(t, s, map[string]any{"aud": []string{s.URL, "https://evil.example"}}))), false)
		}
	})
}

// A client that registers itself cannot say whom its assertions are for: the server does,
// and does not move the bound for clients that administrators register.
func TestAttackCA007ClientsThatRegisterThemselves(t *testing.T) {
	for setting, status := range map[string]int{"issuer": http.StatusUnauthorized, "token_endpoint": http.StatusOK} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			settings := maps.Clone(opened)
			settings["registration.assertion_audience"] = setting
			s := servertest.Start(t, servertest.Options{Set: settings})
			itself, other := newProver(t, "", jose.ES256), newProver(t, "other", jose.ES256)
			e := enrol(t, s, "", said("token_endpoint_auth_method", "private_key_jwt", "jwks", itself.members(t), "assertion_audience", "token_endpoint"))
			itself.id = e.ID
			other.register(t, s, s.Login(t, servertest.Admin).Access, nil)
			revoke := func(p prover, aud any) servertest.Answer {
				return proofs[2].try(t, s, asserts(p.assertion(t, s, map[string]any{"aud": aud})))
			}
			if a := revoke(itself, s.URL+"/oauth2/token"); a.Status != status {
				t.Errorf("for the token endpoint: %d %s, want %d", a.Status, a.Body, status)
			}
			accepted(t, "for the issuer", revoke(itself, s.URL))
			unproved(t, "for the token endpoint and another", revoke(itself, []string{s.URL + "/oauth2/token", "https://evil.example"}), false)
			unproved(t, "a client of an administrator's", revoke(other, s.URL+"/oauth2/token"), false)
			a := s.Call(t, e.Token, http.MethodPut, e.place(), said("client_id", e.ID, "token_endpoint_auth_method", "private_key_jwt", "jwks", itself.members(t)))
			if a.Status != http.StatusOK {
				t.Fatalf("it changes itself: %d %s", a.Status, a.Body)
			}
			if a = revoke(itself, s.URL+"/oauth2/token"); a.Status != status {
				t.Errorf("and after a change: %d %s, want %d", a.Status, a.Body, status)
			}
		})
	}
}

// An assertion is good once, on whichever server it is shown.
func TestAttackCA008Twice(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		master := secret.NewMaster()
		s := servertest.Start(t, servertest.Options{DSN: dsn, Master: master})
		other := servertest.Start(t, servertest.Options{DSN: dsn, Master: master})
		c := newProver(t, "billing", jose.ES256)
		c.register(t, s, s.Login(t, servertest.Admin).Access, nil)
		// The other one's issuer is its own, so it is asked for as the first.
		once := asserts(c.assertion(t, s, map[string]any{"jti": "once"}))
		accepted(t, "the first time", proofs[0].try(t, s, once))
		for _, p := range proofs {
			unproved(t, p.path+", again", p.try(t, s, once), false)
		}
		unproved(t, "the same id, at another server", proofs[0].try(t, other, asserts(c.assertion(t, other, map[string]any{"jti": "once"}))), false)
		accepted(t, "another id, at another server", proofs[0].try(t, other, asserts(c.assertion(t, other, nil))))
		// At once.
		racing := asserts(c.assertion(t, s, nil))
		var good atomic.Int64
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				if a := proofs[0].try(t, s, racing); a.Status == http.StatusOK {
					good.Add(1)
				}
			})
		}
		if wait.Wait(); good.Load() != 1 {
			t.Errorf("one assertion is good %d times", good.Load())
		}
	})
}

func TestAttackCA009Claims(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	c, other := newProver(t, "billing", jose.ES256), newProver(t, "other", jose.ES256)
	root := s.Login(t, servertest.Admin).Access
	c.register(t, s, root, nil)
	other.register(t, s, root, nil)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, p := range proofs {
		for what, changes := range map[string]map[string]any{
			"iss": {"iss": "other"}, "sub": {"sub": "other"}, "iss and sub": {"iss": "other", "sub": "other"}, "no exp": {"exp": nil}, "exp in a year": {"exp": at(8760 * time.Hour)}, "exp as text": {"exp": "1"}, "expired": {"exp": at(-time.Minute)},
			"nbf +61 s": {"nbf": at(62 * time.Second)}, "iat +61 s": {"iat": at(62 * time.Second)}, "iat an hour ago": {"iat": at(-time.Hour)}, "jti empty": {"jti": ""}, "jti of 5 KiB": {"jti": strings.Repeat("a", 5<<10)},
		} {
			unproved(t, p.path+", "+what, p.try(t, s, asserts(c.assertion(t, s, changes))), false)
			unproved(t, p.path+", "+what+", with its id", p.try(t, s, "&client_id=billing"+asserts(c.assertion(t, s, changes))), false)
		}
		unproved(t, p.path+", another's", p.try(t, s, "&client_id=billing"+asserts(other.assertion(t, s, nil))), false)
		unproved(t, p.path+", nobody's", p.try(t, s, asserts(newProver(t, "nobody", jose.ES256).assertion(t, s, nil))), false)
		accepted(t, p.path+", iat +9 s", p.try(t, s, asserts(c.assertion(t, s, map[string]any{"iat": at(9 * time.Second)}))))
		good := url.QueryEscape(c.assertion(t, s, nil))
		for what, more := range map[string]string{
			"no type": "&client_assertion=" + good, "no assertion": "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer", "SAML": "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Asaml2-bearer&client_assertion=" + good,
			"the grant's type": "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&client_assertion=" + good, "garbage": asserts("x"), "garbage, with its id": "&client_id=billing" + asserts("a.b.c"), "a huge one": asserts(strings.Repeat("a", 12<<10)),
		} {
			unproved(t, p.path+", "+what, p.try(t, s, more), false)
		}
	}
	// Each that names a client is in the log, like a wrong secret.
	before := len(events(t, s, string(audit.ClientRefused)))
	unproved(t, "expired", proofs[0].try(t, s, asserts(c.assertion(t, s, map[string]any{"exp": at(-time.Hour)}))), false)
	if n := len(events(t, s, string(audit.ClientRefused))) - before; n != 1 {
		t.Errorf("%d refusals are in the log", n)
	}
}

func TestAttackCA010Algorithm(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	c := newProver(t, "billing", jose.ES256)
	c.register(t, s, s.Login(t, servertest.Admin).Access, map[string]any{"token_endpoint_auth_signing_alg": "ES256"})
	der, err := x509.MarshalPKIXPublicKey(c.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	jwk, err := json.Marshal(c.members(t))
	if err != nil {
		t.Fatal(err)
	}
	payload := strings.Split(c.assertion(t, s, nil), ".")[1]
	encode := base64.RawURLEncoding.EncodeToString
	for what, key := range map[string]string{"PEM": text, "PEM without its end": strings.TrimSpace(text), "JWK": string(jwk), "nothing": "", "DER": string(der)} {
		input := encode([]byte(`{"alg":"HS256","kid":"k1"}`)) + "." + payload
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(input))
		unproved(t, "HS256 by "+what, proofs[0].try(t, s, asserts(input+"."+encode(mac.Sum(nil)))), false)
	}
	for _, alg := range []string{"none", "None", "ES384", "RS256", "EdDSA"} {
		unproved(t, alg, proofs[0].try(t, s, asserts(encode([]byte(`{"alg":"`+alg+`","kid":"k1"}`))+"."+payload+".")), false)
	}
	another := newProver(t, c.id, jose.EdDSA)
	unproved(t, "by another algorithm", proofs[0].try(t, s, asserts(another.assertion(t, s, nil))), false)
	accepted(t, "by its own", proofs[0].try(t, s, asserts(c.assertion(t, s, nil))))
}

func TestAttackCA011AnotherKind(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	c := newProver(t, "billing", jose.ES256)
	c.register(t, s, s.Login(t, servertest.Admin).Access, nil)
	for _, typ := range []string{"at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "logout+jwt", "secevent+jwt"} {
		unproved(t, typ, proofs[0].try(t, s, asserts(c.typed(t, s, typ, nil))), false)
	}
	for what, claims := range map[string]map[string]any{"an ID token": {"nonce": "n"}, "a request": {"response_type": "code"}, "a proof": {"htm": "POST"}, "an event": {"events": map[string]any{}}} {
		unproved(t, what, proofs[0].try(t, s, asserts(c.assertion(t, s, claims))), false)
	}
	// Nor does an assertion pass for a token.
	for _, kind := range []string{"JWT", "at+jwt"} {
		if status := me(t, s, c.typed(t, s, kind, map[string]any{"client_id": "billing"})); status != http.StatusUnauthorized {
			t.Errorf("an assertion as an access token: %d", status)
		}
	}
	accepted(t, "an assertion", proofs[0].try(t, s, asserts(c.typed(t, s, "client-authentication+jwt", nil))))
}

func TestAttackCA012Lifetime(t *testing.T) {
	clock := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: clock.tweak})
	c := newProver(t, "billing", jose.ES256)
	c.register(t, s, s.Login(t, servertest.Admin).Access, nil)
	at := func(d time.Duration) int64 { return s.Core.Clock.Now().Add(d).Unix() }
	unproved(t, "6 minutes", proofs[0].try(t, s, asserts(c.assertion(t, s, map[string]any{"exp": at(6 * time.Minute)}))), false)
	old := asserts(c.assertion(t, s, map[string]any{"exp": at(5 * time.Minute)}))
	used := asserts(c.assertion(t, s, map[string]any{"exp": at(5 * time.Minute), "iat": nil}))
	accepted(t, "5 minutes", proofs[0].try(t, s, used))
	clock.pass(5*time.Minute + 20*time.Second) // within what clocks may differ by
	unproved(t, "one that was used, at its end", proofs[0].try(t, s, used), false)
	clock.pass(20 * time.Second)
	unproved(t, "one that was not, after it", proofs[0].try(t, s, old), false)
}

// What cannot prove anybody is not registered, and what is private is not taken.
func TestAttackCA017WeakKeys(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	c := newProver(t, "billing", jose.ES256)
	c.register(t, s, root, nil)
	rsaKey := func(bits int, e string) map[string]any {
		n := make([]byte, bits/8)
		n[0], n[len(n)-1] = 0x80, 1
		return map[string]any{"kty": "RSA", "kid": "k", "n": base64.RawURLEncoding.EncodeToString(n), "e": e}
	}
	good := c.members(t)["keys"].([]any)[0].(map[string]any)
	with := func(name string, value any) map[string]any { k := maps.Clone(good); k[name] = value; return k }
	var many []any
	for i := range 1000 {
		many = append(many, with("kid", fmt.Sprint(i)))
	}
	for what, keys := range map[string][]any{
		"rsa512": {rsaKey(512, "AQAB")}, "rsa1024": {rsaKey(1024, "AQAB")}, "e=1": {rsaKey(2048, "AQ")}, "rsa65536": {rsaKey(65536, "AQAB")}, "off-curve": {with("x", good["y"])}, "oct": {map[string]any{"kty": "oct", "k": "AAAA"}},
		"private": {with("d", "c2VjcmV0LXNjYWxhcg")}, "1000 keys": many, "dup kid": {good, good}, "none": {}, "enc": {with("use", "enc")}, "a text": {"key"}, "low order": {map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
	} {
		body := map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": keys}}
		for _, a := range []servertest.Answer{s.Call(t, root, "POST", "/clients", body), s.Call(t, root, "PATCH", "/clients/billing", body)} {
			if a.Status != http.StatusBadRequest && a.Status != http.StatusRequestEntityTooLarge || strings.Contains(a.Body, "c2VjcmV0") {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
	}
	for what, body := range map[string]map[string]any{
		"no keys": {"jwks": nil}, "both": {"jwks_uri": "https://a.example/keys"}, "an algorithm": {"token_endpoint_auth_signing_alg": "HS256"}, "an audience": {"assertion_audience": "any"}, "a member": {"jwks": map[string]any{"keys": []any{good}, "more": 1}},
	} {
		if a := s.Call(t, root, "PATCH", "/clients/billing", body); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	accepted(t, "with the key that it has", proofs[0].try(t, s, asserts(c.assertion(t, s, nil))))
	// Another key is the only one, at once.
	fresh := newProver(t, "billing", jose.EdDSA)
	accepted(t, "another key", s.Call(t, root, "PATCH", "/clients/billing", map[string]any{"jwks": fresh.members(t)}))
	unproved(t, "the key before", proofs[0].try(t, s, asserts(c.assertion(t, s, nil))), false)
	accepted(t, "the key now", proofs[0].try(t, s, asserts(fresh.assertion(t, s, nil))))
}

// Who names the keys of a client could prove that he is it, for ever: he does not do so with
// what he has for a while.
func TestAttackRBACKeysOfOthers(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		makeRole(t, s, "registrar", "clients:read", "clients:write")
		makeRole(t, s, "writer", "users:write")
		u := s.User(t, "eve", "registrar")
		if _, err := s.Core.Roles.Give(t.Context(), servertest.Operator, u.ID, "writer", time.Now().Add(time.Hour), ""); err != nil {
			t.Fatal(err)
		}
		eve := s.Login(t, "eve").Access
		c, own := newProver(t, "billing", jose.ES256), newProver(t, "billing", jose.ES256)
		c.register(t, s, s.Login(t, servertest.Admin).Access, map[string]any{"scope": "users:write"})
		for what, body := range map[string]map[string]any{
			"keys": {"jwks": own.members(t)}, "a place": {"jwks": nil, "jwks_uri": "https://evil.example/keys"}, "no proof": {"token_endpoint_auth_method": "none", "grant_types": []string{}},
		} {
			if a := s.Call(t, eve, "PATCH", "/clients/billing", body); a.Status != http.StatusForbidden {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
		accepted(t, "its name", s.Call(t, eve, "PATCH", "/clients/billing", map[string]any{"client_name": "Billing"}))
		accepted(t, "its key", proofs[1].try(t, s, asserts(c.assertion(t, s, nil))))
	})
}

// sink counts who reaches an address of loopback.
func sink(t *testing.T) (port string, reached *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	reached = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, reached
}

// No URL of a client leads the server to what stands beside it: it is not registered, or not
// asked.
func TestAttackSSRF001KeysOfAClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	port, reached := sink(t)
	var taken []prover
	for i, place := range []string{
		"http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://[::1]:PORT/", "http://[::ffff:127.0.0.1]:PORT/", "http://0.0.0.0:PORT/", "http://127.1:PORT/", "http://2130706433:PORT/", "http://0x7f000001:PORT/", "http://0177.0.0.1:PORT/",
		"http://169.254.169.254/latest/", "http://[fd00:ec2::254]/", "http://10.0.0.1/", "http://100.64.0.1/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::127.0.0.1]/", "http://224.0.0.1/", "http://[fe80::1%25lo]/", "file:///etc/passwd",
		"gopher://127.0.0.1:6379/_x", "unix:///var/run/x.sock", "https://user:pw@127.0.0.1/", "http://127.0.0.1.:PORT/", "http://127。0。0。1:PORT/", "https://keys.example.com:22/", "https://localhost:8443/", "https://localhost/",
	} {
		for j, place := range []string{place, strings.Replace(place, "http:", "https:", 1)} {
			c := newProver(t, fmt.Sprintf("c%d.%d", i, j), jose.EdDSA)
			a := s.Call(t, root, "POST", "/clients", map[string]any{"client_id": c.id, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": strings.ReplaceAll(place, "PORT", port)})
			if a.Status == http.StatusCreated {
				taken = append(taken, c)
			} else if a.Status != http.StatusBadRequest {
				t.Errorf("%s: %d %s", place, a.Status, a.Body)
			}
		}
	}
	if len(taken) != 4 { // a name that means an inner address, at a port of the web, each as written twice
		t.Errorf("%d are registered", len(taken))
	}
	// And one that was registered when the rules were others.
	past := newProver(t, "past", jose.EdDSA)
	past.register(t, s, root, nil)
	if _, err := database(t, s).ExecContext(t.Context(), `UPDATE clients SET registration = '{"jwks_uri":"https://127.0.0.1:`+port+`/"}' WHERE id = 'past'`); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for _, c := range append(taken, past) {
		assertion := asserts(c.assertion(t, s, nil))
		wait.Go(func() { unproved(t, c.id, proofs[0].try(t, s, assertion), false) })
	}
	wait.Wait()
	if n := reached.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

// Keys that a client publishes where the operator allows it: they are read, and another key
// is found. Whatever fails there is told alike.
func TestAttackSSRF003PublishedKeys(t *testing.T) {
	t.Parallel()
	c := newProver(t, "billing", jose.ES256)
	var document atomic.Pointer[map[string]any]
	set := c.members(t)
	document.Store(&set)
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(*document.Load()) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html>") })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 64<<10)+"{}") })
	at := httptest.NewTLSServer(mux)
	t.Cleanup(at.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: at.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	clock := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: clock.tweak, Set: map[string]string{"fetch.allow": at.Listener.Addr().String() + ",localhost", "fetch.ca": ca}})
	root := s.Login(t, servertest.Admin).Access
	c.register(t, s, root, map[string]any{"jwks": nil, "jwks_uri": at.URL + "/keys"})
	accepted(t, "its key", proofs[0].try(t, s, asserts(c.assertion(t, s, nil))))
	fresh := newProver(t, "billing", jose.EdDSA)
	fresh.kid = "k2"
	set2 := fresh.members(t)
	document.Store(&set2)
	unproved(t, "another key at once", proofs[0].try(t, s, asserts(fresh.assertion(t, s, nil))), false)
	clock.pass(11 * time.Second)
	accepted(t, "another key, later", proofs[0].try(t, s, asserts(fresh.assertion(t, s, nil))))
	unproved(t, "the key before", proofs[0].try(t, s, asserts(c.assertion(t, s, nil))), false)

	_, port, _ := net.SplitHostPort(at.Listener.Addr().String())
	var wait sync.WaitGroup
	for what, place := range map[string]string{
		"404": at.URL + "/nothing", "a redirect": at.URL + "/away", "no JSON": at.URL + "/html", "too large": at.URL + "/large", "a closed port": "https://localhost:1/", "another name": "https://localhost:" + port + "/keys", "no TLS": "https://localhost:" + strings.Split(s.URL, ":")[2] + "/",
	} {
		c := newProver(t, strings.ToLower(strings.ReplaceAll(what, " ", "-")), jose.EdDSA)
		c.register(t, s, root, map[string]any{"jwks": nil, "jwks_uri": place})
		assertion := asserts(c.assertion(t, s, nil))
		wait.Go(func() {
			unproved(t, what, proofs[0].try(t, s, assertion), false)
		})
	}
	wait.Wait()
}

// A client that proves itself by a key has no secret that could be shown.
func TestKeyHasNoSecret(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	c := newProver(t, "billing", jose.ES256)
	c.register(t, s, root, nil)
	if a := s.Call(t, root, "POST", "/clients/billing/rotate-secret", map[string]any{}); a.Status != http.StatusConflict {
		t.Errorf("another secret: %d %s", a.Status, a.Body)
	}
	text := client.NewSecret().Text().Reveal()
	unproved(t, "a secret in the header", proofs[0].try(t, s, "", registered{"billing", text}.basic()...), true)
	unproved(t, "a secret in the body", proofs[0].try(t, s, registered{"billing", text}.inBody()), false)
	unproved(t, "nothing", proofs[0].try(t, s, "&client_id=billing"), false)
	secretly := clientBy(t, s, "secretly", oauth.Basic)
	unproved(t, "a key for a secret", proofs[0].try(t, s, asserts(newProver(t, secretly.id, jose.ES256).assertion(t, s, nil))), false)
	var shown struct {
		JWKS   map[string]any `json:"jwks"`
		Method string         `json:"token_endpoint_auth_method"`
	}
	s.Call(t, root, "GET", "/clients/billing", nil).JSON(t, &shown)
	if shown.Method != "private_key_jwt" || fmt.Sprint(shown.JWKS) != fmt.Sprint(c.members(t)) {
		t.Errorf("it is shown as %+v", shown)
	}
}
