package guard

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func jwksText(t testing.TB, keys ...string) string {
	t.Helper()
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

func TestParseKeySet(t *testing.T) {
	var keys []string
	for _, s := range newSigners() {
		keys = append(keys, jwkText(t, s))
	}
	set, err := parseKeySet(jwksText(t, keys...))
	if err != nil {
		t.Fatal(err)
	}
	for alg, s := range newSigners() {
		k := set.key(s.id)
		if want := s.key(); k == nil || k.Algorithm != alg || !k.equal(&want) {
			t.Errorf("%s: %+v", alg, k)
		}
	}
	// Without alg, and with members that are not read.
	bare := strings.Replace(jwkText(t, newSigners()["RS256"]), `"alg":"RS256",`, `"x5c":["MIIB"],"key_ops":["verify"],"ext":true,`, 1)
	if set, err = parseKeySet(jwksText(t, bare)); err != nil || set.key("rs").Algorithm != "RS256" {
		t.Errorf("a bare key: %v", err)
	}
}

// Each of these keys is left out, and the good one beside it is taken.
func TestAttackJWT025HostileKeys(t *testing.T) {
	good := jwkText(t, es())
	ed := b64(string(newSigners()["EdDSA"].private.Public().(ed25519.PublicKey)))
	n := b64(string(newSigners()["RS256"].private.Public().(*rsa.PublicKey).N.Bytes()))
	change := func(s signer, old, new string) string {
		text := jwkText(t, s)
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %s", text, old)
		}
		return strings.Replace(strings.Replace(text, old, new, 1), `"kid":"es"`, `"kid":"k"`, 1)
	}
	point, err := es().private.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"coordinates of 31 and 33 bytes": fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"k","x":%q,"y":%q}`, b64(string(point[1:32])), b64(string(point[32:]))),
		"RSA e over 64 bits":             fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":%q}`, n, b64("\x01\x00\x00\x00\x00\x00\x01\x00\x01")),
		"oct":                            `{"kty":"oct","kid":"k","alg":"HS256","k":"AAAA"}`,
		"EC with k":                      change(es(), `"crv"`, `"k":"AAAA","crv"`),
		"private EC":                     change(es(), `"crv"`, `"d":"AAAA","crv"`),
		"private, empty":                 change(es(), `"crv"`, `"d":"","crv"`),
		"private RSA":                    fmt.Sprintf(`{"kty":"RSA","kid":"k","alg":"RS256","n":%q,"e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}`, n),
		"enc":                            change(es(), `"use":"sig"`, `"use":"enc"`),
		"SIG":                            change(es(), `"use":"sig"`, `"use":"SIG"`),
		"ops":                            change(es(), `"use":"sig"`, `"key_ops":["encrypt"]`),
		"no ops":                         change(es(), `"use":"sig"`, `"key_ops":[]`),
		"no kid":                         `{"kty":"OKP","crv":"Ed25519","x":"` + ed + `"}`,
		"long kid":                       `{"kty":"OKP","crv":"Ed25519","x":"` + ed + `","kid":"` + strings.Repeat("k", 257) + `"}`,
		"wrong alg":                      change(es(), `"alg":"ES256"`, `"alg":"RS256"`),
		"HS256":                          change(es(), `"alg":"ES256"`, `"alg":"HS256"`),
		"ES384":                          change(es(), `"alg":"ES256"`, `"alg":"ES384"`),
		"none":                           change(es(), `"alg":"ES256"`, `"alg":"none"`),
		"P-384":                          change(es(), `"crv":"P-256"`, `"crv":"P-384"`),
		"secp256k1":                      change(es(), `"crv":"P-256"`, `"crv":"secp256k1"`),
		"EC as OKP":                      change(es(), `"kty":"EC"`, `"kty":"OKP"`),
		"kty in lower case":              change(es(), `"kty":"EC"`, `"kty":"ec"`),
		"no kty":                         change(es(), `"kty":"EC",`, ``),
		"off curve":                      change(es(), `"x":"`, `"z":"","x":"AAAA`),
		"zero point":                     `{"kty":"EC","crv":"P-256","kid":"k","x":"` + b64(string(make([]byte, 32))) + `","y":"` + b64(string(make([]byte, 32))) + `"}`,
		"swapped":                        strings.NewReplacer(`"kid":"es"`, `"kid":"k"`, `"x":`, `"y":`, `"y":`, `"x":`).Replace(good),
		"no coordinates":                 `{"kty":"EC","crv":"P-256","kid":"k"}`,
		"padded base64":                  change(es(), `","y":`, `=","y":`),
		"X25519":                         `{"kty":"OKP","crv":"X25519","kid":"k","x":"` + ed + `"}`,
		"Ed25519 alg":                    `{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"Ed25519","x":"` + ed + `"}`,
		"Ed25519 short":                  `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"AAAA"}`,
		"Ed25519 low order":              `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + b64("\x01"+string(make([]byte, 31))) + `"}`,
		"RSA without n":                  `{"kty":"RSA","kid":"k","e":"AQAB"}`,
		"RSA without e":                  fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q}`, n),
		"RSA e=1":                        fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":"AQ"}`, n),
		"RSA e even":                     fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":"AQAA"}`, n),
		"RSA e of 33 bits":               fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":"AQAAAAE"}`, n),
		"RSA e of 2048 bits":             fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":%q}`, n, n),
		"RSA 512":                        fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":"AQAB"}`, n[:86]),
		"unknown":                        `{"kty":"AKP","kid":"k","alg":"ML-DSA-44","pub":"AAAA"}`,
		"empty":                          `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			set, err := parseKeySet(jwksText(t, key, good))
			if err == nil || set == nil || !slices.Equal(slices.Collect(maps.Keys(set.keys)), []string{"es"}) {
				t.Errorf("%+v, %v", set, err)
			}
			if set, err := parseKeySet(jwksText(t, key)); set != nil || err == nil {
				t.Errorf("alone: %+v, %v", set, err)
			}
		})
	}
}

// Of keys with one id none is taken, in whichever order they stand.
func TestAttackJWT025DuplicateKeyID(t *testing.T) {
	good := jwkText(t, es())
	twin := strings.Replace(jwkText(t, newSigners()["EdDSA"]), `"kid":"ed"`, `"kid":"es"`, 1)
	other := jwkText(t, newSigners()["RS256"])
	for _, keys := range [][]string{{good, twin, other}, {twin, other, good}, {good, other, good}, {good, twin, twin, other}} {
		set, err := parseKeySet(jwksText(t, keys...))
		if err == nil || set == nil || set.key("es") != nil || set.key("rs") == nil {
			t.Errorf("%+v, %v", set, err)
		}
	}
}

func TestAttackJWT025HostileDocuments(t *testing.T) {
	good := jwkText(t, es())
	var many []string
	for i := range 51 {
		many = append(many, strings.Replace(good, `"kid":"es"`, fmt.Sprintf(`"kid":"k%d"`, i), 1))
	}
	if set, err := parseKeySet(jwksText(t, many[:50]...)); err != nil || len(set.keys) != 50 {
		t.Errorf("50 keys: %v", err)
	}
	for name, text := range map[string]string{
		"51 keys":        jwksText(t, many...),
		"empty text":     ``,
		"html":           `<!DOCTYPE html><html></html>`,
		"array":          `[` + good + `]`,
		"a key":          good,
		"no keys":        `{}`,
		"KEYS":           `{"KEYS":[` + good + `]}`,
		"null":           `{"keys":null}`,
		"keys an object": `{"keys":` + good + `}`,
		"keys twice":     `{"keys":[` + good + `],"keys":[` + good + `]}`,
		"member twice":   jwksText(t, strings.Replace(good, `"kid":"es"`, `"kid":"es","kid":"es"`, 1)),
		"kid a number":   jwksText(t, strings.Replace(good, `"kid":"es"`, `"kid":5`, 1)),
		"none":           `{"keys":[]}`,
		"tail":           jwksText(t, good) + "x",
		"cut":            jwksText(t, good)[:60],
		"numbers":        `{"keys":[1,2]}`,
		"deep":           `{"keys":[` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `]}`,
		"names":          `{` + strings.Repeat(`"a":0,`, 10000) + `"keys":[]}`,
	} {
		if set, err := parseKeySet(text); set != nil || err == nil {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
	}
}

// Thousands of different names are looked at once each, not once for each other.
func TestManyNames(t *testing.T) {
	var b strings.Builder
	for i := 0; b.Len() < maxDocument-100; i++ {
		fmt.Fprintf(&b, `"%x":0,`, i)
	}
	if err := skipAll("{" + b.String() + `"keys":[]}`); err != nil {
		t.Error(err)
	}
}

func FuzzParseKeySet(f *testing.F) {
	for _, s := range newSigners() {
		f.Add(jwksText(f, jwkText(f, s)))
	}
	f.Add(`{"keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"","y":""}]}`)
	f.Add(`{"keys":[{"kty":"RSA","kid":"k","n":"","e":""}]}`)
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		set, err := parseKeySet(text)
		if set == nil {
			if err == nil {
				t.Fatal("no set and no error")
			}
			return
		}
		if len(set.keys) == 0 || len(set.keys) > maxKeys {
			t.Fatalf("%d keys", len(set.keys))
		}
		for id, k := range set.keys {
			if _, err := NewKeySet(*k); err != nil || k.ID != id {
				t.Fatalf("a key that NewKeySet refuses: %v", err)
			}
			k.verify([]byte("message"), make([]byte, 64))
			k.verify([]byte("message"), make([]byte, 256))
		}
	})
}
