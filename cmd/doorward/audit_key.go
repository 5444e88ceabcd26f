package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/server"
)

// auditKeyView is a key that signs checkpoints, as it is printed.
type auditKeyView struct {
	Key       string `json:"vkey"`
	Signs     bool   `json:"signs"`
	CreatedAt string `json:"created_at"`
}

func (p *program) auditKey() *cobra.Command {
	c := p.command("key", "Print the public keys of the checkpoints", `The newest first: it signs. Those before stay, for what they signed. Keep them
with the checkpoints that you keep elsewhere: who verifies an export needs them.`, "doorward audit key",
		nil, func(c *cobra.Command, _ []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error { return p.printAuditKeys(c.Context(), k) })
		})
	c.AddCommand(p.command("rotate", "Make a new key for the checkpoints", `Running servers sign with it from their next checkpoint on. The key before vouches
for it in an event of the log, so that whoever trusts that can trust the new one.`, "doorward audit key rotate",
		nil, func(c *cobra.Command, _ []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				if err := k.Keys.RotateAudit(c.Context(), p.operator()); err != nil {
					return err
				}
				return p.printAuditKeys(c.Context(), k)
			})
		}))
	return c
}

func (p *program) printAuditKeys(ctx context.Context, k *server.Core) error {
	origin, err := k.Store.BeginLog(ctx, "")
	if err != nil {
		return err
	}
	if origin == "" {
		return fault.New(fault.NotFound, "the log has not begun: has a server run on this database yet?")
	}
	list := page[auditKeyView]{Items: []auditKeyView{}}
	t := table{head: []string{"KEY", "SIGNS", "CREATED"}}
	for i, key := range k.Keys.AuditKeys() {
		text, _, err := audit.NewVerifierKey(origin, key.Private.Public())
		if err != nil {
			return err
		}
		list.Items = append(list.Items, auditKeyView{text, i == 0, stamp(key.CreatedAt)})
		t.row(text, yes(i == 0), moment(key.CreatedAt, ""))
	}
	return p.print(list, t)
}
