package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/factor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// beginning is one run of init.
type beginning struct {
	*program
	issuer, listen string
	admin          newUser
	fromStdin      bool

	file   string // the configuration to be written
	given  string // the database, if it was an argument
	master string // the master key's file, if it is to be made
}

func (p *program) initialize() *cobra.Command {
	b := beginning{program: p}
	c := p.command("init", "Set up a server: configuration, keys, database, administrator", `It writes a commented configuration file with every setting, and the master key
beside it; then it makes the database and the first administrator, whose password
is asked for, unless it comes from stdin or DOORWARD_ADMIN_PASSWORD. Nothing that
is there is overwritten. Keep a copy of the master key apart from the database:
without it the database is of no use.`, `
doorward init --issuer https://auth.example.com
doorward init --issuer https://auth.example.com --database 'postgres://doorward@db.example.com/doorward?sslmode=verify-full' --password-stdin < password.txt`,
		nil, func(c *cobra.Command, _ []string) error { return b.run(c.Context()) })
	f := c.Flags()
	f.StringVar(&b.issuer, "issuer", "", "the `URL` by which clients will know the server; asked for if not given")
	f.StringVar(&b.listen, "listen", "", "where it will listen (`HOST:PORT`)")
	f.StringVar(&b.admin.Username, "admin", adminName, "the `NAME` of the first administrator")
	f.StringVar(&b.admin.Email, "email", "", "the administrator's email `ADDRESS`")
	f.BoolVar(&b.fromStdin, "password-stdin", false, "read the administrator's password from stdin")
	return c
}

func (b *beginning) run(ctx context.Context) error {
	c, err := b.chosen(ctx)
	if err != nil {
		return err
	}
	text, err := b.document(c)
	if err == nil {
		err = b.free(ctx, c)
	}
	if err != nil {
		return err
	}
	password, err := b.password(ctx, c)
	if err != nil {
		return err
	}
	if b.master != "" {
		if err := writeNew(b.master, []byte(masterFile(secret.NewMaster()))); err != nil {
			return err
		}
	}
	if err := writeNew(b.file, text); err != nil {
		return err
	}
	if err := b.establish(ctx, c, password); err != nil {
		b.say("%s is written; once this is put right, go on with: doorward migrate, and doorward user create %s --role %s", b.file, b.admin.Username, rbac.AdminRole)
		return err
	}
	return b.report(c)
}

// chosen reads what the operator chose, as serve will.
func (b *beginning) chosen(ctx context.Context) (config.Config, error) {
	s, err := b.sources(config.Serve)
	if err != nil {
		return config.Config{}, err
	}
	b.file, s.File = s.File, "" // it is to be written, not read
	if b.file == "" {
		b.file = usualConfig
	}
	if b.listen != "" {
		s.Flags["--listen"] = b.listen
	}
	master := filepath.Join(filepath.Dir(b.file), dataMaster)
	s.Defaults["master_key"] = master
	f, person := b.terminal()
	if b.issuer == "" && b.getenv("DOORWARD_ISSUER") == "" && s.Flags["--set issuer"] == "" && person {
		if b.issuer, err = b.asked(ctx, f, "Issuer, the URL by which clients will know this server (like https://auth.example.com): "); err != nil {
			return config.Config{}, err
		}
	}
	if b.issuer != "" {
		s.Flags["--issuer"] = b.issuer
	}
	b.given = cmp.Or(s.Flags["--database"], s.Flags["--set database"])
	c, err := config.Read(s)
	if err == nil && c.MasterKey.Path != "" && (c.MasterKey.Path == master || !exists(c.MasterKey.Path)) {
		b.master = c.MasterKey.Path
	}
	return c, err
}

// free refuses to overwrite anything, and tells all of what is there at once.
func (b *beginning) free(ctx context.Context, c config.Config) error {
	var errs []error
	files := []string{b.file}
	if b.master != "" {
		files = append(files, b.master)
	}
	if c.Database.Kind == config.SQLite {
		files = append(files, c.Database.Path)
	}
	for _, name := range files {
		if exists(name) {
			errs = append(errs, fault.New(fault.Conflict, "%s is there already, and init overwrites nothing; name another, or move it away", name))
		}
	}
	if c.Database.Kind == config.Postgres && errs == nil {
		used, err := inUse(ctx, c)
		if err != nil {
			return err
		}
		if used {
			errs = append(errs, fault.New(fault.Conflict, "the database %s is in use already; name an empty one", c.Database))
		}
	}
	return errors.Join(errs...)
}

// document is the configuration file. It holds no secret: what came from the
// environment is to come from there again.
func (b *beginning) document(c config.Config) ([]byte, error) {
	values := map[string]string{}
	for _, v := range c.Values() {
		if v.Origin != "default" && v.Text != "" && v.Text != (secret.Text{}).String() {
			values[v.Setting.Name] = v.Text
		}
	}
	// Of an address in the environment the parameters are left out as the
	// password is; one that was an argument has no password.
	if b.given != "" {
		values["database"] = b.given
	}
	if c.MasterKey.Path != "" {
		values["master_key"] = c.MasterKey.Path
	}
	// In the file, paths of files start from its folder; given as flags, they
	// start from the working directory, as the database's does in both.
	dir := filepath.Dir(b.file)
	for _, name := range []string{"master_key", "tls.cert", "tls.key"} {
		path := values[name]
		if path == "" || filepath.IsAbs(path) {
			continue
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(relative, "..") {
			if relative, err = filepath.Abs(path); err != nil {
				return nil, err
			}
		}
		values[name] = relative
	}
	if c.Database.Kind == config.SQLite && dir != "." { // wherever serve is started

		path, err := filepath.Abs(c.Database.Path)
		if err != nil {
			return nil, err
		}
		values["database"] = "sqlite:" + path
	}
	var text bytes.Buffer
	err := config.WriteCommented(&text, values)
	return text.Bytes(), err
}

// password reads the administrator's password and checks it, before anything is
// written.
func (b *beginning) password(ctx context.Context, c config.Config) (secret.Text, error) {
	if _, err := account.ParseUsername(b.admin.Username); err != nil {
		return secret.Text{}, err
	}
	if b.admin.Email != "" {
		if _, err := account.ParseEmail(b.admin.Email); err != nil {
			return secret.Text{}, err
		}
	}
	password := secret.From(b.getenv(adminPassword))
	fixed := !password.IsZero() && !b.fromStdin
	if !fixed {
		var err error
		if password, err = b.newPassword(ctx, b.fromStdin, b.admin.Username); err != nil {
			return secret.Text{}, err
		}
	}
	h := factor.NewHasher(factor.Options{Algorithm: c.Passwords.Hash, Workers: 1, MinLength: c.Passwords.MinLength})
	defer h.Close()
	return password, inEnvironment(administrator{fixed: fixed}, h.Check(password, b.admin.Username, b.admin.Email))
}

// establish makes the database with its keys and the administrator.
func (b *beginning) establish(ctx context.Context, c config.Config, password secret.Text) error {
	core, err := server.NewCore(ctx, c, quiet(), b.tweaks...)
	if err != nil {
		return err
	}
	b.admin.roles = []string{rbac.AdminRole}
	_, err = b.createUser(ctx, core, b.admin, password)
	return errors.Join(err, core.Close())
}

func (b *beginning) report(c config.Config) error {
	var t table
	t.row("configuration", b.file)
	if b.master != "" {
		t.row("master key", b.master)
	}
	t.row("database", c.Database.String())
	t.row("issuer", c.Issuer.String())
	t.row("administrator", b.admin.Username)
	v := map[string]string{
		"configuration": b.file, "master_key": b.master, "database": c.Database.String(), "issuer": c.Issuer.String(), "administrator": b.admin.Username,
	}
	if err := b.print(v, t); err != nil {
		return err
	}
	command := "doorward serve"
	if b.file != usualConfig {
		command += " --config " + quoted(b.file)
	}
	if c.Database.Kind == config.Postgres && b.given == "" {
		b.say("the database's password and parameters are not in %s: give them in the environment, or write them there", b.file)
	}
	if c.Issuer.Scheme == "https" && !c.TLS.Speaks() && len(c.TrustedProxies) == 0 {
		b.say("https needs a certificate (tls.cert and tls.key, or tls.acme), or a proxy that has one (trusted_proxies): give one of them in %s", b.file)
	}
	b.say("keep a copy of the master key apart from the database; then start the server: %s", command)
	return nil
}
