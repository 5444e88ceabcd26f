package oauth

import (
	"net/url"
	"strings"
)

const longestResource = 512

// CheckResource returns an error, InvalidTarget, for what cannot be a resource
// indicator: it is an absolute URI without a fragment (RFC 8707, Section 2). Nor
// may it name a user, or be spelled in two ways.
func CheckResource(s string) error {
	bad := &Error{Code: InvalidTarget, Description: "a resource is an absolute URI without a fragment"}
	// The parser looks neither at all that a URI cannot hold, nor
	// at each escape.
	if _, err := url.PathUnescape(s); err != nil || len(s) > longestResource || strings.ContainsAny(s, "# \"<>\\^`{|}") {
		return bad
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return bad
		}
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || !u.IsAbs() || u.User != nil || u.String() != s: // HTTPS://
		return bad
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" || u.Host != strings.ToLower(u.Host) {
			return bad
		}
	case u.Scheme == "urn":
	default:
		return bad
	}
	for _, segment := range strings.Split(u.Path, "/") {
		if segment == "." || segment == ".." {
			return bad
		}
	}
	return nil
}
