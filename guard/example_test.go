package guard_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/doorward/doorward/guard"
)

// An API whose routes need different permissions.
func Example() {
	g, err := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"))
	if err != nil {
		log.Fatal(err)
	}
	listOrders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := guard.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "orders of %s, who may change them: %v\n", p.Subject, p.Has("orders:write"))
	})

	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require(guard.Permission("orders:read"))(listOrders))
	mux.Handle("GET /.well-known/oauth-protected-resource", g.Metadata())

	// Without a token, the caller is told where to get one, and for what.
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401 Bearer realm="https://api.example.com", scope="orders:read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
}

// New reports all mistakes at once.
func ExampleNew() {
	_, err := guard.New("http://auth.example.com", guard.Algorithms("none"))
	fmt.Println(err)
	// Output:
	// guard: the issuer "http://auth.example.com" is not https, and its host is not loopback
	// no Audience: say which tokens are meant for this API
	// the algorithm "none" is not one of ES256, EdDSA, RS256, PS256
}

// Several requirements must all be met. Deleting needs a permission and a
// sign-in with a second factor within the last five minutes; who has an older
// one is told to step up (RFC 9470).
func ExampleGuard_Require() {
	g, _ := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"))
	deleteOrder := http.NotFoundHandler()

	http.Handle("DELETE /orders/{id}", g.Require(
		guard.AnyOf("orders:delete", "orders:admin"),
		guard.ACR("aal2"),
		guard.MaxAge(5*time.Minute),
	)(deleteOrder))
}

// The program that issues the tokens has their keys at hand. It swaps the set
// when it rotates keys; tokens of a key that left are refused from then on.
func ExampleKeys() {
	private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set, err := guard.NewKeySet(guard.Key{ID: "2026-09", Algorithm: "ES256", Public: private.Public()})
	if err != nil {
		log.Fatal(err)
	}
	_, err = guard.New("https://auth.example.com", guard.Audience("https://api.example.com"),
		guard.Keys(func() *guard.KeySet { return set }))
	fmt.Println(err)
	// Output:
	// <nil>
}

// An API that takes API keys too asks the issuer about them, as itself.
func ExampleCredentials() {
	_, err := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"),
		guard.Credentials("orders-api", os.Getenv("ORDERS_API_SECRET")))
	fmt.Println(err)
	// Output:
	// guard: Credentials lack the id or the secret
}

// What was revoked is refused at the next request, though its signature is good.
func ExampleRevocation() {
	ended := map[string]bool{"family-7": true}
	_, err := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"),
		guard.Revocation(func(_ context.Context, p *guard.Principal) error {
			if ended[p.Family] {
				return errors.New("the user signed out")
			}
			return nil
		}))
	fmt.Println(err)
	// Output:
	// <nil>
}

// A server with a format of its own for errors writes it; the headers are set.
func ExampleErrors() {
	g, _ := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"),
		guard.Errors(func(w http.ResponseWriter, r *http.Request, refusal guard.Refusal) {
			log.Printf("%s %s: %v", r.Method, r.URL.Path, refusal.Err)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(refusal.Status)
			fmt.Fprintf(w, `{"title":%q}`, refusal.Description)
		}))
	log.SetOutput(io.Discard)

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Add("Authorization", "Bearer x")
	r.Header.Add("X-API-Key", "y")
	w := httptest.NewRecorder()
	g.Require()(http.NotFoundHandler()).ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output:
	// 400 {"title":"the request carries more than one credential"}
}

// A handler is tested without tokens: its context says who calls.
func ExampleNewContext() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", guard.PrincipalFrom(r.Context()).Subject)
	})
	ann := &guard.Principal{Subject: "ann", Scopes: []string{"orders:read"}}

	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	hello(w, r.WithContext(guard.NewContext(r.Context(), ann)))
	fmt.Print(w.Body)
	// Output:
	// hello ann
}

// The document that tells clients about this API (RFC 9728).
func ExampleGuard_Metadata() {
	g, _ := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"))
	g.Require(guard.Permission("orders:read"))
	g.Require(guard.Permission("orders:write"))

	w := httptest.NewRecorder()
	g.Metadata().ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil))
	fmt.Print(w.Body)
	// Output:
	// {"resource":"https://api.example.com","authorization_servers":["https://auth.example.com"],"scopes_supported":["orders:read","orders:write"],"bearer_methods_supported":["header"]}
}

// Verify is for what is not behind a handler: a queue, a command, a log.
func ExampleGuard_Verify() {
	set, _ := guard.NewKeySet()
	g, _ := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"),
		guard.Keys(func() *guard.KeySet { return set }))

	p, err := g.Verify(context.Background(), "not.a.token")
	switch {
	case errors.Is(err, guard.ErrUnavailable):
		fmt.Println("try again later")
	case errors.Is(err, guard.ErrMalformed):
		fmt.Println(p, err)
	}
	// Output:
	// <nil> the access token is not a well-formed JWT: its header: not base64url
}

// Every decision as a line of JSON, in the form of the audit log's events.
func ExampleOnDecision() {
	g, err := guard.New("https://auth.example.com", guard.Audience("https://api.example.com"),
		guard.OnDecision(func(_ context.Context, d guard.Decision) {
			fmt.Println(d.Allowed(), d.Reason(), d.Method, d.Route, d.Needs)
		}))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", g.Require(guard.Permission("orders:read"))(http.NotFoundHandler()))
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/7", nil))
	// Output:
	// false no-credential GET GET /orders/{id} orders:read
}
