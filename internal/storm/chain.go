package main

import (
	"fmt"
	"net/http"
	"time"
)

// chain is a client that goes on with one token family as long as it can.
type chain struct {
	base
	user, name string
	mode       string // "cookie": it is a browser
	begun      int    // families of the user, as far as is known
	held       *held
	graves     graves
}

func (c *chain) step() {
	switch n := pick(40); {
	case c.held == nil:
		c.signIn()
	case c.held.lost:
		c.retry()
	case n == 0:
		c.logout()
	case n == 1 && len(c.held.before) >= 2:
		c.steal()
	case n <= 3:
		c.me(c.held.access, http.StatusOK, "an access token of "+c.held.family)
	case n <= 5 && len(c.graves) > 0:
		c.dead(c.graves.one())
	default:
		c.turn()
	}
}

func (c *chain) rest() {
	if c.held == nil && pick(4) > 0 {
		c.signIn()
	}
}

func (c *chain) signIn() {
	if c.held = c.login(c.name, c.mode); c.held != nil {
		c.begun++
	}
}

func (c *chain) about(what string) string {
	return fmt.Sprintf("%s %s at turn %d with %s", what, c.held.family, c.held.generation, short(c.held.secret))
}

// turn spends the refresh token for the next one.
func (c *chain) turn() {
	a := c.refresh(c.held.refresh, c.held.browser, c.about("going on with"))
	if c.done(a, http.StatusOK, "refresh") && c.take(a) {
		c.held.generation++
		c.sum.add("acknowledged turns")
	}
}

// take takes what a refresh gave.
func (c *chain) take(a answer) bool {
	next, err := tokens(a)
	switch {
	case err != nil:
		c.violated("refresh: %v", err)
		return false
	case next.family != c.held.family:
		c.violated("a token of the family %s was answered with one of %s", c.held.family, next.family)
		return false
	}
	const most = 4
	c.held.before = append(c.held.before, c.held.refresh)
	c.held.before = c.held.before[max(0, len(c.held.before)-most):]
	c.held.access, c.held.refresh, c.held.secret = next.access, next.refresh, next.secret
	return true
}

// retry sends a refresh token again whose turn was made and whose answer was
// lost. Within the grace it gets the successor that the database holds; else it
// is a reuse, and ends the family.
func (c *chain) retry() {
	f := c.last.families[c.held.family]
	const margin = 5 * time.Second
	left := time.Until(time.UnixMicro(f.grace))
	within := f.salted && left > 0
	if within && left < margin {
		return
	}
	if !within {
		a := c.refresh(c.held.refresh, c.held.browser, c.about("retrying, too late,"))
		if c.done(a, http.StatusBadRequest, "the reuse") {
			c.sum.add("lost answers whose retry ended the family")
			c.bury()
		}
		return
	}
	was := c.held.secret
	a := c.refresh(c.held.refresh, c.held.browser, c.about("retrying within the grace"))
	if !c.done(a, http.StatusOK, "the retry") || !c.take(a) {
		return
	}
	if c.held.secret != was {
		c.violated("the retry was given %s, and the family goes on with %s: it forks", short(c.held.secret), short(was))
	}
	c.held.lost = false
	c.sum.add("lost answers whose retry was given the same successor")
}

// steal sends a token of two turns ago, as a thief would.
func (c *chain) steal() {
	old := c.held.before[len(c.held.before)-2]
	if a := c.refresh(old, c.held.browser, c.about("reusing a spent token of")); c.done(a, http.StatusBadRequest, "the reuse") {
		c.sum.add("acknowledged ends of families")
		c.bury()
	}
}

func (c *chain) logout() {
	a := c.do(withToken(request{method: http.MethodPost, path: "/auth/logout", about: c.about("ending")}, c.held.refresh, c.held.browser))
	if c.done(a, http.StatusNoContent, "the logout") {
		c.sum.add("acknowledged ends of families")
		c.bury()
	}
}

func (c *chain) bury() {
	h := *c.held
	c.held = nil
	c.graves.bury(h)
	c.dead(h)
}

// ending is what a request ends a family as.
var ending = map[string]string{"the reuse": "reused", "the logout": "signed-out"}

func (c *chain) settle(s *snapshot) {
	c.families(s, c.user, &c.begun)
	if c.held == nil {
		c.settled(false)
		return
	}
	f, ok := s.families[c.held.family]
	switch {
	case !ok:
		c.violated("the family %s is not in the database", c.held.family)
	case f.ended == 0 && f.generation == c.held.generation && f.secret == c.held.secret:
		c.settled(false)
	case f.ended == 0 && c.doubt == "refresh" && f.generation == c.held.generation+1 && f.previous == c.held.secret:
		c.settled(true)
		c.held.lost, c.held.generation, c.held.secret = true, f.generation, f.secret
	case f.ended != 0 && ending[c.doubt] == f.why:
		c.settled(true)
		c.graves.bury(*c.held)
		c.held = nil
	default:
		c.violated("the family %s is at turn %d with %s, ended %q; the client was told of turn %d with %s; without an answer: %q",
			c.held.family, f.generation, short(f.secret), f.why, c.held.generation, short(c.held.secret), c.doubt)
		c.held = nil
	}
	c.doubt = ""
}
