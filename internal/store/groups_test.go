package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestGroups(t *testing.T) { storetest.Portable(t, storetest.Groups) }

// What somebody loses by a group, a token that was made before does not carry on: on
// every replica it is void, and the next one carries less. Who had the same role
// otherwise refreshes once.
func TestAttackTokenOutlivesGroup(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		both := pair(t, dsn)
		here, there := both[0], both[1]
		for what, lose := range map[string]func(group, user string) error{
			"his place": func(group, user string) error {
				return here.Roles.RemoveMember(t.Context(), storetest.Operator, group, user)
			},
			"the group's role": func(group, _ string) error {
				return here.Roles.TakeGrant(t.Context(), storetest.Operator, rbac.Grant{Group: group, Role: "editor"})
			},
			"the group": func(group, _ string) error {
				return here.Roles.DeleteGroup(t.Context(), storetest.Operator, group, 0)
			},
		} {
			group := "group-" + map[string]string{"his place": "a", "the group's role": "b", "the group": "c"}[what]
			here.Group(t, group, "editor")
			u := here.User(t, "user-"+group)
			here.Join(t, group, u.ID)
			beside := here.User(t, "beside-"+group, "editor")
			token, other := claimsOf(t, there.SignIn(t, u.Username).Access), claimsOf(t, there.SignIn(t, beside.Username).Access)
			if token.Scope != "read write" || there.Revoked.Has(grant.Access{Family: token.Family, Account: u.ID, Client: token.Client, Roles: token.Roles, Policy: token.Policy}) {
				t.Fatalf("%s: a new token carries %q", what, token.Scope)
			}
			if err := lose(group, u.ID); err != nil {
				t.Fatal(err)
			}
			if err := there.Feed.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, v := range both {
				if !v.Revoked.Has(grant.Access{Family: token.Family, Account: u.ID, Client: token.Client, Roles: token.Roles, Policy: token.Policy}) {
					t.Errorf("who lost %s has a good token on replica %d", what, i)
				}
				if next := claimsOf(t, v.SignIn(t, u.Username).Access); next.Scope != "" || v.Revoked.Has(grant.Access{Family: next.Family, Account: u.ID, Client: next.Client, Roles: next.Roles, Policy: next.Policy}) {
					t.Errorf("who lost %s: the next token on replica %d carries %q, or is void", what, i, next.Scope)
				}
				next := claimsOf(t, v.SignIn(t, beside.Username).Access)
				if next.Scope != "read write" || v.Revoked.Has(grant.Access{Family: next.Family, Account: beside.ID, Client: next.Client, Roles: next.Roles, Policy: next.Policy}) {
					t.Errorf("%s: who has the role beside gets a token of %q, or a void one, on replica %d", what, next.Scope, i)
				}
			}
			if void := there.Revoked.Has(grant.Access{Family: other.Family, Account: beside.ID, Client: other.Client, Roles: other.Roles, Policy: other.Policy}); void != (what != "his place") {
				t.Errorf("%s: the token of who has the role beside is void: %t", what, void)
			}
		}
	})
}

// A place in a group ends by itself: what follows from it, and tokens with it.
func TestPlaceInAGroupEnds(t *testing.T) {
	v := storetest.NewServices(t, storetest.Open(t, storetest.SQLite(t), store.Options{}), storetest.Parts{})
	v.Group(t, "staff", "editor")
	u := v.User(t, "ann")
	soon := time.Now().Add(time.Minute)
	if _, err := v.Roles.AddMember(t.Context(), storetest.Operator, rbac.Member{Group: "staff", Principal: u.ID, Until: soon}); err != nil {
		t.Fatal(err)
	}
	held, _, err := v.Roles.Of(t.Context(), u.ID)
	if err != nil || !held.Has("write") || held.ValidUntil.IsZero() || held.ValidUntil.After(soon) {
		t.Errorf("it holds until %v, and the place ends at %v; %v", held.ValidUntil, soon, err)
	}
	if tokens := v.SignIn(t, "ann"); tokens.Expires > time.Minute {
		t.Errorf("the token lives for %v", tokens.Expires)
	}
	_, err = v.Roles.AddMember(t.Context(), storetest.Operator, rbac.Member{Group: "staff", Principal: u.ID, Until: time.Now().Add(-time.Minute)})
	expect(t, "until before now", err, fault.Invalid)
}

var groupDeeds = []deed{
	{"bring into a group", 0, joining},
	{"delete a group", 0, deletingGroup},
}

// After a fault at any statement of a change of groups there is the old state or the
// new one, whole, with its events (FLT-002).
func TestAttackFLT002EveryStatementOfGroupsFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, groupDeeds) })
}

func joining(t *testing.T, v *storetest.Services, name string) scene {
	v.Group(t, name, "viewer")
	u := v.User(t, name)
	do := func() error {
		_, err := v.Roles.AddMember(t.Context(), storetest.Operator, rbac.Member{Group: name, Principal: u.ID})
		return err
	}
	return scene{do, func(t *testing.T, happened bool) { expect(t, "again", do(), kindIf(happened, fault.Conflict)) }}
}

func deletingGroup(t *testing.T, v *storetest.Services, name string) scene {
	v.Group(t, name, "viewer")
	v.Join(t, name, v.User(t, name).ID)
	do := func() error { return v.Roles.DeleteGroup(t.Context(), storetest.Operator, name, 0) }
	return scene{do, func(t *testing.T, happened bool) { expect(t, "again", do(), kindIf(happened, fault.NotFound)) }}
}
