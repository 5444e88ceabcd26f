package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTheme looks at the sign-in in somebody else's colours: they arrive, in the light and in
// the dark, and nothing of it is against the page's policy.
func TestTheme(t *testing.T) {
	t.Parallel()
	logo := filepath.Join(t.TempDir(), "logo.svg")
	if err := os.WriteFile(logo, []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="96" height="32"><rect width="96" height="32" rx="6" fill="#005a9c"/><circle cx="16" cy="16" r="8" fill="#fff"/></svg>`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "DOORWARD_THEME_NAME=Acme", "DOORWARD_THEME_ACCENT=#005a9c", "DOORWARD_THEME_ACCENT_DARK=#88ccff", "DOORWARD_THEME_BACKGROUND=#ffffff", "DOORWARD_THEME_RADIUS=2", "DOORWARD_THEME_LOGO="+logo)
	for _, tt := range []struct {
		view                view
		button, ink, ground string
	}{
		{view{"light", 1280, 900, false}, "rgb(0, 90, 156)", "rgb(255, 255, 255)", "rgb(255, 255, 255)"},
		{view{"dark", 390, 844, true}, "rgb(136, 204, 255)", "rgb(0, 0, 0)", "rgb(22, 24, 28)"},
	} {
		t.Run(tt.view.name, func(t *testing.T) {
			b := visit(t, s.url, tt.view, true)
			var got struct {
				Button, Ink, Ground, Radius, Name, Title string
				Logo                                     int
			}
			var shot []byte
			b.do("looking", chromedp.Navigate(s.url+"/signin"), chromedp.WaitVisible("#signin"), chromedp.Evaluate(`(() => {
				const button = getComputedStyle(document.querySelector("#submit")), logo = document.querySelector("header img");
				return {Button: button.backgroundColor, Ink: button.color, Radius: button.borderTopLeftRadius, Ground: getComputedStyle(document.body).backgroundColor,
					Name: document.querySelector("header").innerText.trim(), Title: document.title, Logo: logo.naturalWidth};
			})()`, &got), chromedp.FullScreenshot(&shot, 100))
			if got.Button != tt.button || got.Ink != tt.ink || got.Ground != tt.ground || got.Radius != "2px" || got.Name != "Acme" || got.Logo != 96 || !strings.HasSuffix(got.Title, " · Acme") {
				t.Errorf("%+v, want %+v", got, tt)
			}
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "theme-"+tt.view.name+".png"), shot, 0o600); err != nil {
				t.Fatal(err)
			}
			b.quiet()
		})
	}
}
