package storetest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
)

// Organizations is the contract of org.Store, and of what rbac.Store and issue.Store do
// within organizations.
func Organizations(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { organizationsAsWritten(t, s) })
	t.Run("members", func(t *testing.T) { organizationMembers(t, s, w) })
	t.Run("refused", func(t *testing.T) { organizationsRefused(t, s, w) })
	t.Run("told", func(t *testing.T) { organizationsTold(t, s, w) })
	t.Run("signed in", func(t *testing.T) { organizationFamilies(t, s) })
	t.Run("the rule", func(t *testing.T) { organizationRule(t, s, w) })
	t.Run("the rule, whatever is held", func(t *testing.T) { organizationRuleHolds(t, s) })
}

func organization(name string) org.Organization {
	return org.Organization{ID: id.New(instant), Name: name, DisplayName: "Ann’s “" + name + "”", CreatedAt: instant, UpdatedAt: instant, Version: 1}
}

func createOrganization(t testing.TB, s *store.Store, name string) org.Organization {
	t.Helper()
	o := organization(name)
	Want(t, "making "+name, s.CreateOrganization(context.WithoutCancel(t.Context()), Operator, o, event(audit.OrganizationCreated, o.Target())), 0)
	return o
}

func deleteOrganization(t testing.TB, s *store.Store, by principal.Principal, o org.Organization, version int64) error {
	return s.DeleteOrganization(context.WithoutCancel(t.Context()), by, o.ID, version, audit.Now(by, instant, audit.OrganizationDeleted, o.Target()))
}

func memberOf(o org.Organization, kind principal.Kind, id string) org.Member {
	return org.Member{Organization: o.ID, Kind: kind, Principal: id, By: Operator.String(), At: instant}
}

func addMember(t testing.TB, s *store.Store, by principal.Principal, o org.Organization, kind principal.Kind, id string) error {
	m := memberOf(o, kind, id)
	return s.AddOrganizationMember(context.WithoutCancel(t.Context()), by, m, audit.Now(by, instant, audit.OrganizationMemberAdded, m.Target()))
}

func removeMember(t testing.TB, s *store.Store, by principal.Principal, o org.Organization, user string) error {
	m := memberOf(o, principal.User, user)
	return s.RemoveOrganizationMember(context.WithoutCancel(t.Context()), by, m, audit.Now(by, instant, audit.OrganizationMemberRemoved, m.Target()))
}

// giveIn gives a role within an organization.
func giveIn(t testing.TB, s *store.Store, by principal.Principal, o org.Organization, user, role string) error {
	g := rbac.Grant{ID: id.New(instant), Principal: user, Role: role, Organization: o.ID, By: by.String(), At: instant}
	return s.CreateGrant(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GrantCreated, "user:"+user))
}

func takeIn(t testing.TB, s *store.Store, by principal.Principal, o org.Organization, user, role string) error {
	return s.DeleteGrant(context.WithoutCancel(t.Context()), by, rbac.Grant{Principal: user, Role: role, Organization: o.ID}, audit.Now(by, instant, audit.GrantRevoked, "user:"+user))
}

func organizationsAsWritten(t *testing.T, s *store.Store) {
	o := createOrganization(t, s, "written")
	if got, err := s.Organization(t.Context(), o.Name); err != nil || got != o {
		t.Errorf("kept is %+v, %v; want %+v", got, err, o)
	}
	o.DisplayName, o.UpdatedAt = "x", instant.Add(time.Hour)
	got, err := s.UpdateOrganization(t.Context(), Operator, o, event(audit.OrganizationUpdated, o.Target()))
	o.Version = 2
	if kept, _ := s.OrganizationByID(t.Context(), o.ID); err != nil || got != o || kept != o {
		t.Errorf("UpdateOrganization = %+v, %v, and kept is %+v; want %+v", got, err, kept, o)
	}
	for _, name := range []string{"page-c", "page-a", "page-b"} {
		createOrganization(t, s, name)
	}
	var names []string
	for after := "page-"; len(names) < 3; after = names[len(names)-1] {
		page, err := s.Organizations(t.Context(), after, 2)
		if err != nil || len(page) == 0 || len(page) > 2 {
			t.Fatalf("%d on a page of 2: %v", len(page), err)
		}
		for _, o := range page {
			names = append(names, o.Name)
		}
	}
	if want := []string{"page-a", "page-b", "page-c"}; !slices.Equal(names[:3], want) {
		t.Errorf("the pages hold %q, want %q", names, want)
	}
}

// organizationMembers holds who belongs where, and that what was held within an organization goes
// with the membership, the account and the organization, and nothing else does.
func organizationMembers(t *testing.T, s *store.Store, w *Witness) {
	acme, other := createOrganization(t, s, "members-acme"), createOrganization(t, s, "members-other")
	ann, bob := create(t, s, person(t, "members-ann")), create(t, s, person(t, "members-bob"))
	job := registerClient(t, s, application("members-job"))
	for _, o := range []org.Organization{acme, other} {
		for id, kind := range map[string]principal.Kind{ann.ID: principal.User, bob.ID: principal.User, job.ID: principal.Service} {
			Want(t, "adding "+id, addMember(t, s, Operator, o, kind, id), 0)
		}
	}
	page, err := s.OrganizationMembers(t.Context(), acme.ID, "", 2)
	rest, again := s.OrganizationMembers(t.Context(), acme.ID, page[1].Principal, 2)
	want := []org.Member{memberOf(acme, principal.User, ann.ID), memberOf(acme, principal.User, bob.ID), memberOf(acme, principal.Service, job.ID)}
	slices.SortFunc(want, func(a, b org.Member) int { return strings.Compare(a.Principal, b.Principal) })
	if got := slices.Concat(page, rest); err != nil || again != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the members are %+v, %v, %v; want %+v", got, err, again, want)
	}
	if m, err := s.OrganizationMember(t.Context(), acme.ID, job.ID); err != nil || m != want[2] {
		t.Errorf("Member = %+v, %v", m, err)
	}
	if list, err := s.OrganizationsOf(t.Context(), ann.ID); err != nil || !reflect.DeepEqual(list, []org.Organization{acme, other}) {
		t.Errorf("she belongs to %+v, %v", list, err)
	}
	if o, err := s.Membership(t.Context(), acme.Name, ann.ID); err != nil || o != acme {
		t.Errorf("Membership = %+v, %v", o, err)
	}
	for _, u := range []account.User{ann, bob} {
		Want(t, "on the server", give(t, s, Operator, u.ID, "viewer", time.Time{}), 0)
		Want(t, "in acme", giveIn(t, s, Operator, acme, u.ID, "viewer"), 0)
		Want(t, "in the other", giveIn(t, s, Operator, other, u.ID, "viewer"), 0)
	}
	Want(t, "twice in one", giveIn(t, s, Operator, acme, ann.ID, "viewer"), fault.Conflict)
	Want(t, "taking in acme", takeIn(t, s, Operator, acme, bob.ID, "viewer"), 0)
	Want(t, "taking it again", takeIn(t, s, Operator, acme, bob.ID, "viewer"), fault.NotFound)
	Want(t, "leaving acme", removeMember(t, s, Operator, acme, ann.ID), 0)
	_, err = s.Membership(t.Context(), acme.Name, ann.ID)
	Want(t, "who left", err, fault.NotFound)
	Want(t, "a role for who left", giveIn(t, s, Operator, acme, ann.ID, "viewer"), fault.Conflict)
	Want(t, "deleting an account", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: bob.ID}, event(audit.UserDeleted, bob.Target())), 0)
	Want(t, "deleting a client", deleteClient(t, s, Operator, job.ID, 0), 0)
	if left, err := s.OrganizationMembers(t.Context(), acme.ID, "", 9); err != nil || len(left) != 0 {
		t.Errorf("acme still has %+v, %v", left, err)
	}
	if n := w.Number(t, `SELECT COUNT(*) FROM grants WHERE principal = '`+ann.ID+`'`); n != 2 { // on the server, and in the other
		t.Errorf("she has %d roles left", n)
	}
	Want(t, "deleting the other", deleteOrganization(t, s, Operator, other, 0), 0)
	if n := w.Number(t, `SELECT COUNT(*) FROM grants WHERE organization = '`+other.ID+`'`) + w.Number(t, `SELECT COUNT(*) FROM organization_members WHERE organization = '`+other.ID+`'`); n != 0 {
		t.Errorf("%d rows of it are left", n)
	}
}

func organizationsRefused(t *testing.T, s *store.Store, w *Witness) {
	o, u := createOrganization(t, s, "refused-acme"), create(t, s, person(t, "refused-member"))
	Want(t, "adding", addMember(t, s, Operator, o, principal.User, u.ID), 0)
	before := w.Dump(t)
	twin := organization(o.Name)
	err := s.CreateOrganization(t.Context(), Operator, twin, event(audit.OrganizationCreated, twin.Target()))
	if f, ok := asFault(err); !ok || f.Kind != fault.Conflict || f.Field != "name" {
		t.Errorf("the same name: %v", err)
	}
	stale := o
	stale.Version = 7
	_, err = s.UpdateOrganization(t.Context(), Operator, stale, event(audit.OrganizationUpdated, o.Target()))
	Want(t, "a stale change", err, fault.Stale)
	Want(t, "a stale deletion", deleteOrganization(t, s, Operator, o, 7), fault.Stale)
	Want(t, "a member twice", addMember(t, s, Operator, o, principal.User, u.ID), fault.Conflict)
	Want(t, "a user as a client", addMember(t, s, Operator, o, principal.Service, u.ID), fault.NotFound)
	for _, bad := range []string{"nosuch", "", "a\x00b", "\xff"} {
		none := org.Organization{ID: bad, Name: bad, Version: 1}
		for what, err := range map[string]error{
			"reading":      second(s.Organization(t.Context(), bad)),
			"by its id":    second(s.OrganizationByID(t.Context(), bad)),
			"its member":   second(s.Membership(t.Context(), bad, u.ID)),
			"nobody's":     second(s.Membership(t.Context(), o.Name, bad)),
			"no member":    second(s.OrganizationMember(t.Context(), o.ID, bad)),
			"changing":     second(s.UpdateOrganization(t.Context(), Operator, none, event(audit.OrganizationUpdated, "x"))),
			"deleting":     deleteOrganization(t, s, Operator, none, 0),
			"adding to":    addMember(t, s, Operator, none, principal.User, u.ID),
			"adding":       addMember(t, s, Operator, o, principal.User, bad),
			"removing":     removeMember(t, s, Operator, o, bad),
			"removing off": removeMember(t, s, Operator, none, u.ID),
		} {
			Want(t, fmt.Sprintf("%s %q", what, bad), err, fault.NotFound)
		}
		if bad != "" {
			if err := giveIn(t, s, Operator, none, u.ID, "viewer"); fault.KindOf(err) != fault.Conflict {
				t.Errorf("a role within %q: %v", bad, err)
			}
			Want(t, "taking within", takeIn(t, s, Operator, none, u.ID, "viewer"), fault.NotFound)
		}
	}
	if differs := w.Dump(t).Since(before); len(differs) > 0 {
		t.Errorf("what was refused left %q", differs)
	}
}

func second[T any](_ T, err error) error { return err }

// organizationsTold holds which changes tell of which verbs, each with one event.
func organizationsTold(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "told-member"))
	o := organization("told-acme")
	lost := "grant-lost " + u.ID
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"making it", func() error {
			return s.CreateOrganization(t.Context(), Operator, o, event(audit.OrganizationCreated, o.Target()))
		}, []string{"organization " + o.ID}},
		{"adding", func() error { return addMember(t, s, Operator, o, principal.User, u.ID) }, []string{"grants " + u.ID}},
		{"giving", func() error { return giveIn(t, s, Operator, o, u.ID, "viewer") }, []string{"grants " + u.ID}},
		{"taking", func() error { return takeIn(t, s, Operator, o, u.ID, "viewer") }, []string{lost}},
		{"removing", func() error { return removeMember(t, s, Operator, o, u.ID) }, []string{lost}},
		{"changing it", func() error {
			return second(s.UpdateOrganization(t.Context(), Operator, o, event(audit.OrganizationUpdated, o.Target())))
		}, []string{"organization " + o.ID}},
		{"deleting it", func() error { return deleteOrganization(t, s, Operator, o, 2) }, []string{"organization-ended " + o.ID}},
	} {
		seq, events := head(t, s), w.events(t)
		Want(t, step.name, step.do(), 0)
		if got := topics(t, s, seq); !slices.Equal(got, step.want) {
			t.Errorf("%s told %q, want %q", step.name, got, step.want)
		}
		if n := w.events(t) - events; n != 1 {
			t.Errorf("%s wrote %d events", step.name, n)
		}
	}
}

// organizationFamilies holds that one signs in for an organization as its member alone,
// and that what was signed in ends with the membership and with the organization.
func organizationFamilies(t *testing.T, s *store.Store) {
	u, o := create(t, s, person(t, "signs-in")), createOrganization(t, s, "signed-in")
	enter := func() (grant.RefreshToken, error) {
		f, token := grant.New(instant, u.ID, "client", life)
		f.Organization = o.ID
		return token, s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, event(audit.LoginSucceeded, u.Target()))
	}
	job := registerClient(t, s, application("signed-in-job", "a"))
	issueTo := func() error {
		return s.IssueToClient(t.Context(), job, issue.Issuance{Grant: oauth.ClientCredentials, Organization: o.ID, Scopes: []string{"a"}}, event(audit.TokenIssued, "family:x"))
	}
	token, err := enter()
	Want(t, "by who is no member", err, fault.NotFound)
	_, err = s.FamilyByHandle(t.Context(), token.Handle())
	Want(t, "its family", err, fault.NotFound)
	Want(t, "to a client that is none", issueTo(), fault.NotFound)
	for why, end := range map[string]func() error{
		"membership-ended":     func() error { return removeMember(t, s, Operator, o, u.ID) },
		"organization-deleted": func() error { return deleteOrganization(t, s, Operator, o, 0) },
	} {
		o = createOrganization(t, s, "signed-in-"+why)
		Want(t, "adding", addMember(t, s, Operator, o, principal.User, u.ID), 0)
		Want(t, "adding the client", addMember(t, s, Operator, o, principal.Service, job.ID), 0)
		token, err = enter()
		Want(t, "by a member", err, 0)
		Want(t, "to a member", issueTo(), 0)
		if f := familyOf(t, s, token); f.Organization != o.ID || !f.EndedAt.IsZero() {
			t.Errorf("the family is %+v", f)
		}
		Want(t, why, end(), 0)
		if f := familyOf(t, s, token); f.EndedWhy != why {
			t.Errorf("after %s it ended by %q", why, f.EndedWhy)
		}
	}
}

// organizationRule holds the grant rule within organizations: what one holds there helps
// nobody to act, and what a target holds there protects it.
func organizationRule(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("org-a", "a"))
	createRole(t, s, newRole("org-ab", "a", "b"))
	o := createOrganization(t, s, "rule-acme")
	helpdesk := actor(t, s, "org-helpdesk", "org-a")
	inside := actor(t, s, "org-inside") // holds all of it, but within alone
	above, beside := create(t, s, person(t, "org-above")), create(t, s, person(t, "org-beside"))
	for _, id := range []string{inside.ID, above.ID, beside.ID} {
		Want(t, "adding", addMember(t, s, Operator, o, principal.User, id), 0)
	}
	Want(t, "to who acts", giveIn(t, s, Operator, o, inside.ID, rbac.AdminRole), 0)
	Want(t, "to who is above", giveIn(t, s, Operator, o, above.ID, "org-ab"), 0)
	token := actor(t, s, "org-token", rbac.AdminRole)
	token.Organization = o.ID
	fresh := createOrganization(t, s, "rule-fresh")
	before := w.Dump(t)
	for name, by := range map[string]principal.Principal{"who holds it within alone": inside, "an administrator by a token for an organization": token} {
		Want(t, name+" gives on the server", give(t, s, by, beside.ID, "org-a", time.Time{}), fault.Denied)
		Want(t, name+" gives within", giveIn(t, s, by, o, beside.ID, "org-a"), fault.Denied)
		Want(t, name+" takes", takeIn(t, s, by, o, above.ID, "org-ab"), fault.Denied)
		Want(t, name+" removes", removeMember(t, s, by, o, above.ID), fault.Denied)
		Want(t, name+" deletes it", deleteOrganization(t, s, by, o, 0), fault.Denied)
		Want(t, name+" makes a role", s.CreateRole(t.Context(), by, newRole("org-new", "a"), event(audit.RoleCreated, "role")), fault.Denied)
	}
	for what, err := range map[string]error{
		"giving more within":           giveIn(t, s, helpdesk, o, beside.ID, "org-ab"),
		"giving to who is above there": giveIn(t, s, helpdesk, o, above.ID, "org-a"),
		"on the server":                give(t, s, helpdesk, above.ID, "org-a", time.Time{}),
		"taking from him":              takeIn(t, s, helpdesk, o, above.ID, "org-ab"),
		"removing him":                 removeMember(t, s, helpdesk, o, above.ID),
		"adding him elsewhere":         addMember(t, s, helpdesk, fresh, principal.User, above.ID),
		"deleting where he is":         deleteOrganization(t, s, helpdesk, o, 0),
		"deleting him":                 s.DeleteUser(t.Context(), helpdesk, account.Deletion{ID: above.ID}, event(audit.UserDeleted, "user")),
	} {
		Want(t, what, err, fault.Denied)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	Want(t, "giving what he holds", giveIn(t, s, helpdesk, o, beside.ID, "org-a"), 0)
	Want(t, "removing who is not above", removeMember(t, s, helpdesk, o, beside.ID), 0)
	Want(t, "deleting where nobody is above", deleteOrganization(t, s, helpdesk, fresh, 0), 0)
}

// organizationRuleHolds: whoever gives whatever to whomever, on the server or within an
// organization, it is done exactly if what he holds on the server covers what he gives
// and all that the other holds anywhere; and so is the end of a membership.
func organizationRuleHolds(t *testing.T, s *store.Store) {
	for _, p := range []string{"a", "b"} {
		createRole(t, s, newRole("hold-"+p, p))
	}
	places := map[string]org.Organization{"server": {}, "one": createOrganization(t, s, "hold-one"), "two": createOrganization(t, s, "hold-two")}
	type holder struct {
		by     principal.Principal
		places map[string]string // what is held, by where
	}
	who := func(name string, held map[string]string) holder {
		h := holder{actor(t, s, "hold-"+name), held}
		for place, o := range places {
			if o.ID != "" {
				Want(t, "adding", addMember(t, s, Operator, o, principal.User, h.by.ID), 0)
			}
			for _, p := range strings.Fields(held[place]) {
				Want(t, "giving", giveIn(t, s, Operator, o, h.by.ID, "hold-"+p), 0)
			}
		}
		return h
	}
	actors := []holder{
		who("nothing", nil), who("a", map[string]string{"server": "a"}), who("ab", map[string]string{"server": "a b"}),
		who("b-within", map[string]string{"server": "a", "one": "a b", "two": "b"}),
	}
	targets := []holder{
		who("nobody", nil), who("his-a", map[string]string{"server": "a"}), who("his-a-within", map[string]string{"two": "a"}),
		who("his-b-within", map[string]string{"server": "a", "one": "b"}), who("his-all", map[string]string{"server": "b", "one": "a", "two": "b"}),
	}
	covers := func(by holder, permissions string) bool {
		return !slices.ContainsFunc(strings.Fields(permissions), func(p string) bool { return !strings.Contains(by.places["server"], p) })
	}
	for _, by := range actors {
		for _, target := range targets {
			his := strings.Join(slices.Collect(maps.Values(target.places)), " ")
			for _, gives := range []string{"a", "b"} {
				for place, o := range places {
					err := giveIn(t, s, by.by, o, target.by.ID, "hold-"+gives)
					if got, want := fault.KindOf(err) != fault.Denied, covers(by, his+" "+gives); got != want {
						t.Errorf("who holds %v gives %s within %s to who holds %v: %v", by.places, gives, place, target.places, err)
					}
					if err == nil {
						Want(t, "taking it back", takeIn(t, s, by.by, o, target.by.ID, "hold-"+gives), 0)
					}
				}
			}
		}
	}
	for _, by := range actors {
		for _, target := range targets {
			his := strings.Join(slices.Collect(maps.Values(target.places)), " ")
			if err := removeMember(t, s, by.by, places["one"], target.by.ID); fault.KindOf(err) != fault.Denied != covers(by, his) {
				t.Errorf("who holds %v removes who holds %v: %v", by.places, target.places, err)
			} else if err == nil {
				Want(t, "adding again", addMember(t, s, Operator, places["one"], principal.User, target.by.ID), 0)
				for _, p := range strings.Fields(target.places["one"]) {
					Want(t, "giving again", giveIn(t, s, Operator, places["one"], target.by.ID, "hold-"+p), 0)
				}
			}
		}
	}
}
