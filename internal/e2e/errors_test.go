package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestErrorsInABrowser meets what can go wrong as a person does: each page says what
// to do next, and the browser finds nothing to say about it, nor about what is told
// as JSON.
func TestErrorsInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := visit(t, s.url, view{"errors", 390, 844, true}, true)
	for path, says := range map[string]string{
		"/account/nosuch": "There is nothing here", "/account/password": "This page only takes a form",
	} {
		b.do(path, chromedp.Navigate(s.url+path), chromedp.WaitVisible("#request-id"))
		b.sees("error"+strings.ReplaceAll(path, "/", "-"), says, "To your account")
	}
	b.do("another host", chromedp.Navigate(strings.Replace(s.url, "127.0.0.1", "localhost", 1)+"/signin"), chromedp.WaitVisible("#request-id"))
	b.sees("error-host", "This is not the address of this server")

	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><form method="post" action="` + s.url + `/signin"><input name="username" value="viewer"><button id="send">x</button></form>`))
	}))
	defer elsewhere.Close()
	b.do("another site's form", chromedp.Navigate(elsewhere.URL), chromedp.Click("#send"), chromedp.WaitVisible("#request-id"))
	b.sees("error-cross-site", "That came from another site")

	b.do("a form of a browser that forgot", chromedp.Navigate(s.url+"/signin"), chromedp.WaitVisible("#signin"), network.ClearBrowserCookies(),
		chromedp.SendKeys("#username", "viewer"), chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"), chromedp.WaitVisible("#problem"))
	b.sees("error-stale", "This page was open for too long")
	for range 5 { // which lock the account
		a, err := http.PostForm(s.url+"/auth/login", url.Values{"username": {"viewer"}, "password": {"not " + s.password}})
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
	}
	b.do("a locked account", chromedp.Navigate(s.url+"/signin"), chromedp.WaitVisible("#signin"), chromedp.SendKeys("#username", "viewer"),
		chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"), chromedp.WaitVisible("#problem"))
	b.sees("error-locked", "Too many attempts. Try again in ")

	for _, path := range []string{"/nosuch", "/users/me", "/healthz", "/openapi.json", "/auth/login"} {
		var text string
		b.do(path, chromedp.Navigate(s.url+path), chromedp.Text("pre", &text))
		if !strings.HasPrefix(text, "{") {
			t.Errorf("%s is shown as %q", path, text)
		}
	}
	b.quiet()
}
