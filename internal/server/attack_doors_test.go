package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/servertest"
)

// way is a place where a password is guessed: every rule is held at each.
type way struct {
	name, pattern string
	wrong, right  int // the statuses of a guess that was judged
	// open makes ready to guess somebody's password here, before anything is locked.
	open func(t testing.TB, s *servertest.Site, name string) guess
	// own says that whoever guesses here is signed in.
	own bool
}

// guess sends a password, with further headers, to a server of the site.
type guess func(t testing.TB, s *servertest.Site, password string, headers ...string) servertest.Answer

// ways are all that there are. One that is added to the site map takes its place
// here.
var ways = []way{
	{"form", "POST /auth/login", 401, 200, posts("/auth/login"), false},
	{"cookies", "POST /auth/login", 401, 200, posts("/auth/login", "mode", "cookie"), false},
	{"JSON", "POST /auth/login", 401, 200, func(_ testing.TB, _ *servertest.Site, name string) guess {
		return func(t testing.TB, s *servertest.Site, password string, headers ...string) servertest.Answer {
			return s.Send(t, http.MethodPost, "/auth/login", jsonType, fmt.Sprintf(`{"username":%q,"password":%q}`, name, password), headers...)
		}
	}, false},
	{"page", "POST /signin", 401, 303, func(t testing.TB, s *servertest.Site, name string) guess {
		return submits(t, s.Browser(t), "/signin", "/signin", "password", "username", name)
	}, false},
	{"change of the password", "POST /users/me/password", 403, 204, func(t testing.TB, s *servertest.Site, name string) guess {
		token := s.Login(t, name).Access
		return func(t testing.TB, s *servertest.Site, password string, headers ...string) servertest.Answer {
			body := fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, password, servertest.Password)
			return s.Send(t, http.MethodPost, "/users/me/password", jsonType, body, append(headers, "Authorization", "Bearer "+token)...)
		}
	}, true},
	{"page of the account", "POST /account/password", 403, 303, func(t testing.TB, s *servertest.Site, name string) guess {
		b := s.Browser(t)
		b.Login(t, name)
		return submits(t, b, "/account", "/account/password", "current_password", "new_password", servertest.Password)
	}, true},
}

// notWays are the paths of the site map that take something and no password. What
// they take is random and has 256 bits, or is an access token.
var notWays = map[string]string{
	"POST /auth/refresh":                "refresh tokens",
	"POST /auth/logout":                 "refresh tokens",
	"POST /account/signout":             "a session",
	"POST /oauth2/authorize":            "an authorization request",
	"POST /oauth2/userinfo":             "an access token",
	"POST /consent/{id}":                "a session",
	"POST /oauth2/logout":               "an ID token",
	"POST /oauth2/logout/confirm":       "a session",
	"POST /oauth2/device":               "a code, which DEV-001 guesses",
	"POST /oauth2/device_authorization": "a client's secret, or its id alone",
	"POST /oauth2/par":                  "a client's secret, or its id alone",
	"POST /account/apps/{id}/withdraw":  "a session",
	"POST /account/forget":              "a session",
	"POST /account/sessions/{id}/end":   "a session",
	"POST /account/sessions/end":        "a session",
	"PATCH /users/me":                   "an access token",
	"DELETE /sessions/{id}":             "an access token",
	"POST /users":                       "an access token",
	"PATCH /users/{id}":                 "an access token",
	"DELETE /users/{id}":                "an access token",
	"POST /users/{id}/unlock":           "an access token",
	"POST /roles":                       "an access token",
	"PUT /roles/{name}":                 "an access token",
	"DELETE /roles/{name}":              "an access token",
	"POST /users/{id}/roles":            "an access token",
	"DELETE /users/{id}/roles/{role}":   "an access token",

	"POST /groups":                       "an access token",
	"PATCH /groups/{name}":               "an access token",
	"DELETE /groups/{name}":              "an access token",
	"POST /groups/{name}/members":        "an access token",
	"DELETE /groups/{name}/members/{id}": "an access token",
	"POST /groups/{name}/roles":          "an access token",
	"DELETE /groups/{name}/roles/{role}": "an access token",

	"POST /separations":          "an access token",
	"PUT /separations/{name}":    "an access token",
	"DELETE /separations/{name}": "an access token",

	"POST /access/check":   "an access token",
	"POST /access/explain": "an access token",

	"POST /access/v1/evaluation":      "an access token, or a client's secret",
	"POST /access/v1/evaluations":     "an access token, or a client's secret",
	"POST /access/v1/search/subject":  "an access token, or a client's secret",
	"POST /access/v1/search/resource": "an access token, or a client's secret",
	"POST /access/v1/search/action":   "an access token, or a client's secret",

	"POST /conditions":          "an access token",
	"PUT /conditions/{name}":    "an access token",
	"DELETE /conditions/{name}": "an access token",

	"POST /clients":                         "an access token",
	"PATCH /clients/{id}":                   "an access token",
	"DELETE /clients/{id}":                  "an access token",
	"POST /clients/{id}/rotate-secret":      "an access token",
	"POST /clients/{id}/exchanges":          "an access token",
	"DELETE /clients/{id}/exchanges/{rule}": "an access token",
	"PATCH /streams/{id}":                   "an access token",
	"DELETE /streams/{id}":                  "an access token",
	"POST /ssf/streams":                     "an access token",
	"PATCH /ssf/streams":                    "an access token",
	"PUT /ssf/streams":                      "an access token",
	"DELETE /ssf/streams":                   "an access token",
	"POST /ssf/status":                      "an access token",
	"POST /ssf/subjects:add":                "an access token",
	"POST /ssf/subjects:remove":             "an access token",
	"POST /ssf/verification":                "an access token",
	"POST /ssf/streams/{id}/poll":           "an access token",
	"POST /registration-tokens":             "an access token",
	"DELETE /registration-tokens/{id}":      "an access token",
	"POST /clients/{id}/roles":              "an access token",
	"DELETE /clients/{id}/roles/{role}":     "an access token",

	"POST /resources":        "an access token",
	"PATCH /resources/{id}":  "an access token",
	"DELETE /resources/{id}": "an access token",

	"POST /api-keys":             "an access token",
	"PATCH /api-keys/{id}":       "an access token",
	"DELETE /api-keys/{id}":      "an access token",
	"POST /api-keys/{id}/rotate": "an access token",
	"POST /api-keys/verify":      "API keys",
	"POST /api-keys/leaks":       "a signature",

	"POST /organizations":          "an access token",
	"PATCH /organizations/{name}":  "an access token",
	"DELETE /organizations/{name}": "an access token",

	"POST /organizations/{name}/members":        "an access token",
	"DELETE /organizations/{name}/members/{id}": "an access token",

	"POST /oauth2/token":      "a client's secret",
	"POST /oauth2/introspect": "a client's secret",
	"POST /oauth2/revoke":     "a client's secret",

	"POST /oauth2/register":        "an initial access token, or nothing",
	"PUT /oauth2/register/{id}":    "a registration access token",
	"DELETE /oauth2/register/{id}": "a registration access token",
}

// posts guesses with a form.
func posts(path string, more ...string) func(testing.TB, *servertest.Site, string) guess {
	return func(_ testing.TB, _ *servertest.Site, name string) guess {
		return func(t testing.TB, s *servertest.Site, password string, headers ...string) servertest.Answer {
			v := url.Values{"username": {name}, "password": {password}}
			for i := 0; i < len(more); i += 2 {
				v.Set(more[i], more[i+1])
			}
			return s.Send(t, http.MethodPost, path, formType, v.Encode(), headers...)
		}
	}
}

// submits guesses with the form of a page that a browser was shown.
func submits(t testing.TB, b *servertest.Browser, page, does, field string, more ...string) guess {
	t.Helper()
	v := b.Fields(t, page, does)
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	cookies := "doorward_pre=" + b.Cookie(t, "pre") + "; doorward_session=" + b.Cookie(t, "session")
	return func(t testing.TB, s *servertest.Site, password string, headers ...string) servertest.Answer {
		v := url.Values(http.Header(v).Clone())
		v.Set(field, password)
		return s.Send(t, http.MethodPost, does, formType, v.Encode(), append(headers, "Cookie", cookies)...)
	}
}

// random is what differs from page to page.
var random = regexp.MustCompile(`[\w-]{20,}|\bann\d*\b|\bnobody\b|\d+ (seconds?|minutes?)`)

// same is an answer without what differs between any two.
func same(a servertest.Answer) string {
	h := a.Header.Clone()
	h.Del("Retry-After") // a second may pass between two
	return fmt.Sprint(a.Status, random.ReplaceAllString(a.Body+without(h), "…"))
}

// Every path that takes something is a door, or it is known why it is none.
func TestAttackLOG003EveryDoorIsKnown(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	known := map[string]bool{}
	for _, d := range ways {
		known[d.pattern] = true
	}
	for _, line := range s.Server.SiteMap() {
		_, not := notWays[line.Pattern]
		if takes := !strings.HasPrefix(line.Pattern, "GET "); takes != (known[line.Pattern] || not) || known[line.Pattern] && not {
			t.Errorf("%s: is a password guessed there?", line.Pattern)
		}
	}
}

// rules are what is promised of guesses, each at one door for an account of its
// own.
var rules = map[string]struct {
	set  []string // settings, beside strict
	hold func(t *testing.T, s *servertest.Site, c *steered, d way)
}{
	"five and no more, whichever door": {nil, func(t *testing.T, s *servertest.Site, _ *steered, d way) {
		var others []guess
		for _, other := range ways {
			others = append(others, other.open(t, s, "ann"))
		}
		here := d.open(t, s, "ann")
		for n := range 5 {
			judged(t, s, here, d.wrong, n+1)
		}
		if _, err := s.Server.Counted(t.Context(), d.pattern, audit.Denied); err != nil { // until now
			t.Error(err)
		}
		for i, other := range append(others, here) {
			wrong, right := other(t, s, "wrong"), other(t, s, servertest.Password)
			after, err := strconv.Atoi(wrong.Header.Get("Retry-After"))
			if wrong.Status != http.StatusTooManyRequests || err != nil || after < 1 || after > 60 || same(wrong) != same(right) {
				t.Errorf("door %d then: a wrong password %s\n\ta right one %s", i, same(wrong), same(right))
			}
		}
		if n, err := s.Server.Counted(t.Context(), d.pattern, audit.Denied); n < 2 || err != nil {
			t.Errorf("%d refusals were counted for the log, %v", n, err)
		}
	}},
	"nobody is like somebody": {nil, func(t *testing.T, s *servertest.Site, _ *steered, d way) {
		ann := d.open(t, s, "ann")
		if d.own {
			judged(t, s, ann, d.wrong, 1)
			return
		}
		nobody := d.open(t, s, "nobody")
		for n := range 7 {
			if a, b := ann(t, s, "wrong"), nobody(t, s, "wrong"); same(a) != same(b) {
				t.Errorf("guess %d at ann: %s\n\tat nobody: %s", n+1, same(a), same(b))
			}
		}
	}},
	"a success begins anew": {nil, func(t *testing.T, s *servertest.Site, _ *steered, d way) {
		for range 2 {
			here := d.open(t, s, "ann")
			for n := range 4 {
				judged(t, s, here, d.wrong, n+1)
			}
			if a := here(t, s, servertest.Password); a.Status != d.right {
				t.Errorf("the right password: %d %s", a.Status, a.Body)
			}
		}
	}},
	"what is not judged is not counted": {nil, func(t *testing.T, s *servertest.Site, _ *steered, d way) {
		here := d.open(t, s, "ann")
		for range 7 {
			if a := here(t, s, strings.Repeat("x", 513)); a.Status == http.StatusTooManyRequests || a.Status >= 500 {
				t.Errorf("too long for anybody: %d %s", a.Status, a.Body)
			}
		}
		for n := range 5 {
			judged(t, s, here, d.wrong, n+1)
		}
	}},
	"a known device has five of its own": {nil, func(t *testing.T, s *servertest.Site, _ *steered, d way) {
		b := s.Browser(t)
		b.Login(t, "ann")
		here := d.open(t, s, "ann")
		for n := range 5 {
			judged(t, s, here, d.wrong, n+1)
		}
		device := []string{"Cookie", "doorward_device=" + b.Cookie(t, "device")}
		for n := range 4 {
			judged(t, s, here, d.wrong, n+1, device...)
		}
		if a := here(t, s, servertest.Password, device...); a.Status != d.right {
			t.Errorf("she, while strangers are out: %d %s", a.Status, a.Body)
		}
	}},
	"ten failures of an address, whatever the headers say": {[]string{"rate_limit.login", "10/1m"}, func(t *testing.T, s *servertest.Site, _ *steered, d way) {
		var guesses []guess
		for n := range 12 {
			name := fmt.Sprint("ann", n)
			s.User(t, name, "viewer")
			guesses = append(guesses, d.open(t, s, name))
		}
		for n, g := range guesses {
			from := fmt.Sprint("198.51.100.", n)
			a := g(t, s, "wrong", "X-Forwarded-For", from, "Forwarded", "for="+from, "X-Real-IP", from, "X_Forwarded_For", from, "CF-Connecting-IP", from, "True-Client-IP", "a")
			if want := map[bool]int{true: d.wrong, false: 429}[n < 10]; a.Status != want {
				t.Errorf("failure %d: %d, want %d", n+1, a.Status, want)
			}
		}
	}},
	"a hundred, and then none": {[]string{"lockout.durations", "1s"}, func(t *testing.T, s *servertest.Site, c *steered, d way) {
		here, n := d.open(t, s, "ann"), 0
		for late := 0; late < 2; { // it is closed though the last lock is over
			switch a := here(t, s, "wrong"); a.Status {
			case d.wrong:
				n++
				late = 0
			case http.StatusTooManyRequests:
				late++
				c.pass(2 * time.Second)
			default:
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		if n != 100 {
			t.Errorf("%d were judged", n)
		}
	}},
}

func judged(t *testing.T, s *servertest.Site, here guess, wrong, n int, headers ...string) {
	t.Helper()
	if a := here(t, s, fmt.Sprint("wrong", n), headers...); a.Status != wrong {
		t.Errorf("guess %d: %d %s", n, a.Status, a.Body)
	}
}

func TestAttackLOG003EveryRuleAtEveryDoor(t *testing.T) {
	t.Parallel()
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, d := range ways {
				t.Run(d.name, func(t *testing.T) {
					servertest.EachDSN(t, func(t *testing.T, dsn string) {
						c := &steered{}
						s := servertest.Start(t, servertest.Options{DSN: dsn, Set: also(strict, rule.set...), Tweak: c.tweak})
						s.User(t, "ann", "viewer")
						rule.hold(t, s, c, d)
					})
				})
			}
		})
	}
}

// While nothing can be counted, nothing is judged at any door, and the right
// password is told nothing else than a wrong one.
func TestAttackLOG020EveryDoorIsShut(t *testing.T) {
	t.Parallel()
	m, err := miniredis.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s := servertest.Start(t, servertest.Options{Set: also(strict, "counters", "redis://"+m.Addr())})
	s.User(t, "ann", "viewer")
	for _, d := range ways {
		here := d.open(t, s, "ann")
		for _, trouble := range []string{"LOADING Redis is loading the dataset in memory", "WRONGTYPE Operation against a key holding the wrong kind of value", "READONLY You can't write against a read only replica.", "OOM command not allowed when used memory > 'maxmemory'."} {
			m.SetError(trouble)
			wrong, right := here(t, s, "wrong"), here(t, s, servertest.Password)
			if wrong.Status != http.StatusServiceUnavailable || wrong.Header.Get("Retry-After") == "" || same(wrong) != same(right) {
				t.Errorf("%s, %s: a wrong password %s\n\ta right one %s", d.name, trouble, same(wrong), same(right))
			}
		}
		m.SetError("")
		judged(t, s, here, d.wrong, 1)
		if a := here(t, s, servertest.Password); a.Status != d.right {
			t.Errorf("%s, afterwards: %d %s", d.name, a.Status, a.Body)
		}
	}
}
