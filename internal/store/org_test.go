package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestOrganizations(t *testing.T) { storetest.Portable(t, storetest.Organizations) }

// signInTo signs in for an organization.
func signInTo(t *testing.T, v *storetest.Services, name, organization string) (issue.Tokens, error) {
	return v.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{
		Name: name, Password: secret.From(storetest.Password), Client: client.Builtin, Organization: organization,
	})
}

func join(t *testing.T, v *storetest.Services, o org.Organization, kind principal.Kind, id, role string) {
	t.Helper()
	if _, err := v.Orgs.Add(t.Context(), storetest.Operator, o, kind, id); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Roles.GiveGrant(t.Context(), storetest.Operator, rbac.Grant{Kind: kind, Principal: id, Role: role, Organization: o.ID}); err != nil {
		t.Fatal(err)
	}
}

// void reports whether a token is refused for what was revoked.
func void(t *testing.T, v *storetest.Services, organization string, token secret.Text) bool {
	t.Helper()
	c := claimsOf(t, token)
	return v.Revoked.Has(grant.Access{Family: c.Family, Account: c.Subject, Client: c.Client, Roles: c.Roles, Organization: organization, Policy: c.Policy})
}

// A member leaves, or the organization goes, on one server while another gives tokens
// for it: whatever was given is void on both, and its family gives no more.
func TestAttackMembershipEndsWhileTokensAreGiven(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		both := pair(t, dsn)
		here, there := both[0], both[1]
		for what, end := range map[string]func(o org.Organization, user, job string) error{
			"leaves": func(o org.Organization, user, job string) error {
				if err := here.Orgs.Remove(t.Context(), storetest.Operator, o, job); err != nil {
					return err
				}
				return here.Orgs.Remove(t.Context(), storetest.Operator, o, user)
			},
			"goes": func(o org.Organization, _, _ string) error {
				return here.Orgs.Delete(t.Context(), storetest.Operator, o.Name, 0)
			},
		} {
			o, err := here.Orgs.Create(t.Context(), storetest.Operator, "acme-"+what, "")
			if err != nil {
				t.Fatal(err)
			}
			u := here.User(t, "ann-"+what, "viewer")
			job, text := here.Client(t, "job-"+what, []string{"write"})
			join(t, here, o, principal.User, u.ID, "editor")
			join(t, here, o, principal.Service, job.ID, "editor")
			if err := there.Feed.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			var given []issue.Tokens
			for _, v := range both {
				tokens, err := signInTo(t, v, "ann-"+what, o.Name)
				if err != nil || claimsOf(t, tokens.Access).Scope != "read write" {
					t.Fatalf("%s: %q, %v", what, tokens.Scope, err)
				}
				proved, err := proves(t, v, job.ID, text)
				if err != nil {
					t.Fatal(err)
				}
				service, err := v.Issuer.ClientToken(t.Context(), storetest.Browser, issue.ClientCredentials{Client: proved, Grant: oauth.ClientCredentials, Organization: o.Name})
				if err != nil || service.Scope[0] != "write" {
					t.Fatalf("%s: the client: %+v, %v", what, service.Scope, err)
				}
				given = append(given, tokens, service)
			}
			if err := end(o, u.ID, job.ID); err != nil {
				t.Fatal(err)
			}
			for _, polled := range []bool{false, true} {
				if polled {
					if err := there.Feed.Poll(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for _, v := range both {
					if tokens, err := signInTo(t, v, "ann-"+what, o.Name); err == nil {
						t.Errorf("%s: it is signed in all the same: %q", what, tokens.Scope)
					}
					_, err := v.Issuer.Refresh(t.Context(), storetest.Browser, issue.Renewal{Token: given[0].Refresh, Client: client.Builtin})
					if e, ok := asOAuth(err); !ok || e.Code != oauth.InvalidGrant {
						t.Errorf("%s: a refresh: %v", what, err)
					}
				}
			}
			for i, tokens := range given {
				for _, v := range both {
					if !void(t, v, o.ID, tokens.Access) {
						t.Errorf("%s: token %d is good", what, i)
					}
				}
			}
			if list, err := there.Orgs.Of(t.Context(), u.ID); err != nil || len(list) != 0 {
				t.Errorf("%s: there she still belongs to %+v, %v", what, list, err)
			}
		}
	})
}

// Whoever signs in for an organization while his membership ends is in before, and then
// it ends, or is not: no family outlives the membership, and none comes back with it.
func TestAttackSignInWhileMembershipEnds(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		both := pair(t, dsn)
		w := storetest.NewWitness(t, dsn)
		o, err := both[0].Orgs.Create(t.Context(), storetest.Operator, "acme", "")
		if err != nil {
			t.Fatal(err)
		}
		for round := range 6 {
			name := fmt.Sprint("ann", round)
			u := both[0].User(t, name)
			join(t, both[0], o, principal.User, u.ID, "viewer")
			if err := both[1].Feed.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			var wait sync.WaitGroup
			var in, out error
			wait.Go(func() { _, in = signInTo(t, both[0], name, "acme") })
			wait.Go(func() { out = both[1].Orgs.Remove(t.Context(), storetest.Operator, o, u.ID) })
			wait.Wait()
			if _, refused := asOAuth(in); out != nil || in != nil && !refused {
				t.Fatalf("in: %v; out: %v", in, out)
			}
			if n := w.Number(t, `SELECT COUNT(*) FROM token_families WHERE ended_at = 0 AND user_id = '`+u.ID+`'`); n != 0 {
				t.Errorf("round %d: %d families live", round, n)
			}
		}
	})
}

func asOAuth(err error) (*oauth.Error, bool) {
	return errors.AsType[*oauth.Error](err)
}

// Nobody belongs to more organizations than there may be, and a grant within one that
// ends counts until then.
func TestOrganizationBounds(t *testing.T) {
	v := storetest.NewServices(t, storetest.Open(t, storetest.SQLite(t), store.Options{}), storetest.Parts{})
	u := v.User(t, "ann")
	o, err := v.Orgs.Create(t.Context(), storetest.Operator, "acme", "")
	if err != nil {
		t.Fatal(err)
	}
	join(t, v, o, principal.User, u.ID, "viewer")
	if _, err := v.Roles.GiveGrant(t.Context(), storetest.Operator, rbac.Grant{Principal: u.ID, Role: "editor", Organization: o.ID, Until: time.Now().Add(2 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	tokens, err := signInTo(t, v, "ann", "acme")
	if err != nil || len(tokens.Scope) != 2 || tokens.Expires > 2*time.Second {
		t.Errorf("%q for %s, %v", tokens.Scope, tokens.Expires, err)
	}
	for _, name := range []string{"", "Acme", "a b", "-x"} {
		if _, err := v.Orgs.Create(t.Context(), storetest.Operator, name, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
