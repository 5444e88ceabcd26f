package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// hashed makes an account with a stored hash of bcrypt.
func hashed(t *testing.T, s *servertest.Site, name, password string, cost int) account.User {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.Core.Accounts.Create(t.Context(), servertest.Operator, account.Draft{Username: name, Hash: string(hash)})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func login(t *testing.T, s *servertest.Site, name, password string) servertest.Answer {
	t.Helper()
	return s.Form(t, "/auth/login", "username", name, "password", password)
}

func TestAttackPW001BcryptTruncation(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		full := strings.Repeat("a", 72)
		hashed(t, s, "ann", full, 4)
		hashed(t, s, "nul", "abc", 4)
		for _, p := range []string{full + "a", full + "b", full + strings.Repeat("x", 100), full[:71], full + "\x00"} {
			if a := login(t, s, "ann", p); a.Status != http.StatusUnauthorized {
				t.Errorf("%d bytes: %d %s", len(p), a.Status, a.Body)
			}
		}
		for _, p := range []string{"abc\x00", "abc\x00abc", "abc\x00xyz"} {
			if a := login(t, s, "nul", p); a.Status != http.StatusUnauthorized {
				t.Errorf("%q: %d %s", p, a.Status, a.Body)
			}
		}
		pair(t, login(t, s, "ann", full))
		pair(t, login(t, s, "nul", "abc"))
	})
}

// A long password costs nothing, and who sends them keeps nobody waiting.
func TestAttackPW002LongPasswords(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			password, want := strings.Repeat("x", 513), http.StatusBadRequest
			if i%2 == 0 {
				password, want = strings.Repeat("x", 64<<10), http.StatusRequestEntityTooLarge
			}
			if i == 0 {
				password = strings.Repeat("x", 10<<20)
			}
			for _, name := range []string{"ann", "nobody"} {
				if a := login(t, s, name, password); a.Status != want {
					t.Errorf("%d bytes for %s: %d %s", len(password), name, a.Status, a.Body)
				}
			}
		})
	}
	for range 5 {
		s.Login(t, "ann")
	}
	all.Wait()
	if a := login(t, s, "ann", strings.Repeat("é", 256)); a.Status != http.StatusUnauthorized {
		t.Errorf("512 bytes: %d", a.Status)
	}
}

// A password is what was typed, in Unicode's one form of it: neither trimmed nor
// folded.
func TestAttackPW004OneFormOfAPassword(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	root := s.Login(t, servertest.Admin).Access
	const composed, decomposed = "caf\u00e9 caf\u00e9 caf\u00e9", "cafe\u0301 cafe\u0301 cafe\u0301"
	if a := s.Call(t, root, "POST", "/users", map[string]any{"username": "ann", "password": " " + decomposed + " "}); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for password, want := range map[string]int{
		" " + composed + " ": 200, " " + decomposed + " ": 200,
		composed: 401, decomposed: 401, " " + composed: 401, composed + " ": 401, strings.ToUpper(" " + composed + " "): 401, " caf\u00e9  caf\u00e9 caf\u00e9 ": 401,
	} {
		if a := login(t, s, "ann", password); a.Status != want {
			t.Errorf("%q: %d, want %d", password, a.Status, want)
		}
	}
}

func TestAttackPW005Policy(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin).Access
		s.User(t, "michaela", "viewer")
		for _, tt := range []struct {
			password string
			ok       bool
		}{
			{"short", false},
			{"seven77", false},
			{"password", false},
			{"Password1", false},
			{"12345678", false},
			{"qwertyuiop", false},
			{"iloveyou", false},
			{"doorward", false},
			{"doorward2026", false},
			{"michaela", false},
			{"Michaela1990", false},
			{"michaela@example.com", false},
			{strings.Repeat("x7!q", 19), false}, // 76 bytes: bcrypt reads 72
			{"a\x00password of mine", false},
			{"nodigitsnorcapitals", true},
			{"               .", true},
			{strings.Repeat("x7!q", 16), true},
			{strings.Repeat("x7!q", 18), true},
			{"пароль длинный", true},
			{"🐎🔋📎🐎🔋📎🐎🔋", true},
		} {
			token := s.Login(t, "michaela").Access
			a := s.Call(t, token, "POST", "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": tt.password})
			if !tt.ok {
				refusedAs(t, "change to "+tt.password, a, 400, "body.new_password")
				refusedAs(t, "create with "+tt.password, s.Call(t, root, "POST", "/users", map[string]any{"username": "x", "name": "Michaela", "email": "michaela@example.com", "password": tt.password}), 400, "body.password")
				continue
			}
			if a.Status != http.StatusNoContent {
				t.Errorf("%q: %d %s", tt.password, a.Status, a.Body)
				continue
			}
			// And back.
			token = pair(t, login(t, s, "michaela", tt.password)).Access
			if a := s.Call(t, token, "POST", "/users/me/password", map[string]any{"current_password": tt.password, "new_password": servertest.Password}); a.Status != http.StatusNoContent {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
	})
}

// Who has found a signed-in browser does not get the account.
func TestAttackPW006WithoutTheCurrentPassword(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		token := s.Login(t, "ann").Access
		const next = `"new_password":"a password of evil"`
		for name, tt := range map[string]struct {
			body   string
			status int
			place  string
		}{
			"omitted":      {`{` + next + `}`, 400, "body"},
			"null":         {`{"current_password":null,` + next + `}`, 400, "body.current_password"},
			"empty":        {`{"current_password":"",` + next + `}`, 403, ""},
			"wrong":        {`{"current_password":"wrong",` + next + `}`, 403, ""},
			"nearly":       {`{"current_password":"` + servertest.Password + ` ",` + next + `}`, 403, ""},
			"other case":   {`{"Current_Password":"` + servertest.Password + `",` + next + `}`, 400, "*"},
			"folded":       {`{"current_pa\u017f\u017fword":"` + servertest.Password + `",` + next + `}`, 400, "*"},
			"twice":        {`{"current_password":"wrong","current_password":"` + servertest.Password + `",` + next + `}`, 400, "body"},
			"an array":     {`{"current_password":["` + servertest.Password + `"],` + next + `}`, 400, "body.current_password"},
			"another user": {`{"current_password":"` + servertest.Password + `",` + next + `,"id":"` + ann.ID + `"}`, 400, "body.id"},
		} {
			refusedAs(t, name, s.Send(t, "POST", "/users/me/password", "application/json", tt.body, "Authorization", "Bearer "+token), tt.status, tt.place)
		}
		for _, credential := range []string{"", "Bearer " + s.Login(t, "ann").Refresh, "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ=="} {
			a := s.Send(t, "POST", "/users/me/password", "application/json", `{"current_password":"`+servertest.Password+`",`+next+`}`, "Authorization", credential)
			if a.Status != http.StatusUnauthorized {
				t.Errorf("with %q: %d", credential, a.Status)
			}
		}
		key := keyOf(t, s, servertest.Operator, ann.ID, "read")
		refusedAs(t, "with an API key", s.Call(t, key.text, "POST", "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": "a password of evil"}), 403, "")
		if n := number(t, database(t, s), "SELECT COUNT(*) FROM audit_events WHERE action = 'password.change-failed'"); n != 3 {
			t.Errorf("%d wrong passwords were written down, want 3", n)
		}
		if me(t, s, token) != http.StatusOK {
			t.Error("the session has ended")
		}
		s.Login(t, "ann") // with the old password
	})
}

// Of parallel good sign-ins with an outdated hash each is let in, and one renews
// the hash.
func TestAttackPW016RehashRace(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Hasher.InsecureCost = 5 }})
		for round := range 1 {
			name := "ann" + strings.Repeat("n", round)
			u := hashed(t, s, name, "a password of hers", 4)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if a := login(t, s, name, "a password of hers"); a.Status != http.StatusOK {
						t.Errorf("%d %s", a.Status, a.Body)
					}
				})
			}
			all.Wait()
			db := database(t, s)
			if n := number(t, db, "SELECT COUNT(*) FROM users WHERE id = '"+u.ID+"' AND password LIKE '$2a$05$%'"); n != 1 {
				t.Error("the hash was not renewed")
			}
			if n := number(t, db, "SELECT COUNT(*) FROM audit_events WHERE action = 'login.failed'"); n != 0 {
				t.Errorf("%d sign-ins are written down as failed", n)
			}
		}
	})
}

// A change of the password that meets the renewal of a hash is not undone by it.
func TestAttackPW016RehashAgainstChange(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Hasher.InsecureCost = 5 }})
		const old, next = "a password of hers", "another password of hers"
		for round := range 3 {
			name := "ann" + strings.Repeat("n", round)
			hashed(t, s, name, old, 5)
			token := pair(t, login(t, s, name, old)).Access
			hash, err := bcrypt.GenerateFromPassword([]byte(old), 4)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := database(t, s).Exec("UPDATE users SET password = '" + string(hash) + "' WHERE username = '" + name + "'"); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { login(t, s, name, old) })
			}
			var changed servertest.Answer
			all.Go(func() {
				changed = s.Call(t, token, "POST", "/users/me/password", map[string]any{"current_password": old, "new_password": next})
			})
			all.Wait()
			good := old
			if changed.Status == http.StatusNoContent {
				good = next
				if a := login(t, s, name, old); a.Status != http.StatusUnauthorized {
					t.Errorf("round %d: the old password is back: %d", round, a.Status)
				}
			} else if changed.Status != http.StatusPreconditionFailed {
				t.Errorf("round %d: %d %s", round, changed.Status, changed.Body)
			}
			pair(t, login(t, s, name, good))
		}
	})
}
