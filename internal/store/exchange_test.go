package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestExchanges(t *testing.T) { storetest.Portable(t, storetest.Exchanges) }

// A credential was judged good, and something of it is lost before the token is made that
// it is exchanged for. Whichever replica makes the token, and whether or not it has heard
// of the loss, no token that is good comes of it.
func TestAttackSourceLosesBetweenJudgementAndToken(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		here := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		there := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		by := storetest.Operator
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := here.Roles.CreateRole(t.Context(), by, rbac.Role{Name: "clerk", Permissions: []string{"a"}})
		must(err)
		_, err = here.Resources.Create(t.Context(), by, resource.Resource{ID: "api", Identifier: "urn:api", Permissions: []resource.Permission{{Name: "a"}}})
		must(err)
		update := func(name string, to func(*client.Client)) {
			c, err := here.Clients.Fresh(t.Context(), name)
			must(err)
			to(&c)
			_, err = here.Clients.Update(t.Context(), by, c)
			must(err)
		}
		register := func(name string) {
			_, _, err := here.Clients.Create(t.Context(), by, client.Draft{ID: name, Scopes: []string{"a"}, Grants: []oauth.GrantType{oauth.TokenExchange}})
			must(err)
		}
		for n, what := range []string{"nothing", "source deleted and made again", "source disabled", "caller disabled", "rule", "user's role", "user disabled", "key", "key changed", "family"} {
			for _, heard := range []bool{false, true} {
				suffix := string(rune('a' + n))
				if heard {
					suffix += "2"
				}
				shop, gateway := "shop"+suffix, "gateway"+suffix
				register(shop)
				register(gateway)
				x, err := here.Clients.AllowExchange(t.Context(), by, client.Exchange{Client: gateway, From: client.OfClient(shop), Resource: "urn:api", Impersonation: true})
				must(err)
				user := here.User(t, "user"+suffix, "clerk")
				k, _, err := here.APIKeys.Create(t.Context(), by, apikey.Draft{Name: "k", Owner: principal.Owner{Kind: principal.User, ID: user.ID}, Scopes: []string{"a"}, Lasts: 1 << 40})
				must(err)
				must(there.Feed.Poll(t.Context()))
				caller, err := there.Clients.Known(t.Context(), gateway)
				must(err)

				ask := issue.Exchange{Client: caller, Target: "urn:api", Known: there.Issuer.Known(), Subject: issue.Source{
					Holder: principal.Owner{Kind: principal.User, ID: user.ID}, Client: shop, From: client.OfClient(shop), Scopes: []string{"a"}, Roles: []string{"clerk"},
					Own: []string{grant.ViaClient(shop), grant.ViaFamily("f" + suffix), grant.ViaKey(k.ID, k.Version)},
				}}
				switch what {
				case "source deleted and made again":
					must(here.Clients.Delete(t.Context(), by, shop, 0))
					register(shop)
					_, err := here.Clients.AllowExchange(t.Context(), by, client.Exchange{Client: gateway, From: client.OfClient(shop), Resource: "urn:api", Impersonation: true})
					must(err)
				case "source disabled":
					update(shop, func(c *client.Client) { c.Status = client.Disabled })
				case "caller disabled":
					update(gateway, func(c *client.Client) { c.Status = client.Disabled })
				case "rule":
					must(here.Clients.ForbidExchange(t.Context(), by, gateway, x.ID))
				case "user's role":
					must(here.Roles.Take(t.Context(), by, user.ID, "clerk"))
				case "user disabled":
					disabled := account.Disabled
					_, err := here.Accounts.Update(t.Context(), by, user.ID, account.Change{Status: &disabled})
					must(err)
				case "key":
					must(here.APIKeys.Revoke(t.Context(), by, k.ID, 0))
				case "key changed":
					k.Name = "another"
					_, err := here.APIKeys.Update(t.Context(), by, k)
					must(err)
				case "family":
					must(here.Store.RevokeToken(t.Context(), "f"+suffix, "", audit.Now(by, clock.Wall().Now(), audit.TokenRevoked, "family:f")))
				}
				if heard {
					must(there.Feed.Poll(t.Context()))
				}
				tokens, err := there.Issuer.Exchange(t.Context(), principal.Principal{}, ask)
				must(there.Feed.Poll(t.Context()))
				void := err != nil
				if err == nil {
					c := claimsOf(t, tokens.Access)
					void = there.Revoked.Has(grant.Access{Family: c.Family, Account: c.Subject, Client: c.Client, Roles: c.Roles, Audience: []string{"urn:api"}, Via: c.Via, Policy: c.Policy})
				}
				if void != (what != "nothing") {
					t.Errorf("%s, heard of %v: the token is void: %v, %v", what, heard, void, err)
				}
			}
		}
	})
}
