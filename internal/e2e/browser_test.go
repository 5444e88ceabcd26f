package e2e_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// view is how somebody looks at a page.
type view struct {
	name          string
	width, height int
	dark          bool
}

// emulate makes a browser show pages so.
func (v view) emulate() chromedp.Tasks {
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	return chromedp.Tasks{
		chromedp.EmulateViewport(int64(v.width), int64(v.height)),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
	}
}

// TestFrontPage looks at the front page as a browser shows it: drawn, in the
// colours that were asked for, no wider than the screen, and without a word in
// the console.
func TestFrontPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, v := range []view{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 390, 844, false}} {
		t.Run(v.name, func(t *testing.T) {
			picture, dom, console := look(t, v, s.url+"/")
			if len(console) > 0 {
				t.Errorf("the console says:\n%s", strings.Join(console, "\n"))
			}
			if !strings.Contains(dom, "<h1>Doorward</h1>") {
				t.Errorf("the page is:\n%s", dom)
			}
			if size := picture.Bounds().Size(); size.X != v.width {
				t.Fatalf("the picture is %v, and %d wide was asked for", size, v.width)
			}
			paper := brightness(picture.At(2, 2))
			if v.dark != (paper < 128) {
				t.Errorf("the paper's brightness is %d", paper)
			}
			if ink := contrast(picture, paper, 0, v.width); ink < 120 {
				t.Errorf("nothing stands out from the paper by more than %d: the page is empty, or hard to read", ink)
			}
			const margin = 10 // without anything in it, to the right of all
			if ink := contrast(picture, paper, v.width-margin, v.width); ink > 8 {
				t.Error("something reaches into the right margin: the page is wider than the screen")
			}
		})
	}
}

// A page that breaks its own policy is noticed: the test above can fail.
func TestBrowserComplains(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		fmt.Fprint(w, "<!doctype html><title>page</title><style>body{color:red}</style><p>text")
	}))
	defer page.Close()
	_, _, console := look(t, view{"strict", 400, 300, false}, page.URL)
	if !strings.Contains(strings.Join(console, "\n"), "Content Security Policy") {
		t.Errorf("a style that the policy forbids is not told; the console says: %q", console)
	}
}

// look opens a page in Chromium, and returns how it looks, what became of it,
// and what the console says.
func look(t *testing.T, v view, url string) (picture image.Image, dom string, console []string) {
	t.Helper()
	ctx, said := browser(t)
	var shot []byte
	if err := chromedp.Run(ctx, v.emulate(), chromedp.Navigate(url), chromedp.OuterHTML("html", &dom), chromedp.CaptureScreenshot(&shot)); err != nil {
		t.Fatalf("chromium: %v\n%s", err, said)
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	return picture, dom, said.all()
}

func brightness(c color.Color) int { return int(color.GrayModel.Convert(c).(color.Gray).Y) }

// contrast returns by how much anything in the columns from one to another
// stands out from the paper.
func contrast(picture image.Image, paper, from, to int) (most int) {
	for y := range picture.Bounds().Max.Y {
		for x := from; x < to; x++ {
			most = max(most, brightness(picture.At(x, y))-paper, paper-brightness(picture.At(x, y)))
		}
	}
	return most
}
