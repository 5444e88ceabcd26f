package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/doorward/doorward/internal/load"
	"github.com/doorward/doorward/internal/oauth"
)

const tokenPath, introspectPath = "/oauth2/token", "/oauth2/introspect"

// ownTokens has a service get tokens for itself.
func ownTokens(ctx context.Context, b *bench, s *site) (work, error) {
	service, err := s.service(ctx)
	if err != nil {
		return work{}, err
	}
	request := load.Post(nil, s.addr, tokenPath, "grant_type=client_credentials", "Authorization", service.basic)
	return onServer(func(b *bench, _ *site) []load.Client {
		return answering(times(b.connections, request), `"access_token":"`)
	})(ctx, b, s)
}

// service is a client that may read.
func (s *site) service(ctx context.Context) (registered, error) {
	return s.register(ctx, map[string]any{"client_name": "bench", "scope": "read"}, "viewer")
}

// answering has clients see that an answer is what it should be.
func answering(list []load.Client, holds string) []load.Client {
	for i := range list {
		list[i].Answer = func(status int, body []byte) error {
			if status != http.StatusOK || !bytes.Contains(body, []byte(holds)) {
				return load.Unexpected(status, body)
			}
			return nil
		}
	}
	return list
}

// api is a client that may introspect what is meant for the server itself.
func (s *site) api(ctx context.Context) (registered, error) {
	return s.register(ctx, map[string]any{"client_name": "bench", "audiences": []string{s.url()}})
}

// active is what introspection says of what is good.
const active = `"active":true`

// introspecting has an API ask about a token for each connection, again and again.
func introspecting(ctx context.Context, b *bench, s *site) (work, error) {
	api, err := s.api(ctx)
	if err != nil {
		return work{}, err
	}
	return onServer(func(b *bench, s *site) []load.Client {
		return answering(s.wallet.each(b.connections, 1, func(families []*family) load.Client {
			request := s.asking(nil, api, families[0].access)
			return load.Client{Request: func() []byte { return request }}
		}), active)
	})(ctx, b, s)
}

// asking is the question of an API about a token.
func (s *site) asking(b []byte, api registered, token string) []byte {
	return load.Post(b, s.addr, introspectPath, "token="+token, "Authorization", api.basic)
}

// introspectingFirst has an API ask about tokens that nobody asked about before. There
// are so many, anew for each run, that the server has forgotten the first when all were
// asked about.
func introspectingFirst(ctx context.Context, b *bench, s *site) (work, error) {
	api, errAPI := s.api(ctx)
	service, err := s.service(ctx)
	if err != nil || errAPI != nil {
		return work{}, errors.Join(errAPI, err)
	}
	var tokens []string
	w, err := onServer(func(b *bench, _ *site) []load.Client {
		list := make([]load.Client, b.connections)
		for i := range list {
			share := tokens[i*len(tokens)/len(list) : (i+1)*len(tokens)/len(list)]
			next, buffer := -1, []byte(nil)
			list[i].Request = func() []byte {
				next = (next + 1) % len(share)
				buffer = s.asking(buffer[:0], api, share[next])
				return buffer
			}
		}
		return answering(list, active)
	})(ctx, b, s)
	w.ready = func(ctx context.Context) (err error) {
		tokens, err = s.mint(ctx, b, service, b.firsts)
		return err
	}
	return w, err
}

// mint has a service get about n tokens, at least one for each connection.
func (s *site) mint(ctx context.Context, b *bench, service registered, n int) (tokens []string, err error) {
	var mu sync.Mutex
	list := times(b.connections, load.Post(nil, s.addr, tokenPath, "grant_type=client_credentials", "Authorization", service.basic))
	for i := range list {
		list[i].Answer = func(status int, body []byte) error {
			token, ok := field(body, `"access_token":"`)
			if !ok {
				return load.Unexpected(status, body)
			}
			mu.Lock()
			defer mu.Unlock()
			tokens = append(tokens, token)
			return nil
		}
	}
	return tokens, load.Do(ctx, max(1, n/len(list)), load.Options{Addr: s.addr, Clients: list})
}

// introspectingKeys has an API ask about an API key for each connection.
func introspectingKeys(ctx context.Context, b *bench, s *site) (work, error) {
	api, errAPI := s.api(ctx)
	service, err := s.service(ctx)
	if err != nil || errAPI != nil {
		return work{}, errors.Join(errAPI, err)
	}
	list := make([]load.Client, b.connections)
	for i := range list {
		var made struct{ Key string }
		body := map[string]any{"name": fmt.Sprintf("bench %d", i), "owner": "client:" + service.id, "scopes": []string{"read"}, "expires_in": 86400}
		if err := s.manage(ctx, "/api-keys", body, &made); err != nil {
			return work{}, err
		}
		request := s.asking(nil, api, made.Key)
		list[i].Request = func() []byte { return request }
	}
	return onServer(func(*bench, *site) []load.Client { return answering(list, active) })(ctx, b, s)
}

// exchanging has a gateway exchange people's tokens for tokens for an API behind it, as
// the one who acts for them.
func exchanging(ctx context.Context, b *bench, s *site) (work, error) {
	const orders = "https://orders.example.com"
	err := s.manage(ctx, "/resources", map[string]any{"id": "bench-orders", "identifier": orders, "permissions": []map[string]any{{"name": "read"}}}, nil)
	if err != nil {
		return work{}, err
	}
	gateway, err := s.register(ctx, map[string]any{
		"client_name": "bench", "scope": "read", "audiences": []string{s.url()}, "grant_types": []oauth.GrantType{oauth.ClientCredentials, oauth.TokenExchange},
	}, "viewer")
	if err != nil {
		return work{}, err
	}
	if err := s.manage(ctx, "/clients/"+gateway.id+"/exchanges", map[string]any{"from": "client:doorward", "resource": orders}, nil); err != nil {
		return work{}, err
	}
	var own []string
	w, err := onServer(func(b *bench, s *site) []load.Client {
		return answering(s.wallet.each(b.connections, 1, func(families []*family) load.Client {
			request := load.Post(nil, s.addr, tokenPath, url.Values{
				"grant_type": {string(oauth.TokenExchange)}, "resource": {orders}, "scope": {"read"},
				"subject_token": {families[0].access}, "subject_token_type": {string(oauth.AccessToken)},
				"actor_token": {own[0]}, "actor_token_type": {string(oauth.AccessToken)},
			}.Encode(), "Authorization", gateway.basic)
			return load.Client{Request: func() []byte { return request }}
		}), `"access_token":"`)
	})(ctx, b, s)
	w.ready = func(ctx context.Context) (err error) {
		own, err = s.mint(ctx, b, gateway, 1)
		return err
	}
	return w, err
}
