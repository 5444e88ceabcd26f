package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/doorward/doorward/internal/servertest"
)

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"

// visitor is somebody in front of a browser.
type visitor struct {
	t    *testing.T
	ctx  context.Context
	said *console
	site string
	view view

	patience time.Duration // with one step
}

// visit opens a browser of the size and the colours of a view. Without scripts the
// pages do the same.
func visit(t *testing.T, site string, v view, scripts bool) *visitor {
	t.Helper()
	ctx, said := browser(t)
	b := &visitor{t, ctx, said, site, v, 20 * time.Second}
	b.do("opening", v.emulate(), emulation.SetScriptExecutionDisabled(!scripts))
	return b
}

func (b *visitor) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	soon, cancel := context.WithTimeout(b.ctx, b.patience)
	defer cancel()
	if err := chromedp.Run(soon, actions...); err != nil {
		text := ""
		_ = chromedp.Run(b.ctx, chromedp.Text("body", &text))
		b.t.Fatalf("%s: %v\n%s\n%s", what, err, text, b.said)
	}
}

// sees holds a page against what all pages promise, and keeps a picture of it where
// somebody wants one.
func (b *visitor) sees(name string, texts ...string) {
	b.t.Helper()
	var wide int
	var text, title, paper string
	b.do(name, chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide), chromedp.Text("body", &text), chromedp.Title(&title),
		chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &paper))
	if wide > b.view.width {
		b.t.Errorf("%s is %d wide, the screen %d", name, wide, b.view.width)
	}
	for _, want := range texts {
		if !strings.Contains(text, want) {
			b.t.Errorf("%s does not say %q:\n%s", name, want, text)
		}
	}
	if !strings.HasSuffix(title, " · Doorward") {
		b.t.Errorf("%s is titled %q", name, title)
	}
	if want := map[bool]string{false: "rgb(251, 250, 247)", true: "rgb(22, 24, 28)"}[b.view.dark]; paper != want {
		b.t.Errorf("%s is on %s, want %s", name, paper, want)
	}
	b.keep(name)
}

// keep takes a picture of the page, for who looks at it: go test -artifacts.
func (b *visitor) keep(name string) {
	b.t.Helper()
	if flag.Lookup("test.artifacts").Value.String() != "true" {
		return
	}
	var shot []byte
	b.do("a picture of "+name, chromedp.FullScreenshot(&shot, 100))
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+"-"+b.view.name+".png"), shot, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// quiet holds the console to what the browser itself says of answers that are as
// they should be: a refusal's status, that a sign-out cleared what was kept, and advice on
// forms, which is of Swagger UI's.
func (b *visitor) quiet() {
	b.t.Helper()
	for line := range strings.Lines(b.said.String()) {
		if !strings.HasPrefix(line, "Failed to load resource: the server responded with a status of 4") && !strings.HasPrefix(line, "Clear-Site-Data header on ") &&
			!strings.HasPrefix(line, "[DOM] ") {
			b.t.Errorf("the console says %s", line)
		}
	}
}

func (b *visitor) at() string {
	b.t.Helper()
	var at string
	b.do("where am I", chromedp.Location(&at))
	return strings.TrimPrefix(at, b.site)
}

// elsewhere signs somebody in with another browser, and with an app.
func elsewhere(t *testing.T, site, name, password string) {
	t.Helper()
	for mode, agent := range map[string]string{"cookie": firefox, "": "curl/8.14.1"} {
		form := url.Values{"username": {name}, "password": {password}, "mode": {mode}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site+"/auth/login", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("User-Agent", agent)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Fatalf("signing %s in elsewhere: %s", name, a.Status)
		}
	}
}

// TestAccountPages goes the whole round in a browser: signing in, ending what is
// signed in elsewhere, changing the password, signing out, and back.
func TestAccountPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, v := range map[string]view{"viewer": {"light", 1280, 900, false}, "editor": {"dark", 1280, 900, true}, "admin": {"phone", 390, 844, false}} {
		t.Run(v.name, func(t *testing.T) {
			elsewhere(t, s.url, name, s.password)
			round(visit(t, s.url, v, v.name != "phone"), name, s.password)
		})
	}
}

func round(b *visitor, name, password string) {
	t := b.t
	t.Helper()
	b.do("opening the account", chromedp.Navigate(b.site+"/account"), chromedp.WaitVisible("#signin"))
	if b.at() != "/signin?return_to=/account" {
		t.Errorf("nobody's account is at %s", b.at())
	}
	b.sees("signin", "Sign in", "Username or email", "Password")
	var kept, typed string
	b.do("a wrong password", chromedp.SendKeys("#username", name), chromedp.SendKeys("#password", "not "+password), chromedp.Click("#submit"),
		chromedp.WaitVisible("#problem"), chromedp.Value("#username", &kept), chromedp.Value("#password", &typed))
	if kept != name || typed != "" {
		t.Errorf("after a wrong password the fields hold %q and %q", kept, typed)
	}
	b.sees("signin-wrong", "The username or the password is wrong.")
	b.do("signing in", chromedp.SendKeys("#password", password), chromedp.Click("#submit"), chromedp.WaitVisible("#devices"))
	if b.at() != "/account" {
		t.Errorf("the sign-in led to %s", b.at())
	}
	b.sees("account", "Signed in as "+name, "this browser", "Chrome on Linux", "Firefox on Windows", "curl", "app", "From 127.0.0.1", "just now")

	b.do("ending one", chromedp.Click(`button[aria-label="Sign out Firefox on Windows"]`), chromedp.WaitVisible("#done"))
	b.sees("account-ended", "It is signed out.", "curl")
	b.do("ending the others", chromedp.Click("#end-others"), chromedp.WaitVisible("#devices li:only-child"))
	var left int
	b.do("what is left", chromedp.Evaluate(`document.querySelectorAll("#devices li").length`, &left))
	if left != 1 {
		t.Errorf("%d devices are left", left)
	}

	next := servertest.Canary(t)
	b.do("a wrong present password", chromedp.SendKeys("#current_password", "not "+password), chromedp.SendKeys("#new_password", next), chromedp.Click("#change"),
		chromedp.WaitVisible("#current_password-problem"))
	b.do("a bad new one", chromedp.SendKeys("#current_password", password), chromedp.SendKeys("#new_password", name), chromedp.Click("#change"),
		chromedp.WaitVisible("#new_password-problem"))
	b.sees("account-password", "A password has at least 8 characters")
	b.do("a good one", chromedp.SendKeys("#current_password", password), chromedp.SendKeys("#new_password", next), chromedp.Click("#change"), chromedp.WaitVisible("#done"))
	b.sees("account-changed", "Your password is changed", "Signed in as "+name)

	b.do("signing out", chromedp.Click("#signout"), chromedp.WaitVisible("#signin"))
	b.sees("signed-out", "You are signed out.")
	b.do("going back", page.NavigateToHistoryEntry(b.before()), chromedp.WaitVisible("#signin"))
	b.sees("back", "Sign in")
	b.do("with the new password", chromedp.SendKeys("#username", name), chromedp.SendKeys("#password", next), chromedp.Click("#submit"), chromedp.WaitVisible("#devices"))
	b.quiet()
}

// before returns the entry of the history that is behind the present one.
func (b *visitor) before() (entry int64) {
	b.t.Helper()
	b.do("the history", chromedp.ActionFunc(func(ctx context.Context) error {
		at, list, err := page.GetNavigationHistory().Do(ctx)
		if err == nil && at == 0 {
			err = fmt.Errorf("there is nothing behind %v", list)
		}
		if err == nil {
			entry = list[at-1].ID
		}
		return err
	}))
	return entry
}

// Everything can be reached and done with the keyboard, and what has the focus is
// seen.
func TestAccountByKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t)
	elsewhere(t, s.url, "viewer", s.password)
	b := visit(t, s.url, view{"keyboard", 1280, 900, false}, true)
	b.do("signing in", chromedp.Navigate(s.url+"/account"), chromedp.WaitVisible("#signin"), chromedp.KeyEvent("viewer"), chromedp.KeyEvent(kb.Tab),
		chromedp.KeyEvent(s.password), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#devices"))
	var order []string
	for range 9 {
		var on []string
		b.do("tab", chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`(() => { const e = document.activeElement, s = getComputedStyle(e);
			return [e.id || e.getAttribute("aria-label") || e.getAttribute("href"), s.outlineStyle, s.outlineWidth] })()`, &on))
		if on[1] != "solid" || on[2] != "2px" {
			t.Errorf("%s has the focus, and its outline is %s %s", on[0], on[1], on[2])
		}
		order = append(order, on[0])
		if on[0] == "signout" {
			b.sees("focus", "Sign out")
		}
	}
	first, devices, last := order[:3], order[3:5], order[5:9]
	if strings.Join(first, " ") != "/ signout forget" || strings.Join(last, " ") != "end-others current_password new_password change" ||
		!strings.Contains(strings.Join(devices, ", "), "Sign out Firefox on Windows") || !strings.Contains(strings.Join(devices, ", "), "Sign out curl") {
		t.Errorf("the focus goes to %q", order)
	}
	b.do("signing out", chromedp.Focus("#signout"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#signin"))
	b.quiet()
}

// What somebody got into a name, or into what his browser calls itself, is words in
// a real browser too.
func TestAttackWEB008AccountInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := visit(t, s.url, view{"payload", 390, 844, true}, true)
	const payload = `"'><img src=x onerror="document.title='evil'"><svg onload="document.title='evil'"></svg><script>document.title='evil'</script></title>{{.}}`
	form := url.Values{"username": {"viewer"}, "password": {s.password}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/auth/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", payload)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(a.Body).Decode(&tokens); err != nil {
		t.Fatal(err)
	}
	change, err := json.Marshal(map[string]string{"name": payload + strings.Repeat("W", 80)})
	if err != nil {
		t.Fatal(err)
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodPatch, s.url+"/users/me", strings.NewReader(string(change)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/merge-patch+json")
	r.Header.Set("Authorization", "Bearer "+tokens.Access)
	a, err = http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("the name: %s", a.Status)
	}
	var kept string
	b.do("signing in with it", chromedp.Navigate(s.url+"/signin?return_to="+url.QueryEscape("/account?done="+payload)+"&done="+url.QueryEscape(payload)),
		chromedp.WaitVisible("#signin"), chromedp.SendKeys("#username", payload), chromedp.SendKeys("#password", "wrong"), chromedp.Click("#submit"),
		chromedp.WaitVisible("#problem"), chromedp.Value("#username", &kept))
	if kept != payload {
		t.Errorf("the field holds %q", kept)
	}
	b.sees("payload-signin", "The username or the password is wrong.")
	b.do("signing in", chromedp.SetValue("#username", "viewer"), chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"), chromedp.WaitVisible("#devices"))
	b.sees("payload-account", payload, "Unknown program")
	b.do("an error", chromedp.Navigate(s.url+"/account/"+strings.Repeat("a", 300)), chromedp.WaitVisible("#request-id"))
	b.sees("error", "There is nothing here", "To your account")
	b.quiet()
}
