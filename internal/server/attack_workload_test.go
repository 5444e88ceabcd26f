package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

const platform = "https://platform.example"

// bearer sends what a platform signed to the token endpoint.
func bearer(t testing.TB, s *servertest.Site, token, more string, headers ...string) servertest.Answer {
	t.Helper()
	return s.Send(t, http.MethodPost, "/oauth2/token", formType, "grant_type="+url.QueryEscape(string(oauth.JWTBearer))+"&assertion="+url.QueryEscape(token)+more, headers...)
}

// A program acts as a client by what its platform signs, and by nothing else (RFC 7523,
// Section 2.1).
func TestAttackWorkload(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		makeRole(t, s, "reader", "users:read")
		at, evil := newProver(t, platform, jose.ES256), newProver(t, platform, jose.ES256)
		body := map[string]any{
			"client_id": "billing", "token_endpoint_auth_method": "none", "scope": "users:read",
			"workloads": []any{map[string]any{"issuer": platform, "subject": "pod:billing", "jwks": at.members(t)}, map[string]any{"issuer": platform, "subject": "repo:shop/*", "jwks": at.members(t)}},
		}
		if a := s.Call(t, root, "POST", "/clients", body); a.Status != http.StatusCreated || strings.Contains(a.Body, `"client_secret":`) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := s.Call(t, root, "POST", "/clients/billing/roles", map[string]any{"role": "reader"}); a.Status != http.StatusCreated {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		const mine = "&client_id=billing"
		of := func(by prover, changes map[string]any) string {
			claims := map[string]any{"sub": "pod:billing", "jti": nil, "exp": time.Now().Add(time.Hour).Unix()}
			for name, v := range changes {
				claims[name] = v
			}
			return by.assertion(t, s, claims)
		}
		for _, subject := range []string{"pod:billing", "repo:shop/main", "pod:billing"} {
			got := pair(t, bearer(t, s, of(at, map[string]any{"sub": subject}), mine))
			claims := payload(t, got.Access)
			if got.Scope != "users:read" || got.Refresh != "" || claims["sub"] != "billing" || claims["client_id"] != "billing" {
				t.Errorf("%s: %+v %v", subject, got, claims)
			}
			if a := s.Call(t, got.Access, "GET", "/users", nil); a.Status != http.StatusOK {
				t.Errorf("%s: %d %s", subject, a.Status, a.Body)
			}
		}
		if n := named(t, s, audit.TokenIssued, platform+" repo:shop/main"); n != 1 {
			t.Errorf("%d events name the workload", n)
		}
		before := len(events(t, s, string(audit.ClientRefused)))
		n := 0
		for what, token := range map[string]string{
			"by another key": of(evil, nil), "another subject": of(at, map[string]any{"sub": "pod:other"}), "a longer one": of(at, map[string]any{"sub": "pod:billing2"}), "another issuer": of(at, map[string]any{"iss": "https://evil.example"}),
			"another audience": of(at, map[string]any{"aud": "https://evil.example"}), "expired": of(at, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), "without an end": of(at, map[string]any{"exp": nil}), "garbage": "x.y.z",
			"an access token of ours": s.Login(t, servertest.Admin).Access, "another kind": at.typed(t, s, "logout+jwt", map[string]any{"sub": "pod:billing"}),
		} {
			n++
			if a := bearer(t, s, token, mine); a.Status != http.StatusBadRequest || a.Error() != "invalid_grant" {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
		if got := len(events(t, s, string(audit.ClientRefused))) - before; got != n {
			t.Errorf("%d refusals are in the log, and there were %d", got, n)
		}
		good := of(at, nil)
		// It is the grant's, and no client's proof; without it nobody is the client.
		unproved(t, "as a client's assertion", proofs[0].try(t, s, "&client_id=billing"+asserts(good)), false)
		unproved(t, "without a client", bearer(t, s, good, ""), false)
		if a := s.Form(t, "/oauth2/token", "grant_type", "client_credentials", "client_id", "billing"); a.Error() != "unauthorized_client" {
			t.Errorf("without an assertion: %d %s", a.Status, a.Body)
		}
		if a := bearer(t, s, "", mine); a.Error() != "invalid_request" {
			t.Errorf("with an empty assertion: %d %s", a.Status, a.Body)
		}
		if a := bearer(t, s, good, mine+"&scope=users:write"); a.Error() != "invalid_scope" {
			t.Errorf("beyond its registration: %d %s", a.Status, a.Body)
		}
		other := clientBy(t, s, "other", oauth.Basic)
		if a := bearer(t, s, good, "", other.basic()...); a.Error() != "unauthorized_client" {
			t.Errorf("for another client: %d %s", a.Status, a.Body)
		}
		// A workload that is taken away is gone at once, and so are its tokens.
		token := pair(t, bearer(t, s, good, mine)).Access
		if a := s.Call(t, root, "PATCH", "/clients/billing", map[string]any{"status": "disabled"}); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		unproved(t, "of a client that is disabled", bearer(t, s, good, mine), false)
		if a := s.Call(t, token, "GET", "/users", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("a token of a client that is disabled: %d", a.Status)
		}
	})
}

// named returns how many events of an action hold a text.
func named(t *testing.T, s *servertest.Site, action audit.Action, text string) (n int) {
	t.Helper()
	rows, err := database(t, s).QueryContext(t.Context(), "SELECT data FROM audit_events WHERE action = '"+string(action)+"'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			n++
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
