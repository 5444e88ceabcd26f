package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
)

// Policy is the contract of rbac.Store.
func Policy(t *testing.T, s *store.Store, w *Witness) {
	t.Run("roles", func(t *testing.T) { roles(t, s) })
	t.Run("roles refused", func(t *testing.T) { rolesRefused(t, s) })
	t.Run("roles in the log", func(t *testing.T) { rolesInLog(t, s, w) })
	t.Run("grants", func(t *testing.T) { grants(t, s) })
	t.Run("grants refused", func(t *testing.T) { grantsRefused(t, s) })
	t.Run("told", func(t *testing.T) { policyTold(t, s) })
	t.Run("the rule", func(t *testing.T) { grantRule(t, s) })
	t.Run("last administrator", func(t *testing.T) { lastAdmin(t, s) })
	t.Run("builtin", func(t *testing.T) { builtin(t, s) })
}

func newRole(name string, permissions ...string) rbac.Role {
	return rbac.Role{Name: name, Description: "„" + name + "“", Permissions: permissions, CreatedAt: instant, UpdatedAt: instant, Version: 1}
}

func createRole(t testing.TB, s *store.Store, r rbac.Role) rbac.Role {
	t.Helper()
	if err := s.CreateRole(t.Context(), Operator, r, event(audit.RoleCreated, "role:"+r.Name)); err != nil {
		t.Fatal(err)
	}
	return r
}

func roleOf(t testing.TB, s *store.Store, name string) (rbac.Role, bool) {
	t.Helper()
	all, _, _, err := s.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r rbac.Role) bool { return r.Name == name })
	if i < 0 {
		return rbac.Role{}, false
	}
	return all[i], true
}

func versions(t testing.TB, s *store.Store) (roles, policy int64) {
	t.Helper()
	_, roles, policy, err := s.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return roles, policy
}

func roles(t *testing.T, s *store.Store) {
	r := newRole("written", "a:read", "a:write")
	r.Inherits = []string{"viewer", "editor"}
	createRole(t, s, r)
	if got, ok := roleOf(t, s, "written"); !ok || !reflect.DeepEqual(got, r) {
		t.Errorf("kept is %+v, want %+v", got, r)
	}
	rolesAt, policyAt := versions(t, s)
	r.Permissions, r.Inherits, r.Description, r.UpdatedAt = []string{"b"}, []string{}, "", instant.Add(time.Hour)
	got, err := s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:written"))
	r.Version = 2
	if kept, _ := roleOf(t, s, "written"); err != nil || !reflect.DeepEqual(got, r) || !reflect.DeepEqual(kept, r) {
		t.Errorf("ReplaceRole = %+v, %v, and kept is %+v; want %+v", got, err, kept, r)
	}
	if roles, policy := versions(t, s); roles <= rolesAt || policy != policyAt+1 || roles != policy {
		t.Errorf("the versions went from %d, %d to %d, %d", rolesAt, policyAt, roles, policy)
	}
	r.Version = 1
	_, err = s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:written"))
	Want(t, "an old version", err, fault.Stale)
	Want(t, "deleting an old version", s.DeleteRole(t.Context(), Operator, "written", 1, event(audit.RoleDeleted, "role:written")), fault.Stale)
	r.Version = 0
	_, err = s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:written"))
	Want(t, "any version", err, 0)
	Want(t, "deleting the version", s.DeleteRole(t.Context(), Operator, "written", 3, event(audit.RoleDeleted, "role:written")), 0)
	Want(t, "deleting it again", s.DeleteRole(t.Context(), Operator, "written", 3, event(audit.RoleDeleted, "role:written")), fault.NotFound)
	_, err = s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:written"))
	Want(t, "replacing what was deleted", err, fault.NotFound)

	base := createRole(t, s, newRole("contended", "a"))
	var done atomic.Int64
	parallel(10, func(i int) {
		next := base
		next.Permissions = []string{fmt.Sprint("p", i)}
		_, err := s.ReplaceRole(context.WithoutCancel(t.Context()), Operator, next, event(audit.RoleUpdated, "role:contended"))
		if err == nil {
			done.Add(1)
		} else if fault.KindOf(err) != fault.Stale {
			t.Errorf("replacing at once: %v", err)
		}
	})
	if done.Load() != 1 {
		t.Errorf("of ten changes of one version %d were made", done.Load())
	}
}

// rolesInLog holds that the log tells what a role gained and lost, all of it.
func rolesInLog(t *testing.T, s *store.Store, w *Witness) {
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf("logged:%04d", i)
	}
	r := newRole("logged", append([]string{"a", "b"}, many...)...)
	r.Inherits = []string{"viewer"}
	createRole(t, s, r)
	r.Version, r.Permissions, r.Inherits = 0, []string{"c", "b"}, []string{"editor"}
	_, err := s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:logged"))
	Want(t, "replacing", err, 0)
	Want(t, "deleting", s.DeleteRole(t.Context(), Operator, "logged", 0, event(audit.RoleDeleted, "role:logged")), 0)
	want := map[audit.Action]map[string][]string{
		audit.RoleCreated: {"permissions_added": append([]string{"a", "b"}, many...), "inherits_added": {"viewer"}},
		audit.RoleUpdated: {"permissions_added": {"c"}, "permissions_removed": append([]string{"a"}, many...), "inherits_added": {"editor"}, "inherits_removed": {"viewer"}},
		audit.RoleDeleted: {"permissions_removed": {"b", "c"}, "inherits_removed": {"editor"}},
	}
	for _, row := range w.Dump(t)["audit_events"] {
		if row["target"] != "role:logged" {
			continue
		}
		var e struct{ Lists map[string][]string }
		if err := json.Unmarshal(unhex(t, row["data"]), &e); err != nil {
			t.Error(err)
		}
		if action := audit.Action(row["action"]); !reflect.DeepEqual(e.Lists, want[action]) {
			t.Errorf("%s says %.200v", action, e.Lists)
		} else {
			delete(want, action)
		}
	}
	if len(want) > 0 {
		t.Errorf("these were not told: %.200v", want)
	}
}

func rolesRefused(t *testing.T, s *store.Store) {
	createRole(t, s, newRole("parent", "a"))
	child := newRole("child")
	child.Inherits = []string{"parent"}
	createRole(t, s, child)
	_, before := versions(t, s)
	loop := newRole("parent", "a")
	loop.Version, loop.Inherits = 0, []string{"child"}
	own := loop
	own.Inherits = []string{"parent"}
	orphan := newRole("orphan")
	orphan.Inherits = []string{"nobody"}
	builtin := newRole("viewer", "read")
	builtin.Version = 0
	replace := func(r rbac.Role) error {
		_, err := s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:"+r.Name))
		return err
	}
	create := func(r rbac.Role) error {
		return s.CreateRole(t.Context(), Operator, r, event(audit.RoleCreated, "role:"+r.Name))
	}
	remove := func(name string) error {
		return s.DeleteRole(t.Context(), Operator, name, 0, event(audit.RoleDeleted, "role:"+name))
	}
	Want(t, "a circle", replace(loop), fault.Invalid)
	Want(t, "itself", replace(own), fault.Invalid)
	Want(t, "a parent that is not there", create(orphan), fault.Invalid)
	Want(t, "a name that is taken", create(newRole("child")), fault.Conflict)
	Want(t, "a built-in role's name", create(newRole(rbac.AdminRole)), fault.Conflict)
	Want(t, "replacing a built-in role", replace(builtin), fault.Conflict)
	Want(t, "deleting a built-in role", remove(rbac.AdminRole), fault.Conflict)
	Want(t, "deleting what others inherit", remove("parent"), fault.Conflict)
	Want(t, "deleting what is not there", remove("no\x00body"), fault.NotFound)
	Want(t, "replacing what is not there", replace(newRole("nobody")), fault.NotFound)
	if _, after := versions(t, s); after != before {
		t.Errorf("what was refused took the policy from version %d to %d", before, after)
	}
}

// actor returns an account with roles, as it acts with all that they hold.
func actor(t testing.TB, s *store.Store, name string, roles ...string) principal.Principal {
	t.Helper()
	u := create(t, s, person(t, name))
	for _, role := range roles {
		Want(t, "giving "+role, give(t, s, Operator, u.ID, role, time.Time{}), 0)
	}
	return principal.Principal{Kind: principal.User, ID: u.ID, Scopes: strings.Fields("a b c admin read write users:read users:write roles:read roles:write roles:grant")}
}

func give(t testing.TB, s *store.Store, by principal.Principal, user, role string, until time.Time) error {
	t.Helper()
	g := rbac.Grant{ID: id.New(instant), Principal: user, Role: role, Until: until, By: by.String(), Reason: "because ✓", At: instant}
	return s.CreateGrant(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GrantCreated, "user:"+user))
}

func take(t testing.TB, s *store.Store, by principal.Principal, user, role string) error {
	t.Helper()
	return s.DeleteGrant(context.WithoutCancel(t.Context()), by, rbac.Grant{Principal: user, Role: role}, audit.Now(by, instant, audit.GrantRevoked, "user:"+user))
}

func held(t testing.TB, s *store.Store, user string) (roles []string) {
	t.Helper()
	list, err := s.GrantsOf(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		roles = append(roles, g.Role)
	}
	return roles
}

func grants(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "holder"))
	rolesAt, policyAt := versions(t, s)
	g := rbac.Grant{ID: id.New(instant), Principal: u.ID, Role: "viewer", Until: instant.Add(time.Hour), By: "cli:test", Reason: "ü", At: instant}
	Want(t, "giving", s.CreateGrant(t.Context(), Operator, g, event(audit.GrantCreated, u.Target())), 0)
	if got, err := s.GrantsOf(t.Context(), u.ID); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], g) {
		t.Errorf("GrantsOf = %+v, %v; want %+v", got, err, g)
	}
	Want(t, "giving it again", give(t, s, Operator, u.ID, "viewer", time.Time{}), fault.Conflict)
	Want(t, "giving another", give(t, s, Operator, u.ID, "editor", time.Time{}), 0)
	if roles, policy := versions(t, s); roles != rolesAt || policy != policyAt+2 {
		t.Errorf("two grants took the versions from %d, %d to %d, %d", rolesAt, policyAt, roles, policy)
	}
	other := g
	other.ID = id.New(instant)
	Want(t, "taking another grant of the role", s.DeleteGrant(t.Context(), Operator, other, event(audit.GrantRevoked, u.Target())), fault.Stale)
	Want(t, "taking", s.DeleteGrant(t.Context(), Operator, g, event(audit.GrantRevoked, u.Target())), 0)
	Want(t, "taking it again", take(t, s, Operator, u.ID, "viewer"), fault.NotFound)
	if got := held(t, s, u.ID); !slices.Equal(got, []string{"editor"}) {
		t.Errorf("held is %q", got)
	}
	// One that has ended makes way.
	Want(t, "giving until now", give(t, s, Operator, u.ID, "viewer", instant), 0)
	Want(t, "giving it anew", give(t, s, Operator, u.ID, "viewer", instant.Add(time.Second)), 0)
	Want(t, "and once more", give(t, s, Operator, u.ID, "viewer", instant.Add(time.Second)), fault.Conflict)
	if got, err := s.GrantsOf(t.Context(), "nobody"); err != nil || got != nil {
		t.Errorf("nobody holds %+v, %v", got, err)
	}
	// A role takes its grants with it, an account too.
	createRole(t, s, newRole("short-lived", "a"))
	Want(t, "giving a role", give(t, s, Operator, u.ID, "short-lived", time.Time{}), 0)
	Want(t, "deleting the role", s.DeleteRole(t.Context(), Operator, "short-lived", 0, event(audit.RoleDeleted, "role:short-lived")), 0)
	if got := held(t, s, u.ID); slices.Contains(got, "short-lived") {
		t.Errorf("held is %q", got)
	}
	Want(t, "deleting the account", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), 0)
	if got := held(t, s, u.ID); len(got) > 0 {
		t.Errorf("an account that is not there holds %q", got)
	}
	var made atomic.Int64
	v := create(t, s, person(t, "wanted-by-all"))
	parallel(10, func(int) {
		if err := give(t, s, Operator, v.ID, "viewer", time.Time{}); err == nil {
			made.Add(1)
		} else if fault.KindOf(err) != fault.Conflict {
			t.Errorf("giving at once: %v", err)
		}
	})
	if got := held(t, s, v.ID); made.Load() != 1 || len(got) != 1 {
		t.Errorf("%d grants were made, and held is %q", made.Load(), got)
	}
}

func grantsRefused(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "poor"))
	_, before := versions(t, s)
	for _, bad := range []string{"nobody", "", "\x00", "\xff", "' OR 1=1 --"} {
		Want(t, fmt.Sprintf("to the user %q", bad), give(t, s, Operator, bad, "viewer", time.Time{}), fault.NotFound)
		Want(t, fmt.Sprintf("of the role %q", bad), give(t, s, Operator, u.ID, bad, time.Time{}), fault.Invalid)
		Want(t, fmt.Sprintf("taking from the user %q", bad), take(t, s, Operator, bad, "viewer"), fault.NotFound)
		Want(t, fmt.Sprintf("taking the role %q", bad), take(t, s, Operator, u.ID, bad), fault.NotFound)
		if got, err := s.GrantsOf(t.Context(), bad); err != nil || len(got) > 0 {
			t.Errorf("GrantsOf(%q) = %+v, %v", bad, got, err)
		}
	}
	if _, after := versions(t, s); after != before {
		t.Errorf("what was refused took the policy from version %d to %d", before, after)
	}
}

// policyTold holds which changes tell of which verbs.
func policyTold(t *testing.T, s *store.Store) {
	a, b := create(t, s, person(t, "told-a")), create(t, s, person(t, "told-b"))
	child := newRole("told-child")
	child.Inherits = []string{"told"}
	grown, shrunk := newRole("told", "a", "b", "c"), newRole("told", "c")
	grown.Version, shrunk.Version = 0, 0
	replace := func(r rbac.Role) error {
		_, err := s.ReplaceRole(t.Context(), Operator, r, event(audit.RoleUpdated, "role:told"))
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"create", func() error {
			return s.CreateRole(t.Context(), Operator, newRole("told", "a", "b"), event(audit.RoleCreated, "role:told"))
		}, []string{"roles told"}},
		{"create a child", func() error {
			return s.CreateRole(t.Context(), Operator, child, event(audit.RoleCreated, "role:told-child"))
		}, []string{"roles told-child"}},
		{"give", func() error { return give(t, s, Operator, a.ID, "told", time.Time{}) }, []string{"grants " + a.ID}},
		{"give the child", func() error { return give(t, s, Operator, b.ID, "told-child", time.Time{}) }, []string{"grants " + b.ID}},
		{"grow", func() error { return replace(grown) }, []string{"roles told"}},
		{"shrink", func() error { return replace(shrunk) }, []string{"role-narrows told", "role-narrows told-child", "roles told"}},
		{"take", func() error { return take(t, s, Operator, b.ID, "told-child") }, []string{"grant-lost " + b.ID}},
		{"delete the child", func() error {
			return s.DeleteRole(t.Context(), Operator, "told-child", 0, event(audit.RoleDeleted, "role:told-child"))
		}, []string{"role-narrows told-child", "roles told-child"}},
		{"delete", func() error {
			return s.DeleteRole(t.Context(), Operator, "told", 0, event(audit.RoleDeleted, "role:told"))
		}, []string{"grants " + a.ID, "role-narrows told", "roles told"}},
	} {
		seq := head(t, s)
		Want(t, step.name, step.do(), 0)
		_, policy := versions(t, s)
		if got := topics(t, s, seq); !slices.Equal(got, step.want) {
			t.Errorf("%s told %q, want %q", step.name, got, step.want)
		}
		for _, c := range changesAfter(t, s, seq) {
			if c.Version != policy && (c.Version != 0 || step.name != "delete") {
				t.Errorf("%s told of %s under version %d, want %d", step.name, c.Topic, c.Version, policy)
			}
		}
	}
}

// The rules of package rbac are held in the transaction, against what the
// database says of the actor, whatever he says himself.
func grantRule(t *testing.T, s *store.Store) {
	createRole(t, s, newRole("rule-a", "a"))
	createRole(t, s, newRole("rule-ab", "a", "b"))
	helpdesk := actor(t, s, "helpdesk", "rule-a", "editor")
	boss := actor(t, s, "boss", rbac.AdminRole)
	nobody := principal.Principal{Kind: principal.User, ID: "nobody", Scopes: []string{"admin"}}
	off := actor(t, s, "off", rbac.AdminRole)
	if u, err := s.User(t.Context(), off.ID); err == nil {
		u.Status = account.Disabled
		_, err = s.UpdateUser(t.Context(), Operator, u, event(audit.UserDisabled, u.Target()))
		Want(t, "disabling", err, 0)
	}
	narrow := actor(t, s, "another-boss", rbac.AdminRole)
	narrow.Scopes = []string{"a"}
	u := create(t, s, person(t, "ruled"))
	for name, by := range map[string]principal.Principal{"nobody": nobody, "a disabled account": off, "anonymous": {}, "a narrow token": narrow} {
		Want(t, name+" gives", give(t, s, by, u.ID, "rule-ab", time.Time{}), fault.Denied)
		Want(t, name+" takes an administrator's role", take(t, s, by, boss.ID, rbac.AdminRole), fault.Denied)
		Want(t, name+" deletes an administrator", s.DeleteUser(t.Context(), by, account.Deletion{ID: boss.ID}, audit.Now(by, instant, audit.UserDeleted, "user")), fault.Denied)
		Want(t, name+" makes a role", s.CreateRole(t.Context(), by, newRole("rule-new", "b"), audit.Now(by, instant, audit.RoleCreated, "role")), fault.Denied)
	}
	Want(t, "giving what he holds", give(t, s, helpdesk, u.ID, "rule-a", time.Time{}), 0)
	Want(t, "giving more", give(t, s, helpdesk, u.ID, "rule-ab", time.Time{}), fault.Denied)
	Want(t, "giving himself more", give(t, s, helpdesk, helpdesk.ID, rbac.AdminRole, time.Time{}), fault.Denied)
	Want(t, "an administrator gives all", give(t, s, boss, u.ID, "rule-ab", time.Time{}), 0)
	Want(t, "touching one who holds more", take(t, s, helpdesk, u.ID, "rule-a"), fault.Denied)
}

// lastAdmin holds that whoever is the last administrator stays one, and that
// nothing counts as one that does not last (RBAC-006).
func lastAdmin(t *testing.T, s *store.Store) {
	last := soleAdmin(t, s, "last")
	_ = actor(t, s, "not-active", rbac.AdminRole)
	off, err := s.CredentialOf(t.Context(), account.Login{Username: "not-active"})
	Want(t, "reading", err, 0)
	off.User.Status = account.Disabled
	_, err = s.UpdateUser(t.Context(), Operator, off.User, event(audit.UserDisabled, off.User.Target()))
	Want(t, "disabling one of two", err, 0)
	Want(t, "one for an hour", give(t, s, Operator, create(t, s, person(t, "for-an-hour")).ID, rbac.AdminRole, instant.Add(time.Hour)), 0)
	u, err := s.User(t.Context(), last.ID)
	Want(t, "reading", err, 0)
	u.Status = account.Disabled
	before, policy := versions(t, s)
	for name, by := range map[string]principal.Principal{"the operator": Operator, "himself": last} {
		_, err := s.UpdateUser(t.Context(), by, u, audit.Now(by, instant, audit.UserDisabled, u.Target()))
		Want(t, "disabled by "+name, err, fault.Conflict)
		Want(t, "deleted by "+name, s.DeleteUser(t.Context(), by, account.Deletion{ID: u.ID}, audit.Now(by, instant, audit.UserDeleted, u.Target())), fault.Conflict)
		Want(t, "demoted by "+name, take(t, s, by, u.ID, rbac.AdminRole), fault.Conflict)
	}
	if roles, now := versions(t, s); roles != before || now != policy || !slices.Equal(held(t, s, u.ID), []string{rbac.AdminRole}) {
		t.Errorf("what was refused left a trace: versions %d, %d; %q", roles, now, held(t, s, u.ID))
	}

	// It may be held through another role; then that role cannot let go of it.
	deputy := newRole("deputy")
	deputy.Inherits = []string{rbac.AdminRole}
	createRole(t, s, deputy)
	Want(t, "giving it", give(t, s, Operator, u.ID, "deputy", time.Time{}), 0)
	Want(t, "taking the other", take(t, s, Operator, u.ID, rbac.AdminRole), 0)
	plain := newRole("deputy")
	_, err = s.ReplaceRole(t.Context(), Operator, plain, event(audit.RoleUpdated, "role:deputy"))
	Want(t, "letting go of the administrator's role", err, fault.Conflict)
	Want(t, "deleting the role", s.DeleteRole(t.Context(), Operator, "deputy", 0, event(audit.RoleDeleted, "role:deputy")), fault.Conflict)
	Want(t, "giving the role again", give(t, s, Operator, u.ID, rbac.AdminRole, time.Time{}), 0)
	Want(t, "deleting the role then", s.DeleteRole(t.Context(), Operator, "deputy", 0, event(audit.RoleDeleted, "role:deputy")), 0)
}

// soleAdmin returns a new administrator after whom there is no other.
func soleAdmin(t testing.TB, s *store.Store, name string) principal.Principal {
	t.Helper()
	sole := actor(t, s, name, rbac.AdminRole)
	all, err := s.Users(t.Context(), account.Filter{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		if u.ID != sole.ID && slices.Contains(held(t, s, u.ID), rbac.AdminRole) {
			Want(t, "taking it from "+u.Username, take(t, s, Operator, u.ID, rbac.AdminRole), 0)
		}
	}
	return sole
}

func builtin(t *testing.T, s *store.Store) {
	_, before := versions(t, s)
	parallel(5, func(int) { Want(t, "making sure again", s.EnsureBuiltin(context.WithoutCancel(t.Context())), 0) })
	if _, after := versions(t, s); after != before {
		t.Errorf("built-in roles that are as they should be took the policy from version %d to %d", before, after)
	}
	for _, r := range rbac.Builtin() {
		if kept, ok := roleOf(t, s, r.Name); !ok || !kept.Same(r) {
			t.Errorf("%s is kept as %+v", r.Name, kept)
		}
	}
}
