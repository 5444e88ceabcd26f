package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
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

// Groups is the contract of rbac.GroupStore and rbac.MemberStore, and of what the
// verbs of grants do with groups.
func Groups(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { groupsAsWritten(t, s) })
	t.Run("members", func(t *testing.T) { members(t, s) })
	t.Run("held", func(t *testing.T) { heldByGroup(t, s) })
	t.Run("refused", func(t *testing.T) { groupsRefused(t, s, w) })
	t.Run("told", func(t *testing.T) { groupsTold(t, s) })
	t.Run("the rule", func(t *testing.T) { groupRule(t, s, w) })
	t.Run("no longer than oneself", func(t *testing.T) { groupEnds(t, s) })
	t.Run("last administrator", func(t *testing.T) { lastAdminInGroup(t, s) })
	t.Run("whatever is tried", func(t *testing.T) { groupWalk(t, s) })
}

func createGroup(t testing.TB, s *store.Store, by principal.Principal, name string) error {
	g := rbac.Group{Name: name, Description: "„" + name + "“", CreatedAt: instant, UpdatedAt: instant, Version: 1}
	return s.CreateGroup(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GroupCreated, rbac.OfGroup(name)))
}

func updateGroup(t testing.TB, s *store.Store, by principal.Principal, name string, version int64) error {
	g := rbac.Group{Name: name, Description: "another", UpdatedAt: instant.Add(time.Hour), Version: version}
	_, err := s.UpdateGroup(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GroupUpdated, rbac.OfGroup(name)))
	return err
}

func deleteGroup(t testing.TB, s *store.Store, by principal.Principal, name string, version int64) error {
	return s.DeleteGroup(context.WithoutCancel(t.Context()), by, name, version, audit.Now(by, instant, audit.GroupDeleted, rbac.OfGroup(name)))
}

// newMember is a place without end in a group, of an account or, by its kind, a client.
func newMember(group, who string, kind principal.Kind) rbac.Member {
	return rbac.Member{Group: group, Kind: kind, Principal: who, By: "cli:test", Reason: "because ✓", At: instant}
}

func join(t testing.TB, s *store.Store, by principal.Principal, m rbac.Member) error {
	return s.AddMember(context.WithoutCancel(t.Context()), by, m, audit.Now(by, instant, audit.MemberAdded, "user:"+m.Principal))
}

func expel(t testing.TB, s *store.Store, by principal.Principal, m rbac.Member) error {
	return s.RemoveMember(context.WithoutCancel(t.Context()), by, m, audit.Now(by, instant, audit.MemberRemoved, "user:"+m.Principal))
}

func giveGroup(t testing.TB, s *store.Store, by principal.Principal, name, role string, until time.Time) error {
	g := rbac.Grant{ID: id.New(instant), Principal: rbac.OfGroup(name), Group: name, Role: role, Until: until, By: by.String(), At: instant}
	return s.CreateGrant(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GrantCreated, g.Principal))
}

func takeGroup(t testing.TB, s *store.Store, by principal.Principal, name, role string) error {
	g := rbac.Grant{Principal: rbac.OfGroup(name), Group: name, Role: role}
	return s.DeleteGrant(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GrantRevoked, g.Principal))
}

// grouped makes a group with roles and members.
func grouped(t testing.TB, s *store.Store, name string, roles []string, users ...string) {
	t.Helper()
	Want(t, "making "+name, createGroup(t, s, Operator, name), 0)
	for _, role := range roles {
		Want(t, "giving it "+role, giveGroup(t, s, Operator, name, role, time.Time{}), 0)
	}
	for _, u := range users {
		Want(t, "bringing in "+u, join(t, s, Operator, newMember(name, u, principal.User)), 0)
	}
}

func groupsAsWritten(t *testing.T, s *store.Store) {
	_, before := versions(t, s)
	for _, name := range []string{"b.written", "a-written", "c_written"} {
		Want(t, "making "+name, createGroup(t, s, Operator, name), 0)
	}
	if _, after := versions(t, s); after != before {
		t.Errorf("groups that hold nothing took the policy from version %d to %d", before, after)
	}
	want := rbac.Group{Name: "a-written", Description: "„a-written“", CreatedAt: instant, UpdatedAt: instant, Version: 1}
	if got, err := s.Group(t.Context(), "a-written"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Group = %+v, %v; want %+v", got, err, want)
	}
	first, err := s.Groups(t.Context(), "", 2)
	rest, err2 := s.Groups(t.Context(), "b.written", 2)
	if err != nil || err2 != nil || len(first) != 2 || first[1].Name != "b.written" || len(rest) != 1 || rest[0].Name != "c_written" {
		t.Errorf("the pages are %+v, %+v, %v, %v", first, rest, err, err2)
	}
	Want(t, "making it again", createGroup(t, s, Operator, "a-written"), fault.Conflict)
	Want(t, "changing another version", updateGroup(t, s, Operator, "a-written", 2), fault.Stale)
	Want(t, "changing it", updateGroup(t, s, Operator, "a-written", 1), 0)
	Want(t, "changing whichever it is", updateGroup(t, s, Operator, "a-written", 0), 0)
	want.Description, want.UpdatedAt, want.Version = "another", instant.Add(time.Hour), 3
	if got, err := s.Group(t.Context(), "a-written"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Group = %+v, %v; want %+v", got, err, want)
	}
	Want(t, "deleting another version", deleteGroup(t, s, Operator, "a-written", 2), fault.Stale)
	Want(t, "deleting it", deleteGroup(t, s, Operator, "a-written", 3), 0)
	Want(t, "deleting it again", deleteGroup(t, s, Operator, "a-written", 0), fault.NotFound)
	_, err = s.Group(t.Context(), "a-written")
	Want(t, "reading it", err, fault.NotFound)
}

func members(t *testing.T, s *store.Store) {
	u, c := create(t, s, person(t, "placed")), registerClient(t, s, application("placed"))
	grouped(t, s, "places", nil)
	m := newMember("places", u.ID, principal.User)
	m.Until = instant.Add(time.Hour)
	Want(t, "bringing him in", join(t, s, Operator, m), 0)
	if got, err := s.Member(t.Context(), "places", u.ID); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("Member = %+v, %v; want %+v", got, err, m)
	}
	Want(t, "bringing him in again", join(t, s, Operator, m), fault.Conflict)
	Want(t, "bringing in a client", join(t, s, Operator, newMember("places", c.ID, principal.Service)), 0)
	Want(t, "a client as a person", join(t, s, Operator, newMember("places", c.ID, principal.User)), fault.NotFound)
	all, err := s.Members(t.Context(), "places", "", 9)
	rest, err2 := s.Members(t.Context(), "places", all[0].Principal, 9)
	if err != nil || err2 != nil || len(all) != 2 || len(rest) != 1 || rest[0].Principal <= all[0].Principal {
		t.Errorf("the members are %+v and after the first %+v, %v, %v", all, rest, err, err2)
	}
	Want(t, "taking him out", expel(t, s, Operator, m), 0)
	Want(t, "taking him out again", expel(t, s, Operator, m), fault.NotFound)
	m.Until = instant // one that has ended makes way
	Want(t, "bringing him in until now", join(t, s, Operator, m), 0)
	m.Until = time.Time{}
	Want(t, "bringing him in anew", join(t, s, Operator, m), 0)
	// Whoever is deleted leaves.
	Want(t, "deleting the account", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), 0)
	Want(t, "deleting the client", deleteClient(t, s, Operator, c.ID, 0), 0)
	if left, err := s.Members(t.Context(), "places", "", 9); err != nil || len(left) > 0 {
		t.Errorf("left are %+v, %v", left, err)
	}
}

// heldByGroup holds what a principal has by its groups: as long as both it and they
// have it.
func heldByGroup(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "grouped"))
	grouped(t, s, "first", nil)
	grouped(t, s, "second", []string{"viewer"}, u.ID)
	hour, day := instant.Add(time.Hour), instant.Add(24*time.Hour)
	Want(t, "giving until tomorrow", giveGroup(t, s, Operator, "first", "editor", day), 0)
	Want(t, "giving for an hour", giveGroup(t, s, Operator, "second", "editor", hour), 0)
	Want(t, "giving himself", give(t, s, Operator, u.ID, "editor", time.Time{}), 0)
	m := newMember("first", u.ID, principal.User)
	m.Until = hour.Add(time.Hour)
	Want(t, "bringing him in for two hours", join(t, s, Operator, m), 0)
	got, err := s.GrantsOf(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, g := range got {
		end := "for ever"
		if !g.Until.IsZero() {
			end = g.Until.Sub(instant).String()
		}
		lines = append(lines, fmt.Sprintf("%s by %q of %s %s", g.Role, g.Group, strings.Replace(g.Principal, u.ID, "him", 1), end))
	}
	slices.Sort(lines)
	if want := []string{`editor by "" of him for ever`, `editor by "first" of group:first 2h0m0s`, `editor by "second" of group:second 1h0m0s`, `viewer by "second" of group:second for ever`}; !slices.Equal(lines, want) {
		t.Errorf("held is %q, want %q", lines, want)
	}
	if got := held(t, s, rbac.OfGroup("second")); len(got) != 2 {
		t.Errorf("the group itself holds %q", got)
	}
	Want(t, "giving the group what it has", giveGroup(t, s, Operator, "second", "viewer", time.Time{}), fault.Conflict)
	Want(t, "taking from him what the group has", take(t, s, Operator, u.ID, "viewer"), fault.NotFound)
	Want(t, "taking it from the group", takeGroup(t, s, Operator, "second", "viewer"), 0)
	Want(t, "deleting the other", deleteGroup(t, s, Operator, "first", 0), 0)
	if got := held(t, s, u.ID); !slices.Equal(got, []string{"editor", "editor"}) {
		t.Errorf("held is %q", got)
	}
	// Another group of the name has nothing of the one before.
	grouped(t, s, "first", nil)
	if got := held(t, s, rbac.OfGroup("first")); len(got) > 0 {
		t.Errorf("a new group holds %q", got)
	}
}

func groupsRefused(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "outside"))
	grouped(t, s, "strict", nil)
	before := w.Dump(t)
	for _, bad := range []string{"nobody", "", "\x00", "\xff", "' OR 1=1 --", rbac.OfGroup("strict"), u.ID} {
		Want(t, "into "+bad, join(t, s, Operator, newMember(bad, u.ID, principal.User)), fault.NotFound)
		if bad != u.ID {
			Want(t, "bringing in "+bad, join(t, s, Operator, newMember("strict", bad, principal.User)), fault.NotFound)
		}
		Want(t, "a client "+bad, join(t, s, Operator, newMember("strict", bad, principal.Service)), fault.NotFound)
		Want(t, "giving "+bad, giveGroup(t, s, Operator, bad, "viewer", time.Time{}), fault.NotFound)
		Want(t, "giving the role "+bad, giveGroup(t, s, Operator, "strict", bad, time.Time{}), fault.Invalid)
		Want(t, "taking from "+bad, takeGroup(t, s, Operator, bad, "viewer"), fault.NotFound)
		Want(t, "taking the role "+bad, takeGroup(t, s, Operator, "strict", bad), fault.NotFound)
		Want(t, "changing "+bad, updateGroup(t, s, Operator, bad, 0), fault.NotFound)
		Want(t, "deleting "+bad, deleteGroup(t, s, Operator, bad, 0), fault.NotFound)
		Want(t, "as an account "+bad, give(t, s, Operator, rbac.OfGroup(bad), "viewer", time.Time{}), fault.NotFound)
		_, err := s.Member(t.Context(), bad, bad)
		Want(t, "reading "+bad, err, fault.NotFound)
		if list, err := s.Members(t.Context(), bad, "", 9); err != nil || len(list) > 0 {
			t.Errorf("%q are the members of %q, %v", list, bad, err)
		}
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
}

// groupsTold holds which changes tell of which verbs: however many are in a group,
// what it gains and loses is told in a few.
func groupsTold(t *testing.T, s *store.Store) {
	createRole(t, s, newRole("told-by-group", "a"))
	var users []string
	for i := range 5 {
		users = append(users, create(t, s, person(t, fmt.Sprint("member-told", i))).ID)
	}
	m := newMember("told-group", users[0], principal.User)
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"create", func() error { return createGroup(t, s, Operator, "told-group") }, nil},
		{"give while nobody is in it", func() error { return giveGroup(t, s, Operator, "told-group", "told-by-group", time.Time{}) }, []string{"groups told-group"}},
		{"take while nobody is in it", func() error { return takeGroup(t, s, Operator, "told-group", "told-by-group") }, []string{"groups told-group"}},
		{"bring in", func() error { return join(t, s, Operator, m) }, []string{"grants " + users[0]}},
		{"take out", func() error { return expel(t, s, Operator, m) }, []string{"grant-lost " + users[0]}},
		{"fill", func() error {
			for _, u := range users {
				if err := join(t, s, Operator, newMember("told-group", u, principal.User)); err != nil {
					return err
				}
			}
			return nil
		}, []string{"grants " + users[0], "grants " + users[1], "grants " + users[2], "grants " + users[3], "grants " + users[4]}},
		{"give", func() error { return giveGroup(t, s, Operator, "told-group", "told-by-group", time.Time{}) }, []string{"groups told-group"}},
		{"describe", func() error { return updateGroup(t, s, Operator, "told-group", 0) }, nil},
		{"take", func() error { return takeGroup(t, s, Operator, "told-group", "told-by-group") }, []string{"groups told-group", "role-narrows told-by-group"}},
		{"give again", func() error { return giveGroup(t, s, Operator, "told-group", "told-by-group", time.Time{}) }, []string{"groups told-group"}},
		{"give another", func() error { return giveGroup(t, s, Operator, "told-group", "viewer", time.Time{}) }, []string{"groups told-group"}},
		{"delete the role", func() error {
			return s.DeleteRole(t.Context(), Operator, "told-by-group", 0, event(audit.RoleDeleted, "role:told-by-group"))
		}, []string{"groups told-group", "role-narrows told-by-group", "roles told-by-group"}},
		{"delete", func() error { return deleteGroup(t, s, Operator, "told-group", 0) }, []string{"groups told-group", "role-narrows viewer"}},
	} {
		seq := head(t, s)
		Want(t, step.name, step.do(), 0)
		slices.Sort(step.want)
		if got := topics(t, s, seq); !slices.Equal(got, step.want) {
			t.Errorf("%s told %q, want %q", step.name, got, step.want)
		}
		_, policy := versions(t, s)
		for _, c := range changesAfter(t, s, seq) {
			if c.Version != policy && step.name != "fill" && (c.Version != 0 || step.name != "delete the role") {
				t.Errorf("%s told of %s under version %d, want %d", step.name, c.Topic, c.Version, policy)
			}
		}
	}
}

// lastAdminInGroup holds that an administrator by a group is one, and that the last
// one stays, whatever is taken away.
func lastAdminInGroup(t *testing.T, s *store.Store) {
	last := soleAdmin(t, s, "last-of-group")
	u := create(t, s, person(t, "by-group"))
	grouped(t, s, "admins", []string{rbac.AdminRole}, u.ID)
	Want(t, "taking it from the one beside", take(t, s, Operator, last.ID, rbac.AdminRole), 0)
	by := principal.Principal{Kind: principal.User, ID: u.ID, Scopes: []string{"admin"}}
	m := newMember("admins", u.ID, principal.User)
	hold := func(what string) {
		t.Helper()
		_, before := versions(t, s)
		for _, by := range []principal.Principal{Operator, by} {
			Want(t, what+": leaving the group", expel(t, s, by, m), fault.Conflict)
			Want(t, what+": taking its role", takeGroup(t, s, by, "admins", rbac.AdminRole), fault.Conflict)
			Want(t, what+": deleting it", deleteGroup(t, s, by, "admins", 0), fault.Conflict)
			Want(t, what+": deleting the account", s.DeleteUser(t.Context(), by, account.Deletion{ID: u.ID}, audit.Now(by, instant, audit.UserDeleted, u.Target())), fault.Conflict)
			off, err := s.User(t.Context(), u.ID)
			Want(t, "reading", err, 0)
			off.Status = account.Disabled
			_, err = s.UpdateUser(t.Context(), by, off, audit.Now(by, instant, audit.UserDisabled, u.Target()))
			Want(t, what+": disabling it", err, fault.Conflict)
		}
		if _, after := versions(t, s); after != before || !slices.Equal(held(t, s, u.ID), []string{rbac.AdminRole}) {
			t.Errorf("%s: what was refused took the policy from version %d to %d; %q", what, before, after, held(t, s, u.ID))
		}
	}
	hold("alone")
	c := registerClient(t, s, application("no-person"))
	Want(t, "a client beside", join(t, s, Operator, newMember("admins", c.ID, principal.Service)), 0)
	hold("beside a client")
	brief := newMember("admins", last.ID, principal.User)
	brief.Until = instant.Add(time.Hour)
	Want(t, "one beside for an hour", join(t, s, Operator, brief), 0)
	hold("beside one for an hour")
	grouped(t, s, "for-an-hour-too", nil, last.ID)
	Want(t, "a group beside for an hour", giveGroup(t, s, Operator, "for-an-hour-too", rbac.AdminRole, instant.Add(time.Hour)), 0)
	hold("beside a group for an hour")
	Want(t, "giving it back", give(t, s, Operator, last.ID, rbac.AdminRole, time.Time{}), 0)
	Want(t, "deleting it then", deleteGroup(t, s, Operator, "admins", 0), 0)
}
