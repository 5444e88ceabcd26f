package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// books are kept by the audit log alone. Whatever the log tells, replayed, must
// be what the tables hold: an event without its change, or a change without its
// event, does not balance.
type books struct {
	verdict *verdict

	events int
	count  map[string]int // by action and target
	turns  map[string]int // token.refreshed of a family that were no retries
	users  map[string]user
	roles  map[string]role
	grants map[holding]bool
	last   *snapshot // the one before
}

func newBooks(v *verdict) *books {
	return &books{
		verdict: v, count: map[string]int{}, turns: map[string]int{},
		users: map[string]user{}, roles: map[string]role{}, grants: map[holding]bool{},
	}
}

// balance enters the new events and holds the books against the tables.
func (b *books) balance(s *snapshot) {
	for _, e := range s.events {
		b.enter(e)
	}
	b.policy(s)
	b.families(s)
	b.sessions(s)
	b.people(s)
	b.history(s)
	b.last = s
}

func (b *books) wrong(format string, args ...any) { b.verdict.violated("books", format, args...) }

func (b *books) enter(e event) {
	b.events++
	b.count[e.action+" "+e.target]++
	if e.private != e.kept {
		b.wrong("event %s %s %s names %d private parts, and %d are there", e.id, e.action, e.target, e.private, e.kept)
	}
	_, name, _ := strings.Cut(e.target, ":")
	switch e.action {
	case "token.refreshed":
		if e.detail["retry"] == "" {
			b.turns[name]++
		}
	case "user.created":
		b.users[name] = user{"active", 1, ""}
	case "user.updated", "user.disabled", "user.enabled":
		u := b.users[name]
		u.version++
		switch e.action {
		case "user.disabled":
			u.status = "disabled"
		case "user.enabled":
			u.status = "active"
		}
		b.users[name] = u
	case "user.deleted":
		delete(b.users, name)
		maps.DeleteFunc(b.grants, func(h holding, _ bool) bool { return h.user == name })
	case "role.created":
		b.roles[name] = changed(role{}, e)
	case "role.updated":
		b.roles[name] = changed(b.roles[name], e)
	case "role.deleted":
		delete(b.roles, name)
		maps.DeleteFunc(b.grants, func(h holding, _ bool) bool { return h.role == name })
	case "grant.created":
		if h := (holding{name, e.detail["role"]}); b.grants[h] {
			b.wrong("the log gives the role %s to %s twice", h.role, h.user)
		} else {
			b.grants[h] = true
		}
	case "grant.revoked":
		if h := (holding{name, e.detail["role"]}); !b.grants[h] {
			b.wrong("the log takes the role %s from %s, who did not have it", h.role, h.user)
		} else {
			delete(b.grants, h)
		}
	}
}

// changed returns a role after an event that says what came and what went.
func changed(r role, e event) role {
	set := func(before, what string) string {
		list := append(strings.Fields(before), e.lists[what+"_added"]...)
		return joined(slices.DeleteFunc(list, func(s string) bool { return slices.Contains(e.lists[what+"_removed"], s) }))
	}
	return role{set(r.permissions, "permissions"), set(r.inherits, "inherits"), r.version + 1}
}

// joined is a set as the books write it.
func joined(list []string) string {
	slices.Sort(list)
	return strings.Join(list, " ")
}

// policy holds roles and grants against the log.
func (b *books) policy(s *snapshot) {
	for name, want := range b.roles {
		if got, ok := s.roles[name]; !ok || got != want {
			b.wrong("role %s: the log says %+v, the table %+v (there: %v)", name, want, got, ok)
		}
	}
	for name := range s.roles {
		if _, ok := b.roles[name]; !ok {
			b.wrong("role %s is in the table, and the log knows nothing of it", name)
		}
	}
	for h := range b.grants {
		if !s.grants[h] {
			b.wrong("the log says that %s has the role %s, the table does not", h.user, h.role)
		}
	}
	for h := range s.grants {
		if !b.grants[h] {
			b.wrong("the table says that %s has the role %s, the log does not", h.user, h.role)
		}
	}
	if b.last != nil && s.policy < b.last.policy {
		b.wrong("the version of the policy went back from %d to %d", b.last.policy, s.policy)
	}
}

// ends are the events that end a family of their own.
var ends = map[string]string{
	"reused": "token.reused", "expired": "token.refused", "signed-out": "token.revoked", "displaced": "token.revoked",
}

// families holds token families against the log: one event for each beginning,
// each turn and each end.
func (b *books) families(s *snapshot) {
	endings := map[string]int{}
	for id, f := range s.families {
		if n := b.count["token.issued family:"+id]; n != 1 {
			b.wrong("family %s has %d events that say it began", id, n)
		}
		if n := b.turns[id]; int64(n) != f.generation-1 {
			b.wrong("family %s is at generation %d, and the log tells of %d turns", id, f.generation, n)
		}
		if (f.ended != 0) != s.told[id] {
			b.wrong("family %s: ended %q, told by the change feed: %v", id, f.why, s.told[id])
		}
		if f.ended != 0 && ends[f.why] != "" {
			endings[ends[f.why]+" family:"+id]++
		}
	}
	for key, n := range b.count {
		action, target, _ := strings.Cut(key, " ")
		if (action == "token.reused" || action == "token.revoked" || action == "token.refused") && endings[key] != n {
			b.wrong("%s: %d events %s, and the table says %d", target, n, action, endings[key])
		}
	}
	for key := range endings {
		if b.count[key] != 1 {
			b.wrong("%d events %s for a family that ended so", b.count[key], key)
		}
	}
	if s.waiting != 0 || s.numbered != s.head {
		b.wrong("the change feed has %d changes without a number, %d with one, and its head is %d", s.waiting, s.numbered, s.head)
	}
}

// sessions holds signed-in browsers against their token families: one of each,
// which begin and end together.
func (b *books) sessions(s *snapshot) {
	of := map[string]int{}
	for id, f := range s.families {
		if f.session == "" {
			continue
		}
		of[f.session]++
		v, ok := s.sessions[f.session]
		if !ok || v.user != f.user || (v.ended == 0) != (f.ended == 0) {
			b.wrong("family %s of the session %s: %+v, and the session is %+v (there: %v)", id, f.session, f, v, ok)
		}
	}
	for id := range s.sessions {
		if of[id] != 1 {
			b.wrong("session %s has %d families", id, of[id])
		}
	}
}

// people holds accounts against the log.
func (b *books) people(s *snapshot) {
	for id, want := range b.users {
		got, ok := s.users[id]
		if want.name = got.name; !ok || got != want {
			b.wrong("user %s: the log says %+v, the table %+v (there: %v)", id, want, got, ok)
		}
		if n := b.count["login.succeeded user:"+id]; n != s.begun[id] {
			b.wrong("user %s has %d families, and the log tells of %d sign-ins", id, s.begun[id], n)
		}
	}
	for id := range s.users {
		if _, ok := b.users[id]; !ok {
			b.wrong("user %s is in the table, and the log knows nothing of it", id)
		}
	}
	for id, f := range s.families {
		if u, ok := s.users[f.user]; f.ended == 0 && (!ok || u.status != "active") {
			b.wrong("family %s lives, and its user %s is %q", id, f.user, u.status)
		}
	}
}

// history holds the tables against what they held before: what has ended stays
// as it is, and nothing goes back.
func (b *books) history(s *snapshot) {
	if b.last == nil {
		return
	}
	for id, before := range b.last.families {
		now, ok := s.families[id]
		before.salted, before.grace, now.salted, now.grace = false, 0, false, 0 // these come to their end by themselves
		switch {
		case !ok:
			b.wrong("family %s is gone", id)
		case before.ended != 0 && now != before:
			b.wrong("family %s had ended, and has changed since: %+v, before %+v", id, now, before)
		case now.generation < before.generation:
			b.wrong("family %s went back from generation %d to %d", id, before.generation, now.generation)
		}
	}
	if s.head < b.last.head {
		b.wrong("the head of the change feed went back from %d to %d", b.last.head, s.head)
	}
}

// audit reads all events once more, at the end: those that were read before must
// still be there, and tell the same.
func (b *books) audit(s *snapshot) {
	again := newBooks(b.verdict)
	again.balance(s)
	for _, key := range slices.Sorted(maps.Keys(b.count)) {
		if again.count[key] != b.count[key] {
			b.wrong("%s: %d events, and %d when they were read first", key, again.count[key], b.count[key])
		}
	}
	if again.events != b.events {
		b.wrong("the log has %d events, and %d were read one by one", again.events, b.events)
	}
}

// String returns the size of the books.
func (b *books) String() string {
	return fmt.Sprintf("%d token families, %d accounts, %d roles, %d grants, %d audit events",
		len(b.last.families), len(b.last.users), len(b.last.roles), len(b.last.grants), b.events)
}
