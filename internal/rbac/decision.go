package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What narrows a decision.
const (
	// NarrowedByScope is for a subject whose roles would allow, and whose credential does
	// not carry the permission.
	NarrowedByScope = "scope"
	// NarrowedByOrganization is for one that has such a role elsewhere: in another
	// organization, in one but not on the server, or on the server but not in this one.
	NarrowedByOrganization = "organization"
)

// Decision is the answer to the one question, with its why.
type Decision struct {
	Allowed    bool
	Permission string // as it was asked for
	// Path leads from the subject to the permission, when allowed:
	// "user:ana", "role:support", "role:viewer", "orders:read"; behind the subject
	// with the group that the first role is held through, if any: "group:helpdesk".
	Path []string
	// Reason is one sentence for a person, when denied.
	Reason string
	// NarrowedBy is one of the constants, or empty.
	NarrowedBy string
	// Missing is the names of the roles any one of which would allow, sorted,
	// when the subject has none of them.
	Missing []string
}

// Check answers whether a subject that holds grants may use a permission in an
// organization, at a time. A nil scopes does not narrow; an empty one narrows
// to nothing. The path is the shortest; of several, the first in the order of
// the roles' names.
func (s *Snapshot) Check(subject string, grants []Grant, scopes []string, permission, organization string, now time.Time) Decision {
	d := Decision{Permission: permission}
	if e := checkPermission(permission); e != nil {
		d.Reason = "This can never be allowed: " + e.Message + "."
		return d
	}
	bit, ok := s.words.bit(permission)
	if !ok {
		d.Reason = fmt.Sprintf("No role holds %q.", permission)
		return d
	}
	through, path := s.ways(grants, organization, now, bit)
	if path == nil {
		d.Missing = s.names(func(n *node) bool { return n.closure.has(bit) })
		d.Reason = s.lacking(subject, grants, organization, bit, d.Missing)
		if s.Everywhere(grants, now).bits.has(bit) {
			d.NarrowedBy = NarrowedByOrganization
			d.Reason = fmt.Sprintf("%s may use %q in an organization, but not on the server as a whole.", subject, permission)
			if organization != "" {
				d.Reason = fmt.Sprintf("%s may use %q elsewhere, but not in this organization.", subject, permission)
			}
		}
		return d
	}
	d.Allowed = true
	d.Path = append(d.Path, subject)
	if through != "" {
		d.Path = append(d.Path, OfGroup(through))
	}
	for _, i := range path {
		d.Path = append(d.Path, "role:"+s.nodes[i].role.Name)
	}
	d.Path = append(d.Path, permission)
	return d.Narrow(subject, scopes)
}

// Narrow returns d as a credential with scopes leaves it; nil does not narrow.
func (d Decision) Narrow(subject string, scopes []string) Decision {
	if !d.Allowed || scopes == nil || slices.Contains(scopes, d.Permission) {
		return d
	}
	return Decision{
		Permission: d.Permission, NarrowedBy: NarrowedByScope,
		Reason: fmt.Sprintf("%s may use %q, but the scope of this credential does not carry it.", subject, d.Permission),
	}
}

// ways returns the shortest path from the grants that count to a permission, and
// the group that its first role is held through; empty for one that was given to the
// principal itself, which is the shorter by a step.
func (s *Snapshot) ways(grants []Grant, organization string, now time.Time, bit int) (group string, path []int) {
	own, by := []int{}, map[int]string{} // of several groups the first in the order of names
	for _, g := range grants {
		i, ok := s.index[g.Role]
		switch {
		case !ok || g.Organization != organization || !g.Live(now):
		case g.Group == "":
			own = append(own, i)
		case by[i] == "" || g.Group < by[i]:
			by[i] = g.Group
		}
	}
	slices.Sort(own)
	path = s.path(slices.Compact(own), bit)
	if len(by) == 0 {
		return "", path
	}
	if other := s.path(slices.Sorted(maps.Keys(by)), bit); other != nil && (path == nil || len(other)+1 < len(path)) {
		return by[other[0]], other
	}
	return "", path
}

// path returns the shortest chain of inheritance from one of the roles to one
// that holds the permission itself, or nil. It searches breadth first and in
// the order of names, so that the first it finds is the first of the shortest.
func (s *Snapshot) path(from []int, bit int) []int {
	type step struct{ role, before int }
	var queue []step
	seen := newBitmap(len(s.nodes))
	enter := func(roles []int, before int) {
		for _, i := range roles {
			if s.nodes[i].closure.has(bit) && !seen.has(i) {
				seen.set(i)
				queue = append(queue, step{i, before})
			}
		}
	}
	enter(from, -1)
	for at := 0; at < len(queue); at++ {
		n := &s.nodes[queue[at].role]
		if slices.Contains(n.role.Permissions, s.words.names[bit]) {
			var path []int
			for ; at >= 0; at = queue[at].before {
				path = append(path, queue[at].role)
			}
			slices.Reverse(path)
			return path
		}
		enter(n.parents, at)
	}
	return nil
}

// lacking says why no grant that counts leads to the permission.
func (s *Snapshot) lacking(subject string, grants []Grant, organization string, bit int, missing []string) string {
	var last *Grant // the one that would lead there and ended last
	for i, g := range grants {
		role, ok := s.index[g.Role]
		if ok && g.Organization == organization && s.nodes[role].closure.has(bit) && (last == nil || g.Until.After(last.Until)) {
			last = &grants[i]
		}
	}
	if last != nil {
		through := ""
		if last.Group != "" {
			through = fmt.Sprintf("group %q and ", last.Group)
		}
		return fmt.Sprintf("%s had %q through %srole %q, but that grant ended at %s.", subject, s.words.names[bit], through, last.Role, last.Until.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s has none of the roles that hold %q: %s.", subject, s.words.names[bit], some(missing))
}

// some lists up to five names, and says how many more there are.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
