package issue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// life is that of the families here; a grace is set where there is to be one.
var life = grant.Lifetimes{Absolute: 24 * time.Hour, Idle: 4 * time.Hour}

const gracePeriod = 30 * time.Second

// site is a server whose clock is steered and whose commits can be made to fail.
type site struct {
	*storetest.Services
	faults *storetest.Faults
	now    atomic.Int64 // Unix microseconds
	people int
}

var morning = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

func newSite(t *testing.T, grace time.Duration) *site {
	s := &site{faults: &storetest.Faults{}}
	s.now.Store(morning.Add(-1000 * time.Hour).UnixMicro())
	c := clock.Func(func() time.Time { return time.UnixMicro(s.now.Load()) })
	l := life
	l.Grace = grace
	st := storetest.Open(t, storetest.SQLite(t), store.Options{Clock: c, Wrap: s.faults.Wrap})
	s.Services = storetest.NewServices(t, st, storetest.Parts{Clock: c, Family: l})
	return s
}

// chain is what must be true of a token family: the model.
type chain struct {
	*site
	grace time.Duration

	user   account.User
	tokens []secret.Text // of each generation; a zero one was never received
	ended  bool
	idle   time.Time
	until  time.Time // of the whole family
	retry  time.Time // until when the last but one is answered; zero: not at all
}

var granted = []string{"read", "write"}

func (s *site) chain(t *rapid.T, tb testing.TB, grace time.Duration) *chain {
	s.now.Store(morning.UnixMicro())
	s.people++
	u := s.User(tb, fmt.Sprint("person", s.people), "editor")
	c := &chain{site: s, grace: grace, user: u, tokens: []secret.Text{s.Family(tb, u, granted...)}}
	now := c.time()
	c.idle, c.until = now.Add(life.Idle), now.Add(life.Absolute)
	return c
}

func (c *chain) time() time.Time { return time.UnixMicro(c.now.Load()).UTC() }

// verdict is what the model says a token of a generation means now.
func (c *chain) verdict(generation int) grant.Verdict {
	now, last := c.time(), len(c.tokens)-1
	switch {
	case c.ended:
		return grant.Dead
	case !now.Before(c.until) || !now.Before(c.idle):
		return grant.Expired
	case generation == last:
		return grant.Current
	case generation == last-1 && now.Before(c.retry):
		return grant.Retry
	}
	return grant.Reused
}

// turned is what a rotation does to the model.
func (c *chain) turned(next secret.Text) {
	now := c.time()
	c.tokens = append(c.tokens, next)
	c.idle = now.Add(life.Idle)
	if c.idle.After(c.until) {
		c.idle = c.until
	}
	if c.retry = (time.Time{}); c.grace > 0 {
		c.retry = now.Add(c.grace)
	}
}

func (c *chain) refresh(token secret.Text, scope ...string) (issue.Tokens, error) {
	return c.Issuer.Refresh(context.Background(), storetest.Browser, issue.Renewal{Token: token, Client: client.Builtin, Scope: scope})
}

// known draws a generation whose token somebody holds: the client or a thief.
func (c *chain) known(t *rapid.T) int {
	var list []int
	for i, token := range c.tokens {
		if !token.IsZero() {
			list = append(list, i)
		}
	}
	if rapid.Bool().Draw(t, "the newest") {
		return list[len(list)-1]
	}
	return rapid.SampledFrom(list).Draw(t, "generation")
}

func code(err error) oauth.Code {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return e.Code
	}
	return ""
}

// answered holds an answer to a refresh against the model, and takes the model
// on.
func (c *chain) answered(t *rapid.T, generation int, verdict grant.Verdict, got issue.Tokens, err error, want []string) {
	switch verdict {
	case grant.Current, grant.Retry:
		if err != nil {
			t.Fatalf("generation %d of %d was refused: %v", generation, len(c.tokens)-1, err)
		}
		if !slices.Equal(got.Scope, want) {
			t.Fatalf("the scope is %q, want %q", got.Scope, want)
		}
		if verdict == grant.Current {
			c.turned(got.Refresh)
		} else if last := &c.tokens[generation+1]; last.IsZero() {
			*last = got.Refresh // it was lost, and is given once more
		} else if !got.Refresh.Equal(*last) {
			t.Fatalf("generation %d was given a second successor", generation)
		}
	default:
		if code(err) != oauth.InvalidGrant {
			t.Fatalf("generation %d of %d, verdict %d: %v", generation, len(c.tokens)-1, verdict, err)
		}
		c.ended = true
	}
}

func (c *chain) use(t *rapid.T) {
	generation := c.known(t)
	verdict := c.verdict(generation)
	scope := rapid.SampledFrom([][]string{nil, {"read"}, granted}).Draw(t, "scope")
	got, err := c.refresh(c.tokens[generation], scope...)
	want := granted
	if scope != nil {
		want = scope
	}
	c.answered(t, generation, verdict, got, err, want)
}

// grow asks for more than was granted: that spends nothing.
func (c *chain) grow(t *rapid.T) {
	generation := c.known(t)
	verdict := c.verdict(generation)
	_, err := c.refresh(c.tokens[generation], "admin", "read")
	if verdict == grant.Current || verdict == grant.Retry {
		if code(err) != oauth.InvalidScope {
			t.Fatalf("more than was granted: %v", err)
		}
		return
	}
	c.answered(t, generation, verdict, issue.Tokens{}, err, nil)
}

// foreign is another client with the token: it is told nothing and ends nothing.
func (c *chain) foreign(t *rapid.T) {
	r := issue.Renewal{Token: c.tokens[c.known(t)], Client: client.Client{ID: "another"}}
	if _, err := c.Issuer.Refresh(context.Background(), storetest.Browser, r); code(err) != oauth.InvalidGrant {
		t.Fatalf("another client: %v", err)
	}
}

// forge is somebody who knows the handle and guesses a secret.
func (c *chain) forge(t *rapid.T) {
	text := c.tokens[c.known(t)].Reveal()
	raw, err := secret.ParseBase62(text[4:69], 48)
	if err != nil {
		t.Fatal(err)
	}
	raw[47] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
	body := "dwr_" + secret.Base62(raw)
	forged := body + secret.Base62(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
	if _, err := c.refresh(secret.From(forged)); code(err) != oauth.InvalidGrant {
		t.Fatalf("a forged token: %v", err)
	}
	c.ended = true
}

// useAtOnce is one token in many hands at the same moment.
func (c *chain) useAtOnce(t *rapid.T) {
	generation := c.known(t)
	verdict := c.verdict(generation)
	n := rapid.IntRange(2, 5).Draw(t, "hands")
	got, errs := make([]issue.Tokens, n), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { got[i], errs[i] = c.refresh(c.tokens[generation]) })
	}
	wait.Wait()
	strictly := verdict == grant.Current && c.grace == 0
	won := 0
	for i := range n {
		switch {
		case strictly && errs[i] == nil:
			won++
			c.turned(got[i].Refresh)
		case strictly:
			if code(errs[i]) != oauth.InvalidGrant {
				t.Fatalf("one who was late: %v", errs[i])
			}
		default: // the second and all others are retries
			c.answered(t, generation, verdict, got[i], errs[i], granted)
			if verdict == grant.Current {
				verdict = grant.Retry
			}
		}
	}
	if strictly {
		if won != 1 {
			t.Fatalf("of %d parallel uses %d won", n, won)
		}
		c.ended = true
	}
}

// stolen is the client with the newest token and a thief with a spent one at the
// same moment: whoever is first, the family ends.
func (c *chain) stolen(t *rapid.T) {
	last := len(c.tokens) - 1
	old := rapid.IntRange(0, last).Draw(t, "generation")
	if c.tokens[old].IsZero() || c.tokens[last].IsZero() || c.verdict(old) != grant.Reused {
		t.Skip("there is nothing stolen that is spent")
	}
	var mine issue.Tokens
	var errMine, errThief error
	var wait sync.WaitGroup
	wait.Go(func() { mine, errMine = c.refresh(c.tokens[last]) })
	wait.Go(func() { _, errThief = c.refresh(c.tokens[old]) })
	wait.Wait()
	if code(errThief) != oauth.InvalidGrant || errMine != nil && code(errMine) != oauth.InvalidGrant {
		t.Fatalf("the thief was told %v, and the client %v", errThief, errMine)
	}
	if errMine == nil {
		c.turned(mine.Refresh)
	}
	c.ended = true
}

// crash loses the commit of a refresh, or the answer to it.
func (c *chain) crash(t *rapid.T) {
	generation := c.known(t)
	verdict := c.verdict(generation)
	f := rapid.SampledFrom([]storetest.Fault{{Err: errors.New("injected")}, {Err: io.ErrUnexpectedEOF, Done: true}}).Draw(t, "fault")
	var hit atomic.Bool
	c.faults.Use(func(s storetest.Step) storetest.Fault {
		if s.Kind == "commit" && hit.CompareAndSwap(false, true) {
			return f
		}
		return storetest.Fault{}
	})
	_, err := c.refresh(c.tokens[generation])
	c.faults.Use(nil)
	switch {
	case verdict == grant.Dead: // nothing is written
		if code(err) != oauth.InvalidGrant {
			t.Fatalf("ended: %v", err)
		}
		return
	case err == nil || code(err) != "":
		t.Fatalf("a commit that nobody knows of was told as %v", err)
	case !hit.Load():
		t.Fatal("there was no commit")
	case !f.Done:
		return
	case verdict == grant.Current:
		c.turned(secret.Text{}) // its successor is there, and nobody has it
	case verdict != grant.Retry:
		c.ended = true
	}
}

func (c *chain) signOut(t *rapid.T) {
	if err := c.Issuer.SignOut(context.Background(), storetest.Browser, c.tokens[c.known(t)]); err != nil {
		t.Fatal(err)
	}
	c.ended = true
}

// disable ends the family; to enable the account again does not bring it back.
func (c *chain) disable(t *rapid.T) {
	for _, status := range []account.Status{account.Disabled, account.Active} {
		if _, err := c.Accounts.Update(context.Background(), storetest.Operator, c.user.ID, account.Change{Status: &status}); err != nil {
			t.Fatal(err)
		}
	}
	c.ended = true
}

// wait moves the clock, now and then back.
func (c *chain) wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		time.Microsecond, time.Second, gracePeriod - time.Microsecond, gracePeriod, time.Hour, life.Idle - time.Second, life.Idle, life.Absolute,
		-time.Second, -gracePeriod, -life.Idle,
	}).Draw(t, "wait")
	c.now.Add(d.Microseconds())
}

// check holds what is kept against the model.
func (c *chain) check(t *rapid.T) {
	first, err := grant.ParseRefreshToken(c.tokens[0].Reveal())
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Store.FamilyByHandle(context.Background(), first.Handle())
	if err != nil {
		t.Fatal(err)
	}
	if f.Generation != int64(len(c.tokens)) || f.EndedAt.IsZero() == c.ended || !f.ExpiresAt.Equal(c.until) || !f.IdleUntil.Equal(c.idle) || !slices.Equal(f.Scope, granted) {
		t.Fatalf("kept is %+v; the model has %d generations, ended: %v, idle until %v, until %v", f, len(c.tokens), c.ended, c.idle, c.until)
	}
	live := 0
	for generation, text := range c.tokens {
		if text.IsZero() {
			continue
		}
		token, err := grant.ParseRefreshToken(text.Reveal())
		if err != nil || token.Handle() != first.Handle() {
			t.Fatalf("generation %d is of another family, %v", generation, err)
		}
		verdict := f.Judge(token, c.time())
		if verdict == grant.Current {
			live++
		}
		if want := c.verdict(generation); verdict != want {
			t.Fatalf("generation %d of %d: verdict %d, want %d", generation, len(c.tokens)-1, verdict, want)
		}
	}
	if live > 1 {
		t.Fatalf("%d tokens make the family go on", live)
	}
}

// A family never forks, whatever its holders, the clock and the database do: of
// each generation there is one successor, and at most one token is live. What
// has ended stays ended, what has expired is not accepted, a spent token ends
// the family, and the scope never grows.
func TestFamilyNeverForks(t *testing.T) {
	for name, grace := range map[string]time.Duration{"strict": 0, "grace": gracePeriod} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, grace)
			rapid.Check(t, func(r *rapid.T) {
				c := s.chain(r, t, grace)
				r.Repeat(map[string]func(*rapid.T){
					"": c.check, "use": c.use, "use again": c.use, "use at once": c.useAtOnce, "stolen": c.stolen, "crash": c.crash, "wait": c.wait,
					"grow": c.grow, "foreign": c.foreign, "forge": c.rarely(c.forge), "sign out": c.rarely(c.signOut), "disable": c.rarely(c.disable),
				})
			})
		})
	}
}

// rarely lets families live: what always ends them happens one time in four.
func (c *chain) rarely(do func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 3).Draw(t, "whether") > 0 {
			t.Skip("not now")
		}
		do(t)
	}
}
