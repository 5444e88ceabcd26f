package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/guard"
)

const resource = "http://127.0.0.1:8081"

// issuer is a server that publishes a key and signs tokens with it.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/oauth2/jwks")
	})
	mux.HandleFunc("GET /oauth2/jwks", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"k1","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i *issuer) token(t *testing.T, audience, scope string) string {
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": audience, "sub": "ann", "client_id": "doorward", "scope": scope,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": rand.Text(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed := b64([]byte(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`)) + "." + b64(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))))
}

func TestOrders(t *testing.T) {
	i := newIssuer(t)
	g, err := guard.New(i.URL, guard.Audience(i.URL, resource), guard.Resource(resource))
	if err != nil {
		t.Fatal(err)
	}
	api := newAPI(g)
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		has                             string
	}{
		{"usage", "GET", "/", "", "", 200, "needs the permission write"},
		{"unknown", "GET", "/x", "", "", 404, ""},
		{"no token", "GET", "/orders", "", "", 401, "an access token is needed"},
		{"no order yet", "GET", "/orders", i.token(t, i.URL, "read"), "", 200, `{"items":[]}`},
		{"may not write", "POST", "/orders", i.token(t, i.URL, "read"), `{"item":"tea","quantity":1}`, 403, "insufficient_scope"},
		{"may write", "POST", "/orders", i.token(t, resource, "read write"), `{"item":"tea","quantity":2}`, 201, `{"id":1,"item":"tea","quantity":2,"by":"ann"}`},
		{"the order", "GET", "/orders", i.token(t, i.URL, "read"), "", 200, `"item":"tea"`},
		{"another's token", "GET", "/orders", i.token(t, "https://other.example", "read"), "", 401, "meant for another API"},
		{"cannot say who ordered", "POST", "/orders", i.token(t, i.URL, "write"), `{"item":"tea","quantity":1,"by":"bob"}`, 400, ""},
		{"none of it", "POST", "/orders", i.token(t, i.URL, "write"), `{"item":"tea"}`, 400, ""},
		{"no JSON", "POST", "/orders", i.token(t, i.URL, "write"), `item=tea`, 400, ""},
		{"too much", "POST", "/orders", i.token(t, i.URL, "write"), `{"item":"` + strings.Repeat("x", 5000) + `","quantity":1}`, 400, ""},
		{"metadata", "GET", "/.well-known/oauth-protected-resource", "", "", 200, `{"resource":"http://127.0.0.1:8081","authorization_servers":["` + i.URL + `"],"scopes_supported":["read","write"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
				t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, c.status, c.has)
			}
		})
	}
}

// The memory of a small example has an end as well.
func TestOldOrdersGo(t *testing.T) {
	var o orders
	for range kept + 5 {
		r := httptest.NewRequest("POST", "/orders", strings.NewReader(`{"item":"tea","quantity":1}`))
		r = r.WithContext(guard.NewContext(r.Context(), &guard.Principal{Subject: "ann"}))
		o.create(httptest.NewRecorder(), r)
	}
	if len(o.all) != kept || o.all[0].ID != 6 {
		t.Errorf("%d orders, from %d on", len(o.all), o.all[0].ID)
	}
}
