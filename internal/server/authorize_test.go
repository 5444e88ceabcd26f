package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
)

const (
	callback = "https://client.example/cb"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, Appendix B
)

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// app registers an application that people sign in to; change may be nil.
func app(t *testing.T, s *servertest.Site, id string, change func(*client.Draft)) string {
	t.Helper()
	d := client.Draft{ID: id, Name: "The " + id, Scopes: []string{"read", "write"}}
	d.RedirectURIs, d.IDTokenAlg = []string{callback}, "ES256"
	if change != nil {
		change(&d)
	}
	_, secret, err := s.Core.Clients.Create(t.Context(), servertest.Operator, d)
	if err != nil {
		t.Fatal(err)
	}
	if secret.IsZero() {
		return ""
	}
	return secret.Reveal()
}

// authorizing returns the address of an authorization request; an empty value leaves a
// parameter out.
func authorizing(client string, pairs ...string) string {
	v := url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid read"}, "state": {"xyz"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return "/oauth2/authorize?" + v.Encode()
}

// follow follows redirects on the site, and returns the first answer that leads off it, or
// is a page.
func follow(t *testing.T, b *servertest.Browser, a servertest.Answer) servertest.Answer {
	t.Helper()
	for range 10 {
		place := a.Header.Get("Location")
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(place, "/") {
			return a
		}
		a = b.Send(t, http.MethodGet, place, "", "")
	}
	t.Fatal("it leads round and round")
	return a
}

// answered returns the parameters of an answer that the browser takes to the client.
func answered(t *testing.T, a servertest.Answer) url.Values {
	t.Helper()
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusSeeOther || !strings.HasPrefix(u.String(), callback) {
		t.Fatalf("it is not sent back: %d %s %s", a.Status, a.Header.Get("Location"), a.Body)
	}
	return u.Query()
}

// consent agrees on the consent page that the browser is led to.
func consent(t *testing.T, b *servertest.Browser, a servertest.Answer, decision string) servertest.Answer {
	t.Helper()
	for range 5 {
		place := a.Header.Get("Location")
		if strings.HasPrefix(place, "/consent/") {
			return follow(t, b, b.Submit(t, place, place, "decision", decision))
		}
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(place, "/") {
			break
		}
		a = b.Send(t, http.MethodGet, place, "", "")
	}
	t.Fatalf("it is not asked for consent: %d %s %s", a.Status, a.Header.Get("Location"), a.Body)
	return a
}

// code signs a browser's person in to an application, and returns the code.
func code(t *testing.T, b *servertest.Browser, place string) string {
	t.Helper()
	a := b.Send(t, http.MethodGet, place, "", "")
	if strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
		a = consent(t, b, a, "allow")
	}
	v := answered(t, a)
	if v.Get("code") == "" {
		t.Fatalf("there is no code: %v", v)
	}
	return v.Get("code")
}

type granted struct {
	servertest.Tokens
	ID string `json:"id_token"`
}

// redeem uses a code.
func redeem(t *testing.T, s *servertest.Site, id, secret, code string, more ...string) servertest.Answer {
	t.Helper()
	pairs := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}
	if secret == "" {
		pairs = append(pairs, "client_id", id)
		return s.Form(t, "/oauth2/token", append(pairs, more...)...)
	}
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
		if more[i+1] == "" {
			v.Del(more[i])
		}
	}
	return s.Send(t, http.MethodPost, "/oauth2/token", "application/x-www-form-urlencoded", v.Encode(),
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
}

// The whole flow: sign in, agree, come back with a code, tokens, userinfo, refresh; and
// the second time nobody is asked.
func TestCodeFlow(t *testing.T) {
	servertest.Both(t, func(t *testing.T, s *servertest.Site) {
		ana := s.User(t, "ana", "editor")
		secret := app(t, s, "shop", nil)
		b := s.Browser(t)

		a := b.Send(t, http.MethodGet, authorizing("shop", "nonce", "n-0S6_WzA2Mj"), "", "", "Sec-Fetch-Site", "cross-site")
		door := a.Header.Get("Location")
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(door, "/signin?return_to=/oauth2/authorize/") {
			t.Fatalf("%d %s %s", a.Status, door, a.Body)
		}
		page := b.Send(t, http.MethodGet, door, "", "")
		if !strings.Contains(page.Body, "The shop") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "form-action 'self' https://client.example;") {
			t.Errorf("the sign-in page: %s %s", page.Header.Get("Content-Security-Policy"), page.Body)
		}
		a = consent(t, b, b.Submit(t, door, "/signin", "username", "ana", "password", servertest.Password), "allow")
		v := answered(t, a)
		if v.Get("state") != "xyz" || v.Get("iss") != s.URL || a.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("the answer: %v %v", v, a.Header)
		}

		a = redeem(t, s, "shop", secret, v.Get("code"))
		var g granted
		a.JSON(t, &g)
		if a.Status != http.StatusOK || g.Scope != "openid read" || g.Type != "Bearer" || g.Refresh == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("the tokens: %d %s", a.Status, a.Body)
		}
		id, access := payload(t, g.ID), payload(t, g.Access)
		if id["iss"] != s.URL || id["sub"] != ana.ID || id["aud"] != "shop" || id["nonce"] != "n-0S6_WzA2Mj" || id["sid"] != access["sid"] || id["at_hash"] == nil || id["auth_time"] == nil {
			t.Errorf("the ID token: %v beside %v", id, access)
		}
		if access["client_id"] != "shop" || access["scope"] != "openid read" || access["aud"] != s.URL {
			t.Errorf("the access token: %v", access)
		}

		var who map[string]any
		a = s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil)
		a.JSON(t, &who)
		if a.Status != http.StatusOK || who["sub"] != ana.ID || who["email"] != nil {
			t.Errorf("userinfo: %d %s", a.Status, a.Body)
		}
		time.Sleep(time.Second) // iat is in seconds
		a = s.Send(t, http.MethodPost, "/oauth2/token", "application/x-www-form-urlencoded", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}}.Encode(),
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("shop:"+secret)))
		var next granted
		a.JSON(t, &next)
		again := payload(t, next.ID)
		if a.Status != http.StatusOK || next.Refresh == g.Refresh || again["sub"] != id["sub"] || again["auth_time"] != id["auth_time"] || again["iat"] == id["iat"] || again["nonce"] != nil {
			t.Errorf("the refresh: %d %s %v", a.Status, a.Body, again)
		}

		// It is not asked again, and what it may do can be taken back.
		if a = b.Send(t, http.MethodGet, authorizing("shop"), "", ""); answered(t, a).Get("code") == "" {
			t.Errorf("the second time: %s", a.Header.Get("Location"))
		}
		if a = b.Submit(t, "/account", "/account/apps/shop/withdraw"); a.Status != http.StatusSeeOther {
			t.Errorf("withdrawing: %d %s", a.Status, a.Body)
		}
		if a = s.Call(t, next.Access, http.MethodGet, "/oauth2/userinfo", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("after it was withdrawn: %d %s", a.Status, a.Body)
		}
	})
}

// An ID token that comes back says who is meant; what is none of ours says nothing.
func TestAttackAZ027Hints(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ana", "editor")
		s.User(t, "ben", "editor")
		ours := func(d *client.Draft) { d.SkipConsent = true }
		secret := app(t, s, "shop", ours)
		app(t, s, "other", ours)
		id := func(name string) (*servertest.Browser, string) {
			b := s.Browser(t)
			b.Login(t, name)
			var g granted
			redeem(t, s, "shop", secret, code(t, b, authorizing("shop"))).JSON(t, &g)
			return b, g.ID
		}
		ana, hint := id("ana")
		_, bens := id("ben")
		parts := strings.Split(hint, ".")
		for name, tt := range map[string]struct{ client, hint, prompt, want string }{
			"her own":                  {"shop", hint, "none", ""},
			"her own, asked":           {"shop", hint, "", ""},
			"another's":                {"shop", bens, "none", "login_required"},
			"of another client":        {"other", hint, "none", "login_required"},
			"of another client, asked": {"other", hint, "", ""},
			"without a signature":      {"shop", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".", "none", "login_required"},
			"with another's signature": {"shop", parts[0] + "." + parts[1] + "." + strings.Split(bens, ".")[2], "none", "login_required"},
			"a megabyte":               {"shop", strings.Repeat("a", 12<<10), "none", "login_required"},
		} {
			v := answered(t, ana.Send(t, http.MethodGet, authorizing(tt.client, "id_token_hint", tt.hint, "prompt", tt.prompt), "", ""))
			if v.Get("error") != tt.want || (tt.want == "") != (v.Get("code") != "") {
				t.Errorf("%s: %v", name, v)
			}
		}
		if a := ana.Send(t, http.MethodGet, authorizing("shop", "id_token_hint", bens), "", ""); !strings.HasPrefix(a.Header.Get("Location"), "/signin") {
			t.Errorf("another's, asked: %d %s", a.Status, a.Header.Get("Location"))
		}
	})
}

// Whoever cannot give what a client may ask for does not let its people come to him: a
// redirect URI that is added is as good as what they let it do.
func TestAttackRBAC009RedirectURIOfAMightyClient(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	makeRole(t, s, "registrar", "clients:read", "clients:write", "read")
	s.User(t, "reg", "registrar")
	token := s.Login(t, "reg").Access
	app(t, s, "mighty", func(d *client.Draft) { d.Scopes = []string{"users:write"} })
	app(t, s, "meek", func(d *client.Draft) { d.Scopes = []string{"read"} })
	for name, change := range map[string]map[string]any{
		"another place":  {"redirect_uris": []string{callback, "https://evil.example/cb"}},
		"without asking": {"skip_consent": true},
		"on a device":    {"application_type": "native"},
		"without PKCE":   {"require_pkce": false},
	} {
		if a := s.Call(t, token, http.MethodPatch, "/clients/mighty", change); a.Status != http.StatusForbidden {
			t.Errorf("%s, of a client that may more: %d %s", name, a.Status, a.Body)
		}
		if a := s.Call(t, token, http.MethodPatch, "/clients/meek", change); a.Status != http.StatusOK {
			t.Errorf("%s, of one that may no more: %d %s", name, a.Status, a.Body)
		}
	}
}

// Who is to choose the account may have another that holds what is asked for: he is not
// sent back because this one does not.
func TestAuthorizeChoosesBeforeItOffers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "poor")
	s.User(t, "rich", "viewer")
	app(t, s, "shop", func(d *client.Draft) { d.SkipConsent = true })
	b := s.Browser(t)
	b.Login(t, "poor")
	if v := answered(t, b.Send(t, http.MethodGet, authorizing("shop", "scope", "read"), "", "")); v.Get("error") != "invalid_scope" {
		t.Errorf("unasked: %v", v)
	}
	a := b.Send(t, http.MethodGet, authorizing("shop", "scope", "read", "prompt", "select_account"), "", "")
	if !strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
		t.Fatalf("asked to choose: %d %s", a.Status, a.Header.Get("Location"))
	}
	page := b.Send(t, http.MethodGet, a.Header.Get("Location"), "", "")
	if page.Status != http.StatusOK || !strings.Contains(page.Body, `id="another"`) {
		t.Errorf("the choice: %d %s", page.Status, page.Header.Get("Location"))
	}
	a = b.Send(t, http.MethodGet, authorizing("shop", "scope", "read", "prompt", "login"), "", "")
	door := a.Header.Get("Location")
	if v := answered(t, follow(t, b, b.Submit(t, door, "/signin", "username", "rich", "password", servertest.Password))); v.Get("code") == "" {
		t.Errorf("as another: %v", v)
	}
}
