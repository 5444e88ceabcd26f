package storetest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
)

// groupRule holds that to bring somebody into a group is to give him its roles, that
// to give a group a role is to give it to each who is in it, and that whoever acts on
// a group acts on all of them.
func groupRule(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("group-a", "a"))
	createRole(t, s, newRole("group-ab", "a", "b"))
	createRole(t, s, newRole("group-nothing"))
	keeper, friend := actor(t, s, "group-keeper", "group-a"), create(t, s, person(t, "group-friend"))
	above := actor(t, s, "group-above", "group-ab")
	app := registerClient(t, s, application("group-app", "b")) // above by what it may ask for
	hidden := create(t, s, person(t, "group-hidden"))          // above by another group
	grouped(t, s, "other-group", []string{"group-ab"}, hidden.ID)
	grouped(t, s, "rich", []string{"group-ab"})
	grouped(t, s, "rich-for-an-hour", nil)
	Want(t, "for an hour", giveGroup(t, s, Operator, "rich-for-an-hour", "group-ab", instant.Add(time.Hour)), 0)
	grouped(t, s, "with-above", nil, above.ID, keeper.ID)
	grouped(t, s, "with-hidden", nil, hidden.ID)
	grouped(t, s, "with-app", nil)
	Want(t, "an application", join(t, s, Operator, newMember("with-app", app.ID, principal.Service)), 0)
	before := w.Dump(t)
	for _, name := range []string{"rich", "rich-for-an-hour", "with-above", "with-hidden", "with-app"} {
		Want(t, "describing "+name, updateGroup(t, s, keeper, name, 0), fault.Denied)
		Want(t, "deleting "+name, deleteGroup(t, s, keeper, name, 0), fault.Denied)
		Want(t, "giving nothing to "+name, giveGroup(t, s, keeper, name, "group-nothing", time.Time{}), fault.Denied)
		Want(t, "taking from "+name, takeGroup(t, s, keeper, name, "group-ab"), fault.Denied)
	}
	for _, name := range []string{"rich", "rich-for-an-hour"} {
		Want(t, "bringing himself into "+name, join(t, s, keeper, newMember(name, keeper.ID, principal.User)), fault.Denied)
		Want(t, "bringing a friend into "+name, join(t, s, keeper, newMember(name, friend.ID, principal.User)), fault.Denied)
	}
	for _, name := range []string{"with-above", "with-hidden", "with-app"} {
		Want(t, "one above into "+name, join(t, s, keeper, newMember(name, hidden.ID, principal.User)), fault.Denied)
	}
	Want(t, "taking out one above", expel(t, s, keeper, newMember("with-above", above.ID, principal.User)), fault.Denied)
	Want(t, "taking out one above by its scopes", expel(t, s, keeper, newMember("with-app", app.ID, principal.Service)), fault.Denied)
	narrow := above
	narrow.Scopes = []string{"a"}
	Want(t, "with a narrow token", join(t, s, narrow, newMember("rich", friend.ID, principal.User)), fault.Denied)
	Want(t, "nobody makes one", createGroup(t, s, principal.Principal{Kind: principal.User, ID: "nobody", Needs: "roles:write"}, "by-nobody"), fault.Denied)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	// What he holds he may give, to whom he may touch.
	grouped(t, s, "own-group", nil)
	Want(t, "giving what he holds", giveGroup(t, s, keeper, "own-group", "group-a", time.Time{}), 0)
	Want(t, "giving more", giveGroup(t, s, keeper, "own-group", "group-ab", time.Time{}), fault.Denied)
	Want(t, "bringing in a friend", join(t, s, keeper, newMember("own-group", friend.ID, principal.User)), 0)
	Want(t, "taking out", expel(t, s, keeper, newMember("own-group", friend.ID, principal.User)), 0)
	Want(t, "leaving", expel(t, s, keeper, newMember("with-above", keeper.ID, principal.User)), 0)
	Want(t, "deleting", deleteGroup(t, s, keeper, "own-group", 0), 0)
	// Who holds it by a group holds it.
	Want(t, "giving by a group", join(t, s, Operator, newMember("rich", keeper.ID, principal.User)), 0)
	Want(t, "giving what the group has", give(t, s, keeper, friend.ID, "group-ab", time.Time{}), 0)
	Want(t, "taking the group's role", takeGroup(t, s, keeper, "rich", "group-ab"), 0)
	Want(t, "giving what it had", give(t, s, keeper, hidden.ID, "group-ab", time.Time{}), fault.Denied)
}

// groupEnds holds that what somebody holds until a time does not last longer by a
// group: neither what he has, nor his own place in it.
func groupEnds(t *testing.T, s *store.Store) {
	createRole(t, s, newRole("ends-a", "a"))
	friend := create(t, s, person(t, "ends-friend"))
	hour := instant.Add(time.Hour)
	byGrant, byPlace := actor(t, s, "ends-by-grant"), actor(t, s, "ends-by-place")
	Want(t, "a grant for an hour", give(t, s, Operator, byGrant.ID, "ends-a", hour), 0)
	grouped(t, s, "ends-group", []string{"ends-a"})
	m := newMember("ends-group", byPlace.ID, principal.User)
	m.Until = hour
	Want(t, "a place for an hour", join(t, s, Operator, m), 0)
	for how, by := range map[string]principal.Principal{"by a grant": byGrant, "by a place": byPlace} {
		name := "ends-" + by.ID
		Want(t, "a group", createGroup(t, s, by, name), 0)
		for what, until := range map[string]time.Time{"for ever": {}, "a little longer": hour.Add(time.Second)} {
			Want(t, how+", giving a group "+what, giveGroup(t, s, by, name, "ends-a", until), fault.Denied)
			late := newMember("ends-group", friend.ID, principal.User)
			late.Until = until
			Want(t, how+", a friend "+what, join(t, s, by, late), fault.Denied)
		}
		Want(t, how+", giving a group as long", giveGroup(t, s, by, name, "ends-a", hour), 0)
		Want(t, how+", himself for ever: it ends with the role", join(t, s, by, newMember(name, by.ID, principal.User)), 0)
		asLong := newMember("ends-group", friend.ID, principal.User)
		asLong.Until = hour
		Want(t, how+", a friend as long", join(t, s, by, asLong), 0)
		Want(t, how+", taking him out", expel(t, s, by, asLong), 0)
	}
}

// chance picks, the same again for a seed.
type chance struct {
	seed string
	n    uint64
}

func (c *chance) pick(n int) int {
	c.n++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(c.seed), c.n))
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(n))
}

func pickOf[T any](c *chance, list []T) T { return list[c.pick(len(list))] }

// plot is two who conspire and try whatever there is, upon all that there is.
type plot struct {
	chance
	s       *store.Store
	by      []principal.Principal
	users   []string
	app     string
	roles   []string
	groups  []string
	untils  []time.Time
	success map[string]int
}

// groupWalk holds the property that all rules serve: whatever is tried, in whatever
// order, nobody comes to hold a permission, nor for longer, than he or one of those
// who try it held before; and who is above them holds what he held.
func groupWalk(t *testing.T, s *store.Store) {
	w := &plot{chance: chance{seed: rand.Text()}, s: s, success: map[string]int{}, app: "walk-app"}
	for role, list := range map[string][]string{"walk-a": {"a"}, "walk-b": {"b"}, "walk-abc": {"a", "b", "c"}, "walk-nothing": nil} {
		createRole(t, s, newRole(role, list...))
		w.roles = append(w.roles, role)
	}
	slices.Sort(w.roles)
	w.roles = append(w.roles, rbac.AdminRole, "walk-new")
	hour := instant.Add(time.Hour)
	w.untils = []time.Time{{}, instant.Add(30 * time.Minute), hour, hour.Add(time.Microsecond)}
	one, two, boss := actor(t, s, "walk-one"), actor(t, s, "walk-two"), create(t, s, person(t, "walk-boss"))
	w.by, w.users = []principal.Principal{one, two}, []string{one.ID, two.ID, boss.ID, create(t, s, person(t, "walk-aside")).ID}
	registerClient(t, s, application(w.app, "a"))
	grouped(t, s, "walk-mine", []string{"walk-a"}, one.ID)
	grouped(t, s, "walk-above", []string{"walk-abc"}, boss.ID)
	grouped(t, s, "walk-empty", nil)
	w.groups = []string{"walk-mine", "walk-above", "walk-empty", "walk-made"}
	Want(t, "for an hour", give(t, s, Operator, two.ID, "walk-b", hour), 0)
	before := w.held(t)
	for step := range 200 {
		if step%10 == 0 { // they may have taken it from each other
			_ = give(t, s, Operator, one.ID, "walk-a", time.Time{})
			_ = give(t, s, Operator, two.ID, "walk-b", hour)
		}
		what, err := w.step(t)
		if err == nil {
			w.success[what]++
		} else if fault.KindOf(err) == 0 {
			t.Fatalf("seed %s, step %d: %s: %v", w.seed, step, what, err)
		}
		now := w.held(t)
		for who, permissions := range now {
			for permission, end := range permissions {
				if !slices.ContainsFunc([]string{who, one.ID, two.ID}, func(had string) bool {
					e, ok := before[had][permission]
					return ok && (e.IsZero() || !end.IsZero() && !end.After(e))
				}) {
					t.Fatalf("seed %s, step %d: by %s, %s holds %s until %v", w.seed, step, what, who, permission, end)
				}
			}
		}
		if fmt.Sprint(now[boss.ID]) != fmt.Sprint(before[boss.ID]) {
			t.Fatalf("seed %s, step %d: by %s, who is above holds %v, and held %v", w.seed, step, what, now[boss.ID], before[boss.ID])
		}
	}
	total := 0
	for _, n := range w.success {
		total += n
	}
	if total < 10 {
		t.Errorf("seed %s: of all that was tried, only %v succeeded", w.seed, w.success)
	}
}

// held is until when everybody holds each permission.
func (w *plot) held(t *testing.T) map[string]map[string]time.Time {
	t.Helper()
	snapshot := w.snapshot(t)
	ends := map[string]map[string]time.Time{}
	for _, who := range append(slices.Clone(w.users), w.app) {
		grants, err := w.s.GrantsOf(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		ends[who] = map[string]time.Time{}
		for _, g := range grants {
			for _, p := range snapshot.OfRole(g.Role).Permissions() {
				if end, ok := ends[who][p]; g.Live(instant) && (!ok || g.Until.IsZero() || !end.IsZero() && g.Until.After(end)) {
					ends[who][p] = g.Until
				}
			}
		}
	}
	return ends
}

// snapshot is what the database says of roles.
func (w *plot) snapshot(t *testing.T) *rbac.Snapshot {
	t.Helper()
	all, at, _, err := w.s.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := rbac.NewSnapshot(at, all)
	if err != nil {
		t.Fatal(err)
	}
	apart, err := w.s.Separations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.WithSeparations(apart)
}

// step tries one thing, and says which.
func (w *plot) step(t *testing.T) (string, error) {
	by, role, group, until := pickOf(&w.chance, w.by), pickOf(&w.chance, w.roles), pickOf(&w.chance, w.groups), pickOf(&w.chance, w.untils)
	m := newMember(group, pickOf(&w.chance, w.users), principal.User)
	if w.pick(5) == 0 {
		m.Kind, m.Principal = principal.Service, w.app
	}
	m.Until = until
	switch w.pick(10) {
	case 0:
		return "making a group", createGroup(t, w.s, by, group)
	case 1:
		return "deleting a group", deleteGroup(t, w.s, by, group, 0)
	case 2, 3:
		return "giving a group a role", giveGroup(t, w.s, by, group, role, until)
	case 4:
		return "taking a group's role", takeGroup(t, w.s, by, group, role)
	case 5, 6:
		return "bringing somebody in", join(t, w.s, by, m)
	case 7:
		return "taking somebody out", expel(t, w.s, by, m)
	case 8:
		return "writing a role", w.write(t, by, role)
	}
	g := rbac.Grant{ID: id.New(instant), Kind: m.Kind, Principal: m.Principal, Role: role, Until: until, By: by.String(), At: instant}
	if w.pick(3) == 0 {
		return "taking a role", w.s.DeleteGrant(t.Context(), by, rbac.Grant{Kind: m.Kind, Principal: m.Principal, Role: role}, audit.Now(by, instant, audit.GrantRevoked, "user"))
	}
	return "giving a role", w.s.CreateGrant(t.Context(), by, g, audit.Now(by, instant, audit.GrantCreated, "user"))
}

// write makes or changes a role, to whatever it may be.
func (w *plot) write(t *testing.T, by principal.Principal, name string) error {
	r := newRole(name, pickOf(&w.chance, [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"c"}})...)
	r.Inherits = pickOf(&w.chance, [][]string{nil, {"walk-a"}, {"walk-abc"}})
	r.Version = 0
	if w.pick(2) == 0 {
		r.Version = 1
		return w.s.CreateRole(t.Context(), by, r, audit.Now(by, instant, audit.RoleCreated, "role:"+name))
	}
	_, err := w.s.ReplaceRole(t.Context(), by, r, audit.Now(by, instant, audit.RoleUpdated, "role:"+name))
	return err
}
