package rbac

import (
	"strings"

	"github.com/doorward/doorward/internal/fault"
)

const maxPermission = 128 // bytes

// ParsePermission returns s if it is a permission: a scope-token of 1 to 128
// bytes (RFC 6749, Section 3.3) that is not an identity scope and holds no "*".
// Permissions are compared byte by byte: "users", "users:read" and
// "Users:read" are three words, and none of them implies another. Anything else
// is a fault of kind Invalid.
func ParsePermission(s string) (string, error) {
	if e := checkPermission(s); e != nil {
		return "", e
	}
	return s, nil
}

// IdentityScope reports whether s is a scope that says what a client may learn
// about a person. Such a scope needs no permission and can never be one
// (OpenID Connect Core 1.0, Sections 3.1.2.1, 5.4 and 11).
func IdentityScope(s string) bool {
	switch s {
	case "openid", "profile", "email", "phone", "address", "offline_access":
		return true
	}
	return false
}

// IdentityScopes returns all of them.
func IdentityScopes() []string {
	return []string{"openid", "profile", "email", "phone", "address", "offline_access"}
}

// ParseScope is ParsePermission for what a client may ask for: identity scopes, too.
func ParseScope(s string) (string, error) {
	if IdentityScope(s) {
		return s, nil
	}
	return ParsePermission(s)
}

// ParseRoleName returns s if it is the name of a role: a lower-case letter or
// digit, and up to 63 more of those or ".", "_", "-". Anything else is a fault
// of kind Invalid.
func ParseRoleName(s string) (string, error) {
	if !isRoleName(s) {
		return "", fault.New(fault.Invalid, "a role's name is 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", and begins with a letter or a digit")
	}
	return s, nil
}

func checkPermission(s string) *fault.Error {
	switch {
	case isPermission(s):
		return nil
	case s == "":
		return fault.New(fault.Invalid, "a permission is empty")
	case len(s) > maxPermission:
		return fault.New(fault.Invalid, "a permission is longer than %d bytes", maxPermission)
	case IdentityScope(s):
		return fault.New(fault.Invalid, "%q is an identity scope: everybody has it, so no role can give it", s)
	case strings.Contains(s, "*"):
		return fault.New(fault.Invalid, "a permission holds a \"*\", but there are no wildcards: write out each permission that you mean")
	}
	return fault.New(fault.Invalid, "a permission is made of visible ASCII characters without spaces, \" and \\, like orders:read")
}

// isPermission is ParsePermission for those who need no reason; it does not
// allocate.
func isPermission(s string) bool {
	if s == "" || len(s) > maxPermission || IdentityScope(s) {
		return false
	}
	for i := range len(s) {
		// scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
		if c := s[i]; c < 0x21 || c > 0x7E || c == '"' || c == '\\' || c == '*' {
			return false
		}
	}
	return true
}

func isRoleName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		word := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}
