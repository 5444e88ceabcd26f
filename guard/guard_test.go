package guard

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testIssuer   = "https://as.example"
	testAudience = "https://api.example"
)

// now is when the tests happen.
var now = time.Unix(1_790_000_000, 0)

// signer signs as the issuer does, and as attackers do: header and payload are
// whatever they are given.
type signer struct {
	id, alg string
	private crypto.Signer
}

// newSigners makes a key for each algorithm, once: RSA keys take a while. The
// small ones are always the same, so that tokens in the fuzz corpus stay good.
var newSigners = sync.OnceValue(func() map[string]signer {
	seed := sha256.Sum256([]byte("a key of the tests"))
	ed := ed25519.NewKeyFromSeed(seed[:])
	ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ps, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return map[string]signer{
		"ES256": {"es", "ES256", ec}, "EdDSA": {"ed", "EdDSA", ed},
		"RS256": {"rs", "RS256", rs}, "PS256": {"ps", "PS256", ps},
	}
})

func (s signer) key() Key { return Key{s.id, s.alg, s.private.Public()} }

// header returns the header of an access token.
func (s signer) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, s.alg, s.id)
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func (s signer) sign(header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(string(s.signature(signed)))
}

func (s signer) signature(signed string) []byte {
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch k := s.private.(type) {
	case *ecdsa.PrivateKey:
		r, ss, e := ecdsa.Sign(rand.Reader, k, digest[:])
		sig, err = slices.Concat(r.FillBytes(make([]byte, 32)), ss.FillBytes(make([]byte, 32))), e
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(signed))
	case *rsa.PrivateKey:
		if s.alg == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		}
	}
	if err != nil {
		panic(err)
	}
	return sig
}

// token returns an access token with some claims changed; nil takes one away.
func (s signer) token(changes map[string]any) string {
	return s.sign(s.header(), payload(changes))
}

func payload(changes map[string]any) string {
	c := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "u1", "client_id": "app", "jti": "t1",
		"iat": now.Unix() - 60, "nbf": now.Unix() - 60, "exp": now.Unix() + 840, "auth_time": now.Unix() - 600,
		"scope": "orders:read read", "roles": []string{"editor", "viewer"}, "acr": "aal2", "amr": []string{"pwd", "otp"},
		"sid": "s1", "fam": "f1", "pv": 7,
	}
	maps.Copy(c, changes)
	for name, v := range changes {
		if v == nil {
			delete(c, name)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// es signs most tokens of the tests.
func es() signer { return newSigners()["ES256"] }

func testKeys(t testing.TB) *KeySet {
	t.Helper()
	var keys []Key
	for _, s := range newSigners() {
		keys = append(keys, s.key())
	}
	set, err := NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// newGuard returns a guard with the keys of newSigners at the time of the tests.
func newGuard(t testing.TB, options ...Option) *Guard {
	t.Helper()
	set := testKeys(t)
	g, err := New(testIssuer, append([]Option{
		Audience(testAudience), Keys(func() *KeySet { return set }), Now(func() time.Time { return now }),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// refused fails unless token is refused for a reason, with nothing shown.
func refused(t *testing.T, g *Guard, token string, want Reason) {
	t.Helper()
	p, err := g.Verify(t.Context(), token)
	if p != nil {
		t.Errorf("a refused token shows %+v", p)
	}
	if !errors.Is(err, want) {
		t.Errorf("Verify: %v; want %q", err, want)
	}
}

// ok answers 204 and notes that it was reached.
type ok struct {
	calls int
	who   *Principal
}

func (o *ok) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.calls++
	o.who = PrincipalFrom(r.Context())
	w.WriteHeader(http.StatusNoContent)
}

// call sends a request with headers, given as pairs, through g.
func call(t *testing.T, g *Guard, target string, headers []string, checks ...Requirement) (*httptest.ResponseRecorder, *ok) {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w, next := httptest.NewRecorder(), &ok{}
	g.Require(checks...)(next).ServeHTTP(w, r)
	if passed := w.Code == http.StatusNoContent; passed != (next.calls == 1) {
		t.Errorf("status %d, but the handler ran %d times", w.Code, next.calls)
	}
	return w, next
}

func TestVerify(t *testing.T) {
	g := newGuard(t)
	for alg, s := range newSigners() {
		t.Run(alg, func(t *testing.T) {
			token := s.token(nil)
			for _, pass := range []string{"first seen", "repeated"} {
				p, err := g.Verify(t.Context(), token)
				if err != nil {
					t.Fatalf("%s: %v", pass, err)
				}
				p.payload = ""
				want := Principal{
					Subject: "u1", ClientID: "app", Scopes: []string{"orders:read", "read"}, Roles: []string{"editor", "viewer"}, Audience: []string{"https://api.example"},
					ID: "t1", Family: "f1", Session: "s1", PolicyVersion: 7, AuthTime: now.Add(-600 * time.Second),
					ACR: "aal2", AMR: []string{"pwd", "otp"}, Issued: now.Add(-60 * time.Second), Expires: now.Add(840 * time.Second),
				}
				if got, want := fmt.Sprintf("%+v", *p), fmt.Sprintf("%+v", want); got != want {
					t.Errorf("%s: %s\nwant %s", pass, got, want)
				}
			}
		})
	}
}

func TestRequirePasses(t *testing.T) {
	g := newGuard(t)
	w, next := call(t, g, "/orders", []string{"Authorization", "Bearer " + es().token(nil)}, Permission("orders:read"), Permission("read"))
	if w.Code != http.StatusNoContent || next.who == nil || next.who.Subject != "u1" || !next.who.Has("orders:read") || next.who.Has("orders:write") {
		t.Errorf("status %d, principal %+v", w.Code, next.who)
	}
	if PrincipalFrom(t.Context()) != nil || (*Principal)(nil).Has("read") {
		t.Error("there is a principal where no guard was")
	}
}

// What a handler does to its principal does not reach the next request.
func TestPrincipalIsTheRequestsOwn(t *testing.T) {
	g := newGuard(t)
	token := es().token(nil)
	for range 3 {
		p, err := g.Verify(t.Context(), token)
		if err != nil || p.Subject != "u1" || p.Has("admin") || p.Roles[0] != "editor" || p.AMR[0] != "pwd" || p.Audience[0] != "https://api.example" {
			t.Fatalf("Verify = %+v, %v", p, err)
		}
		p.Subject, p.Scopes[0], p.Roles[0], p.AMR[0], p.Audience[0] = "root", "admin", "admin", "x", "y"
		_ = append(p.Scopes, "admin", "admin")
		if p.Roles[0] != "admin" || p.Roles[1] != "viewer" {
			t.Errorf("adding a scope changed the roles to %q", p.Roles)
		}
	}
}

// Of an exchanged token the principal shows who acts for its subject, and who did before;
// each request has its own.
func TestActor(t *testing.T) {
	g := newGuard(t)
	act := map[string]any{"sub": "orders", "iss": "x", "act": map[string]any{"sub": "u2", "client_id": "gateway"}}
	token := es().token(map[string]any{"act": act, "via": []string{"client:gateway", "family:f0"}})
	for range 3 {
		p, err := g.Verify(t.Context(), token)
		if err != nil || p.Subject != "u1" || p.Actor == nil || p.Actor.Subject != "orders" || p.Actor.ClientID != "" || p.Actor.Before == nil ||
			*p.Actor.Before != (Actor{Subject: "u2", ClientID: "gateway"}) || !slices.Equal(p.Via, []string{"client:gateway", "family:f0"}) {
			t.Fatalf("%+v, %v", p, err)
		}
		p.Actor.Subject, p.Actor.Before.Subject, p.Via[0] = "root", "root", "x"
	}
	if p, err := g.Verify(t.Context(), es().token(nil)); err != nil || p.Actor != nil || p.Via != nil {
		t.Errorf("of another token: %+v, %v", p, err)
	}
	deep := map[string]any{"sub": "x"}
	for range 40 {
		deep = map[string]any{"sub": "x", "act": deep}
	}
	for name, claims := range map[string]map[string]any{
		"a text": {"act": "orders"}, "a list": {"act": []string{"orders"}}, "a number in it": {"act": map[string]any{"sub": 7}}, "a text before": {"act": map[string]any{"act": "x"}},
		"too deep": {"act": deep}, "via a text": {"via": "client:x"}, "via numbers": {"via": []int{7}},
	} {
		if p, err := g.Verify(t.Context(), es().token(claims)); !errors.Is(err, ErrClaims) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestClaim(t *testing.T) {
	g := newGuard(t)
	p, err := g.Verify(t.Context(), es().token(map[string]any{"org": map[string]any{"id": "o1"}}))
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := p.Claim("org"); !ok || string(text) != `{"id":"o1"}` || p.Organization != "" {
		t.Errorf("Claim(org) = %s, %v; the organization is %q", text, ok, p.Organization)
	}
	if p, err := g.Verify(t.Context(), es().token(map[string]any{"org": "o1"})); err != nil || p.Organization != "o1" {
		t.Errorf("the organization is %+v, %v", p, err)
	}
	if text, ok := p.Claim("Org"); ok || text != nil {
		t.Errorf("Claim(Org) = %s, %v", text, ok)
	}
	// A name may be written with escapes.
	escaped := &Principal{payload: `{"\u006frg":"o1"}`}
	if text, ok := escaped.Claim("org"); !ok || string(text) != `"o1"` {
		t.Errorf("Claim(org), which is written with an escape, = %s, %v", text, ok)
	}
	if _, ok := (*Principal)(nil).Claim("sub"); ok {
		t.Error("nobody has a claim")
	}
}

// The claims that a token may lack, and those it may not.
func TestClaims(t *testing.T) {
	g := newGuard(t)
	for _, name := range []string{"jti", "iat", "nbf", "scope", "roles", "acr", "amr", "auth_time", "sid", "fam", "pv"} {
		if _, err := g.Verify(t.Context(), es().token(map[string]any{name: nil})); err != nil {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name, want := range map[string]Reason{"iss": ErrIssuer, "aud": ErrClaims, "exp": ErrClaims, "sub": ErrClaims, "client_id": ErrClaims} {
		refused(t, g, es().token(map[string]any{name: nil}), want)
		refused(t, g, es().token(map[string]any{name: 5.5e20}), ErrClaims)
	}
	for _, name := range []string{"sub", "client_id"} {
		refused(t, g, es().token(map[string]any{name: ""}), ErrClaims)
	}
	// Each with a value of a type that it does not have.
	for _, name := range []string{"iss", "aud", "exp", "nbf", "iat", "auth_time", "sub", "client_id", "scope", "roles", "jti", "fam", "sid", "pv", "acr", "amr"} {
		for _, v := range []any{map[string]any{}, true, []any{1}, json.RawMessage("null")} {
			refused(t, g, es().token(map[string]any{name: v}), ErrClaims)
		}
	}
	for _, pv := range []string{"1.5", "1e3", `"1"`, "9223372036854775808"} {
		refused(t, g, es().token(map[string]any{"pv": json.RawMessage(pv)}), ErrClaims)
	}
}

func TestLeeway(t *testing.T) {
	at := now
	g := newGuard(t, Leeway(10*time.Second), Now(func() time.Time { return at }))
	token := es().token(map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Unix() + 60})
	for _, c := range []struct {
		after time.Duration
		want  error
	}{
		{-11 * time.Second, ErrNotYetValid},
		{-10 * time.Second, nil},
		{0, nil},
		{69 * time.Second, nil},            // from the cache, as the rest
		{70*time.Second - 1, nil},          // until the last nanosecond
		{70 * time.Second, ErrExpired},     // exactly then
		{70 * time.Second, ErrExpired},     // and again
		{24 * time.Hour, ErrExpired},       // and for ever
		{time.Duration(0), nil},            // the clock was wrong
		{1000 * time.Hour, ErrExpired},     // as it may be
		{-1000 * time.Hour, nil},           // a token that was good is not too new for the cache
		{70*time.Second + 1, ErrExpired},   //
		{-1 * time.Second, nil},            //
		{365 * 24 * time.Hour, ErrExpired}, //
	} {
		at = now.Add(c.after)
		if _, err := g.Verify(t.Context(), token); !errors.Is(err, c.want) {
			t.Errorf("after %v: %v, want %v", c.after, err, c.want)
		}
	}
}

// A guard may embed only what its users need not download.
func TestStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "github.com/doorward/doorward/guard" {
		t.Errorf("guard needs more than the standard library:\n%s", got)
	}
}

// An API that asks a function goes by the names that it says yes to, and by no other.
func TestAudienceFunc(t *testing.T) {
	g := newGuard(t, AudienceFunc(func(name string) bool { return name == "https://second.example" }))
	for audience, want := range map[string]error{
		"https://api.example": nil, "https://second.example": nil, "https://third.example": ErrAudience,
	} {
		if _, err := g.Verify(t.Context(), es().token(map[string]any{"aud": audience})); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", audience, err, want)
		}
	}
	if _, err := New("https://auth.example", Audience("https://api.example"), AudienceFunc(nil)); err == nil {
		t.Error("AudienceFunc(nil) is taken")
	}
}
