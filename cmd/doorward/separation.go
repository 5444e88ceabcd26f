package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) separation() *cobra.Command {
	return group("separation", "Roles that nobody may have together", `Separation of duty. Of the roles of a separation nobody holds two, itself, through
groups or by inheritance: static. Or he may hold, but not use two of them in one
session or token: dynamic.`,
		p.separationCreate(), p.separationList(), p.separationShow(), p.separationDelete())
}

func (p *program) separationCreate() *cobra.Command {
	s := rbac.Separation{}
	var kind string
	c := p.command("create", "Keep roles apart", `Where somebody holds two of them already, it is refused, and says who. With
--kind dynamic roles may be held together: who signs in chooses with roles.`, `
doorward separation create payments --role orderer --role payer
doorward separation create hats --kind dynamic --role author --role editor-in-chief`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				s.Name, s.Kind = args[0], rbac.Apart(kind)
				made, err := k.Roles.CreateSeparation(c.Context(), p.operator(), s)
				if err != nil {
					return err
				}
				return p.printSeparation(made)
			})
		})
	c.Flags().StringVar(&s.Description, "description", "", "why (`TEXT`)")
	c.Flags().StringVar(&kind, "kind", string(rbac.Static), "static or dynamic (`KIND`)")
	c.Flags().StringSliceVar(&s.Roles, "role", nil, "a `ROLE` that is kept apart from the others; repeated")
	return c
}

func (p *program) printSeparation(s rbac.Separation) error {
	var t table
	t.row("separation", s.Name)
	if s.Description != "" {
		t.row("description", s.Description)
	}
	t.row("kind", string(s.Kind))
	t.row("roles", strings.Join(s.Roles, " "))
	return p.print(admin.ShowSeparation(s), t)
}

func (p *program) separationList() *cobra.Command {
	return p.command("list", "List what is kept apart", "By name.", "doorward separation list",
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				all, err := k.Roles.Separations(c.Context())
				if err != nil {
					return err
				}
				list := page[admin.Separation]{Items: []admin.Separation{}}
				t := table{head: []string{"SEPARATION", "KIND", "ROLES", "DESCRIPTION"}}
				for _, s := range all {
					list.Items = append(list.Items, admin.ShowSeparation(s))
					t.row(s.Name, string(s.Kind), strings.Join(s.Roles, " "), s.Description)
				}
				return p.print(list, t)
			})
		})
}

func noSeparation(err error, name string) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "there is no separation %q; see: doorward separation list", name).Because(err)
	}
	return err
}

func (p *program) separationShow() *cobra.Command {
	return p.command("show", "Show a separation", "And its roles.", "doorward separation show payments",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				s, err := k.Roles.Separation(c.Context(), args[0])
				if err != nil {
					return noSeparation(err, args[0])
				}
				return p.printSeparation(s)
			})
		})
}

func (p *program) separationDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Let roles be held together", "The roles stay.", "doorward separation delete payments --yes",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				s, err := k.Roles.Separation(c.Context(), args[0])
				if err != nil {
					return noSeparation(err, args[0])
				}
				if err := p.confirm(c.Context(), sure, "Delete the separation "+s.Name+"?"); err != nil {
					return err
				}
				if err := k.Roles.DeleteSeparation(c.Context(), p.operator(), s.Name, s.Version); err != nil {
					return err
				}
				return p.deleted("separation", s.Name, s.Name)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
