package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// testKey returns an API key of the form that the issuer gives out.
func testKey(n int) string {
	body := fmt.Sprintf("dwk_%016d_%043d", n, n)
	return body + checksum(body)
}

// knows returns an option whose function knows one key, and counts the questions.
func knows(key string, asked *int) Option {
	return APIKeys(func(_ context.Context, k string) (*Principal, error) {
		*asked++
		if k != key {
			return nil, errors.New("nobody's")
		}
		return &Principal{Subject: "u1", ClientID: "app", KeyID: k[4:20], Scopes: []string{"orders:read"}}, nil
	})
}

// The checksum is the one that the issuer's tokens end with: CRC-32 (IEEE) as a
// number of six digits to the base 62.
func TestChecksum(t *testing.T) {
	for text, want := range map[string]string{
		"":          "000000",
		"123456789": "3jZRME", // 0xCBF43926
		"a":         "4GEHKN", // 0xE8B7BE43
	} {
		if got := checksum(text); got != want {
			t.Errorf("checksum(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAPIKeyPasses(t *testing.T) {
	key, asked := testKey(1), 0
	g := newGuard(t, knows(key, &asked))
	for _, headers := range [][]string{{"X-API-Key", key}, {"Authorization", "Bearer " + key}, {"authorization", "bearer " + key}} {
		w, next := call(t, g, "/", headers, Permission("orders:read"))
		if w.Code != http.StatusNoContent || next.who.Subject != "u1" || next.who.KeyID != "0000000000000001" {
			t.Errorf("%s: status %d, %+v", headers[0], w.Code, next.who)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	if w, _ := call(t, g, "/", []string{"X-API-Key", key}, Permission("orders:write")); w.Code != http.StatusForbidden {
		t.Errorf("without the permission: %d", w.Code)
	}
	// Nobody signed in when the key was used.
	for _, n := range []Requirement{ACR("aal2"), MaxAge(time.Hour)} {
		if w, _ := call(t, g, "/", []string{"X-API-Key", key}, n); w.Code != http.StatusUnauthorized {
			t.Errorf("a sign-in by API key: %d", w.Code)
		}
	}
	// An access token is no less good beside keys, and is of no key.
	w, next := call(t, g, "/", []string{"Authorization", "Bearer " + es().token(nil)})
	if w.Code != http.StatusNoContent || next.who.KeyID != "" {
		t.Errorf("a token: %d, %+v", w.Code, next.who)
	}
}

// What the function says of a key is what the caller hears.
func TestAPIKeyErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		p      *Principal
		err    error
		status int
		reason Reason
		retry  string
	}{
		{"nobody", nil, nil, 401, ErrAPIKey, ""},
		{"any error", nil, errors.New("a secret story"), 401, ErrAPIKey, ""},
		{"an error beside somebody", &Principal{Subject: "u1"}, errors.New("no"), 401, ErrAPIKey, ""},
		{"another reason", nil, ErrExpired, 401, ErrAPIKey, ""},
		{"cannot say", nil, fmt.Errorf("no database: %w", ErrUnavailable), 503, ErrUnavailable, "5"},
		{"cannot say of somebody", &Principal{Subject: "u1"}, ErrUnavailable, 503, ErrUnavailable, "5"},
		{"too often", nil, &Limited{After: 1500 * time.Millisecond}, 429, ErrLimited, "2"},
		{"too often, wrapped", nil, fmt.Errorf("of the key: %w", &Limited{After: time.Minute}), 429, ErrLimited, "60"},
		{"too often, now", nil, &Limited{}, 429, ErrLimited, "1"},
		{"too often, who knows how long", nil, ErrLimited, 429, ErrLimited, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told Decision
			g := newGuard(t, APIKeys(func(context.Context, string) (*Principal, error) { return c.p, c.err }),
				OnDecision(func(_ context.Context, d Decision) { told = d }))
			w, _ := call(t, g, "/", []string{"X-API-Key", testKey(1)})
			if w.Code != c.status || w.Header().Get("Retry-After") != c.retry || strings.Contains(w.Body.String(), "story") {
				t.Errorf("%d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
			}
			if challenged := w.Header().Get("WWW-Authenticate") != ""; challenged != (c.status == 401) {
				t.Errorf("a challenge: %v", challenged)
			}
			if told.Reason() != words[c.reason] || told.Principal != nil {
				t.Errorf("told %q of %+v", told.Reason(), told.Principal)
			}
		})
	}
}

// Revocation is asked about keys as it is about tokens.
func TestAPIKeyRevocation(t *testing.T) {
	var answer error
	asked := 0
	g := newGuard(t, knows(testKey(1), &asked), Revocation(func(_ context.Context, p *Principal) error {
		if p.KeyID != "0000000000000001" {
			t.Errorf("asked about %+v", p)
		}
		return answer
	}))
	for _, c := range []struct {
		answer error
		status int
	}{{nil, 204}, {errors.New("gone"), 401}, {ErrUnavailable, 503}, {nil, 204}} {
		answer = c.answer
		if w, _ := call(t, g, "/", []string{"X-API-Key", testKey(1)}); w.Code != c.status {
			t.Errorf("%v: %d", c.answer, w.Code)
		}
	}
}

// misshapen are texts that are no API key, though each is nearly one.
func misshapen() map[string]string {
	key := testKey(7)
	swap := func(i int, c byte) string { return key[:i] + string(c) + key[i+1:] }
	resum := func(body string) string { return body + checksum(body) }
	return map[string]string{
		"empty": "", "prefix": "dwk_", "another prefix": resum("dwr_" + key[4:64]), "upper case": "DWK_" + key[4:],
		"id changed": swap(5, '9'), "secret changed": swap(40, '9'), "checksum changed": swap(69, '_'), "last letter changed": swap(69, 'z'),
		"shorter": key[:69], "longer": key + "0", "key twice": key + key, "64 KiB": key + strings.Repeat("0", 64<<10),
		"NUL": key + "\x00", "NUL inside": resum("dwk_\x00" + key[5:64]), "space behind": key + " ", "line feed": key + "\n",
		"no underscore": resum(key[:20] + "0" + key[21:64]), "underscore in the id": resum("dwk__" + key[5:64]),
		"underscore in the secret": resum(key[:63] + "_"), "dash": resum(key[:63] + "-"), "not ASCII": resum(key[:62] + "é"),
		"long id": resum("dwk_0" + key[4:63]), "without a checksum": key[:64], "checksum of the secret alone": key[:64] + checksum(key[21:64]),
	}
}

func TestAttackKEY006Malformed(t *testing.T) {
	asked := 0
	g := newGuard(t, APIKeys(func(context.Context, string) (*Principal, error) {
		asked++
		return &Principal{Subject: "u1"}, nil
	}))
	for name, key := range misshapen() {
		t.Run(name, func(t *testing.T) {
			w, _ := call(t, g, "/", []string{"X-API-Key", key})
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("status %d, %v", w.Code, w.Header())
			}
			if w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + key}); w.Code != http.StatusUnauthorized {
				t.Errorf("as Bearer: status %d", w.Code)
			}
		})
	}
	if w, _ := call(t, g, "/?access_token="+testKey(7), nil); w.Code != http.StatusBadRequest {
		t.Errorf("in the query: %d", w.Code)
	}
	if w, _ := call(t, g, "/?api_key="+testKey(7), []string{"Cookie", "api_key=" + testKey(7)}); w.Code != http.StatusUnauthorized {
		t.Errorf("in a cookie: %d", w.Code)
	}
	if asked != 0 {
		t.Errorf("asked %d times about what is no key", asked)
	}
}

// No scheme takes what belongs to another.
func TestAttackKEY010Confusion(t *testing.T) {
	key, asked := testKey(1), 0
	g := newGuard(t, knows(key, &asked))
	for _, headers := range [][]string{
		{"X-API-Key", es().token(nil)},
		{"X-API-Key", "Bearer " + key},
		{"Authorization", "Basic " + key},
		{"Authorization", "ApiKey " + key},
		{"Authorization", key},
		{"Authorization", "Bearer " + key[4:]},
		{"Authorization", "Bearer " + key + "." + key + "." + key},
	} {
		if w, _ := call(t, g, "/", headers); w.Code != http.StatusUnauthorized {
			t.Errorf("%q: status %d", headers, w.Code)
		}
	}
	refused(t, g, key, ErrMalformed)
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
	// Without APIKeys, no key is good.
	if w, _ := call(t, newGuard(t), "/", []string{"X-API-Key", key}); w.Code != http.StatusUnauthorized {
		t.Errorf("where keys are not accepted: %d", w.Code)
	}
}

// A key is told in no error and no line.
func TestAttackKEY009ErrorsShowNothing(t *testing.T) {
	var log strings.Builder
	write := DecisionLog(&log)
	g := newGuard(t, OnDecision(write), APIKeys(func(context.Context, string) (*Principal, error) { return nil, errors.New("nobody's") }))
	for _, key := range slices.Concat([]string{testKey(7)}, []string{misshapen()["last letter changed"]}) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-API-Key", key)
		_, err := g.authenticate(r, false)
		w, _ := call(t, g, "/", []string{"X-API-Key", key})
		for _, text := range []string{err.Error(), w.Body.String(), fmt.Sprint(w.Header()), log.String()} {
			if strings.Contains(text, key[21:64]) || strings.Contains(text, key[4:20]) {
				t.Errorf("the key is told: %s", text)
			}
		}
	}
}
