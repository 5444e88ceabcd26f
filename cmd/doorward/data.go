package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// data is the folder in which dev keeps everything. Its configuration file is
// for the other commands: dev writes it and does not read it.
type data string

const (
	dataDatabase = "doorward.db"
	dataMaster   = "master.key"
	dataPassword = "admin-password"
	dataMark     = "# What doorward dev keeps in this folder. Its other commands find it by this file.\n"
)

func (d data) path(name string) string { return filepath.Join(string(d), name) }

// isData reports whether a folder is one that dev made.
func isData(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, usualConfig))
	return err == nil && bytes.HasPrefix(text, []byte(dataMark))
}

// prepare makes the folder, or finds it as it was left.
func (d data) prepare() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	// A first run may have been interrupted before the folder had its mark.
	foreign := func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), unfinished(usualConfig)) }
	if slices.ContainsFunc(entries, foreign) && !isData(string(d)) {
		return fault.New(fault.Conflict, "%s is not empty, and not a folder of doorward dev; name another with --data", d)
	}
	info, err := os.Stat(string(d))
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(string(d), 0o700) //nolint:gosec // a folder is entered
	}
	return nil
}

// clear deletes what dev made in the folder, the database first: what is left of
// an interrupted clearing is no data without its key.
func (d data) clear() error {
	if !exists(string(d)) {
		return nil
	}
	if !isData(string(d)) {
		return fault.New(fault.Conflict, "%s is not a folder of doorward dev: nothing was deleted", d)
	}
	for _, name := range []string{dataDatabase, dataDatabase + "-wal", dataDatabase + "-shm", dataDatabase + "-journal", dataPassword, dataMaster, dataCA, dataCAKey, dataCert, dataCertKey} {
		if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// remember writes the configuration that the other commands find. It is as
// secret as the folder: a database's password is in it.
func (d data) remember(c config.Config) error {
	values := map[string]string{"issuer": c.Issuer.String(), "listen": c.Listen.String(), "database": c.Database.DSN.Reveal()}
	if c.Database.Kind == config.SQLite {
		path, err := filepath.Abs(c.Database.Path)
		if err != nil {
			return err
		}
		values["database"] = "sqlite:" + path
	}
	if path := c.MasterKey.Path; path == d.path(dataMaster) {
		values["master_key"] = dataMaster
	} else if path != "" {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		values["master_key"] = absolute
	}
	for name, path := range map[string]string{"tls.cert": c.TLS.Cert, "tls.key": c.TLS.Key} {
		if path == "" {
			continue
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		values[name] = absolute
	}
	text := bytes.NewBufferString(dataMark)
	if err := config.WriteCommented(text, values); err != nil {
		return err
	}
	before, err := os.ReadFile(d.path(usualConfig))
	if err == nil && bytes.Equal(before, text.Bytes()) {
		return nil
	}
	return replace(d.path(usualConfig), text.Bytes())
}

// ensureMaster makes the master key of a new folder. Where there are data that
// another key seals, a new one would make them look lost.
func (d data) ensureMaster(ctx context.Context, c config.Config) error {
	path := c.MasterKey.Path
	if path != d.path(dataMaster) || exists(path) {
		return nil
	}
	if c.Database.Kind == config.Postgres || exists(c.Database.Path) {
		used, err := inUse(ctx, c)
		if err != nil {
			return err
		}
		if used {
			return fault.New(fault.Conflict, "the master key %s is gone, and the database %s is sealed with it: put it back, or start anew (doorward dev --fresh, or another --database)", path, c.Database)
		}
	}
	return writeNew(path, []byte(masterFile(secret.NewMaster())))
}

// inUse looks into a database without changing it.
func inUse(ctx context.Context, c config.Config) (bool, error) {
	s, err := server.OpenStore(ctx, c, quiet())
	if err != nil {
		return false, err
	}
	used, err := s.InUse(ctx)
	return used, errors.Join(err, s.Close())
}
