package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

// steward makes a role, gives it to a user, changes it, takes it away and
// deletes it, over and over. He also holds a token that carries the role, which
// must be refused as soon as it carries too much.
type steward struct {
	base
	user, name string // who gets the role
	begun      int
	made       int // roles so far

	role    string // its name
	now     *role  // what it says; nil if there is none
	granted bool
	next    role   // what a change without an answer would make of it
	key     string // the Idempotency-Key of what is to be sent again; empty if nothing is
	again   string // what that was
	carrier *held  // its access token was issued while the role was granted
	void    bool   // it carries too much since
}

func (w *steward) step() {
	switch n := pick(12); {
	case w.again != "":
		w.repeat()
	case w.now == nil:
		w.made++
		w.role = fmt.Sprintf("%s-%d", w.who, w.made)
		w.next = role{permissions: w.permissions(), version: 1}
		w.key = rand.Text()
		w.create(false)
	case n == 0:
		w.remove()
	case n <= 2:
		w.replace()
	case !w.granted && n <= 9:
		w.key = rand.Text()
		w.give(false)
	case w.granted && n <= 4:
		w.take()
	case w.carrier == nil || w.void && w.granted && n <= 8:
		w.carry()
	case n <= 10:
		w.listed()
	default:
		w.carried()
	}
}

func (w *steward) rest() {
	if w.again == "" && (w.carrier == nil || w.void) && pick(2) == 0 {
		w.carry()
	}
}

// permissions returns one to four permissions that only this role grants.
func (w *steward) permissions() string {
	var list []string
	for _, action := range []string{"read", "write", "send", "sign"} {
		if pick(2) == 0 {
			list = append(list, w.who+":"+action)
		}
	}
	if list == nil {
		list = []string{w.who + ":read"}
	}
	return joined(list)
}

// create makes the role. Sent again with the same key, it is made once.
func (w *steward) create(again bool) {
	body := map[string]any{"name": w.role, "permissions": strings.Fields(w.next.permissions)}
	a := w.manage(http.MethodPost, "/roles", body, w.role, "Idempotency-Key", w.key)
	if w.done(a, http.StatusCreated, "creating the role") {
		w.replayed(a, again && w.now != nil)
		w.became(&role{permissions: w.next.permissions, version: 1}, false)
	}
}

func (w *steward) give(again bool) {
	a := w.manage(http.MethodPost, "/users/"+w.user+"/roles", map[string]any{"role": w.role}, w.role, "Idempotency-Key", w.key)
	if w.done(a, http.StatusCreated, "giving the role") {
		w.replayed(a, again && w.granted)
		w.became(w.now, true)
	}
}

// repeat sends a request once more that got no answer.
func (w *steward) repeat() {
	if w.again == "creating the role" {
		w.create(true)
	} else {
		w.give(true)
	}
	if !w.unsure() {
		w.again = ""
	}
}

// replayed holds the answer to a repeated request to what the database said of
// the first one.
func (w *steward) replayed(a answer, had bool) {
	if got := a.header.Get("Idempotency-Replayed") == "true"; got != had {
		w.violated("the repeated request says that it was done before: %v; it was: %v", got, had)
	}
	if had {
		w.sum.add("repeated requests that were done before")
	}
}

func (w *steward) replace() {
	w.next = role{permissions: w.permissions(), version: w.now.version + 1}
	body := map[string]any{"permissions": strings.Fields(w.next.permissions)}
	a := w.manage(http.MethodPut, "/roles/"+w.role, body, w.role+": "+w.next.permissions, "If-Match", version(w.now.version))
	if w.done(a, http.StatusOK, "replacing the role") {
		next := w.next
		w.became(&next, w.granted)
	}
}

func (w *steward) take() {
	a := w.manage(http.MethodDelete, "/users/"+w.user+"/roles/"+w.role, nil, "")
	if w.done(a, http.StatusNoContent, "taking the role") {
		w.became(w.now, false)
		w.carried()
	}
}

func (w *steward) remove() {
	a := w.manage(http.MethodDelete, "/roles/"+w.role, nil, "", "If-Match", version(w.now.version))
	if w.done(a, http.StatusNoContent, "deleting the role") {
		w.became(nil, false)
		w.carried()
	}
}

// became notes an acknowledged change, and whether the carrier's token carries
// too much since.
func (w *steward) became(now *role, granted bool) {
	w.sum.add("acknowledged role changes")
	w.adopt(now, granted)
}

func (w *steward) adopt(now *role, granted bool) {
	narrows := now == nil || w.now != nil && !covers(now.permissions, w.now.permissions)
	if w.granted && (narrows || !granted) {
		w.void = true
	}
	w.now, w.granted = now, granted
}

// covers reports whether each permission of b is one of a.
func covers(a, b string) bool {
	for _, p := range strings.Fields(b) {
		if !strings.Contains(" "+a+" ", " "+p+" ") {
			return false
		}
	}
	return true
}

// carry signs in for a token that carries the role.
func (w *steward) carry() {
	if !w.granted {
		return
	}
	if h := w.login(w.name, ""); h != nil {
		w.begun++
		w.carrier, w.void = h, false
	}
}

// carried asks with the token that carries the role.
func (w *steward) carried() {
	switch {
	case w.carrier == nil:
	case w.void:
		w.me(w.carrier.access, http.StatusUnauthorized, "a token that carries a lost right")
	default:
		if a := w.me(w.carrier.access, http.StatusOK, "a token that carries the role"); a.status == http.StatusOK && !bytes.Contains(a.body, []byte(`"`+w.role+`"`)) {
			w.violated("the role %s is granted and not among those of its holder: %v", w.role, a)
		}
	}
}

// listed asks for the user's grants.
func (w *steward) listed() {
	a := w.manage(http.MethodGet, "/users/"+w.user+"/roles", nil, "")
	if w.is(a, http.StatusOK, "listing grants") && bytes.Contains(a.body, []byte(`"`+w.role+`"`)) != w.granted {
		w.violated("the role %s is granted: %v; the API says %v", w.role, w.granted, a)
	}
}

func (w *steward) settle(s *snapshot) {
	w.families(s, w.user, &w.begun)
	var now *role
	if r, ok := s.roles[w.role]; ok {
		now = &r
	}
	granted := s.grants[holding{w.user, w.role}]
	same := func(a, b *role) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
	next := w.next
	had := false
	switch {
	case same(now, w.now) && granted == w.granted:
	case w.doubt == "creating the role" && same(now, &next) && !granted,
		w.doubt == "replacing the role" && same(now, &next) && granted == w.granted,
		w.doubt == "deleting the role" && now == nil && !granted,
		w.doubt == "giving the role" && same(now, w.now) && granted,
		w.doubt == "taking the role" && same(now, w.now) && !granted:
		had = true
	default:
		w.violated("the role %s: the database says %+v, granted: %v; acknowledged was %+v, granted: %v; without an answer: %q",
			w.role, now, granted, w.now, w.granted, w.doubt)
	}
	if w.doubt == "creating the role" || w.doubt == "giving the role" {
		w.again = w.doubt
	}
	w.settled(had)
	w.adopt(now, granted)
}
