package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestSeparations(t *testing.T) { storetest.Portable(t, storetest.Separations) }

// Of changes that are made together only what comes out of them is held against
// separations: who swaps one role for another has both at no moment that others see.
func TestSeparationLooksAtTheWhole(t *testing.T) {
	v := storetest.NewServices(t, storetest.Open(t, storetest.SQLite(t), store.Options{}), storetest.Parts{})
	for _, name := range []string{"orderer", "payer"} {
		if _, err := v.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	u := v.User(t, "ann", "orderer")
	_, err := v.Roles.CreateSeparation(t.Context(), storetest.Operator, rbac.Separation{Name: "payments", Kind: rbac.Static, Roles: []string{"orderer", "payer"}})
	expect(t, "keeping apart", err, 0)
	given, err := v.Roles.Giving(storetest.Operator, rbac.Grant{Principal: u.ID, Role: "payer"})
	expect(t, "the grant", err, 0)
	taken := v.Roles.Taking(storetest.Operator, rbac.Grant{Principal: u.ID, Role: "orderer"})
	apply := func(changes ...rbac.GrantChange) error {
		_, _, version, err := v.Store.Policy(t.Context())
		expect(t, "reading", err, 0)
		return v.Store.ApplyPolicy(t.Context(), storetest.Operator, policy.Changes{Basis: policy.Basis{Version: version}, Grants: changes})
	}
	expect(t, "giving the other", apply(given), fault.Conflict)
	expect(t, "swapping", apply(given, taken), 0)
	grants, err := v.Store.GrantsOf(t.Context(), u.ID)
	if err != nil || len(grants) != 1 || grants[0].Role != "payer" {
		t.Errorf("held is %+v, %v", grants, err)
	}
}
