// Package rbac says who may do what: permissions, the roles that hold them, the
// grants that give roles to principals, and the one question.
//
// A permission is a scope, and is held or not: there are no wildcards, no
// prefixes and no denials. The roles of one moment make a Snapshot, which never
// changes; every answer is a pure function of a Snapshot, a list of grants and
// a time. Nobody brings about a permission that he does not hold himself
// (MayGive, MayTouch, MayChangeRoles), and roles never inherit in a circle.
package rbac

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/ssf"
)

// AdminRole is the name of the built-in role that holds every management
// permission.
const AdminRole = "admin"

// The bounds of one role.
const (
	MaxPermissions = 10_000 // that a role holds itself
	MaxParents     = 100    // that a role inherits from directly
	maxDescription = 1_000  // bytes
)

// Role is a named set of permissions that may inherit other roles.
type Role struct {
	Name        string // as ParseRoleName allows; it never changes
	Description string // at most 1,000 bytes of UTF-8 without control characters
	Permissions []string
	Inherits    []string // names of roles whose permissions are held as well
	Builtin     bool     // cannot be changed or deleted
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Validate reports the first thing about r that can never be accepted, as a
// fault of kind Invalid with the field's name. What depends on other roles
// (do the parents exist, is there a circle) is for NewSnapshot to say.
func (r Role) Validate() error {
	if _, err := ParseRoleName(r.Name); err != nil {
		return within("name", err)
	}
	if err := checkDescription(r.Description); err != nil {
		return within("description", err)
	}
	if n := len(r.Permissions); n > MaxPermissions {
		return fault.At("permissions", "a role holds at most %d permissions; these are %d", MaxPermissions, n)
	}
	if n := len(r.Inherits); n > MaxParents {
		return fault.At("inherits", "a role inherits at most %d roles; these are %d", MaxParents, n)
	}
	if err := checkList("permissions", r.Permissions, ParsePermission); err != nil {
		return err
	}
	return checkList("inherits", r.Inherits, ParseRoleName)
}

// checkDescription says what is wrong with a text that a person wrote about a
// role or a grant.
func checkDescription(s string) error {
	switch {
	case len(s) > maxDescription:
		return fault.New(fault.Invalid, "at most %d bytes are allowed; these are %d", maxDescription, len(s))
	case !utf8.ValidString(s):
		return fault.New(fault.Invalid, "this is not text in UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return fault.New(fault.Invalid, "control characters are not allowed, line breaks among them")
	}
	return nil
}

func checkList(field string, names []string, parse func(string) (string, error)) error {
	seen := make(map[string]struct{}, len(names))
	for i, name := range names {
		if _, err := parse(name); err != nil {
			return within(fmt.Sprintf("%s[%d]", field, i), err)
		}
		if _, twice := seen[name]; twice {
			return fault.At(fmt.Sprintf("%s[%d]", field, i), "%q is there twice", name)
		}
		seen[name] = struct{}{}
	}
	return nil
}

// within says in which field a value was found wanting.
func within(field string, err error) error {
	return fault.At(field, "%s", err.Error())
}

func (r Role) clone() Role {
	r.Permissions = slices.Clone(r.Permissions)
	r.Inherits = slices.Clone(r.Inherits)
	return r
}

// Builtin returns the roles that every server has from its first minute:
// viewer, editor and admin.
func Builtin() []Role {
	return []Role{
		{Name: "viewer", Description: "May read", Permissions: []string{"read"}, Builtin: true},
		{Name: "editor", Description: "May read and write", Permissions: []string{"write"}, Inherits: []string{"viewer"}, Builtin: true},
		{Name: AdminRole, Description: "May manage this server", Permissions: []string{
			"admin",
			"users:read", "users:write",
			"roles:read", "roles:write", "roles:grant",
			"clients:read", "clients:write",
			"resources:read", "resources:write",
			"organizations:read", "organizations:write",
			"keys:read", "keys:write",
			"audit:read",
			"sessions:read", "sessions:write",
		}, Inherits: []string{"editor"}, Builtin: true},
	}
}

// managing are the permissions of this server's own API, and those that its first
// roles are named for. Those of streams no built-in role holds: they are for clients.
var managing = func() map[string]bool {
	all := map[string]bool{ssf.Read: true, ssf.Manage: true}
	for _, r := range Builtin() {
		for _, p := range r.Permissions {
			all[p] = true
		}
	}
	return all
}()

// Managing reports whether a permission is one of this server's own. Roles alone give and
// take such: this server asks nothing else before it does what they are for.
func Managing(permission string) bool { return managing[permission] }

func builtinName(name string) bool {
	return name == "viewer" || name == "editor" || name == AdminRole
}

// Grant is a role given to a principal, or to a group for all who are in it.
type Grant struct {
	ID           string
	Kind         principal.Kind // of who has it: Service for a client; empty stands for an account
	Principal    string         // its id
	Group        string         // the group that Principal is; empty if it is none
	Role         string
	Organization string    // where it counts; empty for the whole server
	Until        time.Time // the first moment at which it no longer counts; zero for no end
	By           string    // who gave it, as principal.Principal prints itself
	Reason       string
	At           time.Time // when it was given
}

// Live reports whether g has not ended at now.
func (g Grant) Live(now time.Time) bool { return g.Until.IsZero() || now.Before(g.Until) }
