package authzen

import (
	"encoding/json"

	"github.com/doorward/doorward/internal/fault"
)

// Sought is what a search looks for.
type Sought string

// What may be searched for.
const (
	Subjects  Sought = "subject"
	Resources Sought = "resource"
	Actions   Sought = "action"
)

// Search is a question with a gap. What it looks for has no id, or no name.
type Search struct {
	Evaluation
	Token string // of the page before, for the next
	Limit int    // of results, 1 to 200
}

// ParseSearch reads a search. Faults: Invalid, with the place.
func ParseSearch(body []byte, sought Sought) (s Search, err error) {
	o, err := parse(body)
	if err != nil {
		return s, err
	}
	if sought == Actions { // it is not told, and if it is, then passed over
		delete(o, "action")
	}
	t, err := o.tuple("")
	if err != nil {
		return s, err
	}
	if s.Subject, err = t.subject.whole("subject", sought != Subjects); err != nil {
		return s, err
	}
	if sought != Actions {
		if s.Action, err = t.action.whole(""); err != nil {
			return s, err
		}
	}
	if s.Resource, err = t.resource.whole("resource", sought != Resources); err != nil {
		return s, err
	}
	s.Context = t.context
	return s, o.page(&s)
}

func (o object) page(s *Search) error {
	s.Limit = usualResults
	if raw, there := o["page"]; !there || null(raw) {
		return nil
	}
	page, err := o.object("", "page")
	if err != nil {
		return err
	}
	if raw, there := page["token"]; there && !null(raw) && json.Unmarshal(raw, &s.Token) != nil { // the empty one of the last page begins anew
		return fault.At("body.page.token", "it is a text")
	}
	raw, there := page["limit"]
	if !there || null(raw) {
		return nil
	}
	var limit int
	if json.Unmarshal(raw, &limit) != nil || limit < 0 {
		return fault.At("body.page.limit", "it is a whole number, and not negative")
	}
	if limit > 0 {
		s.Limit = min(limit, MostResults)
	}
	return nil
}
