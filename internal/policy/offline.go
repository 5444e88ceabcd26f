package policy

import (
	"context"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

// Offline answers cases by a file alone: with the built-in roles, and those users
// whom the file gives roles or brings into groups.
type Offline struct {
	doc *Document
	all *rbac.Snapshot
	has map[Subject][]rbac.Grant // also through groups
	now time.Time
}

// NewOffline returns a judge over a file. The fault is every mistake of it that is
// one without a server.
func NewOffline(doc *Document, now time.Time) (*Offline, error) {
	c, err := newComparison(doc, none(), false, now)
	if err != nil {
		return nil, err
	}
	users := map[Subject]Holder{}
	for _, s := range doc.users() {
		users[s] = Holder{}
	}
	c.checkGrants(users)
	c.checkMembers(users)
	o := &Offline{doc, c.next, map[Subject][]rbac.Grant{}, now}
	for s := range users {
		o.has[s] = nil
	}
	of := map[string][]rbac.Grant{}
	for s, list := range doc.Grants {
		o.has[s] = slices.Clone(list)
		if s.Kind == InGroup {
			of[s.Name] = list
		}
	}
	for s, places := range doc.Members {
		o.has[s] = append(o.has[s], through(places, of)...)
	}
	return o, c.wrong()
}

// Kinds says what a name is in the file.
func (o *Offline) Kinds(_ context.Context, name string) (found []string, err error) {
	for _, kind := range kinds {
		if o.there(kind, name) {
			found = append(found, kind)
		}
	}
	return found, nil
}

func (o *Offline) there(kind, name string) bool {
	switch kind {
	case "user":
		_, ok := o.has[Subject{principal.User, name}]
		return ok
	case "group":
		_, ok := o.doc.Groups[name]
		return ok
	case "client":
		_, ok := o.doc.Clients[name]
		return ok
	}
	_, ok := o.all.Role(name)
	return ok
}

// Judge answers cases.
func (o *Offline) Judge(_ context.Context, cases []Case) ([]Answer, []error, error) {
	answers, missing := make([]Answer, len(cases)), make([]error, len(cases))
	for i, c := range cases {
		if !o.there(c.Kind, c.Name) {
			missing[i] = Nobody(c)
			continue
		}
		answers[i] = o.answer(c)
	}
	return answers, missing, nil
}

// Nobody is the answer to a case whose subject is not there.
func Nobody(c Case) error { return fault.New(fault.NotFound, "there is no %s %q", c.Kind, c.Name) }

func (o *Offline) answer(c Case) Answer {
	switch c.Kind {
	case "role":
		return OfRole(o.all, c, o.now)
	case "client":
		registered := o.doc.Clients[c.Name]
		if registered.Status != client.Active {
			return Answer{Reason: "The client is disabled."}
		}
		has := o.has[Subject{principal.Service, c.Name}]
		d := o.all.Check("client:"+c.Name, has, append([]string{}, registered.Scopes...), c.Permission, c.Organization, o.now)
		if d.NarrowedBy != "" {
			d.Reason = "client:" + c.Name + " could do this, but is not registered for this scope."
		}
		return answer(d)
	case "group":
		return OfGrants(o.all, c, o.has[Subject{InGroup, c.Name}], o.now)
	}
	return OfGrants(o.all, c, o.has[Subject{principal.User, c.Name}], o.now)
}

// OfGrants answers what the subject of a case may do who has grants and nothing else.
func OfGrants(s *rbac.Snapshot, c Case, has []rbac.Grant, now time.Time) Answer {
	if c.Kind == "group" { // which has it itself, through no group
		has = slices.Clone(has)
		for i := range has {
			has[i].Group = ""
		}
	}
	return answer(s.Check(c.Kind+":"+c.Name, has, nil, c.Permission, c.Organization, now))
}

// OfRole answers what somebody may do who has a role and nothing else.
func OfRole(s *rbac.Snapshot, c Case, now time.Time) Answer {
	a := answer(s.Check("role:"+c.Name, []rbac.Grant{{Role: c.Name, Organization: c.Organization}}, nil, c.Permission, c.Organization, now))
	if len(a.Path) > 1 { // it begins with the role as subject, and again as its own
		a.Path = slices.Clone(a.Path[1:])
	}
	return a
}

func answer(d rbac.Decision) Answer { return Answer{d.Allowed, d.Path, d.Reason} }
