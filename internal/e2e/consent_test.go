package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"
)

// relying is an application on another origin that people come back to.
func relying(t *testing.T) (callback string) {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>Back</title><link rel=icon href=data:,><p id=back>%s code=%t error=%s state=%s", r.Method, r.FormValue("code") != "", r.FormValue("error"), r.FormValue("state"))
	}))
	t.Cleanup(app.Close)
	return strings.Replace(app.URL, "127.0.0.1", "localhost", 1) + "/callback"
}

// TestConsentPages signs in to an application on another origin in a browser, which holds
// what follows a form against the page's policy: with scripts and without, in light and
// dark, on a desk and on a phone, allowing and refusing.
func TestConsentPages(t *testing.T) {
	t.Parallel()
	s, callback := start(t), relying(t)
	s.operate(t, "", "resource", "create", "orders", "--identifier", "https://orders.example", "--name", "Orders", "--permission", "orders:read=read your orders")
	s.operate(t, "", "role", "create", "buyer", "--permission", "orders:read")
	for _, name := range []string{"viewer", "editor", "admin"} {
		s.operate(t, "", "role", "grant", name, "buyer")
	}
	s.operate(t, "", "client", "create", "shop", "--name", "Corner Shop", "--auth", "none", "--redirect-uri", callback, "--scope", "orders:read")
	for name, v := range map[string]view{"viewer": {"light", 1280, 900, false}, "editor": {"dark", 1280, 900, true}, "admin": {"phone", 390, 844, false}} {
		t.Run(v.name, func(t *testing.T) { s.agree(visit(t, s.url, v, v.name != "dark"), name, callback) })
	}
}

func (s *site) agree(b *visitor, name, callback string) {
	ask := func(more url.Values) string {
		q := url.Values{
			"client_id": {"shop"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile offline_access orders:read"}, "state": {"kept"},
			"resource": {"https://orders.example"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
		}
		for name, values := range more {
			q[name] = values
		}
		return s.url + "/oauth2/authorize?" + q.Encode()
	}
	back := func(want string) {
		b.t.Helper()
		var text string
		b.do("coming back", chromedp.WaitVisible("#back"), chromedp.Text("#back", &text))
		if text != want {
			b.t.Errorf("the application was told %q, want %q", text, want)
		}
	}
	b.do("beginning", chromedp.Navigate(ask(nil)), chromedp.WaitVisible("#signin"))
	b.sees("sign-in-for", "To continue to Corner Shop")
	b.do("signing in", chromedp.SendKeys("#username", name), chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"), chromedp.WaitVisible("#consent"))
	b.sees("consent", "Corner Shop asks for access", "read your orders (orders:read)", "know that it is you", "localhost", name)
	b.do("allowing", chromedp.Click("#allow"))
	back("GET code=true error= state=kept")

	// A public client on http is asked for each time; the answer may come as a form.
	b.do("again", chromedp.Navigate(ask(url.Values{"response_mode": {"form_post"}, "ui_locales": {"de"}})), chromedp.WaitVisible("#consent"))
	b.sees("consent-german", "Corner Shop bittet um Zugriff")
	b.do("refusing", chromedp.Click("#deny"))
	if b.view.dark { // without scripts there is a button
		b.do("going on", chromedp.WaitVisible("#continue"), chromedp.Click("#continue"))
	}
	back("POST code=false error=access_denied state=kept")
	b.do("choosing", chromedp.Navigate(ask(url.Values{"prompt": {"select_account"}})), chromedp.WaitVisible("#chosen"))
	b.sees("choose", "Continue as "+name)
	b.do("the wrong way", chromedp.Navigate(ask(url.Values{"redirect_uri": {"https://evil.example/"}})), chromedp.WaitVisible("#request-id"))
	b.sees("no-redirect", "not registered for it")
	b.do("what it may do", chromedp.Navigate(s.url+"/account"), chromedp.WaitVisible("#apps"))
	b.sees("account-apps", "Corner Shop")
	b.quiet()
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, Appendix B

// TestDevicePages lets a device in and signs out, as TestConsentPages does.
func TestDevicePages(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.operate(t, "", "client", "create", "tv", "--name", "Living Room TV", "--auth", "none", "--grant", "urn:ietf:params:oauth:grant-type:device_code")
	for name, v := range map[string]view{"viewer": {"light", 1280, 900, false}, "editor": {"dark", 1280, 900, true}, "admin": {"phone", 390, 844, false}} {
		t.Run(v.name, func(t *testing.T) {
			asked, err := (&oauth2.Config{ClientID: "tv", Endpoint: oauth2.Endpoint{DeviceAuthURL: s.url + "/oauth2/device_authorization"}, Scopes: []string{"openid", "profile"}}).DeviceAuth(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b := visit(t, s.url, v, v.name != "dark")
			b.do("opening", chromedp.Navigate(asked.VerificationURIComplete), chromedp.WaitVisible("#signin"))
			b.do("signing in", chromedp.SendKeys("#username", name), chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"), chromedp.WaitVisible("#allow"))
			b.sees("device-question", "Living Room TV", asked.UserCode, name)
			b.do("allowing", chromedp.Click("#allow"), chromedp.WaitNotPresent("#allow"))
			b.sees("device-done")
			b.do("leaving", chromedp.Navigate(s.url+"/oauth2/logout"), chromedp.WaitVisible("#logout"))
			b.sees("logout", name)
			b.do("signing out", chromedp.Click("#signout"), chromedp.WaitVisible("#done"))
			b.quiet()
		})
	}
}
