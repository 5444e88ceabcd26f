package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) user() *cobra.Command {
	return group("user", "Accounts", "Accounts. A user is named by his username, his email or his id.",
		p.userCreate(), p.userList(), p.userShow(), p.userUpdate(),
		p.userStatus("disable", "Disable an account", account.Disabled, "What was signed in with it ends at once. Nothing is deleted."),
		p.userStatus("enable", "Enable an account that was disabled", account.Active, "What was signed in before stays ended."),
		p.userPassword(), p.userUnlock(), p.userDelete())
}

// newUser is an account to be made.
type newUser struct {
	account.Draft
	roles []string
}

// createUser makes an account and gives it roles, once everything that can be
// wrong was looked at.
func (p *program) createUser(ctx context.Context, k *server.Core, n newUser, password secret.Text) (account.User, error) {
	for _, role := range n.roles {
		if _, ok := k.Roles.Snapshot().Role(role); !ok {
			return account.User{}, noRole(role)
		}
	}
	by := p.operator()
	if !password.IsZero() {
		var err error
		if n.Hash, err = k.Issuer.SetPassword(ctx, "", password, n.Username, n.Email, n.Name); err != nil {
			return account.User{}, err
		}
	}
	u, err := k.Accounts.Create(ctx, by, n.Draft)
	if err != nil {
		return account.User{}, err
	}
	for _, role := range n.roles {
		if err := p.give(ctx, k, u, role); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (p *program) give(ctx context.Context, k *server.Core, u account.User, role string) error {
	_, err := k.Roles.Give(ctx, p.operator(), u.ID, role, noEnd, "")
	return err
}

func (p *program) userCreate() *cobra.Command {
	var n newUser
	var fromStdin, without bool
	c := p.command("create", "Create an account", `The password is asked for, twice, unless it comes from stdin or there is to be
none: such an account cannot sign in until it gets one.`, `
doorward user create ana --email ana@example.com --role editor
doorward user create ana --password-stdin < password.txt`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			if fromStdin && without {
				return usage(c, "--password-stdin and --no-password exclude each other")
			}
			if n.EmailVerified && n.Email == "" {
				return usage(c, "--email-verified needs --email")
			}
			n.Username = args[0]
			return p.with(c.Context(), func(k *server.Core) error {
				var password secret.Text
				var err error
				if !without {
					if password, err = p.newPassword(c.Context(), fromStdin, n.Username); err != nil {
						return err
					}
				}
				u, err := p.createUser(c.Context(), k, n, password)
				if err != nil {
					return err
				}
				return p.printUser(c.Context(), k, u)
			})
		})
	f := c.Flags()
	f.StringVar(&n.Email, "email", "", "his email `ADDRESS`")
	f.BoolVar(&n.EmailVerified, "email-verified", false, "you know that the address is his: he may sign in with it")
	f.StringVar(&n.Name, "name", "", "his full `NAME`")
	f.StringSliceVar(&n.roles, "role", nil, "a `ROLE` to grant; may be repeated")
	f.BoolVar(&fromStdin, "password-stdin", false, "read the password from stdin")
	f.BoolVar(&without, "no-password", false, "make the account without a password")
	return c
}

func (p *program) userList() *cobra.Command {
	var f account.Filter
	var status string
	c := p.command("list", "List accounts", "In the order of their making, a page at a time.", `
doorward user list --query ana
doorward user list --status disabled -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			f.Status = account.Status(status)
			if status != "" && f.Status != account.Active && f.Status != account.Disabled {
				return usage(c, "--status is active or disabled")
			}
			if f.Limit < 1 || f.Limit > 200 {
				return usage(c, "--limit is a number from 1 to 200")
			}
			return p.with(c.Context(), func(k *server.Core) error { return p.listUsers(c.Context(), k, f) })
		})
	c.Flags().StringVar(&status, "status", "", "only those that are active or disabled (`STATUS`)")
	c.Flags().StringVar(&f.Prefix, "query", "", "only those whose username or email begins with `TEXT`")
	c.Flags().StringVar(&f.After, "after", "", "the page after the account with this `ID`")
	c.Flags().IntVar(&f.Limit, "limit", 50, "how many, up to 200 (`N`)")
	return c
}

func (p *program) listUsers(ctx context.Context, k *server.Core, f account.Filter) error {
	limit := f.Limit
	f.Limit++ // to see whether there are more
	users, err := k.Accounts.List(ctx, f)
	if err != nil {
		return err
	}
	list := page[admin.User]{Items: []admin.User{}}
	t := table{head: []string{"USERNAME", "EMAIL", "STATUS", "ROLES", "CREATED", "ID"}}
	if len(users) > limit {
		users = users[:limit]
		list.Next = &users[limit-1].ID
	}
	for _, u := range users {
		v, err := p.viewUser(ctx, k, u)
		if err != nil {
			return err
		}
		list.Items = append(list.Items, v.User)
		t.row(v.Username, v.Email, v.Status, strings.Join(v.Roles, ","), moment(u.CreatedAt, ""), v.ID)
	}
	if err := p.print(list, t); err != nil {
		return err
	}
	if list.Next != nil && p.output != asJSON {
		p.say("there are more: --after %s", *list.Next)
	}
	return nil
}

// userView is an account as the HTTP API shows it, with its grants.
type userView struct {
	admin.User
	Grants []admin.Grant `json:"grants"`
}

func (p *program) viewUser(ctx context.Context, k *server.Core, u account.User) (userView, error) {
	v := userView{User: admin.User{
		ID: u.ID, Username: u.Username, Email: u.Email.String(), EmailVerified: u.EmailVerified, Status: string(u.Status), Name: u.Name,
		Profile: u.Profile, HasPassword: u.HasPassword, Roles: []string{}, CreatedAt: stamp(u.CreatedAt), UpdatedAt: stamp(u.UpdatedAt), SignedInAt: stamp(u.SignedInAt),
	}, Grants: []admin.Grant{}}
	if err := json.Unmarshal(u.Attributes, &v.Attributes); err != nil {
		return v, err
	}
	h, err := k.Roles.Holding(ctx, u.ID)
	if err != nil {
		return v, err
	}
	now := k.Clock.Now()
	for _, g := range h.Grants {
		one, err := viewGrant(ctx, k, g)
		if err != nil {
			return v, err
		}
		v.Grants = append(v.Grants, one)
		if g.Live(now) && g.Organization == "" && !slices.Contains(v.Roles, g.Role) { // two groups may give the same
			v.Roles = append(v.Roles, g.Role)
		}
	}
	return v, nil
}

func (p *program) printUser(ctx context.Context, k *server.Core, u account.User) error {
	v, err := p.viewUser(ctx, k, u)
	if err != nil {
		return err
	}
	locked, err := k.Limits.Locked(ctx, u.Target())
	if err != nil {
		p.say("whether the account is locked cannot be told: %v", err)
	}
	v.LockedUntil = stamp(locked.Until)
	var t table
	t.row("username", v.Username)
	t.row("id", v.ID)
	t.row("status", v.Status)
	if v.Email != "" {
		verified := "not verified"
		if v.EmailVerified {
			verified = "verified"
		}
		t.row("email", v.Email+" ("+verified+")")
	}
	if v.Name != "" {
		t.row("name", v.Name)
	}
	t.row("password", yes(v.HasPassword))
	for _, g := range v.Grants {
		t.row("role", grantText(g))
	}
	t.row("created", moment(u.CreatedAt, ""))
	t.row("signed in", moment(u.SignedInAt, "never"))
	if locked.Total > 0 {
		t.row("failed sign-ins", lockText(locked))
	}
	return p.print(v, t)
}

// lockText says what strangers have failed at since the last success.
func lockText(s limit.State) string {
	text := strconv.Itoa(s.Total)
	if !s.Until.IsZero() {
		text += ", locked for devices that are not known until " + moment(s.Until, "")
	}
	return text
}

func grantText(g admin.Grant) string {
	text := g.Role
	if g.Group != "" {
		text += " through the group " + g.Group
	}
	if g.Org != "" {
		text += " in " + g.Org
	}
	text += ", granted by " + g.GrantedBy
	if g.Until != "" && g.Live {
		text += ", until " + g.Until
	} else if g.Until != "" {
		text += ", ended " + g.Until
	}
	if g.Reason != "" {
		text += " (" + g.Reason + ")"
	}
	return text
}

// find returns the account that the operator means.
func (p *program) find(ctx context.Context, k *server.Core, name string) (account.User, error) {
	if id.Valid(name) {
		u, err := k.Accounts.Fresh(ctx, name)
		if fault.KindOf(err) != fault.NotFound {
			return u, err
		}
	}
	return k.Accounts.ByLogin(ctx, name)
}

func (p *program) userShow() *cobra.Command {
	return p.command("show", "Show an account and its grants", "The password is not shown, nor its hash.", `
doorward user show ana
doorward user show ana@example.com -o json`,
		[]string{"USER"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				u, err := p.find(c.Context(), k, args[0])
				if err != nil {
					return err
				}
				return p.printUser(c.Context(), k, u)
			})
		})
}

func (p *program) userUpdate() *cobra.Command {
	var name, email, full string
	var verified bool
	c := p.command("update", "Change an account", "What a flag names is replaced; the rest stays. An email that changes is not verified any more,\nunless --email-verified is there, too.", `
doorward user update ana --email ana@example.com --email-verified
doorward user update ana --email-verified=false`,
		[]string{"USER"}, func(c *cobra.Command, args []string) error {
			var change account.Change
			for flag, set := range map[string]func(){
				"username": func() { change.Username = &name }, "email": func() { change.Email = &email },
				"email-verified": func() { change.EmailVerified = &verified }, "name": func() { change.Name = &full },
			} {
				if c.Flags().Changed(flag) {
					set()
				}
			}
			return p.with(c.Context(), func(k *server.Core) error {
				u, err := p.find(c.Context(), k, args[0])
				if err != nil {
					return err
				}
				if u, err = k.Accounts.Update(c.Context(), p.operator(), u.ID, change); err != nil {
					return err
				}
				return p.printUser(c.Context(), k, u)
			})
		})
	c.Flags().StringVar(&name, "username", "", "the `NAME` that he signs in with")
	c.Flags().StringVar(&email, "email", "", "his email `ADDRESS`; empty takes it away")
	c.Flags().BoolVar(&verified, "email-verified", false, "you know that the address is his: he may sign in with it. false: you do not")
	c.Flags().StringVar(&full, "name", "", "his full `NAME`")
	return c
}

func (p *program) userStatus(name, short string, status account.Status, long string) *cobra.Command {
	return p.command(name, short, long, "doorward user "+name+" ana",
		[]string{"USER"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				u, err := p.find(c.Context(), k, args[0])
				if err != nil {
					return err
				}
				if u.Status == status {
					p.say("%s is %s already", u.Username, status)
					return p.printUser(c.Context(), k, u)
				}
				if u, err = k.Accounts.Update(c.Context(), p.operator(), u.ID, account.Change{Status: &status}); err != nil {
					return err
				}
				return p.printUser(c.Context(), k, u)
			})
		})
}

func (p *program) userPassword() *cobra.Command {
	var fromStdin bool
	c := p.command("password", "Give an account another password", "It is asked for, twice, unless it comes from stdin. What was signed in ends, and what failed sign-ins have counted is forgotten.", `
doorward user password ana
doorward user password ana --password-stdin < password.txt`,
		[]string{"USER"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				u, err := p.find(c.Context(), k, args[0])
				if err != nil {
					return err
				}
				password, err := p.newPassword(c.Context(), fromStdin, u.Username)
				if err != nil {
					return err
				}
				if err := k.Issuer.ResetPassword(c.Context(), p.operator(), u, password); err != nil {
					return err
				}
				if u, err = k.Accounts.Fresh(c.Context(), u.ID); err != nil {
					return err
				}
				return p.printUser(c.Context(), k, u)
			})
		})
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from stdin")
	return c
}

func (p *program) userUnlock() *cobra.Command {
	return p.command("unlock", "Forget the failed sign-ins of an account", "It can be signed in to at once, from everywhere. Whoever guesses has as many tries again.",
		"doorward user unlock ana", []string{"USER"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				u, err := p.find(c.Context(), k, args[0])
				if err != nil {
					return err
				}
				if err := k.Issuer.Unlock(c.Context(), p.operator(), u.ID); err != nil {
					return err
				}
				return p.printUser(c.Context(), k, u)
			})
		})
}

func (p *program) userDelete() *cobra.Command {
	var sure, erase bool
	c := p.command("delete", "Delete an account for good", `Its grants go with it, and what was signed in ends. Its id is never used again.
The audit log keeps what happened; with --erase it forgets the person: names,
addresses and user agents.`, `
doorward user delete ana
doorward user delete ana --erase --yes`,
		[]string{"USER"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				u, err := p.find(c.Context(), k, args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, "Delete "+visible(u.Username)+" ("+u.ID+") for good?"); err != nil {
					return err
				}
				if err := k.Accounts.Delete(c.Context(), p.operator(), u.ID, u.Version, erase); err != nil {
					return err
				}
				return p.deleted("user", u.Username, u.ID)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	c.Flags().BoolVar(&erase, "erase", false, "erase the person from the audit log too")
	return c
}

// deleted says what is gone.
func (p *program) deleted(kind, name, what string) error {
	var t table
	t.row("deleted", name)
	return p.print(map[string]string{"deleted": what, "kind": kind}, t)
}

func noRole(name string) error {
	if _, err := rbac.ParseRoleName(name); err != nil {
		return err
	}
	return fault.New(fault.NotFound, "there is no role %q; see: doorward role list", name)
}
