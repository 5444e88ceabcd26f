package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) registrationToken() *cobra.Command {
	return group("registration-token", "Tokens by which clients can be registered", `Whoever has such a token may register clients himself, at POST /oauth2/register (RFC
7591: the initial access token). They ask for no more than the token says.`,
		p.registrationTokenCreate(), p.registrationTokenList(), p.registrationTokenRevoke())
}

func (p *program) registrationTokenCreate() *cobra.Command {
	var d client.InitialDraft
	c := p.command("create", "Make a token by which clients can be registered", `It is printed once, and nobody can read it again. Clients registered by it may always ask
for the scopes of identity, openid and the like, and of permissions for those that are
named here. NAME is for people: whom the token is for.`, `
doorward client registration-token create "build servers" --uses 20 --expires-in 168h
doorward client registration-token create "shop team" --scope orders:read`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				d.Name = args[0]
				made, fresh, err := k.Clients.CreateInitialToken(c.Context(), p.operator(), d)
				if err != nil {
					return err
				}
				v := admin.InitialTokenSecret{InitialToken: admin.ShowInitialToken(made), Secret: fresh.Reveal()}
				var t table
				t.row("id", v.ID)
				t.row("name", v.Name)
				t.row("permissions", strings.Join(v.Scopes, " "))
				t.row("clients", strconv.FormatInt(v.Uses, 10))
				t.row("expires", v.ExpiresAt)
				t.row("token", v.Secret)
				if err := p.print(v, t); err != nil {
					return err
				}
				p.say("keep the token now: it is not shown again")
				return nil
			})
		})
	c.Flags().StringArrayVar(&d.Scopes, "scope", nil, "a `PERMISSION` that the clients may ask for; may be repeated")
	c.Flags().Int64Var(&d.Uses, "uses", 1, "how many clients it may register (`N`)")
	c.Flags().DurationVar(&d.Lasts, "expires-in", client.InitialLasts, "after how long it expires (`DURATION`)")
	return c
}

func (p *program) registrationTokenList() *cobra.Command {
	return p.command("list", "List the tokens by which clients can be registered", "In the order in which they were made. A token is listed until a day after its time.", "doorward client registration-token list",
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.InitialToken]{Items: []admin.InitialToken{}}
				t := table{head: []string{"TOKEN", "NAME", "CLIENTS LEFT", "EXPIRES", "PERMISSIONS"}}
				for after := ""; ; {
					found, err := k.Clients.InitialTokens(c.Context(), after, 200)
					if err != nil {
						return err
					}
					for _, one := range found {
						after = one.ID
						v := admin.ShowInitialToken(one)
						list.Items = append(list.Items, v)
						t.row(v.ID, v.Name, strconv.FormatInt(v.Uses, 10), v.ExpiresAt, strings.Join(v.Scopes, " "))
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
}

func (p *program) registrationTokenRevoke() *cobra.Command {
	var sure bool
	c := p.command("revoke", "Revoke a token by which clients can be registered", "The clients that it registered stay; delete or disable them one by one.", "doorward client registration-token revoke 01j9zq4a7r3v5k8m2n6p0s1t4w --yes",
		[]string{"TOKEN"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				found, err := k.Clients.InitialToken(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, fmt.Sprintf("Revoke the registration token %s, %q?", found.ID, found.Name)); err != nil {
					return err
				}
				if err := k.Clients.RevokeInitialToken(c.Context(), p.operator(), found.ID); err != nil {
					return err
				}
				var t table
				t.row("revoked", found.ID)
				return p.print(map[string]string{"revoked": found.ID}, t)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
