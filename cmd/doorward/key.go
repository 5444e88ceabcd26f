package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) apiKey() *cobra.Command {
	return group("key", "API keys", `API keys of users and clients. What a key may do is what both its scopes and its
owner's roles allow when it is used.`,
		p.apiKeyCreate(), p.apiKeyList(), p.apiKeyShow(), p.apiKeyRotate(), p.apiKeyRevoke(), p.apiKeyVerify(), p.apiKeyPattern())
}

// keyOwner returns who is named: a user, or a client.
func (p *program) keyOwner(ctx context.Context, k *server.Core, name string, service bool) (principal.Owner, error) {
	if service {
		c, err := k.Clients.Fresh(ctx, name)
		return principal.Owner{Kind: principal.Service, ID: c.ID}, err
	}
	u, err := p.find(ctx, k, name)
	return principal.Owner{Kind: principal.User, ID: u.ID}, err
}

func (p *program) apiKeyCreate() *cobra.Command {
	var d apikey.Draft
	var networks []string
	var service bool
	c := p.command("create", "Make an API key", `It is printed once, and nobody can read it again. It may have scopes that its owner
holds. NAME is for people: what the key is for.`, `
doorward key create ana "nightly report" --scope orders:read --expires-in 720h
doorward key create billing exports --client --scope orders:read --expires-in 8760h --network 10.0.0.0/8`,
		[]string{"USER", "NAME"}, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				var err error
				d.Name = args[1]
				if d.Owner, err = p.keyOwner(c.Context(), k, args[0], service); err != nil {
					return err
				}
				if d.Networks, err = apikey.ParseNetworks(networks); err != nil {
					return err
				}
				made, fresh, err := k.APIKeys.Create(c.Context(), p.operator(), d)
				if err != nil {
					return err
				}
				return p.printAPIKey(k, made, fresh)
			})
		})
	c.Flags().StringArrayVar(&d.Scopes, "scope", nil, "a `SCOPE` that it has; may be repeated")
	c.Flags().DurationVar(&d.Lasts, "expires-in", 0, "after how long it expires (`DURATION`)")
	c.Flags().StringArrayVar(&networks, "network", nil, "a network from which it may be used (`CIDR`); may be repeated. Without any: from everywhere")
	c.Flags().StringArrayVar(&d.Resources, "resource", nil, "the `URI` of an API that it may be used at; may be repeated. Without any: at all")
	c.Flags().IntVar(&d.Rate, "rate-limit", 0, "how often it may be used in a minute (`N`); 0 is as often as one likes")
	c.Flags().BoolVar(&service, "client", false, "of a client instead of a user")
	return c
}

func (p *program) printAPIKey(k *server.Core, made apikey.Key, fresh secret.Text) error {
	v := admin.APIKeySecret{APIKey: admin.ShowAPIKey(made, k.Clock.Now()), Key: fresh.Reveal()}
	t := keyTable(v.APIKey)
	t.row("key", v.Key)
	if err := p.print(v, t); err != nil {
		return err
	}
	p.say("keep the key now: it is not shown again")
	return nil
}

// orNever returns a time as JSON has it, or never where there is none.
func orNever(at *string) string {
	if at == nil {
		return "never"
	}
	return *at
}

func keyTable(v admin.APIKey) table {
	var t table
	t.row("id", v.ID)
	t.row("name", v.Name)
	t.row("owner", v.Owner)
	t.row("scopes", strings.Join(v.Scopes, " "))
	if len(v.Networks) > 0 {
		t.row("used from", strings.Join(v.Networks, " "))
	}
	if len(v.Resources) > 0 {
		t.row("used at", strings.Join(v.Resources, " "))
	}
	if v.RateLimit > 0 {
		t.row("used at most", strconv.Itoa(v.RateLimit)+" times a minute")
	}
	t.row("expires", orNever(v.ExpiresAt))
	if v.Expired {
		t.row("status", "expired")
	}
	t.row("secret since", v.SecretAt)
	if v.PreviousUntil != "" {
		t.row("the one before until", v.PreviousUntil)
	}
	t.row("last used", strings.TrimSpace(orNever(v.UsedAt)+" "+v.UsedFrom))
	return t
}

func (p *program) apiKeyList() *cobra.Command {
	var owner string
	var service bool
	c := p.command("list", "List API keys", "Everybody's, or those of one user or client.", `
doorward key list
doorward key list --owner ana -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				var whose principal.Owner
				if owner != "" {
					var err error
					if whose, err = p.keyOwner(c.Context(), k, owner, service); err != nil {
						return err
					}
				}
				list := page[admin.APIKey]{Items: []admin.APIKey{}}
				t := table{head: []string{"KEY", "NAME", "OWNER", "EXPIRES", "LAST USED", "SCOPES"}}
				for after := ""; ; {
					found, err := k.APIKeys.List(c.Context(), whose, after, 200)
					if err != nil {
						return err
					}
					for _, one := range found {
						after = one.ID
						v := admin.ShowAPIKey(one, k.Clock.Now())
						list.Items = append(list.Items, v)
						t.row(v.ID, v.Name, v.Owner, orNever(v.ExpiresAt), orNever(v.UsedAt), strings.Join(v.Scopes, " "))
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
	c.Flags().StringVar(&owner, "owner", "", "whose (`USER`): a username, an email or an id; or with --client a client's id")
	c.Flags().BoolVar(&service, "client", false, "of a client instead of a user")
	return c
}

func (p *program) apiKeyShow() *cobra.Command {
	return p.command("show", "Show an API key and how it is used", "The key itself is not shown: nobody can read it.", "doorward key show 3xK9aQ7bWd2LmN0p",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				found, err := k.APIKeys.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				usage, err := k.APIKeys.Usage(c.Context(), found.ID, 30)
				if err != nil {
					return err
				}
				v := admin.APIKeyDetail{APIKey: admin.ShowAPIKey(found, k.Clock.Now()), Usage: admin.ShowUsage(usage)}
				t := keyTable(v.APIKey)
				for _, day := range v.Usage {
					t.row("used on "+day.Day, fmt.Sprint(day.Count))
				}
				return p.print(v, t)
			})
		})
}

func (p *program) apiKeyRotate() *cobra.Command {
	var overlap, lasts time.Duration
	c := p.command("rotate", "Give an API key another secret", `The new one is printed once, under the same id. The present one works beside it for
--overlap, so that nothing stops while it is exchanged; 0 ends it at once.`, `
doorward key rotate 3xK9aQ7bWd2LmN0p
doorward key rotate 3xK9aQ7bWd2LmN0p --overlap 0 --expires-in 8760h`,
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				r := apikey.Rotation{Overlap: overlap}
				if c.Flags().Changed("expires-in") {
					r.Lasts = &lasts
				}
				made, fresh, err := k.APIKeys.Rotate(c.Context(), p.operator(), args[0], r)
				if err != nil {
					return err
				}
				return p.printAPIKey(k, made, fresh)
			})
		})
	c.Flags().DurationVar(&overlap, "overlap", apikey.Overlap, "for how long the present secret works, too (`DURATION`)")
	c.Flags().DurationVar(&lasts, "expires-in", 0, "after how long the new one expires (`DURATION`); when the present one would, if it is not given")
	return c
}

func (p *program) apiKeyRevoke() *cobra.Command {
	var sure bool
	c := p.command("revoke", "Revoke an API key", "It is refused within a second, for good.", "doorward key revoke 3xK9aQ7bWd2LmN0p --yes",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				found, err := k.APIKeys.Fresh(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, fmt.Sprintf("Revoke the key %s, %q?", found.ID, found.Name)); err != nil {
					return err
				}
				if err := k.APIKeys.Revoke(c.Context(), p.operator(), found.ID, found.Version); err != nil {
					return err
				}
				var t table
				t.row("revoked", found.ID)
				return p.print(map[string]string{"revoked": found.ID, "owner": found.Owner.String()}, t)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

func (p *program) apiKeyVerify() *cobra.Command {
	var address, resource string
	c := p.command("verify", "Say whether an API key is good, and what it may do now", `It is read from stdin, or typed without being shown; never from an argument, which
every user of the machine can see.`, `
doorward key verify < key
doorward key verify --address 10.1.2.3 --resource https://orders.example.com < key`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.withKeys(c.Context(), func(k *server.Core) error {
				text, err := p.shownKey(c.Context())
				if err != nil {
					return err
				}
				shown := access.Shown{Text: text.Reveal(), By: p.operator(), Address: address}
				if resource != "" {
					shown.At = []string{resource}
				}
				b, err := k.Bearer(c.Context(), shown)
				switch {
				case fault.KindOf(err) == fault.Unauthenticated:
					p.say("%s", err)
					if err := p.printVerified(admin.VerifiedKey{}); err != nil {
						return err
					}
					return errShown
				case err != nil:
					return err
				}
				return p.printVerified(admin.ShowVerified(b, p.issuer(k)))
			})
		})
	c.Flags().StringVar(&address, "address", "", "where its holder is, an `IP` address: for a key for certain networks")
	c.Flags().StringVar(&resource, "resource", "", "the `URI` of the API that it is shown to: for a key for certain APIs")
	return c
}

// issuer returns the URL of the server, if the configuration says it.
func (p *program) issuer(k *server.Core) string {
	if k.Config.Issuer == nil {
		return ""
	}
	return k.Config.Issuer.String()
}

// shownKey reads a key from stdin, or asks for it where a person sits there.
func (p *program) shownKey(ctx context.Context) (secret.Text, error) {
	if f, ok := p.terminal(); ok {
		return p.typed(ctx, f, "API key: ")
	}
	return p.secretLine("an API key")
}

func (p *program) printVerified(v admin.VerifiedKey) error {
	var t table
	t.row("active", yes(v.Active))
	if v.Active {
		t.row("id", v.KeyID)
		t.row("name", v.Name)
		t.row("owner", strings.TrimSpace(v.Subject+" "+v.Username))
		t.row("may", v.Scope)
		if v.Expires > 0 {
			t.row("expires", moment(time.Unix(v.Expires, 0), "never"))
		}
	}
	return p.print(v, t)
}

func (p *program) apiKeyPattern() *cobra.Command {
	return p.command("pattern", "Print the regular expression that finds API keys", `For scanners that look for secrets in code and logs. What ends a key is the CRC-32 of
all before, in base62: a scanner that computes it has no false alarms.`, `
doorward key pattern
grep -rE "$(doorward key pattern)" .`,
		nil, func(*cobra.Command, []string) error {
			var t table
			t.row(apikey.Pattern)
			return p.print(map[string]string{"prefix": apikey.Prefix, "pattern": apikey.Pattern}, t)
		})
}
