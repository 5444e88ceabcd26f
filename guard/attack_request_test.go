package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestAttackJWT027Transport(t *testing.T) {
	g := newGuard(t)
	token := es().token(nil)
	for _, c := range []struct {
		name    string
		target  string
		headers []string
		status  int
		code    string
	}{
		{"good", "/", []string{"Authorization", "Bearer " + token}, 204, ""},
		{"lower case", "/", []string{"authorization", "bearer " + token}, 204, ""},
		{"upper case", "/", []string{"Authorization", "BEARER " + token}, 204, ""},
		{"other parameters", "/?a=1&access=2&x=access_token", []string{"Authorization", "Bearer " + token}, 204, ""},

		{"nothing", "/", nil, 401, ""},
		{"empty header", "/", []string{"Authorization", ""}, 401, ""},
		{"another scheme", "/", []string{"Authorization", "Basic dTpw"}, 401, ""},
		{"DPoP scheme", "/", []string{"Authorization", "DPoP " + token}, 401, ""},
		{"no scheme", "/", []string{"Authorization", token}, 401, ""},
		{"tab for a space", "/", []string{"Authorization", "Bearer\t" + token}, 401, ""},
		{"scheme with a tail", "/", []string{"Authorization", "Bearerx " + token}, 401, ""},
		{"cookie", "/", []string{"Cookie", "access_token=" + token + "; __Host-doorward_access=" + token}, 401, ""},

		{"scheme alone", "/", []string{"Authorization", "Bearer"}, 401, "invalid_token"},
		{"scheme and a space", "/", []string{"Authorization", "Bearer "}, 401, "invalid_token"},
		{"two spaces", "/", []string{"Authorization", "Bearer  " + token}, 401, "invalid_token"},
		{"space behind", "/", []string{"Authorization", "Bearer " + token + " "}, 401, "invalid_token"},
		{"two tokens", "/", []string{"Authorization", "Bearer " + token + " " + token}, 401, "invalid_token"},
		{"NUL", "/", []string{"Authorization", "Bearer " + token + "\x00"}, 401, "invalid_token"},
		{"quoted", "/", []string{"Authorization", `Bearer "` + token + `"`}, 401, "invalid_token"},
		{"64 KiB", "/", []string{"Authorization", "Bearer " + strings.Repeat("A", 64<<10)}, 401, "invalid_token"},
		{"API key", "/", []string{"Authorization", "Bearer dwk_0123456789abcdef_" + strings.Repeat("A", 49)}, 401, "invalid_token"},
		{"API key in its header", "/", []string{"X-API-Key", "dwk_0123456789abcdef_" + strings.Repeat("A", 49)}, 401, "invalid_token"},
		{"token as API key", "/", []string{"X-API-Key", token}, 401, "invalid_token"},

		{"two headers", "/", []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"two headers, one empty", "/", []string{"Authorization", "", "Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"two schemes", "/", []string{"Authorization", "Bearer " + token, "Authorization", "Basic dTpw"}, 400, "invalid_request"},
		{"joined by a proxy", "/", []string{"Authorization", "Bearer " + token + ", Bearer " + token}, 400, "invalid_request"},
		{"joined without a space", "/", []string{"Authorization", "Bearer a,b"}, 400, "invalid_request"},
		{"with an API key", "/", []string{"Authorization", "Bearer " + token, "X-API-Key", "dwk_x"}, 400, "invalid_request"},
		{"with an empty API key", "/", []string{"Authorization", "Bearer " + token, "X-API-Key", ""}, 400, "invalid_request"},
		{"two API keys", "/", []string{"X-API-Key", "dwk_x", "X-API-Key", "dwk_x"}, 400, "invalid_request"},

		{"query", "/?access_token=" + token, nil, 400, "invalid_request"},
		{"query and header", "/?a=1&access_token=x", []string{"Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"query without a value", "/?access_token", []string{"Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"query, escaped", "/?access%5Ftoken=x", []string{"Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"query, escaped whole", "/?%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x", []string{"Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"query behind a semicolon", "/?a=1;access_token=x", []string{"Authorization", "Bearer " + token}, 400, "invalid_request"},
		{"query behind a bad escape", "/?%zz=1&access_token=x", []string{"Authorization", "Bearer " + token}, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _ := call(t, g, c.target, c.headers)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if c.status == 204 {
				if challenge != "" {
					t.Errorf("a challenge for whoever passed: %s", challenge)
				}
				return
			}
			if c.code == "" && strings.Contains(challenge, "error") || c.code != "" && !strings.Contains(challenge, `error="`+c.code+`"`) {
				t.Errorf("WWW-Authenticate: %s; want the error %q", challenge, c.code)
			}
			body := map[string]string{}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["error"] != c.code || body["error_description"] == "" {
				t.Errorf("body %s (%v)", w.Body, err)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", w.Header())
			}
			if strings.Contains(w.Body.String()+challenge, token[:20]) {
				t.Error("the answer quotes the token")
			}
		})
	}
}

// A token in the body is not looked for, and the body is left to the handler.
func TestAttackJWT027Body(t *testing.T) {
	g := newGuard(t)
	form := url.Values{"access_token": {es().token(nil)}}.Encode()
	r := httptest.NewRequest("POST", "/", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	g.Require()(&ok{}).ServeHTTP(w, r)
	if w.Code != 401 || r.PostForm != nil {
		t.Errorf("status %d, form %v", w.Code, r.PostForm)
	}
}

func TestAttackJWT028Challenges(t *testing.T) {
	g := newGuard(t)
	const tail = `, resource_metadata="https://api.example/.well-known/oauth-protected-resource"`
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		want    string
	}{
		{"none", nil, 401, `Bearer realm="https://api.example", scope="orders:write read"` + tail},
		{
			"bad",
			[]string{"Authorization", "Bearer x.y.z"},
			401,
			`Bearer realm="https://api.example", error="invalid_token", error_description="the access token is not a well-formed JWT", scope="orders:write read"` + tail,
		},
		{
			"scope",
			[]string{"Authorization", "Bearer " + es().token(nil)},
			403,
			`Bearer realm="https://api.example", error="insufficient_scope", error_description="the access token lacks a permission", scope="orders:write read"` + tail,
		},
		{
			"two",
			[]string{"Authorization", "Bearer x", "X-API-Key", "y"},
			400,
			`Bearer realm="https://api.example", error="invalid_request", error_description="the request carries more than one credential", scope="orders:write read"` + tail,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _ := call(t, g, "/", c.headers, Permission("orders:write"), AnyOf("read", "admin"))
			if got := w.Header()["Www-Authenticate"]; w.Code != c.status || len(got) != 1 || got[0] != c.want {
				t.Errorf("%d %q\nwant %d %q", w.Code, got, c.status, c.want)
			}
		})
	}
}

// Every reason can stand in a header as it is, and has a status.
func TestReasonsAreQuotable(t *testing.T) {
	for _, r := range []Reason{
		ErrNoCredential, ErrTwoCredentials, ErrTokenInQuery, ErrMalformed, ErrType, ErrAlgorithm, ErrUnknownKey, ErrSignature, ErrClaims,
		ErrIssuer, ErrAudience, ErrExpired, ErrNotYetValid, ErrBound, ErrRevoked, ErrAPIKey, ErrPermission, ErrStepUp, ErrLimited, ErrUnavailable,
	} {
		if status, _ := r.status(); !quotable(string(r)) || status < 400 || words[r] == "" {
			t.Errorf("%q: status %d", r, status)
		}
	}
}

func TestAttackJWT029ScopeMatch(t *testing.T) {
	g := newGuard(t)
	for scope, status := range map[string]int{
		"read:all admin":              204,
		"admin":                       204,
		"  admin  ":                   204,
		"read:all-not admin2":         403,
		"xadmin":                      403,
		"ADMIN":                       403,
		"Admin":                       403,
		"read\tadmin":                 403,
		"read\nadmin":                 403,
		"read\u00a0admin":             403,
		"read,admin":                  403,
		"admin:*":                     403,
		"*":                           403,
		"":                            403,
		" ":                           403,
		"adm in":                      403,
		"admin\u0000":                 403,
		"\uff41dmin":                  403,
		"admi\u0131n admin\u0131":     403,
		strings.Repeat("admin", 2):    403,
		"admin\u200b":                 403,
		"https://api.example/x#admin": 403,
	} {
		w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + es().token(map[string]any{"scope": scope})}, Permission("admin"))
		if w.Code != status {
			t.Errorf("scope %q: status %d, want %d", scope, w.Code, status)
		}
	}
	for _, scope := range []any{[]string{"admin"}, []any{[]string{"admin"}}, map[string]any{"admin": true}, true} {
		w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + es().token(map[string]any{"scope": scope})}, Permission("admin"))
		if w.Code != 401 {
			t.Errorf("scope %v: status %d, want 401", scope, w.Code)
		}
	}
	// Roles and other claims are no permissions.
	w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + es().token(map[string]any{"roles": []string{"admin"}, "scp": "admin", "permissions": "admin"})}, Permission("admin"))
	if w.Code != 403 {
		t.Errorf("a role passes for a permission: %d", w.Code)
	}
}

func TestRequirements(t *testing.T) {
	g := newGuard(t, Leeway(0))
	bearer := func(changes map[string]any) []string {
		return []string{"Authorization", "Bearer " + es().token(changes)}
	}
	for _, c := range []struct {
		name    string
		changes map[string]any
		checks  []Requirement
		status  int
		has     string
	}{
		{"none", nil, nil, 204, ""},
		{"all of two", nil, []Requirement{Permission("read"), Permission("orders:read")}, 204, ""},
		{"one of two is not all", nil, []Requirement{Permission("read"), Permission("write")}, 403, `scope="read write"`},
		{"any", nil, []Requirement{AnyOf("write", "read")}, 204, ""},
		{"none of any", nil, []Requirement{AnyOf("write", "admin"), Permission("write")}, 403, `scope="write"`},
		{"acr", nil, []Requirement{ACR("aal3", "aal2")}, 204, ""},
		{"acr too low", nil, []Requirement{ACR("aal3"), Permission("read")}, 401, `error="insufficient_user_authentication", error_description="a stronger or more recent sign-in is needed", acr_values="aal3", scope="read"`},
		{"acr missing", map[string]any{"acr": nil}, []Requirement{ACR("aal2")}, 401, `acr_values="aal2"`},
		{"fresh", nil, []Requirement{MaxAge(10 * time.Minute)}, 204, ""},
		{"stale", nil, []Requirement{MaxAge(599 * time.Second), ACR("aal2"), MaxAge(time.Hour)}, 401, `acr_values="aal2", max_age="599"`},
		{"always again", nil, []Requirement{MaxAge(0)}, 401, `max_age="0"`},
		{"no auth_time", map[string]any{"auth_time": nil}, []Requirement{MaxAge(time.Hour)}, 401, `max_age="3600"`},
		{"permission before step-up", nil, []Requirement{ACR("aal3"), Permission("write")}, 403, `error="insufficient_scope"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _ := call(t, g, "/", bearer(c.changes), c.checks...)
			if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status || !strings.Contains(got, c.has) {
				t.Errorf("%d %s\nwant %d %s", w.Code, got, c.status, c.has)
			}
		})
	}
}

func TestRequirementsOfProgramsAreChecked(t *testing.T) {
	for name, f := range map[string]func(){
		"empty":     func() { Permission("") },
		"space":     func() { Permission("read write") },
		"quote":     func() { Permission(`read"`) },
		"backslash": func() { AnyOf("read", `a\b`) },
		"newline":   func() { ACR("aal2\r\nX: y") },
		"none":      func() { AnyOf() },
		"no acr":    func() { ACR() },
		"negative":  func() { MaxAge(-time.Second) },
		"not ASCII": func() { Permission("lire:é") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it is taken")
				}
			}()
			f()
		})
	}
}

func TestErrorsOption(t *testing.T) {
	var got Refusal
	g := newGuard(t, Realm("orders"), Resource("https://api.example/v1/"), Errors(func(w http.ResponseWriter, _ *http.Request, r Refusal) {
		got = r
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(r.Status)
		fmt.Fprintf(w, `{"title":%q}`, r.Code)
	}))
	w, _ := call(t, g, "/", []string{"Authorization", "Bearer " + es().token(map[string]any{"exp": 5})}, Permission("read"))
	if w.Code != 401 || w.Body.String() != `{"title":"invalid_token"}` || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if want := `Bearer realm="orders", error="invalid_token", error_description="the access token has expired", scope="read", resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1"`; w.Header().Get("WWW-Authenticate") != want {
		t.Errorf("WWW-Authenticate: %s\nwant %s", w.Header().Get("WWW-Authenticate"), want)
	}
	if !errors.Is(got.Err, ErrExpired) || got.Scope != "read" || got.Description != string(ErrExpired) {
		t.Errorf("refusal %+v", got)
	}
}

func TestMetadata(t *testing.T) {
	g := newGuard(t)
	get := func(g *Guard, method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		g.Metadata().ServeHTTP(w, httptest.NewRequest(method, "/.well-known/oauth-protected-resource", nil))
		return w
	}
	g.Require(Permission("write"), AnyOf("read", "admin"))
	g.Require(ACR("aal2"))
	want := `{"resource":"https://api.example","authorization_servers":["https://as.example"],"scopes_supported":["admin","read","write"],"bearer_methods_supported":["header"]}` + "\n"
	if w := get(g, "GET"); w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := get(g, "POST"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", w.Code)
	}
	nameless := newGuard(t, func(s *settings) { s.audiences = []string{"orders"} })
	if w := get(nameless, "GET"); w.Code != 404 {
		t.Errorf("an API without a URL: %d %s", w.Code, w.Body)
	}
	if w, _ := call(t, nameless, "/", nil); w.Header().Get("WWW-Authenticate") != `Bearer realm="orders"` {
		t.Errorf("an API without a URL: %v", w.Header())
	}
}

func TestWellKnown(t *testing.T) {
	for url, want := range map[string]string{
		"https://a.example":         "https://a.example/.well-known/x",
		"https://a.example/":        "https://a.example/.well-known/x",
		"https://a.example:8443/t1": "https://a.example:8443/.well-known/x/t1",
		"https://a.example/t/1/":    "https://a.example/.well-known/x/t/1",
		"http://[::1]:80/t":         "http://[::1]:80/.well-known/x/t",
		"https://a.example?r=1":     "https://a.example/.well-known/x?r=1",
	} {
		if got := wellKnown(url, "x"); got != want {
			t.Errorf("wellKnown(%q) = %q, want %q", url, got, want)
		}
	}
}
