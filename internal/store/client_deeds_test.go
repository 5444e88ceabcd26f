package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store/storetest"
)

// The deeds with clients, each with what is true after it was done again.

var clientDeeds = []deed{
	{"register a client", 0, registering},
	{"narrow a client", 0, narrowing},
	{"rotate a client's secret", 0, rotating},
	{"delete a client", 0, deletingClient},
	{"give a client a role", 0, givingClientRole},
	{"give a client its first token", 0, earning},
	{"give a client a token", 0, earningMore},
	{"revoke a client's token", 0, revoking},
}

// After a fault at any statement of a change of clients there is the old state or
// the new one, whole, with its events (FLT-002).
func TestAttackFLT002EveryStatementOfClientsFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, clientDeeds) })
}

// kindIf returns a fault's kind if something happened.
func kindIf(happened bool, kind fault.Kind) fault.Kind {
	if happened {
		return kind
	}
	return 0
}

// proves asks whether a secret proves a client, as the server does.
func proves(t *testing.T, v *storetest.Services, name string, text secret.Text) (client.Client, error) {
	return v.Clients.Prove(t.Context(), oauth.Credentials{ID: name, Method: oauth.Basic, Secret: text})
}

// earn gives a client that has proved itself a token.
func earn(t *testing.T, v *storetest.Services, c client.Client) (issue.Tokens, error) {
	return v.Issuer.ClientToken(t.Context(), storetest.Browser, issue.ClientCredentials{Client: c, Grant: oauth.ClientCredentials})
}

func registering(t *testing.T, v *storetest.Services, name string) scene {
	by := storetest.Operator
	by.Origin.Once = principal.Once{Key: "client of " + name, Request: "body"}
	var last secret.Text
	do := func() error {
		_, text, err := v.Clients.Create(t.Context(), by, client.Draft{ID: name, Scopes: []string{"read"}})
		last = text
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "registering it again", do(), kindIf(happened, fault.Replayed))
		if !happened {
			_, err := proves(t, v, name, last)
			expect(t, "proving it", err, 0)
		}
	}}
}

func narrowing(t *testing.T, v *storetest.Services, name string) scene {
	c, text := v.Client(t, name, []string{"read", "write"}, "editor")
	do := func() error {
		c.Scopes = []string{"read"}
		_, err := v.Clients.Update(t.Context(), storetest.Operator, c)
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "narrowing it again", do(), kindIf(happened, fault.Stale))
		c, err := proves(t, v, name, text)
		expect(t, "proving it", err, 0)
		if len(c.Scopes) != 1 {
			t.Errorf("it may ask for %q", c.Scopes)
		}
	}}
}

func rotating(t *testing.T, v *storetest.Services, name string) scene {
	_, first := v.Client(t, name, nil)
	do := func() error {
		_, _, err := v.Clients.RotateSecret(t.Context(), storetest.Operator, name, time.Hour, 1)
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "rotating it again", do(), kindIf(happened, fault.Stale))
		_, err := proves(t, v, name, first)
		expect(t, "the secret before", err, 0)
	}}
}

func deletingClient(t *testing.T, v *storetest.Services, name string) scene {
	_, text := v.Client(t, name, []string{"read"}, "viewer")
	do := func() error { return v.Clients.Delete(t.Context(), storetest.Operator, name, 0) }
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "deleting it again", do(), kindIf(happened, fault.NotFound))
		_, err := proves(t, v, name, text)
		expect(t, "proving it", err, fault.Unauthenticated)
	}}
}

func givingClientRole(t *testing.T, v *storetest.Services, name string) scene {
	v.Client(t, name, []string{"read"})
	do := func() error {
		_, err := v.Roles.GiveGrant(t.Context(), storetest.Operator, rbac.Grant{Kind: principal.Service, Principal: name, Role: "viewer"})
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "giving it again", do(), kindIf(happened, fault.Conflict))
	}}
}

func earning(t *testing.T, v *storetest.Services, name string) scene {
	c, _ := v.Client(t, name, []string{"read"}, "viewer")
	do := func() error { _, err := earn(t, v, c); return err }
	return scene{do, func(t *testing.T, _ bool) { expect(t, "earning again", do(), 0) }}
}

// earningMore earns a token whose bit was kept with one before, and so does whoever tries again.
func earningMore(t *testing.T, v *storetest.Services, name string) scene {
	c, _ := v.Client(t, name, []string{"read"}, "viewer")
	do := func() error { _, err := earn(t, v, c); return err }
	for range 1 + 4 + 16 + 1 {
		expect(t, "a token before", do(), 0)
	}
	return scene{do, func(t *testing.T, _ bool) { expect(t, "earning again", do(), 0) }}
}

func revoking(t *testing.T, v *storetest.Services, name string) scene {
	v.Client(t, name, nil)
	of := principal.Principal{Kind: principal.Service, ID: name, Client: name, Family: "family-of-" + name}
	do := func() error { return v.Issuer.Revoke(t.Context(), of, of) }
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "revoking it again", do(), 0)
		if !v.Revoked.Has(grant.Access{Family: of.Family, Account: name, Client: name, Policy: 1 << 40}) {
			t.Error("it is not revoked")
		}
	}}
}
