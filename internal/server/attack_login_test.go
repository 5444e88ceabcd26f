package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// Which ways of writing a name are the account's, and which never are.
func TestAttackLOG002Identifiers(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		alice := s.User(t, "alice", "viewer")
		for name, its := range map[string]bool{
			"alice": true, "ALICE": true, "aLiCe": true, "alice@example.com": true, "ALICE@EXAMPLE.COM": true, "Alice@Example.Com": true,
			"\uff41lice@example.com": true, // a full-width letter: PRECIS maps it (RFC 8265, Section 3.3.2)
			"alice ":                 false, " alice": false, "\talice": false, "alice\n": false, "alice\x00": false, "al\u0131ce": false, "\uff41lice": false, "alice\u200b": false,
			"\u0430lice": false, alice.ID: false, "alice.": false, "alice@example.com ": false, " alice@example.com": false, "alice@example.com.": false,
			"alice@example.com\x00": false, "\"alice\"@example.com": false, "alice+x@example.com": false, "alice@localhost": false, "alice@": false, "@example.com": false,
			"al\u0131ce@example.com": false, "alice@example.com@example.com": false, "user:" + alice.ID: false,
		} {
			a := s.Form(t, "/auth/login", "username", name, "password", servertest.Password)
			if its && (a.Status != http.StatusOK || subject(t, s, pair(t, a).Access) != alice.ID) || !its && a.Status != http.StatusUnauthorized {
				t.Errorf("%q: %d %s", name, a.Status, a.Body)
			}
		}
	})
}

func subject(t *testing.T, s *servertest.Site, token string) string {
	t.Helper()
	var who struct{ ID string }
	s.Call(t, token, http.MethodGet, "/users/me", nil).JSON(t, &who)
	return who.ID
}

// An address that was not proved is nobody's name.
func TestAttackLOG002UnverifiedEmail(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		if a := s.Call(t, root, "POST", "/users", map[string]any{"username": "bob", "email": "bob@example.com", "password": servertest.Password}); a.Status != 201 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		s.Login(t, "bob")
		if a := s.Form(t, "/auth/login", "username", "bob@example.com", "password", servertest.Password); a.Status != http.StatusUnauthorized {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// Nobody says where he comes from: the peer's address is what is written.
func TestAttackLOG005SpoofedAddress(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		const spoofed = "198.51.100.66"
		s.User(t, "ann", "viewer")
		for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X_Forwarded_For", "X-Client-IP", "Via"} {
			for i, value := range []string{spoofed, "for=" + spoofed, "a", "127.0.0.1", "::1, " + spoofed, strings.Repeat("1,", 2000)} {
				password, want := "wrong", 401
				if i == 0 {
					password, want = servertest.Password, 200
				}
				if a := s.Send(t, "POST", "/auth/login", "application/x-www-form-urlencoded", "username=ann&password="+strings.ReplaceAll(password, " ", "+"), header, value); a.Status != want {
					t.Errorf("%s: %.30s: %d, want %d", header, value, a.Status, want)
				}
			}
		}
		rows := table(t, database(t, s), "(SELECT private FROM audit_events) AS p")
		for _, row := range rows {
			if strings.Contains(row, spoofed) || strings.Contains(row, `"address`) && !strings.Contains(row, `"address\":\"127.0.0.1\"`) {
				t.Errorf("a private part: %s", row)
			}
		}
		if n := len(slices.DeleteFunc(rows, func(r string) bool { return !strings.Contains(r, `"address\":\"127.0.0.1\"`) })); n < 48 {
			t.Errorf("%d rows hold an address", n)
		}
	})
}

// without returns the headers but for those that differ between any two answers.
func without(h http.Header) string {
	h = h.Clone()
	h.Del("X-Request-Id")
	h.Del("Date")
	return fmt.Sprint(h)
}

// Which accounts there are, and in which state, cannot be read off a refusal.
func TestAttackLOG007SameAnswerForAll(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		gone, off := s.User(t, "gone"), s.User(t, "off")
		root := s.Login(t, servertest.Admin).Access
		if _, err := s.Core.Accounts.Create(t.Context(), servertest.Operator, account.Draft{Username: "nopass", Email: "nopass@example.com"}); err != nil {
			t.Fatal(err)
		}
		s.Call(t, root, "DELETE", "/users/"+gone.ID, nil)
		s.Call(t, root, "PATCH", "/users/"+off.ID, map[string]any{"status": "disabled"})

		reference := s.Form(t, "/auth/login", "username", "nobody", "password", "wrong")
		if reference.Status != http.StatusUnauthorized || reference.Error() != "invalid_grant" || reference.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("%d %s %v", reference.Status, reference.Body, reference.Header)
		}
		for _, tt := range []struct{ what, name, password string }{
			{"wrong password", "ann", "wrong"},
			{"an empty-looking password", "ann", " "},
			{"disabled, wrong password", "off", "wrong"},
			{"disabled, right password", "off", servertest.Password},
			{"deleted", "gone", servertest.Password},
			{"without a password", "nopass", "wrong"},
			{"an unverified address", "nopass@example.com", "wrong"},
			{"an unknown address", "nobody@example.com", "wrong"},
			{"what can be no name", "a b", "wrong"},
			{"a name that is too long", strings.Repeat("a", 65), "wrong"},
			{"over 72 bytes", "ann", strings.Repeat("x", 73)},
			{"over 72 bytes, unknown", "nobody", strings.Repeat("x", 73)},
		} {
			for kind, a := range map[string]servertest.Answer{
				"form": s.Form(t, "/auth/login", "username", tt.name, "password", tt.password),
				"JSON": s.Call(t, "", "POST", "/auth/login", map[string]string{"username": tt.name, "password": tt.password}),
			} {
				if a.Status != reference.Status || a.Body != reference.Body || without(a.Header) != without(reference.Header) {
					t.Errorf("%s (%s): %d %s %v\nunknown: %d %s %v", tt.what, kind, a.Status, a.Body, a.Header, reference.Status, reference.Body, reference.Header)
				}
			}
		}
		// What is wrong whoever it is, is told whoever it is.
		for _, name := range []string{"ann", "off", "nobody"} {
			a := s.Form(t, "/auth/login", "username", name, "password", strings.Repeat("x", 513))
			if a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
				t.Errorf("over 512 bytes, %s: %d %s", name, a.Status, a.Body)
			}
			b := s.Form(t, "/auth/login", "username", name, "password", servertest.Password, "resource", "https://evil.example")
			if b.Error() != "invalid_target" {
				t.Errorf("an unknown resource, %s: %d %s", name, b.Status, b.Body)
			}
		}
	})
}

func TestAttackLOG013LoginJSONAbuse(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		good := `"username":"ann","password":"` + servertest.Password + `"`
		db := database(t, s)
		before := number(t, db, "SELECT COUNT(*) FROM audit_events WHERE actor NOT LIKE 'system:%'")
		for name, body := range map[string]string{
			"an array of names":      `{"username":["ann","bob"],"password":"` + servertest.Password + `"}`,
			"an array of one":        `{"username":["ann"],"password":"` + servertest.Password + `"}`,
			"an object":              `{"username":{"$ne":null},"password":{"$ne":null}}`,
			"a number":               `{"username":1,"password":"` + servertest.Password + `"}`,
			"true":                   `{"username":true,"password":"` + servertest.Password + `"}`,
			"null":                   `{"username":null,"password":"` + servertest.Password + `"}`,
			"empty":                  `{"username":"","password":"` + servertest.Password + `"}`,
			"nothing":                ``,
			"an empty object":        `{}`,
			"null alone":             `null`,
			"a string":               `"ann"`,
			"an array":               `[{` + good + `}]`,
			"twice":                  `{` + good + `,"username":"bob"}`,
			"twice, escaped":         `{` + good + `,"us\u0065rname":"bob"}`,
			"another case":           `{"Username":"ann","password":"` + servertest.Password + `"}`,
			"another case beside":    `{` + good + `,"Username":"bob"}`,
			"a folded letter":        `{"u\u017fername":"ann","password":"` + servertest.Password + `"}`,
			"a folded letter beside": `{` + good + `,"u\u017fername":"bob"}`,
			"__proto__":              `{` + good + `,"__proto__":{"admin":true}}`,
			"role":                   `{` + good + `,"role":"admin"}`,
			"admin":                  `{` + good + `,"is_admin":true}`,
			"mfa":                    `{` + good + `,"mfa_verified":true}`,
			"trailing JSON":          `{` + good + `} {` + good + `}`,
			"trailing bytes":         `{` + good + `}x`,
			"a comma":                `{` + good + `,}`,
			"single quotes":          `{'username':'ann'}`,
			"a comment":              `{` + good + `/**/}`,
			"a byte order mark":      "\ufeff{" + good + `}`,
			"not UTF-8":              `{"username":"ann` + "\xff" + `","password":"x"}`,
			"cut short":              `{` + good,
			"depth":                  `{` + good + `,"scope":` + strings.Repeat("[", 7000) + strings.Repeat("]", 7000) + `}`,
			"resource":               `{` + good + `,"resource":[["x"]]}`,
		} {
			if a := s.Send(t, "POST", "/auth/login", "application/json", body); a.Status != http.StatusBadRequest || a.Error() != "invalid_request" {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		for name, size := range map[string]int{"16 KiB and one": 16<<10 + 1, "10 MiB": 10 << 20} {
			body := `{` + good + `,"scope":"` + strings.Repeat("a", size-len(good)-13) + `"}`
			if a := s.Send(t, "POST", "/auth/login", "application/json", body); a.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d", name, a.Status)
			}
		}
		if after := number(t, db, "SELECT COUNT(*) FROM audit_events WHERE actor NOT LIKE 'system:%'"); after != before {
			t.Errorf("%d sign-ins were tried", after-before)
		}
		if a := s.Send(t, "POST", "/auth/login", "application/json; charset=utf-8", ` {`+good+`,"grant_type":"password"} `); a.Status != http.StatusOK {
			t.Errorf("a good one: %d %s", a.Status, a.Body)
		}
	})
}

// A name is a name: it is never taken for SQL, a pattern, a path or a template.
func TestAttackLOG014IdentifiersAreData(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		root := s.Login(t, servertest.Admin).Access
		for _, text := range []string{
			"ann' OR '1'='1", "ann'--", "ann';DROP TABLE users;--", `ann" OR ""="`, "ann%", "a__", "%", "*", "ann)(uid=*", "*)(objectClass=*", "../ann", "{{.}}", "${jndi:ldap://x}", "%s%n", "ann\\",
			"ann' UNION SELECT password FROM users--", "1; SELECT pg_sleep(5)", "\u0000", "'||(SELECT 1)||'",
		} {
			if a := s.Form(t, "/auth/login", "username", text, "password", servertest.Password); a.Status != http.StatusUnauthorized {
				t.Errorf("login as %q: %d %s", text, a.Status, a.Body)
			}
			for _, path := range []string{"/users?q=", "/users?after=", "/roles?after="} {
				a := s.Call(t, root, "GET", path+strings.ReplaceAll(escaped(text), "+", "%20"), nil)
				if a.Status >= 500 || strings.Contains(a.Body, `"username":"ann"`) {
					t.Errorf("%s%s: %d %s", path, text, a.Status, a.Body)
				}
			}
		}
	})
}

// A name that only looks like another is none, and one written otherwise is the
// same.
func TestAttackLOG015LookAlikes(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "alice", "viewer")
		root := s.Login(t, servertest.Admin).Access
		create := func(field, value string) servertest.Answer {
			body := map[string]any{"username": "mallory"}
			body[field] = value
			return s.Call(t, root, "POST", "/users", body)
		}
		for _, name := range []string{"\u0430lice", "al\u0131ce", "\uff41lice", "alice\u200b", "alice\u00ad", "\u202ealice", "ali\u0441e", "alice ", "a\u0301lice", "\u212aelvin", "al\u217dce", "alice\ufe0f"} {
			refusedAs(t, "username "+name, create("username", name), 400, "body.username")
		}
		for _, name := range []string{"Alice", "ALICE"} {
			refusedAs(t, "username "+name, create("username", name), 409, "body.username")
		}
		for _, email := range []string{"Alice@example.com", "alice@EXAMPLE.COM", "\uff41lice@example.com", "alice@ex\uff41mple.com", "alice@example\u3002com"} {
			refusedAs(t, "email "+email, create("email", email), 409, "body.email")
		}
		for _, email := range []string{"alice\u200b@example.com", "alice@example.com\u200b", "al ice@example.com", "alice@@example.com", "a@b@example.com", "alice@[127.0.0.1]", "alice@-x.com", "alice@example..com", "alice@.com", "<alice@example.com>", "alice@example.com,bob@example.com"} {
			refusedAs(t, "email "+email, create("email", email), 400, "body.email")
		}
	})
}

// Usernames and addresses are two namespaces: the one cannot shadow the other.
func TestAttackLOG016EmailAsUsername(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		victim := s.User(t, "victim", "viewer")
		eve := s.User(t, "eve", "viewer")
		root := s.Login(t, servertest.Admin).Access
		for _, name := range []string{"victim@example.com", "victim@example", "a@b", "@victim"} {
			refusedAs(t, "create "+name, s.Call(t, root, "POST", "/users", map[string]any{"username": name, "password": servertest.Password}), 400, "body.username")
			refusedAs(t, "rename to "+name, s.Call(t, root, "PATCH", "/users/"+eve.ID, map[string]any{"username": name}), 400, "body.username")
		}
		for _, email := range []string{"victim@example.com", "VICTIM@example.com", "victim@EXAMPLE.com", "\uff56ictim@example.com"} {
			refusedAs(t, "take "+email, s.Call(t, root, "PATCH", "/users/"+eve.ID, map[string]any{"email": email}), 409, "body.email")
		}
		if got := subject(t, s, s.Login(t, "victim@example.com").Access); got != victim.ID {
			t.Errorf("the victim's address signs in as %s", got)
		}
	})
}

// When more passwords wait than the queue holds, all are told the same: come
// again. A right password is told nothing else than a wrong one.
func TestAttackLOG022FullQueue(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Tweak: func(o *server.Options) {
		o.Hasher.Workers, o.Hasher.Queue, o.Hasher.InsecureCost = 1, 2, 8
	}})
	root := s.Login(t, servertest.Admin).Access
	names := []string{servertest.Admin, "nobody", "nobody@example.com", "a b"}
	var mu sync.Mutex
	busy := map[string]servertest.Answer{}
	statuses := map[int]int{}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			name, password := names[i%len(names)], []string{servertest.Password, "wrong"}[i/len(names)%2]
			a := s.Form(t, "/auth/login", "username", name, "password", password)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
			if a.Status == http.StatusTooManyRequests {
				busy[name+" "+password] = a
			}
		})
	}
	var problems []servertest.Answer
	for i := range 12 {
		all.Go(func() {
			var a servertest.Answer
			if i%2 == 0 {
				a = s.Call(t, root, "POST", "/users", map[string]any{"username": "u" + strconv.Itoa(i), "password": "a password of its own"})
			} else {
				a = s.Call(t, root, "POST", "/users/me/password", map[string]any{"current_password": "wrong", "new_password": "a password of its own"})
			}
			mu.Lock()
			defer mu.Unlock()
			if a.Status == http.StatusTooManyRequests {
				problems = append(problems, a)
			}
		})
	}
	all.Wait()
	if a := s.Form(t, "/auth/login", "username", "nobody", "password", "wrong"); a.Status != http.StatusUnauthorized {
		t.Errorf("when the queue is empty again: %d %s", a.Status, a.Body)
	}
	if len(busy) < 4 || statuses[429] < 20 || len(problems) == 0 {
		t.Fatalf("%v, %d names and %d management requests found the queue full", statuses, len(busy), len(problems))
	}
	body := ""
	for who, a := range busy {
		seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.Error() != "temporarily_unavailable" || err != nil || seconds < 1 {
			t.Errorf("%s: %s, Retry-After %q", who, a.Body, a.Header.Get("Retry-After"))
		}
		if body == "" {
			body = a.Body
		}
		a.Header.Del("Retry-After")
		if a.Body != body {
			t.Errorf("%s is told %s, others %s", who, a.Body, body)
		}
	}
	for _, a := range problems {
		refusedAs(t, "the management API", a, 429, "")
		if a.Header.Get("Retry-After") == "" {
			t.Error("the management API says no Retry-After")
		}
	}
	s.Login(t, servertest.Admin) // and then it goes on
}

// A new server has no account that somebody could know.
func TestAttackLOG023NoDefaultAccount(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	for _, name := range []string{"root", "administrator", "doorward", "test", "guest", "postgres"} {
		for _, password := range []string{name, "password", "admin", "doorward", "changeme"} {
			if a := s.Form(t, "/auth/login", "username", name, "password", password); a.Status != http.StatusUnauthorized {
				t.Errorf("%s/%s: %d", name, password, a.Status)
			}
		}
	}
	var list struct{ Items []json.RawMessage }
	s.Call(t, s.Login(t, servertest.Admin).Access, "GET", "/users", nil).JSON(t, &list)
	if len(list.Items) != 1 {
		t.Errorf("there are %d accounts beside the one of the test", len(list.Items)-1)
	}
}
