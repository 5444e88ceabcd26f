package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) client() *cobra.Command {
	return group("client", "Applications that get tokens", `Clients: applications that people sign in to, services that get tokens for
themselves, and APIs that have tokens judged. What a service may do is what both its
scopes and its roles allow.`,
		p.clientCreate(), p.clientList(), p.clientShow(), p.clientUpdate(), p.clientRotateSecret(), p.clientDelete(), p.exchange(), p.registrationToken())
}

// registration are the flags of what a client is registered for.
type registration struct {
	name, method                string
	scopes, standing, audiences []string
	grants, redirects, partings []string
	native, trusted, pkce       bool
	pushing, telling            bool
	keys, keysAt, assertsTo     string
	workloads                   []string
	logout                      client.Logout
}

// add writes what not every client has: what only applications have that people sign in to,
// and the keys of those that have no secret.
func (r *registration) add(to *client.Registration, changed func(flag string) bool) error {
	if changed("post-logout-redirect-uri") {
		to.PostLogoutRedirectURIs = given(r.partings)
	}
	addLogout(r.logout, to, changed)
	if changed("redirect-uri") {
		to.RedirectURIs = given(r.redirects)
	}
	if changed("native") {
		to.ApplicationType = client.Web
		if r.native {
			to.ApplicationType = client.Native
		}
	}
	if changed("skip-consent") {
		to.SkipConsent = r.trusted
	}
	if changed("require-pkce") {
		to.RequirePKCE = &r.pkce
	}
	if changed("require-pushed-requests") {
		to.RequirePushed = r.pushing
	}
	if changed("id-token-claims") {
		to.IDTokenClaims = r.telling
	}
	if changed("assertion-audience") {
		to.AssertionAudience = client.AssertionAudience(r.assertsTo)
	}
	if changed("workload") {
		var err error
		if to.Workloads, err = readWorkloads(given(r.workloads)); err != nil {
			return err
		}
	}
	if changed("jwks-uri") {
		to.JWKSURI, to.JWKS = r.keysAt, nil
	}
	if !changed("jwks") {
		return nil
	}
	text, err := os.ReadFile(r.keys)
	if err != nil {
		return fmt.Errorf("--jwks: %w", err)
	}
	if to.JWKS, err = readKeys(text); err != nil {
		return fmt.Errorf("--jwks: %s: %w", r.keys, err)
	}
	if !changed("jwks-uri") {
		to.JWKSURI = ""
	}
	return nil
}

func (r *registration) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.name, "name", "", "what people call it (`TEXT`)")
	c.Flags().StringVar(&r.method, "auth", "", "how it proves who it is (`METHOD`): client_secret_basic, client_secret_post, private_key_jwt with its keys, or none for an application that cannot keep a secret")
	c.Flags().StringVar(&r.keys, "jwks", "", "a `FILE` with its public keys: a JWK Set, or PEM")
	c.Flags().StringVar(&r.keysAt, "jwks-uri", "", "the `URL` where it publishes its keys")
	c.Flags().StringVar(&r.assertsTo, "assertion-audience", "", "whom its assertions are for (`WHO`): issuer, or token_endpoint for software that names that")
	c.Flags().StringArrayVar(&r.grants, "grant", nil, "a `GRANT` that it may use; may be repeated: authorization_code, refresh_token, client_credentials, urn:ietf:params:oauth:grant-type:device_code, urn:ietf:params:oauth:grant-type:jwt-bearer, urn:ietf:params:oauth:grant-type:token-exchange")
	c.Flags().StringArrayVar(&r.partings, "post-logout-redirect-uri", nil, "a `URI` that people are sent back to once they are signed out; may be repeated")
	logoutFlags(&r.logout, c)
	c.Flags().StringArrayVar(&r.redirects, "redirect-uri", nil, "a `URI` that people are sent back to with a code; may be repeated")
	c.Flags().StringArrayVar(&r.workloads, "workload", nil, "a program that may act as it by what its platform signs (`FIELDS`): \"issuer=URL subject=TEXT jwks_uri=URL\", and audience=TEXT; may be repeated")
	c.Flags().BoolVar(&r.native, "native", false, "it runs on people's own devices")
	c.Flags().BoolVar(&r.trusted, "skip-consent", false, "people are not asked whether they trust it: for your own applications")
	c.Flags().BoolVar(&r.pkce, "require-pkce", true, "sign-ins need PKCE; false is for a confidential client whose software does not know it")
	c.Flags().BoolVar(&r.pushing, "require-pushed-requests", false, "people are sent with requests alone that it pushed before, so that nobody on the way sees or changes what is asked for")
	c.Flags().BoolVar(&r.telling, "id-token-claims", false, "its ID tokens tell what userinfo tells: for software that reads these alone")
	c.Flags().StringArrayVar(&r.scopes, "scope", nil, "a `SCOPE` that it may ask for; may be repeated")
	c.Flags().StringArrayVar(&r.standing, "default-scope", nil, "a `SCOPE` that it gets if it asks for none; may be repeated. Without any: all that it may ask for")
	c.Flags().StringArrayVar(&r.audiences, "audience", nil, "the `URI` of an API that it is: tokens for it, it may introspect; may be repeated")
}

func (p *program) clientCreate() *cobra.Command {
	var r registration
	var roles []string
	c := p.command("create", "Register a client", `With a redirect URI people sign in to it; without one it gets tokens for itself. The
secret is printed once, and nobody can read it again. An id is made if none is given.`, `
doorward client create billing --scope orders:read --role viewer
doorward client create orders-api --audience https://orders.example.com
doorward client create shop --redirect-uri https://shop.example.com/callback --scope orders:read
doorward client create reports --auth private_key_jwt --jwks reports.pub.pem
doorward client create app --auth none --native --redirect-uri http://127.0.0.1/callback`,
		nil, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				d := client.Draft{Name: r.name, Method: oauth.AuthMethod(r.method), Scopes: r.scopes, Default: r.standing, Audiences: r.audiences}
				if err := r.add(&d.Registration, c.Flags().Changed); err != nil {
					return err
				}
				for _, g := range r.grants {
					d.Grants = append(d.Grants, oauth.GrantType(g))
				}
				if len(args) == 1 {
					d.ID = args[0]
				}
				for _, role := range roles {
					if _, ok := k.Roles.Snapshot().Role(role); !ok {
						return noRole(role)
					}
				}
				made, fresh, err := k.Clients.Create(c.Context(), p.operator(), d)
				if err != nil {
					return err
				}
				for _, role := range roles {
					if _, err := k.Roles.GiveGrant(c.Context(), p.operator(), rbac.Grant{Kind: principal.Service, Principal: made.ID, Role: role}); err != nil {
						return err
					}
				}
				return p.printSecret(k, made, fresh)
			})
		})
	c.Use, c.Args = "create [ID]", func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(c, "it takes at most one argument, ID, and %d were given", len(args))
		}
		return nil
	}
	r.flags(c)
	c.Flags().StringArrayVar(&roles, "role", nil, "a `ROLE` that it has for itself; may be repeated")
	return c
}

func (p *program) printSecret(k *server.Core, c client.Client, fresh secret.Text) error {
	v := admin.ClientSecret{Client: admin.ShowClient(c, k.Clock.Now()), Secret: fresh.Reveal()}
	t := clientTable(v.Client)
	if v.Secret != "" {
		t.row("secret", v.Secret)
	}
	if err := p.print(v, t); err != nil || v.Secret == "" {
		return err
	}
	p.say("keep the secret now: it is not shown again")
	return nil
}

func clientTable(c admin.Client) table {
	var t table
	t.row("id", c.ID)
	t.row("name", c.Name)
	t.row("status", c.Status)
	t.row("proves itself by", c.Method)
	t.row("grants", strings.Join(c.Grants, " "))
	t.row("may ask for", c.Scope)
	if c.Default != "" {
		t.row("gets by default", c.Default)
	}
	for _, uri := range c.RedirectURIs {
		t.row("people come back to", uri)
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		t.row("and signed out to", uri)
	}
	logoutRows(&t, c)
	if c.SkipConsent {
		t.row("people are asked", "no")
	}
	if c.RequirePKCE != nil && !*c.RequirePKCE {
		t.row("needs PKCE", "no")
	}
	if c.RequirePushed {
		t.row("pushes its requests", "always")
	}
	if c.IDTokenClaims {
		t.row("ID tokens tell", "what userinfo tells")
	}
	if len(c.Audiences) > 0 {
		t.row("introspects tokens for", strings.Join(c.Audiences, " "))
	}
	if c.JWKSURI != "" {
		t.row("publishes keys at", c.JWKSURI)
	}
	if c.JWKS != nil {
		keys, _ := c.JWKS.Keys() // they were read when they were registered
		for _, k := range keys {
			t.row("key", k.Thumbprint())
		}
	}
	for _, w := range c.Workloads {
		t.row("workload", w.String())
	}
	if oauth.AuthMethod(c.Method).Secret() {
		t.row("secret since", c.SecretAt)
	}
	if c.PreviousUntil != "" {
		t.row("the one before until", c.PreviousUntil)
	}
	return t
}

func (p *program) clientList() *cobra.Command {
	return p.command("list", "List all clients", "In the order of their ids, without the built-in one.", `
doorward client list
doorward client list -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Client]{Items: []admin.Client{}}
				t := table{head: []string{"CLIENT", "NAME", "STATUS", "SCOPE"}}
				for after := ""; ; {
					found, err := k.Clients.List(c.Context(), after, 200)
					if err != nil {
						return err
					}
					for _, one := range found {
						after = one.ID
						v := admin.ShowClient(one, k.Clock.Now())
						list.Items = append(list.Items, v)
						t.row(v.ID, v.Name, v.Status, v.Scope)
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
}

// clientDetail is a client with its roles.
type clientDetail struct {
	admin.Client
	Roles []admin.Grant `json:"roles"`
}

func (p *program) clientShow() *cobra.Command {
	return p.command("show", "Show a client and its roles", "The secret is not shown: nobody can read it.", "doorward client show billing",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				return p.printClient(c.Context(), k, args[0])
			})
		})
}

func (p *program) printClient(ctx context.Context, k *server.Core, id string) error {
	found, err := k.Clients.Fresh(ctx, id)
	if err != nil {
		return err
	}
	h, err := k.Roles.Holding(ctx, id)
	if err != nil {
		return err
	}
	now := k.Clock.Now()
	v := clientDetail{admin.ShowClient(found, now), []admin.Grant{}}
	t := clientTable(v.Client)
	for _, g := range h.Grants {
		one, err := viewGrant(ctx, k, g)
		if err != nil {
			return err
		}
		v.Roles = append(v.Roles, one)
		line := g.Role
		if g.Group != "" {
			line += " through the group " + g.Group
		}
		if one.Org != "" {
			line += " in " + one.Org
		}
		t.row("role", line+" "+moment(g.Until, "without end"))
	}
	return p.print(v, t)
}

func (p *program) clientUpdate() *cobra.Command {
	var r registration
	var status string
	c := p.command("update", "Change a client", `What a flag names is replaced whole; the rest stays. With --status disabled its
tokens are refused within a second, and so is its secret.`, `
doorward client update billing --scope orders:read --scope orders:write
doorward client update billing --status disabled`,
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				found, err := k.Clients.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				for flag, set := range map[string]func(){
					"name": func() { found.Name = r.name }, "auth": func() { found.Method = oauth.AuthMethod(r.method) },
					"scope": func() { found.Scopes = given(r.scopes) }, "default-scope": func() { found.Default = given(r.standing) },
					"audience": func() { found.Audiences = given(r.audiences) }, "status": func() { found.Status = client.Status(status) },
				} {
					if c.Flags().Changed(flag) {
						set()
					}
				}
				if err := r.add(&found.Registration, c.Flags().Changed); err != nil {
					return err
				}
				if c.Flags().Changed("grant") {
					found.Grants = nil
					for _, g := range given(r.grants) {
						found.Grants = append(found.Grants, oauth.GrantType(g))
					}
				}
				if _, err := k.Clients.Update(c.Context(), p.operator(), found); err != nil {
					return err
				}
				return p.printClient(c.Context(), k, found.ID)
			})
		})
	r.flags(c)
	c.Flags().StringVar(&status, "status", "", "active or disabled (`STATUS`)")
	return c
}

// given returns what a flag that may be repeated was given; one empty value stands
// for none.
func given(list []string) []string {
	if len(list) == 1 && list[0] == "" {
		return nil
	}
	return list
}

func (p *program) clientRotateSecret() *cobra.Command {
	var overlap time.Duration
	c := p.command("rotate-secret", "Give a client another secret", `The new one is printed once. The present one works beside it for --overlap, so that
nothing stops while it is exchanged; 0 ends it at once.`, `
doorward client rotate-secret billing
doorward client rotate-secret billing --overlap 0`,
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				made, fresh, err := k.Clients.RotateSecret(c.Context(), p.operator(), args[0], overlap, 0)
				if err != nil {
					return err
				}
				return p.printSecret(k, made, fresh)
			})
		})
	c.Flags().DurationVar(&overlap, "overlap", client.Overlap, "for how long the present secret works, too (`DURATION`)")
	return c
}

func (p *program) clientDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete a client", "Its tokens are refused within a second.", "doorward client delete billing --yes",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				found, err := k.Clients.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, "Delete the client "+found.ID+"?"); err != nil {
					return err
				}
				if err := k.Clients.Delete(c.Context(), p.operator(), found.ID, found.Version); err != nil {
					return err
				}
				return p.deleted("client", found.ID, found.ID)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
