package policy

import (
	"slices"

	"github.com/doorward/doorward/internal/rbac"
)

// role is a role as the file has it.
type role struct {
	Description string   `json:"description,omitempty" yaml:"description,omitempty"`
	Inherits    []string `json:"inherits,omitempty" yaml:"inherits,omitempty"`
	Permissions []string `json:"permissions,omitempty" yaml:"permissions,omitempty"`
}

func readRoles(section item) map[string]rbac.Role {
	roles := map[string]rbac.Role{}
	for _, e := range section.entries() {
		f := e.fields("description", "inherits", "permissions")
		r := rbac.Role{Name: e.key, Description: f["description"].text(), Inherits: f["inherits"].texts(), Permissions: f["permissions"].texts()}
		if builtin(e.key) {
			e.wrong("is built in, and cannot be changed; leave it out")
		} else if err := r.Validate(); err != nil {
			e.fault(err)
		}
		roles[e.key] = r
	}
	return roles
}

func builtin(name string) bool {
	return slices.ContainsFunc(rbac.Builtin(), func(r rbac.Role) bool { return r.Name == name })
}

func writeRoles(all []rbac.Role) map[string]role {
	roles := map[string]role{}
	for _, r := range all {
		if !r.Builtin {
			roles[r.Name] = role{r.Description, sorted(r.Inherits), sorted(r.Permissions)}
		}
	}
	return roles
}

// compareRoles says what becomes of the roles, and returns them as they will be.
func (c *comparison) compareRoles() *rbac.Snapshot {
	if c.doc.Roles == nil {
		return c.before
	}
	var edits []rbac.RoleChange
	for _, name := range byName(c.doc.Roles) {
		after := c.doc.Roles[name]
		before, there := c.before.Role(name)
		switch {
		case !there:
			c.change(Create, "role", name, roleDetails(rbac.Role{}, after))
			edits = append(edits, rbac.RoleChange{After: &after})
		default:
			details := roleDetails(before, after)
			if len(details) > 0 {
				c.change(Update, "role", name, details)
				after.Version = before.Version
				edits = append(edits, rbac.RoleChange{Before: &before, After: &after})
			}
		}
		for i, parent := range after.Inherits {
			c.knownRole(parent, "roles/"+name+"/inherits["+itoa(i)+"]")
		}
	}
	for _, r := range c.before.Roles() {
		if _, named := c.doc.Roles[r.Name]; named || r.Builtin {
			continue
		}
		if !c.prune {
			c.left("role", r.Name)
			continue
		}
		c.change(Delete, "role", r.Name, roleDetails(r, rbac.Role{}))
		edits = append(edits, rbac.RoleChange{Before: &r})
	}
	if c.wrong() != nil { // told with their places
		return c.before
	}
	next, err := rbac.ApplyRoles(c.before, edits...)
	if err != nil {
		c.fault("roles", err)
		return c.before
	}
	c.plan.roles = edits
	return next
}

// knownRole notes if there will be no such role.
func (c *comparison) knownRole(name, path string) {
	_, named := c.doc.Roles[name]
	_, there := c.before.Role(name)
	if named || there && (builtin(name) || !c.prune || c.doc.Roles == nil) {
		return
	}
	c.unknown(path, "role", name, func() (names []string) {
		for _, r := range c.before.Roles() {
			names = append(names, r.Name)
		}
		return append(names, byName(c.doc.Roles)...)
	})
}

func roleDetails(before, after rbac.Role) (list []Detail) {
	list = text(list, "description", before.Description, after.Description)
	list = lists(list, "inherits", before.Inherits, after.Inherits)
	return lists(list, "permissions", before.Permissions, after.Permissions)
}
