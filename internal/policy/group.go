package policy

import (
	"slices"
	"time"

	"github.com/doorward/doorward/internal/rbac"
)

// Group is a group with what it has.
type Group struct {
	rbac.Group
	Grants []rbac.Grant
}

// team is a group as the file has it. What it has stands with the grants.
type team struct {
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
}

func readGroups(section item) map[string]rbac.Group {
	groups := map[string]rbac.Group{}
	for _, e := range section.entries() {
		f := e.fields("description")
		g := rbac.Group{Name: e.key, Description: f["description"].text()}
		if err := g.Validate(); err != nil {
			e.fault(err)
		}
		groups[e.key] = g
	}
	return groups
}

func writeGroups(all []Group) map[string]team {
	groups := map[string]team{}
	for _, g := range all {
		groups[g.Name] = team{g.Description}
	}
	return groups
}

// compareGroups says what becomes of the groups.
func (c *comparison) compareGroups() {
	present := map[string]rbac.Group{}
	for _, g := range c.state.Groups {
		present[g.Name] = g.Group
		c.groups[g.Name] = true
	}
	for _, name := range byName(c.doc.Groups) {
		after := c.doc.Groups[name]
		before, there := present[name]
		details := text(nil, "description", before.Description, after.Description)
		switch {
		case !there:
			c.change(Create, "group", name, details)
			c.plan.groups = append(c.plan.groups, rbac.GroupChange{After: &after})
		case len(details) > 0:
			c.change(Update, "group", name, details)
			after.Version = before.Version
			c.plan.groups = append(c.plan.groups, rbac.GroupChange{Before: &before, After: &after})
		}
		c.groups[name] = true
	}
	if c.doc.Groups == nil {
		return
	}
	for _, g := range c.state.Groups {
		if _, named := c.doc.Groups[g.Name]; named {
			continue
		}
		if !c.prune {
			c.left("group", g.Name)
			continue
		}
		c.change(Delete, "group", g.Name, text(nil, "description", g.Description, ""))
		c.plan.groups = append(c.plan.groups, rbac.GroupChange{Before: &g.Group})
		delete(c.groups, g.Name)
	}
}

// knownGroup notes if there will be no such group.
func (c *comparison) knownGroup(name, path string) {
	if !c.groups[name] {
		c.unknown(path, "group", name, func() []string { return byName(c.groups) })
	}
}

// giveGroups compares what groups have, before anybody is looked at who is in them.
func (c *comparison) giveGroups() {
	seen := map[string]bool{}
	for _, g := range c.state.Groups {
		seen[g.Name] = true
		c.had[g.Name] = live(g.Grants, c.now)
		c.have[g.Name] = c.compareGrants(Holder{Subject: Subject{InGroup, g.Name}, ID: rbac.OfGroup(g.Name), Grants: g.Grants})
	}
	for _, name := range byName(c.groups) {
		if !seen[name] {
			c.have[name] = c.compareGrants(Holder{Subject: Subject{InGroup, name}, ID: rbac.OfGroup(name)})
		}
	}
}

// through returns what somebody has through groups, as long as he is in them.
func through(places []rbac.Member, of map[string][]rbac.Grant) (list []rbac.Grant) {
	for _, m := range places {
		for _, g := range of[m.Group] {
			g.Group, g.Until = m.Group, rbac.Earlier(g.Until, m.Until)
			list = append(list, g)
		}
	}
	return list
}

// lives returns those places that have not ended.
func lives(places []rbac.Member, now time.Time) []rbac.Member {
	return slices.DeleteFunc(slices.Clone(places), func(m rbac.Member) bool { return !m.Live(now) })
}
