// Package audit says who did what, to whom, when, from where, and how it ended.
//
// An event has a public part, whose exact bytes are what the log will prove
// untouched, and private parts, one for each person it tells of (address, user
// agent, names). The public part holds only the salted digests of the private
// ones, so that a person can be erased from the log and the proof still holds.
// How events are kept is not here: every write verb of the store takes one and
// commits it with its change.
package audit

import (
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Outcome is how an action ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure" // it was tried and did not hold: a wrong password, a spent token
	Denied  Outcome = "denied"  // the rules forbade it
)

// Event is one thing that happened. Its strings are data from outside: Record
// bounds and cleans them.
type Event struct {
	ID      string
	At      time.Time
	Action  Action
	Outcome Outcome
	Actor   principal.Principal
	Target  string              // kind and id, like "user:01h…" or "family:01h…"
	Reason  string              // one word or a short phrase; empty for a success
	Detail  Facts               // public facts: role, scope, status. Never a secret, never a person's data
	Lists   map[string][]string // public facts that are many: the permissions of a role
	private []private
}

// private is what an event tells of one person.
type private struct {
	person string
	data   Facts
}

// Facts are texts by name. There are few of them, and one more is cheaper behind them than
// in a map.
type Facts []fact

type fact struct{ name, value string }

// Get returns the text of a name, or nothing.
func (f Facts) Get(name string) string {
	for _, had := range f {
		if had.name == name {
			return had.value
		}
	}
	return ""
}

// with returns f with one more, or with another value of the one of that name. What is
// returned before stays as it is.
func (f Facts) with(name, value string) Facts {
	if i := slices.IndexFunc(f, func(had fact) bool { return had.name == name }); i >= 0 {
		f = slices.Clone(f)
		f[i].value = value
		return f
	}
	return append(f[:len(f):len(f)], fact{name, value})
}

// Now returns the event of an action of by upon target. Where the request came
// from becomes the private part of the person who acted.
func Now(by principal.Principal, at time.Time, action Action, target string) Event {
	e := Event{ID: id.New(at), At: at, Action: action, Outcome: Success, Actor: by, Target: target}
	var from Facts
	if by.Origin.Address != "" {
		from = append(make(Facts, 0, 2), fact{"address", by.Origin.Address})
	}
	if by.Origin.UserAgent != "" {
		from = append(from, fact{"user_agent", by.Origin.UserAgent})
	}
	if len(from) > 0 {
		e.private = []private{{by.Holder().ID, from}}
	}
	return e
}

// Because returns e as a failure or a denial, with its reason.
func (e Event) Because(o Outcome, reason string) Event {
	e.Outcome, e.Reason = o, reason
	return e
}

// With returns e with a public fact more.
func (e Event) With(name, value string) Event {
	e.Detail = e.Detail.with(name, value)
	return e
}

// WithList returns e with a list of public facts more, sorted and whole: what
// somebody was given must not hide behind the bound of one text.
func (e Event) WithList(name string, list []string) Event {
	if len(list) == 0 {
		return e
	}
	lists := make(map[string][]string, len(e.Lists)+1)
	for k, v := range e.Lists {
		lists[k] = v
	}
	lists[name] = slices.Sorted(slices.Values(list))
	e.Lists = lists
	return e
}

// WithChange returns e with what came to a list and what went, as name_added and
// name_removed.
func (e Event) WithChange(name string, before, after []string) Event {
	return e.WithList(name+"_added", less(after, before)).WithList(name+"_removed", less(before, after))
}

// less returns what is in a and not in b. A role holds thousands of permissions.
func less(a, b []string) []string {
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return in[s] })
}

// About returns e with facts about a person, kept apart so that they can be
// erased. person is an account's id, or empty where nobody is known.
func (e Event) About(person string, data map[string]string) Event {
	i := slices.IndexFunc(e.private, func(p private) bool { return p.person == person })
	if i < 0 { // one part for a person
		i = len(e.private)
		e.private = append(e.private[:i:i], private{person: person})
	} else {
		e.private = slices.Clone(e.private)
	}
	for name, value := range data {
		e.private[i].data = e.private[i].data.with(name, value)
	}
	return e
}

// Record is an event as it is kept.
type Record struct {
	ID      string
	At      time.Time
	Action  Action
	Outcome Outcome
	Actor   string
	Target  string
	Public  []byte // the canonical bytes: the leaf of the tree
	Private []Private
	Parts   string // Private as a database keeps it
}

// Private is the erasable part of a record that tells of one person.
type Private struct {
	Person string
	Salt   []byte // 32 bytes
	Data   []byte // a JSON object
}

// public is the canonical form of the public part, to be read; encode writes it.
// Its fields keep their names and their order for ever; new ones go to the end.
type public struct {
	V       int                 `json:"v"`
	ID      string              `json:"id"`
	At      string              `json:"at"`
	Action  Action              `json:"action"`
	OWASP   string              `json:"owasp,omitempty"`
	Outcome Outcome             `json:"outcome"`
	Actor   string              `json:"actor"`
	Client  string              `json:"client,omitempty"`
	Target  string              `json:"target,omitempty"`
	Reason  string              `json:"reason,omitempty"`
	Request string              `json:"request,omitempty"`
	Detail  map[string]string   `json:"detail,omitempty"`
	Private []string            `json:"private,omitempty"`
	Lists   map[string][]string `json:"lists,omitempty"`
	Persons []string            `json:"persons,omitempty"`
}

// TimeFormat is RFC 3339 in UTC with microseconds, as every time in JSON.
const TimeFormat = "2006-01-02T15:04:05.000000Z"

// Record returns e as it is to be kept: text cleaned and bounded, and each
// private part salted. Two records of one event differ by their salts.
func (e Event) Record() Record {
	r := Record{ID: e.ID, At: e.At, Action: e.Action, Outcome: e.Outcome, Actor: clean(e.Actor.String()), Target: clean(e.Target)}
	parts := make([]StoredPart, len(e.private))
	r.Private = make([]Private, len(e.private))
	for i, part := range e.private {
		r.Private[i] = Private{Person: clean(part.person), Salt: secret.Random(32), Data: appendFacts(nil, part.data)}
		parts[i] = StoredPart{i, r.Private[i]}
	}
	r.Parts = encodeParts(parts)
	r.Public = e.encode(r)
	return r
}

// encode returns the canonical bytes of the public part.
func (e Event) encode(r Record) []byte {
	b := append(make([]byte, 0, 512), `{"v":1,"id":`...)
	b = appendText(b, e.ID)
	b = append(b, `,"at":"`...)
	b = e.At.UTC().AppendFormat(b, TimeFormat)
	b = append(b, `","action":`...)
	b = appendText(b, string(e.Action))
	b = appendMember(b, `,"owasp":`, e.Action.OWASP())
	b = append(b, `,"outcome":`...)
	b = appendText(b, string(e.Outcome))
	b = append(b, `,"actor":`...)
	b = appendText(b, r.Actor)
	b = appendMember(b, `,"client":`, clean(e.Actor.Client))
	b = appendMember(b, `,"target":`, r.Target)
	b = appendMember(b, `,"reason":`, clean(e.Reason))
	b = appendMember(b, `,"request":`, clean(e.Actor.Origin.RequestID))
	if len(e.Detail) > 0 {
		b = appendFacts(append(b, `,"detail":`...), e.Detail)
	}
	if len(r.Private) > 0 {
		b = append(b, `,"private":[`...)
		for i, p := range r.Private {
			b = append(hex.AppendEncode(append(between(b, i), '"'), p.Digest()), '"')
		}
		b = append(b, ']')
	}
	if len(e.Lists) > 0 {
		b = append(b, `,"lists":{`...)
		for i, name := range slices.Sorted(maps.Keys(e.Lists)) {
			b = append(appendText(between(b, i), name), ':')
			b = appendList(b, e.Lists[name])
		}
		b = append(b, '}')
	}
	if persons := unusual(r); len(persons) > 0 {
		b = appendList(append(b, `,"persons":`...), persons)
	}
	return append(b, '}')
}

// Digest returns what the public part holds of p: an HMAC under its salt, which
// tells nothing once the salt is erased.
func (p Private) Digest() []byte {
	h := secret.MAC(p.Salt, "doorward audit private part", p.Data)
	return h[:]
}
