package issue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

// basis is what a token follows from: what its principal holds, under which version
// of the policy, and whom it is for.
type basis struct {
	rbac.Effective
	policy   int64
	absent   []string    // the chosen roles that the principal was not given
	clash    *rbac.Clash // the roles that may not be used together
	audience string
	api      *resource.Resource // that it is for; nil for this server's own
	org      org.Organization   // that it is for; zero for none
	client   client.Client      // that it is issued to, if that matters
}

// extent is where a token holds, and what of it.
type extent struct {
	audience     string
	organization string   // its id; empty for none
	roles        []string // those that were chosen; nil for all that were given
}

// basisOf returns what a token of a principal follows from now. The error is a NotFound
// for who is no member of the organization, and an oauth.Error for an audience that is
// not there.
func (s *Service) basisOf(ctx context.Context, principalID string, at extent) (basis, error) {
	b := basis{audience: at.audience}
	// The version is read first: what the API loses in between, or the member, it makes
	// void.
	use, err := s.policy.Using(ctx, principalID, at.organization, at.roles)
	if err != nil {
		return b, err
	}
	b.Effective, b.policy, b.absent, b.clash = use.Effective, use.Policy, use.Absent, use.Clash
	if at.organization != "" {
		if b.org, err = s.orgs.MembershipByID(ctx, at.organization, principalID); err != nil {
			return b, err
		}
	}
	b.api, err = s.api(ctx, at.audience)
	return b, err
}

// organization returns the id of the organization of a name, for a member of it.
func (s *Service) organization(ctx context.Context, name, principalID string) (string, error) {
	if name == "" {
		return "", nil
	}
	o, err := s.orgs.Membership(ctx, name, principalID)
	return o.ID, outside(err)
}

// outside is the one answer to who is no member: whether there is such an organization
// is not for him to know.
func outside(err error) error {
	if !isOutside(err) {
		return err
	}
	return (&oauth.Error{Code: oauth.InvalidRequest, Description: "it is not a member of such an organization"}).Because(err)
}

// gives reports whether a token may carry a scope: what the principal holds, the API
// knows and the client may ask for by now, and what needs no permission.
func (b basis) gives(scope string) bool { return rbac.IdentityScope(scope) || b.permits(scope) }

func (b basis) permits(permission string) bool {
	return b.Has(permission) && (b.api == nil || b.api.Registers(permission)) &&
		(b.client.ID == "" || b.client.FirstParty || slices.Contains(b.client.Scopes, permission))
}

// all returns every permission that a token may carry, sorted.
func (b basis) all() []string {
	return slices.DeleteFunc(b.Permissions(), func(p string) bool { return !b.permits(p) })
}

// lasts returns how long a token lives: as its API says, or as all do, and never
// longer than the first grant that ends.
func (s *Service) lasts(b basis, now time.Time) time.Duration {
	ttl := b.client.AccessLasts(s.options.AccessTTL)
	if b.api != nil {
		ttl = b.api.Lifetime(ttl, b.policy)
	}
	if !b.ValidUntil.IsZero() {
		ttl = min(ttl, b.ValidUntil.Sub(now).Truncate(time.Second))
	}
	return max(ttl, time.Second)
}

// audience returns whom a token is for that was asked for with resources (RFC 8707,
// Section 2): an API that is registered, or this server, which is also who stands in.
func (s *Service) audience(ctx context.Context, asked []string) (string, error) {
	switch {
	case len(asked) == 0:
		return s.options.Audience, nil
	case len(asked) > 1:
		return "", &oauth.Error{Code: oauth.InvalidTarget, Description: "a token is for one resource"}
	}
	_, err := s.api(ctx, asked[0])
	return asked[0], err
}

func isOutside(err error) bool {
	_, told := errors.AsType[*oauth.Error](err)
	return !told && fault.KindOf(err) == fault.NotFound
}

// api returns the API that goes by an audience, as it is registered now; nil for this
// server itself.
func (s *Service) api(ctx context.Context, audience string) (*resource.Resource, error) {
	if audience == s.options.Audience || audience == s.options.Issuer {
		return nil, nil
	}
	r, err := s.resources.ByIdentifier(ctx, audience)
	if fault.KindOf(err) == fault.NotFound {
		return nil, (&oauth.Error{Code: oauth.InvalidTarget, Description: "the resource is not known here"}).Because(err)
	}
	return &r, err
}
