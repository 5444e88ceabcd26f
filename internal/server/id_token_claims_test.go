package server_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
)

// ofTheToken are the claims of an ID token that are not about the person.
var ofTheToken = []string{"iss", "aud", "iat", "exp", "auth_time", "acr", "amr", "at_hash", "sid", "nonce"}

// said returns what an ID token says of the person, and what userinfo does.
func (g granted) said(t *testing.T, s *servertest.Site) (token, info map[string]any) {
	t.Helper()
	token = payload(t, g.ID)
	for _, name := range ofTheToken {
		delete(token, name)
	}
	s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil).JSON(t, &info)
	return token, info
}

// enters signs a browser in to an application.
func enters(t *testing.T, s *servertest.Site, b *servertest.Browser, r registered, pairs ...string) granted {
	t.Helper()
	return earns(t, r.id, redeem(t, s, r.id, r.secret, code(t, b, authorizing(r.id, pairs...))))
}

// An ID token of a client that is registered so tells what userinfo tells, at each turn, and
// nothing more (OpenID Connect Core 1.0, Section 5.4).
func TestIDTokenClaims(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "editor")
		name := "Ann Lee"
		if _, err := s.Core.Accounts.Update(t.Context(), servertest.Operator, ann.ID, account.Change{
			Name: &name, Profile: &account.Profile{GivenName: "Ann", Nickname: "an", Zoneinfo: "Europe/Lisbon"},
			Attributes: json.RawMessage(`{"phone_number":"+351","address":{"country":"PT"},"sub":"x","iss":"https://evil.example","aud":"y","sid":"z","email":"evil@example.com","team":"blue"}`),
		}); err != nil {
			t.Fatal(err)
		}
		reads := func(d *client.Draft) { d.IDTokenClaims = true }
		reader := registered{"reader", app(t, s, "reader", reads)}
		b := s.Browser(t)
		b.Login(t, "ann")
		for scope, want := range map[string][]string{
			"openid":                              nil,
			"openid email":                        {"email", "email_verified"},
			"openid profile":                      {"name", "given_name", "nickname", "zoneinfo", "preferred_username", "updated_at"},
			"openid phone address offline_access": {"phone_number", "address"},
			"openid read profile email phone address offline_access": {
				"name", "given_name", "nickname", "zoneinfo", "preferred_username", "updated_at", "email", "email_verified", "phone_number", "address",
			},
		} {
			token, info := enters(t, s, b, reader, "scope", scope).said(t, s)
			if !reflect.DeepEqual(token, info) || len(token) != len(want)+1 || token["sub"] != ann.ID {
				t.Errorf("%s: the ID token tells %v, and userinfo %v", scope, token, info)
			}
			for _, claim := range want {
				if token[claim] == nil {
					t.Errorf("%s: the ID token lacks %s", scope, claim)
				}
			}
		}

		g := enters(t, s, b, reader, "scope", "openid profile email")
		p := payload(t, g.ID)
		if p["iss"] != s.URL || p["aud"] != "reader" || p["sid"] == "z" || p["email"] != "ann@example.com" || p["email_verified"] != true || p["name"] != name || p["at_hash"] == nil {
			t.Errorf("it says %v", p)
		}
		for _, asked := range []struct {
			scope string
			want  int
		}{{"", 9}, {"openid email", 3}, {"openid", 1}} {
			pairs := []string{"grant_type", "refresh_token", "refresh_token", g.Refresh}
			if asked.scope != "" {
				pairs = append(pairs, "scope", asked.scope)
			}
			next := earns(t, "a refresh", reader.post(t, s, "/oauth2/token", pairs...))
			if token, info := next.said(t, s); !reflect.DeepEqual(token, info) || len(token) != asked.want {
				t.Errorf("refreshed for %q: the ID token tells %v, and userinfo %v", asked.scope, token, info)
			}
			g.Refresh = next.Refresh
		}

		// Single claims go where they were asked for, beside those of the scopes.
		token, info := enters(t, s, b, reader, "scope", "openid email", "claims", `{"id_token":{"nickname":null},"userinfo":{"zoneinfo":null}}`).said(t, s)
		if len(token) != 4 || token["nickname"] != "an" || token["email"] == nil || len(info) != 4 || info["zoneinfo"] == nil {
			t.Errorf("with single claims the ID token tells %v, and userinfo %v", token, info)
		}
	})
}

// Whoever is not registered so gets no more than who signed in; and it is an administrator's
// to say.
func TestAttackIDTokensTellNoMoreUnlessRegistered(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "editor")
		root := s.Login(t, servertest.Admin).Access
		b := s.Browser(t)
		b.Login(t, "ann")
		all := []string{"scope", "openid profile email phone address"}
		plain := registered{"plain", app(t, s, "plain", nil)}
		if token, _ := enters(t, s, b, plain, all...).said(t, s); len(token) != 1 {
			t.Errorf("without: %v", token)
		}
		// Whom it tells of stays another for each sector.
		apart := registered{"apart", app(t, s, "apart", func(d *client.Draft) { d.IDTokenClaims, d.SubjectType = true, client.PairwiseSubjects })}
		token, info := enters(t, s, b, apart, "scope", "openid email").said(t, s)
		if !reflect.DeepEqual(token, info) || len(token) != 3 || token["sub"] == ann.ID {
			t.Errorf("pairwise: the ID token tells %v, and userinfo %v", token, info)
		}

		for _, change := range []struct {
			from, to any
			want     int
		}{{true, false, 1}, {false, true, 3}, {true, nil, 1}} {
			a := s.Call(t, root, http.MethodPost, "/clients", map[string]any{
				"redirect_uris": []string{callback}, "id_token_claims": change.from, "id_token_signed_response_alg": "ES256",
			})
			var made struct {
				ID     string `json:"client_id"`
				Secret string `json:"client_secret"`
			}
			if a.JSON(t, &made); a.Status != http.StatusCreated || strings.Contains(a.Body, `"id_token_claims":true`) != (change.from == true) {
				t.Fatalf("made: %d %s", a.Status, a.Body)
			}
			refusedAs(t, "no boolean", s.Call(t, root, http.MethodPatch, "/clients/"+made.ID, map[string]any{"id_token_claims": "yes"}), http.StatusBadRequest, "body.id_token_claims")
			a = s.Call(t, root, http.MethodPatch, "/clients/"+made.ID, map[string]any{"id_token_claims": change.to})
			if a.Status != http.StatusOK || strings.Contains(a.Body, `"id_token_claims":true`) != (change.to == true) {
				t.Errorf("changed to %v: %d %s", change.to, a.Status, a.Body)
			}
			if token, _ := enters(t, s, b, registered{made.ID, made.Secret}, "scope", "openid email").said(t, s); len(token) != change.want {
				t.Errorf("changed to %v: %v", change.to, token)
			}
		}
	})
}
