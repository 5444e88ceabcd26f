package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// planned returns what a file would change.
func planned(t *testing.T, v *storetest.Services, text string, prune bool) (*policy.Plan, error) {
	t.Helper()
	doc, err := policy.Read("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.Policy.Plan(t.Context(), doc, prune)
}

func apply(t *testing.T, v *storetest.Services, text string, prune bool) error {
	t.Helper()
	plan, err := planned(t, v, text, prune)
	if err != nil {
		return err
	}
	return v.Policy.Apply(t.Context(), storetest.Operator, plan)
}

const before = `version: 1
roles: {low: {permissions: [a]}, mid: {permissions: [b], inherits: [low]}, ops: {inherits: [admin]}}
groups: {desk: {}}
resources: {orders: {identifier: 'urn:orders', permissions: [a, b]}}
clients: {job: {scope: [a, b]}}
grants: {users: {root: [ops]}, groups: {desk: [low]}, clients: {job: [mid]}}
members: {desk: {users: [ana]}}
`

// Many changes of all kinds are one step: in whichever order they would be refused
// by themselves, the whole is what counts; and each has its event.
func TestApplyPolicy(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitness(t, dsn)
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		root, ana := v.User(t, "root", "admin"), v.User(t, "ana")
		expect(t, "the beginning", apply(t, v, before, true), 0)
		if held, _, err := v.Roles.Of(t.Context(), ana.ID); err != nil || !held.Has("a") {
			t.Errorf("through the group ana does not hold a: %v", err)
		}
		// low and mid change places, ops is no administrator's role any more, its only
		// holder is one by himself, and an identifier goes to another id.
		events := w.Number(t, `SELECT COUNT(*) FROM audit_events`)
		expect(t, "the change", apply(t, v, `version: 1
roles: {low: {permissions: [a], inherits: [mid]}, mid: {permissions: [b]}, ops: {permissions: [c]}}
groups: {office: {}}
resources: {shop: {identifier: 'urn:orders', permissions: [a]}}
clients: {task: {scope: [a]}}
grants: {users: {root: [admin]}, groups: {office: [low]}, clients: {task: [low]}}
members: {office: {users: [ana], clients: [task]}}
`, true), 0)
		// 3 roles, 2 groups, 2 resources, 2 clients; grants: root twice, office, task;
		// members: 2. What desk and job had went with them.
		if n := w.Number(t, `SELECT COUNT(*) FROM audit_events`) - events; n != 15 {
			t.Errorf("%d events", n)
		}
		for id, want := range map[string]string{root.ID: "admin", ana.ID: "b", "task": "a"} {
			if held, _, err := v.Roles.Of(t.Context(), id); err != nil || !held.Has(want) {
				t.Errorf("%s does not hold %s: %v", id, want, err)
			}
		}
	})
}

// The rules of single changes hold for many.
func TestApplyPolicyRules(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		w := storetest.NewWitness(t, dsn)
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		v.User(t, "root")
		ana := v.User(t, "ana")
		expect(t, "the beginning", apply(t, v, before, true), 0)
		clerk := v.User(t, "clerk", "mid") // of a and b
		by := principal.Principal{Kind: principal.User, ID: clerk.ID, Scopes: strings.Fields("a b c roles:write roles:grant")}
		state := w.Dump(t)
		for _, r := range []struct {
			name, text string
			prune      bool
			kind       fault.Kind
		}{
			{"a role of what he lacks", "roles: {new: {permissions: [c]}}", false, fault.Denied},
			{"a role by inheritance of what he lacks", "roles: {x: {permissions: [a]}, y: {inherits: [x, admin]}}", false, fault.Denied},
			{"a role above him", "roles: {ops: {}}", false, fault.Denied},
			{"the deletion of a role above him", "roles: {low: {permissions: [a]}, mid: {permissions: [b], inherits: [low]}}", true, fault.Denied},
			{"a grant of what he lacks", "grants: {users: {ana: [admin]}}", false, fault.Denied},
			{"a grant to somebody above him", "grants: {users: {root: [low]}}", false, fault.Denied},
			{"taking from somebody above him", "grants: {users: {clerk: [mid]}, groups: {desk: [low]}, clients: {job: [mid]}}", true, fault.Denied},
			{"a group that has what he lacks", "groups: {new: {}}\ngrants: {groups: {new: [ops]}}", false, fault.Denied},
			{"a client for what he lacks", "clients: {new: {scope: [c]}}", false, fault.Denied},
			{"one good thing and a bad one", "roles: {new: {permissions: [a]}}\ngrants: {users: {ana: [new, ops]}}", false, fault.Denied},
		} {
			plan, err := planned(t, v, "version: 1\n"+r.text+"\n", r.prune)
			if err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
			expect(t, r.name, v.Policy.Apply(t.Context(), by, plan), r.kind)
		}
		expect(t, "no administrator", apply(t, v, "version: 1\ngrants: {}\n", true), fault.Conflict)
		expect(t, "a client with an account's id", apply(t, v, "version: 1\nclients: {"+ana.ID+": {}}\n", false), fault.Conflict)
		if done := w.Dump(t).Since(state); len(done) > 0 {
			t.Errorf("what was refused left %q", done)
		}
		plan, err := planned(t, v, "version: 1\nroles: {new: {permissions: [a]}}\ngrants: {users: {ana: [new, low]}}\n", false)
		expect(t, "the plan of what he may do", err, 0)
		expect(t, "what he may do", v.Policy.Apply(t.Context(), by, plan), 0)
	})
}

// A plan is of what it read: nothing of it may have changed.
func TestApplyPolicyStale(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		v.User(t, "root")
		ana := v.User(t, "ana")
		expect(t, "the beginning", apply(t, v, before, true), 0)
		name := "Jobs"
		for what, change := range map[string]func() error{
			"a role": func() error { return apply(t, v, "version: 1\nroles: {low: {permissions: [a, x]}}\n", false) },
			"a grant": func() error {
				_, err := v.Roles.Give(t.Context(), storetest.Operator, ana.ID, "ops", time.Time{}, "")
				return err
			},
			"a member":   func() error { return v.Roles.RemoveMember(t.Context(), storetest.Operator, "desk", ana.ID) },
			"a group":    func() error { return apply(t, v, "version: 1\ngroups: {desk: {description: x}}\n", false) },
			"a resource": func() error { return v.Resources.Delete(t.Context(), storetest.Operator, "orders", 0) },
			"a client": func() error {
				c, err := v.Clients.Fresh(t.Context(), "job")
				if err != nil {
					return err
				}
				c.Name = name
				_, err = v.Clients.Update(t.Context(), storetest.Operator, c)
				return err
			},
		} {
			plan, err := planned(t, v, "version: 1\nroles: {new-"+strings.ReplaceAll(what, " ", "-")+": {}}\n", false)
			expect(t, "the plan", err, 0)
			expect(t, "changing "+what, change(), 0)
			expect(t, "applying after a change of "+what, v.Policy.Apply(t.Context(), storetest.Operator, plan), fault.Stale)
		}
		// What no plan reads may change meanwhile.
		plan, err := planned(t, v, "version: 1\nroles: {new: {}}\n", false)
		expect(t, "the plan", err, 0)
		by := storetest.Operator
		_, err = v.Accounts.Create(t.Context(), by, account.Draft{Username: "zoe"})
		expect(t, "another account", err, 0)
		expect(t, "a password", v.Accounts.Unlock(t.Context(), by, ana.ID), 0)
		expect(t, "a role that came and went", func() error {
			if err := apply(t, v, "version: 1\nroles: {gone: {}}\n", false); err != nil {
				return err
			}
			return v.Store.DeleteRole(t.Context(), by, "gone", 0, audit.Now(by, time.Now(), audit.RoleDeleted, "role:gone"))
		}(), 0)
		expect(t, "applying it", v.Policy.Apply(t.Context(), by, plan), 0)
	})
}
