package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// strict are the limits of a server that nobody configured.
var strict = map[string]string{"lockout.failures": "5", "rate_limit.login": "100000/1s", "rate_limit.global": "100000/1s"}

// also returns settings with more of them, name and value.
func also(set map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for k, v := range set {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// However many wrong passwords come at once, at one server or at two, five of them
// are judged. Whoever is refused is told when to come again.
func TestAttackLOG001ParallelGuesses(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, strict)
		for i, d := range ways {
			name := fmt.Sprint("ann", i)
			sites[0].User(t, name, "viewer")
			here := d.open(t, sites[0], name)
			var judged, limited atomic.Int64
			var all sync.WaitGroup
			for n := range 200 {
				all.Go(func() {
					a := here(t, sites[n%len(sites)], fmt.Sprint("wrong", n))
					switch after, _ := strconv.Atoi(a.Header.Get("Retry-After")); {
					case a.Status == d.wrong:
						judged.Add(1)
					case a.Status == http.StatusTooManyRequests && after >= 1 && after <= 60:
						limited.Add(1)
					default:
						t.Errorf("%s: %d %s, Retry-After %d", d.name, a.Status, a.Body, after)
					}
				})
			}
			all.Wait()
			if judged.Load() != 5 || limited.Load() != 195 {
				t.Errorf("%s: %d guesses were judged and %d refused", d.name, judged.Load(), limited.Load())
			}
			if a := here(t, sites[0], servertest.Password); a.Status != http.StatusTooManyRequests {
				t.Errorf("%s: the right password while it is locked: %d", d.name, a.Status)
			}
		}
	})
}

// Right passwords that come at once are all let in, and lock nobody out.
func TestRightPasswordsInParallel(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.User(t, "ann", "viewer")
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if a := login(t, s, "ann", servertest.Password); a.Status != http.StatusOK {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		all.Wait()
	})
}

// Nobody resets another's counter, and waiting does not either: locks grow, and
// after a hundred failures strangers stay out.
func TestAttackLOG004SlowGuessing(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		c := &steered{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: strict, Tweak: c.tweak})
		ann := s.User(t, "ann", "viewer")
		s.User(t, "eve", "viewer")
		judged := 0
		var waits []int
		for range 400 {
			if judged%4 == 0 {
				login(t, s, "eve", servertest.Password) // her own success
			}
			a := login(t, s, "ann", "wrong")
			if a.Status == 401 {
				judged++
				continue
			}
			after, _ := strconv.Atoi(a.Header.Get("Retry-After"))
			waits = append(waits, (after+59)/60)
			c.pass(time.Duration(after) * time.Second)
			if judged >= 100 && len(waits) > 25 {
				break
			}
		}
		if judged != 100 {
			t.Errorf("%d slow guesses were judged, want 100", judged)
		}
		if len(waits) < 6 || fmt.Sprint(waits[:6]) != "[1 5 15 60 60 60]" {
			t.Errorf("the locks take %v minutes", waits)
		}
		c.pass(24 * time.Hour)
		if a := login(t, s, "ann", servertest.Password); a.Status != http.StatusTooManyRequests {
			t.Errorf("a stranger with the right password a day later: %d", a.Status)
		}
		if err := s.Core.Issuer.Unlock(t.Context(), principal.Principal{Kind: principal.CLI, ID: "test"}, ann.ID); err != nil {
			t.Fatal(err)
		}
		if a := login(t, s, "ann", servertest.Password); a.Status != http.StatusOK {
			t.Errorf("after the unlock: %d %s", a.Status, a.Body)
		}
		locks := events(t, s, string(audit.LoginLocked))
		if len(locks) != 20 {
			t.Errorf("%d locks are in the log, want 20", len(locks))
		}
		for _, e := range locks {
			if e.Actor != "anonymous" || e.Target != "user:"+ann.ID {
				t.Errorf("whose guess it was nobody knows: %+v", e)
			}
		}
	})
}

// Whoever keeps an account locked keeps its owner out only where he has never
// been: a browser that signed in before has attempts of its own.
func TestAttackLOG009OwnerComesIn(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, strict)
		s, other := sites[0], sites[len(sites)-1]
		s.User(t, "ann", "viewer")
		b := s.Browser(t)
		b.Login(t, "ann")
		for range 7 {
			login(t, s, "ann", "wrong")
		}
		if a := login(t, s, "ann", servertest.Password); a.Status != http.StatusTooManyRequests {
			t.Fatalf("a stranger: %d", a.Status)
		}
		b.Site = other
		b.Login(t, "ann")
		if a := b.Form(t, "/auth/login", "username", "ann@example.com", "password", servertest.Password); a.Status != 200 {
			t.Errorf("she, without cookies for tokens: %d %s", a.Status, a.Body)
		}
		for n := range 5 { // her own five
			if a := b.Form(t, "/auth/login", "username", "ann", "password", "mistyped"); a.Status != 401 {
				t.Errorf("her mistake %d: %d %s", n+1, a.Status, a.Body)
			}
		}
		if a := b.Form(t, "/auth/login", "username", "ann", "password", servertest.Password); a.Status != http.StatusTooManyRequests {
			t.Errorf("after five mistakes: %d", a.Status)
		}
	})
}

// A device cookie that is another's, changed or stolen opens nothing more than
// its own five attempts.
func TestAttackLOG010DeviceCookies(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: strict})
		s.User(t, "ann", "viewer")
		s.User(t, "bob", "viewer")
		ann, bob := s.Browser(t), s.Browser(t)
		ann.Login(t, "ann")
		bob.Login(t, "bob")
		for range 5 {
			login(t, s, "ann", "wrong")
		}
		good := ann.Cookie(t, "device")
		for name, cookie := range map[string]string{
			"none": "", "bob's": bob.Cookie(t, "device"), "changed": good[:len(good)-1] + map[bool]string{true: "A", false: "Q"}[good[len(good)-1] != 'A'],
			"cut": good[:len(good)-22], "of another version": "9" + good[1:], "twice": good + "; doorward_device=" + good, "long": good + strings.Repeat("."+good[len(good)-22:], 50),
		} {
			a := s.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&password=wrong", "Cookie", "doorward_device="+cookie)
			if a.Status != http.StatusTooManyRequests {
				t.Errorf("%s: %d", name, a.Status)
			}
		}
		var judged atomic.Int64
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				if a := s.Send(t, http.MethodPost, "/auth/login", formType, fmt.Sprint("username=ann&password=wrong", n), "Cookie", "doorward_device="+good); a.Status == 401 {
					judged.Add(1)
				}
			})
		}
		all.Wait()
		if judged.Load() != 5 {
			t.Errorf("%d guesses with a stolen device cookie were judged", judged.Load())
		}
	})
}

// Failures are counted by network, whatever the account; successes are not, since
// an office shares an address. An address in a header counts only from a proxy.
func TestAttackLOG006ByNetwork(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: also(strict, "rate_limit.login", "10/1m", "trusted_proxies", "127.0.0.0/8")})
		s.User(t, "ann", "viewer")
		try := func(address, name, password string) int {
			return s.Send(t, http.MethodPost, "/auth/login", formType, "username="+name+"&password="+strings.ReplaceAll(password, " ", "+"), "X-Forwarded-For", address).Status
		}
		for range 30 {
			if got := try("203.0.113.1", "ann", servertest.Password); got != 200 {
				t.Fatalf("a success from the office: %d", got)
			}
		}
		for n := range 10 {
			if got := try(fmt.Sprintf("2001:db8:1:2::%x", n+1), fmt.Sprint("nobody", n), "wrong"); got != 401 {
				t.Errorf("guess %d: %d", n+1, got)
			}
		}
		for address, want := range map[string]int{
			"2001:db8:1:2:ffff::1": 429, "2001:db8:1:3::1": 401, "203.0.113.1": 401, "203.0.113.2": 401, "junk": 401,
		} {
			if got := try(address, "somebody", "wrong"); got != want {
				t.Errorf("from %s: %d, want %d", address, got, want)
			}
		}
		if got := try("2001:db8:1:2::77", "ann", servertest.Password); got != 429 {
			t.Errorf("the right password from there: %d", got)
		}
	})
}

// One password over many accounts is stopped by network, locks nobody, and raises
// the alarm, during which a network gets less.
func TestAttackLOG011Spraying(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		c := &steered{}
		s := servertest.Start(t, servertest.Options{
			DSN: dsn, Tweak: c.tweak,
			Set: also(strict, "rate_limit.login", "10/1m", "rate_limit.global", "60/1m", "trusted_proxies", "127.0.0.0/8"),
		})
		s.User(t, "ann", "viewer")
		judged := map[int]int{}
		account := 0
		for network := range 20 {
			for range 12 {
				account++
				a := s.Send(t, http.MethodPost, "/auth/login", formType, fmt.Sprint("username=user", account, "&password=Spring2026"),
					"X-Forwarded-For", fmt.Sprint("198.51.100.", network))
				if a.Status == 401 {
					judged[network]++
				}
			}
		}
		if judged[0] != 10 || judged[19] != 2 {
			t.Errorf("of each network were judged %v; want 10 before the alarm, and 2 during it", judged)
		}
		if n := len(events(t, s, string(audit.LoginFlood))); n != 1 {
			t.Errorf("the alarm is %d times in the log", n)
		}
		if got := s.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&password="+strings.ReplaceAll(servertest.Password, " ", "+"), "X-Forwarded-For", "203.0.113.5").Status; got != 200 {
			t.Errorf("ann, from elsewhere: %d", got)
		}
		c.pass(3 * time.Minute)
		a := s.Send(t, http.MethodPost, "/auth/login", formType, "username=ann&password=wrong", "X-Forwarded-For", "198.51.100.1")
		if a.Status != 401 {
			t.Errorf("when it is over: %d", a.Status)
		}
	})
}

// While an account is locked, nothing tells a right password from a wrong one, or
// an account from a name that is nobody's.
func TestAttackLOG012NoOracleWhileLocked(t *testing.T) {
	t.Parallel()
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: strict})
		s.User(t, "ann", "viewer")
		gone := s.User(t, "gone", "viewer")
		disable(t, s, gone, account.Disabled)
		var first string
		for _, name := range []string{"ann", "nobody", "gone", "no.body@example.com", "not%20a%20name"} {
			for n := range 5 {
				if a := login(t, s, name, fmt.Sprint("wrong", n)); a.Status != 401 {
					t.Errorf("%s, guess %d: %d %s", name, n+1, a.Status, a.Body)
				}
			}
			for _, password := range []string{"wrong", servertest.Password} {
				a := login(t, s, name, password)
				got := fmt.Sprint(a.Status, a.Body, without(a.Header))
				if first == "" {
					first = got
				}
				if a.Status != 429 || got != first {
					t.Errorf("%s, %s:\n\t%s\nand before:\n\t%s", name, password, got, first)
				}
			}
		}
	})
}
