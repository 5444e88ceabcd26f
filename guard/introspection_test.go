package guard

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
)

// said returns what the issuer says of a key, with some members changed; nil takes one
// away.
func said(key string, changes map[string]any) string {
	m := map[string]any{
		"active": true, "token_type": "api_key", "key_id": key[4:20], "sub": "u1", "client_id": "app", "scope": "orders:read read",
		"iss": testIssuer, "aud": []string{"https://other.example", testAudience}, "exp": 1 << 40, "iat": 5,
	}
	maps.Copy(m, changes)
	for name, v := range m {
		if v == nil {
			delete(m, name)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// answers are what an issuer may say of a key, and why it is refused; "" for a key
// that is good. An answer that nobody can read comes of no issuer that works:
// it is ErrUnavailable.
func answers(key string) map[string]struct {
	text string
	want Reason
} {
	type answer = struct {
		text string
		want Reason
	}
	list := map[string]answer{
		"good":                             {said(key, nil), ""},
		"nothing to spare":                 {said(key, map[string]any{"iss": nil, "aud": nil, "client_id": nil, "scope": nil, "iat": nil, "exp": nil}), ""},
		"one audience":                     {said(key, map[string]any{"aud": testAudience}), ""},
		"more than we know":                {said(key, map[string]any{"username": "ann", "x": []any{map[string]any{"active": false}}}), ""},
		"inactive":                         {`{"active":false}`, ErrAPIKey},
		"inactive with the rest":           {said(key, map[string]any{"active": false}), ErrAPIKey},
		"inactive, otherwise as any token": {`{"active":false,"token_type":"Bearer"}`, ErrAPIKey},

		"a token":              {said(key, map[string]any{"token_type": "Bearer"}), ErrType},
		"of no type":           {said(key, map[string]any{"token_type": nil}), ErrType},
		"another case":         {said(key, map[string]any{"token_type": "API_KEY"}), ErrType},
		"without an end":       {said(key, map[string]any{"exp": nil}), ""},
		"ended":                {said(key, map[string]any{"exp": 5}), ErrExpired},
		"ended at the epoch":   {said(key, map[string]any{"exp": 0}), ErrExpired},
		"of nobody":            {said(key, map[string]any{"sub": nil}), ErrClaims},
		"of the empty name":    {said(key, map[string]any{"sub": ""}), ErrClaims},
		"without an id":        {said(key, map[string]any{"key_id": nil}), ErrClaims},
		"of another key":       {said(testKey(2), nil), ErrClaims},
		"another issuer":       {said(key, map[string]any{"iss": "https://evil.example"}), ErrIssuer},
		"no name of an issuer": {said(key, map[string]any{"iss": ""}), ErrIssuer},
		"other APIs":           {said(key, map[string]any{"aud": []string{"https://other.example"}}), ErrAudience},
		"a part of our name":   {said(key, map[string]any{"aud": testAudience + "/"}), ErrAudience},
		"no API":               {said(key, map[string]any{"aud": []string{}}), ErrAudience},
		"bound":                {said(key, map[string]any{"cnf": map[string]any{"jkt": "x"}}), ErrBound},

		"nothing":               {"", ErrUnavailable},
		"no object":             {"[]", ErrUnavailable},
		"an empty object":       {"{}", ErrUnavailable},
		"null":                  {"null", ErrUnavailable},
		"html":                  {"<!DOCTYPE html><html><body>Sign in to the hotel</body></html>", ErrUnavailable},
		"not whether":           {said(key, map[string]any{"active": nil}), ErrUnavailable},
		"Active":                {said(key, map[string]any{"active": nil, "Active": true}), ErrUnavailable},
		"twice":                 {`{"active":false,` + said(key, nil)[1:], ErrUnavailable},
		"two answers":           {said(key, nil) + said(key, nil), ErrUnavailable},
		"cut off":               {strings.TrimSuffix(said(key, nil), "}"), ErrUnavailable},
		"not UTF-8":             {strings.Replace(said(key, nil), `"u1"`, "\"u\xff\"", 1), ErrUnavailable},
		"half a surrogate pair": {strings.Replace(said(key, nil), `"u1"`, `"\ud800"`, 1), ErrUnavailable},
		"too deep":              {said(key, map[string]any{"x": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}), ErrUnavailable},
	}
	for _, text := range []string{`"true"`, "1", "null", "[true]", `{"a":true}`, "TRUE", "true1", `""`} {
		list["active is "+text] = answer{strings.Replace(said(key, nil), `"active":true`, `"active":`+text, 1), ErrUnavailable}
	}
	for _, name := range []string{"token_type", "key_id", "sub", "client_id", "scope", "iss", "aud", "exp", "iat", "nbf", "roles", "jti"} {
		for _, v := range []any{map[string]any{}, true, []any{1}, json.RawMessage("null")} {
			text, _ := json.Marshal(v)
			list[name+" is "+string(text)] = answer{said(key, map[string]any{name: v}), ErrUnavailable}
		}
	}
	for _, exp := range []string{"-1", "1e400", `"9999999999"`, "1099511627777"} {
		list["exp is "+exp] = answer{said(key, map[string]any{"exp": json.RawMessage(exp)}), ErrUnavailable}
	}
	return list
}

func TestIntrospectionAnswers(t *testing.T) {
	key := testKey(1)
	i := newGuard(t, Credentials("api", "secret")).apiKeys.(*introspector)
	for name, c := range answers(key) {
		t.Run(name, func(t *testing.T) {
			got, err := parseIntrospection(c.text)
			if c.want == ErrUnavailable {
				if got != nil || err == nil {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := i.holder(key, got, now)
			switch {
			case c.want == "" && (err != nil || p.Subject != "u1" || p.KeyID != key[4:20] || p.Expires.IsZero() != !strings.Contains(c.text, `"exp"`)):
				t.Errorf("%+v, %v", p, err)
			case c.want == ErrAPIKey && (p != nil || !errors.Is(err, errInactive)):
				t.Errorf("%+v, %v", p, err)
			case c.want != "" && c.want != ErrAPIKey && (p != nil || !errors.Is(err, c.want)):
				t.Errorf("%+v, %v; want %q", p, err, c.want)
			}
		})
	}
}
