package condition

import (
	"cmp"
	"iter"
	"slices"
	"strconv"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Effect is what a policy does where it matches.
type Effect string

// The effects.
const (
	Permit Effect = "permit"
	Forbid Effect = "forbid"
)

// Match is a policy that had a word in a decision.
type Match struct {
	Condition string `json:"condition"`
	Effect    Effect `json:"effect"`
	Policy    string `json:"policy,omitempty"` // its annotation @id, or its place in the condition, from 1
	// Error says why it could not be evaluated: it then permits nothing, and forbids
	// if it is one that forbids.
	Error string `json:"error,omitempty"`
}

// Verdict is what all conditions together say of a request.
type Verdict struct {
	Forbidden bool
	Permitted bool // by some policy, and not forbidden
	// Matches are the policies that decided: those that forbid, else those that permit.
	Matches []Match
	// Errors are policies that permit and could not be evaluated, so that they did not.
	Errors []Match
}

// Set is all conditions at one moment, compiled. It never changes and is safe for
// concurrent use. The zero Set has none.
type Set struct {
	conditions []Condition // sorted by name
	policies   []policy    // in the conditions' order
	broken     []Match     // of conditions that this program cannot read
	some       []int       // of policies: those that name no action
	of         map[string][]int
}

// NewSet compiles conditions. One that cannot be read, since another version of the
// program wrote it, forbids everything that conditions decide on: it may be one that
// forbids.
func NewSet(conditions []Condition) *Set {
	s := &Set{conditions: slices.Clone(conditions), of: map[string][]int{}}
	slices.SortFunc(s.conditions, func(a, b Condition) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range s.conditions {
		policies, err := compile(c)
		if err != nil {
			s.broken = append(s.broken, Match{Condition: c.Name, Effect: Forbid, Error: "it cannot be read: " + err.Error()})
			continue
		}
		s.policies = append(s.policies, policies...)
	}
	for i, p := range s.policies {
		for _, a := range p.actions {
			s.of[a] = nil
		}
		if p.actions == nil {
			s.some = append(s.some, i)
		}
	}
	for a := range s.of {
		for i, p := range s.policies {
			if p.actions == nil || slices.Contains(p.actions, a) {
				s.of[a] = append(s.of[a], i)
			}
		}
	}
	return s
}

// actionsOf returns the actions that the scope of a policy names, or nil where it
// names none. An action stands in no group but itself.
func actionsOf(p *cedar.Policy) []string {
	var entities []cedar.EntityUID
	switch scope := p.AST().Action.(type) {
	case ast.ScopeTypeEq:
		entities = []cedar.EntityUID{scope.Entity}
	case ast.ScopeTypeIn:
		entities = []cedar.EntityUID{scope.Entity}
	case ast.ScopeTypeInSet:
		entities = scope.Entities
	default:
		return nil
	}
	names := []string{}
	for _, e := range entities {
		if e.Type == actionType {
			names = append(names, string(e.ID))
		}
	}
	return names
}

// Empty reports whether there is no condition.
func (s *Set) Empty() bool { return len(s.conditions) == 0 }

// Broken returns the conditions that this program cannot read, and why.
func (s *Set) Broken() []Match { return s.broken }

// List returns all conditions, sorted by name.
func (s *Set) List() []Condition { return slices.Clone(s.conditions) }

// Condition returns a condition.
func (s *Set) Condition(name string) (Condition, bool) {
	i, ok := slices.BinarySearchFunc(s.conditions, name, func(c Condition, name string) int { return cmp.Compare(c.Name, name) })
	if !ok {
		return Condition{}, false
	}
	return s.conditions[i], true
}

// about returns the policies that may have a word on an action.
func (s *Set) about(action string) []int {
	if list, ok := s.of[action]; ok {
		return list
	}
	return s.some
}

// Concerns reports whether the conditions may have a word on an action.
func (s *Set) Concerns(action string) bool { return len(s.broken) > 0 || len(s.about(action)) > 0 }

// MayPermit reports whether some policy may permit an action.
func (s *Set) MayPermit(action string) bool {
	return slices.ContainsFunc(s.about(action), func(i int) bool { return s.policies[i].effect == Permit })
}

// Permits returns the actions that policies which permit name, sorted. Those that
// permit without naming one are not told.
func (s *Set) Permits() []string {
	var names []string
	for _, p := range s.policies {
		if p.effect == Permit {
			names = append(names, p.actions...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Evaluate returns what the conditions say of a request.
func (s *Set) Evaluate(r Request) Verdict {
	v := Verdict{Matches: slices.Clone(s.broken)}
	v.Forbidden = len(s.broken) > 0
	about := s.about(r.Action)
	if len(about) == 0 {
		return v
	}
	request, facts := r.cedar()
	_, diagnostic := cedar.Authorize(ordered{s.policies, about}, facts, request)
	at := func(id cedar.PolicyID) policy {
		i, _ := strconv.Atoi(string(id)) // as ordered writes it
		return s.policies[i]
	}
	var permits []Match
	for _, reason := range diagnostic.Reasons { // only those that forbid, if any does
		p := at(reason.PolicyID)
		m := Match{Condition: p.condition, Effect: p.effect, Policy: p.label}
		if p.effect == Forbid {
			v.Forbidden, v.Matches = true, append(v.Matches, m)
		} else {
			permits = append(permits, m)
		}
	}
	for _, e := range diagnostic.Errors {
		p := at(e.PolicyID)
		m := Match{Condition: p.condition, Effect: p.effect, Policy: p.label, Error: e.Message}
		if p.effect == Forbid {
			v.Forbidden, v.Matches = true, append(v.Matches, m)
		} else {
			v.Errors = append(v.Errors, m)
		}
	}
	if !v.Forbidden {
		v.Permitted, v.Matches = len(permits) > 0, permits
	}
	return v
}

// ordered yields some policies in their order, each by its number.
type ordered struct {
	policies []policy
	some     []int
}

// All yields them.
func (o ordered) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, i := range o.some {
			if !yield(cedar.PolicyID(strconv.Itoa(i)), o.policies[i].cedar) {
				return
			}
		}
	}
}
