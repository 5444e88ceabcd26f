// Package storetest opens empty stores for tests, on every database, and holds
// the contract that both keep.
package storetest

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
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
	hold := func(t *testing.T, dsn string, portable bool) {
		t.Parallel()
		still := clock.Func(func() time.Time { return instant })
		w := NewWitness(t, dsn)
		f(t, Open(t, dsn, store.Options{Clock: still, Portable: portable}), w)
		w.Dump(t).Check(t)
	}
	EachDSN(t, func(t *testing.T, dsn string) { hold(t, dsn, false) })
	t.Run("postgres-portable", func(t *testing.T) { hold(t, Postgres(t), true) })
}

// EachDSN runs f with the address of an empty database of each kind.
func EachDSN(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// SQLite returns the address of a new database file.
func SQLite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "doorward.db") }

// Postgres returns the address of a new database on the server of Env. Without
// a server the test fails: what was not tested must not look tested.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Env)
	if server == "" {
		t.Fatalf("%s is not set: run the tests with make test, which starts PostgreSQL", Env)
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := "test_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("pgx", server)
		if err != nil {
			t.Error(err)
			return
		}
		defer admin.Close()
		if _, err := admin.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
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
