package grant

import (
	"slices"
	"time"
)

// AgreedTo is what a person lets an application do at an API.
type AgreedTo struct {
	User     string
	Client   string
	Audience string
	Scope    []string
	As       string // the digest of what the client was registered as
	At       time.Time
}

// Covers reports whether the agreement is one to a scope, of the client as it is
// registered now.
func (a AgreedTo) Covers(scope []string, as string) bool {
	if a.As != as {
		return false
	}
	for _, s := range scope {
		if !slices.Contains(a.Scope, s) {
			return false
		}
	}
	return true
}
