package store_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestPolicy(t *testing.T) { storetest.Portable(t, storetest.Policy) }

// A token names the version of the policy up to which its server knew all
// changes, and is void if its user lost something under a later one. So at no
// moment between two changes may a server name a version and still hold what was
// lost under it.
func TestNoVersionIsNamedBeforeItIsKnownWhole(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		here := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		there := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		var holders []string
		for i := range 6 {
			holders = append(holders, here.User(t, fmt.Sprint("holder", i)).ID)
		}
		var given int64 // the version under which the role was given
		held := func(ctx context.Context) (n int) {
			for _, id := range holders {
				e, version, err := there.Roles.Of(ctx, id)
				if err != nil {
					t.Error(err)
				}
				if e.Has("p") {
					n++
					if version > given {
						t.Errorf("version %d is named, under which the permission was lost, with the permission", version)
					}
				}
			}
			return n
		}
		there.Feed.Listen(func(ctx context.Context, _ feed.Change) error { held(ctx); return nil })
		losses := []func(role string) error{
			func(role string) error { return here.Roles.DeleteRole(t.Context(), storetest.Operator, role, 0) },
			func(role string) error { // what many things lose at once, roles and grants in one step
				return apply(t, here, fmt.Sprintf("version: 1\nroles: {%s: {permissions: [p]}, beside-%s: {permissions: [q]}}\ngrants: {}\n", role, role), true)
			},
		}
		for round := range 6 {
			given = math.MaxInt64
			role := fmt.Sprint("role", round)
			if _, err := here.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: role, Permissions: []string{"p"}}); err != nil {
				t.Fatal(err)
			}
			for _, id := range holders {
				if _, err := here.Roles.Give(t.Context(), storetest.Operator, id, role, time.Time{}, ""); err != nil {
					t.Fatal(err)
				}
			}
			if err := there.Feed.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			given = there.Roles.Version()
			if n := held(t.Context()); n != len(holders) {
				t.Fatalf("%d of %d hold the permission", n, len(holders))
			}
			if err := losses[round%len(losses)](role); err != nil {
				t.Fatal(err)
			}
			if err := there.Feed.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := held(t.Context()); n != 0 || there.Roles.Version() <= given {
				t.Fatalf("%d hold the permission under version %d", n, there.Roles.Version())
			}
		}
	})
}

// pair opens one database twice, as two servers do.
func pair(t *testing.T, dsn string) [2]*storetest.Services {
	var both [2]*storetest.Services
	for i := range both {
		both[i] = storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
	}
	return both
}

// Administrators who demote, disable or delete each other at the same moment, on
// two servers, leave one.
func TestAttackRBAC006LastAdminRace(t *testing.T) {
	const admins = 3
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		both := pair(t, dsn)
		off := account.Disabled
		against := map[string]func(ctx context.Context, v *storetest.Services, by principal.Principal, id string) error{
			"demote": func(ctx context.Context, v *storetest.Services, by principal.Principal, id string) error {
				return v.Roles.Take(ctx, by, id, rbac.AdminRole)
			},
			"disable": func(ctx context.Context, v *storetest.Services, by principal.Principal, id string) error {
				_, err := v.Accounts.Update(ctx, by, id, account.Change{Status: &off})
				return err
			},
			"delete": func(ctx context.Context, v *storetest.Services, by principal.Principal, id string) error {
				return v.Accounts.Delete(ctx, by, id, 0, false)
			},
		}
		w := storetest.NewWitness(t, dsn)
		for name, act := range against {
			for round := range 4 {
				w.Exec(t, "DELETE FROM grants")
				var by []principal.Principal
				for i := range admins {
					u := both[0].User(t, fmt.Sprintf("%s-%d-%d", name, round, i), rbac.AdminRole)
					by = append(by, principal.Principal{Kind: principal.User, ID: u.ID, Scopes: []string{"admin"}})
				}
				var wait sync.WaitGroup
				var done atomic.Int64
				for n, who := range [][2]int{{0, 1}, {1, 0}, {2, 2}, {0, 0}, {1, 1}} { // who acts, and on whom
					wait.Go(func() {
						switch err := act(t.Context(), both[n%2], by[who[0]], by[who[1]].ID); fault.KindOf(err) {
						case fault.Denied, fault.Conflict, fault.NotFound, fault.Stale:
						case 0:
							if err != nil {
								t.Errorf("%s: %v", name, err)
							}
							done.Add(1)
						default:
							t.Errorf("%s: %v", name, err)
						}
					})
				}
				wait.Wait()
				left := w.Number(t, `SELECT COUNT(*) FROM grants JOIN users ON users.id = principal WHERE role = 'admin' AND status = 'active'`)
				if left == 0 || done.Load() == 0 {
					t.Fatalf("%s: %d were done, and %d administrators are left", name, done.Load(), left)
				}
			}
		}
	})
}

// Roles that are made to inherit each other at the same moment never make a
// circle.
func TestAttackRBAC004CycleRace(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		both := pair(t, dsn)
		for round := range 8 {
			names := []string{fmt.Sprint("a", round), fmt.Sprint("b", round), fmt.Sprint("c", round)}
			for _, name := range names {
				if _, err := both[0].Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: name, Permissions: []string{name}}); err != nil {
					t.Fatal(err)
				}
			}
			var wait sync.WaitGroup
			var done atomic.Int64
			for i, name := range names {
				wait.Go(func() {
					_, err := both[i%2].Roles.ReplaceRole(t.Context(), storetest.Operator, rbac.Role{Name: name, Inherits: []string{names[(i+1)%3]}})
					if err == nil {
						done.Add(1)
					} else if fault.KindOf(err) != fault.Invalid {
						t.Errorf("closing the circle: %v", err)
					}
				})
			}
			wait.Wait()
			if done.Load() != 2 {
				t.Fatalf("%d of three edges of a circle were made, want 2", done.Load())
			}
			all, at, _, err := both[0].Store.Policy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rbac.NewSnapshot(at, all); err != nil {
				t.Fatalf("what was kept cannot be read: %v", err)
			}
		}
	})
}

// Whoever loses a role while he gives it gave it before, or not at all.
func TestAttackGrantByOneWhoLosesIt(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		both := pair(t, dsn)
		w := storetest.NewWitness(t, dsn)
		for round := range 8 {
			giver := both[0].User(t, fmt.Sprint("giver", round), "editor")
			friend := both[0].User(t, fmt.Sprint("friend", round))
			by := principal.Principal{Kind: principal.User, ID: giver.ID, Scopes: []string{"read", "write"}}
			var wait sync.WaitGroup
			var given, taken error
			wait.Go(func() { _, given = both[0].Roles.Give(t.Context(), by, friend.ID, "editor", time.Time{}, "") })
			wait.Go(func() { taken = both[1].Roles.Take(t.Context(), storetest.Operator, giver.ID, "editor") })
			wait.Wait()
			if taken != nil || given != nil && fault.KindOf(given) != fault.Denied {
				t.Fatalf("given: %v; taken: %v", given, taken)
			}
			gave := w.Number(t, `SELECT COALESCE(MAX(version), 0) FROM changes WHERE topic = 'grants' AND subject = '`+friend.ID+`'`)
			lost := w.Number(t, `SELECT MAX(version) FROM changes WHERE topic = 'grant-lost' AND subject = '`+giver.ID+`'`)
			if (given == nil) != (gave > 0) || gave > lost {
				t.Errorf("given: %v, under version %d; lost under version %d", given, gave, lost)
			}
		}
	})
}

// After a gap a server knows what the database says, even if that went back: a
// version that is too high would make tokens that no loss of a right voids.
func TestGapForgetsWhatWasKnownOfThePolicy(t *testing.T) {
	dsn := storetest.SQLite(t)
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
	u := v.User(t, "ann", "editor")
	if held, version, err := v.Roles.Of(t.Context(), u.ID); err != nil || !held.Has("write") || version < 2 {
		t.Fatalf("she holds %q under version %d, %v", held.Permissions(), version, err)
	}
	w := storetest.NewWitness(t, dsn)
	w.Exec(t, "DELETE FROM grants")
	w.Exec(t, "UPDATE policy SET version = 1, roles = 1")
	if err := v.Roles.Apply(t.Context(), feed.Change{Topic: feed.Gap}); err != nil {
		t.Fatal(err)
	}
	if held, version, err := v.Roles.Of(t.Context(), u.ID); err != nil || held.Has("write") || version != 1 {
		t.Errorf("after the gap she holds %q under version %d, %v", held.Permissions(), version, err)
	}
}

// Who is given a role that another process has just made has it at his first sign-in,
// before the feed tells of the role.
func TestRoleOfAnotherProcess(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		both := pair(t, dsn)
		if _, err := both[1].Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: "fresh", Permissions: []string{"orders:read"}}); err != nil {
			t.Fatal(err)
		}
		u := both[1].User(t, "ann", "fresh")
		if e, _, err := both[0].Roles.Of(t.Context(), u.ID); err != nil || !e.Has("orders:read") {
			t.Errorf("%v holds nothing: %v", u.ID, err)
		}
		u = both[1].User(t, "bea", "fresh")
		if d, err := both[0].Roles.Explain(t.Context(), "user:bea", u.ID, nil, "orders:read", ""); err != nil || !d.Allowed {
			t.Errorf("%+v, %v", d, err)
		}
	})
}
