package policy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/strictyaml"
)

// Do is what becomes of a thing.
type Do string

// What can become of a thing.
const (
	Create Do = "create"
	Update Do = "update"
	Delete Do = "delete"
)

// Change is what becomes of one thing.
type Change struct {
	Do      Do       `json:"do"`
	Kind    string   `json:"kind"` // role, group, resource, client, grant or member
	Name    string   `json:"name"` // of a grant or a member: whose it is, like "user:ana"
	Details []Detail `json:"details"`
}

// Detail is what becomes of one field: of a list what comes and what goes, of a
// text what it was and will be.
type Detail struct {
	Field   string   `json:"field"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	From    string   `json:"from,omitempty"`
	To      string   `json:"to,omitempty"`
}

// Left is what the file does not speak of, though it has the section for it: it
// stays as it is.
type Left struct {
	Kind  string   `json:"kind"`
	Count int      `json:"count"`
	Names []string `json:"names"` // the first hundred
}

// Basis is what a plan was made from. Version tells quickly that nothing changed
// since; where it differs, Digest tells whether anything did that the plan read.
type Basis struct {
	Version int64  `json:"version"`
	Digest  string `json:"digest"`
}

// Plan is what a file would change, and who gains and loses what by it.
type Plan struct {
	Basis   Basis    `json:"basis"`
	Changes []Change `json:"changes"`
	Effects []Effect `json:"effects"`
	Left    []Left   `json:"left_alone"`

	roles     []rbac.RoleChange
	groups    []rbac.GroupChange
	resources []resource.Change
	clients   []client.Change
	grants    []rbac.GrantChange
	members   []rbac.MemberChange
}

// Empty reports whether there is nothing to change.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Count returns how many things are created, updated and deleted.
func (p *Plan) Count() (created, updated, deleted int) {
	n := map[Do]int{}
	for _, c := range p.Changes {
		n[c.Do]++
	}
	return n[Create], n[Update], n[Delete]
}

// comparison makes a plan. It is shown everybody who has a role, one by one, so
// that the size of a plan follows from how many sets of roles people have, not from
// how many people there are.
type comparison struct {
	doc   *Document
	state State
	prune bool
	now   time.Time

	before, next   *rbac.Snapshot
	present, after map[string]client.Client // as they are and will be
	groups         map[string]bool          // that there will be
	had, have      map[string][]rbac.Grant  // by groups, now and then
	plan           *Plan
	populations    map[string]*population
	mistakes       mistakes
}

// newComparison compares all but who has which role. What is wrong with the file in
// the light of the state is among its mistakes; the error is of the state.
func newComparison(doc *Document, state State, prune bool, now time.Time) (*comparison, error) {
	before, err := rbac.NewSnapshot(state.Version, state.Roles)
	if err != nil {
		return nil, err
	}
	c := &comparison{
		doc: doc, state: state, prune: prune, now: now, before: before,
		present: map[string]client.Client{}, after: map[string]client.Client{}, groups: map[string]bool{}, had: map[string][]rbac.Grant{}, have: map[string][]rbac.Grant{},
		plan: &Plan{Changes: []Change{}, Effects: []Effect{}, Left: []Left{}}, populations: map[string]*population{},
	}
	c.next = c.compareRoles()
	c.compareGroups()
	c.compareResources()
	c.compareClients()
	c.giveGroups()
	return c, nil
}

// see compares what somebody has.
func (c *comparison) see(h Holder) {
	will := append(c.compareGrants(h), through(c.compareMembers(h), c.have)...)
	c.affect(h, append(live(h.Grants, c.now), through(lives(h.Places, c.now), c.had)...), will)
}

// finish returns the plan once everybody was seen.
func (c *comparison) finish() *Plan {
	slices.SortStableFunc(c.plan.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), strings.Compare(a.Name, b.Name), strings.Compare(a.of(), b.of()))
	})
	c.plan.Effects = c.effects()
	return c.plan
}

// order is that of the kinds of things in a plan.
var order = []string{"role", "group", "resource", "client", "grant", "member"}

// of returns what a change of a grant or a member is about: the role, the group.
func (c Change) of() string {
	if c.Kind != "grant" && c.Kind != "member" {
		return ""
	}
	return cmp.Or(c.Details[0].To, c.Details[0].From)
}

func (c *comparison) change(do Do, kind, name string, details []Detail) {
	c.plan.Changes = append(c.plan.Changes, Change{do, kind, name, details})
}

const mostNames = 100

// left notes what the file does not speak of.
func (c *comparison) left(kind, name string) {
	i := slices.IndexFunc(c.plan.Left, func(l Left) bool { return l.Kind == kind })
	if i < 0 {
		i = len(c.plan.Left)
		c.plan.Left = append(c.plan.Left, Left{Kind: kind})
	}
	l := &c.plan.Left[i]
	l.Count++
	l.Names = first(l.Names, name)
}

// first adds a name to a sorted list of the first hundred.
func first(names []string, name string) []string {
	i, _ := slices.BinarySearch(names, name)
	if i == mostNames {
		return names
	}
	names = slices.Insert(names, i, name)
	return names[:min(len(names), mostNames)]
}

func (c *comparison) mistake(path, format string, args ...any) {
	c.doc.mistake(&c.mistakes, path, format, args...)
}

func (c *comparison) fault(path string, err error) {
	c.doc.fault(&c.mistakes, path, err)
}

func (c *comparison) wrong() error { return c.mistakes.all() }

// unknown is the mistake of a name that is nobody's.
func (c *comparison) unknown(path, kind, name string, known func() []string) {
	if !c.mistakes.full() {
		if near := strictyaml.Nearest(name, known()); near != "" {
			c.mistake(path, "there is no %s %q; did you mean %s?", kind, name, near)
			return
		}
	}
	c.mistake(path, "there is no %s %q", kind, name)
}

// the is the first detail of what has no name of its own: what it is about.
func the(field, before, after string) []Detail {
	if before == after {
		return []Detail{{Field: field, From: before, To: after}}
	}
	return text(nil, field, before, after)
}

// text adds what becomes of a text.
func text(list []Detail, field, before, after string) []Detail {
	if before == after {
		return list
	}
	return append(list, Detail{Field: field, From: before, To: after})
}

// lists adds what becomes of a list, whose order does not count.
func lists(list []Detail, field string, before, after []string) []Detail {
	d := Detail{Field: field, Added: less(after, before), Removed: less(before, after)}
	if len(d.Added)+len(d.Removed) == 0 {
		return list
	}
	return append(list, d)
}

// less returns what is in a and not in b, sorted.
func less(a, b []string) []string {
	in := make(map[string]bool, len(a))
	for _, s := range a {
		in[s] = true
	}
	for _, s := range b {
		delete(in, s)
	}
	return slices.Sorted(maps.Keys(in))
}

func itoa(i int) string { return strconv.Itoa(i) }
