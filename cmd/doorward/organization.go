package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) organization() *cobra.Command {
	return group("organization", "Organizations and their members", `Organizations: accounts and clients that belong together. A member may be given
roles within one (role grant --organization), which count there alone.`,
		p.organizationCreate(), p.organizationList(), p.organizationShow(), p.organizationAdd(), p.organizationRemove(), p.organizationDelete())
}

func (p *program) organizationCreate() *cobra.Command {
	var display string
	c := p.command("create", "Make an organization", "Its name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and never changes.", `
doorward organization create acme --display-name "Acme Ltd."`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				o, err := k.Orgs.Create(c.Context(), p.operator(), args[0], display)
				if err != nil {
					return err
				}
				return p.print(admin.ShowOrganization(o), organizationTable(o))
			})
		})
	c.Flags().StringVar(&display, "display-name", "", "what people call it (`TEXT`)")
	return c
}

func organizationTable(o org.Organization) table {
	var t table
	t.row("organization", o.Name)
	t.row("id", o.ID)
	t.row("people call it", o.DisplayName)
	return t
}

func (p *program) organizationList() *cobra.Command {
	return p.command("list", "List all organizations", "In the order of their names.", `
doorward organization list
doorward organization list -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Organization]{Items: []admin.Organization{}}
				t := table{head: []string{"ORGANIZATION", "ID", "PEOPLE CALL IT"}}
				for after := ""; ; {
					found, err := k.Orgs.List(c.Context(), after, 200)
					if err != nil {
						return err
					}
					for _, o := range found {
						after = o.Name
						list.Items = append(list.Items, admin.ShowOrganization(o))
						t.row(o.Name, o.ID, o.DisplayName)
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
}

// organizationDetail is an organization with its members.
type organizationDetail struct {
	admin.Organization
	Members []memberView `json:"members"`
}

// memberView is a member as it is printed.
type memberView struct {
	ID    string   `json:"id"`
	Type  string   `json:"type"`
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
}

func (p *program) organizationShow() *cobra.Command {
	return p.command("show", "Show an organization and its members", "With the roles that each has within it.", "doorward organization show acme",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				o, err := k.Orgs.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				v := organizationDetail{admin.ShowOrganization(o), []memberView{}}
				t := organizationTable(o)
				for after := ""; ; {
					found, err := k.Orgs.Members(c.Context(), o, after, 200)
					if err != nil {
						return err
					}
					for _, m := range found {
						after = m.Principal
						one, err := viewMember(c.Context(), k, m)
						if err != nil {
							return err
						}
						v.Members = append(v.Members, one)
						t.row(one.Type, strings.TrimSpace(one.Name+" "+strings.Join(one.Roles, " ")))
					}
					if len(found) < 200 {
						return p.print(v, t)
					}
				}
			})
		})
}

func viewMember(ctx context.Context, k *server.Core, m org.Member) (memberView, error) {
	v := memberView{ID: m.Principal, Type: "user", Name: m.Principal, Roles: []string{}}
	if m.Kind == principal.Service {
		v.Type = "client"
	} else {
		u, err := k.Accounts.User(ctx, m.Principal)
		if err != nil {
			return v, err
		}
		v.Name = u.Username
	}
	h, err := k.Roles.Holding(ctx, m.Principal)
	if err != nil {
		return v, err
	}
	for _, g := range h.Grants {
		if g.Organization == m.Organization && g.Live(k.Clock.Now()) {
			v.Roles = append(v.Roles, g.Role)
		}
	}
	return v, nil
}

// membership runs a command about an organization and who is, or is to be, a member.
func (p *program) membership(ctx context.Context, organization, name string, service bool, do func(*server.Core, org.Organization, holder) error) error {
	return p.with(ctx, func(k *server.Core) error {
		o, err := k.Orgs.Fresh(ctx, organization)
		if err != nil {
			return err
		}
		h, err := p.holder(ctx, k, name, service)
		if err != nil {
			return err
		}
		return do(k, o, h)
	})
}

func (p *program) organizationAdd() *cobra.Command {
	var service bool
	c := p.command("add", "Make somebody a member", "That alone lets him do nothing: see role grant --organization.", `
doorward organization add acme ana
doorward organization add acme billing --client`,
		[]string{"NAME", "USER"}, func(c *cobra.Command, args []string) error {
			return p.membership(c.Context(), args[0], args[1], service, func(k *server.Core, o org.Organization, h holder) error {
				if _, err := k.Orgs.Add(c.Context(), p.operator(), o, h.kind, h.id); err != nil {
					return err
				}
				var t table
				t.row("added", h.name)
				t.row("to", o.Name)
				return p.print(map[string]string{"added": h.id, "organization": o.Name}, t)
			})
		})
	c.Flags().BoolVar(&service, "client", false, "a client instead of a user")
	return c
}

func (p *program) organizationRemove() *cobra.Command {
	var service bool
	c := p.command("remove", "End a membership", "He loses the roles that he has within it; tokens that carry them are refused within a second.", `
doorward organization remove acme ana`,
		[]string{"NAME", "USER"}, func(c *cobra.Command, args []string) error {
			return p.membership(c.Context(), args[0], args[1], service, func(k *server.Core, o org.Organization, h holder) error {
				if err := k.Orgs.Remove(c.Context(), p.operator(), o, h.id); err != nil {
					return err
				}
				var t table
				t.row("removed", h.name)
				t.row("from", o.Name)
				return p.print(map[string]string{"removed": h.id, "organization": o.Name}, t)
			})
		})
	c.Flags().BoolVar(&service, "client", false, "a client instead of a user")
	return c
}

func (p *program) organizationDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete an organization", "All roles that are held in it go, too. Its tokens are refused within a second.", "doorward organization delete acme --yes",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				o, err := k.Orgs.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, "Delete the organization "+o.Name+" and all roles that are held in it?"); err != nil {
					return err
				}
				if err := k.Orgs.Delete(c.Context(), p.operator(), o.Name, o.Version); err != nil {
					return err
				}
				return p.deleted("organization", o.Name, o.ID)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
