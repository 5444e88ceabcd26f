package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/load"
	"github.com/doorward/doorward/internal/secret"
)

// behindKeys is a load on an API that guard protects, with an API key for each
// connection.
func behindKeys(ctx context.Context, b *bench, s *site) (work, error) {
	p, err := b.startChild(ctx, childOptions{name: guarded, issuer: s.url(), cache: 1, keys: true})
	if err != nil {
		return work{}, err
	}
	list := make([]load.Client, b.connections)
	for i := range list {
		request := get(p.addr, "/", apiKey(i))
		list[i] = load.Client{Request: func() []byte { return request }}
	}
	return work{addr: p.addr, pid: p.pid(), warm: b.warm, clients: func() []load.Client { return list }}, nil
}

func apiKey(n int) string {
	body := fmt.Sprintf("dwk_%016d_%043d", n, n)
	return body + secret.Checksum(body)
}

// keyIssuer has an API's guard take every API key, by asking about it over loopback:
// an issuer of one constant answer, in the API's own process. It is asked about a key
// not twice a second, so that it hardly counts.
func keyIssuer(ctx context.Context) ([]guard.Option, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.PostFormValue("token")
		fmt.Fprintf(w, `{"active":true,"token_type":"api_key","key_id":%q,"sub":"bench","client_id":"bench","scope":"read","exp":%d}`, key[4:20], time.Now().Add(time.Hour).Unix())
	})}
	context.AfterFunc(ctx, func() { s.Close() })
	go func() { _ = s.Serve(l) }() // until the child ends
	return []guard.Option{guard.Credentials("bench", "bench"), guard.IntrospectionURL("http://" + l.Addr().String())}, nil
}
