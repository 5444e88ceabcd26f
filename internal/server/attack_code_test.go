package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// token sends the token endpoint a form of shop's.
func (g stage) token(t *testing.T, pairs ...string) servertest.Answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return g.Send(t, http.MethodPost, "/oauth2/token", formType, v.Encode(), basicOf("shop:"+g.secret)...)
}

// code returns a code for shop.
func (g stage) code(t *testing.T, pairs ...string) string {
	t.Helper()
	return code(t, g.b, authorizing("shop", pairs...))
}

// redeem uses a code of shop's.
func (g stage) redeem(t *testing.T, code string, more ...string) servertest.Answer {
	t.Helper()
	return redeem(t, g.Site, "shop", g.secret, code, more...)
}

// earns fails the test unless the answer has tokens, and returns them.
func earns(t *testing.T, what string, a servertest.Answer) (tokens granted) {
	t.Helper()
	if a.JSON(t, &tokens); a.Status != http.StatusOK || tokens.Access == "" {
		t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
	return tokens
}

// fails fails the test unless the answer is an error of the token endpoint.
func fails(t *testing.T, what string, a servertest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || a.Error() != code || strings.Contains(a.Body, "_token\"") || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s; want %d %s", what, a.Status, a.Body, status, code)
	}
}

// good reports whether an access token is taken.
func (g stage) good(t *testing.T, access string) bool {
	t.Helper()
	return g.Call(t, access, http.MethodGet, "/oauth2/userinfo", nil).Status == http.StatusOK
}

func TestAttackTOK009Replay(t *testing.T) {
	g := set(t)
	c := g.code(t)
	first := earns(t, "the first use", g.redeem(t, c))
	next := earns(t, "a refresh", g.token(t, "grant_type", "refresh_token", "refresh_token", first.Refresh))
	fails(t, "the second use", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
	for what, access := range map[string]string{"the first": first.Access, "the next": next.Access} {
		if g.good(t, access) {
			t.Errorf("%s access token is good after the replay", what)
		}
	}
	fails(t, "the refresh after it", g.token(t, "grant_type", "refresh_token", "refresh_token", next.Refresh), http.StatusBadRequest, "invalid_grant")
	fails(t, "the third use", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
	if n := len(events(t, g.Site, string(audit.CodeReused))); n == 0 {
		t.Error("the log does not tell of it")
	}
}

func TestAttackTOK010Race(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		sites := twoReplicas(t, dsn, nil)
		s := sites[0]
		s.User(t, "ana", "editor")
		g := stage{s, s.Browser(t), app(t, s, "shop", nil)}
		g.b.Login(t, "ana")
		for range 2 {
			c := g.code(t)
			var all sync.WaitGroup
			var won atomic.Int64
			start := make(chan struct{})
			for i := range 16 {
				all.Go(func() {
					<-start
					switch a := redeem(t, sites[i%len(sites)], "shop", g.secret, c); {
					case a.Status == http.StatusOK:
						won.Add(1)
					case a.Status != http.StatusBadRequest || a.Error() != "invalid_grant":
						t.Errorf("who comes late: %d %s", a.Status, a.Body)
					}
				})
			}
			close(start)
			all.Wait()
			if won.Load() != 1 {
				t.Errorf("it was redeemed %d times", won.Load())
			}
		}
		var families int
		if err := database(t, s).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM token_families WHERE client_id = 'shop'").Scan(&families); err != nil || families != 2 {
			t.Errorf("there are %d families of two codes, %v", families, err)
		}
	})
}

// Only who could have used a code ends what came of it.
func TestAttackTOK011BadReplay(t *testing.T) {
	g := set(t)
	other := app(t, g.Site, "other", nil)
	c := g.code(t)
	first := earns(t, "the first use", g.redeem(t, c))
	fails(t, "another's replay", redeem(t, g.Site, "other", other, c), http.StatusBadRequest, "invalid_grant")
	fails(t, "a wrong verifier", g.redeem(t, c, "code_verifier", strings.Repeat("a", 43)), http.StatusBadRequest, "invalid_grant")
	fails(t, "another redirect URI", g.redeem(t, c, "redirect_uri", "https://client.example/other"), http.StatusBadRequest, "invalid_grant")
	fails(t, "another resource", g.redeem(t, c, "resource", "https://evil.example"), http.StatusBadRequest, "invalid_target")
	fails(t, "without the secret", g.Form(t, "/oauth2/token", "grant_type", "authorization_code", "code", c, "client_id", "shop", "code_verifier", verifier), http.StatusUnauthorized, "invalid_client")
	if !g.good(t, first.Access) {
		t.Error("what came of it was ended")
	}
}

func TestAttackTOK012Verifiers(t *testing.T) {
	g := set(t)
	wrong := func(c string) {
		t.Helper()
		fails(t, "a wrong verifier", g.redeem(t, c, "code_verifier", strings.Repeat("a", 43)), http.StatusBadRequest, "invalid_grant")
	}
	c := g.code(t)
	for range 4 {
		wrong(c)
	}
	earns(t, "the right one after four", g.redeem(t, c))
	c = g.code(t)
	for range 5 {
		wrong(c)
	}
	fails(t, "the right one after five", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
}

func TestAttackTOK013AnotherClientsCode(t *testing.T) {
	g := set(t)
	other := app(t, g.Site, "other", nil)
	app(t, g.Site, "public", func(d *client.Draft) { d.Method = oauth.NoAuth })
	c := g.code(t)
	for range 6 {
		fails(t, "another client", redeem(t, g.Site, "other", other, c), http.StatusBadRequest, "invalid_grant")
	}
	fails(t, "a public client", redeem(t, g.Site, "public", "", c), http.StatusBadRequest, "invalid_grant")
	fails(t, "this server's own", redeem(t, g.Site, "doorward", "", c), http.StatusBadRequest, "unauthorized_client")
	earns(t, "its own", g.redeem(t, c))
}

func TestAttackTOK014WithoutASecret(t *testing.T) {
	g := set(t)
	c := g.code(t)
	fails(t, "by its id alone", redeem(t, g.Site, "shop", "", c), http.StatusUnauthorized, "invalid_client")
	fails(t, "by a wrong secret", redeem(t, g.Site, "shop", "x", c), http.StatusUnauthorized, "invalid_client")
	earns(t, "by its secret", g.redeem(t, c))
}

func TestAttackTOK015AnotherRedirectURI(t *testing.T) {
	g := set(t)
	c := g.code(t)
	for _, uri := range []string{"https://client.example/CB", "https://client.example/cb/", "https://client.example/cb?x=1", "https://client.example:443/cb", "x"} {
		fails(t, uri, g.redeem(t, c, "redirect_uri", uri), http.StatusBadRequest, "invalid_grant")
	}
	no := false
	legacy := app(t, g.Site, "legacy", func(d *client.Draft) { d.RequirePKCE, d.SkipConsent = &no, true })
	c = code(t, g.b, authorizing("legacy", "code_challenge", "", "code_challenge_method", ""))
	fails(t, "none, where no verifier proves anything", redeem(t, g.Site, "legacy", legacy, c, "code_verifier", "", "redirect_uri", ""), http.StatusBadRequest, "invalid_grant")
	earns(t, "the same", redeem(t, g.Site, "legacy", legacy, c, "code_verifier", ""))
}

func TestAttackTOK016Expired(t *testing.T) {
	g, clock := steeredStage(t)
	c := g.code(t)
	clock.pass(58 * time.Second)
	earns(t, "after 58 s", g.redeem(t, c))
	c = g.code(t)
	clock.pass(60 * time.Second)
	fails(t, "after a minute", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
}

// steeredStage is set at a clock that the test moves.
func steeredStage(t *testing.T) (stage, *steered) {
	t.Helper()
	t.Parallel()
	c := &steered{}
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ana", "editor")
	g := stage{s, s.Browser(t), app(t, s, "shop", nil)}
	g.b.Login(t, "ana")
	return g, c
}

func TestAttackTOK017ClockSetBack(t *testing.T) {
	g, clock := steeredStage(t)
	c := g.code(t)
	clock.pass(61 * time.Second)
	fails(t, "too late", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
	clock.pass(-30 * time.Second)
	fails(t, "half a minute before", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
	c = g.code(t)
	clock.pass(-time.Hour)
	fails(t, "an hour before it was made", g.redeem(t, c), http.StatusBadRequest, "invalid_grant")
}

func TestAttackTOK018Downgrade(t *testing.T) {
	g := set(t)
	g.tells(t, "no challenge", g.asks(t, "code_challenge", "", "code_challenge_method", ""), "invalid_request")
	no := false
	d := client.Draft{ID: "bad", Method: oauth.NoAuth}
	d.RedirectURIs, d.RequirePKCE = []string{callback}, &no
	if _, _, err := g.Core.Clients.Create(t.Context(), servertest.Operator, d); err == nil {
		t.Error("a public client goes without")
	}
	legacy := app(t, g.Site, "legacy", func(d *client.Draft) { d.RequirePKCE, d.SkipConsent = &no, true })
	c := code(t, g.b, authorizing("legacy", "code_challenge", "", "code_challenge_method", ""))
	fails(t, "a verifier where no challenge was", redeem(t, g.Site, "legacy", legacy, c), http.StatusBadRequest, "invalid_grant")
}

func TestAttackTOK019NoVerifier(t *testing.T) {
	g := set(t)
	no := false
	legacy := app(t, g.Site, "legacy", func(d *client.Draft) { d.RequirePKCE, d.SkipConsent = &no, true })
	c := g.code(t)
	fails(t, "none", g.redeem(t, c, "code_verifier", ""), http.StatusBadRequest, "invalid_grant")
	fails(t, "an empty one", g.token(t, "grant_type", "authorization_code", "code", c, "redirect_uri", callback, "code_verifier", ""), http.StatusBadRequest, "invalid_grant")
	c = code(t, g.b, authorizing("legacy"))
	fails(t, "a client that need not bring one, and did", redeem(t, g.Site, "legacy", legacy, c, "code_verifier", ""), http.StatusBadRequest, "invalid_grant")
}

func TestAttackTOK020ChallengeAsVerifier(t *testing.T) {
	g := set(t)
	c := g.code(t)
	fails(t, "the challenge", g.redeem(t, c, "code_verifier", challenge(verifier)), http.StatusBadRequest, "invalid_grant")
	earns(t, "the verifier", g.redeem(t, c))
}

func TestAttackTOK021VerifierForms(t *testing.T) {
	g := set(t)
	for _, v := range []string{strings.Repeat("a", 42), strings.Repeat("a", 129), strings.Repeat("a", 42) + "!", strings.Repeat("a", 42) + "é", strings.Repeat("a", 42) + "\n"} {
		c := g.code(t, "code_challenge", challenge(v))
		fails(t, v, g.redeem(t, c, "code_verifier", v), http.StatusBadRequest, "invalid_grant")
	}
	c := g.code(t, "code_challenge", challenge(strings.Repeat("~", 128)))
	earns(t, "the longest", g.redeem(t, c, "code_verifier", strings.Repeat("~", 128)))
}

func TestAttackTOK026ScopeOfACode(t *testing.T) {
	g := set(t)
	for _, scope := range []string{"openid read users:write", "admin", "read write", "read"} {
		if a := g.redeem(t, g.code(t), "scope", scope); a.Status == http.StatusOK {
			if tokens := earns(t, scope, a); tokens.Scope != "openid read" || payload(t, tokens.Access)["scope"] != "openid read" {
				t.Errorf("%s became %s", scope, tokens.Scope)
			}
		}
	}
	tokens := earns(t, "none", g.redeem(t, g.code(t)))
	for _, scope := range []string{"openid read write", "users:write", "openid read offline_access"} {
		fails(t, "a refresh for "+scope, g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh, "scope", scope), http.StatusBadRequest, "invalid_scope")
	}
	if next := earns(t, "for less", g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh, "scope", "read")); next.Scope != "read" || next.ID != "" {
		t.Errorf("less is %q, with the ID token %q", next.Scope, next.ID)
	}
}

func TestAttackTOK027AnotherResource(t *testing.T) {
	g := set(t)
	var made []resource.Resource
	for _, id := range []string{"https://api-a.example", "https://api-b.example"} {
		r, err := g.Core.Resources.Create(t.Context(), servertest.Operator, resource.Resource{Identifier: id, Name: id, Permissions: []resource.Permission{{Name: "read"}}})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, r)
	}
	const a, b = "https://api-a.example", "https://api-b.example"
	g.tells(t, "two", g.b.Send(t, http.MethodGet, authorizing("shop", "resource", a)+"&resource="+url.QueryEscape(b), "", ""), "invalid_target")
	c := g.code(t, "resource", a)
	fails(t, "another", g.redeem(t, c, "resource", b), http.StatusBadRequest, "invalid_target")
	fails(t, "both", g.Send(t, http.MethodPost, "/oauth2/token", formType,
		url.Values{"grant_type": {"authorization_code"}, "code": {c}, "code_verifier": {verifier}, "resource": {a, b}}.Encode(), basicOf("shop:"+g.secret)...), http.StatusBadRequest, "invalid_target")
	fails(t, "this server's own", g.redeem(t, c, "resource", g.URL), http.StatusBadRequest, "invalid_target")
	tokens := earns(t, "the same", g.redeem(t, c, "resource", a))
	if p := payload(t, tokens.Access); p["aud"] != a {
		t.Errorf("it is for %v", p["aud"])
	}
	fails(t, "a refresh for another", g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh, "resource", b), http.StatusBadRequest, "invalid_target")
	// What is for another API tells nothing here.
	for _, path := range []string{"/oauth2/userinfo", "/users/me"} {
		unauthorized(t, path+" with another API's token", g.Call(t, tokens.Access, http.MethodGet, path, nil))
	}
	// An API that is not there any more gets nothing.
	c = g.code(t, "resource", a)
	if err := g.Core.Resources.Delete(t.Context(), servertest.Operator, made[0].ID, 0); err != nil {
		t.Fatal(err)
	}
	fails(t, "a deleted one", g.redeem(t, c), http.StatusBadRequest, "invalid_target")
	fails(t, "a refresh for a deleted one", g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh), http.StatusBadRequest, "invalid_target")
}

// meanwhile is what happens between a code, or a refresh token, and its use.
var meanwhile = []struct {
	name   string
	do     func(t *testing.T, g stage, u account.User)
	status int
	errors []string
}{
	{"the account is disabled", func(t *testing.T, g stage, u account.User) { disable(t, g.Site, u, account.Disabled) }, http.StatusBadRequest, []string{"invalid_grant"}},
	{"the account is deleted", func(t *testing.T, g stage, u account.User) {
		if err := g.Core.Accounts.Delete(t.Context(), servertest.Operator, u.ID, 0, false); err != nil {
			t.Fatal(err)
		}
	}, http.StatusBadRequest, []string{"invalid_grant"}},
	{"the session ends", func(t *testing.T, g stage, _ account.User) {
		if a := g.b.Form(t, "/auth/logout"); a.Status >= 400 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}, http.StatusBadRequest, []string{"invalid_grant"}},
	{"the consent is withdrawn", func(t *testing.T, g stage, _ account.User) {
		if a := g.b.Submit(t, "/account", "/account/apps/shop/withdraw"); a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}, http.StatusBadRequest, []string{"invalid_grant"}},
	{"the application is disabled", func(t *testing.T, g stage, _ account.User) { switchOff(t, g.Site, "shop") }, http.StatusUnauthorized, []string{"invalid_client"}},
	{"the application is deleted", func(t *testing.T, g stage, _ account.User) {
		if err := g.Core.Clients.Delete(t.Context(), servertest.Operator, "shop", 0); err != nil {
			t.Fatal(err)
		}
	}, http.StatusUnauthorized, []string{"invalid_client"}},
	{"the application loses the grant", func(t *testing.T, g stage, _ account.User) {
		changes(t, g, func(c *client.Client) { c.Grants = []oauth.GrantType{oauth.ClientCredentials} })
	}, http.StatusBadRequest, []string{"unauthorized_client"}},
	{"the application loses the scope", func(t *testing.T, g stage, _ account.User) {
		changes(t, g, func(c *client.Client) { c.Scopes = []string{"write"} })
	}, http.StatusOK, nil},
	{"the person loses the role", func(t *testing.T, g stage, u account.User) {
		if err := g.Core.Roles.Take(t.Context(), servertest.Operator, u.ID, "editor"); err != nil {
			t.Fatal(err)
		}
	}, http.StatusOK, nil},
}

// changes changes the application.
func changes(t *testing.T, g stage, change func(*client.Client)) {
	t.Helper()
	c, err := g.Core.Clients.Fresh(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	c.Scopes, c.Grants = slices.Clone(c.Scopes), slices.Clone(c.Grants)
	change(&c)
	if _, err := g.Core.Clients.Update(t.Context(), servertest.Operator, c); err != nil {
		t.Fatal(err)
	}
}

// lostSince does what happens meanwhile, and then asks for tokens.
func lostSince(t *testing.T, begin func(t *testing.T, g stage) (use func() servertest.Answer)) {
	for _, m := range meanwhile {
		t.Run(m.name, func(t *testing.T) {
			g := set(t)
			use := begin(t, g)
			ana, err := g.Core.Accounts.ByLogin(t.Context(), "ana")
			if err != nil {
				t.Fatal(err)
			}
			m.do(t, g, ana)
			a := use()
			if m.status != http.StatusOK {
				fails(t, m.name, a, m.status, m.errors[0])
				return
			}
			if tokens := earns(t, m.name, a); tokens.Scope != "openid" || payload(t, tokens.Access)["scope"] != "openid" {
				t.Errorf("it got %q", tokens.Scope)
			}
		})
	}
}

func TestAttackTOK031LostSinceTheCode(t *testing.T) {
	lostSince(t, func(t *testing.T, g stage) func() servertest.Answer {
		c := g.code(t)
		return func() servertest.Answer { return g.redeem(t, c) }
	})
}

func TestAttackRT010LostSinceTheSignIn(t *testing.T) {
	lostSince(t, func(t *testing.T, g stage) func() servertest.Answer {
		tokens := earns(t, "the code", g.redeem(t, g.code(t)))
		return func() servertest.Answer {
			return g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh)
		}
	})
}

func TestAttackRT005OtherClients(t *testing.T) {
	g := set(t)
	other := app(t, g.Site, "other", nil)
	app(t, g.Site, "public", func(d *client.Draft) { d.Method, d.SkipConsent = oauth.NoAuth, true })
	shops := earns(t, "shop", g.redeem(t, g.code(t)))
	publics := earns(t, "public", redeem(t, g.Site, "public", "", code(t, g.b, authorizing("public"))))
	own := g.Login(t, "ana")
	for what, a := range map[string]servertest.Answer{
		"another client":       g.Send(t, http.MethodPost, "/oauth2/token", formType, "grant_type=refresh_token&refresh_token="+shops.Refresh, basicOf("other:"+other)...),
		"a public client":      g.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", shops.Refresh, "client_id", "public"),
		"a public one's":       g.token(t, "grant_type", "refresh_token", "refresh_token", publics.Refresh),
		"this server's own":    g.token(t, "grant_type", "refresh_token", "refresh_token", own.Refresh),
		"at the server's door": g.Refresh(t, shops.Refresh),
	} {
		fails(t, what, a, http.StatusBadRequest, "invalid_grant")
	}
	fails(t, "without the secret", g.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", shops.Refresh, "client_id", "shop"), http.StatusUnauthorized, "invalid_client")
	earns(t, "shop's own", g.token(t, "grant_type", "refresh_token", "refresh_token", shops.Refresh))
	next := earns(t, "public's own", g.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", publics.Refresh, "client_id", "public"))
	// A public client's token that comes again ends them all.
	fails(t, "public's own again", g.Form(t, "/oauth2/token", "grant_type", "refresh_token", "refresh_token", publics.Refresh, "client_id", "public"), http.StatusBadRequest, "invalid_grant")
	if g.good(t, next.Access) {
		t.Error("a spent token of a public client ended nothing")
	}
}

func TestAttackRT015OtherClientsRevoke(t *testing.T) {
	g := set(t)
	other := app(t, g.Site, "other", nil)
	app(t, g.Site, "public", func(d *client.Draft) { d.Method = oauth.NoAuth })
	tokens := earns(t, "the code", g.redeem(t, g.code(t)))
	for _, token := range []string{tokens.Refresh, tokens.Access} {
		a := g.Send(t, http.MethodPost, "/oauth2/revoke", formType, "token="+token, basicOf("other:"+other)...)
		b := g.Form(t, "/oauth2/revoke", "token", token, "client_id", "public")
		if a.Status != http.StatusOK || b.Status != http.StatusOK {
			t.Errorf("it is told whose it is: %d %s, %d %s", a.Status, a.Body, b.Status, b.Body)
		}
	}
	if !g.good(t, tokens.Access) {
		t.Error("another's access token was revoked")
	}
	earns(t, "the refresh after it", g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh))
}

func TestAttackRT006OtherTokensOfAnApplication(t *testing.T) {
	g := set(t)
	c := g.code(t)
	tokens := earns(t, "the code", g.redeem(t, g.code(t)))
	for what, text := range map[string]string{"an access token": tokens.Access, "an ID token": tokens.ID, "a code": c, "a secret": g.secret, "a session": g.b.Cookie(t, "session")} {
		fails(t, what, g.token(t, "grant_type", "refresh_token", "refresh_token", text), http.StatusBadRequest, "invalid_grant")
	}
	fails(t, "a refresh token as a code", g.redeem(t, tokens.Refresh), http.StatusBadRequest, "invalid_grant")
	for _, near := range []string{c[:len(c)-1], c + "A", strings.ToUpper(c), c + "\n", c + "\x00", " " + c, strings.TrimPrefix(c, "dwc_")} {
		fails(t, near, g.redeem(t, near), http.StatusBadRequest, "invalid_grant")
	}
	earns(t, "the code itself", g.redeem(t, c))
}

// A token that stays is bound to its client, and is as good as before after a retry.
func TestAttackBoundRefreshToken(t *testing.T) {
	g := set(t)
	changes(t, g, func(c *client.Client) { c.Rotation = client.Bound })
	tokens := earns(t, "the code", g.redeem(t, g.code(t)))
	for range 3 {
		if next := earns(t, "a use", g.token(t, "grant_type", "refresh_token", "refresh_token", tokens.Refresh)); next.Refresh != tokens.Refresh && next.Refresh != "" {
			t.Error("it was rotated")
		}
	}
	d := client.Draft{ID: "bad", Method: oauth.NoAuth}
	d.RedirectURIs, d.Rotation = []string{callback}, client.Bound
	if _, _, err := g.Core.Clients.Create(t.Context(), servertest.Operator, d); err == nil {
		t.Error("a public client's token stays")
	}
}

func TestAttackUI001Userinfo(t *testing.T) {
	g := set(t)
	u := g.User(t, "bob", "editor")
	for what, token := range map[string]string{
		"an ID token":            earns(t, "a code", g.redeem(t, g.code(t))).ID,
		"nothing":                "x",
		"a token without openid": earns(t, "a code", g.redeem(t, g.code(t, "scope", "read"))).Access,
	} {
		a := g.Call(t, token, http.MethodGet, "/oauth2/userinfo", nil)
		if a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden || a.Header.Get("WWW-Authenticate") == "" || strings.Contains(a.Body, "sub") {
			t.Errorf("%s: %d %v %s", what, a.Status, a.Header, a.Body)
		}
	}
	c := clientOf(t, g.Site)
	var machine granted
	g.Send(t, http.MethodPost, "/oauth2/token", formType, "grant_type=client_credentials", c.basic()...).JSON(t, &machine)
	if a := g.Call(t, machine.Access, http.MethodGet, "/oauth2/userinfo", nil); a.Status != http.StatusForbidden {
		t.Errorf("a client's own token: %d %s", a.Status, a.Body)
	}
	b := g.Browser(t)
	b.Login(t, "bob")
	tokens := earns(t, "bob's", g.redeem(t, code(t, b, authorizing("shop", "scope", "openid email"))))
	var told map[string]any
	g.Call(t, tokens.Access, http.MethodPost, "/oauth2/userinfo", nil).JSON(t, &told)
	if len(told) != 3 || told["sub"] != u.ID || told["email"] != "bob@example.com" || told["email_verified"] != true || payload(t, tokens.ID)["sub"] != u.ID || payload(t, tokens.ID)["email"] != nil {
		t.Errorf("it tells %v, and the ID token %v", told, payload(t, tokens.ID))
	}
	unauthorizedOr(t, "a token in the query", g.Send(t, http.MethodGet, "/oauth2/userinfo?access_token="+tokens.Access, "", ""))
	disable(t, g.Site, u, account.Disabled)
	unauthorizedOr(t, "who was disabled", g.Call(t, tokens.Access, http.MethodGet, "/oauth2/userinfo", nil))
}

func unauthorizedOr(t *testing.T, what string, a servertest.Answer) {
	t.Helper()
	if a.Status != http.StatusUnauthorized && a.Status != http.StatusBadRequest {
		t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
}

// Nothing of a request is kept that the database does not take.
func TestAttackOddParametersOfARequest(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		s.User(t, "ana", "editor")
		g := stage{s, s.Browser(t), app(t, s, "shop", nil)}
		g.b.Login(t, "ana")
		for _, pairs := range [][]string{
			{"nonce", "a\x00b"},
			{"nonce", strings.Repeat("n", 4000)},
			{"nonce", "\u2028\U0001f600"},
			{"login_hint", "a\x00b"},
			{"ui_locales", "de\x00"},
			{"acr_values", "\x00"},
			{"claims", `{"userinfo":{"\u0000":null},"id_token":{"iss":null,"sub":{"value":"x"},"\ud800":null}}`},
			{"claims", `{"id_token":` + strings.Repeat(`{"a":`, 1500) + "1" + strings.Repeat("}", 1501)},
			{"claims", `{"id_token":{"acr":{"essential":true,"values":["` + "urn:x" + `"]}},"id_token":{}}`},
			{"id_token_hint", strings.Repeat("h", 8000)},
			{"scope", "openid\x00"},
		} {
			a := g.asks(t, append([]string{"scope", "openid read"}, pairs...)...)
			if strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
				a = consent(t, g.b, a, "allow")
			}
			if a.Status >= 500 {
				t.Errorf("%.60q: %d %s", pairs, a.Status, a.Body)
				continue
			}
			v, err := url.Parse(a.Header.Get("Location"))
			if err != nil || v.Query().Get("code") == "" {
				continue // it is refused, and said so
			}
			tokens := earns(t, pairs[0], g.redeem(t, v.Query().Get("code")))
			if id := payload(t, tokens.ID); id["iss"] != s.URL || id["aud"] != "shop" {
				t.Errorf("%.60q: %v", pairs, id)
			}
		}
	})
}
