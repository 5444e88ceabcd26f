package guard

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

func TestDiscovery(t *testing.T) {
	const (
		oauth  = "https://as.example/.well-known/oauth-authorization-server"
		openid = "https://as.example/.well-known/openid-configuration"
		keys   = "https://as.example/jwks"
	)
	good := `{"issuer":"https://as.example","jwks_uri":"https://as.example/jwks"}`
	for _, c := range []struct {
		name   string
		pages  map[string]string
		option Option
		ok     bool
	}{
		{"OAuth", map[string]string{oauth: good}, nil, true},
		{"OpenID", map[string]string{openid: good}, nil, true},
		{"elsewhere", map[string]string{"https://x.example/d": good}, DiscoveryURL("https://x.example/d"), true},
		{"no discovery", nil, JWKSURL(keys), true},
		{"nowhere", nil, nil, false},
		{"elsewhere, not there", map[string]string{oauth: good}, DiscoveryURL("https://x.example/d"), false},
		{"the first wins", map[string]string{oauth: `{"issuer":"https://evil.example"}`, openid: good}, nil, false},
		{"no issuer", map[string]string{oauth: `{"jwks_uri":"https://as.example/jwks"}`}, nil, false},
		{"no keys", map[string]string{oauth: `{"issuer":"https://as.example"}`}, nil, false},
		{"slash", map[string]string{oauth: `{"issuer":"https://as.example/","jwks_uri":"https://as.example/jwks"}`}, nil, false},
		{"issuer twice", map[string]string{oauth: `{"issuer":"https://as.example","issuer":"https://as.example","jwks_uri":"https://as.example/jwks"}`}, nil, false},
		{"plain keys", map[string]string{oauth: `{"issuer":"https://as.example","jwks_uri":"http://as.example/jwks"}`}, nil, false},
		{"keys here", map[string]string{oauth: `{"issuer":"https://as.example","jwks_uri":"http://127.0.0.1/jwks"}`}, nil, false},
		{"keys in a file", map[string]string{oauth: `{"issuer":"https://as.example","jwks_uri":"file:///etc/passwd"}`}, nil, false},
		{"keys with a password", map[string]string{oauth: `{"issuer":"https://as.example","jwks_uri":"https://u:p@as.example/jwks"}`}, nil, false},
		{"keys relative", map[string]string{oauth: `{"issuer":"https://as.example","jwks_uri":"/jwks"}`}, nil, false},
		{"html", map[string]string{oauth: `<html>`}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newWire(t)
			page := i.pages[keys]
			i.pages = map[string]string{}
			for _, url := range []string{keys, "http://as.example/jwks", "http://127.0.0.1/jwks", "https://u:p@as.example/jwks", "https://u:***@as.example/jwks"} {
				i.pages[url] = page
			}
			for url, text := range c.pages {
				i.pages[url] = text
			}
			var options []Option
			if c.option != nil {
				options = append(options, c.option)
			}
			err := verifies(i.guard(t, options...), lasting(es()))
			if c.ok && err != nil || !c.ok && !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v after %v", err, i.calls)
			}
		})
	}
}

// An issuer on this machine may do without TLS; its keys elsewhere may not.
func TestLoopbackIssuer(t *testing.T) {
	for keys, ok := range map[string]bool{
		"http://localhost:8080/jwks": true, "http://127.0.0.1:8080/jwks": true, "https://keys.example/jwks": true,
		"http://keys.example/jwks": false, "http://10.0.0.1/jwks": false,
	} {
		i := newWire(t)
		i.pages = map[string]string{
			"http://localhost:8080/.well-known/oauth-authorization-server": `{"issuer":"http://localhost:8080","jwks_uri":"` + keys + `"}`,
			keys: i.pages["https://as.example/jwks"],
		}
		g, err := New("http://localhost:8080", Audience(testAudience), HTTPClient(&http.Client{Transport: i}), Logger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		token := es().token(map[string]any{"iss": "http://localhost:8080", "iat": 0, "nbf": 0, "exp": 1 << 40})
		if err := verifies(g, token); (err == nil) != ok {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

// The metadata of an issuer with a path (RFC 8414, Section 3.1; OpenID Connect
// Discovery 1.0, Section 4).
func TestDiscoveryURLs(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://as.example":     "[https://as.example/.well-known/oauth-authorization-server https://as.example/.well-known/openid-configuration]",
		"https://as.example/":    "[https://as.example/.well-known/oauth-authorization-server https://as.example/.well-known/openid-configuration]",
		"https://as.example/t/1": "[https://as.example/.well-known/oauth-authorization-server/t/1 https://as.example/t/1/.well-known/openid-configuration]",
	} {
		if got := fmt.Sprint(discoveryURLs(issuer)); got != want {
			t.Errorf("%s: %s", issuer, got)
		}
	}
}

func TestFreshness(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                          anyFresh,
		"public":                    anyFresh,
		"max-age=300":               5 * time.Minute,
		"public, MAX-AGE=300":       5 * time.Minute,
		`max-age="300"`:             5 * time.Minute,
		"max-age=0":                 minFresh,
		"max-age=-5":                minFresh,
		"no-store":                  minFresh,
		"no-cache, max-age=300":     minFresh,
		"max-age=99999999":          maxFresh,
		"max-age=99999999999999999": anyFresh,
		"max-age=x":                 anyFresh,
		"s-maxage=10":               anyFresh,
	} {
		if got := freshness(http.Header{"Cache-Control": {value}}); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
