package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// withInbox is a site as dev starts it.
func withInbox(t *testing.T, dsn string) *servertest.Site {
	t.Helper()
	return servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Inbox = true }})
}

// mailed waits until the inbox holds n letters.
func mailed(t *testing.T, s *servertest.Site, n int) []outbox.Mail {
	t.Helper()
	for range 100 {
		list, err := s.Core.Store.ListMail(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) >= n {
			return list
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%d letters did not come", n)
	return nil
}

// What is posted can be read in the inbox, by whoever runs dev.
func TestInbox(t *testing.T) {
	s := withInbox(t, "")
	if a := s.Send(t, "GET", "/inbox", "", ""); a.Status != http.StatusOK || !strings.Contains(a.Body, "No letters yet.") {
		t.Errorf("an empty inbox: %d %s", a.Status, a.Body)
	}
	if a := s.Send(t, "GET", "/", "", ""); !strings.Contains(a.Body, `<a href="/inbox">`) {
		t.Errorf("the front page does not name it: %s", a.Body)
	}
	u := s.User(t, "alice")
	now := s.Core.Clock.Now()
	old := outbox.New(u.ID, outbox.PasswordChanged, now.Add(-time.Hour), nil)
	l := outbox.New(u.ID, outbox.DeviceNew, now, map[string]string{"address": "203.0.113.7", "user_agent": "<script>alert(1)</script> Firefox/1"})
	if err := s.Core.Store.Post(t.Context(), old, l); err != nil {
		t.Fatal(err)
	}
	list := mailed(t, s, 2)
	if list[0].ID != l.ID || list[1].ID != old.ID {
		t.Errorf("the newest does not come first: %+v", list)
	}
	page := s.Send(t, "GET", "/inbox", "", "")
	first, second := strings.Index(page.Body, "/inbox/"+l.ID), strings.Index(page.Body, "/inbox/"+old.ID)
	if first < 0 || second < first || !strings.Contains(page.Body, "alice@example.com") {
		t.Errorf("the list is\n%s", page.Body)
	}
	letter := s.Send(t, "GET", "/inbox/"+l.ID, "", "")
	for _, has := range []string{"Hello alice,", "  From:     203.0.113.7\n", "Firefox", `<a href="` + s.URL + `">`, "&lt;h1&gt;"} {
		if !strings.Contains(letter.Body, has) {
			t.Errorf("the letter lacks %q:\n%s", has, letter.Body)
		}
	}
	html := s.Send(t, "GET", "/inbox/"+l.ID+"/html", "", "")
	if html.Status != http.StatusOK || html.Body != strings.TrimSpace(list[0].HTML) {
		t.Errorf("%d\n%s", html.Status, html.Body)
	}
	for name, a := range map[string]servertest.Answer{"list": page, "letter": letter, "html": html} {
		csp := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(a.Body, "<script") {
			t.Errorf("%s: %v", name, a.Header)
		}
	}
	if csp := html.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "; sandbox ") || strings.Contains(csp, "allow-scripts") || strings.Contains(csp, "script-src") {
		t.Error(csp)
	}
	for _, path := range []string{"/inbox/", "/inbox/x", "/inbox/" + id.New(now), "/inbox/" + id.New(now) + "/html", "/inbox/" + strings.Repeat("z", 26), "/inbox/" + l.ID + "/"} {
		if a := s.Send(t, "GET", path, "", ""); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}

// Payloads that reach a kept letter by any way are text on the page, and text in
// the HTML that is shown.
func TestAttackWEB008Inbox(t *testing.T) {
	s := withInbox(t, "")
	for i, payload := range []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</style><script>alert(1)</script>", "</pre><h1>x", "javascript:alert(1)", s.URL + `/"onmouseover=alert(1)`, s.URL + ".evil.example/x", s.URL + "@evil.example/", "{{.}}"} {
		m := outbox.Mail{ID: id.New(s.Core.Clock.Now()), User: "u", To: payload, Subject: payload, Text: payload, HTML: payload, At: s.Core.Clock.Now().Add(time.Duration(i))}
		if err := s.Core.Store.KeepMail(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/inbox", "/inbox/" + m.ID} {
			a := s.Send(t, "GET", path, "", "")
			if a.Status != http.StatusOK {
				t.Errorf("%q: %d", payload, a.Status)
			}
			for _, bad := range []string{"<script>alert", "<img", "</pre><h1>", `"onmouseover`, `href="javascript:`, `href="` + s.URL + ".evil", `href="` + s.URL + "@evil"} {
				if strings.Contains(a.Body, bad) {
					t.Errorf("%s with %q has %s:\n%s", path, payload, bad, a.Body)
				}
			}
		}
		a := s.Send(t, "GET", "/inbox/"+m.ID+"/html", "", "")
		if csp := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "script-src") || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q is shown under %s", payload, csp)
		}
	}
}

// Only dev has an inbox: any other server knows no such path.
func TestNoInboxElsewhere(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	for _, path := range []string{"/inbox", "/inbox/" + id.New(s.Core.Clock.Now())} {
		if a := s.Send(t, "GET", path, "", ""); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if a := s.Send(t, "GET", "/", "", ""); strings.Contains(a.Body, "inbox") {
		t.Error("the front page names an inbox")
	}
	// And what is posted there, without a mail server, does not stay.
	u := s.User(t, "alice")
	if err := s.Core.Store.Post(t.Context(), outbox.New(u.ID, outbox.DeviceNew, s.Core.Clock.Now(), nil)); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		claims, err := s.Core.Store.ClaimLetters(t.Context(), outbox.Mails, 1, time.Nanosecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) == 0 {
			break
		}
		if n == 100 {
			t.Fatal("the letter stays")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A mail server that hangs costs no request anything (F30).
func TestAttackF30RequestsGoOn(t *testing.T) {
	var mu sync.Mutex
	tried := 0
	s := servertest.Start(t, servertest.Options{Tweak: func(o *server.Options) {
		o.Carrier = outbox.CarrierFunc(func(ctx context.Context, _ outbox.Mail) error {
			mu.Lock()
			tried++
			mu.Unlock()
			<-ctx.Done()
			return errors.New("it hangs")
		})
	}})
	u := s.User(t, "alice")
	var letters []outbox.Letter
	for i := range 20 {
		letters = append(letters, outbox.New(u.ID, outbox.DeviceNew, s.Core.Clock.Now(), map[string]string{"count": fmt.Sprint(i)}))
	}
	if err := s.Core.Store.Post(t.Context(), letters...); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 100; n++ {
		mu.Lock()
		begun := tried
		mu.Unlock()
		if begun > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	start := time.Now()
	s.Login(t, "alice")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a sign-in took %v", took)
	}
	mu.Lock()
	defer mu.Unlock()
	if tried == 0 || tried > 4 {
		t.Errorf("%d letters are on their way", tried)
	}
}
