package e2e_test

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/need"
)

// view is how somebody looks at a page.
type view struct {
	name          string
	width, height int
	dark          bool
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

var message = regexp.MustCompile(`CONSOLE[^"]*"(.*)`)

// look opens a page in Chromium, and returns how it looks, what became of it,
// and what the console says.
func look(t *testing.T, v view, url string) (picture image.Image, dom string, console []string) {
	t.Helper()
	chromium, err := need.Program(t.Context(), "chromium", "chromium", "fonts-dejavu-core")
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: Chromium may go on writing there for a moment.
	folder, err := os.MkdirTemp("", "doorward-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	shot := filepath.Join(folder, "page.png")
	scheme := 1
	if v.dark {
		scheme = 0
	}
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars", "--user-data-dir="+folder,
		fmt.Sprintf("--window-size=%d,%d", v.width, v.height), fmt.Sprintf("--blink-settings=preferredColorScheme=%d", scheme),
		"--enable-logging=stderr", "--v=0", "--dump-dom", "--screenshot="+shot, url)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if m := message.FindStringSubmatch(line); m != nil {
			console = append(console, m[1])
		}
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	defer f.Close()
	if picture, err = png.Decode(f); err != nil {
		t.Fatal(err)
	}
	return picture, stdout.String(), console
}

func brightness(c color.Color) int { return int(color.GrayModel.Convert(c).(color.Gray).Y) }

// contrast returns by how much anything in the columns from one to another
// stands out from the paper. The last rows are left out: there Chromium draws
// its own edge.
func contrast(picture image.Image, paper, from, to int) (most int) {
	const edge = 8
	for y := 0; y < picture.Bounds().Max.Y-edge; y++ {
		for x := from; x < to; x++ {
			most = max(most, brightness(picture.At(x, y))-paper, paper-brightness(picture.At(x, y)))
		}
	}
	return most
}
