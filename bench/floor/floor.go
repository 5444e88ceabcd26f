// Package floor is the least that each path of the server costs on a machine:
// the same HTTP server and the same databases without Doorward.
//
// A floor keeps no promise but the one it is named for. It is what Doorward's
// own figures are held against, measured in the same minutes.
package floor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The floors that are servers.
const (
	Constant = "constant" // GET / answers the same JSON
	Form     = "form"     // POST / reads a form and answers the same JSON
	Sign     = "sign"     // POST / reads a form, signs a token with ES256, and answers with it
	Note     = "note"     // POST / is Sign that keeps an event durably first
	Verify   = "verify"   // GET / verifies an ES256 signature; GET /token gives a token to bring
	Rotate   = "rotate"   // POST / spends a refresh token durably, signs, and answers with both
)

// answer is as long as what Doorward's shorter answers are.
var answer = []byte(`{"status":"ok","id":"0f2d3c4b5a69788796a5b4c3d2e1f00f","roles":["editor","viewer"],"permissions":["read","write"],"name":"Somebody With A Name"}` + "\n")

// Serve serves a floor until ctx ends. dsn is where Rotate and
// Note keep what; families is for Rotate: how many it makes, whose first tokens First gives.
func Serve(ctx context.Context, l net.Listener, name, dsn string, families int) error {
	h, end, err := handler(ctx, name, dsn, families)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { s.Close() })
	defer stopped()
	if err = s.Serve(l); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, end())
}

func handler(ctx context.Context, name, dsn string, families int) (http.Handler, func() error, error) {
	nothing := func() error { return nil }
	switch name {
	case Constant:
		return http.HandlerFunc(constant), nothing, nil
	case Form:
		return http.HandlerFunc(form), nothing, nil
	case Sign:
		k := newKey()
		return http.HandlerFunc(k.token), nothing, nil
	case Note:
		n, err := openNotes(ctx, dsn)
		if err != nil {
			return nil, nil, err
		}
		return n.token(newKey()), n.close, nil
	case Verify:
		k := newKey()
		return http.HandlerFunc(k.verified), nothing, nil
	case Rotate:
		r, err := open(ctx, dsn, families)
		if err != nil {
			return nil, nil, err
		}
		e := &endpoint{newKey(), r}
		return http.HandlerFunc(e.refresh), r.close, nil
	}
	return nil, nil, fmt.Errorf("there is no floor %q", name)
}

func write(w http.ResponseWriter, body []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = w.Write(body)
}

func constant(w http.ResponseWriter, _ *http.Request) { write(w, answer) }

func form(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || r.PostForm.Get("refresh_token") == "" {
		w.WriteHeader(http.StatusBadRequest)
	}
	write(w, answer)
}

func (k *key) token(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || r.PostForm.Get("refresh_token") == "" {
		w.WriteHeader(http.StatusBadRequest)
	}
	write(w, append(k.sign(append(make([]byte, 0, 1024), `{"access_token":"`...)), `"}`...))
}

func (k *key) verified(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		write(w, k.sign(nil))
		return
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer || !k.verify(token) {
		w.WriteHeader(http.StatusUnauthorized)
	}
	write(w, answer)
}

// endpoint is the least that an endpoint for refresh tokens does.
type endpoint struct {
	*key
	rotation
}

// rotation keeps families.
type rotation interface {
	// rotate writes the next turn of a family and its event, durably, if the
	// present one is from.
	rotate(ctx context.Context, t turn) (bool, error)
	close() error
}

type turn struct {
	family   int
	from, to [sha256.Size]byte
	at       int64
	id       string
	event    []byte
}

// event is as long as what Doorward writes of a refresh.
const event = `{"v":1,"id":"0123456789abcdefghijklmnop","at":"2026-01-01T00:00:00.000000Z","action":"token.refreshed","owasp":"authn_token_created",` +
	`"outcome":"success","actor":"user:0123456789abcdefghijklmnop","client":"doorward","target":"family:0123456789abcdefghijklmnop",` +
	`"request":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","detail":{"scope":"read write"}}`

// First returns the first token of family n.
func First(n int) string { return strconv.Itoa(n) + ".first" }

func firstHash() [sha256.Size]byte { return sha256.Sum256([]byte("first")) }

func (e *endpoint) refresh(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	family, spent, _ := strings.Cut(r.PostForm.Get("refresh_token"), ".")
	n, err := strconv.Atoi(family)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	access := e.sign(append(make([]byte, 0, 1024), `{"access_token":"`...))
	var random [32]byte
	rand.Read(random[:])
	next := base64.RawURLEncoding.EncodeToString(random[:])
	done, err := e.rotate(r.Context(), turn{
		family: n, from: sha256.Sum256([]byte(spent)), to: sha256.Sum256([]byte(next)), at: time.Now().UnixMicro(), id: rand.Text(), event: []byte(event),
	})
	if err != nil || !done {
		http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		return
	}
	body := append(append([]byte{}, access...), `","token_type":"Bearer","expires_in":900,"refresh_token":"`...)
	body = append(append(append(body, family...), '.'), next...)
	write(w, append(body, `","scope":"read write"}`...))
}
