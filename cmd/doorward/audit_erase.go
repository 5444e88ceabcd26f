package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/server"
)

// erasure is what erase prints of one account.
type erasure struct {
	User  string `json:"user"`
	Parts int64  `json:"parts"`
}

func (p *program) auditErase() *cobra.Command {
	var from string
	var sure bool
	c := p.command("erase", "Delete what the log tells of persons", `The address, the browser and the names that events hold of an account are deleted,
for good. The events stay, with the account's id, and the log can be verified as
before: an event says that this was done. user delete --erase does it too.

After a database was restored from an older backup, --from does again what was
done since: FILE is an export of the log or what a sink has written. Accounts of
which the log tells nothing are left out.`, `
doorward audit erase 06h2ck99cfi8546me3gha58ci8
doorward audit erase --from /var/log/doorward/audit.log`,
		nil, nil)
	c.Use = "erase USER_ID… | --from FILE"
	c.Args = func(c *cobra.Command, args []string) error {
		if (from == "") == (len(args) == 0) {
			return usage(c, "it takes the ids of accounts, or --from FILE")
		}
		for _, user := range args {
			if !id.Valid(user) {
				return usage(c, "an account is named by its id here: it may be deleted already")
			}
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		p.running = true
		if from != "" {
			in, shut, err := p.open(from)
			if err != nil {
				return err
			}
			defer shut()
			if args, err = audit.Erasures(in); err != nil {
				return err
			}
		}
		return p.with(c.Context(), func(k *server.Core) error { return p.erase(c.Context(), k, args, from != "", sure) })
	}
	c.Flags().StringVar(&from, "from", "", "erase again whom this `FILE` says to have been erased; - is stdin")
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

func (p *program) erase(ctx context.Context, k *server.Core, users []string, again, sure bool) error {
	list := page[erasure]{Items: []erasure{}}
	t := table{head: []string{"USER", "PARTS"}}
	var ids []string
	for _, user := range users {
		n, err := k.Store.Tells(ctx, user)
		if err != nil {
			return err
		}
		if again && n == 0 {
			continue
		}
		ids = append(ids, user)
		list.Items = append(list.Items, erasure{user, n})
		t.row(user, fmt.Sprint(n))
	}
	if len(ids) > 0 {
		if err := p.confirm(ctx, sure, fmt.Sprintf("Erase %d accounts from the log for good?", len(ids))); err != nil {
			return err
		}
	}
	if err := k.Store.Erase(ctx, p.operator(), ids...); err != nil {
		return err
	}
	return p.print(list, t)
}
