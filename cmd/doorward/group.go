package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) groups() *cobra.Command {
	return group("group", "Groups, which have roles for all who are in them", `Groups. Whoever is in a group holds the roles that it is given. A group is in no
other group. A user is named by his username, his email or his id.`,
		p.groupCreate(), p.groupList(), p.groupShow(), p.groupAdd(), p.groupRemove(), p.groupGrant(), p.groupRevoke(), p.groupDelete())
}

func noGroup(err error, name string) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "there is no group %q; see: doorward group list", name).Because(err)
	}
	return err
}

func (p *program) groupCreate() *cobra.Command {
	var g rbac.Group
	c := p.command("create", "Create a group", "Nobody is in it yet, and it has no roles.", `
doorward group create support --description "Who answers customers"`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				g.Name = args[0]
				made, err := k.Roles.CreateGroup(c.Context(), p.operator(), g)
				if err != nil {
					return err
				}
				return p.printGroup(c.Context(), k, made)
			})
		})
	c.Flags().StringVar(&g.Description, "description", "", "what it is for (`TEXT`)")
	return c
}

func (p *program) groupList() *cobra.Command {
	return p.command("list", "List all groups", "With the roles that they were given.", `
doorward group list
doorward group list -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Group]{Items: []admin.Group{}}
				t := table{head: []string{"GROUP", "ROLES", "DESCRIPTION"}}
				for after := ""; ; {
					found, err := k.Roles.Groups(c.Context(), after, 200)
					if err != nil {
						return err
					}
					for _, g := range found {
						after = g.Name
						roles, err := p.rolesOf(c.Context(), k, g.Name)
						if err != nil {
							return err
						}
						list.Items = append(list.Items, admin.ShowGroup(g))
						t.row(g.Name, strings.Join(roles, ","), g.Description)
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
}

// rolesOf returns the names of the roles that a group was given and still has.
func (p *program) rolesOf(ctx context.Context, k *server.Core, name string) (roles []string, err error) {
	h, err := k.Roles.Holding(ctx, rbac.OfGroup(name))
	if err != nil {
		return nil, err
	}
	for _, g := range h.Grants {
		if g.Live(k.Clock.Now()) {
			roles = append(roles, g.Role)
		}
	}
	return roles, nil
}

// member is somebody in a group, with what people call him.
type member struct {
	admin.Member
	Username string `json:"username,omitempty"`
}

// groupView is a group with what it has and who is in it.
type groupView struct {
	admin.Group
	Grants  []admin.Grant `json:"grants"`
	Members []member      `json:"members"`
}

func (p *program) groupShow() *cobra.Command {
	return p.command("show", "Show a group, its roles and who is in it", "Of the members, a thousand at the most.", "doorward group show support",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				g, err := k.Roles.Group(c.Context(), args[0])
				if err != nil {
					return noGroup(err, args[0])
				}
				return p.printGroup(c.Context(), k, g)
			})
		})
}

func (p *program) printGroup(ctx context.Context, k *server.Core, g rbac.Group) error {
	v := groupView{admin.ShowGroup(g), []admin.Grant{}, []member{}}
	var t table
	t.row("group", g.Name)
	if g.Description != "" {
		t.row("description", g.Description)
	}
	h, err := k.Roles.Holding(ctx, rbac.OfGroup(g.Name))
	if err != nil {
		return err
	}
	for _, one := range h.Grants {
		shown, err := viewGrant(ctx, k, one)
		if err != nil {
			return err
		}
		v.Grants = append(v.Grants, shown)
		shown.Group = "" // it is this one
		t.row("role", grantText(shown))
	}
	const most = 1000
	found, err := k.Roles.Members(ctx, g.Name, "", most+1)
	if err != nil {
		return err
	}
	for _, one := range found[:min(most, len(found))] {
		m, err := p.viewMember(ctx, k, one)
		if err != nil {
			return err
		}
		v.Members = append(v.Members, m)
		t.row("member", memberText(m))
	}
	if len(found) > most {
		p.say("there are more than %d members: GET /groups/%s/members lists all", most, g.Name)
	}
	return p.print(v, t)
}

func (p *program) viewMember(ctx context.Context, k *server.Core, m rbac.Member) (member, error) {
	v := member{Member: admin.ShowMember(m, k.Clock.Now())}
	if m.Kind == principal.User {
		u, err := k.Accounts.User(ctx, m.Principal)
		if err != nil && fault.KindOf(err) != fault.NotFound { // he was deleted since
			return v, err
		}
		v.Username = u.Username
	}
	return v, nil
}

func memberText(m member) string {
	text := m.Username
	if text == "" {
		text = "client " + m.ID
	}
	text += ", added by " + m.AddedBy
	switch {
	case m.Until != "" && m.Live:
		text += ", until " + m.Until
	case m.Until != "":
		text += ", ended " + m.Until
	}
	if m.Reason != "" {
		text += " (" + m.Reason + ")"
	}
	return text
}

// within runs a command about a group and somebody who exists.
func (p *program) within(ctx context.Context, name, who string, service bool, do func(*server.Core, rbac.Group, holder) error) error {
	return p.with(ctx, func(k *server.Core) error {
		g, err := k.Roles.Group(ctx, name)
		if err != nil {
			return noGroup(err, name)
		}
		h, err := p.holder(ctx, k, who, service)
		if err != nil {
			return err
		}
		return do(k, g, h)
	})
}

func (p *program) groupAdd() *cobra.Command {
	var until, reason string
	var service bool
	c := p.command("add", "Bring a user into a group", `He holds all that the group has, at once. With --until he leaves it by himself:
after a duration like 24h, or at a time like 2027-01-01T00:00:00Z (RFC 3339).`, `
doorward group add support ana
doorward group add support ana --until 24h --reason "covers for Ben"`,
		[]string{"GROUP", "USER"}, func(c *cobra.Command, args []string) error {
			end, err := p.end(c, until)
			if err != nil {
				return err
			}
			return p.within(c.Context(), args[0], args[1], service, func(k *server.Core, g rbac.Group, h holder) error {
				m, err := k.Roles.AddMember(c.Context(), p.operator(), rbac.Member{Group: g.Name, Kind: h.kind, Principal: h.id, Until: end, Reason: reason})
				if err != nil {
					return err
				}
				var t table
				t.row("added", h.name)
				t.row("to", g.Name)
				t.row("until", moment(m.Until, "without end"))
				return p.print(admin.ShowMember(m, k.Clock.Now()), t)
			})
		})
	c.Flags().StringVar(&until, "until", "", "when it ends (`TIME`)")
	c.Flags().StringVar(&reason, "reason", "", "why (`TEXT`)")
	c.Flags().BoolVar(&service, "client", false, "a client instead of a user")
	return c
}

func (p *program) groupRemove() *cobra.Command {
	var service bool
	c := p.command("remove", "Take a user out of a group", "Access tokens that carry what he had by it are refused within a second.",
		"doorward group remove support ana",
		[]string{"GROUP", "USER"}, func(c *cobra.Command, args []string) error {
			return p.within(c.Context(), args[0], args[1], service, func(k *server.Core, g rbac.Group, h holder) error {
				err := k.Roles.RemoveMember(c.Context(), p.operator(), g.Name, h.id)
				if fault.KindOf(err) == fault.NotFound {
					return fault.New(fault.NotFound, "%s is not in the group %q", h.name, g.Name).Because(err)
				} else if err != nil {
					return err
				}
				var t table
				t.row("removed", h.name)
				t.row("from", g.Name)
				return p.print(map[string]string{"removed": h.id, "group": g.Name}, t)
			})
		})
	c.Flags().BoolVar(&service, "client", false, "a client instead of a user")
	return c
}

// ofGroup runs a command about a role and a group, which both exist.
func (p *program) ofGroup(ctx context.Context, name, role string, do func(*server.Core, rbac.Group) error) error {
	return p.with(ctx, func(k *server.Core) error {
		if _, ok := k.Roles.Snapshot().Role(role); !ok {
			return noRole(role)
		}
		g, err := k.Roles.Group(ctx, name)
		if err != nil {
			return noGroup(err, name)
		}
		return do(k, g)
	})
}

func (p *program) groupGrant() *cobra.Command {
	var until, reason string
	c := p.command("grant", "Grant a role to a group", `All who are in it hold the role at once. With --until that ends by itself: after a
duration like 24h, or at a time like 2027-01-01T00:00:00Z (RFC 3339).`, `
doorward group grant support refunder
doorward group grant support refunder --until 24h --reason "the sale"`,
		[]string{"GROUP", "ROLE"}, func(c *cobra.Command, args []string) error {
			end, err := p.end(c, until)
			if err != nil {
				return err
			}
			return p.ofGroup(c.Context(), args[0], args[1], func(k *server.Core, g rbac.Group) error {
				made, err := k.Roles.GiveGrant(c.Context(), p.operator(), rbac.Grant{Group: g.Name, Role: args[1], Until: end, Reason: reason})
				if err != nil {
					return err
				}
				return p.printGranted(c.Context(), k, made, g.Name)
			})
		})
	c.Flags().StringVar(&until, "until", "", "when it ends (`TIME`)")
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log (`TEXT`)")
	return c
}

func (p *program) groupRevoke() *cobra.Command {
	return p.command("revoke", "Take a role away from a group", `Access tokens that carry the role are refused within a second: those of who is in
the group, and those of others who have the role, who refresh theirs.`,
		"doorward group revoke support refunder",
		[]string{"GROUP", "ROLE"}, func(c *cobra.Command, args []string) error {
			return p.ofGroup(c.Context(), args[0], args[1], func(k *server.Core, g rbac.Group) error {
				if err := k.Roles.TakeGrant(c.Context(), p.operator(), rbac.Grant{Group: g.Name, Role: args[1]}); err != nil {
					return err
				}
				var t table
				t.row("revoked", args[1])
				t.row("from", g.Name)
				return p.print(map[string]string{"revoked": args[1], "group": g.Name}, t)
			})
		})
}

func (p *program) groupDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete a group", "Who is in it loses what it was given. The accounts stay.", "doorward group delete support --yes",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				g, err := k.Roles.Group(c.Context(), args[0])
				if err != nil {
					return noGroup(err, args[0])
				}
				if err := p.confirm(c.Context(), sure, "Delete the group "+g.Name+"?"); err != nil {
					return err
				}
				if err := k.Roles.DeleteGroup(c.Context(), p.operator(), g.Name, g.Version); err != nil {
					return err
				}
				return p.deleted("group", g.Name, g.Name)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
