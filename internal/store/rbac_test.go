package store_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

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
		for round := range 4 {
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
			if err := here.Roles.DeleteRole(t.Context(), storetest.Operator, role, 0); err != nil {
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
