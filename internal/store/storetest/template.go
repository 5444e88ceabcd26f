package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/doorward/doorward/internal/store"
)

// Making the schema takes longer than most tests do. So it is made once in each
// process, and copied. The copy that PostgreSQL holds goes with the server that
// was started for the tests.

var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "doorward-template")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "doorward.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

var postgresTemplate = sync.OnceValues(func() (string, error) {
	name := "template_" + strings.ToLower(rand.Text())
	if err := onServer("CREATE DATABASE " + name); err != nil {
		return "", err
	}
	dsn, err := database(name)
	if err != nil {
		return "", err
	}
	return name, migrate(dsn)
})

func migrate(dsn string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	_, err = s.Migrate(ctx)
	return errors.Join(err, s.Close())
}

// onServer runs a statement on the server of Env.
func onServer(statement string) error {
	server := os.Getenv(Env)
	if server == "" {
		return fmt.Errorf("%s is not set: run the tests with make test, which starts PostgreSQL", Env)
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return err
	}
	defer admin.Close()
	_, err = admin.Exec(statement)
	return err
}

// database returns the address of a database on the server of Env.
func database(name string) (string, error) {
	u, err := url.Parse(os.Getenv(Env))
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}
