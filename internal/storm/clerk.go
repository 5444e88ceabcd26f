package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
)

// clerk makes accounts, renames and deletes them. A request without an answer
// is sent again: with an Idempotency-Key or an If-Match it has one effect.
type clerk struct {
	base
	made     int
	username string
	key      string
	account  string // its id; empty if there is none
	name     string
	version  int64
	next     string // the name that a change without an answer would give
	again    bool   // the creation is to be sent again
	sent     int64  // the version of a change to be sent again; 0 for none
}

func (c *clerk) step() {
	switch {
	case c.again:
		c.create()
	case c.sent != 0:
		c.repeat()
	case c.account == "":
		c.made++
		c.username, c.key = fmt.Sprintf("%s-%d", c.who, c.made), rand.Text()
		c.create()
	case pick(5) == 0:
		c.remove()
	default:
		c.rename()
	}
}

func (c *clerk) create() {
	a := c.manage(http.MethodPost, "/users", map[string]any{"username": c.username, "email": c.username + "@example.com"}, c.username, "Idempotency-Key", c.key)
	if !c.done(a, http.StatusCreated, "creating the account") {
		return
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(a.body, &made); err != nil || made.ID == "" || c.again && c.account != "" && made.ID != c.account {
		c.violated("the account %q was created as %v (%v)", c.account, a, err)
	}
	if replayed := a.header.Get("Idempotency-Replayed") == "true"; replayed != (c.again && c.account != "") {
		c.violated("the repeated request says that it was done before: %v; the account was %q", replayed, c.account)
	} else if replayed {
		c.sum.add("repeated requests that were done before")
	}
	c.sum.add("acknowledged account changes")
	c.account, c.name, c.version, c.again = made.ID, "", 1, false
}

func (c *clerk) rename() {
	c.next = rand.Text()
	a := c.patch(c.version)
	if c.done(a, http.StatusOK, "renaming") {
		c.sum.add("acknowledged account changes")
		c.name, c.version = c.next, c.version+1
	}
}

func (c *clerk) patch(from int64) answer {
	return c.manage(http.MethodPatch, "/users/"+c.account, map[string]any{"name": c.next}, fmt.Sprintf("version %d → %s", from, c.next), "If-Match", version(from))
}

// repeat sends a change again that had its effect: its version is not the
// present one any more.
func (c *clerk) repeat() {
	if a := c.patch(c.sent); c.is(a, http.StatusPreconditionFailed, "repeating the change") {
		c.sent = 0
	}
}

func (c *clerk) remove() {
	a := c.manage(http.MethodDelete, "/users/"+c.account, nil, "", "If-Match", version(c.version))
	if c.done(a, http.StatusNoContent, "deleting the account") {
		c.sum.add("acknowledged account changes")
		c.gone()
	}
}

func (c *clerk) gone() {
	a := c.manage(http.MethodGet, "/users/"+c.account, nil, "which is deleted")
	c.is(a, http.StatusNotFound, "asking for what is deleted")
	c.account = ""
}

func (c *clerk) settle(s *snapshot) {
	if c.doubt == "creating the account" {
		id := s.names[c.username]
		if c.account != "" && id != c.account { // it was there before it was sent again
			c.violated("the account %s of %s is %q now", c.account, c.username, id)
		}
		had := id != "" && c.account == ""
		if c.account = id; id != "" {
			c.version, c.name = s.users[id].version, s.users[id].name
		}
		c.again = true
		c.settled(had)
	}
	if c.account == "" {
		if s.names[c.username] != "" && !c.again {
			c.violated("the account %s was deleted and is there", c.username)
		}
		c.settled(false)
		return
	}
	u, ok := s.users[c.account]
	switch {
	case ok && u.version == c.version && u.name == c.name:
		c.settled(false)
	case ok && c.doubt == "renaming" && u.version == c.version+1 && u.name == c.next:
		c.settled(true)
		c.sent, c.version, c.name = c.version, u.version, u.name
	case !ok && c.doubt == "deleting the account":
		c.settled(true)
		c.account = ""
	default:
		c.violated("the account %s: the database says %+v (there: %v); acknowledged was version %d, name %q; without an answer: %q",
			c.account, u, ok, c.version, c.name, c.doubt)
	}
	c.doubt = ""
}
