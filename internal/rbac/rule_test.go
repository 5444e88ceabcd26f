package rbac

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/fault"
)

func TestMayGive(t *testing.T) {
	s := mustSnapshot(t, roles("r: a b c d e f g h", "q: a b")...)
	set := func(text string) Set { return s.Set(strings.Fields(text)) }
	for _, tt := range []struct {
		name         string
		actor, given Set
		says         string // of the refusal; empty if there is none
	}{
		{"what he holds", set("a b"), set("b"), ""},
		{"all that he holds", set("a b"), set("a b"), ""},
		{"nothing", set(""), set(""), ""},
		{"identity scopes", set("a"), set("a openid profile"), ""},
		{"an operator, everything", s.All(), s.All(), ""},
		{"an operator, what no role holds yet", s.All(), set("new:word"), ""},

		{"one more", set("a b"), set("a c"), "hold yourself: c"},
		{"five more", set("a"), set("b c d e f"), "hold yourself: b, c, d, e, f"},
		{"seven more", set("a"), s.OfRole("r"), "hold yourself: b, c, d, e, f and 2 more"},
		{"what no role holds yet", s.OfRole("r"), set("a new:word"), "hold yourself: new:word"},
		{"a wildcard by an operator", s.All(), set("a *"), "hold yourself: *"},
		{"everything by one who holds much", set("a b c d e f g"), s.All(), "hold yourself: h"},
		{"everything by one who holds all", s.OfRole("r"), s.All(), "every permission"},
		{"by nobody", Set{}, set("a"), "hold yourself: a"},
	} {
		err := MayGive(tt.actor, tt.given)
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Denied || !strings.HasSuffix(err.Error(), tt.says) {
			t.Errorf("%s: %v; want a Denied fault: … %s", tt.name, err, tt.says)
		}
	}
}

func TestMayTouch(t *testing.T) {
	s := mustSnapshot(t, roles("r: a b c")...)
	set := func(text string) Set { return s.Set(strings.Fields(text)) }
	for _, tt := range []struct {
		name          string
		actor, target Set
		allowed       bool
	}{
		{"below", set("a b"), set("a"), true},
		{"equal", set("a b"), set("a b"), true},
		{"nobody special", set("a"), Set{}, true},
		{"operator", s.All(), s.OfRole("r"), true},
		{"above", set("a"), set("a b"), false},
		{"beside", set("a"), set("b"), false},
		{"by nobody", Set{}, set("a"), false},
		{"an operator", s.OfRole("r"), s.All(), false},
	} {
		err := MayTouch(tt.actor, tt.target)
		if (err == nil) != tt.allowed || err != nil && fault.KindOf(err) != fault.Denied {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// mayChangeRole, applyRole and deleteRole are of one role.
func mayChangeRole(s *Snapshot, actor Set, before, after *Role) error {
	_, err := MayChangeRoles(s, actor, RoleChange{Before: before, After: after})
	return err
}

func applyRole(s *Snapshot, after Role) (*Snapshot, error) {
	return ApplyRoles(s, RoleChange{After: &after})
}

func deleteRole(s *Snapshot, name string) (*Snapshot, error) {
	return ApplyRoles(s, RoleChange{Before: &Role{Name: name}})
}

func TestMayChangeRole(t *testing.T) {
	s := mustSnapshot(t, append(Builtin(), roles("low: a", "mid: b + low", "high: c + mid", "other: d", "none: ")...)...)
	made := func(text string) *Role { r := role(text); return &r }
	builtin := func(r *Role) *Role { r.Builtin = true; return r }
	for _, tt := range []struct {
		name          string
		actor         string
		before, after *Role
		kind          fault.Kind
	}{
		{"create within", "a b", nil, made("new: a b"), 0},
		{"create by inheritance within", "a b", nil, made("new: + mid"), 0},
		{"create empty", "", nil, made("new: "), 0},
		{"change within", "a b c", made("mid:"), made("mid: a + low"), 0},
		{"take away", "a b", made("mid:"), made("mid: "), 0},
		{"delete within", "d", made("other:"), nil, 0},
		{"delete empty", "", made("none:"), nil, 0},

		{"create above", "a b", nil, made("new: a c"), fault.Denied},
		{"create above by inheritance", "a b", nil, made("new: a + high"), fault.Denied},
		{"create what nobody holds", "a b c d", nil, made("new: orders:fly"), fault.Denied},
		{"create above by the built-in admin", "a", nil, made("new: + admin"), fault.Denied},
		{"add to one's own role", "a b", made("mid:"), made("mid: b c + low"), fault.Denied},
		{"inherit into one's own role", "a b", made("mid:"), made("mid: b + low other"), fault.Denied},
		{"edit a role above, adding nothing", "a b", made("high:"), made("high: c + mid"), fault.Denied},
		{"weaken a role above", "a b", made("high:"), made("high: "), fault.Denied},
		{"delete a role above", "a", made("other:"), nil, fault.Denied},
		{"a role above, told as empty", "a b", made("other:"), made("other: a"), fault.Denied},
		{"a role above, told as built by nobody", "", &Role{Name: "high", Permissions: []string{}}, made("high: "), fault.Denied},

		{"a built-in role", "read write", made("editor:"), made("editor: write + viewer"), fault.Conflict},
		{"delete a built-in role", "read", made("viewer:"), nil, fault.Conflict},
		{"become built-in", "a", made("low:"), builtin(made("low: a")), fault.Conflict},
		{"create as built-in", "a", nil, builtin(made("new: a")), fault.Conflict},
		{"a name that is taken", "a", nil, made("low: a"), fault.Conflict},
		{"a name that is reserved", "a", nil, made("admin: a"), fault.Conflict},
		{"delete what is inherited", "a", made("low:"), nil, fault.Conflict},

		{"change what is not there", "a", made("gone:"), made("gone: a"), fault.NotFound},
		{"delete what is not there", "a", made("gone:"), nil, fault.NotFound},
		{"another name", "a", made("low:"), made("lower: a"), fault.Invalid},
		{"the name of another role", "a b", made("low:"), made("mid: a"), fault.Invalid},
		{"nothing to nothing", "a", nil, nil, fault.Invalid},
		{"a wildcard", "a *", nil, made("new: *"), fault.Invalid},
		{"a circle", "a b c", made("low:"), made("low: a + high"), fault.Invalid},
		{"itself", "a", nil, made("new: a + new"), fault.Invalid},
		{"an unknown parent", "a", nil, made("new: + gone"), fault.Invalid},
	} {
		err := mayChangeRole(s, s.Set(strings.Fields(tt.actor)), tt.before, tt.after)
		if fault.KindOf(err) != tt.kind || (err == nil) != (tt.kind == 0) {
			t.Errorf("%s: %v (%v); want %v", tt.name, err, fault.KindOf(err), tt.kind)
		}
	}
	if err := mayChangeRole(s, s.All(), nil, made("new: orders:fly")); err != nil {
		t.Errorf("an operator, a permission that no role holds yet: %v", err)
	}
	if err := mayChangeRole(s, s.All(), made("admin:"), made("admin: a")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an operator, a built-in role: %v", err)
	}
	bare := mustSnapshot(t)
	if err := mayChangeRole(bare, bare.All(), nil, made("viewer: write")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a reserved name where there is no such role: %v", err)
	}
}

// TestMayChangeRoleMindsAllHeirs holds the rule to the long form of it: what
// any role at all gains must be the actor's, and what the changed one holds
// already.
func TestMayChangeRoleMindsAllHeirs(t *testing.T) {
	allowed, denied := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := drawAcyclic(t)
		s, err := NewSnapshot(1, m.roles())
		if err != nil {
			t.Fatal(err)
		}
		actor := s.Set(rapid.SliceOfN(rapid.SampledFrom(somePermissions), 0, 14).Draw(t, "actor"))
		after := drawRole(t, len(m)+1)
		next, err := applyRole(s, after)
		if err != nil {
			return // told by TestCirclesAreRefused
		}
		var before *Role
		if r, ok := s.Role(after.Name); ok {
			before = &r
		}
		want := actor.Covers(s.OfRole(after.Name))
		for _, r := range next.Roles() {
			want = want && actor.Covers(next.OfRole(r.Name).Minus(s.OfRole(r.Name)))
		}
		if want {
			allowed++
		} else {
			denied++
		}
		if err := mayChangeRole(s, actor, before, &after); (err == nil) != want {
			t.Fatalf("%v; want allowed = %t", err, want)
		}
	})
	if allowed == 0 || denied == 0 {
		t.Errorf("the draws prove nothing: %d allowed, %d denied", allowed, denied)
	}
}

// drawRole draws any role named r00 to the last but one of n, which may inherit
// any of them.
func drawRole(t *rapid.T, n int) Role {
	r := Role{
		Name:        roleName(rapid.IntRange(0, n-1).Draw(t, "role")),
		Permissions: rapid.SliceOfNDistinct(rapid.SampledFrom(somePermissions), 0, 3, rapid.ID[string]).Draw(t, "permissions"),
	}
	for _, p := range rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, 2, rapid.ID[int]).Draw(t, "parents") {
		r.Inherits = append(r.Inherits, roleName(p))
	}
	return r
}

// world is a server of the property below: its roles, who has which, and what
// the naive model says that each of them may do.
type world struct {
	snapshot *Snapshot
	has      map[string][]string // user to roles
	allowed  map[string]int      // kind of change to how often it was allowed
}

func (w *world) may(user string) Set {
	var grants []Grant
	for _, r := range w.has[user] {
		grants = append(grants, Grant{Role: r})
	}
	return w.snapshot.Effective(grants, "", noon).Set
}

func (w *world) holds(user string) map[string]bool {
	m := model{}
	for _, r := range w.snapshot.Roles() {
		m[r.Name] = r
	}
	return m.holds(w.has[user]...)
}

// step lets an actor try one thing, and does it if the rules allow it.
func (w *world) step(t *rapid.T, actor string) {
	may, target := w.may(actor), rapid.SampledFrom([]string{"ann", "bob", "cid", "dan"}).Draw(t, "target")
	changed := drawRole(t, 8)
	var before *Role
	if r, ok := w.snapshot.Role(changed.Name); ok {
		before = &r
	}
	kind := rapid.SampledFrom([]string{"give", "take", "write", "delete"}).Draw(t, "kind")
	switch {
	case kind == "give" && before != nil:
		if MayTouch(may, w.may(target)) != nil || MayGive(may, w.snapshot.OfRole(changed.Name)) != nil {
			return
		}
		w.has[target] = append(w.has[target], changed.Name)
	case kind == "take" && MayTouch(may, w.may(target)) == nil:
		w.has[target] = slices.DeleteFunc(w.has[target], func(r string) bool { return r == changed.Name })
	case kind == "write" && mayChangeRole(w.snapshot, may, before, &changed) == nil:
		next, err := applyRole(w.snapshot, changed)
		if err != nil {
			t.Fatalf("allowed, but: %v", err)
		}
		w.snapshot = next
	case kind == "delete" && before != nil && mayChangeRole(w.snapshot, may, before, nil) == nil:
		next, err := deleteRole(w.snapshot, changed.Name)
		if err != nil {
			t.Fatalf("allowed, but: %v", err)
		}
		w.snapshot = next // the grants stay and wait for a role of that name: the harder case
	default:
		return
	}
	w.allowed[kind]++
}

// TestNobodyRises is the property behind RBAC-R02: whatever one or two people
// do, as far as the rules allow it, nobody ends with a permission that neither
// he nor they held at the beginning; alone, nobody gains any for himself.
func TestNobodyRises(t *testing.T) {
	allowed := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		s, err := NewSnapshot(1, drawAcyclic(t).roles())
		if err != nil {
			t.Fatal(err)
		}
		w := &world{snapshot: s, has: map[string][]string{}, allowed: allowed}
		users := []string{"ann", "bob", "cid", "dan"}
		for _, u := range users {
			for _, r := range rapid.SliceOfN(rapid.IntRange(0, 7), 0, 3).Draw(t, u) {
				w.has[u] = append(w.has[u], roleName(r))
			}
		}
		actors := users[:rapid.IntRange(1, 2).Draw(t, "actors")]
		ceiling := map[string]map[string]bool{}
		for _, u := range users {
			ceiling[u] = w.holds(u)
			for _, a := range actors {
				for p := range w.holds(a) {
					ceiling[u][p] = true
				}
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			w.step(t, rapid.SampledFrom(actors).Draw(t, "actor"))
			for _, u := range users {
				for p := range w.holds(u) {
					if !ceiling[u][p] {
						t.Fatalf("%s came to hold %s", u, p)
					}
				}
			}
		}
	})
	for _, kind := range []string{"give", "take", "write", "delete"} {
		if allowed[kind] == 0 {
			t.Errorf("no %s was ever allowed: the draws prove nothing", kind)
		}
	}
}

func TestApplyAnddeleteRole(t *testing.T) {
	s := mustSnapshot(t, append(Builtin(), roles("low: a", "mid: b + low")...)...)
	next, err := applyRole(s, role("low: z"))
	if err != nil {
		t.Fatal(err)
	}
	if got := next.OfRole("mid").Permissions(); !slices.Equal(got, []string{"b", "z"}) || next.Version() != s.Version() || next.Known("a") {
		t.Errorf("after the change mid holds %v", got)
	}
	if !s.Known("a") || s.OfRole("mid").Has("z") {
		t.Error("the snapshot before was changed")
	}
	if next, err = applyRole(s, role("new: + mid")); err != nil || !next.OfRole("new").Has("a") {
		t.Errorf("created: %v", err)
	}
	if next, err = deleteRole(s, "mid"); err != nil || next.Known("b") || !next.Known("a") {
		t.Errorf("deleted: %v", err)
	}
	if next, err = deleteRole(next, "low"); err != nil || len(next.Roles()) != 3 {
		t.Errorf("deleted when nobody inherits it: %v", err)
	}
	for _, tt := range []struct {
		name string
		kind fault.Kind
		says string
	}{
		{"low", fault.Conflict, "inherited by mid"},
		{"viewer", fault.Conflict, "built-in"},
		{AdminRole, fault.Conflict, "built-in"},
		{"gone", fault.NotFound, "no such role"},
		{"", fault.NotFound, "no such role"},
	} {
		if next, err := deleteRole(s, tt.name); next != nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("delete %q: %v", tt.name, err)
		}
	}
	if _, err := applyRole(s, role("new: *")); err == nil || !strings.HasPrefix(err.Error(), "permissions[0]: ") {
		t.Errorf("a wildcard is told as: %v", err)
	}
}
