package policy

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
)

// Effect is what some people and clients gain and lose, all of them the same: what
// they may do in effect, through whichever role.
type Effect struct {
	Count int      `json:"count"` // of those whom it is about
	Who   []string `json:"who"`   // the first hundred of them, like "user:ana", sorted
	Gains []Right  `json:"gains"`
	Loses []Right  `json:"loses"`
}

// Right is a permission where it counts.
type Right struct {
	Permission   string `json:"permission"`
	Organization string `json:"organization,omitempty"`
}

// String returns the right as people say it.
func (r Right) String() string {
	if r.Organization != "" {
		return r.Permission + " in " + r.Organization
	}
	return r.Permission
}

// population is those who have the same roles, before and after.
type population struct {
	before, after []rbac.Grant
	was, will     *client.Client // of a client, which is alone in it; else nil
	count         int
	who           []string
}

// affect counts somebody in who had grants and will have others, his own and through
// groups. Who is not active may do nothing, whatever he has.
func (c *comparison) affect(h Holder, had, will []rbac.Grant) {
	p := population{before: had, after: will}
	key := roles(p.before) + "\n" + roles(p.after)
	if isClient(h.Subject) {
		was, will := c.present[h.Name], c.after[h.Name] // of one that is not there, nothing
		p.was, p.will = &was, &will
		key = h.String()
	} else if !h.Active {
		return
	}
	known := c.populations[key]
	if known == nil {
		known = &p
		c.populations[key] = known
	}
	known.count++
	known.who = first(known.who, h.String())
}

// roles names the roles of grants, for comparison.
func roles(grants []rbac.Grant) string {
	var names []string
	for _, g := range grants {
		names = append(names, g.Role+"@"+g.Organization)
	}
	return strings.Join(sorted(names), " ")
}

// effects returns who gains and loses what, those of one fate together.
func (c *comparison) effects() []Effect {
	fates := map[string]*Effect{}
	for _, p := range c.populations {
		e := c.effect(p)
		if len(e.Gains)+len(e.Loses) == 0 {
			continue
		}
		key, _ := json.Marshal([][]Right{e.Gains, e.Loses})
		known := fates[string(key)]
		if known == nil {
			known = &e
			fates[string(key)] = known
		}
		known.Count += p.count
		for _, name := range p.who {
			known.Who = first(known.Who, name)
		}
	}
	list := []Effect{}
	for _, e := range fates {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Effect) int {
		return cmp.Or(strings.Compare(a.Who[0], b.Who[0]), cmp.Compare(b.Count, a.Count))
	})
	return list
}

// effect returns what the members of a population gain and lose.
func (c *comparison) effect(p *population) Effect {
	e := Effect{Gains: []Right{}, Loses: []Right{}}
	places := map[string]bool{}
	for _, g := range slices.Concat(p.before, p.after) {
		places[g.Organization] = true
	}
	for _, organization := range slices.Sorted(maps.Keys(places)) {
		before := narrowed(c.before, c.before.Effective(p.before, organization, c.now).Set, p.was)
		after := narrowed(c.next, c.next.Effective(p.after, organization, c.now).Set, p.will)
		for _, permission := range after.Minus(before).Permissions() {
			e.Gains = append(e.Gains, Right{permission, organization})
		}
		for _, permission := range before.Minus(after).Permissions() {
			e.Loses = append(e.Loses, Right{permission, organization})
		}
	}
	return e
}

// narrowed returns what a client may do of what its roles allow: that for which it
// is registered, while it is active. Who is no client is not narrowed.
func narrowed(s *rbac.Snapshot, held rbac.Set, c *client.Client) rbac.Set {
	switch {
	case c == nil:
		return held
	case c.Status != client.Active:
		return rbac.Set{}
	}
	return held.Intersect(s.Set(c.Scopes))
}
