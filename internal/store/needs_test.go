package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// act is a verb that needs a permission.
type act struct {
	name, needs string
	do          func(ctx context.Context, by principal.Principal) error
}

// acts are the verbs of the management API, upon things that hold nothing: of the
// rules only that the permission is still held stands in the way. They can be done
// once, in this order.
func acts(v *storetest.Services, me, other account.User) []act {
	name := "renamed"
	change := account.Change{Name: &name}
	return []act{
		{"create an account", "users:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Accounts.Create(ctx, by, account.Draft{Username: "made"})
			return err
		}},
		{"change another's account", "users:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Accounts.Update(ctx, by, other.ID, change)
			return err
		}},
		{"change one's own account", "users:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Accounts.Update(ctx, by, me.ID, change)
			return err
		}},
		{"create a role", "roles:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.CreateRole(ctx, by, rbac.Role{Name: "made"})
			return err
		}},
		{"change a role", "roles:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.ReplaceRole(ctx, by, rbac.Role{Name: "empty", Description: "changed"})
			return err
		}},
		{"give a role", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.Give(ctx, by, other.ID, "empty", time.Time{}, "")
			return err
		}},
		{"take a role", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.Take(ctx, by, other.ID, "held")
		}},
		{"register a client", "clients:write", func(ctx context.Context, by principal.Principal) error {
			_, _, err := v.Clients.Create(ctx, by, client.Draft{ID: "made"})
			return err
		}},
		{"change a client", "clients:write", func(ctx context.Context, by principal.Principal) error {
			c, err := v.Clients.Fresh(ctx, "app")
			if err == nil {
				c.Name = "changed"
				_, err = v.Clients.Update(ctx, by, c)
			}
			return err
		}},
		{"rotate a client's secret", "clients:write", func(ctx context.Context, by principal.Principal) error {
			_, _, err := v.Clients.RotateSecret(ctx, by, "app", 0, 0)
			return err
		}},
		{"let a client exchange tokens", "clients:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Clients.AllowExchange(ctx, by, client.Exchange{Client: "app", From: client.APIKeys, Resource: "urn:new"})
			return err
		}},
		{"let a client exchange tokens no more", "clients:write", func(ctx context.Context, by principal.Principal) error {
			list, err := v.Clients.Exchanges(ctx, "app")
			if err == nil {
				err = v.Clients.ForbidExchange(ctx, by, "app", list[0].ID)
			}
			return err
		}},
		{"let somebody register clients", "clients:write", func(ctx context.Context, by principal.Principal) error {
			_, _, err := v.Clients.CreateInitialToken(ctx, by, client.InitialDraft{Name: "made"})
			return err
		}},
		{"let him no more", "clients:write", func(ctx context.Context, by principal.Principal) error {
			list, err := v.Clients.InitialTokens(ctx, "", 1)
			if err == nil {
				err = v.Clients.RevokeInitialToken(ctx, by, list[0].ID)
			}
			return err
		}},
		{"give a client a role", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.GiveGrant(ctx, by, rbac.Grant{Kind: principal.Service, Principal: "app", Role: "empty"})
			return err
		}},
		{"take a client's role", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.TakeGrant(ctx, by, rbac.Grant{Kind: principal.Service, Principal: "app", Role: "held"})
		}},
		{"keep roles apart", "roles:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.CreateSeparation(ctx, by, rbac.Separation{Name: "made", Kind: rbac.Static, Roles: []string{"apart-a", "apart-b"}})
			return err
		}},
		{"keep other roles apart", "roles:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.ReplaceSeparation(ctx, by, rbac.Separation{Name: "kept", Kind: rbac.Dynamic, Roles: []string{"apart-a", "apart-b"}})
			return err
		}},
		{"let roles together", "roles:write", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.DeleteSeparation(ctx, by, "kept", 0)
		}},
		{"make a group", "roles:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.CreateGroup(ctx, by, rbac.Group{Name: "made"})
			return err
		}},
		{"change a group", "roles:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.UpdateGroup(ctx, by, rbac.Group{Name: "staff", Description: "changed"})
			return err
		}},
		{"bring into a group", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.AddMember(ctx, by, rbac.Member{Group: "staff", Principal: other.ID})
			return err
		}},
		{"take out of a group", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.RemoveMember(ctx, by, "staff", me.ID)
		}},
		{"give a group a role", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Roles.GiveGrant(ctx, by, rbac.Grant{Group: "staff", Role: "empty"})
			return err
		}},
		{"take a group's role", "roles:grant", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.TakeGrant(ctx, by, rbac.Grant{Group: "staff", Role: "held"})
		}},
		{"delete a group", "roles:write", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.DeleteGroup(ctx, by, "staff", 0)
		}},
		{"delete a client", "clients:write", func(ctx context.Context, by principal.Principal) error {
			return v.Clients.Delete(ctx, by, "app", 0)
		}},
		{"make an organization", "organizations:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Orgs.Create(ctx, by, "made", "")
			return err
		}},
		{"change an organization", "organizations:write", func(ctx context.Context, by principal.Principal) error {
			o, err := v.Orgs.Fresh(ctx, "acme")
			if err == nil {
				o.DisplayName = "changed"
				_, err = v.Orgs.Update(ctx, by, o)
			}
			return err
		}},
		{"add a member", "organizations:write", func(ctx context.Context, by principal.Principal) error {
			o, err := v.Orgs.Fresh(ctx, "acme")
			if err == nil {
				_, err = v.Orgs.Add(ctx, by, o, principal.User, me.ID)
			}
			return err
		}},
		{"remove a member", "organizations:write", func(ctx context.Context, by principal.Principal) error {
			o, err := v.Orgs.Fresh(ctx, "acme")
			if err == nil {
				err = v.Orgs.Remove(ctx, by, o, other.ID)
			}
			return err
		}},
		{"delete an organization", "organizations:write", func(ctx context.Context, by principal.Principal) error {
			return v.Orgs.Delete(ctx, by, "acme", 0)
		}},
		{"register an API", "resources:write", func(ctx context.Context, by principal.Principal) error {
			_, err := v.Resources.Create(ctx, by, resource.Resource{ID: "made", Identifier: "urn:made"})
			return err
		}},
		{"change an API", "resources:write", func(ctx context.Context, by principal.Principal) error {
			r, err := v.Resources.Fresh(ctx, "api")
			if err == nil {
				r.Name = "changed"
				_, err = v.Resources.Update(ctx, by, r)
			}
			return err
		}},
		{"delete an API", "resources:write", func(ctx context.Context, by principal.Principal) error {
			return v.Resources.Delete(ctx, by, "api", 0)
		}},
		{"delete a role", "roles:write", func(ctx context.Context, by principal.Principal) error {
			return v.Roles.DeleteRole(ctx, by, "empty", 0)
		}},
		{"delete another's account", "users:write", func(ctx context.Context, by principal.Principal) error {
			return v.Accounts.Delete(ctx, by, other.ID, 0, false)
		}},
		{"delete one's own account", "users:write", func(ctx context.Context, by principal.Principal) error {
			return v.Accounts.Delete(ctx, by, me.ID, 0, false)
		}},
	}
}

// A request was let in, and was on its way for a while. Who has lost the permission
// that let it in, by a grant that was taken away or has ended, by a role that lost
// it, or with his account, is refused by the transaction; and nothing happened.
func TestAttackPermissionLostOnTheWay(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		still := clock.Func(func() time.Time { return now })
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{Clock: still}), storetest.Parts{Clock: still})
		w := storetest.NewWitness(t, dsn)
		manager := rbac.Role{Name: "manager", Permissions: []string{"users:write", "roles:write", "roles:grant", "clients:write", "resources:write", "organizations:write"}}
		for _, r := range []rbac.Role{manager, {Name: "empty"}, {Name: "held"}, {Name: "apart-a"}, {Name: "apart-b"}} {
			if _, err := v.Roles.CreateRole(t.Context(), storetest.Operator, r); err != nil {
				t.Fatal(err)
			}
		}
		me, other := v.User(t, "me", "manager"), v.User(t, "other", "held")
		v.Client(t, "app", nil, "held")
		if _, err := v.Clients.AllowExchange(t.Context(), storetest.Operator, client.Exchange{Client: "app", From: client.APIKeys, Resource: "urn:old"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.Clients.CreateInitialToken(t.Context(), storetest.Operator, client.InitialDraft{Name: "kept"}); err != nil {
			t.Fatal(err)
		}
		v.Group(t, "staff", "held")
		if _, err := v.Roles.CreateSeparation(t.Context(), storetest.Operator, rbac.Separation{Name: "kept", Kind: rbac.Static, Roles: []string{"apart-a", "apart-b"}}); err != nil {
			t.Fatal(err)
		}
		v.Join(t, "staff", me.ID)
		if o, err := v.Orgs.Create(t.Context(), storetest.Operator, "acme", ""); err != nil {
			t.Fatal(err)
		} else if _, err := v.Orgs.Add(t.Context(), storetest.Operator, o, principal.User, other.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Resources.Create(t.Context(), storetest.Operator, resource.Resource{ID: "api", Identifier: "urn:api"}); err != nil {
			t.Fatal(err)
		}
		by := principal.Principal{Kind: principal.User, ID: me.ID, Scopes: manager.Permissions}
		give := func(until time.Time) error {
			_, err := v.Roles.Give(t.Context(), storetest.Operator, me.ID, "manager", until, "")
			return err
		}
		take := func() error { return v.Roles.Take(t.Context(), storetest.Operator, me.ID, "manager") }
		set := func(s account.Status) func() error {
			return func() error {
				_, err := v.Accounts.Update(t.Context(), storetest.Operator, me.ID, account.Change{Status: &s})
				return err
			}
		}
		for _, lost := range []struct {
			how        string
			lose, back func() error
		}{
			{"by the grant", take, func() error { return give(time.Time{}) }},
			{"by the role", func() error {
				_, err := v.Roles.ReplaceRole(t.Context(), storetest.Operator, rbac.Role{Name: "manager", Permissions: []string{"roles:read"}})
				return err
			}, func() error {
				_, err := v.Roles.ReplaceRole(t.Context(), storetest.Operator, manager)
				return err
			}},
			{"by the time", func() error {
				if err := take(); err != nil {
					return err
				}
				defer func() { now = now.Add(time.Minute) }()
				return give(now.Add(time.Minute))
			}, func() error { return give(time.Time{}) }},
			{"with the account", set(account.Disabled), set(account.Active)},
		} {
			if err := lost.lose(); err != nil {
				t.Fatalf("%s: losing it: %v", lost.how, err)
			}
			before := w.Dump(t)
			for _, a := range acts(v, me, other) {
				by.Needs = a.needs
				if err := a.do(t.Context(), by); fault.KindOf(err) != fault.Denied {
					t.Errorf("lost %s: %s: %v, want a Denied fault", lost.how, a.name, err)
				}
			}
			if done := w.Dump(t).Since(before); len(done) > 0 {
				t.Fatalf("lost %s, and something was done: %q", lost.how, done)
			}
			if err := lost.back(); err != nil {
				t.Fatalf("%s: getting it back: %v", lost.how, err)
			}
		}
		for _, a := range acts(v, me, other) {
			by.Needs = a.needs
			if err := a.do(t.Context(), by); err != nil {
				t.Errorf("who holds it still: %s: %v", a.name, err)
			}
		}
	})
}
