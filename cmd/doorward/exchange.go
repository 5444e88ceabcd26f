package main

import (
	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) exchange() *cobra.Command {
	return group("exchange", "Which tokens a client may exchange", `A client with the grant token-exchange trades tokens of others, and API keys, for
tokens about the same subject for another API. It may do that where a rule says so.`,
		p.exchangeAllow(), p.exchangeList(), p.exchangeForbid())
}

func (p *program) exchangeAllow() *cobra.Command {
	var x client.Exchange
	c := p.command("allow", "Let a client exchange tokens", `What the new tokens carry is never more than what was exchanged, nor than what the
client may ask for. Without --impersonation the client must say by an actor token who
acts, and the new token says so too.`, `
doorward client exchange allow gateway --from client:shop --resource https://orders.example.com
doorward client exchange allow gateway --from api-keys --resource https://orders.example.com --impersonation`,
		[]string{"CLIENT"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				if err := admin.KnownResource(c.Context(), k.Resources, x.Resource); err != nil {
					return err
				}
				x.Client = args[0]
				made, err := k.Clients.AllowExchange(c.Context(), p.operator(), x)
				if err != nil {
					return err
				}
				v := admin.ShowExchange(made)
				var t table
				t.row("rule", v.ID)
				t.row("exchanges", v.From)
				t.row("for", v.Resource)
				t.row("as", manner(v))
				return p.print(v, t)
			})
		})
	c.Flags().StringVar(&x.From, "from", "", "`SOURCE` of what is exchanged: client: and an id, or api-keys")
	c.Flags().StringVar(&x.Resource, "resource", "", "the `URI` of the API that the new tokens are for")
	c.Flags().BoolVar(&x.Impersonation, "impersonation", false, "also without an actor, in the place of the subject")
	return c
}

// manner says how a client stands to whom the tokens are about.
func manner(x admin.Exchange) string {
	if x.Impersonation {
		return "the subject, or who acts for him"
	}
	return "who acts for the subject"
}

func (p *program) exchangeList() *cobra.Command {
	return p.command("list", "List which tokens a client may exchange", "In the order in which it was allowed.", "doorward client exchange list gateway",
		[]string{"CLIENT"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				found, err := k.Clients.Exchanges(c.Context(), args[0])
				if err != nil {
					return err
				}
				list := page[admin.Exchange]{Items: []admin.Exchange{}}
				t := table{head: []string{"RULE", "EXCHANGES", "FOR", "AS"}}
				for _, one := range found {
					v := admin.ShowExchange(one)
					list.Items = append(list.Items, v)
					t.row(v.ID, v.From, v.Resource, manner(v))
				}
				return p.print(list, t)
			})
		})
}

func (p *program) exchangeForbid() *cobra.Command {
	return p.command("forbid", "Let a client exchange tokens no more", `All tokens of the client are refused within a second, those that were exchanged and
its own; it gets others of its own at once.`, "doorward client exchange forbid gateway 01j9zq4a7r3v5k8m2n6p0s1t4w",
		[]string{"CLIENT", "RULE"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				if err := k.Clients.ForbidExchange(c.Context(), p.operator(), args[0], args[1]); err != nil {
					return err
				}
				return p.deleted("rule", args[1], args[1])
			})
		})
}
