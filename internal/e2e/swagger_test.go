//go:build interop

package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	requests "github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

	"github.com/doorward/doorward/internal/storm/program"
)

// TestInteropSwaggerUI presses the button Authorize on the page that FastAPI makes of
// an API: Swagger UI signs somebody in at Doorward from another origin, and calls the
// API with the token.
func TestInteropSwaggerUI(t *testing.T) {
	t.Parallel()
	_, clients := nodeRoom(t, "clients")
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	api := fmt.Sprintf("http://localhost:%d", port)
	s := start(t, "DOORWARD_CORS_ORIGINS="+api)
	s.operate(t, "", strings.Fields("role create orders --permission orders:read --permission orders:write")...)
	s.operate(t, "", strings.Fields("role grant editor orders")...)
	launch(t, api+"/openapi.json", examples[0].begin(t, port, "ISSUER="+s.url))

	b := visit(t, api, view{"swagger", 1280, 1200, false}, true)
	b.do("the network", offline(b.ctx, filepath.Join(clients, "node_modules")))
	b.do("opening", chromedp.Navigate(api+"/docs"), chromedp.WaitVisible(".btn.authorize"), press(".btn.authorize"), chromedp.WaitVisible("#oauth_username"))
	b.do("authorizing", chromedp.SendKeys("#oauth_username", "editor"), chromedp.SendKeys("#oauth_password", s.password),
		press(".scopes h2 a"), press(".auth-btn-wrapper .authorize"), chromedp.WaitVisible(`//button[text()="Logout"]`), press(".auth-btn-wrapper .btn-done"))
	for operation, want := range map[string]string{"read_orders_get": "200", "me_me_get": "200", "make_orders_post": "201"} {
		var got string
		at := "#operations-default-" + operation + " "
		b.do(operation, press(at+".opblock-summary-control"), chromedp.WaitVisible(at+".try-out__btn"), press(at+".try-out__btn"),
			chromedp.WaitVisible(at+".execute"), press(at+".execute"), chromedp.WaitVisible(at+".live-responses-table .response-col_status"),
			chromedp.Text(at+".live-responses-table .response .response-col_status", &got))
		if !strings.HasPrefix(strings.TrimSpace(got), want) {
			t.Errorf("%s is answered %s, want %s", operation, got, want)
		}
	}
}

// offline lets the browser have, of the network, the scripts that npm brought.
func offline(ctx context.Context, modules string) chromedp.Action {
	chromedp.ListenTarget(ctx, func(event any) {
		e, ok := event.(*requests.EventRequestPaused)
		if !ok {
			return
		}
		go func() { // not from the listener, which must return
			answer := requests.FulfillRequest(e.RequestID, http.StatusNotFound)
			if _, path, found := strings.Cut(e.Request.URL, "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"); found {
				if text, err := os.ReadFile(filepath.Join(modules, "swagger-ui-dist", filepath.Base(path))); err == nil {
					kind := map[string]string{".js": "text/javascript", ".css": "text/css"}[filepath.Ext(path)]
					answer = requests.FulfillRequest(e.RequestID, http.StatusOK).WithBody(base64.StdEncoding.EncodeToString(text)).
						WithResponseHeaders([]*requests.HeaderEntry{{Name: "Content-Type", Value: kind}, {Name: "Access-Control-Allow-Origin", Value: "*"}})
				}
			}
			_ = chromedp.Run(ctx, answer) // the page may be gone
		}()
	})
	return requests.Enable().WithPatterns([]*requests.RequestPattern{{URLPattern: "https://*"}})
}
