package issue

import (
	"slices"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/rbac"
)

// The scope rule: requested ∩ allowed to the client ∩ allowed by the principal's
// roles ∩ known to the API that the token is for. Nothing requested stands for the client's default, which for the
// built-in client is all that the principal holds. A scope that nobody could ever
// have is refused; one that the principal does not hold, or the API does not know, is
// dropped; if nothing is
// left of a request, that is refused (RFC 6749, Section 3.3).

// conceivable is the part of it that can be judged of anybody.
func conceivable(c client.Client, requested []string, snapshot *rbac.Snapshot) error {
	for _, s := range requested {
		if !c.FirstParty || !rbac.IdentityScope(s) && !snapshot.Known(s) {
			return &oauth.Error{Code: oauth.InvalidScope, Description: "the client may not ask for one of these scopes"}
		}
	}
	return nil
}

// narrow is the part that needs to know whom the scope is for.
func narrow(requested []string, b basis) ([]string, error) {
	if len(requested) == 0 {
		return b.all(), nil
	}
	var scope []string
	for _, s := range requested {
		if b.gives(s) {
			scope = append(scope, s)
		}
	}
	if len(scope) == 0 {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: b.lacks("")}
	}
	return scope, nil
}

// renew is the scope rule for a refresh: what was granted at the sign-in,
// narrowed by the request, less what the principal has lost since. A request
// never grows what was granted (RFC 6749, Section 6).
func renew(granted, requested []string, b basis) ([]string, error) {
	if len(requested) == 0 {
		requested = granted
	}
	scope := make([]string, 0, len(requested))
	for _, s := range requested {
		if !slices.Contains(granted, s) {
			return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "the scope is more than was granted"}
		}
		if b.gives(s) {
			scope = append(scope, s)
		}
	}
	if len(scope) == 0 && len(requested) > 0 {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: b.lacks(" any more")}
	}
	return scope, nil
}

// lacks says why nothing is left of a request.
func (b basis) lacks(now string) string {
	if b.api != nil {
		return "the user holds none of these scopes" + now + ", or the resource does not know them"
	}
	return "the user holds none of these scopes" + now
}
