package signin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

// Every text that a page names is in the catalogue, and none is there in vain.
func TestCatalogue(t *testing.T) {
	used := map[string]bool{}
	names := regexp.MustCompile(`"((?:signin|account|form|time|error|done|consent|choose|device|logout)\.[a-z0-9.-]+)"`)
	for _, place := range []string{"layout", "signin", "account", "error", "consent", "device", "logout"} {
		text, err := pages.ReadFile("pages/" + place + ".html")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Say "([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
		if loose := regexp.MustCompile(`>\s*[A-Z][a-z]+ [a-z]+`).FindString(string(text)); loose != "" {
			t.Errorf("%s.html has words of its own: %q", place, loose)
		}
	}
	for _, m := range names.FindAllStringSubmatch(sources(t), -1) {
		used[m[1]] = true
	}
	all := languages.words[0]
	for key := range all {
		// These are put together: error.STATUS, and done.NAME from a link.
		// So are scope.SCOPE and the messages of errors, which have spaces.
		if !used[key] && !strings.HasPrefix(key, "error.") && !strings.HasPrefix(key, "done.") && !strings.HasPrefix(key, "scope.") && !strings.HasPrefix(key, "device.done.") && !strings.Contains(key, " ") {
			t.Errorf("nothing says %s", key)
		}
	}
	for _, name := range regexp.MustCompile(`\?done=([a-z-]+)`).FindAllStringSubmatch(sources(t), -1) {
		if all["device.done."+name[1]] == "" { // where a device was let in
			used["done."+name[1]] = true
		}
	}
	for key := range used {
		if all[key] == "" && !strings.HasSuffix(key, ".") {
			t.Errorf("the catalogue has no %s", key)
		}
	}
	for i, w := range languages.words {
		for key, text := range w {
			if holes := regexp.MustCompile(`%\[\d\][ds]`); !slices.Equal(holes.FindAllString(text, -1), holes.FindAllString(all[key], -1)) || strings.TrimSpace(text) == "" {
				t.Errorf("language %d: %s is %q", i, key, text)
			}
		}
		if len(w) != len(all) {
			t.Errorf("language %d has %d texts, English %d", i, len(w), len(all))
		}
	}
}

// An error page has its status, the id and what to do, and nothing of the error.
func TestFailPage(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		title  string
		header string
	}{
		{errors.New("dial tcp 10.0.0.1: secret"), 500, "Something went wrong", ""},
		{fault.New(fault.NotFound, "there is no secret"), 404, "There is nothing here", ""},
		{fault.New(fault.Unavailable, "secret"), 503, "Not at the moment", "Retry-After"},
		{&fault.Error{Kind: fault.Limited, Message: "secret", After: time.Minute}, 429, "Too many attempts", "Retry-After"},
		{&web.Refused{Status: 403, Message: "secret"}, 403, "That came from another site", ""},
		{&web.Refused{Status: 405, Message: "secret", Allow: "GET"}, 405, "This page only takes a form", "Allow"},
		{&web.Refused{Status: 413, Message: "secret"}, 413, "Something went wrong", ""},
		{&oauth.Error{Code: oauth.InvalidRequest, Description: "secret"}, 400, "That could not be read", ""},
		{&oauth.Error{Code: oauth.ServerError, Description: "secret"}, 500, "Something went wrong", ""},
	} {
		w := httptest.NewRecorder()
		site := web.Site{Hosts: []string{"example.com"}, Log: quiet, Fail: FailPage}
		site.Around(web.Serve(func(http.ResponseWriter, *http.Request) error { return tt.err }, FailPage)).
			ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody))
		body := w.Body.String()
		if w.Code != tt.status || !strings.Contains(body, "<h1>"+tt.title+"</h1>") || !strings.Contains(body, w.Header().Get("X-Request-Id")) || strings.Contains(body, "secret") {
			t.Errorf("%v: %d\n%s", tt.err, w.Code, body)
		}
		if tt.header != "" && w.Header().Get(tt.header) == "" {
			t.Errorf("%v: no %s", tt.err, tt.header)
		}
		if w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %v", tt.err, w.Header())
		}
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC)
	w := languages.words[0]
	for _, tt := range []struct {
		ago  time.Duration
		want string
	}{
		{-time.Hour, "just now"},
		{0, "just now"},
		{59 * time.Second, "just now"},
		{time.Minute, "1 min ago"},
		{59*time.Minute + 59*time.Second, "59 min ago"},
		{time.Hour, "1 h ago"},
		{23*time.Hour + 59*time.Minute, "23 h ago"},
		{24 * time.Hour, "23 Nov 2026"},
		{400 * 24 * time.Hour, "20 Oct 2025"},
	} {
		if got := w.when(now.Add(-tt.ago), now).Text; got != tt.want {
			t.Errorf("%v: %q, want %q", tt.ago, got, tt.want)
		}
	}
	for d, want := range map[time.Duration]string{0: "1 s", time.Second: "1 s", 1500 * time.Millisecond: "2 s", time.Minute: "60 s", 61 * time.Second: "2 min", time.Hour: "60 min"} {
		if got := w.wait(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
