package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) resource() *cobra.Command {
	return group("resource", "The APIs that tokens are meant for", `APIs: what tokens for each are called for (aud), which permissions it knows, how
long its tokens live and what they are signed with. A token for an API carries
only what the API knows.`,
		p.resourceCreate(), p.resourceList(), p.resourceShow(), p.resourceUpdate(), p.resourceDelete())
}

// api are the flags of what an API is registered with.
type api struct {
	name, alg   string
	permissions []string
	ttl         time.Duration
}

func (a *api) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.name, "name", "", "what people call it (`TEXT`)")
	c.Flags().StringArrayVar(&a.permissions, "permission", nil, "a `PERMISSION` that it knows, with what people read of it: orders:read=Read orders; may be repeated")
	c.Flags().DurationVar(&a.ttl, "access-ttl", 0, "how long its access tokens live (`DURATION`); tokens.access_ttl if not given, or 0")
	c.Flags().StringVar(&a.alg, "signing-alg", "", "what its access tokens are signed with (`ALG`): ES256, EdDSA, RS256 or PS256; tokens.signing_alg if not given")
}

// described returns the permissions of the flags.
func (a *api) described() []resource.Permission {
	var list []resource.Permission
	for _, text := range given(a.permissions) {
		name, description, _ := strings.Cut(text, "=")
		list = append(list, resource.Permission{Name: name, Description: description})
	}
	return list
}

func (p *program) resourceCreate() *cobra.Command {
	var a api
	var identifier string
	c := p.command("create", "Register an API", `Tokens for it are asked for by its identifier (resource, RFC 8707), which never
changes.`, `
doorward resource create orders --identifier https://orders.example.com --permission 'orders:read=Read orders'
doorward resource create bank --identifier https://bank.example.com --permission pay --access-ttl 1m --signing-alg PS256`,
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			if identifier == "" {
				return usage(c, "--identifier is missing")
			}
			return p.withKeys(c.Context(), func(k *server.Core) error {
				made, err := k.Resources.Create(c.Context(), p.operator(), resource.Resource{
					ID: args[0], Identifier: identifier, Name: a.name, Permissions: a.described(), AccessTTL: a.ttl, Alg: jose.Algorithm(a.alg),
				})
				if err != nil {
					return err
				}
				return p.printResource(made)
			})
		})
	c.Flags().StringVar(&identifier, "identifier", "", "what its tokens are for (`URI`)")
	a.flags(c)
	return c
}

func (p *program) printResource(r resource.Resource) error {
	v := admin.ShowResource(r)
	var t table
	t.row("id", v.ID)
	t.row("identifier", v.Identifier)
	t.row("name", v.Name)
	for _, one := range v.Permissions {
		t.row("permission", strings.TrimSpace(one.Name+"  "+one.Description))
	}
	if v.AccessTTL != 0 {
		t.row("its tokens live", r.AccessTTL.String())
	}
	if v.Alg != "" {
		t.row("are signed with", v.Alg)
	}
	return p.print(v, t)
}

func (p *program) resourceList() *cobra.Command {
	return p.command("list", "List all APIs", "In the order of their ids.", `
doorward resource list
doorward resource list -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Resource]{Items: []admin.Resource{}}
				t := table{head: []string{"RESOURCE", "IDENTIFIER", "NAME", "PERMISSIONS"}}
				for after := ""; ; {
					found, err := k.Resources.List(c.Context(), after, 200)
					if err != nil {
						return err
					}
					for _, one := range found {
						after = one.ID
						list.Items = append(list.Items, admin.ShowResource(one))
						t.row(one.ID, one.Identifier, one.Name, strconv.Itoa(len(one.Permissions)))
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
}

func (p *program) resourceShow() *cobra.Command {
	return p.command("show", "Show an API and its permissions", "With what people read of each permission.", "doorward resource show orders",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				r, err := k.Resources.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				return p.printResource(r)
			})
		})
}

func (p *program) resourceUpdate() *cobra.Command {
	var a api
	c := p.command("update", "Change an API", `What a flag names is replaced whole; the rest stays. What it no longer knows,
tokens that carry it are refused for within a second. Another lifetime or
algorithm holds for the tokens that are given from then on.`, `
doorward resource update orders --permission 'orders:read=Read orders' --permission 'orders:write=Change orders'
doorward resource update orders --access-ttl 5m`,
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				r, err := a.changed(c.Context(), k, c, args[0])
				if err != nil {
					return err
				}
				if r, err = k.Resources.Update(c.Context(), p.operator(), r); err != nil {
					return err
				}
				return p.printResource(r)
			})
		})
	a.flags(c)
	return c
}

// changed returns an API with what the flags say.
func (a *api) changed(ctx context.Context, k *server.Core, c *cobra.Command, id string) (resource.Resource, error) {
	r, err := k.Resources.Fresh(ctx, id)
	if err != nil {
		return r, err
	}
	for flag, set := range map[string]func(){
		"name": func() { r.Name = a.name }, "permission": func() { r.Permissions = a.described() },
		"access-ttl": func() { r.AccessTTL = a.ttl }, "signing-alg": func() { r.Alg = jose.Algorithm(a.alg) },
	} {
		if c.Flags().Changed(flag) {
			set()
		}
	}
	return r, nil
}

func (p *program) resourceDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete an API", "No token is given for it any more, and those that were are refused within a second.", "doorward resource delete orders --yes",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				r, err := k.Resources.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, "Delete the resource "+r.ID+" ("+r.Identifier+")?"); err != nil {
					return err
				}
				if err := k.Resources.Delete(c.Context(), p.operator(), r.ID, r.Version); err != nil {
					return err
				}
				return p.deleted("resource", r.ID, r.ID)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
