// Package resource keeps the APIs that tokens are meant for: by which name tokens
// call each of them (RFC 8707), which permissions it knows, how long its tokens live
// and what they are signed with.
//
// A registration gives nobody a permission: roles do. It says which of the
// permissions that somebody holds are any business of that API, and a token for it
// carries no others.
package resource

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
)

// Resource is an API that is registered.
type Resource struct {
	ID         string // chosen when it was registered, or made for it
	Identifier string // what its tokens are for ("aud"): an absolute URI that never changes
	Name       string // for people
	// Permissions are those that the API knows, sorted by name.
	Permissions []Permission
	AccessTTL   time.Duration  // of its access tokens, in whole seconds; 0 stands for that of all others
	Alg         jose.Algorithm // that signs its access tokens; empty stands for that of all others
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64 // 1 at first, one more with every change
	Policy      int64 // the version of the policy with which it changed last
}

// Permission is a permission with what people read of it.
type Permission struct {
	Name        string
	Description string
}

// The bounds of the lifetime of an API's access tokens.
const (
	ShortestTTL = time.Minute
	LongestTTL  = 24 * time.Hour
)

// Target returns the API as the audit log names it.
func (r Resource) Target() string { return "resource:" + r.ID }

// Registers reports whether the API knows a permission.
func (r Resource) Registers(permission string) bool {
	_, ok := slices.BinarySearchFunc(r.Permissions, permission, func(p Permission, name string) int { return cmp.Compare(p.Name, name) })
	return ok
}

// Names returns the names of its permissions.
func (r Resource) Names() []string {
	names := make([]string, len(r.Permissions))
	for i, p := range r.Permissions {
		names[i] = p.Name
	}
	return names
}

// Narrows reports whether r knows a permission no more that before knew.
func (r Resource) Narrows(before Resource) bool {
	return slices.ContainsFunc(before.Permissions, func(p Permission) bool { return !r.Registers(p.Name) })
}

const (
	mostPermissions = 1000
	mostText        = 200 // bytes of a name or a description
)

// ids are what an API's id may be chosen as.
var ids = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Check returns a fault for what no API can be, and puts the permissions in order.
func (r *Resource) Check(permission func(string) error) error {
	switch {
	case !ids.MatchString(r.ID):
		return fault.At("id", "it is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit")
	case !line(r.Name):
		return fault.At("name", "it is a line of at most %d bytes", mostText)
	case oauth.CheckResource(r.Identifier) != nil:
		return fault.At("identifier", "it is an absolute URI without a fragment")
	case r.AccessTTL != 0 && (r.AccessTTL < ShortestTTL || r.AccessTTL > LongestTTL || r.AccessTTL%time.Second != 0):
		return fault.At("access_ttl", "it is from %d to %d seconds", ShortestTTL/time.Second, LongestTTL/time.Second)
	case len(r.Permissions) > mostPermissions:
		return fault.At("permissions", "it has at most %d permissions", mostPermissions)
	}
	switch r.Alg {
	case "", jose.ES256, jose.EdDSA, jose.RS256, jose.PS256:
	default:
		return fault.At("signing_alg", "it is ES256, EdDSA, RS256 or PS256")
	}
	for _, p := range r.Permissions {
		if permission(p.Name) != nil {
			return fault.At("permissions", "each is a permission, like orders:read")
		}
		if !line(p.Description) {
			return fault.At("permissions", "a description is a line of at most %d bytes", mostText)
		}
	}
	r.Permissions = slices.SortedFunc(slices.Values(r.Permissions), func(a, b Permission) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(r.Permissions); i++ {
		if r.Permissions[i].Name == r.Permissions[i-1].Name {
			return fault.At("permissions", "%q is there twice", r.Permissions[i].Name)
		}
	}
	return nil
}

// line reports whether s is one line of text for people.
func line(s string) bool {
	return len(s) <= mostText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029'
	})
}
