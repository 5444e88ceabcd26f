package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"
)

// TestFrontchannelLogout signs out in a browser, which loads what signs it out of an
// application on another origin, and goes on: with scripts by itself, without them by a link.
func TestFrontchannelLogout(t *testing.T) {
	t.Parallel()
	s := start(t)
	var mu sync.Mutex
	var framed []url.Values // that the application was loaded with in a frame
	var id string           // the ID token of the last sign-in
	config := &oauth2.Config{ClientID: "shop", Scopes: []string{"openid"}, Endpoint: oauth2.Endpoint{AuthURL: s.url + "/oauth2/authorize", TokenURL: s.url + "/oauth2/token"}}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/callback" {
			token, err := config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			id, _ = token.Extra("id_token").(string)
		}
		if r.URL.Path == "/frame" && r.Header.Get("Sec-Fetch-Dest") == "iframe" && r.Header.Get("Referer") == "" {
			framed = append(framed, r.URL.Query())
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>App</title><link rel=icon href=data:,><p id=at>%s %s", r.URL.Path, r.FormValue("state"))
	}))
	t.Cleanup(app.Close)
	origin := strings.Replace(app.URL, "127.0.0.1", "localhost", 1)
	config.RedirectURL = origin + "/callback"
	s.operate(t, "", "client", "create", "shop", "--auth", "none", "--redirect-uri", config.RedirectURL, "--skip-consent", "--post-logout-redirect-uri", origin+"/bye",
		"--frontchannel-logout-uri", origin+"/frame?a=1", "--frontchannel-logout-session-required")
	b := visit(t, s.url, view{"phone", 390, 844, false}, true)
	for i, scripts := range []bool{true, false} {
		b.do("with or without scripts", emulation.SetScriptExecutionDisabled(!scripts))
		b.do("signing in", chromedp.Navigate(config.AuthCodeURL("x", oauth2.S256ChallengeOption(verifier))), chromedp.WaitVisible("#signin"),
			chromedp.SendKeys("#username", "viewer"), chromedp.SendKeys("#password", s.password), chromedp.Click("#submit"), chromedp.WaitVisible("#at"))
		mu.Lock()
		leave := s.url + "/oauth2/logout?" + url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {origin + "/bye"}, "state": {"kept"}}.Encode()
		mu.Unlock()
		b.do("signing out", chromedp.Navigate(leave))
		if !scripts {
			b.do("the page", chromedp.WaitVisible("#continue"))
			b.sees("logout-frames", "You are signed out", "Continue")
			b.do("going on", chromedp.Click("#continue"))
		}
		var at string
		b.do("coming back", chromedp.WaitVisible("#at"), chromedp.Text("#at", &at))
		mu.Lock()
		if q := framed; at != "/bye kept" || len(q) != i+1 || q[i].Get("a") != "1" || q[i].Get("iss") != s.url || q[i].Get("sid") == "" {
			t.Errorf("with scripts %t: at %q, framed %v", scripts, at, q)
		}
		mu.Unlock()
	}
	b.quiet()
}
