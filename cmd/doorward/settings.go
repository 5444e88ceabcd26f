package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/server"
)

const (
	usualConfig = "doorward.yaml"
	usualData   = ".doorward"
)

// sources gathers what the operator wrote, for a mode. The file is the one that
// he named; a command has others to look for.
func (p *program) sources(mode config.Mode) (config.Sources, error) {
	s := config.Sources{Mode: mode, File: p.configFile, Environ: p.env, Flags: map[string]string{}, Defaults: map[string]string{}}
	if s.File == "" {
		s.File = p.getenv("DOORWARD_CONFIG")
	}
	if p.database != "" {
		s.Flags["--database"] = p.database
	}
	for _, setting := range p.set {
		name, value, ok := strings.Cut(setting, "=")
		if !ok || name == "" {
			return s, &usageError{"doorward", "--set takes NAME=VALUE, like --set tokens.access_ttl=10m"}
		}
		if _, twice := s.Flags["--set "+name]; twice {
			return s, &usageError{"doorward", "--set gives " + name + " twice"}
		}
		s.Flags["--set "+name] = value
	}
	return s, nil
}

// settings reads the configuration of a command that works on what is there: the
// file that the operator named or, failing that, the usual one, or what dev
// keeps in the working directory.
func (p *program) settings(mode config.Mode) (config.Config, error) {
	s, err := p.sources(mode)
	if err != nil {
		return config.Config{}, err
	}
	if s.File == "" {
		s.File = p.usual(s)
	}
	if s.File != "" && p.configFile == "" && p.getenv("DOORWARD_CONFIG") == "" {
		if err := p.ours(s.File); err != nil {
			return config.Config{}, err
		}
	}
	return config.Read(s)
}

// usual returns the file that a command reads where none was named.
func (p *program) usual(s config.Sources) string {
	elsewhere := p.getenv("DOORWARD_DATABASE") != "" || p.getenv("DOORWARD_DATABASE_FILE") != "" ||
		s.Flags["--database"] != "" || s.Flags["--set database"] != ""
	switch {
	case exists(usualConfig):
		return usualConfig
	case !elsewhere && isData(usualData):
		p.say("working on what doorward dev keeps in %s; --config names another", usualData)
		return filepath.Join(usualData, usualConfig)
	}
	return ""
}

// ours refuses a file that was found, not named, and that a stranger put there:
// in a folder that everybody may write to, it could be anybody's.
func (p *program) ours(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, known := ownerOf(info)
	behind := os.Geteuid() == 0 && p.getenv("SUDO_UID") == strconv.Itoa(uid)
	if !known || uid == 0 || uid == os.Geteuid() || behind {
		return nil
	}
	return fault.New(fault.Denied, "%s belongs to another user (uid %d); if you trust it, name it: --config %[1]s", path, uid)
}

// attach opens the database that a command works on, which must be there.
func (p *program) attach(ctx context.Context) (*server.Core, error) {
	c, err := p.settings(config.Command)
	if err != nil {
		return nil, err
	}
	if err := present(c); err != nil {
		return nil, err
	}
	return server.Attach(ctx, c, quiet(), p.tweaks...)
}

// with runs a command on the database that is there.
func (p *program) with(ctx context.Context, do func(k *server.Core) error) error {
	k, err := p.attach(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(k), k.Close())
}

// quiet is the log of a command, whose errors are told by itself.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// present refuses an SQLite file that is not there: opening it would make it.
func present(c config.Config) error {
	if c.Database.Kind != config.SQLite || exists(c.Database.Path) {
		return nil
	}
	return fault.New(fault.NotFound, "there is no database at %s; make one with doorward init or doorward dev, or name another with --config or --database", c.Database.Path)
}

// exists reports whether something is at a path, even if it cannot be read.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// operator is who runs the program: his login name, also behind sudo. What
// anybody may set in his environment is believed of root alone.
func (p *program) operator() principal.Principal {
	by := principal.Principal{Kind: principal.CLI, ID: "uid " + strconv.Itoa(os.Geteuid())}
	if u, err := user.Current(); err == nil && u.Username != "" {
		by.ID = u.Username
	}
	if name := p.getenv("SUDO_USER"); name != "" && os.Geteuid() == 0 {
		by.ID = name
	}
	return by
}
