package policy

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
)

// grants is who has which role, as the file has it.
type grants struct {
	Groups  map[string][]grant `json:"groups,omitempty" yaml:"groups,omitempty"`
	Users   map[string][]grant `json:"users,omitempty" yaml:"users,omitempty"`
	Clients map[string][]grant `json:"clients,omitempty" yaml:"clients,omitempty"`
}

// grant is a role that somebody has. One of which nothing else is to be said is
// written as the role's name alone.
type grant struct {
	Role         string `json:"role" yaml:"role"`
	Organization string `json:"organization,omitempty" yaml:"organization,omitempty"`
	Until        string `json:"until,omitempty" yaml:"until,omitempty"`
	Reason       string `json:"reason,omitempty" yaml:"reason,omitempty"`
}

// MarshalYAML writes the short form where it says all.
func (g grant) MarshalYAML() (any, error) {
	if g == (grant{Role: g.Role}) {
		return g.Role, nil
	}
	type whole grant
	return whole(g), nil
}

func readGrants(section item) map[Subject][]rbac.Grant {
	all := map[Subject][]rbac.Grant{}
	f := section.fields("groups", "users", "clients")
	for kind, of := range map[principal.Kind]item{InGroup: f["groups"], principal.User: f["users"], principal.Service: f["clients"]} {
		for _, e := range of.entries() {
			if kind == principal.User {
				e.username(e.key)
			}
			all[Subject{kind, e.key}] = readGrantsOf(e.item, kind)
		}
	}
	return all
}

// username notes what is not the name of a user.
func (i item) username(name string) {
	if parsed, err := account.ParseUsername(name); err != nil || parsed != name {
		i.wrong("is not a username: those are 1 to 64 of a-z, 0-9, '.', '_' and '-'")
	}
}

func readGrantsOf(i item, kind principal.Kind) []rbac.Grant {
	list := []rbac.Grant{}
	for _, one := range i.list() {
		g := rbac.Grant{Kind: kind}
		if one.n.Kind == yaml.MappingNode {
			f := one.fields("role", "organization", "until", "reason")
			g.Role, g.Organization, g.Until, g.Reason = f["role"].text(), f["organization"].text(), f["until"].time(), f["reason"].text()
			if g.Organization != "" {
				f["organization"].wrong("there are no organizations so far; leave it out")
			}
		} else {
			g.Role = one.text()
		}
		if _, err := rbac.ParseRoleName(g.Role); err != nil {
			one.wrong("is to name a role: %s", err.Error())
		} else if slices.ContainsFunc(list, func(o rbac.Grant) bool { return same(o, g) }) {
			one.wrong("role %q is there twice", g.Role)
		}
		list = append(list, g)
	}
	return list
}

// same reports whether two grants give a role in one place: there can be one of them.
func same(a, b rbac.Grant) bool { return a.Role == b.Role && a.Organization == b.Organization }

// add writes down what somebody has.
func (g *grants) add(s Subject, list []rbac.Grant) {
	var out []grant
	for _, one := range list {
		out = append(out, grant{Role: one.Role, Organization: one.Organization, Until: moment(one.Until), Reason: one.Reason})
	}
	slices.SortFunc(out, func(a, b grant) int {
		return slices.Compare([]string{a.Role, a.Organization}, []string{b.Role, b.Organization})
	})
	into := map[principal.Kind]*map[string][]grant{InGroup: &g.Groups, principal.User: &g.Users, principal.Service: &g.Clients}[s.Kind]
	if *into == nil {
		*into = map[string][]grant{}
	}
	(*into)[s.Name] = out
}

// compareGrants says what becomes of the roles that somebody has, and returns those
// that he will have.
func (c *comparison) compareGrants(h Holder) []rbac.Grant {
	wanted := live(c.doc.Grants[h.Subject], c.now) // a file does not go bad by itself
	has := live(h.Grants, c.now)
	if _, stays := c.after[h.Name]; isClient(h.Subject) && !stays {
		return nil // its grants go with it
	}
	if h.Kind == InGroup && !c.groups[h.Name] {
		return nil
	}
	if c.doc.Grants == nil {
		return c.kept(has)
	}
	var will []rbac.Grant
	for _, g := range wanted {
		g = c.of(h, g)
		i := slices.IndexFunc(has, func(o rbac.Grant) bool { return same(o, g) })
		if i >= 0 && has[i].Until.Equal(g.Until) && has[i].Reason == g.Reason {
			will = append(will, has[i])
			continue
		}
		if i >= 0 {
			c.grant(Update, h, grantDetails(has[i], g))
			c.take(h, has[i])
		} else {
			c.grant(Create, h, grantDetails(rbac.Grant{}, g))
		}
		c.plan.grants = append(c.plan.grants, rbac.GrantChange{Grant: g})
		will = append(will, g)
	}
	for _, g := range c.kept(has) {
		if slices.ContainsFunc(wanted, func(o rbac.Grant) bool { return same(o, g) }) {
			continue
		}
		if !c.prune {
			will = append(will, g)
			c.left("grant", h.String()+" "+g.Role)
			continue
		}
		c.grant(Delete, h, grantDetails(g, rbac.Grant{}))
		c.take(h, g)
	}
	return will
}

// kept returns those grants whose role stays: the others go with it.
func (c *comparison) kept(list []rbac.Grant) []rbac.Grant {
	return slices.DeleteFunc(slices.Clone(list), func(g rbac.Grant) bool { _, stays := c.next.Role(g.Role); return !stays })
}

// take takes a grant away.
func (c *comparison) take(h Holder, g rbac.Grant) {
	c.plan.grants = append(c.plan.grants, rbac.GrantChange{Grant: c.of(h, g), Taken: true})
}

// of returns a grant as one of somebody.
func (c *comparison) of(h Holder, g rbac.Grant) rbac.Grant {
	g.Kind, g.Principal = h.Kind, h.ID
	if h.Kind == InGroup {
		g.Kind, g.Group = "", h.Name
	}
	return g
}

// grant notes a change of a role that somebody has.
func (c *comparison) grant(do Do, h Holder, details []Detail) {
	c.change(do, "grant", h.String(), details)
}

// checkGrants holds what the file says of grants against what there is.
func (c *comparison) checkGrants(users map[Subject]Holder) {
	for _, s := range subjects(c.doc.Grants) {
		path := section(s)
		for i, g := range c.doc.Grants[s] {
			c.knownRole(g.Role, path+"["+itoa(i)+"]")
		}
		c.knownSubject(s, users, path)
	}
}

func section(s Subject) string {
	return "grants/" + map[principal.Kind]string{InGroup: "groups/", principal.User: "users/", principal.Service: "clients/"}[s.Kind] + s.Name
}

func grantDetails(before, after rbac.Grant) (list []Detail) {
	list = the("role", before.Role, after.Role)
	list = text(list, "organization", before.Organization, after.Organization)
	list = text(list, "until", moment(before.Until), moment(after.Until))
	return text(list, "reason", before.Reason, after.Reason)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
