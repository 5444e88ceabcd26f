package client

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

const (
	testIssuer = "https://as.example"
	testToken  = testIssuer + "/oauth2/token"
)

// signers are the keys of clients. They are made once.
var signers = sync.OnceValue(func() map[jose.Algorithm]crypto.Signer {
	m := map[jose.Algorithm]crypto.Signer{}
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.RS256} {
		key, err := jose.Generate(alg)
		if err != nil {
			panic(err)
		}
		m[alg] = key
	}
	m[jose.PS256] = m[jose.RS256]
	return m
})

// member is the JWK of a key of signers.
func member(t testing.TB, kid string, alg jose.Algorithm) map[string]any {
	t.Helper()
	j, err := jose.PublicJWK(kid, alg, signers()[alg].Public())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// prover is a house where assertions are judged.
type prover struct {
	*house
	used map[string]time.Duration
	lost error // what First returns
}

func newProver() *prover {
	p := &prover{house: newHouse(), used: map[string]time.Duration{}}
	p.assertions.Issuer, p.assertions.Endpoints = testIssuer, []string{testToken, testIssuer + "/oauth2/par"}
	p.assertions.First = func(_ context.Context, key string, within time.Duration) (bool, error) {
		_, seen := p.used[key]
		p.used[key] = within
		return !seen, p.lost
	}
	return p
}

// client registers a client that proves itself by a key.
func (p *prover) client(t *testing.T, id string, alg jose.Algorithm, to func(*Registration)) Client {
	t.Helper()
	d := Draft{ID: id, Method: oauth.PrivateKeyJWT, Registration: Registration{JWKS: &KeySet{[]map[string]any{member(t, "k", alg)}}}}
	if to != nil {
		to(&d.Registration)
	}
	c, text := p.create(t, d)
	if !text.IsZero() {
		t.Error("a client that proves itself by a key is given a secret")
	}
	return c
}

// claims are those of a good assertion, with changes; nil takes one away.
func (p *prover) claims(id string, changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": id, "sub": id, "aud": testIssuer, "jti": secret.Base62(secret.Random(16)), "iat": p.now.Unix(), "exp": p.now.Add(time.Minute).Unix(),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func signed(t testing.TB, alg jose.Algorithm, kid, typ string, claims map[string]any) secret.Text {
	t.Helper()
	signer, err := jose.NewSigner(alg, kid, typ, signers()[alg])
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return secret.From(text)
}

func (p *prover) prove(t *testing.T, id string, assertion secret.Text) error {
	t.Helper()
	got, err := p.Prove(t.Context(), oauth.Credentials{ID: id, Method: oauth.PrivateKeyJWT, Assertion: assertion})
	if err == nil && got.ID != id {
		t.Errorf("%s is proved to be %s", id, got.ID)
	}
	return err
}

// refuses fails the test unless the fault is the one to whatever is wrong.
func refuses(t *testing.T, what string, err error) {
	t.Helper()
	if fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("%s: %v, want an Unauthenticated fault", what, err)
	}
}

func TestProveByKey(t *testing.T) {
	p := newProver()
	for _, alg := range assertionAlgs {
		id := strings.ToLower(string(alg))
		p.client(t, id, alg, func(r *Registration) { r.AssertionAlg = alg })
		if err := p.prove(t, id, signed(t, alg, "k", "JWT", p.claims(id, nil))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	for _, typ := range []string{"", "JWT", "jwt", "application/jwt", "client-authentication+jwt"} {
		if err := p.prove(t, "es256", signed(t, jose.ES256, "k", typ, p.claims("es256", nil))); err != nil {
			t.Errorf("typ %q: %v", typ, err)
		}
	}
	for _, within := range p.used {
		if within < 6*time.Minute { // the longest that an assertion is good after its first use
			t.Errorf("an id is remembered for %v", within)
		}
	}
	// Where nobody can say whether it was used, it is good for nothing.
	p.lost = fault.New(fault.Unavailable, "away")
	if err := p.prove(t, "es256", signed(t, jose.ES256, "k", "", p.claims("es256", nil))); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without counters: %v", err)
	}
}

func TestAttackCA007AssertionAudience(t *testing.T) {
	p := newProver()
	p.client(t, "strict", jose.ES256, nil)
	p.client(t, "lax", jose.ES256, func(r *Registration) { r.AssertionAudience = ToTokenEndpoint })
	for what, c := range map[string]struct {
		aud         any
		strict, lax bool
	}{
		"the issuer": {testIssuer, true, true}, "the token endpoint": {testToken, false, true}, "an array": {[]string{testIssuer}, false, true}, "both": {[]string{testIssuer, testToken}, false, true},
		"another, too": {[]string{testIssuer, "https://evil.example"}, false, false}, "another": {"https://evil.example", false, false}, "none": {nil, false, false}, "an empty array": {[]string{}, false, false},
		"with a slash": {testIssuer + "/", false, false}, "in capitals": {strings.ToUpper(testIssuer), false, false}, "its token endpoint at another": {"https://evil.example/oauth2/token", false, false},
		"where requests are pushed": {testIssuer + "/oauth2/par", false, true}, "another endpoint": {testIssuer + "/oauth2/revoke", false, false}, "a prefix": {testIssuer + ".evil.example", false, false}, "an empty text": {"", false, false}, "a number": {1, false, false},
	} {
		for id, want := range map[string]bool{"strict": c.strict, "lax": c.lax} {
			err := p.prove(t, id, signed(t, jose.ES256, "k", "", p.claims(id, map[string]any{"aud": c.aud})))
			if (err == nil) != want {
				t.Errorf("%s, %s: %v", what, id, err)
			}
		}
	}
}

func TestAttackCA008AssertionTwice(t *testing.T) {
	p := newProver()
	p.client(t, "a", jose.ES256, nil)
	p.client(t, "b", jose.ES256, nil)
	again := map[string]any{"jti": "the same"}
	first := signed(t, jose.ES256, "k", "", p.claims("a", again))
	if err := p.prove(t, "a", first); err != nil {
		t.Fatal(err)
	}
	refuses(t, "the same", p.prove(t, "a", first))
	refuses(t, "another with the same id", p.prove(t, "a", signed(t, jose.ES256, "k", "", p.claims("a", again))))
	if err := p.prove(t, "b", signed(t, jose.ES256, "k", "", p.claims("b", again))); err != nil {
		t.Errorf("another client's with the same id: %v", err)
	}
	// What is refused uses nothing up.
	fresh := map[string]any{"jti": "fresh"}
	refuses(t, "by a stranger", p.prove(t, "a", signed(t, jose.EdDSA, "k", "", p.claims("a", fresh))))
	if err := p.prove(t, "a", signed(t, jose.ES256, "k", "", p.claims("a", fresh))); err != nil {
		t.Errorf("after a stranger's: %v", err)
	}
}

func TestAttackCA009And012AssertionClaims(t *testing.T) {
	p := newProver()
	p.client(t, "a", jose.ES256, nil)
	at := func(d time.Duration) int64 { return p.now.Add(d).Unix() }
	for what, c := range map[string]struct {
		changes map[string]any
		want    bool
	}{
		"iss of another": {map[string]any{"iss": "b"}, false}, "sub of another": {map[string]any{"sub": "b"}, false}, "both": {map[string]any{"iss": "b", "sub": "b"}, false}, "no iss": {map[string]any{"iss": nil}, false}, "no sub": {map[string]any{"sub": nil}, false},
		"no exp": {map[string]any{"exp": nil}, false}, "exp in a year": {map[string]any{"exp": at(365 * 24 * time.Hour)}, false}, "exp as text": {map[string]any{"exp": fmt.Sprint(at(time.Minute))}, false}, "exp in 6 minutes": {map[string]any{"exp": at(6 * time.Minute)}, false},
		"exp in 5 minutes": {map[string]any{"exp": at(5 * time.Minute)}, true}, "exp a minute ago": {map[string]any{"exp": at(-time.Minute)}, false}, "exp 30 s ago": {map[string]any{"exp": at(-30 * time.Second)}, false}, "exp 10 s ago": {map[string]any{"exp": at(-10 * time.Second)}, true},
		"exp 0": {map[string]any{"exp": 0}, false}, "exp negative": {map[string]any{"exp": -1}, false}, "exp 1e30": {map[string]any{"exp": 1e30}, false},
		"nbf +61 s": {map[string]any{"nbf": at(61 * time.Second)}, false}, "iat +61 s": {map[string]any{"iat": at(61 * time.Second)}, false}, "nbf +10 s": {map[string]any{"nbf": at(10 * time.Second)}, true}, "iat +9 s": {map[string]any{"iat": at(9 * time.Second)}, true},
		"iat an hour ago": {map[string]any{"iat": at(-time.Hour)}, false}, "no iat": {map[string]any{"iat": nil}, true}, "no jti": {map[string]any{"jti": nil}, false}, "an empty jti": {map[string]any{"jti": ""}, false}, "jti of 10 KiB": {map[string]any{"jti": strings.Repeat("j", 10<<10)}, false},
		"jti a number": {map[string]any{"jti": 1}, false}, "jti of 256 bytes": {map[string]any{"jti": strings.Repeat("j", 256)}, true},
	} {
		err := p.prove(t, "a", signed(t, jose.ES256, "k", "", p.claims("a", c.changes)))
		if (err == nil) != c.want {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			refuses(t, what, err)
		}
	}
	// The id of the request and the one of the assertion are one.
	p.client(t, "b", jose.ES256, nil)
	refuses(t, "a's for b", p.prove(t, "b", signed(t, jose.ES256, "k", "", p.claims("a", nil))))
}

func TestAttackCA010AssertionAlgorithm(t *testing.T) {
	p := newProver()
	p.client(t, "es", jose.ES256, nil)
	p.client(t, "ps", jose.PS256, func(r *Registration) { r.AssertionAlg = jose.PS256; delete(r.JWKS.Members[0], "alg") })
	p.client(t, "any", jose.RS256, func(r *Registration) { delete(r.JWKS.Members[0], "alg") })
	refuses(t, "RS256 for PS256", p.prove(t, "ps", signed(t, jose.RS256, "k", "", p.claims("ps", nil))))
	refuses(t, "RS256 for ES256", p.prove(t, "es", signed(t, jose.RS256, "k", "", p.claims("es", nil))))
	for _, alg := range []jose.Algorithm{jose.RS256, jose.PS256} {
		if err := p.prove(t, "any", signed(t, alg, "k", "", p.claims("any", nil))); err != nil {
			t.Errorf("%s by a key for both: %v", alg, err)
		}
	}
	for _, text := range []string{"", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."} {
		refuses(t, text, p.prove(t, "es", secret.From(text)))
	}
}

func TestAttackCA011OtherTokens(t *testing.T) {
	p := newProver()
	p.client(t, "a", jose.ES256, nil)
	for _, typ := range []string{"at+jwt", "application/at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "statuslist+jwt", "x"} {
		refuses(t, typ, p.prove(t, "a", signed(t, jose.ES256, "k", typ, p.claims("a", nil))))
	}
	for name, value := range map[string]any{"nonce": "n", "response_type": "code", "scope": "openid", "htm": "POST", "events": map[string]any{}} {
		refuses(t, name, p.prove(t, "a", signed(t, jose.ES256, "k", "", p.claims("a", map[string]any{name: value}))))
	}
}

func TestWhoMayNotProve(t *testing.T) {
	p := newProver()
	p.client(t, "key", jose.ES256, nil)
	_, text := p.create(t, Draft{ID: "secret", Registration: Registration{JWKS: &KeySet{[]map[string]any{member(t, "k", jose.ES256)}}}})
	refuses(t, "a key of one with a secret", p.prove(t, "secret", signed(t, jose.ES256, "k", "", p.claims("secret", nil))))
	refuses(t, "nobody", p.prove(t, "nobody", signed(t, jose.ES256, "k", "", p.claims("nobody", nil))))
	for _, method := range []oauth.AuthMethod{oauth.Basic, oauth.Post, oauth.NoAuth} {
		_, err := p.Prove(t.Context(), oauth.Credentials{ID: "key", Method: method, Secret: text})
		refuses(t, string(method), err)
	}
	kept := p.store.clients["key"]
	kept.Client.Status = Disabled
	p.store.clients["key"] = kept
	p.kept.Clear()
	refuses(t, "a disabled one", p.prove(t, "key", signed(t, jose.ES256, "k", "", p.claims("key", nil))))
	if _, _, err := p.RotateSecret(t.Context(), principal.Principal{}, "key", 0, 0); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a secret of a client that has none: %v", err)
	}
}

// What is told of the change names the keys.
func TestKeysAreToldOf(t *testing.T) {
	p := newProver()
	c := p.client(t, "a", jose.ES256, nil)
	after := c
	after.JWKS = &KeySet{[]map[string]any{member(t, "k", jose.EdDSA)}}
	if !c.Opens(after) || c.Opens(c) {
		t.Error("another key is no other way in")
	}
	if _, err := p.Update(t.Context(), principal.Principal{}, after); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range p.store.events {
		text, err := json.Marshal(e.Lists)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	for i, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA} {
		k := jose.Key{Algorithm: alg, Public: signers()[alg].Public()}
		if !strings.Contains(got[i], k.Thumbprint()) {
			t.Errorf("%s: the event does not name the key: %s", alg, got[i])
		}
	}
	for _, o := range []struct {
		to   func(*Client)
		want bool
	}{
		{func(c *Client) { c.Method = oauth.Basic }, false}, {func(c *Client) { c.Method = oauth.NoAuth }, true}, {func(c *Client) { c.JWKS, c.JWKSURI = nil, "https://a.example" }, true}, {func(c *Client) { c.Name = "x" }, false},
	} {
		after := c
		if o.to(&after); c.Opens(after) != o.want {
			t.Errorf("%+v: %t", after.Registration, !o.want)
		}
	}
}

func TestCheckKeys(t *testing.T) {
	p := newProver()
	p.assertions.Fetch = &publication{}
	good := &KeySet{[]map[string]any{member(t, "k", jose.ES256)}}
	private := member(t, "k", jose.ES256)
	private["d"] = "AAAA"
	for what, c := range map[string]struct {
		method oauth.AuthMethod
		r      Registration
		field  string
	}{
		"keys": {oauth.PrivateKeyJWT, Registration{JWKS: good}, ""}, "a place": {oauth.PrivateKeyJWT, Registration{JWKSURI: "https://a.example/keys"}, ""}, "neither": {oauth.PrivateKeyJWT, Registration{}, "jwks"},
		"both": {oauth.PrivateKeyJWT, Registration{JWKS: good, JWKSURI: "https://a.example/keys"}, "jwks"}, "a private key": {oauth.PrivateKeyJWT, Registration{JWKS: &KeySet{[]map[string]any{private}}}, "jwks"}, "no key": {oauth.PrivateKeyJWT, Registration{JWKS: &KeySet{}}, "jwks"},
		"keys beside a secret": {oauth.Basic, Registration{JWKS: good}, ""}, "a place that is refused": {oauth.PrivateKeyJWT, Registration{JWKSURI: "https://refused.example"}, "jwks_uri"}, "a relative place": {oauth.PrivateKeyJWT, Registration{JWKSURI: "/keys"}, "jwks_uri"},
		"a long place": {oauth.PrivateKeyJWT, Registration{JWKSURI: "https://a.example/" + strings.Repeat("a", 2048)}, "jwks_uri"}, "HS256": {oauth.PrivateKeyJWT, Registration{JWKS: good, AssertionAlg: "HS256"}, "token_endpoint_auth_signing_alg"}, "none": {oauth.PrivateKeyJWT, Registration{JWKS: good, AssertionAlg: "none"}, "token_endpoint_auth_signing_alg"},
		"an audience": {oauth.PrivateKeyJWT, Registration{JWKS: good, AssertionAudience: "any"}, "assertion_audience"},
	} {
		_, _, err := p.Create(t.Context(), principal.Principal{}, Draft{Method: c.method, Registration: c.r})
		f, _ := errors.AsType[*fault.Error](err)
		if (err == nil) != (c.field == "") || err != nil && (f == nil || f.Field != c.field) {
			t.Errorf("%s: %v, want a fault of %q", what, err, c.field)
		}
	}
}

// publication is what clients publish: a document, after a while, or an error.
type publication struct {
	mu       sync.Mutex
	document map[string]string // by URI
	slow     map[string]time.Duration
	reads    atomic.Int64
}

func (p *publication) Check(place string) error {
	if strings.Contains(place, "refused") {
		return errors.New("it is refused")
	}
	return nil
}

func (p *publication) Get(_ context.Context, place, _ string, most int) ([]byte, error) {
	p.reads.Add(1)
	p.mu.Lock()
	text, slow := p.document[place], p.slow[place]
	p.mu.Unlock()
	time.Sleep(slow)
	if text == "" || len(text) > most {
		return nil, errors.New("it cannot be fetched")
	}
	return []byte(text), nil
}

// publish lets a URI have keys of signers, by their ids.
func (p *publication) publish(t *testing.T, uri string, keys map[string]jose.Algorithm) {
	t.Helper()
	s := KeySet{}
	for kid, alg := range keys {
		s.Members = append(s.Members, member(t, kid, alg))
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.document[uri] = string(text)
}

// published is a prover of clients that publish their keys, in a bubble where its clock is
// that of the bubble.
func published(t *testing.T, test func(t *testing.T, p *prover, at *publication, prove func(id, kid string, alg jose.Algorithm) error)) {
	t.Helper()
	signers() // which are of no bubble
	synctest.Test(t, func(t *testing.T) {
		p := newProver()
		at := &publication{document: map[string]string{}, slow: map[string]time.Duration{}}
		p.assertions.Fetch = at
		p.clock = clock.Func(time.Now)
		p.published = &publishers{fetch: at, clock: p.clock, log: p.assertions.Log, known: map[string]*publisher{}}
		test(t, p, at, func(id, kid string, alg jose.Algorithm) error {
			p.now = time.Now()
			return p.prove(t, id, signed(t, alg, kid, "", p.claims(id, nil)))
		})
	})
}

const keysAt = "https://a.example/keys"

func (p *prover) publisher(t *testing.T, id, uri string) {
	t.Helper()
	p.client(t, id, jose.ES256, func(r *Registration) { r.JWKS, r.JWKSURI = nil, uri })
}

func TestPublishedKeys(t *testing.T) {
	published(t, func(t *testing.T, p *prover, at *publication, prove func(id, kid string, alg jose.Algorithm) error) {
		p.publisher(t, "a", keysAt)
		at.publish(t, keysAt, map[string]jose.Algorithm{"1": jose.ES256})
		for range 3 {
			if err := prove("a", "1", jose.ES256); err != nil {
				t.Fatal(err)
			}
		}
		if at.reads.Load() != 1 {
			t.Errorf("they are read %d times", at.reads.Load())
		}
		// Another key is found once a pause is over, and not before.
		at.publish(t, keysAt, map[string]jose.Algorithm{"1": jose.ES256, "2": jose.EdDSA})
		refuses(t, "another key at once", prove("a", "2", jose.EdDSA))
		time.Sleep(pause)
		if err := prove("a", "2", jose.EdDSA); err != nil {
			t.Errorf("another key: %v", err)
		}
		// A key that is gone is not taken any more, once they are read again.
		at.publish(t, keysAt, map[string]jose.Algorithm{"2": jose.EdDSA})
		time.Sleep(freshKeys)
		_ = prove("a", "1", jose.ES256) // who comes now sees that they are old
		synctest.Wait()
		refuses(t, "a key that is gone", prove("a", "1", jose.ES256))
	})
}

// What cannot be read leaves the last good keys for a while, and then none.
func TestAttackJWT025PublishedGarbage(t *testing.T) {
	published(t, func(t *testing.T, p *prover, at *publication, prove func(id, kid string, alg jose.Algorithm) error) {
		p.publisher(t, "a", keysAt)
		refuses(t, "nothing there", prove("a", "1", jose.ES256))
		at.publish(t, keysAt, map[string]jose.Algorithm{"1": jose.ES256})
		refuses(t, "within the pause", prove("a", "1", jose.ES256))
		time.Sleep(pause)
		if err := prove("a", "1", jose.ES256); err != nil {
			t.Fatal(err)
		}
		for _, garbage := range []string{"", "<html>", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`} {
			at.mu.Lock()
			at.document[keysAt] = garbage
			at.mu.Unlock()
			time.Sleep(10 * time.Minute)
			if err := prove("a", "1", jose.ES256); err != nil {
				t.Errorf("%q: %v", garbage, err)
			}
			synctest.Wait()
		}
		time.Sleep(staleKeys)
		refuses(t, "after an hour", prove("a", "1", jose.ES256))
	})
}

// Tokens with keys that nobody has make the server ask no more than once in a pause, and
// nobody else wait.
func TestAttackJWT006UnknownKeys(t *testing.T) {
	published(t, func(t *testing.T, p *prover, at *publication, prove func(id, kid string, alg jose.Algorithm) error) {
		p.publisher(t, "a", keysAt)
		p.publisher(t, "b", "https://b.example/keys")
		at.publish(t, keysAt, map[string]jose.Algorithm{"1": jose.ES256})
		at.publish(t, "https://b.example/keys", map[string]jose.Algorithm{"1": jose.ES256})
		for _, id := range []string{"a", "b"} {
			if err := prove(id, "1", jose.ES256); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(pause)
		at.mu.Lock()
		at.slow[keysAt] = 5 * time.Second
		at.mu.Unlock()
		before := at.reads.Load()
		var wait sync.WaitGroup
		for i := range 50 {
			assertion := signed(t, jose.ES256, fmt.Sprint("unknown", i), "", p.claims("a", nil))
			wait.Go(func() {
				if err := p.prove(t, "a", assertion); err == nil {
					t.Error("a key that nobody has is taken")
				}
			})
		}
		synctest.Wait() // all of them wait
		began := time.Now()
		for _, id := range []string{"a", "b"} {
			if err := prove(id, "1", jose.ES256); err != nil || time.Since(began) != 0 {
				t.Errorf("%s, meanwhile: %v, after %v", id, err, time.Since(began))
			}
		}
		wait.Wait()
		if n := at.reads.Load() - before; n != 1 {
			t.Errorf("they are read %d times", n)
		}
	})
}
