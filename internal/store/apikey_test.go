package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestAPIKeys(t *testing.T) { storetest.Portable(t, storetest.APIKeys) }

// The deeds with API keys, each with what is true after it was done again.
var keyDeeds = []deed{
	{"make a key", 0, minting},
	{"rotate a key", 0, rotatingKey},
	{"revoke a key", 0, revokingKey},
	{"report a leak", 0, leaking},
}

// After a fault at any statement of a change of keys there is the old state or the new
// one, whole, with its events (FLT-002).
func TestAttackFLT002EveryStatementOfKeysFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, keyDeeds) })
}

func mint(t *testing.T, v *storetest.Services, by principal.Principal, user string) (apikey.Key, secret.Text, error) {
	return v.APIKeys.Create(t.Context(), by, apikey.Draft{Name: "test", Owner: principal.Owner{Kind: principal.User, ID: user}, Lasts: time.Hour})
}

func provesKey(t *testing.T, v *storetest.Services, text secret.Text) error {
	_, err := v.APIKeys.Prove(t.Context(), text.Reveal(), "")
	return err
}

func minting(t *testing.T, v *storetest.Services, name string) scene {
	u := v.User(t, name)
	by := storetest.Operator
	by.Origin.Once = principal.Once{Key: "key of " + name, Request: "body"}
	var last secret.Text
	do := func() error {
		_, text, err := mint(t, v, by, u.ID)
		last = text
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "making it again", do(), kindIf(happened, fault.Replayed))
		if !happened {
			expect(t, "proving it", provesKey(t, v, last), 0)
		}
	}}
}

func rotatingKey(t *testing.T, v *storetest.Services, name string) scene {
	k, first, err := mint(t, v, storetest.Operator, v.User(t, name).ID)
	expect(t, "making", err, 0)
	do := func() error {
		_, _, err := v.APIKeys.Rotate(t.Context(), storetest.Operator, k.ID, apikey.Rotation{Overlap: time.Minute, Version: 1})
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "rotating it again", do(), kindIf(happened, fault.Stale))
		expect(t, "the secret before", provesKey(t, v, first), 0)
	}}
}

func revokingKey(t *testing.T, v *storetest.Services, name string) scene {
	k, text, err := mint(t, v, storetest.Operator, v.User(t, name).ID)
	expect(t, "making", err, 0)
	expect(t, "proving it", provesKey(t, v, text), 0)
	do := func() error { return v.APIKeys.Revoke(t.Context(), storetest.Operator, k.ID, 0) }
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "revoking it again", do(), kindIf(happened, fault.NotFound))
		expect(t, "hearing of it", v.Feed.Poll(t.Context()), 0) // where the answer was lost
		expect(t, "proving it", provesKey(t, v, text), fault.Unauthenticated)
	}}
}

func leaking(t *testing.T, v *storetest.Services, name string) scene {
	k, text, err := mint(t, v, storetest.Operator, v.User(t, name).ID)
	expect(t, "making", err, 0)
	do := func() error {
		return v.Issuer.KeyLeaked(t.Context(), storetest.Browser, issue.Leak{Key: k, Reporter: "test"})
	}
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "reporting it again", do(), 0)
		expect(t, "proving it", provesKey(t, v, text), fault.Unauthenticated)
	}}
}
