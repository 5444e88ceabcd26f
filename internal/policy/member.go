package policy

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

// members is who is in a group, as the file has it.
type members struct {
	Users   []member `json:"users,omitempty" yaml:"users,omitempty"`
	Clients []member `json:"clients,omitempty" yaml:"clients,omitempty"`
}

// member is somebody's place in a group. One of which nothing else is to be said is
// written as the name alone.
type member struct {
	Name   string `json:"name" yaml:"name"`
	Until  string `json:"until,omitempty" yaml:"until,omitempty"`
	Reason string `json:"reason,omitempty" yaml:"reason,omitempty"`
}

// MarshalYAML writes the short form where it says all.
func (m member) MarshalYAML() (any, error) {
	if m == (member{Name: m.Name}) {
		return m.Name, nil
	}
	type whole member
	return whole(m), nil
}

func readMembers(section item) map[Subject][]rbac.Member {
	all := map[Subject][]rbac.Member{}
	for _, e := range section.entries() {
		f := e.fields("users", "clients")
		for kind, of := range map[principal.Kind]item{principal.User: f["users"], principal.Service: f["clients"]} {
			for _, one := range of.list() {
				m := rbac.Member{Group: e.key, Kind: kind}
				name := ""
				if one.n.Kind == yaml.MappingNode {
					f := one.fields("name", "until", "reason")
					name, m.Until, m.Reason = f["name"].text(), f["until"].time(), f["reason"].text()
				} else {
					name = one.text()
				}
				s := Subject{kind, name}
				if kind == principal.User {
					one.username(name)
				}
				if slices.ContainsFunc(all[s], func(o rbac.Member) bool { return o.Group == e.key }) {
					one.wrong("%q is there twice", name)
				}
				all[s] = append(all[s], m)
				one.r.doc.memberAt[s.String()+" "+e.key] = one.path
			}
		}
	}
	return all
}

// add writes down where somebody is.
func addMembers(into map[string]*members, s Subject, places []rbac.Member) {
	for _, p := range places {
		w := member{Name: s.Name, Until: moment(p.Until), Reason: p.Reason}
		g := into[p.Group]
		if g == nil {
			g = &members{}
			into[p.Group] = g
		}
		list := &g.Users
		if isClient(s) {
			list = &g.Clients
		}
		i, _ := slices.BinarySearchFunc(*list, w, func(a, b member) int { return strings.Compare(a.Name, b.Name) })
		*list = slices.Insert(*list, i, w)
	}
}

// compareMembers says what becomes of somebody's places in groups, and returns those
// that he will have.
func (c *comparison) compareMembers(h Holder) []rbac.Member {
	has := slices.DeleteFunc(lives(h.Places, c.now), func(m rbac.Member) bool { return !c.groups[m.Group] }) // those go with it
	if _, stays := c.after[h.Name]; isClient(h.Subject) && !stays {
		return nil
	}
	if c.doc.Members == nil {
		return has
	}
	wanted := lives(c.doc.Members[h.Subject], c.now)
	var will []rbac.Member
	for _, m := range wanted {
		m.Principal = h.ID
		i := slices.IndexFunc(has, func(o rbac.Member) bool { return o.Group == m.Group })
		if i >= 0 && has[i].Until.Equal(m.Until) && has[i].Reason == m.Reason {
			will = append(will, has[i])
			continue
		}
		if i >= 0 {
			c.change(Update, "member", h.String(), memberDetails(has[i], m))
			c.plan.members = append(c.plan.members, rbac.MemberChange{Member: has[i], Gone: true})
		} else {
			c.change(Create, "member", h.String(), memberDetails(rbac.Member{}, m))
		}
		c.plan.members = append(c.plan.members, rbac.MemberChange{Member: m})
		will = append(will, m)
	}
	for _, m := range has {
		switch {
		case slices.ContainsFunc(wanted, func(o rbac.Member) bool { return o.Group == m.Group }):
		case !c.prune:
			will = append(will, m)
			c.left("member", h.String()+" "+m.Group)
		default:
			c.change(Delete, "member", h.String(), memberDetails(m, rbac.Member{}))
			c.plan.members = append(c.plan.members, rbac.MemberChange{Member: m, Gone: true})
		}
	}
	return will
}

func memberDetails(before, after rbac.Member) (list []Detail) {
	list = the("group", before.Group, after.Group)
	list = text(list, "until", moment(before.Until), moment(after.Until))
	return text(list, "reason", before.Reason, after.Reason)
}

// checkMembers holds what the file says of places against what there is.
func (c *comparison) checkMembers(users map[Subject]Holder) {
	for _, s := range subjects(c.doc.Members) {
		for _, m := range c.doc.Members[s] {
			at := c.doc.memberAt[s.String()+" "+m.Group]
			c.knownGroup(m.Group, at)
			c.knownSubject(s, users, at)
		}
	}
}

// knownSubject notes if there is no such user, or will be no such client.
func (c *comparison) knownSubject(s Subject, users map[Subject]Holder, path string) {
	_, user := users[s]
	_, there := c.after[s.Name]
	switch {
	case s.Kind == InGroup:
		c.knownGroup(s.Name, path)
	case isClient(s) && !there:
		c.unknown(path, "client", s.Name, func() []string { return byName(c.after) })
	case !isClient(s) && !user:
		c.mistake(path, "there is no user %q; make the account first", s.Name)
	}
}

// users returns the users whom a file names.
func (d *Document) users() []Subject {
	named := map[Subject]bool{}
	for s := range d.Grants {
		named[s] = true
	}
	for s := range d.Members {
		named[s] = true
	}
	maps.DeleteFunc(named, func(s Subject, _ bool) bool { return s.Kind != principal.User })
	return subjects(named)
}
