package oauth

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// asking returns a good request as a query, with some parameters changed; an empty value
// leaves one out.
func asking(pairs ...string) string {
	v := url.Values{
		"client_id": {"shop"}, "redirect_uri": {"https://client.example/cb"}, "response_type": {"code"}, "scope": {"openid read"}, "state": {"xyz"},
		"code_challenge": {exampleChallenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v.Encode()
}

// What is wrong with these is told to nobody but the person.
func TestBeginAuthorizationRefuses(t *testing.T) {
	for _, text := range []string{
		"", "client_id=", "redirect_uri=x", asking("client_id", ""), asking() + "&client_id=shop", asking() + "&client_id=", asking() + "&redirect_uri=https://evil.example",
		asking() + "&redirect_uri=", asking() + ";a=b", asking() + "&a=%", asking() + "&a=%zz", asking() + "&a=%ff", asking() + "&a=\x00", asking() + "&a=é", asking() + "&a= b", asking() + "\r\n",
		asking("state", strings.Repeat("a", 17<<10)), strings.Repeat("a&", 9000),
	} {
		if r, err := BeginAuthorization(text); err == nil {
			t.Errorf("%.80q: %+v", text, r)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	claims := func(s string) string { return asking("claims", s) }
	for text, want := range map[string]Code{
		asking() + "&state=again":                InvalidRequest,
		asking() + "&scope=":                     InvalidRequest,
		asking() + "&nonce=a&nonce=a":            InvalidRequest,
		asking() + "&a=1&a=2":                    InvalidRequest,
		asking("request", "x"):                   RequestNotSupported,
		asking("request_uri", "urn:x"):           RequestURINotSupported,
		asking("registration", "{}"):             RegistrationUnsupported,
		asking("response_type", ""):              InvalidRequest,
		asking("response_type", "token"):         UnsupportedResponseType,
		asking("response_type", "code id_token"): UnsupportedResponseType,
		asking("response_type", "code "):         UnsupportedResponseType,
		asking("response_type", "CODE"):          UnsupportedResponseType,
		asking("response_mode", "fragment"):      InvalidRequest,
		asking("response_mode", "query.jwt"):     InvalidRequest,
		asking("scope", "a\"b"):                  InvalidScope,
		asking("scope", "a\tb"):                  InvalidScope,
		asking("resource", "/api"):               InvalidTarget,
		asking("resource", "https://a#b"):        InvalidTarget,
		asking("code_challenge_method", ""):      InvalidRequest,
		asking("code_challenge", ""):             InvalidRequest,
		asking("nonce", "a\x00"):                 InvalidRequest,
		asking("max_age", "-1"):                  InvalidRequest,
		asking("max_age", "+1"):                  InvalidRequest,
		asking("max_age", "1e3"):                 InvalidRequest,
		asking("max_age", " "):                   InvalidRequest,
		asking("prompt", "none login"):           InvalidRequest,
		asking("prompt", "create"):               InvalidRequest,
		claims("["):                              InvalidRequest,
		claims(`[]`):                             InvalidRequest,
		claims(`{"id_token":[]}`):                InvalidRequest,
		claims(`{"id_token":{"acr":1}}`):         InvalidRequest,
	} {
		r, err := BeginAuthorization(text)
		if err != nil {
			t.Errorf("%s: nobody is told: %v", text, err)
			continue
		}
		if e, ok := errors.AsType[*Error](r.Read()); !ok || e.Code != want {
			t.Errorf("%s: %v, want %s", text, e, want)
		}
		if r.Client != "shop" || r.RedirectURI != "https://client.example/cb" || r.State != "xyz" || r.Mode != Query {
			t.Errorf("%s: the error goes to %+v", text, r)
		}
	}
}

func TestRead(t *testing.T) {
	r, err := BeginAuthorization(asking("nonce", "n", "prompt", "login  consent", "max_age", "60", "acr_values", "a b", "ui_locales", "de en", "login_hint", "ana",
		"id_token_hint", "x.y.z", "response_mode", "form_post", "resource", "https://api.example", "display", "page", "unknown", "x",
		"claims", `{"userinfo":{"email":null,"a":{"essential":true}},"id_token":{"name":null,"acr":{"essential":true,"values":["gold"],"value":"silver"}},"other":1}`))
	if err == nil {
		err = r.Read()
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Mode != FormPost || !slices.Equal(r.Scope, []string{"openid", "read"}) || !r.OpenID() || r.Nonce != "n" || !r.Asks(PromptLogin) || !r.Asks(PromptConsent) ||
		r.Asks(PromptNone) || *r.MaxAge != time.Minute || !slices.Equal(r.ACR, []string{"a", "b"}) || !slices.Equal(r.Locales, []string{"de", "en"}) ||
		r.LoginHint != "ana" || r.IDHint != "x.y.z" || !slices.Equal(r.Resource, []string{"https://api.example"}) || r.Challenge != exampleChallenge ||
		!slices.Equal(r.Claims.Userinfo, []string{"a", "email"}) || !slices.Equal(r.Claims.IDToken, []string{"name"}) || !slices.Equal(r.Claims.ACR, []string{"gold", "silver"}) {
		t.Errorf("%+v", r)
	}
	least, err := BeginAuthorization("client_id=shop&response_type=code")
	if err != nil || least.Read() != nil || least.RedirectURI != "" || least.State != "" || least.Mode != Query || least.Scope != nil || least.MaxAge != nil || least.Challenge != "" || least.OpenID() {
		t.Errorf("the least: %+v, %v", least, err)
	}
	for text, want := range map[string]time.Duration{"0": 0, "00": 0, "99999999999999999999": mostAge, "9223372036854775807": mostAge, "315360000": mostAge, "315359999": mostAge - time.Second} {
		if got, err := parseAge(text); err != nil || *got != want {
			t.Errorf("max_age=%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseClaims(t *testing.T) {
	many := `{"userinfo":{"a":null` + strings.Repeat(`,"b`, 1)
	for i := range 100 {
		many += string(rune('a'+i%26)) + strings.Repeat("x", i/26+1) + `":null,"b`
	}
	many += `":null}}`
	for text, want := range map[string]*Claims{
		"":                                 {},
		"{}":                               {},
		"null":                             {},
		`{"userinfo":null}`:                {},
		`{"userinfo":{"b":null,"a":null}}`: {Userinfo: []string{"a", "b"}},
		`{"id_token":{"acr":null}}`:        {},
		`{"id_token":{"acr":{"essential":false,"value":"gold"}}}`:         {},
		`{"id_token":{"acr":{"essential":true}}}`:                         {},
		`{"id_token":{"acr":{"essential":true,"value":"gold"}}}`:          {ACR: []string{"gold"}},
		`{"userinfo":{"acr":{"essential":true,"value":"gold"}}}`:          {Userinfo: []string{"acr"}},
		`{"id_token":{"auth_time":{"essential":true},"sub":{"value":1}}}`: {IDToken: []string{"auth_time", "sub"}},
		"x": nil, "1": nil, `"x"`: nil, "{}{}": nil, `{"userinfo":1}`: nil, `{"userinfo":["email"]}`: nil, `{"id_token":{"acr":"gold"}}`: nil,
		`{"id_token":{"acr":{"values":"gold"}}}`: nil, many: nil, strings.Repeat(`{"userinfo":`, 20000): nil,
	} {
		got, err := ParseClaims(text)
		if want == nil {
			if err == nil {
				t.Errorf("%.60s is read as %+v", text, got)
			}
			continue
		}
		if err != nil || !slices.Equal(got.Userinfo, want.Userinfo) || !slices.Equal(got.IDToken, want.IDToken) || !slices.Equal(got.ACR, want.ACR) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// FuzzAuthorizationRequest: what is read says what the request says, once; all else is an
// error with a code.
func FuzzAuthorizationRequest(f *testing.F) {
	for _, s := range []string{asking(), asking("claims", `{"userinfo":{"email":null}}`, "prompt", "none"), "client_id=a&client_id=b", asking() + "&state=2", "client_id=%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := BeginAuthorization(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		v, err := url.ParseQuery(text)
		if err != nil || len(v["client_id"]) != 1 || v.Get("client_id") != r.Client || r.Client == "" || len(v["redirect_uri"]) > 1 || v.Get("redirect_uri") != r.RedirectURI || v.Get("state") != r.State {
			t.Fatalf("%q is from %q and goes to %q with %q; %v", text, r.Client, r.RedirectURI, r.State, err)
		}
		if err := r.Read(); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		for name, values := range v {
			if len(values) > 1 && !repeatable[name] {
				t.Errorf("%q was taken %d times", name, len(values))
			}
		}
		if v.Get("response_type") != "code" || r.MaxAge != nil && *r.MaxAge < 0 || r.Asks(PromptNone) && len(r.Prompt) > 1 || strings.Contains(r.Nonce, "\x00") ||
			r.Challenge != "" && len(r.Challenge) != 43 || !slices.IsSorted(r.Scope) {
			t.Errorf("%q: %+v of %v", text, r, slices.Sorted(maps.Keys(v)))
		}
	})
}
