package audit

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// Filter says which events of the log somebody wants to read. What is empty or
// zero narrows nothing.
type Filter struct {
	Actor   string  // kind and id, like "user:01h…" or "cli:ops"
	Target  string  // kind and id, like "family:01h…"
	Action  string  // an action, or all of a noun: "user.*"
	Outcome Outcome // how it ended
	From    time.Time
	To      time.Time // not itself
}

// mostFilter is how many bytes a text of a filter may have.
const mostFilter = 192

// named is what an event calls somebody or something: a kind, and mostly an id.
var named = regexp.MustCompile(`^[a-z][a-z-]{0,31}(:[\x21-\x7e](?:[\x20-\x7e]{0,148}[\x21-\x7e])?)?$`)

// Check returns a fault for a filter that can find nothing, or that would put a
// person's data into the event that tells of the reading: an account is named
// by its id alone.
func (f Filter) Check() error {
	for _, named := range []struct{ field, text string }{{"actor", f.Actor}, {"target", f.Target}} {
		if err := checkNamed(named.field, named.text); err != nil {
			return err
		}
	}
	if _, err := f.Actions(); err != nil {
		return err
	}
	if f.Outcome != "" && f.Outcome != Success && f.Outcome != Failure && f.Outcome != Denied {
		return fault.At("outcome", "it is success, failure or denied")
	}
	for _, at := range []struct {
		field string
		time  time.Time
	}{{"from", f.From}, {"to", f.To}} {
		if !at.time.IsZero() && (at.time.Year() < 1970 || at.time.Year() > 9999) {
			return fault.At(at.field, "it is a time from 1970 to 9999")
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return fault.At("to", "it is later than from")
	}
	return nil
}

func checkNamed(field, text string) error {
	kind, which, _ := strings.Cut(text, ":")
	switch {
	case text == "":
		return nil
	case len(text) > mostFilter, !named.MatchString(text):
		return fault.At(field, "it is a kind and an id, like user:01h… or role:editor")
	case kind == "user" && !id.Valid(which):
		return fault.At(field, "an account is named by its id, like user:01h…")
	}
	return nil
}

// Actions returns the actions that f asks for; none stands for all. A fault says
// that there is no such action.
func (f Filter) Actions() ([]Action, error) {
	if f.Action == "" {
		return nil, nil
	}
	noun, all := strings.CutSuffix(f.Action, ".*")
	var found []Action
	for _, a := range Actions() {
		if all && strings.HasPrefix(string(a), noun+".") || !all && string(a) == f.Action {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil, fault.At("action", "there is no such action; write one, like login.failed, or all of a noun, like login.*")
	}
	return found, nil
}

// Actions returns every action there is, sorted.
func Actions() []Action {
	list := make([]Action, 0, len(vocabulary))
	for a := range vocabulary {
		list = append(list, a)
	}
	slices.Sort(list)
	return list
}

// Matches reports whether an event is among those that f asks for.
func (f Filter) Matches(r Record) bool {
	actions, err := f.Actions()
	return err == nil &&
		(f.Actor == "" || f.Actor == r.Actor) && (f.Target == "" || f.Target == r.Target) &&
		(f.Outcome == "" || f.Outcome == r.Outcome) && (len(actions) == 0 || slices.Contains(actions, r.Action)) &&
		(f.From.IsZero() || !r.At.Before(f.From)) && (f.To.IsZero() || r.At.Before(f.To))
}

// detail is what the event that tells of a reading holds of its filter.
func (f Filter) detail(e Event) Event {
	for _, fact := range []struct{ name, value string }{
		{"actor", f.Actor}, {"target", f.Target}, {"action", f.Action}, {"outcome", string(f.Outcome)},
	} {
		if fact.value != "" {
			e = e.With(fact.name, fact.value)
		}
	}
	if !f.From.IsZero() {
		e = e.With("from", f.From.UTC().Format(TimeFormat))
	}
	if !f.To.IsZero() {
		e = e.With("to", f.To.UTC().Format(TimeFormat))
	}
	return e
}
