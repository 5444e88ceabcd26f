package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/server"
)

// noEnd is the end of a grant that has none.
var noEnd time.Time

func (p *program) role() *cobra.Command {
	return group("role", "Roles and grants", `Roles and grants. A role is a named set of permissions that may inherit others.
A user is named by his username, his email or his id.`,
		p.roleCreate(), p.roleList(), p.roleShow(), p.roleGrant(), p.roleRevoke(), p.roleDelete(), p.roleExplain(), p.roleDecision())
}

func viewRole(r rbac.Role) admin.Role {
	return admin.Role{
		Name: r.Name, Description: r.Description, Permissions: append([]string{}, r.Permissions...), Inherits: append([]string{}, r.Inherits...),
		Builtin: r.Builtin, CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
	}
}

// viewGrant returns a grant as it is printed.
func viewGrant(ctx context.Context, k *server.Core, g rbac.Grant) (admin.Grant, error) {
	v := admin.Grant{
		ID: g.ID, Role: g.Role, Group: g.Group, Until: stamp(g.Until), Reason: g.Reason, GrantedBy: g.By, GrantedAt: stamp(g.At), Live: g.Live(k.Clock.Now()),
	}
	if g.Organization == "" {
		return v, nil
	}
	o, err := k.Orgs.ByID(ctx, g.Organization)
	v.Org = o.Name
	return v, err
}

func (p *program) roleCreate() *cobra.Command {
	var r rbac.Role
	c := p.command("create", "Create a role", "A permission is a scope, like orders:read. There are no wildcards.", `
doorward role create support --permission orders:read --permission orders:refund --inherit viewer`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				r.Name = args[0]
				made, err := k.Roles.CreateRole(c.Context(), p.operator(), r)
				if err != nil {
					return err
				}
				return p.printRole(c.Context(), k, made)
			})
		})
	c.Flags().StringVar(&r.Description, "description", "", "what it is for (`TEXT`)")
	c.Flags().StringArrayVar(&r.Permissions, "permission", nil, "a `PERMISSION` that it holds; may be repeated")
	c.Flags().StringSliceVar(&r.Inherits, "inherit", nil, "a `ROLE` whose permissions it holds too; may be repeated")
	return c
}

func (p *program) roleList() *cobra.Command {
	return p.command("list", "List all roles", "With their own permissions, without those that they inherit.", `
doorward role list
doorward role list -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Role]{Items: []admin.Role{}}
				t := table{head: []string{"ROLE", "INHERITS", "PERMISSIONS", "DESCRIPTION"}}
				for _, r := range k.Roles.Snapshot().Roles() {
					list.Items = append(list.Items, viewRole(r))
					t.row(r.Name, strings.Join(r.Inherits, ","), strings.Join(r.Permissions, " "), r.Description)
				}
				return p.print(list, t)
			})
		})
}

func (p *program) roleShow() *cobra.Command {
	return p.command("show", "Show a role and all that it holds", "What it inherits is worked out.", "doorward role show editor",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				r, ok := k.Roles.Snapshot().Role(args[0])
				if !ok {
					return noRole(args[0])
				}
				return p.printRole(c.Context(), k, r)
			})
		})
}

// printRole prints a role with what it holds by inheritance, as the database has
// it now.
func (p *program) printRole(ctx context.Context, k *server.Core, r rbac.Role) error {
	if err := k.Roles.Load(ctx); err != nil {
		return err
	}
	all := k.Roles.Snapshot().OfRole(r.Name).Permissions()
	v := struct {
		admin.Role
		Effective []string `json:"effective_permissions"`
	}{viewRole(r), all}
	var t table
	t.row("role", r.Name)
	if r.Description != "" {
		t.row("description", r.Description)
	}
	t.row("permissions", strings.Join(r.Permissions, " "))
	t.row("inherits", strings.Join(r.Inherits, " "))
	t.row("holds in all", strings.Join(all, " "))
	t.row("built in", yes(r.Builtin))
	return p.print(v, t)
}

// parseUntil reads when a grant is to end: a duration from now, or a time.
func parseUntil(text string, now time.Time) (time.Time, bool) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), true
	}
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

func (p *program) roleGrant() *cobra.Command {
	var until, reason, organization string
	var service bool
	c := p.command("grant", "Grant a role to a user", `It counts at once. With --until it ends by itself: after a duration like 24h, or
at a time like 2027-01-01T00:00:00Z (RFC 3339).`, `
doorward role grant ana support
doorward role grant ana support --until 24h --reason "covers for Ben"
doorward role grant ana support --organization acme`,
		[]string{"USER", "ROLE"}, func(c *cobra.Command, args []string) error {
			end, err := p.end(c, until)
			if err != nil {
				return err
			}
			return p.upon(c.Context(), args[0], args[1], service, func(k *server.Core, h holder) error {
				in, err := organizationID(c.Context(), k, organization)
				if err != nil {
					return err
				}
				g, err := k.Roles.GiveGrant(c.Context(), p.operator(), rbac.Grant{Kind: h.kind, Principal: h.id, Role: args[1], Organization: in, Until: end, Reason: reason})
				if err != nil {
					return err
				}
				return p.printGranted(c.Context(), k, g, h.name)
			})
		})
	c.Flags().StringVar(&until, "until", "", "when it ends (`TIME`)")
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log (`TEXT`)")
	c.Flags().BoolVar(&service, "client", false, "to a client instead of a user")
	c.Flags().StringVar(&organization, "organization", "", "to count within this one alone (`NAME`), of which he is a member")
	return c
}

// end reads the flag --until; zero is without end.
func (p *program) end(c *cobra.Command, until string) (time.Time, error) {
	if until == "" {
		return noEnd, nil
	}
	end, ok := parseUntil(until, p.began)
	if !ok {
		return noEnd, usage(c, "--until is a duration like 24h (days in hours), or a time like 2027-01-01T00:00:00Z")
	}
	return end, nil
}

func (p *program) printGranted(ctx context.Context, k *server.Core, g rbac.Grant, to string) error {
	v, err := viewGrant(ctx, k, g)
	if err != nil {
		return err
	}
	var t table
	t.row("granted", g.Role)
	t.row("to", to)
	if v.Org != "" {
		t.row("in", v.Org)
	}
	t.row("until", moment(g.Until, "without end"))
	return p.print(v, t)
}

// holder is who has a role, or is to have it.
type holder struct {
	kind     principal.Kind
	id, name string
}

// upon runs a command about a role that exists and a user who does, or a client.
func (p *program) upon(ctx context.Context, name, role string, service bool, do func(*server.Core, holder) error) error {
	return p.with(ctx, func(k *server.Core) error {
		if _, ok := k.Roles.Snapshot().Role(role); !ok {
			return noRole(role)
		}
		h, err := p.holder(ctx, k, name, service)
		if err != nil {
			return err
		}
		return do(k, h)
	})
}

// holder returns the user, or the client, that the operator means.
func (p *program) holder(ctx context.Context, k *server.Core, name string, service bool) (holder, error) {
	if service {
		c, err := k.Clients.Fresh(ctx, name)
		return holder{principal.Service, c.ID, c.ID}, err
	}
	u, err := p.find(ctx, k, name)
	return holder{principal.User, u.ID, u.Username}, err
}

// organizationID returns the id of an organization by its name; none for none.
func organizationID(ctx context.Context, k *server.Core, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	o, err := k.Orgs.Fresh(ctx, name)
	return o.ID, err
}

func (p *program) roleRevoke() *cobra.Command {
	var service bool
	var organization string
	c := p.command("revoke", "Take a role away from a user", "Access tokens that carry what he had by it are refused within a second.",
		"doorward role revoke ana support",
		[]string{"USER", "ROLE"}, func(c *cobra.Command, args []string) error {
			return p.upon(c.Context(), args[0], args[1], service, func(k *server.Core, h holder) error {
				in, err := organizationID(c.Context(), k, organization)
				if err != nil {
					return err
				}
				if err := k.Roles.TakeGrant(c.Context(), p.operator(), rbac.Grant{Kind: h.kind, Principal: h.id, Role: args[1], Organization: in}); err != nil {
					return err
				}
				var t table
				t.row("revoked", args[1])
				t.row("from", h.name)
				v := map[string]string{"revoked": args[1], "user": h.id}
				if service {
					v = map[string]string{"revoked": args[1], "client": h.id}
				}
				return p.print(v, t)
			})
		})
	c.Flags().BoolVar(&service, "client", false, "from a client instead of a user")
	c.Flags().StringVar(&organization, "organization", "", "the role that he has within this one (`NAME`)")
	return c
}

func (p *program) roleDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete a role", "It is taken away from everybody who has it. A role that others inherit stays.", "doorward role delete support --yes",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				r, ok := k.Roles.Snapshot().Role(args[0])
				if !ok {
					return noRole(args[0])
				}
				if err := p.confirm(c.Context(), sure, "Delete the role "+r.Name+" and all grants of it?"); err != nil {
					return err
				}
				if err := k.Roles.DeleteRole(c.Context(), p.operator(), r.Name, r.Version); err != nil {
					return err
				}
				return p.deleted("role", r.Name, r.Name)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
