package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/servertest"
)

// signIn signs a browser in with the page.
func signIn(t testing.TB, b *servertest.Browser, name string) {
	t.Helper()
	if a := b.Submit(t, "/signin", "/signin", "username", name, "password", servertest.Password); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/account" {
		t.Fatalf("signing in as %s: %d %v %s", name, a.Status, a.Header, a.Body)
	}
}

// who returns whom the account page calls by name; empty where it is not shown.
func who(t testing.TB, b *servertest.Browser) string {
	t.Helper()
	a := b.Send(t, http.MethodGet, "/account", "", "")
	if a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/signin?return_to=/account" {
		return ""
	}
	m := regexp.MustCompile(`<b id="who">([^<]*)</b>`).FindStringSubmatch(a.Body)
	if m == nil || a.Status != http.StatusOK {
		t.Fatalf("the account: %d %s", a.Status, a.Body)
	}
	return m[1]
}

// After the sign-in nobody finds himself on another site.
func TestAttackSES019ReturnTo(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	try := func(place string) string {
		b := s.Browser(t)
		shown := b.Fields(t, "/signin?return_to="+url.QueryEscape(place), "/signin").Get("return_to")
		a := b.Submit(t, "/signin", "/signin", "username", "ann", "password", servertest.Password, "return_to", place)
		if got := a.Header.Get("Location"); a.Status != http.StatusSeeOther || got != shown || a.Header.Get("X") != "" || a.Header.Get("Refresh") != "" {
			t.Errorf("%q: %d to %q, and the form has %q", place, a.Status, got, shown)
		}
		return shown
	}
	for _, evil := range []string{
		"//evil.example", `/\evil.example`, `\/evil.example`, "/%09/evil.example", "/%5cevil.example", "https://evil.example", "https:evil.example", "javascript:alert(1)",
		"/ok\r\nX: y", "///evil.example", "/.//evil.example", `http:\\evil`, "/\t/evil.example", "@evil.example", ".evil.example", s.URL + "/account", s.URL + "@evil.example",
	} {
		if got := try(evil); got != "/account" {
			t.Errorf("%q leads to %q", evil, got)
		}
	}
	for _, good := range []string{"/", "/account", "/oauth2/authorize?client_id=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcb"} {
		if got := try(good); got != good {
			t.Errorf("%q leads to %q", good, got)
		}
	}
}

// deeds are the forms, each with what it is filled in with and the page that it is
// on. ID is something that the person is signed in with elsewhere.
var deeds = map[string]struct {
	page  string
	pairs []string
}{
	"/signin":                  {"/signin", []string{"username", "ann", "password", servertest.Password}},
	"/account/signout":         {"/account", nil},
	"/account/forget":          {"/account", nil},
	"/account/sessions/ID/end": {"/account", nil},
	"/account/sessions/end":    {"/account", nil},
	"/account/password":        {"/account", []string{"current_password", servertest.Password, "new_password", "another good one"}},
}

// A form counts only if this browser was shown it for this deed, whatever the
// browser says of where it comes from; and if it says another site, not even then.
func TestAttackAZ018Forms(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	s.User(t, "eve", "viewer")
	ann, eve := s.Browser(t), s.Browser(t)
	signIn(t, ann, "ann")
	signIn(t, eve, "eve")
	s.Login(t, "ann")
	s.Login(t, "eve")
	id := ""
	for _, in := range sessions(t, ann) {
		if !in.Current {
			id = in.ID
		}
	}
	for path, deed := range deeds {
		does := strings.Replace(path, "ID", id, 1)
		mine := ann.Fields(t, deed.page, does).Get("form")
		hers := eve.Fields(t, deed.page, strings.Replace(does, "/account/sessions/"+id+"/end", "/account/sessions/end", 1)).Get("form")
		another := ann.Fields(t, "/account", "/account/signout").Get("form")
		if path == "/account/signout" {
			another = ann.Fields(t, "/account", "/account/password").Get("form")
		}
		send := func(cookies, token string, headers ...string) servertest.Answer {
			form := url.Values{"form": {token}}
			for i := 0; i < len(deed.pairs); i += 2 {
				form.Set(deed.pairs[i], deed.pairs[i+1])
			}
			return s.Send(t, http.MethodPost, does, formType, form.Encode(), append(headers, "Cookie", cookies)...)
		}
		session, pre := "doorward_session="+ann.Cookie(t, "session"), "; doorward_pre="+ann.Cookie(t, "pre")
		for name, c := range map[string]struct{ cookies, token string }{
			"no token": {session + pre, ""}, "a wrong one": {session + pre, "1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "another browser's": {session + pre, hers},
			"another form's": {session + pre, another}, "no cookie": {session, mine}, "another browser's cookie": {session + "; doorward_pre=" + eve.Cookie(t, "pre"), mine},
			"another browser's cookie and token": {session + "; doorward_pre=" + eve.Cookie(t, "pre"), hers + "x"},
			"two cookies":                        {session + pre + pre, mine}, "a cookie that is none": {session + "; doorward_pre=x", mine}, "the session's as the cookie": {session + "; doorward_pre=" + ann.Cookie(t, "session"), mine},
		} {
			for _, headers := range [][]string{nil, {"Origin", s.URL}, {"Sec-Fetch-Site", "same-origin"}} {
				a := send(c.cookies, c.token, headers...)
				if a.Status != http.StatusForbidden || !strings.Contains(a.Body, `id="problem"`) || strings.Contains(a.Body, servertest.Password) || len(setCookies(a, "session", "access", "refresh")) > 0 {
					t.Errorf("%s with %s, %v: %d %s", path, name, headers, a.Status, a.Body)
				}
				if path == "/signin" && !strings.Contains(a.Body, `value="ann"`) {
					t.Errorf("%s: what was typed is lost", name)
				}
			}
		}
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
			{"Origin", s.URL, "Origin", "null"},
			{"Sec-Fetch-Site", "cross-site", "Origin", "null"},
			{"Sec-Fetch-Site", "same-site", "Origin", s.URL},
		} {
			if a := send(session+pre, mine, headers...); a.Status != http.StatusForbidden || len(a.Header.Values("Set-Cookie")) > 0 || !strings.Contains(a.Body, "another site") {
				t.Errorf("%s, %v: %d %s", path, headers, a.Status, a.Body)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			if a := s.Send(t, method, does+"?form="+url.QueryEscape(mine), "", "", "Cookie", session+pre, "X-HTTP-Method-Override", "POST"); does != "/signin" && a.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, a.Status)
			}
		}
	}
	if who(t, ann) != "ann" || len(sessions(t, ann)) != 2 || who(t, eve) != "eve" {
		t.Fatal("a form that was not genuine did something")
	}
	// And what is genuine does it: also where a browser says null because the page
	// tells nobody whence.
	if a := ann.Submit(t, "/account", "/account/sessions/"+id+"/end"); a.Status != http.StatusSeeOther || len(sessions(t, ann)) != 1 {
		t.Errorf("the genuine form: %d %s", a.Status, a.Body)
	}
	fields := eve.Fields(t, "/account", "/account/signout")
	if a := eve.Send(t, http.MethodPost, "/account/signout", formType, fields.Encode(), "Origin", "null"); a.Status != http.StatusSeeOther || who(t, eve) != "" {
		t.Errorf("with Origin: null from the same origin: %d %s", a.Status, a.Body)
	}
}

// setCookies returns the cookies of these names that an answer gives.
func setCookies(a servertest.Answer, names ...string) (given []string) {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.MaxAge >= 0 && slices.Contains(names, strings.TrimPrefix(c.Name, "doorward_")) {
			given = append(given, c.Name)
		}
	}
	return given
}

// The forms of another time, or that were shown to whoever sat here before, are
// good for nothing.
func TestFormsAreRenewed(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	s.User(t, "bob", "viewer")
	b := s.Browser(t)
	before := b.Fields(t, "/signin", "/signin")
	pre := b.Cookie(t, "pre")
	signIn(t, b, "ann")
	if b.Cookie(t, "pre") == pre {
		t.Error("the sign-in did not renew it")
	}
	before.Set("username", "bob")
	before.Set("password", servertest.Password)
	if a := b.Send(t, http.MethodPost, "/signin", formType, before.Encode()); a.Status != http.StatusForbidden || who(t, b) != "ann" {
		t.Errorf("the form from before the sign-in: %d", a.Status)
	}
	hers := b.Fields(t, "/account", "/account/password")
	again := s.Browser(t)
	signIn(t, again, "bob")
	stale := "doorward_session=" + again.Cookie(t, "session") + "; doorward_pre=" + b.Cookie(t, "pre")
	if a := s.Send(t, http.MethodPost, "/account/password", formType, hers.Encode(), "Cookie", stale); a.Status != http.StatusForbidden {
		t.Errorf("her form in his session, in one browser: %d", a.Status)
	}
}

// The account page is there as long as the session, whatever became of its tokens;
// and a session is in use while its pages are.
func TestAccountLivesAsLongAsTheSession(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		c := &steered{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: map[string]string{"sessions.idle": "1h", "sessions.absolute": "3h"}, Tweak: c.tweak})
		s.User(t, "ann", "viewer")
		idle, busy := s.Browser(t), s.Browser(t)
		signIn(t, idle, "ann")
		signIn(t, busy, "ann")
		for range 4 {
			c.pass(35 * time.Minute)
			if who(t, busy) != "ann" {
				t.Fatal("a session in use is over")
			}
		}
		for _, back := range []time.Duration{0, 135 * time.Minute} { // a clock that is set back revives nothing that was found over
			c.pass(-back)
			if who(t, idle) != "" || status(t, idle) != http.StatusUnauthorized {
				t.Errorf("an idle session goes on, %v before", back)
			}
			c.pass(back)
		}
		c.pass(41 * time.Minute)
		if who(t, busy) != "" {
			t.Error("a session goes on past its end")
		}
	})
}

// Who may do more than a cookie holds signs in on the page all the same, and is not
// told that the password is wrong; a program is told to ask for less.
func TestSignInWithMoreThanACookieHolds(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	token := s.Login(t, servertest.Admin).Access
	var permissions []string
	for i := range 150 {
		permissions = append(permissions, fmt.Sprintf("resource-number-%d:read", i))
	}
	if a := s.Call(t, token, http.MethodPost, "/roles", map[string]any{"name": "many", "permissions": permissions}); a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.User(t, "ann", "many")
	b := s.Browser(t)
	if a := b.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "mode", "cookie"); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "ask for fewer scopes") {
		t.Errorf("a program: %d %s", a.Status, a.Body)
	}
	signIn(t, b, "ann")
	if a := b.Form(t, "/auth/refresh"); who(t, b) != "ann" || status(t, b) != http.StatusOK || a.Status != http.StatusOK || !strings.Contains(a.Body, `"scope":""`) {
		t.Errorf("on the page she is %q, and refreshes with %d %s", who(t, b), a.Status, a.Body)
	}
	if a := b.Submit(t, "/account", "/account/password", "current_password", servertest.Password, "new_password", "another good one"); a.Header.Get("Location") != "/account?done=password-changed" || who(t, b) != "ann" {
		t.Errorf("after a change of the password: %d %v", a.Status, a.Header)
	}
}

// Two session cookies are none, and nobody is told which one is good.
func TestAttackSES010PagesWithTwoCookies(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	ann := s.Browser(t)
	signIn(t, ann, "ann")
	good := "doorward_session=" + ann.Cookie(t, "session")
	for _, cookies := range []string{good + "; doorward_session=x", "doorward_session=x; " + good, good + "; " + good, good + "; doorward_session="} {
		if a := s.Send(t, http.MethodGet, "/account", "", "", "Cookie", cookies); a.Status != http.StatusSeeOther {
			t.Errorf("%d", a.Status)
		}
	}
	if n, err := s.Server.Counted(t.Context(), "GET /account", audit.Denied); err != nil || n != 4 {
		t.Errorf("counted are %d, %v", n, err)
	}
	if a := s.Send(t, http.MethodGet, "/account", "", "", "Cookie", "doorward_access="+ann.Cookie(t, "access")+"; doorward_refresh="+ann.Cookie(t, "refresh")); a.Status != http.StatusSeeOther {
		t.Errorf("without its session: %d", a.Status)
	}
}

// Whatever is wrong with a sign-in, the page says the same.
func TestSignInPageTellsNothing(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Set: map[string]string{"lockout.failures": "5"}})
	s.User(t, "ann", "viewer")
	off := s.User(t, "off", "viewer")
	if a := s.Call(t, s.Login(t, servertest.Admin).Access, http.MethodPatch, "/users/"+off.ID, map[string]any{"status": "disabled"}); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	varies := regexp.MustCompile(`nonce="[^"]+"|name="form" value="[^"]+"|id="username"[^>]*value="[^"]*"`)
	answers := map[string][]string{}
	for name, c := range map[string][2]string{
		"wrong": {"ann", "wrong"}, "nobody": {"nobody", "wrong"}, "disabled": {"off", servertest.Password}, "no name": {"a b\x01", "x"}, "too long": {"ann", strings.Repeat("x", 2000)},
	} {
		a := s.Browser(t).Submit(t, "/signin", "/signin", "username", c[0], "password", c[1])
		if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, "The username or the password is wrong.") || a.Header.Get("WWW-Authenticate") == "" || strings.Contains(a.Body, c[1]+`"`) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		text := varies.ReplaceAllString(a.Body, "")
		answers[text] = append(answers[text], name)
	}
	if len(answers) != 1 {
		t.Errorf("they can be told apart: %v", answers)
	}
	for range 5 {
		s.Browser(t).Submit(t, "/signin", "/signin", "username", "ann", "password", "wrong")
	}
	for _, password := range []string{"wrong", servertest.Password} {
		a := s.Browser(t).Submit(t, "/signin", "/signin", "username", "ann", "password", password)
		if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "Too many attempts. Try again in ") || !strings.Contains(a.Body, `value="ann"`) {
			t.Errorf("a locked account: %d %v %s", a.Status, a.Header, a.Body)
		}
	}
	if a := s.Browser(t).Submit(t, "/signin", "/signin", "username", "", "password", ""); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `id="problem"`) {
		t.Errorf("nothing typed: %d", a.Status)
	}
}

// A new password from the page ends everything else, and this browser goes on with
// a session of its own.
func TestAttackSES012PasswordPage(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		here, there := s.Browser(t), s.Browser(t)
		signIn(t, here, "ann")
		signIn(t, there, "ann")
		app, before, thief := s.Login(t, "ann"), here.Cookie(t, "session"), here.Copy(t)
		change := func(current, next string) servertest.Answer {
			return here.Submit(t, "/account", "/account/password", "current_password", current, "new_password", next)
		}
		for name, c := range map[string]struct {
			current, next, says string
			status              int
		}{
			"a wrong present one": {"wrong", "another good one", `id="current_password-problem"`, 403}, "none": {"", "another good one", `id="current_password-problem"`, 403},
			"a short one": {servertest.Password, "x", `id="new_password-problem"`, 400}, "a common one": {servertest.Password, "password123", `id="new_password-problem"`, 400},
			"the name": {servertest.Password, "doorward1", `id="new_password-problem"`, 400},
		} {
			if a := change(c.current, c.next); a.Status != c.status || !strings.Contains(a.Body, c.says) || strings.Contains(a.Body, c.next+`"`) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		if who(t, there) != "ann" {
			t.Fatal("what was refused had an effect")
		}
		if a := change(servertest.Password, "another good one"); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/account?done=password-changed" {
			t.Fatalf("the change: %d %v %s", a.Status, a.Header, a.Body)
		}
		if who(t, here) != "ann" || here.Cookie(t, "session") == before || status(t, here) != http.StatusOK {
			t.Error("this browser is not signed in anew")
		}
		if who(t, there) != "" || who(t, thief) != "" || s.Refresh(t, app.Refresh).Status != http.StatusBadRequest {
			t.Error("something else is still signed in")
		}
	})
}

// Nobody ends what is another's; what is gone is gone.
func TestAttackSES017Page(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	s.User(t, "bob", "admin")
	ann, bob := s.Browser(t), s.Browser(t)
	signIn(t, ann, "ann")
	signIn(t, bob, "bob")
	his := sessions(t, bob)[0].ID
	for _, id := range []string{his, strings.Repeat("0", 26)} {
		fields := ann.Fields(t, "/account", "/account/signout")
		if a := ann.Send(t, http.MethodPost, "/account/sessions/"+id+"/end", formType, fields.Encode()); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", id, a.Status)
		}
	}
	if who(t, bob) != "bob" {
		t.Error("another's session has ended")
	}
	second := s.Browser(t)
	signIn(t, second, "ann")
	end := "/account/sessions/" + sessions(t, second)[0].ID + "/end"
	fields := ann.Fields(t, "/account", end) // in two tabs
	for _, want := range []string{"/account?done=ended", "/account?done=gone"} {
		if a := ann.Send(t, http.MethodPost, end, formType, fields.Encode()); a.Status != http.StatusSeeOther || a.Header.Get("Location") != want {
			t.Errorf("%d %v, want %s", a.Status, a.Header, want)
		}
	}
	if who(t, second) != "" || who(t, ann) != "ann" {
		t.Error("the wrong one has ended")
	}
}

// What is signed out is gone, its cookies are taken back, and nothing of a page is
// kept.
func TestAttackSES003SignOutPage(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		b := s.Browser(t)
		signIn(t, b, "ann")
		kept, device := b.Copy(t), b.Cookie(t, "device")
		a := b.Submit(t, "/account", "/account/signout")
		if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/signin?done=signed-out" || a.Header.Get("Clear-Site-Data") != `"cache", "storage"` {
			t.Errorf("the sign-out: %d %v", a.Status, a.Header)
		}
		for _, name := range []string{"session", "access", "refresh", "pre"} {
			if b.Cookie(t, name) != "" {
				t.Errorf("the cookie %s was not taken back", name)
			}
		}
		if b.Cookie(t, "device") != device || device == "" {
			t.Error("the device cookie did not stay")
		}
		if who(t, kept) != "" || status(t, kept) != http.StatusUnauthorized || kept.Form(t, "/auth/refresh").Status != http.StatusBadRequest {
			t.Error("what was kept is good for something")
		}
	})
}

// On a computer that others use, whoever signs out may also have it forgotten: it is
// a stranger's again, and shares the lock of strangers.
func TestForgetBrowser(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Set: strict})
	s.User(t, "ann", "viewer")
	b := s.Browser(t)
	signIn(t, b, "ann")
	kept := b.Copy(t)
	a := b.Submit(t, "/account", "/account/forget")
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/signin?done=forgotten" || a.Header.Get("Clear-Site-Data") != `"cache", "storage", "cookies"` {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	for _, name := range []string{"session", "access", "refresh", "pre", "device"} {
		if b.Cookie(t, name) != "" {
			t.Errorf("the cookie %s was not taken back", name)
		}
	}
	if who(t, kept) != "" {
		t.Error("the session goes on")
	}
	for range 5 {
		s.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&password=wrong")
	}
	if a := b.Form(t, "/auth/login", "username", "ann", "password", servertest.Password); a.Status != http.StatusTooManyRequests {
		t.Errorf("a browser that was forgotten while strangers are locked out: %d", a.Status)
	}
}

// No page is kept anywhere, or framed, or says whence somebody comes; each has a
// nonce of its own and nothing that needs more.
func TestAttackWEB006Pages(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	b := s.Browser(t)
	signIn(t, b, "ann")
	seen := map[string]bool{}
	for range 3 {
		for path, status := range map[string]int{"/signin": 200, "/account": 200, "/account/nosuch": 404} {
			a := b.Send(t, http.MethodGet, path, "", "")
			csp := a.Header.Get("Content-Security-Policy")
			styles := regexp.MustCompile(`<style nonce="([^"]{22,})">`).FindAllStringSubmatch(a.Body, -1)
			if a.Status != status || len(styles) != 1 || strings.Count(a.Body, "<style") != 1 || seen[styles[0][1]] || !strings.Contains(csp, "style-src 'nonce-"+styles[0][1]+"';") {
				t.Fatalf("%s: %d, %s\n%s", path, a.Status, csp, a.Body)
			}
			seen[styles[0][1]] = true
			for _, evil := range []string{"unsafe", "*", "data:", "http:", "https:", "strict-dynamic"} {
				if strings.Contains(csp, evil) {
					t.Errorf("%s: the policy has %s: %s", path, evil, csp)
				}
			}
			for _, evil := range []string{"<script", " style=", " onload", " onclick", "javascript:", "http://", "https://"} {
				if strings.Contains(strings.ToLower(a.Body), evil) {
					t.Errorf("%s has %s", path, evil)
				}
			}
			popUp := path != "/account"
			if a.Header.Get("Cache-Control") != "no-store" || (a.Header.Get("Cross-Origin-Opener-Policy") == "") != popUp {
				t.Errorf("%s: %v", path, a.Header)
			}
		}
	}
}

// What somebody got into his name or his browser's is text, whoever looks at it.
func TestAttackWEB008Pages(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, payload := range []string{"<svg onload=1>", `"><img src=x onerror=alert(1)>`, "</title><script>alert(1)</script>", "javascript:alert(1)", "{{.}}", "</style><script>", "`${1}`", "Firefox/1 <b>"} {
		b := s.Browser(t)
		page := b.Submit(t, "/signin", "/signin", "username", payload, "password", "wrong").Body
		token := s.Login(t, "ann").Access
		if a := s.Call(t, token, http.MethodPatch, "/users/me", map[string]any{"name": payload}); a.Status != http.StatusOK {
			t.Fatalf("%q: %d %s", payload, a.Status, a.Body)
		}
		s.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&password="+escaped(servertest.Password), "User-Agent", payload)
		signIn(t, b, "ann")
		page += b.Send(t, http.MethodGet, "/account?done="+url.QueryEscape(payload), "", "").Body
		page += b.Send(t, http.MethodGet, "/signin?done="+url.QueryEscape(payload)+"&return_to="+url.QueryEscape("/"+payload), "", "").Body
		for _, evil := range []string{"<svg onload", "<img", "<script", "</title><", "<b>", `href="javascript`} {
			if strings.Contains(page, evil) {
				t.Errorf("%q became markup: %s", payload, evil)
			}
		}
		if strings.Count(page, "<title>") != 3 {
			t.Errorf("%q: there are not three pages", payload)
		}
	}
}
