package store_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Servers that start at the same moment on an empty database make one schema and
// one set of built-in roles.
func TestMigrateAtOnce(t *testing.T) {
	const servers = 6
	storetest.EachEmptyDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		taken := make([][]string, servers)
		var wait sync.WaitGroup
		for i := range servers {
			wait.Go(func() {
				s, err := store.Open(t.Context(), dsn, store.Options{})
				if err != nil {
					t.Errorf("opening: %v", err)
					return
				}
				defer s.Close()
				if taken[i], err = s.Migrate(t.Context()); err != nil {
					t.Errorf("migrating: %v", err)
				}
				if err := s.EnsureBuiltin(t.Context()); err != nil {
					t.Errorf("the built-in roles: %v", err)
				}
				if lacks, err := s.Pending(t.Context()); err != nil || len(lacks) > 0 {
					t.Errorf("after that it lacks %q, %v", lacks, err)
				}
			})
		}
		wait.Wait()
		steps := map[string]int{}
		for _, names := range taken {
			for _, name := range names {
				steps[name]++
			}
		}
		for name, times := range steps {
			if times != 1 {
				t.Errorf("%s was taken %d times", name, times)
			}
		}
		if len(steps) == 0 {
			t.Error("nobody migrated")
		}
		s := storetest.Open(t, dsn, store.Options{})
		all, at, _, err := s.Policy(t.Context())
		if err != nil || len(all) != len(rbac.Builtin()) {
			t.Fatalf("there are %d roles, %v", len(all), err)
		}
		for _, r := range all {
			if r.Version > servers {
				t.Errorf("%s is in version %d", r.Name, r.Version)
			}
		}
		if _, err := rbac.NewSnapshot(at, all); err != nil {
			t.Error(err)
		}
	})
}

// Texts have the order of their bytes on both databases, whatever locale an operator's
// has: pages go by ids.
func TestTextsAreSortedByBytes(t *testing.T) {
	dsn := storetest.EmptyPostgres(t)
	storetest.Open(t, dsn, store.Options{})
	w := storetest.NewWitness(t, dsn)
	if n := w.Number(t, `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'migrations' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`); n > 0 {
		t.Errorf("%d columns have an order of their own", n)
	}
}

// A schema that this program did not make, or not so, is left alone.
func TestMigrateRefuses(t *testing.T) {
	for name, c := range map[string]struct{ alter, says string }{
		"another checksum": {`UPDATE migrations SET checksum = 'x'`, "was altered"},
		"a later version":  {`INSERT INTO migrations (name, checksum, applied_at) VALUES ('9999_later', 'x', 0)`, "9999_later"},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.EachEmptyDSN(t, func(t *testing.T, dsn string) {
				t.Parallel()
				s := storetest.Open(t, dsn, store.Options{})
				w := storetest.NewWitness(t, dsn)
				w.Exec(t, c.alter)
				before := w.Number(t, `SELECT COUNT(*) FROM migrations`)
				if _, err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Migrate: %v, want an error that says %q", err, c.says)
				}
				if _, err := s.Pending(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Pending: %v, want an error that says %q", err, c.says)
				}
				if after := w.Number(t, `SELECT COUNT(*) FROM migrations`); after != before {
					t.Errorf("it changed the list of migrations")
				}
			})
		})
	}
}

// A migration that fails leaves nothing, and can be taken again.
func TestMigrateFails(t *testing.T) {
	storetest.EachEmptyDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s, err := store.Open(t.Context(), dsn, store.Options{Wrap: f.Wrap})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for at := 5; at < 30; at += 8 {
			n := 0
			f.Use(func(storetest.Step) storetest.Fault {
				if n++; n == at {
					return storetest.Fault{Err: context.DeadlineExceeded}
				}
				return storetest.Fault{}
			})
			if _, err := s.Migrate(t.Context()); err == nil {
				t.Fatalf("a fault at step %d was not told", at)
			}
			f.Use(nil)
			if used, err := s.InUse(t.Context()); err != nil || used {
				t.Fatalf("after a fault at step %d: in use %v, %v", at, used, err)
			}
		}
		if names, err := s.Migrate(t.Context()); err != nil || len(names) == 0 {
			t.Fatalf("migrating again: %q, %v", names, err)
		}
		if _, err := s.Users(t.Context(), account.Filter{Limit: 1}); err != nil {
			t.Error(err)
		}
	})
}

// The built-in roles are put right again, whoever changed them; once they are,
// nothing is written.
func TestEnsureBuiltin(t *testing.T) {
	storetest.EachEmptyDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := storetest.Open(t, dsn, store.Options{})
		w := storetest.NewWitness(t, dsn)
		_, before, _, err := s.Policy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.Exec(t, `UPDATE roles SET permissions = '["read","admin"]', builtin = FALSE WHERE name = 'viewer'`)
		w.Exec(t, `DELETE FROM roles WHERE name = 'editor'`)
		for range 2 {
			if err := s.EnsureBuiltin(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, at, _, err := s.Policy(t.Context())
			if err != nil || at != before+1 {
				t.Fatalf("the roles went from version %d to %d, %v", before, at, err)
			}
			for _, want := range rbac.Builtin() {
				found := 0
				for _, r := range all {
					if r.Same(want) {
						found++
					}
				}
				if found != 1 {
					t.Errorf("%s is not as it should be", want.Name)
				}
			}
		}
	})
}
