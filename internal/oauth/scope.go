package oauth

import (
	"slices"
	"strings"
)

const (
	longestScope = 8 << 10 // bytes of the whole parameter
	mostScopes   = 1000
)

// ParseScope reads a scope parameter: scope-tokens, each separated from the
// next by one space (RFC 6749, Section 3.3). It returns them sorted and without
// repetition; nil for an empty parameter.
func ParseScope(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	bad := &Error{Code: InvalidScope, Description: "the scope is not a list of scope-tokens separated by single spaces"}
	if len(s) > longestScope {
		return nil, bad
	}
	tokens := strings.Split(s, " ")
	if len(tokens) > mostScopes {
		return nil, bad
	}
	for _, t := range tokens {
		if !ScopeToken(t) {
			return nil, bad
		}
	}
	slices.Sort(tokens)
	return slices.Compact(tokens), nil
}

// ScopeToken reports whether s is a scope-token: 1*( %x21 / %x23-5B / %x5D-7E )
// (RFC 6749, Section 3.3).
func ScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// FormatScope returns scope-tokens as a scope parameter.
func FormatScope(tokens []string) string { return strings.Join(tokens, " ") }
