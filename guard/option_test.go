package guard

import (
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	for _, issuer := range []string{
		"", "as.example", "//as.example", "/x", "http://as.example", "http://10.0.0.1", "ftp://as.example", "https://", "https:as.example",
		"https://u:p@as.example", "https://as.example#x", "https://as.example?x=1", "https://as.example\r\nX: y", "https://as.example/\"", "http://localhost.evil.example",
		"http://127.0.0.1.evil.example", "https://as.example/ü", " https://as.example",
	} {
		if _, err := New(issuer, Audience("a")); err == nil {
			t.Errorf("the issuer %q is taken", issuer)
		}
	}
	for _, issuer := range []string{"https://as.example", "https://as.example/t1", "http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:1", "http://127.9.9.9"} {
		if _, err := New(issuer, Audience("a")); err != nil {
			t.Errorf("the issuer %q: %v", issuer, err)
		}
	}
	for name, o := range map[string]Option{
		"audience with a quote": Audience(`a"b`), "empty audience": Audience("a", ""), "realm": Realm("a\nb"), "resource": Resource("orders"),
		"plain resource": Resource("http://api.example"), "plain JWKS": JWKSURL("http://as.example/jwks"), "plain discovery": DiscoveryURL("http://as.example/d"),
		"no algorithm": Algorithms(), "none": Algorithms("none"), "HS256": Algorithms("ES256", "HS256"), "ES384": Algorithms("ES384"),
		"leeway": Leeway(61 * time.Second), "negative leeway": Leeway(-1), "no cache": CacheSize(0),
		"no keys": Keys(nil), "no revocation": Revocation(nil), "no answer": Errors(nil), "no client": HTTPClient(nil), "no logger": Logger(nil), "no clock": Now(nil),
	} {
		if _, err := New(testIssuer, Audience("a"), o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestNewReportsAllMistakes(t *testing.T) {
	_, err := New("http://as.example", Leeway(time.Hour), Algorithms("HS256"), Keys(nil))
	if err == nil {
		t.Fatal("taken")
	}
	for _, part := range []string{"guard: ", "not https", "no Audience", "HS256", "1h0m0s", "Keys was given nil"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q:\n%v", part, err)
		}
	}
}
