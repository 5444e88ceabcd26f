package e2e_test

import (
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/doorward/doorward/internal/web"
)

var form = template.Must(template.New("form").Parse(`<!doctype html><title>form</title>
<style nonce="{{.Nonce}}">p{color:rgb(1,2,3)}</style><p id="p">text</p>
<script nonce="{{.Nonce}}">document.title = "ran"</script>
{{with .Data}}{{.}}{{end}}
<form method="post" action="/go"><button id="go">go</button></form>`))

// A form whose answer leads to a third origin gets there if the page named it, and
// nowhere else: browsers hold redirects too against form-action.
func TestAttackWEB006FormAction(t *testing.T) {
	t.Parallel()
	third := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<!doctype html><title>third</title><p id="there">there</p>`))
	}))
	defer third.Close()
	var named []string
	var posted atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", web.Serve(func(w http.ResponseWriter, _ *http.Request) error {
		return web.Page{Template: form, FormTo: named}.Write(w)
	}, web.FailProblem))
	mux.HandleFunc("POST /go", func(w http.ResponseWriter, r *http.Request) {
		posted.Add(1)
		http.Redirect(w, r, "/on", http.StatusSeeOther) // over a page of ours, as a flow may go
	})
	mux.HandleFunc("GET /on", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, third.URL+"/callback?code=x", http.StatusFound)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	first := httptest.NewServer(mux)
	defer first.Close()

	ctx, said := browser(t)
	press := func() (posts int64) {
		t.Helper()
		before := posted.Load()
		var title, colour string
		if err := chromedp.Run(ctx, chromedp.Navigate(first.URL), chromedp.Title(&title),
			chromedp.Evaluate(`getComputedStyle(document.getElementById("p")).color`, &colour)); err != nil {
			t.Fatal(err)
		}
		if title != "ran" || colour != "rgb(1, 2, 3)" {
			t.Errorf("with the nonce, the script made %q, and the style %q", title, colour)
		}
		if err := chromedp.Run(ctx, chromedp.Click("#go")); err != nil {
			t.Fatal(err)
		}
		within(t, "the form is posted", func() bool { return posted.Load() > before })
		return posted.Load() - before
	}
	named = []string{third.URL}
	press()
	if err := chromedp.Run(ctx, chromedp.WaitVisible("#there")); err != nil {
		t.Errorf("the origin was named, and the browser did not come there: %v\n%s", err, said)
	}
	if text := said.String(); text != "" {
		t.Errorf("the console says %s", text)
	}
	for _, other := range [][]string{nil, {"https://app.example"}, {strings.Replace(third.URL, "127.0.0.1", "localhost", 1)}} {
		named = other
		before := strings.Count(said.String(), "form-action")
		press()
		within(t, "the browser refuses the redirect", func() bool { return strings.Count(said.String(), "form-action") > before })
		var at string
		if err := chromedp.Run(ctx, chromedp.Location(&at)); err != nil || strings.HasPrefix(at, third.URL) {
			t.Errorf("form-action %v: the browser came to %s, %v", other, at, err)
		}
	}
}

// What somebody got into a page without its nonce does nothing.
func TestAttackWEB006InjectedMarkup(t *testing.T) {
	t.Parallel()
	evil := template.HTML(`<script>document.title="evil"</script><script nonce="AAAAAAAAAAAAAAAAAAAAAA">document.title="evil"</script>` +
		`<img src="/x" onerror="document.title='evil'"><svg onload="document.title='evil'"></svg><a id="a" href="javascript:document.title='evil'">a</a>` +
		`<base href="https://evil.example/"><p id="q" style="color:rgb(9,9,9)">q</p><iframe srcdoc="<script>parent.document.title='evil'</script>"></iframe>`)
	s := httptest.NewServer(web.Serve(func(w http.ResponseWriter, _ *http.Request) error {
		return web.Page{Template: form, Data: evil}.Write(w)
	}, web.FailProblem))
	defer s.Close()
	ctx, said := browser(t)
	var title, colour, base, trusted string
	if err := chromedp.Run(ctx, chromedp.Navigate(s.URL), chromedp.Click("#a"), chromedp.Sleep(200*time.Millisecond), chromedp.Title(&title),
		chromedp.Evaluate(`getComputedStyle(document.getElementById("q")).color`, &colour),
		chromedp.Evaluate(`document.baseURI`, &base),
		chromedp.Evaluate(`(() => { try { document.getElementById("q").innerHTML = "<b>b</b>"; return "written" } catch (e) { return e.name } })()`, &trusted)); err != nil {
		t.Fatal(err)
	}
	if title != "ran" || colour == "rgb(9, 9, 9)" || strings.Contains(base, "evil") || trusted != "TypeError" {
		t.Errorf("title %q, colour %q, base %q, innerHTML %q", title, colour, base, trusted)
	}
	if !strings.Contains(said.String(), "Content Security Policy") {
		t.Errorf("the console says %q", said)
	}
}

// within waits for something to become true.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 20 s still not: %s", what)
		}
	}
}
