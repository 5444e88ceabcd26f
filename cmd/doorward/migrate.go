package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/store"
)

func (p *program) migrate() *cobra.Command {
	var check bool
	c := p.command("migrate", "Bring the database's schema up to date", `serve does the same when it starts. Migrations go forward only and never break
the version before. With --check nothing is changed: what is lacking is listed,
and the exit code is 1 if anything is.`, `
doorward migrate
doorward migrate --check`,
		nil, func(c *cobra.Command, _ []string) error {
			s, err := p.settings(config.Command)
			if err == nil && check {
				err = present(s)
			}
			if err != nil {
				return err
			}
			db, err := server.OpenStore(c.Context(), s, quiet())
			if err != nil {
				return err
			}
			if check {
				err = p.pending(c.Context(), db)
			} else {
				err = p.bringUpToDate(c.Context(), db)
			}
			return errors.Join(err, db.Close())
		})
	c.Flags().BoolVar(&check, "check", false, "only list what is lacking")
	return c
}

func (p *program) pending(ctx context.Context, db *store.Store) error {
	names, err := db.Pending(ctx)
	if err != nil {
		return err
	}
	if err := p.printMigrations("pending", names); err != nil || len(names) == 0 {
		return err
	}
	return errShown
}

func (p *program) bringUpToDate(ctx context.Context, db *store.Store) error {
	names, err := db.Migrate(ctx)
	if err == nil {
		err = db.EnsureBuiltin(ctx)
	}
	if err != nil {
		return err
	}
	return p.printMigrations("applied", names)
}

func (p *program) printMigrations(what string, names []string) error {
	var t table
	for _, n := range names {
		t.row(what, n)
	}
	if len(names) == 0 {
		p.say("the database is up to date")
	}
	return p.print(map[string][]string{what: append([]string{}, names...)}, t)
}
