package server_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/servertest"
)

// sector serves a list of redirect URIs, and returns where, with the settings that let it be
// fetched.
func sector(t *testing.T, lists map[string]any) (string, map[string]string) {
	t.Helper()
	at := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := lists[r.URL.Path].(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(lists[r.URL.Path])
	}))
	t.Cleanup(at.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: at.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return at.URL, also(opened, "fetch.allow", at.Listener.Addr().String(), "fetch.ca", ca)
}

// informed is what an application is told of who signed in.
type informed struct {
	id, info, introspected string
	username               any
	access, hint           string
}

// inform signs a browser in to an application, and looks at each place where it is told
// who that is.
func inform(t *testing.T, s *servertest.Site, b *servertest.Browser, e enrolled) informed {
	t.Helper()
	var g granted
	if a := redeem(t, s, e.ID, e.Secret, code(t, b, authorizing(e.ID, "scope", "openid"))); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	} else {
		a.JSON(t, &g)
	}
	var info, judged map[string]any
	s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil).JSON(t, &info)
	registered{e.ID, e.Secret}.post(t, s, "/oauth2/introspect", "token", g.Access).JSON(t, &judged)
	text := func(v any) string { s, _ := v.(string); return s }
	return informed{text(payload(t, g.ID)["sub"]), text(info["sub"]), text(judged["sub"]), judged["username"], g.Access, g.ID}
}

// Applications of two sectors cannot tell that they have the same person before them, and
// those of one can (OpenID Connect Core 1.0, Section 8.1). The same is said everywhere.
func TestAttackDCR004Pairwise(t *testing.T) {
	t.Parallel()
	lists := map[string]any{
		"/shop": []string{callback, "https://other.example/cb"}, "/lacks": []string{"https://other.example/cb"}, "/huge": strings.Repeat(" ", 65<<10) + "[]",
		"/object": map[string]any{"redirect_uris": []string{callback}}, "/html": "<html>",
	}
	at, set := sector(t, lists)
	s := servertest.Start(t, servertest.Options{Set: set})
	ana := s.User(t, "ana", "editor")
	s.User(t, "ben", "editor")
	anas, bens := s.Browser(t), s.Browser(t)
	anas.Login(t, "ana")
	bens.Login(t, "ben")

	one := enrol(t, s, "", said("subject_type", "pairwise"))
	same := enrol(t, s, "", said("subject_type", "pairwise", "redirect_uris", []string{callback, callback + "2"}))
	another := enrol(t, s, "", said("subject_type", "pairwise", "sector_identifier_uri", at+"/shop"))
	public := enrol(t, s, "", said("sector_identifier_uri", at+"/shop"))
	a := inform(t, s, anas, one)
	for what, got := range map[string]string{"userinfo": a.info, "introspection": a.introspected} {
		if got != a.id {
			t.Errorf("by %s she is %q, and by her ID token %q", what, got, a.id)
		}
	}
	if len(a.id) != 43 || a.id == ana.ID || a.username != nil {
		t.Errorf("she is told as %+v", a)
	}
	if again := inform(t, s, anas, same); again.id != a.id {
		t.Errorf("in the same sector she is %q and %q", a.id, again.id)
	}
	if other := inform(t, s, anas, another); other.id == a.id || len(other.id) != 43 {
		t.Errorf("in two sectors she is %q and %q", a.id, other.id)
	}
	if ben := inform(t, s, bens, one); ben.id == a.id {
		t.Error("two people are one")
	}
	if p := inform(t, s, anas, public); p.id != ana.ID || p.username != "ana" {
		t.Errorf("in public she is %+v", p)
	}
	// The token itself is for APIs, which know her as everybody does.
	if sub := payload(t, a.access)["sub"]; sub != ana.ID {
		t.Errorf("to APIs she is %v", sub)
	}
	// What she is called leads back to her, and to nobody else.
	if v := answered(t, anas.Send(t, http.MethodGet, authorizing(one.ID, "scope", "openid", "prompt", "none", "id_token_hint", a.hint), "", "")); v.Get("code") == "" {
		t.Errorf("with her hint: %v", v)
	}
	if v := answered(t, bens.Send(t, http.MethodGet, authorizing(one.ID, "scope", "openid", "prompt", "none", "id_token_hint", a.hint), "", "")); v.Get("error") != "login_required" {
		t.Errorf("with another's: %v", v)
	}
	if x := bens.Send(t, http.MethodGet, "/oauth2/logout?id_token_hint="+a.hint, "", ""); x.Status != http.StatusOK || !strings.Contains(x.Body, "ben") {
		t.Errorf("signing another out: %d %s", x.Status, x.Body)
	}
	anas.Send(t, http.MethodGet, "/oauth2/logout?id_token_hint="+a.hint, "", "")
	if anas.Cookie(t, "session") != "" {
		t.Error("her hint does not sign her out")
	}

	http4 := strings.Replace(at, "https://", "http://", 1)
	for what, m := range map[string]map[string]any{
		"by http": said("sector_identifier_uri", http4+"/shop"), "a list that lacks one": said("sector_identifier_uri", at+"/lacks"), "a huge list": said("sector_identifier_uri", at+"/huge"),
		"an object": said("sector_identifier_uri", at+"/object"), "a page": said("sector_identifier_uri", at+"/html"), "nothing there": said("sector_identifier_uri", at+"/nosuch"),
		"an inner address":          said("sector_identifier_uri", "https://169.254.169.254/latest"),
		"several hosts":             said("subject_type", "pairwise", "redirect_uris", []string{callback, "https://other.example/cb"}),
		"one on this machine":       said("subject_type", "pairwise", "redirect_uris", []string{"http://127.0.0.1/cb"}),
		"a scheme of one's own":     said("subject_type", "pairwise", "application_type", "native", "redirect_uris", []string{"com.example.app:/cb"}),
		"a device of nobody's host": said("subject_type", "pairwise", "grant_types", []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}),
	} {
		m["subject_type"] = "pairwise"
		if x := s.Call(t, "", http.MethodPost, "/oauth2/register", m); x.Status != http.StatusBadRequest || x.Error() != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", what, x.Status, x.Body)
		}
	}
	// Who has several hosts shows that they are of one sector; and looked at again it is with
	// each change.
	two := enrol(t, s, "", said("subject_type", "pairwise", "sector_identifier_uri", at+"/shop", "redirect_uris", []string{callback, "https://other.example/cb"}))
	lists["/shop"] = []string{callback}
	m := said("client_id", two.ID, "subject_type", "pairwise", "sector_identifier_uri", at+"/shop", "redirect_uris", []string{callback, "https://other.example/cb"})
	if x := s.Call(t, two.Token, http.MethodPut, two.place(), m); x.Status != http.StatusBadRequest || x.Error() != "invalid_client_metadata" {
		t.Errorf("once it is not listed any more: %d %s", x.Status, x.Body)
	}
	// An administrator's word is held to the same.
	if _, _, err := s.Core.Clients.Create(t.Context(), servertest.Operator, client.Draft{ID: "mine", Registration: client.Registration{RedirectURIs: []string{"https://other.example/cb"}, SectorURI: at + "/shop"}}); err == nil {
		t.Error("an administrator's client is of a sector that does not list it")
	}
}

// A client that asked for it is told of people by a JWT (OpenID Connect Core 1.0, Section
// 5.3.2), which is taken for no other token.
func TestSignedUserinfo(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Set: opened})
	ana := s.User(t, "ana", "editor")
	b := s.Browser(t)
	b.Login(t, "ana")
	e := enrol(t, s, "", said("userinfo_signed_response_alg", "EdDSA"))
	var g granted
	redeem(t, s, e.ID, e.Secret, code(t, b, authorizing(e.ID, "scope", "openid email"))).JSON(t, &g)
	a := s.Call(t, g.Access, http.MethodGet, "/oauth2/userinfo", nil)
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/jwt" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
	}
	told := payload(t, a.Body)
	if told["iss"] != s.URL || told["aud"] != e.ID || told["sub"] != ana.ID || told["email"] != "ana@example.com" || told["nonce"] != nil || told["exp"] != nil {
		t.Errorf("it tells %v", told)
	}
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(a.Body, ".")[0])
	if err != nil || !strings.Contains(string(head), `"alg":"EdDSA"`) {
		t.Errorf("its header is %s, %v", head, err)
	}
	keys, err := s.Core.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	g2, err := guard.New(s.URL, guard.Audience(e.ID, s.URL), guard.Keys(func() *guard.KeySet { return keys }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g2.Verify(t.Context(), a.Body); err == nil {
		t.Error("it is taken for an access token")
	}
	v := answered(t, b.Send(t, http.MethodGet, authorizing(e.ID, "scope", "openid", "prompt", "none", "id_token_hint", a.Body), "", ""))
	if v.Get("error") != "login_required" {
		t.Errorf("it is taken for an ID token: %v", v)
	}
	var m map[string]any
	s.Send(t, http.MethodGet, "/.well-known/openid-configuration", "", "").JSON(t, &m)
	if algs, ok := m["userinfo_signing_alg_values_supported"].([]any); !ok || len(algs) != 4 || len(m["subject_types_supported"].([]any)) != 2 {
		t.Errorf("the metadata: %v", m)
	}
}
