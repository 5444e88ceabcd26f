package server_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// sessions returns what a browser's person is signed in with.
func sessions(t testing.TB, b *servertest.Browser) (list []struct {
	ID, Kind string
	Current  bool
},
) {
	t.Helper()
	a := b.Send(t, http.MethodGet, "/sessions", "", "")
	if a.Status != http.StatusOK {
		t.Fatalf("GET /sessions: %d %s", a.Status, a.Body)
	}
	var page struct {
		Items []struct {
			ID, Kind string
			Current  bool
		}
	}
	a.JSON(t, &page)
	return page.Items
}

func status(t testing.TB, b *servertest.Browser) int {
	t.Helper()
	return b.Send(t, http.MethodGet, "/users/me", "", "").Status
}

// The tokens of a browser are in cookies that no script can read, and nowhere
// else (RFC 6265).
func TestAttackSES002CookieAttributes(t *testing.T) {
	for _, https := range []bool{false, true} {
		o := servertest.Options{}
		var headers []string
		prefix, secure := "doorward_", ""
		if https {
			o.Set = map[string]string{"issuer": "https://127.0.0.1", "trusted_proxies": "127.0.0.0/8", "hosts": "127.0.0.1"}
			headers, prefix, secure = []string{"X-Forwarded-Proto", "https"}, "__Host-doorward_", "; Secure"
		}
		s := servertest.Start(t, o)
		s.User(t, "ann", "viewer")
		a := s.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&mode=cookie&password="+strings.ReplaceAll(servertest.Password, " ", "+"), headers...)
		if a.Status != http.StatusOK || strings.Contains(a.Body, "token") || !strings.Contains(a.Body, `"expires_in":900,"scope":"read"`) {
			t.Fatalf("the answer is %d %s", a.Status, a.Body)
		}
		want := map[string]string{
			"session": "; Path=/; Max-Age=1209600; HttpOnly" + secure + "; SameSite=Lax", "refresh": "; Path=/; Max-Age=1209600; HttpOnly" + secure + "; SameSite=Strict",
			"access": "; Path=/; Max-Age=900; HttpOnly" + secure + "; SameSite=Strict", "device": "; Path=/; Max-Age=34560000; HttpOnly" + secure + "; SameSite=Lax",
		}
		for _, c := range a.Header.Values("Set-Cookie") {
			name, rest, _ := strings.Cut(c, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			short := strings.TrimPrefix(name, prefix)
			if short == name || want[short] != ";"+attributes {
				t.Errorf("https %t: %s has the attributes %q, want %q", https, name, attributes, want[short])
			}
			delete(want, short)
		}
		if len(want) > 0 {
			t.Errorf("https %t: no cookie for %v", https, want)
		}
	}
}

// Every sign-in has a session of its own: one that was brought along is ended, and
// never adopted.
func TestAttackSES001NewIDs(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		b := s.Browser(t)
		b.Login(t, "ann")
		before, thief := b.Cookie(t, "session"), b.Copy(t)
		b.Login(t, "ann")
		if after := b.Cookie(t, "session"); after == before || after == "" {
			t.Errorf("the session after a sign-in is the one before: %t", after == before)
		}
		if status(t, thief) != http.StatusUnauthorized || thief.Form(t, "/auth/refresh").Status != http.StatusBadRequest {
			t.Error("the old session is good for something")
		}
		if status(t, b) != http.StatusOK || len(sessions(t, b)) != 1 {
			t.Error("the new session is not the only one")
		}

		planted := s.Browser(t) // whoever plants a cookie knows it
		const known = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		a := planted.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&mode=cookie&password="+strings.ReplaceAll(servertest.Password, " ", "+"), "Cookie", "doorward_session="+known)
		if a.Status != http.StatusOK || planted.Cookie(t, "session") == known {
			t.Errorf("%d: a planted session was adopted", a.Status)
		}
	})
}

// What a new role allows comes with the next sign-in, and so with a new session: the
// one that there is gains nothing.
func TestAttackSES001Rise(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		b := s.Browser(t)
		b.Login(t, "ann")
		kept := b.Copy(t)
		if a := s.Call(t, s.Login(t, servertest.Admin).Access, http.MethodPost, "/users/"+ann.ID+"/roles", map[string]any{"role": "admin"}); a.Status != http.StatusCreated {
			t.Fatalf("the grant: %d %s", a.Status, a.Body)
		}
		may := func(b *servertest.Browser) bool {
			return b.Send(t, http.MethodGet, "/users", "", "").Status == http.StatusOK
		}
		if a := b.Form(t, "/auth/refresh"); a.Status != http.StatusOK || strings.Contains(a.Body, "users:read") || may(b) || may(kept) {
			t.Errorf("the session gained what came after it: %d %s", a.Status, a.Body)
		}
		if a := b.Form(t, "/auth/refresh", "scope", "users:read"); a.Status != http.StatusBadRequest || a.Error() != "invalid_scope" {
			t.Errorf("asking for it: %d %s", a.Status, a.Body)
		}
		before := b.Cookie(t, "session")
		b.Login(t, "ann")
		if !may(b) || b.Cookie(t, "session") == before || status(t, kept) != http.StatusUnauthorized {
			t.Error("the next sign-in does not have it, or the session before goes on")
		}
	})
}

// After the sign-out nothing that was kept is good for anything, here and on the
// other server; the device stays known.
func TestAttackSES003LogoutKills(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		s := sites[0]
		s.User(t, "ann", "viewer")
		b := s.Browser(t)
		b.Login(t, "ann")
		kept := b.Copy(t)
		device := b.Cookie(t, "device")
		a := b.Form(t, "/auth/logout")
		if a.Status != http.StatusNoContent || a.Header.Get("Clear-Site-Data") != `"cache", "storage"` || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("the sign-out is answered %d, %v", a.Status, a.Header)
		}
		for _, name := range []string{"session", "access", "refresh"} {
			if b.Cookie(t, name) != "" {
				t.Errorf("the cookie %s was not taken back", name)
			}
		}
		if b.Cookie(t, "device") != device || device == "" {
			t.Error("the device cookie did not stay")
		}
		for _, site := range sites {
			kept.Site = site
			within(t, time.Second, "the session is refused", func() bool { return status(t, kept) == http.StatusUnauthorized })
			if a := kept.Form(t, "/auth/refresh"); a.Status != http.StatusBadRequest || a.Error() != "invalid_grant" {
				t.Errorf("its refresh token: %d %s", a.Status, a.Body)
			}
		}
		kept.Site = s
		if a := kept.Form(t, "/auth/logout"); a.Status != http.StatusNoContent {
			t.Errorf("a second sign-out: %d", a.Status)
		}
	})
}

// On one browser two people have nothing in common, whatever was left of the
// first one's cookies.
func TestAttackSES009NothingIsReused(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	s.User(t, "bob", "viewer")
	of := func(b *servertest.Browser) (sid, fam, sub string) {
		c := claims(t, b.Cookie(t, "access"))
		return c["sid"].(string), c["fam"].(string), c["sub"].(string)
	}
	b := s.Browser(t)
	b.Login(t, "ann")
	sid, fam, sub := of(b)
	b.Login(t, "bob") // without a sign-out
	sid2, fam2, sub2 := of(b)
	if sid == sid2 || fam == fam2 || sub == sub2 {
		t.Errorf("bob's tokens are of %s, %s, %s; ann's were of %s, %s, %s", sid2, fam2, sub2, sid, fam, sub)
	}
	for _, in := range sessions(t, b) {
		if in.ID == sid {
			t.Error("bob is shown ann's session")
		}
	}
	if a := b.Send(t, http.MethodDelete, "/sessions/"+sid, "", ""); a.Status != http.StatusNotFound {
		t.Errorf("ann's session, ended by bob: %d", a.Status)
	}
}

// A cookie that comes twice was put there by somebody else. Neither counts.
func TestAttackSES010CookieTossing(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	s.User(t, "eve", "viewer")
	ann, eve := s.Browser(t), s.Browser(t)
	ann.Login(t, "ann")
	eve.Login(t, "eve")
	good, evil := "doorward_access="+ann.Cookie(t, "access"), "doorward_access="+eve.Cookie(t, "access")
	const same = "same-origin"
	for name, c := range map[string]struct {
		cookies []string
		want    int
	}{
		"one":                     {[]string{good}, 200},
		"one, in another case":    {[]string{strings.Replace(good, "doorward", "Doorward", 1)}, 401},
		"good, evil":              {[]string{good + "; " + evil}, 401},
		"evil, good":              {[]string{evil + "; " + good}, 401},
		"twice the same":          {[]string{good + "; " + good}, 401},
		"in two headers":          {[]string{good, evil}, 401},
		"good, empty":             {[]string{good + "; doorward_access="}, 401},
		"good, quoted":            {[]string{good + `; doorward_access="x"`}, 401},
		"another's, another case": {[]string{good + "; " + strings.Replace(evil, "doorward", "DOORWARD", 1)}, 200},
		"a prefix that is none":   {[]string{good + "; __Host-doorward_access=x"}, 200},
		"a hundred others":        {[]string{good + strings.Repeat("; a=b", 99)}, 200},
		"many others":             {[]string{good + strings.Repeat("; a=b", 101)}, 400},
		"three thousand":          {[]string{good + strings.Repeat("; a=", 3000)}, 400},
		"a huge one":              {[]string{good + "; a=" + strings.Repeat("x", 64<<10)}, 431},
	} {
		headers := []string{"Sec-Fetch-Site", same}
		for _, line := range c.cookies {
			headers = append(headers, "Cookie", line)
		}
		if a := s.Send(t, http.MethodGet, "/users/me", "", "", headers...); a.Status != c.want {
			t.Errorf("%s: %d, want %d", name, a.Status, c.want)
		}
	}
	for _, path := range []string{"/auth/refresh", "/auth/logout"} {
		twice := "doorward_refresh=" + ann.Cookie(t, "refresh") + "; doorward_refresh=" + eve.Cookie(t, "refresh")
		s.Send(t, http.MethodPost, path, "", "", "Cookie", twice, "Sec-Fetch-Site", same)
	}
	if status(t, ann) != 200 || status(t, eve) != 200 || ann.Form(t, "/auth/refresh").Status != 200 || eve.Form(t, "/auth/refresh").Status != 200 {
		t.Error("what came with two cookies was acted on")
	}
}

// A change of the password ends everything that is signed in, at once.
func TestAttackSES012PasswordChange(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		browsers := []*servertest.Browser{s.Browser(t), s.Browser(t), s.Browser(t)}
		for _, b := range browsers {
			b.Login(t, "ann")
		}
		app := s.Login(t, "ann")
		if n := len(sessions(t, browsers[0])); n != 4 {
			t.Fatalf("%d things are signed in, want 4", n)
		}
		a := browsers[0].Send(t, http.MethodPost, "/users/me/password", jsonType, `{"current_password":"`+servertest.Password+`","new_password":"another good one"}`)
		if a.Status != http.StatusNoContent {
			t.Fatalf("the change: %d %s", a.Status, a.Body)
		}
		for i, b := range browsers {
			if status(t, b) != http.StatusUnauthorized || b.Form(t, "/auth/refresh").Status != http.StatusBadRequest {
				t.Errorf("browser %d is still signed in", i)
			}
		}
		if s.Refresh(t, app.Refresh).Status != http.StatusBadRequest {
			t.Error("the app is still signed in")
		}
	})
}

// What ends a person's sessions on one server ends them on the other within a second:
// the cookies open no page, no API and no further turn.
func TestSessionsEndElsewhere(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		here, there := sites[0], sites[len(sites)-1]
		admin := here.Login(t, servertest.Admin).Access
		for name, deed := range map[string]func(account.User, *servertest.Browser) servertest.Answer{
			"password": func(_ account.User, b *servertest.Browser) servertest.Answer {
				return b.Send(t, http.MethodPost, "/users/me/password", jsonType, `{"current_password":"`+servertest.Password+`","new_password":"another good one"}`)
			},
			"disable": func(u account.User, _ *servertest.Browser) servertest.Answer {
				return here.Call(t, admin, http.MethodPatch, "/users/"+u.ID, map[string]any{"status": "disabled"})
			},
			"delete": func(u account.User, _ *servertest.Browser) servertest.Answer {
				return here.Call(t, admin, http.MethodDelete, "/users/"+u.ID, nil)
			},
		} {
			user, b := here.User(t, name, "viewer"), here.Browser(t)
			signIn(t, b, name)
			elsewhere := b.Copy(t)
			elsewhere.Site = there
			if who(t, elsewhere) != name || status(t, elsewhere) != http.StatusOK {
				t.Fatalf("%s: the session is not known there", name)
			}
			if a := deed(user, b); a.Status >= 300 {
				t.Fatalf("%s: %d %s", name, a.Status, a.Body)
			}
			if who(t, elsewhere) != "" {
				t.Errorf("%s: the session opens a page there", name)
			}
			within(t, time.Second, name+" is known there", func() bool { return status(t, elsewhere) == http.StatusUnauthorized })
			if a := elsewhere.Form(t, "/auth/refresh"); a.Error() != "invalid_grant" {
				t.Errorf("%s: a refresh there: %d %s", name, a.Status, a.Body)
			}
		}
	})
}

// Sessions of others are absent, but for who may act upon them.
func TestAttackSES017OthersSessions(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		s.User(t, "bob", "viewer")
		boss := s.User(t, "boss", "admin")
		annB, bobB, bossB := s.Browser(t), s.Browser(t), s.Browser(t)
		for name, b := range map[string]*servertest.Browser{"ann": annB, "bob": bobB, "boss": bossB} {
			b.Login(t, name)
		}
		hers := sessions(t, annB)[0]
		his := sessions(t, bossB)[0]
		if !hers.Current || hers.Kind != "browser" {
			t.Errorf("her session is %+v", hers)
		}
		for _, path := range []string{"/sessions/" + hers.ID, "/sessions/" + his.ID, "/sessions/00000000000000000000000000", "/sessions/1", "/sessions/admin"} {
			if a := bobB.Send(t, http.MethodDelete, path, "", ""); a.Status != http.StatusNotFound {
				t.Errorf("bob, DELETE %s: %d %s", path, a.Status, a.Body)
			}
		}
		for _, user := range []string{ann.ID, boss.ID, "nobody"} {
			if a := bobB.Send(t, http.MethodGet, "/sessions?user="+user, "", ""); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "decision_id") {
				t.Errorf("bob, the sessions of %s: %d %s", user, a.Status, a.Body)
			}
		}
		if status(t, annB) != 200 || status(t, bossB) != 200 {
			t.Error("bob ended another's session")
		}
		if a := bossB.Send(t, http.MethodGet, "/sessions?user="+ann.ID, "", ""); a.Status != 200 || !strings.Contains(a.Body, hers.ID) {
			t.Errorf("the administrator, her sessions: %d %s", a.Status, a.Body)
		}
		if a := bossB.Send(t, http.MethodDelete, "/sessions/"+hers.ID, "", ""); a.Status != http.StatusNoContent || status(t, annB) != http.StatusUnauthorized {
			t.Errorf("the administrator ends hers: %d; she is still signed in: %t", a.Status, status(t, annB) == 200)
		}
		app := s.Login(t, "bob") // an app's tokens are listed, and ended, too
		i := slices.IndexFunc(sessions(t, bobB), func(in struct {
			ID, Kind string
			Current  bool
		},
		) bool {
			return in.Kind == "tokens"
		})
		if i < 0 {
			t.Fatal("the app is not listed")
		}
		if a := bobB.Send(t, http.MethodDelete, "/sessions/"+sessions(t, bobB)[i].ID, "", ""); a.Status != http.StatusNoContent || s.Refresh(t, app.Refresh).Status != http.StatusBadRequest {
			t.Errorf("bob ends his app: %d", a.Status)
		}
	})
}

// What another site makes a browser send changes nothing.
func TestAttackSES020CrossSite(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	b := s.Browser(t)
	b.Login(t, "ann")
	id := sessions(t, b)[0].ID
	const change = `{"name":"Mallory"}`
	for name, c := range map[string]struct {
		method, path, contentType, body string
		headers                         []string
	}{
		"a change":                    {"PATCH", "/users/me", "application/merge-patch+json", change, nil},
		"a change as plain text":      {"PATCH", "/users/me", "text/plain", change, nil},
		"a password":                  {"POST", "/users/me/password", jsonType, `{"current_password":"` + servertest.Password + `","new_password":"mallory's good one"}`, nil},
		"an end":                      {"DELETE", "/sessions/" + id, "", "", nil},
		"a method that another names": {"POST", "/sessions/" + id, formType, "_method=DELETE", []string{"X-HTTP-Method-Override", "DELETE"}},
		"a refresh":                   {"POST", "/auth/refresh", "", "", nil},
		"a sign-out":                  {"POST", "/auth/logout", "", "", nil},
		"a sign-out as a form":        {"POST", "/auth/logout", formType, "token_type_hint=x", nil},
		"a sign-in as somebody else":  {"POST", "/auth/login", formType, "username=ann&mode=cookie&password=" + strings.ReplaceAll(servertest.Password, " ", "+"), nil},
	} {
		for _, from := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
			{"Origin", strings.Replace(s.URL, "127.0.0.1", "localhost", 1)},
			{"Origin", s.URL + "0"},
			{"Origin", s.URL, "Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "cross-site", "Origin", s.URL},
		} {
			cookies := "doorward_access=" + b.Cookie(t, "access") + "; doorward_refresh=" + b.Cookie(t, "refresh") + "; doorward_session=" + b.Cookie(t, "session")
			a := s.Send(t, c.method, c.path, c.contentType, c.body, slices.Concat(c.headers, from, []string{"Cookie", cookies})...)
			want := http.StatusForbidden
			if name == "a method that another names" {
				want = http.StatusMethodNotAllowed
			}
			if a.Status != want || len(a.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %v: %d %s", name, from, a.Status, a.Body)
			}
		}
	}
	if status(t, b) != 200 || sessions(t, b)[0].ID != id || b.Form(t, "/auth/refresh").Status != 200 {
		t.Error("another site changed something")
	}
	if a := b.Send(t, http.MethodPatch, "/users/me", "application/merge-patch+json", change); a.Status != http.StatusOK {
		t.Errorf("the site itself: %d %s", a.Status, a.Body)
	}
}

// The same host without TLS is another site: whoever sits on the line can be it, and
// browsers that know no Fetch Metadata send their cookies along.
func TestAttackSES020PlainOrigin(t *testing.T) {
	const spa = "http://localhost:3000" // for who builds an application
	s := servertest.Start(t, servertest.Options{Set: map[string]string{
		"issuer": "https://127.0.0.1", "trusted_proxies": "127.0.0.0/8", "hosts": "127.0.0.1", "cors.origins": spa,
	}})
	s.User(t, "ann", "viewer")
	overTLS := func(method, path, contentType, body string, headers ...string) servertest.Answer {
		return s.Send(t, method, path, contentType, body, append(headers, "X-Forwarded-Proto", "https")...)
	}
	var cookies string
	for _, c := range (&http.Response{Header: overTLS("POST", "/auth/login", formType, "username=ann&mode=cookie&password="+escaped(servertest.Password)).Header}).Cookies() {
		cookies += c.Name + "=" + c.Value + "; "
	}
	tls := strings.Replace(s.URL, "http", "https", 1)
	for _, c := range []struct{ method, path, contentType, body string }{
		{"PATCH", "/users/me", "application/merge-patch+json", `{"name":"Mallory"}`},
		{"POST", "/auth/refresh", "", ""},
		{"POST", "/account/signout", formType, "form=x"},
		{"POST", "/account/forget", formType, "form=x"},
		{"POST", "/auth/logout", "", ""},
	} {
		for _, origin := range []string{s.URL, strings.ToUpper(tls), "ws" + strings.TrimPrefix(s.URL, "http"), "null"} {
			a := overTLS(c.method, c.path, c.contentType, c.body, "Cookie", cookies, "Origin", origin)
			if a.Status != http.StatusForbidden || len(a.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s %s from %s: %d %s", c.method, c.path, origin, a.Status, a.Body)
			}
		}
	}
	for _, origin := range []string{tls, spa} {
		if a := overTLS("PATCH", "/users/me", "application/merge-patch+json", `{"name":"Ann"}`, "Cookie", cookies, "Origin", origin); a.Status != http.StatusOK {
			t.Errorf("from %s: %d %s", origin, a.Status, a.Body)
		}
	}
}

// Beside a credential in a header cookies are ignored.
func TestCookiesBesideAHeader(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	s.User(t, "bob", "viewer")
	b := s.Browser(t)
	b.Login(t, "ann")
	if a := b.Send(t, http.MethodGet, "/users/me", "", "", "Authorization", "Bearer "+s.Login(t, "bob").Access); a.Status != 200 || !strings.Contains(a.Body, `"username":"bob"`) {
		t.Errorf("bob's token beside ann's cookie: %d %s", a.Status, a.Body)
	}
	for _, header := range []string{"Authorization", "X-API-Key"} {
		if a := b.Send(t, http.MethodGet, "/users/me", "", "", header, "x"); a.Status != http.StatusUnauthorized {
			t.Errorf("a bad %s beside a good cookie: %d %s", header, a.Status, a.Body)
		}
		if a := b.Send(t, http.MethodPost, "/auth/refresh", "", "", header, "x"); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
			t.Errorf("a refresh with a good cookie beside a bad %s: %d %s", header, a.Status, a.Body)
		}
		if a := b.Send(t, http.MethodPost, "/auth/logout", "", "", header, "x"); a.Status != http.StatusNoContent || len(a.Header.Values("Set-Cookie")) > 0 || status(t, b) != http.StatusOK {
			t.Errorf("a sign-out with a good cookie beside a bad %s: %d %v", header, a.Status, a.Header)
		}
	}
	before := b.Copy(t)
	if a := b.Form(t, "/auth/refresh", "refresh_token", s.Login(t, "bob").Refresh); a.Status != 200 || !strings.Contains(a.Body, "access_token") || len(a.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("a token in the body beside cookies: %d %s", a.Status, a.Body)
	}
	if status(t, before) != 200 {
		t.Error("the cookies were used too")
	}
}

// The tabs of a browser share its cookies: two that refresh at once are both let
// go on, and the family does not fork.
func TestTabsRefreshTogether(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		b := s.Browser(t)
		b.Login(t, "ann")
		tab := b.Copy(t)
		if a := b.Form(t, "/auth/refresh"); a.Status != 200 || strings.Contains(a.Body, "refresh_token") {
			t.Fatalf("the first tab: %d %s", a.Status, a.Body)
		}
		if a := tab.Form(t, "/auth/refresh"); a.Status != 200 || tab.Cookie(t, "refresh") != b.Cookie(t, "refresh") {
			t.Fatalf("the second tab: %d %s", a.Status, a.Body)
		}
		if a := tab.Form(t, "/auth/refresh"); a.Status != 200 || status(t, tab) != 200 || status(t, b) != 200 {
			t.Errorf("they go on: %d %s", a.Status, a.Body)
		}
		app := s.Login(t, "ann") // an app's token is no cookie's
		stolen := s.Browser(t)
		if a := stolen.Send(t, http.MethodPost, "/auth/refresh", "", "", "Cookie", "doorward_refresh="+app.Refresh); a.Status != http.StatusBadRequest {
			t.Errorf("an app's refresh token in a cookie: %d", a.Status)
		}
		if s.Refresh(t, app.Refresh).Status != 200 {
			t.Error("and it was spent by that")
		}
	})
}

// A session ends by lying idle and by its age, whatever its tokens would allow.
func TestAttackSES011SessionTimes(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		c := &steered{}
		s := servertest.Start(t, servertest.Options{
			DSN: dsn, Set: map[string]string{"sessions.idle": "1h", "sessions.absolute": "3h"},
			Tweak: c.tweak,
		})
		s.User(t, "ann", "viewer")
		idle, busy := s.Browser(t), s.Browser(t)
		idle.Login(t, "ann")
		busy.Login(t, "ann")
		for range 5 {
			c.pass(35 * time.Minute)
			if a := busy.Form(t, "/auth/refresh"); a.Status != 200 {
				t.Fatalf("a session in use: %d %s", a.Status, a.Body)
			}
		}
		for _, back := range []time.Duration{0, 2 * time.Hour} { // a clock that is set back revives nothing that was found over
			c.pass(-back)
			if a := idle.Form(t, "/auth/refresh"); a.Status != http.StatusBadRequest {
				t.Errorf("an idle session, %v before: %d %s", back, a.Status, a.Body)
			}
			c.pass(back)
		}
		c.pass(10 * time.Minute)
		if status(t, busy) != http.StatusUnauthorized {
			t.Error("an access token lives longer than its session may")
		}
		if a := busy.Form(t, "/auth/refresh"); a.Status != http.StatusBadRequest {
			t.Errorf("a session past its end: %d %s", a.Status, a.Body)
		}
		if status(t, busy) != http.StatusUnauthorized {
			t.Error("its access token is good")
		}
	})
}

// What a browser's cookies hold is in no table, no file of the database and no log:
// digests are, which open nothing.
func TestAttackCookiesAreNotKept(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var secrets []string
		var kept strings.Builder
		log := logged(t, func() {
			s := servertest.Start(t, servertest.Options{DSN: dsn})
			s.User(t, "ann", "viewer")
			b := s.Browser(t)
			note := func() {
				for _, name := range []string{"session", "refresh", "device"} {
					if v := b.Cookie(t, name); v != "" {
						secrets = append(secrets, v)
					}
				}
				secrets = append(secrets, b.Cookie(t, "access")[strings.LastIndexByte(b.Cookie(t, "access"), '.')+1:])
			}
			b.Login(t, "ann")
			note()
			b.Form(t, "/auth/refresh")
			note()
			thief := b.Copy(t)
			b.Form(t, "/auth/logout")
			thief.Form(t, "/auth/refresh")
			status(t, thief)
			thief.Form(t, "/auth/login", "username", "ann", "password", "wrong", "mode", "cookie")
			sequenced(t, s) // else an event may go from a table that is not read yet to one that was
			db := database(t, s)
			for _, name := range tables(t, db) {
				kept.WriteString(strings.Join(table(t, db, name), "\n"))
			}
			if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
				for _, end := range []string{"", "-wal"} {
					text, err := os.ReadFile(path + end)
					if err != nil {
						t.Fatal(err)
					}
					kept.Write(text)
				}
			}
			s.Stop()
		})
		if len(secrets) != 8 || !strings.Contains(kept.String(), "session.started") || !strings.Contains(log, "POST /auth/refresh") {
			t.Fatalf("%d secrets; or nothing was read, so nothing was searched", len(secrets))
		}
		for i, v := range secrets {
			for _, part := range strings.Split(v, ".") {
				if len(part) < 20 {
					continue
				}
				raw, _ := base64.RawURLEncoding.DecodeString(part)
				for name, form := range map[string]string{"text": part, "hex": hex.EncodeToString(raw), "bytes": string(raw)} {
					if len(form) > 8 && (strings.Contains(kept.String(), form) || strings.Contains(log, form)) {
						t.Errorf("the %s of cookie %d is kept", name, i)
					}
				}
			}
		}
	})
}
