package server_test

import (
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/servertest"
)

// receivers are the applications' sides of back-channel logout: each by the path that it is
// told at.
type receivers struct {
	*httptest.Server
	mu    sync.Mutex
	told  map[string][]string // the logout tokens, by path
	does  map[string]http.HandlerFunc
	freed chan struct{} // closed once nobody hangs any more
}

// receiving is a site that may tell receivers.
func receiving(t *testing.T, o servertest.Options) (*servertest.Site, *receivers) {
	t.Helper()
	r := &receivers{told: map[string][]string{}, does: map[string]http.HandlerFunc{}, freed: make(chan struct{})}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Set = map[string]string{"fetch.allow": r.Listener.Addr().String(), "fetch.ca": ca}
	s := servertest.Start(t, o)
	t.Cleanup(func() { close(r.freed) }) // before the site stops
	return s, r
}

func (r *receivers) take(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	form, err := url.ParseQuery(string(body))
	token := form.Get("logout_token")
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != formType || err != nil || len(form) != 1 || req.Header.Get("Cookie") != "" || req.Header.Get("Authorization") != "" {
		token = "a request that is none: " + req.Method + " " + string(body)
	}
	r.mu.Lock()
	r.told[req.URL.Path] = append(r.told[req.URL.Path], token)
	does := r.does[req.URL.Path]
	r.mu.Unlock()
	if does != nil {
		does(w, req)
	}
}

// tokens waits until as many tokens came to a path, and returns them.
func (r *receivers) tokens(t *testing.T, path string, n int) []string {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		list := slices.Clone(r.told[path])
		r.mu.Unlock()
		if len(list) >= n {
			return list
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%s was told %d times, want %d", path, len(list), n)
		}
	}
}

// receiver registers an application that is told at a path, and reports whether that was
// taken.
func (r *receivers) receiver(t *testing.T, s *servertest.Site, id string, change func(*client.Draft)) {
	t.Helper()
	app(t, s, id, func(d *client.Draft) {
		d.SkipConsent, d.Method, d.BackchannelLogoutURI, d.PostLogoutRedirectURIs = true, "none", r.URL+"/"+id+"?from=doorward", []string{parted}
		if change != nil {
			change(d)
		}
	})
}

// visits signs a browser in to another application, too.
func visits(t *testing.T, b *servertest.Browser, app string) granted {
	t.Helper()
	var g granted
	redeem(t, b.Site, app, "", code(t, b, authorizing(app))).JSON(t, &g)
	return g
}

// logoutToken holds a logout token against an ID token of the same sign-in (OpenID Connect
// Back-Channel Logout 1.0, Section 2.4).
func logoutToken(t *testing.T, s *servertest.Site, token, id string, alg jose.Algorithm) {
	t.Helper()
	view, err := s.Core.Keys.View()
	if err != nil {
		t.Fatal(err)
	}
	var keys []jose.Key
	for _, k := range view.Published {
		keys = append(keys, jose.Key{ID: k.ID, Algorithm: k.Alg, Public: k.Private.Public()})
	}
	verified, err := jose.Verify(token, keys, alg)
	if err != nil || verified.Type != "logout+jwt" {
		t.Fatalf("%s: %v, of type %q", token, err, verified.Type)
	}
	c, of := payload(t, token), payload(t, id)
	for _, name := range []string{"iss", "sub", "aud", "sid"} {
		if c[name] == nil || c[name] != of[name] {
			t.Errorf("%s is %v, and %v in the ID token", name, c[name], of[name])
		}
	}
	events, _ := c["events"].(map[string]any)
	event, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	if life := c["exp"].(float64) - c["iat"].(float64); !ok || len(event) != 0 || len(events) != 1 || life <= 0 || life > 120 || c["jti"] == "" {
		t.Errorf("it says %v", c)
	}
	if names := slices.Sorted(maps.Keys(c)); !slices.Equal(names, []string{"aud", "events", "exp", "iat", "iss", "jti", "sid", "sub"}) {
		t.Errorf("it says %q", names)
	}
}

// Each application that a person signed in to in his browser is told when he is signed out,
// once, of that session, and no other is (OpenID Connect Back-Channel Logout 1.0).
func TestBackchannelLogout(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s, r := receiving(t, servertest.Options{DSN: dsn})
		r.receiver(t, s, "shop", nil)
		r.receiver(t, s, "forum", func(d *client.Draft) { d.IDTokenAlg, d.BackchannelLogoutSessionRequired = jose.EdDSA, true })
		r.receiver(t, s, "quiet", func(d *client.Draft) { d.BackchannelLogoutURI = "" })
		r.receiver(t, s, "unseen", nil)
		s.User(t, "ana", "editor")
		s.User(t, "bob", "editor")
		b, phone, bob := s.Browser(t), s.Browser(t), s.Browser(t)
		shop := arrives(t, b, "ana", "shop")
		forum, quiet := visits(t, b, "forum"), visits(t, b, "quiet")
		visits(t, b, "shop")
		there := arrives(t, phone, "ana", "shop")
		arrives(t, bob, "bob", "shop")
		began := time.Now()
		if a := leaves(t, b, "id_token_hint", quiet.ID, "post_logout_redirect_uri", parted); a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the sign-out took %v", took)
		}
		logoutToken(t, s, r.tokens(t, "/shop", 1)[0], shop.ID, jose.ES256)
		logoutToken(t, s, r.tokens(t, "/forum", 1)[0], forum.ID, jose.EdDSA)
		if !here(t, phone) || !here(t, bob) {
			t.Error("another session ended too")
		}
		// The token is good for nothing here.
		token := r.tokens(t, "/shop", 1)[0]
		wants(t, "as an access token", s.Call(t, token, http.MethodGet, "/oauth2/userinfo", nil), 401, "")
		if a := leaves(t, phone, "id_token_hint", token, "post_logout_redirect_uri", parted); a.Header.Get("Location") != "" || !here(t, phone) {
			t.Errorf("as a hint: %d %s", a.Status, a.Header.Get("Location"))
		}
		// An administrator who ends the other one.
		sid := payload(t, there.ID)["sid"].(string)
		wants(t, "an end from elsewhere", s.Call(t, s.Login(t, servertest.Admin).Access, http.MethodDelete, "/sessions/"+sid, nil), 204, "")
		tokens := r.tokens(t, "/shop", 2)
		logoutToken(t, s, tokens[1], there.ID, jose.ES256)
		if payload(t, tokens[0])["jti"] == payload(t, tokens[1])["jti"] {
			t.Error("two tokens have one name")
		}
		bob.Submit(t, "/account", "/account/signout")
		r.tokens(t, "/shop", 3)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.told["/shop"]) != 3 || len(r.told["/forum"]) != 1 || len(r.told) != 2 {
			t.Errorf("told were %v", r.told)
		}
	})
}

// Who is slow, down or evil holds up neither the person nor the other applications, leads to
// no other place, and is recorded (SES-007).
func TestAttackSES007EvilReceivers(t *testing.T) {
	t.Parallel()
	c := &steered{}
	s, r := receiving(t, servertest.Options{Tweak: c.tweak})
	r.does = map[string]http.HandlerFunc{
		"/hang": func(http.ResponseWriter, *http.Request) { <-r.freed },
		"/redirect": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "/inside", http.StatusTemporaryRedirect)
		},
		"/down":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"/refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"/large": func(w http.ResponseWriter, _ *http.Request) {
			for part := make([]byte, 1<<20); ; { // without an end
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		},
	}
	s.User(t, "ana", "editor")
	b := s.Browser(t)
	b.Login(t, "ana")
	names := append(slices.Sorted(maps.Keys(r.does)), "/good")
	for _, path := range names {
		r.receiver(t, s, path[1:], nil)
		visits(t, b, path[1:])
	}
	began := time.Now()
	if a := b.Submit(t, "/account", "/account/signout"); a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the sign-out took %v", took)
	}
	for _, path := range names {
		r.tokens(t, path, 1)
	}
	recorded := func(want map[string]string) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			got := map[string]string{}
			for _, e := range events(t, s, string(audit.ClientNotTold)) {
				got[e.Target] += e.Reason + " "
			}
			if maps.Equal(got, want) {
				return
			}
			if time.Since(began) > 10*time.Second {
				t.Fatalf("recorded is %v, want %v", got, want)
			}
		}
	}
	failed := map[string]string{"client:redirect": "not-delivered ", "client:down": "not-delivered ", "client:refuses": "refused "}
	recorded(failed)
	// Who is up again is told; it need not be at the same place.
	r.mu.Lock()
	r.does["/down"] = nil
	r.mu.Unlock()
	c.pass(11 * time.Second)
	r.tokens(t, "/down", 2)
	r.tokens(t, "/redirect", 2)
	recorded(failed)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told["/inside"] != nil || len(r.told["/refuses"]) != 1 || len(r.told["/good"]) != 1 || len(r.told["/large"]) != 1 {
		t.Errorf("told were %v", slices.Sorted(maps.Keys(r.told)))
	}
}

// An application is told nowhere but at a place of the public Internet, whatever its name
// means when it is told (SES-007, SSRF-001).
func TestAttackSES007PlacesInside(t *testing.T) {
	t.Parallel()
	s, r := receiving(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	for _, place := range []string{
		"http://shop.example/logout", "https://127.0.0.1/logout", "https://169.254.169.254/latest", "https://[::1]/", "https://10.0.0.1:8443/", "https://shop.example:22/",
		"javascript:alert(1)", "//shop.example/", "/logout", "https://shop.example/#x", "https://a:b@shop.example/", "file:///etc/passwd", "https://", "https://shop.example/" + strings.Repeat("a", 3000),
	} {
		a := s.Call(t, root, http.MethodPost, "/clients", map[string]any{"redirect_uris": []string{callback}, "backchannel_logout_uri": place})
		wants(t, place, a, 400, "backchannel_logout_uri")
	}
	wants(t, "without a place", s.Call(t, root, http.MethodPost, "/clients", map[string]any{"redirect_uris": []string{callback}, "backchannel_logout_session_required": true}), 400, "backchannel_logout_session_required")
	// A name that means this machine is found out when it is asked.
	r.receiver(t, s, "inside", func(d *client.Draft) { d.BackchannelLogoutURI = "https://localhost:8443/" })
	r.receiver(t, s, "good", nil)
	s.User(t, "ana", "editor")
	b := s.Browser(t)
	arrives(t, b, "ana", "inside")
	visits(t, b, "good")
	b.Submit(t, "/account", "/account/signout")
	r.tokens(t, "/good", 1)
	for began := time.Now(); len(events(t, s, string(audit.ClientNotTold))) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it is not recorded that a place inside was not asked")
		}
	}
}
