package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// use is one of many parallel uses of a refresh token.
type use struct {
	site   *servertest.Site
	answer servertest.Answer
}

// atOnce uses a refresh token n times at once, in turn at each of the sites.
func atOnce(t *testing.T, token string, n int, sites ...*servertest.Site) []use {
	t.Helper()
	uses := make([]use, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range uses {
		uses[i].site = sites[i%len(sites)]
		all.Go(func() {
			<-start
			uses[i].answer = uses[i].site.Refresh(t, token)
		})
	}
	close(start)
	all.Wait()
	return uses
}

// twoReplicas returns two servers on one database, and on SQLite one.
func twoReplicas(t *testing.T, dsn string, set map[string]string) []*servertest.Site {
	t.Helper()
	master := secret.NewMaster()
	sites := []*servertest.Site{servertest.Start(t, servertest.Options{DSN: dsn, Master: master, Set: set})}
	if !strings.HasPrefix(dsn, "sqlite:") {
		sites = append(sites, replica(t, sites[0], master, set))
	}
	return sites
}

// Strictly, of parallel uses exactly one gets a pair, and the family ends: its
// access tokens at once where that was decided, and everywhere within a second.
func TestAttackRT001RaceStrict(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		sites[0].User(t, "ann", "viewer")
		for round, n := range []int{50, 100, 2, 2} {
			first := sites[round%len(sites)].Login(t, "ann")
			var won []servertest.Tokens
			for _, u := range atOnce(t, first.Refresh, n, sites...) {
				switch {
				case u.answer.Status == http.StatusOK:
					won = append(won, pair(t, u.answer))
				case !deadGrant(u.answer):
					t.Errorf("round %d: %d %s", round, u.answer.Status, u.answer.Body)
				}
			}
			if len(won) != 1 {
				t.Fatalf("round %d: %d of %d uses were granted", round, len(won), n)
			}
			for i, s := range sites {
				within(t, time.Second, fmt.Sprintf("round %d: site %d refuses the tokens", round, i), func() bool {
					return me(t, s, first.Access) == http.StatusUnauthorized && me(t, s, won[0].Access) == http.StatusUnauthorized
				})
				if a := s.Refresh(t, won[0].Refresh); !deadGrant(a) {
					t.Errorf("round %d: the winner's token: %d %s", round, a.Status, a.Body)
				}
			}
		}
		if n := number(t, database(t, sites[0]), "SELECT COUNT(*) FROM token_families WHERE ended_at = 0"); n != 0 {
			t.Errorf("%d families live", n)
		}
	})
}

// The process that finds a reuse refuses the access token before it answers.
func TestAttackRT001RefusedAtOnce(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		finds, other := sites[len(sites)-1], sites[0]
		other.User(t, "ann", "viewer")
		for round := range 5 {
			first := other.Login(t, "ann")
			second := pair(t, other.Refresh(t, first.Refresh))
			if !deadGrant(finds.Refresh(t, first.Refresh)) {
				t.Fatal("a spent token was taken")
			}
			for _, token := range []string{first.Access, second.Access} {
				if status := me(t, finds, token); status != http.StatusUnauthorized {
					t.Errorf("round %d: the one who found it answers %d", round, status)
				}
				within(t, time.Second, "the other one refuses", func() bool { return me(t, other, token) == http.StatusUnauthorized })
			}
		}
		if n := number(t, database(t, other), "SELECT COUNT(*) FROM audit_events WHERE action = 'token.reused' AND outcome = 'failure'"); n != 5 {
			t.Errorf("%d reuses in the audit log, want 5", n)
		}
	})
}

// With a grace, all of them are given the same successor.
func TestAttackRT001RaceWithGrace(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, map[string]string{"tokens.rotation_grace": "10s"})
		sites[0].User(t, "ann", "viewer")
		token := sites[0].Login(t, "ann").Refresh
		for _, n := range []int{50, 100} {
			next := ""
			for _, u := range atOnce(t, token, n, sites...) {
				tokens := pair(t, u.answer)
				if next == "" {
					next = tokens.Refresh
				}
				if tokens.Refresh != next || tokens.Refresh == token {
					t.Fatalf("two successors of one token")
				}
				if status := me(t, u.site, tokens.Access); status != http.StatusOK {
					t.Errorf("the access token: %d", status)
				}
			}
			token = next
		}
		if n := number(t, database(t, sites[0]), "SELECT COUNT(*) FROM token_families"); n != 1 {
			t.Errorf("%d families", n)
		}
	})
}

func TestAttackRT002ReuseEndsTheFamily(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		other := s.Login(t, "ann")
		tokens := []servertest.Tokens{s.Login(t, "ann")}
		for range 4 {
			tokens = append(tokens, pair(t, s.Refresh(t, tokens[len(tokens)-1].Refresh)))
		}
		for _, spent := range []int{1, 0, 4} { // an old one; then all are dead, the newest too
			if a := s.Refresh(t, tokens[spent].Refresh); !deadGrant(a) {
				t.Errorf("token %d: %d %s", spent, a.Status, a.Body)
			}
		}
		for i := range tokens {
			if status := me(t, s, tokens[i].Access); status != http.StatusUnauthorized {
				t.Errorf("access token %d: %d", i, status)
			}
		}
		if me(t, s, other.Access) != http.StatusOK {
			t.Error("another sign-in of hers has ended too")
		}
		pair(t, s.Refresh(t, other.Refresh))
	})
}

// A grace is for the token before, not for those before it.
func TestAttackRT003GraceIsForOneStep(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: map[string]string{"tokens.rotation_grace": "30s"}})
		s.User(t, "ann", "viewer")
		r1 := s.Login(t, "ann")
		r2 := pair(t, s.Refresh(t, r1.Refresh))
		r3 := pair(t, s.Refresh(t, r2.Refresh))
		if a := s.Refresh(t, r1.Refresh); !deadGrant(a) {
			t.Errorf("the one before the one before: %d %s", a.Status, a.Body)
		}
		for name, token := range map[string]servertest.Tokens{"first": r1, "second": r2, "third": r3} {
			if a := s.Refresh(t, token.Refresh); !deadGrant(a) {
				t.Errorf("afterwards the %s: %d %s", name, a.Status, a.Body)
			}
			if status := me(t, s, token.Access); status != http.StatusUnauthorized {
				t.Errorf("afterwards the %s access token: %d", name, status)
			}
		}
	})
}

// However often a token is sent within its grace, there is one that goes on.
func TestAttackRT004GraceMultipliesNothing(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		var c steered
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak, Set: map[string]string{"tokens.rotation_grace": "10s"}})
		s.User(t, "ann", "viewer")
		first := s.Login(t, "ann")
		next := pair(t, s.Refresh(t, first.Refresh))
		for i := range 100 {
			if again := pair(t, s.Refresh(t, first.Refresh)); again.Refresh != next.Refresh {
				t.Fatalf("retry %d was given another successor", i)
			}
		}
		if n := number(t, database(t, s), "SELECT COUNT(*) FROM token_families WHERE ended_at = 0"); n != 1 {
			t.Errorf("%d families live", n)
		}
		c.pass(11 * time.Second) // the grace is over, though nobody used the successor
		if a := s.Refresh(t, first.Refresh); !deadGrant(a) {
			t.Errorf("after the grace: %d %s", a.Status, a.Body)
		}
		if a := s.Refresh(t, next.Refresh); !deadGrant(a) {
			t.Errorf("the successor after a reuse: %d %s", a.Status, a.Body)
		}
	})
}

func TestAttackRT005AnotherClient(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	token := s.Login(t, "ann").Refresh
	for _, client := range []string{"nosuch", "Doorward", "doorward ", "doorward\x00"} {
		if a := s.Refresh(t, token, "client_id", client); a.Status != http.StatusUnauthorized || a.Error() != "invalid_client" || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("client_id %q: %d %s", client, a.Status, a.Body)
		}
	}
	pair(t, s.Refresh(t, token, "client_id", "doorward"))
}

func TestAttackRT006OtherTokens(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		tokens := s.Login(t, "ann")
		_, family, _ := strings.Cut(table(t, database(t, s), "token_families")[0], "[")
		family, _, _ = strings.Cut(family, " ")
		for name, token := range map[string]string{
			"access token": tokens.Access, "user id": ann.ID, "family id": family, "no API key": "dwk_" + strings.Repeat("a", 65), "API key": keyOf(t, s, servertest.Operator, ann.ID, "read").text, "password": servertest.Password,
			"prefix": "dwr_", "no prefix": strings.TrimPrefix(tokens.Refresh, "dwr_"), "other prefix": "dwk_" + strings.TrimPrefix(tokens.Refresh, "dwr_"),
		} {
			if a := s.Refresh(t, token); !deadGrant(a) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		if a := s.Call(t, tokens.Refresh, "GET", "/users/me", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("a refresh token as an access token: %d", a.Status)
		}
		pair(t, s.Refresh(t, tokens.Refresh))
	})
}

// What is nearly a token is none; the token that it was made of stays good.
func TestAttackRT007NearlyTheToken(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		token := s.Login(t, "ann").Refresh
		near := []string{
			token + "A", "A" + token, token + "\x00", token + "\n", "\n" + token, token + " ", " " + token, url.QueryEscape(token) + "%00",
			strings.ToUpper(token), strings.ToLower(token), "Dwr_" + token[4:], token + token, token[:len(token)-6], token[:len(token)-6] + "000000", `"` + token + `"`,
		}
		for n := range len(token) {
			near = append(near, token[:n])
		}
		for i := range len(token) {
			other := byte('0')
			if token[i] == '0' {
				other = '1'
			}
			near = append(near, token[:i]+string(other)+token[i+1:])
		}
		for _, n := range near {
			if n == token || n == "" {
				continue
			}
			if a := s.Refresh(t, n); !deadGrant(a) {
				t.Errorf("%q: %d %s", n, a.Status, a.Body)
			}
		}
		if a := (door{path: "/auth/refresh"}).post(t, s, "refresh_token="+url.QueryEscape(url.QueryEscape(token+"%"))); !deadGrant(a) {
			t.Errorf("escaped twice: %d", a.Status)
		}
		pair(t, s.Refresh(t, token))
	})
}

func TestAttackRT008LifetimesDoNotSlide(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		var c steered
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: c.tweak, Set: map[string]string{"tokens.refresh_ttl": "48h", "tokens.refresh_idle": "5h"}})
		s.User(t, "ann", "viewer")
		tokens := s.Login(t, "ann")
		for hour := 1; hour < 48; hour++ {
			c.pass(time.Hour)
			tokens = pair(t, s.Refresh(t, tokens.Refresh))
		}
		c.pass(time.Hour)
		if a := s.Refresh(t, tokens.Refresh); !deadGrant(a) {
			t.Errorf("after 48 hours: %d %s", a.Status, a.Body)
		}
		c.pass(-24 * time.Hour) // a clock that is set back revives nothing
		if a := s.Refresh(t, tokens.Refresh); !deadGrant(a) {
			t.Errorf("after the clock was set back: %d %s", a.Status, a.Body)
		}

		idle := s.Login(t, "ann")
		c.pass(5*time.Hour - time.Second)
		idle = pair(t, s.Refresh(t, idle.Refresh))
		c.pass(5 * time.Hour)
		if a := s.Refresh(t, idle.Refresh); !deadGrant(a) {
			t.Errorf("after five idle hours: %d %s", a.Status, a.Body)
		}
		c.pass(-4 * time.Hour)
		if a := s.Refresh(t, idle.Refresh); !deadGrant(a) {
			t.Errorf("idle, after the clock was set back: %d %s", a.Status, a.Body)
		}
	})
}

// A narrower scope is for one turn: what was granted stays, and never grows.
func TestAttackRT009ScopeOfATurn(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "editor")
		tokens := s.Login(t, "ann", "scope", "read write openid")
		for _, turn := range []struct{ ask, get string }{{"read", "read"}, {"", "openid read write"}, {"write openid", "openid write"}, {"", "openid read write"}} {
			if tokens = pair(t, s.Refresh(t, tokens.Refresh, "scope", turn.ask)); tokens.Scope != turn.get {
				t.Errorf("asked for %q: %q", turn.ask, tokens.Scope)
			}
		}
		if a := s.Refresh(t, tokens.Refresh, "scope", "read profile"); a.Error() != "invalid_scope" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// A refresh gives what its user may do now.
func TestAttackRT010EverythingIsAskedAgain(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		root := s.Login(t, servertest.Admin)
		change := func(method, path string, body any) {
			t.Helper()
			if a := s.Call(t, root.Access, method, path, body); a.Status >= 300 {
				t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
		t.Run("role", func(t *testing.T) {
			u := s.User(t, "role", "editor")
			tokens := s.Login(t, "role")
			change("POST", "/users/"+u.ID+"/roles", map[string]any{"role": "viewer"})
			change("DELETE", "/users/"+u.ID+"/roles/editor", nil)
			next := pair(t, s.Refresh(t, tokens.Refresh))
			if next.Scope != "read" {
				t.Errorf("scope %q", next.Scope)
			}
			// What is given back is not granted back: the scope was lost on the way.
			change("POST", "/users/"+u.ID+"/roles", map[string]any{"role": "admin"})
			if next = pair(t, s.Refresh(t, next.Refresh)); strings.Contains(next.Scope, "admin") {
				t.Errorf("it grew: %q", next.Scope)
			}
		})
		t.Run("role's permissions", func(t *testing.T) {
			change("POST", "/roles", map[string]any{"name": "clerk", "permissions": []string{"orders:read", "orders:write"}})
			s.User(t, "clerk", "clerk")
			tokens := s.Login(t, "clerk")
			change("PUT", "/roles/clerk", map[string]any{"permissions": []string{"orders:read"}})
			next := pair(t, s.Refresh(t, tokens.Refresh))
			if next.Scope != "orders:read" {
				t.Errorf("scope %q", next.Scope)
			}
			change("DELETE", "/roles/clerk", nil)
			if a := s.Refresh(t, next.Refresh); a.Status != http.StatusBadRequest || a.Error() != "invalid_scope" {
				t.Errorf("nothing is left of what was granted: %d %s", a.Status, a.Body)
			}
		})
		t.Run("password", func(t *testing.T) {
			s.User(t, "pass", "viewer")
			tokens, other := s.Login(t, "pass"), s.Login(t, "pass")
			if a := s.Call(t, tokens.Access, "POST", "/users/me/password", map[string]any{"current_password": servertest.Password, "new_password": "another one of mine"}); a.Status != http.StatusNoContent {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			for _, tk := range []servertest.Tokens{tokens, other} {
				if a := s.Refresh(t, tk.Refresh); !deadGrant(a) || me(t, s, tk.Access) != http.StatusUnauthorized {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
		})
		t.Run("logout", func(t *testing.T) {
			s.User(t, "out", "viewer")
			for name, out := range map[string]func(servertest.Tokens) servertest.Answer{
				"refresh token": func(tk servertest.Tokens) servertest.Answer {
					return s.Form(t, "/auth/logout", "refresh_token", tk.Refresh)
				},
				"JSON": func(tk servertest.Tokens) servertest.Answer {
					return s.Send(t, "POST", "/auth/logout", "application/json", `{"refresh_token":"`+tk.Refresh+`"}`)
				},
				"access token": func(tk servertest.Tokens) servertest.Answer { return s.Call(t, tk.Access, "POST", "/auth/logout", nil) },
			} {
				tokens := s.Login(t, "out")
				if a := out(tokens); a.Status != http.StatusNoContent || a.Body != "" {
					t.Errorf("%s: %d %s", name, a.Status, a.Body)
				}
				if a := s.Refresh(t, tokens.Refresh); !deadGrant(a) || me(t, s, tokens.Access) != http.StatusUnauthorized {
					t.Errorf("%s: %d %s", name, a.Status, a.Body)
				}
				if a := out(tokens); a.Status != http.StatusNoContent {
					t.Errorf("%s, twice: %d", name, a.Status)
				}
			}
		})
		pair(t, s.Refresh(t, root.Refresh)) // nobody else has noticed
	})
}

// forms returns the ways in which a refresh token could be written somewhere: the
// text, its bytes, and the bytes in hex and base64; of the whole and of its parts.
// digest is of its handle, which is what should be there.
func forms(token string) (found map[string]string, digest string) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body := token[len("dwr_") : len(token)-6]
	n := new(big.Int)
	for _, c := range body {
		n.Add(n.Mul(n, big.NewInt(62)), big.NewInt(int64(strings.IndexRune(digits, c))))
	}
	bytes := n.FillBytes(make([]byte, 48))
	found = map[string]string{"text": body}
	for name, part := range map[string][]byte{"handle": bytes[:16], "secret": bytes[16:]} {
		found[name] = string(part)
		found[name+" in hex"] = hex.EncodeToString(part)
		found[name+" in base64"] = base64.RawStdEncoding.EncodeToString(part)[:20]
		found[name+" in base64url"] = base64.RawURLEncoding.EncodeToString(part)[:20]
	}
	sum := sha256.Sum256(bytes[:16])
	return found, string(sum[:])
}

// No token can be read out of the database, its files, or the log.
func TestAttackRT017NothingIsStored(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var issued []servertest.Tokens
		var kept strings.Builder
		log := logged(t, func() {
			s := servertest.Start(t, servertest.Options{DSN: dsn, Set: map[string]string{"tokens.rotation_grace": "10s"}})
			s.User(t, "ann", "viewer")
			issued = append(issued, s.Login(t, "ann"))
			issued = append(issued, pair(t, s.Refresh(t, issued[0].Refresh)))
			issued = append(issued, pair(t, s.Refresh(t, issued[1].Refresh)))
			s.Refresh(t, issued[0].Refresh) // a reuse
			s.Form(t, "/auth/logout", "refresh_token", issued[2].Refresh)
			s.Call(t, issued[2].Access, "GET", "/users/me", nil)
			db := database(t, s)
			for _, name := range tables(t, db) {
				kept.WriteString(strings.Join(table(t, db, name), "\n"))
			}
			if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
				files, err := filepath.Glob(path + "*")
				if err != nil || !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "-wal") }) {
					t.Fatalf("%v, %v", files, err)
				}
				for _, f := range files {
					text, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					kept.Write(text)
				}
			}
			s.Stop()
		})
		if !strings.Contains(kept.String(), "ann@example.com") || !strings.Contains(log, "POST /auth/refresh") {
			t.Fatal("nothing was read, so nothing was searched")
		}
		for i, tokens := range issued {
			written, digest := forms(tokens.Refresh)
			if !strings.Contains(kept.String(), digest) {
				t.Error("the digest of the handle was not found, so the search proves nothing")
			}
			for name, form := range written {
				if strings.Contains(kept.String(), form) {
					t.Errorf("the database holds the %s of refresh token %d", name, i)
				}
				if strings.Contains(log, form) {
					t.Errorf("the log holds the %s of refresh token %d", name, i)
				}
			}
			signature := tokens.Access[strings.LastIndex(tokens.Access, ".")+1:]
			for _, part := range []string{tokens.Access, signature} {
				if strings.Contains(kept.String(), part) || strings.Contains(log, part) {
					t.Errorf("access token %d, or its signature, is kept", i)
				}
			}
		}
	})
}

// One user cannot fill the table: the oldest family makes way for the newest.
func TestAttackRT018FamiliesAreBounded(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		s.User(t, "bob", "viewer")
		bob := s.Login(t, "bob")
		var all []servertest.Tokens
		for range 103 {
			all = append(all, s.Login(t, "ann"))
		}
		db := database(t, s)
		if n := number(t, db, "SELECT COUNT(*) FROM token_families WHERE ended_at = 0"); n != 101 {
			t.Errorf("%d families live, want 100 of ann's and bob's", n)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM audit_events WHERE action = 'token.revoked'"); n != 3 {
			t.Errorf("%d events tell of it", n)
		}
		for i, tokens := range all[:4] {
			want := http.StatusUnauthorized
			if i == 3 {
				want = http.StatusOK
			}
			if status := me(t, s, tokens.Access); status != want {
				t.Errorf("family %d: %d, want %d", i, status, want)
			}
		}
		if a := s.Refresh(t, all[0].Refresh); !deadGrant(a) {
			t.Errorf("the oldest: %d %s", a.Status, a.Body)
		}
		pair(t, s.Refresh(t, all[102].Refresh))
		pair(t, s.Refresh(t, bob.Refresh))
	})
}
