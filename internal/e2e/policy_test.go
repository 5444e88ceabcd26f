package e2e_test

import (
	"context"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/doorward/doorward/internal/need"
	"github.com/doorward/doorward/internal/web"
)

// console is what a browser said of the pages that it opened.
type console struct {
	mu    sync.Mutex
	lines []string
}

func (c *console) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

// String returns all lines.
func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n")
}

// browser returns a Chromium that does what it is told, until the test ends, and
// its console.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) (context.Context, *console) {
	t.Helper()
	path, err := need.Program(t.Context(), "chromium", "chromium", "fonts-dejavu-core")
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: Chromium may go on writing there for a moment.
	folder, err := os.MkdirTemp("", "doorward-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(folder), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(time.Minute),
	}, flags...)
	allocated, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until it has ended
		end()
		stop()
		os.RemoveAll(folder)
	})
	said := &console{}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			said.add(e.Entry.Text)
		case *runtime.EventExceptionThrown:
			said.add(e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			for _, a := range e.Args {
				said.add(string(a.Value))
			}
		}
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	return within, said
}

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
