package store_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestClients(t *testing.T) { storetest.Portable(t, storetest.Clients) }

// tokenClaims are what a guard asks the set of revoked tokens about.
type tokenClaims struct {
	Subject string   `json:"sub"`
	Client  string   `json:"client_id"`
	Scope   string   `json:"scope"`
	Family  string   `json:"fam"`
	Roles   []string `json:"roles"`
	Via     []string `json:"via"`
	Policy  int64    `json:"pv"`
}

func claimsOf(t *testing.T, token secret.Text) (c tokenClaims) {
	t.Helper()
	parts := strings.Split(token.Reveal(), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A client proves itself, and loses something before its token is made. Whatever
// comes in between, and whichever replica makes the token, no token that is good
// carries what was lost: it is refused, carries less, or is void.
func TestAttackClientLosesBetweenProofAndToken(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		here := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		there := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		update := func(name string, to func(*client.Client)) {
			c, err := here.Clients.Fresh(t.Context(), name)
			if err == nil {
				to(&c)
				_, err = here.Clients.Update(t.Context(), storetest.Operator, c)
			}
			if err != nil {
				t.Error(err)
			}
		}
		set := func(status client.Status) func(*client.Client) { return func(c *client.Client) { c.Status = status } }
		for what, lose := range map[string]func(name string){
			"a scope":   func(name string) { update(name, func(c *client.Client) { c.Scopes = []string{"read"} }) },
			"its grant": func(name string) { update(name, func(c *client.Client) { c.Grants = nil }) },
			"its role": func(name string) {
				if err := here.Roles.TakeGrant(t.Context(), storetest.Operator, rbac.Grant{Kind: principal.Service, Principal: name, Role: "editor"}); err != nil {
					t.Error(err)
				}
			},
			"all, being disabled": func(name string) { update(name, set(client.Disabled)) },
			"a scope while it was disabled": func(name string) {
				update(name, set(client.Disabled))
				update(name, func(c *client.Client) { c.Status, c.Scopes = client.Active, []string{"read"} })
			},
			"all, being deleted": func(name string) {
				if err := here.Clients.Delete(t.Context(), storetest.Operator, name, 0); err != nil {
					t.Error(err)
				}
			},
			"its name to another": func(name string) {
				if err := here.Clients.Delete(t.Context(), storetest.Operator, name, 0); err != nil {
					t.Error(err)
				}
				here.Client(t, name, []string{"read", "write"}, "editor")
			},
		} {
			for where, v := range map[string]*storetest.Services{"here": here, "there": there} {
				for _, known := range []bool{true, false} { // before the token is made
					name := "loses-" + strings.ReplaceAll(strings.ReplaceAll(what, ",", ""), " ", "-") + "-" + where + map[bool]string{true: "-known", false: ""}[known]
					_, text := here.Client(t, name, []string{"read", "write"}, "editor")
					if err := v.Feed.Poll(t.Context()); err != nil {
						t.Fatal(err)
					}
					proved, err := proves(t, v, name, text)
					if err != nil {
						t.Fatal(err)
					}
					if before, err := earn(t, v, proved); err != nil || claimsOf(t, before.Access).Scope != "read write" {
						t.Fatalf("%s, %s: before it lost anything: %q, %v", what, where, before.Scope, err)
					}
					lose(name)
					if known {
						if err := v.Feed.Poll(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					tokens, err := earn(t, v, proved)
					if err != nil {
						continue
					}
					c := claimsOf(t, tokens.Access)
					for _, v := range []*storetest.Services{here, there} {
						if err := v.Feed.Poll(t.Context()); err != nil {
							t.Fatal(err)
						}
						if strings.Contains(c.Scope, "write") && !v.Revoked.Has(grant.Access{Family: c.Family, Account: c.Subject, Client: c.Client, Roles: c.Roles, Policy: c.Policy}) {
							t.Errorf("%s, %s, known %t: a token of %q is good", what, where, known, c.Scope)
						}
					}
				}
			}
		}
	})
}

// The event of a change says what came and what went, also where the caller named a
// version that only came to be after his change was worked out.
func TestAttackClientEventTellsTheWholeChange(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn, store.Options{})
		v := storetest.NewServices(t, s, storetest.Parts{})
		w := storetest.NewWitness(t, dsn)
		c, _ := v.Client(t, "told", []string{"read", "write"})
		narrow := c
		narrow.Scopes = []string{"read"}
		between := &meanwhile{Store: s, do: func() {
			_, err := v.Clients.Update(t.Context(), storetest.Operator, narrow)
			expect(t, "somebody else's change", err, 0)
		}}
		c.Version = 2 // which is not yet there
		_, err := client.NewService(between, clock.Wall(), nil, func(string) error { return nil }, client.Assertions{}).Update(t.Context(), storetest.Operator, c)
		expect(t, "a change of what was not there", err, fault.Stale)
		after := w.Dump(t)
		after.Check(t)
		scopes := map[string]bool{}
		for _, row := range after["audit_events"] {
			if row["target"] != "client:told" {
				continue
			}
			var e struct{ Lists map[string][]string }
			data, err := hex.DecodeString(row["data"])
			if err == nil {
				err = json.Unmarshal(data, &e)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range e.Lists["scopes_added"] {
				scopes[s] = true
			}
			for _, s := range e.Lists["scopes_removed"] {
				delete(scopes, s)
			}
		}
		now, err := v.Clients.Fresh(t.Context(), "told")
		if told := slices.Sorted(maps.Keys(scopes)); err != nil || !slices.Equal(told, now.Scopes) {
			t.Errorf("the log tells of %q, and it may ask for %q, %v", told, now.Scopes, err)
		}
	})
}

// meanwhile is a store where something happens once after a client was read.
type meanwhile struct {
	*store.Store
	do func()
}

func (m *meanwhile) Client(ctx context.Context, id string) (client.Credential, error) {
	c, err := m.Store.Client(ctx, id)
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return c, err
}
