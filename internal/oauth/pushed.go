package oauth

import (
	"maps"
	"slices"
	"strings"
)

// PushedPrefix begins the request_uri of a request that was pushed here (RFC 9126, Section
// 2.2).
const PushedPrefix = "urn:ietf:params:oauth:request_uri:"

// Pushed returns, of the request_uri of one that was pushed here, what names it. It is false
// of any other request, and of one that names two.
func (r *AuthorizationRequest) Pushed() (name string, ok bool) {
	if slices.Contains(r.repeated, "request_uri") {
		return "", false
	}
	return strings.CutPrefix(r.params.Get("request_uri"), PushedPrefix)
}

// PushedQuery returns the authorization request that a client pushed, as a query: without
// what the client proved itself by (RFC 9126, Section 2.1).
func PushedQuery(p Params, client string) (string, error) {
	if p.Get("request_uri") != "" {
		return "", invalid("a request that is pushed has no request_uri")
	}
	kept := maps.Clone(p)
	for _, proof := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		delete(kept, proof)
	}
	kept["client_id"] = []string{client}
	return kept.Encode(), nil
}
