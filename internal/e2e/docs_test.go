package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// TestReference signs in on the page of the API's reference as an application does, in
// another window, and makes a call, under the page's policy; and looks at the page in dark
// and on a phone.
func TestReference(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, v := range []view{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 390, 844, false}} {
		t.Run(v.name, func(t *testing.T) {
			b := visit(t, s.url, v, true)
			b.patience = time.Minute // its script is large, and other browsers run beside it
			b.do("opening", chromedp.Navigate(s.url+"/docs"), chromedp.WaitVisible(".btn.authorize"))
			b.do("the operations", chromedp.WaitVisible("#operations-tag-users"))
			b.sees("docs", "Doorward", "Authorize", "Accounts")
			b.do("what there is", press(".btn.authorize"), chromedp.WaitVisible(".auth-container"))
			var text string
			b.do("the dialog", chromedp.Text(".modal-ux", &text))
			if strings.Contains(text, "password") || !strings.Contains(text, "doorward-docs") && !strings.Contains(text, "users:read") {
				t.Errorf("the dialog says:\n%s", text)
			}
			b.sees("docs-authorize")

			if v.name != "light" { // once is enough
				b.quiet()
				return
			}
			b.letIn("admin", s.password)
			b.do("signed in", chromedp.WaitVisible(`//button[text()="Logout"]`), press(".auth-btn-wrapper .btn-done"))
			b.tries("users", "list-users", "200")
			b.sees("docs-tried", "admin")
			b.tries("clients", "list-clients", "403") // which it was not let do
			b.quiet()
		})
	}
}

// letIn chooses in the dialog what the reference may do, and signs somebody in in the
// window that it opens.
func (b *visitor) letIn(name, password string) {
	b.t.Helper()
	b.do("choosing", press(`input[data-value="users:read"]`), chromedp.Click(".auth-container:has(.scopes) .authorize", chromedp.ByQuery)) // a script may open no window
	id := b.window("/signin")
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	defer cancel()
	if err := chromedp.Run(ctx); err != nil { // what comes first holds for the whole of it, and has no time limit
		b.t.Fatal(err)
	}
	window := &visitor{b.t, ctx, b.said, b.site, b.view, b.patience}
	window.do("signing in", page.BringToFront(), chromedp.WaitVisible("#signin"), chromedp.SendKeys("#username", name), chromedp.SendKeys("#password", password), chromedp.Click("#submit"), chromedp.WaitVisible("#consent"))
	var text string
	if window.do("the question", chromedp.Evaluate(`document.body.innerText`, &text)); !strings.Contains(text, "Doorward API reference") || !strings.Contains(text, "users:read") {
		b.t.Errorf("the consent page says:\n%s", text)
	}
	window.do("allowing", press("#allow"))
	// It closes itself once its answer is taken; whoever lets it go before that, closes it.
	b.until("it stays open", func(all []*target.Info) bool {
		return !slices.ContainsFunc(all, func(info *target.Info) bool { return info.TargetID == id })
	})
	b.do("back", page.BringToFront())
}

// window waits until there is a window at a path besides the visitor's own.
func (b *visitor) window(path string) (id target.ID) {
	b.t.Helper()
	b.until("a window at "+path, func(all []*target.Info) bool {
		i := slices.IndexFunc(all, func(info *target.Info) bool {
			return info.Type == "page" && info.TargetID != chromedp.FromContext(b.ctx).Target.TargetID && strings.HasPrefix(info.URL, b.site+path)
		})
		if i >= 0 {
			id = all[i].TargetID
		}
		return i >= 0
	})
	return id
}

// until waits until the windows are as they should be.
func (b *visitor) until(what string, done func([]*target.Info) bool) {
	b.t.Helper()
	for end := time.Now().Add(b.patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		all, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		if done(all) {
			return
		}
	}
	b.t.Fatalf("%s: %s", what, b.said)
}

// tries makes the call of an operation without parameters of its own.
func (b *visitor) tries(tag, operation, want string) {
	b.t.Helper()
	var got string
	at := "#operations-" + tag + "-" + operation + " "
	b.do(operation, chromedp.Evaluate(`if (document.querySelector("#operations-tag-`+tag+`").dataset.isOpen !== "true") document.querySelector("#operations-tag-`+tag+`").click()`, nil),
		chromedp.WaitVisible(at+".opblock-summary-control"), press(at+".opblock-summary-control"), chromedp.WaitVisible(at+".try-out__btn"), press(at+".try-out__btn"),
		chromedp.WaitVisible(at+".execute"), press(at+".execute"), chromedp.WaitVisible(at+".live-responses-table .response-col_status"),
		chromedp.Text(at+".live-responses-table .response .response-col_status", &got))
	if !strings.HasPrefix(strings.TrimSpace(got), want) {
		b.t.Errorf("%s is answered %s, want %s", operation, got, want)
	}
}

// press clicks on what may be out of sight.
func press(selector string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).click()", selector), nil)
}
