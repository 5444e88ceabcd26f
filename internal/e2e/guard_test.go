package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/storm/program"
)

// TestGuardInAProcessOfItsOwn runs the API of examples/orders beside a server:
// what it takes and refuses, keys that change while both run, and an issuer that
// goes away.
func TestGuardInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t)
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	api := "http://" + listen
	launch(t, api+"/", program.Command{Path: orders, Env: program.Environment("ISSUER="+s.url, "LISTEN="+listen)})

	viewer, editor := s.token(t, "viewer").AccessToken, s.token(t, "editor").AccessToken
	for _, tt := range []struct {
		name, method, token string
		status              int
		challenge           []string
	}{
		{"no token", http.MethodGet, "", 401, []string{"Bearer", "resource_metadata="}},
		{"a token", http.MethodGet, viewer, 200, nil},
		{"a permission that is missing", http.MethodPost, viewer, 403, []string{`error="insufficient_scope"`, `scope="write"`}},
		{"a permission that is there", http.MethodPost, editor, 201, nil},
		{"another signature", http.MethodGet, forge(viewer), 401, []string{`error="invalid_token"`}},
		{"no token at all", http.MethodGet, "nonsense", 401, []string{`error="invalid_token"`}},
	} {
		status, challenge, body := ask(t, tt.method, api+"/orders", tt.token)
		if status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, status, body, tt.status)
		}
		for _, want := range tt.challenge {
			if !strings.Contains(challenge, want) {
				t.Errorf("%s: WWW-Authenticate is %q, and %s is not in it", tt.name, challenge, want)
			}
		}
	}

	s.operate(t, "", "signing-key", "rotate", "--now")
	var fresh string
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until the server has heard of it
		if fresh = s.token(t, "viewer").AccessToken; header(fresh) != header(viewer) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server goes on signing with the key before")
		}
	}
	for name, token := range map[string]string{"of the new key": fresh, "of the key before": viewer} {
		if status, _, body := ask(t, http.MethodGet, api+"/orders", token); status != http.StatusOK {
			t.Errorf("after the rotation, a token %s: %d %s", name, status, body)
		}
	}

	if err := s.server.Stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"of the new key": fresh, "of the key before": viewer} {
		if status, _, body := ask(t, http.MethodGet, api+"/orders", token); status != http.StatusOK {
			t.Errorf("without the issuer, a token %s: %d %s", name, status, body)
		}
	}
	if status, _, _ := ask(t, http.MethodGet, api+"/orders", forge(fresh)); status != http.StatusUnauthorized {
		t.Errorf("without the issuer, another signature: %d", status)
	}
}

// header returns the protected header of a token, which names its key.
func header(token string) string {
	h, _, _ := strings.Cut(token, ".")
	return h
}

func ask(t *testing.T, method, url, token string) (status int, challenge, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(`{"item":"tea","quantity":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("WWW-Authenticate"), string(text)
}
