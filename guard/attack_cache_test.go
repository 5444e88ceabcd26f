package guard

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// One guard's cache never answers for another, and one token never for another.
func TestAttackJWT031CacheKey(t *testing.T) {
	set := testKeys(t)
	one := newGuard(t, Keys(func() *KeySet { return set }))
	other := newGuard(t, Keys(func() *KeySet { return set }), Audience("x"), func(s *settings) { s.audiences = []string{"https://other.example"} })
	token := es().token(nil)
	if _, err := one.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	refused(t, other, token, ErrAudience)

	u2 := es().token(map[string]any{"sub": "u2"})
	dot := strings.LastIndexByte(token, '.')
	refused(t, one, u2[:strings.LastIndexByte(u2, '.')]+token[dot:], ErrSignature)
	if p, err := one.Verify(t.Context(), u2); err != nil || p.Subject != "u2" {
		t.Errorf("Verify = %+v, %v", p, err)
	}
}

// Revocation is asked at every request, whether the cache knows the token or
// not, and what it cannot answer is not let in.
func TestAttackJWT032Revocation(t *testing.T) {
	var answer error
	asked := 0
	g := newGuard(t, Revocation(func(_ context.Context, p *Principal) error {
		asked++
		if p.ID != "t1" || p.Family != "f1" {
			t.Errorf("asked about %+v", p)
		}
		p.Scopes[0] = "admin" // a hook that misbehaves harms its own request alone
		return answer
	}))
	token := es().token(nil)
	for i := range 3 {
		if _, err := g.Verify(t.Context(), token); err != nil || asked != i+1 {
			t.Fatalf("request %d: %v, asked %d times", i, err, asked)
		}
	}
	answer = errors.New("family f1 was ended")
	refused(t, g, token, ErrRevoked)
	w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + token})
	if w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) || strings.Contains(w.Body.String(), "f1") {
		t.Errorf("revoked: %d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, answer = range []error{ErrUnavailable, fmt.Errorf("the list: %w", ErrUnavailable), errors.Join(ErrExpired, ErrUnavailable)} {
		refused(t, g, token, ErrUnavailable)
		if w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + token}); w.Code != 503 || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%v: %d %v", answer, w.Code, w.Header())
		}
	}
	answer = nil
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Errorf("after the list answers again: %v", err)
	}
}

// A key that leaves takes its tokens along, even those that were verified; the
// same key under a new set does not.
func TestAttackJWT032KeyLeaves(t *testing.T) {
	set := testKeys(t)
	g := newGuard(t, Keys(func() *KeySet { return set }))
	token := es().token(nil)
	verify := func() error { _, err := g.Verify(t.Context(), token); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	set = testKeys(t)
	if err := verify(); err != nil {
		t.Errorf("the same keys in another set: %v", err)
	}
	set, _ = NewKeySet(newSigners()["EdDSA"].key())
	if err := verify(); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the key left: %v", err)
	}
	own, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set, _ = NewKeySet(Key{"es", "ES256", own.Public()})
	if err := verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("another key has its id: %v", err)
	}
	set = nil
	if err := verify(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no keys: %v", err)
	}
}
