package oauth

import (
	"errors"
	"net/url"
	"testing"
)

// request is a token request with the parameters of a form, and a client's id.
func request(t *testing.T, body string) (TokenRequest, error) {
	t.Helper()
	p, err := ParseForm("grant_type=" + url.QueryEscape(string(TokenExchange)) + "&client_id=c&" + body)
	if err != nil {
		t.Fatal(err)
	}
	return ParseTokenRequest(nil, p)
}

func TestParseExchange(t *testing.T) {
	const at, jwt, key = "urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt", "urn:doorward:params:oauth:token-type:api-key"
	for body, want := range map[string]Exchange{
		"subject_token=s&subject_token_type=" + at + "&resource=urn:a":                                                    {Subject: "s", SubjectType: AccessToken, Requested: AccessToken, Target: "urn:a"},
		"subject_token=s&subject_token_type=" + jwt + "&audience=urn:a&requested_token_type=" + jwt:                       {Subject: "s", SubjectType: JWT, Requested: JWT, Target: "urn:a"},
		"subject_token=s&subject_token_type=" + key + "&audience=urn:a&resource=urn:a&address=192.0.2.1":                  {Subject: "s", SubjectType: APIKey, Requested: AccessToken, Target: "urn:a", Address: "192.0.2.1"},
		"subject_token=s&subject_token_type=" + at + "&resource=urn:a&actor_token=x&actor_token_type=" + jwt + "&scope=a": {Subject: "s", SubjectType: AccessToken, Requested: AccessToken, Target: "urn:a", Actor: "x"},
	} {
		r, err := request(t, body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseExchange(r); err != nil || got != want {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	const good = "subject_token=s&subject_token_type=" + at
	for body, code := range map[string]Code{
		"subject_token_type=" + at + "&resource=urn:a":                   InvalidRequest,
		"subject_token=s&resource=urn:a":                                 InvalidRequest,
		"subject_token=s&subject_token_type=access_token&resource=urn:a": InvalidRequest,
		good + "&resource=urn:a&actor_token=x":                           InvalidRequest,
		good + "&resource=urn:a&actor_token_type=" + at:                  InvalidRequest,
		good + "&resource=urn:a&actor_token=x&actor_token_type=" + key:   InvalidRequest,
		good + "&resource=urn:a&requested_token_type=" + key:             InvalidRequest,
		good + "&resource=urn:a&requested_token_type=" + jwt + "x":       InvalidRequest,
		good:                                     InvalidTarget,
		good + "&resource=urn:a&resource=urn:b":  InvalidTarget,
		good + "&resource=urn:a&audience=urn:b":  InvalidTarget,
		good + "&audience=orders":                InvalidTarget,
		good + "&audience=https://a.example/%23": InvalidTarget,
	} {
		r, err := request(t, body)
		if err == nil {
			_, err = ParseExchange(r)
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != code {
			t.Errorf("%s: %v, want %s", body, err, code)
		}
	}
}

// FuzzParseExchange: what is read names one target and types that are known, and what is
// refused says so by a code.
func FuzzParseExchange(f *testing.F) {
	f.Add("subject_token=s&subject_token_type=urn:ietf:params:oauth:token-type:jwt&audience=urn:a")
	f.Fuzz(func(t *testing.T, body string) {
		p, err := ParseForm(body)
		if err != nil {
			return
		}
		x, err := ParseExchange(TokenRequest{Params: p, Resource: p["resource"]})
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		if x.Subject == "" || CheckResource(x.Target) != nil || x.Requested != AccessToken && x.Requested != JWT || (x.Actor != "") != (p.Get("actor_token_type") != "") {
			t.Errorf("%q is read as %+v", body, x)
		}
	})
}
