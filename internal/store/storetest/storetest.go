// Package storetest opens empty stores for tests, on every database, and holds
// the contract that both keep.
package storetest

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/store"
)

// Env names the PostgreSQL server that tests may make databases on.
const Env = "DOORWARD_TEST_POSTGRES"

// Each runs f against an empty store on SQLite and on PostgreSQL, there in its
// own form and in the portable one.
func Each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	EachDSN(t, func(t *testing.T, dsn string) { f(t, Open(t, dsn, store.Options{})) })
	t.Run("postgres-portable", func(t *testing.T) {
		f(t, Open(t, Postgres(t), store.Options{Portable: true}))
	})
}

// Contract runs f like Each, at a clock that stands still, with a witness. What
// is left in the end is held to what is true of every state.
func Contract(t *testing.T, f func(t *testing.T, s *store.Store, w *Witness)) {
	Portable(t, f)
	t.Run("postgres-portable", func(t *testing.T) { hold(t, Postgres(t), true, f) })
}

// Portable is Contract for what no statement of either database alone has a part in.
func Portable(t *testing.T, f func(t *testing.T, s *store.Store, w *Witness)) {
	EachDSN(t, func(t *testing.T, dsn string) { hold(t, dsn, false, f) })
}

func hold(t *testing.T, dsn string, portable bool, f func(t *testing.T, s *store.Store, w *Witness)) {
	t.Parallel()
	still := clock.Func(func() time.Time { return instant })
	w := NewWitness(t, dsn)
	f(t, Open(t, dsn, store.Options{Clock: still, Portable: portable}), w)
	w.Dump(t).Check(t)
}

// EachDSN runs f with the address of an empty database of each kind.
func EachDSN(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// EachEmptyDSN runs f with the address of a database of each kind that has no schema.
func EachEmptyDSN(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, EmptySQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, EmptyPostgres(t)) })
}

// SQLite returns the address of a new database file whose schema is made.
func SQLite(t testing.TB) string {
	t.Helper()
	blob, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	dsn := EmptySQLite(t)
	if err := os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), blob, 0o600); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// EmptySQLite returns the address of a database file that is not there yet.
func EmptySQLite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "doorward.db") }

// Postgres returns the address of a new database, whose schema is made, on the
// server of Env. Without a server the test fails: what was not tested must not look
// tested.
func Postgres(t testing.TB) string {
	t.Helper()
	template, err := postgresTemplate()
	if err != nil {
		t.Fatal(err)
	}
	return newPostgres(t, " TEMPLATE "+template)
}

// EmptyPostgres returns the address of a new database without a schema.
func EmptyPostgres(t testing.TB) string { return newPostgres(t, "") }

func newPostgres(t testing.TB, like string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := onServer("CREATE DATABASE " + name + like); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := onServer("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	dsn, err := database(name)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Open opens and migrates the store at dsn, and closes it with the test.
func Open(t testing.TB, dsn string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureBuiltin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func asFault(err error) (*fault.Error, bool) { return errors.AsType[*fault.Error](err) }
