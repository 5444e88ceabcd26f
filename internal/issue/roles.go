package issue

import (
	"fmt"
	"strings"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/rbac"
)

// ParseRoles reads the parameter roles: names of roles, each separated from the next
// by one space, of which alone a token is to be. It returns them sorted and without
// repetition; nil for an empty parameter, which stands for all.
func ParseRoles(text string) ([]string, error) {
	roles, err := oauth.ParseScope(text)
	if err != nil {
		return nil, (&oauth.Error{Code: oauth.InvalidRequest, Description: "roles is a list of names of roles separated by single spaces"}).Because(err)
	}
	return roles, nil
}

// chosen is an oauth.Error if a role was chosen that was not given, or if roles would
// be used that exclude each other: then one has to choose.
func (b basis) chosen() error {
	switch {
	case len(b.absent) > 0:
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "one of these roles was not given: choose with roles among those that were"}
	case b.clash != nil:
		return &oauth.Error{Code: oauth.InvalidRequest, Description: exclude(b.clash) + ": choose with roles which of what was given to use"}
	}
	return nil
}

func exclude(c *rbac.Clash) string {
	return fmt.Sprintf("the roles %s exclude each other (separation %s)", strings.Join(c.Roles, ", "), c.Separation)
}

// chose notes in an event which roles were chosen, if any were.
func chose(e audit.Event, roles []string) audit.Event {
	if roles == nil {
		return e
	}
	return e.With("roles", strings.Join(roles, " "))
}
