package server_test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

func TestAttackTOK001OtherMethods(t *testing.T) {
	var secrets []string
	log := logged(t, func() {
		s := servertest.Start(t, servertest.Options{})
		s.User(t, "ann", "viewer")
		for _, d := range doors(t, s) {
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH"} {
				a := s.Send(t, method, d.path+"?"+d.good.Encode(), "", "", d.headers...)
				if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST" {
					t.Errorf("%s %s: %d, Allow %q", method, d.path, a.Status, a.Header.Get("Allow"))
				}
			}
			d.opens(t, s)
			secrets = append(secrets, d.good.Get("refresh_token"), d.good.Get("token"), d.good.Encode())
			if len(d.headers) > 0 {
				secrets = append(secrets, strings.TrimPrefix(d.headers[1], "Basic "))
			}
		}
		s.Stop()
	})
	for _, secret := range append(secrets, servertest.Password, url.QueryEscape(servertest.Password)) {
		if secret != "" && strings.Contains(log, secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

func TestAttackTOK002QueryIsNotRead(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		query := door{path: d.path + "?" + d.good.Encode(), headers: d.headers}
		if a := query.post(t, s, ""); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
			t.Errorf("%s: %d %s", d.path, a.Status, a.Body)
		}
		// Nor is it mixed with the body: with scope in the query, all is granted.
		query.path = d.path + "?scope=nosuch"
		if a := query.post(t, s, d.good.Encode()); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", d.path, a.Status, a.Body)
		}
	}
}

// What OAuth says is a form is a form: JSON has other types, and names that differ
// from what others read.
func TestAttackTOK003JSON(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		if strings.HasPrefix(d.path, "/auth/") { // which take JSON
			continue
		}
		for name := range d.good {
			for _, body := range []string{`{"` + name + `":"` + d.good.Get(name) + `"}`, `{"` + name + `":["` + d.good.Get(name) + `"]}`, `{"` + name + `":{}}`, `[]`} {
				if a := s.Send(t, "POST", d.path, jsonType, body, d.headers...); a.Status != http.StatusUnsupportedMediaType || a.Error() != "invalid_request" {
					t.Errorf("%s with %.40s: %d %s", d.path, body, a.Status, a.Body)
				}
				if a := d.post(t, s, body); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
					t.Errorf("%s with %.40s as a form: %d %s", d.path, body, a.Status, a.Body)
				}
			}
		}
		d.opens(t, s)
	}
}

func TestAttackTOK004ContentTypes(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		for _, contentType := range []string{
			"text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=utf-7",
			"application/x-www-form-urlencoded, text/html", "", "application/xml", "application/x-www-form-urlencoded; charset=utf-8; x=y",
		} {
			if a := s.Send(t, "POST", d.path, contentType, d.good.Encode(), d.headers...); a.Status != http.StatusUnsupportedMediaType || a.Error() != "invalid_request" {
				t.Errorf("%s as %q: %d %s", d.path, contentType, a.Status, a.Body)
			}
		}
		want := map[bool]int{true: http.StatusBadRequest, false: http.StatusUnsupportedMediaType}[strings.HasPrefix(d.path, "/auth/")]
		if a := s.Send(t, "POST", d.path, "application/json", d.good.Encode(), d.headers...); a.Status != want {
			t.Errorf("%s, a form as JSON: %d %s", d.path, a.Status, a.Body)
		}
		if a := s.Send(t, "POST", d.path, "application/x-www-form-urlencoded; charset=UTF-8", d.good.Encode(), d.headers...); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", d.path, a.Status, a.Body)
		}
	}
}

func TestAttackTOK005Duplicates(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	others := url.Values{"grant_type": {"x"}, "scope": {"read"}, "client_id": {"doorward"}, "client_secret": {"x"}, "unknown": {"x"}}
	for _, d := range doors(t, s) {
		names := map[string]string{}
		for _, from := range []url.Values{others, d.good} {
			for name := range from {
				names[name] = from.Get(name)
			}
		}
		for name, value := range names {
			rest := url.Values{}
			for n, v := range d.good {
				if n != name {
					rest[n] = v
				}
			}
			for _, twice := range [][2]string{{value, "evil"}, {"evil", value}, {value, value}, {"", value}, {value, ""}} {
				form := rest.Encode() + "&" + url.QueryEscape(name) + "=" + url.QueryEscape(twice[0]) + "&" + url.QueryEscape(name) + "=" + url.QueryEscape(twice[1])
				if a := d.post(t, s, form); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
					t.Errorf("%s with %s=%q: %d %s", d.path, name, twice, a.Status, a.Body)
				}
			}
			escaped := strings.Replace(name, "e", "%65", 1) // the same name, written otherwise
			if a := d.post(t, s, rest.Encode()+"&"+name+"=x&"+escaped+"=y"); a.Status != http.StatusBadRequest {
				t.Errorf("%s with %s and %s: %d %s", d.path, name, escaped, a.Status, a.Body)
			}
		}
		d.opens(t, s)
	}
}

func TestAttackTOK006BrokenForms(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		for _, tail := range []string{"&a=%zz", "&a=%", "&%zz=a", "&a=%ff", "&%ff=a"} {
			if a := d.post(t, s, d.good.Encode()+tail); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
				t.Errorf("%s with %s: %d %s", d.path, tail, a.Status, a.Body)
			}
		}
		// An empty value is an omitted one, and a name that is not known is ignored
		// (RFC 6749, Section 3.2).
		if a := d.post(t, s, d.good.Encode()+"&scope=&client_id=&approval_prompt=force"); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", d.path, a.Status, a.Body)
		}
	}
}

func TestAttackTOK007SeparatorsAndBrackets(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		for name := range d.good {
			value := url.QueryEscape(d.good.Get(name))
			var rest []string
			for n := range d.good {
				if n != name {
					rest = append(rest, n+"="+url.QueryEscape(d.good.Get(n)))
				}
			}
			for _, alias := range []string{
				"x=y;" + name + "=", name + "[]=", name + "[0]=", strings.ToUpper(name) + "=", name + "%00=", "%20" + name + "=", name + "%20=", name + ".=", "%ef%bb%bf" + name + "=",
			} {
				form := strings.Join(append(slices.Clone(rest), alias+value), "&")
				if a := d.post(t, s, form); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
					t.Errorf("%s with %s: %d %s", d.path, alias, a.Status, a.Body)
				}
			}
		}
		d.opens(t, s)
	}
}

func TestAttackTOK008ManyParameters(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("&a")
			b.WriteString(string(rune('a'+i%26)) + strings.Repeat("b", i/26))
			b.WriteByte('=')
		}
		return b.String()
	}
	for _, d := range doors(t, s) {
		for form, status := range map[string]int{
			strings.Repeat("&a=", (16<<10)/3):      http.StatusBadRequest, // just under the cap of bytes
			strings.Repeat("&a=", (16<<10)/3+1):    http.StatusRequestEntityTooLarge,
			strings.Repeat("&", 16<<10):            http.StatusBadRequest,
			strings.Repeat("a0=&", 1_000_000):      http.StatusRequestEntityTooLarge,
			d.good.Encode() + many(65):             http.StatusBadRequest,
			d.good.Encode() + many(64-len(d.good)): http.StatusOK,
		} {
			start := time.Now()
			a := d.post(t, s, form)
			if took := time.Since(start); a.Status != status || took > time.Second {
				t.Errorf("%s with %d bytes: %d after %v, want %d", d.path, len(form), a.Status, took, status)
			}
		}
	}
}

func TestAttackTOK026ScopeNeverGrows(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "editor")
		tokens := s.Login(t, "ann", "scope", "read")
		if tokens.Scope != "read" {
			t.Fatalf("scope %q", tokens.Scope)
		}
		for _, scope := range []string{"read write", "write", "admin", "read admin", "openid", "read\tadmin", "read\nread", `read "x"`, "read  read", " read", "read ", `re\ad`, "réad", "read\x00"} {
			if a := s.Refresh(t, tokens.Refresh, "scope", scope); a.Status != http.StatusBadRequest || a.Error() != "invalid_scope" {
				t.Errorf("refresh with scope %q: %d %s", scope, a.Status, a.Body)
			}
		}
		for scope, want := range map[string]string{
			"admin": "", "nosuch": "", "read nosuch": "", "read\tadmin": "", "read\nadmin": "", `read "x"`: "", strings.Repeat("a ", 1001) + "a": "", strings.Repeat("a", 9000): "",
			"read admin": "read", "write read": "read write", "openid": "openid", "read read": "read",
		} {
			a := s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "scope", scope)
			switch {
			case want == "" && (a.Status != http.StatusBadRequest || a.Error() != "invalid_scope"):
				t.Errorf("login with scope %.20q: %d %s", scope, a.Status, a.Body)
			case want != "" && pair(t, a).Scope != want:
				t.Errorf("login with scope %.20q: %s", scope, a.Body)
			}
		}
		// Nothing of this has spent the token, and less than was granted is no growth.
		next := pair(t, s.Refresh(t, tokens.Refresh, "scope", "read"))
		if next.Scope != "read" || s.Call(t, next.Access, "GET", "/users", nil).Status != http.StatusForbidden {
			t.Errorf("scope %q", next.Scope)
		}
	})
}

func TestAttackTOK028Resources(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, resource := range []string{
		"/api", s.URL + "#frag", s.URL + "/", s.URL + "?x=y", "javascript:alert(1)", "https://user:pw@api-a", strings.ToUpper(s.URL), s.URL + "/../api-b",
		"https://api-b", strings.Repeat("a", 10<<10), "\x00",
	} {
		if a := s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "resource", resource); a.Status != http.StatusBadRequest || a.Error() != "invalid_target" {
			t.Errorf("resource %.40q: %d %s", resource, a.Status, a.Body)
		}
	}
	if a := s.Form(t, "/auth/login", "username", "ann", "password", servertest.Password, "resource", s.URL, "resource", "https://api-b"); a.Error() != "invalid_target" {
		t.Errorf("a known and an unknown one: %d %s", a.Status, a.Body)
	}
	s.Login(t, "ann", "resource", s.URL)
}

// cookies returns the names of the cookies that an answer gives.
func cookies(a servertest.Answer) (names []string) {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		names = append(names, c.Name)
	}
	return names
}

func TestAttackTOK029NothingIsCached(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	check := func(what string, a servertest.Answer) {
		h := a.Header
		var known []string // nothing but that the device is known
		if what == "good /auth/login" {
			known = []string{"doorward_device"}
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || !slices.Equal(cookies(a), known) || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %v", what, a.Status, h)
		}
		if a.Body != "" && h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: Content-Type %q", what, h.Get("Content-Type"))
		}
	}
	for _, d := range doors(t, s) {
		check("good "+d.path, d.post(t, s, d.good.Encode()))
		check("empty "+d.path, d.post(t, s, ""))
		check("nobody "+d.path, s.Send(t, "POST", d.path, formType, d.good.Get("token")))
		check("wrong method "+d.path, s.Send(t, "GET", d.path, "", ""))
		check("wrong type "+d.path, s.Send(t, "POST", d.path, "text/plain", "x"))
		check("too large "+d.path, d.post(t, s, strings.Repeat("a", 20<<10)))
	}
	check("wrong password", s.Form(t, "/auth/login", "username", "ann", "password", "wrong"))
	check("unknown token", s.Refresh(t, "dwr_x"))
	check("unknown client", s.Form(t, "/auth/login", "username", "ann", "password", "wrong", "client_id", "nosuch"))
	check("logout", s.Form(t, "/auth/logout", "refresh_token", s.Login(t, "ann").Refresh))
	check("no path", s.Form(t, "/auth/nosuch"))
}

// What a request holds is not told back, and does not write log lines of its own.
func TestAttackTOK030ErrorText(t *testing.T) {
	payloads := []string{`"`, `\`, "\r\nX-Evil: 1", "<script>alert(1)</script>", "\x1b[31m", "evil\n{\"level\":\"ERROR\"}", "\u2028", "é"}
	description := regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`) // RFC 6749, Section 5.2
	log := logged(t, func() {
		s := servertest.Start(t, servertest.Options{})
		s.User(t, "ann", "viewer")
		for _, d := range doors(t, s) {
			for _, name := range []string{"grant_type", "scope", "client_id", "mode", "resource", "username", "refresh_token", "token", "token_type_hint", "client_secret", "client_assertion", "evil"} {
				for _, payload := range payloads {
					form := url.Values{}
					for n, v := range d.good {
						form[n] = v
					}
					form.Set(name, payload)
					a := d.post(t, s, form.Encode(), "User-Agent", "evil-agent")
					var e map[string]string
					if a.Status != http.StatusOK {
						a.JSON(t, &e)
					} else if strings.HasPrefix(d.path, "/auth/") { // what was good there is spent
						all := doors(t, s)
						d = all[slices.IndexFunc(all, func(other door) bool { return other.path == d.path })]
					}
					if !description.MatchString(e["error_description"]) || strings.Contains(a.Body, "evil") || strings.Contains(a.Body, "<scr") || a.Header.Get("X-Evil") != "" {
						t.Errorf("%s with %s=%q: %s", d.path, name, payload, a.Body)
					}
					if a.Status >= 500 {
						t.Errorf("%s with %s=%q: %d", d.path, name, payload, a.Status)
					}
				}
			}
		}
		s.Stop()
	})
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) || strings.Contains(line, "evil") {
			t.Errorf("a line of the log: %s", line)
		}
	}
}

// Whatever is given out between the sign-in and a use, nothing is given to who may
// not sign in any more.
func TestAttackTOK031DisabledInBetween(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		for _, change := range []struct{ name, method, path, body string }{
			{"disabled", "PATCH", "/users/", `{"status":"disabled"}`},
			{"deleted", "DELETE", "/users/", ``},
		} {
			u := s.User(t, change.name, "viewer")
			tokens := s.Login(t, change.name)
			contentType := ""
			if change.body != "" {
				contentType = "application/json"
			}
			if a := s.Send(t, change.method, change.path+u.ID, contentType, change.body, "Authorization", "Bearer "+root); a.Status >= 300 {
				t.Fatalf("%s: %d %s", change.name, a.Status, a.Body)
			}
			if a := s.Refresh(t, tokens.Refresh); !deadGrant(a) {
				t.Errorf("%s, refresh: %d %s", change.name, a.Status, a.Body)
			}
			if a := s.Form(t, "/auth/login", "username", change.name, "password", servertest.Password); a.Status != http.StatusUnauthorized {
				t.Errorf("%s, login: %d %s", change.name, a.Status, a.Body)
			}
			if status := me(t, s, tokens.Access); status != http.StatusUnauthorized {
				t.Errorf("%s, access token: %d", change.name, status)
			}
		}
	})
}

func TestAttackTOK040EmptyAndHugeValues(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		for value, want := range map[string]string{
			"": "400 invalid_request", "%00": "400 invalid_grant", "dwr_%00": "400 invalid_grant", "%ff%fe": "400 invalid_request",
			strings.Repeat("A", 1<<20): "413 invalid_request", strings.Repeat("A", 16000): "400 invalid_grant",
			"dwr_" + strings.Repeat("z", 71): "400 invalid_grant", "dwr_" + strings.Repeat("0", 71): "400 invalid_grant",
		} {
			a := door{path: "/auth/refresh"}.post(t, s, "refresh_token="+value)
			code, _, _ := strings.Cut(want, " ")
			if got := http.StatusText(a.Status); want != code+" "+a.Error() || a.Status != map[string]int{"400": 400, "413": 413}[code] {
				t.Errorf("refresh_token=%.20s: %d (%s) %s, want %s", value, a.Status, got, a.Body, want)
			}
		}
		for value, want := range map[string]int{
			"": 400, "%00": 401, "%ff%fe": 400, strings.Repeat("A", 1<<20): 413, strings.Repeat("A", 15000): 401, "ann%00": 401, "%f0%9f%92%a9": 401,
		} {
			if a := (door{path: "/auth/login"}).post(t, s, "password=x&username="+value); a.Status != want {
				t.Errorf("username=%.20s: %d %s, want %d", value, a.Status, a.Body, want)
			}
		}
	})
}

// However a request is cut, no second one comes out of it.
func TestAttackTOK041TransferTricks(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		const smuggled = "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"
		head := "POST " + d.path + " HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\n" + d.head()
		for name, text := range map[string]string{
			"CL.TE":                head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
			"TE.CL":                head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + smuggled,
			"CL,CL":                head + "Content-Length: 0\r\nContent-Length: 38\r\n\r\n" + smuggled,
			"CL list":              head + "Content-Length: 0, 38\r\n\r\n" + smuggled,
			"CL signed":            head + "Content-Length: +0\r\n\r\n" + smuggled,
			"TE,TE":                head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
			"TE unknown":           head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
			"TE with a space":      head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled,
			"TE in a folded line":  head + "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + smuggled,
			"a bare LF in a chunk": head + "Transfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n" + smuggled,
			"a huge chunk":         head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + smuggled,
			"chunks":               head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		} {
			got := answers(raw(t, s, text))
			if slices.ContainsFunc(got, func(status int) bool { return status < 400 }) {
				t.Errorf("%s, %s: answers %v", d.path, name, got)
			}
		}
		// Who asks to continue and then sends nothing gets nothing but "go on".
		body := raw(t, s, head+"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
		if !strings.HasPrefix(body, "HTTP/1.1 100 Continue") || strings.Contains(body, "200 OK") {
			t.Errorf("%s, Expect: %q", d.path, body)
		}
	}
}

func TestAttackTOK042PathTricks(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	for _, d := range doors(t, s) {
		at := strings.LastIndex(d.path, "/")
		dir, last := d.path[:at], d.path[at+1:]
		for _, path := range []string{
			"/" + d.path, "/." + d.path, d.path + "/", "/x/.." + d.path, dir + "/%" + hex.EncodeToString([]byte(last[:1])) + last[1:], d.path + "%2f", strings.ToUpper(d.path), d.path + ";x=y",
			d.path + "/.", d.path + "%00", dir + "\\" + last, d.path + "/../" + last, dir + "//" + last, d.path + "%20",
		} {
			form := d.good.Encode()
			request := "POST " + path + " HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\n" + d.head() + "Connection: close\r\n\r\n"
			got := answers(raw(t, s, strings.Replace(request, "\r\n\r\n", "\r\nContent-Length: "+length(form)+"\r\n\r\n", 1)+form))
			if !slices.Equal(got, []int{404}) && !slices.Equal(got, []int{400}) {
				t.Errorf("POST %s: %v", path, got)
			}
		}
		d.opens(t, s)
	}
}
