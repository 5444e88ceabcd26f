package main

import (
	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) auditExport() *cobra.Command {
	var private bool
	c := p.command("export", "Write the log as it can be verified elsewhere", `JSON Lines: a header, each event with its number and its exact bytes, and the
newest checkpoint last. Where an event's time was over there is its hash. Whoever
has the public keys can verify the file with doorward audit verify --export.
An export is an event of the log itself, which comes after what it holds.`, `
doorward audit export > audit.jsonl
doorward audit export --private > audit-with-persons.jsonl`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				e := audit.Now(p.operator(), k.Clock.Now(), audit.AuditExported, audit.TheLog)
				if private {
					e = e.With("private", "true")
				}
				if err := k.Store.Record(c.Context(), e); err != nil {
					return err
				}
				n, err := audit.Export(c.Context(), p.stdout, k.Store.AuditLog(), private)
				if err == nil {
					p.say("%s leaves were exported", grouped(n))
				}
				return err
			})
		})
	c.Flags().BoolVar(&private, "private", false, "with what the events tell of persons: addresses, browsers and names")
	return c
}
