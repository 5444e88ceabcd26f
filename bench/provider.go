package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/load"
)

// discovery is where every OpenID provider tells of itself (OpenID Connect Discovery
// 1.0, Section 4).
const discovery = "/.well-known/openid-configuration"

// provider is an OpenID provider as its clients see it: Doorward or a peer, asked the
// same by the same program.
type provider struct {
	name                string
	addr                string
	pid, pgPID          int
	paths               endpoints
	service, app, asker registered // asker introspects
	scope               string
	hops                int // requests from the authorization request to the one that is answered with a code
	visits              []*visit
}

// endpoints are the paths that a provider's metadata name.
type endpoints struct{ jwks, authorize, token, introspect, userinfo string }

// visit is a browser in which somebody is signed in, and what the application has of him.
type visit struct {
	family
	code  string
	place string // where the browser is sent next
	jwts  int    // in the last answer with tokens
}

// turn takes the tokens of an answer, and says whether they are new.
func (v *visit) turn(status int, body []byte) bool {
	v.jwts = bytes.Count(body, []byte(`"eyJ`))
	return v.family.turn(status, body)
}

// learn reads where the endpoints are.
func (p *provider) learn(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(discovery), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var says struct {
		JWKS       string `json:"jwks_uri"`
		Authorize  string `json:"authorization_endpoint"`
		Token      string `json:"token_endpoint"`
		Introspect string `json:"introspection_endpoint"`
		Userinfo   string `json:"userinfo_endpoint"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&says); err != nil {
		return fmt.Errorf("GET %s: %s: %w", discovery, answer.Status, err)
	}
	for path, full := range map[*string]string{
		&p.paths.jwks: says.JWKS, &p.paths.authorize: says.Authorize, &p.paths.token: says.Token,
		&p.paths.introspect: says.Introspect, &p.paths.userinfo: says.Userinfo,
	} {
		rest, here := strings.CutPrefix(full, p.url(""))
		if !here || rest == "" {
			return fmt.Errorf("an endpoint is at %q, which is not of this server", full)
		}
		*path = rest
	}
	return nil
}

func (p *provider) url(path string) string { return "http://" + p.addr + path }

// The proof of a flow (RFC 7636, Appendix B).
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// authorization is the path of an authorization request.
func (p *provider) authorization() string {
	return p.paths.authorize + "?" + url.Values{
		"client_id": {p.app.id}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {p.scope}, "state": {"xyz"}, "nonce": {"n-0S6_WzA2Mj"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

// signIn opens so many browsers, with the cookies of whoever is signed in if that is
// known, and has each walk to the application twice: the first time somebody signs in,
// as the server has it; the second is what is measured.
func (p *provider) signIn(ctx context.Context, connections int, cookies func(n int) string) error {
	for n := range connections {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return err
		}
		start := p.url(p.authorization())
		at, err := url.Parse(start)
		if err != nil {
			return err
		}
		if cookies != nil {
			list, err := http.ParseCookie(cookies(n))
			if err != nil {
				return err
			}
			jar.SetCookies(at, list)
		}
		if _, err := walk(ctx, jar, start); err != nil {
			return err
		}
		if p.hops, err = walk(ctx, jar, start); err != nil {
			return err
		}
		var held []string
		for _, c := range jar.Cookies(at) {
			held = append(held, c.Name+"="+c.Value)
		}
		p.visits = append(p.visits, &visit{family: family{cookie: strings.Join(held, "; ")}})
	}
	return nil
}

// walk follows a browser to the application, and returns how many requests that took.
func walk(ctx context.Context, jar http.CookieJar, place string) (hops int, err error) {
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for hops = 1; hops <= 10; hops++ {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
		if err != nil {
			return 0, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		answer.Body.Close()
		next, err := answer.Location()
		if err != nil {
			return 0, fmt.Errorf("GET %s: %s: %w", place, answer.Status, err)
		}
		if place = next.String(); strings.HasPrefix(place, callback) {
			if codeIn([]byte(place)) == "" {
				return 0, fmt.Errorf("the browser came back without a code: %s", place)
			}
			return hops, nil
		}
	}
	return 0, errors.New("the browser was sent on and on")
}

// flow is the load of one browser: from the authorization request to the tokens.
func (p *provider) flow(v *visit) load.Client {
	start := p.authorization()
	form := "grant_type=authorization_code&redirect_uri=" + url.QueryEscape(callback) + "&code_verifier=" + verifier + "&code="
	step, buffer := 0, []byte(nil)
	return load.Client{
		Steps: p.hops + 1,
		Request: func() []byte {
			switch step {
			case 0:
				v.code, v.place = "", start
			case p.hops:
				buffer = load.Post(buffer[:0], p.addr, p.paths.token, form+url.QueryEscape(v.code), "Authorization", p.app.basic)
				return buffer
			}
			return load.Get(p.addr, v.place, "Cookie", v.cookie)
		},
		Header: func(name, value []byte) {
			if bytes.EqualFold(name, []byte("Location")) {
				v.code = codeIn(value)
				v.place = string(bytes.TrimPrefix(value, []byte(p.url(""))))
			}
		},
		Answer: func(status int, body []byte) error {
			var right bool
			switch step {
			case p.hops:
				_, id := field(body, `"id_token":"`)
				right = v.turn(status, body) && id
			case p.hops - 1:
				right = v.code != ""
			default:
				right = status/100 == 3 && strings.HasPrefix(v.place, "/")
			}
			if step = (step + 1) % (p.hops + 1); !right {
				return load.Unexpected(status, body)
			}
			return nil
		},
	}
}

// refreshing spends a browser's refresh tokens, one after the other.
func (p *provider) refreshing(v *visit) load.Client {
	var buffer []byte
	return load.Client{
		Request: func() []byte {
			buffer = load.Post(buffer[:0], p.addr, p.paths.token, "grant_type=refresh_token&refresh_token="+url.QueryEscape(v.refresh), "Authorization", p.app.basic)
			return buffer
		},
		Answer: func(status int, body []byte) error {
			if !v.turn(status, body) {
				return load.Unexpected(status, body)
			}
			return nil
		},
	}
}
