//go:build interop

package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestInteropSPA goes the whole round with the single-page application of examples/ in
// a browser: oidc-client-ts signs somebody in, calls the API of examples/express with
// the token, renews it, and signs out. Once the person is asked, and once he need not
// be, which takes another way through the pages.
func TestInteropSPA(t *testing.T) {
	t.Parallel()
	_, room := nodeRoom(t, "../../examples/spa")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := "http://" + l.Addr().String()
	s := start(t, "DOORWARD_CORS_ORIGINS="+origin)
	page, err := os.ReadFile("../../examples/spa/README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := regexp.MustCompile(`(?m)^go run ./cmd/doorward ((?:role|client) (?:.+\\\n)*.+)$`).FindAllStringSubmatch(string(page), -1)
	if len(told) != 3 {
		t.Fatalf("the page of the example tells %d commands: %q", len(told), told)
	}
	register := strings.NewReplacer("\\\n", " ", "http://localhost:5173/", origin+"/orders-spa/").Replace(told[2][1])
	for _, command := range []string{told[0][1], told[1][1], register, strings.ReplaceAll(register, "orders-spa", "own-spa") + " --skip-consent"} {
		s.operate(t, "", strings.Fields(command)...)
	}
	s.operate(t, s.password+"\n", strings.Fields("user create ann --name Ann --email ann@example.com --role orders --password-stdin")...)
	api := examples[1].run(t, "ISSUER="+s.url, "ORIGIN="+origin)
	folders := http.NewServeMux()
	serve := &http.Server{Handler: folders, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = serve.Serve(l) }()
	t.Cleanup(func() { _ = serve.Close() })
	for _, id := range []string{"orders-spa", "own-spa"} {
		home := "/" + id + "/"
		folders.Handle(home, http.StripPrefix(home, http.FileServer(http.Dir(room))))
		folders.HandleFunc(home+"config.js", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprintf(w, "export const issuer = %q\nexport const client = %q\nexport const api = %q\n", s.url, id, api)
		})
		t.Run(id, func(t *testing.T) {
			b := visit(t, origin, view{id, 1280, 900, false}, true)
			b.do("opening", chromedp.Navigate(origin+home), chromedp.WaitVisible("#signin"), chromedp.Click("#signin"), chromedp.WaitVisible("#username"))
			b.do("signing in", chromedp.SendKeys("#username", "ann"), chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"))
			if id == "orders-spa" {
				b.do("agreeing", chromedp.WaitVisible("#consent"), chromedp.Click("#allow"))
			}
			b.do("back", chromedp.WaitVisible("#signout"))
			b.told("#hello", "Hello Ann")
			if at := b.at(); at != home {
				t.Errorf("the code stays in the address: %s", at)
			}
			b.do("ordering", chromedp.Click("#order"))
			b.told("#answer", `201 {"id":`)
			b.do("renewing", chromedp.Click("#renew"))
			b.told("#answer", "a new token for ")
			b.do("the orders", chromedp.Click("#orders"))
			b.told("#answer", `200 {"items":[`)
			b.do("loading it again", chromedp.Reload(), chromedp.WaitVisible("#signout"))
			b.told("#hello", "Hello Ann")
			var refresh string
			b.do("the refresh token", chromedp.Evaluate(`JSON.parse(Object.values(sessionStorage).find(v => v.includes("refresh_token"))).refresh_token`, &refresh))
			b.do("signing out", chromedp.Click("#signout"), chromedp.WaitVisible("#signin"))
			b.told("#hello", "Nobody is signed in.")
			if answer := fetch(t, http.MethodPost, s.url+"/oauth2/token", map[string][]string{"grant_type": {"refresh_token"}, "client_id": {id}, "refresh_token": {refresh}}); !strings.Contains(answer, "invalid_grant") {
				t.Errorf("after signing out, its refresh token is answered %s", answer)
			}
			b.quiet()
		})
	}
}

// told waits until an element says something.
func (b *visitor) told(selector, text string) {
	b.t.Helper()
	b.do(text, chromedp.Poll(fmt.Sprintf("document.querySelector(%q).textContent.startsWith(%q)", selector, text), nil, chromedp.WithPollingTimeout(15*time.Second)))
}
