package guard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Requirement is what a route asks of a valid token. Permission, AnyOf, ACR,
// MaxAge and AllowStale make one.
type Requirement struct {
	permissions []string // one of these
	acr         []string // one of these
	maxAge      time.Duration
	fresh       bool // maxAge counts
	stale       bool
}

// Permission asks for one permission. It panics at a name that is not a scope
// of RFC 6749, Section 3.3.
func Permission(name string) Requirement { return AnyOf(name) }

// AnyOf asks for at least one of the permissions. The first is the one that a
// refusal tells the client to ask for. It panics at a name that is not a scope
// of RFC 6749, Section 3.3, and if there is none.
func AnyOf(permissions ...string) Requirement {
	mustBeWords("permission", permissions)
	return Requirement{permissions: permissions}
}

// ACR asks for a sign-in of one of these authentication context classes, the
// preferred first; otherwise the client is told to step up (RFC 9470). It
// panics if there is none, or one has characters that no header may carry.
func ACR(values ...string) Requirement {
	mustBeWords("acr value", values)
	return Requirement{acr: values}
}

// MaxAge asks for a sign-in no longer ago than d, in whole seconds; otherwise
// the client is told to step up (RFC 9470). A token that does not say when the
// user signed in does not pass. It panics if d is negative.
func MaxAge(d time.Duration) Requirement {
	if d < 0 {
		panic("guard: a maximum age cannot be negative")
	}
	return Requirement{maxAge: d.Truncate(time.Second), fresh: true}
}

// AllowStale lets tokens pass whose revocation cannot be known at the moment, judged by
// what was known last: for routes where being refused does more harm than a token that
// was revoked a while ago. By default such a request is answered 503: once the issuer's
// stream of revocations was silent for StaleAfter, and its status list is older than it
// says that it may be.
func AllowStale() Requirement { return Requirement{stale: true} }

// mustBeWords panics unless there are words, each a scope-token. What a program
// writes in its routes is no input: a mistake there should stop its start, as
// one in a pattern stops http.ServeMux.
func mustBeWords(what string, words []string) {
	if len(words) == 0 {
		panic("guard: no " + what)
	}
	for _, w := range words {
		if !quotable(w) || strings.Contains(w, " ") {
			panic(fmt.Sprintf("guard: %q is not a %s", w, what))
		}
	}
}

// needs is the sum of a route's requirements.
type needs struct {
	permissions [][]string // one of each
	acr         [][]string // one of each
	maxAge      time.Duration
	fresh       bool
	stale       bool

	scope, acrValues, maxAgeValue string // as challenges tell them
}

// sum adds requirements up.
func sum(checks []Requirement) *needs {
	n := &needs{}
	var scope, acr []string
	for _, c := range checks {
		if len(c.permissions) > 0 {
			n.permissions = append(n.permissions, c.permissions)
			if !slices.Contains(scope, c.permissions[0]) {
				scope = append(scope, c.permissions[0])
			}
		}
		if len(c.acr) > 0 {
			n.acr = append(n.acr, c.acr)
			acr = append(acr, c.acr...)
		}
		n.stale = n.stale || c.stale
		if c.fresh && (!n.fresh || c.maxAge < n.maxAge) {
			n.maxAge, n.fresh = c.maxAge, true
			n.maxAgeValue = strconv.FormatInt(int64(c.maxAge/time.Second), 10)
		}
	}
	n.scope, n.acrValues = strings.Join(scope, " "), strings.Join(acr, " ")
	return n
}

// unmet returns nil if p meets n, or the reason why not. Permissions come
// first: no sign-in mends a lack of them.
func (n *needs) unmet(p *Principal, now time.Time, leeway time.Duration) error {
	for _, any := range n.permissions {
		if !slices.ContainsFunc(any, p.Has) {
			return ErrPermission
		}
	}
	for _, any := range n.acr {
		if !slices.Contains(any, p.ACR) {
			return ErrStepUp
		}
	}
	// An unknown time is the zero time, which is longer ago than any age.
	if n.fresh && now.Sub(p.AuthTime) > n.maxAge+leeway {
		return ErrStepUp
	}
	return nil
}
