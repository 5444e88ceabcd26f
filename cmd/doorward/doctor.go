package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/store"
)

// The gravities of findings.
const (
	well  = "ok"
	minor = "warning" // it works, and could be better
	grave = "wrong"
)

// finding is what a look at one thing came to.
type finding struct {
	About  string `json:"about"`
	Status string `json:"status"`
	Says   string `json:"says"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// examination is one run of doctor.
type examination struct {
	*program
	c        config.Config
	online   bool
	proof    string // that it reads the server's keys
	findings []finding
}

func (e *examination) ok(about, format string, args ...any) {
	e.findings = append(e.findings, finding{about, well, fmt.Sprintf(format, args...), ""})
}

func (e *examination) warn(about, do, format string, args ...any) {
	e.findings = append(e.findings, finding{about, minor, fmt.Sprintf(format, args...), do})
}

func (e *examination) wrong(about, do, format string, args ...any) {
	e.findings = append(e.findings, finding{about, grave, fmt.Sprintf(format, args...), do})
}

func (p *program) doctor() *cobra.Command {
	e := examination{program: p}
	c := p.command("doctor", "Look at the configuration, the keys and the database, and say what to do", `Nothing is changed. The settings are listed with who decided them, without
secrets. The exit code is 1 if something is wrong; a warning is not.`, `
doorward doctor
doorward doctor --online --config /etc/doorward/doorward.yaml`,
		nil, func(c *cobra.Command, _ []string) error { return e.run(c.Context()) })
	c.Flags().BoolVar(&e.online, "online", false, "also ask the server at the issuer, through the proxy if there is one, and sign in to the mail server")
	return c
}

func (e *examination) run(ctx context.Context) error {
	var err error
	if e.c, err = e.settings(config.Serve); err != nil {
		if _, misused := errors.AsType[*usageError](err); misused {
			return err
		}
		for line := range strings.Lines(err.Error()) {
			e.wrong("configuration", "correct it; serve refuses to start", "%s", strings.TrimSpace(line))
		}
		return e.report(nil)
	}
	e.ok("configuration", "it can be read, and breaks no rule")
	e.reach()
	e.files()
	e.choices()
	e.mail(ctx)
	e.counters(ctx)
	if e.master() {
		e.database(ctx)
	}
	if e.online {
		e.server(ctx)
	}
	return e.report(e.c.Values())
}

// report prints the findings and the settings.
func (e *examination) report(values []config.Value) error {
	type setting struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Origin string `json:"origin"`
	}
	v := struct {
		Findings []finding `json:"findings"`
		Settings []setting `json:"settings"`
	}{e.findings, []setting{}}
	t := table{head: []string{"STATUS", "ABOUT", "FINDING"}}
	bad := 0
	for _, f := range e.findings {
		t.row(f.Status, f.About, f.Says)
		if f.Do != "" {
			t.row("", "", "→ "+f.Do)
		}
		if f.Status == grave {
			bad++
		}
	}
	if len(values) > 0 {
		t.row() // the columns begin anew
		t.row("SETTING", "FROM", "VALUE")
	}
	for _, s := range values {
		if !s.Setting.Reserved {
			v.Settings = append(v.Settings, setting{s.Setting.Name, s.Shown, s.Origin})
			t.row(s.Setting.Name, s.Origin, s.Shown)
		}
	}
	if err := e.print(v, t); err != nil || bad == 0 {
		return err
	}
	return errShown
}

// master looks at the master key, and reports whether it can be used.
func (e *examination) master() bool {
	key := e.c.MasterKey
	_, n, err := loadMaster(key)
	if err != nil {
		e.wrong("master key", "put the key back from its copy, or mend its file; serve refuses to start", "%v", err)
		return false
	}
	also := ""
	if n > 1 {
		also = fmt.Sprintf(", with %d older keys for backups", n-1)
	}
	if key.Path == "" {
		e.ok("master key", "from the environment%s", also)
		return true
	}
	info, err := os.Stat(key.Path)
	if err != nil {
		e.wrong("master key", "", "%v", err)
		return false
	}
	uid, known := ownerOf(info)
	if known && uid != 0 && uid != os.Geteuid() {
		e.warn("master key", "it is to belong to root or to the user that the server runs as; run doctor as that user", "%s belongs to uid %d, and this is uid %d", key.Path, uid, os.Geteuid())
	}
	e.ok("master key", "%s, mode %04o%s", key.Path, info.Mode().Perm(), also)
	return true
}

// database looks at the database and all that is in it.
func (e *examination) database(ctx context.Context) {
	c := e.c
	if err := present(c); err != nil {
		e.wrong("database", "", "%v", err)
		return
	}
	s, err := server.OpenStore(ctx, c, quiet())
	if err != nil {
		e.wrong("database", "is it running, and may this user reach it?", "%v", err)
		return
	}
	current := e.schema(ctx, s)
	if err := s.Close(); err != nil {
		e.wrong("database", "", "%v", err)
	}
	if !current {
		return
	}
	k, err := server.Attach(ctx, c, quiet(), e.tweaks...)
	if err != nil {
		e.wrong("database", "", "%v", err)
		return
	}
	e.contents(ctx, k)
	if err := k.Close(); err != nil {
		e.wrong("database", "", "%v", err)
	}
}

// schema looks at how the database keeps what it is given, and reports whether
// its schema is up to date.
func (e *examination) schema(ctx context.Context, s *store.Store) bool {
	a, err := s.About(ctx)
	switch {
	case err != nil:
		e.wrong("database", "", "%v", err)
		return false
	case !a.Durable:
		e.wrong("database", "an acknowledged change may be lost with the power; set it back to its default", "%s %s keeps data with %s", a.Kind, a.Version, a.Why)
	default:
		e.ok("database", "%s: %s %s, %s", e.c.Database, a.Kind, a.Version, a.Why)
	}
	if e.c.Database.Kind == config.SQLite {
		if info, err := os.Stat(e.c.Database.Path); err == nil && info.Mode().Perm()&0o077 != 0 {
			e.warn("database", "chmod 600 it, and the files beside it", "%s can be read by other users of the machine (mode %04o)", e.c.Database.Path, info.Mode().Perm())
		}
		e.space(filepath.Dir(e.c.Database.Path))
	}
	e.beyond(a)
	lacks, err := s.Pending(ctx)
	switch {
	case err != nil:
		e.wrong("schema", "", "%v", err)
		return false
	case len(lacks) > 0:
		e.wrong("schema", "doorward migrate, or start the server, which does it too", "the database lacks %s", strings.Join(lacks, ", "))
		return false
	}
	e.ok("schema", "up to date")
	return true
}
