package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// servePeer is a peer of the tests: it asks who comes without a cookie to sign in, has
// whoever does take two steps to the application, and knows one code and one refresh
// token, which it forgets.
func servePeer(ctx context.Context) error {
	issuer, wrong := os.Getenv("PEER_ISSUER"), len(os.Args) > 2
	var codes, refreshes atomic.Int64
	live := make(chan string, 1000)
	answer := func(format string, args ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, format, args...) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+discovery, answer(`{"issuer":%q,"jwks_uri":"%[1]s/keys","authorization_endpoint":"%[1]s/authorize","token_endpoint":"%[1]s/token",`+
		`"introspection_endpoint":"%[1]s/introspect","userinfo_endpoint":"%[1]s/userinfo"}`, issuer))
	mux.HandleFunc("GET /keys", answer(`{"keys":[{"kty":"EC"}]}`))
	mux.HandleFunc("GET /userinfo", answer(`{"sub":"ann"}`))
	mux.HandleFunc("POST /introspect", answer(`{"active":%t}`, !wrong))
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("who"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "who", Value: "ann", Path: "/"})
			http.Redirect(w, r, "/signin?"+r.URL.RawQuery, http.StatusSeeOther)
			return
		}
		http.Redirect(w, r, issuer+"/step?"+r.URL.RawQuery, http.StatusFound)
	})
	mux.HandleFunc("GET /signin", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/authorize?"+r.URL.RawQuery, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /step", func(w http.ResponseWriter, r *http.Request) {
		code := strconv.FormatInt(codes.Add(1), 10)
		live <- code
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?code="+code, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, _, _ := r.BasicAuth()
		switch r.FormValue("grant_type") {
		case "client_credentials":
			fmt.Fprint(w, `{"access_token":"eyJ"}`)
			return
		case "authorization_code":
			if id != "app" || r.FormValue("code") == "" || <-live == "" {
				http.Error(w, "no", http.StatusBadRequest)
				return
			}
		}
		fmt.Fprintf(w, `{"access_token":"eyJ","id_token":"eyJ","refresh_token":"%d"}`, refreshes.Add(1))
	})
	s := &http.Server{Addr: os.Getenv("PEER_LISTEN"), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// amongPeers is a run beside one peer, which is installed so.
func amongPeers(t *testing.T, install func(context.Context, string, string) ([]string, string, error), args ...string) (*bench, error) {
	t.Helper()
	o, err := parse(append([]string{"-peers", "-db", "sqlite", "-for", "100ms", "-runs", "1", "-connections", "2", "-users", "4", "-active", "4", "-binary", os.Args[0], "-limit", "1m"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	o.idle, o.starts, o.warm = 0, 1, 20*time.Millisecond
	o.rivalry = []peer{{
		name: "the other", folder: "other", keeps: "in memory", access: "JWT", scope: "openid", install: install,
		service: known("service", "secret"), app: known("app", "secret"),
	}}
	b := &bench{options: o, started: time.Now(), out: io.Discard}
	return b, b.run(t.Context())
}

func itself(context.Context, string, string) ([]string, string, error) {
	return []string{os.Args[0], "peer"}, "v1.2.3", nil
}

// Doorward and a peer do the same work, in all of it, and the document tells of both.
func TestPeers(t *testing.T) {
	t.Parallel()
	document := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(document, []byte("# Speed\n\n"+peersBegin+"\n"+tablesEnd+"\n\n"+tablesBegin+"\nkept\n"+tablesEnd+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := amongPeers(t, itself, "-markdown", document)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| the other ", "| v1.2.3 ", "| Doorward, SQLite ", "\nkept\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	if len(b.rows) != 2*len(disciplines) {
		t.Errorf("%d rows", len(b.rows))
	}
	for _, r := range b.rows {
		if m := median(r.rounds); m.Rate <= 0 || m.Errors != 0 {
			t.Errorf("%v: %+v", r, m)
		}
	}
	for i, hops := range []int{1, 2} {
		if r := b.rows[len(b.rows)-2+i]; r.provider.hops != hops || r.rounds[0].Note != "2" {
			t.Errorf("%v: %d requests until there is a code, %s JWTs", r, r.provider.hops, r.rounds[0].Note)
		}
	}
}

func TestPeersThatFail(t *testing.T) {
	t.Parallel()
	t.Run("wrong answer", func(t *testing.T) {
		t.Parallel()
		lies := func(context.Context, string, string) ([]string, string, error) {
			return []string{os.Args[0], "peer", "wrong"}, "", nil
		}
		if _, err := amongPeers(t, lies, "-path", "introspection"); err == nil || !strings.Contains(err.Error(), `introspection, the other: wrong answers`) {
			t.Errorf("%v", err)
		}
	})
	t.Run("not to be had", func(t *testing.T) {
		t.Parallel()
		missing := errors.New("no such package")
		_, err := amongPeers(t, func(context.Context, string, string) ([]string, string, error) { return nil, "", missing })
		if !errors.Is(err, missing) || !strings.Contains(err.Error(), "installing the other") {
			t.Errorf("%v", err)
		}
	})
	t.Run("not to be started", func(t *testing.T) {
		t.Parallel()
		_, err := amongPeers(t, func(context.Context, string, string) ([]string, string, error) {
			return []string{"/nonexistent"}, "", nil
		})
		if err == nil {
			t.Error("no error")
		}
	})
	for _, args := range [][]string{{"-growth", "5000"}, {"-audit"}, {"-profile", "cpu"}, {"-path", "refresh,juggling"}} {
		if _, err := parse(append(args, "-peers")); err == nil {
			t.Errorf("%v with -peers is taken", args)
		}
	}
}
