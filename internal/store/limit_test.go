package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestLimits(t *testing.T) {
	contract := func(t *testing.T, dsn func(testing.TB) string, o store.Options) {
		t.Parallel()
		storetest.Limits(t, func(t testing.TB) [2]limit.Store {
			at := dsn(t)
			return [2]limit.Store{storetest.Open(t, at, o), storetest.Open(t, at, o)}
		})
	}
	t.Run("sqlite", func(t *testing.T) { contract(t, storetest.SQLite, store.Options{}) })
	t.Run("postgres", func(t *testing.T) { contract(t, storetest.Postgres, store.Options{}) })
	t.Run("postgres-portable", func(t *testing.T) { contract(t, storetest.Postgres, store.Options{Portable: true}) })
}
