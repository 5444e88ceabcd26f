// Package authzen holds the requests of the AuthZEN Authorization API 1.0 as that
// writes them: who wants to do what to which resource, one question or many, and
// searches. It decides nothing.
//
// What the specification does not know is passed over, for versions to come; what it
// requires must be there and of its type. Names are compared byte by byte.
package authzen

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/strictjson"
)

// The bounds of a request, beside that of its body.
const (
	MostEvaluations = 200
	longestType     = 128   // bytes
	longestID       = 1_024 // bytes
	MostResults     = 200   // of a page
	usualResults    = 50
)

// Properties are those of an entity, or the context: as encoding/json decodes an
// object with numbers as json.Number.
type Properties = map[string]any

// Entity is a subject or a resource.
type Entity struct {
	Type, ID   string
	Properties Properties
}

// Action is what the subject wants to do.
type Action struct {
	Name       string
	Properties Properties
}

// Evaluation is one question.
type Evaluation struct {
	Subject  Entity
	Action   Action
	Resource Entity
	Context  Properties
}

// Semantic says when the answers to many questions end.
type Semantic string

// The semantics.
const (
	ExecuteAll          Semantic = "execute_all"
	DenyOnFirstDeny     Semantic = "deny_on_first_deny"
	PermitOnFirstPermit Semantic = "permit_on_first_permit"
)

// Ends reports whether a decision is the last.
func (s Semantic) Ends(decision bool) bool {
	return s == DenyOnFirstDeny && !decision || s == PermitOnFirstPermit && decision
}

// Evaluations are many questions; or one, where the request has no list.
type Evaluations struct {
	Single   *Evaluation
	Items    []Item
	Semantic Semantic
}

// Item is one of many questions, or why it is none: that is told in its answer, and
// does not touch the others.
type Item struct {
	Evaluation
	Err error
}

// entity is an entity as it stands in a request; what is nil is not there.
type entity struct {
	kind, id   *string
	properties Properties
}

type action struct {
	name       *string
	properties Properties
}

// tuple is what may stand in a question.
type tuple struct {
	subject, resource *entity
	action            *action
	context           Properties
	told              bool // there is a context
}

// ParseEvaluation reads one question. Faults: Invalid, with the place.
func ParseEvaluation(body []byte) (Evaluation, error) {
	o, err := parse(body)
	if err != nil {
		return Evaluation{}, err
	}
	t, err := o.tuple("")
	if err != nil {
		return Evaluation{}, err
	}
	return t.evaluation("")
}

// ParseEvaluations reads many questions. What the request says outside the list stands
// in for what a question lacks: an entity whole, and of one that is there its type, its
// id or its name. Faults: Invalid, with the place, for what concerns all of them.
func ParseEvaluations(body []byte) (Evaluations, error) {
	o, err := parse(body)
	if err != nil {
		return Evaluations{}, err
	}
	all := Evaluations{Semantic: ExecuteAll}
	usual, err := o.tuple("")
	if err != nil {
		return all, err
	}
	if err := o.semantic(&all.Semantic); err != nil {
		return all, err
	}
	var list []json.RawMessage
	if raw, there := o["evaluations"]; there && !null(raw) {
		if json.Unmarshal(raw, &list) != nil {
			return all, fault.At("body.evaluations", "it is a list")
		}
	}
	switch {
	case len(list) == 0:
		e, err := usual.evaluation("")
		all.Single = &e
		return all, err
	case len(list) > MostEvaluations:
		return all, fault.At("body.evaluations", "there are at most %d; these are %d", MostEvaluations, len(list))
	}
	all.Items = make([]Item, len(list))
	for i, raw := range list {
		all.Items[i].Evaluation, all.Items[i].Err = item(raw, usual, fmt.Sprintf("evaluations[%d].", i))
	}
	return all, nil
}

func item(raw json.RawMessage, usual tuple, at string) (Evaluation, error) {
	var o object
	if null(raw) || json.Unmarshal(raw, &o) != nil {
		return Evaluation{}, fault.At("body."+at[:len(at)-1], "it is an object")
	}
	t, err := o.tuple(at)
	if err != nil {
		return Evaluation{}, err
	}
	return t.or(usual).evaluation(at)
}

// or returns t with what it lacks from another.
func (t tuple) or(usual tuple) tuple {
	t.subject, t.resource = t.subject.or(usual.subject), t.resource.or(usual.resource)
	switch {
	case t.action == nil:
		t.action = usual.action
	case t.action.name == nil && usual.action != nil:
		t.action = &action{usual.action.name, t.action.properties}
	}
	if !t.told {
		t.context = usual.context
	}
	return t
}

func (e *entity) or(usual *entity) *entity {
	switch {
	case e == nil:
		return usual
	case usual == nil:
		return e
	}
	both := *e
	if both.kind == nil {
		both.kind = usual.kind
	}
	if both.id == nil {
		both.id = usual.id
	}
	return &both
}

// evaluation returns the question, which must be whole.
func (t tuple) evaluation(at string) (e Evaluation, err error) {
	if e.Subject, err = t.subject.whole(at+"subject", true); err != nil {
		return e, err
	}
	if e.Action, err = t.action.whole(at); err != nil {
		return e, err
	}
	if e.Resource, err = t.resource.whole(at+"resource", true); err != nil {
		return e, err
	}
	e.Context = t.context
	return e, nil
}

// whole returns the entity, which must have a type, and an id if that is not what is
// searched for.
func (e *entity) whole(at string, id bool) (Entity, error) {
	switch {
	case e == nil:
		return Entity{}, missing(at)
	case e.kind == nil:
		return Entity{}, missing(at + ".type")
	case len(*e.kind) > longestType:
		return Entity{}, fault.At("body."+at+".type", "it has at most %d bytes", longestType)
	}
	whole := Entity{Type: *e.kind, Properties: e.properties}
	if !id {
		return whole, nil
	}
	if e.id == nil {
		return Entity{}, missing(at + ".id")
	}
	if len(*e.id) > longestID {
		return Entity{}, fault.At("body."+at+".id", "it has at most %d bytes", longestID)
	}
	whole.ID = *e.id
	return whole, nil
}

func (a *action) whole(at string) (Action, error) {
	switch {
	case a == nil:
		return Action{}, missing(at + "action")
	case a.name == nil:
		return Action{}, missing(at + "action.name")
	case len(*a.name) > longestType:
		return Action{}, fault.At("body."+at+"action.name", "it has at most %d bytes", longestType)
	}
	return Action{*a.name, a.properties}, nil
}

func missing(at string) error { return fault.At("body."+at, "it is missing") }

// object is a JSON object, with its members unread.
type object map[string]json.RawMessage

func parse(body []byte) (object, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fault.At("body", "it is empty")
	}
	if err := strictjson.Check(body); err != nil {
		return nil, fault.At("body", "%s", err.Error())
	}
	var o object
	if json.Unmarshal(body, &o) != nil || o == nil {
		return nil, fault.At("body", "it is an object")
	}
	return o, nil
}

func null(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// tuple reads the members of a question that are there.
func (o object) tuple(at string) (t tuple, err error) {
	if t.subject, err = o.entity(at, "subject"); err != nil {
		return t, err
	}
	if t.resource, err = o.entity(at, "resource"); err != nil {
		return t, err
	}
	members, err := o.object(at, "action")
	if err != nil {
		return t, err
	}
	if members != nil {
		t.action = &action{}
		if t.action.name, err = members.text(at+"action.", "name"); err != nil {
			return t, err
		}
		if t.action.properties, err = members.properties(at+"action.", "properties"); err != nil {
			return t, err
		}
	}
	t.context, err = o.properties(at, "context")
	t.told = t.context != nil
	return t, err
}

func (o object) entity(at, name string) (*entity, error) {
	members, err := o.object(at, name)
	if members == nil || err != nil {
		return nil, err
	}
	e := &entity{}
	if e.kind, err = members.text(at+name+".", "type"); err != nil {
		return nil, err
	}
	if e.id, err = members.text(at+name+".", "id"); err != nil {
		return nil, err
	}
	e.properties, err = members.properties(at+name+".", "properties")
	return e, err
}

// object returns a member that is an object, or nil where there is none.
func (o object) object(at, name string) (object, error) {
	raw, there := o[name]
	if !there {
		return nil, nil
	}
	var members object
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return nil, fault.At("body."+at+name, "it is an object")
	}
	return members, nil
}

// text returns a member that is a text with something in it, or nil.
func (o object) text(at, name string) (*string, error) {
	raw, there := o[name]
	if !there {
		return nil, nil //nolint:nilnil // it is not there, and may be told elsewhere
	}
	var s string
	if null(raw) || json.Unmarshal(raw, &s) != nil || s == "" {
		return nil, fault.At("body."+at+name, "it is a text, and not empty")
	}
	return &s, nil
}

// properties returns a member that is an object of anything. Nothing is required of
// it, and so null is as good as none.
func (o object) properties(at, name string) (Properties, error) {
	raw, there := o[name]
	if !there || null(raw) {
		return nil, nil
	}
	var p Properties
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&p) != nil {
		return nil, fault.At("body."+at+name, "it is an object")
	}
	return p, nil
}

// semantic reads options.evaluations_semantic, if it is there.
func (o object) semantic(s *Semantic) error {
	if raw, there := o["options"]; !there || null(raw) {
		return nil
	}
	options, err := o.object("", "options")
	if err != nil {
		return err
	}
	given, err := options.text("options.", "evaluations_semantic")
	if given == nil || err != nil {
		return err
	}
	switch *s = Semantic(*given); *s {
	case ExecuteAll, DenyOnFirstDeny, PermitOnFirstPermit:
		return nil
	}
	return fault.At("body.options.evaluations_semantic", "it is %s, %s or %s", ExecuteAll, DenyOnFirstDeny, PermitOnFirstPermit)
}
