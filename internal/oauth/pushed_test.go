package oauth

import (
	"maps"
	"slices"
	"testing"
)

func TestPushedQuery(t *testing.T) {
	p, err := ParseForm("client_id=other&redirect_uri=https%3A%2F%2Fclient.example%2Fcb&scope=a+b&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb" +
		"&client_secret=s3cret&client_assertion=x.y.z&client_assertion_type=urn%3Ax&state=&nonce=%C3%A9%0A")
	if err != nil {
		t.Fatal(err)
	}
	got, err := PushedQuery(p, "shop")
	const want = "client_id=shop&nonce=%C3%A9%0A&redirect_uri=https%3A%2F%2Fclient.example%2Fcb&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&scope=a+b"
	if err != nil || got != want {
		t.Errorf("it is %q, %v; want %q", got, err, want)
	}
	if p.Get("client_secret") != "s3cret" || p.Get("client_id") != "other" {
		t.Error("what was read is changed")
	}
	if _, err := BeginAuthorization(got); err != nil {
		t.Errorf("it cannot be read again: %v", err)
	}
	for _, uri := range []string{"x", PushedPrefix + "x", "https://client.example/request.jwt"} {
		if got, err := PushedQuery(Params{"request_uri": {uri}}, "shop"); err == nil {
			t.Errorf("%s within a request that is pushed: %q", uri, got)
		}
	}
}

func TestPushed(t *testing.T) {
	for uri, ours := range map[string]bool{
		"": false, "x": false, "https://client.example/request.jwt": false, "urn:x": false, PushedPrefix: true, PushedPrefix + "abc": true,
		"URN:ietf:params:oauth:request_uri:abc": false, " " + PushedPrefix + "abc": false,
	} {
		r, err := BeginAuthorization(asking("request_uri", uri))
		if name, ok := r.Pushed(); err != nil || ok != ours || ok && PushedPrefix+name != uri {
			t.Errorf("%q: %q %t, %v; want %t", uri, name, ok, err, ours)
		}
	}
	r, err := BeginAuthorization(asking("request_uri", PushedPrefix+"a") + "&request_uri=" + PushedPrefix + "b")
	if name, ok := r.Pushed(); err != nil || ok || r.Read() == nil {
		t.Errorf("of two it is %q, %v", name, err)
	}
}

// FuzzPushedQuery looks for a request that is read otherwise once it was pushed, or that
// keeps what the client proved itself by.
func FuzzPushedQuery(f *testing.F) {
	for _, s := range []string{asking(), asking("claims", `{"userinfo":{"email":null}}`), "resource=a&resource=b&client_secret=x&client_id=y", "a=%C3%A9%00&a2=+%2B&state=", "%63lient_secret=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p, err := ParseForm(body)
		if err != nil {
			return
		}
		query, err := PushedQuery(p, "shop")
		if err != nil {
			return
		}
		again, err := ParseForm(query)
		if err != nil {
			t.Fatalf("%q is kept as %q: %v", body, query, err)
		}
		want := map[string][]string{"client_id": {"shop"}}
		for name, values := range p {
			if name != "client_id" && name != "client_secret" && name != "client_assertion" && name != "client_assertion_type" && len(values) > 0 {
				want[name] = values
			}
		}
		if !maps.EqualFunc(again, want, slices.Equal) {
			t.Fatalf("%q is kept as %q", body, query)
		}
	})
}
