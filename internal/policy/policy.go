// Package policy keeps who may do what as a file: roles, clients, and who has which
// role. It reads and writes the file, says what it would change and who would gain
// or lose by that, and answers a file of cases.
//
// How a change is written is not here: Apply hands all of it to the store as one
// step, under the rules that single changes keep too. The invariant: nothing of a
// secret is ever in a file or in a plan.
package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

// Subject is who can have a role, as people name him.
type Subject struct {
	Kind principal.Kind // User, Service or InGroup
	Name string         // a username, a client's id, or a group's name
}

// InGroup is the kind of a group: whoever is in it has what it has.
const InGroup principal.Kind = "group"

// String returns the subject as the cases and the HTTP API name it: "user:ana",
// "client:billing", "group:helpdesk".
func (s Subject) String() string {
	if isClient(s) {
		return "client:" + s.Name
	}
	return string(s.Kind) + ":" + s.Name
}

// Document is what a file says. A section that is not in it is nil; one that is
// there and empty is not.
type Document struct {
	Roles     map[string]rbac.Role
	Groups    map[string]rbac.Group
	Resources map[string]resource.Resource
	Clients   map[string]client.Client
	Grants    map[Subject][]rbac.Grant  // with what a person may say: role, organization, until and reason
	Members   map[Subject][]rbac.Member // with what a person may say: group, until and reason

	file     string
	places   map[string]place  // of what is in it, by its path, like "roles/support/inherits[0]"
	memberAt map[string]string // the path of a place in a group, by its subject and the group
}

type place struct{ line, column int }

// at returns where something is, as mistakes name it: "policy.yaml:3:5".
func (d *Document) at(path string) string {
	for {
		if p, ok := d.places[path]; ok {
			return fmt.Sprintf("%s:%d:%d", d.file, p.line, p.column)
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return d.file
		}
		path = path[:i]
	}
}

// State is what a server has, without who has which role.
type State struct {
	Version   int64 // of the policy
	Roles     []rbac.Role
	Groups    []Group
	Resources []resource.Resource
	Clients   []client.Client
}

// Holder is somebody who has roles or is in groups, or could.
type Holder struct {
	Subject
	ID     string
	Active bool
	Grants []rbac.Grant  // his own
	Places []rbac.Member // in groups
}

// byName returns the keys of a section in their order.
func byName[V any](section map[string]V) []string { return slices.Sorted(maps.Keys(section)) }

// subjects returns those of a section in their order: groups, users, clients.
func subjects[V any](section map[Subject]V) []Subject {
	return slices.SortedFunc(maps.Keys(section), compareSubjects)
}

func compareSubjects(a, b Subject) int {
	kinds := []principal.Kind{InGroup, principal.User, principal.Service}
	return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), strings.Compare(a.Name, b.Name))
}

// isClient reports whether somebody is a client.
func isClient(s Subject) bool { return s.Kind == principal.Service }

// live returns those grants that have not ended.
func live(grants []rbac.Grant, now time.Time) []rbac.Grant {
	return slices.DeleteFunc(slices.Clone(grants), func(g rbac.Grant) bool { return !g.Live(now) })
}

// sorted returns a list in order, each once.
func sorted[T ~string](list []T) []T { return slices.Compact(slices.Sorted(slices.Values(list))) }
