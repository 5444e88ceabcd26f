package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Once a program has ended, the one file holds everything: a copy of it is whole.
func TestOneFileHoldsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	accounts := account.NewService(s, clock.Wall())
	ann, err := accounts.Create(t.Context(), principal.Principal{Kind: principal.CLI, ID: "test"}, account.Draft{Username: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.Fresh(t.Context(), ann.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(copied, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.Open(t, "sqlite:"+copied, store.Options{}).User(t.Context(), ann.ID); err != nil {
		t.Errorf("the copy lacks what was kept: %v", err)
	}
}
