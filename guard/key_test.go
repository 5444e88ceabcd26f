package guard

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestNewKeySetRefuses(t *testing.T) {
	good := es().private.Public().(*ecdsa.PublicKey)
	offCurve := *good
	offCurve.Y = new(big.Int).Add(good.Y, big.NewInt(1)) //nolint:staticcheck // the only way to make such a key
	for name, k := range map[string]Key{
		"no id":        {"", "ES256", good},
		"long id":      {strings.Repeat("x", 257), "ES256", good},
		"no key":       {"k", "ES256", nil},
		"secret":       {"k", "HS256", []byte("secret")},
		"private":      {"k", "ES256", es().private},
		"nil EC":       {"k", "", (*ecdsa.PublicKey)(nil)},
		"nil RSA":      {"k", "", (*rsa.PublicKey)(nil)},
		"empty EC":     {"k", "", &ecdsa.PublicKey{Curve: elliptic.P256()}},
		"off curve":    {"k", "", &offCurve},
		"other curve":  {"k", "", &ecdsa.PublicKey{Curve: elliptic.P224(), X: good.X, Y: good.Y}}, //nolint:staticcheck // as above
		"none":         {"k", "none", good},
		"Ed25519 name": {"k", "Ed25519", newSigners()["EdDSA"].private.Public()},
		"short Ed":     {"k", "", ed25519.PublicKey(make([]byte, 31))},
		"ES256K":       {"k", "ES256K", good},
	} {
		t.Run(name, func(t *testing.T) {
			if set, err := NewKeySet(k); set != nil || err == nil {
				t.Errorf("it is taken: %v", err)
			}
		})
	}
	_, err := NewKeySet(es().key(), Key{"a", "x", good}, Key{"b", "y", good}, es().key())
	if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `"b"`) || !strings.Contains(err.Error(), `"es" is there twice`) {
		t.Errorf("not all mistakes: %v", err)
	}
}

func TestAlgorithmFollowsTheKey(t *testing.T) {
	for alg, s := range newSigners() {
		want := alg
		if alg == "PS256" {
			want = "RS256"
		}
		set, err := NewKeySet(Key{ID: "k", Public: s.private.Public()})
		if err != nil || set.key("k").Algorithm != want {
			t.Errorf("%s: %v, %v", alg, set, err)
		}
	}
}

// The eight points of low order in every spelling, and what is no point at all.
func TestAttackCA016LowOrderEd25519(t *testing.T) {
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0200000000000000000000000000000000000000000000000000000000000000", // not on the curve
	} {
		for _, sign := range []byte{0, 0x80} {
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			b[31] |= sign
			if _, err := NewKeySet(Key{"k", "EdDSA", ed25519.PublicKey(b)}); err == nil {
				t.Errorf("%x is taken", b)
			}
		}
	}
	// This is why: crypto/ed25519 takes one signature for every message.
	identity := make([]byte, 32)
	identity[0] = 1
	forged := slices.Concat(identity, make([]byte, 32))
	if !ed25519.Verify(identity, []byte("any message"), forged) {
		t.Log("crypto/ed25519 refuses the identity key by now")
	}
	for range 64 {
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewKeySet(Key{"k", "EdDSA", public}); err != nil {
			t.Errorf("a good key: %v", err)
		}
	}
}
