package policy

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/resource"
)

// api is an API as the file has it.
type api struct {
	Identifier  string  `json:"identifier" yaml:"identifier"`
	Name        string  `json:"name,omitempty" yaml:"name,omitempty"`
	Permissions []known `json:"permissions,omitempty" yaml:"permissions,omitempty"`
	AccessTTL   string  `json:"access_ttl,omitempty" yaml:"access_ttl,omitempty"`
	Alg         string  `json:"signing_alg,omitempty" yaml:"signing_alg,omitempty"`
}

// known is a permission that an API knows. One without a description is written as
// its name alone.
type known struct {
	Name        string `json:"name" yaml:"name"`
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
}

// MarshalYAML writes the short form where it says all.
func (k known) MarshalYAML() (any, error) {
	if k.Description == "" {
		return k.Name, nil
	}
	type whole known
	return whole(k), nil
}

func readResources(section item) map[string]resource.Resource {
	resources := map[string]resource.Resource{}
	for _, e := range section.entries() {
		f := e.fields("identifier", "name", "permissions", "access_ttl", "signing_alg")
		r := resource.Resource{ID: e.key, Identifier: f["identifier"].text(), Name: f["name"].text(), AccessTTL: f["access_ttl"].duration(), Alg: jose.Algorithm(f["signing_alg"].text())}
		if r.Name == "" {
			r.Name = r.ID
		}
		for _, one := range f["permissions"].list() {
			p := resource.Permission{}
			if one.n.Kind == yaml.MappingNode {
				f := one.fields("name", "description")
				p.Name, p.Description = f["name"].text(), f["description"].text()
			} else {
				p.Name = one.text()
			}
			r.Permissions = append(r.Permissions, p)
		}
		if err := r.Check(permission); err != nil {
			e.fault(err)
		}
		resources[e.key] = r
	}
	return resources
}

// duration returns how long; 0 for a field that is not there.
func (i item) duration() time.Duration {
	if i.n == nil || !i.plain() {
		return 0
	}
	d, err := time.ParseDuration(i.n.Value)
	if i.n.Kind != yaml.ScalarNode || err != nil {
		i.wrong("is a duration, like 5m")
	}
	return d
}

func writeResources(all []resource.Resource) map[string]api {
	resources := map[string]api{}
	for _, r := range all {
		a := api{Identifier: r.Identifier, AccessTTL: lasting(r.AccessTTL), Alg: string(r.Alg)}
		if r.Name != r.ID {
			a.Name = r.Name
		}
		for _, p := range r.Permissions {
			a.Permissions = append(a.Permissions, known(p))
		}
		resources[r.ID] = a
	}
	return resources
}

func lasting(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// compareResources says what becomes of the APIs.
func (c *comparison) compareResources() {
	present, called := map[string]resource.Resource{}, map[string]string{}
	for _, r := range c.state.Resources {
		present[r.ID] = r
		if _, named := c.doc.Resources[r.ID]; !named && !c.prune {
			called[r.Identifier] = r.ID
		}
	}
	for _, id := range byName(c.doc.Resources) {
		after := c.doc.Resources[id]
		path := "resources/" + id
		if other, taken := called[after.Identifier]; taken {
			c.mistake(path+"/identifier", "the resource %q has it already", other)
		}
		called[after.Identifier] = id
		before, there := present[id]
		details := resourceDetails(before, after)
		switch {
		case !there:
			c.change(Create, "resource", id, details)
			c.plan.resources = append(c.plan.resources, resource.Change{After: &after})
		case len(details) > 0:
			if err := resource.Keeps(before, after); err != nil {
				c.fault(path, err)
			}
			c.change(Update, "resource", id, details)
			c.plan.resources = append(c.plan.resources, resource.Change{Before: &before, After: &after})
		}
	}
	if c.doc.Resources == nil {
		return
	}
	var gone []resource.Change // before those that come: an identifier may be of another id
	for _, r := range c.state.Resources {
		if _, named := c.doc.Resources[r.ID]; named {
			continue
		}
		if !c.prune {
			c.left("resource", r.ID)
			continue
		}
		c.change(Delete, "resource", r.ID, resourceDetails(r, resource.Resource{}))
		gone = append(gone, resource.Change{Before: &r})
	}
	c.plan.resources = slices.Concat(gone, c.plan.resources)
}

func resourceDetails(before, after resource.Resource) (list []Detail) {
	list = text(list, "identifier", before.Identifier, after.Identifier)
	list = text(list, "name", before.Name, after.Name)
	list = lists(list, "permissions", described(before), described(after))
	list = text(list, "access_ttl", lasting(before.AccessTTL), lasting(after.AccessTTL))
	return text(list, "signing_alg", string(before.Alg), string(after.Alg))
}

func described(r resource.Resource) (list []string) {
	for _, p := range r.Permissions {
		list = append(list, strings.TrimSpace(p.Name+" "+p.Description))
	}
	return list
}
