package grant

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/feed"
)

// Kind is a kind of what access tokens end with.
type Kind int

// The kinds, with what their keys are.
const (
	OfFamily       Kind = iota // a token family, or the token of a client for itself; key: its id
	OfOrganization             // key: its id
	OfPrincipal                // an account or a client; key: its id
	OfRole                     // key: its name
	OfAPI                      // key: its identifier
	OfKey                      // an API key; key: its id
	kinds
)

// String returns the kind as the stream of revocations names it.
func (k Kind) String() string {
	return [kinds]string{"family", "organization", "principal", "role", "api", "key"}[k]
}

// Mark is what makes access tokens void: those that name Key, as far as they were made
// under a version before Version.
type Mark struct {
	Kind    Kind
	Key     string
	Version int64 // ForGood: whenever they were made
}

// ForGood is the version of what has ended.
const ForGood = math.MaxInt64

// MarkOf returns what a change makes void, if it does.
func MarkOf(c feed.Change) (Mark, bool) {
	switch c.Topic {
	case feed.FamilyEnded:
		return Mark{OfFamily, c.Key, ForGood}, true
	case feed.OrganizationEnded:
		return Mark{OfOrganization, c.Key, ForGood}, true
	case feed.GrantLost:
		return Mark{OfPrincipal, c.Key, c.Version}, true
	case feed.RoleNarrows:
		return Mark{OfRole, c.Key, c.Version}, true
	case feed.ResourceNarrows:
		return Mark{OfAPI, c.Key, c.Version}, true
	case feed.APIKey: // a key that is new voids nothing
		return Mark{OfKey, c.Key, c.Version}, c.Version != 1
	}
	return Mark{}, false
}

// Access is what an access token says that it can be revoked by.
type Access struct {
	Family   string
	Account  string // or client, if it acts for itself
	Client   string
	Roles    []string // effective
	Audience []string
	// The organization that it is for, if any.
	Organization string
	Via          []string // what it came through, if it was exchanged
	Policy       int64    // the version of the policy that it was made under
}

// Names calls yield with each name that a mark may have, and the version that the token
// was made under, until yield returns false. It reports whether it came to the end:
// what a step of Via says must be known.
func (t Access) Names(yield func(kind Kind, key string, version int64) bool) bool {
	if !yield(OfFamily, t.Family, t.Policy) || !yield(OfPrincipal, t.Account, t.Policy) || !yield(OfPrincipal, t.Client, t.Policy) {
		return false
	}
	if t.Organization != "" && !yield(OfOrganization, t.Organization, t.Policy) {
		return false
	}
	for _, role := range t.Roles {
		if !yield(OfRole, role, t.Policy) {
			return false
		}
	}
	for _, api := range t.Audience {
		if !yield(OfAPI, api, t.Policy) {
			return false
		}
	}
	return !slices.ContainsFunc(t.Via, func(step string) bool {
		kind, key, version, ok := t.step(step)
		return !ok || !yield(kind, key, version)
	})
}

// step returns what a step of Via names.
func (t Access) step(step string) (kind Kind, key string, version int64, ok bool) {
	word, name, _ := strings.Cut(step, ":")
	switch word {
	case "client":
		return OfPrincipal, name, t.Policy, true
	case "api":
		return OfAPI, name, t.Policy, true
	case "family":
		return OfFamily, name, t.Policy, true
	case "key":
		id, text, _ := strings.Cut(name, ".")
		version, err := strconv.ParseInt(text, 10, 64)
		return OfKey, id, version, err == nil
	}
	return 0, "", 0, false
}
