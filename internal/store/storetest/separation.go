package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
)

// Separations is the contract of rbac.SeparationStore, and of what the verbs of roles,
// grants and groups do with what is kept apart.
func Separations(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { separationsAsWritten(t, s) })
	t.Run("every door", func(t *testing.T) { everyDoorKeepsApart(t, s, w) })
	t.Run("roles", func(t *testing.T) { rolesKeptApart(t, s, w) })
	t.Run("violated already", func(t *testing.T) { violatedAlready(t, s, w) })
	t.Run("the rule", func(t *testing.T) { separationRule(t, s, w) })
	t.Run("at once", func(t *testing.T) { apartAtOnce(t, s) })
	t.Run("whatever is tried", func(t *testing.T) { separationWalk(t, s) })
}

func apartOf(name string, kind rbac.Apart, roles ...string) rbac.Separation {
	return rbac.Separation{Name: name, Description: "„" + name + "“", Kind: kind, Roles: roles, CreatedAt: instant, UpdatedAt: instant, Version: 1}
}

func separate(t testing.TB, s *store.Store, by principal.Principal, p rbac.Separation) error {
	return s.CreateSeparation(context.WithoutCancel(t.Context()), by, p, audit.Now(by, instant, audit.SeparationCreated, "separation:"+p.Name))
}

func reseparate(t testing.TB, s *store.Store, by principal.Principal, p rbac.Separation) error {
	_, err := s.ReplaceSeparation(context.WithoutCancel(t.Context()), by, p, audit.Now(by, instant, audit.SeparationUpdated, "separation:"+p.Name))
	return err
}

func unite(t testing.TB, s *store.Store, by principal.Principal, name string, version int64) error {
	return s.DeleteSeparation(context.WithoutCancel(t.Context()), by, name, version, audit.Now(by, instant, audit.SeparationDeleted, "separation:"+name))
}

func replaceRole(t testing.TB, s *store.Store, name string, inherits ...string) error {
	r := newRole(name)
	r.Inherits, r.Version = inherits, 0
	_, err := s.ReplaceRole(context.WithoutCancel(t.Context()), Operator, r, event(audit.RoleUpdated, "role:"+name))
	return err
}

func separationsAsWritten(t *testing.T, s *store.Store) {
	for _, name := range []string{"sep-a", "sep-b", "sep-c"} {
		createRole(t, s, newRole(name))
	}
	before, _ := versions(t, s)
	seq := head(t, s)
	p := apartOf("written", rbac.Static, "sep-b", "sep-a")
	Want(t, "keeping apart", separate(t, s, Operator, p), 0)
	Want(t, "another", separate(t, s, Operator, apartOf("another", rbac.Dynamic, "sep-a", "sep-b", "sep-c")), 0)
	if told, want := topics(t, s, seq), []string{"role-narrows sep-b", "role-narrows sep-c", "roles ", "roles "}; !slices.Equal(told, want) {
		t.Errorf("told is %q, want %q", told, want)
	}
	if after, _ := versions(t, s); after <= before {
		t.Error("the snapshots of others are not out of date")
	}
	if all, err := s.Separations(t.Context()); err != nil || len(all) != 2 || all[0].Name != "another" || !reflect.DeepEqual(all[1], p) {
		t.Errorf("kept is %+v, %v; want %+v at the end", all, err, p)
	}
	Want(t, "the name again", separate(t, s, Operator, p), fault.Conflict)
	p.Kind, p.Roles, p.Version = rbac.Dynamic, []string{"sep-c", "sep-a"}, 2
	Want(t, "another version", reseparate(t, s, Operator, p), fault.Stale)
	p.Version = 1
	Want(t, "changing it", reseparate(t, s, Operator, p), 0)
	p.Version = 2
	if all, err := s.Separations(t.Context()); err != nil || !reflect.DeepEqual(all[1], p) {
		t.Errorf("kept is %+v, %v; want %+v", all, err, p)
	}
	Want(t, "deleting another version", unite(t, s, Operator, "written", 1), fault.Stale)
	for _, bad := range []string{"nobody", "", "\x00", "\xff"} {
		Want(t, "changing "+bad, reseparate(t, s, Operator, apartOf(bad, rbac.Static, "sep-a", "sep-b")), fault.NotFound)
		Want(t, "deleting "+bad, unite(t, s, Operator, bad, 0), fault.NotFound)
	}
	Want(t, "deleting it", unite(t, s, Operator, "written", 2), 0)
	Want(t, "deleting the other", unite(t, s, Operator, "another", 0), 0)
	Want(t, "a role that is not there", separate(t, s, Operator, apartOf("ghosts", rbac.Static, "sep-a", "ghost")), fault.Invalid)
	Want(t, "built-in roles that inherit", separate(t, s, Operator, apartOf("builtin", rbac.Static, "viewer", "sep-a", rbac.AdminRole)), fault.Conflict)
	Want(t, "dynamic ones, too", separate(t, s, Operator, apartOf("builtin", rbac.Dynamic, "viewer", "editor")), fault.Conflict)
}

// everyDoorKeepsApart tries each way to bring two roles together that are kept apart:
// itself, by a role that inherits one, and by groups; for an account and a client.
func everyDoorKeepsApart(t *testing.T, s *store.Store, w *Witness) {
	for _, name := range []string{"door-a", "door-b"} {
		createRole(t, s, newRole(name))
	}
	heir := newRole("door-heir")
	heir.Inherits = []string{"door-a"}
	createRole(t, s, heir)
	Want(t, "keeping apart", separate(t, s, Operator, apartOf("doors", rbac.Static, "door-a", "door-b")), 0)
	u, c := create(t, s, person(t, "door-user")), registerClient(t, s, application("door-client"), "door-a")
	Want(t, "the first", give(t, s, Operator, u.ID, "door-heir", time.Time{}), 0)
	Want(t, "the first itself: it is the same", give(t, s, Operator, u.ID, "door-a", time.Time{}), 0)
	grouped(t, s, "door-group", []string{"door-b"})
	grouped(t, s, "door-both", nil, u.ID)
	Want(t, "a client in it", join(t, s, Operator, newMember("door-both", c.ID, principal.Service)), 0)
	o := createOrganization(t, s, "door-house")
	Want(t, "a member", addMember(t, s, Operator, o, principal.User, u.ID), 0)
	before := w.Dump(t)
	for what, err := range map[string]error{
		"a grant":               give(t, s, Operator, u.ID, "door-b", time.Time{}),
		"in an organization":    giveIn(t, s, Operator, o, u.ID, "door-b"),
		"a grant for a while":   give(t, s, Operator, u.ID, "door-b", instant.Add(time.Hour)),
		"a grant to a client":   giveClient(t, s, Operator, c.ID, "door-b", time.Time{}),
		"a group":               join(t, s, Operator, newMember("door-group", u.ID, principal.User)),
		"a client into a group": join(t, s, Operator, newMember("door-group", c.ID, principal.Service)),
		"a group's role":        giveGroup(t, s, Operator, "door-both", "door-b", time.Time{}),
		"a group's other role":  giveGroup(t, s, Operator, "door-group", "door-heir", time.Time{}),
	} {
		Want(t, what, err, fault.Conflict)
		if err != nil && (!strings.Contains(err.Error(), "door-a") || !strings.Contains(err.Error(), "door-b") || !strings.Contains(err.Error(), `"doors"`)) {
			t.Errorf("%s: the message names not what is kept apart: %v", what, err)
		}
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	// What has ended does not count.
	Want(t, "taking one", take(t, s, Operator, u.ID, "door-a"), 0)
	Want(t, "taking the other", take(t, s, Operator, u.ID, "door-heir"), 0)
	Want(t, "until now", give(t, s, Operator, u.ID, "door-a", instant), 0)
	Want(t, "then the other", join(t, s, Operator, newMember("door-group", u.ID, principal.User)), 0)
	// Of the two he has one, wherever it is.
	Want(t, "out again", expel(t, s, Operator, newMember("door-group", u.ID, principal.User)), 0)
	Want(t, "the first, in an organization", giveIn(t, s, Operator, o, u.ID, "door-heir"), 0)
	Want(t, "the other, on the server", give(t, s, Operator, u.ID, "door-b", time.Time{}), fault.Conflict)
	Want(t, "the other, by a group", join(t, s, Operator, newMember("door-group", u.ID, principal.User)), fault.Conflict)
	Want(t, "not there any more", takeIn(t, s, Operator, o, u.ID, "door-heir"), 0)
	// Nor what may be held and not used together.
	Want(t, "making it dynamic", reseparate(t, s, Operator, func() rbac.Separation {
		p := apartOf("doors", rbac.Dynamic, "door-a", "door-b")
		p.Version = 0
		return p
	}()), 0)
	Want(t, "both", giveClient(t, s, Operator, c.ID, "door-b", time.Time{}), 0)
	Want(t, "and static again", reseparate(t, s, Operator, func() rbac.Separation {
		p := apartOf("doors", rbac.Static, "door-a", "door-b")
		p.Version = 0
		return p
	}()), fault.Conflict)
	Want(t, "ending it", unite(t, s, Operator, "doors", 0), 0)
}

// rolesKeptApart holds that changes of roles bring nothing together either.
func rolesKeptApart(t *testing.T, s *store.Store, w *Witness) {
	for _, name := range []string{"kept-a", "kept-b", "kept-c", "kept-plain", "kept-alone"} {
		createRole(t, s, newRole(name))
	}
	u := create(t, s, person(t, "kept-user"))
	grouped(t, s, "kept-group", []string{"kept-a"}, u.ID)
	Want(t, "a plain role", give(t, s, Operator, u.ID, "kept-plain", time.Time{}), 0)
	Want(t, "keeping apart", separate(t, s, Operator, apartOf("kept", rbac.Static, "kept-a", "kept-b", "kept-c")), 0)
	before := w.Dump(t)
	both := newRole("kept-both")
	both.Inherits = []string{"kept-a", "kept-c"}
	for what, err := range map[string]error{
		"a role of two":                 s.CreateRole(t.Context(), Operator, both, event(audit.RoleCreated, "role:kept-both")),
		"a role that gets two":          replaceRole(t, s, "kept-alone", "kept-b", "kept-c"),
		"one that inherits another":     replaceRole(t, s, "kept-a", "kept-b"),
		"a role of somebody who has it": replaceRole(t, s, "kept-plain", "kept-b"),
		"deleting one":                  s.DeleteRole(t.Context(), Operator, "kept-b", 0, event(audit.RoleDeleted, "role:kept-b")),
	} {
		Want(t, what, err, fault.Conflict)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	err := replaceRole(t, s, "kept-plain", "kept-b")
	if err == nil || !strings.Contains(err.Error(), "user:"+u.ID+" (kept-a and kept-b)") {
		t.Errorf("who it is that would have both is not said: %v", err)
	}
	Want(t, "a role that nobody has", replaceRole(t, s, "kept-alone", "kept-b"), 0)
	Want(t, "giving it to who has the other", give(t, s, Operator, u.ID, "kept-alone", time.Time{}), fault.Conflict)
	Want(t, "the same one again", replaceRole(t, s, "kept-plain", "kept-a"), 0)
	Want(t, "ending it", unite(t, s, Operator, "kept", 0), 0)
	Want(t, "then", replaceRole(t, s, "kept-plain", "kept-b"), 0)
}

// violatedAlready holds that a separation that some violate is not made, and that up
// to five of them are named.
func violatedAlready(t *testing.T, s *store.Store, w *Witness) {
	for _, name := range []string{"vio-a", "vio-b"} {
		createRole(t, s, newRole(name))
	}
	var users []string
	for i := range 7 {
		users = append(users, create(t, s, person(t, fmt.Sprint("violator", i))).ID)
	}
	slices.Sort(users)
	grouped(t, s, "vio-group", []string{"vio-a"}, users...)
	for _, u := range users[:2] {
		Want(t, "both", give(t, s, Operator, u, "vio-b", time.Time{}), 0)
	}
	p := apartOf("violated", rbac.Static, "vio-a", "vio-b")
	before := w.Dump(t)
	err := separate(t, s, Operator, p)
	if fault.KindOf(err) != fault.Conflict || !strings.HasSuffix(err.Error(), fmt.Sprintf("user:%s (vio-a and vio-b), user:%s (vio-a and vio-b)", users[0], users[1])) {
		t.Errorf("two violate it: %v", err)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	for _, u := range users[2:] {
		Want(t, "both", give(t, s, Operator, u, "vio-b", time.Time{}), 0)
	}
	err = separate(t, s, Operator, p)
	if fault.KindOf(err) != fault.Conflict || strings.Count(err.Error(), "user:") != 5 || !strings.HasSuffix(err.Error(), " and more") {
		t.Errorf("seven violate it: %v", err)
	}
	Want(t, "taking it", takeGroup(t, s, Operator, "vio-group", "vio-a"), 0)
	Want(t, "nobody violates it", separate(t, s, Operator, p), 0)
	Want(t, "ending it", unite(t, s, Operator, "violated", 0), 0)
}

// separationRule holds that only who may change all of the roles decides about them.
func separationRule(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("decided-a", "a"))
	createRole(t, s, newRole("decided-b", "b"))
	createRole(t, s, newRole("decided-nothing"))
	keeper, hour := actor(t, s, "decider", "decided-a"), actor(t, s, "decider-for-an-hour")
	Want(t, "for an hour", give(t, s, Operator, hour.ID, "decided-a", instant.Add(time.Hour)), 0)
	Want(t, "keeping apart", separate(t, s, Operator, apartOf("decided", rbac.Static, "decided-a", "decided-b")), 0)
	replace := func(by principal.Principal, roles ...string) error {
		p := apartOf("decided", rbac.Static, roles...)
		p.Version = 0
		return reseparate(t, s, by, p)
	}
	before := w.Dump(t)
	for who, by := range map[string]principal.Principal{"who holds one": keeper, "who holds it for an hour": hour, "nobody": {Kind: principal.User, ID: "nobody"}} {
		Want(t, who+" makes one", separate(t, s, by, apartOf("mine", rbac.Static, "decided-a", "decided-b")), fault.Denied)
		Want(t, who+" changes one", replace(by, "decided-a", "decided-nothing"), fault.Denied)
		Want(t, who+" ends one", unite(t, s, by, "decided", 0), fault.Denied)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	Want(t, "making one of his", separate(t, s, keeper, apartOf("mine", rbac.Static, "decided-a", "decided-nothing")), 0)
	Want(t, "ending it", unite(t, s, keeper, "mine", 0), 0)
	Want(t, "ending the other", unite(t, s, Operator, "decided", 0), 0)
}

// apartAtOnce gives two roles that are kept apart at the same moment: one is given.
func apartAtOnce(t *testing.T, s *store.Store) {
	createRole(t, s, newRole("once-a"))
	createRole(t, s, newRole("once-b"))
	Want(t, "keeping apart", separate(t, s, Operator, apartOf("once", rbac.Static, "once-a", "once-b")), 0)
	for round := range 4 {
		u := create(t, s, person(t, fmt.Sprint("once", round)))
		name := fmt.Sprint("once-group", round)
		grouped(t, s, name, []string{"once-b"})
		var wait sync.WaitGroup
		wait.Go(func() { _ = give(t, s, Operator, u.ID, "once-a", time.Time{}) })
		wait.Go(func() { _ = join(t, s, Operator, newMember(name, u.ID, principal.User)) })
		wait.Wait()
		if got := held(t, s, u.ID); len(got) != 1 {
			t.Errorf("round %d: held is %q", round, got)
		}
	}
	Want(t, "ending it", unite(t, s, Operator, "once", 0), 0)
}

// separationWalk holds that whatever is done, in whatever order, nobody comes to hold
// two roles that are kept apart.
func separationWalk(t *testing.T, s *store.Store) {
	w := &plot{chance: chance{seed: rand.Text()}, s: s, success: map[string]int{}, app: "apart-app", by: []principal.Principal{Operator}}
	for _, name := range []string{"apart-a", "apart-b", "apart-c", "apart-d"} {
		createRole(t, s, newRole(name, name))
		w.roles = append(w.roles, name)
	}
	w.untils = []time.Time{{}, instant, instant.Add(time.Hour)}
	w.users = []string{create(t, s, person(t, "apart-one")).ID, create(t, s, person(t, "apart-two")).ID}
	registerClient(t, s, application(w.app))
	grouped(t, s, "apart-x", nil, w.users[0])
	grouped(t, s, "apart-y", nil)
	w.groups = []string{"apart-x", "apart-y"}
	refused := 0
	for step := range 150 {
		what, err := "keeping apart", error(nil)
		switch w.pick(8) {
		case 0:
			two := [][]string{{"apart-a", "apart-b"}, {"apart-c", "apart-b"}, {"apart-a", "apart-c"}}
			err = separate(t, s, Operator, apartOf(fmt.Sprint("apart", w.pick(2)), rbac.Static, pickOf(&w.chance, two)...))
		case 1:
			what, err = "letting together", unite(t, s, Operator, fmt.Sprint("apart", w.pick(2)), 0)
		case 2:
			what, err = "inheriting", replaceRole(t, s, pickOf(&w.chance, w.roles[2:]), pickOf(&w.chance, w.roles[:2]))
		default:
			what, err = w.step(t)
		}
		if err == nil {
			w.success[what]++
		} else if fault.KindOf(err) == 0 {
			t.Fatalf("seed %s, step %d: %s: %v", w.seed, step, what, err)
		} else if strings.Contains(err.Error(), "apart") {
			refused++
		}
		snapshot := w.snapshot(t)
		for _, who := range append(slices.Clone(w.users), w.app, rbac.OfGroup("apart-x"), rbac.OfGroup("apart-y")) {
			grants, err := s.GrantsOf(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			roles := snapshot.Effective(grants, "", instant).Roles()
			for _, p := range snapshot.Separations() {
				if both := slices.DeleteFunc(slices.Clone(p.Roles), func(r string) bool { return !slices.Contains(roles, r) }); len(both) > 1 {
					t.Fatalf("seed %s, step %d: by %s, %s holds %q", w.seed, step, what, who, both)
				}
			}
		}
	}
	if refused == 0 || len(w.success) < 5 {
		t.Errorf("seed %s: %d were refused, and of all that was tried only %v succeeded", w.seed, refused, w.success)
	}
	for _, p := range w.snapshot(t).Separations() {
		Want(t, "ending it", unite(t, s, Operator, p.Name, 0), 0)
	}
}
