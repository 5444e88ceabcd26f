package main

import (
	"fmt"
	"net/http"
)

// warden disables and enables an account. What was signed in before ends at
// once and for good.
type warden struct {
	base
	user, name string
	begun      int
	status     string
	version    int64
	held       *held // signed in while the account is active
	knocks     int   // tries while it was not, since
	graves     graves
}

func (w *warden) step() {
	n := pick(6)
	switch {
	case w.status == "active" && w.held == nil:
		w.signIn()
	case w.status == "active" && n == 0:
		w.become("disabled")
	case w.status == "active" && n == 1 && len(w.graves) > 0:
		w.dead(w.graves.one())
	case w.status == "active":
		w.me(w.held.access, http.StatusOK, "a token of the active user")
	case n == 0:
		w.become("active")
	case n == 1:
		w.refused()
	case len(w.graves) > 0:
		w.dead(w.graves.one())
	}
}

func (w *warden) rest() {
	if w.status == "active" && w.held == nil && pick(4) > 0 {
		w.signIn()
	}
}

func (w *warden) signIn() {
	if w.held = w.login(w.name, ""); w.held != nil {
		w.begun++
		w.knocks = 0
	}
}

// become gives the account another status.
func (w *warden) become(status string) {
	a := w.manage(http.MethodPatch, "/users/"+w.user, map[string]any{"status": status}, fmt.Sprintf("version %d → %s", w.version, status),
		"If-Match", version(w.version))
	if !w.done(a, http.StatusOK, status) {
		return
	}
	w.sum.add("acknowledged status changes")
	w.adopt(status, w.version+1)
	for _, h := range w.graves {
		w.me(h.access, http.StatusUnauthorized, "a token from before the account was disabled")
	}
}

func (w *warden) adopt(status string, version int64) {
	w.status, w.version = status, version
	if status == "disabled" && w.held != nil {
		w.graves.bury(*w.held)
		w.held = nil
	}
}

// refused tries to sign in to the account that is disabled.
func (w *warden) refused() {
	const most = 4 // one less than what locks the account
	if w.knocks == most {
		return
	}
	w.knocks++
	a := w.attempt(w.name, w.password, "", ", who is disabled")
	w.is(a, http.StatusUnauthorized, "signing in to a disabled account")
}

func (w *warden) settle(s *snapshot) {
	w.families(s, w.user, &w.begun)
	u := s.users[w.user]
	had := u.version == w.version+1 && w.doubt != "" && u.status == w.doubt
	if !had && (u.status != w.status || u.version != w.version) {
		w.violated("the account is %s, version %d; acknowledged was %s, version %d; without an answer: %q", u.status, u.version, w.status, w.version, w.doubt)
	}
	w.settled(had)
	w.adopt(u.status, u.version)
	if w.held != nil && s.families[w.held.family].ended != 0 {
		w.violated("the family %s has ended, and nobody ended it", w.held.family)
		w.held = nil
	}
	for _, h := range w.graves {
		if s.families[h.family].ended == 0 {
			w.violated("the family %s lives, from before the account was disabled", h.family)
		}
	}
}
