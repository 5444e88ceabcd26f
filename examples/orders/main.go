// Orders is a small API that Doorward protects. Run it beside a server:
//
//	go run ./cmd/doorward dev
//	go run ./examples/orders
//
// README.md has the requests to try.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/doorward/doorward/guard"
)

func main() {
	issuer := flag.String("issuer", cmp.Or(os.Getenv("ISSUER"), "http://localhost:8080"), "the URL of the Doorward server (`$ISSUER`)")
	listen := flag.String("listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8081"), "the address to listen on (`$LISTEN`)")
	audience := flag.String("audience", os.Getenv("AUDIENCE"), "what tokens for this API have as aud; the issuer if empty (`$AUDIENCE`)")
	flag.Parse()

	// A token that was asked for with no resource is meant for the issuer, one
	// that was asked for with ours is meant for us: both will do here.
	resource := "http://" + *listen
	g, err := guard.New(*issuer, guard.Audience(cmp.Or(*audience, *issuer), resource), guard.Resource(resource),
		guard.OnDecision(guard.DecisionLog(os.Stderr)))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("orders: %s, for tokens of %s", resource, *issuer)
	server := &http.Server{Addr: *listen, Handler: newAPI(g), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newAPI returns the whole API. The permission of each route stands beside it.
func newAPI(g *guard.Guard) http.Handler {
	var o orders
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", usage)
	mux.Handle("GET /orders", g.Require(guard.Permission("read"))(http.HandlerFunc(o.list)))
	mux.Handle("POST /orders", g.Require(guard.Permission("write"))(http.HandlerFunc(o.create)))
	mux.Handle("GET /.well-known/oauth-protected-resource", g.Metadata())
	return mux
}

const help = `This is an API behind Doorward.

  GET  /orders                                  needs the permission read
  POST /orders {"item": "...", "quantity": 1}   needs the permission write

Both need a token: Authorization: Bearer ACCESS_TOKEN
`

func usage(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, help)
}

// order is one order. Who made it comes from the token, never from the request.
type order struct {
	ID       int    `json:"id"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
	By       string `json:"by"`
}

// orders keeps the last orders in memory.
type orders struct {
	mu   sync.Mutex
	last int
	all  []order
}

const kept = 1000

func (o *orders) list(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	list := append([]order{}, o.all...)
	o.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"items": list})
}

func (o *orders) create(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Item     string `json:"item"`
		Quantity int    `json:"quantity"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in.Item == "" || in.Quantity < 1 {
		answer(w, http.StatusBadRequest, map[string]string{"error": `send {"item": "...", "quantity": 1}`})
		return
	}
	o.mu.Lock()
	o.last++
	made := order{o.last, in.Item, in.Quantity, guard.PrincipalFrom(r.Context()).Subject}
	o.all = append(o.all, made)
	if len(o.all) > kept {
		o.all = slices.Delete(o.all, 0, 1)
	}
	o.mu.Unlock()
	answer(w, http.StatusCreated, made)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody is left to tell
}
