package main

import (
	"fmt"
	"net/http"
	"net/url"
)

// actor is a client that owns something nobody else changes: a token family, a
// role, an account. So it knows what the server must hold of it: what was
// acknowledged, and where its last request got no answer, that with or without
// this request.
type actor interface {
	// step makes a request or a few. It returns at the first one whose effect is
	// not known.
	step()
	// rest is what the actor does before the next kill can come: to sign in takes
	// longer than most lives.
	rest()
	// unsure reports whether the last request may have had its effect or not.
	unsure() bool
	// settle holds the database against what the actor was told, once nobody
	// acts, and learns what became of the request that got no answer.
	settle(s *snapshot)
}

// base is what every actor has.
type base struct {
	*storm
	who   string
	doubt string // the request that got no answer
}

func (b *base) rest() {}

func (b *base) unsure() bool { return b.doubt != "" }

func (b *base) violated(format string, args ...any) { b.verdict.violated(b.who, format, args...) }

func (b *base) do(q request) answer { return b.caller.do(b.who, q) }

// done reports whether a request that changes something had the answer that it
// must have. One without an answer leaves the actor in doubt.
func (b *base) done(a answer, status int, what string) bool {
	if a.lost() {
		b.doubt = what
		return false
	}
	return b.is(a, status, what)
}

// is reports whether a request had the answer that it must have. None at all is
// not held against the server.
func (b *base) is(a answer, status int, what string) bool {
	if !a.told() {
		return false
	}
	if a.status != status {
		b.violated("%s: %v, and it must be %d", what, a, status)
	}
	return a.status == status
}

// settled tells what became of a request that got no answer.
func (b *base) settled(had bool) {
	if b.doubt == "" {
		return
	}
	became := "had no effect"
	if had {
		became = "had its effect"
	}
	b.sum.add("no answer: " + became)
	b.ledger.answered(b.ledger.ask(b.who, "found in the database: "+b.doubt+" "+became), "")
	b.doubt = ""
}

// attempt asks to be signed in.
func (b *base) attempt(name, password, mode, about string) answer {
	form := url.Values{"username": {name}, "password": {password}}
	if mode != "" {
		form.Set("mode", mode)
	}
	return b.do(request{method: http.MethodPost, path: "/auth/login", about: name + about, form: form})
}

// login signs in; the family is nil if there is no answer to tell.
func (b *base) login(name, mode string) *held {
	a := b.attempt(name, b.password, mode, "")
	if !b.done(a, http.StatusOK, "login") {
		return nil
	}
	h, err := tokens(a)
	if err != nil {
		b.violated("login: %v", err)
		return nil
	}
	b.sum.add("acknowledged sign-ins")
	return &h
}

// refresh spends a refresh token, of a browser in its cookie.
func (b *base) refresh(token string, browser bool, about string) answer {
	return b.do(withToken(request{method: http.MethodPost, path: "/auth/refresh", about: about}, token, browser))
}

func withToken(q request, token string, browser bool) request {
	if browser {
		q.header = map[string]string{"Cookie": refreshCookie + "=" + token}
	} else {
		q.form = url.Values{"refresh_token": {token}}
	}
	return q
}

// dead holds a family that has ended to it: nothing that it gave is good for
// anything.
func (b *base) dead(h held) {
	if a := b.refresh(h.refresh, h.browser, "a token of the ended family "+h.family); b.is(a, http.StatusBadRequest, "refreshing what has ended") && a.code() != "invalid_grant" {
		b.violated("refreshing what has ended: %v", a)
	}
	b.me(h.access, http.StatusUnauthorized, "an access token of the ended family "+h.family)
}

// me asks who an access token is of.
func (b *base) me(access string, status int, about string) answer {
	a := b.do(request{method: http.MethodGet, path: "/users/me", token: access, about: about})
	b.is(a, status, about)
	return a
}

// graves are families that have ended, of which some are looked after.
type graves []held

func (g *graves) bury(h held) {
	const most = 6
	if len(*g) == most {
		i := pick(most)
		(*g)[i] = h
		return
	}
	*g = append(*g, h)
}

func (g *graves) one() held { return (*g)[pick(len(*g))] }

// manage asks the management API, as the administrator.
func (b *base) manage(method, path string, body any, about string, header ...string) answer {
	q := request{method: method, path: path, token: b.admin, body: body, about: about, header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		q.header[header[i]] = header[i+1]
	}
	return b.do(q)
}

// families holds the number of a user's token families to what is known: a
// sign-in without an answer may have begun one more.
func (b *base) families(s *snapshot, user string, known *int) {
	begun := s.begun[user]
	had := b.doubt == "login" && begun == *known+1
	if begun != *known && !had {
		b.violated("%d token families were begun, and the database holds %d", *known, begun)
	}
	*known = begun
	if b.doubt == "login" {
		b.settled(had)
	}
}

func version(n int64) string { return fmt.Sprintf(`"v%d"`, n) }
