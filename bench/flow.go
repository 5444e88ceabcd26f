package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/doorward/doorward/bench/seed"
	"github.com/doorward/doorward/internal/load"
)

const callback = "https://app.example.com/callback"

// visitor is a browser in which somebody is signed in, and what an application has of him.
type visitor struct{ cookie, code, access string }

// flows has people who are signed in go to an application: the authorization request,
// which is answered with a code at once, and the token request, which is answered with
// an ID token, an access token and a refresh token. Both are one.
func flows(ctx context.Context, b *bench, s *site) (work, error) {
	people, app, err := s.visitors(ctx, b.connections)
	if err != nil {
		return work{}, err
	}
	return onServer(func(*bench, *site) []load.Client { return s.flows(app, people) })(ctx, b, s)
}

// spreadFlows has everybody who is signed in go to an application, in turn.
func spreadFlows(ctx context.Context, b *bench, s *site) (work, error) {
	app, err := s.application(ctx)
	if err != nil {
		return work{}, err
	}
	return onServer(func(b *bench, s *site) []load.Client {
		return s.wallet.each(b.connections, 0, func(families []*family) load.Client {
			people := make([]*visitor, len(families))
			for i, f := range families {
				people[i] = &visitor{cookie: f.cookie}
			}
			return s.flow(app, people)
		})
	})(ctx, b, s)
}

// userinfo has an application ask who people are, with tokens that have the scope openid,
// as an application alone gets them.
func userinfo(ctx context.Context, b *bench, s *site) (work, error) {
	people, app, err := s.visitors(ctx, b.connections)
	if err != nil {
		return work{}, err
	}
	w, err := onServer(func(*bench, *site) []load.Client {
		list := make([]load.Client, len(people))
		for i, p := range people {
			request := get(s.addr, "/oauth2/userinfo", p.access)
			list[i].Request = func() []byte { return request }
		}
		return answering(list, `"sub":"`)
	})(ctx, b, s)
	w.ready = func(ctx context.Context) error {
		return load.Do(ctx, 2, load.Options{Addr: s.addr, Clients: s.flows(app, people)})
	}
	return w, err
}

// application registers an application that nobody is asked about.
func (s *site) application(ctx context.Context) (registered, error) {
	return s.register(ctx, map[string]any{
		"client_name": "bench", "scope": "read", "redirect_uris": []string{callback}, "skip_consent": true, "id_token_signed_response_alg": "ES256",
	})
}

// visitors signs somebody in in each of so many browsers, and registers an application
// that nobody is asked about.
func (s *site) visitors(ctx context.Context, connections int) ([]*visitor, registered, error) {
	app, err := s.application(ctx)
	if err != nil {
		return nil, app, err
	}
	people := make([]*visitor, connections)
	list := make([]load.Client, connections)
	for i := range list {
		people[i] = &visitor{}
		request := load.Post(nil, s.addr, "/auth/login", url.Values{"username": {s.wallet.families[i].username}, "password": {seed.Password}, "mode": {"cookie"}}.Encode())
		list[i].Request = func() []byte { return request }
		list[i].Header = func(name, value []byte) {
			cookie, _, _ := bytes.Cut(value, []byte(";"))
			if bytes.EqualFold(name, []byte("Set-Cookie")) && bytes.HasPrefix(cookie, []byte("doorward_session=")) {
				people[i].cookie = string(cookie)
			}
		}
	}
	if err := load.Do(ctx, 1, load.Options{Addr: s.addr, Clients: list}); err != nil {
		return nil, app, err
	}
	for _, p := range people {
		if p.cookie == "" {
			return nil, app, errors.New("signing in gave no session cookie")
		}
	}
	return people, app, nil
}

// flows returns a client for each visitor, whose requests are one flow after the other.
func (s *site) flows(app registered, people []*visitor) []load.Client {
	list := make([]load.Client, len(people))
	for i, p := range people {
		list[i] = s.flow(app, []*visitor{p})
	}
	return list
}

// flow has people go to an application in turn.
func (s *site) flow(app registered, people []*visitor) load.Client {
	place := "/oauth2/authorize?" + url.Values{
		"client_id": {app.id}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid read"}, "state": {"xyz"}, "nonce": {"n-0S6_WzA2Mj"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
	form := "grant_type=authorization_code&redirect_uri=" + url.QueryEscape(callback) + "&code_verifier=" + verifier + "&code="
	redeems, buffer, next := false, []byte(nil), 0
	var p *visitor
	return load.Client{
		Steps: 2,
		Request: func() []byte {
			if !redeems {
				p = people[next%len(people)]
				next++
				p.code = ""
				return load.Get(s.addr, place, "Cookie", p.cookie)
			}
			buffer = load.Post(buffer[:0], s.addr, tokenPath, form+p.code, "Authorization", app.basic)
			return buffer
		},
		Header: func(name, value []byte) {
			if bytes.EqualFold(name, []byte("Location")) {
				p.code = codeIn(value)
			}
		},
		Answer: func(status int, body []byte) error {
			wrong := status != http.StatusSeeOther || p.code == ""
			if redeems {
				_, id := field(body, `"id_token":"`)
				_, refresh := field(body, `"refresh_token":"`)
				access, ok := field(body, `"access_token":"`)
				wrong, p.access = status != http.StatusOK || !id || !refresh || !ok, access
			}
			if redeems = !redeems; wrong {
				return load.Unexpected(status, body)
			}
			return nil
		},
	}
}

// codeIn returns the code of the address that a browser is sent back to; empty if it is
// another, or there is none.
func codeIn(place []byte) string {
	rest, back := bytes.CutPrefix(place, []byte(callback+"?"))
	v, err := url.ParseQuery(string(rest))
	if !back || err != nil {
		return ""
	}
	return v.Get("code")
}
