package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// sets reports whether an answer gives or takes back a cookie.
func sets(a servertest.Answer, name string) bool {
	for _, c := range a.Header.Values("Set-Cookie") {
		if strings.HasPrefix(c, "doorward_"+name+"=") {
			return true
		}
	}
	return false
}

// Another site can make a browser sign in to an account of its own, and have its
// cookies taken back. It cannot take away what makes the browser known, nor sign
// it out.
func TestAttackAnotherSiteSetsNoCookie(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "mallory", "viewer")
	form := url.Values{"username": {"mallory"}, "password": {servertest.Password}}.Encode()
	for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		if a := s.Send(t, http.MethodPost, "/auth/login", formType, form, from...); a.Status != http.StatusOK || len(a.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("%v: signing in: %d, %v", from, a.Status, a.Header.Values("Set-Cookie"))
		}
		a := s.Send(t, http.MethodPost, "/auth/logout", formType, "", append(from, "Cookie", "_ga=1")...)
		if a.Status != http.StatusForbidden || len(a.Header.Values("Set-Cookie")) != 0 || a.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%v: signing out: %d, %v", from, a.Status, a.Header)
		}
	}
	for _, from := range [][]string{nil, {"Sec-Fetch-Site", "same-origin"}, {"Origin", s.URL}} {
		if a := s.Send(t, http.MethodPost, "/auth/login", formType, form, from...); !sets(a, "device") {
			t.Errorf("%v: %d, %v", from, a.Status, a.Header.Values("Set-Cookie"))
		}
	}
}

// Whoever once knew the password and kept what makes a browser known is a stranger
// once it is changed.
func TestAttackLOG010DeviceOfAnOldPassword(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: strict})
		s.User(t, "ann", "viewer")
		thief, owner := s.Browser(t), s.Browser(t)
		thief.Login(t, "ann")
		owner.Login(t, "ann")
		const next = "another good one"
		a := owner.Send(t, http.MethodPost, "/users/me/password", jsonType, `{"current_password":"`+servertest.Password+`","new_password":"`+next+`"}`)
		if a.Status != http.StatusNoContent {
			t.Fatalf("the change: %d %s", a.Status, a.Body)
		}
		if a := owner.Form(t, "/auth/login", "username", "ann", "password", next); a.Status != http.StatusOK {
			t.Fatalf("she signs in anew: %d %s", a.Status, a.Body)
		}
		for range 5 {
			login(t, s, "ann", "wrong")
		}
		if a := thief.Form(t, "/auth/login", "username", "ann", "password", "a guess"); a.Status != http.StatusTooManyRequests {
			t.Errorf("a device from before the change: %d %s", a.Status, a.Body)
		}
		if a := owner.Form(t, "/auth/login", "username", "ann", "password", next); a.Status != http.StatusOK {
			t.Errorf("the owner's: %d %s", a.Status, a.Body)
		}
	})
}

// What a client calls itself is no text that a database must take: a right
// password was answered otherwise than a wrong one.
func TestAttackUserAgents(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		for name, agent := range map[string]string{
			"no UTF-8": "\xff", "cut": "x" + strings.Repeat("é", 200), "half a letter": "a\xc3", "a surrogate": "\xed\xa0\x80", "long": strings.Repeat("a", 8000),
		} {
			for _, mode := range []string{"", "&mode=cookie"} {
				form := "username=ann&password=" + url.QueryEscape(servertest.Password) + mode
				if a := s.Send(t, http.MethodPost, "/auth/login", formType, form, "User-Agent", agent); a.Status != http.StatusOK {
					t.Errorf("%s%s: %d %s", name, mode, a.Status, a.Body)
				}
			}
		}
	})
}

// Whoever keeps an account locked does not keep out its owner for the sake of what
// she does against him: where she changes her password, she is known by the new one.
func TestAttackLOG009OwnerChangesHerPassword(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: strict})
		for name, change := range map[string]func(b *servertest.Browser, current, next string) bool{
			"page": func(b *servertest.Browser, current, next string) bool {
				a := b.Submit(t, "/account", "/account/password", "current_password", current, "new_password", next)
				return a.Header.Get("Location") == "/account?done=password-changed"
			},
			"api": func(b *servertest.Browser, current, next string) bool {
				a := b.Send(t, http.MethodPost, "/users/me/password", jsonType, `{"current_password":"`+current+`","new_password":"`+next+`"}`)
				return a.Status == http.StatusNoContent
			},
		} {
			s.User(t, name, "viewer")
			her, other := s.Browser(t), s.Browser(t)
			her.Login(t, name)
			other.Login(t, name)
			for range 5 {
				login(t, s, name, "wrong")
			}
			const next = "another good one"
			if !change(her, servertest.Password, next) {
				t.Errorf("%s: the change, while strangers are locked out", name)
			}
			if a := her.Form(t, "/auth/login", "username", name, "password", next); a.Status != http.StatusOK {
				t.Errorf("%s: she comes back: %d %s", name, a.Status, a.Body)
			}
			for who, b := range map[string]*servertest.Browser{"a stranger": s.Browser(t), "another device": other} {
				if a := b.Form(t, "/auth/login", "username", name, "password", next); a.Status != http.StatusTooManyRequests {
					t.Errorf("%s: %s: %d %s", name, who, a.Status, a.Body)
				}
			}
		}
	})
}
