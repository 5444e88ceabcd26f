package e2e_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/doorward/doorward/internal/need"
)

// chromium is the one that all tests share: to start it costs more than most of them.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
}

// startChromium starts Chromium.
func startChromium() (context.Context, func(), error) {
	path, err := need.Program(context.Background(), "chromium", "chromium", "fonts-dejavu-core")
	if err != nil {
		return nil, nil, err
	}
	folder, err := os.MkdirTemp("", "doorward-chromium-")
	if err != nil {
		return nil, nil, err
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(folder), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		// No window of one test waits because another test has one.
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.WSURLReadTimeout(time.Minute))
	ctx, end := chromedp.NewContext(allocated)
	quit := func() {
		_ = chromedp.Cancel(ctx) // waits until it has ended
		end()
		stop()
		os.RemoveAll(folder)
	}
	if err := chromedp.Run(ctx); err != nil {
		quit()
		return nil, nil, err
	}
	return ctx, quit, nil
}

// quit ends it, if a test started it.
func quit() {
	if chromium.stop != nil {
		chromium.stop()
	}
}

// browser returns a window of Chromium that does what it is told until the test ends, and
// its console. It has nothing in common with those of other tests: cookies, caches and
// storage are its own.
func browser(t *testing.T) (context.Context, *console) {
	t.Helper()
	chromium.once.Do(func() { chromium.ctx, chromium.stop, chromium.err = startChromium() })
	if chromium.err != nil {
		t.Fatal(chromium.err)
	}
	ctx, end, err := window(chromium.ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
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

// window opens a window with a profile of its own.
func window(running context.Context) (context.Context, func(), error) {
	do := cdp.WithExecutor(running, chromedp.FromContext(running).Browser)
	profile, err := target.CreateBrowserContext().Do(do)
	if err != nil {
		return nil, nil, err
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(do)
	if err != nil {
		return nil, nil, err
	}
	ctx, end := chromedp.NewContext(running, chromedp.WithTargetID(id))
	return ctx, func() {
		end()
		_ = target.DisposeBrowserContext(profile).Do(do) // with its windows
	}, nil
}

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

func (c *console) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

// String returns all lines.
func (c *console) String() string { return strings.Join(c.all(), "\n") }
