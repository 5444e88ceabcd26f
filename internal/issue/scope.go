package issue

import (
	"slices"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/rbac"
)

// The scope rule: requested ∩ allowed to the client ∩ allowed by the principal's
// roles. Nothing requested stands for the client's default, which for the
// built-in client is all that the principal holds. A scope that nobody could ever
// have is refused; one that the principal does not hold is dropped; if nothing is
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
func narrow(requested []string, held rbac.Effective) ([]string, error) {
	if len(requested) == 0 {
		return held.Permissions(), nil
	}
	var scope []string
	for _, s := range requested {
		if rbac.IdentityScope(s) || held.Has(s) {
			scope = append(scope, s)
		}
	}
	if len(scope) == 0 {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "the user holds none of these scopes"}
	}
	return scope, nil
}

// renew is the scope rule for a refresh: what was granted at the sign-in,
// narrowed by the request, less what the principal has lost since. A request
// never grows what was granted (RFC 6749, Section 6).
func renew(granted, requested []string, held rbac.Effective) ([]string, error) {
	if len(requested) == 0 {
		requested = granted
	}
	scope := make([]string, 0, len(requested))
	for _, s := range requested {
		if !slices.Contains(granted, s) {
			return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "the scope is more than was granted"}
		}
		if rbac.IdentityScope(s) || held.Has(s) {
			scope = append(scope, s)
		}
	}
	if len(scope) == 0 && len(requested) > 0 {
		return nil, &oauth.Error{Code: oauth.InvalidScope, Description: "the user holds none of these scopes any more"}
	}
	return scope, nil
}
