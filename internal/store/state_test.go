package store_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

var operator = principal.Principal{Kind: principal.CLI, ID: "test"}

func TestInUse(t *testing.T) {
	storetest.EachEmptyDSN(t, func(t *testing.T, dsn string) {
		bare, err := store.Open(t.Context(), dsn, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer bare.Close()
		is := func(want bool, when string) {
			t.Helper()
			if used, err := bare.InUse(t.Context()); err != nil || used != want {
				t.Errorf("%s: InUse = %v, %v; want %v", when, used, err, want)
			}
		}
		is(false, "without a schema")
		s := storetest.Open(t, dsn, store.Options{})
		is(false, "migrated")
		p := keyring.SealedPepper{Purpose: "test", Version: 1, CreatedAt: time.UnixMicro(1), Blob: []byte("sealed")}
		if err := s.CreatePepper(t.Context(), p, audit.Now(operator, time.UnixMicro(1), audit.PepperCreated, "pepper:test/1")); err != nil {
			t.Fatal(err)
		}
		is(true, "with something sealed")
	})
}

func TestHasAdmin(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		accounts, roles := account.NewService(s, clock.Wall()), rbac.NewService(s, clock.Wall())
		if err := roles.Load(ctx); err != nil {
			t.Fatal(err)
		}
		is := func(want bool, when string) {
			t.Helper()
			if has, err := s.HasAdmin(ctx, roles.Snapshot()); err != nil || has != want {
				t.Errorf("%s: HasAdmin = %v, %v; want %v", when, has, err, want)
			}
		}
		is(false, "empty")
		u, err := accounts.Create(ctx, operator, account.Draft{Username: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		is(false, "without a role")
		give := func(role string, until time.Time) {
			t.Helper()
			if _, err := roles.Give(ctx, operator, u.ID, role, until, ""); err != nil {
				t.Fatal(err)
			}
		}
		give("editor", time.Time{})
		is(false, "with another role")
		give(rbac.AdminRole, time.Now().Add(time.Hour))
		is(false, "with the role for an hour")
		if err := roles.Take(ctx, operator, u.ID, rbac.AdminRole); err != nil {
			t.Fatal(err)
		}
		give(rbac.AdminRole, time.Time{})
		is(true, "with the role")
	})
}

// A database holds password hashes and addresses: no other account of the
// machine reads it, whatever the umask says.
func TestSQLiteFileIsItsOwners(t *testing.T) {
	dsn := storetest.EmptySQLite(t)
	storetest.Open(t, dsn, store.Options{})
	path := strings.TrimPrefix(dsn, "sqlite:")
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != fs.FileMode(0o600) {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}
